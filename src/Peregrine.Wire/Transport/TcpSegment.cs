// A TCP segment as the state machine takes and returns it: host order, typed fields, parsed options, no bytes of payload.
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Peregrine.Wire;

/// <summary>A TCP segment in host order. The payload itself is elsewhere; its length is here.</summary>
[StructLayout(LayoutKind.Sequential)]
public readonly struct TcpSegment : IEquatable<TcpSegment>
{
    private readonly TcpOptions _options;

    /// <summary>SEG.SEQ.</summary>
    public SeqNumber Seq { get; init; }

    /// <summary>SEG.ACK; significant when <see cref="TcpFlags.Ack"/> is set.</summary>
    public SeqNumber Ack { get; init; }

    /// <summary>Bytes of payload.</summary>
    public int PayloadLength { get; init; }

    /// <summary>SEG.WND before scaling.</summary>
    public UnscaledWindow Window { get; init; }

    /// <summary>SEG.UP; significant when <see cref="TcpFlags.Urg"/> is set.</summary>
    public ushort UrgentPointer { get; init; }

    /// <summary>The control bits.</summary>
    public TcpFlags Flags { get; init; }

    /// <summary>The options.</summary>
    [System.Diagnostics.CodeAnalysis.UnscopedRef]
    public ref readonly TcpOptions OptionsRef => ref _options;

    /// <summary>The options.</summary>
    public TcpOptions Options
    {
        get => _options;
        init => _options = value;
    }

    /// <summary>SEG.LEN: payload, plus one each for SYN and FIN (RFC 9293 §3.4).</summary>
    public uint Length
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => (uint)PayloadLength + ((uint)Flags & 1) + (((uint)Flags >> 1) & 1);
    }

    /// <summary>The number after the last that the segment occupies: <c>Seq + Length</c>.</summary>
    public SeqNumber End => Seq + Length;

    /// <summary>Whether all of the given bits are set.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public bool Has(TcpFlags flags) => (Flags & flags) == flags;

    /// <inheritdoc/>
    public bool Equals(TcpSegment other) =>
        Seq == other.Seq && Ack == other.Ack && PayloadLength == other.PayloadLength && Window == other.Window
        && UrgentPointer == other.UrgentPointer && Flags == other.Flags && _options.Equals(other._options);

    /// <inheritdoc/>
    public override bool Equals(object? obj) => obj is TcpSegment other && Equals(other);

    /// <inheritdoc/>
    public override int GetHashCode() => (int)(Seq.Value * 31 + Ack.Value) * 31 + PayloadLength;

    /// <summary>Whether two segments are the same in every field.</summary>
    public static bool operator ==(in TcpSegment left, in TcpSegment right) => left.Equals(right);

    /// <summary>Whether two segments differ.</summary>
    public static bool operator !=(in TcpSegment left, in TcpSegment right) => !left.Equals(right);

    /// <inheritdoc/>
    public override string ToString() => $"{Flags} seq {Seq} ack {Ack} win {Window} len {PayloadLength}";
}
