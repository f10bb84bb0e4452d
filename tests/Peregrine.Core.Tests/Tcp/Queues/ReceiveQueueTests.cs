using Peregrine.Core.Memory;
using Peregrine.Core.Tcp;
using Peregrine.Core.Tcp.Queues;

namespace Peregrine.Core.Tests.Tcp.Queues;

public sealed class ReceiveQueueTests
{
    [Fact]
    public void AppendFillsTheLastBlockBeforeItTakesAnother()
    {
        using var memory = new QueueMemory();
        var queue = new ReceiveQueue(memory.Blocks, memory.Frames);
        var q = default(ReceiveQueueState);
        for (var i = 0; i < 256; i++) Assert.Equal(1, queue.Append(ref q, [(byte)i]));
        Assert.Equal(1, memory.BlocksHeld);
        queue.Append(ref q, [0]);
        Assert.Equal(2, memory.BlocksHeld);
        queue.Consume(ref q, 256);
        Assert.Equal(1, memory.BlocksHeld);
        queue.Consume(ref q, 1);
        Assert.Equal(0, memory.BlocksHeld);
        Assert.True(queue.Check(in q));
    }

    [Fact]
    public void FrameIsAppendedOverAnyCutOfItsChunks()
    {
        for (var seed = 0; seed < 2000; seed++)
        {
            var random = new Random(seed);
            using var memory = new QueueMemory();
            var queue = new ReceiveQueue(memory.Blocks, memory.Frames);
            var q = default(ReceiveQueueState);
            var payload = QueueMemory.Bytes(random.Next(1, 3000), seed);
            var header = random.Next(60);
            var frame = memory.MakeFrame(payload, header, random);
            var skip = random.Next(payload.Length);
            var length = random.Next(payload.Length - skip + 1);
            Assert.Equal(length, queue.Append(ref q, in frame, header + skip, length));
            memory.Frames.Return(in frame);
            Assert.True(queue.Check(in q));
            var read = new byte[length + 10];
            Assert.Equal(length, queue.Read(ref q, read));
            Assert.Equal(payload.AsSpan(skip, length), read.AsSpan(0, length));
            Assert.Equal((0, 0), (memory.BlocksHeld, memory.Frames.Chunks.Count - memory.Frames.Chunks.FreeCount));
        }
    }

    [Fact]
    public void LengthBeyondTheFrameReadsNothingBeyondIt()
    {
        using var memory = new QueueMemory();
        var queue = new ReceiveQueue(memory.Blocks, memory.Frames);
        var q = default(ReceiveQueueState);
        var frame = memory.MakeFrame(new byte[20], 40);
        Assert.Equal(20, queue.Append(ref q, in frame, 40, 1000));
        Assert.Equal(0, queue.Append(ref q, in frame, 60, 10));
        Assert.Equal(0, queue.Append(ref q, in frame, 1000, 10));
        queue.Release(ref q);
        memory.Frames.Return(in frame);
        // A chain shorter than its description: ends, and takes no block for nothing.
        var broken = new Frame { Chunk = 0, HeadLength = 0, Length = 50 };
        Assert.True(memory.Frames.Chunks.TryRent(out broken.Chunk));
        Assert.Equal(0, queue.Append(ref q, in broken, 0, 50));
        Assert.Equal(0, memory.BlocksHeld);
    }

    [Fact]
    public void AppendEndsWhereThePoolEnds()
    {
        using var memory = new QueueMemory(blockCount: 2);
        var queue = new ReceiveQueue(memory.Blocks, memory.Frames);
        var q = default(ReceiveQueueState);
        var data = QueueMemory.Bytes(600, 1);
        var frame = memory.MakeFrame(data, 0, new Random(1));
        Assert.Equal(512, queue.Append(ref q, in frame, 0, 600));
        Assert.Equal(0, queue.Append(ref q, in frame, 512, 88));
        Assert.Equal(0, queue.Append(ref q, data.AsSpan(512)));
        var read = new byte[512];
        Assert.Equal(300, queue.Read(ref q, read.AsSpan(0, 300)));
        Assert.Equal(88, queue.Append(ref q, in frame, 512, 88));
        var rest = new byte[300];
        Assert.Equal(300, queue.Read(ref q, rest));
        Assert.Equal(data[300..], rest);
        Assert.Equal(0, memory.BlocksHeld);
    }

    [Fact]
    public void CursorSeesEveryRunAndWhatArrivesLater()
    {
        using var memory = new QueueMemory();
        var queue = new ReceiveQueue(memory.Blocks, memory.Frames);
        var q = default(ReceiveQueueState);
        var cursor = default(TcpReadCursor);
        Assert.False(queue.TryPeek(ref q, ref cursor, out _));
        queue.Append(ref q, "abc"u8);
        Assert.True(queue.TryPeek(ref q, ref cursor, out var bytes));
        Assert.Equal("abc"u8, bytes);
        Assert.Equal((q.Head, 0, 3), (cursor.Block, cursor.Start, cursor.Length));
        Assert.False(queue.TryPeek(ref q, ref cursor, out _));
        queue.Append(ref q, "de"u8);
        Assert.True(queue.TryPeek(ref q, ref cursor, out bytes));
        Assert.Equal("de"u8, bytes);
        queue.Append(ref q, new byte[300]);
        Assert.True(queue.TryPeek(ref q, ref cursor, out bytes));
        Assert.Equal(251, bytes.Length);
        Assert.True(queue.TryPeek(ref q, ref cursor, out bytes));
        Assert.Equal(49, bytes.Length);
        Assert.False(queue.TryPeek(ref q, ref cursor, out _));
        queue.Consume(ref q, 1);
        Assert.True(queue.TryPeek(ref q, ref cursor, out bytes));
        Assert.Equal("bcde"u8, bytes[..4]);
        Assert.Equal(255, bytes.Length);
        queue.Release(ref q);
        Assert.False(queue.TryPeek(ref q, ref cursor, out _));
    }

    [Fact]
    [Trait("emulation", "throws")]
    public void ConsumingMoreThanThereIsIsRefused()
    {
        using var memory = new QueueMemory();
        var queue = new ReceiveQueue(memory.Blocks, memory.Frames);
        Assert.Throws<ArgumentOutOfRangeException>(() =>
        {
            var q = default(ReceiveQueueState);
            queue.Append(ref q, "abc"u8);
            queue.Consume(ref q, 4);
        });
        Assert.Throws<ArgumentOutOfRangeException>(() =>
        {
            var q = default(ReceiveQueueState);
            queue.Consume(ref q, -1);
        });
    }
}
