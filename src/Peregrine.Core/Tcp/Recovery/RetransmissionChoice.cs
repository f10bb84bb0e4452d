// What to send again next: RFC 6675 §4 NextSeg rules (1), (3) and (4), and the repair after a time-out or a smaller path MTU.
// Rule (2), new data, is the caller's: it asks here first, and what is offered for want of new data looks at whether there is some.
using Peregrine.Wire;

namespace Peregrine.Core.Tcp.Recovery;

internal sealed class RetransmissionChoice(Scoreboard board)
{
    private const uint None = RecordPool.None;

    private readonly Scoreboard _board = board;

    /// <param name="c">The connection.</param>
    /// <param name="k">Its cold part.</param>
    /// <param name="isRack">Only what is marked lost goes again: RACK marks by time what RFC 6675's rules (3) and (4) guess at.</param>
    /// <param name="joins">What is lost behind it goes in the same segment, as far as there is room.</param>
    /// <param name="seq">First number.</param>
    /// <param name="length">How much.</param>
    internal bool TryNext(ref Tcb c, ref TcbCold k, bool isRack, bool joins, out SeqNumber seq, out uint length)
    {
        ref var r = ref k.Recovery;
        (seq, length) = (default, 0);
        r.Flags &= ~RecoveryFlags.RescueOffered;
        if (r.Head == None || ForwardRto.IsWaiting(r)) return false;
        if ((r.Flags & RecoveryFlags.RetransmitHead) != 0 && !_board[r.Head].IsSacked)
        {
            // RFC 6675 §5 step 4.3, RFC 6582 §3.2: whatever the congestion window says.
            return Choose(c, k, r.Head, joins: false, out seq, out length);
        }
        var isRepair = (r.Flags & RecoveryFlags.MtuRepair) != 0;
        if ((r.Phase < RecoveryPhase.Recovery && !isRepair) || !HasRoom(c, k)) return false;
        if (isRack && r.LostBytes == r.RetransmittedBytes) return false;
        var index = FindCandidate(ref r, isRepair, isRack);
        if (isRack && (index == None || !_board[index].Has(RecordFlags.Lost))) return false;
        if (index == None) return TryRescue(c, ref r, out seq, out length);
        ref var record = ref _board[index];
        if (!record.Has(RecordFlags.Lost))
        {
            // RFC 6675 §4 rule (3): not held to be lost, but below something SACKed.
            if (!IsSackRecovery(c, r) || HasNewData(c)) return false;
            if (r.TopSacked == None || !record.Seq.IsBefore(_board[r.TopSacked].Seq)) return TryRescue(c, ref r, out seq, out length);
        }
        return Choose(c, k, index, joins, out seq, out length);
    }

    private bool Choose(in Tcb c, in TcbCold k, uint index, bool joins, out SeqNumber seq, out uint length)
    {
        ref var record = ref _board[index];
        (seq, length) = (record.Seq, Math.Min(record.Length, c.Mss));
        uint most = c.Mss;
        if (!FitsWindow(c, seq, ref length, ref most) && k.Does(SenderMechanisms.WindowToEdge)) return false;
        if (joins) length = JoinedLength(index, length, most);
        else if (k.Does(SenderMechanisms.JoinsWholeRetransmissions)) length = JoinedWholes(index, length, most, evenInFlight: CountedDuplicates.Are(c, k));
        return true;
    }

    // RFC 9293 SHLD-16: a segment is cut to the edge of a window that shrank. What lies beyond it goes again as well (MAY-7), or as Linux stays, but for the
    // first, whose answer tells of the window.
    private static bool FitsWindow(in Tcb c, SeqNumber seq, ref uint length, ref uint most)
    {
        var room = (c.Snd.Una + c.Snd.Wnd) - seq;
        most = room > 0 ? Math.Min(most, (uint)room) : length;
        if (room <= 0) return seq == c.Snd.Una;
        length = Math.Min(length, most);
        return true;
    }

    // As Linux (tcp_retrans_collapse): transmissions that fit into the segment as a whole, up to a message's end; where duplicates are counted, also such as
    // nothing is known of.
    private uint JoinedWholes(uint index, uint length, uint most, bool evenInFlight)
    {
        if (_board[index].Length > length) return length;
        while (!_board[index].Has(RecordFlags.MessageEnd))
        {
            index = _board[index].Next;
            if (index == None) break;
            ref var record = ref _board[index];
            if ((!evenInFlight && !record.Has(RecordFlags.Lost)) || record.Has(RecordFlags.Sacked | RecordFlags.InFlightAgain) || length + record.Length > most) break;
            length += record.Length;
        }
        return length;
    }

    // None that has gone again already; of the last, as much as there is room for.
    private uint JoinedLength(uint index, uint length, uint most)
    {
        while (length < most)
        {
            index = _board[index].Next;
            if (index == None) break;
            ref var record = ref _board[index];
            if (!record.Has(RecordFlags.Lost) || record.Has(RecordFlags.Sacked | RecordFlags.InFlightAgain)) break;
            length = Math.Min(length + record.Length, most);
        }
        return length;
    }

    // RFC 6675 §4 rule (1): the first record that is lost and was not sent again, from RtxNext on; else the first that is neither
    // SACKed nor sent again. Passed records are not looked at twice, but for the rare repair after a smaller MTU.
    private uint FindCandidate(ref RecoveryState r, bool isRepair, bool isRack)
    {
        var firstOpen = None;
        var index = r.RtxNext;
        var steps = LossRecovery.StepsPerAckMax;
        for (; index != None; index = _board[index].Next)
        {
            ref var record = ref _board[index];
            if (record.Has(RecordFlags.Sacked | RecordFlags.InFlightAgain))
            {
                if (isRack && --steps == 0) break;
                continue;
            }
            if (record.Has(RecordFlags.Lost) && (r.Phase >= RecoveryPhase.Recovery || record.Has(RecordFlags.MtuLost))) break;
            if (firstOpen == None) firstOpen = index;
            if ((!isRepair && !isRack) || --steps == 0) break;
        }
        // With RACK, whatever is marked lost later moves this back.
        r.RtxNext = firstOpen != None && !isRack ? firstOpen : index;
        if (isRack && index != None) return index;
        if (index == None) r.Flags &= ~RecoveryFlags.MtuRepair;
        return index == None || !_board[index].Has(RecordFlags.Lost) ? firstOpen : index;
    }

    // RFC 6675 §4 rule (4): once per recovery, the last segment that is not SACKed, so that its ACK brings news.
    private bool TryRescue(in Tcb c, ref RecoveryState r, out SeqNumber seq, out uint length)
    {
        (seq, length) = (default, 0);
        if (!IsSackRecovery(c, r) || HasNewData(c) || r.Episode == None || !c.Snd.Una.IsAfter(_board.EpisodeOf(r).RescueRxt)) return false;
        var index = r.Tail;
        // Adjacent SACKed records are one, so this is one step at most.
        while (index != None && _board[index].IsSacked) index = _board[index].Previous;
        if (index == None) return false;
        ref var record = ref _board[index];
        length = Math.Min(record.Length, c.Mss);
        seq = record.End - length;
        r.Flags |= RecoveryFlags.RescueOffered;
        return true;
    }

    // RFC 6675 §5 (C): cwnd - pipe >= 1 SMSS. With nothing in flight one segment may always go.
    private static bool HasRoom(in Tcb c, in TcbCold k)
    {
        var pipe = CountedDuplicates.Are(c, k) ? CountedDuplicates.Pipe(c, k) : LossRecovery.Pipe(c, k);
        return pipe == 0 || (c.Cwnd >= pipe && c.Cwnd - pipe >= c.Mss);
    }

    private static bool IsSackRecovery(in Tcb c, in RecoveryState r) => (c.Flags & TcbFlags.Sack) != 0 && r.Phase == RecoveryPhase.Recovery;

    // Unsent data, or a FIN, that the peer's window has room for.
    internal static bool HasNewData(in Tcb c) =>
        (c.Snd.QueueEnd.IsAfter(c.Snd.Max) || c.IsFinUnsent)
        && (c.Snd.Una + c.Snd.Wnd).IsAfter(c.Snd.Max);
}
