// Placeholder head: the bytes from Snd.Una to the end of what the application has written, in chained blocks.
using Peregrine.Core.Memory;

namespace Peregrine.Core.Tcp.Queues;

internal sealed unsafe class SendQueue(ChunkPool blocks)
{
    internal uint Length(in SendQueueState q) => q.Length;
    internal int Write(ref SendQueueState q, ReadOnlySpan<byte> data, int limit) => throw Soon();
    internal Span<byte> Reserve(ref SendQueueState q, int sizeHint, int limit) => throw Soon();

    /// <returns>Bytes committed: always <paramref name="count"/> unless bytes were written since the reservation and the pool is empty.</returns>
    internal int Commit(ref SendQueueState q, int count) => throw Soon();
    internal void Acknowledge(ref SendQueueState q, uint count) => throw Soon();
    internal uint CopyOut(ref SendQueueState q, uint offset, Span<byte> destination, bool sum) => throw Soon();
    internal ReadOnlySpan<byte> Peek(ref SendQueueState q, uint offset, int lengthMax) => throw Soon();
    internal void Release(ref SendQueueState q) => throw Soon();
    internal bool Check(in SendQueueState q) => throw Soon();
    private InvalidOperationException Soon() => new(blocks.Name);
}
