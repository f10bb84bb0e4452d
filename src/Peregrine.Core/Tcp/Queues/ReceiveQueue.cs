// Placeholder head: the bytes received in order and not yet read, in chained blocks.
using Peregrine.Core.Memory;

namespace Peregrine.Core.Tcp.Queues;

internal sealed unsafe class ReceiveQueue(ChunkPool blocks, FramePool frames)
{
    internal uint Length(in ReceiveQueueState q) => q.Length;
    internal int Append(ref ReceiveQueueState q, in Frame frame, int payloadOffset, int length) => throw Soon();
    internal int Append(ref ReceiveQueueState q, ReadOnlySpan<byte> data) => throw Soon();
    internal int Read(ref ReceiveQueueState q, Span<byte> destination) => throw Soon();
    internal bool TryPeek(in ReceiveQueueState q, ref TcpReadCursor cursor, out ReadOnlySpan<byte> bytes) => throw Soon();
    internal void Consume(ref ReceiveQueueState q, int count) => throw Soon();
    internal void Release(ref ReceiveQueueState q) => throw Soon();
    internal bool Check(in ReceiveQueueState q) => throw Soon();
    private InvalidOperationException Soon() => new(blocks.Name + frames.Chunks.Name);
}
