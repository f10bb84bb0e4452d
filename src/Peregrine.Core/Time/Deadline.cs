// A deadline in four bytes, for tables with a million entries: ticks of 2^17 ns (131 µs), compared modulo 2^32.
// Not for long waits: a deadline must lie within 3.2 days of now, which every TCP timer does (keepalive's limit is 9 hours).
namespace Peregrine.Core.Time;

/// <summary>A deadline in units of 2^17 nanoseconds; 0 means that it is not set. Rounds up, so that it never fires early.</summary>
/// <param name="Ticks">Ticks modulo 2^32; 0 is "not set".</param>
public readonly record struct Deadline(uint Ticks)
{
    /// <summary>How many bits of a nanosecond count one tick drops.</summary>
    public const int Shift = 17;

    /// <summary>The furthest distance that can be expressed: 3 days.</summary>
    public static Duration DistanceMax => Duration.FromSeconds(3 * 86_400);

    /// <summary>Not armed.</summary>
    public static Deadline None => default;

    /// <summary>Whether an instant is stored.</summary>
    public bool IsSet => Ticks != 0;

    /// <summary>The first tick that is not earlier than <paramref name="instant"/>.</summary>
    public static Deadline At(Instant instant)
    {
        var ticks = (uint)((ulong)(instant.Nanoseconds + ((1L << Shift) - 1)) >> Shift);
        return new Deadline(ticks == 0 ? 1 : ticks);
    }

    /// <summary>Whether the deadline is set and has come.</summary>
    public bool IsDue(Instant now) => Ticks != 0 && (int)((uint)((ulong)now.Nanoseconds >> Shift) - Ticks) >= 0;

    /// <summary>Whether this is set and earlier than <paramref name="other"/>, an unset one counting as never.</summary>
    public bool IsBefore(Deadline other) => Ticks != 0 && (other.Ticks == 0 || (int)(Ticks - other.Ticks) < 0);

    /// <summary>The earlier one of the two; an unset one counts as never.</summary>
    public static Deadline Min(Deadline a, Deadline b) => b.IsBefore(a) ? b : a;

    /// <summary>The full instant, given a <paramref name="now"/> within 3.2 days of it.</summary>
    public Instant ToInstant(Instant now)
    {
        if (Ticks == 0) return Instant.Never;
        var nowTicks = now.Nanoseconds >> Shift;
        return new Instant((nowTicks + (int)(Ticks - (uint)nowTicks)) << Shift);
    }
}
