// One connection's receiving side, as the state machine drives it: in order to the receive queue, the rest to the out-of-order queue.
using Peregrine.Core.Tcp.Queues;
using Peregrine.Wire;

namespace Peregrine.Core.Tests.Tcp.Queues;

internal sealed class OutOfOrderWorld(QueueMemory memory, int intervalCountMax = 128, Random? random = null) : IDisposable
{
    internal OutOfOrderState State;
    internal ReceiveQueueState Received;
    internal SeqNumber RcvNxt;

    internal QueueMemory Memory { get; } = memory;

    internal OutOfOrderQueue Queue { get; } = new(memory.Blocks, memory.Frames, intervalCountMax);

    internal ReceiveQueue Receive { get; } = new(memory.Blocks, memory.Frames);

    internal uint FirstBlock => Queue.View(in State).At(0).Head;

    internal int IntervalCount => State.HasIntervals ? Queue.View(in State).Count : 0;

    internal OutOfOrderResult Insert(uint seq, byte[] payload)
    {
        var header = random?.Next(60) ?? 40;
        var frame = Memory.MakeFrame(payload, header, random);
        var result = Queue.Insert(ref State, RcvNxt, new SeqNumber(seq), in frame, header, payload.Length);
        Memory.Frames.Return(in frame);
        return result;
    }

    /// <summary>A segment as it comes; returns bytes that became readable from it directly.</summary>
    internal int Arrive(uint seq, byte[] payload)
    {
        var behind = RcvNxt - new SeqNumber(seq);
        if (behind < 0 || behind >= payload.Length)
        {
            Insert(seq, payload);
            return 0;
        }
        var frame = Memory.MakeFrame(payload, 20, random);
        var appended = Receive.Append(ref Received, in frame, 20 + behind, payload.Length - behind);
        Memory.Frames.Return(in frame);
        RcvNxt += (uint)appended;
        Deliver();
        return appended;
    }

    internal int Deliver() => Queue.Deliver(ref State, ref Received, Receive, ref RcvNxt);

    internal byte[] ReadAll()
    {
        var bytes = new byte[Received.Length];
        Assert.Equal(bytes.Length, Receive.Read(ref Received, bytes));
        return bytes;
    }

    internal string Sack()
    {
        Span<SackBlock> blocks = stackalloc SackBlock[4];
        return string.Join(' ', blocks[..Queue.WriteSackBlocks(ref State, blocks)].ToArray().Select(b => $"{b.Left}-{b.Right}"));
    }

    public void Dispose()
    {
        Queue.Release(ref State);
        Receive.Release(ref Received);
        Assert.Equal(0, Memory.BlocksHeld);
        Memory.Dispose();
    }
}
