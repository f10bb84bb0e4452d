// A pcapng file over a stream. It owns one buffer, made at the start; writing a frame allocates nothing. It has no clock: times are given.
namespace Peregrine.Wire;

/// <summary>
/// Writes a pcapng capture with nanosecond times. Not safe for several threads at once. Blocks are collected in a buffer, and reach the
/// stream when it is full or at <see cref="Flush"/>.
/// </summary>
public sealed class PcapngWriter : IDisposable
{
    private const int BufferLengthMin = 64 * 1024;

    private readonly Stream _stream;
    private readonly byte[] _buffer;
    private readonly int _snapLength;
    private readonly bool _leaveOpen;
    private int _buffered;
    private int _interfaceCount;
    private bool _disposed;

    /// <summary>Begins a capture: writes the section header.</summary>
    /// <param name="stream">Where to write.</param>
    /// <param name="application">Name of the program, for readers' information.</param>
    /// <param name="comment">A comment on the whole.</param>
    /// <param name="snapLength">Bytes of a frame that are kept at most. The buffer grows with it.</param>
    /// <param name="leaveOpen">Whether the stream stays open when this is disposed of.</param>
    /// <exception cref="ArgumentOutOfRangeException">The snap length is not 64 to 1 MiB.</exception>
    public PcapngWriter(Stream stream, string? application = "Peregrine", string? comment = null, int snapLength = 256 * 1024, bool leaveOpen = false)
    {
        ArgumentNullException.ThrowIfNull(stream);
        ArgumentOutOfRangeException.ThrowIfLessThan(snapLength, 64);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(snapLength, 1024 * 1024);
        _stream = stream;
        _snapLength = snapLength;
        _leaveOpen = leaveOpen;
        _buffer = new byte[BufferLengthMin + snapLength];
        _buffered = PcapngBlock.WriteSectionHeader(_buffer, application, comment: comment);
    }

    /// <summary>Frames written so far.</summary>
    public long FrameCount { get; private set; }

    /// <summary>Describes an interface and returns its number, from 0.</summary>
    /// <param name="name">Name, such as tap0.</param>
    /// <param name="linkType">See <see cref="CaptureLinkType"/>.</param>
    /// <param name="description">Description.</param>
    /// <param name="mac">Its Ethernet address.</param>
    /// <param name="bitsPerSecond">Speed; 0 when not known.</param>
    public int AddInterface(
        string name, ushort linkType = CaptureLinkType.Ethernet, string? description = null, MacAddress? mac = null, ulong bitsPerSecond = 0)
    {
        Span<byte> room = Room(4 * PcapngBlock.TextLengthMax);
        _buffered += PcapngBlock.WriteInterface(room, linkType, _snapLength, name, description, mac, bitsPerSecond);
        return _interfaceCount++;
    }

    /// <summary>Writes a frame.</summary>
    /// <param name="interfaceId">What <see cref="AddInterface"/> returned.</param>
    /// <param name="timeNs">Nanoseconds since 1970, UTC.</param>
    /// <param name="frame">The frame; only its first bytes are kept if it is longer than the snap length.</param>
    /// <param name="direction">Which way it went.</param>
    /// <param name="comment">A comment.</param>
    /// <exception cref="ArgumentOutOfRangeException">There is no such interface.</exception>
    public void WriteFrame(
        int interfaceId, ulong timeNs, ReadOnlySpan<byte> frame, CaptureDirection direction = CaptureDirection.Unknown,
        ReadOnlySpan<char> comment = default)
    {
        ThrowIfUnknown(interfaceId);
        ReadOnlySpan<byte> kept = frame[..Math.Min(frame.Length, _snapLength)];
        Span<byte> room = Room(kept.Length + PcapngBlock.PacketOverheadMax + (comment.IsEmpty ? 0 : PcapngBlock.TextLengthMax));
        _buffered += PcapngBlock.WritePacket(room, interfaceId, timeNs, kept, frame.Length, direction, comment);
        FrameCount++;
    }

    /// <summary>Writes statistics of an interface, usually once before the end.</summary>
    /// <param name="interfaceId">What <see cref="AddInterface"/> returned.</param>
    /// <param name="timeNs">Nanoseconds since 1970, UTC.</param>
    /// <param name="received">Frames seen since the capture began.</param>
    /// <param name="dropped">Of them, frames that are not in the file.</param>
    /// <exception cref="ArgumentOutOfRangeException">There is no such interface.</exception>
    public void WriteStatistics(int interfaceId, ulong timeNs, ulong received, ulong dropped)
    {
        ThrowIfUnknown(interfaceId);
        _buffered += PcapngBlock.WriteStatistics(Room(PcapngBlock.PacketOverheadMax), interfaceId, timeNs, received, dropped);
    }

    /// <summary>Hands all that is buffered to the stream, and flushes that.</summary>
    public void Flush()
    {
        WriteOut();
        _stream.Flush();
    }

    /// <summary>Writes what is buffered and, unless told otherwise, closes the stream.</summary>
    public void Dispose()
    {
        if (_disposed) return;
        Flush();
        _disposed = true;
        if (!_leaveOpen) _stream.Dispose();
    }

    private Span<byte> Room(int length)
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        if (_buffer.Length - _buffered < length) WriteOut();
        return _buffer.AsSpan(_buffered);
    }

    private void WriteOut()
    {
        if (_buffered == 0) return;
        _stream.Write(_buffer, 0, _buffered);
        _buffered = 0;
    }

    private void ThrowIfUnknown(int interfaceId) =>
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual((uint)interfaceId, (uint)_interfaceCount, nameof(interfaceId));
}
