// A server in a process of its own, so that its processor time, its memory and its collections are its own: "peregrine bench-server". Speaks
// lines with the process that measures: "ready", then for each "stats" one line, and ends when its input does.
using System.Globalization;
using System.Net;
using Peregrine.Core.Links;
using Peregrine.Drivers;
using Peregrine.Wire;

namespace Peregrine.Bench.Serving;

/// <summary>What a server process is told.</summary>
/// <param name="Link">The link's line.</param>
/// <param name="Address">The own address, with prefix length.</param>
/// <param name="KernelAddress">The kernel's on a TAP link; else empty.</param>
/// <param name="Namespace">Where the kernel's end of a TAP link belongs; else empty.</param>
/// <param name="Control">Path of the control socket.</param>
/// <param name="Spin">Never sleep.</param>
/// <param name="LossPercent">Frames lost each way.</param>
/// <param name="Kestrel">Whether the services are ASP.NET Core's: the tool's business, since this room does not know it.</param>
internal sealed record ServerOrder(string Link, string Address, string KernelAddress, string Namespace, string Control, bool Spin, double LossPercent, bool Kestrel)
{
    /// <summary>Whether the services await instead of being called back.</summary>
    public bool Await { get; init; }

    /// <summary>The default gateway; empty for none.</summary>
    public string Gateway { get; init; } = "";
}

internal static class ServerProcess
{
    internal static async Task RunAsync(ServerOrder order, TextReader input, TextWriter output, CancellationToken cancel)
    {
        using var opened = OpenLink(order);
        using var link = ServerSettings.WithLoss(opened, order.LossPercent);
        var network = await PeregrineNetwork.StartAsync(Options(order), link, cancel: cancel, platform: new LinuxPlatform()).ConfigureAwait(false);
        await using (network.ConfigureAwait(false))
        {
            var server = new StackServer(network, order.Await);
            await using (server.ConfigureAwait(false))
            {
                await AnswerAsync(input, output, cancel).ConfigureAwait(false);
            }
        }
    }

    /// <summary>Opens the link that an order names.</summary>
    internal static ILink OpenLink(ServerOrder order) => LinkFactory.Open(order.Link, new LinkSettings
    {
        KernelAddresses = order.KernelAddress.Length > 0 ? [IpPrefix.Parse(order.KernelAddress)] : [],
        BringUp = order.KernelAddress.Length > 0,
        NetworkNamespace = order.Namespace.Length > 0 ? order.Namespace : null,
    });

    /// <summary>The options of an order's network.</summary>
    internal static PeregrineOptions Options(ServerOrder order) =>
        ServerSettings.Create("bench-server", order.Address, order.Spin, -1, order.Control, order.Link.StartsWith("xdp", StringComparison.Ordinal)) with
        {
            Gateways = order.Gateway.Length > 0 ? [order.Gateway] : [],
        };

    /// <summary>Says that it serves, and what it has used as often as it is asked, until its input ends.</summary>
    internal static async Task AnswerAsync(TextReader input, TextWriter output, CancellationToken cancel)
    {
        await output.WriteLineAsync("ready").ConfigureAwait(false);
        while (await input.ReadLineAsync(cancel).ConfigureAwait(false) == "stats") await output.WriteLineAsync(Managed()).ConfigureAwait(false);
    }

    /// <summary>Bytes allocated, collections and compiled methods so far.</summary>
    private static string Managed() => string.Create(CultureInfo.InvariantCulture, $"{GC.GetTotalAllocatedBytes()} {GC.CollectionCount(0)} {System.Runtime.JitInfo.GetCompiledMethodCount()}");
}
