// One queue of a DPDK port: bursts in and out, and who owns which chunk. In the mode "own" a buffer of DPDK's is only a description whose address
// is a chunk of the core's frame pool: what a received frame takes away is replaced by a fresh chunk; what is sent comes back in the send pool, which is
// read as a queue of completions. In the mode "copied" buffers keep their bytes and frames are copied once. No call of ours is ever made from within a burst.
using System.Runtime.CompilerServices;
using Peregrine.Core.Links;
using Peregrine.Core.Memory;

namespace Peregrine.Drivers.Dpdk;

internal sealed unsafe class DpdkQueue : ILinkQueue
{
    internal const int BurstMax = 64;
    private const int CopiedRoom = 2048 + DpdkAbi.BufferHeadroom;
    // What a driver puts in the place of a burst that it hands over, before we have given any back.
    private const int Spare = BurstMax;
    private const int SendBuffersMax = 1024, SendBuffersMin = 16;

    private static int s_poolNumber;

    private readonly DpdkLink _link;
    private readonly DpdkPort _port;
    private readonly int _index;
    private readonly FramePool _frames;
    private readonly bool _own;
    private readonly int _ring;
    private DpdkReceiver? _receiver;
    private DpdkSender? _sender;
    private MbufPool? _receivePool, _sendPool;
    private bool _closed, _released;

    public DpdkQueue(DpdkLink link, DpdkPort port, int index, FramePool frames, bool own, int ring)
    {
        (_link, _port, _index, _frames, _own) = (link, port, index, frames, own);
        // The device holds a chunk for each descriptor: about a quarter of the pool, so that the stack can work.
        var quarter = Math.Max((frames.Chunks.Count / 4) - Spare, 32);
        _ring = own ? Math.Min(1 << System.Numerics.BitOperations.Log2((uint)quarter), ring) : ring;
    }

    public int PollDescriptor => -1;

    public LinkQueueCounters Counters
    {
        get
        {
            var counters = _receiver?.Counters ?? default;
            _sender?.AddTo(ref counters);
            return counters;
        }
    }

    /// <summary>Makes the pools and tells the port. In the port's control section.</summary>
    public void SetUp()
    {
        var chunks = _frames.Chunks;
        var name = $"peregrine{_port.Id}_{_index}_{Interlocked.Increment(ref s_poolNumber)}";
        var room = Math.Min(chunks.ChunkSize, ushort.MaxValue);
        // Rings of software hand our buffers to another thread, which frees them; any other driver frees in the thread that sends.
        if (_own)
        {
            _port.Reach(chunks);
            var lent = _ring + Spare;
            if (chunks.FreeCount < lent + SendBuffersMin)
                throw new InsufficientMemoryException($"dpdk: the frame pool has {chunks.FreeCount} free chunks and '{_link.Name}' needs {lent + SendBuffersMin}: make the pool larger.");
            _receivePool = MbufPool.CreateBare(_port.Eal, name + "r", lent, room, _port.NumaNode, MbufPool.OneProducer, RentForDevice);
            var sent = Math.Clamp(chunks.Count / 2, SendBuffersMin, SendBuffersMax);
            _sendPool = MbufPool.CreateBare(_port.Eal, name + "s", sent, room, _port.NumaNode, MbufPool.ManyProducers, null);
        }
        else
        {
            _receivePool = MbufPool.CreateCopied(_port.Eal, name + "r", Math.Max((2 * _ring) + Spare, _port.Driver.ReceiveBuffersMin), RoomFor(), _port.NumaNode, MbufPool.ManyProducers);
            _sendPool = MbufPool.CreateCopied(_port.Eal, name + "s", (2 * _ring) + Spare, RoomFor(), _port.NumaNode, MbufPool.ManyProducers);
        }
        _port.SetUpQueue(_index, _ring, _receivePool);
        _receiver = new DpdkReceiver(_port, _index, _frames, _receivePool, _own);
        _sender = new DpdkSender(_port, _index, _frames, _sendPool, _own);
    }

    public int Receive(Span<Frame> frames) => _closed || !_port.IsLive ? 0 : _receiver!.Receive(frames);

    public int Transmit(ReadOnlySpan<Frame> frames) => _closed ? 0 : _sender!.Transmit(frames);

    public void Reclaim()
    {
        if (!_closed) _sender!.Reclaim();
    }

    /// <summary>Never: nothing would wake the owner. It sleeps only if the host decides to look now and then.</summary>
    public bool TryArm() => false;

    public void SetWake(Action wake)
    {
    }

    public LinkPresence Follow(out string? problem) => _link.Follow(out problem);

    public void Dispose()
    {
        if (_closed) return;
        Drain();
        _closed = true;
        _link.OnQueueClosed();
    }

    /// <summary>Empties what waits to be received, while the port runs: in a ring of software these are our own buffers.</summary>
    public void Drain()
    {
        if (!_closed && _port.IsLive) _receiver?.Drain();
    }

    /// <summary>Gives all chunks back. The port is closed, so the device has none any more whatever it says.</summary>
    public void Release()
    {
        if (_released) return;
        (_released, _closed) = (true, true);
        var receiving = _receiver is null ? 0 : _receiver.Outstanding;
        var sending = _sender is null ? 0 : _sender.Outstanding;
        if (_own)
        {
            _receivePool?.Detach(_frames.Chunks);
            _sendPool?.Detach(_frames.Chunks);
        }
        // Buffers that somebody else still has (the reader of a ring between two links) must keep their memory: then the pool stays.
        if (receiving <= 0) _receivePool?.Dispose();
        if (sending <= 0) _sendPool?.Dispose();
    }

    private nint RentForDevice() => _frames.Chunks.TryRent(out var chunk)
        ? (nint)_frames.Chunks.Address(chunk)
        : throw new InsufficientMemoryException("dpdk: the frame pool is empty.");

    // A device without scatter needs a whole frame in one buffer.
    private int RoomFor() => (_port.ReceiveOffloads & DpdkAbi.ReceiveScatter) != 0
        ? CopiedRoom
        : Math.Min(ushort.MaxValue & ~63, Math.Max(CopiedRoom, (_port.Mtu + 32 + DpdkAbi.BufferHeadroom + 63) & ~63));
}

/// <summary>How the burst functions of a port are called.</summary>
internal static unsafe class DpdkBurst
{
    /// <summary>
    /// Calls a burst function. Without a transition the collector cannot stop this thread within the call: right for drivers that only move memory,
    /// wrong for those that enter the kernel, which would hold every collection up.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int Call(void* function, void* queue, Mbuf** buffers, int count, bool entersKernel) => entersKernel
        ? ((delegate* unmanaged<void*, Mbuf**, ushort, ushort>)function)(queue, buffers, (ushort)count)
        : ((delegate* unmanaged[SuppressGCTransition]<void*, Mbuf**, ushort, ushort>)function)(queue, buffers, (ushort)count);
}
