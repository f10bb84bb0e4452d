// One page from many results, with nothing outside it: no script, no font, no picture from elsewhere. First all ratios at a glance, then each
// work with its table, its runs and its latencies. Better and worse are said in words, since the page must be readable without colours.
using System.Globalization;
using System.Text;
using Peregrine.Bench.Results;

namespace Peregrine.Bench.Report;

internal static class HtmlReport
{
    private const string Style = """
        body{font:15px/1.45 system-ui,sans-serif;max-width:76em;margin:2em auto;padding:0 1em;color:#111;background:#fff}
        table{border-collapse:collapse;margin:.5em 0 1em}td,th{padding:.2em .8em;border-bottom:1px solid #bbb;text-align:right}td:first-child,th:first-child{text-align:left}
        svg{max-width:100%;height:auto;display:block}h2{margin-top:2em;border-top:1px solid #bbb;padding-top:.8em}.note{color:#444}
        .label{font:12px system-ui,sans-serif;fill:#111}.axis{stroke:#999;stroke-width:1}.one{stroke:#111;stroke-width:1.5}.grid{stroke:#ddd;stroke-width:1}
        .all td{text-align:left;font-size:13px;padding:.15em .5em}.all .n{text-align:right}
        .interval{stroke:#111;stroke-width:2}.first{fill:#111;stroke:#111}.second{fill:#fff;stroke:#111;stroke-width:1.5}
        .line0{fill:none;stroke:#111;stroke-width:2}.line1{fill:none;stroke:#111;stroke-width:2;stroke-dasharray:6 4}
        """;

    /// <summary>The page.</summary>
    internal static string Create(IReadOnlyList<BenchResult> all, IReadOnlyList<IdleResult> idle)
    {
        var results = all.Where(static r => r.Failure == null).ToArray();
        var page = new StringBuilder();
        page.Append("<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>Peregrine: measurements</title><style>").Append(Style).Append("</style></head><body><h1>Measurements</h1>");
        foreach (var machine in all.Select(static r => r.Machine).Concat(idle.Select(static r => r.Machine)).Select(static m => m with { LoadBefore = 0 }).Distinct())
        {
            page.Append(CultureInfo.InvariantCulture,
                $"<p>{Svg.Escape(machine.Processor)}, {machine.ProcessorCount} processors ({machine.Architecture}), {machine.MemoryBytes >> 30} GiB; {Svg.Escape(machine.Kernel)}; {Svg.Escape(machine.Runtime)}.</p>");
        }
        page.Append("<p class=\"note\">Medians of runs that alternate between the sides. A ratio is the median of the pairs' ratios, the first side by the second, and its interval is made of order "
            + "statistics: nothing is assumed about distributions. Where the client's core is full the rate says little about a server; then the processor time an operation counts. "
            + "Both ends use CUBIC; checksums and offloads are the devices' defaults on both, unless a side says otherwise. Processor times of a side that spins say nothing but its rate again: where they count, both sides block.</p>");
        page.Append(SummaryTable.Create(all));
        var paired = results.Where(static r => r.Sides.Count > 1).ToArray();
        if (paired.Length > 0)
        {
            page.Append("<h2>At a glance</h2>");
            foreach (var metric in (Metric[])[Metric.Rate, Metric.Throughput, Metric.ServerCpu, Metric.MachineCpu, Metric.Median, Metric.P99]) page.Append(Overview(paired, metric));
        }
        foreach (var result in results) page.Append(Section(result));
        foreach (var result in idle) page.Append(IdleSection.Create(result));
        return page.Append("</body></html>\n").ToString();
    }

    private static string Overview(BenchResult[] results, Metric metric)
    {
        var rows = results.Select(r => (r.Title, r.Link, Peer: r.Sides[1].Name, Ratio: metric.RatioOf(r.Sides[0], r.Sides[1]))).Where(static row => double.IsFinite(row.Ratio.Median)).ToArray();
        if (rows.Length == 0) return "";
        const int Width = 1_100, Left = 590, Row = 24;
        var svg = new Svg(Width, (rows.Length * Row) + 40);
        var axis = LogAxis.Over(rows.SelectMany(static r => (double[])[r.Ratio.Low, r.Ratio.High, 1]), Left, Width - 130);
        foreach (var tick in axis.Ticks())
        {
            svg.Line(axis.At(tick), 8, axis.At(tick), (rows.Length * Row) + 14, tick == 1 ? "one" : "grid");
            svg.Text(axis.At(tick), (rows.Length * Row) + 30, tick.ToString(CultureInfo.InvariantCulture), "middle");
        }
        for (var i = 0; i < rows.Length; i++)
        {
            var (y, ratio) = ((i * Row) + 22, rows[i].Ratio);
            svg.Text(Left - 10, y + 4, $"{rows[i].Title} / {rows[i].Peer}; {rows[i].Link}", "end");
            svg.Line(axis.At(ratio.Low), y, axis.At(ratio.High), y, "interval");
            svg.Mark(axis.At(ratio.Median), y, 0);
            svg.Text(Width - 120, y + 4, FormattableString.Invariant($"{ratio.Median:F2} {Verdict(metric, ratio)}"));
        }
        return $"<h3>Ratio of {Svg.Escape(metric.Name)}: {(metric.MoreIsBetter ? "above 1 is better" : "below 1 is better")}</h3>{svg}";
    }

    /// <summary>What a ratio means, in a word.</summary>
    internal static string Verdict(Metric metric, PairedRatio ratio) => !ratio.IsClear ? "within noise" : ratio.Median > 1 == metric.MoreIsBetter ? "better" : "worse";

    private static string Section(BenchResult result)
    {
        var text = new StringBuilder();
        text.Append(CultureInfo.InvariantCulture, $"<h2>{Svg.Escape(result.Title)}{(result.Sides.Count > 1 ? Svg.Escape(" / " + result.Sides[1].Name) : "")}</h2><p class=\"note\">{Svg.Escape(result.Link)}; {result.Sides[0].Runs.Count} runs of {result.Work.Seconds} s each side; load before {result.Machine.LoadBefore:F1}. ");
        text.AppendJoin(" ", result.Sides.Select(static side => Svg.Escape($"{side.Name}: {(side.Api.Length > 0 ? side.Api + "; " : "")}{side.Placement}."))).Append("</p>");
        text.Append("<table><tr><th>median of runs</th>");
        foreach (var side in result.Sides) text.Append(CultureInfo.InvariantCulture, $"<th>{Svg.Escape(side.Name)}</th>");
        text.Append(result.Sides.Count > 1 ? "<th>ratio (interval)</th><th></th></tr>" : "</tr>");
        foreach (var metric in Metric.All)
        {
            var values = result.Sides.Select(metric.MedianOf).ToArray();
            if (values.All(double.IsNaN)) continue;
            text.Append("<tr><td>").Append(Svg.Escape(metric.Name)).Append("</td>");
            foreach (var value in values) text.Append("<td>").Append(double.IsNaN(value) ? "" : value.ToString(value < 100 ? "N2" : "N0", CultureInfo.InvariantCulture)).Append("</td>");
            if (result.Sides.Count > 1)
            {
                var ratio = metric.RatioOf(result.Sides[0], result.Sides[1]);
                text.Append("<td>").Append(ratio).Append("</td><td>").Append(Metric.Compared.Contains(metric) && double.IsFinite(ratio.Median) ? Verdict(metric, ratio) : "").Append("</td>");
            }
            text.Append("</tr>");
        }
        text.Append("</table>").Append(Runs(result)).Append(Percentiles(result));
        return text.ToString();
    }

    /// <summary>Every run, in the order of time: what a median hides.</summary>
    private static string Runs(BenchResult result)
    {
        var metric = result.Work.IsBulk ? Metric.Throughput : Metric.Rate;
        const int Width = 600, Height = 190, Left = 70, Bottom = 150;
        var all = result.Sides.SelectMany(side => side.Runs.Select(metric.Of)).Where(double.IsFinite).DefaultIfEmpty(1).Max();
        var svg = new Svg(Width, Height);
        Frame(svg, Left, Bottom, Width - 20);
        for (var side = 0; side < result.Sides.Count; side++)
        {
            var runs = result.Sides[side].Runs;
            var points = runs.Select((run, i) => (X: Left + ((i + 0.5) * (Width - 20 - Left) / runs.Count), Y: Bottom - ((Bottom - 20) * Finite(metric.Of(run)) / all))).ToArray();
            svg.Path(points, $"line{side}");
            foreach (var (x, y) in points) svg.Mark(x, y, side);
            Legend(svg, result, side, Left, Height);
        }
        svg.Text(Left - 6, 26, all.ToString(all < 100 ? "F1" : "N0", CultureInfo.InvariantCulture), "end");
        svg.Text(Left - 6, Bottom + 4, "0", "end");
        return $"<h3>Runs, {Svg.Escape(metric.Name)}</h3>{svg}";
    }

    private static string Percentiles(BenchResult result)
    {
        var names = Load.Latencies.Percentiles.Select(Load.Latencies.NameOf).ToArray();
        var medians = result.Sides.Select(side => names.Select(name => MedianLatency(side, name)).ToArray()).ToArray();
        if (medians.All(static side => side.All(double.IsNaN))) return "";
        const int Width = 600, Height = 240, Left = 70, Bottom = 180;
        var axis = LogAxis.Over(medians.SelectMany(static m => m), Bottom, 20);
        var svg = new Svg(Width, Height);
        Frame(svg, Left, Bottom, Width - 20);
        foreach (var tick in axis.Ticks())
        {
            svg.Line(Left, axis.At(tick), Width - 20, axis.At(tick), "grid");
            svg.Text(Left - 6, axis.At(tick) + 4, tick.ToString("#,0.#####", CultureInfo.InvariantCulture), "end");
        }
        double X(int i) => Left + ((i + 0.5) * (Width - 20 - Left) / names.Length);
        for (var i = 0; i < names.Length; i++) svg.Text(X(i), Bottom + 18, names[i], "middle");
        for (var side = 0; side < medians.Length; side++)
        {
            var points = medians[side].Select((value, i) => (X: X(i), Value: value)).Where(static p => double.IsFinite(p.Value)).Select(p => (p.X, Y: axis.At(p.Value))).ToArray();
            svg.Path(points, $"line{side}");
            foreach (var (x, y) in points) svg.Mark(x, y, side);
            Legend(svg, result, side, Left, Height);
        }
        return $"<h3>Latency, microseconds by percentile</h3>{svg}";
    }

    private static double MedianLatency(BenchSide side, string name) =>
        PairedRatio.MedianOf(side.Runs.Where(run => run.Load.Latency.ContainsKey(name)).Select(run => run.Load.Latency[name] / 1e3));

    internal static void Frame(Svg svg, double left, double bottom, double right)
    {
        svg.Line(left, bottom, right, bottom, "axis");
        svg.Line(left, 14, left, bottom, "axis");
    }

    private static void Legend(Svg svg, BenchResult result, int side, int left, int height)
    {
        var x = left + (side * 220);
        svg.Path([(x, height - 14), (x + 40, height - 14)], $"line{side}");
        svg.Mark(x + 20, height - 14, side);
        svg.Text(x + 50, height - 10, result.Sides[side].Name);
    }

    private static double Finite(double value) => double.IsFinite(value) ? value : 0;
}
