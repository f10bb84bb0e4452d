using Peregrine.Core.Links;
using Peregrine.Core.Memory;
using Peregrine.Drivers.Dpdk;

namespace Peregrine.Drivers.Tests;

/// <summary>A virtual machine's card without a virtual machine: net_vhost at one end of a socket, virtio-user at the other, as the two drivers of one process.</summary>
[Collection(DpdkTests.Name)]
public sealed class DpdkVhostTests
{
    [Fact]
    public void FramesCrossFromVhostToVirtioAndBack()
    {
        DpdkFixture.SkipUnlessInstalled();
        var path = Path.Combine(Path.GetTempPath(), $"peregrine-vhost-{Environment.ProcessId}.sock");
        File.Delete(path);
        using var vhost = new DpdkFixture("net_vhost", $"iface={path}");
        using var virtio = new DpdkFixture("net_virtio_user", $"path={path}");
        Assert.Equal((DpdkBuffers.Own, DpdkBuffers.Copied), (vhost.Link.Buffers, virtio.Link.Buffers));
        Assert.True(SpinWait.SpinUntil(() => vhost.Link.IsUp && virtio.Link.IsUp, 60_000), "no carrier");
        for (var round = 0; round < 100; round++)
        {
            Cross(vhost, virtio, round);
            Cross(virtio, vhost, round);
        }
        virtio.Link.Dispose();
        Assert.True(SpinWait.SpinUntil(() => !vhost.Link.IsUp, 60_000), "the carrier stays although the other end is gone");
    }

    internal static void Cross(DpdkFixture from, DpdkFixture to, int seed)
    {
        var sent = Enumerable.Range(0, 20).Select(i => PoolFixture.Pattern(60 + ((i * 73 + seed) % 1400), seed + i)).ToList();
        Assert.Equal(sent.Count, from.Queue.Transmit(sent.Select(bytes => PoolFixture.Make(from.Pool, bytes)).ToArray()));
        Assert.Equal(sent, to.Receive(sent.Count));
        from.Queue.Reclaim();
    }
}
