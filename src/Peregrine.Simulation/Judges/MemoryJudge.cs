// Where every block is: in one connection's queue, held by a test, or free. Walks all queues now and then.
using Peregrine.Core.Memory;
using Peregrine.Simulation.Hosts;

namespace Peregrine.Simulation.Judges;

internal sealed class MemoryJudge(SimulatedHost host)
{
    private readonly int[] _seen = new int[host.Stack.Tcp.Blocks.Count];
    private readonly Core.NetworkStack _stack = host.Stack;
    private int _walk;

    public void Walk()
    {
        host.World.Judged.MemoryWalks++;
        _walk++;
        var x = _stack.Tcp.Context;
        long count = host.HeldBlocks.Count;
        foreach (var block in host.HeldBlocks) See(block, "held by the test");
        for (uint slot = 0; slot < x.Tcbs.UsedSlots; slot++)
        {
            var t = x.Tcbs.Get(slot);
            ref var c = ref t.C;
            if (c.SendQueue.Length > 0) count += SeeChain(c.SendQueue.Head, slot, "send queue");
            if (c.SendQueue.ReservedLength > 0 && _seen[c.SendQueue.ReservedBlock] != _walk) count++;
            if (c.ReceiveQueue.Length > 0) count += SeeChain(c.ReceiveQueue.Head, slot, "receive queue");
            if (t.K.OutOfOrder.HasIntervals) count += x.OutOfOrder.View(t.K.OutOfOrder).Header.BlocksHeld + 1;
            if (!x.SendQueue.Check(c.SendQueue)) throw Failure($"connection {slot}: its send queue does not hang together");
            if (!x.ReceiveQueue.Check(c.ReceiveQueue)) throw Failure($"connection {slot}: its receive queue does not hang together");
            if (!x.OutOfOrder.Check(ref t.K.OutOfOrder)) throw Failure($"connection {slot}: its out-of-order queue does not hang together");
        }
        var rented = _stack.Tcp.Blocks.Count - _stack.Tcp.Blocks.FreeCount;
        // Datagrams that wait for their reader hold the rest.
        var isExact = _stack.Udp.Counters.Received == 0;
        if (count > rented || (isExact && count != rented)) throw Failure($"{rented} blocks are rented and {count} are in queues");
    }

    private int SeeChain(uint block, uint slot, string what)
    {
        var count = 0;
        for (; block != ChunkPool.None; block = _stack.Tcp.Blocks.Note(block).Next)
        {
            See(block, $"connection {slot}'s {what}");
            count++;
        }
        return count;
    }

    private void See(uint block, string where)
    {
        if (!_stack.Tcp.Blocks.IsRented(block)) throw Failure($"block {block} is free and yet in {where}");
        if (_seen[block] == _walk) throw Failure($"block {block} is in two places, one of them {where}");
        _seen[block] = _walk;
    }

    private SimulationFailureException Failure(string what) => host.World.Failure("one place a block", host.Name, what);
}
