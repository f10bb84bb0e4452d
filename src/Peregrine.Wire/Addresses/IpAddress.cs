// One address type for both families. An IPv4 address is kept in the mapped form ::ffff:a.b.c.d, so transports need not know which
// family they run on. It is a value of 16 bytes, without a scope: interfaces are known to whoever holds the address.
// A packet whose IPv6 header carries a mapped address would be mistaken for IPv4: IPv6 input has to refuse it (RFC 4942 §2.2).
using System.Buffers.Binary;
using System.Net;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Peregrine.Wire;

/// <summary>An IPv4 or IPv6 address. The default value is the IPv6 unspecified address <c>::</c>.</summary>
[StructLayout(LayoutKind.Sequential)]
public readonly struct IpAddress : IEquatable<IpAddress>, IComparable<IpAddress>, ISpanFormattable
{
    private const ulong MappedPrefix = 0x0000_FFFF_0000_0000;

    /// <summary>Longest text of an address, in characters.</summary>
    public const int TextLengthMax = 45;

    private readonly ulong _high;
    private readonly ulong _low;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private IpAddress(ulong high, ulong low)
    {
        _high = high;
        _low = low;
    }

    /// <summary>0.0.0.0.</summary>
    public static IpAddress IPv4Any => new(0, MappedPrefix);

    /// <summary>::, the unspecified address (RFC 4291 §2.5.2).</summary>
    public static IpAddress IPv6Any => default;

    /// <summary>255.255.255.255, the limited broadcast address (RFC 919 §7).</summary>
    public static IpAddress IPv4Broadcast => new(0, MappedPrefix | uint.MaxValue);

    /// <summary>127.0.0.1.</summary>
    public static IpAddress IPv4Loopback => new(0, MappedPrefix | 0x7F00_0001);

    /// <summary>::1 (RFC 4291 §2.5.3).</summary>
    public static IpAddress IPv6Loopback => new(0, 1);

    /// <summary>ff02::1, all nodes of the link (RFC 4291 §2.7.1).</summary>
    public static IpAddress IPv6AllNodes => new(0xFF02_0000_0000_0000, 1);

    /// <summary>ff02::2, all routers of the link (RFC 4291 §2.7.1).</summary>
    public static IpAddress IPv6AllRouters => new(0xFF02_0000_0000_0000, 2);

    /// <summary>The upper 64 bits of the 128-bit form, in host order (0 for IPv4).</summary>
    public ulong High => _high;

    /// <summary>The lower 64 bits of the 128-bit form, in host order.</summary>
    public ulong Low => _low;

    /// <summary>Whether this is an IPv4 address.</summary>
    public bool IsIPv4
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => _high == 0 && (_low >> 32) == 0xFFFF;
    }

    /// <summary>Whether this is an IPv6 address.</summary>
    public bool IsIPv6 => !IsIPv4;

    /// <summary>Bytes of the address on the wire: 4 or 16.</summary>
    public int Length => IsIPv4 ? 4 : 16;

    /// <summary>Whether this is 0.0.0.0 or ::, which no host has.</summary>
    public bool IsAny => _high == 0 && (_low == 0 || _low == MappedPrefix);

    /// <summary>The RFC 4291 word for <see cref="IsAny"/>, of either family.</summary>
    public bool IsUnspecified => IsAny;

    /// <summary>Whether this is in 127.0.0.0/8 or is ::1.</summary>
    public bool IsLoopback => IsIPv4 ? (byte)(_low >> 24) == 127 : _high == 0 && _low == 1;

    /// <summary>Whether this is in 224.0.0.0/4 or ff00::/8.</summary>
    public bool IsMulticast => IsIPv4 ? ((uint)_low >> 28) == 0xE : (_high >> 56) == 0xFF;

    /// <summary>Whether this is 255.255.255.255. Broadcasts directed to a subnet are known to <see cref="IpPrefix.Broadcast"/>.</summary>
    public bool IsBroadcast => _high == 0 && _low == (MappedPrefix | uint.MaxValue);

    /// <summary>Whether this is in 169.254.0.0/16 (RFC 3927) or fe80::/10 (RFC 4291 §2.5.6).</summary>
    public bool IsLinkLocal => IsIPv4 ? (ushort)(_low >> 16) == 0xA9FE : (_high >> 54) == 0x3FA;

    /// <summary>The multicast scope nibble (RFC 4291 §2.7): 1 interface, 2 link, … ; 0 when this is not an IPv6 multicast address.</summary>
    public int MulticastScope => IsIPv6 && IsMulticast ? (int)(_high >> 48) & 0xF : 0;

    /// <summary>An IPv4 address from its value in host order: 0x7F000001 is 127.0.0.1.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static IpAddress FromIPv4(uint hostOrder) => new(0, MappedPrefix | hostOrder);

    /// <summary>An IPv4 address from its four bytes as they are written.</summary>
    public static IpAddress FromIPv4(byte a, byte b, byte c, byte d) => FromIPv4((uint)a << 24 | (uint)b << 16 | (uint)c << 8 | d);

    /// <summary>An address from its two halves in host order; the mapped form is an IPv4 address.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static IpAddress FromIPv6(ulong high, ulong low) => new(high, low);

    /// <summary>Reads four bytes in network order.</summary>
    /// <exception cref="ArgumentOutOfRangeException">There are fewer than 4 bytes.</exception>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static IpAddress ReadIPv4(ReadOnlySpan<byte> bytes) => FromIPv4(BinaryPrimitives.ReadUInt32BigEndian(bytes));

    /// <summary>Reads sixteen bytes in network order.</summary>
    /// <exception cref="ArgumentOutOfRangeException">There are fewer than 16 bytes.</exception>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static IpAddress ReadIPv6(ReadOnlySpan<byte> bytes) =>
        new(BinaryPrimitives.ReadUInt64BigEndian(bytes), BinaryPrimitives.ReadUInt64BigEndian(bytes[8..]));

    /// <summary>The IPv4 value in host order; meaningless for an IPv6 address.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public uint ToIPv4() => (uint)_low;

    /// <summary>Writes 4 or 16 bytes in network order and returns how many.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The destination is shorter than <see cref="Length"/>.</exception>
    public int WriteTo(Span<byte> destination)
    {
        if (IsIPv4)
        {
            BinaryPrimitives.WriteUInt32BigEndian(destination, (uint)_low);
            return 4;
        }

        WriteIPv6To(destination);
        return 16;
    }

    /// <summary>Writes all 16 bytes in network order, an IPv4 address in its mapped form.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The destination is shorter than 16 bytes.</exception>
    public void WriteIPv6To(Span<byte> destination)
    {
        BinaryPrimitives.WriteUInt64BigEndian(destination[8..], _low);
        BinaryPrimitives.WriteUInt64BigEndian(destination, _high);
    }

    /// <summary>The solicited-node multicast address ff02::1:ffXX:XXXX of this address (RFC 4291 §2.7.1).</summary>
    public IpAddress SolicitedNodeMulticast() => new(0xFF02_0000_0000_0000, 0x0000_0001_FF00_0000 | (_low & 0x00FF_FFFF));

    /// <summary>The address as the base library's class; allocates.</summary>
    public IPAddress ToIPAddress()
    {
        Span<byte> bytes = stackalloc byte[16];
        return new IPAddress(bytes[..WriteTo(bytes)]);
    }

    /// <summary>From the base library's class; the mapped form becomes IPv4, and a scope is dropped.</summary>
    public static IpAddress FromIPAddress(IPAddress address)
    {
        ArgumentNullException.ThrowIfNull(address);
        Span<byte> bytes = stackalloc byte[16];
        address.TryWriteBytes(bytes, out int length);
        return length == 4 ? ReadIPv4(bytes) : ReadIPv6(bytes);
    }

    /// <summary>Reads dotted decimal (four parts, no leading zeros) or RFC 4291 §2.2 text, without brackets or scope.</summary>
    /// <exception cref="FormatException">The text is no address.</exception>
    public static IpAddress Parse(ReadOnlySpan<char> text) =>
        TryParse(text, out IpAddress address) ? address : throw new FormatException($"'{text}' is not an IP address.");

    /// <inheritdoc cref="Parse(ReadOnlySpan{char})"/>
    public static IpAddress Parse(string text) => Parse(text.AsSpan());

    /// <summary>As <see cref="Parse(ReadOnlySpan{char})"/>, but answers false instead of throwing.</summary>
    public static bool TryParse(ReadOnlySpan<char> text, out IpAddress address) => AddressText.TryParse(text, out address);

    /// <inheritdoc cref="TryParse(ReadOnlySpan{char}, out IpAddress)"/>
    public static bool TryParse(string? text, out IpAddress address) => TryParse(text.AsSpan(), out address);

    /// <inheritdoc/>
    public bool Equals(IpAddress other) => ((_high ^ other._high) | (_low ^ other._low)) == 0;

    /// <inheritdoc/>
    public override bool Equals(object? obj) => obj is IpAddress other && Equals(other);

    /// <summary>A hash without a key, good for dictionaries of trusted content only.</summary>
    public override int GetHashCode()
    {
        ulong mixed = (_high ^ (_low * 0x9E37_79B9_7F4A_7C15)) * 0xC2B2_AE3D_27D4_EB4F;
        return (int)(mixed >> 32);
    }

    /// <summary>Numeric order of the 128-bit forms.</summary>
    public int CompareTo(IpAddress other) => _high != other._high ? _high.CompareTo(other._high) : _low.CompareTo(other._low);

    /// <summary>Whether two addresses are the same.</summary>
    public static bool operator ==(IpAddress left, IpAddress right) => left.Equals(right);

    /// <summary>Whether two addresses differ.</summary>
    public static bool operator !=(IpAddress left, IpAddress right) => !left.Equals(right);

    /// <summary>Dotted decimal, or the one form that RFC 5952 §4 recommends.</summary>
    public override string ToString()
    {
        Span<char> text = stackalloc char[TextLengthMax];
        TryFormat(text, out int written);
        return new string(text[..written]);
    }

    /// <inheritdoc/>
    public string ToString(string? format, IFormatProvider? formatProvider) => ToString();

    /// <inheritdoc/>
    public bool TryFormat(Span<char> destination, out int charsWritten, ReadOnlySpan<char> format = default, IFormatProvider? provider = null) =>
        AddressText.TryFormat(this, destination, out charsWritten);
}
