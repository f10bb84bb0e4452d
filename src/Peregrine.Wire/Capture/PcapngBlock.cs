// Writes single pcapng blocks into a caller's span: what PcapngWriter puts into a stream, and what a ring in shared memory could take.
// Little-endian always; readers know from the section header. Nothing is allocated.
using System.Buffers.Binary;

namespace Peregrine.Wire;

/// <summary>Writes single blocks of a pcapng section into spans. Each method returns the bytes written, a multiple of 4.</summary>
public static class PcapngBlock
{
    /// <summary>Bytes that a packet block needs beside its frame and comment, at most.</summary>
    public const int PacketOverheadMax = 64;

    /// <summary>Bytes of a text in UTF-8 that are kept; longer ones are cut off.</summary>
    public const int TextLengthMax = 1024;

    /// <summary>Writes a section header: the first block of a file (§4.1).</summary>
    /// <exception cref="ArgumentException">The destination is too short.</exception>
    public static int WriteSectionHeader(
        Span<byte> destination, ReadOnlySpan<char> application = default, ReadOnlySpan<char> hardware = default, ReadOnlySpan<char> os = default,
        ReadOnlySpan<char> comment = default)
    {
        var block = new BlockCursor(destination, Pcapng.SectionHeaderBlock);
        block.Append32(Pcapng.ByteOrderMagic);
        // Version 1.0, and a section of unknown length.
        block.Append32(1);
        block.Append64(ulong.MaxValue);
        block.AppendText(Pcapng.OptionComment, comment);
        block.AppendText(Pcapng.SectionHardware, hardware);
        block.AppendText(Pcapng.SectionOs, os);
        block.AppendText(Pcapng.SectionApplication, application);
        return block.Finish();
    }

    /// <summary>Writes an interface description with times in nanoseconds (§4.2). Interfaces are numbered from 0 in the order written.</summary>
    /// <param name="destination">Where to write.</param>
    /// <param name="linkType">See <see cref="CaptureLinkType"/>.</param>
    /// <param name="snapLength">Bytes of a frame that are kept at most; 0 for no limit.</param>
    /// <param name="name">Name, such as tap0.</param>
    /// <param name="description">Description.</param>
    /// <param name="mac">Its Ethernet address.</param>
    /// <param name="bitsPerSecond">Speed; 0 when not known.</param>
    /// <exception cref="ArgumentException">The destination is too short.</exception>
    public static int WriteInterface(
        Span<byte> destination, ushort linkType, int snapLength, ReadOnlySpan<char> name, ReadOnlySpan<char> description = default,
        MacAddress? mac = null, ulong bitsPerSecond = 0)
    {
        var block = new BlockCursor(destination, Pcapng.InterfaceBlock);
        block.Append32(linkType);
        block.Append32((uint)snapLength);
        block.AppendText(Pcapng.InterfaceName, name);
        block.AppendText(Pcapng.InterfaceDescription, description);
        if (mac is { } address)
        {
            Span<byte> bytes = stackalloc byte[MacAddress.Length];
            address.WriteTo(bytes);
            block.AppendOption(Pcapng.InterfaceMac, bytes);
        }

        if (bitsPerSecond > 0) block.AppendOption64(Pcapng.InterfaceSpeed, bitsPerSecond);
        // §4.2: times are in units of 10^-9 seconds.
        block.AppendOption(Pcapng.InterfaceTimeResolution, [9]);
        return block.Finish();
    }

    /// <summary>Writes a frame (§4.3).</summary>
    /// <param name="destination">Where to write.</param>
    /// <param name="interfaceId">Number of the interface in its section.</param>
    /// <param name="timeNs">Nanoseconds since 1970, UTC.</param>
    /// <param name="frame">The bytes that are kept.</param>
    /// <param name="originalLength">Bytes that the frame had.</param>
    /// <param name="direction">Which way it went.</param>
    /// <param name="comment">A comment, cut off at <see cref="TextLengthMax"/> bytes.</param>
    /// <exception cref="ArgumentException">The destination is too short.</exception>
    public static int WritePacket(
        Span<byte> destination, int interfaceId, ulong timeNs, ReadOnlySpan<byte> frame, int originalLength,
        CaptureDirection direction = CaptureDirection.Unknown, ReadOnlySpan<char> comment = default)
    {
        var block = new BlockCursor(destination, Pcapng.EnhancedPacketBlock);
        block.Append32((uint)interfaceId);
        block.Append32((uint)(timeNs >> 32));
        block.Append32((uint)timeNs);
        block.Append32((uint)frame.Length);
        block.Append32((uint)originalLength);
        block.AppendPadded(frame);
        block.AppendText(Pcapng.OptionComment, comment);
        if (direction != CaptureDirection.Unknown)
        {
            Span<byte> flags = stackalloc byte[4];
            BinaryPrimitives.WriteUInt32LittleEndian(flags, (uint)direction);
            block.AppendOption(Pcapng.PacketFlags, flags);
        }

        return block.Finish();
    }

    /// <summary>Writes statistics of an interface (§4.6).</summary>
    /// <param name="destination">Where to write.</param>
    /// <param name="interfaceId">Number of the interface in its section.</param>
    /// <param name="timeNs">Nanoseconds since 1970, UTC.</param>
    /// <param name="received">Frames seen since the capture began.</param>
    /// <param name="dropped">Of them, frames that are not in the file.</param>
    /// <exception cref="ArgumentException">The destination is too short.</exception>
    public static int WriteStatistics(Span<byte> destination, int interfaceId, ulong timeNs, ulong received, ulong dropped)
    {
        var block = new BlockCursor(destination, Pcapng.StatisticsBlock);
        block.Append32((uint)interfaceId);
        block.Append32((uint)(timeNs >> 32));
        block.Append32((uint)timeNs);
        block.AppendOption64(Pcapng.StatisticsReceived, received);
        block.AppendOption64(Pcapng.StatisticsDropped, dropped);
        return block.Finish();
    }

    /// <summary>Builds one block from its front; the lengths are put in at the end.</summary>
    private ref struct BlockCursor
    {
        private readonly Span<byte> _destination;
        private int _length;
        private bool _hasOptions;

        public BlockCursor(Span<byte> destination, uint type)
        {
            _destination = destination;
            Append32(type);
            Append32(0);
        }

        private Span<byte> Take(int length)
        {
            if (length > _destination.Length - _length) Overlay.ThrowTooShort();
            Span<byte> taken = _destination.Slice(_length, length);
            _length += length;
            return taken;
        }

        public void Append32(uint value) => BinaryPrimitives.WriteUInt32LittleEndian(Take(4), value);

        public void Append64(ulong value) => BinaryPrimitives.WriteUInt64LittleEndian(Take(8), value);

        public void AppendPadded(scoped ReadOnlySpan<byte> bytes)
        {
            Span<byte> taken = Take(Pcapng.Padded(bytes.Length));
            bytes.CopyTo(taken);
            taken[bytes.Length..].Clear();
        }

        public void AppendOption(ushort code, scoped ReadOnlySpan<byte> value)
        {
            Append32((uint)value.Length << 16 | code);
            AppendPadded(value);
            _hasOptions = true;
        }

        public void AppendOption64(ushort code, ulong value)
        {
            Append32(8u << 16 | code);
            Append64(value);
            _hasOptions = true;
        }

        public void AppendText(ushort code, scoped ReadOnlySpan<char> text)
        {
            if (text.IsEmpty) return;
            Span<byte> bytes = stackalloc byte[TextLengthMax];
            System.Text.Unicode.Utf8.FromUtf16(text, bytes, out _, out int used);
            AppendOption(code, bytes[..used]);
        }

        public int Finish()
        {
            if (_hasOptions) Append32(Pcapng.OptionEnd);
            int total = _length + 4;
            Append32((uint)total);
            BinaryPrimitives.WriteUInt32LittleEndian(_destination[4..], (uint)total);
            return total;
        }
    }
}
