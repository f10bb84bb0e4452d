// The times of many short turns. One that was interrupted takes as long as whoever interrupted it, so a low share of the turns tells what
// the code costs where a sum over all tells what else the machine did.
using System.Diagnostics;

namespace Peregrine.Core.Bench;

internal sealed class TurnTimes
{
    private readonly List<long> _ticks = [];

    /// <summary>Forgets all, and makes room for so many that adding them allocates nothing.</summary>
    internal void Clear(int room)
    {
        _ticks.Clear();
        _ticks.EnsureCapacity(room);
    }

    internal void Add(long ticks) => _ticks.Add(ticks);

    /// <summary>Nanoseconds that this share of the turns did not exceed.</summary>
    internal double At(double share)
    {
        _ticks.Sort();
        return Stopwatch.GetElapsedTime(0, _ticks[(int)(_ticks.Count * share)]).TotalNanoseconds;
    }
}
