// A host's clock beside the world's: it starts anywhere, runs a little fast or slow, and jumps. A stack's time only moves forward, so jumps do too.
using Peregrine.Core.Time;

namespace Peregrine.Simulation.Hosts;

internal sealed class HostClock(Instant worldStart, Instant localStart)
{
    private Instant _world = worldStart;
    private Instant _local = localStart;
    private long _driftPpm;

    /// <summary>What the host's clock shows at a moment of the world.</summary>
    public Instant Local(Instant world)
    {
        var elapsed = (world - _world).Nanoseconds;
        return _local + new Duration(elapsed + (elapsed / 1_000 * _driftPpm / 1_000));
    }

    /// <summary>The first moment of the world at which the host's clock shows at least this.</summary>
    public Instant World(Instant local, Instant now)
    {
        if (local.IsNever) return Instant.Never;
        var ahead = (local - _local).Nanoseconds;
        if (ahead <= 0) return now;
        // The inverse is only near, by a clock's rounding: step until the clock is there, so that a host is not woken for nothing.
        var at = _world + new Duration((long)((Int128)ahead * 1_000_000 / (1_000_000 + _driftPpm)));
        for (var i = 0; i < 64 && Local(at) < local; i++) at += new Duration(Math.Max(1, (local - Local(at)).Nanoseconds));
        return Instant.Max(at, now);
    }

    /// <summary>From now on the clock runs faster (or slower) by so many parts per million.</summary>
    public void Drift(long ppm, Instant now)
    {
        (_local, _world) = (Local(now), now);
        _driftPpm = ppm;
    }

    /// <summary>The clock jumps forward.</summary>
    public void Jump(Duration ahead, Instant now)
    {
        (_local, _world) = (Local(now) + ahead, now);
    }
}
