// A place where works are measured: it knows who is measured and takes one run at a time; the order of runs and the statistics are above it.
using Peregrine.Bench.Results;

namespace Peregrine.Bench.Lab;

internal abstract class Bed : IAsyncDisposable
{
    /// <summary>The link, as it stands in results.</summary>
    internal abstract string Link { get; }

    /// <summary>Sides: ours, and perhaps a peer.</summary>
    internal abstract IReadOnlyList<(string Name, string Placement)> Sides { get; }

    /// <summary>How a side's program uses its sockets in a work.</summary>
    internal virtual string ApiOf(int side, BenchWork work) => OurApi(work);

    /// <summary>Whether what a run has warmed up is still there in the next.</summary>
    internal virtual bool NeedsWarmUp => true;

    internal abstract Task<BenchRun> RunAsync(int side, BenchWork work, CancellationToken cancel);

    /// <summary>One work in so many rounds; who comes first changes, so that what grows or shrinks over time falls on both.</summary>
    /// <param name="work">The work.</param>
    /// <param name="pairs">Runs of each side.</param>
    /// <param name="progress">Called after each run.</param>
    /// <param name="cancel">Ends it.</param>
    internal async Task<BenchResult> MeasureAsync(BenchWork work, int pairs, Action<string> progress, CancellationToken cancel)
    {
        work.Validate();
        var machine = MachineDescription.Read();
        var runs = Sides.Select(static _ => new List<BenchRun>()).ToArray();
        for (int side = 0, least = 0; NeedsWarmUp && side < runs.Length; side++) least = await WarmUpAsync(side, work, least, cancel).ConfigureAwait(false);
        for (var pair = 0; pair < pairs; pair++)
        {
            for (var i = 0; i < runs.Length; i++)
            {
                var side = pair % 2 == 0 ? i : runs.Length - 1 - i;
                var run = await RunAsync(side, work, cancel).ConfigureAwait(false);
                runs[side].Add(run);
                progress($"{Sides[side].Name}: {Figure(run)}");
            }
        }
        return new BenchResult
        {
            Title = work.Title,
            Link = Link,
            Peer = Sides.Count > 1 ? Sides[1].Name : null,
            Work = work,
            Machine = machine,
            At = DateTimeOffset.UtcNow,
            Sides = [.. Sides.Select((side, i) => new BenchSide(side.Name, side.Placement, runs[i]) { Api = ApiOf(i, work) })],
        };
    }

    public abstract ValueTask DisposeAsync();

    /// <summary>
    /// The first runs of each side compile, compile again what turned out to be used, fill caches and learn neighbours. They are thrown away until two
    /// in turn are hardly better than the best before them and nothing was compiled: a server that spins leaves the compiler little time. A peer, of
    /// which nobody knows what it compiles, has at least as many.
    /// </summary>
    private async Task<int> WarmUpAsync(int side, BenchWork work, int least, CancellationToken cancel)
    {
        var warm = new WarmUp(least);
        do
        {
            var run = await RunAsync(side, work with { Seconds = Math.Min(work.Seconds, 0.5) }, cancel).ConfigureAwait(false);
            warm.Add(work.IsBulk ? run.GigabitPerSecond : run.PerSecond, run.Load.CompiledMethods + run.Server.CompiledMethods);
        }
        while (!warm.IsOver);
        return warm.Count;
    }

    /// <summary>The interface that our servers take for a work.</summary>
    protected static string OurApi(BenchWork work) => work.Kestrel ? "ASP.NET Core" : work.IsUdp || work.Await ? "await" : "call-backs with spans";

    private static string Figure(BenchRun run) => run.Load.Operations > 0
        ? FormattableString.Invariant($"{run.PerSecond:N0}/s, p50 {Metric.Median.Of(run):F1} us, p99 {Metric.P99.Of(run):F1} us{(run.Load.Errors > 0 ? $", {run.Load.Errors} errors" : "")}")
        : FormattableString.Invariant($"{run.GigabitPerSecond:F2} Gbit/s");
}
