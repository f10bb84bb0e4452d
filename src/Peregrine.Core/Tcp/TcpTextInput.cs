// The seventh step of RFC 9293 §3.10.7.4: the segment text. In-order data go to the receive queue, data beyond a gap to the out-of-order
// queue, and the acknowledgment is decided: at once, or delayed in the hope of company.
using System.Net.Sockets;
using Peregrine.Core.Ip;
using Peregrine.Core.Memory;
using Peregrine.Core.Tcp.Recovery;
using Peregrine.Core.Time;
using Peregrine.Wire;

namespace Peregrine.Core.Tcp;

internal sealed class TcpTextInput(TcpContext context)
{
    private readonly TcpContext _x = context;

    /// <summary>Takes the payload; false when there is no receiver any more and the connection was reset.</summary>
    internal bool OnText(TcbRef t, ref SegmentArrival s, in ReceivedPacket packet, Instant now, TcpReplies replies)
    {
        ref var c = ref t.C;
        // After the peer's FIN there is no text (RFC 9293 §3.10.7.4: "this should not occur").
        // In SYN-RECEIVED only what a SYN brought by fast open gets here.
        if (c.State is not (TcpState.Established or TcpState.FinWait1 or TcpState.FinWait2 or TcpState.SynReceived)) return true;
        if ((c.Flags & (TcbFlags.ReceiveShutdown | TcbFlags.Orphan)) != 0)
        {
            // RFC 9293 SHLD-3: the application has closed and cannot have these data: the peer must know that they are lost.
            _x.Counters.DroppedReceiverGone++;
            _x.Counters.SegmentsAccepted--;
            replies.ResetFor(packet, s, now, SegmentMarks.Of(_x.SettingsOf(t)));
            _x.Finish(t, SocketError.ConnectionAborted);
            return false;
        }
        if ((t.K.Recovery.Flags & (RecoveryFlags.EcnAgreed | RecoveryFlags.AccurateEcn)) == RecoveryFlags.EcnAgreed) TcpEcn.OnText(t, s, packet, ref _x.Recovery.Counters);
        _x.Details?.OnText(_x.Tcbs.IndexOf(t), (packet.TrafficClass & 3) != 0, now);
        if (AdaptiveAcks.Is(_x, t)) AdaptiveAcks.Measure(_x, t, ref AdaptiveAcks.Of(_x, t), s.PayloadLength, (s.Flags & (TcpFlags.Psh | TcpFlags.Fin)) != 0);
        else NoteSegmentSize(ref c, s.WireSize != 0 ? s.WireSize : s.PayloadLength);
        if ((c.Flags & TcbFlags.FinWaiting) != 0) TcpFinInput.Meet(_x, t, ref s);
        if (s.Seq == c.Rcv.Nxt) TakeInOrder(t, ref s, packet, now);
        else TakeOutOfOrder(t, ref s, packet, now);
        SampleRtt(t, s.Options.TsEcr, s.PayloadLength, now);
        return true;
    }

    /// <summary>The same of a segment that was predicted: its text is next in sequence, and there is room for it.</summary>
    /// <param name="t">The connection.</param>
    /// <param name="frame">What holds the text.</param>
    /// <param name="offset">Where the text starts, from the frame's first byte.</param>
    /// <param name="length">Its bytes.</param>
    /// <param name="segmentCount">Segments that were merged into this one; 1 for none.</param>
    /// <param name="tsEcr">The echoed timestamp; 0 for none.</param>
    /// <param name="now">The time.</param>
    internal void OnPredicted(TcbRef t, in Frame frame, int offset, int length, int segmentCount, uint tsEcr, Instant now)
    {
        ref var c = ref t.C;
        NoteSegmentSize(ref c, frame.SegmentSize != 0 ? frame.SegmentSize : length);
        _x.ReceiveQueue.Append(ref c.ReceiveQueue, frame, offset, length);
        c.Rcv.Nxt += (uint)length;
        OnTaken(t, length, length, segmentCount, now);
        SampleRtt(t, tsEcr, length, now);
    }

    /// <summary>
    /// RFC 5961 §3.2 as Linux extends it: a peer that gives up after losses resets behind all that it has sent: whether that is exactly behind the
    /// last of what is held.
    /// </summary>
    internal bool IsBehindHeld(TcbRef t, SeqNumber seq)
    {
        if (!t.K.OutOfOrder.HasIntervals || (t.C.Flags & TcbFlags.Sack) == 0 || !_x.SettingsOf(t).AcceptsResetsBehindHeld) return false;
        var held = _x.OutOfOrder.View(t.K.OutOfOrder);
        return held.At(held.Count - 1).End == seq;
    }

    /// <summary>RFC 9293 §3.10.7.3: text that came with the SYN of a simultaneous open is queued until the connection is established.</summary>
    internal void Hold(TcbRef t, in SegmentArrival s, in ReceivedPacket packet)
    {
        if (s.PayloadLength == 0 || !BlockPressure.LeavesReceiveReserve(_x.Blocks)) return;
        var result = _x.OutOfOrder.Insert(ref t.K.OutOfOrder, t.C.Rcv.Nxt, s.Seq, packet.Frame, s.PayloadOffset, s.PayloadLength);
        _x.Counters.DroppedBytesNoMemory += s.PayloadLength - result.Stored;
    }

    /// <summary>The connection is established: what was held comes into order.</summary>
    internal void TakeHeld(TcbRef t, Instant now)
    {
        if (!t.K.OutOfOrder.HasIntervals) return;
        var taken = _x.OutOfOrder.Deliver(ref t.K.OutOfOrder, ref t.C.ReceiveQueue, _x.ReceiveQueue, ref t.C.Rcv.Nxt);
        if (taken > 0) OnTaken(t, taken, taken, segmentCount: 1, now);
    }

    private void TakeInOrder(TcbRef t, ref SegmentArrival s, in ReceivedPacket packet, Instant now)
    {
        ref var c = ref t.C;
        var taken = _x.ReceiveQueue.Append(ref c.ReceiveQueue, packet.Frame, s.PayloadOffset, s.PayloadLength);
        if (taken < s.PayloadLength && t.K.OutOfOrder.HasIntervals)
        {
            // What lies beyond the gap holds the blocks that would close it: it goes, as RFC 2018 §8 allows, or nothing would ever move.
            Prune(t);
            taken += _x.ReceiveQueue.Append(ref c.ReceiveQueue, packet.Frame, s.PayloadOffset + taken, s.PayloadLength - taken);
        }
        c.Rcv.Nxt += (uint)taken;
        var total = taken;
        if (taken < s.PayloadLength)
        {
            // The window is no reservation: what found no block is dropped unacknowledged, and the FIN behind it too.
            _x.Counters.DroppedBytesNoMemory += s.PayloadLength - taken;
            _x.Recovery.Counters.TCPRcvQDrop++;
            s.PayloadLength = taken;
            s.Flags &= ~TcpFlags.Fin;
            c.Flags |= TcbFlags.AckNow;
        }
        // RFC 5681 §4.2: a segment that fills a gap, whole or in part, is acknowledged at once; also where a FIN alone waits behind it.
        if ((c.Flags & TcbFlags.FinWaiting) != 0) c.Flags |= TcbFlags.AckNow;
        if (t.K.OutOfOrder.HasIntervals)
        {
            // RFC 9293 §3.10.7.4, seventh: after a FIN in its place nothing comes that is held beyond it.
            if (!s.IsFin)
            {
                NoteOverlap(t, c.Rcv.Nxt);
                total += _x.OutOfOrder.Deliver(ref t.K.OutOfOrder, ref c.ReceiveQueue, _x.ReceiveQueue, ref c.Rcv.Nxt);
            }
            c.Flags |= TcbFlags.AckNow;
        }
        if (total == 0) return;
        if ((c.Flags & TcbFlags.UrgentPending) != 0 && t.K.RcvUp.IsBeforeOrEqual(c.Rcv.Nxt - c.ReceiveQueue.Length)) c.Flags &= ~TcbFlags.UrgentPending;
        OnTaken(t, total, taken, s.SegmentCount, now);
    }

    // So many bytes have come into order; the segment had so many of them.
    private void OnTaken(TcbRef t, int count, int length, int segmentCount, Instant now)
    {
        var settings = _x.SettingsOf(t);
        t.K.BytesReceived += (uint)count;
        t.C.Acks.HasHeard = true;
        // What a SYN brought leaves the window as the SYN-ACK says it.
        if (t.C.State != TcpState.SynReceived) TcpWindow.GrowReceive(ref t.C, settings, count);
        else if (TrueSizeWindow.IsAsked(settings)) t.C.ReceiveBuffer += (uint)count;
        else if (settings.WindowSlowStart && t.C.ReceiveBuffer < (uint)settings.ReceiveBufferBytes)
            t.C.ReceiveBuffer = Math.Min((uint)settings.ReceiveBufferBytes, t.C.ReceiveBuffer + (uint)count);
        _x.Counters.BytesReceived += count;
        if (t.C.ReceiveQueue.Length >= (uint)settings.ReceiveLowBytes) _x.Raise(t, TcpEvents.Readable);
        if (!AdaptiveAcks.Is(_x, t))
        {
            DecideAck(ref t.C, _x, t, segmentCount);
            return;
        }
        ref var m = ref AdaptiveAcks.Of(_x, t);
        // A SYN's text says nothing of a pace: the SYN-ACK answers it.
        if (m.Ratio == 0)
        {
            t.C.Flags |= TcbFlags.AckDelayed;
            return;
        }
        AdaptiveAcks.OnData(_x, t, ref m, now);
        TrueSizeWindow.OnTaken(_x, t, ref m, length);
        t.C.Flags |= AdaptiveAcks.IsDue(_x, t, ref m) ? TcbFlags.AckNow : TcbFlags.AckDelayed;
    }

    /// <summary>Something came twice: it is owed an ACK, and RFC 2883 a report.</summary>
    internal static void NoteDuplicate(TcpContext x, TcbRef t, SeqNumber start, SeqNumber end, bool hasMore = false)
    {
        if (!end.IsAfter(start)) return;
        x.Counters.DuplicateBytes += end - start;
        // Not delayed: the sender may be repeating because our ACK was lost. Linux lets one wait that has more.
        if (!hasMore || !AdaptiveAcks.Is(x, t)) AdaptiveAcks.OnRepeated(x, t);
        if ((t.C.Flags & TcbFlags.Sack) == 0) return;
        t.K.DsackStart = start;
        t.K.DsackEnd = end;
    }

    // RFC 2883 §4.2: the sender learns what came twice also when a segment in order covers data that were held.
    private void NoteOverlap(TcbRef t, SeqNumber end)
    {
        if ((t.C.Flags & TcbFlags.Sack) == 0 || t.K.DsackStart != t.K.DsackEnd) return;
        ref var first = ref _x.OutOfOrder.View(t.K.OutOfOrder).At(0);
        if (first.Start.IsBefore(end)) (t.K.DsackStart, t.K.DsackEnd) = (first.Start, SeqNumber.Min(first.End, end));
    }

    // RFC 9293 MUST-58, SHLD-18, SHLD-19, RFC 1122 §4.2.3.2: every second full-sized segment at once at least, others after a delay.
    private static void DecideAck(ref Tcb c, TcpContext x, TcbRef t, int segmentCount)
    {
        if (c.Acks is { Quick: > 0, IsInteractive: false })
        {
            c.Acks.Quick -= (byte)Math.Min(c.Acks.Quick, segmentCount);
            c.Flags |= TcbFlags.AckNow;
        }
        else if ((uint)(c.Rcv.Nxt - c.LastAckSent) >= (x.SettingsOf(t).AckPastSegment ? c.RcvMss + 1u : 2u * c.RcvMss))
        {
            c.Flags |= TcbFlags.AckNow;
        }
        else if ((c.Flags & TcbFlags.AckDelayed) != 0 && x.SettingsOf(t).AckEverySecondSegment)
        {
            c.Flags |= TcbFlags.AckNow;
        }
        else
        {
            c.Flags |= TcbFlags.AckDelayed;
        }
    }

    // RFC 9293 SHLD-31: kept until the gap closes. RFC 9293 MAY-13, RFC 5681 §4.2: a duplicate ACK at once.
    private void TakeOutOfOrder(TcbRef t, ref SegmentArrival s, in ReceivedPacket packet, Instant now)
    {
        ref var c = ref t.C;
        c.Acks.HasHeard = true;
        var isOwed = (c.Flags & TcbFlags.AckNow) != 0 || t.K.DsackStart != t.K.DsackEnd;
        c.Flags |= TcbFlags.AckNow;
        if (!AdaptiveAcks.Is(_x, t)) c.Acks.IsInteractive = false;
        if (!BlockPressure.LeavesReceiveReserve(_x.Blocks))
        {
            Prune(t);
            _x.Counters.DroppedBytesNoMemory += s.PayloadLength;
            _x.Recovery.Counters.TCPOFODrop++;
            s.Flags &= ~TcpFlags.Fin;
            return;
        }
        var result = _x.OutOfOrder.Insert(ref t.K.OutOfOrder, c.Rcv.Nxt, s.Seq, packet.Frame, s.PayloadOffset, s.PayloadLength);
        _x.Counters.OutOfOrderBytes += result.Stored;
        if (result.Stored > 0 && AdaptiveAcks.Is(_x, t)) TrueSizeWindow.OnTaken(_x, t, ref AdaptiveAcks.Of(_x, t), result.Stored);
        // What repeats others counts among them, as in Linux.
        if (result.Stored > 0 || result.Refusal == Queues.OutOfOrderRefusal.None)
        {
            _x.Recovery.Counters.TCPOFOQueue += s.SegmentCount;
            _x.Details?.OnOutOfOrder(_x.Tcbs.IndexOf(t), s.SegmentCount);
        }
        if (result.HasDuplicate)
        {
            _x.Counters.DuplicateBytes += result.DuplicateEnd - result.DuplicateStart;
            _x.Recovery.Counters.TCPOFOMerge++;
            if ((c.Flags & TcbFlags.Sack) != 0) (t.K.DsackStart, t.K.DsackEnd) = (result.DuplicateStart, result.DuplicateEnd);
        }
        if (result.Refusal != Queues.OutOfOrderRefusal.None)
        {
            _x.Counters.DroppedBytesNoMemory += s.PayloadLength - result.Stored;
            if (result.Stored == 0) _x.Recovery.Counters.TCPOFODrop++;
            s.Flags &= ~TcpFlags.Fin;
        }
        else if (!isOwed && s.PayloadLength > 0 && SackCompression.Waits(_x, t, s.Seq, s.PayloadLength, now))
        {
            c.Flags &= ~(TcbFlags.AckNow | TcbFlags.AckDelayed);
        }
    }

    private void Prune(TcbRef t)
    {
        if (!t.K.OutOfOrder.HasIntervals) return;
        _x.Recovery.Counters.OfoPruned++;
        _x.Counters.PrunedBytes += _x.OutOfOrder.PruneTo(ref t.K.OutOfOrder, 0);
    }

    private static void NoteSegmentSize(ref Tcb c, int size)
    {
        if (size > c.RcvMss) c.RcvMss = (ushort)Math.Min(size, ushort.MaxValue);
    }

    // From full segments only: a small one may have waited for its sender's application.
    private static void SampleRtt(TcbRef t, uint tsEcr, int length, Instant now)
    {
        if (tsEcr == 0 || length < t.C.RcvMss) return;
        var age = TcpContext.TimestampNow(t.C, now) - tsEcr;
        if (age < 60_000) TcpWindow.SampleReceiveRtt(ref t.K, Math.Max(age * 1000, 500));
    }
}
