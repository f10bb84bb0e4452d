// What can be chosen about a link that replays a capture. A record, no behaviour.
using Peregrine.Wire;

namespace Peregrine.Drivers.Pcap;

/// <summary>How to replay a capture.</summary>
public sealed record PcapOptions
{
    /// <summary>Where what is sent goes, a file that is made anew, or null for nowhere.</summary>
    public string? OutputPath { get; init; }

    /// <summary>Whether frames come as fast as they are taken; else at the intervals at which they were recorded, from the first look at the link on.</summary>
    public bool IsFullSpeed { get; init; }

    /// <summary>Whether frames come that the capture marks as sent by whoever made it. Without, only those that it received or did not mark.</summary>
    public bool IncludeSent { get; init; }

    /// <summary>
    /// Whether checksums of the capture may be unfinished, as a machine records them that leaves them to its card. The stack then recognizes
    /// one by its value; see <see cref="Core.Links.LinkOffloads.ReceiveUnfinished"/>.
    /// </summary>
    public bool UnfinishedChecksums { get; init; }

    /// <summary>The MTU in bytes, 68 to 65,535. Longer frames of the capture come as well.</summary>
    public int Mtu { get; init; } = 1500;

    /// <summary>Our address on the link; null is the recorded interface's where the capture says it, else 02:00:00:00:00:01.</summary>
    public MacAddress? MacAddress { get; init; }

    /// <summary>Whose time it goes by.</summary>
    public TimeProvider Clock { get; init; } = TimeProvider.System;
}
