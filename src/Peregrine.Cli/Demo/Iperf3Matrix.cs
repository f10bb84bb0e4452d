// "peregrine demo iperf3": every pairing of our iperf3 and the installed one, in a network namespace over a TAP device, as a table. Each case is
// first run with the installed one at both ends, over the namespace's loopback: that says which fields its JSON has.
using System.Diagnostics;
using System.Globalization;
using System.Text.Json.Nodes;
using Peregrine.Core.Links;
using Peregrine.Drivers;
using Peregrine.Iperf3;
using Peregrine.Wire;
using Spectre.Console;

namespace Peregrine.Cli.Demo;

internal sealed class Iperf3Matrix : IAsyncDisposable
{
    private const string Program = "iperf3";

    private static readonly string[] s_cases =
    [
        "-n 4M", "-n 4M -R", "-n 4M --bidir", "-n 4M -P 4", "-n 4M -R -P 4", "-n 4M --bidir -P 2", "-t 1 -i 0.5", "-t 1 -R -O 1", "-k 40 -l 10K -N -M 1000 -C cubic",
        "-n 200K -b 100M", "-u -k 100 -b 50M", "-u -k 100 -b 50M -R", "-u -k 100 -b 50M --bidir", "-u -k 100 -b 50M -P 3", "-u -k 100 -b 50M -R -P 2 --udp-counters-64bit",
        "-u -t 1 -b 20M/8 -l 1000", "-n 2M -T title --extra-data more --get-server-output -S 0x20 -Z", "-n 2M -w 128K --connect-timeout 5000 --rcv-timeout 60000 -V --bidir",
        "-n 2M --fq-rate 400M --pacing-timer 2000 -R", "-u -k 100 -b 50M --repeating-payload --dont-fragment --dscp ef", "-n 2M -i 0 -f m --repeating-payload",
    ];

    // How long a machine that is busy with other things may take for what takes a second.
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(120);

    private readonly NetworkNamespace _space;
    private readonly ILink _link;
    private PeregrineNetwork? _network;

    private Iperf3Matrix(NetworkNamespace space, ILink link) => (_space, _link) = (space, link);

    /// <summary>Whether there is an iperf3 to be compared with.</summary>
    internal static bool IsInstalled => (Environment.GetEnvironmentVariable("PATH") ?? "").Split(':').Any(static folder => File.Exists(Path.Combine(folder, Program)));

    /// <summary>Makes namespace and link.</summary>
    /// <exception cref="UnauthorizedAccessException">It is not permitted.</exception>
    /// <exception cref="IOException">The kernel has no TAP devices, or refused.</exception>
    internal static Iperf3Matrix Create()
    {
        var space = NetworkNamespace.Create();
        try
        {
            var options = new TapOptions { KernelAddresses = [IpPrefix.Parse(DemoWorld.TheirIPv4 + "/24"), IpPrefix.Parse(DemoWorld.TheirIPv6 + "/64")], BringUp = true };
            return new Iperf3Matrix(space, space.Run(() => (ILink)TapLink.Open("peregrine0", options)));
        }
        catch
        {
            space.Dispose();
            throw;
        }
    }

    /// <summary>Runs all. 0 when every case agrees.</summary>
    internal async Task<int> RunAsync(CancellationToken cancel)
    {
        _network = await PeregrineNetwork.StartAsync(
            new PeregrineOptions
            {
                Name = "demo", Addresses = [DemoWorld.OurIPv4 + "/24", DemoWorld.OurIPv6 + "/64"], ControlSocket = "none", UseSynchronizationContext = true, StopGraceMs = 500,
            },
            _link, cancel: cancel, platform: new LinuxPlatform()).ConfigureAwait(false);
        var table = new Table().Border(TableBorder.Simple).AddColumns("options", "client", "server", "sent", "received", "JSON of both", "verdict");
        int good = 0, count = 0;
        foreach (var arguments in s_cases)
        {
            var pattern = await RunKernelPairAsync(arguments, cancel).ConfigureAwait(false);
            foreach (var weServe in (bool[])[true, false])
            {
                var row = await RunCaseAsync(arguments, weServe, pattern, cancel).ConfigureAwait(false);
                count++;
                if (row.Faults.Count == 0) good++;
                table.AddRow(new[]
                {
                    arguments, weServe ? "iperf3" : "ours", weServe ? "ours" : "iperf3", row.Sent, row.Received,
                    row.Faults.Exists(static f => f.StartsWith("JSON", StringComparison.Ordinal)) ? "differs" : "same fields", row.Faults.Count == 0 ? "agree" : string.Join("; ", row.Faults),
                }.Select(static cell => Markup.Escape(cell)).ToArray());
            }
        }
        if (Console.IsOutputRedirected) AnsiConsole.Profile.Width = 200;
        AnsiConsole.Write(table);
        Console.WriteLine($"  {good} of {count} pairings agree");
        return good == count ? 0 : 1;
    }

    public async ValueTask DisposeAsync()
    {
        if (_network != null) await _network.DisposeAsync().ConfigureAwait(false);
        _link.Dispose();
        _space.Dispose();
    }

    private async Task<(JsonNode Client, JsonNode Server)> RunKernelPairAsync(string arguments, CancellationToken cancel)
    {
        const string loopback = "127.0.0.1";
        await RunKernelAsync(["link-up"], cancel).ConfigureAwait(false);
        var serving = RunKernelAsync(["-s", "-1", "-J", "-B", loopback], cancel);
        var client = await RetryAsync(() => RunKernelAsync(["-c", loopback, "-J", .. arguments.Split(' ')], cancel), cancel).ConfigureAwait(false);
        return (client, await serving.ConfigureAwait(false));
    }

    private async Task<Row> RunCaseAsync(string arguments, bool weServe, (JsonNode Client, JsonNode Server) pattern, CancellationToken cancel)
    {
        var serving = weServe ? RunOurs(["-s", "-1", "-J"], cancel) : RunKernelAsync(["-s", "-1", "-J"], cancel);
        string[] all = ["-c", weServe ? DemoWorld.OurIPv4 : DemoWorld.TheirIPv4, "-J", .. arguments.Split(' ')];
        var client = await RetryAsync(() => weServe ? RunKernelAsync(all, cancel) : RunOurs(all, cancel), cancel).ConfigureAwait(false);
        var server = await serving.WaitAsync(s_patience, cancel).ConfigureAwait(false);
        return Judge(arguments, client, server, pattern);
    }

    private static Row Judge(string arguments, JsonNode client, JsonNode server, (JsonNode Client, JsonNode Server) pattern)
    {
        var faults = new List<string>();
        foreach (var (side, json, like) in (ReadOnlySpan<(string, JsonNode, JsonNode)>)[("client", client, pattern.Client), ("server", server, pattern.Server)])
        {
            if (json["error"] is { } error) faults.Add($"{side}: {error}");
            var difference = Iperf3Schema.Difference(json, like);
            if (difference.Length > 0) faults.Add($"JSON of the {side}: {difference}");
        }
        if (faults.Count > 0) return new Row("", "", faults);
        long sent = 0, received = 0;
        foreach (var suffix in arguments.Contains("--bidir", StringComparison.Ordinal) ? (string[])["", "_bidir_reverse"] : [""])
        {
            long Sum(JsonNode json, string name) => (long)json["end"]![name + suffix]!["bytes"]!.GetValue<double>();
            var (clientSent, clientReceived) = (Sum(client, "sum_sent"), Sum(client, "sum_received"));
            // The server knows its own side only: it has to be what the client was told of it.
            var (serverSent, serverReceived) = (Sum(server, "sum_sent"), Sum(server, "sum_received"));
            if (serverSent != 0 && serverSent != clientSent) faults.Add($"the server sent {serverSent} bytes, the client was told {clientSent}");
            if (serverReceived != 0 && serverReceived != clientReceived) faults.Add($"the server received {serverReceived} bytes, the client was told {clientReceived}");
            if (serverSent == 0 && serverReceived == 0) faults.Add("the server counted nothing");
            // With omitted seconds, what was sent before they ended may arrive after.
            if (clientReceived > clientSent && !arguments.Contains("-O", StringComparison.Ordinal)) faults.Add($"{clientReceived} bytes received of {clientSent} sent");
            (sent, received) = (sent + clientSent, received + clientReceived);
        }
        // Of two directions one may have ended the test, by its bytes, before the other's first arrived.
        if (received == 0) faults.Add("nothing received");
        return new Row(sent.ToString("N0", CultureInfo.InvariantCulture), received.ToString("N0", CultureInfo.InvariantCulture), faults);
    }

    /// <summary>A server needs a moment before it listens.</summary>
    private static async Task<JsonNode> RetryAsync(Func<Task<JsonNode>> run, CancellationToken cancel)
    {
        var began = Stopwatch.GetTimestamp();
        while (true)
        {
            var result = await run().ConfigureAwait(false);
            if (Stopwatch.GetElapsedTime(began) > s_patience || result["error"]?.GetValue<string>().Contains("refused", StringComparison.Ordinal) != true) return result;
            await Task.Delay(50, cancel).ConfigureAwait(false);
        }
    }

    private async Task<JsonNode> RunOurs(string[] arguments, CancellationToken cancel)
    {
        if (!Iperf3Arguments.TryParse(arguments, out var options, out var error)) throw new InvalidOperationException(error);
        using var output = new StringWriter();
        var environment = new Iperf3Environment
        {
            Output = output, Errors = TextWriter.Null, ProcessorTime = static () => (Environment.CpuUsage.UserTime, Environment.CpuUsage.PrivilegedTime),
        };
        await Iperf3Tool.RunAsync(_network!, options, environment, cancel).ConfigureAwait(false);
        return Iperf3Schema.Parse(output.ToString());
    }

    private async Task<JsonNode> RunKernelAsync(string[] arguments, CancellationToken cancel)
    {
        var start = arguments is ["link-up"] ? new ProcessStartInfo("ip", ["link", "set", "lo", "up"]) : new ProcessStartInfo(Program, arguments);
        (start.RedirectStandardOutput, start.RedirectStandardError) = (true, true);
        using var process = _space.Run(() => Process.Start(start)!);
        try
        {
            using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancel);
            limit.CancelAfter(s_patience);
            var output = await process.StandardOutput.ReadToEndAsync(limit.Token).ConfigureAwait(false);
            await process.WaitForExitAsync(limit.Token).ConfigureAwait(false);
            // iperf3 3.12 may print a warning before its JSON.
            var begin = output.IndexOf('{', StringComparison.Ordinal);
            return begin >= 0 ? Iperf3Schema.Parse(output[begin..]) : new JsonObject { ["error"] = (await process.StandardError.ReadToEndAsync(limit.Token).ConfigureAwait(false)).Trim() };
        }
        finally
        {
            if (!process.HasExited) process.Kill();
        }
    }

    private sealed record Row(string Sent, string Received, List<string> Faults);
}
