// Bytes received beyond a gap: sorted disjoint intervals a connection, each a dense chain of blocks, which move to the receive queue as they
// are once the gap is filled. What is there wins over what comes later. Not the window check, and a FIN beyond a gap is not kept here.
//
// What a hostile peer can make it hold: with n bytes held in blocks of size c, at most 2n/c blocks and one more for each interval; of
// intervals shorter than c/8 there are never more than SparseCountMax, and never more than the given number of intervals in all.
using System.Runtime.CompilerServices;
using Peregrine.Core.Memory;
using Peregrine.Wire;

namespace Peregrine.Core.Tcp.Queues;

/// <summary>The out-of-order queues of a stack's connections; holds no data of its own.</summary>
internal sealed unsafe class OutOfOrderQueue
{
    /// <summary>Intervals of less than an eighth of a block that a connection may have.</summary>
    internal const int SparseCountMax = 32;

    private readonly ChunkPool _blocks;
    private readonly ChunkPool _frameChunks;
    private readonly int _capacity;
    private readonly uint _sparseLength;

    /// <summary>Queues over the blocks of one pool, fed from the frames of another.</summary>
    /// <param name="blocks">Where data and arrays of intervals lie.</param>
    /// <param name="frames">Where frames lie.</param>
    /// <param name="intervalCountMax">Intervals a connection: 1 to what fits a block (162 of 4 KiB).</param>
    internal OutOfOrderQueue(ChunkPool blocks, FramePool frames, int intervalCountMax = 128)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(blocks.ChunkSize, 32_768, nameof(blocks));
        ArgumentOutOfRangeException.ThrowIfLessThan(intervalCountMax, 1);
        _blocks = blocks;
        _frameChunks = frames.Chunks;
        _capacity = Math.Min(intervalCountMax, IntervalArray.CapacityFor(blocks.ChunkSize));
        _sparseLength = (uint)blocks.ChunkSize / 8;
    }

    /// <summary>Intervals that a connection may have.</summary>
    internal int IntervalCountMax => _capacity;

    /// <summary>Bytes held beyond gaps.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal uint BytesHeld(in OutOfOrderState o) => o.HasIntervals ? View(in o).Header.BytesHeld : 0;

    /// <summary>Keeps those bytes of a segment that are not there yet.</summary>
    /// <param name="o">The connection's state. <see cref="Deliver"/> has been called since Rcv.Nxt last moved.</param>
    /// <param name="rcvNxt">RCV.NXT: what lies before it is a duplicate.</param>
    /// <param name="seq">The payload's first sequence number, within 2³⁰ of <paramref name="rcvNxt"/>.</param>
    /// <param name="frame">Stays the caller's.</param>
    /// <param name="payloadOffset">From the frame's first byte.</param>
    /// <param name="length">Bytes of payload, cut to the receive window by the caller.</param>
    internal OutOfOrderResult Insert(ref OutOfOrderState o, SeqNumber rcvNxt, SeqNumber seq, in Frame frame, int payloadOffset, int length)
    {
        var result = default(OutOfOrderResult);
        if (length <= 0) return result;
        var reader = new PayloadReader(_frameChunks, in frame, payloadOffset, length);
        var end = seq + (uint)length;
        if (seq.IsBefore(rcvNxt)) SkipDuplicate(ref reader, ref seq, SeqNumber.Min(end, rcvNxt), ref result);
        if (seq != end)
        {
            if (!o.HasIntervals && !TryOpenArray(ref o)) result.Refusal = OutOfOrderRefusal.NoBlock;
            else InsertParts(ref o, seq, end, ref reader, ref result);
        }
        result.IsDuplicate = result.Stored == 0 && result.Refusal == OutOfOrderRefusal.None;
        return result;
    }

    /// <summary>
    /// After RCV.NXT has advanced: hands what is now in order to the receive queue, drops what is now behind, and advances RCV.NXT.
    /// </summary>
    /// <returns>Bytes handed over.</returns>
    internal int Deliver(ref OutOfOrderState o, ref ReceiveQueueState q, ReceiveQueue queue, ref SeqNumber rcvNxt)
    {
        if (!o.HasIntervals) return 0;
        var moved = 0u;
        var intervals = View(in o);
        while (intervals.Count > 0 && intervals.At(0).Start.IsBeforeOrEqual(rcvNxt))
        {
            ref var first = ref intervals.At(0);
            if (first.End.IsBeforeOrEqual(rcvNxt))
            {
                Drop(intervals, 0);
                continue;
            }
            Forget(ref intervals.Header, in first);
            // What has come in order meanwhile is in the queue already and is not replaced.
            if (first.Start != rcvNxt) BlockChain.CutFront(_blocks, ref first.Head, ref first.Tail, rcvNxt.Value - first.Start.Value);
            var length = first.End.Value - rcvNxt.Value;
            queue.Splice(ref q, first.Head, first.Tail, length);
            rcvNxt = first.End;
            moved += length;
            intervals.RemoveAt(0);
        }
        if (intervals.Count == 0) CloseArray(ref o);
        return (int)moved;
    }

    /// <summary>Whether the octet at a sequence number is held.</summary>
    internal bool Holds(in OutOfOrderState o, SeqNumber seq)
    {
        if (!o.HasIntervals) return false;
        var intervals = View(in o);
        var at = intervals.FindStart(seq);
        return at >= 0 && seq.IsBefore(intervals.At(at).End);
    }

    /// <summary>A FIN at a sequence number came last: the interval before it has, or it stands alone.</summary>
    internal void NoteFin(in OutOfOrderState o, SeqNumber fin)
    {
        if (!o.HasIntervals) return;
        var intervals = View(in o);
        if (Holds(o, fin - 1)) intervals.Touch(intervals.SlotAt(intervals.FindStart(fin - 1)));
        else intervals.Header.FinBefore = intervals.Header.Recent;
    }

    /// <summary>Writes SACK blocks, as many as there are and fit; returns how many.</summary>
    internal int WriteSackBlocks(ref OutOfOrderState o, Span<SackBlock> sackBlocks) => WriteSackBlocks(ref o, sackBlocks, out _);

    /// <summary>The same, and before which of them a FIN alone has its place.</summary>
    internal int WriteSackBlocks(ref OutOfOrderState o, Span<SackBlock> sackBlocks, out int finPlace)
    {
        finPlace = 0;
        if (!o.HasIntervals) return 0;
        var intervals = View(in o);
        var count = 0;
        // RFC 2018 §4: first the block with the segment that came last, then those most recently reported first. As each segment beyond
        // a gap is acknowledged at once, "came" and "was reported" are the same order.
        finPlace = sackBlocks.Length;
        for (var slot = intervals.Header.Recent; slot != IntervalArray.None && count < sackBlocks.Length; slot = intervals.Slot(slot).Older)
        {
            if (slot == intervals.Header.FinBefore) finPlace = count;
            sackBlocks[count++] = new SackBlock(intervals.Slot(slot).Start, intervals.Slot(slot).End);
        }
        finPlace = Math.Min(finPlace, count);
        return count;
    }

    /// <summary>
    /// Under memory pressure: drops whole intervals, the highest first, until no more than so many bytes are held. RFC 2018 §8 allows it
    /// although they were reported; the caller counts it.
    /// </summary>
    /// <returns>Bytes dropped.</returns>
    internal int PruneTo(ref OutOfOrderState o, uint bytesMax)
    {
        if (!o.HasIntervals) return 0;
        var intervals = View(in o);
        ref var header = ref intervals.Header;
        var before = header.BytesHeld;
        while (intervals.Count > 0 && header.BytesHeld > bytesMax) Drop(intervals, intervals.Count - 1);
        var dropped = (int)(before - header.BytesHeld);
        if (intervals.Count == 0) CloseArray(ref o);
        return dropped;
    }

    /// <summary>Gives all blocks back.</summary>
    internal void Release(ref OutOfOrderState o)
    {
        if (!o.HasIntervals) return;
        var intervals = View(in o);
        while (intervals.Count > 0) Drop(intervals, intervals.Count - 1);
        CloseArray(ref o);
    }

    /// <summary>Whether everything hangs together and the bounds hold: for checkers and tests.</summary>
    internal bool Check(ref OutOfOrderState o)
    {
        if (!o.HasIntervals) return true;
        if (!_blocks.IsRented(o.Intervals)) return false;
        var intervals = View(in o);
        if (intervals.Count == 0 || intervals.Count > _capacity || !intervals.Check()) return false;
        var (bytes, held, sparse) = (0u, 0u, 0);
        for (var i = 0; i < intervals.Count; i++)
        {
            ref var interval = ref intervals.At(i);
            if (!BlockChain.Check(_blocks, interval.Head, interval.Tail, isRead: false, out var length, out var count)) return false;
            if (length != interval.Length || count != interval.Blocks) return false;
            bytes += length;
            held += count;
            if (length < _sparseLength) sparse++;
        }
        ref var header = ref intervals.Header;
        return bytes == header.BytesHeld && held == header.BlocksHeld && sparse == header.SparseCount && sparse <= SparseCountMax;
    }

    /// <summary>The array of intervals, while there is one.</summary>
    internal IntervalArray View(in OutOfOrderState o) => new(_blocks.Address(o.Intervals), _capacity);

    private bool TryOpenArray(ref OutOfOrderState o)
    {
        if (!_blocks.TryRent(out var block)) return false;
        o.Intervals = block;
        View(in o).Header = new OutOfOrderHeader { Recent = IntervalArray.None, FreeSlot = IntervalArray.None, FinBefore = IntervalArray.None };
        return true;
    }

    private void CloseArray(ref OutOfOrderState o)
    {
        _blocks.Return(o.Intervals);
        o = default;
    }

    private void InsertParts(ref OutOfOrderState o, SeqNumber seq, SeqNumber end, ref PayloadReader reader, ref OutOfOrderResult result)
    {
        var intervals = View(in o);
        var at = intervals.FindStart(seq);
        var touched = IntervalArray.None;
        while (seq != end)
        {
            if (at >= 0 && seq.IsBefore(intervals.At(at).End))
            {
                SkipDuplicate(ref reader, ref seq, SeqNumber.Min(end, intervals.At(at).End), ref result);
                touched = intervals.SlotAt(at);
                continue;
            }
            var gapEnd = at + 1 < intervals.Count ? SeqNumber.Min(end, intervals.At(at + 1).Start) : end;
            var want = gapEnd - seq;
            var stored = at >= 0 && intervals.At(at).End == seq
                ? Extend(intervals, at, want, ref reader)
                : Open(intervals, ref at, seq, want, ref reader, ref result.Refusal);
            result.Stored += stored;
            if (stored > 0) touched = intervals.SlotAt(at);
            if (stored < want)
            {
                if (result.Refusal == OutOfOrderRefusal.None) result.Refusal = OutOfOrderRefusal.NoBlock;
                break;
            }
            seq = gapEnd;
        }
        // RFC 2018 §4: "the contiguous block of data containing the segment which triggered this ACK" comes first, duplicates included.
        if (touched != IntervalArray.None) intervals.Touch(touched);
        if (intervals.Count == 0) CloseArray(ref o);
    }

    /// <summary>Appends to an interval, at its last block, and joins the next one if the gap between is closed.</summary>
    private int Extend(scoped IntervalArray intervals, int at, int want, ref PayloadReader reader)
    {
        ref var header = ref intervals.Header;
        ref var interval = ref intervals.At(at);
        Forget(ref header, in interval);
        var stored = Fill(ref interval, want, ref reader);
        if (at + 1 < intervals.Count && interval.End == intervals.At(at + 1).Start)
        {
            ref var next = ref intervals.At(at + 1);
            Forget(ref header, in next);
            JoinNext(ref interval, in next);
            intervals.RemoveAt(at + 1);
        }
        Remember(ref header, in interval);
        return stored;
    }

    /// <summary>Stores bytes that do not continue the interval at the place: as a new one behind it, or as the front of the next.</summary>
    private int Open(scoped IntervalArray intervals, ref int at, SeqNumber seq, int want, ref PayloadReader reader, ref OutOfOrderRefusal refusal)
    {
        ref var header = ref intervals.Header;
        var joins = at + 1 < intervals.Count && intervals.At(at + 1).Start == seq + (uint)want;
        if (!joins) refusal = MayOpen(in header, (uint)want);
        if (refusal != OutOfOrderRefusal.None) return 0;
        var interval = new Interval { Start = seq, End = seq };
        var stored = Fill(ref interval, want, ref reader);
        if (stored == 0) return 0;
        at++;
        if (joins && stored == want)
        {
            ref var next = ref intervals.At(at);
            Forget(ref header, in next);
            JoinNext(ref interval, in next);
            (interval.Newer, interval.Older) = (next.Newer, next.Older);
            next = interval;
        }
        else
        {
            // The pool ran dry in the middle of it: what became of the part may be one interval or one small one too many.
            if (stored < want && MayOpen(in header, (uint)stored) != OutOfOrderRefusal.None)
            {
                _blocks.ReturnChain(interval.Head);
                at--;
                return 0;
            }
            intervals.InsertAt(at, in interval);
        }
        Remember(ref header, in interval);
        return stored;
    }

    private OutOfOrderRefusal MayOpen(in OutOfOrderHeader header, uint length)
    {
        if (header.IntervalCount >= _capacity) return OutOfOrderRefusal.TooManyIntervals;
        return length < _sparseLength && header.SparseCount >= SparseCountMax ? OutOfOrderRefusal.TooSparse : OutOfOrderRefusal.None;
    }

    /// <summary>Copies bytes behind an interval's last ones; returns how many, fewer when the pool is empty.</summary>
    private int Fill(ref Interval interval, int want, ref PayloadReader reader)
    {
        var stored = 0;
        while (stored < want && reader.HasMore())
        {
            var end = 0;
            if (interval.Blocks != 0)
            {
                ref var last = ref _blocks.Note(interval.Tail);
                end = last.Start + last.Length;
            }
            if (interval.Blocks == 0 || end == _blocks.ChunkSize)
            {
                if (!_blocks.TryRent(out var block)) break;
                if (interval.Blocks == 0) interval.Head = block;
                else _blocks.Note(interval.Tail).Next = block;
                interval.Tail = block;
                interval.Blocks++;
                end = 0;
            }
            var n = reader.Read(_blocks.Address(interval.Tail) + end, Math.Min(want - stored, _blocks.ChunkSize - end));
            _blocks.Note(interval.Tail).Length += (ushort)n;
            stored += n;
        }
        interval.End += (uint)stored;
        return stored;
    }

    private void JoinNext(ref Interval interval, in Interval next)
    {
        var freed = BlockChain.Join(_blocks, ref interval.Tail, next.Head, next.Tail);
        interval.Blocks += next.Blocks - (freed ? 1u : 0u);
        interval.End = next.End;
    }

    private void Drop(scoped IntervalArray intervals, int index)
    {
        ref var interval = ref intervals.At(index);
        Forget(ref intervals.Header, in interval);
        _blocks.ReturnChain(interval.Head);
        intervals.RemoveAt(index);
    }

    // The sums over all intervals: an interval is taken out of them before it changes and put in again after.
    private void Forget(ref OutOfOrderHeader header, in Interval interval)
    {
        header.BytesHeld -= interval.Length;
        header.BlocksHeld -= interval.Blocks;
        if (interval.Length < _sparseLength) header.SparseCount--;
    }

    private void Remember(ref OutOfOrderHeader header, in Interval interval)
    {
        header.BytesHeld += interval.Length;
        header.BlocksHeld += interval.Blocks;
        if (interval.Length < _sparseLength) header.SparseCount++;
    }

    private static void SkipDuplicate(ref PayloadReader reader, ref SeqNumber seq, SeqNumber end, ref OutOfOrderResult result)
    {
        if (!result.HasDuplicate) (result.DuplicateStart, result.DuplicateEnd) = (seq, end);
        reader.Skip(end - seq);
        seq = end;
    }
}
