// "peregrine bench all": the plan, how far it is, and the page at the end. What fails is in the page with its reason, and in the status.
using System.Diagnostics;
using Peregrine.Bench.Lab;
using Peregrine.Bench.Results;

namespace Peregrine.Cli.Commands;

internal static class BenchSuite
{
    // Two minutes less than what the suite is meant to take.
    private const double BudgetSeconds = 28 * 60, QuickBudgetSeconds = 4.5 * 60;

    // Connections that are opened a second on a slow machine, and what full collections take.
    private const double IdleAMillionSeconds = 60;

    /// <summary>Measures the parts and idle connections, and writes the page.</summary>
    /// <returns>0, or 1 when something did not come about.</returns>
    internal static async Task<int> RunAsync(IReadOnlyList<SuitePart> parts, bool quick, int idle, string output, CancellationToken cancel)
    {
        Directory.CreateDirectory(output);
        var watch = Stopwatch.StartNew();
        var run = Create(parts, quick ? QuickBudgetSeconds : BudgetSeconds, 5 + (idle / 1e6 * IdleAMillionSeconds), output, static _ => { }, cancel);
        List<string> failures = [.. await run.RunAsync(cancel).ConfigureAwait(false)];
        Console.WriteLine($"\n[the last, about {Minutes(idle / 1e6 * IdleAMillionSeconds)} left] {idle:N0} idle connections");
        try
        {
            var result = await IdleBench.RunAsync(idle, run.OnRun, cancel).ConfigureAwait(false);
            BenchTable.Print(result);
            await BenchTable.WriteAsync(output, "idle.json", result.ToJson(), cancel).ConfigureAwait(false);
        }
        catch (Exception e) when (!cancel.IsCancellationRequested)
        {
            failures.Add($"{idle:N0} idle connections: {e.Message}");
        }
        var page = Path.Combine(output, "report.html");
        ReportCommand.Write([output], page);
        Console.WriteLine($"\n{page} after {Minutes(watch.Elapsed.TotalSeconds)}");
        if (failures.Count > 0) Console.WriteLine($"{failures.Count} did not come about:\n  " + string.Join("\n  ", failures));
        return failures.Count == 0 ? 0 : 1;
    }

    /// <summary>Two builds in turns.</summary>
    /// <returns>0; 1 when this one got slower by more than noise, 2 when something could not be compared.</returns>
    internal static async Task<int> GuardAsync(SuitePart part, string? output, CancellationToken cancel)
    {
        var slower = new List<string>();
        var run = Create([part], double.PositiveInfinity, 0, output, result => slower.AddRange(Guard.Regressions(result)), cancel);
        var failures = await run.RunAsync(cancel).ConfigureAwait(false);
        Console.WriteLine(slower.Count == 0 ? "\nnothing got slower by more than noise" : "\nslower:\n  " + string.Join("\n  ", slower));
        if (failures.Count > 0) Console.WriteLine($"{failures.Count} could not be compared:\n  " + string.Join("\n  ", failures));
        return slower.Count > 0 ? 1 : failures.Count > 0 ? 2 : 0;
    }

    private static SuiteRun Create(IReadOnlyList<SuitePart> parts, double budget, double after, string? output, Action<BenchResult> onResult, CancellationToken cancel) => new(parts, budget, after)
    {
        OnWork = static step => Console.WriteLine(FormattableString.Invariant(
            $"\n[{step.Number} of {step.Count}, about {Minutes(step.SecondsLeft)} left] {step.Work.Title}; {step.Part.Link}{Beside(step.Part)}; {step.Pairs} runs of {step.Work.Seconds} s each side")),
        OnRun = static line => Console.Error.WriteLine("  " + line),
        OnResult = async result =>
        {
            BenchTable.Print(result);
            onResult(result);
            if (output != null) await BenchTable.WriteAsync(output, result.FileName, result.ToJson(), cancel).ConfigureAwait(false);
        },
    };

    private static string Beside(SuitePart part) => part.Peer.Length > 0 ? $", beside {part.Peer}" : "";

    private static string Minutes(double seconds) => FormattableString.Invariant($"{Math.Floor(seconds / 60):0} min {seconds % 60:00} s");
}
