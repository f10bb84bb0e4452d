// Settings and bounds of the IP layer, and of one interface. Records of values: nothing is decided here.
using Peregrine.Core.Links;
using Peregrine.Wire;

namespace Peregrine.Core.Ip;

/// <summary>Bounds and settings of the IP layer, for all interfaces of a stack. Memory is taken for the bounds at the start.</summary>
public sealed record IpOptions
{
    /// <summary>Interfaces with the loopback, 1 to 64.</summary>
    public int InterfaceCountMax { get; init; } = 8;

    /// <summary>Own addresses over all interfaces, 4 to 4,096.</summary>
    public int AddressCountMax { get; init; } = 64;

    /// <summary>Neighbours over all interfaces, 16 to 16,384. When there are more, unused ones are forgotten.</summary>
    public int NeighbourCountMax { get; init; } = 4096;

    /// <summary>
    /// Packets that wait for one unresolved neighbour; then the oldest is dropped. 1 to 255; default 128, about what Linux holds (unres_qlen_bytes): a client begins with many
    /// connections to one server at once, and a SYN lost here costs its connection a second.
    /// </summary>
    public int NeighbourQueueCountMax { get; init; } = 128;

    /// <summary>Packets that wait for all unresolved neighbours together, 1 to 65,536. Default 2,048.</summary>
    public int NeighbourQueueTotalMax { get; init; } = 2_048;

    /// <summary>Routes, 8 to 65,536. A lookup that misses a flow's cached path looks at them in order of prefix length.</summary>
    public int RouteCountMax { get; init; } = 256;

    /// <summary>Destinations whose path MTU is known to be smaller than their interface's.</summary>
    public int PathMtuCountMax { get; init; } = 1024;

    /// <summary>Seconds after which a lowered path MTU is forgotten, at least 300 (RFC 1191 §6.3, RFC 8201 §4).</summary>
    public int PathMtuAgeSeconds { get; init; } = 600;

    /// <summary>The smallest IPv4 path MTU in bytes that a report may set, 68 to 1,280. RFC 1191 allows 68, which only attackers report.</summary>
    public int PathMtuFloorIPv4 { get; init; } = 552;

    /// <summary>Datagrams being reassembled at once; then the oldest is dropped.</summary>
    public int ReassemblyCountMax { get; init; } = 64;

    /// <summary>Fragments held for all datagrams together.</summary>
    public int FragmentCountMax { get; init; } = 512;

    /// <summary>Fragments of one datagram.</summary>
    public int FragmentsPerDatagramMax { get; init; } = 64;

    /// <summary>Seconds that IPv4 fragments wait for the rest. RFC 1122 §3.3.2 wants 60 to 120; others have found 30 enough.</summary>
    public int ReassemblyTimeoutIPv4Seconds { get; init; } = 30;

    /// <summary>Seconds that IPv6 fragments wait for the rest (RFC 8200 §4.5).</summary>
    public int ReassemblyTimeoutIPv6Seconds { get; init; } = 60;

    /// <summary>IPv6 extension headers looked at in a packet; more is an attack.</summary>
    public int ExtensionHeaderCountMax { get; init; } = 8;

    /// <summary>ICMP errors and other unsolicited replies a second (RFC 4443 §2.4 f, RFC 1812 §4.3.2.8).</summary>
    public int IcmpErrorsPerSecond { get; init; } = 1000;

    /// <summary>Such replies that may be sent in one go after a pause.</summary>
    public int IcmpErrorBurst { get; init; } = 50;

    /// <summary>Echo replies a second.</summary>
    public int IcmpEchoesPerSecond { get; init; } = 20_000;

    /// <summary>Echo replies that may be sent in one go after a pause.</summary>
    public int IcmpEchoBurst { get; init; } = 1000;

    /// <summary>Frames that an interface holds until they are transmitted, 32 to 4,096.</summary>
    public int OutputBurstMax { get; init; } = 256;

    /// <summary>How many of these are kept for ARP, neighbour discovery and ICMP, so that data cannot starve them.</summary>
    public int OutputReserve { get; init; } = 16;

    /// <summary>Hop limit of what we send where nothing else was asked, 1 to 255 (RFC 1122 §3.2.1.7).</summary>
    public byte DefaultHopLimit { get; init; } = 64;

    /// <summary>Whether ICMP redirects from the gateway in use change routes. Off: they help attackers more than hosts.</summary>
    public bool AcceptRedirects { get; init; }

    /// <summary>Answers to echoes and errors about them that wait to be read.</summary>
    public int EchoEventCountMax { get; init; } = 256;

    /// <summary>Echo identifiers open at once.</summary>
    public int EchoCountMax { get; init; } = 16;

    /// <summary>Checks every bound.</summary>
    /// <exception cref="ArgumentOutOfRangeException">A bound is out of its range.</exception>
    internal void Validate()
    {
        Range(InterfaceCountMax, 1, 64, nameof(InterfaceCountMax));
        Range(AddressCountMax, 4, 4096, nameof(AddressCountMax));
        Range(NeighbourCountMax, 16, 16_384, nameof(NeighbourCountMax));
        Range(NeighbourQueueCountMax, 1, 255, nameof(NeighbourQueueCountMax));
        Range(NeighbourQueueTotalMax, 1, 65_536, nameof(NeighbourQueueTotalMax));
        Range(RouteCountMax, 8, 65_536, nameof(RouteCountMax));
        Range(PathMtuCountMax, 16, 1 << 20, nameof(PathMtuCountMax));
        Range(PathMtuAgeSeconds, 300, 86_400, nameof(PathMtuAgeSeconds));
        Range(PathMtuFloorIPv4, 68, 1280, nameof(PathMtuFloorIPv4));
        Range(ReassemblyCountMax, 1, 65_536, nameof(ReassemblyCountMax));
        Range(FragmentCountMax, 2, 1 << 20, nameof(FragmentCountMax));
        Range(FragmentsPerDatagramMax, 2, 8192, nameof(FragmentsPerDatagramMax));
        Range(ReassemblyTimeoutIPv4Seconds, 1, 120, nameof(ReassemblyTimeoutIPv4Seconds));
        Range(ReassemblyTimeoutIPv6Seconds, 1, 120, nameof(ReassemblyTimeoutIPv6Seconds));
        Range(ExtensionHeaderCountMax, 1, 64, nameof(ExtensionHeaderCountMax));
        Range(IcmpErrorsPerSecond, 0, 1_000_000, nameof(IcmpErrorsPerSecond));
        Range(IcmpErrorBurst, 0, 100_000, nameof(IcmpErrorBurst));
        Range(IcmpEchoesPerSecond, 0, 10_000_000, nameof(IcmpEchoesPerSecond));
        Range(IcmpEchoBurst, 0, 100_000, nameof(IcmpEchoBurst));
        Range(OutputBurstMax, 32, 4096, nameof(OutputBurstMax));
        Range(OutputReserve, 0, OutputBurstMax / 2, nameof(OutputReserve));
        Range(DefaultHopLimit, 1, 255, nameof(DefaultHopLimit));
        Range(EchoEventCountMax, 1, 65_536, nameof(EchoEventCountMax));
        Range(EchoCountMax, 1, 4096, nameof(EchoCountMax));
    }

    private static void Range(int value, int min, int max, string name)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(value, min, name);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(value, max, name);
    }
}

/// <summary>An address of an interface and how many of its bits are the link's prefix.</summary>
/// <param name="Address">A unicast address of either family.</param>
/// <param name="PrefixLength">0 to 32 for IPv4, 0 to 128 for IPv6. Other addresses of the prefix are taken to be on the link.</param>
public readonly record struct InterfaceAddress(IpAddress Address, int PrefixLength)
{
    /// <summary>Reads "192.0.2.1/24"; without a length the address is alone on its prefix.</summary>
    /// <exception cref="FormatException">The text is no address with a prefix length.</exception>
    public static InterfaceAddress Parse(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        int slash = text.IndexOf('/');
        IpAddress address = IpAddress.Parse(slash < 0 ? text : text[..slash]);
        int bits = address.Length * 8, length = bits;
        if (slash >= 0 && (!int.TryParse(text.AsSpan(slash + 1), out length) || length < 0 || length > bits))
            throw new FormatException($"'{text}' is not an address with a prefix length of 0 to {bits}.");
        return new InterfaceAddress(address, length);
    }

    /// <inheritdoc/>
    public override string ToString() => $"{Address}/{PrefixLength}";
}

/// <summary>What an interface is made of.</summary>
public sealed record InterfaceOptions
{
    /// <summary>A short name for people ("tap0").</summary>
    public required string Name { get; init; }

    /// <summary>Our address on the link; default where the medium has none.</summary>
    public MacAddress MacAddress { get; init; }

    /// <summary>The largest IP packet in bytes, 68 to 65,535; IPv6 is on from 1,280.</summary>
    public int Mtu { get; init; } = 1500;

    /// <summary>With or without Ethernet headers.</summary>
    public LinkMedium Medium { get; init; }

    /// <summary>What the link does by itself.</summary>
    public LinkOffloads Offloads { get; init; }

    /// <summary>The largest super-segment in bytes including headers that the link takes, or 0.</summary>
    public int SuperSegmentMax { get; init; }

    /// <summary>Addresses from the start, of both families.</summary>
    public IReadOnlyList<InterfaceAddress> Addresses { get; init; } = [];

    /// <summary>Default gateways, the preferred one first (RFC 1122 §3.3.1.2); at most one a family is usual.</summary>
    public IReadOnlyList<IpAddress> Gateways { get; init; } = [];

    /// <summary>Whether packets sent here come back in: the interface of own addresses.</summary>
    public bool IsLoopback { get; init; }

    /// <summary>
    /// Whether IPv6 addresses, routers, prefixes and parameters are taken from router advertisements (RFC 4861, 4862). Also turns on
    /// duplicate address detection. Off by default: then only what is configured here is used.
    /// </summary>
    public bool Autoconfigure { get; init; }

    /// <summary>Whether configured addresses are tested for duplicates before use too (RFC 4862 §5.4); it delays them by a second.</summary>
    public bool DetectDuplicates { get; init; }

    /// <summary>Whether an Ethernet interface has a link-local IPv6 address of its own making (RFC 4291 §2.8).</summary>
    public bool LinkLocal { get; init; } = true;

    /// <summary>
    /// A secret from which stable, opaque interface identifiers are made (RFC 7217), the same at every start; zero makes them of the
    /// Ethernet address (RFC 4291 appendix A).
    /// </summary>
    public UInt128 InterfaceIdentifierKey { get; init; }

    /// <summary>Whether multicast groups are reported to routers and snooping switches (IGMPv2, MLDv2).</summary>
    public bool ReportMulticast { get; init; } = true;
}
