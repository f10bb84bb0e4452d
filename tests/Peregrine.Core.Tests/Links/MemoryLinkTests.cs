using Peregrine.Core.Links;
using Peregrine.Core.Memory;
using Peregrine.Wire;

namespace Peregrine.Core.Tests.Links;

public sealed class MemoryLinkTests
{
    private readonly FramePool _poolA = LinkFixture.Pool(512), _poolB = LinkFixture.Pool(512);

    private (MemoryLink LinkA, ILinkQueue A, ILinkQueue B) Open(MemoryLinkOptions? options = null)
    {
        var (a, b) = MemoryLink.CreatePair(options);
        return (a, a.OpenQueue(0, _poolA), b.OpenQueue(0, _poolB));
    }

    [Fact]
    public void FramesArriveInOrderWithTheirBytes()
    {
        var (_, a, b) = Open();
        var sent = Enumerable.Range(0, 20).Select(i => LinkFixture.Numbered(i, 60 + (i * 70))).ToArray();
        Assert.Equal(20, a.Transmit(Array.ConvertAll(sent, bytes => LinkFixture.Make(_poolA, bytes))));
        var burst = new Frame[32];
        Assert.Equal(20, b.Receive(burst));
        for (var i = 0; i < 20; i++) Assert.Equal(sent[i], LinkFixture.Bytes(_poolB, burst[i]));
        Assert.Equal(new LinkQueueCounters { SentFrames = 20, SentBytes = sent.Sum(s => s.Length) }, a.Counters);
        Assert.Equal(new LinkQueueCounters { ReceivedFrames = 20, ReceivedBytes = sent.Sum(s => s.Length) }, b.Counters);
    }

    [Fact]
    public void SenderGetsItsChunksBackAfterReceiptOnly()
    {
        var (_, a, b) = Open();
        a.Transmit([LinkFixture.Make(_poolA, LinkFixture.Numbered(1))]);
        a.Reclaim();
        Assert.Equal(_poolA.Chunks.Count - 1, _poolA.Chunks.FreeCount);
        Assert.Equal([1], LinkFixture.ReceiveNumbers(b, _poolB));
        a.Reclaim();
        Assert.Equal(_poolA.Chunks.Count, _poolA.Chunks.FreeCount);
        Assert.Equal(_poolB.Chunks.Count, _poolB.Chunks.FreeCount);
    }

    [Fact]
    public void FullRingRefusesTheRestAndItsOwnerIsWokenWhenThereIsRoom()
    {
        var (_, a, b) = Open(new MemoryLinkOptions { RingFrames = 4 });
        var woken = 0;
        a.SetWake(() => woken++);
        var frames = Enumerable.Range(0, 6).Select(i => LinkFixture.Make(_poolA, LinkFixture.Numbered(i))).ToArray();
        Assert.Equal(4, a.Transmit(frames));
        Assert.True(a.TryArm());
        Assert.Equal([0, 1, 2, 3], LinkFixture.ReceiveNumbers(b, _poolB));
        Assert.Equal(1, woken);
        Assert.Equal(2, a.Transmit(frames.AsSpan(4)));
        Assert.Equal([4, 5], LinkFixture.ReceiveNumbers(b, _poolB));
        Assert.Equal(1, woken);
    }

    [Fact]
    public void ArmingIsRefusedWhileFramesWaitAndAnArmedOwnerIsWokenOnce()
    {
        var (_, a, b) = Open();
        var woken = 0;
        b.SetWake(() => woken++);
        a.Transmit([LinkFixture.Make(_poolA, LinkFixture.Numbered(1))]);
        Assert.False(b.TryArm());
        Assert.Equal(0, woken);
        Assert.Equal([1], LinkFixture.ReceiveNumbers(b, _poolB));
        Assert.True(b.TryArm());
        a.Transmit([LinkFixture.Make(_poolA, LinkFixture.Numbered(2)), LinkFixture.Make(_poolA, LinkFixture.Numbered(3))]);
        a.Transmit([LinkFixture.Make(_poolA, LinkFixture.Numbered(4))]);
        Assert.Equal(1, woken);
    }

    [Fact]
    public void ReceiverWithoutMemoryDropsAndCounts()
    {
        var (a, b) = MemoryLink.CreatePair();
        ILinkQueue qa = a.OpenQueue(0, _poolA), qb = b.OpenQueue(0, LinkFixture.Pool(2));
        qa.Transmit(Enumerable.Range(0, 5).Select(i => LinkFixture.Make(_poolA, LinkFixture.Numbered(i))).ToArray());
        Assert.Equal(2, qb.Receive(new Frame[8]));
        Assert.Equal(3, qb.Counters.ReceiveDroppedNoMemory);
        qa.Reclaim();
        Assert.Equal(_poolA.Chunks.Count, _poolA.Chunks.FreeCount);
    }

    [Fact]
    public void PlainLinkRefusesWhatItCannotDo()
    {
        var (_, a, b) = Open();
        var unfinished = LinkFixture.Make(_poolA, LinkFixture.Numbered(1));
        unfinished.Flags = FrameFlags.ChecksumUnfinished;
        var super = LinkFixture.Make(_poolA, new byte[4000]);
        super.SegmentKind = SegmentKind.Tcp4;
        Assert.Equal(3, a.Transmit([unfinished, super, LinkFixture.Make(_poolA, new byte[1523])]));
        Assert.Equal(new LinkQueueCounters { SendDroppedError = 3 }, a.Counters);
        Assert.Equal(0, b.Receive(new Frame[4]));
        Assert.Equal(_poolA.Chunks.Count, _poolA.Chunks.FreeCount);
    }

    [Fact]
    public void VirtualLinkDeliversSuperSegmentsUncutWithTheirDescription()
    {
        var (_, a, b) = Open(new MemoryLinkOptions { Kind = MemoryLinkKind.Virtual });
        var bytes = LinkFixture.Numbered(7, 60_000);
        var frame = LinkFixture.Make(_poolA, bytes, headRoom: 1900);
        (frame.SegmentKind, frame.SegmentSize, frame.HeaderLength) = (SegmentKind.Tcp6, 1428, 86);
        (frame.Flags, frame.ChecksumStart, frame.ChecksumOffset) = (FrameFlags.ChecksumUnfinished, 54, 16);
        Assert.Equal(1, a.Transmit([frame]));
        var burst = new Frame[1];
        Assert.Equal(1, b.Receive(burst));
        var got = burst[0];
        Assert.Equal(bytes, LinkFixture.Bytes(_poolB, got));
        Assert.Equal((SegmentKind.Tcp6, 1428, 86), (got.SegmentKind, got.SegmentSize, got.HeaderLength));
        Assert.Equal((FrameFlags.ChecksumUnfinished, 54, 16), (got.Flags, got.ChecksumStart, got.ChecksumOffset));
        _poolB.Return(got);
        a.Reclaim();
        Assert.Equal((_poolA.Chunks.Count, _poolB.Chunks.Count), (_poolA.Chunks.FreeCount, _poolB.Chunks.FreeCount));
    }

    [Theory]
    [InlineData(40)]
    [InlineData(41)]
    [InlineData(1400)]
    [InlineData(1401)]
    public void CardFinishesTheChecksumAndSaysThatItIsGood(int length)
    {
        // Chunks of 256 bytes, so that the sum crosses chunks at odd places.
        FramePool poolA = LinkFixture.Pool(64, 256), poolB = LinkFixture.Pool(64, 256);
        var (a, b) = MemoryLink.CreatePair(new MemoryLinkOptions { Kind = MemoryLinkKind.Card });
        ILinkQueue qa = a.OpenQueue(0, poolA), qb = b.OpenQueue(0, poolB);
        var bytes = LinkFixture.Numbered(3, length);
        var frame = LinkFixture.Make(poolA, bytes, 131);
        (frame.Flags, frame.ChecksumStart, frame.ChecksumOffset) = (FrameFlags.ChecksumUnfinished, 14, 6);
        qa.Transmit([frame]);
        var burst = new Frame[1];
        Assert.Equal(1, qb.Receive(burst));
        Assert.Equal(FrameFlags.ChecksumVerified, burst[0].Flags);
        var got = LinkFixture.Bytes(poolB, burst[0]);
        var pseudo = bytes.AsSpan(20, 2).ToArray();
        Assert.Equal(InternetChecksum.Finish(InternetChecksum.Sum(bytes.AsSpan(14))), BitConverter.ToUInt16(got, 20));
        pseudo.CopyTo(got, 20);
        Assert.Equal(bytes, got);
    }

    [Fact]
    public void CardRefusesAChecksumPlaceOutsideOfTheHead()
    {
        var (_, a, b) = Open(new MemoryLinkOptions { Kind = MemoryLinkKind.Card });
        var frame = LinkFixture.Make(_poolA, new byte[60]);
        (frame.Flags, frame.ChecksumStart, frame.ChecksumOffset) = (FrameFlags.ChecksumUnfinished, 50, 9);
        a.Transmit([frame]);
        Assert.Equal(0, b.Receive(new Frame[1]));
        Assert.Equal(1, b.Counters.ReceiveDroppedMalformed);
        Assert.Equal(_poolB.Chunks.Count, _poolB.Chunks.FreeCount);
    }

    [Fact]
    public void CarrierLossDropsAndRecovers()
    {
        var (link, a, b) = Open();
        link.SetCarrier(false);
        Assert.False(link.IsUp);
        Assert.False(link.Peer.IsUp);
        a.Transmit([LinkFixture.Make(_poolA, LinkFixture.Numbered(1))]);
        link.Peer.SetCarrier(true);
        a.Transmit([LinkFixture.Make(_poolA, LinkFixture.Numbered(2))]);
        Assert.Equal([2], LinkFixture.ReceiveNumbers(b, _poolB));
        Assert.Equal(1, a.Counters.SendDroppedError);
    }

    [Fact]
    public void DisposalTakesFramesBackAndTheOtherEndFindsNothing()
    {
        var (link, a, b) = Open();
        a.Transmit([LinkFixture.Make(_poolA, LinkFixture.Numbered(1)), LinkFixture.Make(_poolA, LinkFixture.Numbered(2))]);
        link.Dispose();
        Assert.Equal(_poolA.Chunks.Count, _poolA.Chunks.FreeCount);
        Assert.Equal(0, b.Receive(new Frame[4]));
        Assert.True(b.TryArm());
        Assert.False(link.Peer.IsUp);
        link.Peer.SetCarrier(true);
        Assert.False(link.Peer.IsUp);
    }

    [Fact]
    [Trait("emulation", "throws")]
    public void QueuesAreOpenedOnceAndDoNotMix()
    {
        var (a, b) = MemoryLink.CreatePair(new MemoryLinkOptions { QueueCount = 2 });
        ILinkQueue a0 = a.OpenQueue(0, _poolA), a1 = a.OpenQueue(1, _poolA), b0 = b.OpenQueue(0, _poolB), b1 = b.OpenQueue(1, _poolB);
        a0.Transmit([LinkFixture.Make(_poolA, LinkFixture.Numbered(10))]);
        a1.Transmit([LinkFixture.Make(_poolA, LinkFixture.Numbered(11))]);
        Assert.Equal([11], LinkFixture.ReceiveNumbers(b1, _poolB));
        Assert.Equal([10], LinkFixture.ReceiveNumbers(b0, _poolB));
        Assert.Throws<InvalidOperationException>(() => a.OpenQueue(1, _poolA));
        Assert.Throws<ArgumentOutOfRangeException>(() => a.OpenQueue(2, _poolA));
    }

    [Fact]
    public void BurstsAllocateNothing()
    {
        var (_, a, b) = Open();
        var burst = new Frame[16];
        var bytes = new byte[64];
        long Round()
        {
            var before = GC.GetAllocatedBytesForCurrentThread();
            for (var i = 0; i < burst.Length; i++) burst[i] = LinkFixture.Make(_poolA, bytes);
            a.Transmit(burst);
            var n = b.Receive(burst);
            for (var i = 0; i < n; i++) _poolB.Return(burst[i]);
            a.Reclaim();
            return GC.GetAllocatedBytesForCurrentThread() - before;
        }

        Round();
        Assert.Equal(0, Round());
    }

    [Fact]
    public void TwoThreadsPassAMillionFramesBothWaysInOrder()
    {
        const int count = 1_000_000;
        // The pools hold more than a full ring and a burst, so no frame is dropped for want of memory.
        var (a, b) = MemoryLink.CreatePair(new MemoryLinkOptions { RingFrames = 256 });
        var other = new ExchangeEnd(b.OpenQueue(0, _poolB), _poolB, count);
        var mine = new ExchangeEnd(a.OpenQueue(0, _poolA), _poolA, count);
        var thread = new Thread(other.Run);
        thread.Start();
        mine.Run();
        thread.Join();
        Assert.Equal((count, (string?)null), (mine.Received, mine.Failure));
        Assert.Equal((count, (string?)null), (other.Received, other.Failure));
        a.Dispose();
        b.Dispose();
        Assert.Equal((_poolA.Chunks.Count, _poolB.Chunks.Count), (_poolA.Chunks.FreeCount, _poolB.Chunks.FreeCount));
    }

    /// <summary>Sends and receives numbered frames, and sleeps by the link's arming as an engine does.</summary>
    private sealed class ExchangeEnd(ILinkQueue queue, FramePool pool, int count)
    {
        private readonly SemaphoreSlim _woken = new(0);
        private int _sent;

        public int Received { get; private set; }

        public string? Failure { get; private set; }

        public void Run()
        {
            queue.SetWake(() => _woken.Release());
            var burst = new Frame[32];
            var output = new Frame[32];
            var pending = 0;
            Span<byte> bytes = stackalloc byte[64];
            Span<byte> expected = stackalloc byte[64];
            while ((_sent < count || Received < count || pending > 0) && Failure is null)
            {
                var n = queue.Receive(burst);
                for (var i = 0; i < n; i++)
                {
                    LinkFixture.FillNumbered(Received, expected);
                    if (!pool.Head(burst[i]).SequenceEqual(expected)) Failure ??= $"frame {Received} differs";
                    Received++;
                    pool.Return(burst[i]);
                }
                while (pending < output.Length && _sent < count && pool.TryRent(out var frame))
                {
                    (frame.Length, frame.HeadLength) = (64, 64);
                    LinkFixture.FillNumbered(_sent++, bytes);
                    bytes.CopyTo(pool.Head(frame));
                    output[pending++] = frame;
                }
                var taken = queue.Transmit(output.AsSpan(0, pending));
                output.AsSpan(taken, pending - taken).CopyTo(output);
                pending -= taken;
                queue.Reclaim();
                if (n == 0 && taken == 0 && queue.TryArm() && !_woken.Wait(TimeSpan.FromSeconds(20))) Failure = "a wake-up was lost";
            }
        }
    }
}
