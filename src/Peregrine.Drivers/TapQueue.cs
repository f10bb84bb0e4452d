// The frames of a TAP device: one readv or write a frame, and of longer bursts many writes a call, by io_uring. Chunks for the largest possible
// frame are rented ahead and stay in place between reads; those that a read has filled are given on and replaced. Bounded work: at most one
// system call a slot of the burst.
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Peregrine.Core.Links;
using Peregrine.Core.Memory;
using Peregrine.Drivers.Linux;

namespace Peregrine.Drivers;

internal sealed unsafe class TapQueue : ILinkQueue
{
    /// <summary>Ethernet with two tags.</summary>
    public const int LinkHeaderMax = 22;

    // Behind an Ethernet header of 14 bytes the IP header starts at a multiple of 16, with room to answer in place.
    private const int HeadOffset = 66;
    private const int VectorCountMax = 1024;
    private const int HeaderReserve = 64;

    // Below this a call each is cheaper (bench/links/tap-uring.c).
    private const int BatchMin = 6, BatchMax = 32;

    private readonly FramePool _frames;
    private readonly ChunkPool _chunks;
    private readonly LinkMedium _medium;
    private readonly int _headerSize;
    private readonly int _chunkCapacity;
    private readonly int _writeVectorCount;
    private readonly Follower? _follow;

    // One native block: the header's bytes and scratch, then the vectors for reading, then those for writing.
    private VnetHeader* _header;
    private IoVector* _read, _write;
    private readonly int[] _results = new int[BatchMax];
    private LinkQueueCounters _counters;
    private IoRing? _ring;
    private uint[] _ahead = [];
    private int _longest;
    private int _descriptor;
    private int _aheadCount;

    /// <param name="descriptor">The device's; stays the link's.</param>
    /// <param name="frames">The pool of the core.</param>
    /// <param name="medium">Ethernet (TAP) or IP (TUN).</param>
    /// <param name="hasVnetHeader">Whether frames have the virtio header before them.</param>
    /// <param name="longest">Bytes of the longest frame that may come.</param>
    /// <param name="follow">Looks after the device, or null where nobody does.</param>
    public TapQueue(int descriptor, FramePool frames, LinkMedium medium, bool hasVnetHeader, int longest, Follower? follow = null)
    {
        (_descriptor, _frames, _chunks, _medium, _follow) = (descriptor, frames, frames.Chunks, medium, follow);
        _headerSize = hasVnetHeader ? VnetHeader.Size : 0;
        _chunkCapacity = Math.Min(_chunks.ChunkSize, ushort.MaxValue);
        _writeVectorCount = Math.Min(VectorCountMax, Math.Max(ushort.MaxValue / _chunkCapacity, FramePool.PieceCountMax) + 4);
        Lay(longest);
        _ring = IoRing.TryOpen(BatchMax);
    }

    /// <summary>What <see cref="ILinkQueue.Follow"/> is for a queue of a link that knows how.</summary>
    internal delegate LinkPresence Follower(TapQueue queue, out string? problem);

    /// <summary>Whether the device was deleted: nothing comes or goes any more.</summary>
    public bool IsGone { get; private set; }

    public int PollDescriptor => IsGone ? -1 : _descriptor;

    public LinkQueueCounters Counters => _counters;

    public int Receive(Span<Frame> frames)
    {
        var received = 0;
        for (var reads = 0; reads < frames.Length && !IsGone; reads++)
        {
            TopUp();
            _counters.SystemCalls++;
            // Without any chunk a frame is read and lost rather than left there: what would free chunks may wait behind it.
            var result = _aheadCount > 0
                ? Posix.ReadV(_descriptor, _read, _aheadCount + 1)
                : Posix.Read(_descriptor, _header, HeaderReserve);
            if (result.IsError)
            {
                if (result.Errno == Errno.EINTR) continue;
                OnReadError(result.Errno);
                break;
            }
            if (TryTake(result.Int32, out frames[received])) received++;
        }
        _counters.ReceivedFrames += received;
        return received;
    }

    public int Transmit(ReadOnlySpan<Frame> frames)
    {
        if (frames.Length >= BatchMin && _ring is not null && !IsGone) return TransmitBatches(frames, _ring);
        var taken = 0;
        for (; taken < frames.Length; taken++)
        {
            ref readonly var frame = ref frames[taken];
            var result = IsGone ? PosixResult.Of(Errno.EBADFD) : Write(frame);
            // Only with TUNSETSNDBUF, which we do not set: the device has room without bound.
            if (result.Errno == Errno.EAGAIN) break;
            Settle(frame, result);
        }
        return taken;
    }

    /// <summary>Nothing to do: the kernel has copied a frame when the write returns.</summary>
    public void Reclaim()
    {
    }

    /// <summary>Always true: poll(2) looks at the queue's level, so frames that wait already end the sleep at once.</summary>
    public bool TryArm() => true;

    public void SetWake(Action wake)
    {
    }

    public LinkPresence Follow(out string? problem)
    {
        problem = null;
        return _follow is null || _header == null ? LinkPresence.There : _follow(this, out problem);
    }

    /// <summary>Goes on with a device that was opened again.</summary>
    public void Attach(int descriptor) => (_descriptor, IsGone) = (descriptor, false);

    /// <summary>Makes room for longer frames from now on.</summary>
    public void Fit(int longest)
    {
        if (longest > _longest) Lay(longest);
    }

    public void Dispose()
    {
        if (_header == null) return;
        IsGone = true;
        Release();
        _header = null;
        _read = _write = null;
        _ring?.Dispose();
        _ring = null;
    }

    private void Lay(int longest)
    {
        Release();
        _longest = longest;
        // One byte more than the longest frame, so that a read which fills everything was cut off.
        _ahead = new uint[(HeadOffset + longest + 1 + _chunkCapacity - 1) / _chunkCapacity];
        var vectors = _ahead.Length + 1 + _writeVectorCount;
        _header = (VnetHeader*)NativeMemory.AlignedAlloc((nuint)(HeaderReserve + (vectors * sizeof(IoVector))), 64);
        _read = (IoVector*)((byte*)_header + HeaderReserve);
        _write = _read + _ahead.Length + 1;
        _read[0] = new IoVector { Base = _header, Length = (nuint)_headerSize };
    }

    private void Release()
    {
        for (var i = 0; i < _aheadCount; i++) _chunks.Return(_ahead[i]);
        _aheadCount = 0;
        NativeMemory.AlignedFree(_header);
    }

    private void OnReadError(Errno errno)
    {
        if (errno == Errno.EAGAIN) return;
        _counters.ReceiveErrors++;
        // Anything else (EIO while the kernel's side is down) passes; a deleted device does not.
        if (errno is Errno.EBADFD or Errno.EBADF) IsGone = true;
    }

    /// <summary>Makes a frame of what the last read put into the chunks ahead. False when it was dropped and counted.</summary>
    private bool TryTake(int read, out Frame frame)
    {
        frame = default;
        var length = read - _headerSize;
        var capacity = (_aheadCount * _chunkCapacity) - HeadOffset;
        if (length <= 0 || length >= capacity)
        {
            // Cut off: for want of chunks, or because the MTU was raised meanwhile. The chunks stay where they are.
            if (length > 0 && _aheadCount < _ahead.Length) _counters.ReceiveDroppedNoMemory++;
            else _counters.ReceiveDroppedMalformed++;
            return false;
        }
        frame.Chunk = _ahead[0];
        frame.Offset = HeadOffset;
        frame.Length = length;
        frame.HeadLength = (ushort)Math.Min(length, _chunkCapacity - HeadOffset);
        if (_headerSize > 0 && !_header->TryDescribe(ref frame))
        {
            _counters.ReceiveDroppedMalformed++;
            return false;
        }
        if (_medium == LinkMedium.Ethernet && (_chunks.Address(frame.Chunk)[HeadOffset] & 1) != 0) frame.Flags |= FrameFlags.Broadcast;
        _counters.ReceivedBytes += length;
        GiveOn(Chain(frame));
        return true;
    }

    /// <summary>Chains the filled chunks; returns how many there are.</summary>
    private int Chain(in Frame frame)
    {
        var used = 1;
        var last = frame.Chunk;
        for (var rest = frame.Length - frame.HeadLength; rest > 0; used++)
        {
            var chunk = _ahead[used];
            ref var note = ref _chunks.Note(chunk);
            note.Length = (ushort)Math.Min(rest, _chunkCapacity);
            _chunks.Note(last).Next = chunk;
            last = chunk;
            rest -= note.Length;
        }
        return used;
    }

    /// <summary>Replaces the first chunks, which now belong to a frame; without free ones, moves those behind to the front.</summary>
    private void GiveOn(int used)
    {
        for (var i = 0; i < used; i++)
        {
            if (_chunks.TryRent(out var chunk))
            {
                Place(i, chunk);
                continue;
            }
            for (var from = used; from < _aheadCount; from++) Place(i++, _ahead[from]);
            _aheadCount = i;
            return;
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private void TopUp()
    {
        while (_aheadCount < _ahead.Length && _chunks.TryRent(out var chunk)) Place(_aheadCount++, chunk);
    }

    private void Place(int index, uint chunk)
    {
        _ahead[index] = chunk;
        var offset = index == 0 ? HeadOffset : 0;
        _read[index + 1] = new IoVector { Base = _chunks.Address(chunk) + offset, Length = (nuint)(_chunkCapacity - offset) };
    }

    /// <summary>Sends frames of one piece by batches, in their order with the others.</summary>
    private int TransmitBatches(ReadOnlySpan<Frame> frames, IoRing ring)
    {
        var taken = 0;
        for (var i = 0; i < frames.Length; i++)
        {
            ref readonly var frame = ref frames[i];
            var prepared = Prepare(frame, out var start, out var length, out var apart);
            var isWhole = !prepared.IsError && apart == 0 && !frame.IsChained;
            if (isWhole)
            {
                ring.Write(_descriptor, start, length);
                if (i + 1 - taken < BatchMax && i + 1 < frames.Length) continue;
            }
            var end = isWhole ? i + 1 : i;
            taken += Submit(ring, frames[taken..end]);
            if (taken < end) break;
            if (isWhole) continue;
            var result = prepared.IsError ? prepared : Write(frame, start, length, apart);
            if (result.Errno == Errno.EAGAIN) break;
            Settle(frame, result);
            taken++;
        }
        return taken;
    }

    /// <summary>Sends what was put into the ring; how many of the frames were taken.</summary>
    private int Submit(IoRing ring, ReadOnlySpan<Frame> frames)
    {
        if (frames.IsEmpty) return 0;
        _counters.SystemCalls += ring.Submit(_results);
        var taken = frames.Length;
        while (taken > 0 && (Errno)(-_results[taken - 1]) is Errno.EAGAIN or Errno.EOPNOTSUPP) taken--;
        for (var i = 0; i < taken; i++) Settle(frames[i], _results[i] >= 0 ? PosixResult.From(_results[i]) : PosixResult.Of((Errno)(-_results[i])));
        // The device always has room. So this kernel knows no such write to it, and the next burst goes by a call each.
        if (taken < frames.Length)
        {
            ring.Dispose();
            _ring = null;
        }
        return taken;
    }

    /// <summary>Counts what became of a frame and gives it back.</summary>
    private void Settle(in Frame frame, PosixResult result)
    {
        if (!result.IsError)
        {
            _counters.SentFrames++;
            _counters.SentBytes += frame.Length;
        }
        else
        {
            // EIO: the kernel's side is down, which passes. EINVAL: the frame contradicts its description.
            if (result.Errno is Errno.EBADFD or Errno.EBADF) IsGone = true;
            _counters.SendDroppedError++;
        }
        _frames.Return(frame);
    }

    private PosixResult Write(in Frame frame)
    {
        var prepared = Prepare(frame, out var start, out var length, out var apart);
        return prepared.IsError ? prepared : Write(frame, start, length, apart);
    }

    /// <summary>
    /// Makes the first chunk ready. The virtio header goes before it, or for want of room stands apart, <paramref name="apart"/> bytes of it; so do
    /// the addresses of a tagged frame with their tag. The frame's own bytes stay as they are, for it may be sent again.
    /// </summary>
    private PosixResult Prepare(in Frame frame, out byte* start, out int length, out int apart)
    {
        start = _frames.Address(frame);
        (length, apart) = (frame.HeadLength, 0);
        var isTagged = (frame.Flags & FrameFlags.VlanTag) != 0;
        if (isTagged && (length < VlanTagging.AddressesLength || _medium != LinkMedium.Ethernet)) return PosixResult.Of(Errno.EINVAL);
        // Without the header nobody would finish the frame.
        if (_headerSize == 0 && (frame.SegmentKind != SegmentKind.None || (frame.Flags & FrameFlags.ChecksumUnfinished) != 0)) return PosixResult.Of(Errno.EINVAL);
        var header = VnetHeader.For(frame, isTagged ? VlanTagging.Length : 0);
        if (isTagged || frame.Offset < _headerSize)
        {
            if (_headerSize > 0) *_header = header;
            apart = _headerSize;
            if (!isTagged) return default;
            VlanTagging.Write((byte*)_header + _headerSize, start, frame.VlanTag);
            apart += VlanTagging.AddressesLength + VlanTagging.Length;
            start += VlanTagging.AddressesLength;
            length -= VlanTagging.AddressesLength;
            return default;
        }
        if (_headerSize == 0) return default;
        start -= _headerSize;
        length += _headerSize;
        Unsafe.WriteUnaligned(start, header);
        return default;
    }

    private PosixResult Write(in Frame frame, byte* start, int length, int apart)
    {
        _counters.SystemCalls++;
        if (apart == 0 && !frame.IsChained) return Posix.Write(_descriptor, start, length);
        var count = 0;
        if (apart > 0) _write[count++] = new IoVector { Base = _header, Length = (nuint)apart };
        _write[count++] = new IoVector { Base = start, Length = (nuint)length };
        if ((frame.Flags & FrameFlags.Gathered) != 0)
        {
            count += IoVector.Copy(_frames.Pieces(frame), _write + count);
        }
        else if (frame.IsChained)
        {
            for (var chunk = _chunks.Note(frame.Chunk).Next; chunk != ChunkPool.None; chunk = _chunks.Note(chunk).Next)
            {
                if (count == _writeVectorCount) return PosixResult.Of(Errno.EINVAL);
                ref var note = ref _chunks.Note(chunk);
                _write[count++] = new IoVector { Base = _chunks.Address(chunk) + note.Start, Length = note.Length };
            }
        }
        return Posix.WriteV(_descriptor, _write, count);
    }
}
