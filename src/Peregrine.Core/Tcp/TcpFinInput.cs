// The peer's FIN: in its place, before its data, or again. The eighth step of RFC 9293 §3.10.7.4: check the FIN bit.
using Peregrine.Core.Time;
using Peregrine.Wire;

namespace Peregrine.Core.Tcp;

internal sealed class TcpFinInput(TcpContext context, TcpReplies replies)
{
    private readonly TcpContext _x = context;
    private readonly TcpReplies _replies = replies;

    // RFC 9293 §3.10.7.4, eighth.
    /// <summary>A FIN that came before its data waits for them.</summary>
    internal void OnFin(TcbRef t, ref SegmentArrival s, Instant now)
    {
        ref var c = ref t.C;
        var isInPlace = false;
        if (s.IsFin && (c.Flags & TcbFlags.FinReceived) == 0)
        {
            var fin = s.Seq + (uint)s.PayloadLength;
            isInPlace = fin == c.Rcv.Nxt;
            c.Flags |= TcbFlags.AckNow;
            if (!isInPlace) Hold(t, s, fin);
        }
        if (!isInPlace && ((c.Flags & TcbFlags.FinWaiting) == 0 || c.Rcv.Nxt != t.K.FinSeq)) return;
        (t.K.FinSeq, c.Flags) = (default, (c.Flags & ~TcbFlags.FinWaiting) | TcbFlags.FinReceived | TcbFlags.AckNow);
        // Nothing comes after a FIN (RFC 9293 §3.10.7.4): what lies beyond it can never be read.
        _x.OutOfOrder.PruneTo(ref t.K.OutOfOrder, 0);
        c.Rcv.Nxt += 1;
        c.Rcv.Edge = SeqNumber.Max(c.Rcv.Edge, c.Rcv.Nxt);
        _x.Raise(t, TcpEvents.PeerClosed | TcpEvents.Readable);
        switch (c.State)
        {
            case TcpState.SynReceived:
            case TcpState.Established:
                TcpStates.Move(ref c.State, TcpState.CloseWait);
                break;
            case TcpState.FinWait1:
                // Had our FIN been acknowledged by this segment, the fifth step would have moved us on.
                TcpStates.Move(ref c.State, TcpState.Closing);
                break;
            case TcpState.FinWait2:
                _replies.AckOf(t, now);
                _x.EnterTimeWait(t, now);
                break;
        }
    }

    // Until what is before it has come: the first of several, and none where text has come already.
    private void Hold(TcbRef t, in SegmentArrival s, SeqNumber fin)
    {
        ref var c = ref t.C;
        if (s.PayloadLength == 0)
        {
            _x.Recovery.Counters.TCPOFOQueue++;
            _x.Details?.OnOutOfOrder(_x.Tcbs.IndexOf(t), 1);
        }
        if (!fin.IsAfter(c.Rcv.Nxt) || _x.OutOfOrder.Holds(t.K.OutOfOrder, fin)) return;
        if ((c.Flags & TcbFlags.FinWaiting) != 0)
        {
            if (fin.IsAfter(t.K.FinSeq)) return;
            NoteFinAgain(t, s);
        }
        (t.K.FinSeq, c.Flags) = (fin, c.Flags | TcbFlags.FinWaiting);
        // RFC 2018 §4: the block with what came last is the first.
        if (_x.SettingsOf(t).SackCoversFin) _x.OutOfOrder.NoteFin(t.K.OutOfOrder, fin);
    }

    /// <summary>
    /// Text that reaches over a FIN that is held. RFC 9293 §3.10.7.4: segments count in the order of their numbers, and after a FIN there is no
    /// text: where the text before the FIN is held too, it is cut to it. A FIN alone is what then came later, and out of date: it is forgotten,
    /// so that a guessed one ends nothing.
    /// </summary>
    internal static void Meet(TcpContext x, TcbRef t, ref SegmentArrival s)
    {
        ref var c = ref t.C;
        var fin = t.K.FinSeq;
        if (s.Seq.IsAfter(fin) || !(s.Seq + (uint)s.PayloadLength).IsAfter(fin)) return;
        if (!x.OutOfOrder.Holds(t.K.OutOfOrder, fin - 1))
        {
            (t.K.FinSeq, c.Flags) = (default, (c.Flags & ~TcbFlags.FinWaiting) | TcbFlags.AckNow);
            return;
        }
        s.PayloadLength = fin - s.Seq;
        s.Flags &= ~TcpFlags.Fin;
    }

    // RFC 2883 §4: a FIN that is held counts as what was reported before, alone or with the data that came again with it.
    private void NoteFinAgain(TcbRef t, in SegmentArrival s)
    {
        var fin = s.Seq + (uint)s.PayloadLength;
        if (fin != t.K.FinSeq || (t.C.Flags & TcbFlags.Sack) == 0 || !_x.SettingsOf(t).SackCoversFin) return;
        if (s.PayloadLength == 0) TcpTextInput.NoteDuplicate(_x, t, fin, fin + 1);
        else if (t.K.DsackStart != t.K.DsackEnd && t.K.DsackEnd == fin) t.K.DsackEnd = fin + 1;
    }

    /// <summary>Whether the ACK of a FIN may wait: nothing is out of order, nothing is owed already, at most a segment comes with it, and it is not the first to be heard of the peer.</summary>
    internal bool MayWait(TcbRef t, in SegmentArrival s) =>
        t.C.State == TcpState.Established && s.Seq == t.C.Rcv.Nxt && (t.C.Flags & TcbFlags.AckNow) == 0 && !t.K.OutOfOrder.HasIntervals
        && s.PayloadLength <= Math.Max(t.C.Mss, t.C.RcvMss) && t.K.BytesReceived + (uint)s.PayloadLength > 0 && _x.SettingsOf(t).DelaysFinAck;

    /// <summary>Whoever has heard the last will probably say something: its FIN at least.</summary>
    internal static void DelayAck(TcbRef t)
    {
        ref var c = ref t.C;
        if (c.State != TcpState.CloseWait) return;
        c.Flags = (c.Flags & ~TcbFlags.AckNow) | TcbFlags.AckDelayed;
        c.Acks.IsInteractive = true;
    }
}
