// ICMP for IPv4: types and codes, the overlay, the checked view, and writers. What to answer and how often is elsewhere.
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Peregrine.Wire;

/// <summary>ICMP message types (RFC 792, RFC 1256).</summary>
public enum Icmpv4Type : byte
{
    /// <summary>Echo reply.</summary>
    EchoReply = 0,

    /// <summary>Destination unreachable.</summary>
    DestinationUnreachable = 3,

    /// <summary>Source quench, obsolete (RFC 6633).</summary>
    SourceQuench = 4,

    /// <summary>Redirect.</summary>
    Redirect = 5,

    /// <summary>Echo request.</summary>
    EchoRequest = 8,

    /// <summary>Router advertisement.</summary>
    RouterAdvertisement = 9,

    /// <summary>Router solicitation.</summary>
    RouterSolicitation = 10,

    /// <summary>Time exceeded.</summary>
    TimeExceeded = 11,

    /// <summary>Parameter problem.</summary>
    ParameterProblem = 12,

    /// <summary>Timestamp request.</summary>
    TimestampRequest = 13,

    /// <summary>Timestamp reply.</summary>
    TimestampReply = 14,
}

/// <summary>Codes of <see cref="Icmpv4Type.DestinationUnreachable"/> (RFC 792, RFC 1122 §3.2.2.1).</summary>
public static class Icmpv4UnreachableCode
{
    /// <summary>Net unreachable.</summary>
    public const byte Net = 0;

    /// <summary>Host unreachable.</summary>
    public const byte Host = 1;

    /// <summary>Protocol unreachable.</summary>
    public const byte Protocol = 2;

    /// <summary>Port unreachable.</summary>
    public const byte Port = 3;

    /// <summary>Fragmentation needed and DF set; carries the next hop's MTU (RFC 1191 §4).</summary>
    public const byte FragmentationNeeded = 4;

    /// <summary>Source route failed.</summary>
    public const byte SourceRouteFailed = 5;

    /// <summary>Communication administratively prohibited (RFC 1812 §5.2.7.1).</summary>
    public const byte AdministrativelyProhibited = 13;
}

/// <summary>The first eight bytes of an ICMP message, of either version (RFC 792, RFC 4443 §2.1).</summary>
[StructLayout(LayoutKind.Sequential, Pack = 1)]
public struct IcmpHeader
{
    /// <summary>Bytes of the header.</summary>
    public const int Length = 8;

    /// <summary>Where the checksum lies, from the start of the header.</summary>
    public const int ChecksumOffset = 2;

    /// <summary>Type.</summary>
    public byte Type;

    /// <summary>Code.</summary>
    public byte Code;

    /// <summary>Checksum; see <see cref="InternetChecksum"/> for its byte order.</summary>
    public BigEndian16 Checksum;

    /// <summary>Four bytes whose meaning depends on the type.</summary>
    public BigEndian32 Rest;

    internal static void Write(Span<byte> message, byte type, byte code, uint rest)
    {
        ref IcmpHeader header = ref Overlay.OnWritable<IcmpHeader>(message);
        header.Type = type;
        header.Code = code;
        header.Checksum = default;
        header.Rest = rest;
    }
}

/// <summary>An ICMP message for IPv4 of at least eight bytes; nothing else has been checked.</summary>
public readonly ref struct Icmpv4Packet
{
    private readonly ReadOnlySpan<byte> _bytes;

    private Icmpv4Packet(ReadOnlySpan<byte> bytes) => _bytes = bytes;

    /// <summary>Accepts at least eight bytes.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool TryParse(ReadOnlySpan<byte> bytes, out Icmpv4Packet packet)
    {
        bool good = bytes.Length >= IcmpHeader.Length;
        packet = good ? new Icmpv4Packet(bytes) : default;
        return good;
    }

    /// <summary>The first eight bytes.</summary>
    public ref readonly IcmpHeader Header => ref Overlay.On<IcmpHeader>(_bytes);

    /// <summary>Type.</summary>
    public Icmpv4Type Type => (Icmpv4Type)Header.Type;

    /// <summary>Code.</summary>
    public byte Code => Header.Code;

    /// <summary>Identifier of an echo.</summary>
    public ushort Identifier => (ushort)(Header.Rest >> 16);

    /// <summary>Sequence number of an echo.</summary>
    public ushort Sequence => (ushort)(uint)Header.Rest;

    /// <summary>MTU of the next hop in bytes, for "fragmentation needed"; 0 from old routers (RFC 1191 §4).</summary>
    public ushort NextHopMtu => (ushort)(uint)Header.Rest;

    /// <summary>Offset of the byte that a parameter problem is about.</summary>
    public byte Pointer => (byte)(Header.Rest >> 24);

    /// <summary>The better gateway, for a redirect.</summary>
    public IpAddress Gateway => IpAddress.FromIPv4(Header.Rest);

    /// <summary>Whether this is an error, which quotes the packet that caused it (RFC 1122 §3.2.2).</summary>
    public bool IsError => Type is Icmpv4Type.DestinationUnreachable or Icmpv4Type.SourceQuench or Icmpv4Type.Redirect
        or Icmpv4Type.TimeExceeded or Icmpv4Type.ParameterProblem;

    /// <summary>The whole message.</summary>
    public ReadOnlySpan<byte> Bytes => _bytes;

    /// <summary>What follows the first eight bytes: the data of an echo, the quoted packet of an error.</summary>
    public ReadOnlySpan<byte> Body => _bytes[IcmpHeader.Length..];

    /// <summary>The packet that an error quotes; false when this is no error or the quoted header is not whole.</summary>
    public bool TryGetQuotedPacket(out IPv4Packet quoted)
    {
        quoted = default;
        return IsError && IPv4Packet.TryParseQuoted(QuotedBytes, out quoted);
    }

    // RFC 4884 §5.3: where a length is given, extensions follow after so many words.
    private ReadOnlySpan<byte> QuotedBytes
    {
        get
        {
            int length = Type is Icmpv4Type.Redirect or Icmpv4Type.SourceQuench ? 0 : ((byte)(Header.Rest >> 16)) * 4;
            return length == 0 || length > Body.Length ? Body : Body[..length];
        }
    }

    /// <summary>Whether the checksum agrees with the bytes.</summary>
    public bool HasValidChecksum => InternetChecksum.IsValid(InternetChecksum.Sum(_bytes));

    /// <summary>Writes an echo request or reply with its checksum.</summary>
    /// <returns>Bytes written: 8 and the data.</returns>
    /// <exception cref="ArgumentException">The destination is too short.</exception>
    public static int WriteEcho(Span<byte> destination, bool isReply, ushort identifier, ushort sequence, ReadOnlySpan<byte> data) =>
        Write(destination, isReply ? Icmpv4Type.EchoReply : Icmpv4Type.EchoRequest, 0, (uint)identifier << 16 | sequence, data);

    /// <summary>Writes a message with its checksum: for an error, the body is the beginning of the packet that caused it.</summary>
    /// <param name="destination">Where to write.</param>
    /// <param name="type">Type.</param>
    /// <param name="code">Code.</param>
    /// <param name="rest">The four bytes after the checksum: identifier and sequence, next-hop MTU, pointer in the upper byte, or gateway.</param>
    /// <param name="body">What follows.</param>
    /// <returns>Bytes written: 8 and the body.</returns>
    /// <exception cref="ArgumentException">The destination is too short.</exception>
    public static int Write(Span<byte> destination, Icmpv4Type type, byte code, uint rest, ReadOnlySpan<byte> body)
    {
        int length = IcmpHeader.Length + body.Length;
        if (destination.Length < length) Overlay.ThrowTooShort();
        IcmpHeader.Write(destination, (byte)type, code, rest);
        uint sum = InternetChecksum.CopyAndSum(body, destination[IcmpHeader.Length..]);
        InternetChecksum.Store(destination[IcmpHeader.ChecksumOffset..], InternetChecksum.Sum(destination[..IcmpHeader.Length], sum));
        return length;
    }
}
