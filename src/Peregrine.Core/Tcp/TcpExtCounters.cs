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

    /// <summary>Reductions in fast recovery undone by timestamps (RFC 4015).</summary>
    public long TCPFullUndo;

    /// <summary>Reductions undone by D-SACK (RFC 3708).</summary>
    public long TCPDSACKUndo;

    /// <summary>Time-outs undone, for whatever reason.</summary>
    public long TCPLossUndo;

    /// <summary>Slow starts that HyStart++ ended (RFC 9406).</summary>
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
}
