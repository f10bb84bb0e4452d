// IPv6: the overlay, the checked view of a packet, and the writer. The walk over extension headers is in IPv6Extensions.
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Peregrine.Wire;

/// <summary>The IPv6 header (RFC 8200 §3).</summary>
[StructLayout(LayoutKind.Sequential, Pack = 1)]
public struct IPv6Header
{
    /// <summary>Bytes of the header.</summary>
    public const int Length = 40;

    /// <summary>Bytes of the longest payload without jumbograms.</summary>
    public const int PayloadLengthMax = 65535;

    /// <summary>The least MTU of a link that carries IPv6, in bytes (RFC 8200 §5).</summary>
    public const int MtuMin = 1280;

    /// <summary>Version (4 bits), traffic class (8) and flow label (20).</summary>
    public BigEndian32 VersionClassFlow;

    /// <summary>What follows this header, in bytes.</summary>
    public BigEndian16 PayloadLength;

    /// <summary>Type of what follows; see <see cref="IpProtocol"/>.</summary>
    public byte NextHeader;

    /// <summary>Hops it may live.</summary>
    public byte HopLimit;

    private BigEndian64 _sourceHigh;
    private BigEndian64 _sourceLow;
    private BigEndian64 _destinationHigh;
    private BigEndian64 _destinationLow;

    /// <summary>Source address.</summary>
    public IpAddress Source
    {
        readonly get => IpAddress.FromIPv6(_sourceHigh, _sourceLow);
        set => (_sourceHigh, _sourceLow) = (value.High, value.Low);
    }

    /// <summary>Destination address.</summary>
    public IpAddress Destination
    {
        readonly get => IpAddress.FromIPv6(_destinationHigh, _destinationLow);
        set => (_destinationHigh, _destinationLow) = (value.High, value.Low);
    }

    /// <summary>Writes a header.</summary>
    /// <param name="packet">Where to write: the start of the packet.</param>
    /// <param name="source">Source address.</param>
    /// <param name="destination">Destination address.</param>
    /// <param name="nextHeader">Type of what follows.</param>
    /// <param name="payloadLength">Bytes that follow, extension headers included.</param>
    /// <param name="hopLimit">Hops it may live.</param>
    /// <param name="trafficClass">DSCP and ECN.</param>
    /// <param name="flowLabel">Flow label; the upper twelve bits are cut off.</param>
    /// <returns>Bytes written: 40.</returns>
    /// <exception cref="ArgumentException">The destination is too short or the payload longer than 65535 bytes.</exception>
    public static int Write(
        Span<byte> packet, in IpAddress source, in IpAddress destination, byte nextHeader, int payloadLength, byte hopLimit = 64,
        byte trafficClass = 0, uint flowLabel = 0)
    {
        if ((uint)payloadLength > PayloadLengthMax) Overlay.ThrowTooShort();
        ref IPv6Header header = ref Overlay.OnWritable<IPv6Header>(packet);
        header.VersionClassFlow = 6u << 28 | (uint)trafficClass << 20 | (flowLabel & 0xF_FFFF);
        header.PayloadLength = (ushort)payloadLength;
        header.NextHeader = nextHeader;
        header.HopLimit = hopLimit;
        header.Source = source;
        header.Destination = destination;
        return Length;
    }
}

/// <summary>An IPv6 packet whose version and length have been checked; nothing else has, its extension headers included.</summary>
public readonly ref struct IPv6Packet
{
    private readonly ReadOnlySpan<byte> _bytes;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private IPv6Packet(ReadOnlySpan<byte> bytes) => _bytes = bytes;

    /// <summary>
    /// Accepts bytes that hold a whole packet: version 6 and a payload length within the bytes. What follows (padding of the frame) is
    /// cut off. Jumbograms (RFC 2675) are not known: their payload length of zero is taken at its word.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool TryParse(ReadOnlySpan<byte> bytes, out IPv6Packet packet) => TryParse(bytes, bytes.Length - IPv6Header.Length, out packet);

    /// <summary>
    /// As <see cref="TryParse(ReadOnlySpan{byte}, out IPv6Packet)"/>, for a packet that an ICMP error quotes and may have cut off: only
    /// the header must be there, and the payload ends where the bytes do.
    /// </summary>
    public static bool TryParseQuoted(ReadOnlySpan<byte> bytes, out IPv6Packet packet) => TryParse(bytes, int.MaxValue, out packet);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static bool TryParse(ReadOnlySpan<byte> bytes, int payloadLengthMax, out IPv6Packet packet)
    {
        if (bytes.Length >= IPv6Header.Length)
        {
            ref readonly IPv6Header header = ref Overlay.On<IPv6Header>(bytes);
            int payloadLength = header.PayloadLength;
            if (header.VersionClassFlow >> 28 == 6 && payloadLength <= payloadLengthMax)
            {
                packet = new IPv6Packet(bytes[..Math.Min(IPv6Header.Length + payloadLength, bytes.Length)]);
                return true;
            }
        }

        packet = default;
        return false;
    }

    /// <summary>The header.</summary>
    public ref readonly IPv6Header Header
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => ref Overlay.On<IPv6Header>(_bytes);
    }

    /// <summary>Source address. One in the mapped form (<see cref="IpAddress.IsIPv4"/>) has no place on the wire.</summary>
    public IpAddress Source => Header.Source;

    /// <summary>Destination address. One in the mapped form (<see cref="IpAddress.IsIPv4"/>) has no place on the wire.</summary>
    public IpAddress Destination => Header.Destination;

    /// <summary>Type of what follows the header, which may be an extension header.</summary>
    public byte NextHeader => Header.NextHeader;

    /// <summary>Hops it may live.</summary>
    public byte HopLimit => Header.HopLimit;

    /// <summary>DSCP and ECN.</summary>
    public byte TrafficClass => (byte)(Header.VersionClassFlow >> 20);

    /// <summary>The two ECN bits (RFC 3168 §5): 0 not capable, 1 ECT(1), 2 ECT(0), 3 congestion experienced.</summary>
    public byte Ecn => (byte)(TrafficClass & 3);

    /// <summary>Flow label, 20 bits (RFC 6437).</summary>
    public uint FlowLabel => Header.VersionClassFlow & 0xF_FFFF;

    /// <summary>Payload length as the header says; more than <see cref="Payload"/> has only in a quoted packet.</summary>
    public int PayloadLength => Header.PayloadLength;

    /// <summary>Header and payload.</summary>
    public ReadOnlySpan<byte> Bytes => _bytes;

    /// <summary>What follows the header, extension headers included.</summary>
    public ReadOnlySpan<byte> Payload => _bytes[IPv6Header.Length..];

    /// <summary>Finds the upper-layer header behind any extension headers.</summary>
    /// <param name="throughFirstFragment">Whether to look into the first fragment of a packet too, as a printer does.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public IPv6HeaderChain WalkHeaders(bool throughFirstFragment = false)
    {
        byte next = Header.NextHeader;
        return next is IpProtocol.Tcp or IpProtocol.Udp or IpProtocol.Icmpv6
            ? IPv6HeaderChain.WithoutExtensions(next)
            : IPv6HeaderChain.Walk(_bytes, throughFirstFragment);
    }
}
