// TCP's counters. The first group is terminal: every segment that reached TCP ends in exactly one of them. The others say what happened
// besides. Plain longs of one core, summed by whoever reads them.
namespace Peregrine.Core.Tcp;

/// <summary>What happened in a stack's TCP since its start.</summary>
public struct TcpCounters
{
    /// <summary>Terminal: segments taken by a connection's state machine and found good.</summary>
    public long SegmentsAccepted;

    /// <summary>Terminal: segments that became a part of the one before them in their burst, and share its fate.</summary>
    public long SegmentsMerged;

    /// <summary>Terminal: header cut off or its data offset impossible, or options malformed.</summary>
    public long DroppedMalformed;

    /// <summary>Terminal: checksum wrong (RFC 9293 MUST-3).</summary>
    public long DroppedChecksum;

    /// <summary>Terminal: sent to or from a broadcast or multicast address (RFC 9293 MUST-57, MUST-63).</summary>
    public long DroppedNotUnicast;

    /// <summary>Terminal: its signature was missing, unknown or wrong (RFC 2385, RFC 5925 §7.3); <see cref="TcpExtCounters"/> say which.</summary>
    public long DroppedAuthentication;

    /// <summary>Terminal: nobody listens or is connected there; answered by RST if the limiter allowed it.</summary>
    public long DroppedNoConnection;

    /// <summary>Terminal: PAWS found the timestamp old (RFC 7323 §5).</summary>
    public long DroppedPaws;

    /// <summary>Terminal: timestamps were negotiated and are missing (RFC 7323 §3.2).</summary>
    public long DroppedNoTimestamp;

    /// <summary>Terminal: outside the receive window.</summary>
    public long DroppedOutOfWindow;

    /// <summary>Terminal: an RST that was not exactly in place (RFC 5961 §3.2).</summary>
    public long DroppedResetNotExact;

    /// <summary>Terminal: a SYN in a synchronised state (RFC 5961 §4.2).</summary>
    public long DroppedSynInConnection;

    /// <summary>Terminal: the ACK bit was missing where it must be set.</summary>
    public long DroppedNoAckBit;

    /// <summary>Terminal: it acknowledged what was never sent, or too long ago (RFC 5961 §5.2).</summary>
    public long DroppedUnacceptableAck;

    /// <summary>Terminal: a valid reset that ended a connection or an attempt.</summary>
    public long ResetsReceived;

    /// <summary>Terminal: a SYN refused because the SYN backlog was full.</summary>
    public long DroppedSynBacklogFull;

    /// <summary>Terminal: the completing ACK of a handshake while the accept queue was full; the peer will be answered again.</summary>
    public long DroppedAcceptQueueFull;

    /// <summary>Terminal: a new connection refused because the limit of connections was reached.</summary>
    public long DroppedConnectionLimit;

    /// <summary>Terminal: a SYN taken into the SYN backlog or answered by a cookie, and its repetitions.</summary>
    public long SynsAccepted;

    /// <summary>Terminal: segments to TIME-WAIT records that were answered or ignored.</summary>
    public long TimeWaitSegments;

    /// <summary>Terminal: data for a receiver that has gone; answered by RST (RFC 9293 SHLD-3).</summary>
    public long DroppedReceiverGone;

    /// <summary>Segments sent, retransmissions included.</summary>
    public long SegmentsSent;

    /// <summary>Segments retransmitted, SYNs and FINs included.</summary>
    public long SegmentsRetransmitted;

    /// <summary>Resets sent.</summary>
    public long ResetsSent;

    /// <summary>Pure acknowledgments sent.</summary>
    public long AcksSent;

    /// <summary>Challenge ACKs sent (RFC 5961).</summary>
    public long ChallengeAcksSent;

    /// <summary>Replies withheld by a limiter.</summary>
    public long RepliesLimited;

    /// <summary>Retransmission time-outs.</summary>
    public long RetransmissionTimeouts;

    /// <summary>Zero-window probes sent.</summary>
    public long WindowProbesSent;

    /// <summary>Keepalive probes sent.</summary>
    public long KeepaliveProbesSent;

    /// <summary>Delayed ACKs that their timer sent.</summary>
    public long DelayedAcks;

    /// <summary>Active opens.</summary>
    public long ActiveOpens;

    /// <summary>Passive opens completed.</summary>
    public long PassiveOpens;

    /// <summary>Opens that failed.</summary>
    public long FailedOpens;

    /// <summary>Established connections that were reset by the peer.</summary>
    public long ConnectionsReset;

    /// <summary>Connections ended by a time-out.</summary>
    public long ConnectionsTimedOut;

    /// <summary>Connections ended by our abort.</summary>
    public long ConnectionsAborted;

    /// <summary>SYN cookies sent.</summary>
    public long SynCookiesSent;

    /// <summary>SYN cookies that came back good.</summary>
    public long SynCookiesAccepted;

    /// <summary>SYN cookies that came back bad.</summary>
    public long SynCookiesRejected;

    /// <summary>Connections that entered TIME-WAIT.</summary>
    public long TimeWaitEntered;

    /// <summary>TIME-WAIT records that gave way to newer ones because the table was full.</summary>
    public long TimeWaitEvicted;

    /// <summary>TIME-WAIT records that gave way to a new connection, by a SYN that came (RFC 6191) or one of ours (<see cref="StackOptions.TimeWaitReuseMs"/>).</summary>
    public long TimeWaitReused;

    /// <summary>Payload bytes that arrived out of order and were kept.</summary>
    public long OutOfOrderBytes;

    /// <summary>Payload bytes that arrived again.</summary>
    public long DuplicateBytes;

    /// <summary>Payload bytes dropped unacknowledged because no block was free or a bound was reached.</summary>
    public long DroppedBytesNoMemory;

    /// <summary>Out-of-order bytes given up under memory pressure (reneging, RFC 2018 §8).</summary>
    public long PrunedBytes;

    /// <summary>Segments that waited because no frame was free.</summary>
    public long OutputNoFrame;

    /// <summary>Payload bytes received in order.</summary>
    public long BytesReceived;

    /// <summary>Payload bytes sent for the first time.</summary>
    public long BytesSent;

    /// <summary>ICMP errors that named no connection of ours or a sequence number not in flight (RFC 5927).</summary>
    public long IcmpErrorsIgnored;

    /// <summary>ICMP errors that were taken.</summary>
    public long IcmpErrorsAccepted;

    /// <summary>D-SACKs sent (RFC 2883).</summary>
    public long DsacksSent;
}
