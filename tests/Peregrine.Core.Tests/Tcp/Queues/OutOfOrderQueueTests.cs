using Peregrine.Core.Tcp.Queues;
using Peregrine.Wire;

namespace Peregrine.Core.Tests.Tcp.Queues;

public sealed class OutOfOrderQueueTests
{
    // The examples of RFC 2018 §7: the left window edge is at 5000, and eight segments of 500 bytes are sent.

    [Fact]
    // Case 1: the first four arrive, the last four are lost.
    public void WhatArrivesInOrderIsNeverReported() =>
        CheckExample("5000 5500 6000 6500", ["5500", "", "6000", "", "6500", "", "7000", ""]);

    [Fact]
    // Case 2: the first of eight is lost, the others arrive.
    public void OneGapIsReportedAsOneBlockThatGrows() =>
        CheckExample("5500 6000 6500 7000 7500 8000 8500",
        [
            "5000", "5500-6000",
            "5000", "5500-6500",
            "5000", "5500-7000",
            "5000", "5500-7500",
            "5000", "5500-8000",
            "5000", "5500-8500",
            "5000", "5500-9000",
        ]);

    [Fact]
    // Case 3: the second, fourth, sixth and eighth are lost; then the fourth comes, then the second.
    public void MostRecentlyReceivedBlockIsReportedFirst() =>
        CheckExample("5000 6000 7000 8000 6500 5500",
        [
            "5500", "",
            "5500", "6000-6500",
            "5500", "7000-7500 6000-6500",
            "5500", "8000-8500 7000-7500 6000-6500",
            "5500", "6000-7500 8000-8500",
            "7500", "8000-8500",
        ]);

    [Fact]
    public void DuplicateBringsItsBlockToTheFront() =>
        CheckExample("6000 7000 8000 6000", ["5000", "6000-6500", "5000", "7000-7500 6000-6500",
            "5000", "8000-8500 7000-7500 6000-6500", "5000", "6000-6500 8000-8500 7000-7500"]);

    [Fact]
    public void NoMoreBlocksAreWrittenThanFit()
    {
        using var world = new OutOfOrderWorld(new QueueMemory());
        for (var i = 1; i <= 6; i++) world.Insert((uint)i * 100, new byte[10]);
        Span<SackBlock> blocks = stackalloc SackBlock[4];
        Assert.Equal(4, world.Queue.WriteSackBlocks(ref world.State, blocks));
        Assert.Equal([600u, 500u, 400u, 300u], blocks.ToArray().Select(b => b.Left.Value));
        Assert.Equal(1, world.Queue.WriteSackBlocks(ref world.State, blocks[..1]));
    }

    [Fact]
    public void WhatIsThereWinsOverWhatComesLater()
    {
        using var world = new OutOfOrderWorld(new QueueMemory());
        world.Insert(10, "bbbb"u8.ToArray());
        var result = world.Insert(8, "cccccccc"u8.ToArray());
        Assert.Equal((4, false, OutOfOrderRefusal.None), (result.Stored, result.IsDuplicate, result.Refusal));
        Assert.Equal((10u, 14u), (result.DuplicateStart.Value, result.DuplicateEnd.Value));
        world.RcvNxt = new SeqNumber(8);
        Assert.Equal(8, world.Deliver());
        Assert.Equal("ccbbbbcc"u8.ToArray(), world.ReadAll());
        Assert.Equal(16u, world.RcvNxt.Value);
        Assert.Equal(0, world.Memory.BlocksHeld);
    }

    [Fact]
    public void WholeDuplicateIsToldFromPartOfOne()
    {
        using var world = new OutOfOrderWorld(new QueueMemory()) { RcvNxt = new SeqNumber(5) };
        Assert.False(world.Insert(10, new byte[10]).HasDuplicate);
        var whole = world.Insert(12, new byte[8]);
        Assert.True(whole.IsDuplicate);
        Assert.Equal((12u, 20u), (whole.DuplicateStart.Value, whole.DuplicateEnd.Value));
        var part = world.Insert(2, new byte[4]);
        Assert.Equal((1, false), (part.Stored, part.IsDuplicate));
        Assert.Equal((2u, 5u), (part.DuplicateStart.Value, part.DuplicateEnd.Value));
        Assert.True(world.Insert(0, new byte[4]).IsDuplicate);
        world.Queue.Release(ref world.State);
        Assert.True(world.Insert(0, new byte[4]).IsDuplicate);
        Assert.Equal(0, world.Memory.BlocksHeld);
    }

    [Fact]
    public void BulkBehindAGapFillsBlocksAndMovesThemUncopied()
    {
        using var world = new OutOfOrderWorld(new QueueMemory());
        var data = QueueMemory.Bytes(2560, 5);
        for (var i = 0; i < data.Length; i += 40) Assert.Equal(40, world.Insert(1 + (uint)i, data[i..(i + 40)]).Stored);
        Assert.Equal(10u, world.Queue.View(in world.State).Header.BlocksHeld);
        var head = world.FirstBlock;
        world.RcvNxt = new SeqNumber(1);
        Assert.Equal(2560, world.Deliver());
        Assert.Equal(head, world.Received.Head);
        Assert.Equal(10, world.Memory.BlocksHeld);
        Assert.Equal(data, world.ReadAll());
    }

    [Fact]
    public void BytesAtEveryOtherPositionAreBoundedInBlocks()
    {
        using var world = new OutOfOrderWorld(new QueueMemory(blockSize: 4096, blockCount: 256));
        var refused = 0;
        for (var i = 1u; i < 2000; i += 2)
        {
            if (world.Insert(i, [1]).Refusal == OutOfOrderRefusal.TooSparse) refused++;
        }
        Assert.Equal(1000 - OutOfOrderQueue.SparseCountMax, refused);
        Assert.Equal(OutOfOrderQueue.SparseCountMax + 1, world.Memory.BlocksHeld);
        // Segments of an ordinary size still find a place, up to the number of intervals.
        var stored = 0;
        for (var i = 0u; i < 200; i++) stored += world.Insert(10_000 + (i * 2000), new byte[1000]).Stored / 1000;
        Assert.Equal(world.Queue.IntervalCountMax - OutOfOrderQueue.SparseCountMax, stored);
        Assert.Equal(OutOfOrderRefusal.TooManyIntervals, world.Insert(2_000_000, new byte[1000]).Refusal);
        // What joins or extends an interval needs no place of its own.
        Assert.Equal(10, world.Insert(11_000, new byte[10]).Stored);
        Assert.Equal(10, world.Insert(11_990, new byte[10]).Stored);
        Assert.Equal(1, world.Insert(2, [1]).Stored);
        Assert.True(world.Queue.Check(ref world.State));
    }

    [Fact]
    public void SmallSegmentsThatFillGapsDoNotLeaveSparseBlocksBehind()
    {
        using var world = new OutOfOrderWorld(new QueueMemory(blockSize: 4096, blockCount: 256));
        for (var round = 0u; round < 300; round++)
        {
            // Thirty intervals of a byte each, then the gaps.
            var start = round * 60;
            for (var i = 1u; i < 60; i += 2) world.Insert(start + i, [(byte)(start + i)]);
            for (var i = 0u; i < 60; i += 2)
            {
                var appended = world.Receive.Append(ref world.Received, [(byte)(start + i)]);
                world.RcvNxt += (uint)appended;
                world.Deliver();
            }
        }
        Assert.Equal(18_000u, world.Received.Length);
        // Two neighbours hold more than a block: 18,000 bytes in at most 9 blocks.
        Assert.True(world.Memory.BlocksHeld <= 9, $"{world.Memory.BlocksHeld} blocks");
        Assert.Equal(Enumerable.Range(0, 18_000).Select(i => (byte)i), world.ReadAll());
    }

    [Fact]
    public void PruneDropsTheHighestFirst()
    {
        using var world = new OutOfOrderWorld(new QueueMemory());
        world.Insert(300, new byte[100]);
        world.Insert(100, new byte[100]);
        world.Insert(500, new byte[100]);
        Assert.Equal(0, world.Queue.PruneTo(ref world.State, 300));
        Assert.Equal(100, world.Queue.PruneTo(ref world.State, 299));
        Assert.Equal("100-200 300-400", world.Sack());
        Assert.Equal(200, world.Queue.PruneTo(ref world.State, 0));
        Assert.Equal(0, world.Memory.BlocksHeld);
        Assert.Equal(0, world.Queue.PruneTo(ref world.State, 0));
    }

    [Fact]
    public void FirstGapTakesTheArrayAndTheLastGivesItBack()
    {
        using var world = new OutOfOrderWorld(new QueueMemory(blockCount: 1));
        Assert.Equal(OutOfOrderRefusal.NoBlock, world.Insert(10, new byte[5]).Refusal);
        Assert.Equal(0, world.Memory.BlocksHeld);
        Assert.True(world.Memory.Blocks.TryRent(out var taken));
        Assert.Equal(OutOfOrderRefusal.NoBlock, world.Insert(10, new byte[5]).Refusal);
        world.Memory.Blocks.Return(taken);
        Assert.Equal(0u, world.Queue.BytesHeld(in world.State));
    }

    [Theory]
    [InlineData(0u)]
    [InlineData(0x4000_0000u)]
    [InlineData(0x7FFF_FFF0u)]
    [InlineData(0xC000_0000u)]
    [InlineData(0xFFFF_FFF0u)]
    public void IntervalsOfAWindowOfAGibibyteStayInOrder(uint origin)
    {
        using var world = new OutOfOrderWorld(new QueueMemory()) { RcvNxt = new SeqNumber(origin) };
        foreach (var offset in (uint[])[0x3FFF_FFF0, 5, 0x2000_0000, 0x1000_0000, 0x3000_0000]) world.Insert(origin + offset, [1, 2, 3]);
        Assert.True(world.Queue.Check(ref world.State));
        world.RcvNxt += 5;
        Assert.Equal(3, world.Deliver());
        Assert.Equal(3, world.Queue.PruneTo(ref world.State, 9));
        Assert.Equal(string.Join(' ', ((uint[])[0x3000_0000, 0x1000_0000, 0x2000_0000]).Select(o => $"{origin + o}-{origin + o + 3}")), world.Sack());
    }

    [Fact]
    public void QueuesAllocateNothing()
    {
        using var world = new OutOfOrderWorld(new QueueMemory());
        var payload = new byte[300];
        var frame = world.Memory.MakeFrame(payload, 40);
        var send = new SendQueue(world.Memory.Blocks);
        var sent = default(SendQueueState);
        Span<SackBlock> blocks = stackalloc SackBlock[4];
        var before = GC.GetAllocatedBytesForCurrentThread();
        for (var i = 0; i < 100; i++)
        {
            for (var k = 3u; k > 0; k--) world.Queue.Insert(ref world.State, world.RcvNxt, world.RcvNxt + (k * 200), in frame, 40, 150);
            world.Queue.WriteSackBlocks(ref world.State, blocks);
            world.RcvNxt += (uint)world.Receive.Append(ref world.Received, in frame, 40, 300);
            world.Deliver();
            world.Receive.Read(ref world.Received, payload);
            world.Queue.Release(ref world.State);
            world.Receive.Release(ref world.Received);
            send.Write(ref sent, payload, 1000);
            send.Reserve(ref sent, 100, 1000);
            send.Commit(ref sent, 50);
            send.CopyOut(ref sent, 25, payload, sum: true);
            send.Acknowledge(ref sent, 350);
        }
        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);
        world.Memory.Frames.Return(in frame);
    }

    private static void CheckExample(string arrivals, string[] acks)
    {
        using var world = new OutOfOrderWorld(new QueueMemory(blockSize: 1024)) { RcvNxt = new SeqNumber(5000) };
        var sent = arrivals.Split(' ');
        for (var i = 0; i < sent.Length; i++)
        {
            world.Arrive(uint.Parse(sent[i]), new byte[500]);
            Assert.Equal((acks[2 * i], acks[(2 * i) + 1]), (world.RcvNxt.Value.ToString(), world.Sack()));
        }
    }
}
