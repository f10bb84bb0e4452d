// What a load generator saw in one run, as one line of JSON between processes, and how it counts latencies.
using HdrHistogram;

namespace Peregrine.Bench.Load;

/// <summary>One run's outcome, as the client saw it.</summary>
internal sealed record LoadResult
{
    public double Seconds { get; init; }

    /// <summary>Answers that were complete within the measured time; for bulk data segments do not count, bytes do.</summary>
    public long Operations { get; init; }

    /// <summary>Connections that failed or ended early, datagrams without an answer.</summary>
    public long Errors { get; init; }

    /// <summary>Bytes of bulk data moved.</summary>
    public long Bytes { get; init; }

    /// <summary>Processor seconds of the client's thread.</summary>
    public double ClientCpuSeconds { get; init; }

    /// <summary>Methods that the client's process compiled meanwhile: where there are some, it was not warm yet.</summary>
    public long CompiledMethods { get; init; }

    /// <summary>Arrivals that were due and had not begun at the end; an open loop that is offered too much leaves some.</summary>
    public long Unstarted { get; init; }

    /// <summary>Nanoseconds by percentile.</summary>
    public IReadOnlyDictionary<string, double> Latency { get; init; } = new Dictionary<string, double>();
}

/// <summary>Latencies of one run: from the scheduled or real start of a request to the end of its answer.</summary>
internal sealed class Latencies
{
    /// <summary>The percentiles that results carry.</summary>
    internal static readonly double[] Percentiles = [50, 90, 99, 99.9, 100];

    private const long NanosecondsMax = 100_000_000_000;

    // Three digits: what a plot can show, and 2 MB at most.
    private readonly LongHistogram _histogram = new(1, NanosecondsMax, 3);

    internal long Count => _histogram.TotalCount;

    internal void Add(long nanoseconds) => _histogram.RecordValue(Math.Clamp(nanoseconds, 1, NanosecondsMax));

    internal void Clear() => _histogram.Reset();

    /// <summary>Nanoseconds by percentile, named "p50" to "max"; empty when nothing was measured.</summary>
    internal IReadOnlyDictionary<string, double> Summary() => Count == 0
        ? new Dictionary<string, double>()
        : Percentiles.ToDictionary(NameOf, percentile => (double)_histogram.GetValueAtPercentile(percentile));

    internal static string NameOf(double percentile) => percentile >= 100 ? "max" : FormattableString.Invariant($"p{percentile}");
}
