// The scoreboard: a connection's records in sequence order, with their marks and sums (RFC 6675 §3). It answers where and how much;
// what follows from that is LossRecovery's. Work per ACK is bounded: walks that find a place spend a budget, and all other work is
// paid for by a record that goes away or gets a mark for the first time.
using System.Runtime.CompilerServices;
using Peregrine.Core.Time;
using Peregrine.Wire;

namespace Peregrine.Core.Tcp.Recovery;

internal sealed class Scoreboard(RecordPool pool)
{
    private const uint None = RecordPool.None;

    private readonly RecordPool _pool = pool;

    /// <summary>Steps taken to find places, ever: tests hold it against the number of ACKs.</summary>
    internal long Steps { get; private set; }

    internal ref TransmissionRecord this[uint index] => ref _pool[index];

    internal ref RecoveryEpisode EpisodeOf(in RecoveryState r) => ref _pool.Episode(r.Episode);

    internal bool TryAppend(ref RecoveryState r, SeqNumber seq, uint length, in SendStamp stamp)
    {
        if (!_pool.TryRent(out var index))
        {
            // The latest record takes the new data in: its time is earlier than true, which only makes a round-trip sample too long.
            if (r.Tail == None || !CanExtend(_pool[r.Tail])) return false;
            _pool[r.Tail].Length += length;
            return true;
        }
        ref var record = ref _pool[index];
        record = default;
        (record.Seq, record.Length, record.Previous, record.Transmissions) = (seq, length, r.Tail, 1);
        Stamp(ref record, r, stamp);
        if (r.Tail == None) r.Head = index;
        else _pool[r.Tail].Next = index;
        r.Tail = index;
        if (r.RtxNext == None) r.RtxNext = index;
        SentList.Append(_pool, ref r, index);
        return true;
    }

    /// <summary>Segments of all records from that one on, counted one by one until there are <paramref name="enough"/>.</summary>
    internal uint SegmentsFrom(uint index, uint mss, uint enough = uint.MaxValue)
    {
        var segments = 0u;
        for (; index != RecordPool.None && segments < enough; index = _pool[index].Next) segments += SegmentCount.Of(_pool[index].Length, mss);
        return segments;
    }

    /// <summary>Segments of all records. A FIN with the last bytes makes no segment of its own.</summary>
    internal uint SegmentsInFlight(in Tcb c, in RecoveryState r)
    {
        var isFilled = (c.Flags & TcbFlags.FinSent) != 0 && r.Tail != None && _pool[r.Tail].Length > 1 && (_pool[r.Tail].Length - 1) % c.Mss == 0;
        return SegmentsFrom(r.Head, c.Mss) - (isFilled ? 1u : 0);
    }

    /// <summary>Segments of the records that are marked lost, and of those that are in flight again: as <see cref="SegmentsInFlight"/>, for tools.</summary>
    internal (uint Lost, uint Again) CountMarked(in RecoveryState r, uint mss)
    {
        var (lost, again) = (0u, 0u);
        if (r.LostBytes + r.RetransmittedBytes == 0) return default;
        for (var index = r.Head; index != None; index = _pool[index].Next)
        {
            ref var record = ref _pool[index];
            var segments = SegmentCount.Of(record.Length, mss);
            if (record.Has(RecordFlags.Lost)) lost += segments;
            if (record.Has(RecordFlags.InFlightAgain)) again += segments;
        }
        return (lost, again);
    }

    /// <summary>
    /// What segments in flight lack of whole ones, where the window is a number of packets (<see cref="SenderMechanisms.PacketWindow"/>): each has a place in it, however small.
    /// Not during a reduction, which goes by what is delivered.
    /// </summary>
    internal uint Slack(in Tcb c, in TcbCold k)
    {
        ref readonly var r = ref k.Recovery;
        if (!k.Does(SenderMechanisms.PacketWindow) || r.Head == None || r.Phase >= RecoveryPhase.Recovery || (r.Flags & RecoveryFlags.ProportionalReduction) != 0) return 0;
        // Small ones are known, but for one that goes just now, and only the first can have been cut by an ACK.
        if ((c.Flags & TcbFlags.SmallInFlight) == 0 && _pool[r.Head].Length % c.Mss == 0 && _pool[r.Tail].Length % c.Mss == 0) return 0;
        var slack = 0u;
        for (var index = r.Head; index != None && slack < c.Cwnd; index = _pool[index].Next)
        {
            ref var record = ref _pool[index];
            if (record.IsSacked || (record.Flags & (RecordFlags.Lost | RecordFlags.InFlightAgain)) == RecordFlags.Lost) continue;
            var rest = record.Length % c.Mss;
            if (rest != 0) slack += c.Mss - rest;
        }
        return slack;
    }

    /// <summary>Takes away what lies before <paramref name="ack"/>.</summary>
    internal void Acknowledge(ref RecoveryState r, SeqNumber ack, ref Delivery d)
    {
        while (r.Head != None)
        {
            ref var record = ref _pool[r.Head];
            var cut = Math.Min((uint)Math.Max(0, ack - record.Seq), record.Length);
            if (cut == 0) return;
            if (!record.IsSacked) d.AddAcknowledged(record, cut);
            Discount(ref r, record, cut);
            if (cut == record.Length)
            {
                RemoveHead(ref r);
                continue;
            }
            record.Seq += cut;
            record.Length -= cut;
            if (record.Has(RecordFlags.PartlyRetransmitted)) ForgetPartialRetransmission(ref r, ref record);
            return;
        }
    }

    /// <summary>Marks [left, right) as SACKed, as far as the budget reaches. Both lie between Snd.Una and Snd.Max.</summary>
    internal void Sack(ref RecoveryState r, SeqNumber left, SeqNumber right, uint mss, ref Delivery d)
    {
        var index = Find(ref r, left, ref d.Budget);
        if (index == None) return;
        // RFC 2018 §3: what only partly lies in the block and cannot be cut stays unSACKed: that errs on the safe side.
        if (_pool[index].Seq != left && !_pool[index].IsSacked)
        {
            // Both edges within one record: no cut at the left that would be in vain.
            var rest = (uint)(_pool[index].End - left);
            if (right.IsBefore(_pool[index].End) && !MayCut((uint)(right - left), rest, mss)) return;
            TrySplit(ref r, index, (uint)(left - _pool[index].Seq), mss);
            index = _pool[index].Next;
        }
        while (index != None && _pool[index].Seq.IsBefore(right))
        {
            ref var record = ref _pool[index];
            if (record.IsSacked)
            {
                Steps++;
                if (--d.Budget < 0) return;
            }
            else
            {
                if (record.End.IsAfter(right) && !TrySplit(ref r, index, (uint)(right - record.Seq), mss)) return;
                index = MarkSacked(ref r, index, ref d);
            }
            SetHint(r, index);
            index = _pool[index].Next;
        }
    }

    /// <summary>RFC 6675 §4 IsLost: marks what has three SACKed runs, or more than two segments of SACKed bytes, above it.</summary>
    internal void MarkLost(ref RecoveryState r, uint mss, ref Delivery d)
    {
        const int dupThresh = 3;
        uint runs = 0, bytes = 0;
        var index = r.TopSacked;
        for (; index != None; index = _pool[index].Previous)
        {
            Steps++;
            if (--d.Budget < 0) return;
            ref var record = ref _pool[index];
            if (!record.IsSacked) continue;
            bytes += record.Length;
            // Adjacent SACKed records are one record, so each is a run of its own.
            if (++runs >= dupThresh || bytes > (dupThresh - 1) * mss) break;
        }
        if (index == None) return;
        // Whatever lies below a lost record is lost already, so each record is passed here once in its life, and SACKed runs between.
        for (index = _pool[index].Previous; index != None; index = _pool[index].Previous)
        {
            ref var record = ref _pool[index];
            if (record.IsSacked) continue;
            if (record.Has(RecordFlags.Lost))
            {
                if (!record.Has(RecordFlags.MtuLost)) return;
                record.Flags &= ~RecordFlags.MtuLost;
                continue;
            }
            if (!record.Has(RecordFlags.InFlightAgain)) SentList.Remove(_pool, ref r, index);
            record.Flags |= RecordFlags.Lost;
            r.LostBytes += record.Length;
            d.LostBytes += record.Length;
            d.Losses.Add(record);
            if (r.RtxNext == None || record.Seq.IsBefore(_pool[r.RtxNext].Seq)) r.RtxNext = index;
        }
    }

    /// <summary>One record in flight is lost, an original or, once more, a retransmission.</summary>
    internal void MarkOneLost(ref RecoveryState r, uint index, ref Delivery d)
    {
        ref var record = ref _pool[index];
        SentList.Remove(_pool, ref r, index);
        if (record.Has(RecordFlags.InFlightAgain))
        {
            r.RetransmittedBytes -= record.Length;
            record.Flags &= ~(RecordFlags.InFlightAgain | RecordFlags.PartlyRetransmitted);
            d.LostRetransmissions++;
        }
        if (!record.Has(RecordFlags.Lost)) r.LostBytes += record.Length;
        record.Flags = (record.Flags | RecordFlags.Lost) & ~RecordFlags.MtuLost;
        d.LostBytes += record.Length;
        d.Losses.Add(record);
        // What goes out again begins at the lowest of these.
        if (r.RtxNext == None || record.Seq.IsBefore(_pool[r.RtxNext].Seq)) r.RtxNext = index;
    }

    /// <summary>
    /// After a time-out: what is not SACKed and was sent until <paramref name="until"/> is lost, retransmissions too, and the first record in
    /// any case; with <paramref name="expunge"/> SACKs are forgotten.
    /// </summary>
    internal void MarkAllLost(ref RecoveryState r, bool expunge, Instant until, ref LossTally losses)
    {
        if (expunge) (r.TopSacked, r.SackedBytes) = (None, 0);
        for (var index = r.Head; index != None; index = _pool[index].Next)
        {
            ref var record = ref _pool[index];
            if (expunge) record.Flags &= ~RecordFlags.Sacked;
            if (record.IsSacked || (record.SentAt > until && index != r.Head)) continue;
            SentList.Remove(_pool, ref r, index);
            if (record.Has(RecordFlags.InFlightAgain)) r.RetransmittedBytes -= record.Length;
            if (!record.Has(RecordFlags.Lost)) r.LostBytes += record.Length;
            if (!record.Has(RecordFlags.Lost) || record.Has(RecordFlags.InFlightAgain)) losses.Add(record);
            record.Flags &= ~(RecordFlags.InFlightAgain | RecordFlags.PartlyRetransmitted | RecordFlags.MtuLost);
            record.Flags |= RecordFlags.Lost;
        }
        r.RtxNext = r.Head;
    }

    /// <summary>The loss was none: what was not sent again since is in flight as before.</summary>
    internal void UnmarkLost(ref RecoveryState r)
    {
        // From the end, so that the list of the sent ends in the order of the sequence.
        for (var index = r.Tail; index != None; index = _pool[index].Previous)
        {
            ref var record = ref _pool[index];
            if (!record.Has(RecordFlags.Lost) || record.Has(RecordFlags.MtuLost)) continue;
            r.LostBytes -= record.Length;
            // What went again is among the sent already, by when it did.
            if (record.Has(RecordFlags.InFlightAgain)) r.RetransmittedBytes -= record.Length;
            else SentList.Prepend(_pool, ref r, index);
            record.Flags &= ~(RecordFlags.Lost | RecordFlags.InFlightAgain | RecordFlags.PartlyRetransmitted);
        }
    }

    /// <summary>RFC 1191 §6.5: what was sent in segments above the new size did not arrive. Whether there was any.</summary>
    internal bool MarkMtuLost(ref RecoveryState r, uint newMss)
    {
        var any = false;
        for (var index = r.Head; index != None; index = _pool[index].Next)
        {
            ref var record = ref _pool[index];
            if (record.IsSacked || record.Length <= newMss) continue;
            any = true;
            if (record.Has(RecordFlags.InFlightAgain)) r.RetransmittedBytes -= record.Length;
            if (!record.Has(RecordFlags.Lost))
            {
                record.Flags |= RecordFlags.Lost | RecordFlags.MtuLost;
                r.LostBytes += record.Length;
            }
            record.Flags &= ~(RecordFlags.InFlightAgain | RecordFlags.PartlyRetransmitted);
            SentList.Remove(_pool, ref r, index);
        }
        if (any) r.RtxNext = r.Head;
        return any;
    }

    /// <summary>Notes that [seq, seq + length) goes out again.</summary>
    /// <param name="r">The connection's state.</param>
    /// <param name="seq">First number.</param>
    /// <param name="length">How much.</param>
    /// <param name="isRescue">RFC 6675 §4 rule (4): HighRxt, and so the pipe, must not be updated.</param>
    /// <param name="stamp">When.</param>
    internal void MarkRetransmitted(ref RecoveryState r, SeqNumber seq, uint length, bool isRescue, in SendStamp stamp)
    {
        var budget = int.MaxValue;
        var index = Find(ref r, seq, ref budget);
        var end = seq + length;
        while (index != None && _pool[index].Seq.IsBefore(end))
        {
            var next = _pool[index].Next;
            if (!_pool[index].IsSacked)
            {
                if (_pool[index].Seq.IsBefore(seq) && TrySplit(ref r, index, (uint)(seq - _pool[index].Seq))) index = _pool[index].Next;
                if (_pool[index].End.IsAfter(end) && !TrySplit(ref r, index, (uint)(end - _pool[index].Seq)))
                    _pool[index].Flags |= RecordFlags.PartlyRetransmitted;
                next = _pool[index].Next;
                MarkOneRetransmitted(ref r, index, isRescue, stamp);
                if (index == r.RtxNext && !isRescue) r.RtxNext = next;
            }
            index = next;
        }
    }

    /// <summary>The record that holds <paramref name="seq"/>, from the nearest of the known places; None when the budget is spent.</summary>
    internal uint Find(ref RecoveryState r, SeqNumber seq, ref int budget)
    {
        var index = Nearest(r, seq);
        while (index != None)
        {
            ref var record = ref _pool[index];
            if (seq - record.Seq >= 0 && seq.IsBefore(record.End)) break;
            Steps++;
            if (--budget < 0)
            {
                // The next ACK goes on from here.
                SetHint(r, index);
                return None;
            }
            index = seq.IsBefore(record.Seq) ? record.Previous : record.Next;
        }
        return index;
    }

    internal void Release(ref RecoveryState r)
    {
        while (r.Head != None) RemoveHead(ref r);
    }

    internal uint HintOf(in RecoveryState r) => r.Episode == None ? None : _pool.Episode(r.Episode).Hint;

    private void SetHint(in RecoveryState r, uint index)
    {
        if (r.Episode != None) _pool.Episode(r.Episode).Hint = index;
    }

    private uint Nearest(in RecoveryState r, SeqNumber seq)
    {
        var best = None;
        var distance = long.MaxValue;
        Consider(HintOf(r));
        Consider(r.TopSacked);
        Consider(r.RtxNext);
        Consider(r.Tail);
        Consider(r.Head);
        return best;

        void Consider(uint index)
        {
            if (index == None) return;
            ref var record = ref _pool[index];
            // Merged records are long: what counts is how far their nearer end is.
            var d = seq.IsBefore(record.Seq) ? record.Seq - seq : Math.Max(0L, seq - record.End);
            if (d >= distance) return;
            (best, distance) = (index, d);
        }
    }

    private uint MarkSacked(ref RecoveryState r, uint index, ref Delivery d)
    {
        ref var record = ref _pool[index];
        d.Add(record, record.Length);
        d.SackedBytes += record.Length;
        Discount(ref r, record, record.Length);
        r.SackedBytes += record.Length;
        SentList.Remove(_pool, ref r, index);
        record.Flags = (record.Flags & (RecordFlags.Retransmitted | RecordFlags.Pushed | RecordFlags.MessageEnd)) | RecordFlags.Sacked;
        if (record.Next != None && _pool[record.Next].IsSacked) Merge(ref r, index);
        if (record.Previous != None && _pool[record.Previous].IsSacked)
        {
            index = record.Previous;
            Merge(ref r, index);
        }
        if (r.TopSacked == None || _pool[index].Seq.IsAfter(_pool[r.TopSacked].Seq)) r.TopSacked = index;
        return index;
    }

    // Takes the next record into this one; both are SACKed.
    private void Merge(ref RecoveryState r, uint index)
    {
        ref var record = ref _pool[index];
        var gone = record.Next;
        ref var other = ref _pool[gone];
        record.Length += other.Length;
        record.Flags |= other.Flags & RecordFlags.Retransmitted;
        record.SentAt = Instant.Max(record.SentAt, other.SentAt);
        record.Transmissions = Math.Max(record.Transmissions, other.Transmissions);
        record.Next = other.Next;
        if (other.Next != None) _pool[other.Next].Previous = index;
        if (r.Tail == gone) r.Tail = index;
        if (HintOf(r) == gone) SetHint(r, index);
        if (r.TopSacked == gone) r.TopSacked = index;
        if (r.RtxNext == gone) r.RtxNext = index;
        _pool.Return(gone);
    }

    // Segments end at multiples of Mss from a record's start, or middleboxes have cut them anew. A peer that reports crumbs gets none:
    // each would cost a record.
    private static bool MayCut(uint offset, uint length, uint mss) =>
        offset % mss == 0 || (offset >= mss / 2 && length - offset >= mss / 2);

    private bool TrySplit(ref RecoveryState r, uint index, uint offset, uint mss) =>
        MayCut(offset, _pool[index].Length, mss) && TrySplit(ref r, index, offset);

    private bool TrySplit(ref RecoveryState r, uint index, uint offset)
    {
        if (!_pool.TryRent(out var rest)) return false;
        ref var record = ref _pool[index];
        ref var other = ref _pool[rest];
        other = record;
        other.Seq += offset;
        other.Length -= offset;
        other.Previous = index;
        record.Length = offset;
        record.Flags &= ~(RecordFlags.Pushed | RecordFlags.MessageEnd);
        record.Next = rest;
        if (other.Next != None) _pool[other.Next].Previous = rest;
        else r.Tail = rest;
        if (record.Has(RecordFlags.InSentList)) SentList.InsertAfter(_pool, index, rest);
        return true;
    }

    private void MarkOneRetransmitted(ref RecoveryState r, uint index, bool isRescue, in SendStamp stamp)
    {
        ref var record = ref _pool[index];
        record.Flags |= RecordFlags.Retransmitted;
        if (record.Transmissions < byte.MaxValue) record.Transmissions++;
        Stamp(ref record, r, stamp);
        SentList.Append(_pool, ref r, index);
        if (isRescue || record.Has(RecordFlags.InFlightAgain)) return;
        record.Flags |= RecordFlags.InFlightAgain;
        r.RetransmittedBytes += record.Length;
    }

    private static void Stamp(ref TransmissionRecord record, in RecoveryState r, in SendStamp stamp)
    {
        (record.SentAt, record.TxInFlight, record.Lost) = (stamp.At, stamp.TxInFlight, stamp.Lost);
        record.Delivered = r.Delivered;
        record.DeliveredAt = r.DeliveredAt;
        record.FirstSentAt = r.FirstSentAt;
        record.Flags &= ~RecordFlags.AppLimited;
        if (r.AppLimitedUntil != 0) record.Flags |= RecordFlags.AppLimited;
    }

    private static bool CanExtend(in TransmissionRecord record) =>
        !record.Has(RecordFlags.Sacked | RecordFlags.Lost | RecordFlags.InFlightAgain | RecordFlags.Retransmitted);

    // The front of the rest is what goes out next: there is no better knowledge without a record for it.
    private void ForgetPartialRetransmission(ref RecoveryState r, ref TransmissionRecord record)
    {
        if (record.Has(RecordFlags.InFlightAgain)) r.RetransmittedBytes -= record.Length;
        record.Flags &= ~(RecordFlags.PartlyRetransmitted | RecordFlags.InFlightAgain);
        if (record.Has(RecordFlags.Lost)) SentList.Remove(_pool, ref r, r.Head);
        r.RtxNext = r.Head;
    }

    private static void Discount(ref RecoveryState r, in TransmissionRecord record, uint bytes)
    {
        if (record.IsSacked) r.SackedBytes -= bytes;
        if (record.Has(RecordFlags.Lost)) r.LostBytes -= bytes;
        if (record.Has(RecordFlags.InFlightAgain)) r.RetransmittedBytes -= bytes;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private void RemoveHead(ref RecoveryState r)
    {
        var index = r.Head;
        var next = _pool[index].Next;
        SentList.Remove(_pool, ref r, index);
        r.Head = next;
        if (next == None) r.Tail = None;
        else _pool[next].Previous = None;
        if (r.RtxNext == index) r.RtxNext = next;
        if (HintOf(r) == index) SetHint(r, next);
        if (r.TopSacked == index) r.TopSacked = None;
        _pool.Return(index);
    }
}
