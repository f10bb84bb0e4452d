// What becomes of the congestion window while nothing is sent: it starts again after a time-out of idleness (RFC 5681 §4.1), unless it is validated
// (RFC 7661), which keeps it for longer, or is congestion control's own.
using Peregrine.Core.Tcp.Congestion;
using Peregrine.Core.Time;

namespace Peregrine.Core.Tcp.Recovery;

internal static class IdleRestart
{
    /// <summary>Something is about to be sent, and nothing is outstanding.</summary>
    internal static void OnIdle(LossRecovery recovery, ref Tcb c, ref TcbCold k, Instant now)
    {
        ref var r = ref k.Recovery;
        if (r.Head != RecordPool.None || (r.Flags & RecoveryFlags.Established) == 0 || CongestionControl.OwnsWindow(r.Algorithm)) return;
        if (r.ValidatesWindow && recovery.Validation.OnIdle(ref c, ref k, now)) return;
        if (!recovery.SettingsOf(k).SlowStartAfterIdle) return;
        // With nothing in flight the latest delivered record is the last one sent.
        if (TimeStamp32.Between(r.FirstSentAt, TimeStamp32.Of(now)) is var idle && (idle <= recovery.Settings.RtoLeast || idle <= recovery.Rto(k))) return;
        // RFC 5681 §4.1: RW = min(IW, cwnd).
        c.Cwnd = Math.Min(c.Cwnd, recovery.InitialWindow(c));
        r.Flags &= ~(RecoveryFlags.LimitedThisRound | RecoveryFlags.LimitedLastRound);
        recovery.Controls.Of(k).OnRestart(ref c, ref k);
    }
}
