// Settings of the UDP layer and of its sockets, handles, events and counters. Values only.
using System.Net.Sockets;
using Peregrine.Wire;

namespace Peregrine.Core.Udp;

/// <summary>Bounds of the UDP layer. Memory is taken for them at the start.</summary>
public sealed record UdpOptions
{
    /// <summary>Sockets at once, 1 to 1,048,576.</summary>
    public int SocketCountMax { get; init; } = 1024;

    /// <summary>Receive buffer of a socket that asks for none, in bytes of memory (blocks, not payload).</summary>
    public int ReceiveBufferSize { get; init; } = 1 << 20;

    /// <summary>First ephemeral port (RFC 6056 §3.2).</summary>
    public ushort EphemeralPortMin { get; init; } = 49_152;

    /// <summary>Last ephemeral port.</summary>
    public ushort EphemeralPortMax { get; init; } = 65_535;
}

/// <summary>Names a UDP socket. A handle that outlived its socket is refused everywhere.</summary>
/// <param name="Index">Its place; good for an array of objects beside the sockets.</param>
/// <param name="Generation">Grows with each socket in the same place; never 0.</param>
public readonly record struct UdpHandle(uint Index, uint Generation);

/// <summary>How a UDP socket is to be made.</summary>
public readonly record struct UdpBindOptions
{
    /// <summary>Makes options with the usual settings.</summary>
    public UdpBindOptions()
    {
    }

    /// <summary>Our end: an own address, or 0.0.0.0 or :: for all; a group or broadcast address to receive only that. Port 0 takes a free one.</summary>
    public Endpoint Local { get; init; }

    /// <summary>Bound to ::, whether IPv4 is left out (IPV6_V6ONLY); otherwise the socket serves both families.</summary>
    public bool V6Only { get; init; }

    /// <summary>Whether others with the same wish may bind the same endpoint; the latest gets unicast datagrams (SO_REUSEADDR).</summary>
    public bool ReuseAddress { get; init; }

    /// <summary>Whether it may send to broadcast addresses (SO_BROADCAST).</summary>
    public bool Broadcast { get; init; }

    /// <summary>Receive buffer in bytes of memory, or 0 for the layer's default (SO_RCVBUF).</summary>
    public int ReceiveBufferSize { get; init; }

    /// <summary>Hop limit, or 0 for the default (IP_TTL; RFC 1122 §4.1.4).</summary>
    public byte HopLimit { get; init; }

    /// <summary>Hop limit of multicasts: 1 by default (IP_MULTICAST_TTL).</summary>
    public byte MulticastHopLimit { get; init; } = 1;

    /// <summary>DSCP and ECN of what is sent (IP_TOS).</summary>
    public byte TrafficClass { get; init; }

    /// <summary>Whether what is larger than the path's MTU is refused rather than fragmented (IP_MTU_DISCOVER).</summary>
    public bool DontFragment { get; init; }
}

/// <summary>What happened at a socket.</summary>
[Flags]
public enum UdpEvents : byte
{
    /// <summary>Nothing.</summary>
    None = 0,

    /// <summary>Datagrams can be received.</summary>
    Readable = 1,

    /// <summary>There is room again after a send that had none.</summary>
    Writable = 2,

    /// <summary>An error waits in <see cref="UdpLayer.TryTakeError"/>.</summary>
    Error = 4,
}

/// <summary>Something happened at a socket.</summary>
/// <param name="Socket">The socket.</param>
/// <param name="Events">What; several are merged.</param>
public readonly record struct UdpEvent(UdpHandle Socket, UdpEvents Events);

/// <summary>What happened to UDP datagrams. Each received or sent one ends in exactly one counter.</summary>
public struct UdpCounters
{
    /// <summary>Queued for a socket.</summary>
    public long Received;

    /// <summary>Dropped: shorter than the header, or than its length field says.</summary>
    public long DroppedMalformed;

    /// <summary>Dropped: a wrong checksum.</summary>
    public long DroppedChecksum;

    /// <summary>Dropped: no checksum over IPv6 (RFC 8200 §8.1).</summary>
    public long DroppedNoChecksum;

    /// <summary>Dropped: nobody listens on the port; an ICMP error may have been sent.</summary>
    public long DroppedNoSocket;

    /// <summary>Dropped: the socket's receive buffer is full.</summary>
    public long DroppedBufferFull;

    /// <summary>Dropped: no free block.</summary>
    public long DroppedNoMemory;

    /// <summary>Given to the IP layer.</summary>
    public long Sent;

    /// <summary>Refused: no room in the interface's output; the socket will hear when there is.</summary>
    public long SendRefusedFull;

    /// <summary>Refused: no free frame.</summary>
    public long SendRefusedNoMemory;

    /// <summary>Refused: no route, no address, too long, or not permitted.</summary>
    public long SendRefused;

    /// <summary>ICMP errors that were told to a socket.</summary>
    public long ErrorsDelivered;

    /// <summary>ICMP errors about datagrams that no socket of ours can have sent.</summary>
    public long ErrorsForeign;
}
