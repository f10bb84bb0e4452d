// "peregrine ping": echo requests from a stack of its own, and what came back, with a sum at the end.
using System.CommandLine;
using System.Globalization;
using System.Net.Sockets;
using Peregrine.Core.Links;
using Peregrine.Drivers;
using Peregrine.Wire;

namespace Peregrine.Cli.Commands;

internal static class PingCommand
{
    internal static Command Create()
    {
        var target = new Argument<string>("address") { Description = "The address to ask" };
        var count = new Option<int>("--count", "-c") { Description = "How many requests, 1 to 65535", DefaultValueFactory = static _ => 4 };
        var interval = new Option<int>("--interval-ms") { Description = "Time between them", DefaultValueFactory = static _ => 1_000 };
        var size = new Option<int>("--size", "-s") { Description = "Bytes of data in each, 0 to 65000", DefaultValueFactory = static _ => 56 };
        var link = new LinkOptions();
        var command = new Command("ping",
            "Asks another host with echo requests from a stack of its own.\n\nExamples:\n"
            + "  peregrine ping 192.0.2.1                     this machine's kernel, over a TAP link made for it\n"
            + "  peregrine ping 192.0.2.1 --link memory       another Peregrine, without any permission\n"
            + "  peregrine ping 2001:db8::1 --dump -s 3000    with fragments, and each frame printed")
        {
            target, count, interval, size,
        };
        link.AddTo(command);
        command.SetAction((parsed, cancel) =>
            RunAsync(parsed.GetValue(target)!, parsed.GetValue(count), parsed.GetValue(interval), parsed.GetValue(size), link, parsed, cancel));
        return command;
    }

    private static async Task<int> RunAsync(string target, int count, int intervalMs, int size, LinkOptions options, ParseResult parsed, CancellationToken cancel)
    {
        if (!IpAddress.TryParse(target, out var to)) throw new ArgumentException($"\"{target}\" is no address: give one like 192.0.2.1 or 2001:db8::1 (names are not resolved here).");
        if (count is < 1 or > 65_535 || size is < 0 or > 65_000 || intervalMs is < 0 or > 3_600_000)
            throw new ArgumentException("--count must be from 1 to 65535, --size from 0 to 65000, --interval-ms from 0 to 3600000.");
        var (link, watch) = options.Open(parsed);
        PeregrineNetwork? peer = null;
        try
        {
            if (parsed.GetValue(options.Link) == "memory") peer = await StartPeerAsync(watch == null ? (MemoryLink)link : watch.Inner<MemoryLink>(), to, cancel).ConfigureAwait(false);
            await using var network = await PeregrineNetwork.StartAsync(options.Network(parsed, "ping") with { ControlSocket = "none" }, link, cancel: cancel, platform: new LinuxPlatform())
                .ConfigureAwait(false);
            watch?.Start(network.Engine);
            return await PingAsync(network, to, count, intervalMs, size, cancel).ConfigureAwait(false);
        }
        finally
        {
            if (peer != null) await peer.DisposeAsync().ConfigureAwait(false);
            if (watch != null) await watch.DisposeAsync().ConfigureAwait(false);
            link.Dispose();
        }
    }

    private static async Task<int> PingAsync(PeregrineNetwork network, IpAddress to, int count, int intervalMs, int size, CancellationToken cancel)
    {
        var identifier = Echo.Open(network.Engine);
        var times = new List<double>();
        var sent = 0;
        try
        {
            while (sent < count)
            {
                if (sent > 0) await Task.Delay(intervalMs, cancel).ConfigureAwait(false);
                var sequence = (ushort)++sent;
                var outcome = await Echo.SendAsync(network.Engine, to, identifier, sequence, size, TimeSpan.FromSeconds(3), cancel).ConfigureAwait(false);
                if (outcome.Error == SocketError.Success) times.Add(outcome.Milliseconds);
                Console.WriteLine(outcome.Error == SocketError.Success
                    ? string.Create(CultureInfo.InvariantCulture, $"{outcome.Length} bytes from {to}: seq {sequence}, hop limit {outcome.HopLimit}, {outcome.Milliseconds:F3} ms")
                    : $"no answer from {to}: seq {sequence}, {outcome.Error}");
            }
        }
        catch (OperationCanceledException)
        {
            // Ctrl-C: the sum is still wanted.
        }
        Console.WriteLine($"{sent} sent, {times.Count} answered" + (times.Count == 0 ? ""
            : string.Create(CultureInfo.InvariantCulture, $"; {times.Min():F3} ms least, {times.Average():F3} average, {times.Max():F3} most")));
        return times.Count > 0 ? 0 : 1;
    }

    private static async Task<PeregrineNetwork> StartPeerAsync(MemoryLink link, IpAddress address, CancellationToken cancel) =>
        await PeregrineNetwork.StartAsync(
            new PeregrineOptions { Name = "peer", Addresses = [$"{address}/{(address.IsIPv4 ? 24 : 64)}"], ControlSocket = "none" }, link.Peer, cancel: cancel).ConfigureAwait(false);
}
