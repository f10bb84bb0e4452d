// The queues' parts of a TCB: where a connection's data lie in the block pool. Not the queues themselves, which belong to the stack and
// hold no data of any one connection. A zeroed state is an empty queue that holds no block; no field has a meaning while the queue is empty.
using System.Runtime.InteropServices;

namespace Peregrine.Core.Tcp.Queues;

/// <summary>Bytes that wait for their acknowledgement: 28 bytes, in the hot part.</summary>
[StructLayout(LayoutKind.Sequential, Pack = 4)]
internal struct SendQueueState
{
    /// <summary>First and last block; a block's note has its position in the stream (Tag), its first byte (Start) and its count (Length).</summary>
    internal uint Head, Tail;

    /// <summary>Bytes queued. Zero: no block is held but perhaps the reserved one.</summary>
    internal uint Length;

    /// <summary>The block where the farthest copy ended: where new data goes on.</summary>
    internal uint ForwardBlock;

    /// <summary>The block where the last copy from before that ended: where retransmission goes on.</summary>
    internal uint BackwardBlock;

    /// <summary>The block with reserved room, while <see cref="ReservedLength"/> is not zero.</summary>
    internal uint ReservedBlock;

    /// <summary>Where the reserved room begins, and its length in bytes.</summary>
    internal ushort ReservedStart, ReservedLength;
}

/// <summary>Bytes received in order that the application has not read: 16 bytes, in the hot part.</summary>
[StructLayout(LayoutKind.Sequential, Pack = 4)]
internal struct ReceiveQueueState
{
    /// <summary>First and last block.</summary>
    internal uint Head, Tail;

    /// <summary>Bytes queued. Zero: no block is held.</summary>
    internal uint Length;

    /// <summary>Bytes consumed so far, modulo 2³²: by it a read cursor sees that it is out of date.</summary>
    internal uint Consumed;
}

/// <summary>Bytes received beyond a gap: 4 bytes, in the cold part. The rest lies in the block, as most connections never have a gap.</summary>
[StructLayout(LayoutKind.Sequential, Pack = 4)]
internal struct OutOfOrderState
{
    private uint _block;

    /// <summary>Whether anything is held: then there is a block with the array of intervals.</summary>
    internal readonly bool HasIntervals => _block != 0;

    /// <summary>The block with the array of intervals, while there is one. Kept as one more, so that a zeroed state is an empty queue.</summary>
    internal uint Intervals
    {
        readonly get => _block - 1;
        set => _block = value + 1;
    }
}

/// <summary>What stands before the array in the block of intervals: sums over all of them, and the ends of its lists.</summary>
[StructLayout(LayoutKind.Sequential, Pack = 4)]
internal struct OutOfOrderHeader
{
    /// <summary>Bytes held.</summary>
    internal uint BytesHeld;

    /// <summary>Blocks of data held, without the one of the array.</summary>
    internal uint BlocksHeld;

    /// <summary>Intervals.</summary>
    internal byte IntervalCount;

    /// <summary>The slot of the interval that most recently got a segment: the head of the list in order of recency.</summary>
    internal byte Recent;

    /// <summary>The head of the list of slots that were used and are free.</summary>
    internal byte FreeSlot;

    /// <summary>Slots that were ever used since the array was rented.</summary>
    internal byte SlotsUsed;

    /// <summary>Intervals that are shorter than an eighth of a block.</summary>
    internal byte SparseCount;

    /// <summary>The slot before which, in order of recency, a FIN that is held alone came; none where it came before all of them.</summary>
    internal byte FinBefore;
}
