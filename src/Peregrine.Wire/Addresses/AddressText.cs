// Text of addresses: the strict readers and the RFC 5952 writer. Not a resolver: no names, no scopes, no octal, no short forms.
namespace Peregrine.Wire;

internal static class AddressText
{
    public static bool TryParse(ReadOnlySpan<char> text, out IpAddress address)
    {
        if (text.Contains(':')) return TryParseIPv6(text, out address);
        bool good = TryParseIPv4(text, out uint value);
        address = good ? IpAddress.FromIPv4(value) : default;
        return good;
    }

    private static bool TryParseIPv4(ReadOnlySpan<char> text, out uint value)
    {
        value = 0;
        for (int part = 0; part < 4; part++)
        {
            int end = part < 3 ? text.IndexOf('.') : text.Length;
            if (end < 1 || !TryParseDecimal(text[..end], 255, 3, out int number)) return false;
            value = value << 8 | (uint)number;
            text = part < 3 ? text[(end + 1)..] : text[end..];
        }

        return true;
    }

    /// <summary>Decimal digits without sign or leading zero (a leading zero means octal to some readers).</summary>
    public static bool TryParseDecimal(ReadOnlySpan<char> text, int max, int digitsMax, out int number)
    {
        number = 0;
        if (text.Length == 0 || text.Length > digitsMax || (text.Length > 1 && text[0] == '0')) return false;
        foreach (char c in text)
        {
            if (!char.IsAsciiDigit(c)) return false;
            number = number * 10 + (c - '0');
        }

        return number <= max;
    }

    private static bool TryParseIPv6(ReadOnlySpan<char> text, out IpAddress address)
    {
        address = default;
        Span<ushort> groups = stackalloc ushort[8];
        int count = 0;
        int gap = -1;
        if (text.StartsWith("::"))
        {
            gap = 0;
            text = text[2..];
        }

        while (!text.IsEmpty)
        {
            if (count == 8) return false;
            int colon = text.IndexOf(':');
            ReadOnlySpan<char> group = colon < 0 ? text : text[..colon];
            if (colon < 0 && group.Contains('.'))
            {
                // RFC 4291 §2.2: the last 32 bits may be written as an IPv4 address.
                if (count > 6 || !TryParseIPv4(group, out uint tail)) return false;
                groups[count++] = (ushort)(tail >> 16);
                groups[count++] = (ushort)tail;
                break;
            }

            if (!TryParseHexGroup(group, out groups[count])) return false;
            count++;
            if (colon < 0) break;
            text = text[(colon + 1)..];
            if (text.IsEmpty) return false;
            if (text[0] != ':') continue;
            if (gap >= 0) return false;
            gap = count;
            text = text[1..];
        }

        if (gap < 0 ? count != 8 : count > 7) return false;
        address = Assemble(groups, count, gap);
        return true;
    }

    private static bool TryParseHexGroup(ReadOnlySpan<char> text, out ushort value)
    {
        value = 0;
        if (text.Length is 0 or > 4) return false;
        foreach (char c in text)
        {
            if (!char.IsAsciiHexDigit(c)) return false;
            value = (ushort)((uint)value << 4 | HexDigit.ValueOf(c));
        }

        return true;
    }

    private static IpAddress Assemble(ReadOnlySpan<ushort> groups, int count, int gap)
    {
        ulong high = 0, low = 0;
        int zeros = 8 - count;
        for (int i = 0; i < 8; i++)
        {
            ushort group = gap < 0 || i < gap ? groups[i] : i < gap + zeros ? (ushort)0 : groups[i - zeros];
            if (i < 4) high = high << 16 | group;
            else low = low << 16 | group;
        }

        return IpAddress.FromIPv6(high, low);
    }

    public static bool TryFormat(IpAddress address, Span<char> destination, out int written)
    {
        var text = new TextSpan(destination);
        if (address.IsIPv4) AppendIPv4(ref text, address.ToIPv4());
        else AppendIPv6(ref text, address);
        written = text.Overflowed ? 0 : text.Length;
        return !text.Overflowed;
    }

    private static void AppendIPv4(ref TextSpan text, uint value)
    {
        for (int shift = 24; shift >= 0; shift -= 8)
        {
            text.Append((byte)(value >> shift));
            if (shift > 0) text.Append('.');
        }
    }

    private static void AppendIPv6(ref TextSpan text, IpAddress address)
    {
        Span<ushort> groups = stackalloc ushort[8];
        for (int i = 0; i < 8; i++)
        {
            groups[i] = (ushort)((i < 4 ? address.High : address.Low) >> (48 - 16 * (i & 3)));
        }

        // RFC 5952 §4.2.2, §4.2.3: the longest run of at least two zero groups, the first of equals.
        int bestStart = -1, bestLength = 1, start = 0;
        for (int i = 0; i <= 8; i++)
        {
            if (i < 8 && groups[i] == 0) continue;
            if (i - start > bestLength) (bestStart, bestLength) = (start, i - start);
            start = i + 1;
        }

        for (int i = 0; i < 8; i++)
        {
            if (i == bestStart)
            {
                text.Append("::");
                i += bestLength - 1;
                continue;
            }

            if (i > 0 && i != bestStart + bestLength || bestStart < 0 && i > 0) text.Append(':');
            // RFC 5952 §4.1, §4.3: no leading zeros, lower case.
            text.AppendHex(groups[i], 1);
        }
    }
}
