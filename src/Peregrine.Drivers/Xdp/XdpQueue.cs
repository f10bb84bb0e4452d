// The frames of one AF_XDP socket. Free chunks lie in the fill ring, the kernel puts frames into them; chunks that are sent come back by
// the completion ring. Every chunk that the kernel holds is marked, so that none is lost however the socket ends.
using System.Runtime.CompilerServices;
using System.Threading;
using Peregrine.Core.Links;
using Peregrine.Core.Memory;
using Peregrine.Drivers.Linux;

namespace Peregrine.Drivers.Xdp;

internal sealed unsafe class XdpQueue : ILinkQueue
{
    /// <summary>Bytes that the kernel leaves before a received frame, besides its own 256: behind Ethernet's 14 the IP header is then aligned to 16.</summary>
    public const int Headroom = 2;

    private const byte Ours = 0, Filling = 1, Sending = 2;
    private const int TagLength = 4, AddressesLength = 12;

    // A turn's bound for a queue that does not move: then the frames wait for the next turn.
    private const int WakeCountMax = 64;

    private readonly XdpLink _link;
    private readonly FramePool _frames;
    private readonly ChunkPool _chunks;
    private readonly int _index;
    private readonly int _shift;
    private readonly int _fillTarget;
    private readonly byte[] _holders;
    private readonly Lock _gate = new();

    private XdpSocket? _socket;
    private XdpConsumer<XdpDescriptor> _receive;
    private XdpProducer<XdpDescriptor> _transmit;
    private XdpProducer<ulong> _fill;
    private XdpConsumer<ulong> _completion;
    private XdpStatistics _statisticsBefore;
    private LinkQueueCounters _counters;
    private Frame _partial;
    private uint _partialLast = ChunkPool.None;
    private bool _skipsRest, _isDown, _isClosed, _isReopened, _alwaysWakes;
    private int _filling, _sending, _stuck, _epoch;

    public XdpQueue(XdpLink link, int index, FramePool frames, int fillTarget)
    {
        (_link, _index, _frames, _chunks) = (link, index, frames, frames.Chunks);
        _shift = System.Numerics.BitOperations.Log2((uint)_chunks.ChunkSize);
        _holders = new byte[_chunks.Count];
        _fillTarget = fillTarget;
        _epoch = link.Epoch;
        Open();
    }

    public int PollDescriptor => _socket?.Descriptor ?? -1;

    public XdpSocket? Socket => _socket;

    public FramePool Frames => _frames;

    /// <summary>Asks the kernel for what it dropped, so not for every turn. From any thread.</summary>
    public LinkQueueCounters Counters
    {
        get
        {
            lock (_gate)
            {
                var counters = _counters;
                var statistics = Statistics();
                counters.ReceiveDroppedNoMemory += (long)(statistics.ReceiveDropped + statistics.ReceiveRingFull);
                counters.ReceiveDroppedMalformed += (long)statistics.ReceiveInvalid;
                counters.SendDroppedError += (long)statistics.TransmitInvalid;
                return counters;
            }
        }
    }

    public int Receive(Span<Frame> frames)
    {
        if (_link.Epoch != _epoch) Reopen();
        if (_socket is null) return 0;
        var count = 0;
        var waiting = _receive.Available(frames.Length);
        for (var i = 0; i < waiting; i++)
        {
            if (TryTake(_receive.Next(), out frames[count])) count++;
        }
        if (waiting > 0) _receive.Release();
        Refill();
        if (waiting == 0 && _fill.NeedsWakeup)
        {
            _counters.SystemCalls++;
            XdpCalls.WakeFill(_socket.Descriptor);
        }
        _counters.ReceivedFrames += count;
        return count;
    }

    public int Transmit(ReadOnlySpan<Frame> frames)
    {
        if (_socket is null || (_isDown && !Wake()))
        {
            // As behind any cable that was pulled out: what is sent is lost, and the stack will know by its timers.
            _counters.SendDroppedError += frames.Length;
            foreach (ref readonly var frame in frames) _frames.Return(frame);
            return frames.Length;
        }
        var taken = 0;
        for (; taken < frames.Length; taken++)
        {
            var frame = frames[taken];
            if (_link.KernelTables is { } tables && NeighbourQuestion.TryFind(_frames.Head(frame), out var asked))
            {
                tables.Ask(asked);
                _counters.SystemCalls++;
                _counters.SentFrames++;
                _counters.SentBytes += frame.Length;
                _frames.Return(frame);
                continue;
            }
            var parts = PartsOf(frame);
            if (_transmit.Room(parts) < parts) break;
            if (!TryPrepare(ref frame, parts, out var options))
            {
                _counters.SendDroppedError++;
                _frames.Return(frame);
                continue;
            }
            Put(frame, options);
            _counters.SentFrames++;
            _counters.SentBytes += frame.Length;
        }
        if (taken == 0) return 0;
        _transmit.Publish();
        _stuck = 0;
        Wake();
        return taken;
    }

    public void Reclaim()
    {
        if (_socket is null || _sending == 0) return;
        var done = _completion.Available(_sending);
        for (var i = 0; i < done; i++) Give(_completion.Next(), Sending);
        if (done > 0) _completion.Release();
        // What the kernel did not take the last time (its own limits, the neighbour's pace) it is asked for again.
        if (!_isDown && _transmit.Waiting > 0) Wake();
    }

    public bool TryArm()
    {
        if (_socket is null) return true;
        if (_receive.HasEntries) return false;
        // Frames that wait to be sent do not end a sleep, so they keep the owner awake; but not when nothing moves.
        return _sending == 0 || _isDown || _transmit.Waiting == 0 || ++_stuck > WakeCountMax;
    }

    public void SetWake(Action wake)
    {
    }

    public LinkPresence Follow(out string? problem)
    {
        problem = _link.Follow();
        if (_link.Epoch != _epoch) Reopen();
        if (_socket is null) problem ??= _link.LastFailure;
        var presence = _socket is null ? LinkPresence.Gone : _isReopened ? LinkPresence.Reopened : LinkPresence.There;
        _isReopened = false;
        return presence;
    }

    public void Dispose()
    {
        if (_isClosed) return;
        _isClosed = true;
        Close();
    }

    /// <summary>What the kernel counted at this queue, sockets before this one included.</summary>
    public XdpStatistics Statistics()
    {
        XdpStatistics now = default;
        _socket?.ReadStatistics(out now);
        return Sum(now, _statisticsBefore);
    }

    private static XdpStatistics Sum(in XdpStatistics a, in XdpStatistics b) => new()
    {
        ReceiveDropped = a.ReceiveDropped + b.ReceiveDropped,
        ReceiveInvalid = a.ReceiveInvalid + b.ReceiveInvalid,
        TransmitInvalid = a.TransmitInvalid + b.TransmitInvalid,
        ReceiveRingFull = a.ReceiveRingFull + b.ReceiveRingFull,
        FillRingEmpty = a.FillRingEmpty + b.FillRingEmpty,
        TransmitRingEmpty = a.TransmitRingEmpty + b.TransmitRingEmpty,
    };

    private void Open()
    {
        var socket = _link.OpenSocket(_index, _frames);
        _receive = new XdpConsumer<XdpDescriptor>(socket.Receive);
        _transmit = new XdpProducer<XdpDescriptor>(socket.Transmit);
        _fill = new XdpProducer<ulong>(socket.Fill);
        _completion = new XdpConsumer<ulong>(socket.Completion);
        _socket = socket;
        _alwaysWakes = !socket.Abilities.SaysWakeup;
        Refill();
        // The program may send frames here only when there are chunks for them.
        _link.Publish(_index, socket);
    }

    /// <summary>The interface went or came back, or its frames have become too long: the old socket is of no use any more.</summary>
    private void Reopen()
    {
        _epoch = _link.Epoch;
        var before = _socket?.InterfaceIndex;
        Close();
        if (!_link.IsAttached) return;
        try
        {
            Open();
            (_isDown, _isReopened) = (false, _isReopened || _socket!.InterfaceIndex != before);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            _counters.ReceiveErrors++;
            Close();
            _link.OnReopenFailed(e);
        }
    }

    private void Close()
    {
        lock (_gate)
        {
            _statisticsBefore = Statistics();
            if (_socket is { } socket) _link.Withdraw(_index, socket);
            _socket = null;
        }
        if (_partialLast != ChunkPool.None) _frames.Return(_partial);
        _partialLast = ChunkPool.None;
        _skipsRest = false;
        // The kernel is done with the socket; whatever it held is ours again. Frames in flight that it reads without a copy keep their
        // pages, whose bytes may change: at most a frame is damaged that nobody waits for.
        for (var chunk = 0; chunk < _holders.Length; chunk++)
        {
            if (_holders[chunk] == Ours) continue;
            _holders[chunk] = Ours;
            _chunks.Return((uint)chunk);
        }
        (_filling, _sending, _stuck) = (0, 0, 0);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private void Refill()
    {
        var wanted = Math.Min(_fillTarget - _filling, _chunks.FreeCount);
        if (wanted <= 0) return;
        wanted = Math.Min(wanted, _fill.Room(wanted));
        for (var i = 0; i < wanted && _chunks.TryRent(out var chunk); i++)
        {
            _holders[chunk] = Filling;
            _filling++;
            _fill.Next() = (ulong)chunk << _shift;
        }
        _fill.Publish();
    }

    /// <summary>Makes a frame of a descriptor. False when it is a part of a longer one, or was dropped and counted.</summary>
    private bool TryTake(in XdpDescriptor descriptor, out Frame frame)
    {
        frame = default;
        var chunk = (uint)(descriptor.Address >> _shift);
        var offset = (int)(descriptor.Address & (ulong)(_chunks.ChunkSize - 1));
        if (chunk >= (uint)_holders.Length || _holders[chunk] != Filling || offset + descriptor.Length > (uint)_chunks.ChunkSize)
        {
            _counters.ReceiveDroppedMalformed++;
            return false;
        }
        _holders[chunk] = Ours;
        _filling--;
        var continues = (descriptor.Options & XdpNumbers.Continued) != 0;
        if (_partialLast == ChunkPool.None && !continues && !_skipsRest)
        {
            (frame.Chunk, frame.Offset, frame.HeadLength, frame.Length) = (chunk, (ushort)offset, (ushort)descriptor.Length, (int)descriptor.Length);
            return TryDescribe(ref frame);
        }
        return TryChain(chunk, offset, (int)descriptor.Length, continues, out frame);
    }

    private bool TryDescribe(ref Frame frame)
    {
        if (frame.HeadLength < 14)
        {
            _counters.ReceiveDroppedMalformed++;
            _frames.Return(frame);
            return false;
        }
        if ((*_frames.Address(frame) & 1) != 0) frame.Flags |= FrameFlags.Broadcast;
        _counters.ReceivedBytes += frame.Length;
        return true;
    }

    private bool TryChain(uint chunk, int offset, int length, bool continues, out Frame frame)
    {
        frame = default;
        var wasSkipping = _skipsRest;
        _skipsRest = continues && wasSkipping;
        if (wasSkipping || _partial.Length + length > ushort.MaxValue)
        {
            // Longer than any frame can be: given up up to its end.
            _chunks.Return(chunk);
            if (wasSkipping) return false;
            if (_partialLast != ChunkPool.None) _frames.Return(_partial);
            (_partial, _partialLast, _skipsRest) = (default, ChunkPool.None, continues);
            _counters.ReceiveDroppedMalformed++;
            return false;
        }
        if (_partialLast == ChunkPool.None)
        {
            (_partial.Chunk, _partial.Offset, _partial.HeadLength, _partial.Length) = (chunk, (ushort)offset, (ushort)length, length);
        }
        else
        {
            _chunks.Note(_partialLast).Next = chunk;
            ref var note = ref _chunks.Note(chunk);
            (note.Start, note.Length) = ((ushort)offset, (ushort)length);
            _partial.Length += length;
        }
        _partialLast = chunk;
        if (continues) return false;
        frame = _partial;
        (_partial, _partialLast) = (default, ChunkPool.None);
        return TryDescribe(ref frame);
    }

    private int PartsOf(in Frame frame)
    {
        if (!frame.IsChained) return 1;
        var parts = 1;
        for (var chunk = _chunks.Note(frame.Chunk).Next; chunk != ChunkPool.None; chunk = _chunks.Note(chunk).Next) parts++;
        return parts;
    }

    /// <summary>Makes a frame ready for the kernel. False when the link cannot send it.</summary>
    private bool TryPrepare(ref Frame frame, int parts, out uint options)
    {
        options = 0;
        var abilities = _socket!.Abilities;
        if (frame.SegmentKind != SegmentKind.None || (parts > 1 && (!abilities.MultiBuffer || abilities.TransmitMetadata || parts > _link.PartCountMax))) return false;
        if ((frame.Flags & FrameFlags.VlanTag) != 0 && !TryInsertTag(ref frame)) return false;
        if ((frame.Flags & FrameFlags.ChecksumUnfinished) == 0) return true;
        // The link offers it where it had metadata when it was opened, and keeps the promise when a larger MTU has taken them away.
        if (!abilities.TransmitMetadata) return FrameChecksum.TryFinish(_frames, ref frame);
        if (frame.Offset < XdpTransmitMetadata.Size) return false;
        Unsafe.WriteUnaligned(_frames.Address(frame) - XdpTransmitMetadata.Size, new XdpTransmitMetadata
        {
            Flags = XdpNumbers.MetadataChecksum,
            ChecksumStart = frame.ChecksumStart,
            ChecksumOffset = frame.ChecksumOffset,
        });
        options = XdpNumbers.HasMetadata;
        return true;
    }

    // IEEE 802.1Q: the tag stands behind the two addresses, which move into the headroom.
    private bool TryInsertTag(ref Frame frame)
    {
        if (frame.Offset < TagLength || frame.HeadLength < AddressesLength) return false;
        var start = _frames.Address(frame);
        Unsafe.CopyBlockUnaligned(start - TagLength, start, AddressesLength);
        (start[8], start[9], start[10], start[11]) = (0x81, 0x00, (byte)(frame.VlanTag >> 8), (byte)frame.VlanTag);
        frame.Offset -= TagLength;
        frame.HeadLength += TagLength;
        frame.Length += TagLength;
        frame.ChecksumStart += TagLength;
        frame.Flags &= ~FrameFlags.VlanTag;
        return true;
    }

    private void Put(in Frame frame, uint options)
    {
        var chunk = frame.Chunk;
        var next = _chunks.Note(chunk).Next;
        PutPart(chunk, frame.Offset, frame.HeadLength, options | (frame.IsChained ? XdpNumbers.Continued : 0));
        if (!frame.IsChained)
        {
            // A chunk that was chained and holds nothing of the frame.
            if (next != ChunkPool.None) _chunks.ReturnChain(next);
            return;
        }
        while (next != ChunkPool.None)
        {
            ref var note = ref _chunks.Note(next);
            chunk = next;
            next = note.Next;
            PutPart(chunk, note.Start, note.Length, next != ChunkPool.None ? XdpNumbers.Continued : 0);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private void PutPart(uint chunk, int offset, int length, uint options)
    {
        _chunks.Note(chunk).Next = ChunkPool.None;
        _holders[chunk] = Sending;
        _sending++;
        ref var descriptor = ref _transmit.Next();
        descriptor.Address = ((ulong)chunk << _shift) + (uint)offset;
        descriptor.Length = (uint)length;
        descriptor.Options = options;
    }

    private void Give(ulong address, byte holder)
    {
        var chunk = (uint)(address >> _shift);
        if (chunk >= (uint)_holders.Length || _holders[chunk] != holder) return;
        _holders[chunk] = Ours;
        _sending--;
        _chunks.Return(chunk);
    }

    /// <summary>Makes the system calls that the kernel wants for what waits to be sent. False when the interface is down.</summary>
    private bool Wake()
    {
        // In copy mode a call sends a batch and says EAGAIN when more is left; progress is what makes another call worth while.
        for (var i = 0; i < WakeCountMax && (_alwaysWakes || _transmit.NeedsWakeup); i++)
        {
            var before = _transmit.Waiting;
            if (before == 0 && !_isDown) return true;
            _counters.SystemCalls++;
            var result = XdpCalls.WakeTransmit(_socket!.Descriptor);
            _isDown = result.Errno is Errno.ENETDOWN or Errno.ENXIO;
            if (_isDown) return false;
            if (!result.IsError || _transmit.Waiting == before) return true;
        }
        return true;
    }
}
