// An ICMP error, of either family, as a transport sees it: what happened to which of its packets. RFC 5927: the transport believes it
// only if the quoted packet is one that it could have sent.
using Peregrine.Core.Time;
using Peregrine.Wire;

namespace Peregrine.Core.Ip;

/// <summary>What an ICMP error says, both families in one.</summary>
internal enum IcmpErrorKind : byte
{
    /// <summary>No route to the network.</summary>
    NetUnreachable,

    /// <summary>The host does not answer on its link.</summary>
    HostUnreachable,

    /// <summary>Nobody listens on the port.</summary>
    PortUnreachable,

    /// <summary>The host does not speak the protocol.</summary>
    ProtocolUnreachable,

    /// <summary>A filter forbids it.</summary>
    AdminProhibited,

    /// <summary>Larger than a link on the path carries.</summary>
    PacketTooBig,

    /// <summary>The hop limit was used up.</summary>
    TimeExceeded,

    /// <summary>Fragments were missing.</summary>
    ReassemblyTimeExceeded,

    /// <summary>A header field that the other side could not process.</summary>
    ParameterProblem,

    /// <summary>The source route failed.</summary>
    SourceRouteFailed,

    /// <summary>The host is not known to the router.</summary>
    HostUnknown,

    /// <summary>A filter forbids the whole network.</summary>
    NetProhibited,
}

/// <summary>An ICMP error about a packet that we sent.</summary>
internal struct IcmpError
{
    /// <summary>What happened.</summary>
    public IcmpErrorKind Kind;

    /// <summary>Protocol of the quoted packet.</summary>
    public byte Protocol;

    /// <summary>Found by ourselves (a neighbour did not answer) rather than said by somebody: it needs no doubt.</summary>
    public bool IsLocal;

    /// <summary>Whether the quote went far enough to hold <see cref="Seq"/>.</summary>
    public bool HasSeq;

    /// <summary>Source of the quoted packet: ours. The port is 0 for protocols without.</summary>
    public Endpoint Local;

    /// <summary>Destination of the quoted packet.</summary>
    public Endpoint Remote;

    /// <summary>The peer's UDP port where the quoted segment went in a datagram; else 0.</summary>
    public ushort EncapsulationPort;

    /// <summary>Sequence number of a quoted TCP segment.</summary>
    public SeqNumber Seq;

    /// <summary>With <see cref="IcmpErrorKind.PacketTooBig"/>: the MTU that was reported, or 0 where an old router did not say.</summary>
    public int Mtu;

    /// <summary>Bytes of the quoted IP packet, as its header says.</summary>
    public int QuotedLength;
}

/// <summary>A transport that wants to hear of errors about its packets.</summary>
internal interface ITransportErrors
{
    /// <summary>An error whose quoted packet has our address as its source. It may still be forged.</summary>
    void OnIcmpError(in IcmpError error, Instant now);
}
