// The figures that are taken from a run: their names, units and which direction is good. The tables, the page and the guard all read them here.
namespace Peregrine.Bench.Results;

/// <summary>A figure of a run.</summary>
/// <param name="Name">What it is, with its unit.</param>
/// <param name="MoreIsBetter">Whether a larger value is the better one.</param>
/// <param name="Of">Takes it from a run; NaN where the run has none.</param>
internal sealed record Metric(string Name, bool MoreIsBetter, Func<BenchRun, double> Of)
{
    internal static readonly Metric Rate = new("operations/s", true, static run => run.Load.Operations > 0 ? run.PerSecond : double.NaN);

    internal static readonly Metric Throughput = new("Gbit/s", true, static run => run.Load.Bytes > 0 ? run.GigabitPerSecond : double.NaN);

    internal static readonly Metric ServerCpu = new("server CPU, us per operation", false, static run => PerOperation(run, run.Server.CpuSeconds * 1e6));

    internal static readonly Metric PerCpuSecond = new("operations per server CPU second", true,
        static run => run.Load.Operations > 0 && run.Server.CpuSeconds > 0 ? run.Load.Operations / run.Server.CpuSeconds : double.NaN);

    internal static readonly Metric MachineCpu = new("machine CPU, us per operation", false, static run => PerOperation(run, run.Server.MachineSeconds * 1e6));

    internal static readonly Metric ServerCpuPerGigabyte = new("server CPU, s per GB", false, static run => PerGigabyte(run, run.Server.CpuSeconds));

    internal static readonly Metric MachineCpuPerGigabyte = new("machine CPU, s per GB", false, static run => PerGigabyte(run, run.Server.MachineSeconds));

    internal static readonly Metric Median = new("p50, us", false, static run => Latency(run, "p50"));

    internal static readonly Metric P99 = new("p99, us", false, static run => Latency(run, "p99"));

    internal static readonly Metric P999 = new("p99.9, us", false, static run => Latency(run, "p99.9"));

    internal static readonly Metric ClientCore = new("client's core busy, %", false, static run => run.Load.ClientCpuSeconds / run.Load.Seconds * 100);

    internal static readonly Metric Allocated = new("allocated, B per operation", false,
        static run => OfOurs(run, run.Server.AllocatedBytes));

    internal static readonly Metric Collections = new("garbage collections a run", false, static run => run.Server.AllocatedBytes < 0 ? double.NaN : run.Server.Collections);

    internal static readonly Metric Frames = new("frames per operation", false, static run => OfOurs(run, run.Server.FramesIn + run.Server.FramesOut));

    internal static readonly Metric SystemCalls = new("link calls per operation", false, static run => OfOurs(run, run.Server.SystemCalls));

    internal static IReadOnlyList<Metric> All { get; } =
    [
        Rate, Throughput, Median, P99, P999, ServerCpu, PerCpuSecond, MachineCpu, ServerCpuPerGigabyte, MachineCpuPerGigabyte, ClientCore, Allocated, Collections, Frames, SystemCalls,
    ];

    /// <summary>The figures that somebody waits or pays for; the rest explains them.</summary>
    internal static IReadOnlyList<Metric> Compared { get; } = [Rate, Throughput, Median, P99, ServerCpu, MachineCpu, ServerCpuPerGigabyte, MachineCpuPerGigabyte];

    internal double MedianOf(BenchSide side) => PairedRatio.MedianOf(side.Runs.Select(Of).Where(double.IsFinite));

    internal PairedRatio RatioOf(BenchSide first, BenchSide second) => PairedRatio.Of([.. first.Runs.Select(Of)], [.. second.Runs.Select(Of)]);

    private static double PerOperation(BenchRun run, double value) => run.Load.Operations > 0 ? value / run.Load.Operations : double.NaN;

    /// <summary>What only our servers count; a peer says nothing of it.</summary>
    private static double OfOurs(BenchRun run, double value) => run.Server.AllocatedBytes < 0 ? double.NaN : PerOperation(run, value);

    private static double PerGigabyte(BenchRun run, double value) => run.Load.Bytes > 0 && run.Load.Operations == 0 ? value / (run.Load.Bytes / 1e9) : double.NaN;

    private static double Latency(BenchRun run, string name) => run.Load.Latency.TryGetValue(name, out var nanoseconds) ? nanoseconds / 1e3 : double.NaN;
}
