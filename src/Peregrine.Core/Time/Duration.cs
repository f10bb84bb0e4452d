// A span of time in nanoseconds. Integer arithmetic only, so that results are the same on every machine.
namespace Peregrine.Core.Time;

/// <summary>A span of time in nanoseconds.</summary>
/// <param name="Nanoseconds">Nanoseconds; may be negative as a difference.</param>
public readonly record struct Duration(long Nanoseconds) : IComparable<Duration>
{
    /// <summary>No time.</summary>
    public static Duration Zero => default;

    /// <summary>Whole microseconds of this span.</summary>
    public long Microseconds => Nanoseconds / 1_000;

    /// <summary>Whole milliseconds of this span.</summary>
    public long Milliseconds => Nanoseconds / 1_000_000;

    /// <summary>A span of microseconds.</summary>
    public static Duration FromMicroseconds(long us) => new(us * 1_000);

    /// <summary>A span of milliseconds.</summary>
    public static Duration FromMilliseconds(long ms) => new(ms * 1_000_000);

    /// <summary>A span of seconds.</summary>
    public static Duration FromSeconds(long s) => new(s * 1_000_000_000);

    /// <summary>The same span; beyond 292 years the longest that there is.</summary>
    public static implicit operator Duration(TimeSpan span) => new(Math.Clamp(span.Ticks, long.MinValue / 100, long.MaxValue / 100) * 100);

    /// <summary>Sum.</summary>
    public static Duration operator +(Duration a, Duration b) => new(a.Nanoseconds + b.Nanoseconds);

    /// <summary>Difference.</summary>
    public static Duration operator -(Duration a, Duration b) => new(a.Nanoseconds - b.Nanoseconds);

    /// <summary>Multiple.</summary>
    public static Duration operator *(Duration a, long factor) => new(a.Nanoseconds * factor);

    /// <summary>Part.</summary>
    public static Duration operator /(Duration a, long divisor) => new(a.Nanoseconds / divisor);

    /// <summary>Whether <paramref name="a"/> is shorter.</summary>
    public static bool operator <(Duration a, Duration b) => a.Nanoseconds < b.Nanoseconds;

    /// <summary>Whether <paramref name="a"/> is longer.</summary>
    public static bool operator >(Duration a, Duration b) => a.Nanoseconds > b.Nanoseconds;

    /// <summary>Whether <paramref name="a"/> is not longer.</summary>
    public static bool operator <=(Duration a, Duration b) => a.Nanoseconds <= b.Nanoseconds;

    /// <summary>Whether <paramref name="a"/> is not shorter.</summary>
    public static bool operator >=(Duration a, Duration b) => a.Nanoseconds >= b.Nanoseconds;

    /// <summary>The shorter of the two.</summary>
    public static Duration Min(Duration a, Duration b) => a.Nanoseconds <= b.Nanoseconds ? a : b;

    /// <summary>The longer of the two.</summary>
    public static Duration Max(Duration a, Duration b) => a.Nanoseconds >= b.Nanoseconds ? a : b;

    /// <inheritdoc/>
    public int CompareTo(Duration other) => Nanoseconds.CompareTo(other.Nanoseconds);

    /// <inheritdoc/>
    public override string ToString() => $"{Nanoseconds / 1_000_000}.{Math.Abs(Nanoseconds % 1_000_000) / 1_000:D3}ms";
}
