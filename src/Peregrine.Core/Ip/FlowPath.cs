// What passes between the IP layer and the transports: where a flow goes, how a packet is to be sent, what a received packet is.
// Values only.
using System.Runtime.InteropServices;
using Peregrine.Core.Memory;
using Peregrine.Wire;

namespace Peregrine.Core.Ip;

/// <summary>
/// Where a flow's packets go: found once by <see cref="IpLayer.Resolve"/>, good until <see cref="IpLayer.IsCurrent"/> says otherwise.
/// 12 bytes, so that it can lie in every connection's block.
/// </summary>
[StructLayout(LayoutKind.Sequential)]
internal struct FlowPath
{
    /// <summary>No neighbour: the loopback, a medium without addresses, or a group.</summary>
    public const uint NoNeighbour = uint.MaxValue;

    /// <summary>The generation of the layer's tables when this was found; 0 is never current.</summary>
    public uint Generation;

    /// <summary>The interface.</summary>
    public ushort InterfaceIndex;

    /// <summary>The largest IP packet in bytes that the path is believed to carry.</summary>
    public ushort Mtu;

    /// <summary>The neighbour's handle, or <see cref="NoNeighbour"/>.</summary>
    public uint Neighbour;
}

/// <summary>How a packet is to be sent.</summary>
internal struct IpOutput
{
    /// <summary>Source address; must be set.</summary>
    public IpAddress Local;

    /// <summary>Destination address, of the same family.</summary>
    public IpAddress Remote;

    /// <summary>Protocol or next-header value of the transport.</summary>
    public byte Protocol;

    /// <summary>DSCP and ECN, as the byte stands in the header (RFC 1122 §3.2.1.6).</summary>
    public byte TrafficClass;

    /// <summary>Hop limit, or 0 for the default.</summary>
    public byte HopLimit;

    /// <summary>Whether the packet must not be fragmented, neither by us nor on its way.</summary>
    public bool DontFragment;

    /// <summary>IPv6 flow label, 20 bits; 0 for none.</summary>
    public uint FlowLabel;
}

/// <summary>A packet whose IP part has been checked, for the transport.</summary>
internal struct ReceivedPacket
{
    /// <summary>The frame; the caller of input owns it, and the transport copies out what it needs.</summary>
    public Frame Frame;

    /// <summary>Source address: never a group, never one of ours unless it came over the loopback.</summary>
    public IpAddress Source;

    /// <summary>Destination: one of ours, a broadcast, or a group that we are in.</summary>
    public IpAddress Destination;

    /// <summary>Where it came in.</summary>
    public ushort InterfaceIndex;

    /// <summary>Protocol of the transport.</summary>
    public byte Protocol;

    /// <summary>DSCP and ECN.</summary>
    public byte TrafficClass;

    /// <summary>Hop limit as received.</summary>
    public byte HopLimit;

    /// <summary>Whether the destination is a broadcast or a group, at the IP or at the link layer.</summary>
    public bool IsGroup;

    /// <summary>The transport checksum has been verified, or was never finished and the bytes are good: do not sum.</summary>
    public bool ChecksumGood;

    /// <summary>
    /// The link cannot say whether the checksum was finished (<see cref="Links.LinkOffloads.ReceiveUnfinished"/>): a field that holds just the
    /// pseudo-header's sum was not.
    /// </summary>
    public bool MayBeUnfinished;

    /// <summary>It came in fragments.</summary>
    public bool WasFragmented;

    /// <summary>The peer's UDP port where the segment came in a datagram; else 0.</summary>
    public ushort EncapsulationPort;

    /// <summary>What named the key by which PSP opened the segment; 0 for one that came in clear text.</summary>
    public uint PspSpi;

    /// <summary>TCP segments that were merged into this one.</summary>
    public ushort MergedCount;

    /// <summary>Where the IP header begins, from the frame's first byte: for quoting it in an error.</summary>
    public int NetworkOffset;

    /// <summary>Where the transport header begins, from the frame's first byte. It lies in the first chunk.</summary>
    public int TransportOffset;

    /// <summary>Bytes of transport header and payload over all chunks, without padding.</summary>
    public int TransportLength;
}
