using Peregrine.Core.Links;
using Peregrine.Core.Memory;

namespace Peregrine.Drivers.Tests;

public sealed class MemorySuiteTests : LinkSuite
{
    protected override LinkSetup Create(int chunkCount, int chunkSize) => new MemorySetup(chunkCount, chunkSize);
}

/// <summary>A link in memory; the peer is its other end with a pool of its own.</summary>
internal sealed class MemorySetup : LinkSetup
{
    private readonly Frame[] _one = new Frame[1];
    private FramePool _peerPool = null!;
    private MemoryLink _link = null!;
    private ILinkQueue _peer = null!;

    public MemorySetup(int chunkCount, int chunkSize)
    {
        Pool = PoolFixture.Pool(chunkCount, chunkSize);
        Open();
    }

    public override ILink Link => _link;

    public override FramePool Pool { get; }

    public override void Send(ReadOnlySpan<byte> frame)
    {
        _one[0] = PoolFixture.Make(_peerPool, frame);
        Assert.Equal(1, _peer.Transmit(_one));
    }

    public override byte[]? Receive()
    {
        if (_peer.Receive(_one) == 0) return null;
        var bytes = PoolFixture.Bytes(_peerPool, _one[0]);
        _peerPool.Return(_one[0]);
        return bytes;
    }

    public override void Turn() => _peer.Reclaim();

    public override void Reopen()
    {
        Dispose();
        Open();
    }

    public override void Dispose()
    {
        _link.Dispose();
        _link.Peer.Dispose();
    }

    private void Open()
    {
        _peerPool = PoolFixture.Pool(2048);
        _link = (MemoryLink)LinkFactory.Open("memory");
        _peer = _link.Peer.OpenQueue(0, _peerPool);
    }
}
