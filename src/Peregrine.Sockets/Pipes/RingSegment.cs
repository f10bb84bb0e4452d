// Segments of the sequences that pipe readers hand out, and the small pool of them that a core keeps. A segment either shows a run of
// bytes in the receive ring or owns a rented array with bytes that were copied out of it.
using System.Buffers;

namespace Peregrine.Sockets;

internal sealed class RingSegment : ReadOnlySequenceSegment<byte>
{
    private byte[]? _array;
    private int _start;

    internal RingSegment? NextSegment
    {
        get => (RingSegment?)Next;
        set => Next = value;
    }

    internal int Length => Memory.Length;

    /// <summary>Whether the bytes are the segment's own copy.</summary>
    internal bool IsOwned => _array != null;

    /// <summary>Bytes that an owned segment can still take.</summary>
    internal int Room => _array == null ? 0 : _array.Length - _start - Memory.Length;

    internal void Show(ReadOnlyMemory<byte> ring) => Memory = ring;

    internal void Own(byte[] array)
    {
        _array = array;
        _start = 0;
        Memory = default;
    }

    /// <summary>The room behind the bytes of an owned segment.</summary>
    internal Span<byte> Tail => _array.AsSpan(_start + Memory.Length);

    internal void Grow(int count) => Memory = new ReadOnlyMemory<byte>(_array, _start, Memory.Length + count);

    /// <summary>Drops bytes from the front of an owned segment.</summary>
    internal void Skip(int count)
    {
        _start += count;
        Memory = new ReadOnlyMemory<byte>(_array, _start, Memory.Length - count);
    }

    internal void Place(long runningIndex) => RunningIndex = runningIndex;

    internal void Reset()
    {
        if (_array != null) ArrayPool<byte>.Shared.Return(_array);
        _array = null;
        _start = 0;
        Memory = default;
        Next = null;
        RunningIndex = 0;
    }
}

/// <summary>Segments that wait for their next use. Any thread: readers off the core give theirs back too.</summary>
internal sealed class SegmentPool
{
    private const int CountMax = 256;
    private readonly Stack<RingSegment> _free = new(CountMax);

    internal RingSegment Rent()
    {
        lock (_free)
        {
            return _free.TryPop(out var segment) ? segment : new RingSegment();
        }
    }

    internal void Return(RingSegment segment)
    {
        segment.Reset();
        lock (_free)
        {
            if (_free.Count < CountMax) _free.Push(segment);
        }
    }
}
