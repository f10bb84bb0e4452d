// A point in a stack's time and a span between two: nanoseconds, typed so that a bare long is never a time.
// Not a clock: instants come in as arguments (RFC-free; the host reads its monotonic clock once a turn, the simulator counts).
namespace Peregrine.Core.Time;

/// <summary>A point in time, in nanoseconds since an origin that the caller chose. Only moves forward within one stack.</summary>
/// <param name="Nanoseconds">Nanoseconds since the origin, 0 or more.</param>
public readonly record struct Instant(long Nanoseconds) : IComparable<Instant>
{
    /// <summary>The origin.</summary>
    public static Instant Zero => default;

    /// <summary>Later than every real instant: "never".</summary>
    public static Instant Never => new(long.MaxValue);

    /// <summary>Whether this is <see cref="Never"/>.</summary>
    public bool IsNever => Nanoseconds == long.MaxValue;

    /// <summary>Whole milliseconds, modulo 2³²: the clock of timestamps (RFC 7323 §5.4), and of whatever counts as Linux does.</summary>
    internal uint Milliseconds => (uint)(Nanoseconds / 1_000_000);

    /// <summary>The instant <paramref name="d"/> after <paramref name="i"/>.</summary>
    public static Instant operator +(Instant i, Duration d) => new(i.Nanoseconds + d.Nanoseconds);

    /// <summary>The instant <paramref name="d"/> before <paramref name="i"/>.</summary>
    public static Instant operator -(Instant i, Duration d) => new(i.Nanoseconds - d.Nanoseconds);

    /// <summary>How long after <paramref name="b"/> the instant <paramref name="a"/> is.</summary>
    public static Duration operator -(Instant a, Instant b) => new(a.Nanoseconds - b.Nanoseconds);

    /// <summary>Whether <paramref name="a"/> is earlier.</summary>
    public static bool operator <(Instant a, Instant b) => a.Nanoseconds < b.Nanoseconds;

    /// <summary>Whether <paramref name="a"/> is later.</summary>
    public static bool operator >(Instant a, Instant b) => a.Nanoseconds > b.Nanoseconds;

    /// <summary>Whether <paramref name="a"/> is not later.</summary>
    public static bool operator <=(Instant a, Instant b) => a.Nanoseconds <= b.Nanoseconds;

    /// <summary>Whether <paramref name="a"/> is not earlier.</summary>
    public static bool operator >=(Instant a, Instant b) => a.Nanoseconds >= b.Nanoseconds;

    /// <summary>The earlier of the two.</summary>
    public static Instant Min(Instant a, Instant b) => a.Nanoseconds <= b.Nanoseconds ? a : b;

    /// <summary>The later of the two.</summary>
    public static Instant Max(Instant a, Instant b) => a.Nanoseconds >= b.Nanoseconds ? a : b;

    /// <inheritdoc/>
    public int CompareTo(Instant other) => Nanoseconds.CompareTo(other.Nanoseconds);

    /// <inheritdoc/>
    public override string ToString() => IsNever ? "never" : $"{Nanoseconds / 1_000_000_000}.{Nanoseconds % 1_000_000_000:D9}s";
}
