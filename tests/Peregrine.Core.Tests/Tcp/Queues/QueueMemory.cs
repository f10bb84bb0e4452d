// Pools for the tests of the queues, and frames whose payload is cut over chunks at random.
using Peregrine.Core.Memory;

namespace Peregrine.Core.Tests.Tcp.Queues;

internal sealed unsafe class QueueMemory : IDisposable
{
    private readonly MemoryRegion _region;

    internal QueueMemory(int blockSize = 256, int blockCount = 64, int chunkCount = 64)
    {
        const int chunkSize = 512;
        _region = MemoryRegion.Allocate(ChunkPool.BytesFor(blockSize, blockCount) + ChunkPool.BytesFor(chunkSize, chunkCount) + 8192);
        Blocks = new ChunkPool(_region, blockSize, blockCount, "blocks");
        Frames = new FramePool(new ChunkPool(_region, chunkSize, chunkCount, "frames"));
    }

    internal ChunkPool Blocks { get; }

    internal FramePool Frames { get; }

    internal int BlocksHeld => Blocks.Count - Blocks.FreeCount;

    /// <summary>A frame with a header of so many bytes before the payload, over one chunk or, with a source of chance, over several.</summary>
    internal Frame MakeFrame(ReadOnlySpan<byte> payload, int headerLength = 0, Random? random = null)
    {
        Assert.True(Frames.TryRent(out var frame, headroom: random?.Next(129) ?? 0));
        var room = Frames.Chunks.ChunkSize - frame.Offset - headerLength;
        var head = random is null || random.Next(3) == 0 ? Math.Min(payload.Length, room) : random.Next(Math.Min(payload.Length, room) + 1);
        frame.HeadLength = (ushort)(headerLength + head);
        frame.Length = frame.HeadLength;
        Frames.Head(frame)[..headerLength].Fill(0xEE);
        payload[..head].CopyTo(Frames.Head(frame)[headerLength..]);
        var last = frame.Chunk;
        for (var done = head; done < payload.Length;)
        {
            var start = random?.Next(64) ?? 0;
            var most = Math.Min(payload.Length - done, Frames.Chunks.ChunkSize - start);
            // Empty chunks are legal.
            var length = random is null || random.Next(2) == 0 ? most : random.Next(most + 1);
            Assert.True(Frames.TryExtend(ref frame, ref last, length));
            Frames.Chunks.Note(last).Start = (ushort)start;
            payload.Slice(done, length).CopyTo(Frames.ChunkSpan(last));
            done += length;
        }
        return frame;
    }

    internal static byte[] Bytes(int length, int seed)
    {
        var bytes = new byte[length];
        new Random(seed).NextBytes(bytes);
        return bytes;
    }

    public void Dispose() => _region.Dispose();
}
