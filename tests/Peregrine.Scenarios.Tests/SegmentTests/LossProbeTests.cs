// Tail loss probes and RACK's timer on the wire (RFC 8985 §7, §6.2): when the probe goes, what it is, and what its answer means.
using Peregrine.Core.Tcp;
using Peregrine.Core.Time;
using Peregrine.Wire;

namespace Peregrine.Scenarios.Tests.SegmentTests;

public sealed class LossProbeTests
{
    private const int Mss = 1460;

    // A connection whose round trip is known.
    private static (Peer Peer, TcpHandle Connection) Warm(TcpSettings? settings = null, int roundTripMs = 40, int varianceMsMin = 0)
    {
        var p = new Peer(World.Host.SmallOptions with { RtoVarianceMsMin = varianceMsMin });
        var t = p.Accept(settings, Peer.Offer(sack: true));
        for (var i = 0; i < 60; i++)
        {
            p.Write(t, Mss);
            p.Take();
            p.Advance(Math.Min(roundTripMs, 40 * (i + 1)));
            p.Send(Peer.Ack);
        }
        p.ExpectSilence();
        return (p, t);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    // RFC 6298 §5.3, RFC 6675 §6: RTO is 600 ms here, and the ACK of the retransmission comes 800 ms after the head was first sent.
    public void AfterSacksTheRetransmissionHasItsRoundTripBeforeTheTimeout(bool rack)
    {
        var (p, t) = Warm(TcpSettings.Default with { Rack = rack }, roundTripMs: 400, varianceMsMin: 200);
        using var _ = p;
        p.Write(t, 8 * Mss);
        var head = p.Take();
        while (p.Inbox.Count > 0) p.Take();
        p.Advance(400);
        var options = default(TcpOptions);
        options.TryAddSackBlock(new SackBlock(head.Seq + Mss, p.HostNext));
        p.Send(Peer.Ack, ack: head.Seq, options: options);
        Assert.Equal(head.Seq, p.Take().Seq);
        p.Advance(590);
        p.ExpectSilence();
        Assert.Equal(0, p.Tcp.Counters.RetransmissionTimeouts);
        // And if that is lost too, the time-out comes.
        p.Advance(100);
        Assert.Equal((head.Seq, 1L), (p.Take().Seq, p.Tcp.Counters.RetransmissionTimeouts));
    }

    [Fact]
    // §7.2: two round trips with several segments in flight; §7.3: nothing unsent: the highest segment again.
    public void TheLastSegmentGoesAgainAfterTwoRoundTrips()
    {
        var (p, t) = Warm();
        using var _ = p;
        p.Write(t, 3 * Mss);
        var sent = Enumerable.Range(0, 3).Select(_ => p.Take()).ToArray();
        p.Advance(78);
        p.ExpectSilence();
        p.Advance(8);
        var probe = p.Take();
        Assert.Equal((sent[2].Seq, Mss), (probe.Seq, probe.Payload.Length));
        p.ExpectSilence();
        Assert.Equal(1, p.Tcp.ExtCounters.TCPLossProbes);
        Assert.Equal(0, p.Tcp.Counters.RetransmissionTimeouts);
        // §7.4.1: its SACK shows the two before it to be lost, after the reordering window.
        var options = default(TcpOptions);
        options.TryAddSackBlock(new SackBlock(probe.Seq, probe.Seq + Mss));
        p.Advance(40);
        p.Send(Peer.Ack, ack: sent[0].Seq, options: options);
        p.Advance(15);
        Assert.Equal((sent[0].Seq, Mss), (p.Take().Seq, Mss));
    }

    [Fact]
    // §7.2: a single segment's ACK may be delayed: the probe waits for that as well, and no longer than the retransmission timer.
    public void WithOneSegmentInFlightTheProbeWaitsForADelayedAck()
    {
        var (p, t) = Warm();
        using var _ = p;
        p.Write(t, Mss);
        var sent = p.Take();
        p.Advance(195);
        p.ExpectSilence();
        p.Advance(90);
        Assert.Equal(sent.Seq, p.Take().Seq);
        Assert.Equal(1, p.Tcp.ExtCounters.TCPLossProbes);
        Assert.Equal(0, p.Tcp.Counters.RetransmissionTimeouts);
    }

    [Fact]
    // §7.3: what the application has queued goes first, although the congestion window is full.
    public void NewDataAreTheProbeWhereThereAreSome()
    {
        var (p, t) = Warm();
        using var _ = p;
        p.Write(t, 60 * Mss);
        Answer last;
        do last = p.Take();
        while (p.Inbox.Count > 0);
        p.Advance(90);
        var probe = p.Take();
        Assert.Equal(last.Seq + Mss, probe.Seq);
        p.ExpectSilence();
    }

    [Fact]
    // §7.4.2 case 1: the D-SACK says that both copies came: no reduction. And without it, once later data are acknowledged, there is one.
    public void AProbeThatRepairedALossReducesTheWindowAndOneThatDidNotDoesNot()
    {
        foreach (var wasNeeded in new[] { false, true })
        {
            var (p, t) = Warm();
            using var _ = p;
            Assert.True(p.Tcp.TryGetInfo(t, p.Now, out var before));
            p.Write(t, 2 * Mss);
            p.Take();
            p.Take();
            p.Advance(90);
            var probe = p.Take();
            var options = default(TcpOptions);
            if (!wasNeeded) options.TryAddSackBlock(new SackBlock(probe.Seq, probe.Seq + Mss));
            p.Advance(20);
            p.Send(Peer.Ack, options: options);
            p.Write(t, Mss);
            p.Take();
            p.Advance(40);
            p.Send(Peer.Ack);
            Assert.True(p.Tcp.TryGetInfo(t, p.Now, out var after));
            Assert.Equal(wasNeeded ? 1 : 0, p.Tcp.ExtCounters.TCPLossProbeRecovery);
            Assert.Equal(wasNeeded, after.SlowStartThreshold < uint.MaxValue);
            Assert.Equal(wasNeeded, after.CongestionWindow < before.CongestionWindow);
        }
    }

    [Fact]
    // §7.3: one probe only, then the retransmission timer.
    public void WhenTheProbeFailsTheRetransmissionTimerFollows()
    {
        var (p, t) = Warm();
        using var _ = p;
        p.Write(t, 2 * Mss);
        var first = p.Take();
        p.Take();
        p.Advance(90);
        p.Take();
        p.Advance(190);
        p.ExpectSilence();
        p.Advance(120);
        Assert.Equal(first.Seq, p.Take().Seq);
        Assert.Equal((1, 1L), (p.Tcp.ExtCounters.TCPLossProbes, p.Tcp.Counters.RetransmissionTimeouts));
    }

    [Fact]
    public void WithoutTheSettingThereIsNoProbe()
    {
        var (p, t) = Warm(TcpSettings.Default with { TailLossProbe = false });
        using var _ = p;
        p.Write(t, 2 * Mss);
        p.Take();
        p.Take();
        p.Advance(190);
        p.ExpectSilence();
        Assert.Equal(0, p.Tcp.ExtCounters.TCPLossProbes);
    }
}
