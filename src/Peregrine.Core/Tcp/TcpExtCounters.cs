// What loss recovery and congestion control did, named as Linux's "nstat" names it (TcpExt…), so that who knows those finds them. A
// counter that Linux has not is named in its manner. Plain longs of one core, summed by whoever reads them.
namespace Peregrine.Core.Tcp;

/// <summary>Counters of TCP's mechanisms under Linux's names.</summary>
public struct TcpExtCounters
{
    /// <summary>Retransmission time-outs with something in flight.</summary>
    public long TCPTimeouts;

    /// <summary>Segments retransmitted in fast recovery.</summary>
    public long TCPFastRetrans;

    /// <summary>Segments retransmitted after a time-out.</summary>
    public long TCPSlowStartRetrans;

    /// <summary>Fast recoveries of connections with SACK.</summary>
    public long TCPSackRecovery;

    /// <summary>Fast recoveries of connections without SACK.</summary>
    public long TCPRenoRecovery;

    /// <summary>Retransmissions that were lost again (RFC 8985 §6.2).</summary>
    public long TCPLostRetransmit;

    /// <summary>Bytes marked lost, by ACKs or timers; a retransmission that is lost counts again.</summary>
    public long TCPLostBytes;

    /// <summary>ACKs that showed data out of order (RFC 8985 §6.2 step 3).</summary>
    public long TCPSACKReorder;

    /// <summary>Fast recoveries that RACK's reordering timer began (RFC 8985 §6.2 step 5).</summary>
    public long TCPRACKTimerRecovery;

    /// <summary>Tail loss probes sent (RFC 8985 §7.3).</summary>
    public long TCPLossProbes;

    /// <summary>Losses that a probe itself repaired (RFC 8985 §7.4.2).</summary>
    public long TCPLossProbeRecovery;

    /// <summary>D-SACK blocks received (RFC 2883).</summary>
    public long TCPDSACKRecv;

    /// <summary>Of these, blocks above the acknowledgment.</summary>
    public long TCPDSACKOfoRecv;

    /// <summary>Reductions in fast recovery undone by timestamps (RFC 4015), by the ACK that ended it.</summary>
    public long TCPFullUndo;

    /// <summary>The same by an ACK within it.</summary>
    public long TCPPartialUndo;

    /// <summary>Reductions undone by D-SACK (RFC 3708).</summary>
    public long TCPDSACKUndo;

    /// <summary>Time-outs undone, for whatever reason.</summary>
    public long TCPLossUndo;

    /// <summary>Slow starts that HyStart++ ended (RFC 9406), or Linux's HyStart by delay or train.</summary>
    public long TCPHystartDelayDetect;

    /// <summary>The sum of their windows then, in segments.</summary>
    public long TCPHystartDelayCwnd;

    /// <summary>Data segments received with a congestion mark (RFC 3168), as IpExtInCEPkts.</summary>
    public long InCEPkts;

    /// <summary>Reductions in answer to echoed marks (RFC 3168 §6.1.2).</summary>
    public long TCPEcnReductions;

    /// <summary>SYNs sent with data (RFC 7413 §4.2.2).</summary>
    public long TCPFastOpenActive;

    /// <summary>Of those, the ones whose data were not acknowledged with the SYN.</summary>
    public long TCPFastOpenActiveFail;

    /// <summary>Connections that were opened by a SYN with a good cookie.</summary>
    public long TCPFastOpenPassive;

    /// <summary>SYNs whose cookie was not good.</summary>
    public long TCPFastOpenPassiveFail;

    /// <summary>SYNs that a full queue of such connections kept from being more than ordinary.</summary>
    public long TCPFastOpenListenOverflow;

    /// <summary>SYNs that asked for a cookie.</summary>
    public long TCPFastOpenCookieReqd;

    /// <summary>Connections that asked for BBR and got CUBIC, for all of <see cref="StackOptions.BbrConnectionCountMax"/> were in use.</summary>
    public long TCPBbrNoModel;

    /// <summary>Probes of a path's MTU that arrived (RFC 4821 §7.6.1).</summary>
    public long TCPMTUPSuccess;

    /// <summary>Probes that were lost alone, and so too large (RFC 4821 §7.6.2).</summary>
    public long TCPMTUPFail;

    /// <summary>Segments without the MD5 signature that their peer's key asks for (RFC 2385).</summary>
    public long TCPMD5NotFound;

    /// <summary>Segments with an MD5 signature of peers that have no such key.</summary>
    public long TCPMD5Unexpected;

    /// <summary>Segments whose MD5 signature was wrong.</summary>
    public long TCPMD5Failure;

    /// <summary>Segments without the authentication option that their peer's keys ask for (RFC 5925 §7.3).</summary>
    public long TCPAORequired;

    /// <summary>Segments whose authentication option was wrong in code or length.</summary>
    public long TCPAOBad;

    /// <summary>Segments whose KeyID names no key of the peer, or whose connection is not known well enough to have one.</summary>
    public long TCPAOKeyNotFound;

    /// <summary>Segments whose authentication option was right.</summary>
    public long TCPAOGood;

    /// <summary>Time-outs that F-RTO found spurious (RFC 5682).</summary>
    public long TCPSpuriousRTOs;

    /// <summary>Time-outs in fast recovery of connections with SACK.</summary>
    public long TCPSackRecoveryFail;

    /// <summary>Time-outs in fast recovery of connections without SACK.</summary>
    public long TCPRenoRecoveryFail;

    /// <summary>Time-outs while what was lost to an earlier one is repaired.</summary>
    public long TCPLossFailures;

    /// <summary>Time-outs after duplicate ACKs or SACKs that began no recovery, with SACK.</summary>
    public long TCPSackFailures;

    /// <summary>The same without SACK.</summary>
    public long TCPRenoFailures;

    /// <summary>Time-outs that showed that the peer has taken data back which it had reported by SACK (RFC 2018 §8).</summary>
    public long TCPSACKReneging;

    /// <summary>SACK blocks that mean nothing: empty, turned round, or beyond what was sent.</summary>
    public long TCPSACKDiscard;

    /// <summary>Segments that D-SACK blocks reported.</summary>
    public long TCPDSACKRecvSegs;

    /// <summary>D-SACK blocks sent for what had been acknowledged (RFC 2883 §4.1).</summary>
    public long TCPDSACKOldSent;

    /// <summary>D-SACK blocks sent for what lay beyond a gap (RFC 2883 §4.2).</summary>
    public long TCPDSACKOfoSent;

    /// <summary>Segments delivered to the peer that it reported as marked (RFC 3168, RFC 9768).</summary>
    public long TCPDeliveredCE;

    /// <summary>Segments that came beyond a gap and found room, with data that were there already too, or with a FIN alone.</summary>
    public long TCPOFOQueue;

    /// <summary>Of those, segments with data that were there already.</summary>
    public long TCPOFOMerge;

    /// <summary>ACKs of segments beyond a gap that went as one with others (<see cref="TcpSettings.SackCompressionCount"/>).</summary>
    public long TCPAckCompressed;

    /// <summary>Segments that came out of order and found no room.</summary>
    public long TCPOFODrop;

    /// <summary>Segments in order of which something found no room.</summary>
    public long TCPRcvQDrop;

    /// <summary>Segments whose data met a closed window.</summary>
    public long TCPZeroWindowDrop;

    /// <summary>Times that memory pressure made a connection give up what it held out of order (RFC 2018 §8).</summary>
    public long OfoPruned;

    /// <summary>Windows told that closed one that was open.</summary>
    public long TCPToZeroWindowAdv;

    /// <summary>Windows told that opened one that was closed.</summary>
    public long TCPFromZeroWindowAdv;

    /// <summary>Segments whose data had all come before: an ACK of ours was lost or late.</summary>
    public long DelayedACKLost;

    /// <summary>Segments of data sent for the first time.</summary>
    public long TCPOrigDataSent;

    /// <summary>SYNs and SYN-ACKs sent again.</summary>
    public long TCPSynRetrans;

    /// <summary>Resets of connections in SYN-RECEIVED.</summary>
    public long EmbryonicRsts;

    /// <summary>SYN-ACKs refused because they echo a timestamp that our SYN did not have.</summary>
    public long PAWSActive;

    /// <summary>Segments to TIME-WAIT with an old timestamp (RFC 7323 §5).</summary>
    public long PAWSTimewait;

    /// <summary>Connections that the application ended with data unread (RFC 9293 SHLD-3).</summary>
    public long TCPAbortOnClose;

    /// <summary>Connections that the application ended by a reset.</summary>
    public long TCPAbortOnData;

    /// <summary>ACKs that end a handshake and were passed over because the listener waits for data.</summary>
    public long TCPDeferAcceptDrop;

    /// <summary>SYNs answered by a cookie for want of room (RFC 4987 §3.6).</summary>
    public long TCPReqQFullDoCookies;

    /// <summary>SYNs dropped for want of room, without a cookie.</summary>
    public long TCPReqQFullDrop;

    /// <summary>Of <see cref="TCPFastOpenPassive"/>, connections whose cookie was of the key before.</summary>
    public long TCPFastOpenPassiveAltKey;

    /// <summary>Servers that fast open is no longer tried with for a while, because SYNs with cookies got no answer (RFC 7413 §4.1.3.1).</summary>
    public long TCPFastOpenBlackhole;

    /// <summary>ACKs of segments outside the window that a limiter withheld.</summary>
    public long TCPACKSkippedSeq;

    /// <summary>ACKs of segments with old timestamps that a limiter withheld.</summary>
    public long TCPACKSkippedPAWS;

    /// <summary>Challenge ACKs that a limiter withheld (RFC 5961 §7).</summary>
    public long TCPACKSkippedChallenge;

    /// <summary>ACKs and SYN-ACKs in SYN-RECEIVED that a limiter withheld.</summary>
    public long TCPACKSkippedSynRecv;

    /// <summary>ACKs in TIME-WAIT that a limiter withheld.</summary>
    public long TCPACKSkippedTimeWait;
}
