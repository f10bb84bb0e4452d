// The curves that are kept in docs/curves. A new congestion control is a name here; a new curve is a line.
using Peregrine.Simulation.Hosts;

namespace Peregrine.Simulation.Curves;

internal static class CurveCatalogue
{
    /// <summary>Where the snapshots are, from the repository's root.</summary>
    public const string Folder = "docs/curves";

    /// <summary>How to make new snapshots.</summary>
    public const string UpdateCommand = "./peregrine curves --update";

    /// <summary>Congestion controls that every curve has.</summary>
    public static IReadOnlyList<string> Controls { get; } = ["cubic", "reno", "bbr"];

    /// <summary>Names of the curves, in the order of docs/curves/README.md.</summary>
    public static IReadOnlyList<string> Names { get; } =
    [
        "throughput-by-loss", "throughput-by-rtt", "throughput-by-buffer", "cwnd-by-round", "fairness", "recovery-after-burst", "recovery-after-outage", "completion-by-loss",
    ];

    /// <summary>Measures a curve anew.</summary>
    /// <exception cref="ArgumentException">There is none of that name.</exception>
    public static Curve Measure(string name)
    {
        using var regions = new RegionPool();
        return name switch
        {
            "throughput-by-loss" => ThroughputCurves.ByLoss(regions),
            "throughput-by-rtt" => ThroughputCurves.ByRoundTrip(regions),
            "throughput-by-buffer" => ThroughputCurves.ByBuffer(regions),
            "cwnd-by-round" => WindowCurves.ByRoundTrip(regions),
            "fairness" => WindowCurves.Fairness(regions),
            "recovery-after-burst" => RecoveryCurves.AfterBurst(regions),
            "recovery-after-outage" => RecoveryCurves.AfterOutage(regions),
            "completion-by-loss" => RecoveryCurves.Completion(regions),
            _ => throw new ArgumentException($"There is no curve '{name}'; there are {string.Join(", ", Names)}."),
        };
    }
}
