// RFC 9293 SHLD-8: what congestion marks do to a sender. RFC 3168 §6.1.2: an echo reduces the window, once a round trip, and not within a recovery.
using Peregrine.Core.Tcp.Congestion;
using Peregrine.Core.Time;

namespace Peregrine.Core.Tcp.Recovery;

internal static class EcnResponse
{
    /// <summary>An ACK of a connection that agreed on ECN.</summary>
    /// <param name="recovery">The stack's.</param>
    /// <param name="c">The connection.</param>
    /// <param name="k">Its cold part.</param>
    /// <param name="acked">Bytes that it reports as delivered.</param>
    /// <param name="marked">How much of that was marked.</param>
    /// <param name="isEcho">Whether it tells of any mark.</param>
    /// <param name="cwndBefore">The window before this ACK opened it, which it does not do when it tells of congestion.</param>
    /// <param name="now">Now.</param>
    internal static void OnFeedback(LossRecovery recovery, ref Tcb c, ref TcbCold k, uint acked, uint marked, bool isEcho, uint cwndBefore, Instant now)
    {
        ref var r = ref k.Recovery;
        var control = recovery.Controls.Of(k);
        control.OnEcnFeedback(ref c, ref k, acked, marked);
        // Given back with the window, ssthresh would be what it was before this answer; and the recovery that finds the answer given does not set it.
        if (isEcho && (r.Flags & RecoveryFlags.UndoPossible) != 0) Undo.Forfeit(ref recovery.EpisodeOf(r));
        if (!isEcho || r.Phase >= RecoveryPhase.Recovery || (r.Head == RecordPool.None && acked == 0)) return;
        if (IsAnswering(c, r)) return;
        c.Cwnd = Math.Min(c.Cwnd, cwndBefore);
        var window = c.Cwnd;
        var used = recovery.Validation.OnCongestion(ref c, ref k);
        // An ACK of everything leaves nothing in flight; what it acknowledges was.
        control.OnEcnEcho(ref c, ref k, Math.Max(recovery.FlightAtLoss(c, k), Math.Max(acked, used)), now);
        r.RecoveryPoint = c.Snd.Max;
        BeginReduction(recovery, ref c, ref k, window, acked);
        r.Flags |= RecoveryFlags.EcnResponded;
        OweNotice(ref r);
        recovery.Counters.TCPEcnReductions++;
    }

    /// <summary>RFC 3168 §6.1.2: the window is reduced, for marks, a loss or a time-out: the first new data after it say so. RFC 9768 §3.1.5: not in the accurate form.</summary>
    internal static void OweNotice(ref RecoveryState r)
    {
        if ((r.Flags & (RecoveryFlags.EcnAgreed | RecoveryFlags.AccurateEcn)) == RecoveryFlags.EcnAgreed) r.Flags |= RecoveryFlags.EcnReduced;
    }

    /// <summary>Whether marks are being answered: until what was in flight then is acknowledged, and with a gradual reduction something beyond it.</summary>
    internal static bool IsAnswering(in Tcb c, in RecoveryState r) =>
        (r.Flags & RecoveryFlags.EcnResponded) != 0
        && (c.Snd.Una.IsBefore(r.RecoveryPoint) || (c.Snd.Una == r.RecoveryPoint && (r.Flags & RecoveryFlags.ProportionalReduction) != 0));

    // RFC 9937 serves any reduction; nothing is repaired here, so no more goes than what is delivered.
    private static void BeginReduction(LossRecovery recovery, ref Tcb c, ref TcbCold k, uint window, uint delivered)
    {
        ref var r = ref k.Recovery;
        if (!recovery.SettingsOf(k).GradualEcnReduction || !recovery.SettingsOf(k).ProportionalRateReduction) return;
        if (CongestionControl.OwnsWindow(r.Algorithm) || !recovery.TryOpenEpisode(ref r)) return;
        ref var e = ref recovery.EpisodeOf(r);
        c.Cwnd = window;
        ProportionalRateReduction.Begin(c, ref r, ref e, delivered, 0);
        e.RecoverFs = window;
        ProportionalRateReduction.OnAck(ref c, k, ref e, delivered, isSafe: false);
    }

    /// <summary>An ACK while the answer to marks goes on: the window follows what is delivered, and is ssthresh when it is over.</summary>
    internal static void OnAck(LossRecovery recovery, ref Tcb c, ref TcbCold k, uint delivered)
    {
        ref var r = ref k.Recovery;
        const RecoveryFlags gradual = RecoveryFlags.EcnResponded | RecoveryFlags.ProportionalReduction;
        if ((r.Flags & gradual) != gradual || r.Phase >= RecoveryPhase.Recovery) return;
        // Something beyond the point is acknowledged, and with it that we have said CWR.
        if (c.Snd.Una.IsAfter(r.RecoveryPoint)) ProportionalRateReduction.End(ref c, ref r, keepsWindow: false);
        else if (delivered > 0) ProportionalRateReduction.OnAck(ref c, k, ref recovery.EpisodeOf(r), delivered, isSafe: false);
    }
}
