// The statistics of pairs: the median of the pairs' ratios, and an interval for it that assumes nothing about how they are distributed. No mean
// and no standard deviation: one run that the machine disturbed would carry both away.
namespace Peregrine.Bench.Results;

/// <summary>A median with an interval of order statistics.</summary>
/// <param name="Median">The median.</param>
/// <param name="Low">The interval's lower end.</param>
/// <param name="High">Its upper end.</param>
/// <param name="Coverage">The chance that such an interval holds the true median: for few values less than one may wish.</param>
internal readonly record struct PairedRatio(double Median, double Low, double High, double Coverage)
{
    private const double CoverageWanted = 0.9;

    /// <summary>Whether the interval leaves out 1: the difference is more than noise.</summary>
    internal bool IsClear => Coverage >= CoverageWanted && (Low > 1 || High < 1);

    /// <summary>Ratios of runs that were taken side by side.</summary>
    internal static PairedRatio Of(IReadOnlyList<double> first, IReadOnlyList<double> second)
    {
        if (first.Count != second.Count) throw new ArgumentException($"{first.Count} runs cannot be paired with {second.Count}.");
        return OfValues(first.Zip(second, static (a, b) => a / b).Where(double.IsFinite));
    }

    internal static PairedRatio OfValues(IEnumerable<double> values)
    {
        var sorted = values.Order().ToArray();
        if (sorted.Length == 0) return new PairedRatio(double.NaN, double.NaN, double.NaN, 0);
        // The narrowest pair of order statistics, cut evenly from both ends, that still covers what is wanted; else the whole range.
        var cut = 0;
        while (sorted.Length - (2 * (cut + 1)) >= 2 && CoverageOf(sorted.Length, cut + 1) >= CoverageWanted) cut++;
        return new PairedRatio(MedianOf(sorted), sorted[cut], sorted[^(cut + 1)], CoverageOf(sorted.Length, cut));
    }

    internal static double MedianOf(IEnumerable<double> values)
    {
        var sorted = values.Order().ToArray();
        if (sorted.Length == 0) return double.NaN;
        return sorted.Length % 2 == 1 ? sorted[sorted.Length / 2] : (sorted[(sorted.Length / 2) - 1] + sorted[sorted.Length / 2]) / 2;
    }

    /// <summary>
    /// The chance that the true median lies between the (cut+1)th smallest and largest of n values: each value is above it with one half, so
    /// it is 1 - 2 P(at most cut of n tosses fall on one side).
    /// </summary>
    internal static double CoverageOf(int n, int cut)
    {
        double tail = 0, term = Math.ScaleB(1, -n);
        for (var k = 0; k <= cut; k++)
        {
            tail += term;
            term = term * (n - k) / (k + 1);
        }
        return Math.Max(0, 1 - (2 * tail));
    }

    public override string ToString() => double.IsNaN(Median) ? "-" : FormattableString.Invariant($"{Median:F2} ({Low:F2} to {High:F2})");
}
