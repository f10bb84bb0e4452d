// The acknowledgment and window fields of an acceptable segment: what the fifth step of RFC 9293 §3.10.7.4 does in ESTABLISHED and after.
// What an ACK says about loss and the congestion window is LossRecovery's; here are the send window, the send queue and the timers.
using Peregrine.Core.Memory;
using Peregrine.Core.Time;
using Peregrine.Wire;

namespace Peregrine.Core.Tcp;

internal sealed class TcpAckInput(TcpContext context)
{
    private readonly TcpContext _x = context;

    internal void OnAck(TcbRef t, ref SegmentArrival s, Instant now)
    {
        ref var c = ref t.C;
        var una = c.Snd.Una;
        _x.Recovery.Memory.EndGathering(t.K);
        var (priorWindow, priorCwnd) = (c.Snd.Wnd, c.Cwnd);
        // RFC 7323 §2.2: the window of a SYN is never scaled. RFC 9293 MUST-1: unsigned.
        var window = s.IsSyn ? s.RawWindow : (uint)s.RawWindow << c.SndScale;
        if (!KeepsWindow(t, s, window)) UpdateWindow(t, s.Seq, s.Ack, window, s.Ack.IsAfter(una));
        if (s.Ack.IsBefore(una)) return;
        var outstanding = TcpContext.HasOutstanding(c);
        // RFC 5681 §2: a duplicate ACK has no data, no SYN or FIN, the same ACK and the same window, and something is outstanding.
        var isDuplicate = outstanding && s.Ack == una && s.Length == 0 && c.Snd.Wnd == priorWindow;
        Duration wait = Duration.Zero, renegingWait = Duration.Zero;
        var (delivered, isRestarted) = (0u, false);
        var isNews = s.Ack.IsAfter(una) || isDuplicate || s.Options.SackBlockCount > 0;
        if (isNews && !(s.Ack == c.Snd.Max && s.Options.SackBlockCount == 0 && _x.Details is null && _x.Recovery.LoneAck.TryTake(ref c, ref t.K, now)))
        {
            _x.Recovery.Phases.MtuProbe = _x.MtuProbing?.ProbeOf(t);
            _x.MtuProbing?.BeforeAck(t, s.Ack);
            _x.Recovery.OnAck(ref c, ref t.K, s.Ack, s.Options, isDuplicate, now, out var sample);
            (wait, renegingWait, isRestarted, delivered) = (sample.ReorderingWait, sample.RenegingWait, sample.RestartTimer, sample.DeliveredBytes);
            _x.MtuProbing?.OnAck(t, _x.Recovery.Phases.TakeMtuProbeLoss(), now);
            _x.Details?.OnAck(_x.Tcbs.IndexOf(t), sample, t.K, c.Mss, now);
        }
        else
        {
            delivered = (uint)(c.Snd.Una - una);
            if (!outstanding && s.Ack == una && s.Length == 0 && c.Snd.Wnd == priorWindow) Recovery.TailLossProbe.OnIdleDuplicate(ref t.K.Recovery);
        }
        if (c.Snd.Una != una) OnProgress(t, una, now);
        t.K.More &= ~MoreHints.Held;
        if ((t.K.Recovery.Flags & Recovery.RecoveryFlags.EcnAgreed) != 0 && !s.IsSyn) TcpEcn.OnAck(_x, t, s, (uint)(c.Snd.Una - una), delivered, priorCwnd, now);
        if (renegingWait > Duration.Zero) TcpLossTimer.OnReneging(_x, t, renegingWait, now);
        else if (isNews) TcpLossTimer.OnAck(_x, t, wait, isRestarted, hasDelivered: delivered > 0 || c.Snd.Una != una, now);
        if ((c.Flags & TcbFlags.Persisting) != 0) OnPersistAnswer(t, now);
        if (WantsOutput(t) || _x.Details is not null) _x.MarkReady(t);
    }

    /// <summary>The SYN-ACK has acknowledged bytes that went with our SYN (RFC 7413 §4.2.2).</summary>
    internal void OnSynDataAcknowledged(TcbRef t, uint count)
    {
        if (count == 0) return;
        ref var c = ref t.C;
        c.Snd.Una += count;
        c.Snd.Nxt = c.Snd.Max = c.Snd.Una;
        _x.SendQueue.Acknowledge(ref c.SendQueue, count);
        t.K.BytesAcked += count;
        RaiseWritable(t);
        if (c.SendQueue.Length == 0) RaiseDrained(t);
    }

    private void RaiseDrained(TcbRef t)
    {
        if ((t.C.Flags & TcbFlags.WantDrained) == 0) return;
        t.C.Flags &= ~TcbFlags.WantDrained;
        _x.Raise(t, TcpEvents.SendDrained);
    }

    /// <summary>The same of a segment that was predicted: all that it acknowledges is off the scoreboard already, and nothing is in flight if that is anything.</summary>
    /// <param name="t">The connection; Snd.Una is SEG.ACK.</param>
    /// <param name="seq">SEG.SEQ.</param>
    /// <param name="una">What Snd.Una was.</param>
    /// <param name="rawWindow">The window field.</param>
    /// <param name="now">The time.</param>
    internal void OnPredicted(TcbRef t, SeqNumber seq, SeqNumber una, ushort rawWindow, Instant now)
    {
        ref var c = ref t.C;
        _x.Recovery.Memory.EndGathering(t.K);
        UpdateWindow(t, seq, c.Snd.Una, (uint)rawWindow << c.SndScale, c.Snd.Una != una);
        if (c.Snd.Una != una) OnProgress(t, una, now);
        if (WantsOutput(t)) _x.MarkReady(t);
        _x.Counters.SegmentsAccepted++;
    }

    // Linux's: the same numbers with a smaller window are no news, and a duplicate ACK like any; unless the window closes.
    private static bool KeepsWindow(TcbRef t, in SegmentArrival s, uint window) =>
        window < t.C.Snd.Wnd && window != 0 && t.K.Does(Recovery.SenderMechanisms.WindowToEdge) && s.Seq == t.C.Snd.Wl1 && s.Ack == t.C.Snd.Una;

    // RFC 9293 §3.10.7.4: SND.WND follows the newest segment, by SND.WL1 and SND.WL2. One that acknowledges more than all before it was sent
    // after them, though its own data be older (sent again while later ones wait behind a gap). Were its window left out, SND.UNA would move on
    // without it, and with SND.UNA the edge, beyond what the peer has offered.
    private void UpdateWindow(TcbRef t, SeqNumber seq, SeqNumber ack, uint window, bool acknowledgesMore)
    {
        ref var c = ref t.C;
        if (ack.IsBefore(c.Snd.Una)) return;
        if (!acknowledgesMore && !c.Snd.Wl1.IsBefore(seq) && (c.Snd.Wl1 != seq || c.Snd.Wl2.IsAfter(ack))) return;
        c.Snd.Wnd = window;
        c.Snd.Wl1 = SeqNumber.Max(c.Snd.Wl1, seq);
        c.Snd.Wl2 = ack;
        if (window <= c.Snd.WndMax) return;
        c.Snd.WndMax = window;
        if (t.K.Does(Recovery.SenderMechanisms.HalfWindowMss)) TcpHandshake.RefreshMss(_x, t, hasFitted: true);
    }

    private void OnProgress(TcbRef t, SeqNumber una, Instant now)
    {
        ref var c = ref t.C;
        ref var k = ref t.K;
        var advanced = (uint)(c.Snd.Una - una);
        if (una == c.Snd.Iss) advanced--;
        if ((c.Flags & TcbFlags.FinSent) != 0 && c.Snd.Una.IsAfter(c.Snd.QueueEnd)) advanced--;
        if (advanced > 0)
        {
            _x.SendQueue.Acknowledge(ref c.SendQueue, advanced);
            k.BytesAcked += advanced;
            TcpWindow.TuneSend(ref c, ref k, _x.SettingsOf(t), _x.Recovery.Memory.Does(k, Recovery.SenderMechanisms.WriteRuns), BlockPressure.IsLow(_x.Blocks));
            RaiseWritable(t);
        }
        c.Snd.Nxt = SeqNumber.Max(c.Snd.Nxt, c.Snd.Una);
        c.Backoff = 0;
        if (c.Snd.Una.IsAfterOrEqual(k.SmallEnd)) c.Flags &= ~TcbFlags.SmallInFlight;
        // RFC 4861 §7.3.1: the peer answers, so the neighbour that leads to it lives.
        _x.Ip.ConfirmReachable(c.Path, now);
        TcpLossTimer.Reset(ref k);
        if (TcpContext.HasOutstanding(c))
        {
            // RFC 6298 §5.3: new data were acknowledged: the timer starts anew.
            k.Retransmission = Deadline.At(now + _x.Recovery.RtoAtRestart(c, k, now));
            k.UserTimeout = RetryLimit.Is(_x.SettingsOf(t)) ? Deadline.None : Deadline.At(now + Duration.FromMilliseconds(_x.SettingsOf(t).UserTimeoutMs));
            _x.Arm(t, k.Retransmission);
        }
        else
        {
            // RFC 6298 §5.2: nothing is outstanding: the timer is off.
            k.Retransmission = Deadline.None;
            k.UserTimeout = Deadline.None;
            c.Flags &= ~TcbFlags.SmallInFlight;
            if (c.SendQueue.Length == 0) RaiseDrained(t);
        }
    }

    // A third of the buffer must be free before a blocked writer is woken: waking it for every segment costs more than it gives.
    private void RaiseWritable(TcbRef t)
    {
        ref var c = ref t.C;
        if ((c.Flags & TcbFlags.WantWritable) == 0) return;
        if (_x.SettingsOf(t).UnsentBytesMax is > 0 and var most && c.Snd.QueueEnd - c.Snd.Nxt >= most / 2) return;
        if (!TcpSendRoom.IsRoomy(_x, t)) return;
        c.Flags &= ~TcbFlags.WantWritable;
        _x.Raise(t, TcpEvents.Writable);
    }

    // RFC 9293 §3.8.6.1: any answer keeps the connection open (MUST-37); an open window ends the probing.
    private void OnPersistAnswer(TcbRef t, Instant now)
    {
        ref var c = ref t.C;
        var isCounted = RetryLimit.Is(_x.SettingsOf(t));
        if (c.Snd.Wnd == 0)
        {
            // Who says that the window is closed is asked again when the interval has passed since.
            if (!isCounted) return;
            t.K.Retransmission = Deadline.At(now + TcpTimers.PersistInterval(_x, t));
            _x.Arm(t, t.K.Retransmission);
            return;
        }
        if (isCounted) t.K.UserTimeout = Deadline.None;
        c.Backoff = 0;
        if (IsStillTooSmall(t))
        {
            // §3.8.6.2.1 (4): the override's time has begun, and no ACK puts it off, or a peer that has something to say often enough would never hear us.
            var due = Deadline.At(now + TcpTimers.PersistInterval(_x, t));
            if (!due.IsBefore(t.K.Retransmission)) return;
            t.K.Retransmission = due;
            _x.Arm(t, due);
            return;
        }
        c.Flags &= ~TcbFlags.Persisting;
        t.K.Retransmission = Deadline.None;
    }

    // Whether the window is open and what waits goes by none of RFC 9293 §3.8.6.2.1 (1) to (3).
    private bool IsStillTooSmall(TcbRef t)
    {
        ref var c = ref t.C;
        var waiting = _x.Recovery.Marks.TryNext(c, t.K, out var run) ? run : (uint)Math.Max(0, c.Snd.QueueEnd - c.Snd.Nxt);
        var allowance = _x.Recovery.SendAllowance(c, t.K);
        var most = Math.Min(Math.Min(c.UsableWindow, allowance), waiting);
        return most < waiting && most < c.Mss && !TcpWindow.IsWorthASegment(c, most, allowance);
    }

    private bool WantsOutput(TcbRef t)
    {
        ref var c = ref t.C;
        return c.Snd.QueueEnd.IsAfter(c.Snd.Nxt)
            || c.IsFinUnsent
            || _x.Recovery.HasRetransmission(c, t.K);
    }
}
