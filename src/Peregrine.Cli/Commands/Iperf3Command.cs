// "peregrine iperf3": iperf3's own command line on a stack of its own. Options of the link are this tool's; everything else goes, as it
// stands, to iperf3's reader, which knows its own names, abbreviations and errors.
using System.CommandLine;
using System.Runtime.InteropServices;
using Peregrine.Core.Links;
using Peregrine.Drivers;
using Peregrine.Iperf3;
using Peregrine.Sockets;

namespace Peregrine.Cli.Commands;

internal static class Iperf3Command
{
    internal const string Name = "iperf3";

    private static readonly LinkOptions s_link = new();

    internal static Command Create()
    {
        var arguments = new Argument<string[]>("options") { Description = "iperf3's options: -s, or -c HOST and more; 'man iperf3' explains them, docs/iperf3.md what differs", Arity = ArgumentArity.ZeroOrMore };
        var command = new Command(Name,
            "Measures throughput with iperf3's protocol; the other side may be iperf3 itself.\n\nExamples:\n"
            + "  peregrine iperf3 -s                          then, on this machine: iperf3 -c 192.0.2.2\n"
            + "  peregrine iperf3 -c 192.0.2.1 -R -P 4        from 'iperf3 -s' on this machine\n"
            + "  peregrine iperf3 -c 192.0.2.1 -u -b 1G -J    datagrams at 1 Gbit/s, the result as JSON\n"
            + "  peregrine iperf3 -c 192.0.2.1 --link memory  two stacks in one process, without any permission")
        {
            arguments,
        };
        s_link.AddTo(command);
        command.SetAction((parsed, cancel) => RunAsync(parsed.GetValue(arguments)!, parsed, cancel));
        return command;
    }

    /// <summary>Moves what is iperf3's behind "--", so that only options of the link are read by this tool.</summary>
    internal static string[] Arrange(string[] args)
    {
        if (args is not [Name, ..]) return args;
        var probe = new Command(Name);
        s_link.AddTo(probe);
        List<string> own = [Name], theirs = [];
        for (var i = 1; i < args.Length; i++)
        {
            var name = args[i].Split('=', 2)[0];
            if (args[i] is "-h" or "--help" or "-?")
            {
                own.Add(args[i]);
                continue;
            }
            if (probe.Options.FirstOrDefault(option => option.Name == name || option.Aliases.Contains(name)) is not { } option)
            {
                theirs.Add(args[i]);
                continue;
            }
            own.Add(args[i]);
            if (args[i].Contains('=', StringComparison.Ordinal) || option.ValueType == typeof(bool)) continue;
            do
            {
                if (i + 1 < args.Length) own.Add(args[++i]);
            }
            while (option.AllowMultipleArgumentsPerToken && i + 1 < args.Length && !args[i + 1].StartsWith('-'));
        }
        return [.. own, "--", .. theirs];
    }

    private static async Task<int> RunAsync(string[] arguments, System.CommandLine.ParseResult parsed, CancellationToken cancel)
    {
        if (arguments is ["-v"] or ["--version"])
        {
            Console.WriteLine($"iperf 3.12 (peregrine)\n{SystemName()}\nOptional features available: CPU affinity setting, TCP congestion algorithm setting, socket pacing, authentication, support IPv4 don't fragment");
            return 0;
        }
        if (!Iperf3Arguments.TryParse(arguments, out var options, out var error))
        {
            Console.Error.WriteLine(error + "\n\nTry `peregrine iperf3 --help' for more information.");
            return 1;
        }
        Stream stream;
        try
        {
            stream = options.LogFile == null ? Console.OpenStandardOutput() : new FileStream(options.LogFile, FileMode.Append, FileAccess.Write, FileShare.Read);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            Console.Error.WriteLine("iperf3: error - unable to open log file: " + e.Message);
            return 1;
        }
        using var output = new StreamWriter(stream);
        output.AutoFlush = true;
        if (options.PidFile != null) await File.WriteAllTextAsync(options.PidFile, $"{Environment.ProcessId}\n", cancel).ConfigureAwait(false);
        return await RunOnLinkAsync(options, CreateEnvironment(options, output), parsed, cancel).ConfigureAwait(false);
    }

    private static async Task<int> RunOnLinkAsync(Iperf3Options options, Iperf3Environment environment, System.CommandLine.ParseResult parsed, CancellationToken cancel)
    {
        var inMemory = parsed.GetValue(s_link.Link) == "memory";
        if (inMemory && options.IsServer) throw new ArgumentException("Nobody could reach a server on a link in memory; with -c HOST --link memory the server is in the same process.");
        var (link, watch) = s_link.Open(parsed);
        try
        {
            var network = s_link.Network(parsed, Name) with { ControlSocket = "none", UseSynchronizationContext = true, StopGraceMs = 500 };
            await using var peer = inMemory ? await StartPeerAsync(watch == null ? (MemoryLink)link : watch.Inner<MemoryLink>(), options, cancel).ConfigureAwait(false) : null;
            await using var own = await PeregrineNetwork.StartAsync(network, link, cancel: cancel, platform: new LinuxPlatform()).ConfigureAwait(false);
            watch?.Start(own.Engine);
            return await Iperf3Tool.RunAsync(own, options, environment, cancel).ConfigureAwait(false);
        }
        finally
        {
            if (watch != null) await watch.DisposeAsync().ConfigureAwait(false);
            link.Dispose();
        }
    }

    /// <summary>The server on the other end of a link in memory: its output is nobody's.</summary>
    private static async Task<PeregrineNetwork> StartPeerAsync(MemoryLink link, Iperf3Options client, CancellationToken cancel)
    {
        var address = System.Net.IPAddress.TryParse(client.Server, out var parsed) ? parsed
            : throw new ArgumentException($"On a link in memory -c needs an address, like 192.0.2.1; \"{client.Server}\" is none.");
        var prefix = address.AddressFamily == System.Net.Sockets.AddressFamily.InterNetworkV6 ? 64 : 24;
        var network = await PeregrineNetwork.StartAsync(
            new PeregrineOptions { Name = "peer", Addresses = [$"{address}/{prefix}"], ControlSocket = "none", UseSynchronizationContext = true, StopGraceMs = 500 },
            link.Peer, cancel: cancel, platform: new LinuxPlatform()).ConfigureAwait(false);
        Iperf3Arguments.TryParse(["-s", "-p", client.ServerPort.ToString(System.Globalization.CultureInfo.InvariantCulture)], out var server, out _);
        _ = Iperf3Tool.RunAsync(network, server, new Iperf3Environment { Output = TextWriter.Null, Errors = TextWriter.Null }, cancel);
        return network;
    }

    private static Iperf3Environment CreateEnvironment(Iperf3Options options, TextWriter output) => new()
    {
        Output = output,
        Errors = options.LogFile == null ? Console.Error : output,
        SystemName = SystemName(),
        Password = options.UserName == null ? null : ReadPassword(),
        ProcessorTime = static () => (Environment.CpuUsage.UserTime, Environment.CpuUsage.PrivilegedTime),
        Pin = static processor => new LinuxPlatform().PinCurrentThread(processor),
    };

    /// <summary>What "uname -a" says, as far as iperf3 prints it.</summary>
    private static string SystemName()
    {
        var machine = RuntimeInformation.OSArchitecture switch { Architecture.X64 => "x86_64", Architecture.Arm64 => "aarch64", var other => other.ToString() };
        return $"Linux {Environment.MachineName} {Read("osrelease")} {Read("version")} {machine}";

        static string Read(string name) => File.Exists("/proc/sys/kernel/" + name) ? File.ReadAllText("/proc/sys/kernel/" + name).Trim() : "?";
    }

    private static string? ReadPassword()
    {
        if (Environment.GetEnvironmentVariable("IPERF3_PASSWORD") is { Length: > 0 } given) return given;
        if (Console.IsInputRedirected) return null;
        Console.Error.Write("Password: ");
        var password = new System.Text.StringBuilder();
        while (Console.ReadKey(intercept: true) is { Key: not ConsoleKey.Enter } key)
        {
            if (key.Key == ConsoleKey.Backspace) password.Length = Math.Max(0, password.Length - 1);
            else password.Append(key.KeyChar);
        }
        Console.Error.WriteLine();
        return password.ToString();
    }
}
