// A connection's state for people and tools, like Linux's tcp_info: a snapshot, taken on the core that owns the connection.
using System.Net.Sockets;
using Peregrine.Core.Time;
using Peregrine.Wire;

namespace Peregrine.Core.Tcp;

/// <summary>A snapshot of a connection.</summary>
public readonly record struct TcpInfo
{
    /// <summary>Own address and port.</summary>
    public Endpoint Local { get; init; }

    /// <summary>The peer's address and port.</summary>
    public Endpoint Remote { get; init; }

    /// <summary>State.</summary>
    public TcpState State { get; init; }

    /// <summary>Whether timestamps are in use (RFC 7323).</summary>
    public bool Timestamps { get; init; }

    /// <summary>Whether selective acknowledgments are in use (RFC 2018).</summary>
    public bool Sack { get; init; }

    /// <summary>Whether explicit congestion notification is in use (RFC 3168).</summary>
    public bool Ecn { get; init; }

    /// <summary>Whether data of the SYN were taken (RFC 7413), the peer's or ours.</summary>
    public bool FastOpened { get; init; }

    /// <summary>Whether it is in use in its accurate form (RFC 9768).</summary>
    public bool AccurateEcn { get; init; }

    /// <summary>Whether our segments are known to be reordered on their way (RFC 8985 §6.2).</summary>
    public bool ReorderingSeen { get; init; }

    /// <summary>The peer's window scale, 0 to 14.</summary>
    public int SendScale { get; init; }

    /// <summary>Our window scale, 0 to 14.</summary>
    public int ReceiveScale { get; init; }

    /// <summary>Retransmission time-out now, with back-off.</summary>
    public Duration Rto { get; init; }

    /// <summary>Smoothed round-trip time; zero before the first sample.</summary>
    public Duration SmoothedRtt { get; init; }

    /// <summary>Variation of the round-trip time.</summary>
    public Duration RttVariation { get; init; }

    /// <summary>Least round-trip time seen; zero before the first sample.</summary>
    public Duration MinimumRtt { get; init; }

    /// <summary>Largest segment that we send, payload bytes.</summary>
    public int SendMss { get; init; }

    /// <summary>Largest segment that the peer has sent, payload bytes.</summary>
    public int ReceiveMss { get; init; }

    /// <summary>Congestion window, bytes.</summary>
    public uint CongestionWindow { get; init; }

    /// <summary>Slow-start threshold, bytes; uint.MaxValue before the first loss.</summary>
    public uint SlowStartThreshold { get; init; }

    /// <summary>Bytes in flight.</summary>
    public uint FlightSize { get; init; }

    /// <summary>The peer's window, bytes.</summary>
    public uint SendWindow { get; init; }

    /// <summary>Our window, bytes.</summary>
    public uint ReceiveWindow { get; init; }

    /// <summary>Send buffer's size now, bytes.</summary>
    public uint SendBuffer { get; init; }

    /// <summary>Receive buffer's size now, bytes.</summary>
    public uint ReceiveBuffer { get; init; }

    /// <summary>Bytes queued and not sent.</summary>
    public uint UnsentBytes { get; init; }

    /// <summary>Bytes received and not read.</summary>
    public uint UnreadBytes { get; init; }

    /// <summary>Bytes received out of order and held.</summary>
    public uint OutOfOrderBytes { get; init; }

    /// <summary>Payload bytes received in order.</summary>
    public ulong BytesReceived { get; init; }

    /// <summary>Payload bytes acknowledged by the peer.</summary>
    public ulong BytesAcknowledged { get; init; }

    /// <summary>Segments received, a passive open's SYN among them.</summary>
    public uint SegmentsReceived { get; init; }

    /// <summary>Segments sent.</summary>
    public uint SegmentsSent { get; init; }

    /// <summary>Segments retransmitted, SYNs and SYN-ACKs among them.</summary>
    public uint SegmentsRetransmitted { get; init; }

    /// <summary>What ICMP reported of the path while the connection lives, or Success (RFC 9293 §3.9.1.8).</summary>
    public SocketError SoftError { get; init; }

    /// <summary>Consecutive time-outs without progress.</summary>
    public int Backoff { get; init; }

    /// <summary>The rate at which segments leave, bytes a second; 0 when the connection is not paced.</summary>
    public ulong PacingBytesPerSecond { get; init; }

    /// <summary>What the sender thinks of the data in flight.</summary>
    public TcpSenderState SenderState { get; init; }

    /// <summary>Segments in flight.</summary>
    public uint SegmentsInFlight { get; init; }

    /// <summary>How often the retransmission time-out is doubled now: until a round trip is measured, also when ACKs have come.</summary>
    public int TimeoutDoublings { get; init; }

    /// <summary>Bytes in flight that the peer has acknowledged selectively, or without SACK by as many duplicate ACKs (<see cref="TcpSettings.CountedDuplicates"/>).</summary>
    public uint SackedBytes { get; init; }

    /// <summary>Bytes in flight that are thought lost.</summary>
    public uint LostBytes { get; init; }

    /// <summary>Bytes of retransmissions in flight.</summary>
    public uint RetransmittedBytes { get; init; }

    /// <summary><see cref="LostBytes"/> as segments, each as it goes again: a part of one counts whole.</summary>
    public uint SegmentsLost { get; init; }

    /// <summary><see cref="RetransmittedBytes"/> as segments, in the same way.</summary>
    public uint SegmentsInFlightAgain { get; init; }

    /// <summary>Unanswered probes of keepalive or of a closed window.</summary>
    public int Probes { get; init; }

    /// <summary>Round-trip time as the receiver sees it; zero before the first sample.</summary>
    public Duration ReceiveRtt { get; init; }

    /// <summary>How long an ACK may wait for company.</summary>
    public Duration DelayedAck { get; init; }

    /// <summary>The limit of the rate at which segments leave, bytes a second; 0 for none.</summary>
    public ulong PacingBytesPerSecondMax { get; init; }

    /// <summary>MSS that we announce, payload bytes without options.</summary>
    public int AnnouncedMss { get; init; }

    /// <summary>Path MTU, bytes.</summary>
    public int PathMtu { get; init; }

    /// <summary>Counters of the accurate form of ECN; null where it is not in use.</summary>
    public TcpAccurateEcnInfo? AccurateEcnCounters { get; init; }

    /// <summary>What else tools ask for; null unless <see cref="StackOptions.ConnectionDetails"/> is on.</summary>
    public TcpInfoDetails? Details { get; init; }

    /// <summary>The congestion control's name.</summary>
    public string CongestionControl { get; init; }
}

/// <summary>Where a sender stands by RFC 5681 and its kin; the numbers are those of Linux's tcpi_ca_state.</summary>
public enum TcpSenderState
{
    /// <summary>Nothing looks lost.</summary>
    Open,

    /// <summary>Duplicate ACKs or SACKs, not enough to call anything lost.</summary>
    Disorder,

    /// <summary>The window was reduced for a congestion mark.</summary>
    WindowReduced,

    /// <summary>Fast recovery.</summary>
    Recovery,

    /// <summary>After a retransmission time-out.</summary>
    Loss,
}
