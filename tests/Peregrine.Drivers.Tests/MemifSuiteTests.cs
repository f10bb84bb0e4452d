using Peregrine.Core.Links;
using Peregrine.Core.Memory;
using Peregrine.Drivers.Memif;
using Peregrine.Wire;

namespace Peregrine.Drivers.Tests;

/// <summary>memif by the suite that every link must pass, as client and as server; the peer is the other end.</summary>
public sealed class MemifClientSuiteTests : LinkSuite
{
    protected override LinkSetup Create(int chunkCount, int chunkSize)
    {
        var socket = MemifPair.UniqueName();
        return new MemifSetup($"memif:{socket}", () => LinkFactory.Open($"memif:{socket},server"), chunkCount, chunkSize);
    }
}

public sealed class MemifServerSuiteTests : LinkSuite
{
    protected override LinkSetup Create(int chunkCount, int chunkSize)
    {
        var socket = MemifPair.UniqueName();
        return new MemifSetup($"memif:{socket},server", () => LinkFactory.Open($"memif:{socket}"), chunkCount, chunkSize);
    }
}

/// <summary>DPDK by the same suite: net_memif, whose peer is our own end of memif.</summary>
[Collection(DpdkTests.Name)]
public sealed class DpdkMemifSuiteTests : LinkSuite
{
    private static int s_number;

    protected override LinkSetup Create(int chunkCount, int chunkSize)
    {
        DpdkFixture.SkipUnlessInstalled();
        var socket = MemifPair.UniqueName();
        return new MemifSetup(
            $"dpdk:net_memif_suite{Interlocked.Increment(ref s_number)},role=client,socket={socket[1..]},socket-abstract=yes", () => LinkFactory.Open($"memif:{socket},server"), chunkCount * 4, 2_048);
    }
}

/// <summary>DPDK by the same suite: net_af_packet on a veth.</summary>
[Collection(DpdkTests.Name)]
public sealed class DpdkPacketSuiteTests : LinkSuite
{
    private static int s_number;

    protected override LinkSetup Create(int chunkCount, int chunkSize)
    {
        DpdkFixture.SkipUnlessInstalled();
        return new VethSetup($"dpdk:net_af_packet_suite{Interlocked.Increment(ref s_number)},iface=near0,netns=NETNS,promiscuous", chunkCount * 4, 2_048);
    }
}

/// <summary>A link whose other end is a memif link in this process.</summary>
internal sealed class MemifSetup : LinkSetup
{
    private readonly string _line;
    private readonly FramePool _peerPool = PoolFixture.Pool(4_096);
    private readonly ILink _peer;
    private readonly ILinkQueue _peerQueue;
    private readonly Frame[] _one = new Frame[1];
    private ILink _link;

    /// <param name="line">The link under test.</param>
    /// <param name="openPeer">Opens the other end.</param>
    /// <param name="chunkCount">Chunks of the pool.</param>
    /// <param name="chunkSize">Bytes a chunk.</param>
    public MemifSetup(string line, Func<ILink> openPeer, int chunkCount, int chunkSize)
    {
        (_line, Pool) = (line, PoolFixture.Pool(chunkCount, chunkSize));
        _link = LinkFactory.Open(line);
        _peer = openPeer();
        _peerQueue = _peer.OpenQueue(0, _peerPool);
    }

    public override ILink Link => _link;

    public override FramePool Pool { get; }

    public override MacAddress PeerAddress => _peer.MacAddress;

    public override void Send(ReadOnlySpan<byte> frame)
    {
        _one[0] = PoolFixture.Make(_peerPool, frame);
        Assert.Equal(1, _peerQueue.Transmit(_one));
    }

    public override byte[]? Receive()
    {
        if (_peerQueue.Receive(_one) == 0) return null;
        var bytes = PoolFixture.Bytes(_peerPool, _one[0]);
        _peerPool.Return(_one[0]);
        return bytes;
    }

    public override void Turn() => _peerQueue.Reclaim();

    public override void Reopen()
    {
        _link.Dispose();
        MemifPair.WaitUntil(() => !_peer.IsUp);
        _link = LinkFactory.Open(_line);
    }

    public override void Dispose()
    {
        _link.Dispose();
        _peer.Dispose();
    }

    // A client offers its buffers at its first look, so both look before a frame is sent.
    protected override void OnQueueOpened()
    {
        MemifPair.WaitUntil(() => _link.IsUp && _peer.IsUp, () => $"{_line}: {_link.IsUp}, its peer: {(_peer as MemifLink)?.State}");
        Assert.Equal((0, 0), (Queue.Receive(_one), _peerQueue.Receive(_one)));
    }
}
