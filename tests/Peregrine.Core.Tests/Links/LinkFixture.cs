// Pools and frames for link tests. No stack, no protocol.
using Peregrine.Core.Links;
using Peregrine.Core.Memory;

namespace Peregrine.Core.Tests.Links;

internal static class LinkFixture
{
    public static FramePool Pool(int count = 256, int chunkSize = 2048) =>
        new(new ChunkPool(MemoryRegion.Allocate(ChunkPool.BytesFor(chunkSize, count)), chunkSize, count, "frames"));

    /// <summary>A frame of these bytes, in as many chunks as are needed, the first one with little room if <paramref name="headRoom"/> is large.</summary>
    public static Frame Make(FramePool pool, ReadOnlySpan<byte> bytes, int headRoom = FramePool.Headroom)
    {
        Assert.True(pool.TryRent(out var frame, headRoom));
        frame.HeadLength = (ushort)Math.Min(bytes.Length, pool.Chunks.ChunkSize - headRoom);
        frame.Length = frame.HeadLength;
        bytes[..frame.HeadLength].CopyTo(pool.Head(frame));
        var last = frame.Chunk;
        while (frame.Length < bytes.Length)
        {
            var n = Math.Min(bytes.Length - frame.Length, pool.Chunks.ChunkSize);
            var at = frame.Length;
            Assert.True(pool.TryExtend(ref frame, ref last, n));
            bytes.Slice(at, n).CopyTo(pool.ChunkSpan(last));
        }
        return frame;
    }

    public static byte[] Bytes(FramePool pool, in Frame frame)
    {
        var bytes = new byte[frame.Length];
        Assert.Equal(frame.Length, pool.CopyTo(frame, 0, bytes));
        return bytes;
    }

    /// <summary>A frame's bytes that can be checked: the number, and a pattern that follows from it.</summary>
    public static byte[] Numbered(int number, int length = 64)
    {
        var bytes = new byte[length];
        FillNumbered(number, bytes);
        return bytes;
    }

    public static void FillNumbered(int number, Span<byte> bytes)
    {
        for (var i = 0; i < bytes.Length; i++) bytes[i] = (byte)((number * 31) + i);
        bytes[0] = 2;
        BitConverter.TryWriteBytes(bytes[1..], number);
    }

    public static int NumberOf(FramePool pool, in Frame frame) => BitConverter.ToInt32(pool.Head(frame)[1..]);

    /// <summary>Everything that waits, as numbers; the frames are returned.</summary>
    public static List<int> ReceiveNumbers(ILinkQueue queue, FramePool pool)
    {
        var numbers = new List<int>();
        var burst = new Frame[16];
        for (var n = queue.Receive(burst); n > 0; n = queue.Receive(burst))
        {
            foreach (ref var frame in burst.AsSpan(0, n))
            {
                numbers.Add(NumberOf(pool, frame));
                pool.Return(frame);
            }
        }
        return numbers;
    }
}
