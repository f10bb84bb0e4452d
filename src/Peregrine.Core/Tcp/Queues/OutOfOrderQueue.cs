// Placeholder head: the bytes received beyond a gap, as sorted disjoint intervals.
using Peregrine.Core.Memory;
using Peregrine.Wire;

namespace Peregrine.Core.Tcp.Queues;

internal sealed unsafe class OutOfOrderQueue(ChunkPool blocks, FramePool frames, int intervalCountMax = 128)
{
    internal static uint BytesHeld(in OutOfOrderState o) => o.BytesHeld;
    internal OutOfOrderResult Insert(ref OutOfOrderState o, SeqNumber rcvNxt, SeqNumber seq, in Frame frame, int payloadOffset, int length) => throw Soon();
    internal int Deliver(ref OutOfOrderState o, ref ReceiveQueueState q, ReceiveQueue queue, ref SeqNumber rcvNxt) => throw Soon();
    internal int WriteSackBlocks(in OutOfOrderState o, Span<SackBlock> sackBlocks) => throw Soon();
    internal int PruneTo(ref OutOfOrderState o, uint bytesMax) => throw Soon();
    internal void Release(ref OutOfOrderState o) => throw Soon();
    internal bool Check(in OutOfOrderState o) => throw Soon();
    private InvalidOperationException Soon() => new(blocks.Name + frames.Chunks.Name + intervalCountMax);
}
