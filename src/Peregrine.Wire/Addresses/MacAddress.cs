// An Ethernet address: 48 bits in the lower part of an unsigned long, the first byte on the wire being the most significant.
using System.Buffers.Binary;
using System.Runtime.CompilerServices;

namespace Peregrine.Wire;

/// <summary>A 48-bit Ethernet address.</summary>
public readonly struct MacAddress : IEquatable<MacAddress>, ISpanFormattable
{
    /// <summary>Bytes of an address.</summary>
    public const int Length = 6;

    /// <summary>Characters of an address's text.</summary>
    public const int TextLength = 17;

    private readonly ulong _value;

    /// <summary>Makes an address from a value in host order: 0x0200_0000_0001 is 02:00:00:00:00:01. Upper bits are cut off.</summary>
    public MacAddress(ulong value) => _value = value & 0xFFFF_FFFF_FFFF;

    /// <summary>The 48 bits in host order.</summary>
    public ulong Value => _value;

    /// <summary>ff:ff:ff:ff:ff:ff.</summary>
    public static MacAddress Broadcast => new(0xFFFF_FFFF_FFFF);

    /// <summary>Whether this is ff:ff:ff:ff:ff:ff.</summary>
    public bool IsBroadcast => _value == 0xFFFF_FFFF_FFFF;

    /// <summary>Whether the group bit is set; true for broadcast as well.</summary>
    public bool IsMulticast => (_value & 0x0100_0000_0000) != 0;

    /// <summary>Whether this is 00:00:00:00:00:00.</summary>
    public bool IsZero => _value == 0;

    /// <summary>The group address 33:33:XX:XX:XX:XX of an IPv6 multicast address (RFC 2464 §7).</summary>
    public static MacAddress ForIPv6Multicast(IpAddress group) => new(0x3333_0000_0000 | (group.Low & 0xFFFF_FFFF));

    /// <summary>The group address 01:00:5e:XX:XX:XX of an IPv4 multicast address (RFC 1112 §6.4).</summary>
    public static MacAddress ForIPv4Multicast(IpAddress group) => new(0x0100_5E00_0000 | (group.Low & 0x007F_FFFF));

    /// <summary>Reads six bytes.</summary>
    /// <exception cref="ArgumentOutOfRangeException">There are fewer than 6 bytes.</exception>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static MacAddress Read(ReadOnlySpan<byte> bytes) =>
        new((ulong)BinaryPrimitives.ReadUInt32BigEndian(bytes) << 16 | BinaryPrimitives.ReadUInt16BigEndian(bytes[4..]));

    /// <summary>Writes six bytes.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The destination is shorter than 6 bytes.</exception>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void WriteTo(Span<byte> destination)
    {
        BinaryPrimitives.WriteUInt16BigEndian(destination[4..], (ushort)_value);
        BinaryPrimitives.WriteUInt32BigEndian(destination, (uint)(_value >> 16));
    }

    /// <summary>Reads "02:00:00:00:00:01", also with dashes.</summary>
    /// <exception cref="FormatException">The text is no Ethernet address.</exception>
    public static MacAddress Parse(ReadOnlySpan<char> text) =>
        TryParse(text, out MacAddress address) ? address : throw new FormatException($"'{text}' is not an Ethernet address.");

    /// <inheritdoc cref="Parse(ReadOnlySpan{char})"/>
    public static MacAddress Parse(string text) => Parse(text.AsSpan());

    /// <summary>As <see cref="Parse(ReadOnlySpan{char})"/>, but answers false instead of throwing.</summary>
    public static bool TryParse(ReadOnlySpan<char> text, out MacAddress address)
    {
        address = default;
        if (text.Length != TextLength) return false;
        ulong value = 0;
        for (int i = 0; i < TextLength; i++)
        {
            char c = text[i];
            if (i % 3 == 2)
            {
                if (c is not (':' or '-') || c != text[2]) return false;
            }
            else if (char.IsAsciiHexDigit(c))
            {
                value = value << 4 | HexDigit.ValueOf(c);
            }
            else
            {
                return false;
            }
        }

        address = new MacAddress(value);
        return true;
    }

    /// <inheritdoc/>
    public bool Equals(MacAddress other) => _value == other._value;

    /// <inheritdoc/>
    public override bool Equals(object? obj) => obj is MacAddress other && Equals(other);

    /// <summary>A hash without a key, good for dictionaries of trusted content only.</summary>
    public override int GetHashCode() => (int)(_value * 0x9E37_79B9_7F4A_7C15 >> 32);

    /// <summary>Whether two addresses are the same.</summary>
    public static bool operator ==(MacAddress left, MacAddress right) => left.Equals(right);

    /// <summary>Whether two addresses differ.</summary>
    public static bool operator !=(MacAddress left, MacAddress right) => !left.Equals(right);

    /// <summary>"02:00:00:00:00:01".</summary>
    public override string ToString()
    {
        Span<char> text = stackalloc char[TextLength];
        TryFormat(text, out int written);
        return new string(text[..written]);
    }

    /// <inheritdoc/>
    public string ToString(string? format, IFormatProvider? formatProvider) => ToString();

    /// <inheritdoc/>
    public bool TryFormat(Span<char> destination, out int charsWritten, ReadOnlySpan<char> format = default, IFormatProvider? provider = null)
    {
        var text = new TextSpan(destination);
        for (int shift = 40; shift >= 0; shift -= 8)
        {
            text.AppendHex((byte)(_value >> shift), 2);
            if (shift > 0) text.Append(':');
        }

        charsWritten = text.Overflowed ? 0 : text.Length;
        return !text.Overflowed;
    }
}
