// A frame on its way through a world: bytes of its own, from a pool, owned by one place at a time (a lane, a node's ring, a hand).
namespace Peregrine.Simulation;

/// <summary>An Ethernet frame between two nodes.</summary>
internal sealed class FrameBuffer
{
    internal const int Capacity = 2_048;

    private byte[] _bytes = new byte[Capacity];

    public int Length { get; private set; }

    /// <summary>A byte was changed on the way. It happens to a frame once at most: two changes can cancel each other in a checksum.</summary>
    public bool IsDamaged { get; set; }

    public Span<byte> Span => _bytes.AsSpan(0, Length);

    /// <summary>Makes room; what was in it is gone.</summary>
    public Span<byte> Reset(int length)
    {
        if (_bytes.Length < length) _bytes = new byte[length];
        Length = length;
        return Span;
    }

    /// <summary>Cuts bytes off the end.</summary>
    public void Shorten(int length) => Length = Math.Min(length, Length);
}

/// <summary>Frames that nobody uses now.</summary>
internal sealed class FrameBufferPool
{
    private readonly Stack<FrameBuffer> _free = new(256);

    /// <summary>Frames that somebody holds.</summary>
    public int HeldCount { get; private set; }

    public FrameBuffer Rent(int length)
    {
        HeldCount++;
        var buffer = _free.Count > 0 ? _free.Pop() : new FrameBuffer();
        buffer.Reset(length);
        buffer.IsDamaged = false;
        return buffer;
    }

    public FrameBuffer Copy(FrameBuffer frame)
    {
        var copy = Rent(frame.Length);
        frame.Span.CopyTo(copy.Span);
        copy.IsDamaged = frame.IsDamaged;
        return copy;
    }

    public void Return(FrameBuffer frame)
    {
        HeldCount--;
        _free.Push(frame);
    }
}
