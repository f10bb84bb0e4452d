using Peregrine.Core.Tcp;
using Peregrine.Core.Tcp.Recovery;
using Peregrine.Core.Time;
using Peregrine.Wire;

namespace Peregrine.Core.Tests.Tcp.Recovery;

public sealed class RoundTripTests
{
    private static readonly RecoverySettings s_settings = new();

    [Theory]
    // RFC 6298 §2.2: SRTT = R, RTTVAR = R/2, RTO = R + max (G, 4 * R/2), at least 200 ms.
    [InlineData(100, 300)]
    [InlineData(1000, 3000)]
    [InlineData(10, 200)]
    [InlineData(50_000, 120_000)]
    public void FirstSample(long sampleMs, long rtoMs)
    {
        var rtt = default(RttState);
        RoundTrip.Take(ref rtt, Duration.FromMilliseconds(sampleMs));
        Assert.Equal(Duration.FromMilliseconds(rtoMs), RoundTrip.Rto(rtt, 0, false, s_settings));
        Assert.Equal(Duration.FromMilliseconds(sampleMs), RoundTrip.Smoothed(rtt));
    }

    [Fact]
    // RFC 6298 §2.3 by the book: R = 100, 200, 100 ms.
    public void FollowingSamples()
    {
        var rtt = default(RttState);
        var rtos = new List<long>();
        foreach (var ms in (int[])[100, 200, 100])
        {
            RoundTrip.Take(ref rtt, Duration.FromMilliseconds(ms));
            rtos.Add(RoundTrip.Rto(rtt, 0, false, s_settings).Microseconds);
        }
        // RTTVAR 50, 62.5, 50; SRTT 100, 112.5, 110.9375.
        Assert.Equal([300_000L, 362_500, 310_937], rtos);
    }

    [Fact]
    public void LongSeriesFollowTheFormulasInDoublePrecision()
    {
        for (var seed = 0; seed < 200; seed++)
        {
            var random = new Random(seed);
            var rtt = default(RttState);
            double srtt = 0, rttvar = 0;
            var scale = Math.Pow(10, random.Next(2, 7));
            for (var i = 0; i < 300; i++)
            {
                var us = (long)(scale * (1 + random.NextDouble()));
                RoundTrip.Take(ref rtt, Duration.FromMicroseconds(us));
                (rttvar, srtt) = i == 0 ? (us / 2.0, us) : ((0.75 * rttvar) + (0.25 * Math.Abs(srtt - us)), (0.875 * srtt) + (0.125 * us));
                Assert.InRange(rtt.Srtt / 8.0, srtt - 2, srtt + 2);
                Assert.InRange(rtt.RttVar / 4.0, rttvar - 4, rttvar + 4);
            }
        }
    }

    [Fact]
    // RFC 6298 §4: the variance term is at least the clock's granularity.
    public void VarianceIsRoundedUpToTheGranularity()
    {
        var rtt = default(RttState);
        for (var i = 0; i < 200; i++) RoundTrip.Take(ref rtt, Duration.FromMilliseconds(500));
        Assert.Equal(500_131, RoundTrip.Rto(rtt, 0, false, s_settings).Microseconds);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(-5)]
    [InlineData(1)]
    [InlineData(long.MaxValue)]
    public void AbsurdSamplesDoNoHarm(long nanoseconds)
    {
        var rtt = default(RttState);
        for (var i = 0; i < 100; i++)
        {
            RoundTrip.Take(ref rtt, new Duration(nanoseconds));
            Assert.NotEqual(0u, rtt.Srtt);
            var rto = RoundTrip.Rto(rtt, 255, false, s_settings);
            Assert.InRange(rto.Milliseconds, 200, 120_000);
        }
    }

    [Fact]
    // RFC 6298 §2.1 and §5.7.
    public void BeforeASampleRtoIsASecondAndThreeAfterALostSyn()
    {
        Assert.Equal(Duration.FromSeconds(1), RoundTrip.Rto(default, 0, false, s_settings));
        using var b = new RecoveryBench(synRetransmitted: true);
        Assert.Equal(Duration.FromSeconds(3), b.Recovery.Rto(b.K));
        // RFC 5681 §3.1: and the initial window is one segment.
        Assert.Equal(1000u, b.C.Cwnd);
    }

    [Fact]
    // RFC 6928 §2.
    public void InitialWindow()
    {
        using var b = new RecoveryBench();
        Assert.Equal(10_000u, b.C.Cwnd);
        foreach (var (mss, window) in ((int, uint)[])[(1460, 14_600), (9000, 18_000), (2000, 14_600), (536, 5360)])
        {
            b.C.Mss = (ushort)mss;
            b.Recovery.OnEstablished(ref b.C, ref b.K, default, Duration.FromMilliseconds(30), 0, b.Now);
            Assert.Equal(window, b.C.Cwnd);
        }
        Assert.Equal(Duration.FromMilliseconds(30), RoundTrip.Smoothed(b.K.Rtt));
    }

    [Fact]
    // RFC 6298 §3.
    public void KarnTakesNoSampleFromWhatWasSentTwice()
    {
        using var b = new RecoveryBench().SendMany(2);
        b.PassMs(500);
        b.Timeout();
        b.RetransmitAll();
        b.PassMs(10);
        Assert.Equal(Duration.Zero, b.Ack(1000).Rtt);
        Assert.Equal(0u, b.K.Rtt.Srtt);
    }

    [Fact]
    // RFC 7323 §4.1: the echoed time says which copy it was.
    public void TimestampsGiveASampleForWhatWasSentTwice()
    {
        using var b = new RecoveryBench();
        b.C.Flags |= TcbFlags.Timestamps;
        b.C.TsOffset = 0xFFFF_FF00;
        b.SendMany(1).Timeout();
        b.RetransmitAll();
        var options = default(TcpOptions);
        options.SetTimestamps(1, (uint)(b.Now.Nanoseconds / 1_000_000) + b.C.TsOffset);
        b.PassMs(70);
        b.AckOptions(1000, false, options);
        Assert.Equal(Duration.FromMilliseconds(70), RoundTrip.Smoothed(b.K.Rtt));
        Assert.Equal(0, b.K.Recovery.Backoff);
    }

    [Fact]
    public void AnEchoFromTheFutureIsNoSample()
    {
        using var b = new RecoveryBench();
        b.C.Flags |= TcbFlags.Timestamps;
        b.SendMany(1).Timeout();
        b.RetransmitAll();
        var options = default(TcpOptions);
        options.SetTimestamps(1, (uint)(b.Now.Nanoseconds / 1_000_000) + 5);
        b.AckOptions(1000, false, options);
        Assert.Equal((0u, 1), (b.K.Rtt.Srtt, (int)b.K.Recovery.Backoff));
    }

    [Fact]
    // RFC 7323 §4.2: the averages keep the history that their gains were chosen for.
    public void OneSampleARoundTripGoesIntoTheAverages()
    {
        using var b = new RecoveryBench(cwnd: 100_000);
        b.Send();
        b.PassMs(100);
        b.Ack(1000);
        b.SendMany(50);
        b.PassMs(100);
        b.Ack(2000);
        b.PassMs(400);
        for (var i = 3u; i <= 51; i++) b.Ack(i * 1000);
        Assert.Equal(Duration.FromMilliseconds(100), RoundTrip.Smoothed(b.K.Rtt));
        Assert.Equal(100_000u, b.K.Rtt.MinRtt);
    }

    [Theory]
    // RFC 7765 §4: rrthresh is four segments in flight; what is not sent yet counts as well. Nothing is left below zero.
    [InlineData(3, 0, 100, true)]
    [InlineData(4, 0, 100, false)]
    [InlineData(3, 1000, 100, false)]
    [InlineData(3, 0, 5000, false)]
    public void WithMoreInFlightOrToSendTheTimerRestartsInFull(int inFlight, uint unsent, int passedMs, bool isLess)
    {
        using var b = new RecoveryBench(cwnd: 100_000, settings: RecoveryBench.Classic with { RtoRestart = true });
        b.SendMany(inFlight).Queue(unsent);
        b.PassMs(passedMs);
        var rto = b.Recovery.Rto(b.K);
        Assert.Equal(isLess ? rto - Duration.FromMilliseconds(passedMs) : rto, b.Recovery.RtoAtRestart(b.C, b.K, b.Now));
    }

    [Fact]
    public unsafe void StatesKeepTheirSizes()
    {
        Assert.Equal((16, 68, 24, 64), (sizeof(RttState), sizeof(RecoveryState), sizeof(Peregrine.Core.Tcp.Congestion.CongestionState), sizeof(TransmissionRecord)));
    }
}
