// Idle connections on the page: what one costs, and how memory and the rate of opening go with their number.
using System.Globalization;
using System.Text;
using Peregrine.Bench.Results;

namespace Peregrine.Bench.Report;

internal static class IdleSection
{
    internal static string Create(IdleResult result)
    {
        var text = new StringBuilder();
        text.Append(CultureInfo.InvariantCulture,
            $"<h2>idle, {result.Points[^1].Connections:N0} connections</h2><p class=\"note\">Between two stacks of ours in memory, in one process; load before {result.Machine.LoadBefore:F1}.</p>");
        text.Append("<table><tr><th>per connection and end</th><th>bytes</th></tr>");
        foreach (var (what, bytes) in result.PerEnd()) text.Append(CultureInfo.InvariantCulture, $"<tr><td>{Svg.Escape(what)}</td><td>{bytes:N0}</td></tr>");
        text.Append("</table><table><tr><th>connections open</th><th>resident, MiB</th><th>of these managed</th><th>bytes per end</th><th>opened a second</th></tr>");
        for (var i = 0; i < result.Points.Count; i++)
        {
            var point = result.Points[i];
            text.Append(CultureInfo.InvariantCulture,
                $"<tr><td>{point.Connections:N0}</td><td>{point.ResidentBytes >> 20:N0}</td><td>{point.ManagedBytes >> 20:N0}</td><td>{point.ResidentBytes / (2.0 * point.Connections):N0}</td><td>{result.PerSecond(i):N0}</td></tr>");
        }
        return text.Append("</table>").Append(Plot(result)).ToString();
    }

    private static string Plot(IdleResult result)
    {
        const int Width = 600, Height = 200, Left = 80, Bottom = 160;
        var (connections, bytes) = (result.Points[^1].Connections, Math.Max(1, result.Points.Max(static point => point.ResidentBytes)));
        var svg = new Svg(Width, Height);
        HtmlReport.Frame(svg, Left, Bottom, Width - 20);
        double X(IdlePoint point) => Left + ((double)point.Connections / connections * (Width - 30 - Left));
        double Y(IdlePoint point) => Bottom - ((double)Math.Max(0, point.ResidentBytes) / bytes * (Bottom - 20));
        var points = result.Points.Select(point => (X: X(point), Y: Y(point))).ToArray();
        svg.Path(points, "line0");
        foreach (var (x, y) in points) svg.Mark(x, y, 0);
        svg.Text(Left - 6, 26, string.Create(CultureInfo.InvariantCulture, $"{bytes >> 20:N0} MiB"), "end");
        svg.Text(Left - 6, Bottom + 4, "0", "end");
        svg.Text(Width - 20, Bottom + 18, connections.ToString("N0", CultureInfo.InvariantCulture), "end");
        return $"<h3>Resident memory by connections</h3>{svg}";
    }
}
