using Peregrine.Core.Links;
using Peregrine.Core.Memory;
using Peregrine.Drivers.Dpdk;

namespace Peregrine.Drivers.Tests;

[Collection(DpdkTests.Name)]
public sealed class DpdkLinkTests
{
    [Theory]
    [InlineData(DpdkBuffers.Own)]
    [InlineData(DpdkBuffers.Copied)]
    public void FramesComeBackFromARingAsTheyWere(DpdkBuffers buffers)
    {
        using var dpdk = new DpdkFixture("net_ring", options: new DpdkOptions { Buffers = buffers });
        Assert.True(dpdk.Link.IsUp);
        Assert.Equal("net_ring", dpdk.Link.DriverName);
        Assert.StartsWith("DPDK 22.11", dpdk.Link.Version, StringComparison.Ordinal);
        for (var round = 0; round < 200; round++)
        {
            var sent = Enumerable.Range(0, 1 + (round % 70)).Select(i => PoolFixture.Pattern(60 + ((i * 131 + round) % 1455), round + i)).ToList();
            Assert.Equal(sent.Count, dpdk.Queue.Transmit(sent.Select(bytes => PoolFixture.Make(dpdk.Pool, bytes)).ToArray()));
            Assert.Equal(sent, dpdk.Receive(sent.Count));
        }
        var counters = dpdk.Queue.Counters;
        Assert.Equal(counters.SentFrames, counters.ReceivedFrames);
        Assert.Equal(counters.SentBytes, counters.ReceivedBytes);
        Assert.Equal(0, counters.ReceiveDroppedMalformed + counters.ReceiveDroppedNoMemory + counters.SendDroppedError);
    }

    [Theory]
    [InlineData(DpdkBuffers.Own)]
    [InlineData(DpdkBuffers.Copied)]
    public void FramesOfSeveralChunksAreSentAndReceivedWhole(DpdkBuffers buffers)
    {
        using var dpdk = new DpdkFixture("net_ring", options: new DpdkOptions { Buffers = buffers, Mtu = 9000 });
        var sent = new[] { 2000, 9014, 4096, 1915, 1921 }.Select(length => PoolFixture.Pattern(length, length)).ToList();
        Assert.Equal(sent.Count, dpdk.Queue.Transmit(sent.Select(bytes => PoolFixture.Make(dpdk.Pool, bytes)).ToArray()));
        Assert.Equal(sent, dpdk.Receive(sent.Count));
    }

    [Theory]
    [InlineData(DpdkBuffers.Own)]
    [InlineData(DpdkBuffers.Copied)]
    public void AFullRingRefusesFramesAndTheirOwnerKeepsThem(DpdkBuffers buffers)
    {
        using var dpdk = new DpdkFixture("net_ring", options: new DpdkOptions { Buffers = buffers });
        var bytes = PoolFixture.Pattern(100);
        var sent = 0;
        for (var i = 0; i < 2000; i++)
        {
            if (!dpdk.Pool.TryRent(out var frame)) break;
            dpdk.Pool.Return(frame);
            frame = PoolFixture.Make(dpdk.Pool, bytes);
            if (dpdk.Queue.Transmit([frame]) == 0)
            {
                Assert.Equal(bytes, PoolFixture.Bytes(dpdk.Pool, frame));
                dpdk.Pool.Return(frame);
                break;
            }
            sent++;
        }
        Assert.InRange(sent, 100, 1100);
        Assert.All(dpdk.Receive(sent), got => Assert.Equal(bytes, got));
        Assert.Equal(1, dpdk.Queue.Transmit([PoolFixture.Make(dpdk.Pool, bytes)]));
    }

    [Fact]
    public void WithoutAFreeChunkFramesAreCountedAndTheDeviceKeepsItsOwn()
    {
        using var dpdk = new DpdkFixture("net_null", "size=100");
        var taken = new List<Frame>();
        while (dpdk.Pool.TryRent(out var frame)) taken.Add(frame);
        var burst = new Frame[32];
        Assert.Equal(0, dpdk.Queue.Receive(burst));
        Assert.Equal(32, dpdk.Queue.Counters.ReceiveDroppedNoMemory);
        foreach (var frame in taken) dpdk.Pool.Return(frame);
        Assert.Equal(32, dpdk.Queue.Receive(burst));
        Assert.All(burst, frame => Assert.Equal(100, frame.Length));
        foreach (var frame in burst) dpdk.Pool.Return(frame);
    }

    [Fact]
    public void NothingIsAllocatedAFrame()
    {
        using var dpdk = new DpdkFixture("net_null");
        var burst = new Frame[32];
        long Reflect(int turns)
        {
            var before = GC.GetAllocatedBytesForCurrentThread();
            for (var i = 0; i < turns; i++)
            {
                dpdk.Queue.Transmit(burst.AsSpan(0, dpdk.Queue.Receive(burst)));
                dpdk.Queue.Reclaim();
            }
            return GC.GetAllocatedBytesForCurrentThread() - before;
        }
        Reflect(100);
        Assert.Equal(0, Reflect(10_000));
        Assert.Equal(10_100L * 32, dpdk.Queue.Counters.SentFrames);
    }

    [Fact]
    public void FramesThatTheDeviceCannotFinishAreDroppedAndCounted()
    {
        using var dpdk = new DpdkFixture("net_ring");
        Assert.Equal(LinkOffloads.None, dpdk.Link.Offloads);
        var unfinished = PoolFixture.Make(dpdk.Pool, PoolFixture.Pattern(100)) with { Flags = FrameFlags.ChecksumUnfinished, ChecksumStart = 34, ChecksumOffset = 16 };
        var super = PoolFixture.Make(dpdk.Pool, PoolFixture.Pattern(9000)) with { SegmentKind = SegmentKind.Tcp4, SegmentSize = 1000, HeaderLength = 54 };
        var tooLong = PoolFixture.Make(dpdk.Pool, PoolFixture.Pattern(1600));
        var good = PoolFixture.Make(dpdk.Pool, PoolFixture.Pattern(64));
        Assert.Equal(5, dpdk.Queue.Transmit([unfinished, good, super, tooLong, PoolFixture.Make(dpdk.Pool, PoolFixture.Pattern(64))]));
        Assert.Equal(3, dpdk.Queue.Counters.SendDroppedError);
        Assert.All(dpdk.Receive(2), got => Assert.Equal(PoolFixture.Pattern(64), got));
    }

    [Fact]
    public void ATagIsPutInWhereTheDeviceDoesNot()
    {
        using var dpdk = new DpdkFixture("net_ring");
        var bytes = PoolFixture.Pattern(100);
        Assert.Equal(1, dpdk.Queue.Transmit([PoolFixture.Make(dpdk.Pool, bytes) with { Flags = FrameFlags.VlanTag, VlanTag = 0x3064 }]));
        Assert.Equal([.. bytes[..12], 0x81, 0x00, 0x30, 0x64, .. bytes[12..]], dpdk.Receive(1)[0]);
    }

    [Fact]
    public void KeyAndTableOfSeveralQueuesAreReadAndSet()
    {
        var key = PoolFixture.Pattern(40, 7);
        using var dpdk = new DpdkFixture("net_null", options: new DpdkOptions { QueueCount = 2, HashKey = key });
        using var other = new DpdkFixture("net_null");
        Assert.Equal(0, other.Queue.Transmit([]));
        var (a, b) = (PoolFixture.Pool(), PoolFixture.Pool());
        using var first = dpdk.Link.OpenQueue(0, a);
        Assert.False(dpdk.Link.IsUp);
        Assert.Equal(0, first.Receive(new Frame[1]));
        using var second = dpdk.Link.OpenQueue(1, b);
        Assert.True(dpdk.Link.IsUp);
        Assert.Equal(key, dpdk.Link.ReadHashKey());
        var changed = PoolFixture.Pattern(40, 8);
        dpdk.Link.SetHashKey(changed);
        Assert.Equal(changed, dpdk.Link.ReadHashKey());
        var table = dpdk.Link.ReadRedirectionTable();
        Assert.NotEmpty(table);
        for (var i = 0; i < table.Length; i++) table[i] = (ushort)(i % 3 == 0 ? 1 : 0);
        dpdk.Link.SetRedirectionTable(table);
        Assert.Equal(table, dpdk.Link.ReadRedirectionTable());
        table[0] = 2;
        Assert.Throws<ArgumentOutOfRangeException>(() => dpdk.Link.SetRedirectionTable(table));
        Assert.Throws<ArgumentException>(() => dpdk.Link.SetHashKey(key.AsSpan(1)));
        second.Dispose();
        first.Dispose();
        Assert.Equal((a.Chunks.Count, b.Chunks.Count), (a.Chunks.FreeCount, b.Chunks.FreeCount));
    }

    [Fact]
    public void ADeviceThatIsPulledOutTakesTheLinkDownAndGivesItsFramesBack()
    {
        using var dpdk = new DpdkFixture("net_null");
        var burst = new Frame[8];
        Assert.Equal(8, dpdk.Queue.Receive(burst));
        Assert.True(dpdk.Link.IsUp);
        dpdk.Link.Port.OnGone();
        Assert.False(dpdk.Link.IsUp);
        Assert.Equal(0, dpdk.Queue.Receive(new Frame[1]));
        Assert.Equal(8, dpdk.Queue.Transmit(burst));
        Assert.Equal(8, dpdk.Queue.Counters.SendDroppedError);
    }

    [Fact]
    public unsafe void ADeviceThatIsRemovedTakesTheLinkDownAndItsNameMayBeAnothers()
    {
        DpdkFixture.SkipUnlessInstalled();
        var pool = PoolFixture.Pool(1024);
        var link = DpdkLink.Open("net_ring_removed0");
        var queue = link.OpenQueue(0, pool);
        Assert.Equal(2, queue.Transmit([PoolFixture.Make(pool, PoolFixture.Pattern(100)), PoolFixture.Make(pool, PoolFixture.Pattern(100))]));
        // What rte_dev_remove does for whoever unplugs a device of software.
        fixed (byte* bus = "vdev\0"u8, name = "net_ring_removed0\0"u8) Assert.Equal(0, link.Port.Eal.Library.HotplugRemove(bus, name));
        Assert.False(link.IsUp);
        Assert.Equal(0, queue.Receive(new Frame[1]));
        Assert.Equal(1, queue.Transmit([PoolFixture.Make(pool, PoolFixture.Pattern(100))]));
        Assert.Equal(1, queue.Counters.SendDroppedError);
        using var other = new DpdkFixture("net_ring");
        using var again = DpdkLink.Open("net_ring_removed0");
        link.Dispose();
        Assert.Equal(pool.Chunks.Count, pool.Chunks.FreeCount);
        // It has taken down nothing but itself.
        using var next = again.OpenQueue(0, pool);
        Assert.True(again.IsUp && other.Link.IsUp);
    }

    [Fact]
    public void ANameCanBeOpenedOnceAndAgainAfterItWasClosed()
    {
        DpdkFixture.SkipUnlessInstalled();
        using (DpdkLink.Open("net_null_again0"))
        {
            var e = Assert.Throws<IOException>(() => DpdkLink.Open("net_null_again0"));
            Assert.Contains("open already", e.Message, StringComparison.Ordinal);
        }
        using var again = DpdkLink.Open("net_null_again0");
        Assert.Equal("net_null_again0", again.Name);
    }

    [Fact]
    public void WhatCannotBeMadeSaysWhatToDo()
    {
        DpdkFixture.SkipUnlessInstalled();
        var e = Assert.Throws<IOException>(() => DpdkLink.Open("net_nothing0"));
        Assert.Contains("librte-net-nothing23", e.Message, StringComparison.Ordinal);
        e = Assert.Throws<IOException>(() => LinkFactory.Open("dpdk:net_af_packet0,iface=nosuch0"));
        Assert.Contains("nosuch0", e.Message, StringComparison.Ordinal);
        e = Assert.Throws<IOException>(() => DpdkLink.Open("0000:ff:1f.7"));
        Assert.Contains("vfio-pci", e.Message, StringComparison.Ordinal);
        Assert.Throws<InvalidOperationException>(() => LinkFactory.Open("dpdk:net_null0,eal=--no-huge --another"));
    }

    [Fact]
    public void ATooSmallPoolIsRefusedWithTheNumberThatIsNeeded()
    {
        DpdkFixture.SkipUnlessInstalled();
        using var link = DpdkLink.Open("net_null_small0");
        var pool = PoolFixture.Pool(64);
        var e = Assert.Throws<InsufficientMemoryException>(() => link.OpenQueue(0, pool));
        Assert.Contains("64 free chunks", e.Message, StringComparison.Ordinal);
        Assert.Equal(64, pool.Chunks.FreeCount);
    }
}
