// The congestion window as it moves, and how flows that meet at a bottleneck share it.
using Peregrine.Core.Tcp;
using Peregrine.Core.Time;
using Peregrine.Simulation.Hosts;
using Peregrine.Simulation.Links;

namespace Peregrine.Simulation.Curves;

internal static class WindowCurves
{
    private const int RoundCount = 200;
    private static readonly Duration s_roundTrip = Duration.FromMilliseconds(40);

    /// <summary>The window once a round trip, which grows with the queue.</summary>
    public static Curve ByRoundTrip(RegionPool regions) =>
        new("cwnd-by-round", "Congestion window by round trip: 10 Mbit/s, 40 ms, a buffer of as much again", new CurveAxis("round trips"), new CurveAxis("segments"),
            [.. CurveCatalogue.Controls.Select(control => new CurveSeries(control, Windows(regions, control))), new CurveSeries("dctcp (marks)", Windows(regions, "dctcp", marks: true))]);

    /// <summary>Jain's index of two flows, the second ten seconds late, and of ten that begin within five, in spans of five seconds.</summary>
    public static Curve Fairness(RegionPool regions) =>
        new("fairness", "Fairness by time (Jain's index): 10 Mbit/s, 40 ms, a buffer of as much again", new CurveAxis("seconds"), new CurveAxis("Jain's index"),
        [
            .. CurveCatalogue.Controls.SelectMany(control => new[]
            {
                new CurveSeries(control + " (2 flows)", Indices(regions, control, 2, Duration.FromSeconds(10))),
                new CurveSeries(control + " (10 flows)", Indices(regions, control, 10, Duration.FromMilliseconds(500))) { IsCompanion = true },
            }),
        ]);

    // DCTCP goes by marks (RFC 8257): without any it is Reno.
    private static List<(double, double)> Windows(RegionPool regions, string control, bool marks = false)
    {
        var settings = new TcpSettings { CongestionControl = control };
        using var bed = new CurveBed(regions, marks ? settings with { Ecn = TcpEcnMode.On } : settings, s_roundTrip, 10_000_000, 50_000);
        if (marks) bed.Forward.Conditions = bed.Forward.Conditions with { Discipline = QueueDiscipline.Red, EcnMarks = true };
        var flow = bed.Start();
        bed.World.RunFor(s_roundTrip * 2);
        var points = new List<(double, double)>();
        for (var round = 1; round <= RoundCount; round++)
        {
            var info = bed.InfoOf(flow);
            points.Add((round, (double)info.CongestionWindow / ResponseFunctions.SegmentBytes));
            bed.World.RunFor(Duration.Max(info.SmoothedRtt, s_roundTrip));
        }
        return points;
    }

    private static List<(double, double)> Indices(RegionPool regions, string control, int flowCount, Duration apart)
    {
        using var bed = new CurveBed(regions, new TcpSettings { CongestionControl = control }, s_roundTrip, 10_000_000, 50_000);
        var flows = new List<BulkFlow>();
        for (var i = 0; i < flowCount; i++) bed.World.After(apart * i, () => flows.Add(bed.Start()));
        bed.World.RunFor(apart * (flowCount - 1));
        var points = new List<(double, double)>();
        for (var span = 1; span <= 12; span++)
        {
            var before = flows.ConvertAll(static flow => flow.ReceivedBytes);
            bed.World.RunFor(Duration.FromSeconds(5));
            points.Add((span * 5, Jain([.. flows.Select((flow, i) => (double)(flow.ReceivedBytes - before[i]))])));
        }
        return points;
    }

    // Jain, Chiu and Hawe, 1984: 1 when all have the same, 1/n when one has everything.
    private static double Jain(double[] shares)
    {
        double sum = 0, squares = 0;
        foreach (var share in shares) (sum, squares) = (sum + share, squares + (share * share));
        return squares == 0 ? 0 : sum * sum / (shares.Length * squares);
    }
}
