// How long it takes until all is well again: after losses in a row, after an outage, and for a whole short transfer.
using Peregrine.Core.Tcp;
using Peregrine.Core.Time;
using Peregrine.Simulation.Hosts;
using Peregrine.Simulation.Links;
using Peregrine.Simulation.Trace;

namespace Peregrine.Simulation.Curves;

internal static class RecoveryCurves
{
    private const int TransferCount = 40;
    private const int TransferBytes = 100_000;
    private static readonly Duration s_roundTrip = Duration.FromMilliseconds(40);
    private static readonly Duration s_limit = Duration.FromSeconds(300);
    private static readonly int[] s_bursts = [1, 2, 4, 8, 16, 32];
    private static readonly int[] s_outagesMs = [50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 30_000];
    private static readonly int[] s_lossesPerMillion = [0, 5_000, 10_000, 20_000, 50_000, 100_000];

    /// <summary>From the first of so many losses in a row until all that was sent by the last of them is acknowledged.</summary>
    public static Curve AfterBurst(RegionPool regions) =>
        new("recovery-after-burst", "Recovery after losses in a row: 10 Mbit/s, 40 ms round trip, window of 64 KiB", new CurveAxis("segments lost", true), new CurveAxis("ms"),
            [.. CurveCatalogue.Controls.Select(control => new CurveSeries(control, [.. s_bursts.Select(count => ((double)count, Burst(regions, control, count)))]))]);

    /// <summary>From an outage's end until the receiver gets something new.</summary>
    public static Curve AfterOutage(RegionPool regions) =>
        new("recovery-after-outage", "Recovery after an outage: 10 Mbit/s, 40 ms round trip, window of 64 KiB", new CurveAxis("outage in ms", true), new CurveAxis("ms", true),
            [.. CurveCatalogue.Controls.Select(control => new CurveSeries(control, [.. s_outagesMs.Select(ms => ((double)ms, Outage(regions, control, Duration.FromMilliseconds(ms))))]))]);

    /// <summary>100,000 bytes by loss, the connection's beginning and end included: the median of forty transfers and the 95th percentile.</summary>
    public static Curve Completion(RegionPool regions) =>
        new("completion-by-loss", "Time for 100 kB by loss: 20 Mbit/s, 40 ms round trip, forty connections", new CurveAxis("loss in %"), new CurveAxis("ms", true),
        [
            .. CurveCatalogue.Controls.SelectMany(control =>
            {
                var times = s_lossesPerMillion.Select(loss => (Loss: loss / 10_000.0, Times: Transfers(regions, control, loss))).ToArray();
                return new[]
                {
                    new CurveSeries(control + " (median)", [.. times.Select(static t => (t.Loss, t.Times[TransferCount / 2]))]),
                    new CurveSeries(control + " (95th percentile)", [.. times.Select(static t => (t.Loss, t.Times[TransferCount * 95 / 100]))]) { IsCompanion = true },
                };
            }),
        ]);

    // A window that fits path and queue, so that no other loss comes in between.
    private static CurveBed SteadyBed(RegionPool regions, string control) =>
        new(regions, new TcpSettings { CongestionControl = control, ReceiveBufferBytes = 64 * 1024, ReceiveBufferBytesMax = 64 * 1024 }, s_roundTrip, 10_000_000);

    private static double Burst(RegionPool regions, string control, int count)
    {
        using var bed = SteadyBed(regions, control);
        var flow = bed.Start();
        bed.World.RunFor(Duration.FromSeconds(5));
        var cut = new Cut(bed.Forward, count);
        bed.World.Observe(cut);
        bed.World.RunUntil(() => cut.Left == 0, s_limit);
        var info = bed.InfoOf(flow);
        var sent = info.BytesAcknowledged + info.FlightSize;
        bed.World.RunUntil(() => bed.InfoOf(flow).BytesAcknowledged >= sent, s_limit);
        return Milliseconds(bed.World.Now - cut.Began);
    }

    private static double Outage(RegionPool regions, string control, Duration time)
    {
        using var bed = SteadyBed(regions, control);
        var flow = bed.Start();
        bed.World.RunFor(Duration.FromSeconds(5));
        bed.Link.Cut();
        bed.World.RunFor(time);
        bed.Link.Heal();
        var (before, healed) = (flow.ReceivedBytes, bed.World.Now);
        bed.World.RunUntil(() => flow.ReceivedBytes > before, s_limit);
        return Milliseconds(bed.World.Now - healed);
    }

    private static double[] Transfers(RegionPool regions, string control, int lossPerMillion)
    {
        using var bed = new CurveBed(regions, new TcpSettings { CongestionControl = control }, s_roundTrip, 20_000_000, 200_000);
        bed.Link.Lose(lossPerMillion);
        var times = new double[TransferCount];
        for (var i = 0; i < TransferCount; i++)
        {
            var flow = bed.Start(TransferBytes);
            bed.World.RunUntil(() => !flow.Ended.IsNever, s_limit);
            times[i] = Milliseconds(Instant.Min(flow.Ended, flow.Started + s_limit) - flow.Started);
        }
        Array.Sort(times);
        return times;
    }

    private static double Milliseconds(Duration time) => time.Microseconds / 1_000.0;

    /// <summary>Takes so many frames in a row from a lane.</summary>
    private sealed class Cut : IFrameObserver
    {
        private readonly LinkLane _lane;

        public Cut(LinkLane lane, int count)
        {
            (_lane, Left) = (lane, count);
            lane.Conditions = lane.Conditions with { IsUp = false };
        }

        public int Left { get; private set; }

        public Instant Began { get; private set; } = Instant.Never;

        public void OnFrame(Instant time, LinkLane lane, ReadOnlySpan<byte> frame, FrameFate fate)
        {
            if (lane != _lane || fate != FrameFate.Blackholed) return;
            Began = Instant.Min(Began, time);
            if (--Left == 0) lane.Conditions = lane.Conditions with { IsUp = true };
        }
    }
}
