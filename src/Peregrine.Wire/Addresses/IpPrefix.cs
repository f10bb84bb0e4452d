// A block of addresses, as routes and interfaces have it.
using System.Runtime.InteropServices;

namespace Peregrine.Wire;

/// <summary>An address with the length of its network part, such as 10.0.0.1/24. The host bits are kept.</summary>
[StructLayout(LayoutKind.Sequential)]
public readonly struct IpPrefix : IEquatable<IpPrefix>, ISpanFormattable
{
    /// <summary>Longest text of a prefix, in characters.</summary>
    public const int TextLengthMax = IpAddress.TextLengthMax + 4;

    private readonly byte _length;

    /// <summary>Makes a prefix.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The length is not 0 to 32 (IPv4) or 0 to 128 (IPv6).</exception>
    public IpPrefix(IpAddress address, int length)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(length);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(length, address.Length * 8);
        Address = address;
        _length = (byte)length;
    }

    /// <summary>The address as given, host bits included.</summary>
    public IpAddress Address { get; }

    /// <summary>Bits of the network part: 0 to 32 for IPv4, 0 to 128 for IPv6.</summary>
    public int Length => _length;

    /// <summary>The mask, such as 255.255.255.0. An IPv6 mask of 128 bits is all ones.</summary>
    public IpAddress Mask
    {
        get
        {
            if (Address.IsIPv4) return IpAddress.FromIPv4(_length == 0 ? 0 : uint.MaxValue << (32 - _length));
            (ulong high, ulong low) = WideMask();
            return IpAddress.FromIPv6(high, low);
        }
    }

    /// <summary>The address with all host bits zero.</summary>
    public IpAddress NetworkAddress
    {
        get
        {
            (ulong high, ulong low) = WideMask();
            return IpAddress.FromIPv6(Address.High & high, Address.Low & low);
        }
    }

    /// <summary>
    /// The broadcast address directed to this IPv4 network (RFC 922 §7). For /31 and /32 (RFC 3021) and for IPv6, which have none,
    /// the address itself.
    /// </summary>
    public IpAddress Broadcast => Address.IsIPv4 && _length < 31 ? IpAddress.FromIPv4(Address.ToIPv4() | ~Mask.ToIPv4()) : Address;

    /// <summary>Whether an address of the same family lies in this block.</summary>
    public bool Contains(IpAddress address)
    {
        (ulong high, ulong low) = WideMask();
        return address.IsIPv4 == Address.IsIPv4 && ((address.High ^ Address.High) & high) == 0 && ((address.Low ^ Address.Low) & low) == 0;
    }

    /// <summary>Reads "10.0.0.0/24" or "fe80::/10".</summary>
    /// <exception cref="FormatException">The text is no prefix.</exception>
    public static IpPrefix Parse(ReadOnlySpan<char> text) =>
        TryParse(text, out IpPrefix prefix) ? prefix : throw new FormatException($"'{text}' is not an address with a prefix length.");

    /// <inheritdoc cref="Parse(ReadOnlySpan{char})"/>
    public static IpPrefix Parse(string text) => Parse(text.AsSpan());

    /// <summary>As <see cref="Parse(ReadOnlySpan{char})"/>, but answers false instead of throwing.</summary>
    public static bool TryParse(ReadOnlySpan<char> text, out IpPrefix prefix)
    {
        prefix = default;
        int slash = text.IndexOf('/');
        if (slash < 0 || !IpAddress.TryParse(text[..slash], out IpAddress address)) return false;
        if (!AddressText.TryParseDecimal(text[(slash + 1)..], address.Length * 8, 3, out int length)) return false;
        prefix = new IpPrefix(address, length);
        return true;
    }

    private (ulong High, ulong Low) WideMask()
    {
        int length = Address.IsIPv4 ? _length + 96 : _length;
        ulong high = length == 0 ? 0 : length >= 64 ? ulong.MaxValue : ulong.MaxValue << (64 - length);
        ulong low = length <= 64 ? 0 : ulong.MaxValue << (128 - length);
        return (high, low);
    }

    /// <inheritdoc/>
    public bool Equals(IpPrefix other) => Address == other.Address && _length == other._length;

    /// <inheritdoc/>
    public override bool Equals(object? obj) => obj is IpPrefix other && Equals(other);

    /// <summary>A hash without a key, good for dictionaries of trusted content only.</summary>
    public override int GetHashCode() => Address.GetHashCode() * 31 + _length;

    /// <summary>Whether two prefixes are the same, host bits included.</summary>
    public static bool operator ==(IpPrefix left, IpPrefix right) => left.Equals(right);

    /// <summary>Whether two prefixes differ.</summary>
    public static bool operator !=(IpPrefix left, IpPrefix right) => !left.Equals(right);

    /// <summary>"10.0.0.1/24".</summary>
    public override string ToString()
    {
        Span<char> text = stackalloc char[TextLengthMax];
        TryFormat(text, out int written);
        return new string(text[..written]);
    }

    /// <inheritdoc/>
    public string ToString(string? format, IFormatProvider? formatProvider) => ToString();

    /// <inheritdoc/>
    public bool TryFormat(Span<char> destination, out int charsWritten, ReadOnlySpan<char> format = default, IFormatProvider? provider = null)
    {
        var text = new TextSpan(destination);
        text.Append(Address);
        text.Append('/');
        text.Append((uint)_length);
        charsWritten = text.Overflowed ? 0 : text.Length;
        return !text.Overflowed;
    }
}
