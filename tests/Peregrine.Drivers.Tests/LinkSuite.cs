// What every link must do, whatever carries it. A driver's tests derive from this and give a setup; everything else is here.
using System.Diagnostics;
using Peregrine.Core.Links;
using Peregrine.Core.Memory;
using Peregrine.Drivers.Linux;

namespace Peregrine.Drivers.Tests;

/// <summary>The suite of all drivers.</summary>
public abstract class LinkSuite
{
    private const int PatienceSeconds = 60;

    /// <summary>Makes a link with its peer, or reports the test as not run where this machine cannot.</summary>
    /// <param name="chunkCount">Chunks of the pool under test.</param>
    /// <param name="chunkSize">Bytes a chunk.</param>
    protected abstract LinkSetup Create(int chunkCount = 512, int chunkSize = 2048);

    [Theory]
    [InlineData(1, 200)]
    [InlineData(2, 100)]
    [InlineData(7, 40)]
    [InlineData(16, 20)]
    [InlineData(31, 10)]
    [InlineData(32, 10)]
    [InlineData(64, 8)]
    [InlineData(200, 3)]
    public void FramesInEqualFramesOutInOrder(int burst, int rounds)
    {
        using var setup = Open();
        var number = 0;
        for (var round = 0; round < rounds; round++)
        {
            var count = Math.Min(burst, setup.BurstCountMax);
            byte[][] inbound = new byte[count][], outbound = new byte[count][];
            for (var i = 0; i < count; i++)
            {
                inbound[i] = setup.Make(++number, LengthOf(setup, number), toLink: true);
                outbound[i] = setup.Make(++number, LengthOf(setup, number), toLink: false);
            }
            foreach (var frame in inbound) setup.Send(frame);
            Assert.Equal(inbound, ReceiveAll(setup, count));
            Transmit(setup, outbound);
            Assert.Equal(outbound, PeerReceivesAll(setup, count));
        }
        Assert.Equal((0, 0, 0, 0), Losses(setup.Queue.Counters));
        ExpectNoLeak(setup);
    }

    [Fact]
    public void ShortestAndLongestFramesPassBothWays()
    {
        using var setup = Open();
        foreach (var length in (int[])[60, 61, 64, 1024, setup.FrameLengthMax - 1, setup.FrameLengthMax])
        {
            byte[] inbound = setup.Make(1, length, toLink: true), outbound = setup.Make(2, length, toLink: false);
            setup.Send(inbound);
            Assert.Equal([inbound], ReceiveAll(setup, 1));
            Transmit(setup, [outbound]);
            Assert.Equal([outbound], PeerReceivesAll(setup, 1));
        }
        ExpectNoLeak(setup);
    }

    [Fact]
    public void CountersAgreeWithWhatWasSentAndWithTheKernel()
    {
        using var setup = Open();
        var kernelBefore = setup.KernelFrames;
        var before = setup.Queue.Counters;
        const int count = 100;
        long received = 0, bytes = 0, sentBytes = 0;
        var burst = new Frame[32];
        for (var i = 0; i < count; i++) setup.Send(setup.Make(i, 60 + i, toLink: true));
        var began = Stopwatch.GetTimestamp();
        for (var ours = 0; ours < count;)
        {
            Assert.True(IsPatient(began), "the frames did not come");
            setup.Turn();
            var n = setup.Queue.Receive(burst);
            if (n == 0) WaitForFrames(setup);
            foreach (ref readonly var frame in burst.AsSpan(0, n))
            {
                received++;
                bytes += frame.Length;
                if (setup.IsOurs(PoolFixture.Bytes(setup.Pool, frame))) ours++;
                setup.Pool.Return(frame);
            }
        }
        var outbound = Enumerable.Range(0, count).Select(i => setup.Make(i, 70 + i, toLink: false)).ToArray();
        foreach (var frame in outbound) sentBytes += frame.Length;
        Transmit(setup, outbound);
        PeerReceivesAll(setup, count);
        var after = setup.Queue.Counters;
        Assert.Equal((received, bytes), (after.ReceivedFrames - before.ReceivedFrames, after.ReceivedBytes - before.ReceivedBytes));
        Assert.Equal((count, sentBytes), (after.SentFrames - before.SentFrames, after.SentBytes - before.SentBytes));
        Assert.Equal((0, 0, 0, 0), Losses(after));
        if (setup.KernelFrames is not { } kernel || kernelBefore is not { } old) return;
        // The kernel's own multicast may add to what goes to the link, never to what comes from it.
        Assert.Equal(count, kernel.FromLink - old.FromLink);
        Assert.InRange(kernel.ToLink - old.ToLink, received, received + 20);
    }

    [Fact]
    public void ExhaustedPoolLosesByCounterOrWaitsAndRecovers()
    {
        using var setup = Open(chunkCount: 96);
        var pool = setup.Pool;
        var sent = Math.Min(160, setup.BurstCountMax);
        // Everything is held by somebody else, so the link has what it has rented ahead, and no more.
        var held = new Stack<Frame>();
        while (pool.TryRent(out var frame)) held.Push(frame);
        for (var i = 0; i < sent; i++) setup.Send(setup.Make(i, 60 + i, toLink: true));
        var burst = new Frame[32];
        var numbers = new List<byte[]>();
        for (var look = 0; look < 50; look++)
        {
            setup.Turn();
            var n = setup.Queue.Receive(burst);
            for (var i = 0; i < n; i++)
            {
                // Whoever has no memory keeps what it has.
                numbers.Add(PoolFixture.Bytes(pool, burst[i]));
                held.Push(burst[i]);
            }
            setup.Queue.Reclaim();
        }
        Assert.True(numbers.Count(bytes => setup.IsOurs(bytes)) < sent, "more frames were received than there was memory");
        foreach (var frame in held) pool.Return(frame);
        // A link that gives its chunks to the kernel ahead does so again when it is asked for frames; what was held back may come late.
        DrainBriefly(setup);
        var inbound = Enumerable.Range(1000, 20).Select(i => setup.Make(i, 100, toLink: true)).ToArray();
        foreach (var frame in inbound) setup.Send(frame);
        Assert.Equal(inbound, ReceiveAll(setup, inbound.Length, first: 1000));
        var outbound = setup.Make(2000, 200, toLink: false);
        Transmit(setup, [outbound]);
        Assert.Equal([outbound], PeerReceivesAll(setup, 1));
        ExpectNoLeak(setup);
    }

    [Fact]
    public void CloseInMidBurstGivesEveryFrameBack()
    {
        using var setup = Open();
        var count = Math.Min(64, setup.BurstCountMax);
        for (var i = 0; i < count; i++) setup.Send(setup.Make(i, 200, toLink: true));
        setup.Turn();
        // Some frames wait at the link, some are ours, some are under way out, and nobody reclaims.
        var burst = new Frame[7];
        var n = setup.Queue.Receive(burst);
        var outbound = new Frame[40];
        for (var i = 0; i < outbound.Length; i++) outbound[i] = PoolFixture.Make(setup.Pool, setup.Make(i, 300, toLink: false));
        var taken = setup.Queue.Transmit(outbound);
        setup.Queue.Dispose();
        for (var i = 0; i < n; i++) setup.Pool.Return(burst[i]);
        for (var i = taken; i < outbound.Length; i++) setup.Pool.Return(outbound[i]);
        setup.Link.Dispose();
        setup.Turn();
        Assert.Equal(setup.Pool.Chunks.Count, setup.Pool.Chunks.FreeCount);
        setup.Queue.Dispose();
        Assert.Equal(setup.Pool.Chunks.Count, setup.Pool.Chunks.FreeCount);
    }

    [Fact]
    public void RestartedLinkCarriesOnAndStartsCountingAnew()
    {
        using var setup = Open();
        for (var life = 0; life < 5; life++)
        {
            byte[] inbound = setup.Make(life, 100 + life, toLink: true), outbound = setup.Make(life, 200 + life, toLink: false);
            setup.Send(inbound);
            Assert.Equal([inbound], ReceiveAll(setup, 1));
            Transmit(setup, [outbound]);
            Assert.Equal([outbound], PeerReceivesAll(setup, 1));
            Assert.Equal(1, setup.Queue.Counters.SentFrames);
            setup.Queue.Dispose();
            setup.Reopen();
            Assert.Equal(setup.Pool.Chunks.Count, setup.Pool.Chunks.FreeCount);
            setup.OpenQueue();
            Assert.Equal(0, setup.Queue.Counters.SentFrames);
        }
    }

    [Fact]
    public void FramesOfSeveralChunksAreSentWholeOrRefusedByCounter()
    {
        using var setup = Open(chunkSize: 512);
        if (setup.FrameLengthMax < 1200) return;
        var outbound = setup.Make(1, 1200, toLink: false);
        // Most of the first chunk stays empty, so that drivers with larger chunks get a chain as well.
        var frame = PoolFixture.Make(setup.Pool, outbound, headroom: setup.Pool.Chunks.ChunkSize - 300);
        Assert.True(frame.IsChained);
        Assert.Equal(1, setup.Queue.Transmit([frame]));
        if (setup.TakesChains) Assert.Equal([outbound], PeerReceivesAll(setup, 1));
        else Assert.Equal(1, setup.Queue.Counters.SendDroppedError);
        ExpectNoLeak(setup);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(13)]
    [InlineData(FramePool.PieceCountMax)]
    public unsafe void PiecesAreGatheredInTheirOrder(int count)
    {
        using var setup = Open();
        if (!setup.Link.Offloads.HasFlag(LinkOffloads.Gather)) return;
        const int headers = 54;
        var outbound = setup.Make(1, headers + (count * 20), toLink: false);
        var frame = PoolFixture.Make(setup.Pool, outbound.AsSpan(0, headers));
        fixed (byte* bytes = outbound)
        {
            for (var i = 0; i < count; i++) setup.Pool.PieceRoom(frame)[i] = new FramePiece { Address = bytes + headers + (i * 20), Length = 20 };
            setup.Pool.SetPieces(ref frame, count, outbound.Length - headers);
            Assert.Equal(outbound, PoolFixture.Bytes(setup.Pool, frame));
            Assert.Equal(1, setup.Queue.Transmit([frame]));
        }
        Assert.Equal([outbound], PeerReceivesAll(setup, 1));
        ExpectNoLeak(setup);
    }

    [Fact]
    public void FloodIsTakenInPartsAndArrivesInOrder()
    {
        using var setup = Open(chunkCount: 2048);
        var count = Math.Min(1000, setup.BurstCountMax * 3);
        var outbound = Enumerable.Range(0, count).Select(i => setup.Make(i, 60 + (i % 900), toLink: false)).ToArray();
        var got = new List<byte[]>();
        var began = Stopwatch.GetTimestamp();
        for (var at = 0; at < count;)
        {
            Assert.True(IsPatient(began), "the link takes no more frames");
            var part = outbound.AsSpan(at, Math.Min(100, count - at));
            at += TransmitOnce(setup, part);
            setup.Queue.Reclaim();
            setup.Turn();
            while (setup.Receive() is { } frame)
            {
                if (setup.IsOurs(frame)) got.Add(frame);
                if (got.Count == at) break;
            }
        }
        if (got.Count < count) got.AddRange(PeerReceivesAll(setup, count - got.Count));
        Assert.Equal(outbound, got);
        ExpectNoLeak(setup);
    }

    [Fact]
    public void ArmedQueueSaysWhenFramesWait()
    {
        using var setup = Open();
        using var waiter = new LinuxPlatform().CreateWaiter();
        setup.Queue.SetWake(waiter.Wake);
        DrainBriefly(setup);
        setup.Send(setup.Make(1, 100, toLink: true));
        var woken = false;
        for (var began = Stopwatch.GetTimestamp(); !woken && IsPatient(began);)
        {
            setup.Turn();
            woken = !setup.Queue.TryArm() || waiter.Wait([setup.Queue.PollDescriptor], Core.Time.Duration.FromMilliseconds(100));
        }
        Assert.True(woken, "a frame waits and nobody says so");
        Assert.Single(ReceiveAll(setup, 1));
    }

    [Fact]
    public void BurstsAllocateNothing()
    {
        using var setup = Open();
        byte[] inbound = setup.Make(1, 100, toLink: true), outbound = setup.Make(2, 100, toLink: false);
        var burst = new Frame[32];
        long Round()
        {
            for (var i = 0; i < 8; i++) setup.Send(inbound);
            setup.Turn();
            for (var i = 0; i < 8; i++) burst[i] = PoolFixture.Make(setup.Pool, outbound);
            var before = GC.GetAllocatedBytesForCurrentThread();
            var taken = setup.Queue.Transmit(burst.AsSpan(0, 8));
            setup.Queue.Reclaim();
            var n = setup.Queue.Receive(burst);
            for (var i = 0; i < n; i++) setup.Pool.Return(burst[i]);
            setup.Queue.TryArm();
            var allocated = GC.GetAllocatedBytesForCurrentThread() - before;
            Assert.Equal(8, taken);
            PeerReceivesAll(setup, 8);
            return allocated;
        }

        for (var warm = 0; warm < 4; warm++) Round();
        Assert.Equal(0, Round());
    }

    [Fact]
    public void QueuesAreOpenedOnceAndByNumber()
    {
        using var setup = Open();
        Assert.Throws<InvalidOperationException>(() => setup.Link.OpenQueue(0, setup.Pool));
        Assert.Throws<ArgumentOutOfRangeException>(() => setup.Link.OpenQueue(-1, setup.Pool));
        Assert.Throws<ArgumentOutOfRangeException>(() => setup.Link.OpenQueue(setup.Link.QueueCount, setup.Pool));
        Assert.InRange(setup.Link.Mtu, 68, 65_535);
        Assert.NotEmpty(setup.Link.Name);
        Assert.True(setup.Link.IsUp);
    }

    private static int LengthOf(LinkSetup setup, int number) => 60 + (int)(number * 2_654_435_761L % (setup.FrameLengthMax - 59));

    private static (long Memory, long Malformed, long Refused, long Errors) Losses(in LinkQueueCounters c) =>
        (c.ReceiveDroppedNoMemory, c.ReceiveDroppedMalformed, c.SendDroppedError, c.ReceiveErrors);

    private LinkSetup Open(int chunkCount = 512, int chunkSize = 2048)
    {
        var setup = Create(chunkCount, chunkSize);
        setup.OpenQueue();
        return setup;
    }

    private static bool IsPatient(long began) => Stopwatch.GetElapsedTime(began).TotalSeconds < PatienceSeconds;

    /// <summary>Receives until so many of the suite's frames have come, of those with a number from <paramref name="first"/> on.</summary>
    private static List<byte[]> ReceiveAll(LinkSetup setup, int count, int first = 0)
    {
        var (got, began) = (new List<byte[]>(), Stopwatch.GetTimestamp());
        var burst = new Frame[32];
        for (var look = 0; got.Count < count && IsPatient(began); look++)
        {
            setup.Turn();
            // Bursts of every size, so that a queue is left in mid-batch again and again.
            var n = setup.Queue.Receive(burst.AsSpan(0, 1 + (look % burst.Length)));
            foreach (ref readonly var frame in burst.AsSpan(0, n))
            {
                var bytes = PoolFixture.Bytes(setup.Pool, frame);
                if (setup.IsOurs(bytes) && setup.NumberOf(bytes) >= first) got.Add(bytes);
                setup.Pool.Return(frame);
            }
            setup.Queue.Reclaim();
            if (n == 0 && !WaitForFrames(setup)) break;
        }
        return got;
    }

    private static void Transmit(LinkSetup setup, ReadOnlySpan<byte[]> frames)
    {
        var began = Stopwatch.GetTimestamp();
        while (frames.Length > 0)
        {
            Assert.True(IsPatient(began), "the link takes no more frames");
            frames = frames[TransmitOnce(setup, frames)..];
            setup.Queue.Reclaim();
            setup.Turn();
        }
    }

    private static int TransmitOnce(LinkSetup setup, ReadOnlySpan<byte[]> frames)
    {
        var burst = new Frame[frames.Length];
        for (var i = 0; i < burst.Length; i++) burst[i] = PoolFixture.Make(setup.Pool, frames[i]);
        var taken = setup.Queue.Transmit(burst);
        for (var i = taken; i < burst.Length; i++) setup.Pool.Return(burst[i]);
        return taken;
    }

    private static List<byte[]> PeerReceivesAll(LinkSetup setup, int count)
    {
        var got = new List<byte[]>();
        for (var began = Stopwatch.GetTimestamp(); got.Count < count && IsPatient(began);)
        {
            setup.Queue.Reclaim();
            setup.Turn();
            if (setup.Receive() is { } frame && setup.IsOurs(frame)) got.Add(frame);
        }
        return got;
    }

    /// <summary>Waits for the descriptor where there is one; false after a minute of nothing.</summary>
    private static bool WaitForFrames(LinkSetup setup)
    {
        if (!setup.Queue.TryArm()) return true;
        var descriptor = setup.Queue.PollDescriptor;
        if (descriptor < 0)
        {
            Thread.Yield();
            return true;
        }
        Span<PollDescriptor> poll = [new PollDescriptor { Descriptor = descriptor, Events = LinuxConstants.PollIn }];
        return Posix.Poll(poll, PatienceSeconds * 1_000_000_000L).Int32 == 1;
    }

    private static void DrainBriefly(LinkSetup setup)
    {
        var burst = new Frame[32];
        for (var empty = 0; empty < 20;)
        {
            setup.Turn();
            var n = setup.Queue.Receive(burst);
            for (var i = 0; i < n; i++) setup.Pool.Return(burst[i]);
            setup.Queue.Reclaim();
            empty = n == 0 ? empty + 1 : 0;
        }
    }

    private static void ExpectNoLeak(LinkSetup setup)
    {
        setup.Queue.Dispose();
        setup.Link.Dispose();
        setup.Turn();
        Assert.Equal(setup.Pool.Chunks.Count, setup.Pool.Chunks.FreeCount);
    }
}
