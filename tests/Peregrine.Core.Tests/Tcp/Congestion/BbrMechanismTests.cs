// BBR's mechanisms one by one: the filter, the arithmetic, and the answers of the model to what it is told.
using Peregrine.Core.Memory;
using Peregrine.Core.Tcp;
using Peregrine.Core.Tcp.Congestion.Bbr;
using Peregrine.Core.Tcp.Recovery;
using Peregrine.Core.Time;

namespace Peregrine.Core.Tests.Tcp.Congestion;

public sealed class BbrMechanismTests
{
    private const uint Mss = 1_000;

    private static BbrModel Model => new()
    {
        CycleBw = 1_000_000, Bw = 1_000_000, MinRtt = 100_000, InitialCwnd = 10_000, PacingRate = 1_000_000,
        InflightLongterm = BbrModel.NoLimit, InflightShortterm = BbrModel.NoLimit, BwShortterm = BbrModel.NoRateLimit, Flags = BbrFlags.FullBwReached,
    };

    private static BbrSample Sample => new() { Now = new Instant(1_000_000_000), Mss = Mss, HasSelectiveAcks = true, NewlyAcked = Mss, TotalDelivered = 1_000_000 };

    [Fact]
    // Never below the true maximum of the window, and above it only by what is at most two windows old.
    public void TheMaximumIsThatOfTheLastRounds()
    {
        var random = new StackRandom(1);
        var filter = default(BbrMaxFilter);
        var seen = new List<uint>();
        for (uint round = 0; round < 5_000; round++)
        {
            seen.Add(random.Next(round % 700 < 100 ? 1_000_000u : 1_000u));
            filter.Take(seen[^1], round, 10);
            Assert.InRange(filter.Value, seen.TakeLast(10).Max(), seen.TakeLast(30).Max());
        }
    }

    [Fact]
    // Infinity, and rates and times whose product has no room in 64 bits.
    public void VolumesSaturate()
    {
        Assert.Equal(100_000u, BbrWindow.Volume(1_000_000, 100_000));
        Assert.Equal(1u << 30, BbrWindow.Volume(ulong.MaxValue, 1));
        Assert.Equal(1u << 30, BbrWindow.Volume(1_000_000_000_000, uint.MaxValue));
        Assert.Equal(0u, BbrWindow.Volume(1_000_000, 0));
        Assert.Equal(BbrModel.NoLimit, BbrWindow.InflightWithHeadroom(Model, Mss));
    }

    [Fact]
    // draft-ietf-ccwg-bbr §5.5.10.2: 100 segments in flight, the burst of 20 that was lost as the last one: 2 % are crossed at 81.6.
    public void TheVolumeAtWhichLossesCrossTheThresholdIsComputed()
    {
        var (m, rs) = (Model, Sample);
        m.Flags |= BbrFlags.BwProbeSample;
        m.Phase = BbrPhase.ProbeUp;
        (rs.TxInFlight, rs.Lost) = (100_000, 20_000);
        BbrLoss.OnExcess(ref m, ref rs, 20_000, cwnd: 200_000);
        Assert.InRange(m.InflightLongterm, 81_600u, 81_700u);
        Assert.Equal(BbrPhase.ProbeDown, m.Phase);
        Assert.True(m.Has(BbrFlags.ProbeTooHigh) && !m.Has(BbrFlags.BwProbeSample));
        // Only once a probe; and nothing was lost after all: up again, by way of a refill.
        BbrLoss.OnExcess(ref m, ref rs, 1_000, cwnd: 200_000);
        BbrLoss.Undo(ref m, 0);
        Assert.Equal(BbrPhase.ProbeRefill, m.Phase);
    }

    [Fact]
    // draft-ietf-ccwg-bbr §5.5.10.3: where it does not probe, once a round by Beta at most; a probe forgets it.
    public void LossesLowerTheShortTermBoundsOnceARound()
    {
        var m = Model;
        m.Phase = BbrPhase.ProbeCruise;
        m.Flags |= BbrFlags.LossInRound | BbrFlags.LossRoundStart;
        BbrLoss.Adapt(ref m, cwnd: 200_000);
        Assert.Equal((700_000ul, 140_000u), (m.BwShortterm, m.InflightShortterm));
        BbrLoss.Adapt(ref m, cwnd: 140_000);
        Assert.Equal((700_000ul, 140_000u), (m.BwShortterm, m.InflightShortterm));
        BbrProbeBw.StartRefill(ref m, 0);
        Assert.Equal((BbrModel.NoRateLimit, BbrModel.NoLimit), (m.BwShortterm, m.InflightShortterm));
    }

    [Fact]
    // draft-ietf-ccwg-bbr §5.3.1.2: three rounds without a quarter more.
    public void APlateauOfThreeRoundsIsAFullPipe()
    {
        var (m, rs) = (Model, Sample);
        m.Flags = BbrFlags.RoundStart;
        foreach (var rate in new ulong[] { 1_000, 2_000, 2_400, 2_499, 2_500, 2_600, 2_700 })
        {
            rs.Rate = rate;
            BbrBandwidth.CheckFull(ref m, rs);
            Assert.False(m.Has(BbrFlags.FullBwNow));
        }
        rs.IsAppLimited = true;
        BbrBandwidth.CheckFull(ref m, rs);
        Assert.False(m.Has(BbrFlags.FullBwNow));
        rs.IsAppLimited = false;
        BbrBandwidth.CheckFull(ref m, rs);
        Assert.True(m.Has(BbrFlags.FullBwReached));
    }

    [Fact]
    // draft-ietf-ccwg-bbr §5.3.1.3: six ranges and more than 2 % within a round of recovery.
    public void StartupEndsByLosses()
    {
        var (m, rs) = (Model, Sample);
        (rs.TxInFlight, rs.Lost, rs.Delivered) = (100_000, 5_000, 90_000);
        m.Flags = BbrFlags.LossRoundStart;
        m.LostRanges = 5;
        BbrStartup.CheckDone(ref m, rs, isInRecovery: true);
        Assert.Equal(BbrPhase.Startup, m.Phase);
        m.LostRanges = 6;
        BbrStartup.CheckDone(ref m, rs, isInRecovery: false);
        Assert.Equal(BbrPhase.Startup, m.Phase);
        BbrStartup.CheckDone(ref m, rs, isInRecovery: true);
        Assert.Equal((BbrPhase.Drain, 100_000u), (m.Phase, m.InflightLongterm));
        BbrLoss.Undo(ref m, 0);
        Assert.Equal((BbrPhase.Startup, false), (m.Phase, m.Has(BbrFlags.FullBwReached)));
    }

    [Fact]
    // draft-ietf-ccwg-bbr §5.3.2: drained, or three rounds later.
    public void DrainEndsByVolumeOrByRounds()
    {
        var (m, rs) = (Model, Sample);
        (m.Phase, rs.InFlight) = (BbrPhase.Drain, 150_000);
        BbrStartup.CheckDrainDone(ref m, rs);
        Assert.Equal(BbrPhase.Drain, m.Phase);
        var byRounds = m;
        rs.InFlight = 100_000;
        BbrStartup.CheckDrainDone(ref m, rs);
        Assert.Equal(BbrPhase.ProbeDown, m.Phase);
        (byRounds.RoundCount, rs.InFlight) = (4, 150_000);
        BbrStartup.CheckDrainDone(ref byRounds, rs);
        Assert.Equal(BbrPhase.ProbeDown, byRounds.Phase);
    }

    [Fact]
    // draft-ietf-ccwg-bbr §5.3.3.4.2: after a probe that went too high, the next one ends where that one did; the one after it does not.
    public void AProbeAfterOneThatWentTooHighIsCareful()
    {
        var (m, rs) = (Model, Sample);
        (m.Phase, m.InflightLongterm) = (BbrPhase.ProbeUp, 120_000);
        m.Flags |= BbrFlags.ProbeTooHigh;
        rs.InFlight = 119_000;
        BbrProbeBw.Update(ref m, rs, cwnd: 100_000);
        Assert.Equal(BbrPhase.ProbeUp, m.Phase);
        rs.InFlight = 120_000;
        BbrProbeBw.Update(ref m, rs, cwnd: 100_000);
        Assert.Equal((BbrPhase.ProbeDown, BbrAckPhase.ProbeStopping), (m.Phase, m.AckPhase));
        m.Flags |= BbrFlags.RoundStart;
        BbrProbeBw.Update(ref m, rs, cwnd: 100_000);
        Assert.Equal(BbrPhase.ProbeRefill, m.Phase);
    }

    [Fact]
    // draft-ietf-ccwg-bbr §5.3.3.4.1: 1, 2, 4 … segments a round while the volume is what limits.
    public void TheVolumeGrowsFasterEveryRound()
    {
        var (m, rs) = (Model, Sample);
        (m.Phase, m.InflightLongterm, m.ProbeUpAckedPerIncrement, m.ProbeUpRounds) = (BbrPhase.ProbeUp, 100_000, 100_000, 1);
        rs.IsCwndLimited = true;
        var grown = new List<uint>();
        for (var round = 0; round < 4; round++)
        {
            var before = m.InflightLongterm;
            for (var i = 0; i < 100; i++)
            {
                m.Set(BbrFlags.RoundStart, i == 99);
                BbrProbeBw.Update(ref m, rs, cwnd: m.InflightLongterm);
            }
            grown.Add((m.InflightLongterm - before) / Mss);
        }
        Assert.Equal(1u, grown[0]);
        Assert.True(grown[1] >= 2 * grown[0] && grown[2] >= 2 * grown[1] - 1 && grown[3] >= 2 * grown[2] - 1, string.Join(", ", grown));
    }

    [Fact]
    // draft-ietf-ccwg-bbr §5.5.9: what comes at once above the rate is extra; a slow stretch begins anew.
    public void AggregationIsWhatComesAboveTheRate()
    {
        var (m, rs) = (Model, Sample);
        m.ExtraAckedStart = rs.Now;
        rs.NewlyAcked = 30_000;
        BbrAggregation.Update(ref m, rs, cwnd: 200_000);
        Assert.Equal(30_000u, m.ExtraAcked.Value);
        rs.Now += Duration.FromMilliseconds(10);
        (rs.NewlyAcked, m.RoundCount) = (1_000, 11);
        BbrAggregation.Update(ref m, rs, cwnd: 200_000);
        Assert.Equal(21_000u, m.ExtraAcked.Value);
        rs.Now += Duration.FromMilliseconds(100);
        m.RoundCount = 22;
        BbrAggregation.Update(ref m, rs, cwnd: 200_000);
        Assert.Equal(1_000u, m.ExtraAcked.Value);
    }

    [Fact]
    // draft-ietf-ccwg-bbr §4.1.2: what was in flight, and lost so far, is taken with each transmission and comes back with its ACK.
    public void ARecordRemembersWhatWasInFlightAndLost()
    {
        using var region = MemoryRegion.Allocate(LossRecovery.BytesFor(64) + 4_096);
        var recovery = new LossRecovery(region, 64, bbr: new BbrControl(new IndexedPool<BbrModel>(region, 2), new StackRandom(1)));
        var (c, k, now) = (new Tcb { Mss = (ushort)Mss, Flags = TcbFlags.Sack }, default(TcbCold), new Instant(1_000_000_000));
        recovery.Initialize(ref c, ref k, now);
        recovery.OnEstablished(ref c, ref k, Core.Tcp.Congestion.CongestionAlgorithm.Bbr, Duration.FromMilliseconds(50), 0, now);
        for (var i = 0; i < 3; i++) Assert.True(recovery.OnTransmit(ref c, ref k, c.Snd.Max, Mss, false, now));
        now += Duration.FromMilliseconds(50);
        recovery.OnAck(ref c, ref k, c.Snd.Una + 2 * Mss, default, false, now, out var sample);
        Assert.Equal((2 * Mss, 0u), (sample.TxInFlight, sample.PriorLost));
        recovery.OnRetransmissionTimeout(ref c, ref k, now + Duration.FromSeconds(1));
        Assert.True(recovery.TryNextRetransmission(ref c, ref k, out var seq, out var length));
        recovery.OnTransmit(ref c, ref k, seq, length, true, now);
        recovery.OnAck(ref c, ref k, c.Snd.Max, default, false, now + Duration.FromMilliseconds(50), out sample);
        Assert.Equal((Mss, Mss), (sample.TxInFlight, sample.PriorLost));
        recovery.Release(ref c, ref k);
        Assert.Equal(0, recovery.Controls.ModelsInUse);
    }
}
