// The curves: what is varied, what is measured, and how much of it in the quick form.
using Peregrine.Simulation.Curves;

namespace Peregrine.Curves.Bench;

internal sealed class Catalogue(Bed bed, bool isQuick)
{
    private static readonly (End From, End To, string Name)[] s_combinations =
    [
        (End.Ours, End.Ours, "ours to ours"), (End.Ours, End.Linux, "ours to Linux"), (End.Linux, End.Ours, "Linux to ours"), (End.Linux, End.Linux, "Linux to Linux"),
    ];

    // Of a wide path's everyday: what is varied replaces one of these.
    private static readonly WireOptions s_path = new(RttMs: 20, RateMbps: 50, QueueFrames: 100, LossPercent: 0, ReorderPercent: 0, Seed: 1);

    private readonly Bed _bed = bed;
    private readonly int _repeats = isQuick ? 1 : 3;
    private readonly string _seconds = isQuick ? "4" : "10";

    /// <summary>All curves by name, each made when it is asked for.</summary>
    internal IReadOnlyDictionary<string, Func<Curve>> All => new Dictionary<string, Func<Curve>>
    {
        ["loss"] = () => Throughput("loss", "Throughput by loss (50 Mbit/s, 20 ms)", "loss (%; 0.005 for none)", [0.005, 0.01, 0.1, 1, 5], true,
            static x => s_path with { LossPercent = x <= 0.005 ? 0 : x }),
        ["rtt"] = () => Throughput("rtt", "Throughput by round trip (50 Mbit/s, a queue of 100 frames)", "round trip (ms)", isQuick ? [1, 20, 200] : [1, 5, 20, 80, 200], true,
            static x => s_path with { RttMs = x }),
        ["reordering"] = () => Throughput("reordering", "Throughput by reordering (50 Mbit/s, 20 ms, late by 5 ms)", "late frames (%)", isQuick ? [0, 1, 5] : [0, 0.5, 1, 2, 5], false,
            static x => s_path with { ReorderPercent = x }),
        ["buffer"] = () => Throughput("buffer", "Throughput by buffer (50 Mbit/s, 20 ms: the path holds 83 frames)", "queue (frames)", isQuick ? [5, 20, 80] : [5, 10, 20, 40, 80, 160], true,
            static x => s_path with { QueueFrames = (int)x }),
        ["completion"] = Completion,
        ["fairness"] = Fairness,
    };

    private Curve Throughput(string name, string title, string axis, double[] xs, bool isLogarithmic, Func<double, WireOptions> wire) =>
        Measure(name, title, new CurveAxis(axis, isLogarithmic), new CurveAxis("Mbit/s"), xs, wire, (from, to, _) => _bed.Transfer(from, to, "-t", _seconds).Mbps);

    // Of each size the median of transfers in programs that have done it before; connecting and the server's word that it has all are in it.
    private Curve Completion() =>
        Measure("completion", "Completion time (50 Mbit/s, 20 ms, 0.1 % loss)", new CurveAxis("bytes", true), new CurveAxis("seconds", true), [10_000, 100_000, 10_000_000],
            static _ => s_path with { LossPercent = 0.1 }, (from, to, x) => Median(_bed.Exchanges(from, to, (long)x, x < 1e6 ? 25 : 5)));

    private static double Median(double[] values) => values.Order().ElementAt(values.Length / 2);

    private Curve Measure(string name, string title, CurveAxis xAxis, CurveAxis yAxis, double[] xs, Func<double, WireOptions> wire, Func<End, End, double, double> one)
    {
        var points = s_combinations.ToDictionary(static c => c.Name, static _ => new List<(double, double)>());
        foreach (var x in xs)
        {
            var values = s_combinations.ToDictionary(static c => c.Name, static _ => new List<double>());
            for (var repeat = 0; repeat < _repeats; repeat++)
            {
                // In turns, so that what the machine does otherwise falls on all alike; the same seed for all four.
                foreach (var (from, to, combination) in s_combinations)
                {
                    _bed.UseWire(wire(x) with { Seed = repeat + 1 });
                    values[combination].Add(one(from, to, x));
                }
            }
            foreach (var (combination, all) in values)
            {
                all.Sort();
                points[combination].Add((x, all[all.Count / 2]));
                Console.WriteLine($"{name} {x:0.###} {combination}: {all[all.Count / 2]:0.###} (of {string.Join(", ", all.Select(static v => $"{v:0.###}"))})");
            }
        }
        return new Curve(name, title, xAxis, yAxis, [.. s_combinations.Select(c => new CurveSeries(c.Name, points[c.Name]))]);
    }

    // Two flows to the kernel: the share of the first of each pair, by the length of the queue.
    private Curve Fairness()
    {
        (End First, End Second, string Name)[] pairs = [(End.Ours, End.Linux, "ours beside Linux"), (End.Linux, End.Linux, "Linux beside Linux"), (End.Ours, End.Ours, "ours beside ours")];
        var series = new List<CurveSeries>();
        foreach (var (first, second, name) in pairs)
        {
            var points = new List<(double, double)>();
            foreach (var queue in new[] { 40, 80, 160 })
            {
                _bed.UseWire(s_path with { QueueFrames = queue });
                var (a, b) = _bed.Both(first, second, "-t", isQuick ? "10" : "30");
                points.Add((queue, 100 * a.Mbps / (a.Mbps + b.Mbps)));
                Console.WriteLine($"fairness {queue} {name}: {points[^1].Item2:0} % of {a.Mbps + b.Mbps:0.0} Mbit/s");
            }
            series.Add(new CurveSeries(name, points));
        }
        return new Curve("fairness", "Share of the first of two flows (50 Mbit/s, 20 ms)", new CurveAxis("queue (frames)", true), new CurveAxis("% of both"), series);
    }
}
