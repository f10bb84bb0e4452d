// The table of kinds: a driver joins by one entry here, and is then known to every command line, to configuration, to "peregrine links",
// to "auto" and to the demonstration.
using Peregrine.Drivers.Dpdk;
using Peregrine.Drivers.Memif;
using Peregrine.Drivers.Xdp;

namespace Peregrine.Drivers;

/// <summary>All kinds of links that are built.</summary>
public static class LinkKinds
{
    /// <summary>The kinds, in the order in which help texts show them.</summary>
    public static IReadOnlyList<LinkKind> All { get; } =
    [
        TapKind.Tap,
        TapKind.Tun,
        XdpKind.Xdp,
        MemifKind.Memif,
        DpdkKind.Dpdk,
        MemoryKind.Memory,
    ];

    /// <summary>What this machine offers, of every kind.</summary>
    public static IReadOnlyList<LinkOffer> Probe()
    {
        var facts = MachineFacts.Read();
        return [.. All.SelectMany(kind => kind.Probe(facts))];
    }
}
