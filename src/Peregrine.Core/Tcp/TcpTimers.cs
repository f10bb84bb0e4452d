// A connection's timers. Each has a deadline of its own in the cold TCB; the wheel holds one entry a connection, for the earliest. A
// deadline that moved away is noticed here, when the old one comes.
using System.Net.Sockets;
using Peregrine.Core.Tcp.FastOpen;
using Peregrine.Core.Time;
using Peregrine.Wire;

namespace Peregrine.Core.Tcp;

internal sealed class TcpTimers(TcpContext context, TcpReplies replies, FastOpenClient fastOpen)
{
    /// <summary>RFC 9293 §3.8.6.1 names no bound for probes; this is Linux's and FreeBSD's minute.</summary>
    private static readonly Duration ProbeIntervalMax = Duration.FromSeconds(60);

    /// <summary>Probes that an abandoned connection sends into a closed window before it is reset.</summary>
    private const int OrphanProbeCountMax = 8;

    private readonly TcpContext _x = context;
    private readonly TcpReplies _replies = replies;
    private readonly FastOpenClient _fastOpen = fastOpen;
    private readonly uint[] _due = new uint[context.Options.TimersPerTurnMax];

    /// <summary>Fires at most a turn's share of what is due.</summary>
    internal void Fire(Instant now)
    {
        var count = _x.Wheel.Fire(now, _due);
        for (var i = 0; i < count; i++) OnEntry(_x.Tcbs.Get(_due[i]), now);
    }

    private void OnEntry(TcbRef t, Instant now)
    {
        _x.Log?.OnTimer(t);
        FireDue(t, now);
        _x.Log?.OnProcessed(t, now);
    }

    private void FireDue(TcbRef t, Instant now)
    {
        ref var k = ref t.K;
        if ((t.C.Flags & (TcbFlags.Finished | TcbFlags.FreePending)) != 0 || t.C.State == TcpState.Closed) return;
        if (k.DelayedAck.IsDue(now)) OnDelayedAck(t);
        if (TcpPacing.IsDue(ref k, now)) _x.MarkReady(t);
        if (k.UserTimeout.IsDue(now) && OnUserTimeout(t, now)) return;
        if (k.Retransmission.IsDue(now) && OnRetransmission(t, now)) return;
        if (k.Keepalive.IsDue(now) && OnKeepalive(t, now)) return;
        Rearm(t, now);
    }

    /// <summary>Enters the earliest of the connection's deadlines into the wheel.</summary>
    internal void Rearm(TcbRef t, Instant now)
    {
        ref var k = ref t.K;
        var earliest = Deadline.Min(Deadline.Min(k.Retransmission, k.DelayedAck), Deadline.Min(k.Keepalive, k.UserTimeout));
        _x.Arm(t, Deadline.Min(earliest, TcpPacing.DueAt(k, now)));
    }

    private void OnDelayedAck(TcbRef t)
    {
        t.K.DelayedAck = Deadline.None;
        if (SackCompression.IsPending(_x, t))
        {
            t.C.Flags |= TcbFlags.AckNow;
            _x.MarkReady(t);
            return;
        }
        if ((t.C.Flags & TcbFlags.AckDelayed) == 0) return;
        t.C.Flags |= TcbFlags.AckNow;
        // No answer came that it could have ridden on.
        AdaptiveAcks.OnWaited(_x, t);
        _x.Counters.DelayedAcks++;
        _x.MarkReady(t);
    }

    // RFC 9293 MUST-20, MUST-21, SHLD-11: R2, the limit on unacknowledged data, set by the application.
    private bool OnUserTimeout(TcbRef t, Instant now)
    {
        ref var c = ref t.C;
        var isCounted = RetryLimit.Is(_x.SettingsOf(t));
        if (isCounted && c.State != TcpState.SynSent && !RetryLimit.IsOver(_x, t, now)) return false;
        t.K.UserTimeout = Deadline.None;
        if (c.State == TcpState.SynSent)
        {
            _x.Finish(t, t.K.SoftError != 0 ? TcpErrors.SoftOf(_x, t) : SocketError.TimedOut);
            return true;
        }
        if (!TcpContext.HasOutstanding(c) && !(isCounted && (c.Flags & TcbFlags.Persisting) != 0)) return false;
        if (!isCounted && IsShutOut(t, now))
        {
            t.K.UserTimeout = Deadline.At(now + Duration.FromMilliseconds(_x.SettingsOf(t).UserTimeoutMs));
            return false;
        }
        _x.Finish(t, SocketError.TimedOut);
        return true;
    }

    // RFC 9293 SHLD-17: data that a window which shrank shuts out are no reason to give up while the peer answers. What lies within the
    // window should have been acknowledged, and a FIN is no data: a peer that answers nonsense would keep the connection for ever. So
    // would one that an abandoned connection waited for.
    private bool IsShutOut(TcbRef t, Instant now)
    {
        ref var c = ref t.C;
        return c.Snd.Wnd == 0 && SeqNumber.Min(c.Snd.Nxt, c.Snd.QueueEnd) != c.Snd.Una && (c.Flags & TcbFlags.Orphan) == 0 && HasHeardFromPeer(t, now);
    }

    private bool HasHeardFromPeer(TcbRef t, Instant now) =>
        now - t.K.LastReceived.ToInstant(now) < Duration.FromMilliseconds(_x.SettingsOf(t).UserTimeoutMs);

    private bool OnRetransmission(TcbRef t, Instant now)
    {
        ref var c = ref t.C;
        ref var k = ref t.K;
        if (TcpLossTimer.OnDue(_x, t, now)) return false;
        k.Retransmission = Deadline.None;
        if (c.State is TcpState.SynSent or TcpState.SynReceived) return OnSynTimeout(t, now);
        if ((c.Flags & TcbFlags.Starved) != 0 && !TcpContext.HasOutstanding(c))
        {
            c.Flags &= ~TcbFlags.Starved;
            _x.MarkReady(t);
            return false;
        }
        if ((c.Flags & TcbFlags.Persisting) != 0)
        {
            OnPersist(t, now);
            return false;
        }
        if (!TcpContext.HasOutstanding(c)) return false;
        // RFC 9293 §3.8.3, R2 as a number: BSD's connections end so, and tell the peer.
        if (_x.SettingsOf(t).TimeoutCountMax is > 0 and var most && c.Backoff >= most && !IsShutOut(t, now))
        {
            _replies.ResetOf(t, now);
            _x.Finish(t, k.SoftError != 0 ? TcpErrors.SoftOf(_x, t) : SocketError.TimedOut);
            return true;
        }
        RetryLimit.Start(_x, t, now);
        // RFC 6298 §5.4 to §5.6: the earliest segment again, the time-out doubled, the timer started.
        _x.Counters.RetransmissionTimeouts++;
        _x.Details?.OnTimeout(_x.Tcbs.IndexOf(t), isFirst: c.Backoff == 0, now);
        _x.Log?.OnRetransmissionTimeout(t, now);
        _x.Recovery.OnRetransmissionTimeout(ref c, ref k, now);
        if (c.Backoff < byte.MaxValue) c.Backoff++;
        // RFC 9293 MUST-20, SHLD-10: R1, after three in vain, or their time, IP looks for another way.
        if (RetryLimit.IsFirstLimitOver(_x, t, now)) c.Path.Generation = 0;
        TcpMtuProbing.OnTimeout(_x, t, now);
        k.Retransmission = Deadline.At(now + _x.Recovery.Rto(k));
        _x.MarkReady(t);
        return false;
    }

    private bool OnSynTimeout(TcbRef t, Instant now)
    {
        ref var c = ref t.C;
        ref var k = ref t.K;
        var settings = _x.SettingsOf(t);
        if (k.SynAgain == SynAgain.Due)
        {
            k.SynAgain = SynAgain.Sent;
            c.Flags |= TcbFlags.SynPending;
            _x.MarkReady(t);
            k.Retransmission = Deadline.At(Instant.Max(k.RoundStart.ToInstant(now) + _x.Recovery.Settings.RtoInitial, now));
            return false;
        }
        // RFC 9293 MUST-22, MUST-23: SYNs by the same rules, for at least three minutes.
        if (c.Backoff == 0) _fastOpen.OnSynTimeout(t, now);
        if (c.Backoff >= ((k.FastOpen & FastOpenFlags.Pending) != 0 ? settings.SynAckRetryCount : settings.SynRetryCount))
        {
            _x.Finish(t, k.SoftError != 0 ? TcpErrors.SoftOf(_x, t) : SocketError.TimedOut);
            return true;
        }
        _x.Details?.OnTimeout(_x.Tcbs.IndexOf(t), isFirst: c.Backoff == 0, now);
        c.Backoff++;
        k.SegmentsRetransmitted++;
        c.Flags |= TcbFlags.SynPending;
        c.Path.Generation = 0;
        _x.MarkReady(t);
        var timeout = (_x.Recovery.Settings.RtoInitial * (1L << Math.Min((int)c.Backoff, 7))) + Duration.FromMilliseconds(_x.Options.RtoSlackMs);
        k.Retransmission = Deadline.At(now + Duration.Min(timeout, _x.Recovery.Settings.RtoMax));
        return false;
    }

    // RFC 9293 MUST-36, MUST-37, SHLD-29, SHLD-30: probes after an RTO, then at exponentially growing intervals,
    // without end (RFC 1122 §4.2.2.17).
    private void OnPersist(TcbRef t, Instant now)
    {
        ref var c = ref t.C;
        // Nobody is left to wait for an abandoned connection whose peer never reads; memory must not be held for ever.
        // A peer that answers no probe for the user time-out is gone: the window may stay closed only as long as it answers.
        var isCounted = RetryLimit.Is(_x.SettingsOf(t));
        if (isCounted ? RetryLimit.IsProbedOut(_x, t) : ((c.Flags & TcbFlags.Orphan) != 0 && c.Backoff >= OrphanProbeCountMax) || !HasHeardFromPeer(t, now))
        {
            if (!isCounted && ((c.Flags & TcbFlags.Orphan) != 0 || _x.SettingsOf(t).ResetsUnanswered)) _replies.ResetOf(t, now);
            _x.Finish(t, SocketError.TimedOut);
            return;
        }
        if (isCounted && RetryLimit.IsChosen(_x.SettingsOf(t))) RetryLimit.Start(_x, t, now);
        c.Flags |= TcbFlags.ProbeNow;
        if (c.Backoff < 30) c.Backoff++;
        if (t.K.ProbesSent < byte.MaxValue) t.K.ProbesSent++;
        t.K.Retransmission = Deadline.At(now + PersistInterval(_x, t));
        _x.MarkReady(t);
    }

    /// <summary>The interval to the next zero-window probe.</summary>
    internal static Duration PersistInterval(TcpContext x, TcbRef t)
    {
        var rto = x.Recovery.Rto(t.K);
        return Duration.Min(rto * (1L << Math.Min((int)t.C.Backoff, 10)), ProbeIntervalMax);
    }

    private bool OnKeepalive(TcbRef t, Instant now)
    {
        ref var c = ref t.C;
        if (c.State == TcpState.FinWait2 && (c.Flags & TcbFlags.Orphan) != 0)
        {
            _x.Finish(t, SocketError.Success);
            return true;
        }
        TcpKeepalive.OnTimer(_x, t, _replies, now);
        return (c.Flags & TcbFlags.Finished) != 0;
    }
}
