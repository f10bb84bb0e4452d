// The frames of a packet socket: a batch of messages a system call, each into a chunk rented ahead. A message has room for the largest super-
// segment: the first few in chunks, all others in plain memory from which the rest of a long frame is copied. So a burst of small frames costs one
// chunk each and a stream of large ones costs no copy, and nothing is ever cut off.
using System.Runtime.InteropServices;
using Peregrine.Core.Links;
using Peregrine.Core.Memory;
using Peregrine.Drivers.Linux;

namespace Peregrine.Drivers.Packet;

internal sealed unsafe class PacketQueue : ILinkQueue
{
    private const int BatchCount = 32;

    // Behind an Ethernet header of 14 bytes the IP header starts at a multiple of 16, with room to answer in place.
    private const int HeadOffset = 66;
    private const int Longest = ushort.MaxValue + 22;
    private const int ControlSize = 64, HeaderStride = 16;
    private const int MessageTruncated = 0x20;

    // struct tpacket_auxdata behind struct cmsghdr: status, and the tag that the kernel took out.
    private const int AuxiliaryEnd = 36, AuxiliaryStatus = 16, AuxiliaryTag = 32;
    private const uint StatusTagValid = 0x10;

    private readonly FramePool _frames;
    private readonly ChunkPool _chunks;
    private readonly int _chunkCapacity;
    private readonly int _directCount;
    private readonly int _overflowCount;
    private readonly int _sendVectorCount;
    private readonly uint[] _heads = new uint[BatchCount];
    private readonly uint[] _overflow;

    // One native block: messages in, messages out, their vectors, headers and control buffers; and the plain memory for long frames.
    private byte* _memory, _spill;
    private MultiMessage* _incoming, _outgoing;
    private IoVector* _incomingVectors, _outgoingVectors;
    private byte* _controls;
    private VnetHeader* _headers;
    private LinkQueueCounters _counters;
    private int _socket;

    private readonly Follower _follow;

    public PacketQueue(int socket, FramePool frames, Follower follow)
    {
        (_socket, _frames, _chunks, _follow) = (socket, frames, frames.Chunks, follow);
        _chunkCapacity = Math.Min(_chunks.ChunkSize, ushort.MaxValue);
        _overflowCount = (Longest + HeadOffset + _chunkCapacity - 1) / _chunkCapacity - 1;
        _sendVectorCount = Math.Min(1024, Math.Max(ushort.MaxValue / _chunkCapacity, FramePool.PieceCountMax) + 5);
        // At most an eighth of the pool waits for super-segments.
        _directCount = Math.Clamp(_chunks.Count / (8 * (_overflowCount + 1)), 0, 4);
        _overflow = new uint[_directCount * _overflowCount];
        Array.Fill(_heads, ChunkPool.None);
        Array.Fill(_overflow, ChunkPool.None);
        Lay();
    }

    /// <summary>What <see cref="ILinkQueue.Follow"/> is for a queue of a link that knows how.</summary>
    internal delegate LinkPresence Follower(PacketQueue queue, out string? problem);

    public int PollDescriptor => _socket;

    public LinkQueueCounters Counters => _counters;

    public int Receive(Span<Frame> frames)
    {
        var received = 0;
        while (received < frames.Length && _memory != null)
        {
            var wanted = Prepare(Math.Min(BatchCount, frames.Length - received));
            _counters.SystemCalls++;
            // Without any chunk a frame is read and lost rather than left there: what would free chunks may wait behind it.
            var result = wanted > 0 ? Posix.ReceiveMessages(_socket, _incoming, wanted) : Posix.Read(_socket, _spill, 1);
            if (result.IsError)
            {
                // ENETDOWN: the interface went down. It is said once, and passes.
                if (result.Errno is not (Errno.EAGAIN or Errno.EINTR)) _counters.ReceiveErrors++;
                break;
            }
            if (wanted == 0)
            {
                _counters.ReceiveDroppedNoMemory++;
                break;
            }
            for (var i = 0; i < result.Int32; i++)
            {
                if (TryTake(i, out frames[received])) received++;
            }
            if (result.Int32 < wanted) break;
        }
        _counters.ReceivedFrames += received;
        return received;
    }

    public int Transmit(ReadOnlySpan<Frame> frames)
    {
        var taken = 0;
        while (taken < frames.Length && _memory != null)
        {
            var described = Describe(frames[taken..]);
            if (described == 0)
            {
                // The frame contradicts its description.
                Drop(frames[taken++]);
                continue;
            }
            _counters.SystemCalls++;
            var result = Posix.SendMessages(_socket, _outgoing, described);
            if (result.Errno == Errno.EINTR) continue;
            // The card's queue or the socket's buffer is full: later.
            if (result.Errno is Errno.EAGAIN or Errno.ENOBUFS) break;
            if (result.IsError)
            {
                // The first frame cannot be sent: too long, or the interface is down. What is behind it has another chance.
                Drop(frames[taken++]);
                continue;
            }
            for (var i = 0; i < result.Int32; i++)
            {
                ref readonly var frame = ref frames[taken++];
                _counters.SentFrames++;
                _counters.SentBytes += frame.Length;
                _frames.Return(frame);
            }
        }
        return taken;
    }

    /// <summary>Nothing to do: the kernel has copied a frame when the call returns.</summary>
    public void Reclaim()
    {
    }

    /// <summary>Always true: poll(2) looks at the socket's level, so frames that wait already end the sleep at once.</summary>
    public bool TryArm() => true;

    public void SetWake(Action wake)
    {
    }

    public LinkPresence Follow(out string? problem) => _follow(this, out problem);

    /// <summary>Goes on with another socket.</summary>
    public void Attach(int socket) => _socket = socket;

    public void Dispose()
    {
        if (_memory == null) return;
        _socket = -1;
        Release(_heads);
        Release(_overflow);
        NativeMemory.AlignedFree(_memory);
        NativeMemory.Free(_spill);
        _memory = _spill = null;
    }

    private void Release(uint[] chunks)
    {
        foreach (ref var chunk in chunks.AsSpan())
        {
            if (chunk != ChunkPool.None) _chunks.Return(chunk);
            chunk = ChunkPool.None;
        }
    }

    private void Lay()
    {
        var incomingVectors = BatchCount * 3 + _directCount * _overflowCount;
        var size = (2 * BatchCount * sizeof(MultiMessage)) + ((incomingVectors + (BatchCount * _sendVectorCount)) * sizeof(IoVector)) + (2 * BatchCount * HeaderStride)
            + (BatchCount * ControlSize);
        _memory = (byte*)NativeMemory.AlignedAlloc((nuint)size, 64);
        new Span<byte>(_memory, size).Clear();
        _spill = (byte*)NativeMemory.Alloc(BatchCount, Longest);
        _incoming = (MultiMessage*)_memory;
        _outgoing = _incoming + BatchCount;
        _controls = (byte*)(_outgoing + BatchCount);
        _headers = (VnetHeader*)(_controls + (BatchCount * ControlSize));
        _incomingVectors = (IoVector*)((byte*)_headers + (2 * BatchCount * HeaderStride));
        _outgoingVectors = _incomingVectors + incomingVectors;
        var vectors = _incomingVectors;
        for (var i = 0; i < BatchCount; i++)
        {
            ref var message = ref _incoming[i].Header;
            message.Vectors = vectors;
            message.VectorCount = (nuint)(i < _directCount ? 2 + _overflowCount : 3);
            vectors[0] = new IoVector { Base = HeaderOf(i), Length = VnetHeader.Size };
            vectors[2] = new IoVector { Base = _spill + (i * Longest), Length = Longest };
            vectors += message.VectorCount;
            message.Control = _controls + (i * ControlSize);
            _outgoing[i].Header.Vectors = _outgoingVectors + (i * _sendVectorCount);
        }
    }

    private VnetHeader* HeaderOf(int message) => (VnetHeader*)((byte*)_headers + (message * HeaderStride));

    /// <summary>Gives chunks to as many messages as can be, from the first; returns how many have one.</summary>
    private int Prepare(int wanted)
    {
        var ready = 0;
        for (; ready < wanted; ready++)
        {
            if (_heads[ready] == ChunkPool.None && !TryPlaceHead(ready)) break;
            ref var message = ref _incoming[ready].Header;
            message.ControlLength = ControlSize;
            if (ready < _directCount) message.VectorCount = (nuint)(2 + PlaceOverflow(ready, message.Vectors + 2));
        }
        return ready;
    }

    private bool TryPlaceHead(int message)
    {
        if (!_chunks.TryRent(out var chunk))
        {
            // One that a message behind this has is as good.
            var other = Array.FindLastIndex(_heads, static head => head != ChunkPool.None);
            if (other <= message) return false;
            (chunk, _heads[other]) = (_heads[other], ChunkPool.None);
        }
        _heads[message] = chunk;
        _incoming[message].Header.Vectors[1] = new IoVector { Base = _chunks.Address(chunk) + HeadOffset, Length = (nuint)(_chunkCapacity - HeadOffset) };
        return true;
    }

    private int PlaceOverflow(int message, IoVector* vectors)
    {
        var chunks = _overflow.AsSpan(message * _overflowCount, _overflowCount);
        for (var i = 0; i < chunks.Length; i++)
        {
            if (chunks[i] != ChunkPool.None) continue;
            if (!_chunks.TryRent(out chunks[i]))
            {
                chunks[i] = ChunkPool.None;
                return i;
            }
            vectors[i] = new IoVector { Base = _chunks.Address(chunks[i]), Length = (nuint)_chunkCapacity };
        }
        return chunks.Length;
    }

    /// <summary>Makes a frame of a message. False when it was dropped and counted; then its chunks stay where they are.</summary>
    private bool TryTake(int index, out Frame frame)
    {
        frame = default;
        ref var message = ref _incoming[index];
        var length = (int)message.Length - VnetHeader.Size;
        if ((message.Header.Flags & MessageTruncated) != 0)
        {
            _counters.ReceiveDroppedNoMemory++;
            return false;
        }
        frame.Chunk = _heads[index];
        frame.Offset = HeadOffset;
        frame.Length = length;
        frame.HeadLength = (ushort)Math.Clamp(length, 0, _chunkCapacity - HeadOffset);
        if (length < 14 || !HeaderOf(index)->TryDescribe(ref frame))
        {
            _counters.ReceiveDroppedMalformed++;
            return false;
        }
        if (frame.IsChained && !(index < _directCount ? TryChain(index, frame) : TryCopy(index, frame)))
        {
            _counters.ReceiveDroppedNoMemory++;
            return false;
        }
        var control = _controls + (index * ControlSize);
        if (message.Header.ControlLength >= AuxiliaryEnd && (*(uint*)(control + AuxiliaryStatus) & StatusTagValid) != 0)
        {
            frame.Flags |= FrameFlags.VlanTag;
            frame.VlanTag = *(ushort*)(control + AuxiliaryTag);
        }
        if ((_chunks.Address(frame.Chunk)[HeadOffset] & 1) != 0) frame.Flags |= FrameFlags.Broadcast;
        _heads[index] = ChunkPool.None;
        _counters.ReceivedBytes += length;
        return true;
    }

    /// <summary>Chains the chunks into which the kernel wrote the rest of a frame.</summary>
    private bool TryChain(int index, in Frame frame)
    {
        var last = frame.Chunk;
        var rest = frame.Length - frame.HeadLength;
        for (var i = index * _overflowCount; rest > 0; i++)
        {
            var chunk = _overflow[i];
            ref var note = ref _chunks.Note(chunk);
            note.Length = (ushort)Math.Min(rest, _chunkCapacity);
            _chunks.Note(last).Next = chunk;
            last = chunk;
            rest -= note.Length;
            _overflow[i] = ChunkPool.None;
        }
        return true;
    }

    /// <summary>Copies the rest of a frame into chunks.</summary>
    private bool TryCopy(int index, in Frame frame)
    {
        var rest = new ReadOnlySpan<byte>(_spill + (index * Longest), frame.Length - frame.HeadLength);
        var last = frame.Chunk;
        while (!rest.IsEmpty)
        {
            if (!_chunks.TryRent(out var chunk))
            {
                var first = _chunks.Note(frame.Chunk).Next;
                _chunks.Note(frame.Chunk).Next = ChunkPool.None;
                if (first != ChunkPool.None) _chunks.ReturnChain(first);
                return false;
            }
            var part = Math.Min(rest.Length, _chunkCapacity);
            rest[..part].CopyTo(new Span<byte>(_chunks.Address(chunk), part));
            _chunks.Note(chunk).Length = (ushort)part;
            _chunks.Note(last).Next = chunk;
            last = chunk;
            rest = rest[part..];
        }
        return true;
    }

    private void Drop(in Frame frame)
    {
        _counters.SendDroppedError++;
        _frames.Return(frame);
    }

    /// <summary>Describes frames as messages, from the first; returns how many, and stops at one that cannot be sent.</summary>
    private int Describe(ReadOnlySpan<Frame> frames)
    {
        var count = Math.Min(frames.Length, BatchCount);
        for (var i = 0; i < count; i++)
        {
            if (!TryDescribe(frames[i], i)) return i;
        }
        return count;
    }

    private bool TryDescribe(in Frame frame, int index)
    {
        var start = _frames.Address(frame);
        var head = (int)frame.HeadLength;
        var inserted = 0;
        ref var message = ref _outgoing[index].Header;
        var vectors = message.Vectors;
        if ((frame.Flags & FrameFlags.VlanTag) != 0)
        {
            // In the headroom, which is ours until the frame is gone. A frame that is refused comes again, so the bytes in place stay as they are.
            if (frame.Offset < VlanTagging.Length + VlanTagging.AddressesLength || head < VlanTagging.AddressesLength) return false;
            inserted = VlanTagging.Length;
        }
        var header = HeaderOf(BatchCount + index);
        *header = VnetHeader.For(frame, inserted);
        var count = 0;
        vectors[count++] = new IoVector { Base = header, Length = VnetHeader.Size };
        if (inserted > 0)
        {
            var tag = VlanTagging.Write(start, frame.VlanTag);
            vectors[count++] = new IoVector { Base = tag, Length = VlanTagging.AddressesLength + VlanTagging.Length };
            vectors[count++] = new IoVector { Base = start + VlanTagging.AddressesLength, Length = (nuint)(head - VlanTagging.AddressesLength) };
        }
        else
        {
            vectors[count++] = new IoVector { Base = start, Length = (nuint)head };
        }
        if ((frame.Flags & FrameFlags.Gathered) != 0)
        {
            count += IoVector.Copy(_frames.Pieces(frame), vectors + count);
        }
        else if (frame.IsChained)
        {
            for (var chunk = _chunks.Note(frame.Chunk).Next; chunk != ChunkPool.None; chunk = _chunks.Note(chunk).Next)
            {
                if (count == _sendVectorCount) return false;
                ref var note = ref _chunks.Note(chunk);
                vectors[count++] = new IoVector { Base = _chunks.Address(chunk) + note.Start, Length = note.Length };
            }
        }
        message.VectorCount = (nuint)count;
        return true;
    }
}
