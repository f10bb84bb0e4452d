// Plots as SVG text: dots, intervals and lines on linear or logarithmic axes. Sides differ by shape and dash, never by colour alone, so that a
// page printed in black says the same.
using System.Globalization;
using System.Text;

namespace Peregrine.Bench.Report;

internal sealed class Svg(int width, int height)
{
    private readonly StringBuilder _body = new();

    /// <summary>Text as XML and HTML want it.</summary>
    internal static string Escape(string text) => System.Net.WebUtility.HtmlEncode(text);

    internal void Line(double x1, double y1, double x2, double y2, string style) =>
        Append($"<line x1=\"{x1:F1}\" y1=\"{y1:F1}\" x2=\"{x2:F1}\" y2=\"{y2:F1}\" class=\"{style}\"/>");

    internal void Text(double x, double y, string text, string anchor = "start", string style = "label") =>
        Append($"<text x=\"{x:F1}\" y=\"{y:F1}\" text-anchor=\"{anchor}\" class=\"{style}\">{Escape(text)}</text>");

    internal void Path(IEnumerable<(double X, double Y)> points, string style) =>
        Append($"<polyline points=\"{string.Join(' ', points.Select(static p => string.Create(CultureInfo.InvariantCulture, $"{p.X:F1},{p.Y:F1}")))}\" class=\"{style}\"/>");

    /// <summary>A mark for a side: the first has filled circles, the second open squares.</summary>
    internal void Mark(double x, double y, int side, double size = 4)
    {
        if (side == 0) Append($"<circle cx=\"{x:F1}\" cy=\"{y:F1}\" r=\"{size:F1}\" class=\"first\"/>");
        else Append($"<rect x=\"{x - size:F1}\" y=\"{y - size:F1}\" width=\"{2 * size:F1}\" height=\"{2 * size:F1}\" class=\"second\"/>");
    }

    public override string ToString() =>
        string.Create(CultureInfo.InvariantCulture, $"<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" role=\"img\">{_body}</svg>");

    private void Append(FormattableString text) => _body.AppendLine(text.ToString(CultureInfo.InvariantCulture));
}

/// <summary>From values to places on a logarithmic axis.</summary>
internal readonly record struct LogAxis(double Min, double Max, double From, double To)
{
    /// <summary>An axis that holds all values, with a little room at both ends.</summary>
    internal static LogAxis Over(IEnumerable<double> values, double from, double to)
    {
        var all = values.Where(static v => v > 0 && double.IsFinite(v)).ToArray();
        if (all.Length == 0) return new LogAxis(0.1, 10, from, to);
        const double Room = 1.15;
        return new LogAxis(all.Min() / Room, all.Max() * Room, from, to);
    }

    internal double At(double value) => From + ((To - From) * (Math.Log(Math.Clamp(value, Min, Max)) - Math.Log(Min)) / (Math.Log(Max) - Math.Log(Min)));

    /// <summary>Round values for ticks: 1, 2 and 5 times powers of ten.</summary>
    internal IEnumerable<double> Ticks()
    {
        for (var power = Math.Floor(Math.Log10(Min)); power <= Math.Ceiling(Math.Log10(Max)); power++)
        {
            foreach (var digit in (int[])[1, 2, 5])
            {
                var value = digit * Math.Pow(10, power);
                if (value >= Min && value <= Max) yield return value;
            }
        }
    }
}
