// What the retransmission timer is for at the moment (RFC 8985 §8): RACK's reordering window, a tail loss probe, or the time-out itself.
// The three exclude each other, so a connection has one deadline for them. What happens when it comes is recovery's; the probe itself is
// the output's.
using Peregrine.Core.Tcp.Recovery;
using Peregrine.Core.Time;

namespace Peregrine.Core.Tcp;

internal static class TcpLossTimer
{
    private const RecoveryFlags Kinds = RecoveryFlags.TimerIsProbe | RecoveryFlags.TimerIsReordering;

    /// <summary>The deadline is the retransmission time-out's, or none.</summary>
    internal static void Reset(ref TcbCold k) => k.Recovery.Flags &= ~Kinds;

    /// <summary>The time-out counts from now, and the wheel knows: it may wait for something later.</summary>
    internal static void StartTimeout(TcpContext x, TcbRef t, Instant now)
    {
        t.K.Retransmission = Deadline.At(now + x.Recovery.Rto(t.K));
        x.Arm(t, t.K.Retransmission);
    }

    /// <summary>An ACK was taken: waits for the reordering window, or for a probe, or for the time-out.</summary>
    /// <param name="x">The stack.</param>
    /// <param name="t">The connection.</param>
    /// <param name="reorderingWait">When losses are to be looked for again; zero for never.</param>
    /// <param name="isRestarted">The time-out counts from now, though nothing was acknowledged cumulatively.</param>
    /// <param name="hasDelivered">It told of something that has arrived.</param>
    /// <param name="now">Now.</param>
    internal static void OnAck(TcpContext x, TcbRef t, Duration reorderingWait, bool isRestarted, bool hasDelivered, Instant now)
    {
        ref var k = ref t.K;
        if ((t.C.Flags & TcbFlags.Persisting) != 0 || !TcpContext.HasOutstanding(t.C)) return;
        var before = k.Recovery.Flags & Kinds;
        if (reorderingWait > Duration.Zero)
        {
            k.Recovery.Flags = (k.Recovery.Flags & ~Kinds) | RecoveryFlags.TimerIsReordering;
            k.Retransmission = Deadline.At(now + reorderingWait);
        }
        else if (!hasDelivered && before != RecoveryFlags.TimerIsReordering)
        {
            // RFC 8985 §7.2: a probe's time runs from new data and what they are acknowledged by. Duplicates that say nothing would put it off, and with it
            // the time-out, for as long as they come.
            return;
        }
        else if (x.Recovery.MayScheduleProbe(t.C, k))
        {
            ScheduleProbe(x, t, before, now);
        }
        else if (before != 0)
        {
            // SACKs came, or recovery began: the time-out again, counted from when the first segment was sent.
            k.Recovery.Flags &= ~Kinds;
            k.Retransmission = x.Recovery.TimeoutAt(k, now);
        }
        else if (isRestarted)
        {
            k.Retransmission = Deadline.At(now + x.Recovery.Rto(k));
        }
        x.Arm(t, k.Retransmission);
    }

    /// <summary>The peer has taken back what it had reported: the time-out comes as soon as that is sure.</summary>
    internal static void OnReneging(TcpContext x, TcbRef t, Duration wait, Instant now)
    {
        if ((t.C.Flags & TcbFlags.Persisting) != 0) return;
        Reset(ref t.K);
        t.K.Retransmission = Deadline.At(now + wait);
        x.Arm(t, t.K.Retransmission);
    }

    /// <summary>Something was sent: the timer runs; and of new data, unless the handshake is not complete, the probe's time starts anew (RFC 8985 §7.2).</summary>
    internal static void OnSent(TcpContext x, TcbRef t, bool isProbed, Instant now)
    {
        ref var k = ref t.K;
        var isStarted = !k.Retransmission.IsSet;
        // RFC 6298 §5.1: the timer runs whenever something is in flight.
        if (isStarted) k.Retransmission = Deadline.At(now + x.Recovery.Rto(k));
        var before = k.Recovery.Flags & Kinds;
        // A probe of new data is what was waited for, not what the next is counted from.
        isProbed &= (k.Recovery.Flags & RecoveryFlags.ProbePending) == 0 || !k.Does(SenderMechanisms.ProbeTimerStays);
        if (isProbed && before != RecoveryFlags.TimerIsReordering && x.Recovery.MayScheduleProbe(t.C, k))
        {
            // As Linux: also where the time-out runs since the last probe, the next comes no later than counted from when the first segment was sent.
            ScheduleProbe(x, t, k.Does(SenderMechanisms.ProbeTimerStays) ? RecoveryFlags.TimerIsProbe : before, now);
        }
        else if (!isStarted) return;
        x.Arm(t, k.Retransmission);
    }

    /// <summary>
    /// The head was sent again: its ACK has its full time (RFC 6675 §6: the timer may be re-armed on a retransmission). Counted from when it was
    /// first sent, the time-out of a path of 200 ms and more would come while the repair is on its way.
    /// </summary>
    internal static void OnHeadRetransmitted(TcpContext x, TcbRef t, Instant now)
    {
        ref var k = ref t.K;
        if ((k.Recovery.Flags & RecoveryFlags.TimerIsReordering) != 0) return;
        k.Recovery.Flags &= ~Kinds;
        StartTimeout(x, t, now);
    }

    /// <summary>The deadline has come. True: it was not the time-out's.</summary>
    internal static bool OnDue(TcpContext x, TcbRef t, Instant now)
    {
        ref var k = ref t.K;
        var kind = k.Recovery.Flags & Kinds;
        if (kind == 0) return false;
        k.Recovery.Flags &= ~Kinds;
        // RFC 8985 §7.3: the time-out starts anew, and is the last resort when the probe fails.
        k.Retransmission = Deadline.At(now + x.Recovery.Rto(k));
        if (kind == RecoveryFlags.TimerIsReordering) OnReorderingTimeout(x, t, now);
        else if (TcpContext.HasOutstanding(t.C) && !x.Recovery.OnProbeTimeout(t.C, ref k) && k.Does(SenderMechanisms.ProbeTimerStays))
            k.Retransmission = x.Recovery.TimeoutAt(k, now, isOverdueAtOnce: true);
        x.MarkReady(t);
        return true;
    }

    private static void OnReorderingTimeout(TcpContext x, TcbRef t, Instant now)
    {
        x.Recovery.Phases.MtuProbe = x.MtuProbing?.ProbeOf(t);
        OnAck(x, t, x.Recovery.OnReorderingTimeout(ref t.C, ref t.K, now), isRestarted: false, hasDelivered: true, now);
        x.MtuProbing?.OnAck(t, x.Recovery.Phases.TakeMtuProbeLoss(), now);
    }

    // RFC 8985 §7.2: not later than the time-out would come.
    private static void ScheduleProbe(TcpContext x, TcbRef t, RecoveryFlags before, Instant now)
    {
        ref var k = ref t.K;
        var timeout = before == 0 && k.Retransmission.IsSet ? k.Retransmission : x.Recovery.TimeoutAt(k, now);
        k.Retransmission = Deadline.Min(Deadline.At(now + TailLossProbe.Timeout(t.C, k, x.Recovery.SettingsOf(k))), timeout);
        k.Recovery.Flags = (k.Recovery.Flags & ~Kinds) | RecoveryFlags.TimerIsProbe;
    }
}
