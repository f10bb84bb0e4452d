// What loss recovery goes by, as data: a switch for each mechanism and its numbers, one record for each set of a connection's settings.
using Peregrine.Core.Time;

namespace Peregrine.Core.Tcp.Recovery;

/// <summary>Numbers that loss recovery and round-trip measurement go by.</summary>
internal sealed record RecoverySettings
{
    /// <summary>Least RTO. RFC 6298 §2.4 says 1 s and foresees less; 200 ms is what deployed stacks use.</summary>
    internal Duration RtoMin { get; init; } = Duration.FromMilliseconds(200);

    /// <summary>Least part of RTO beyond the smoothed round trip.</summary>
    internal Duration RtoVarianceMin { get; init; }

    /// <summary>Added to a time-out that was measured or doubled (RFC 6298 foresees no such thing; FreeBSD's rexmit_slop).</summary>
    internal Duration RtoSlack { get; init; }

    /// <summary>Largest RTO, at least 60 s (RFC 6298 §2.5).</summary>
    internal Duration RtoMax { get; init; } = Duration.FromSeconds(120);

    /// <summary>RTO before the first sample (RFC 6298 §2.1).</summary>
    internal Duration RtoInitial { get; init; } = Duration.FromSeconds(1);

    /// <summary>No RTO is shorter.</summary>
    internal Duration RtoLeast => Duration.Min(RtoMin, Duration.Min(RtoInitial, RtoMax));

    /// <summary>Segments of the initial window: 10 by RFC 6928, at most 14,600 bytes or two segments.</summary>
    internal uint InitialWindowSegments { get; init; } = 10;

    /// <summary>RFC 6928 §2: unless two segments are more, the initial window is no larger.</summary>
    internal uint InitialWindowBytesMax { get; init; } = 14_600;

    /// <summary>RFC 6928 §2: SYNs that may be sent again before the initial window is one segment.</summary>
    internal int ForgivenSynLosses { get; init; }

    /// <summary>Most segments that one ACK opens the window by in slow start (RFC 3465 §2.2: L).</summary>
    internal uint SlowStartSegmentsPerAck { get; init; } = 2;

    /// <summary>RFC 3742 max_ssthresh in segments: beyond it slow start is limited; 0 for never.</summary>
    internal uint SlowStartSegmentsMax { get; init; }

    /// <summary>A loss reduces from cwnd rather than from FlightSize.</summary>
    internal bool ReducesFromWindow { get; init; }

    /// <summary>RFC 9406: HyStart++ ends CUBIC's first slow start.</summary>
    internal bool HyStart { get; init; } = true;

    /// <summary>What senders do; some of it needs a <see cref="SenderHistory"/>, and is done as long as there is room.</summary>
    internal SenderMechanisms Mechanisms { get; init; }

    /// <summary>What is lost without congestion goes again as after a time-out, though the window stays.</summary>
    internal bool RepairsAsTimeout { get; init; }

    /// <summary>RFC 7765: the timer restarts with what is left of the time-out.</summary>
    internal bool RtoRestart { get; init; }

    /// <summary>RFC 5681 §4.1: start again from the restart window after an RTO without sending.</summary>
    internal bool SlowStartAfterIdle { get; init; } = true;

    /// <summary>RFC 7661: a window that is not used is kept for a time, and a loss then reduces from what is used.</summary>
    internal bool WindowValidation { get; init; }

    /// <summary>RFC 8985 §6: losses by time. Without it, and for a connection without SACK, by counting (RFC 6675, RFC 6582).</summary>
    internal bool Rack { get; init; } = true;

    /// <summary>What the timer of the reordering window waits beyond it.</summary>
    internal Duration ReorderingMargin { get; init; }

    /// <summary>RFC 8985 §7: tail loss probes.</summary>
    internal bool TailLossProbe { get; init; } = true;

    /// <summary>RFC 8985 §7.2 TLP.max_ack_delay: how long a receiver may hold back the ACK of a single segment.</summary>
    internal Duration ProbeAckDelayMax { get; init; } = Duration.FromMilliseconds(200);

    /// <summary>What a probe waits beyond two round trips when several segments are in flight: timers at both ends are no sharper.</summary>
    internal Duration ProbeMargin { get; init; } = Duration.FromMilliseconds(2);

    /// <summary>RFC 9937: proportional rate reduction in fast recovery with SACK.</summary>
    internal bool ProportionalRateReduction { get; init; } = true;

    /// <summary>Segments that go again are joined up to a whole one.</summary>
    internal bool JoinsRetransmissions { get; init; }

    /// <summary>An echo of marks reduces the window as a loss does, over a round trip.</summary>
    internal bool GradualEcnReduction { get; init; }

    /// <summary>RFC 5682: F-RTO.</summary>
    internal bool ForwardRto { get; init; } = true;

    /// <summary>RFC 3522, RFC 4015: undo by timestamps.</summary>
    internal bool EifelUndo { get; init; } = true;

    /// <summary>RFC 3708: undo by D-SACK.</summary>
    internal bool DsackUndo { get; init; } = true;

    /// <summary>Whether congestion control paces.</summary>
    internal TcpPacingMode Pacing { get; init; }

    /// <summary>The rate is never above this, in bytes a second; 0 for no limit.</summary>
    internal ulong PacingRateMax { get; init; }

    /// <summary>The congestion window never grows past this.</summary>
    internal uint CwndMax { get; init; } = 1u << 30;

    /// <summary>Whether a reduction may turn out to have been for nothing.</summary>
    internal bool MayUndo => ForwardRto || EifelUndo || DsackUndo;

    /// <summary>What the settings of a stack and of a connection come to.</summary>
    internal static RecoverySettings Of(StackOptions stack, TcpSettings connection) => new()
    {
        RtoMin = Duration.FromMilliseconds(stack.RtoMsMin),
        RtoVarianceMin = Duration.FromMilliseconds(stack.RtoVarianceMsMin),
        RtoSlack = Duration.FromMilliseconds(stack.RtoSlackMs),
        RtoInitial = Duration.FromMilliseconds(stack.RtoMsInitial),
        RtoMax = Duration.FromMilliseconds(stack.RtoMsMax),
        InitialWindowSegments = (uint)stack.InitialWindowSegments,
        InitialWindowBytesMax = (uint)stack.InitialWindowBytesMax,
        ForgivenSynLosses = connection.ForgivenSynLosses,
        SlowStartAfterIdle = connection.SlowStartAfterIdle,
        SlowStartSegmentsPerAck = (uint)connection.SlowStartSegmentsPerAck,
        SlowStartSegmentsMax = (uint)connection.SlowStartSegmentsMax,
        ReducesFromWindow = connection.ReducesFromWindow,
        HyStart = connection.HyStart,
        Mechanisms = SenderMechanismsOf.Settings(connection),
        RepairsAsTimeout = connection.PacketSender && connection.RepairsAsTimeout,
        RtoRestart = connection.RtoRestart,
        WindowValidation = connection.WindowValidation,
        Rack = connection.Rack,
        ReorderingMargin = Duration.FromMilliseconds(connection.ReorderingMarginMs),
        TailLossProbe = connection.TailLossProbe,
        ProbeAckDelayMax = Duration.FromMilliseconds(connection.ProbeAckDelayMs),
        ProportionalRateReduction = connection.ProportionalRateReduction,
        JoinsRetransmissions = connection.JoinsRetransmissions,
        GradualEcnReduction = connection.GradualEcnReduction,
        ForwardRto = connection.ForwardRto,
        EifelUndo = connection.EifelUndo,
        DsackUndo = connection.DsackUndo,
        Pacing = connection.Pacing,
        PacingRateMax = (ulong)connection.PacingBytesPerSecondMax,
    };
}
