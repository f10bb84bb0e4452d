// Namespaces for a server and two clients, the wire between them in one of its own, and iperf3 at the ends: the kernel's, or this stack's on
// the same veth. Needs root. Touches nothing outside the namespaces that it makes, and takes them away again.
using System.Diagnostics;
using System.Globalization;
using System.Text.Json.Nodes;

namespace Peregrine.Curves.Bench;

/// <summary>Whose TCP is at an end.</summary>
internal enum End
{
    Ours,
    Linux,
}

internal sealed class Bed : IDisposable
{
    private const int ReadyMsMax = 20_000;

    private readonly string _prefix = "cv" + Environment.ProcessId.ToString(CultureInfo.InvariantCulture);
    private readonly string _tool = Path.GetFullPath("artifacts/bin/Peregrine.Cli/release/Peregrine.Cli.dll");
    private Process? _wire;

    internal Bed()
    {
        Ip("netns", "add", Space("w"));
        foreach (var end in new[] { "a", "b", "s" })
        {
            Ip("netns", "add", Space(end));
            Ip("-n", Space("w"), "link", "add", "to" + end, "type", "veth", "peer", "name", "eth0", "netns", Space(end));
            foreach (var (space, device) in new[] { (Space("w"), "to" + end), (Space(end), "eth0") })
            {
                In(space, "sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1");
                // Frames as on a wire: whole segments, summed.
                In(space, "ethtool", "-K", device, "tso", "off", "gso", "off", "gro", "off", "tx", "off", "rx", "off");
                Ip("-n", space, "link", "set", device, "up");
            }
            In(Space(end), "sysctl", "-qw", "net.ipv4.tcp_no_metrics_save=1");
        }
    }

    /// <summary>Another wire from now on.</summary>
    internal void UseWire(WireOptions wire)
    {
        EndWire();
        _wire = Start(Space("w"), "dotnet", [typeof(Bed).Assembly.Location, "wire",
            Text(wire.RttMs), Text(wire.RateMbps), Text(wire.QueueFrames), Text(wire.LossPercent), Text(wire.ReorderPercent), Text(wire.Seed), "toa", "tob", "tos"]);
        Thread.Sleep(1_500);
    }

    /// <summary>One transfer from a client to the server; the kernel's CUBIC and ours.</summary>
    /// <param name="from">Who sends.</param>
    /// <param name="to">Who receives.</param>
    /// <param name="amount">iperf3's: -t and seconds, or -n and bytes.</param>
    internal Outcome Transfer(End from, End to, params string[] amount)
    {
        using var server = StartServer(to, "s", 5201);
        using var client = StartClient(from, "a", 5201, amount);
        return Finish(client, server);
    }

    /// <summary>The times of transfers one after another, each over a new connection, in seconds.</summary>
    internal double[] Exchanges(End from, End to, long bytes, int count)
    {
        using var server = StartProgram(to, "s", "dotnet", [typeof(Bed).Assembly.Location, "serve", to.ToString(), Address("s")]);
        AwaitListening(server);
        using var client = StartProgram(from, "a", "dotnet", [typeof(Bed).Assembly.Location, "send", from.ToString(), Address("a"), Address("s"), Text(bytes), Text(count)]);
        var text = client.StandardOutput.ReadToEnd();
        client.WaitForExit();
        server.Kill(entireProcessTree: true);
        server.WaitForExit();
        if (client.ExitCode != 0) throw new IOException($"{from} to {to}: the client ended with {client.ExitCode}");
        return [.. text.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(static line => double.Parse(line, CultureInfo.InvariantCulture))];
    }

    /// <summary>Two transfers at a time, to two servers of the kernel's.</summary>
    internal (Outcome First, Outcome Second) Both(End first, End second, params string[] amount)
    {
        using var server = StartServer(End.Linux, "s", 5201);
        using var server2 = StartServer(End.Linux, "s", 5202);
        using var client = StartClient(first, "a", 5201, amount);
        using var client2 = StartClient(second, "b", 5202, amount);
        var result = Finish(client, server);
        return (result, Finish(client2, server2));
    }

    public void Dispose()
    {
        EndWire();
        foreach (var end in new[] { "a", "b", "s", "w" }) Ip("netns", "del", Space(end));
    }

    private Process StartServer(End whose, string space, int port)
    {
        var process = StartTool(whose, space, ["-s", "-1", "-p", Text(port)]);
        AwaitListening(process);
        return process;
    }

    private static void AwaitListening(Process process)
    {
        var deadline = Stopwatch.StartNew();
        while (deadline.ElapsedMilliseconds < ReadyMsMax && process.StandardOutput.ReadLine() is { } line && !line.Contains("listening", StringComparison.OrdinalIgnoreCase))
        {
        }
    }

    private Process StartClient(End whose, string space, int port, string[] amount) =>
        StartTool(whose, space, ["-c", Address("s"), "-p", Text(port), "-J", "-C", "cubic", .. amount]);

    private Process StartTool(End whose, string space, string[] arguments) => whose == End.Ours
        ? StartProgram(whose, space, "dotnet", [_tool, "iperf3", "--link", "packet:eth0", "--address", Address(space) + "/24", .. arguments])
        : StartProgram(whose, space, "stdbuf", ["-oL", "iperf3", .. arguments]);

    // The kernel's end has the device's address, ours has a device without one.
    private Process StartProgram(End whose, string space, string program, string[] arguments)
    {
        Ip("-n", Space(space), "addr", "flush", "dev", "eth0");
        if (whose == End.Linux)
        {
            Ip("-n", Space(space), "addr", "add", Address(space) + "/24", "dev", "eth0");
            // By the route, so that a connection begins with CUBIC: iperf3 -C changes connected sockets, and one that began with BBR, where that is the machine's, stays paced.
            Ip("-n", Space(space), "route", "change", "10.77.0.0/24", "dev", "eth0", "src", Address(space), "congctl", "cubic");
        }
        return Start(Space(space), program, arguments);
    }

    private static Outcome Finish(Process client, Process server)
    {
        var text = client.StandardOutput.ReadToEnd();
        client.WaitForExit();
        if (!server.WaitForExit(10_000)) server.Kill(entireProcessTree: true);
        var json = JsonNode.Parse(text[Math.Max(text.IndexOf('{', StringComparison.Ordinal), 0)..])!;
        if (json["error"] is { } error) throw new IOException($"iperf3: {error}");
        var received = json["end"]!["sum_received"]!;
        var sent = json["end"]!["sum_sent"]!;
        return new Outcome(received["bits_per_second"]!.GetValue<double>() / 1e6, received["seconds"]!.GetValue<double>(), sent["retransmits"]?.GetValue<double>() ?? 0);
    }

    private void EndWire()
    {
        if (_wire is null) return;
        _wire.Kill(entireProcessTree: true);
        _wire.WaitForExit();
        _wire = null;
    }

    private string Space(string end) => $"{_prefix}{end}";

    private static string Address(string end) => end switch { "a" => "10.77.0.1", "b" => "10.77.0.2", _ => "10.77.0.3" };

    private static string Text(IFormattable value) => value.ToString(null, CultureInfo.InvariantCulture);

    private static Process Start(string space, string program, IEnumerable<string> arguments)
    {
        var start = new ProcessStartInfo("ip") { RedirectStandardOutput = true };
        foreach (var argument in (string[])["netns", "exec", space, "nice", "-n", "-10", program, .. arguments]) start.ArgumentList.Add(argument);
        return Process.Start(start)!;
    }

    private static void In(string space, params string[] command) => Ip(["netns", "exec", space, .. command]);

    private static void Ip(params string[] arguments)
    {
        using var process = Process.Start(new ProcessStartInfo("ip", arguments) { RedirectStandardOutput = true })!;
        process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        if (process.ExitCode != 0) throw new IOException($"ip {string.Join(' ', arguments)} failed");
    }
}

/// <summary>What came of a transfer.</summary>
internal readonly record struct Outcome(double Mbps, double Seconds, double Retransmitted);
