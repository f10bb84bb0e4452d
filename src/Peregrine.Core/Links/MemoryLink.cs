// Two link ends in one process, joined by bounded rings: for tests, simulation, demonstrations without privileges, and a second
// stack beside the first. No system calls, no locks. Both ends on one thread are deterministic; one thread each works as well.
using System.Threading;
using Peregrine.Core.Memory;
using Peregrine.Wire;

namespace Peregrine.Core.Links;

/// <summary>One end of an in-memory link.</summary>
public sealed class MemoryLink : ILink
{
    private readonly MemoryLinkOptions _options;
    private readonly FrameRing[] _incoming, _outgoing;
    private readonly MemoryLinkQueue?[] _queues;
    private readonly Carrier _carrier;
    private MemoryLink? _peer;

    private MemoryLink(MemoryLinkOptions options, string name, MacAddress address, FrameRing[] incoming, FrameRing[] outgoing, Carrier carrier)
    {
        _options = options;
        (Name, MacAddress) = (name, options.Medium == LinkMedium.Ethernet ? address : default);
        (_incoming, _outgoing, _carrier) = (incoming, outgoing, carrier);
        _queues = new MemoryLinkQueue?[options.QueueCount];
    }

    /// <inheritdoc/>
    public string Name { get; }

    /// <inheritdoc/>
    public LinkMedium Medium => _options.Medium;

    /// <inheritdoc/>
    public MacAddress MacAddress { get; }

    /// <inheritdoc/>
    public int Mtu => _options.Mtu;

    /// <inheritdoc/>
    public LinkOffloads Offloads => _options.Kind switch
    {
        MemoryLinkKind.Card => LinkOffloads.TransmitChecksum | LinkOffloads.ReceiveChecksum,
        MemoryLinkKind.Virtual => LinkOffloads.TransmitChecksum | LinkOffloads.ReceiveChecksum | LinkOffloads.SegmentTcp4
            | LinkOffloads.SegmentTcp6 | LinkOffloads.ReceiveMerged,
        _ => LinkOffloads.None,
    };

    /// <inheritdoc/>
    public int SuperSegmentMax => _options.Kind == MemoryLinkKind.Virtual ? 65_535 : 0;

    /// <inheritdoc/>
    public int QueueCount => _options.QueueCount;

    /// <summary>Whether the carrier is on (<see cref="SetCarrier"/>) and neither end is disposed.</summary>
    public bool IsUp => _carrier.IsOn;

    /// <summary>The other end.</summary>
    public MemoryLink Peer => _peer!;

    /// <summary>Makes the two ends of a link.</summary>
    /// <exception cref="ArgumentOutOfRangeException">An option is out of its range.</exception>
    public static (MemoryLink A, MemoryLink B) CreatePair(MemoryLinkOptions? options = null)
    {
        options ??= new MemoryLinkOptions();
        Check(options.Mtu is >= 68 and <= 65_535, nameof(options.Mtu), options.Mtu, "68 to 65535 bytes");
        Check(options.QueueCount is >= 1 and <= 64, nameof(options.QueueCount), options.QueueCount, "1 to 64");
        Check(options.RingFrames is >= 2 and <= 65_536 && (options.RingFrames & (options.RingFrames - 1)) == 0, nameof(options.RingFrames),
            options.RingFrames, "a power of two from 2 to 65536");
        FrameRing[] toB = MakeRings(options), toA = MakeRings(options);
        var carrier = new Carrier();
        var a = new MemoryLink(options, options.Name + "-a", options.MacAddressA, toA, toB, carrier);
        var b = new MemoryLink(options, options.Name + "-b", options.MacAddressB, toB, toA, carrier);
        (a._peer, b._peer) = (b, a);
        return (a, b);
    }

    /// <summary>Pulls the plug or puts it back, for both ends. Frames sent meanwhile are dropped and counted; those on the way arrive.</summary>
    public void SetCarrier(bool on) => _carrier.Set(on);

    /// <inheritdoc/>
    public ILinkQueue OpenQueue(int index, FramePool frames)
    {
        Check((uint)index < (uint)QueueCount, nameof(index), index, $"0 to {QueueCount - 1}");
        if (_queues[index] is not null) throw new InvalidOperationException($"Queue {index} of link '{Name}' is open already.");
        var longest = _options.Mtu + (_options.Medium == LinkMedium.Ethernet ? 22 : 0);
        return _queues[index] = new MemoryLinkQueue(_incoming[index], _outgoing[index], frames, _options.Kind, longest, _options.Medium, _carrier);
    }

    /// <summary>Takes the carrier off for good and closes the queues of this end. Call when its engines no longer run.</summary>
    public void Dispose()
    {
        _carrier.Break();
        foreach (var queue in _queues) queue?.Dispose();
    }

    private static FrameRing[] MakeRings(MemoryLinkOptions options)
    {
        var rings = new FrameRing[options.QueueCount];
        for (var i = 0; i < rings.Length; i++) rings[i] = new FrameRing(options.RingFrames);
        return rings;
    }

    private static void Check(bool holds, string name, int value, string range)
    {
        if (!holds) throw new ArgumentOutOfRangeException(name, value, $"Must be {range}.");
    }

    /// <summary>The state that both ends share.</summary>
    internal sealed class Carrier
    {
        private int _state = 1;

        public bool IsOn => Volatile.Read(ref _state) == 1;

        public void Set(bool on) => Interlocked.CompareExchange(ref _state, on ? 1 : 0, on ? 0 : 1);

        public void Break() => Volatile.Write(ref _state, -1);
    }
}

/// <summary>One queue of one end. Owned by one thread; the other end's queue of the same number may belong to another.</summary>
internal sealed class MemoryLinkQueue : ILinkQueue
{
    private readonly FrameRing _incoming, _outgoing;
    private readonly FramePool _frames;
    private readonly MemoryLinkKind _kind;
    private readonly int _longest;
    private readonly LinkMedium _medium;
    private readonly MemoryLink.Carrier _carrier;
    private LinkQueueCounters _counters;
    private bool _refused;
    private bool _closed;

    public MemoryLinkQueue(FrameRing incoming, FrameRing outgoing, FramePool frames, MemoryLinkKind kind, int longest, LinkMedium medium, MemoryLink.Carrier carrier)
    {
        (_incoming, _outgoing, _frames, _kind, _longest, _medium, _carrier) = (incoming, outgoing, frames, kind, longest, medium, carrier);
        outgoing.SourcePool = frames;
    }

    public int PollDescriptor => -1;

    public LinkQueueCounters Counters => _counters;

    public int Receive(Span<Frame> frames)
    {
        var waiting = _incoming.Waiting;
        if (waiting == 0 || _closed || !_incoming.Enter()) return 0;
        var (received, consumed) = (0, 0);
        long bytes = 0;
        for (var n = Math.Min(waiting, frames.Length); consumed < n; consumed++)
        {
            if (!FrameCopy.TryCopy(_incoming.SourcePool, _incoming.Peek(consumed), _frames, out var frame))
            {
                _counters.ReceiveDroppedNoMemory++;
                continue;
            }
            if (!TryDescribe(ref frame))
            {
                _counters.ReceiveDroppedMalformed++;
                _frames.Return(frame);
                continue;
            }
            bytes += frame.Length;
            frames[received++] = frame;
        }
        if (consumed > 0) _incoming.Consume(consumed);
        _incoming.Leave();
        _counters.ReceivedFrames += received;
        _counters.ReceivedBytes += bytes;
        return received;
    }

    public int Transmit(ReadOnlySpan<Frame> frames)
    {
        if (_closed) return 0;
        var (taken, sent) = (0, 0);
        long bytes = 0;
        _refused = false;
        for (; taken < frames.Length; taken++)
        {
            ref readonly var frame = ref frames[taken];
            if (!_carrier.IsOn || !IsSendable(frame))
            {
                _counters.SendDroppedError++;
                _frames.Return(frame);
                continue;
            }
            if (!_outgoing.TryPut(frame))
            {
                _refused = true;
                break;
            }
            sent++;
            bytes += frame.Length;
        }
        _counters.SentFrames += sent;
        _counters.SentBytes += bytes;
        _outgoing.Publish();
        return taken;
    }

    public void Reclaim() => _outgoing.Reclaim();

    public bool TryArm()
    {
        _incoming.ArmConsumer();
        if (_refused) _outgoing.ArmProducer();
        if (!_incoming.HasFrames && !(_refused && _outgoing.HasRoom)) return true;
        _incoming.DisarmConsumer();
        _outgoing.DisarmProducer();
        return false;
    }

    public void SetWake(Action wake)
    {
        _incoming.SetConsumerWake(wake);
        _outgoing.SetProducerWake(wake);
    }

    public void Dispose()
    {
        if (_closed) return;
        _closed = true;
        _outgoing.Close();
    }

    // A plain wire takes no work over: what would need it is a mistake of the sender and must not look like a good frame.
    private bool IsSendable(in Frame frame) => _kind switch
    {
        MemoryLinkKind.Virtual => frame.SegmentKind != SegmentKind.None || frame.Length <= _longest,
        MemoryLinkKind.Card => frame.SegmentKind == SegmentKind.None && frame.Length <= _longest,
        _ => frame.SegmentKind == SegmentKind.None && frame.Length <= _longest && (frame.Flags & FrameFlags.ChecksumUnfinished) == 0,
    };

    private bool TryDescribe(ref Frame frame)
    {
        frame.Arrival = default;
        var unfinished = (frame.Flags & FrameFlags.ChecksumUnfinished) != 0;
        frame.Flags &= FrameFlags.ChecksumUnfinished | FrameFlags.VlanTag | FrameFlags.SegmentEcn;
        if (_medium == LinkMedium.Ethernet && frame.HeadLength > 0 && (_frames.Head(frame)[0] & 1) != 0) frame.Flags |= FrameFlags.Broadcast;
        if (_kind != MemoryLinkKind.Card || !unfinished) return true;
        if (!FrameChecksum.TryFinish(_frames, ref frame)) return false;
        frame.Flags |= FrameFlags.ChecksumVerified;
        return true;
    }
}
