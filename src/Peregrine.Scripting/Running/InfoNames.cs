// The fields of tcp_info by name, for Python, and the constants beside them. A field that the stack does not keep is null.
using Peregrine.Core.Tcp;
using Peregrine.Core.Time;
using Peregrine.Posix;
using Peregrine.Wire;

namespace Peregrine.Scripting.Running;

internal static class InfoNames
{
    // Linux's numbering of states; scripts only compare names.
    private static readonly Dictionary<TcpState, long> s_states = new()
    {
        [TcpState.Established] = 1, [TcpState.SynSent] = 2, [TcpState.SynReceived] = 3, [TcpState.FinWait1] = 4, [TcpState.FinWait2] = 5, [TcpState.TimeWait] = 6,
        [TcpState.Closed] = 7, [TcpState.CloseWait] = 8, [TcpState.LastAck] = 9, [TcpState.Listen] = 10, [TcpState.Closing] = 11,
    };

    internal static long? LookUp(ScriptWorld world, PosixSocket? socket, string name)
    {
        if (Constant(name) is { } constant) return constant;
        if (socket is null) return null;
        if (socket.Phase == PosixPhase.Listening) return name == "tcpi_state" ? s_states[TcpState.Listen] : null;
        if (!world.Stack.Tcp.TryGetInfo(socket.Connection, world.Now, out var info)) return name == "tcpi_state" ? s_states[TcpState.Closed] : null;
        var mss = Math.Max(1, info.SendMss);
        if ((world.Setup.Manners.IsFreeBsd ? OfFreeBsd(info, name) : OfLinux(info, name)) is { } value) return value;
        return name switch
        {
            // Linux's socket is closed as soon as the wait begins, which is another's.
            "tcpi_state" => s_states[info.State == TcpState.TimeWait && !world.Setup.Manners.IsFreeBsd ? TcpState.Closed : info.State],
            "tcpi_snd_cwnd" => (info.CongestionWindow + mss - 1) / mss,
            "tcpi_snd_ssthresh" => info.SlowStartThreshold == uint.MaxValue ? 0x7FFF_FFFF : info.SlowStartThreshold / mss,
            "tcpi_rtt" => Microseconds(info.SmoothedRtt),
            "tcpi_rttvar" => Microseconds(info.RttVariation),
            "tcpi_min_rtt" => Microseconds(info.MinimumRtt),
            "tcpi_rto" => Microseconds(info.Rto),
            "tcpi_backoff" => info.TimeoutDoublings,
            "tcpi_snd_mss" => info.SendMss,
            "tcpi_rcv_mss" => info.ReceiveMss,
            "tcpi_snd_wscale" => info.SendScale,
            "tcpi_rcv_wscale" => info.ReceiveScale,
            "tcpi_total_retrans" => info.SegmentsRetransmitted,
            "tcpi_segs_in" => info.SegmentsReceived,
            "tcpi_segs_out" => info.SegmentsSent,
            // Linux counts SYN and FIN.
            "tcpi_bytes_acked" => (long)(info.Details is { } d && !world.Setup.Manners.IsFreeBsd ? d.NumbersAcknowledged : info.BytesAcknowledged),
            "tcpi_bytes_received" => (long)(info.Details is { } d && !world.Setup.Manners.IsFreeBsd ? d.NumbersReceived : info.BytesReceived),
            "tcpi_notsent_bytes" => info.Details is { } d && !world.Setup.Manners.IsFreeBsd ? d.NumbersUnsent : info.UnsentBytes,
            "tcpi_unacked" => info.SegmentsInFlight,
            "tcpi_options" => (info.Timestamps ? 1 : 0) | (info.Sack ? 2 : 0) | (info.SendScale > 0 || info.ReceiveScale > 0 ? 4 : 0) | (info.Ecn ? 8 : 0) | (info is { Ecn: true, Details.EcnSeen: true } ? 16 : 0)
                | (info.FastOpened ? 32 : 0),
            "tcpi_ca_state" => (long)info.SenderState,
            "tcpi_sacked" => (info.SackedBytes + mss - 1) / mss,
            "tcpi_lost" => info.SegmentsLost,
            "tcpi_retrans" => info.SegmentsInFlightAgain,
            "tcpi_retransmits" => info.Probes > 0 ? (byte)0 : info.Backoff,
            "tcpi_probes" => info.Probes,
            "tcpi_ato" => info.Details is { DataSegmentsReceived: 0 } ? 0 : Microseconds(info.DelayedAck),
            // Linux has these three and fills none: FACK is gone, the last ACK's time was never kept, and here no flow label is drawn anew.
            "tcpi_fackets" or "tcpi_last_ack_sent" or "tcpi_rehash" => 0,
            "tcpi_rcv_rtt" => Microseconds(info.ReceiveRtt),
            "tcpi_advmss" => info.AnnouncedMss - (info.Timestamps && !world.Setup.Manners.IsFreeBsd ? 12 : 0),
            "tcpi_pmtu" => info.PathMtu,
            "tcpi_rcv_space" or "tcpi_rcv_ssthresh" => info.ReceiveBuffer,
            "tcpi_snd_wnd" => info.SendWindow,
            "tcpi_rcv_wnd" => info.ReceiveWindow,
            "tcpi_pacing_rate" => info.PacingBytesPerSecond == 0 ? -1 : (long)info.PacingBytesPerSecond,
            "tcpi_max_pacing_rate" => info.PacingBytesPerSecondMax == 0 ? -1 : (long)info.PacingBytesPerSecondMax,
            "tcpi_reord_seen" => info.Details?.ReorderingEvents ?? (info.ReorderingSeen ? 1u : 0),
            _ => (info.Details is { } details ? LookUp(details, name) : null) ?? LookUp(info.AccurateEcnCounters.GetValueOrDefault(), name),
        };
    }

    private static long? OfLinux(in TcpInfo info, string name) => info.State == TcpState.SynSent ? OfAttempt(info, name) : name switch
    {
        // Whether anything is paced by it or not: the window in a round trip, twice in slow start's first half and one and a fifth times after it.
        "tcpi_pacing_rate" when info.PacingBytesPerSecond == 0 => PacingRate(info),
        _ => null,
    };

    private static long PacingRate(in TcpInfo info)
    {
        const int slowStartRatio = 200, avoidanceRatio = 120;
        var window = Math.Max(info.CongestionWindow / Math.Max(1, info.SendMss), info.SegmentsInFlight);
        var ratio = info.CongestionWindow < info.SlowStartThreshold / 2 ? slowStartRatio : avoidanceRatio;
        return info.SendMss * 80_000L * ratio * window / Math.Max(1, Microseconds(info.SmoothedRtt) * 8);
    }

    // While the SYN is out, it is a segment of an initial window like any other, nothing is agreed yet, and its time-out is a loss.
    private static long? OfAttempt(in TcpInfo info, string name)
    {
        const int initialWindow = 10, reducedWindow = 7;
        var isLost = info.TimeoutDoublings > 0;
        return name switch
        {
            "tcpi_snd_cwnd" => isLost ? 1 : initialWindow,
            "tcpi_snd_ssthresh" when isLost => reducedWindow,
            "tcpi_ca_state" when isLost => (long)TcpSenderState.Loss,
            "tcpi_unacked" => 1,
            "tcpi_lost" or "tcpi_retrans" => isLost ? 1 : 0,
            "tcpi_options" or "tcpi_rcv_wscale" => 0,
            "tcpi_rto" => Microseconds(info.Rto) << info.TimeoutDoublings,
            _ => null,
        };
    }

    // FreeBSD's tcp_info counts windows in bytes, and calls some things otherwise.
    private static long? OfFreeBsd(in TcpInfo info, string name) => name switch
    {
        "tcpi_snd_cwnd" => info.CongestionWindow,
        "tcpi_snd_ssthresh" => info.SlowStartThreshold,
        "tcpi_rcv_mss" => info.SendMss + (info.Timestamps ? TcpOptions.TimestampsLength : 0),
        "tcpi_snd_mss" => info.SendMss + (info.Timestamps ? TcpOptions.TimestampsLength : 0),
        "tcpi_rcv_space" => info.ReceiveWindow,
        "tcpi_snd_rexmitpack" => info.SegmentsRetransmitted,
        "tcpi_snd_bwnd" => 0,
        "tcpi_toe_tid" => 0,
        _ => null,
    };

    private static long? LookUp(in TcpInfoDetails details, string name)
    {
        return name switch
        {
            "tcpi_last_data_recv" => Microseconds(details.SinceDataReceived) / 1_000,
            "tcpi_last_data_sent" => Microseconds(details.SinceDataSent) / 1_000,
            "tcpi_last_ack_recv" => Microseconds(details.SinceAckReceived) / 1_000,
            "tcpi_busy_time" => Microseconds(details.BusyTime),
            "tcpi_rwnd_limited" => Microseconds(details.ReceiveWindowLimited),
            "tcpi_sndbuf_limited" => Microseconds(details.SendBufferLimited),
            "tcpi_bytes_sent" => (long)details.BytesSent,
            "tcpi_bytes_retrans" => (long)details.BytesRetransmitted,
            "tcpi_data_segs_in" => details.DataSegmentsReceived,
            "tcpi_data_segs_out" => details.DataSegmentsSent,
            "tcpi_delivered" => details.DeliveredSegments,
            "tcpi_reordering" => details.Reordering,
            "tcpi_dsack_dups" => details.DuplicatesReported,
            "tcpi_rcv_ooopack" => details.OutOfOrderSegments,
            "tcpi_delivered_ce" => details.MarkedSegmentsDelivered,
            "tcpi_delivery_rate" => (long)details.DeliveryBytesPerSecond,
            "tcpi_delivery_rate_app_limited" => details.IsDeliveryAppLimited ? 1 : 0,
            "tcpi_total_rto" => details.Timeouts,
            "tcpi_total_rto_recoveries" => details.TimeoutEpisodes,
            "tcpi_total_rto_time" => Microseconds(details.TimeoutTime) / 1_000,
            "tcpi_fastopen_client_fail" => (long)details.FastOpenFailure,
            _ => null,
        };
    }

    private static long? LookUp(in TcpAccurateEcnInfo ecn, string name) => name switch
    {
        "tcpi_received_ce" => ecn.MarkedSegmentsReceived,
        "tcpi_received_ce_bytes" => ecn.MarkedBytesReceived,
        "tcpi_received_e0_bytes" => ecn.Ect0BytesReceived,
        "tcpi_received_e1_bytes" => ecn.Ect1BytesReceived,
        "tcpi_delivered_ce_bytes" => ecn.MarkedBytesDelivered,
        "tcpi_delivered_e0_bytes" => ecn.Ect0BytesDelivered,
        "tcpi_delivered_e1_bytes" => ecn.Ect1BytesDelivered,
        "tcpi_accecn_fail_mode" => (long)ecn.Failures,
        // Linux tells an option with counters (2) from an empty one (1), which is not sent here.
        "tcpi_accecn_opt_seen" => ecn.OptionSeen ? 2 : 0,
        _ => null,
    };

    private static long Microseconds(Duration duration) => duration.Nanoseconds / 1_000;

    internal static long? Constant(string name) => name switch
    {
        "TCP_INFINITE_SSTHRESH" => 0x7FFF_FFFF,
        "TCPI_OPT_TIMESTAMPS" => 1,
        "TCPI_OPT_SACK" => 2,
        "TCPI_OPT_WSCALE" => 4,
        "TCPI_OPT_ECN" => 8,
        "TCPI_OPT_ECN_SEEN" => 16,
        "TCPI_OPT_TOE" => 16,
        "TCPI_OPT_SYN_DATA" => 32,
        "TCP_CA_Open" => 0,
        "TCP_CA_Disorder" => 1,
        "TCP_CA_CWR" => 2,
        "TCP_CA_Recovery" => 3,
        "TCP_CA_Loss" => 4,
        "TCP_ESTABLISHED" or "TCPI_ESTABLISHED" => 1,
        "TCP_SYN_SENT" or "TCPI_SYN_SENT" => 2,
        "TCP_SYN_RECV" or "TCPI_SYN_RECEIVED" => 3,
        "TCP_FIN_WAIT1" or "TCPI_FIN_WAIT_1" => 4,
        "TCP_FIN_WAIT2" or "TCPI_FIN_WAIT_2" => 5,
        "TCP_TIME_WAIT" or "TCPI_TIME_WAIT" => 6,
        "TCP_CLOSE" or "TCPI_CLOSED" => 7,
        "TCP_CLOSE_WAIT" or "TCPI_CLOSE_WAIT" => 8,
        "TCP_LAST_ACK" or "TCPI_LAST_ACK" => 9,
        "TCP_LISTEN" or "TCPI_LISTEN" => 10,
        "TCP_CLOSING" or "TCPI_CLOSING" => 11,
        _ => null,
    };
}
