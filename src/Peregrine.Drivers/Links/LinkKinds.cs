// The table of kinds: a driver joins by one entry here, and is then known to every command line, to configuration, to "peregrine links",
// to "auto" and to the demonstration.
using Peregrine.Drivers.Dpdk;
using Peregrine.Drivers.Memif;
using Peregrine.Drivers.Packet;
using Peregrine.Drivers.Pcap;
using Peregrine.Drivers.Xdp;

namespace Peregrine.Drivers;

/// <summary>All kinds of links that are built.</summary>
public static class LinkKinds
{
    /// <summary>The kinds, in the order in which help texts show them.</summary>
    public static IReadOnlyList<LinkKind> All { get; } =
    [
        AutoKind.Auto,
        TapKind.Tap,
        TapKind.Tun,
        PacketKind.Packet,
        XdpKind.Xdp,
        MemifKind.Memif,
        DpdkKind.Dpdk,
        PcapKind.Pcap,
        MemoryKind.Memory,
    ];

    /// <summary>The available offers in the order in which <c>auto</c> tries them, of one interface or path where a name is given.</summary>
    public static IReadOnlyList<LinkOffer> BestFirst(IEnumerable<LinkOffer> offers, string name = "") => AutoKind.Order(offers, name);

    /// <summary>What this machine offers, of every kind.</summary>
    public static IReadOnlyList<LinkOffer> Probe()
    {
        var facts = MachineFacts.Read();
        return [.. All.SelectMany(kind => kind.Probe(facts))];
    }
}
