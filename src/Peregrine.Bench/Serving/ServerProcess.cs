// A server in a process of its own, so that its processor time, its memory and its collections are its own: "peregrine bench-server". Speaks
// lines with the process that measures: "ready", then for each "stats" one line, and ends when its input does.
using System.Globalization;
using System.Net;
using Peregrine.Drivers;
using Peregrine.Wire;

namespace Peregrine.Bench.Serving;

/// <summary>What a server process is told.</summary>
internal sealed record ServerOrder(string Link, string Address, string KernelAddress, string Namespace, string Control, bool Spin, double LossPercent);

internal static class ServerProcess
{
    internal static async Task RunAsync(ServerOrder order, TextReader input, TextWriter output, CancellationToken cancel)
    {
        var settings = new LinkSettings
        {
            KernelAddresses = order.KernelAddress.Length > 0 ? [IpPrefix.Parse(order.KernelAddress)] : [],
            BringUp = order.KernelAddress.Length > 0,
            NetworkNamespace = order.Namespace.Length > 0 ? order.Namespace : null,
        };
        using var opened = LinkFactory.Open(order.Link, settings);
        using var link = ServerSettings.WithLoss(opened, order.LossPercent);
        var options = ServerSettings.Create("bench-server", order.Address, order.Spin, -1, order.Control, order.Link.StartsWith("xdp", StringComparison.Ordinal));
        var network = await PeregrineNetwork.StartAsync(options, link, cancel: cancel, platform: new LinuxPlatform()).ConfigureAwait(false);
        await using (network.ConfigureAwait(false))
        {
            var server = new StackServer(network);
            await using (server.ConfigureAwait(false))
            {
                await output.WriteLineAsync("ready").ConfigureAwait(false);
                while (await input.ReadLineAsync(cancel).ConfigureAwait(false) == "stats") await output.WriteLineAsync(Managed()).ConfigureAwait(false);
            }
        }
    }

    /// <summary>Bytes allocated and collections so far.</summary>
    internal static string Managed() => string.Create(CultureInfo.InvariantCulture, $"{GC.GetTotalAllocatedBytes()} {GC.CollectionCount(0)}");
}
