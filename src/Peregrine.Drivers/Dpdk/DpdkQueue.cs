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

    private readonly DpdkDevice _device;
    private readonly string _link;
    private readonly FramePool _frames;
    private readonly bool _own;
    private readonly int _ring;
    private DpdkPort? _port;
    private DpdkReceiver? _receiver;
    private DpdkSender? _sender;
    private MbufPool? _receivePool, _sendPool;
    private LinkQueueCounters _past;
    private bool _closed;

    public DpdkQueue(DpdkDevice device, string link, int index, FramePool frames, bool own, int ring)
    {
        (_device, _link, Index, _frames, _own) = (device, link, index, frames, own);
        // The device holds a chunk for each descriptor: about a quarter of the pool, so that the stack can work.
        var quarter = Math.Max((frames.Chunks.Count / 4) - Spare, 32);
        _ring = own ? Math.Min(1 << System.Numerics.BitOperations.Log2((uint)quarter), ring) : ring;
    }

    public int Index { get; }

    /// <summary>Whether no burst of this queue is made.</summary>
    public bool IsAway { get; private set; } = true;

    /// <summary>Whether a port knows of the queue's pools.</summary>
    public bool IsAttached => _port is not null;

    public int PollDescriptor => -1;

    public LinkQueueCounters Counters
    {
        get
        {
            var counters = _past;
            _receiver?.AddTo(ref counters);
            _sender?.AddTo(ref counters);
            return counters;
        }
    }

    /// <summary>Whether the port is another one than the stack knows of.</summary>
    public bool IsBack { get; set; }

    /// <summary>Makes the pools and tells the port. In the port's control section.</summary>
    public void Attach(DpdkPort port)
    {
        _port = port;
        var chunks = _frames.Chunks;
        var name = $"peregrine{port.Id}_{Index}_{Interlocked.Increment(ref s_poolNumber)}";
        var room = Math.Min(chunks.ChunkSize, ushort.MaxValue);
        // Rings of software hand our buffers to another thread, which frees them; any other driver frees in the thread that sends.
        if (_own)
        {
            port.Reach(chunks);
            var lent = _ring + Spare;
            if (chunks.FreeCount < lent + SendBuffersMin)
                throw new InsufficientMemoryException($"dpdk: the frame pool has {chunks.FreeCount} free chunks and '{_link}' needs {lent + SendBuffersMin}: make the pool larger.");
            _receivePool = MbufPool.CreateBare(port.Eal, name + "r", lent, room, port.NumaNode, MbufPool.OneProducer, RentForDevice);
            var sent = Math.Clamp(chunks.Count / 2, SendBuffersMin, SendBuffersMax);
            _sendPool = MbufPool.CreateBare(port.Eal, name + "s", sent, room, port.NumaNode, MbufPool.ManyProducers, null);
        }
        else
        {
            _receivePool = MbufPool.CreateCopied(port.Eal, name + "r", Math.Max((2 * _ring) + Spare, port.Driver.ReceiveBuffersMin), RoomFor(port), port.NumaNode, MbufPool.ManyProducers);
            _sendPool = MbufPool.CreateCopied(port.Eal, name + "s", (2 * _ring) + Spare, RoomFor(port), port.NumaNode, MbufPool.ManyProducers);
        }
        port.SetUpQueue(Index, _ring, _receivePool);
        _receiver = new DpdkReceiver(port, Index, _frames, _receivePool, _own);
        _sender = new DpdkSender(port, Index, _frames, _sendPool, _own);
        IsAway = false;
    }

    public int Receive(Span<Frame> frames) => IsAway || !_port!.IsLive ? 0 : _receiver!.Receive(frames);

    public int Transmit(ReadOnlySpan<Frame> frames) => IsAway ? Drop(frames) : _sender!.Transmit(frames);

    public void Reclaim()
    {
        if (!IsAway) _sender!.Reclaim();
    }

    /// <summary>Never: nothing would wake the owner. It sleeps only if the host decides to look now and then.</summary>
    public bool TryArm() => false;

    public void SetWake(Action wake)
    {
    }

    public LinkPresence Follow(out string? problem) => _device.Follow(this, out problem);

    public void Dispose()
    {
        if (_closed) return;
        Drain();
        (_closed, IsAway) = (true, true);
        _device.OnQueueClosed();
    }

    /// <summary>Empties what waits to be received, while the port runs: in a ring of software these are our own buffers.</summary>
    public void Drain()
    {
        if (!IsAway && _port!.IsLive) _receiver!.Drain();
    }

    /// <summary>Makes no burst any more, so that the port can be closed; what is to be sent is lost.</summary>
    public void Leave() => IsAway = true;

    /// <summary>Gives all chunks back. The port is closed, so the device has none any more whatever it says.</summary>
    /// <param name="isGone">Whether what stood behind the device is gone as well, so that nobody at all has a buffer.</param>
    public void Detach(bool isGone)
    {
        if (_port is null) return;
        _receiver?.AddTo(ref _past);
        _sender?.AddTo(ref _past);
        var receiving = _receivePool is null ? 0 : _receivePool.Count - (int)_receivePool.Available;
        var sending = _sender is null ? 0 : _sender.Outstanding;
        if (_own)
        {
            _receivePool?.Detach(_frames.Chunks);
            _sendPool?.Detach(_frames.Chunks);
        }
        // Buffers that somebody else still has (the reader of a ring between two links, a socket that net_af_xdp has forgotten to close) must keep
        // their memory: then the pool stays.
        if (receiving <= 0 || isGone) _receivePool?.Dispose();
        if (sending <= 0 || isGone) _sendPool?.Dispose();
        (_port, _receiver, _sender, _receivePool, _sendPool) = (null, null, null, null, null);
        IsBack = true;
    }

    /// <summary>The same for good.</summary>
    public void Release(bool isGone = false)
    {
        Leave();
        _closed = true;
        Detach(isGone);
    }

    private int Drop(ReadOnlySpan<Frame> frames)
    {
        if (_closed) return 0;
        foreach (ref readonly var frame in frames) _frames.Return(frame);
        _past.SendDroppedError += frames.Length;
        return frames.Length;
    }

    private nint RentForDevice() => _frames.Chunks.TryRent(out var chunk)
        ? (nint)_frames.Chunks.Address(chunk)
        : throw new InsufficientMemoryException("dpdk: the frame pool is empty.");

    // A device without scatter needs a whole frame in one buffer.
    private static int RoomFor(DpdkPort port) => (port.ReceiveOffloads & DpdkAbi.ReceiveScatter) != 0
        ? CopiedRoom
        : Math.Min(ushort.MaxValue & ~63, Math.Max(CopiedRoom, (port.Mtu + 32 + DpdkAbi.BufferHeadroom + 63) & ~63));
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
