// What got slower: the figures that somebody waits or pays for, of two builds in pairs, by more than noise.
namespace Peregrine.Bench.Results;

internal static class Guard
{
    /// <summary>A line for each figure of the first side that is worse than the second's beyond noise.</summary>
    internal static IEnumerable<string> Regressions(BenchResult result)
    {
        if (result.Failure != null) yield break;
        foreach (var metric in Metric.Compared)
        {
            // A core that spins is busy whatever it does: its processor time says the rate again.
            if (result.Work.Spin && (metric == Metric.ServerCpu || metric == Metric.MachineCpu)) continue;
            var ratio = metric.RatioOf(result.Sides[0], result.Sides[1]);
            if (ratio.IsClear && ratio.Median > 1 != metric.MoreIsBetter) yield return $"{result.Title}: {metric.Name} is {ratio} times the other build's";
        }
    }
}
