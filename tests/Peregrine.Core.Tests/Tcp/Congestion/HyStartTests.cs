// HyStart++ (RFC 9406 §4.2): rounds of eight samples each, as the round trip stays, grows, and shrinks again.
using Peregrine.Core.Tcp;
using Peregrine.Core.Tcp.Congestion;
using Peregrine.Core.Tcp.Recovery;
using Peregrine.Core.Time;

namespace Peregrine.Core.Tests.Tcp.Congestion;

public sealed class HyStartTests
{
    private Tcb _c = new() { Mss = 1000, Cwnd = 10_000, Ssthresh = uint.MaxValue };
    private CongestionState _s = new() { Elapsed = CongestionState.NoEpoch };

    // A round of ten ACKs; what each lets the window grow by.
    private uint[] Round(int rttMs) => [.. Enumerable.Range(0, 10).Select(i =>
        HyStart.OnAck(ref _c, ref _s, new AckSample { Rtt = Duration.FromMilliseconds(rttMs), IsRoundStart = i == 0 }, 1000))];

    [Fact]
    public void WhileTheRoundTripStaysSlowStartGrowsInFull()
    {
        for (var i = 0; i < 5; i++) Assert.All(Round(100), growth => Assert.Equal(1000u, growth));
        Assert.Equal(uint.MaxValue, _c.Ssthresh);
    }

    [Fact]
    // Eight samples are an eighth above the round before: a quarter of the growth from the eighth on, and after five rounds the end.
    public void ARoundTripThatGrewSlowsGrowthAndEndsSlowStartAfterFiveRounds()
    {
        Round(100);
        var growth = Round(113);
        Assert.Equal([1000u, 1000, 1000, 1000, 1000, 1000, 1000, 250, 250, 250], growth);
        for (var i = 0; i < 4; i++) Assert.All(Round(113), g => Assert.Equal(250u, g));
        Assert.Equal(uint.MaxValue, _c.Ssthresh);
        // Its first ACK ends slow start; CUBIC asks no more.
        HyStart.OnAck(ref _c, ref _s, new AckSample { Rtt = Duration.FromMilliseconds(113), IsRoundStart = true }, 1000);
        Assert.Equal(_c.Cwnd, _c.Ssthresh);
        Assert.Equal((0u, 0u, 0u, 0u), (_s.AckedBytes, _s.K, _s.West, _s.CwndPrior));
    }

    [Fact]
    public void ARoundTripThatShrinksAgainResumesSlowStart()
    {
        Round(100);
        Round(120);
        Assert.Equal(1000u, Round(100)[9]);
        Assert.All(Round(100), g => Assert.Equal(1000u, g));
        Assert.Equal(uint.MaxValue, _c.Ssthresh);
    }

    [Fact]
    // MIN_RTT_THRESH: less than four milliseconds are noise on any path.
    public void ThreeMillisecondsMoreAreNoise()
    {
        Round(2);
        Assert.All(Round(5), g => Assert.Equal(1000u, g));
        Assert.Equal(250u, Round(10)[9]);
    }
}
