// The curves of docs/curves: measured anew and compared, number by number; and whether they are what theory wants, roughly.
using Peregrine.Simulation.Curves;

namespace Peregrine.Simulation.Tests;

public sealed class CurveTests
{
    public static TheoryData<string> Names => [.. CurveCatalogue.Names];

    [Theory]
    [MemberData(nameof(Names))]
    public void ACurveIsWhereItsSnapshotHasIt(string name) => CurveSnapshot.Check(name);

    [Fact]
    public void RenosThroughputFollowsTheResponseFunctionWhileLossesAreFew()
    {
        var curve = CurveSnapshot.Read("throughput-by-loss");
        foreach (var (loss, measured) in curve["reno"])
        {
            if (loss > 1) continue;
            Assert.InRange(measured / curve["Reno's response function"][loss], 0.75, 1.25);
        }
    }

    [Fact]
    public void CubicIsAheadOfRenoWhereItsFunctionSaysSo()
    {
        var curve = CurveSnapshot.Read("throughput-by-rtt");
        Assert.InRange(curve["cubic"][320] / curve["CUBIC's response function"][320], 0.75, 1.4);
        Assert.True(curve["cubic"][320] > 1.5 * curve["reno"][320]);
        Assert.InRange(curve["cubic"][10] / curve["reno"][10], 0.8, 1.25);
    }

    [Theory]
    [InlineData(1, 0)]
    [InlineData(1_000, 3)]
    [InlineData(0.001, -3)]
    [InlineData(2, 0.301029996)]
    [InlineData(31.6227766, 1.5)]
    public void LogarithmsAreRightToSevenDigits(double value, double expected) => Assert.Equal(expected, Logarithm.Base10(value), 1e-7);

    [Fact]
    public void MarksOfAnAxisAreFewAndRound()
    {
        Assert.Equal([0, 50, 100, 150, 200], new Scale(false, 0, 184, 0, 100).Ticks);
        Assert.Equal([0.5, 1, 2, 5, 10, 20], new Scale(true, 0.4, 24, 0, 100).Ticks.Select(static t => Math.Round(t, 6)));
        Assert.Equal(50, new Scale(true, 1, 100, 0, 100).At(10), 1e-4);
    }
}

/// <summary>One of them on each processor: emulation makes the others too slow.</summary>
public sealed class CurveProcessorTests
{
    [Fact]
    public void ACurveIsTheSameOnEveryProcessor() => CurveSnapshot.Check("recovery-after-burst");
}

internal static class CurveSnapshot
{
    private static string Folder => Path.Combine(Sources.Root, CurveCatalogue.Folder);

    /// <summary>Measures a curve and compares table and plot with what is kept.</summary>
    internal static void Check(string name)
    {
        var curve = CurveCatalogue.Measure(name);
        Compare(name + ".csv", curve.ToCsv());
        Compare(name + ".svg", SvgPlot.Draw(curve));
    }

    /// <summary>A kept curve: by series and x.</summary>
    internal static Dictionary<string, Dictionary<double, double>> Read(string name) =>
        File.ReadLines(Path.Combine(Folder, name + ".csv")).Skip(1).Select(static line => line.Split(',')).GroupBy(static cells => cells[0])
            .ToDictionary(static series => series.Key, static series => series.ToDictionary(static cells => double.Parse(cells[1]), static cells => double.Parse(cells[2])));

    private static void Compare(string file, string measured)
    {
        var kept = File.Exists(Path.Combine(Folder, file)) ? File.ReadAllText(Path.Combine(Folder, file)) : "";
        if (kept == measured) return;
        string[] before = kept.Split('\n'), now = measured.Split('\n');
        var moved = Enumerable.Range(0, Math.Max(before.Length, now.Length)).Where(i => before.ElementAtOrDefault(i) != now.ElementAtOrDefault(i)).ToArray();
        Assert.Fail($"""
            {CurveCatalogue.Folder}/{file} has moved in {moved.Length} lines; the first is line {moved[0] + 1}:
              kept:     {before.ElementAtOrDefault(moved[0])}
              measured: {now.ElementAtOrDefault(moved[0])}
            If the change is meant to do that: {CurveCatalogue.UpdateCommand}, look at the plots, and commit {CurveCatalogue.Folder} with it.
            """);
    }
}
