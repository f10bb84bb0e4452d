// ICMP for IPv6: types and codes, the checked view, and writers. Neighbour discovery's messages are in NeighborDiscovery.
using System.Runtime.CompilerServices;

namespace Peregrine.Wire;

/// <summary>ICMPv6 message types (RFC 4443, RFC 4861, RFC 3810). Below 128 they are errors.</summary>
public enum Icmpv6Type : byte
{
    /// <summary>Destination unreachable.</summary>
    DestinationUnreachable = 1,

    /// <summary>Packet too big; carries the MTU.</summary>
    PacketTooBig = 2,

    /// <summary>Time exceeded.</summary>
    TimeExceeded = 3,

    /// <summary>Parameter problem.</summary>
    ParameterProblem = 4,

    /// <summary>Echo request.</summary>
    EchoRequest = 128,

    /// <summary>Echo reply.</summary>
    EchoReply = 129,

    /// <summary>Multicast listener query.</summary>
    MulticastListenerQuery = 130,

    /// <summary>Multicast listener report, version 1.</summary>
    MulticastListenerReport = 131,

    /// <summary>Multicast listener done.</summary>
    MulticastListenerDone = 132,

    /// <summary>Router solicitation.</summary>
    RouterSolicitation = 133,

    /// <summary>Router advertisement.</summary>
    RouterAdvertisement = 134,

    /// <summary>Neighbour solicitation.</summary>
    NeighborSolicitation = 135,

    /// <summary>Neighbour advertisement.</summary>
    NeighborAdvertisement = 136,

    /// <summary>Redirect.</summary>
    Redirect = 137,

    /// <summary>Multicast listener report, version 2.</summary>
    MulticastListenerReportV2 = 143,
}

/// <summary>Codes of <see cref="Icmpv6Type.DestinationUnreachable"/> (RFC 4443 §3.1).</summary>
public static class Icmpv6UnreachableCode
{
    /// <summary>No route to destination.</summary>
    public const byte NoRoute = 0;

    /// <summary>Administratively prohibited.</summary>
    public const byte AdministrativelyProhibited = 1;

    /// <summary>Beyond scope of source address.</summary>
    public const byte BeyondScope = 2;

    /// <summary>Address unreachable.</summary>
    public const byte Address = 3;

    /// <summary>Port unreachable.</summary>
    public const byte Port = 4;
}

/// <summary>Codes of <see cref="Icmpv6Type.ParameterProblem"/> (RFC 4443 §3.4).</summary>
public static class Icmpv6ParameterCode
{
    /// <summary>Erroneous header field.</summary>
    public const byte ErroneousField = 0;

    /// <summary>Unrecognised next header.</summary>
    public const byte UnrecognizedNextHeader = 1;

    /// <summary>Unrecognised IPv6 option.</summary>
    public const byte UnrecognizedOption = 2;

    /// <summary>First fragment without the whole header chain (RFC 7112 §5).</summary>
    public const byte IncompleteHeaderChain = 3;
}

/// <summary>An ICMPv6 message of at least eight bytes; nothing else has been checked.</summary>
public readonly ref struct Icmpv6Packet
{
    private readonly ReadOnlySpan<byte> _bytes;

    private Icmpv6Packet(ReadOnlySpan<byte> bytes) => _bytes = bytes;

    /// <summary>Accepts at least eight bytes.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool TryParse(ReadOnlySpan<byte> bytes, out Icmpv6Packet packet)
    {
        bool good = bytes.Length >= IcmpHeader.Length;
        packet = good ? new Icmpv6Packet(bytes) : default;
        return good;
    }

    /// <summary>The first eight bytes.</summary>
    public ref readonly IcmpHeader Header => ref Overlay.On<IcmpHeader>(_bytes);

    /// <summary>Type.</summary>
    public Icmpv6Type Type => (Icmpv6Type)Header.Type;

    /// <summary>Code.</summary>
    public byte Code => Header.Code;

    /// <summary>Identifier of an echo.</summary>
    public ushort Identifier => (ushort)(Header.Rest >> 16);

    /// <summary>Sequence number of an echo.</summary>
    public ushort Sequence => (ushort)(uint)Header.Rest;

    /// <summary>MTU in bytes, for "packet too big".</summary>
    public uint Mtu => Header.Rest;

    /// <summary>Offset of the byte that a parameter problem is about.</summary>
    public uint Pointer => Header.Rest;

    /// <summary>Whether this is an error, which quotes the packet that caused it (RFC 4443 §2.1).</summary>
    public bool IsError => Header.Type < 128;

    /// <summary>The whole message.</summary>
    public ReadOnlySpan<byte> Bytes => _bytes;

    /// <summary>What follows the first eight bytes: the data of an echo, the quoted packet of an error.</summary>
    public ReadOnlySpan<byte> Body => _bytes[IcmpHeader.Length..];

    /// <summary>The packet that an error quotes; false when this is no error or the quoted header is not whole.</summary>
    public bool TryGetQuotedPacket(out IPv6Packet quoted)
    {
        quoted = default;
        return IsError && IPv6Packet.TryParseQuoted(QuotedBytes, out quoted);
    }

    // RFC 4884 §4.4: where a length is given, extensions follow after so many words of 64 bits.
    private ReadOnlySpan<byte> QuotedBytes
    {
        get
        {
            bool hasLength = Type is Icmpv6Type.DestinationUnreachable or Icmpv6Type.TimeExceeded;
            int length = hasLength ? (byte)(Header.Rest >> 24) * 8 : 0;
            return length == 0 || length > Body.Length ? Body : Body[..length];
        }
    }

    /// <summary>Whether the checksum agrees with the bytes and these addresses (RFC 4443 §2.3).</summary>
    public bool HasValidChecksum(in IpAddress source, in IpAddress destination) =>
        InternetChecksum.IsValid(
            InternetChecksum.Sum(_bytes, InternetChecksum.PseudoHeader(source, destination, IpProtocol.Icmpv6, _bytes.Length)));

    /// <summary>Writes an echo request or reply with its checksum.</summary>
    /// <returns>Bytes written: 8 and the data.</returns>
    /// <exception cref="ArgumentException">The destination is too short.</exception>
    public static int WriteEcho(
        Span<byte> message, in IpAddress source, in IpAddress destination, bool isReply, ushort identifier, ushort sequence, ReadOnlySpan<byte> data) =>
        Write(
            message, source, destination, isReply ? Icmpv6Type.EchoReply : Icmpv6Type.EchoRequest, 0, (uint)identifier << 16 | sequence, data);

    /// <summary>Writes a message with its checksum: for an error, the body is the beginning of the packet that caused it.</summary>
    /// <param name="message">Where to write.</param>
    /// <param name="source">Source address of the packet.</param>
    /// <param name="destination">Destination address of the packet.</param>
    /// <param name="type">Type.</param>
    /// <param name="code">Code.</param>
    /// <param name="rest">The four bytes after the checksum: identifier and sequence, MTU, or pointer.</param>
    /// <param name="body">What follows.</param>
    /// <returns>Bytes written: 8 and the body.</returns>
    /// <exception cref="ArgumentException">The destination is too short.</exception>
    public static int Write(
        Span<byte> message, in IpAddress source, in IpAddress destination, Icmpv6Type type, byte code, uint rest, ReadOnlySpan<byte> body)
    {
        int length = IcmpHeader.Length + body.Length;
        if (message.Length < length) Overlay.ThrowTooShort();
        IcmpHeader.Write(message, (byte)type, code, rest);
        body.CopyTo(message[IcmpHeader.Length..]);
        WriteChecksum(message[..length], source, destination);
        return length;
    }

    /// <summary>Computes the checksum of a whole message and puts it in.</summary>
    public static void WriteChecksum(Span<byte> message, in IpAddress source, in IpAddress destination)
    {
        Overlay.OnWritable<IcmpHeader>(message).Checksum = default;
        uint sum = InternetChecksum.PseudoHeader(source, destination, IpProtocol.Icmpv6, message.Length);
        InternetChecksum.Store(message[IcmpHeader.ChecksumOffset..], InternetChecksum.Sum(message, sum));
    }
}
