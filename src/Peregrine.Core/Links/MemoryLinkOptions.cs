// What can be chosen about an in-memory link. A record, no behaviour.
using Peregrine.Wire;

namespace Peregrine.Core.Links;

/// <summary>What kind of card the two ends of a memory link behave like.</summary>
public enum MemoryLinkKind
{
    /// <summary>A plain wire: no offloads. Frames arrive as they were sent.</summary>
    Plain,

    /// <summary>A card that sums: the sender's checksums are finished by the link, and the receiver is told that they are good. No segmentation.</summary>
    Card,

    /// <summary>A link between virtual machines: unfinished checksums and TCP super-segments are delivered as they are, uncut.</summary>
    Virtual,
}

/// <summary>How to make a memory link.</summary>
public sealed record MemoryLinkOptions
{
    /// <summary>The name; the ends are called by it with "-a" and "-b".</summary>
    public string Name { get; init; } = "memory";

    /// <summary>With or without Ethernet headers.</summary>
    public LinkMedium Medium { get; init; } = LinkMedium.Ethernet;

    /// <summary>The largest IP packet in bytes, 68 to 65,535.</summary>
    public int Mtu { get; init; } = 1500;

    /// <summary>Frames that may be on the way in one direction of one queue: a power of two, 2 to 65,536.</summary>
    public int RingFrames { get; init; } = 1024;

    /// <summary>Queues, 1 to 64. Queue i of one end speaks with queue i of the other.</summary>
    public int QueueCount { get; init; } = 1;

    /// <summary>Which offloads the link has.</summary>
    public MemoryLinkKind Kind { get; init; } = MemoryLinkKind.Plain;

    /// <summary>The first end's address.</summary>
    public MacAddress MacAddressA { get; init; } = new(0x0200_0000_000A);

    /// <summary>The second end's address.</summary>
    public MacAddress MacAddressB { get; init; } = new(0x0200_0000_000B);
}
