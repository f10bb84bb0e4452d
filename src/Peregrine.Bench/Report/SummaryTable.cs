// Every result in a row: what was measured, on which link, by which interface, against whom, and what came of it; those that did not come about
// with the reason. The plots and all figures come after it.
using System.Globalization;
using System.Text;
using Peregrine.Bench.Results;

namespace Peregrine.Bench.Report;

internal static class SummaryTable
{
    internal static string Create(IReadOnlyList<BenchResult> results)
    {
        if (results.Count == 0) return "";
        var text = new StringBuilder("<h2>All works</h2><table class=\"all\"><tr><th>work</th><th>link</th><th>interface</th><th></th><th>beside</th><th></th><th>ratio (interval)</th>");
        text.Append("<th>server CPU</th><th>machine CPU</th><th>p50</th><th>p99</th></tr>");
        foreach (var result in results) text.Append(result.Failure == null ? Row(result) : FailedRow(result));
        return text.Append("</table><p class=\"note\">The last four columns are per operation, or per byte of bulk data: ratios where somebody is beside, and below 1 is better.</p>").ToString();
    }

    private static string FailedRow(BenchResult result) => string.Create(CultureInfo.InvariantCulture,
        $"<tr><td>{Svg.Escape(result.Title)}</td><td>{Svg.Escape(result.Link)}</td><td></td><td></td><td>{Svg.Escape(result.Peer ?? "")}</td><td colspan=\"6\">did not come about: {Svg.Escape(result.Failure!)}</td></tr>");

    private static string Row(BenchResult result)
    {
        var metric = result.Work.IsBulk ? Metric.Throughput : Metric.Rate;
        var (ours, other) = (result.Sides[0], result.Sides.Count > 1 ? result.Sides[1] : null);
        var text = new StringBuilder("<tr>");
        void Words(string content) => text.Append("<td>").Append(Svg.Escape(content)).Append("</td>");
        void Number(string content) => text.Append("<td class=\"n\">").Append(Svg.Escape(content)).Append("</td>");
        Words(result.Title);
        Words(result.Link);
        Words(ours.Api);
        Number(Figure(metric, ours));
        Words(other == null ? "" : other.Api.Length > 0 ? $"{other.Name}: {other.Api}" : other.Name);
        Number(other == null ? "" : Figure(metric, other));
        Number(other == null ? "" : RatioAndVerdict(metric, metric.RatioOf(ours, other)));
        Metric[] last = result.Work.IsBulk ? [Metric.ServerCpuPerGigabyte, Metric.MachineCpuPerGigabyte] : [Metric.ServerCpu, Metric.MachineCpu];
        // A core that spins is busy whatever it does: its processor time says the rate once more.
        foreach (var cpu in last) Number(result.Work.Spin ? "" : Cost(cpu, ours, other, result.Work.IsBulk ? "s/GB" : "us"));
        foreach (var latency in (Metric[])[Metric.Median, Metric.P99]) Number(Cost(latency, ours, other, "us"));
        return text.Append("</tr>").ToString();
    }

    private static string RatioAndVerdict(Metric metric, PairedRatio ratio) => double.IsNaN(ratio.Median) ? "" : $"{ratio} {HtmlReport.Verdict(metric, ratio)}";

    private static string Cost(Metric metric, BenchSide ours, BenchSide? other, string unit)
    {
        var value = other == null ? metric.MedianOf(ours) : metric.RatioOf(ours, other).Median;
        return double.IsNaN(value) ? "" : string.Create(CultureInfo.InvariantCulture, $"{value:N2}{(other == null ? " " + unit : "")}");
    }

    private static string Figure(Metric metric, BenchSide side)
    {
        var (value, errors) = (metric.MedianOf(side), side.Runs.Sum(static run => run.Load.Errors));
        if (double.IsNaN(value)) return "";
        var text = value.ToString(value < 100 ? "N2" : "N0", CultureInfo.InvariantCulture) + (metric == Metric.Rate ? "/s" : " Gbit/s");
        return errors > 0 ? string.Create(CultureInfo.InvariantCulture, $"{text}, {errors} errors") : text;
    }
}
