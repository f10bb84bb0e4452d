// What a retransmission does to the window, on the wire: F-RTO's two steps (RFC 5682), undo by timestamps (RFC 3522, RFC 4015) and by
// D-SACK (RFC 3708), proportional rate reduction segment by segment (RFC 9937), and from when the timer counts (RFC 7765).
using Peregrine.Core.Tcp;
using Peregrine.Wire;

namespace Peregrine.Scenarios.Tests.SegmentTests;

public sealed class RetransmissionTests
{
    private const int Mss = 1460;

    // Nothing but what a test is about.
    private static readonly TcpSettings s_bare = TcpSettings.Default with
    {
        CongestionControl = "reno", TailLossProbe = false, ForwardRto = false, EifelUndo = false, DsackUndo = false, SlowStartAfterIdle = false,
    };

    private static Answer[] Take(Peer p, int count) => [.. Enumerable.Range(0, count).Select(_ => p.Take())];

    private static TcpInfo Info(Peer p, TcpHandle t)
    {
        Assert.True(p.Tcp.TryGetInfo(t, p.Now, out var info));
        return info;
    }

    [Fact]
    // RFC 5682 §2.1: step 1, the first segment; step 2b, two new ones; step 3b, the second ACK that moves on: nothing else goes again.
    public void WithoutSackALateAckIsFoundOutInTwoSteps()
    {
        using var p = new Peer();
        var t = p.Accept(s_bare with { ForwardRto = true });
        p.Write(t, 14 * Mss);
        var sent = Take(p, 10);
        var window = Info(p, t).CongestionWindow;
        p.Advance(260);
        Assert.Equal(sent[0].Seq, p.Take().Seq);
        p.ExpectSilence();
        p.Send(Peer.Ack, ack: sent[1].Seq);
        Assert.Equal([sent[9].Seq + Mss, sent[9].Seq + (2 * Mss)], Take(p, 2).Select(a => a.Seq));
        p.ExpectSilence();
        p.Send(Peer.Ack, ack: sent[2].Seq);
        Assert.True(Info(p, t).CongestionWindow >= window);
        Assert.Equal((1, 1, 1L), (p.Tcp.ExtCounters.TCPSpuriousRTOs, p.Tcp.ExtCounters.TCPLossUndo, p.Tcp.Counters.SegmentsRetransmitted));
        // Ten are in flight, as before, and the ACK opens the window by one; what follows is new.
        Assert.Equal(sent[9].Seq + (3 * Mss), p.Take().Seq);
        p.ExpectSilence();
        p.Send(Peer.Ack);
        Assert.Equal(sent[9].Seq + (4 * Mss), p.Take().Seq);
        p.Send(Peer.Ack);
        p.ExpectSilence();
        Assert.Equal(1, p.Tcp.Counters.SegmentsRetransmitted);
    }

    [Fact]
    // RFC 5682 §2.1 step 3a: a duplicate ACK after the new data: the loss was real, and slow start goes on from three segments.
    public void WithoutSackADuplicateAckInTheSecondStepMeansALoss()
    {
        using var p = new Peer();
        var t = p.Accept(s_bare with { ForwardRto = true });
        p.Write(t, 14 * Mss);
        var sent = Take(p, 10);
        p.Advance(260);
        p.Take();
        p.Send(Peer.Ack, ack: sent[1].Seq);
        Take(p, 2);
        p.Send(Peer.Ack, ack: sent[1].Seq);
        Assert.Equal(sent[1].Seq, p.Take().Seq);
        Assert.Equal(0, p.Tcp.ExtCounters.TCPSpuriousRTOs);
        Assert.True(Info(p, t).CongestionWindow <= 3 * Mss);
    }

    [Fact]
    // RFC 5682 §3.1 step 3b: with SACK, one report of a segment that was sent once.
    public void WithSackOneReportOfWhatWasSentOnceIsEnough()
    {
        using var p = new Peer();
        var t = p.Accept(s_bare with { ForwardRto = true }, Peer.Offer(sack: true));
        p.Write(t, 14 * Mss);
        var sent = Take(p, 10);
        var window = Info(p, t).CongestionWindow;
        p.Advance(260);
        Assert.Equal(sent[0].Seq, p.Take().Seq);
        var options = default(TcpOptions);
        options.TryAddSackBlock(new SackBlock(sent[2].Seq, sent[4].Seq));
        p.Send(Peer.Ack, ack: sent[1].Seq, options: options);
        Assert.Equal(1, p.Tcp.ExtCounters.TCPSpuriousRTOs);
        Assert.True(Info(p, t).CongestionWindow >= window);
    }

    [Fact]
    // RFC 3522 §3.2: the ACK after the time-out echoes a time before the retransmission; RFC 4015: the window is what it was, at once.
    public void ATimestampFromBeforeTheTimeoutGivesTheWindowBack()
    {
        foreach (var isLate in new[] { true, false })
        {
            using var p = new Peer();
            var t = p.Accept(s_bare with { EifelUndo = true }, Peer.Offer(sack: true, timestamps: true));
            p.Write(t, 8 * (Mss - 12));
            var sent = Take(p, 8);
            var before = Info(p, t);
            var echo = p.TsEcr;
            p.Advance(260);
            Assert.Equal(sent[0].Seq, p.Take().Seq);
            if (isLate) p.TsEcr = echo;
            p.Send(Peer.Ack, ack: sent[1].Seq);
            var after = Info(p, t);
            Assert.Equal(isLate, after.SlowStartThreshold == uint.MaxValue);
            Assert.Equal(isLate, after.CongestionWindow >= before.CongestionWindow);
            Assert.Equal(isLate ? 1 : 0, p.Tcp.ExtCounters.TCPLossUndo);
            // With the window goes what it would have sent again.
            Assert.Equal(!isLate, p.Inbox.Count > 0);
        }
    }

    [Fact]
    // RFC 3708 §3 (B.1): every retransmission was received twice: the reduction had been for nothing.
    public void ADsackForTheOnlyRetransmissionGivesTheWindowBack()
    {
        using var p = new Peer();
        var (t, sent) = FastRetransmit(p);
        p.Send(Peer.Ack);
        Assert.True(Info(p, t).CongestionWindow < 10 * Mss);
        p.Send(Peer.Ack, options: Dsack(sent[0].Seq));
        Assert.True(Info(p, t).CongestionWindow >= 10 * Mss);
        Assert.Equal(uint.MaxValue, Info(p, t).SlowStartThreshold);
        Assert.Equal(1, p.Tcp.ExtCounters.TCPDSACKUndo);
    }

    [Fact]
    // RFC 3708 §3 (A.4): a D-SACK for what was never sent again is the network's doing, and later ones may be as well.
    public void APathThatDuplicatesUndoesNothingByDsack()
    {
        using var p = new Peer();
        var t = p.Accept(s_bare with { DsackUndo = true }, Peer.Offer(sack: true));
        p.Write(t, Mss);
        var first = p.Take();
        p.Send(Peer.Ack);
        p.Send(Peer.Ack, options: Dsack(first.Seq));
        p.Write(t, 10 * Mss);
        var sent = Take(p, 10);
        p.Advance(40);
        SackFrom(p, sent, 4);
        Assert.Equal(sent[0].Seq, p.Take().Seq);
        p.Send(Peer.Ack);
        p.Send(Peer.Ack, options: Dsack(sent[0].Seq));
        Assert.True(Info(p, t).SlowStartThreshold < uint.MaxValue);
        Assert.Equal(0, p.Tcp.ExtCounters.TCPDSACKUndo);
    }

    [Fact]
    // RFC 9937 §6.1 to §6.4, one lost of twenty, to half: RecoverFS is 20 segments, so every ACK of one lets half a segment go, and a whole
    // one goes when there are two halves; the retransmission goes at once, before its half is earned. At the end the window is ssthresh.
    // (The shortest round trip here is nothing, so RACK's reordering window is nothing as well.)
    public void RateReductionSendsOneSegmentForEverySecondAck()
    {
        using var p = new Peer();
        var t = p.Accept(s_bare, Peer.Offer(sack: true));
        p.Write(t, 80 * Mss);
        foreach (var answer in Take(p, 10)) p.Send(Peer.Ack, ack: answer.Seq + Mss);
        Assert.Equal(20u * Mss, Info(p, t).CongestionWindow);
        var sent = Take(p, 20);
        p.Advance(40);
        var counts = new List<int>();
        for (var i = 2; i <= 16; i++)
        {
            SackFrom(p, sent, i);
            counts.Add(p.Inbox.Count);
            Take(p, p.Inbox.Count);
        }
        Assert.Equal([1, 0, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0], counts);
        Assert.Equal((10u * Mss, 1L), (Info(p, t).SlowStartThreshold, p.Tcp.Counters.SegmentsRetransmitted));
        p.Send(Peer.Ack);
        Assert.InRange(Info(p, t).CongestionWindow, 10u * Mss, 11u * Mss);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    // RFC 7765 §4: with fewer than four segments in flight and nothing to send, the timer that an ACK restarts counts from when the
    // segment was sent, and not from the ACK.
    public void TheTimerCountsFromWhenTheSegmentWasSent(bool restart)
    {
        using var p = new Peer();
        var t = p.Accept(s_bare with { RtoRestart = restart, NoDelay = true }, Peer.Offer(sack: true));
        for (var i = 0; i < 60; i++)
        {
            p.Write(t, Mss);
            p.Take();
            p.Advance(40);
            p.Send(Peer.Ack);
        }
        p.Write(t, Mss);
        var first = p.Take();
        p.Advance(30);
        p.Write(t, Mss);
        var second = p.Take();
        p.Advance(10);
        p.Send(Peer.Ack, ack: first.Seq + Mss);
        var acked = p.Now;
        var rto = Info(p, t).Rto;
        p.Advance((int)rto.Milliseconds + 20);
        var again = p.Take();
        Assert.Equal(second.Seq, again.Seq);
        Assert.InRange((again.At - (restart ? second.At : acked)).Microseconds, rto.Microseconds, rto.Microseconds + 500);
    }

    private static TcpOptions Dsack(SeqNumber seq)
    {
        var options = default(TcpOptions);
        options.TryAddSackBlock(new SackBlock(seq, seq + Mss));
        return options;
    }

    // Ten segments, of which the first is reported missing by a SACK of the three after it.
    private static (TcpHandle Connection, Answer[] Sent) FastRetransmit(Peer p)
    {
        var t = p.Accept(s_bare with { DsackUndo = true }, Peer.Offer(sack: true));
        p.Write(t, 10 * Mss);
        var sent = Take(p, 10);
        p.Advance(40);
        SackFrom(p, sent, 4);
        Assert.Equal(sent[0].Seq, p.Take().Seq);
        return (t, sent);
    }

    // Reports the segments from the second to before the one of that number.
    private static void SackFrom(Peer p, Answer[] sent, int end)
    {
        var options = default(TcpOptions);
        options.TryAddSackBlock(new SackBlock(sent[1].Seq, sent[end - 1].Seq + Mss));
        p.Send(Peer.Ack, ack: sent[0].Seq, options: options);
    }

    // RFC 6298 §5.4; RFC 5682 §2.1 step 2b is for the time-out before.
    [Fact]
    public void AForwardRtoThatIsSwitchedOffHoldsNoRetransmissionBack()
    {
        using var peer = new Peer();
        var c = peer.Accept(s_bare with { ForwardRto = true });
        peer.Write(c, 40_000);
        peer.Inbox.Clear();
        while (peer.Inbox.Count == 0) peer.Advance(50);
        peer.Inbox.Clear();
        peer.Send(Peer.Ack, ack: peer.HostIss + 1 + Mss);
        // New data instead of what else was in flight.
        Assert.Equal(peer.HostIss + 1 + (10 * Mss), peer.Take().Seq);
        peer.Inbox.Clear();
        Assert.Equal(System.Net.Sockets.SocketError.Success, peer.Tcp.SetSettings(c, s_bare, peer.Now));
        peer.Pump();
        peer.Inbox.Clear();
        while (peer.Inbox.Count == 0) peer.Advance(50);
        Assert.Equal(peer.HostIss + 1 + Mss, peer.Take().Seq);
    }
}
