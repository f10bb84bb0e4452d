using System.Diagnostics;
using Peregrine.Core.Links;
using Peregrine.Core.Memory;
using Peregrine.Drivers.Dpdk;

namespace Peregrine.Drivers.Tests;

/// <summary>DPDK devices that go and come back while their link is open. Interfaces need root.</summary>
[Collection(DpdkTests.Name)]
public sealed unsafe class DpdkReturnTests
{
    private const int Rounds = 3;

    [Theory]
    [InlineData("net_af_packet", "iface=p0", DpdkBuffers.Own)]
    [InlineData("net_af_packet", "iface=p0", DpdkBuffers.Copied)]
    [InlineData("net_af_xdp", "iface=p0,force_copy=1", DpdkBuffers.Copied)]
    public void ADeviceComesBackWithItsInterfaceAndKeepsNothingOfTheOldOne(string driver, string arguments, DpdkBuffers buffers)
    {
        using var space = DpdkWireTests.Veth();
        using var dpdk = new DpdkFixture(driver, arguments, new DpdkOptions { NetworkNamespace = space.Path, Buffers = buffers });
        DpdkWireTests.Ping(dpdk, 5);
        var first = default(Holdings);
        for (var round = 0; round < Rounds; round++)
        {
            DpdkWireTests.Run(space, "ip", "link del p0");
            Assert.False(dpdk.Link.IsUp);
            for (var look = 0; look < 3; look++)
            {
                Assert.Equal(LinkPresence.Gone, dpdk.Queue.Follow(out var problem));
                Assert.Equal("there is no interface 'p0' any more; it is taken again when it is there again", problem);
            }
            // Nothing of ours is with a device that is not there, and what is sent meanwhile is lost and not kept.
            Assert.Equal(dpdk.Pool.Chunks.Count, dpdk.Pool.Chunks.FreeCount);
            Assert.Equal(1, dpdk.Queue.Transmit([PoolFixture.Make(dpdk.Pool, new byte[60])]));
            Assert.Equal(0, dpdk.Queue.Receive(new Frame[1]));
            Assert.Equal(round + 1, dpdk.Queue.Counters.SendDroppedError);
            DpdkWireTests.AddVeth(space);
            ComesBack(dpdk);
            DpdkWireTests.Ping(dpdk, 5);
            if (round == 0) first = Holdings.Now();
        }
        // libxdp 1.3.1 leaves net_af_xdp's socket and a map open at each closing, and the driver a record; the frames' memory is had back.
        var perRound = driver == "net_af_xdp" ? new Holdings(2, 0, 1) : default;
        Holdings.Now().HasNotGrown(first, perRound, Rounds - 1);
    }

    [Fact]
    public void ATapDeviceIsMadeAgain()
    {
        Assert.SkipUnless(Environment.IsPrivilegedProcess, "not run: a TAP device needs root");
        using var space = NetworkNamespace.Create();
        using var dpdk = new DpdkFixture("net_tap", "iface=dtap2", new DpdkOptions { NetworkNamespace = space.Path });
        var first = default(Holdings);
        for (var round = 0; round < Rounds; round++)
        {
            DpdkWireTests.Run(space, "ip", "address add 10.94.0.1/24 dev dtap2");
            DpdkWireTests.Ping(dpdk, 5);
            DpdkWireTests.Run(space, "ip", "link del dtap2");
            Assert.False(dpdk.Link.IsUp);
            ComesBack(dpdk);
            if (round == 0) first = Holdings.Now();
        }
        Holdings.Now().HasNotGrown(first);
    }

    [Theory]
    [InlineData("", "")]
    [InlineData(",client=1", ",server=1")]
    public void BothEndsOfAVhostSocketMayGoAndComeBack(string ofVhost, string ofVirtio)
    {
        DpdkFixture.SkipUnlessInstalled();
        var path = Path.Combine(Path.GetTempPath(), $"peregrine-vhost-{Environment.ProcessId}.sock");
        File.Delete(path);
        DpdkFixture Vhost() => new("net_vhost", $"iface={path}{ofVhost}");
        DpdkFixture Virtio() => new("net_virtio_user", $"path={path}{ofVirtio}");
        var (vhost, virtio) = (Vhost(), Virtio());
        var first = default(Holdings);
        for (var round = 0; round < Rounds; round++)
        {
            Connect(vhost, virtio);
            vhost.Dispose();
            Assert.True(SpinWait.SpinUntil(() => virtio.Queue.Follow(out _) == LinkPresence.Gone || !virtio.Link.IsUp, 60_000));
            vhost = Vhost();
            Connect(vhost, virtio);
            virtio.Dispose();
            Assert.True(SpinWait.SpinUntil(() => !vhost.Link.IsUp, 60_000));
            Assert.Equal(LinkPresence.There, vhost.Queue.Follow(out _));
            virtio = Virtio();
            if (round == 0) first = Holdings.Now();
        }
        Holdings.Now().HasNotGrown(first);
        vhost.Dispose();
        virtio.Dispose();
    }

    [Fact]
    public void AVirtioClientAsksForItsOtherEndAgainAndAgain()
    {
        DpdkFixture.SkipUnlessInstalled();
        var path = Path.Combine(Path.GetTempPath(), $"peregrine-vhost-{Environment.ProcessId}.sock");
        File.Delete(path);
        var vhost = new DpdkFixture("net_vhost", $"iface={path}");
        using var virtio = new DpdkFixture("net_virtio_user", $"path={path}");
        Connect(vhost, virtio);
        vhost.Dispose();
        Assert.True(SpinWait.SpinUntil(() => virtio.Queue.Follow(out _) == LinkPresence.Gone, 60_000));
        IsTriedAgain(virtio, "cannot be made");
        using var again = new DpdkFixture("net_vhost", $"iface={path}");
        Connect(again, virtio);
    }

    [Fact]
    public void ADeviceIsMadeAgainWhenEachOfItsQueuesHasLeftIt()
    {
        var key = PoolFixture.Pattern(40, 3);
        using var dpdk = new DpdkFixture("net_null", options: new DpdkOptions { QueueCount = 2 });
        FramePool[] pools = [PoolFixture.Pool(), PoolFixture.Pool()];
        var queues = pools.Select((pool, i) => dpdk.Link.OpenQueue(i, pool)).ToArray();
        dpdk.Link.SetHashKey(key);
        ushort[] table = [.. Enumerable.Range(0, dpdk.Link.ReadRedirectionTable().Length).Select(static i => (ushort)(i / 3 % 2))];
        dpdk.Link.SetRedirectionTable(table);
        Assert.All(queues, static queue => Assert.Equal(LinkPresence.There, queue.Follow(out _)));
        Assert.Equal(8, queues[0].Receive(new Frame[8]));
        dpdk.Link.Port.OnGone();

        string? problem = null;
        LinkPresence Look(int queue) => queues[queue].Follow(out problem);
        Assert.Equal(LinkPresence.Gone, Look(0));
        Assert.Equal("the device was removed; it is taken again when it is there again", problem);
        // Its other core may be within a burst.
        Assert.Equal((0, true), (dpdk.Link.AttemptCount, pools[0].Chunks.FreeCount < pools[0].Chunks.Count - 8));
        Assert.Equal(LinkPresence.Gone, Look(0));
        Assert.Equal(LinkPresence.Gone, Look(1));
        Assert.Equal((0, pools[1].Chunks.Count), (dpdk.Link.AttemptCount, pools[1].Chunks.FreeCount));
        Assert.Throws<IOException>(() => dpdk.Link.ReadHashKey());
        Assert.Equal(LinkPresence.Gone, Look(0));
        Assert.Equal((1, false), (dpdk.Link.AttemptCount, dpdk.Link.IsUp));
        Assert.Equal(0, queues[0].Receive(new Frame[1]));
        Assert.Equal(LinkPresence.Reopened, Look(1));
        Assert.Equal(LinkPresence.Reopened, Look(0));
        Assert.Equal((LinkPresence.There, LinkPresence.There, true), (Look(0), Look(1), dpdk.Link.IsUp));
        Assert.Equal(8, queues[1].Receive(new Frame[8]));
        Assert.Equal((8, 8), (queues[0].Counters.ReceivedFrames, queues[1].Counters.ReceivedFrames));
        Assert.Equal(key, dpdk.Link.ReadHashKey());
        Assert.Equal(table, dpdk.Link.ReadRedirectionTable());
        foreach (var queue in queues) queue.Dispose();
        // The eight of each are still with us.
        Assert.All(pools, static pool => Assert.Equal(pool.Chunks.Count - 8, pool.Chunks.FreeCount));
    }

    [Fact]
    public void WhatStandsInTheWayIsSaidAndDoesNotStayInTheWay()
    {
        using var dpdk = new DpdkFixture("net_ring");
        fixed (byte* bus = "vdev\0"u8, name = DpdkLibrary.Text(dpdk.Link.Name)) Assert.Equal(0, dpdk.Link.Port.Eal.Library.HotplugRemove(bus, name));
        using (var other = DpdkLink.Open(dpdk.Link.Name))
        {
            var pool = PoolFixture.Pool();
            using var queue = other.OpenQueue(0, pool);
            IsTriedAgain(dpdk, "is open already in this process");
            Assert.True(other.IsUp);
        }
        var taken = new List<Frame>();
        while (dpdk.Pool.TryRent(out var frame)) taken.Add(frame);
        string? problem = null;
        Assert.True(SpinWait.SpinUntil(() => dpdk.Queue.Follow(out problem) == LinkPresence.Gone && problem!.Contains("make the pool larger", StringComparison.Ordinal), 60_000), problem);
        foreach (var frame in taken) dpdk.Pool.Return(frame);
        ComesBack(dpdk);
        Assert.Equal(1, dpdk.Queue.Transmit([PoolFixture.Make(dpdk.Pool, PoolFixture.Pattern(100))]));
        Assert.Equal(PoolFixture.Pattern(100), dpdk.Receive(1)[0]);
    }

    [Fact]
    public Task AProcessThatGaveItsRightsUpSaysWhatDoesNotComeBackForThat() => ChildTest.RunAsync(typeof(DpdkReturnTests), nameof(InAChildOfItsOwn));

    [Fact]
    public void InAChildOfItsOwn()
    {
        ChildTest.SkipUnlessChild();
        using var space = DpdkWireTests.Veth();
        using var device = new DpdkFixture("net_af_packet", "iface=p0", new DpdkOptions { NetworkNamespace = space.Path });
        // Somebody who keeps the rights that we give up.
        var other = space.Run(static () => Process.Start(new ProcessStartInfo("sh", ["-c", "read go; ip link del p0; read go; ip link add p0 type veth peer name p1; ip link set p0 up; ip link set p1 up; read go"]) { RedirectStandardInput = true })!);
        using (other)
        {
            Privileges.DropTo("nobody");
            other.StandardInput.WriteLine();
            string? problem = null;
            Assert.True(SpinWait.SpinUntil(() => device.Queue.Follow(out problem) == LinkPresence.Gone, 60_000));
            Assert.Contains("(--user)", problem, StringComparison.Ordinal);
            Assert.Contains("start the program anew, or take xdp:p0 or packet:p0, which come back", problem, StringComparison.Ordinal);
            other.StandardInput.WriteLine();
            // An attempt would fail, and its traces would be the problem that is shown.
            Assert.Equal(LinkPresence.Gone, device.Queue.Follow(out var last));
            Assert.Equal((problem, 0), (last, device.Link.AttemptCount));
            other.StandardInput.Close();
            other.WaitForExit();
        }
    }

    private static void Connect(DpdkFixture vhost, DpdkFixture virtio)
    {
        IsThere(virtio, () => vhost.Link.IsUp);
        DpdkVhostTests.Cross(vhost, virtio, 1);
        DpdkVhostTests.Cross(virtio, vhost, 2);
    }

    private static void IsThere(DpdkFixture dpdk, Func<bool> also)
    {
        string? problem = null;
        Assert.True(SpinWait.SpinUntil(() => dpdk.Queue.Follow(out problem) != LinkPresence.Gone && dpdk.Link.IsUp && also(), 60_000), problem ?? "the other end");
    }

    /// <summary>Looks until the device has been tried twice more: each reason is logged, so it is the same each time, and no attempt keeps anything.</summary>
    private static void IsTriedAgain(DpdkFixture dpdk, string reason)
    {
        string? problem = null, last = null;
        Holdings first = default;
        for (var attempt = 0; attempt < 3; attempt++)
        {
            var count = dpdk.Link.AttemptCount;
            Assert.True(SpinWait.SpinUntil(() => dpdk.Queue.Follow(out problem) != LinkPresence.Gone || dpdk.Link.AttemptCount > count, 60_000));
            Assert.Contains(reason, problem, StringComparison.Ordinal);
            if (attempt == 0) (first, last) = (Holdings.Now(), problem);
        }
        Assert.Equal(last, problem);
        Holdings.Now().HasNotGrown(first);
        Assert.Equal(dpdk.Pool.Chunks.Count, dpdk.Pool.Chunks.FreeCount);
    }

    private static void ComesBack(DpdkFixture dpdk)
    {
        string? problem = null;
        Assert.True(SpinWait.SpinUntil(() => dpdk.Queue.Follow(out problem) == LinkPresence.Reopened, 60_000), problem);
        Assert.Equal((LinkPresence.There, null), (dpdk.Queue.Follow(out problem), problem));
    }

    /// <summary>What the process and DPDK have for a link that is up and idle.</summary>
    private readonly record struct Holdings(int Descriptors, long HeapBytes, long Blocks)
    {
        // struct rte_malloc_socket_stats: total, free, largest free, allocated bytes; free and allocated blocks in 32 bits each.
        private const int StatisticsSize = 48, AllocatedBlocks = 28, AllocatedBytes = 32;

        public static Holdings Now()
        {
            var statistics = stackalloc byte[StatisticsSize];
            var ask = (delegate* unmanaged<int, void*, int>)DpdkLibrary.FindIn("eal", "rte_malloc_get_socket_stats");
            Assert.Equal(0, ask(0, statistics));
            // Those that devices have; the runtime opens and closes files of its own.
            var descriptors = Directory.GetFiles("/proc/self/fd").Select(static file => new FileInfo(file).LinkTarget ?? "").Count(static target =>
                target.StartsWith("socket:", StringComparison.Ordinal) || target.StartsWith("anon_inode:bpf", StringComparison.Ordinal) || target == "/dev/net/tun");
            return new Holdings(descriptors, *(long*)(statistics + AllocatedBytes), *(uint*)(statistics + AllocatedBlocks));
        }

        public void HasNotGrown(Holdings since, Holdings perRound = default, int rounds = 1)
        {
            Assert.InRange(Descriptors, 0, since.Descriptors + (rounds * perRound.Descriptors));
            Assert.InRange(Blocks, 0, since.Blocks + (rounds * perRound.Blocks));
            // A block's place moves its size by a few lines.
            Assert.InRange(HeapBytes, 0, since.HeapBytes + (rounds * perRound.HeapBytes) + 8192);
        }
    }
}
