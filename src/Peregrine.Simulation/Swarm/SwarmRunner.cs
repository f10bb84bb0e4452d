// Many seeds, on as many threads as there are processors; each world on one thread. Every thread keeps its memory from world to world.
using System.Globalization;
using System.Text;
using Peregrine.Simulation.Hosts;

namespace Peregrine.Simulation.Swarm;

/// <summary>Which seeds to run, and how.</summary>
internal sealed record SwarmRange
{
    public ulong First { get; init; } = 1;

    public long Count { get; init; } = 1_000;

    /// <summary>Only every so-manieth seed, counted from <see cref="ShardIndex"/>.</summary>
    public int ShardCount { get; init; } = 1;

    public int ShardIndex { get; init; }

    public int ThreadCount { get; init; } = Environment.ProcessorCount;

    /// <summary>So many of a hundred seeds run twice, and their hashes are compared.</summary>
    public int TwicePercent { get; init; } = 2;

    /// <summary>Failures after which no more seeds are begun.</summary>
    public int FailureCountMax { get; init; } = 20;

    public SwarmOptions Options { get; init; } = new();
}

/// <summary>A failing seed.</summary>
internal sealed record SwarmFinding(ulong Seed, string Judge, string Message);

/// <summary>What a run of many seeds came to; reports of shards can be added up.</summary>
internal sealed class SwarmReport
{
    public ulong First { get; set; }

    public long Done { get; set; }

    public long Twice { get; set; }

    public double Seconds { get; set; }

    public List<SwarmFinding> Failures { get; init; } = [];

    public SortedDictionary<string, long> Counters { get; init; } = new(StringComparer.Ordinal);

    public void Add(SwarmReport other)
    {
        Done += other.Done;
        Twice += other.Twice;
        Seconds = Math.Max(Seconds, other.Seconds);
        Failures.AddRange(other.Failures);
        foreach (var (name, count) in other.Counters) Counters[name] = Counters.GetValueOrDefault(name) + count;
    }

    public string Describe()
    {
        var text = new StringBuilder();
        text.AppendLine(CultureInfo.InvariantCulture, $"{Done} seeds, {Failures.Count} failed");
        foreach (var finding in Failures.Take(5))
        {
            text.AppendLine(finding.Message);
            text.AppendLine(CultureInfo.InvariantCulture, $"  again: ./peregrine simulate --seed {finding.Seed} --trace   (or --shrink, or --pcap FILE)");
        }
        if (Failures.Count > 0) text.AppendLine(CultureInfo.InvariantCulture, $"the last frames of seed {Failures[0].Seed}:").Append(SwarmRun.LastFrames(Failures[0].Seed, new SwarmOptions()));
        return text.ToString();
    }
}

internal static class SwarmRunner
{
    /// <summary>Runs a range of seeds; a cancelled run returns what was done until then.</summary>
    public static SwarmReport Run(SwarmRange range, CancellationToken cancel, Action<SwarmReport>? progress = null)
    {
        var total = new SwarmReport { First = range.First };
        var started = System.Diagnostics.Stopwatch.GetTimestamp();
        long next = range.ShardIndex;
        var threads = new Thread[Math.Max(1, range.ThreadCount)];
        for (var i = 0; i < threads.Length; i++)
        {
            threads[i] = new Thread(Work) { IsBackground = true, Name = "swarm" };
            threads[i].Start();
        }
        foreach (var thread in threads) thread.Join();
        total.Seconds = System.Diagnostics.Stopwatch.GetElapsedTime(started).TotalSeconds;
        total.Failures.Sort(static (a, b) => a.Seed.CompareTo(b.Seed));
        return total;

        void Work()
        {
            using var regions = new RegionPool();
            var counters = new SortedDictionary<string, long>(StringComparer.Ordinal);
            while (!cancel.IsCancellationRequested)
            {
                var index = Interlocked.Add(ref next, range.ShardCount) - range.ShardCount;
                if (index >= range.Count) break;
                counters.Clear();
                var part = One(range, range.First + (ulong)index, regions, counters);
                lock (total)
                {
                    total.Add(part);
                    total.Seconds = System.Diagnostics.Stopwatch.GetElapsedTime(started).TotalSeconds;
                    progress?.Invoke(total);
                    if (total.Failures.Count >= range.FailureCountMax) break;
                }
            }
        }
    }

    private static SwarmReport One(SwarmRange range, ulong seed, RegionPool regions, SortedDictionary<string, long> counters)
    {
        var report = new SwarmReport { Done = 1, Counters = counters };
        var result = SwarmRun.Run(seed, range.Options, regions, counters);
        if (result.Failure is { } failure) report.Failures.Add(new SwarmFinding(seed, failure.Judge, failure.Message));
        if (!new SimulationRandom(seed, 99).Percent(range.TwicePercent)) return report;
        report.Twice = 1;
        var again = SwarmRun.Run(seed, range.Options, regions);
        if (again.Hash != result.Hash) report.Failures.Add(new SwarmFinding(seed, "same seed, same run", $"seed {seed}: the second run had another trace hash"));
        return report;
    }
}
