// A curve: what was measured, as numbers that a snapshot keeps, one line a point, so that a change shows in review as the points that moved.
using System.Globalization;
using System.Text;

namespace Peregrine.Simulation.Curves;

/// <summary>An axis.</summary>
/// <param name="Label">What is on it, with its unit.</param>
/// <param name="IsLogarithmic">Whether equal lengths are equal ratios.</param>
internal sealed record CurveAxis(string Label, bool IsLogarithmic = false);

/// <summary>Points that belong together.</summary>
internal sealed record CurveSeries(string Name, IReadOnlyList<(double X, double Y)> Points)
{
    /// <summary>What a formula says should come out; drawn as a dashed line.</summary>
    public bool IsTheory { get; init; }

    /// <summary>Another measure of the series before it: drawn in the same colour, dotted.</summary>
    public bool IsCompanion { get; init; }
}

/// <summary>A curve with its axes.</summary>
internal sealed record Curve(string Name, string Title, CurveAxis X, CurveAxis Y, IReadOnlyList<CurveSeries> Series)
{
    /// <summary>The snapshot: a head with the axes, then series, x and y, a point a line.</summary>
    public string ToCsv()
    {
        var text = new StringBuilder($"series,{X.Label},{Y.Label}\n");
        foreach (var series in Series)
        {
            foreach (var (x, y) in series.Points) text.Append(CultureInfo.InvariantCulture, $"{series.Name},{x:0.####},{y:0.###}\n");
        }
        return text.ToString();
    }
}
