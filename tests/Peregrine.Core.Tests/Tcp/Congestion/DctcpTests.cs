// DCTCP's estimate and what it makes of the window (RFC 8257 §3.3, §4.2), against the formulas in double precision.
using Peregrine.Core.Tcp;
using Peregrine.Core.Tcp.Congestion;
using Peregrine.Core.Tcp.Recovery;
using Peregrine.Wire;

namespace Peregrine.Core.Tests.Tcp.Congestion;

public sealed class DctcpTests
{
    private const uint Window = 100_000;

    private static readonly Dctcp s_dctcp = new();
    private Tcb _c = new() { Mss = 1000, Cwnd = Window, Ssthresh = Window };
    private TcbCold _k;

    public DctcpTests()
    {
        s_dctcp.TryBegin(ref _c, ref _k, default);
        _c.Snd.Una = new SeqNumber(uint.MaxValue - 50_000);
        _c.Snd.Nxt = _c.Snd.Una + Window;
    }

    // A window of data acknowledged in segments, of which so many of a hundred are marked.
    private void Acknowledge(int marked)
    {
        for (var i = 0; i < 100; i++)
        {
            _c.Snd.Una += 1000;
            _c.Snd.Nxt += 1000;
            s_dctcp.OnEcnFeedback(ref _c, ref _k, 1000, i < marked ? 1000u : 0);
        }
    }

    private double Alpha => _k.Congestion.MarkedShare / (double)Dctcp.One;

    [Theory]
    [InlineData(0)]
    [InlineData(10)]
    [InlineData(50)]
    [InlineData(100)]
    // §3.3 step 6: Alpha * (1 - g) + g * M, g = 1/16, from one on.
    public void TheEstimateFollowsTheMarkedShare(int marked)
    {
        var alpha = 1.0;
        // An observation is a window and the segment after it, so the pattern drifts: a hundredth of the share, smoothed.
        Acknowledge(marked);
        alpha = Alpha;
        for (var window = 0; window < 200; window++)
        {
            Acknowledge(marked);
            alpha += ((marked / 100.0) - alpha) / 16;
            Assert.Equal(alpha, Alpha, 0.006);
        }
        Assert.Equal(marked / 100.0, Alpha, 0.006);
    }

    [Fact]
    // §4.2: what the shift leaves over becomes zero.
    public void WithoutMarksTheEstimateReachesZero()
    {
        for (var window = 0; window < 200; window++) Acknowledge(0);
        Assert.Equal(0u, _k.Congestion.MarkedShare);
        s_dctcp.OnEcnEcho(ref _c, ref _k, Window, default);
        Assert.Equal(Window, _c.Cwnd);
    }

    [Theory]
    [InlineData(65_536, 50_000)]
    [InlineData(32_768, 75_000)]
    [InlineData(6_554, 95_000)]
    // §3.3 step 9: cwnd * (1 - Alpha / 2).
    public void TheWindowFallsByHalfOfTheEstimate(uint share, uint window)
    {
        _k.Congestion.MarkedShare = share;
        s_dctcp.OnEcnEcho(ref _c, ref _k, Window, default);
        Assert.InRange(_c.Cwnd, window - 2, window + 2);
        Assert.Equal(_c.Cwnd, _c.Ssthresh);
    }

    [Fact]
    // §3.5: a loss halves the window, whatever the estimate says.
    public void ALossIsAnsweredAsByAnyTcp()
    {
        _k.Congestion.MarkedShare = 0;
        s_dctcp.OnLoss(ref _c, ref _k, Window);
        Assert.Equal(Window / 2, _c.Ssthresh);
        s_dctcp.OnTimeout(ref _c, ref _k, 3000);
        Assert.Equal(2000u, _c.Ssthresh);
    }
}
