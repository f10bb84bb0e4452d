// The parts of a snapshot of a connection that not every connection has: what is kept for tools alone, and the counters of Accurate ECN.
using Peregrine.Core.Time;

namespace Peregrine.Core.Tcp;

/// <summary>What is kept of a connection for tools alone.</summary>
public readonly record struct TcpInfoDetails
{
    /// <summary>Time since data came last, or since the connection began.</summary>
    public Duration SinceDataReceived { get; init; }

    /// <summary>Time since data went last.</summary>
    public Duration SinceDataSent { get; init; }

    /// <summary>Time since an acknowledgment of something came last.</summary>
    public Duration SinceAckReceived { get; init; }

    /// <summary>Time with data queued or in flight.</summary>
    public Duration BusyTime { get; init; }

    /// <summary>Of that, time in which the peer's window stopped the sender.</summary>
    public Duration ReceiveWindowLimited { get; init; }

    /// <summary>Of that, time in which the application waited for room and nothing was left to send.</summary>
    public Duration SendBufferLimited { get; init; }

    /// <summary>Sequence numbers that were acknowledged since the connection began: with those of a SYN, on the side that connects, and of a FIN (RFC 4898, HCThruOctetsAcked).</summary>
    public ulong NumbersAcknowledged { get; init; }

    /// <summary>Sequence numbers received after the SYN's: with that of a FIN.</summary>
    public ulong NumbersReceived { get; init; }

    /// <summary>Sequence numbers that were not sent yet: with that of a FIN.</summary>
    public uint NumbersUnsent { get; init; }

    /// <summary>Payload bytes sent, retransmissions included.</summary>
    public ulong BytesSent { get; init; }

    /// <summary>Payload bytes sent again.</summary>
    public ulong BytesRetransmitted { get; init; }

    /// <summary>Segments with data received.</summary>
    public uint DataSegmentsReceived { get; init; }

    /// <summary>Segments that came beyond a gap, with data that were there already too, or with a FIN alone (Linux's tcpi_rcv_ooopack).</summary>
    public uint OutOfOrderSegments { get; init; }

    /// <summary>Segments with data sent.</summary>
    public uint DataSegmentsSent { get; init; }

    /// <summary>Segments delivered to the peer, SYN included.</summary>
    public uint DeliveredSegments { get; init; }

    /// <summary>Of those, segments that were acknowledged with an echo of congestion marks.</summary>
    public uint MarkedSegmentsDelivered { get; init; }

    /// <summary>D-SACK blocks received.</summary>
    public uint DuplicatesReported { get; init; }

    /// <summary>The furthest that segments were seen to overtake each other, in segments, at least 3 (Linux's tcpi_reordering).</summary>
    public uint Reordering { get; init; }

    /// <summary>How often segments were seen to overtake each other.</summary>
    public uint ReorderingEvents { get; init; }

    /// <summary>The rate at which data were delivered lately, bytes a second; 0 before the first sample.</summary>
    public ulong DeliveryBytesPerSecond { get; init; }

    /// <summary>Whether that rate was limited by what the application had to send.</summary>
    public bool IsDeliveryAppLimited { get; init; }

    /// <summary>Retransmission time-outs, those of our SYN included.</summary>
    public uint Timeouts { get; init; }

    /// <summary>Episodes that began with a time-out.</summary>
    public uint TimeoutEpisodes { get; init; }

    /// <summary>Time spent in them.</summary>
    public Duration TimeoutTime { get; init; }

    /// <summary>Whether a segment came that was capable of congestion marks.</summary>
    public bool EcnSeen { get; init; }

    /// <summary>What became of the fast open that our SYN tried.</summary>
    public TcpFastOpenFailure FastOpenFailure { get; init; }
}

/// <summary>Why a fast open (RFC 7413) of ours sent or delivered no data with the SYN; the numbers are those of Linux's tcpi_fastopen_client_fail.</summary>
public enum TcpFastOpenFailure
{
    /// <summary>It did not fail, or was not tried.</summary>
    None,

    /// <summary>There was no cookie.</summary>
    NoCookie,

    /// <summary>The SYN-ACK did not acknowledge the SYN's data.</summary>
    DataNotAcknowledged,

    /// <summary>The SYN was repeated, without data.</summary>
    SynRepeated,
}

/// <summary>Counters of Accurate ECN (RFC 9768), modulo 2^32, and what is known of the path; all begin at 0.</summary>
public readonly record struct TcpAccurateEcnInfo
{
    /// <summary>Segments received with a congestion mark.</summary>
    public uint MarkedSegmentsReceived { get; init; }

    /// <summary>Payload bytes received in them.</summary>
    public uint MarkedBytesReceived { get; init; }

    /// <summary>Payload bytes received in segments with ECT(0).</summary>
    public uint Ect0BytesReceived { get; init; }

    /// <summary>Payload bytes received in segments with ECT(1).</summary>
    public uint Ect1BytesReceived { get; init; }

    /// <summary>Segments of ours that the peer tells to have arrived marked.</summary>
    public uint MarkedSegmentsDelivered { get; init; }

    /// <summary>Payload bytes that options of the peer tell to have arrived marked.</summary>
    public uint MarkedBytesDelivered { get; init; }

    /// <summary>The same of bytes that arrived with ECT(0).</summary>
    public uint Ect0BytesDelivered { get; init; }

    /// <summary>The same of bytes that arrived with ECT(1).</summary>
    public uint Ect1BytesDelivered { get; init; }

    /// <summary>Whether an option has arrived.</summary>
    public bool OptionSeen { get; init; }

    /// <summary>What of it does not work on this path.</summary>
    public TcpAccurateEcnFailures Failures { get; init; }
}

/// <summary>What does not work of Accurate ECN; the numbers are those of Linux's tcpi_accecn_fail_mode.</summary>
[Flags]
public enum TcpAccurateEcnFailures
{
    /// <summary>Nothing.</summary>
    None = 0,

    /// <summary>The path changes the IP header's field as no router may: nothing that we send is ECN-capable.</summary>
    NotCapable = 1,

    /// <summary>The header's three bits arrive cleared: feedback is not read.</summary>
    FeedbackIgnored = 2,

    /// <summary>Our options do not arrive: none is sent.</summary>
    OptionNotSent = 4,

    /// <summary>The peer's options arrive cleared: they are not read.</summary>
    OptionIgnored = 8,
}
