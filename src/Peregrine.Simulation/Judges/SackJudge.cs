// The SACK blocks of a segment that leaves: each lies within what is held beyond the gap (RFC 2018 §3); the first may be a duplicate
// (RFC 2883 §4), which lies within what has been received, or was until memory ran out (RFC 2018 §8).
using Peregrine.Core.Tcp;
using Peregrine.Wire;

namespace Peregrine.Simulation.Judges;

internal static class SackJudge
{
    /// <summary>The first block that says more than is held, or null.</summary>
    public static SackBlock? Check(TcpContext x, TcbRef t, in SegmentView view)
    {
        if (view.HeaderLength == TcpHeader.Length || !TcpOptions.Parse(view.Options, isSyn: false, out var options)) return null;
        var isFirst = true;
        foreach (var block in options.SackBlocks)
        {
            var isDuplicate = isFirst && (block.Right.IsBeforeOrEqual(t.C.Rcv.Nxt) || x.Counters.PrunedBytes > 0);
            isFirst = false;
            if (!isDuplicate && !IsHeld(x, t, block)) return block;
        }
        return null;
    }

    private static bool IsHeld(TcpContext x, TcbRef t, in SackBlock block)
    {
        // A FIN that waits is held, alone or behind data (RFC 9293 §3.4).
        var hasFin = (t.C.Flags & TcbFlags.FinWaiting) != 0;
        if (hasFin && block.Left == t.K.FinSeq && block.Right == t.K.FinSeq + 1) return true;
        if (!t.K.OutOfOrder.HasIntervals) return false;
        var intervals = x.OutOfOrder.View(t.K.OutOfOrder);
        for (var i = 0; i < intervals.Count; i++)
        {
            ref var held = ref intervals.At(i);
            if (block.Left.IsAfterOrEqual(held.Start) && block.Right.IsBeforeOrEqual(hasFin && held.End == t.K.FinSeq ? held.End + 1 : held.End)) return true;
        }
        return false;
    }
}
