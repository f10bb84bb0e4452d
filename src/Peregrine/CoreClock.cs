// The monotonic clock of a core: read once a turn, about 30 ns. Knows nothing of the time of day.
using System.Diagnostics;
using Peregrine.Core.Time;

namespace Peregrine;

/// <summary>Stopwatch time as instants. The origin lies a second before the clock was made, so that no instant is zero.</summary>
internal sealed class CoreClock
{
    private const long NanosecondsPerSecond = 1_000_000_000;
    private readonly long _origin = Stopwatch.GetTimestamp() - Stopwatch.Frequency;

    internal Instant Now()
    {
        var ticks = Stopwatch.GetTimestamp() - _origin;
        if (Stopwatch.Frequency == NanosecondsPerSecond) return new Instant(ticks);
        var (seconds, rest) = Math.DivRem(ticks, Stopwatch.Frequency);
        return new Instant(seconds * NanosecondsPerSecond + rest * NanosecondsPerSecond / Stopwatch.Frequency);
    }
}
