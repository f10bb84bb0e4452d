// The congestion controls: a closed set behind one abstract class, without state of their own; a connection's numbers are in its TCB.
// They decide how the window opens on ACKs and what a loss makes of ssthresh. When loss has occurred is loss recovery's to say.
using Peregrine.Core.Tcp.Recovery;
using Peregrine.Core.Time;

namespace Peregrine.Core.Tcp.Congestion;

/// <summary>The congestion controls by number.</summary>
internal enum CongestionAlgorithm : byte
{
    /// <summary>RFC 9438.</summary>
    Cubic,

    /// <summary>RFC 5681 and RFC 6582.</summary>
    NewReno,

    /// <summary>RFC 8257.</summary>
    Dctcp,

    /// <summary>draft-ietf-ccwg-bbr.</summary>
    Bbr,

    /// <summary>RFC 9438 by packets and milliseconds; has no name of its own.</summary>
    PacketCubic,
}

/// <summary>How a sender's window opens and closes.</summary>
internal abstract class CongestionControl
{
    private static readonly string[] s_names = ["cubic", "reno", "dctcp", "bbr"];

    /// <summary>The name by which a connection chooses it.</summary>
    internal abstract string Name { get; }

    /// <summary>
    /// The window is the control's own, in recovery and after idleness too, and follows from every ACK (<see cref="OnDelivery"/>).
    /// </summary>
    internal static bool OwnsWindow(CongestionAlgorithm algorithm) => algorithm == CongestionAlgorithm.Bbr;

    /// <summary>Finds one by name, in lower case.</summary>
    internal static bool TryParse(string name, out CongestionAlgorithm algorithm)
    {
        // "newreno" is what it was called here before it had Linux's name.
        var index = Array.IndexOf(s_names, name == "newreno" ? "reno" : name);
        algorithm = (CongestionAlgorithm)Math.Max(index, 0);
        return index >= 0;
    }

    /// <summary>The handshake is done, or a connection goes over to this control. False when there is no room for what it keeps.</summary>
    internal abstract bool TryBegin(ref Tcb c, ref TcbCold k, Instant now);

    /// <summary>The connection ends, or goes over to another control.</summary>
    internal virtual void End(ref TcbCold k)
    {
    }

    /// <summary>Of a control that owns the window: every ACK, after recovery has dealt with it; Cwnd is written.</summary>
    internal virtual void OnDelivery(ref Tcb c, ref TcbCold k, in AckSample sample)
    {
    }

    /// <summary>Of a control that owns the window: what it wants to know of losses that an ACK or a timer is about to show.</summary>
    internal virtual void BeginTally(in TcbCold k, ref LossTally tally)
    {
    }

    /// <summary>Of a control that owns the window: something was found lost.</summary>
    internal virtual void OnLost(ref Tcb c, ref TcbCold k, in LossTally tally, Instant now)
    {
    }

    /// <summary>Something goes, and nothing was in flight; asked of controls that own the window, and of connections with a history.</summary>
    internal virtual void OnSendFromIdle(ref Tcb c, ref TcbCold k, Instant now)
    {
    }

    /// <summary>Snd.Una moved outside fast recovery: opens the window.</summary>
    /// <param name="c">The connection; Cwnd is written.</param>
    /// <param name="k">Its cold part.</param>
    /// <param name="sample">What the ACK said.</param>
    /// <param name="isCwndLimited">Whether the window was used up lately; without that it must not grow.</param>
    /// <param name="settings">Limits.</param>
    internal abstract void OnAck(ref Tcb c, ref TcbCold k, in AckSample sample, bool isCwndLimited, RecoverySettings settings);

    /// <summary>Loss was found by ACKs: sets Ssthresh, leaves Cwnd to loss recovery.</summary>
    internal abstract void OnLoss(ref Tcb c, ref TcbCold k, uint flightSize);

    /// <summary>The retransmission timer expired for the first time for this data: sets Ssthresh, leaves Cwnd to loss recovery.</summary>
    internal abstract void OnTimeout(ref Tcb c, ref TcbCold k, uint flightSize);

    /// <summary>An ACK of a connection that agreed on ECN: how much it acknowledged, and how much of that was marked.</summary>
    internal virtual void OnEcnFeedback(ref Tcb c, ref TcbCold k, uint acked, uint marked)
    {
    }

    /// <summary>The peer echoed congestion marks (RFC 3168 §6.1.2), at most once a round trip: sets Ssthresh and Cwnd.</summary>
    internal abstract void OnEcnEcho(ref Tcb c, ref TcbCold k, uint flightSize, Instant now);

    /// <summary>The last reduction was for nothing: Cwnd and Ssthresh are what they were before it.</summary>
    /// <param name="c">The connection.</param>
    /// <param name="k">Its cold part.</param>
    /// <param name="priorWmax">What Wmax was.</param>
    internal virtual void OnUndo(ref Tcb c, ref TcbCold k, uint priorWmax)
    {
    }

    /// <summary>Whether the congestion control cannot do without pacing.</summary>
    internal virtual bool NeedsPacing => false;

    /// <summary>The rate at which segments should leave, in bytes a second: not 0.</summary>
    internal virtual ulong PacingRate(in Tcb c, in TcbCold k)
    {
        // As Linux (tcp_pacing_ss_ratio, tcp_pacing_ca_ratio): twice the window a round trip in slow start, so that it can double within
        // one; later enough above it that pacing is never what limits.
        var percent = c.Cwnd < c.Ssthresh / 2 ? 200ul : 120ul;
        ulong window = Math.Max(c.Cwnd, LossRecovery.FlightSize(c));
        // Before the first sample: as over a round trip of a millisecond.
        return k.Rtt.Srtt == 0 ? window * 10 * percent : Math.Max(window * percent * 80_000 / k.Rtt.Srtt, 1);
    }

    /// <summary>The window starts again after idleness (RFC 5681 §4.1); Cwnd has been lowered.</summary>
    internal abstract void OnRestart(ref Tcb c, ref TcbCold k);

    // RFC 5681 §3.1 and RFC 3465 §2.2: bytes are counted, not ACKs, so that a peer that divides its ACKs gains nothing; and one ACK
    // opens the window by at most L segments, one of them in the slow start after a time-out (RFC 3465 §2.3).
    private protected static uint SlowStartGrowth(in Tcb c, in TcbCold k, uint acked, RecoverySettings settings)
    {
        var segments = k.Recovery.Phase == RecoveryPhase.Loss ? 1 : settings.SlowStartSegmentsPerAck;
        return Math.Min(acked, segments * c.Mss);
    }

    private protected static void OpenSlowStart(ref Tcb c, uint bytes, RecoverySettings settings) =>
        Grow(ref c, LimitedSlowStart.Limit(c.Cwnd, c.Mss, bytes, settings.SlowStartSegmentsMax), settings);

    private protected static void Grow(ref Tcb c, uint bytes, RecoverySettings settings)
    {
        if (c.Cwnd >= settings.CwndMax) return;
        c.Cwnd = Math.Min(c.Cwnd + bytes, settings.CwndMax);
    }
}
