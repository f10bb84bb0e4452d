// A curve as a picture: SVG as plain text, an element a line, so that a diff shows which series moved.
using System.Globalization;
using System.Text;

namespace Peregrine.Simulation.Curves;

internal sealed class SvgPlot
{
    private const int Width = 720, Height = 420, Left = 64, Right = 210, Top = 40, Bottom = 48;

    // Told apart by those who do not see all colours, too (Okabe and Ito).
    private static readonly string[] s_colours = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"];

    private readonly StringBuilder _text = new();
    private readonly Scale _x, _y;

    private SvgPlot(Curve curve)
    {
        var points = curve.Series.SelectMany(static s => s.Points).ToArray();
        _x = new Scale(curve.X.IsLogarithmic, points.Min(static p => p.X), points.Max(static p => p.X), Left, Width - Right);
        _y = new Scale(curve.Y.IsLogarithmic, curve.Y.IsLogarithmic ? points.Min(static p => p.Y) : 0, points.Max(static p => p.Y), Height - Bottom, Top);
    }

    /// <summary>Draws a curve.</summary>
    public static string Draw(Curve curve)
    {
        var plot = new SvgPlot(curve);
        plot.Line($"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {Width} {Height}" font-family="sans-serif" font-size="12">""");
        plot.Line($"""<rect width="{Width}" height="{Height}" fill="white"/>""");
        plot.Line($"""<text x="{Left}" y="22" font-size="14" font-weight="bold">{curve.Title}</text>""");
        plot.Grid(curve);
        plot.Series(curve);
        plot.Line($"</svg>");
        return plot._text.ToString();
    }

    private void Grid(Curve curve)
    {
        foreach (var tick in _x.Ticks)
        {
            Line($"""<line x1="{_x.At(tick):0.0}" y1="{Top}" x2="{_x.At(tick):0.0}" y2="{Height - Bottom}" stroke="#ddd"/>""");
            Line($"""<text x="{_x.At(tick):0.0}" y="{Height - Bottom + 16}" text-anchor="middle">{tick:0.####}</text>""");
        }
        foreach (var tick in _y.Ticks)
        {
            Line($"""<line x1="{Left}" y1="{_y.At(tick):0.0}" x2="{Width - Right}" y2="{_y.At(tick):0.0}" stroke="#ddd"/>""");
            Line($"""<text x="{Left - 6}" y="{_y.At(tick) + 4:0.0}" text-anchor="end">{tick:0.####}</text>""");
        }
        Line($"""<text x="{(Left + Width - Right) / 2}" y="{Height - 12}" text-anchor="middle">{curve.X.Label}</text>""");
        Line($"""<text x="16" y="{(Top + Height - Bottom) / 2}" text-anchor="middle" transform="rotate(-90 16 {(Top + Height - Bottom) / 2})">{curve.Y.Label}</text>""");
    }

    private void Series(Curve curve)
    {
        var colour = -1;
        for (var i = 0; i < curve.Series.Count; i++)
        {
            var series = curve.Series[i];
            if (!series.IsCompanion) colour++;
            var stroke = series.IsTheory ? "#666" : s_colours[colour % s_colours.Length];
            var dash = series.IsTheory ? $" stroke-dasharray=\"{6 - (colour % 2 * 4)} 4\"" : series.IsCompanion ? " stroke-dasharray=\"2 3\"" : "";
            var path = string.Join(' ', series.Points.Select(p => string.Create(CultureInfo.InvariantCulture, $"{_x.At(p.X):0.0},{_y.At(p.Y):0.0}")));
            Line($"""<polyline fill="none" stroke="{stroke}" stroke-width="1.5"{dash} points="{path}"/>""");
            if (!series.IsTheory && series.Points.Count <= 20)
            {
                foreach (var (x, y) in series.Points) Line($"""<circle cx="{_x.At(x):0.0}" cy="{_y.At(y):0.0}" r="2.5" fill="{stroke}"/>""");
            }
            var legend = Top + 12 + (i * 18);
            Line($"""<line x1="{Width - Right + 12}" y1="{legend}" x2="{Width - Right + 36}" y2="{legend}" stroke="{stroke}" stroke-width="1.5"{dash}/>""");
            Line($"""<text x="{Width - Right + 42}" y="{legend + 4}">{series.Name}</text>""");
        }
    }

    private void Line(FormattableString line) => _text.Append(line.ToString(CultureInfo.InvariantCulture)).Append('\n');
}

/// <summary>From values to places on an axis, and where its marks are.</summary>
internal sealed class Scale
{
    private const int TickCountMax = 8;

    private readonly bool _isLogarithmic;
    private readonly double _min, _max;
    private readonly double _from, _to;

    public Scale(bool isLogarithmic, double min, double max, double from, double to)
    {
        (_isLogarithmic, _from, _to) = (isLogarithmic, from, to);
        Ticks = isLogarithmic ? LogarithmicTicks(min, max) : LinearTicks(min, max);
        (_min, _max) = (Place(Math.Min(min, Ticks[0])), Place(Math.Max(max, Ticks[^1])));
    }

    /// <summary>Values that are marked, in order.</summary>
    public IReadOnlyList<double> Ticks { get; }

    /// <summary>Where a value is.</summary>
    public double At(double value) => _from + ((_to - _from) * (_max > _min ? (Place(value) - _min) / (_max - _min) : 0));

    private static List<double> LinearTicks(double min, double max)
    {
        var step = 1e-6;
        // 1, 2, 5, 10 and so on, until they are few enough.
        for (var i = 0; (max - min) / step > TickCountMax; i++) step *= i % 3 == 1 ? 2.5 : 2;
        var ticks = new List<double>();
        for (var n = (long)Math.Floor(min / step); ticks.Count == 0 || ticks[^1] < max; n++) ticks.Add(n * step);
        return ticks;
    }

    private static List<double> LogarithmicTicks(double min, double max)
    {
        var ticks = new List<double>();
        var decade = 1e-6;
        while (decade * 10 <= min) decade *= 10;
        for (; decade <= max; decade *= 10)
        {
            foreach (var digit in new[] { 1, 2, 5 })
            {
                if (decade * digit >= min * 0.999 && decade * digit <= max * 1.001) ticks.Add(decade * digit);
            }
        }
        return ticks.Count > 0 ? ticks : [min, max];
    }

    private double Place(double value) => _isLogarithmic ? Logarithm.Base10(value) : value;
}
