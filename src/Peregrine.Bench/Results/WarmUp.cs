// When a side is warm: two runs in turn that were not clearly better than the best before them, with nothing compiled, or enough of them. The rate
// alone would not do: while the compiler waits for its turn, runs are alike, and slow.
namespace Peregrine.Bench.Results;

/// <param name="least">Runs at the least: one side may be no warmer than the other by what only one of them can count.</param>
internal sealed class WarmUp(int least = 0)
{
    // A machine that is busy scatters by more than code improves at the end; more runs than these would only wait for its luck.
    private const int RunCountMax = 10;
    private const double Better = 1.05;

    private double _best;
    private int _notBetter;

    internal int Count { get; private set; }

    internal bool IsOver => (Count >= least && _notBetter >= 2) || Count >= RunCountMax;

    /// <summary>Takes a run's rate, and how many methods were compiled in it.</summary>
    internal void Add(double rate, long compiled)
    {
        _notBetter = Count++ == 0 || compiled > 0 || rate > _best * Better ? 0 : _notBetter + 1;
        _best = Math.Max(_best, rate);
    }
}
