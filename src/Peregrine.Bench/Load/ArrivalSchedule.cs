// When requests are due in an open loop. A request's latency counts from here, not from when a free connection was found: otherwise a
// server that stalls would be asked less while it does, and its stall would be one bad sample among many good ones (coordinated omission).
namespace Peregrine.Bench.Load;

/// <summary>Equally spaced arrivals from a start on, in nanoseconds.</summary>
internal struct ArrivalSchedule(double perSecond, long start)
{
    private readonly double _interval = perSecond > 0 ? 1e9 / perSecond : 0;

    private readonly long _start = start;

    /// <summary>Arrivals taken so far.</summary>
    internal long Taken { get; private set; }

    /// <summary>The next arrival's time.</summary>
    internal readonly long Next => _start + (long)(Taken * _interval);

    /// <summary>Takes an arrival that is due.</summary>
    internal bool TryTake(long now, out long due)
    {
        due = Next;
        if (due > now) return false;
        Taken++;
        return true;
    }

    /// <summary>Arrivals that are due and were not taken.</summary>
    internal readonly long Overdue(long now) => _interval == 0 ? 0 : Math.Max(0, (long)((now - _start) / _interval) + 1 - Taken);
}
