// A cursor that writes text into a caller's span. It never throws and never allocates: what does not fit is cut off and remembered.
namespace Peregrine.Wire;

/// <summary>Appends to a span of characters, cutting off what does not fit.</summary>
internal ref struct TextSpan(Span<char> destination)
{
    private readonly Span<char> _destination = destination;

    /// <summary>Characters written.</summary>
    public int Length { get; private set; }

    /// <summary>Whether something did not fit.</summary>
    public bool Overflowed { get; private set; }

    public void Append(char c)
    {
        if ((uint)Length < (uint)_destination.Length) _destination[Length++] = c;
        else Overflowed = true;
    }

    public void Append(scoped ReadOnlySpan<char> text)
    {
        int fitting = Math.Min(text.Length, _destination.Length - Length);
        text[..fitting].CopyTo(_destination[Length..]);
        Length += fitting;
        if (fitting < text.Length) Overflowed = true;
    }

    public void Append(uint value) => Append((ulong)value);

    public void Append(int value)
    {
        if (value < 0) Append('-');
        Append((ulong)Math.Abs((long)value));
    }

    public void Append(ulong value)
    {
        if (value.TryFormat(_destination[Length..], out int written)) Length += written;
        else Overflowed = true;
    }

    public void Append<T>(T value) where T : struct, ISpanFormattable
    {
        if (value.TryFormat(_destination[Length..], out int written, default, null)) Length += written;
        else Overflowed = true;
    }

    /// <summary>Lower-case hexadecimal with at least the given number of digits.</summary>
    public void AppendHex(ulong value, int digitsMin)
    {
        int digits = Math.Max(digitsMin, (67 - System.Numerics.BitOperations.LeadingZeroCount(value)) / 4);
        for (int shift = 4 * (digits - 1); shift >= 0; shift -= 4) Append("0123456789abcdef"[(int)(value >> shift) & 0xF]);
    }
}

/// <summary>The value of a hexadecimal digit.</summary>
internal static class HexDigit
{
    public static uint ValueOf(char digit) => (uint)(digit <= '9' ? digit - '0' : (digit | 0x20) - 'a' + 10);
}
