// "bench all" in motion: its parts one after another. What fails is a row of the report with its reason and ends nothing else; how much time is
// left is said before each work, and where it would not be enough the rest has fewer runs.
using System.Diagnostics;
using Peregrine.Bench.Results;

namespace Peregrine.Bench.Lab;

/// <summary>Works that are measured on one bed.</summary>
/// <param name="Link">The link, for a row that fails before there is a bed.</param>
/// <param name="Peer">Who is beside ours; empty for nobody.</param>
/// <param name="Create">Makes the bed; anew after a failure, for nobody knows what it left.</param>
/// <param name="Pairs">Runs of each side.</param>
/// <param name="Works">The works.</param>
internal sealed record SuitePart(string Link, string Peer, Func<Bed> Create, int Pairs, IReadOnlyList<BenchWork> Works)
{
    private const double SecondsABed = 4, SecondsAWork = 1, SecondsARun = 0.15;
    private const int WarmUpRuns = 5;

    private int Sides => Peer.Length > 0 ? 2 : 1;

    /// <summary>About how long a work takes, before anything is known of the machine.</summary>
    internal double SecondsOf(BenchWork work, int pairs) => SecondsAWork + (Sides * (
        (pairs * (work.Seconds + work.WarmUpSeconds + SecondsARun)) + (WarmUpRuns * (Math.Min(work.Seconds, 0.5) + work.WarmUpSeconds))));

    /// <summary>About how long the works from one on take.</summary>
    internal double SecondsFrom(int work, int pairsMax) => SecondsABed + Works.Skip(work).Sum(one => SecondsOf(one, Math.Min(Pairs, pairsMax)));
}

/// <param name="parts">What is to be measured.</param>
/// <param name="budgetSeconds">The time that all of it may take.</param>
/// <param name="afterSeconds">Of that, what follows the parts.</param>
internal sealed class SuiteRun(IReadOnlyList<SuitePart> parts, double budgetSeconds, double afterSeconds)
{
    /// <summary>Runs of each side that an interval needs.</summary>
    internal const int FewPairs = 5;

    // A peer that is not there, or a link that this machine refuses, fails every work: each after its time-out.
    private const int FailuresInARowMax = 2;

    private readonly List<string> _failures = [];
    private readonly Stopwatch _watch = Stopwatch.StartNew();
    private double _planned, _spent;
    private int _done;

    /// <summary>Called before a work.</summary>
    internal required Action<SuiteStep> OnWork { get; init; }

    /// <summary>Called with each result, failed ones too.</summary>
    internal required Func<BenchResult, Task> OnResult { get; init; }

    /// <summary>Called after each run.</summary>
    internal Action<string> OnRun { get; init; } = static _ => { };

    /// <summary>Measures everything.</summary>
    /// <returns>A line for each work that did not come about.</returns>
    internal async Task<IReadOnlyList<string>> RunAsync(CancellationToken cancel)
    {
        for (var part = 0; part < parts.Count; part++) await PartAsync(part, cancel).ConfigureAwait(false);
        return _failures;
    }

    private async Task PartAsync(int index, CancellationToken cancel)
    {
        var part = parts[index];
        Bed? bed = null;
        var (inARow, last) = (0, "");
        try
        {
            for (var i = 0; i < part.Works.Count; i++)
            {
                cancel.ThrowIfCancellationRequested();
                var (work, pairs) = (part.Works[i], PairsOf(index, i));
                OnWork(new SuiteStep(++_done, parts.Sum(static one => one.Works.Count), Left(index, i, pairs < part.Pairs ? FewPairs : int.MaxValue), part, work, pairs));
                if (inARow == FailuresInARowMax)
                {
                    await FailAsync(part, work, $"not tried, after {inARow} failures in turn: {last}").ConfigureAwait(false);
                    continue;
                }
                var began = _watch.Elapsed;
                try
                {
                    bed ??= part.Create();
                    await OnResult(await bed.MeasureAsync(work, pairs, OnRun, cancel).ConfigureAwait(false)).ConfigureAwait(false);
                    inARow = 0;
                    _planned += part.SecondsOf(work, pairs);
                    _spent += (_watch.Elapsed - began).TotalSeconds;
                }
                catch (IOException) when (cancel.IsCancellationRequested)
                {
                    // Ctrl-C reaches the helpers too: that they ended is no failure of theirs.
                    throw new OperationCanceledException(cancel);
                }
                catch (Exception e) when (!cancel.IsCancellationRequested)
                {
                    (inARow, last) = (inARow + 1, e.Message);
                    await FailAsync(part, work, e.Message).ConfigureAwait(false);
                    var failed = bed;
                    bed = null;
                    await EndAsync(failed).ConfigureAwait(false);
                    // And perhaps earlier than us.
                    await Task.Delay(200, cancel).ConfigureAwait(false);
                }
            }
        }
        finally
        {
            await EndAsync(bed).ConfigureAwait(false);
        }
    }

    /// <summary>The runs of a work: as planned while there is time, else as few as an interval needs.</summary>
    private int PairsOf(int part, int work) =>
        _watch.Elapsed.TotalSeconds + Left(part, work, int.MaxValue) > budgetSeconds ? Math.Min(parts[part].Pairs, FewPairs) : parts[part].Pairs;

    /// <summary>Seconds that the works from one on take, at the pace so far.</summary>
    private double Left(int part, int work, int pairsMax)
    {
        var left = parts[part].SecondsFrom(work, pairsMax) + parts.Skip(part + 1).Sum(one => one.SecondsFrom(0, pairsMax));
        return (left * (_planned > 0 ? _spent / _planned : 1)) + afterSeconds;
    }

    private async Task FailAsync(SuitePart part, BenchWork work, string reason)
    {
        _failures.Add($"{work.Title}; {part.Link}{(part.Peer.Length > 0 ? $", beside {part.Peer}" : "")}: {reason}");
        await OnResult(BenchResult.Failed(work, part.Link, part.Peer, reason)).ConfigureAwait(false);
    }

    private async Task EndAsync(Bed? bed)
    {
        if (bed == null) return;
        try
        {
            await bed.DisposeAsync().ConfigureAwait(false);
        }
        catch (Exception e) when (e is IOException or InvalidOperationException or UnauthorizedAccessException)
        {
            OnRun($"something may be left of {bed.Link}: {e.Message}");
        }
    }
}

/// <summary>Where a suite is.</summary>
internal sealed record SuiteStep(int Number, int Count, double SecondsLeft, SuitePart Part, BenchWork Work, int Pairs);
