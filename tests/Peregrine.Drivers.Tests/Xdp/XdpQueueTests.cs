using Peregrine.Core.Memory;
using Peregrine.Drivers.Xdp;
using Peregrine.Wire;

namespace Peregrine.Drivers.Tests;

/// <summary>Frames over two AF_XDP sockets at the ends of a veth pair: equal in, equal out, and every chunk comes home.</summary>
public sealed class XdpQueueTests
{
    private static byte[] Frame(int length, int seed)
    {
        var bytes = PoolFixture.Pattern(length, seed);
        // An address of no group.
        bytes[0] = 0x02;
        VethFixture.OwnType.CopyTo(bytes, 12);
        return bytes;
    }

    [Theory]
    [InlineData(XdpMode.Native)]
    [InlineData(XdpMode.Generic)]
    public void FramesInAreEqualFramesOutUnderBursts(XdpMode mode)
    {
        using var veth = new VethFixture();
        var options = new XdpOptions { Mode = mode, Traffic = new XdpTraffic { All = true } };
        var (nearPool, farPool) = (PoolFixture.Pool(1024), PoolFixture.Pool(1024));
        using (var near = veth.OpenNear(options))
        using (var far = veth.OpenFar(options))
        {
            Assert.StartsWith(mode == XdpMode.Native ? "native, copy" : "generic", near.Mode, StringComparison.Ordinal);
            var (from, to) = (near.OpenQueue(0, nearPool), far.OpenQueue(0, farPool));
            var random = new Random(5);
            var number = 0;
            for (var round = 0; round < 60; round++)
            {
                var sent = Enumerable.Range(0, random.Next(1, 65)).Select(_ => Frame(random.Next(60, 1515), ++number)).ToList();
                var frames = sent.Select(bytes => PoolFixture.Make(nearPool, bytes)).ToArray();
                for (var at = 0; at < frames.Length; at += from.Transmit(frames.AsSpan(at))) from.Reclaim();
                Assert.Equal(sent, VethFixture.Take(to, farPool, sent.Count));
                from.Reclaim();
            }
            Assert.Equal(number, from.Counters.SentFrames);
            // The kernel's own neighbour discovery may be among them.
            Assert.InRange(to.Counters.ReceivedFrames, number, number + 50);
            Assert.InRange(to.Counters.ReceivedBytes, from.Counters.SentBytes, long.MaxValue);
            Assert.Equal(0, to.Counters.ReceiveDroppedNoMemory);
        }
        Assert.Equal((1024, 1024), (nearPool.Chunks.FreeCount, farPool.Chunks.FreeCount));
    }

    [Fact]
    public void ExhaustedReceiverCountsWhatItLosesAndComesBack()
    {
        using var veth = new VethFixture();
        var (nearPool, farPool) = (PoolFixture.Pool(1024), PoolFixture.Pool(64));
        using var near = veth.OpenNear();
        using var far = veth.OpenFar();
        var (from, to) = (near.OpenQueue(0, nearPool), far.OpenQueue(0, farPool));
        var held = new Frame[256];
        var heldCount = 0;
        SendMany(from, nearPool, 200);
        for (int n; (n = to.Receive(held.AsSpan(heldCount))) > 0;)
        {
            heldCount += n;
            SendMany(from, nearPool, 50);
        }
        Assert.Equal((64, 0), (heldCount, farPool.Chunks.FreeCount));
        SendMany(from, nearPool, 100);
        Assert.Equal(from.Counters.SentFrames, heldCount + to.Counters.ReceiveDroppedNoMemory);
        foreach (ref readonly var frame in held.AsSpan(0, heldCount)) farPool.Return(frame);
        Assert.Equal(0, to.Receive(held));
        from.Transmit([PoolFixture.Make(nearPool, Frame(100, 9))]);
        Assert.Equal([Frame(100, 9)], VethFixture.Take(to, farPool, 1));
    }

    [Fact]
    public void ExhaustedSenderIsRefusedAndGetsItsChunksBack()
    {
        using var veth = new VethFixture();
        var pool = PoolFixture.Pool(4096);
        using var near = veth.OpenNear(new XdpOptions { RingFrames = 64, Traffic = new XdpTraffic { All = true } });
        using var far = veth.OpenFar();
        var (from, to) = (near.OpenQueue(0, pool), far.OpenQueue(0, PoolFixture.Pool(2048)));
        var frames = Enumerable.Range(0, 1000).Select(i => PoolFixture.Make(pool, Frame(64, i))).ToArray();
        var sent = 0;
        for (var turn = 0; turn < 100_000 && sent < frames.Length; turn++)
        {
            var taken = from.Transmit(frames.AsSpan(sent));
            Assert.InRange(taken, 0, 64);
            sent += taken;
            from.Reclaim();
        }
        Assert.Equal(1000, sent);
        Assert.Equal(1000, from.Counters.SentFrames);
    }

    [Fact]
    public void CloseInMidBurstLosesNoChunk()
    {
        using var veth = new VethFixture();
        var (nearPool, farPool) = (PoolFixture.Pool(512), PoolFixture.Pool(512));
        for (var round = 0; round < 10; round++)
        {
            using (var near = veth.OpenNear())
            using (var far = veth.OpenFar())
            {
                var (from, to) = (near.OpenQueue(0, nearPool), far.OpenQueue(0, farPool));
                SendMany(from, nearPool, 100);
                if (round % 2 == 0) VethFixture.Take(to, farPool, 10);
            }
            Assert.Equal((512, 512), (nearPool.Chunks.FreeCount, farPool.Chunks.FreeCount));
        }
    }

    [Fact]
    public void CountersAgreeWithTheKernels()
    {
        using var veth = new VethFixture(kernelSpeaksIPv6: false);
        var pool = PoolFixture.Pool(1024);
        using var near = veth.OpenNear();
        using var far = veth.OpenFar();
        var (from, to) = (near.OpenQueue(0, pool), far.OpenQueue(0, PoolFixture.Pool(4096)));
        var before = Uncounted(veth, far);
        SendMany(from, pool, 500);
        VethFixture.Take(to, PoolOf(to), 500);
        // Every frame that the kernel's counter has was taken or passed by the program, and every one taken came to the queue.
        Assert.True(SpinWait.SpinUntil(() => Uncounted(veth, far) == before, 60_000), $"{Uncounted(veth, far) - before} frames are the kernel's alone");
        Assert.Equal((500, 0), (to.Counters.ReceivedFrames, to.Counters.ReceiveDroppedNoMemory));
        Assert.Equal(500, far.Steering.Count(0).Taken);
        Assert.InRange(from.Counters.SystemCalls, 1, 500);
    }

    [Theory]
    [InlineData(XdpMode.Native)]
    [InlineData(XdpMode.Generic)]
    public void JumboFramesTravelInSeveralChunks(XdpMode mode)
    {
        using var veth = new VethFixture(mtu: 9000);
        var options = new XdpOptions { Mode = mode, Traffic = new XdpTraffic { All = true } };
        var (nearPool, farPool) = (PoolFixture.Pool(256), PoolFixture.Pool(256));
        using (var near = veth.OpenNear(options))
        using (var far = veth.OpenFar(options))
        {
            Assert.Equal(9000, near.Mtu);
            var (from, to) = (near.OpenQueue(0, nearPool), far.OpenQueue(0, farPool));
            foreach (var length in (int[])[60, 2000, 4000, 9014])
            {
                Assert.Equal(1, from.Transmit([PoolFixture.Make(nearPool, Frame(length, length))]));
                Assert.Equal([Frame(length, length)], VethFixture.Take(to, farPool, 1));
                from.Reclaim();
            }
        }
        Assert.Equal((256, 256), (nearPool.Chunks.FreeCount, farPool.Chunks.FreeCount));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void TwoQueuesHaveOnePoolOrOneEach(bool onePool)
    {
        using var veth = new VethFixture(queueCount: 2);
        var options = new XdpOptions { QueueCount = 2, Traffic = new XdpTraffic { All = true } };
        var (a, b) = (PoolFixture.Pool(1024), PoolFixture.Pool(1024));
        var second = onePool ? a : b;
        using (var near = veth.OpenNear(options))
        using (var far = veth.OpenFar(options))
        {
            var (near0, near1) = (near.OpenQueue(0, a), near.OpenQueue(1, second));
            var farPool = PoolFixture.Pool(1024);
            var (far0, far1) = (far.OpenQueue(0, farPool), far.OpenQueue(1, farPool));
            // A veth's queue speaks with the same queue of the other end.
            near0.Transmit([PoolFixture.Make(a, Frame(100, 1))]);
            near1.Transmit([PoolFixture.Make(second, Frame(200, 2))]);
            Assert.Equal([Frame(100, 1)], VethFixture.Take(far0, farPool, 1));
            Assert.Equal([Frame(200, 2)], VethFixture.Take(far1, farPool, 1));
            far1.Transmit([PoolFixture.Make(farPool, Frame(300, 3))]);
            Assert.Equal([Frame(300, 3)], VethFixture.Take(near1, second, 1));
            Assert.Throws<InvalidOperationException>(() => near.OpenQueue(1, a));
        }
        Assert.Equal((1024, 1024), (a.Chunks.FreeCount, b.Chunks.FreeCount));
    }

    [Fact]
    public void TagIsInsertedBehindTheAddresses()
    {
        using var veth = new VethFixture();
        var (nearPool, farPool) = (PoolFixture.Pool(), PoolFixture.Pool());
        using var near = veth.OpenNear();
        using var far = veth.OpenFar();
        var (from, to) = (near.OpenQueue(0, nearPool), far.OpenQueue(0, farPool));
        var frame = PoolFixture.Make(nearPool, Frame(100, 3));
        (frame.Flags, frame.VlanTag) = (FrameFlags.VlanTag, 0x2064);
        Assert.Equal(1, from.Transmit([frame]));
        var got = VethFixture.Take(to, farPool, 1)[0];
        Assert.Equal([0x81, 0x00, 0x20, 0x64], got[12..16]);
        Assert.Equal(Frame(100, 3)[12..], got[16..]);
    }

    [Fact]
    public void ModeSaysWhoSumsAfterTheMtuHasGrown()
    {
        const string byKernel = ", checksums by the kernel";
        using var veth = new VethFixture();
        using var near = veth.OpenNear();
        using var queue = near.OpenQueue(0, PoolFixture.Pool());
        var mode = near.Mode;
        Assert.SkipUnless(mode.EndsWith(byKernel, StringComparison.Ordinal), "not run: this kernel sums nothing for AF_XDP on veth");
        veth.NearSpace.Run(() => KernelInterface.SetMtu(VethFixture.Near, 3_000));
        Assert.Equal(Core.Links.LinkPresence.There, queue.Follow(out _));
        Assert.Equal(mode[..^byKernel.Length], near.Mode);
    }

    /// <summary>Frames that the kernel counts as received and the program does not: those from before it was attached.</summary>
    private static long Uncounted(VethFixture veth, XdpLink link)
    {
        var kernel = VethFixture.KernelCounters(veth.FarSpace, VethFixture.Far).ReceivedFrames;
        var (taken, passed) = link.Steering.Count(0);
        return kernel - taken - passed;
    }

    private static FramePool PoolOf(Core.Links.ILinkQueue queue) => ((XdpQueue)queue).Frames;

    private static void SendMany(Core.Links.ILinkQueue queue, FramePool pool, int count)
    {
        for (var sent = 0; sent < count;)
        {
            queue.Reclaim();
            var taken = queue.Transmit([PoolFixture.Make(pool, Frame(100, sent))]);
            Assert.Equal(1, taken);
            sent += taken;
        }
    }
}
