// Segment arrival for connections that have a TCB: RFC 9293 §3.10.7.3 and §3.10.7.4 in their order, a step a method, each saying "go on"
// or having dropped the segment for a counted reason. LISTEN and a passive SYN-RECEIVED are in TcpPassiveOpen, TIME-WAIT in
// TcpTimeWaitInput. Nothing is sent from here: what has to be said is marked, and TcpOutput says it.
using System.Net.Sockets;
using System.Runtime.CompilerServices;
using Peregrine.Core.Ip;
using Peregrine.Core.Tcp.FastOpen;
using Peregrine.Core.Tcp.Recovery;
using Peregrine.Core.Time;
using Peregrine.Wire;

namespace Peregrine.Core.Tcp;

internal sealed class TcpInput(TcpContext context, TcpReplies replies, FastOpenClient fastOpen)
{
    private readonly TcpContext _x = context;
    private readonly TcpReplies _replies = replies;
    private readonly FastOpenClient _fastOpen = fastOpen;
    private readonly TcpAckInput _acks = new(context);
    private readonly TcpTextInput _text = new(context);
    private readonly TcpFinInput _fins = new(context, replies);

    internal TcpAckInput Acks => _acks;

    internal TcpTextInput Text => _text;

    /// <summary>One segment for one connection.</summary>
    internal void OnSegment(TcbRef t, ref SegmentArrival s, in ReceivedPacket packet, Instant now)
    {
        if (_x.Log is null) Process(t, ref s, packet, now);
        else ProcessLogged(_x.Log, t, ref s, packet, now);
    }

    private void ProcessLogged(Log.TcpEventLog log, TcbRef t, ref SegmentArrival s, in ReceivedPacket packet, Instant now)
    {
        log.OnReceived(t, s, now);
        Process(t, ref s, packet, now);
        log.OnProcessed(t, now);
    }

    private void Process(TcbRef t, ref SegmentArrival s, in ReceivedPacket packet, Instant now)
    {
        t.K.SegmentsIn += (uint)s.SegmentCount;
        if (s.PayloadLength > 0) _x.Details?.OnSegment(_x.Tcbs.IndexOf(t), s.SegmentCount);
        var seq = s.Seq;
        if (t.C.State == TcpState.SynSent)
        {
            OnSynSent(t, ref s, packet, now);
            return;
        }
        if (t.C.State == TcpState.SynReceived && IsSynAgain(t, s, now)) return;
        if (s.IsSyn && (t.K.Recovery.Flags & RecoveryFlags.AccurateEcn) != 0) TcpEcn.OnSynAckAgain(_x, t, s, packet);
        if (!CheckTimestamp(t, ref s, now)
            || !CheckSequence(t, ref s, now)
            || !CheckReset(t, ref s, now)
            || !CheckSyn(t, ref s, now)
            || !CheckAck(t, ref s, seq, packet, now))
        {
            // What was noted for a segment that is dropped after all is owed to nobody; a challenge is on the ready list.
            if ((t.C.Flags & TcbFlags.Ready) == 0) t.C.Flags &= ~TcbFlags.AckNow;
            return;
        }
        _x.Counters.SegmentsAccepted++;
        if ((t.C.Flags & TcbFlags.Finished) != 0) return;
        if ((t.K.Recovery.Flags & RecoveryFlags.AccurateEcn) != 0) TcpEcn.OnSegment(_x, t, s, packet);
        CheckUrgent(t, ref s);
        var mayWait = s.IsFin && _fins.MayWait(t, s);
        if (s.PayloadLength > 0 && !_text.OnText(t, ref s, packet, now, _replies)) return;
        if (s.IsFin || (t.C.Flags & TcbFlags.FinWaiting) != 0) _fins.OnFin(t, ref s, now);
        if (mayWait) TcpFinInput.DelayAck(t);
        Settle(t, now);
    }

    /// <summary>Data that came with a SYN (RFC 7413 §4.2.2 step 4).</summary>
    internal void TakeSynData(TcbRef t, ref SegmentArrival s, in ReceivedPacket packet, Instant now) => _text.OnText(t, ref s, packet, now, _replies);

    // The SYN that opened the connection by fast open comes again: the SYN-ACK was lost.
    private bool IsSynAgain(TcbRef t, in SegmentArrival s, Instant now)
    {
        if ((t.K.FastOpen & FastOpenFlags.Pending) == 0 || !s.IsSyn || s.IsAck || s.IsRst) return false;
        // Only text of the SYN has come. Another number is another's, who would have it look as if our answer had been lost.
        if (s.Seq != t.C.Rcv.Nxt - 1 - (uint)t.K.BytesReceived) return false;
        _x.Counters.SynsAccepted++;
        if (!MayChallenge(t, ref _x.Recovery.Counters.TCPACKSkippedSynRecv, now)) return true;
        if ((t.C.Flags & TcbFlags.SynPending) == 0) t.K.SegmentsRetransmitted++;
        t.C.Flags |= TcbFlags.SynPending;
        _x.MarkReady(t);
        return true;
    }

    /// <summary>The peer is there, and talks of this connection: what is refused says nothing, and two ends that refuse each other are dead.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static void NotePeer(TcbRef t, Instant now)
    {
        t.K.LastReceived = Deadline.At(now);
        t.K.ProbesSent = 0;
    }

    /// <summary>After the steps: what is owed goes on the ready list, and a delayed ACK gets its deadline.</summary>
    internal void Settle(TcbRef t, Instant now)
    {
        ref var c = ref t.C;
        if ((c.Flags & TcbFlags.Finished) != 0) return;
        if ((c.Flags & TcbFlags.AckNow) != 0) _x.MarkReady(t);
        if ((c.Flags & (TcbFlags.AckNow | TcbFlags.AckDelayed)) != TcbFlags.AckDelayed) return;
        // RFC 9293 MUST-40, SHLD-18: an ACK may wait, less than half a second; and not for another that would go within a quarter of that.
        var settings = _x.SettingsOf(t);
        var delay = AdaptiveAcks.Delay(_x, t, settings);
        if (t.K.DelayedAck.IsSet && settings.HastensAcks && t.K.DelayedAck.IsDue(now + delay / 4)) AckAtOnce(t);
        if (t.K.DelayedAck.IsSet && !Deadline.At(now + delay).IsBefore(t.K.DelayedAck)) return;
        t.K.DelayedAck = Deadline.At(now + delay);
        _x.Arm(t, t.K.DelayedAck);
    }

    // RFC 7323 §5.3: R1 to R3 come before the sequence check.
    private bool CheckTimestamp(TcbRef t, ref SegmentArrival s, Instant now)
    {
        ref var c = ref t.C;
        if ((c.Flags & TcbFlags.Timestamps) == 0 || s.IsRst) return true;
        if (!s.Options.HasTimestamps)
        {
            // RFC 7323 §3.2: a segment without the negotiated option is dropped; the SYN of a peer that restarted is answered below.
            if (s.IsSyn || _x.SettingsOf(t).AcceptsMissingTimestamps) return true;
            _x.Counters.DroppedNoTimestamp++;
            return false;
        }
        if ((int)(s.Options.TsVal - c.TsRecent) >= 0 || IsTsRecentExpired(c, now)) return true;
        // RFC 7323 §5.3 R1: old: answered by an ACK and dropped. A SYN is left to the challenge.
        if (s.IsSyn) return true;
        var isOvertaken = s.Length == 0 && s.IsAck && AdaptiveAcks.Is(_x, t);
        if (isOvertaken && MayBeOvertaken(t, s)) return true;
        _x.Counters.DroppedPaws++;
        // As Linux: ACKs of before what has come since are common, and no news to anybody.
        if (isOvertaken && s.Seq.IsBefore(c.Rcv.Nxt)) return false;
        if (s.Length > 0 || MayChallenge(t, ref _x.Recovery.Counters.TCPACKSkippedPAWS, now)) AckAtOnce(t);
        return false;
    }

    // As Linux: a bare ACK that says nothing new, and is about as old as what is in flight may be, was overtaken on its way, and says what any duplicate says.
    private bool MayBeOvertaken(TcbRef t, in SegmentArrival s)
    {
        ref var c = ref t.C;
        if (s.Seq != c.Rcv.Nxt || s.Ack != c.Snd.Una || s.Seq.IsAfter(c.Snd.Wl1)) return false;
        var window = (uint)s.RawWindow << c.SndScale;
        if (s.Seq == c.Snd.Wl1 && (window > c.Snd.Wnd || window == 0)) return false;
        return c.TsRecent - s.Options.TsVal <= _x.Recovery.Rto(t.K).Microseconds / 1_000 * 6 / 5;
    }

    // RFC 7323 §5.5: after 24 days of idleness TS.Recent says nothing.
    private static bool IsTsRecentExpired(in Tcb c, Instant now)
    {
        const uint days24 = 24 * 86_400;
        return (uint)(now.Nanoseconds >> 30) - c.TsRecentAge > days24;
    }

    // RFC 9293 §3.10.7.4, first: check the sequence number, then cut the segment to the window.
    private bool CheckSequence(TcbRef t, ref SegmentArrival s, Instant now)
    {
        ref var c = ref t.C;
        // Simultaneous open: the peer's SYN-ACK carries the SYN that we have already (RFC 9293 §3.5 figure 8).
        if (c.State == TcpState.SynReceived && s.IsSyn && s.IsAck && s.Seq + 1 == c.Rcv.Nxt)
        {
            TcpTextInput.NoteDuplicate(_x, t, s.Seq, c.Rcv.Nxt);
            s.TrimFront(1);
        }
        var window = (uint)Math.Max(0, c.Rcv.Edge - c.Rcv.Nxt);
        if ((!IsAcceptable(c.Rcv.Nxt, window, s.Seq, s.Length) && !IsInBuffer(t, s)) || TrueSizeWindow.IsTooLong(_x, t, s))
        {
            // RFC 9293 MUST-66: with a closed window the ACK, RST and URG fields of a segment in its place still count. So does a FIN alone:
            // the ACKs of a peer that has sent it lie one behind the window, and would be refused for as long as nobody reads.
            if (window == 0 && s.Seq == c.Rcv.Nxt && !s.IsSyn)
            {
                if (s.PayloadLength > 0)
                {
                    s.Flags &= ~TcpFlags.Fin;
                    _x.Recovery.Counters.TCPZeroWindowDrop++;
                }
                s.PayloadLength = 0;
                c.Flags |= TcbFlags.AckNow;
            }
            else if (IsBehindProbe(c, s))
            {
                c.Flags |= TcbFlags.AckNow;
            }
            else
            {
                OnUnacceptable(t, ref s, now);
                return false;
            }
        }
        if (s.Seq.IsBefore(c.Rcv.Nxt) && !s.IsRst)
        {
            var old = (uint)(c.Rcv.Nxt - s.Seq);
            TcpTextInput.NoteDuplicate(_x, t, s.Seq, s.Seq + Math.Min(old, s.Length), s.Length > old);
            s.TrimFront(old);
        }
        s.TrimBack(c.Rcv.Edge);
        return true;
    }

    // RFC 9293 §3.4: a closed window must not keep ACKs out. A prober's SND.NXT stays before the byte of its probe (§3.8.6.1), which may have
    // been taken: where both ends probe, each is one behind for the other, and neither would ever hear that its byte has arrived.
    private static bool IsBehindProbe(in Tcb c, in SegmentArrival s) =>
        s.Length == 0 && (s.Flags & (TcpFlags.Syn | TcpFlags.Rst | TcpFlags.Ack)) == TcpFlags.Ack && s.Seq + 1 == c.Rcv.Nxt
        && c.State >= TcpState.Established && s.Ack.IsAfter(c.Snd.Una);

    /// <summary>RFC 7323 §5.3 R3: TS.Recent follows segments that start at or before the last ACK sent.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static void NoteTimestamp(ref Tcb c, SeqNumber seq, uint tsVal, Instant now)
    {
        if (seq.IsAfter(c.LastAckSent) || (int)(tsVal - c.TsRecent) < 0) return;
        c.TsRecent = tsVal;
        c.TsRecentAge = (uint)(now.Nanoseconds >> 30);
    }

    // A window of 64 KiB and more cannot be told without scaling; some systems take what their buffer has room for all the same.
    private bool IsInBuffer(TcbRef t, in SegmentArrival s) =>
        _x.SettingsOf(t).WindowIsBuffer && t.C.ReceiveBuffer > t.C.ReceiveQueue.Length
        && IsAcceptable(t.C.Rcv.Nxt, t.C.ReceiveBuffer - t.C.ReceiveQueue.Length, s.Seq, s.Length);

    /// <summary>The four cases of RFC 9293 §3.10.7.4, table 6.</summary>
    internal static bool IsAcceptable(SeqNumber next, uint window, SeqNumber seq, uint length)
    {
        if (length == 0) return window == 0 ? seq == next : seq.IsInWindow(next, window);
        return window != 0 && (seq.IsInWindow(next, window) || (seq + (length - 1)).IsInWindow(next, window));
    }

    private void OnUnacceptable(TcbRef t, ref SegmentArrival s, Instant now)
    {
        _x.Counters.DroppedOutOfWindow++;
        if (s.IsRst) return;
        // RFC 5961 §4.2: a SYN anywhere is challenged like one in the window.
        if (s.IsSyn || s.Length == 0)
        {
            if (MayChallenge(t, ref _x.Recovery.Counters.TCPACKSkippedSeq, now)) AckAtOnce(t);
            return;
        }
        // A retransmission whose ACK was lost: must be answered, or the peer repeats it for ever. RFC 2883 §4: with what is duplicate.
        if (s.Seq.IsBefore(t.C.Rcv.Nxt))
        {
            _x.Recovery.Counters.DelayedACKLost++;
            TcpTextInput.NoteDuplicate(_x, t, s.Seq, SeqNumber.Min(s.Seq + s.Length, t.C.Rcv.Nxt));
        }
        AckAtOnce(t);
    }

    // RFC 9293 §3.10.7.4, second: check the RST bit, with RFC 5961 §3.2.
    private bool CheckReset(TcbRef t, ref SegmentArrival s, Instant now)
    {
        // RFC 9293 SHLD-2: data in a reset do not matter.
        if (!s.IsRst) return true;
        ref var c = ref t.C;
        if (s.Seq != c.Rcv.Nxt && _x.SettingsOf(t).ExactResetsOnly && !_text.IsBehindHeld(t, s.Seq))
        {
            _x.Counters.DroppedResetNotExact++;
            Challenge(t, now);
            return false;
        }
        _x.Counters.ResetsReceived++;
        // RFC 9293 MUST-12: the application learns whether the connection closed normally or was aborted.
        var isRefusal = c.State is TcpState.SynReceived && (t.K.FastOpen & FastOpenFlags.Pending) == 0;
        FastOpenServer.OnEnded(_x, t, wasReset: true, now);
        _x.Finish(t, isRefusal ? SocketError.ConnectionRefused : SocketError.ConnectionReset);
        return false;
    }

    // RFC 9293 §3.10.7.4, fourth: check the SYN bit, with RFC 5961 §4.2.
    private bool CheckSyn(TcbRef t, ref SegmentArrival s, Instant now)
    {
        if (!s.IsSyn) return true;
        _x.Counters.DroppedSynInConnection++;
        if (!_x.SettingsOf(t).ChallengeSyns)
        {
            _replies.ResetOf(t, now);
            _x.Finish(t, SocketError.ConnectionReset);
            return false;
        }
        Challenge(t, now);
        return false;
    }

    // RFC 9293 §3.10.7.4, fifth: check the ACK field. seq is SEG.SEQ as it came.
    private bool CheckAck(TcbRef t, ref SegmentArrival s, SeqNumber seq, in ReceivedPacket packet, Instant now)
    {
        ref var c = ref t.C;
        if (!s.IsAck)
        {
            _x.Counters.DroppedNoAckBit++;
            return false;
        }
        if (c.State == TcpState.SynReceived)
        {
            if (!s.Ack.IsAfter(c.Snd.Iss) || s.Ack.IsAfter(c.Snd.Max))
            {
                _x.Counters.DroppedUnacceptableAck++;
                _replies.ResetFor(packet, s, now, SegmentMarks.Of(_x.SettingsOf(t)));
                return false;
            }
            OnHandshakeDone(t, ref s, now);
            _text.TakeHeld(t, now);
        }
        // RFC 5961 §5.2: what was never sent, or lies further back than the largest window or the first byte of all, is challenged.
        // RFC 9293 MAY-12.
        if (s.Ack.IsAfter(c.Snd.Max) || s.Ack.IsBefore(c.Snd.Una - (uint)Math.Min(c.Snd.WndMax, t.K.BytesAcked + 1)))
        {
            _x.Counters.DroppedUnacceptableAck++;
            Challenge(t, now);
            return false;
        }
        NotePeer(t, now);
        // Not before the ACK is believed: a timestamp far ahead that somebody guessed the sequence for would shut the peer out by PAWS.
        if ((c.Flags & TcbFlags.Timestamps) != 0 && s.Options.HasTimestamps) NoteTimestamp(ref c, seq, s.Options.TsVal, now);
        _acks.OnAck(t, ref s, now);
        if ((c.Flags & TcbFlags.Finished) == 0) AdvanceClosing(t, now);
        return true;
    }

    // The moves of RFC 9293 §3.10.7.4 that the acknowledgment of our FIN makes.
    private void AdvanceClosing(TcbRef t, Instant now)
    {
        ref var c = ref t.C;
        if ((c.Flags & TcbFlags.FinSent) == 0 || !c.Snd.Una.IsAfter(c.Snd.QueueEnd)) return;
        switch (c.State)
        {
            case TcpState.FinWait1:
                TcpStates.Move(ref c.State, TcpState.FinWait2);
                TcpClosing.StartFinWait2(_x, t, _replies, isAnswer: true, now);
                break;
            case TcpState.Closing:
                _x.EnterTimeWait(t, now);
                break;
            case TcpState.LastAck:
                _x.Finish(t, SocketError.Success);
                break;
        }
    }

    // RFC 9293 §3.10.7.4, sixth: check the URG bit.
    private void CheckUrgent(TcbRef t, ref SegmentArrival s)
    {
        ref var c = ref t.C;
        if ((s.Flags & TcpFlags.Urg) == 0 || c.State is not (TcpState.Established or TcpState.FinWait1 or TcpState.FinWait2)) return;
        // RFC 9293 MUST-62: the pointer names the byte after the urgent data. RFC 9293 MUST-31: of any length.
        var up = s.Seq + s.UrgentPointer;
        if (!up.IsAfter(c.Rcv.Nxt)) return;
        if ((c.Flags & TcbFlags.UrgentPending) != 0 && !up.IsAfter(t.K.RcvUp)) return;
        t.K.RcvUp = up;
        c.Flags |= TcbFlags.UrgentPending;
        // RFC 9293 MUST-32: the application is told when urgent data are announced.
        _x.Raise(t, TcpEvents.Urgent);
    }

    // RFC 9293 §3.10.7.3: SYN-SENT.
    private void OnSynSent(TcbRef t, ref SegmentArrival s, in ReceivedPacket packet, Instant now)
    {
        ref var c = ref t.C;
        var ackAcceptable = s.IsAck && s.Ack.IsAfter(c.Snd.Una) && s.Ack.IsBeforeOrEqual(c.Snd.Max) && TcpHandshake.IsOurEcho(_x, t, s, now);
        if (s.IsAck && !ackAcceptable)
        {
            _x.Counters.DroppedUnacceptableAck++;
            if (s.IsRst) return;
            _replies.ResetFor(packet, s, now, SegmentMarks.Of(_x.SettingsOf(t)));
            if (!s.Ack.IsAfter(c.Snd.Una) || s.Ack.IsAfter(c.Snd.Max)) TcpActiveOpen.OnWrongAck(_x, t, now);
            return;
        }
        if (s.IsRst)
        {
            if (!ackAcceptable)
            {
                _x.Counters.DroppedResetNotExact++;
                return;
            }
            _x.Counters.ResetsReceived++;
            _x.Finish(t, SocketError.ConnectionRefused);
            return;
        }
        if (!s.IsSyn)
        {
            _x.Counters.DroppedNoAckBit++;
            return;
        }
        TcpHandshake.TakeSyn(_x, t, s, now);
        TcpEcn.OnSynInSynSent(_x, t, s, packet, ackAcceptable);
        _x.Counters.SegmentsAccepted++;
        if (!ackAcceptable)
        {
            // RFC 9293 MUST-10: simultaneous open: our SYN again, now with an ACK.
            TcpStates.Move(ref c.State, TcpState.SynReceived);
            c.Flags |= TcbFlags.SynPending;
            _x.MarkReady(t);
            s.TrimFront(1);
            s.TrimBack(c.Rcv.Edge);
            if (_x.SettingsOf(t).KeepsSynText) _text.Hold(t, s, packet);
            return;
        }
        OnHandshakeDone(t, ref s, now);
        // Only now, as it forgets that the SYN went again, of which no round trip may be taken.
        NotePeer(t, now);
        AdaptiveAcks.OnSynAck(_x, t, now);
        if (t.K.FastOpen == FastOpenFlags.None && !_x.SettingsOf(t).KeepsSynText) s.PayloadLength = 0;
        if (t.K.FastOpen != FastOpenFlags.None)
        {
            var taken = _fastOpen.OnSynAck(t, s, packet, now, out var left);
            _acks.OnSynDataAcknowledged(t, taken);
            if (left > 0) _x.Recovery.Memory.OnSynDataLost(ref c, ref t.K, left, now);
        }
        _acks.OnAck(t, ref s, now);
        c.Flags |= TcbFlags.AckNow;
        s.TrimFront(1);
        s.TrimBack(c.Rcv.Edge);
        CheckUrgent(t, ref s);
        if (s.PayloadLength > 0 && !_text.OnText(t, ref s, packet, now, _replies)) return;
        if (s.IsFin) _fins.OnFin(t, ref s, now);
        Settle(t, now);
    }

    // Our SYN is acknowledged: SYN-SENT or SYN-RECEIVED becomes ESTABLISHED, or goes on to close what was closed meanwhile.
    private void OnHandshakeDone(TcbRef t, ref SegmentArrival s, Instant now)
    {
        ref var c = ref t.C;
        TcpHandshake.Establish(_x, t, s, now);
        _x.Raise(t, TcpEvents.Connected | TcpEvents.Writable);
        if ((c.Flags & TcbFlags.FinQueued) != 0) TcpStates.Move(ref c.State, TcpState.FinWait1);
        _x.MarkReady(t);
    }

    private void Challenge(TcbRef t, Instant now)
    {
        if (!MayChallenge(t, ref _x.Recovery.Counters.TCPACKSkippedChallenge, now)) return;
        _x.Counters.ChallengeAcksSent++;
        AckAtOnce(t);
    }

    private void AckAtOnce(TcbRef t)
    {
        t.C.Flags |= TcbFlags.AckNow;
        _x.MarkReady(t);
    }

    // RFC 5961 §7: limited, and per connection: a limit shared by connections would tell a blind attacker about others.
    private bool MayChallenge(TcbRef t, ref long skipped, Instant now)
    {
        ref var last = ref t.K.LastChallenge;
        if (last.IsSet && now - last.ToInstant(now) < Duration.FromMilliseconds(_x.Options.ChallengeAckIntervalMs))
        {
            _x.Counters.RepliesLimited++;
            skipped++;
            return false;
        }
        last = Deadline.At(now);
        return true;
    }
}
