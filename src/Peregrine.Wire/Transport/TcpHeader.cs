// The TCP header: the overlay, the checked view of a packet, and the writer. Nothing is judged here: ports of zero, odd flags and a
// wrong checksum parse, because the printer shows them too. Options are in TcpOptions, the value for the state machine in TcpSegment.
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Peregrine.Wire;

/// <summary>The fixed part of a TCP header (RFC 9293 §3.1).</summary>
[StructLayout(LayoutKind.Sequential, Pack = 1)]
public struct TcpHeader
{
    /// <summary>Bytes of the fixed part.</summary>
    public const int Length = 20;

    /// <summary>Bytes of the longest header, options included.</summary>
    public const int LengthMax = 60;

    /// <summary>Where the checksum lies, from the start of the header.</summary>
    public const int ChecksumOffset = 16;

    /// <summary>Source port.</summary>
    public BigEndian16 SourcePort;

    /// <summary>Destination port.</summary>
    public BigEndian16 DestinationPort;

    /// <summary>Sequence number.</summary>
    public BigEndian32 Seq;

    /// <summary>Acknowledgment number.</summary>
    public BigEndian32 Ack;

    /// <summary>Data offset (upper four bits, in words of 32 bits), reserved bits, and AE (lowest bit).</summary>
    public byte DataOffsetAndReserved;

    /// <summary>The control bits but AE.</summary>
    public byte ControlBits;

    /// <summary>Window, not scaled.</summary>
    public BigEndian16 Window;

    /// <summary>Checksum; see <see cref="InternetChecksum"/> for its byte order.</summary>
    public BigEndian16 Checksum;

    /// <summary>Urgent pointer.</summary>
    public BigEndian16 UrgentPointer;

    /// <summary>The control bits.</summary>
    public readonly TcpFlags Flags
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => (TcpFlags)(((DataOffsetAndReserved & 1) << 8) | ControlBits);
    }

    /// <summary>Length of the header in bytes as the data offset says: 0 to 60.</summary>
    public readonly int DataOffset
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => (DataOffsetAndReserved >> 2) & 0x3C;
    }

    /// <summary>
    /// Writes header and options with a checksum of zero, which a device is to complete or the caller, by
    /// <see cref="WriteChecksum"/>.
    /// </summary>
    /// <returns>Length of the header: 20 to 60, a multiple of 4.</returns>
    /// <param name="destination">Where to write.</param>
    /// <param name="sourcePort">Source port.</param>
    /// <param name="destinationPort">Destination port.</param>
    /// <param name="segment">The fields; <see cref="TcpSegment.PayloadLength"/> is not looked at.</param>
    /// <param name="fastOpenCookie">The cookie, when the options ask for it (RFC 7413 §4.1.1).</param>
    /// <exception cref="ArgumentException">The destination is too short.</exception>
    public static int Write(
        Span<byte> destination, ushort sourcePort, ushort destinationPort, in TcpSegment segment, ReadOnlySpan<byte> fastOpenCookie = default)
    {
        return Write(
            destination, sourcePort, destinationPort, segment.Seq, segment.Ack, segment.Flags, segment.Window, segment.UrgentPointer, segment.OptionsRef, out _,
            fastOpenCookie);
    }

    /// <summary>
    /// As the form for a segment, from its single fields: what builds a segment for the wire need not build the value first. Gives the
    /// header's sum as well, for <see cref="WriteChecksum(Span{byte}, in IpAddress, in IpAddress, uint, int)"/>.
    /// </summary>
    /// <returns>Bytes of header and options.</returns>
    public static int Write(
        Span<byte> destination,
        ushort sourcePort,
        ushort destinationPort,
        SeqNumber seq,
        SeqNumber ack,
        TcpFlags flags,
        UnscaledWindow window,
        ushort urgentPointer,
        in TcpOptions options,
        out uint sum,
        ReadOnlySpan<byte> fastOpenCookie = default)
    {
        ref TcpHeader header = ref Overlay.OnWritable<TcpHeader>(destination);
        int length = Length + options.WriteTo(destination[Length..], fastOpenCookie);
        header.SourcePort = sourcePort;
        header.DestinationPort = destinationPort;
        header.Seq = seq.Value;
        header.Ack = ack.Value;
        header.DataOffsetAndReserved = (byte)((length << 2) | ((int)flags >> 8));
        header.ControlBits = (byte)flags;
        header.Window = window.Value;
        header.Checksum = default;
        header.UrgentPointer = urgentPointer;
        if (length > Length + TcpOptions.TimestampsLength || (length > Length && options.Flags != TcpOptionFlags.Timestamps))
        {
            sum = InternetChecksum.Sum(destination[..length]);
            return length;
        }

        // From the values rather than from memory: reading back in words what was just written in bytes waits for the stores.
        ulong words = ((ulong)sourcePort << 16 | destinationPort) + seq.Value + ack.Value + ((uint)length << 26 | (uint)flags << 16 | window.Value) + urgentPointer;
        if (length > Length) words += (ulong)TcpOptions.AlignedTimestamps + options.TsVal + options.TsEcr;
        sum = InternetChecksum.FromWords(words);
        return length;
    }

    /// <summary>
    /// Completes the checksum of a header just written.
    /// </summary>
    /// <param name="header">Exactly the header, options included, with a checksum of zero.</param>
    /// <param name="source">Source address.</param>
    /// <param name="destination">Destination address.</param>
    /// <param name="sum">Sums of header and payload, added up: from <see cref="Write(Span{byte}, ushort, ushort, SeqNumber, SeqNumber, TcpFlags, UnscaledWindow, ushort, in TcpOptions, out uint, ReadOnlySpan{byte})"/>, and from <see cref="InternetChecksum.Sum"/> or its copying form.</param>
    /// <param name="payloadLength">Bytes of payload.</param>
    // RFC 9293 MUST-2
    public static void WriteChecksum(Span<byte> header, in IpAddress source, in IpAddress destination, uint sum, int payloadLength) =>
        InternetChecksum.Store(
            header[ChecksumOffset..], sum + InternetChecksum.PseudoHeader(source, destination, IpProtocol.Tcp, header.Length + payloadLength));
}

/// <summary>A TCP header with its options and payload, whose lengths have been checked; nothing else has.</summary>
public readonly ref struct TcpPacket
{
    private readonly ReadOnlySpan<byte> _bytes;
    private readonly int _headerLength;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private TcpPacket(ReadOnlySpan<byte> bytes, int headerLength)
    {
        _bytes = bytes;
        _headerLength = headerLength;
    }

    /// <summary>
    /// Accepts bytes that hold a whole header: data offset of at least 20 and not beyond the end. The bytes are the IP payload, cut
    /// to the length that the IP header gives.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool TryParse(ReadOnlySpan<byte> bytes, out TcpPacket packet)
    {
        if (bytes.Length >= TcpHeader.Length)
        {
            int headerLength = Overlay.On<TcpHeader>(bytes).DataOffset;
            if (headerLength >= TcpHeader.Length && headerLength <= bytes.Length)
            {
                packet = new TcpPacket(bytes, headerLength);
                return true;
            }
        }

        packet = default;
        return false;
    }

    /// <summary>The fixed header.</summary>
    public ref readonly TcpHeader Header
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => ref Overlay.On<TcpHeader>(_bytes);
    }

    /// <summary>Source port.</summary>
    public ushort SourcePort => Header.SourcePort;

    /// <summary>Destination port.</summary>
    public ushort DestinationPort => Header.DestinationPort;

    /// <summary>Sequence number.</summary>
    public SeqNumber Seq => new(Header.Seq);

    /// <summary>Acknowledgment number; significant when <see cref="TcpFlags.Ack"/> is set.</summary>
    public SeqNumber Ack => new(Header.Ack);

    /// <summary>The control bits.</summary>
    public TcpFlags Flags => Header.Flags;

    /// <summary>Window, not scaled.</summary>
    public UnscaledWindow Window => new(Header.Window);

    /// <summary>Checksum, in host order.</summary>
    public ushort Checksum => Header.Checksum;

    /// <summary>Urgent pointer; significant when <see cref="TcpFlags.Urg"/> is set.</summary>
    public ushort UrgentPointer => Header.UrgentPointer;

    /// <summary>Bytes of header and options: 20 to 60.</summary>
    public int HeaderLength => _headerLength;

    /// <summary>Header, options and payload.</summary>
    public ReadOnlySpan<byte> Bytes => _bytes;

    /// <summary>The options, 0 to 40 bytes.</summary>
    public ReadOnlySpan<byte> Options => _bytes[TcpHeader.Length.._headerLength];

    /// <summary>The payload.</summary>
    public ReadOnlySpan<byte> Payload => _bytes[_headerLength..];

    /// <summary>Whether the checksum agrees with the bytes and these addresses.</summary>
    // RFC 9293 MUST-3
    public bool HasValidChecksum(in IpAddress source, in IpAddress destination) =>
        InternetChecksum.IsValid(
            InternetChecksum.Sum(_bytes, InternetChecksum.PseudoHeader(source, destination, IpProtocol.Tcp, _bytes.Length)));

    /// <summary>The value for the state machine.</summary>
    /// <param name="segment">The segment; with malformed options, those before the fault.</param>
    /// <returns>False when the options are malformed (RFC 9293 MUST-7).</returns>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public bool ToSegment(out TcpSegment segment)
    {
        ref readonly TcpHeader header = ref Header;
        bool good = TcpOptions.Parse(Options, (header.Flags & TcpFlags.Syn) != 0, out TcpOptions options);
        segment = new TcpSegment
        {
            Seq = new SeqNumber(header.Seq),
            Ack = new SeqNumber(header.Ack),
            Flags = header.Flags,
            Window = new UnscaledWindow(header.Window),
            UrgentPointer = header.UrgentPointer,
            PayloadLength = _bytes.Length - _headerLength,
            Options = options,
        };
        return good;
    }
}
