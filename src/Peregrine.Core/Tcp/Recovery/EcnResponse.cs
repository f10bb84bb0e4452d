// What congestion marks do to a sender: RFC 3168 §6.1.2: an echo reduces the window, once a round trip, and not within a recovery.
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
        if ((r.Flags & RecoveryFlags.EcnResponded) != 0 && c.Snd.Una.IsBefore(r.RecoveryPoint)) return;
        c.Cwnd = Math.Min(c.Cwnd, cwndBefore);
        var used = recovery.Validation.OnCongestion(ref c, ref k);
        // An ACK of everything leaves nothing in flight; what it acknowledges was.
        control.OnEcnEcho(ref c, ref k, Math.Max(recovery.FlightAtLoss(c, k), Math.Max(acked, used)), now);
        r.RecoveryPoint = c.Snd.Max;
        r.Flags |= RecoveryFlags.EcnResponded;
        // RFC 9768 §3.1.5: in its accurate form nobody says so.
        if ((r.Flags & RecoveryFlags.AccurateEcn) == 0) r.Flags |= RecoveryFlags.EcnReduced;
        recovery.Counters.TCPEcnReductions++;
    }
}
