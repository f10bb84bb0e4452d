// Frames rented and given back, and carried through a link in memory: burst of 32.
using BenchmarkDotNet.Attributes;
using Peregrine.Core.Links;
using Peregrine.Core.Memory;

namespace Peregrine.Stages.Bench;

public class PoolBenchmarks : IDisposable
{
    private const int Burst = 32, Chunks = 1_024;

    private readonly Frame[] _burst = new Frame[Burst];
    private readonly MemoryRegion[] _regions = [MemoryRegion.Allocate(ChunkPool.BytesFor(2_048, Chunks)), MemoryRegion.Allocate(ChunkPool.BytesFor(2_048, Chunks))];
    private readonly FramePool _frames, _peerFrames;
    private readonly MemoryLink _link, _peer;
    private readonly ILinkQueue _queue, _peerQueue;

    public PoolBenchmarks()
    {
        (_frames, _peerFrames) = (Pool(_regions[0]), Pool(_regions[1]));
        (_link, _peer) = MemoryLink.CreatePair();
        (_queue, _peerQueue) = (_link.OpenQueue(0, _frames), _peer.OpenQueue(0, _peerFrames));
    }

    [Benchmark(OperationsPerInvoke = Burst)]
    public void RentAndReturn()
    {
        for (var i = 0; i < Burst; i++) _frames.TryRent(out _burst[i]);
        foreach (ref var frame in _burst.AsSpan()) _frames.Return(frame);
    }

    [Benchmark(OperationsPerInvoke = Burst)]
    public int ThroughALinkInMemory()
    {
        foreach (ref var frame in _burst.AsSpan())
        {
            _frames.TryRent(out frame);
            frame.HeadLength = 64;
            frame.Length = 64;
        }
        if (_queue.Transmit(_burst) != Burst) throw new InvalidOperationException("the link is full");
        var received = _peerQueue.Receive(_burst);
        if (received != Burst) throw new InvalidOperationException("frames are missing");
        foreach (ref var frame in _burst.AsSpan()) _peerFrames.Return(frame);
        _queue.Reclaim();
        return received;
    }

    public void Dispose()
    {
        _link.Dispose();
        _peer.Dispose();
        foreach (var region in _regions) region.Dispose();
    }

    private static FramePool Pool(MemoryRegion region) => new(new ChunkPool(region, 2_048, Chunks, "frames"));
}
