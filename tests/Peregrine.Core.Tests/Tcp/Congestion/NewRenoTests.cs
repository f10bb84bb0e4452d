using Peregrine.Core.Memory;
using Peregrine.Core.Tcp;
using Peregrine.Core.Tcp.Congestion;
using Peregrine.Core.Tcp.Congestion.Bbr;
using Peregrine.Core.Tcp.Recovery;
using Peregrine.Core.Tests.Tcp.Recovery;

namespace Peregrine.Core.Tests.Tcp.Congestion;

public sealed class NewRenoTests
{
    private static readonly RecoverySettings s_settings = new();
    private static readonly NewReno s_reno = new();

    [Fact]
    // RFC 5681 §3.1: one segment for each window of bytes, however the ACKs are cut.
    public void CongestionAvoidanceAddsOneSegmentARoundTrip()
    {
        foreach (var piece in (uint[])[1, 10, 1000, 2000])
        {
            var c = new Tcb { Mss = 1000, Cwnd = 10_000, Ssthresh = 10_000 };
            var k = default(TcbCold);
            for (var acked = 0u; acked < 10_000; acked += piece)
                s_reno.OnAck(ref c, ref k, new AckSample { AckedBytes = piece }, true, s_settings);
            Assert.Equal(11_000u, c.Cwnd);
        }
    }

    [Fact]
    public void AHugeAckAddsOneSegmentOnly()
    {
        var c = new Tcb { Mss = 1000, Cwnd = 10_000, Ssthresh = 10_000 };
        var k = default(TcbCold);
        s_reno.OnAck(ref c, ref k, new AckSample { AckedBytes = 1_000_000 }, true, s_settings);
        Assert.Equal(11_000u, c.Cwnd);
    }

    [Theory]
    // RFC 3465 §2.2: by what it acknowledges, however it is cut, and by L segments at most.
    [InlineData(2, 700, 10_700)]
    [InlineData(2, 2000, 12_000)]
    [InlineData(2, 40_000, 12_000)]
    [InlineData(8, 40_000, 18_000)]
    public void InSlowStartAnAckOpensTheWindowByLSegmentsAtMost(uint limit, uint acked, uint window)
    {
        var c = new Tcb { Mss = 1000, Cwnd = 10_000, Ssthresh = uint.MaxValue };
        var k = default(TcbCold);
        s_reno.OnAck(ref c, ref k, new AckSample { AckedBytes = acked }, true, s_settings with { SlowStartSegmentsPerAck = limit });
        Assert.Equal(window, c.Cwnd);
    }

    [Fact]
    // RFC 3465 §2.3: after a time-out L is one: ACKs for what had been in flight before must not open the window in leaps.
    public void AfterATimeoutAnAckOpensTheWindowByOneSegment()
    {
        var c = new Tcb { Mss = 1000, Cwnd = 1000, Ssthresh = 10_000 };
        var k = default(TcbCold);
        k.Recovery.Phase = RecoveryPhase.Loss;
        s_reno.OnAck(ref c, ref k, new AckSample { AckedBytes = 5000 }, true, s_settings);
        Assert.Equal(2000u, c.Cwnd);
    }

    [Theory]
    // RFC 5681 §3.1 equation (4).
    [InlineData(20_000, 10_000)]
    [InlineData(3000, 2000)]
    public void LossHalvesTheFlightDownToTwoSegments(uint flight, uint ssthresh)
    {
        var c = new Tcb { Mss = 1000, Cwnd = 50_000 };
        var k = default(TcbCold);
        s_reno.OnLoss(ref c, ref k, flight);
        Assert.Equal(ssthresh, c.Ssthresh);
    }

    [Theory]
    [InlineData("reno", true)]
    [InlineData("newreno", true)]
    [InlineData("cubic", true)]
    [InlineData("dctcp", true)]
    [InlineData("bbr", true)]
    [InlineData("vegas", false)]
    public void AlgorithmsHaveNames(string name, bool exists)
    {
        Assert.Equal(exists, CongestionControl.TryParse(name, out var algorithm));
        if (!exists) return;
        using var region = MemoryRegion.Allocate(4_096);
        var k = default(TcbCold);
        k.Recovery.Algorithm = algorithm;
        var controls = new CongestionControls(new BbrControl(new IndexedPool<BbrModel>(region, 4), new StackRandom(1)), new IndexedPool<SenderHistory>(region, 1));
        Assert.Equal(name == "newreno" ? "reno" : name, controls.Of(k).Name);
    }

    [Theory]
    [InlineData("reno", 100)]
    [InlineData("cubic", 100)]
    [InlineData("reno", 0)]
    // RFC 3742 §2: up to max_ssthresh the window doubles in a round trip; beyond it opens by at most half of that many segments.
    public void BeyondItsLimitSlowStartOpensByHalfTheLimitARoundTrip(string name, int limit)
    {
        const uint mss = RecoveryBench.Mss;
        Assert.True(CongestionControl.TryParse(name, out var algorithm));
        var settings = RecoveryBench.Classic with { SlowStartSegmentsMax = (uint)limit, SlowStartSegmentsPerAck = 1, HyStart = false };
        using var b = new RecoveryBench(settings: settings, algorithm: algorithm, cwnd: 50 * mss);
        for (var round = 0; round < 6; round++)
        {
            var before = b.C.Cwnd;
            var una = b.Una;
            var count = before / mss;
            b.SendMany((int)count);
            b.PassMs(100);
            for (var i = 1u; i <= count; i++) b.Ack(una + (i * mss));
            var grown = b.C.Cwnd - before;
            if (limit == 0 || before <= 50 * mss) Assert.Equal(count * mss, grown);
            else Assert.InRange(grown, 40 * mss, 51 * mss);
        }
    }
}
