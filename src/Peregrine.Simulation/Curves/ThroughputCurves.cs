// Throughput of one flow, by what the path does to it.
using Peregrine.Core.Tcp;
using Peregrine.Core.Time;
using Peregrine.Simulation.Hosts;

namespace Peregrine.Simulation.Curves;

internal static class ThroughputCurves
{
    private static readonly int[] s_lossesPerMillion = [1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000];
    private static readonly int[] s_roundTripsMs = [10, 20, 40, 80, 160, 320];
    private static readonly int[] s_bufferPercents = [5, 10, 25, 50, 100, 200, 400];

    /// <summary>By loss, at a round trip of 40 ms, on 100 Mbit/s, which only a control that does not go by losses fills.</summary>
    public static Curve ByLoss(RegionPool regions)
    {
        var roundTrip = Duration.FromMilliseconds(40);
        return new Curve("throughput-by-loss", "Throughput by loss: 100 Mbit/s, 40 ms round trip", new CurveAxis("loss in %", true), new CurveAxis("Mbit/s of payload", true),
        [
            .. CurveCatalogue.Controls.Select(control => new CurveSeries(control,
                [.. s_lossesPerMillion.Select(loss => (loss / 10_000.0, Measure(regions, control, roundTrip, loss, Duration.FromSeconds(5), Duration.FromSeconds(60))))])),
            new CurveSeries("Reno's response function", [.. s_lossesPerMillion.Select(static loss => (loss / 10_000.0,
                ResponseFunctions.MegabitsPerSecond(ResponseFunctions.Reno(loss / 1e6), 0.04)))]) { IsTheory = true },
            new CurveSeries("CUBIC's response function", [.. s_lossesPerMillion.Select(static loss => (loss / 10_000.0,
                ResponseFunctions.MegabitsPerSecond(ResponseFunctions.Cubic(loss / 1e6, 0.04), 0.04)))]) { IsTheory = true },
        ]);
    }

    /// <summary>By round trip, at a loss of one in a thousand; a thousand round trips each.</summary>
    public static Curve ByRoundTrip(RegionPool regions) =>
        new("throughput-by-rtt", "Throughput by round trip: 100 Mbit/s, one frame in a thousand lost", new CurveAxis("round trip in ms", true), new CurveAxis("Mbit/s of payload", true),
        [
            .. CurveCatalogue.Controls.Select(control => new CurveSeries(control,
                [.. s_roundTripsMs.Select(ms => ((double)ms, OverRoundTrips(regions, control, Duration.FromMilliseconds(ms))))])),
            new CurveSeries("Reno's response function", [.. s_roundTripsMs.Select(static ms => ((double)ms,
                ResponseFunctions.MegabitsPerSecond(ResponseFunctions.Reno(0.001), ms / 1e3)))]) { IsTheory = true },
            new CurveSeries("CUBIC's response function", [.. s_roundTripsMs.Select(static ms => ((double)ms,
                ResponseFunctions.MegabitsPerSecond(ResponseFunctions.Cubic(0.001, ms / 1e3), ms / 1e3)))]) { IsTheory = true },
        ]);

    /// <summary>By the bottleneck's buffer, in parts of what the path holds: 10 Mbit/s times 40 ms are 50,000 bytes.</summary>
    public static Curve ByBuffer(RegionPool regions) =>
        new("throughput-by-buffer", "Throughput by buffer: 10 Mbit/s, 40 ms round trip, drop-tail", new CurveAxis("buffer in % of rate times round trip", true), new CurveAxis("Mbit/s of payload"),
            [.. CurveCatalogue.Controls.Select(control => new CurveSeries(control, [.. s_bufferPercents.Select(percent => ((double)percent, AtBottleneck(regions, control, percent * 500)))]))]);

    private static double OverRoundTrips(RegionPool regions, string control, Duration roundTrip) =>
        Measure(regions, control, roundTrip, 1_000, roundTrip * 100, roundTrip * 1_000);

    private static double Measure(RegionPool regions, string control, Duration roundTrip, int lossPerMillion, Duration warmUp, Duration time)
    {
        using var bed = new CurveBed(regions, new TcpSettings { CongestionControl = control }, roundTrip);
        bed.Forward.Conditions = bed.Forward.Conditions with { LossPerMillion = lossPerMillion };
        return bed.Throughput(bed.Start(), warmUp, time);
    }

    private static double AtBottleneck(RegionPool regions, string control, int queueBytes)
    {
        using var bed = new CurveBed(regions, new TcpSettings { CongestionControl = control }, Duration.FromMilliseconds(40), 10_000_000, queueBytes);
        return bed.Throughput(bed.Start(), Duration.FromSeconds(5), Duration.FromSeconds(30));
    }
}
