// What became of a segment that arrived beyond a gap. A value; counting it is the caller's.
using Peregrine.Wire;

namespace Peregrine.Core.Tcp.Queues;

/// <summary>Why bytes of a segment were not kept.</summary>
internal enum OutOfOrderRefusal : byte
{
    /// <summary>All that was new is kept.</summary>
    None,

    /// <summary>The pool has no free block.</summary>
    NoBlock,

    /// <summary>There are as many intervals as may be.</summary>
    TooManyIntervals,

    /// <summary>The blocks held are too empty for one more interval.</summary>
    TooSparse,
}

/// <summary>The result of <see cref="OutOfOrderQueue.Insert"/>.</summary>
internal struct OutOfOrderResult
{
    /// <summary>Bytes kept that were not there before.</summary>
    internal int Stored;

    /// <summary>Every byte of the segment was there already, or before Rcv.Nxt.</summary>
    internal bool IsDuplicate;

    /// <summary>Why something new was not kept.</summary>
    internal OutOfOrderRefusal Refusal;

    /// <summary>The first run of bytes that had been received before, empty if there is none: what a D-SACK block reports (RFC 2883 §4).</summary>
    internal SeqNumber DuplicateStart, DuplicateEnd;

    /// <summary>Whether some part was a duplicate.</summary>
    internal readonly bool HasDuplicate => DuplicateStart != DuplicateEnd;
}
