// Connections that could queue nothing because the stack's blocks were used up by others. Their own acknowledgments will not wake them,
// so they wait here until blocks come back. A connection is in the queue once at most.
using Peregrine.Core.Memory;

namespace Peregrine.Core.Tcp;

internal sealed class TcpBlockWaiters
{
    private readonly Queue<TcpHandle> _waiting = new();

    internal bool IsEmpty => _waiting.Count == 0;

    internal void Add(TcbTable tcbs, TcbRef t)
    {
        if ((t.C.Flags & TcbFlags.WaitsForBlocks) != 0) return;
        t.C.Flags |= TcbFlags.WaitsForBlocks;
        _waiting.Enqueue(tcbs.HandleOf(t));
    }

    /// <summary>Tells as many waiters as there are free blocks for, a few blocks each.</summary>
    internal void Wake(TcpContext x)
    {
        for (var grants = (x.Blocks.FreeCount - BlockPressure.ReceiveReserve(x.Blocks)) / 4; grants > 0 && _waiting.TryDequeue(out var handle); grants--)
        {
            if (!x.Tcbs.IsLive(handle)) continue;
            var t = x.Tcbs.Get(handle.Index);
            t.C.Flags &= ~TcbFlags.WaitsForBlocks;
            if ((t.C.Flags & TcbFlags.WantWritable) == 0) continue;
            t.C.Flags &= ~TcbFlags.WantWritable;
            x.Raise(t, TcpEvents.Writable);
        }
    }
}
