using Peregrine.Core.Links;
using Peregrine.Core.Memory;
using Peregrine.Wire;

namespace Peregrine.Core.Tests.Links;

public sealed class FaultyLinkTests
{
    private readonly FramePool _poolA = LinkFixture.Pool(2048), _poolB = LinkFixture.Pool(2048);

    private (FaultyLink Link, ILinkQueue A, ILinkQueue B) Open(FaultOptions? transmit = null, FaultOptions? receive = null, MemoryLinkKind kind = MemoryLinkKind.Plain)
    {
        var (a, b) = MemoryLink.CreatePair(new MemoryLinkOptions { Kind = kind });
        var faulty = new FaultyLink(a, transmit, receive);
        return (faulty, faulty.OpenQueue(0, _poolA), b.OpenQueue(0, _poolB));
    }

    private List<int> SendNumbers(ILinkQueue from, FramePool fromPool, ILinkQueue to, FramePool toPool, int count, int burst = 16)
    {
        var got = new List<int>();
        for (var i = 0; i < count; i += burst)
        {
            var frames = Enumerable.Range(i, Math.Min(burst, count - i)).Select(n => LinkFixture.Make(fromPool, LinkFixture.Numbered(n))).ToArray();
            Assert.Equal(frames.Length, from.Transmit(frames));
            got.AddRange(LinkFixture.ReceiveNumbers(to, toPool));
            from.Reclaim();
        }
        return got;
    }

    [Fact]
    public void WithoutFaultsEverythingPasses()
    {
        var (link, a, b) = Open();
        Assert.Equal(Enumerable.Range(0, 500), SendNumbers(a, _poolA, b, _poolB, 500));
        Assert.Equal(Enumerable.Range(0, 500), SendNumbers(b, _poolB, a, _poolA, 500));
        Assert.Equal(new FaultCounters { Frames = 500 }, link.TransmitFaults());
        Assert.Equal(new FaultCounters { Frames = 500 }, link.ReceiveFaults());
    }

    [Fact]
    public void NumberedFramesAreDropped()
    {
        var (link, a, b) = Open(new FaultOptions { DropNumbers = [1, 4] }, new FaultOptions { DropNumbers = [2] });
        Assert.Equal([1, 2, 4, 5], SendNumbers(a, _poolA, b, _poolB, 6));
        Assert.Equal([0, 2], SendNumbers(b, _poolB, a, _poolA, 3));
        Assert.Equal((2, 1), (link.TransmitFaults().Lost, link.ReceiveFaults().Lost));
        Assert.Equal(_poolA.Chunks.Count, _poolA.Chunks.FreeCount);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void SameSeedGivesTheSameFaultsAndAnotherSeedOthers(bool transmit)
    {
        List<int> Run(ulong seed, int burst)
        {
            var faults = new FaultOptions
            {
                Seed = seed, LossPerMillion = 50_000, DuplicationPerMillion = 50_000, ReorderingPerMillion = 100_000,
                TruncationPerMillion = 20_000, CorruptionPerMillion = 20_000,
            };
            var (link, a, b) = transmit ? Open(faults) : Open(null, faults);
            var got = transmit ? SendFaulty(a, _poolA, b, _poolB, burst) : SendFaulty(b, _poolB, a, _poolA, burst);
            var counters = transmit ? link.TransmitFaults() : link.ReceiveFaults();
            Assert.Equal(3000, counters.Frames);
            Assert.True(counters is { Lost: > 100, Duplicated: > 100, Reordered: > 200, Truncated: > 30, Corrupted: > 30, Omitted: 0 });
            link.Dispose();
            b.Dispose();
            Assert.Equal((_poolA.Chunks.Count, _poolB.Chunks.Count), (_poolA.Chunks.FreeCount, _poolB.Chunks.FreeCount));
            return got;
        }

        // Damaged frames are compared by their whole bytes.
        var first = Run(42, 16);
        Assert.Equal(first, Run(42, 16));
        // Faults follow the frames and not the bursts.
        Assert.Equal(first, Run(42, 5));
        Assert.NotEqual(first, Run(43, 16));
    }

    private static List<int> SendFaulty(ILinkQueue from, FramePool fromPool, ILinkQueue to, FramePool toPool, int burst)
    {
        var prints = new List<int>();
        var received = new Frame[16];
        for (var i = 0; i < 3000; i += burst)
        {
            var frames = Enumerable.Range(i, Math.Min(burst, 3000 - i)).Select(n => LinkFixture.Make(fromPool, LinkFixture.Numbered(n))).ToArray();
            Assert.Equal(frames.Length, from.Transmit(frames));
            for (var n = to.Receive(received); n > 0; n = to.Receive(received))
            {
                foreach (var frame in received.AsSpan(0, n))
                {
                    prints.Add(LinkFixture.Bytes(toPool, frame).Aggregate(frame.Length, (print, value) => (print * 31) + value));
                    toPool.Return(frame);
                }
            }
            from.Reclaim();
        }
        return prints;
    }

    [Fact]
    public void HeldFramesComeAfterAtMostTheDepthAndNoneIsLost()
    {
        var (link, a, b) = Open(new FaultOptions { Seed = 7, ReorderingPerMillion = 200_000, ReorderingDepthMax = 3 });
        var got = SendNumbers(a, _poolA, b, _poolB, 2000);
        Assert.NotEqual(got.Order(), got);
        // Three frames that pass, and those that were held and freed before it.
        Assert.All(got.Select((number, place) => place - number), late => Assert.InRange(late, -10, 10));
        link.SetActive(false);
        a.Reclaim();
        got.AddRange(LinkFixture.ReceiveNumbers(b, _poolB));
        Assert.Equal(Enumerable.Range(0, 2000), got.Order());
        Assert.Equal(Enumerable.Range(0, 50), SendNumbers(a, _poolA, b, _poolB, 50));
    }

    [Fact]
    public void HeldFramesOfReceptionComeOutWhenFaultsStop()
    {
        var (link, a, b) = Open(null, new FaultOptions { ReorderingPerMillion = 1_000_000 });
        Assert.Empty(SendNumbers(b, _poolB, a, _poolA, 5));
        Assert.True(a.TryArm());
        link.SetActive(false);
        Assert.False(a.TryArm());
        Assert.Equal([0, 1, 2, 3, 4], LinkFixture.ReceiveNumbers(a, _poolA));
        Assert.True(a.TryArm());
    }

    [Fact]
    public void EveryFrameTwiceFillsSmallBurstsWithoutLoss()
    {
        var (_, a, b) = Open(null, new FaultOptions { DuplicationPerMillion = 1_000_000 });
        foreach (var n in Enumerable.Range(0, 300)) b.Transmit([LinkFixture.Make(_poolB, LinkFixture.Numbered(n))]);
        var burst = new Frame[7];
        var got = new List<int>();
        for (var n = a.Receive(burst); n > 0; n = a.Receive(burst))
        {
            foreach (var frame in burst.AsSpan(0, n)) got.Add(LinkFixture.NumberOf(_poolA, frame));
        }
        Assert.Equal(Enumerable.Range(0, 300).SelectMany(n => new[] { n, n }), got);
    }

    [Fact]
    public void CorruptionFinishesTheChecksumFirstSoThatItShows()
    {
        var (_, a, b) = Open(new FaultOptions { Seed = 3, CorruptionPerMillion = 1_000_000 }, kind: MemoryLinkKind.Card);
        var bytes = LinkFixture.Numbered(3, 100);
        bytes.AsSpan(20, 2).Clear();
        var frame = LinkFixture.Make(_poolA, bytes);
        (frame.Flags, frame.ChecksumStart, frame.ChecksumOffset) = (FrameFlags.ChecksumUnfinished, 14, 6);
        a.Transmit([frame]);
        var burst = new Frame[1];
        Assert.Equal(1, b.Receive(burst));
        Assert.Equal(FrameFlags.None, burst[0].Flags & (FrameFlags.ChecksumUnfinished | FrameFlags.ChecksumVerified));
        var got = LinkFixture.Bytes(_poolB, burst[0]);
        InternetChecksum.Store(bytes.AsSpan(20), InternetChecksum.Sum(bytes.AsSpan(14)));
        Assert.Equal(1, got.Zip(bytes, (x, y) => System.Numerics.BitOperations.PopCount((uint)(x ^ y))).Sum());
    }

    [Fact]
    public void TruncationOfAChainGivesItsChunksBack()
    {
        var pool = LinkFixture.Pool(256, 256);
        var (c, d) = MemoryLink.CreatePair();
        using var faulty = new FaultyLink(c, new FaultOptions { Seed = 9, TruncationPerMillion = 1_000_000 });
        ILinkQueue from = faulty.OpenQueue(0, pool), to = d.OpenQueue(0, _poolB);
        var bytes = LinkFixture.Numbered(1, 1500);
        var burst = new Frame[1];
        var lengths = new HashSet<int>();
        for (var i = 0; i < 40; i++)
        {
            from.Transmit([LinkFixture.Make(pool, bytes)]);
            Assert.Equal(1, to.Receive(burst));
            Assert.Equal(bytes[..burst[0].Length], LinkFixture.Bytes(_poolB, burst[0]));
            lengths.Add(burst[0].Length);
            _poolB.Return(burst[0]);
            from.Reclaim();
            Assert.Equal(pool.Chunks.Count, pool.Chunks.FreeCount);
        }
        Assert.True(lengths.Count > 20 && lengths.All(n => n is > 0 and < 1500));
        Assert.Equal(40, faulty.TransmitFaults().Truncated);
    }
}
