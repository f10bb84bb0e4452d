using Peregrine.Core.Tcp;
using Peregrine.Core.Tcp.Congestion;
using Peregrine.Core.Tcp.Recovery;
using Peregrine.Core.Time;

namespace Peregrine.Core.Tests.Tcp.Congestion;

public sealed class CubicTests
{
    private static readonly RecoverySettings s_settings = new();
    private static readonly Cubic s_cubic = new();

    [Fact]
    public void CubeRootIsTheIntegerBelow()
    {
        var random = new Random(1);
        for (var i = 0; i < 100_000; i++)
        {
            var x = (ulong)random.NextInt64() >> random.Next(63);
            var y = (UInt128)CubeRoot.Of(x);
            Assert.True(y * y * y <= x && (y + 1) * (y + 1) * (y + 1) > x, $"{x}");
        }
        Assert.Equal(2_642_245u, CubeRoot.Of(ulong.MaxValue));
        Assert.Equal([0u, 1u, 1u, 2u, 2u, 3u], ((ulong[])[0, 1, 7, 8, 26, 27]).Select(CubeRoot.Of));
    }

    [Theory]
    // RFC 9406 §4.3: L is 8 in the first slow start, and more where the setting says so; without HyStart++ it is the setting.
    [InlineData(true, 2, 18_000)]
    [InlineData(true, 20, 30_000)]
    [InlineData(false, 2, 12_000)]
    public void UnderHyStartAnAckOpensTheWindowByEightSegments(bool hyStart, uint limit, uint window)
    {
        var c = new Tcb { Mss = 1000, Cwnd = 10_000, Ssthresh = uint.MaxValue };
        var k = default(TcbCold);
        s_cubic.TryBegin(ref c, ref k, default);
        s_cubic.OnAck(ref c, ref k, new AckSample { AckedBytes = 60_000 }, true, s_settings with { HyStart = hyStart, SlowStartSegmentsPerAck = limit });
        Assert.Equal(window, c.Cwnd);
    }

    [Theory]
    // RFC 9438 §4.2: the curve, in double precision, within 1 %.
    [InlineData(100, 1460, 100)]
    [InlineData(1000, 1460, 100)]
    [InlineData(10_000, 1460, 50)]
    [InlineData(100_000, 1460, 200)]
    [InlineData(10_000, 536, 20)]
    [InlineData(2000, 9000, 10)]
    public void WindowFollowsTheCurveInDoublePrecision(int segments, int mss, int rttMs)
    {
        var c = new Tcb { Mss = (ushort)mss, Cwnd = (uint)(segments * (long)mss) };
        var k = Start(ref c, rttMs);
        var wmax = (double)segments;
        var epoch = c.Cwnd / (double)mss;
        var root = Math.Cbrt((wmax - epoch) / 0.4);
        double reference = epoch, west = epoch, t = 0;
        // Two ACKs for each pair of segments in each round trip, as delayed ACKs come: time passes evenly over them.
        while (t < root * 1.6)
        {
            var acks = Math.Max(1, (int)(c.Cwnd / (2u * (uint)mss)));
            var step = Math.Max(1, acks / 64);
            for (var i = 0; i < acks; i += step)
            {
                var elapsed = Duration.FromMicroseconds(rttMs * 1000L * step / acks);
                Acknowledge(ref c, ref k, (uint)(2 * mss * step), t == 0 ? Duration.Zero : elapsed);
                reference = Reference(reference, ref west, t, rttMs / 1000.0, 2.0 * step, root, wmax);
                t += elapsed.Microseconds / 1e6;
                Assert.InRange(c.Cwnd / (double)mss, reference * 0.99, reference * 1.01);
            }
        }
        Assert.True(c.Cwnd > wmax * mss, "the convex region was not reached");
    }

    [Fact]
    // A snapshot: the same integers on every machine, every two seconds of 20 at 100 ms after a loss at 1,000 segments.
    public void CurveIsTheSameEverywhere()
    {
        var c = new Tcb { Mss = 1000, Cwnd = 1_000_000 };
        var k = Start(ref c, 100);
        var curve = new List<uint>();
        for (var round = 0; round < 200; round++)
        {
            if (round % 20 == 0) curve.Add(c.Cwnd / 1000);
            for (var i = 0; i < 50; i++) Acknowledge(ref c, ref k, c.Cwnd / 50, Duration.FromMilliseconds(2));
        }
        Assert.Equal([700u, 857, 947, 988, 999, 1000, 1009, 1047, 1132, 1283], curve);
    }

    [Fact]
    // RFC 9438 §4.6 and §4.7.
    public void LossTakesThreeTenthsAndConvergesFast()
    {
        var c = new Tcb { Mss = 1000, Cwnd = 100_000 };
        var k = Start(ref c, 100);
        Assert.Equal((70_000u, 100_000u), (c.Ssthresh, k.Congestion.Wmax));
        s_cubic.OnLoss(ref c, ref k, c.Cwnd);
        Assert.Equal((49_000u, 59_500u), (c.Ssthresh, k.Congestion.Wmax));
        c.Cwnd = 3000;
        s_cubic.OnLoss(ref c, ref k, 2000);
        Assert.Equal(2000u, c.Ssthresh);
    }

    [Fact]
    // RFC 9438 §4.6: marks may take the window to one segment.
    public void MarksTakeTheWindowToOneSegment()
    {
        var c = new Tcb { Mss = 1000, Cwnd = 2000 };
        var k = default(TcbCold);
        s_cubic.TryBegin(ref c, ref k, default);
        s_cubic.OnEcnEcho(ref c, ref k, 2000, default);
        Assert.Equal((1400u, 2000u), (c.Cwnd, c.Ssthresh));
        s_cubic.OnEcnEcho(ref c, ref k, 1000, default);
        Assert.Equal((1000u, 2000u), (c.Cwnd, c.Ssthresh));
    }

    [Fact]
    // RFC 9438 §4.8: the plateau is where congestion avoidance begins.
    public void AfterATimeoutThePlateauIsAtTheStart()
    {
        var c = new Tcb { Mss = 1000, Cwnd = 100_000 };
        var k = Start(ref c, 100);
        s_cubic.OnTimeout(ref c, ref k, c.Cwnd);
        c.Cwnd = c.Ssthresh;
        Acknowledge(ref c, ref k, 1000, Duration.Zero);
        Assert.Equal((0u, 49_000u), (k.Congestion.K, k.Congestion.Wmax));
    }

    [Fact]
    // RFC 9438 §4.2, §5.8: t counts no time in which the application kept the window down.
    public void TimeOfAnUnusedWindowDoesNotCount()
    {
        var c = new Tcb { Mss = 1000, Cwnd = 100_000 };
        var k = Start(ref c, 100);
        Acknowledge(ref c, ref k, 1000, Duration.Zero);
        var (cwnd, elapsed) = (c.Cwnd, k.Congestion.Elapsed);
        s_cubic.OnAck(ref c, ref k, new AckSample { AckedBytes = 1000, SinceLastDelivery = Duration.FromSeconds(30) }, false, s_settings);
        Assert.Equal((cwnd, elapsed), (c.Cwnd, k.Congestion.Elapsed));
    }

    [Fact]
    // RFC 9438 §4.3: where the curve is slower than Reno, the window is Reno's, with α = 9/17 up to cwnd_prior and 1 beyond.
    public void ShortPathsGrowLikeReno()
    {
        var c = new Tcb { Mss = 1000, Cwnd = 20_000 };
        var k = Start(ref c, 1);
        for (var round = 0; round < 10; round++)
        {
            for (var i = 0; i < 14; i++) Acknowledge(ref c, ref k, c.Cwnd / 14, Duration.FromMicroseconds(71));
        }
        Assert.InRange((int)c.Cwnd, 14_000 + (10 * 1000 * 9 / 17) - 100, 14_000 + (10 * 1000 * 9 / 17) + 100);
    }

    [Theory]
    [InlineData(uint.MaxValue, 1u << 30)]
    [InlineData(1u, 1u << 30)]
    public void ExtremesDoNotOverflow(uint acked, uint cwnd)
    {
        var c = new Tcb { Mss = ushort.MaxValue, Cwnd = cwnd };
        var k = Start(ref c, 100_000);
        for (var i = 0; i < 1000; i++)
        {
            Acknowledge(ref c, ref k, acked, Duration.FromSeconds(60));
            Assert.InRange(c.Cwnd, 1u << 20, 1u << 30);
        }
    }

    // A loss at the present window, recovered from.
    private static TcbCold Start(ref Tcb c, int rttMs)
    {
        var k = default(TcbCold);
        s_cubic.TryBegin(ref c, ref k, default);
        RoundTrip.Take(ref k.Rtt, Duration.FromMilliseconds(rttMs));
        s_cubic.OnLoss(ref c, ref k, c.Cwnd);
        c.Cwnd = c.Ssthresh;
        return k;
    }

    private static void Acknowledge(ref Tcb c, ref TcbCold k, uint bytes, Duration since) =>
        s_cubic.OnAck(ref c, ref k, new AckSample { AckedBytes = bytes, SinceLastDelivery = since }, true, s_settings);

    private static double Reference(double cwnd, ref double west, double t, double rtt, double acked, double root, double wmax)
    {
        west += (west >= wmax ? 1 : 9 / 17.0) * acked / cwnd;
        if (Curve(t) < west) return Math.Max(cwnd, west);
        return cwnd + ((Math.Clamp(Curve(t + rtt), cwnd, 1.5 * cwnd) - cwnd) * acked / cwnd);

        double Curve(double at) => (0.4 * Math.Pow(at - root, 3)) + wmax;
    }
}
