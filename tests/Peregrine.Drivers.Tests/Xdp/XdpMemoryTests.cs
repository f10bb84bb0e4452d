using System.Globalization;
using System.Net.Sockets;
using Peregrine.Core.Links;
using Peregrine.Core.Memory;
using Peregrine.Drivers.Xdp;

namespace Peregrine.Drivers.Tests;

/// <summary>AF_XDP on huge pages, and with the kernel's busy polling.</summary>
public sealed class XdpMemoryTests : IDisposable
{
    private const string Reserved = "/proc/sys/vm/nr_hugepages", Free = "/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages";
    private const int ChunkSize = 2_048, ChunkCount = 512;

    private readonly VethFixture _veth = new();

    public void Dispose() => _veth.Dispose();

    [Fact]
    public void HugePagesCarryTheUmem()
    {
        Assert.SkipUnless(File.Exists(Free), "not run: this kernel has no huge pages of 2 MiB");
        var before = Read(Reserved);
        try
        {
            File.WriteAllText(Reserved, (before + 8).ToString(CultureInfo.InvariantCulture));
            Assert.SkipUnless(Read(Free) >= 4, "not run: no huge pages are to be had");
            var free = Read(Free);
            using var region = new LinuxPlatform().MapRegion(ChunkPool.BytesFor(ChunkSize, ChunkCount), hugePages: true);
            var pool = new FramePool(new ChunkPool(region, ChunkSize, ChunkCount, "frames"));
            using (var near = _veth.OpenNear())
            {
                ExpectFramesCross(near, pool);
                Assert.True(Read(Free) < free, "the pool lies on huge pages");
            }
            Assert.Equal(ChunkCount, pool.Chunks.FreeCount);
        }
        finally
        {
            File.WriteAllText(Reserved, before.ToString(CultureInfo.InvariantCulture));
        }
    }

    [Fact]
    public void BusyPollingIsSetAsTheLineSays()
    {
        using var near = (XdpLink)LinkFactory.Open($"xdp:near0,all,busy-poll=20,netns={_veth.NearSpace.Path}");
        var queue = ExpectFramesCross(near, PoolFixture.Pool());
        using var handle = new SafeSocketHandle(queue.PollDescriptor, ownsHandle: false);
        using var socket = new Socket(handle);
        // SO_BUSY_POLL and SO_PREFER_BUSY_POLL of asm-generic/socket.h; the kernel does not tell the budget.
        Assert.Equal([20, 1], ((int[])[46, 69]).Select(option =>
        {
            var value = new byte[4];
            socket.GetRawSocketOption(1, option, value);
            return BitConverter.ToInt32(value);
        }));
        foreach (var wrong in (string[])["-1", "1001", "x"])
            Assert.Contains("busy-poll", Assert.ThrowsAny<ArgumentException>(() => LinkFactory.Open($"xdp:near0,busy-poll={wrong}")).Message, StringComparison.Ordinal);
    }

    private static long Read(string path) => long.Parse(File.ReadAllText(path), CultureInfo.InvariantCulture);

    private ILinkQueue ExpectFramesCross(XdpLink near, FramePool pool)
    {
        var queue = near.OpenQueue(0, pool);
        using var far = _veth.OpenFar();
        var farPool = PoolFixture.Pool();
        var farQueue = far.OpenQueue(0, farPool);
        for (var round = 0; round < 20; round++)
        {
            var sent = Enumerable.Range(0, 16).Select(i => PoolFixture.Ethernet(near.MacAddress, far.MacAddress, 0x88B5, PoolFixture.Pattern(46 + (60 * i), round + i))).ToList();
            Assert.Equal(16, farQueue.Transmit(sent.Select(bytes => PoolFixture.Make(farPool, bytes)).ToArray()));
            Assert.Equal(sent, VethFixture.Take(queue, pool, 16));
            Assert.Equal(16, queue.Transmit(sent.Select(bytes => PoolFixture.Make(pool, bytes)).ToArray()));
            Assert.Equal(sent, VethFixture.Take(farQueue, farPool, 16));
            queue.Reclaim();
            farQueue.Reclaim();
        }
        return queue;
    }
}
