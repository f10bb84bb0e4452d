// The timer of loss detection (RFC 8985 §8): one deadline that serves RACK's reordering window or the tail loss probe, whichever the
// moment asks for. What happens when it comes is recovery's; the probe itself is the output's.
using Peregrine.Core.Tcp.Recovery;
using Peregrine.Core.Time;

namespace Peregrine.Core.Tcp;

internal static class TcpLossTimer
{
    /// <summary>An ACK was taken: waits for the reordering window, or for a probe, or for nothing.</summary>
    internal static void OnAck(TcpContext x, TcbRef t, Duration reorderingWait, Instant now)
    {
        ref var k = ref t.K;
        if (reorderingWait > Duration.Zero)
        {
            k.Recovery.Flags &= ~RecoveryFlags.LossTimerIsProbe;
            k.Loss = Deadline.At(now + reorderingWait);
            x.Arm(t, k.Loss);
            return;
        }
        k.Loss = Deadline.None;
        ScheduleProbe(x, t, now);
    }

    /// <summary>New data were sent: the probe's time starts anew (RFC 8985 §7.2).</summary>
    internal static void OnSent(TcpContext x, TcbRef t, Instant now)
    {
        ref var k = ref t.K;
        if (k.Loss.IsSet && (k.Recovery.Flags & RecoveryFlags.LossTimerIsProbe) == 0) return;
        ScheduleProbe(x, t, now);
    }

    /// <summary>The deadline has come.</summary>
    internal static void OnDue(TcpContext x, TcbRef t, Instant now)
    {
        ref var k = ref t.K;
        k.Loss = Deadline.None;
        if ((k.Recovery.Flags & RecoveryFlags.LossTimerIsProbe) == 0)
        {
            OnAck(x, t, x.Recovery.OnReorderingTimeout(ref t.C, ref k, now), now);
            x.MarkReady(t);
            return;
        }
        if (!TcpContext.HasOutstanding(t.C) || (t.C.Flags & TcbFlags.Persisting) != 0 || !x.Recovery.OnProbeTimeout(t.C, ref k)) return;
        // RFC 8985 §7.3: the retransmission timer starts anew, and is the last resort when the probe fails.
        k.Retransmission = Deadline.At(now + x.Recovery.Rto(k));
        x.MarkReady(t);
    }

    private static void ScheduleProbe(TcpContext x, TcbRef t, Instant now)
    {
        ref var k = ref t.K;
        if ((t.C.Flags & TcbFlags.Persisting) != 0 || !x.Recovery.MayScheduleProbe(t.C, k)) return;
        k.Recovery.Flags |= RecoveryFlags.LossTimerIsProbe;
        // RFC 8985 §7.2: not later than the retransmission timer would fire.
        k.Loss = Deadline.Min(Deadline.At(now + TailLossProbe.Timeout(t.C, k, x.Recovery.SettingsOf(k))), k.Retransmission);
        x.Arm(t, k.Loss);
    }
}
