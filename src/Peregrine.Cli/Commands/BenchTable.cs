// Results of benchmarks as tables on the terminal, and as files.
using System.Globalization;
using Peregrine.Bench.Results;
using Spectre.Console;

namespace Peregrine.Cli.Commands;

internal static class BenchTable
{
    internal static void Print(BenchResult result)
    {
        if (result.Failure != null)
        {
            Console.WriteLine($"  did not come about: {result.Failure}");
            return;
        }
        var table = new Table().Border(TableBorder.Simple).AddColumn("median of runs");
        foreach (var side in result.Sides) table.AddColumn(new TableColumn(Markup.Escape(side.Name)).RightAligned());
        if (result.Sides.Count > 1) table.AddColumn(new TableColumn("ratio (interval)").RightAligned());
        foreach (var metric in Metric.All)
        {
            var values = result.Sides.Select(metric.MedianOf).ToArray();
            if (values.All(double.IsNaN)) continue;
            List<string> row = [metric.Name, .. values.Select(static v => double.IsNaN(v) ? "-" : v.ToString(v < 100 ? "N2" : "N0", CultureInfo.InvariantCulture))];
            if (result.Sides.Count > 1) row.Add(metric.RatioOf(result.Sides[0], result.Sides[1]).ToString());
            table.AddRow([.. row.Select(Markup.Escape)]);
        }
        AnsiConsole.Write(table);
        Console.WriteLine("  " + string.Join("; ", result.Sides.Where(static side => side.Api.Length > 0).Select(static side => $"{side.Name}: {side.Api}")));
        foreach (var side in result.Sides)
        {
            if (side.Runs.Sum(static run => run.Load.Errors) is > 0 and var errors) Console.WriteLine($"  {side.Name}: {errors} errors");
        }
    }

    internal static void Print(IdleResult result)
    {
        Console.WriteLine($"\n{result.Points[^1].Connections:N0} idle connections between two stacks in memory, per connection and end:");
        foreach (var (what, bytes) in result.PerEnd()) Console.WriteLine(FormattableString.Invariant($"  {bytes,10:N0} B  {what}"));
        if (result.Points.Count > 1) Console.WriteLine(FormattableString.Invariant($"  connections/s: {result.PerSecond(0):N0} the first, {result.PerSecond(result.Points.Count - 1):N0} the last"));
    }

    /// <summary>Writes a file that is there as a whole or not at all: who reads a folder of results while one is measured finds no half of one.</summary>
    internal static async Task WriteAsync(string folder, string name, string text, CancellationToken cancel)
    {
        var path = Path.Combine(folder, name);
        await File.WriteAllTextAsync(path + ".new", text, cancel).ConfigureAwait(false);
        File.Move(path + ".new", path, overwrite: true);
    }
}
