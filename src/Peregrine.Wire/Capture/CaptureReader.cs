// Reads captures: pcapng in either byte order with several sections, and classic pcap. A file may be hostile: every length is checked
// before it is believed, memory is bounded by the longest block, and what is wrong ends the reading with a sentence in Error.
using System.Buffers.Binary;

namespace Peregrine.Wire;

/// <summary>An interface of a capture.</summary>
public sealed class CaptureInterface
{
    /// <summary>Link type; see <see cref="CaptureLinkType"/>.</summary>
    public ushort LinkType { get; internal init; }

    /// <summary>Bytes of a frame that were kept at most; 0 for no limit.</summary>
    public uint SnapLength { get; internal init; }

    /// <summary>Name, or empty.</summary>
    public string Name { get; internal set; } = "";

    /// <summary>Description, or empty.</summary>
    public string Description { get; internal set; } = "";

    /// <summary>Ethernet address, if it was given.</summary>
    public MacAddress? Mac { get; internal set; }

    /// <summary>Speed in bits per second; 0 when not known.</summary>
    public ulong BitsPerSecond { get; internal set; }

    /// <summary>Frames seen, by the last statistics; none when there were none.</summary>
    public ulong? ReceivedCount { get; internal set; }

    /// <summary>Frames dropped, by the last statistics; none when there were none.</summary>
    public ulong? DroppedCount { get; internal set; }

    /// <summary>Units of time in a second; a microsecond unless the file says otherwise.</summary>
    internal UInt128 TicksPerSecond { get; set; } = 1_000_000;

    /// <summary>Seconds to add to every time.</summary>
    internal long TimeOffsetSeconds { get; set; }

    internal ulong ToNanoseconds(ulong ticks)
    {
        UInt128 ns = (UInt128)ticks * Pcapng.NanosecondsPerSecond / TicksPerSecond;
        return unchecked((ulong)ns + (ulong)TimeOffsetSeconds * Pcapng.NanosecondsPerSecond);
    }
}

/// <summary>A frame of a capture. Its spans are good until the next one is read.</summary>
public readonly ref struct CapturedFrame
{
    /// <summary>Number of the interface in the present section.</summary>
    public int InterfaceId { get; internal init; }

    /// <summary>Nanoseconds since 1970, UTC; 0 when the file does not say.</summary>
    public ulong TimeNs { get; internal init; }

    /// <summary>The bytes that were kept.</summary>
    public ReadOnlySpan<byte> Bytes { get; internal init; }

    /// <summary>Bytes that the frame had.</summary>
    public uint OriginalLength { get; internal init; }

    /// <summary>Which way it went.</summary>
    public CaptureDirection Direction { get; internal init; }

    /// <summary>The first comment in UTF-8; empty when there is none.</summary>
    public ReadOnlySpan<byte> CommentUtf8 { get; internal init; }
}

/// <summary>Reads frames from a pcapng or pcap stream.</summary>
public sealed class CaptureReader : IDisposable
{
    private readonly Stream _stream;
    private readonly bool _leaveOpen;
    private readonly List<CaptureInterface> _interfaces = [];
    private byte[] _buffer = new byte[4096];
    private bool _started;
    private bool _isClassic;
    private bool _bigEndian;
    private bool _sectionSeen;

    /// <summary>Begins to read; nothing is read before the first frame is asked for.</summary>
    /// <param name="stream">The capture from its first byte.</param>
    /// <param name="leaveOpen">Whether the stream stays open when this is disposed of.</param>
    public CaptureReader(Stream stream, bool leaveOpen = false)
    {
        ArgumentNullException.ThrowIfNull(stream);
        _stream = stream;
        _leaveOpen = leaveOpen;
    }

    /// <summary>Why the reading ended; null at a good end, or before it.</summary>
    public string? Error { get; private set; }

    /// <summary>The interfaces of the present section that have been described so far.</summary>
    public IReadOnlyList<CaptureInterface> Interfaces => _interfaces;

    /// <summary>Reads up to the next frame; other blocks on the way are taken in or skipped.</summary>
    /// <returns>False at the end or at something malformed: look at <see cref="Error"/>.</returns>
    public bool TryReadFrame(out CapturedFrame frame)
    {
        frame = default;
        if (Error is not null) return false;
        if (!_started && !TryStart()) return false;
        return _isClassic ? TryReadRecord(out frame) : TryReadBlocks(out frame);
    }

    /// <summary>Closes the stream, unless told otherwise.</summary>
    public void Dispose()
    {
        if (!_leaveOpen) _stream.Dispose();
    }

    private bool TryStart()
    {
        _started = true;
        int got = Fill(0, 4);
        if (got == 0) return Fail("The capture is empty.");
        if (got < 4) return Fail("The capture ends within its first four bytes.");
        uint magic = BinaryPrimitives.ReadUInt32BigEndian(_buffer);
        if (magic == Pcapng.SectionHeaderBlock) return true;
        _isClassic = true;
        // libpcap's savefile format: the magic tells byte order and whether times are in micro- or nanoseconds.
        (bool known, _bigEndian, ulong ticks) = magic switch
        {
            0xA1B2_C3D4 => (true, true, 1_000_000UL),
            0xA1B2_3C4D => (true, true, Pcapng.NanosecondsPerSecond),
            0xD4C3_B2A1 => (true, false, 1_000_000UL),
            0x4D3C_B2A1 => (true, false, Pcapng.NanosecondsPerSecond),
            _ => (false, false, 0UL),
        };
        if (!known) return Fail("This is neither a pcapng nor a pcap capture.");
        if (Fill(4, 20) < 20) return Fail("The capture ends within its file header.");
        _interfaces.Add(new CaptureInterface
        {
            LinkType = (ushort)Read32(20),
            SnapLength = Read32(16),
            TicksPerSecond = ticks,
        });
        return true;
    }

    private bool TryReadRecord(out CapturedFrame frame)
    {
        frame = default;
        int got = Fill(0, 16);
        if (got == 0) return false;
        if (got < 16) return Fail("The capture ends within a record header.");
        uint length = Read32(8);
        if (length > Pcapng.BlockLengthMax) return Fail($"A record claims {length} bytes.");
        (uint seconds, uint fraction, uint originalLength) = (Read32(0), Read32(4), Read32(12));
        if (Fill(0, (int)length) < length) return Fail("The capture ends within a frame.");
        ulong fractionNs = fraction * Pcapng.NanosecondsPerSecond / (ulong)_interfaces[0].TicksPerSecond;
        frame = new CapturedFrame
        {
            TimeNs = seconds * Pcapng.NanosecondsPerSecond + fractionNs,
            Bytes = _buffer.AsSpan(0, (int)length),
            OriginalLength = originalLength,
        };
        return true;
    }

    private bool TryReadBlocks(out CapturedFrame frame)
    {
        frame = default;
        // The first type has been read to recognise the format.
        bool typeIsRead = !_sectionSeen;
        while (true)
        {
            if (!TryReadBlock(typeIsRead, out uint type, out ReadOnlySpan<byte> body)) return false;
            typeIsRead = false;
            switch (type)
            {
                case Pcapng.InterfaceBlock:
                    if (!TryTakeInterface(body)) return false;
                    break;
                case Pcapng.StatisticsBlock:
                    TakeStatistics(body);
                    break;
                case Pcapng.EnhancedPacketBlock:
                    return TryTakePacket(body, out frame);
                case Pcapng.SimplePacketBlock:
                    return TryTakeSimplePacket(body, out frame);
            }
        }
    }

    /// <summary>Reads one whole block into the buffer; its body is without type and lengths.</summary>
    private bool TryReadBlock(bool typeIsRead, out uint type, out ReadOnlySpan<byte> body)
    {
        body = default;
        type = 0;
        int had = typeIsRead ? 4 : 0;
        int got = Fill(had, 8 - had);
        if (got == 0 && !typeIsRead) return false;
        if (got < 8 - had) return Fail("The capture ends within a block header.");
        // The type of a section header reads the same in both byte orders.
        type = Read32(0);
        int read = 8;
        if (type == Pcapng.SectionHeaderBlock)
        {
            if (Fill(8, 4) < 4) return Fail("The capture ends within a section header.");
            if (!TryTakeByteOrder()) return false;
            read = 12;
        }

        uint length = Read32(4);
        if (length < Pcapng.BlockLengthMin || length % 4 != 0) return Fail($"A block claims a length of {length} bytes.");
        if (length > Pcapng.BlockLengthMax) return Fail($"A block claims {length} bytes; at most {Pcapng.BlockLengthMax} are read.");
        if (length < read + 4) return Fail("A section header is too short.");
        if (Fill(read, (int)length - read) < (int)length - read) return Fail("The capture ends within a block.");
        if (Read32((int)length - 4) != length) return Fail("A block's two lengths differ.");
        body = _buffer.AsSpan(8, (int)length - 12);
        if (type != Pcapng.SectionHeaderBlock) return true;
        return TryTakeSection(body);
    }

    private bool TryTakeByteOrder()
    {
        uint magic = BinaryPrimitives.ReadUInt32BigEndian(_buffer.AsSpan(8));
        _bigEndian = magic == Pcapng.ByteOrderMagic;
        return _bigEndian || magic == BinaryPrimitives.ReverseEndianness(Pcapng.ByteOrderMagic) || Fail("A section header has no byte-order magic.");
    }

    private bool TryTakeSection(ReadOnlySpan<byte> body)
    {
        if (body.Length < 16) return Fail("A section header is too short.");
        ushort major = Read16(body, 4);
        if (major != 1) return Fail($"The capture has version {major} of pcapng; version 1 is known.");
        _interfaces.Clear();
        _sectionSeen = true;
        return true;
    }

    private bool TryTakeInterface(ReadOnlySpan<byte> body)
    {
        if (body.Length < 8) return Fail("An interface description is too short.");
        if (_interfaces.Count == Pcapng.InterfaceCountMax) return Fail($"A section has more than {Pcapng.InterfaceCountMax} interfaces.");
        var description = new CaptureInterface { LinkType = Read16(body, 0), SnapLength = Read32(body, 4) };
        for (var options = new OptionCursor(body[8..], _bigEndian); options.MoveNext();)
        {
            if (!TryTakeInterfaceOption(description, options.Code, options.Value)) return false;
        }

        _interfaces.Add(description);
        return true;
    }

    private bool TryTakeInterfaceOption(CaptureInterface description, ushort code, ReadOnlySpan<byte> value)
    {
        switch (code)
        {
            case Pcapng.InterfaceName:
                description.Name = System.Text.Encoding.UTF8.GetString(value);
                break;
            case Pcapng.InterfaceDescription:
                description.Description = System.Text.Encoding.UTF8.GetString(value);
                break;
            case Pcapng.InterfaceMac when value.Length == MacAddress.Length:
                description.Mac = MacAddress.Read(value);
                break;
            case Pcapng.InterfaceSpeed when value.Length == 8:
                description.BitsPerSecond = Read64(value);
                break;
            case Pcapng.InterfaceTimeOffset when value.Length == 8:
                description.TimeOffsetSeconds = (long)Read64(value);
                break;
            case Pcapng.InterfaceTimeResolution when value.Length == 1:
                // §4.2: the highest bit chooses between powers of two and of ten.
                int exponent = value[0] & 0x7F;
                bool isBinary = (value[0] & 0x80) != 0;
                if (exponent > (isBinary ? 63 : 19)) return Fail($"An interface claims a time resolution of {exponent} digits.");
                description.TicksPerSecond = isBinary ? UInt128.One << exponent : PowerOfTen(exponent);
                break;
        }

        return true;
    }

    private static UInt128 PowerOfTen(int exponent)
    {
        UInt128 power = 1;
        for (int i = 0; i < exponent; i++) power *= 10;
        return power;
    }

    private void TakeStatistics(ReadOnlySpan<byte> body)
    {
        if (body.Length < 12 || Read32(body, 0) >= _interfaces.Count) return;
        CaptureInterface description = _interfaces[(int)Read32(body, 0)];
        for (var options = new OptionCursor(body[12..], _bigEndian); options.MoveNext();)
        {
            if (options.Value.Length != 8) continue;
            if (options.Code == Pcapng.StatisticsReceived) description.ReceivedCount = Read64(options.Value);
            if (options.Code == Pcapng.StatisticsDropped) description.DroppedCount = Read64(options.Value);
        }
    }

    private bool TryTakePacket(ReadOnlySpan<byte> body, out CapturedFrame frame)
    {
        frame = default;
        if (body.Length < 20) return Fail("A packet block is too short.");
        uint interfaceId = Read32(body, 0);
        uint length = Read32(body, 12);
        if (interfaceId >= _interfaces.Count) return Fail($"A packet is of interface {interfaceId}, which has not been described.");
        if (length > body.Length - 20) return Fail("A packet is longer than its block.");
        CaptureDirection direction = CaptureDirection.Unknown;
        ReadOnlySpan<byte> comment = default;
        ReadOnlySpan<byte> rest = body[20..];
        for (var options = new OptionCursor(rest[Math.Min(rest.Length, Pcapng.Padded((int)length))..], _bigEndian); options.MoveNext();)
        {
            if (options.Code == Pcapng.OptionComment && comment.IsEmpty) comment = options.Value;
            if (options.Code != Pcapng.PacketFlags || options.Value.Length != 4) continue;
            uint bits = Read32(options.Value, 0) & 3;
            direction = bits <= 2 ? (CaptureDirection)bits : CaptureDirection.Unknown;
        }

        frame = new CapturedFrame
        {
            InterfaceId = (int)interfaceId,
            TimeNs = _interfaces[(int)interfaceId].ToNanoseconds((ulong)Read32(body, 4) << 32 | Read32(body, 8)),
            Bytes = rest[..(int)length],
            OriginalLength = Read32(body, 16),
            Direction = direction,
            CommentUtf8 = comment,
        };
        return true;
    }

    private bool TryTakeSimplePacket(ReadOnlySpan<byte> body, out CapturedFrame frame)
    {
        frame = default;
        if (body.Length < 4) return Fail("A simple packet block is too short.");
        if (_interfaces.Count == 0) return Fail("A simple packet stands before any interface.");
        uint originalLength = Read32(body, 0);
        uint snapLength = _interfaces[0].SnapLength;
        uint kept = snapLength == 0 ? originalLength : Math.Min(originalLength, snapLength);
        if (kept > body.Length - 4) return Fail("A packet is longer than its block.");
        frame = new CapturedFrame { Bytes = body.Slice(4, (int)kept), OriginalLength = originalLength };
        return true;
    }

    private bool Fail(string error)
    {
        Error = error;
        return false;
    }

    /// <summary>Reads so many bytes into the buffer, growing it as bytes come and not as a length claims; returns how many there were.</summary>
    private int Fill(int offset, int count)
    {
        int got = 0;
        while (got < count)
        {
            if (offset + got == _buffer.Length) Array.Resize(ref _buffer, _buffer.Length * 2);
            int wanted = Math.Min(count - got, _buffer.Length - offset - got);
            int read = _stream.Read(_buffer, offset + got, wanted);
            if (read == 0) break;
            got += read;
        }

        return got;
    }

    private uint Read32(int offset) => Read32(_buffer, offset);

    private uint Read32(ReadOnlySpan<byte> bytes, int offset) =>
        _bigEndian ? BinaryPrimitives.ReadUInt32BigEndian(bytes[offset..]) : BinaryPrimitives.ReadUInt32LittleEndian(bytes[offset..]);

    private ushort Read16(ReadOnlySpan<byte> bytes, int offset) =>
        _bigEndian ? BinaryPrimitives.ReadUInt16BigEndian(bytes[offset..]) : BinaryPrimitives.ReadUInt16LittleEndian(bytes[offset..]);

    private ulong Read64(ReadOnlySpan<byte> bytes) =>
        _bigEndian ? BinaryPrimitives.ReadUInt64BigEndian(bytes) : BinaryPrimitives.ReadUInt64LittleEndian(bytes);

    /// <summary>Walks the options of a block; ends at the end or where one reaches too far.</summary>
    private ref struct OptionCursor(ReadOnlySpan<byte> bytes, bool bigEndian)
    {
        private ReadOnlySpan<byte> _rest = bytes;

        public ushort Code { get; private set; }

        public ReadOnlySpan<byte> Value { get; private set; }

        public bool MoveNext()
        {
            if (_rest.Length < 4) return false;
            Code = bigEndian ? BinaryPrimitives.ReadUInt16BigEndian(_rest) : BinaryPrimitives.ReadUInt16LittleEndian(_rest);
            int length = bigEndian ? BinaryPrimitives.ReadUInt16BigEndian(_rest[2..]) : BinaryPrimitives.ReadUInt16LittleEndian(_rest[2..]);
            if (Code == Pcapng.OptionEnd || length > _rest.Length - 4) return false;
            Value = _rest.Slice(4, length);
            _rest = _rest[Math.Min(_rest.Length, 4 + Pcapng.Padded(length))..];
            return true;
        }
    }
}
