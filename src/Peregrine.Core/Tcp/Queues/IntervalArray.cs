// The array of a connection's out-of-order intervals, laid into one block: slots that never move, an order of slot numbers by sequence
// (so that an insertion moves bytes, not records), and a doubly linked list by recency, for SACK. Holds no data and frees no block.
using System.Diagnostics;
using System.Runtime.InteropServices;
using Peregrine.Wire;

namespace Peregrine.Core.Tcp.Queues;

/// <summary>A contiguous run of received bytes beyond a gap, in a chain of blocks.</summary>
[StructLayout(LayoutKind.Sequential, Pack = 4)]
internal struct Interval
{
    internal SeqNumber Start, End;
    internal uint Head, Tail, Blocks;
    internal byte Newer, Older;

    internal readonly uint Length => End.Value - Start.Value;
}

/// <summary>A view of the array while one call works on it.</summary>
internal unsafe readonly ref struct IntervalArray
{
    /// <summary>No slot.</summary>
    internal const byte None = byte.MaxValue;

    private readonly ref OutOfOrderHeader _state;
    private readonly Interval* _slots;
    private readonly byte* _order;

    /// <summary>The array that lies in a block.</summary>
    /// <param name="block">The block's first byte: the header, the records, then the order.</param>
    /// <param name="capacity">Slots.</param>
    internal IntervalArray(byte* block, int capacity)
    {
        _state = ref *(OutOfOrderHeader*)block;
        _slots = (Interval*)(block + sizeof(OutOfOrderHeader));
        _order = (byte*)(_slots + capacity);
    }

    /// <summary>The header.</summary>
    internal ref OutOfOrderHeader Header => ref _state;

    /// <summary>Intervals.</summary>
    internal int Count => _state.IntervalCount;

    /// <summary>The intervals that fit a block of a size, at most.</summary>
    internal static int CapacityFor(int blockSize) => Math.Min(None - 1, (blockSize - sizeof(OutOfOrderHeader)) / (sizeof(Interval) + 1));

    /// <summary>The interval at a place in order of sequence.</summary>
    internal ref Interval At(int index)
    {
        Debug.Assert((uint)index < _state.IntervalCount);
        return ref _slots[_order[index]];
    }

    /// <summary>The interval of a slot.</summary>
    internal ref Interval Slot(byte slot) => ref _slots[slot];

    /// <summary>The slot at a place in order of sequence.</summary>
    internal byte SlotAt(int index) => _order[index];

    /// <summary>The last interval that starts at or before a sequence number, or -1.</summary>
    internal int FindStart(SeqNumber seq)
    {
        // The newest data usually extends the highest interval.
        var (low, high) = (0, (int)_state.IntervalCount);
        if (high > 0 && At(high - 1).Start.IsBeforeOrEqual(seq)) return high - 1;
        while (low < high)
        {
            var middle = (low + high) >> 1;
            if (At(middle).Start.IsBeforeOrEqual(seq)) low = middle + 1;
            else high = middle;
        }
        return low - 1;
    }

    /// <summary>Puts an interval at a place; it becomes the most recent one.</summary>
    internal void InsertAt(int index, in Interval interval)
    {
        byte slot;
        if (_state.FreeSlot != None)
        {
            slot = _state.FreeSlot;
            _state.FreeSlot = _slots[slot].Older;
        }
        else
        {
            slot = _state.SlotsUsed++;
        }
        var moved = _state.IntervalCount - index;
        Buffer.MemoryCopy(_order + index, _order + index + 1, moved, moved);
        _order[index] = slot;
        _state.IntervalCount++;
        _slots[slot] = interval;
        LinkAsRecent(slot);
    }

    /// <summary>Takes an interval out; its blocks are the caller's.</summary>
    internal void RemoveAt(int index)
    {
        var slot = _order[index];
        Unlink(slot);
        _slots[slot].Older = _state.FreeSlot;
        _state.FreeSlot = slot;
        _state.IntervalCount--;
        var moved = _state.IntervalCount - index;
        Buffer.MemoryCopy(_order + index + 1, _order + index, moved, moved);
    }

    /// <summary>Notes that an interval has the most recently received segment.</summary>
    internal void Touch(byte slot)
    {
        if (_state.Recent == slot)
        {
            PassFin(slot);
            return;
        }
        Unlink(slot);
        LinkAsRecent(slot);
    }

    /// <summary>Whether order, slots and the list by recency agree: for checkers.</summary>
    internal bool Check()
    {
        var listed = 0;
        byte newer = None;
        var isFinListed = _state.FinBefore == None;
        for (var slot = _state.Recent; slot != None; newer = slot, slot = _slots[slot].Older)
        {
            isFinListed |= slot == _state.FinBefore;
            if (slot >= _state.SlotsUsed || ++listed > Count || _slots[slot].Newer != newer) return false;
        }
        var free = 0;
        for (var slot = _state.FreeSlot; slot != None; slot = _slots[slot].Older)
        {
            if (slot >= _state.SlotsUsed || ++free > _state.SlotsUsed) return false;
        }
        for (var i = 1; i < Count; i++)
        {
            // A gap lies between any two: touching ones would have been joined.
            if (!At(i - 1).End.IsBefore(At(i).Start)) return false;
        }
        return isFinListed && listed == Count && free + Count == _state.SlotsUsed;
    }

    private void LinkAsRecent(byte slot)
    {
        ref var interval = ref _slots[slot];
        interval.Newer = None;
        interval.Older = _state.Recent;
        if (_state.Recent != None) _slots[_state.Recent].Newer = slot;
        _state.Recent = slot;
    }

    // What came after the FIN, or went, has no FIN before it any more.
    private void PassFin(byte slot)
    {
        if (_state.FinBefore == slot) _state.FinBefore = _slots[slot].Older;
    }

    private void Unlink(byte slot)
    {
        PassFin(slot);
        ref var interval = ref _slots[slot];
        if (interval.Newer != None) _slots[interval.Newer].Older = interval.Older;
        else _state.Recent = interval.Older;
        if (interval.Older != None) _slots[interval.Older].Newer = interval.Newer;
    }
}
