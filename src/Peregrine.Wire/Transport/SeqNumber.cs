// Sequence numbers and windows of TCP, as types that refuse the usual mistakes: sequence numbers have no '<', and windows of the three
// kinds meet only through shifts.
using System.Runtime.CompilerServices;

namespace Peregrine.Wire;

/// <summary>
/// A TCP sequence number: a point on a circle of 2³² (RFC 9293 §3.4). Order holds between numbers less than 2³¹ apart; at exactly
/// 2³¹ each is before the other.
/// </summary>
public readonly struct SeqNumber : IEquatable<SeqNumber>
{
    /// <summary>Makes a sequence number.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public SeqNumber(uint value) => Value = value;

    /// <summary>The 32 bits, in host order.</summary>
    public uint Value { get; }

    /// <summary>Whether this comes before the other.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public bool IsBefore(SeqNumber other) => (int)(Value - other.Value) < 0;

    /// <summary>Whether this comes after the other.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public bool IsAfter(SeqNumber other) => (int)(other.Value - Value) < 0;

    /// <summary>Whether this comes before the other or is it.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public bool IsBeforeOrEqual(SeqNumber other) => (int)(Value - other.Value) <= 0;

    /// <summary>Whether this comes after the other or is it.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public bool IsAfterOrEqual(SeqNumber other) => (int)(other.Value - Value) <= 0;

    /// <summary>Whether this is one of the <paramref name="length"/> numbers from <paramref name="start"/> on.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public bool IsInWindow(SeqNumber start, uint length) => Value - start.Value < length;

    /// <summary>The later of two.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static SeqNumber Max(SeqNumber a, SeqNumber b) => a.IsAfter(b) ? a : b;

    /// <summary>The earlier of two.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static SeqNumber Min(SeqNumber a, SeqNumber b) => a.IsBefore(b) ? a : b;

    /// <summary>The number so many bytes later.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static SeqNumber operator +(SeqNumber seq, uint bytes) => new(seq.Value + bytes);

    /// <summary>The number so many bytes earlier.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static SeqNumber operator -(SeqNumber seq, uint bytes) => new(seq.Value - bytes);

    /// <summary>The signed distance in bytes: positive when the left one is later.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int operator -(SeqNumber left, SeqNumber right) => (int)(left.Value - right.Value);

    /// <summary>Whether two numbers are the same.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool operator ==(SeqNumber left, SeqNumber right) => left.Value == right.Value;

    /// <summary>Whether two numbers differ.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool operator !=(SeqNumber left, SeqNumber right) => left.Value != right.Value;

    /// <inheritdoc/>
    public bool Equals(SeqNumber other) => Value == other.Value;

    /// <inheritdoc/>
    public override bool Equals(object? obj) => obj is SeqNumber other && Equals(other);

    /// <inheritdoc/>
    public override int GetHashCode() => (int)Value;

    /// <inheritdoc/>
    public override string ToString() => Value.ToString();
}

/// <summary>The window field as it stands in a TCP header (RFC 9293 §3.1).</summary>
/// <param name="Value">The field, in host order.</param>
public readonly record struct UnscaledWindow(ushort Value)
{
    /// <summary>The bytes that a field means once a scale has been agreed (RFC 7323 §2.2).</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static WindowSize operator <<(UnscaledWindow window, WindowScale scale) => new((uint)window.Value << scale.Shift);

    /// <inheritdoc/>
    public override string ToString() => Value.ToString();
}

/// <summary>A window scale: a shift of 0 to 14.</summary>
public readonly record struct WindowScale
{
    /// <summary>Largest shift that may be used (RFC 7323 §2.3).</summary>
    public const int ShiftMax = 14;

    /// <summary>Makes a scale; larger shifts become 14.</summary>
    // RFC 7323 §2.3: a received shift count above 14 is used as 14.
    public WindowScale(int shift) => Shift = (byte)Math.Clamp(shift, 0, ShiftMax);

    /// <summary>Bits to shift by.</summary>
    public byte Shift { get; }

    /// <inheritdoc/>
    public override string ToString() => Shift.ToString();
}

/// <summary>A window in bytes.</summary>
/// <param name="Bytes">Bytes; at most 65535 × 2¹⁴ fit into a header field.</param>
public readonly record struct WindowSize(uint Bytes)
{
    /// <summary>The field that announces this window, rounded down, at most 65535.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static UnscaledWindow operator >>(WindowSize window, WindowScale scale) =>
        new((ushort)Math.Min(window.Bytes >> scale.Shift, ushort.MaxValue));

    /// <inheritdoc/>
    public override string ToString() => Bytes.ToString();
}
