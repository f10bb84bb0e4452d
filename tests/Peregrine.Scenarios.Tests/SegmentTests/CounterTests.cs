// Counters that Linux's nstat has: what each counts, one segment at a time.
using Peregrine.Core.Tcp;
using Peregrine.Wire;
using static Peregrine.Scenarios.Tests.SegmentTests.Peer;

namespace Peregrine.Scenarios.Tests.SegmentTests;

public sealed class CounterTests
{
    private const int Mss = 1460;

    [Fact]
    public void SegmentsOutOfOrderAndAgainAreCountedByWhereTheyLie()
    {
        using var p = new Peer();
        p.Accept(options: Offer(sack: true));
        p.Send(Ack, p.Next + 100, length: 100);
        Assert.Equal((1L, 0L), (Ext(p).TCPOFOQueue, Ext(p).TCPOFOMerge));
        p.Send(Ack, p.Next + 100, length: 100);
        Assert.Equal((2L, 1L, 1L, 0L), (Ext(p).TCPOFOQueue, Ext(p).TCPOFOMerge, Ext(p).TCPDSACKOfoSent, Ext(p).TCPDSACKOldSent));
        p.Send(Ack, length: 100);
        Assert.Equal(0, Ext(p).DelayedACKLost);
        p.Send(Ack, length: 100);
        Assert.Equal((1L, 1L, 1L), (Ext(p).DelayedACKLost, Ext(p).TCPDSACKOldSent, Ext(p).TCPDSACKOfoSent));
        Assert.Equal(2, p.Tcp.Counters.DsacksSent);
    }

    [Fact]
    public void AWindowIsCountedWhenItClosesAndWhenItOpens()
    {
        using var p = new Peer();
        var t = p.Accept(TcpSettings.Default with { ReceiveBufferBytes = 2_048, ReceiveBufferBytesMax = 2_048, QuickAckCount = 63 });
        p.SendNext(1_024);
        p.SendNext(1_024);
        p.Pump();
        Assert.Equal((1L, 0L, 0L), (Ext(p).TCPToZeroWindowAdv, Ext(p).TCPFromZeroWindowAdv, Ext(p).TCPZeroWindowDrop));
        p.Send(Ack, length: 10);
        Assert.Equal((1L, 0L, 1L), (Ext(p).TCPToZeroWindowAdv, Ext(p).TCPFromZeroWindowAdv, Ext(p).TCPZeroWindowDrop));
        p.AssertReads(t, 2_048);
        Assert.Equal((1L, 1L), (Ext(p).TCPToZeroWindowAdv, Ext(p).TCPFromZeroWindowAdv));
    }

    [Fact]
    public void AnEndByTheApplicationIsCountedByWhatWasLeft()
    {
        using var p = new Peer();
        var t = p.Accept();
        p.SendNext(10);
        p.Tcp.Close(t, p.Now);
        Assert.Equal((1L, 0L), (Ext(p).TCPAbortOnClose, Ext(p).TCPAbortOnData));
        using var q = new Peer();
        q.Tcp.Abort(q.Accept(), q.Now);
        Assert.Equal((0L, 1L), (Ext(q).TCPAbortOnClose, Ext(q).TCPAbortOnData));
    }

    [Fact]
    public void HandshakesThatGoWrongAreCounted()
    {
        using var p = new Peer();
        p.Listen();
        p.SynExchange();
        p.Send(Rst);
        Assert.Equal(1, Ext(p).EmbryonicRsts);
        using var q = new Peer { Timestamps = true };
        q.Connect(out var syn);
        q.Advance(1_100);
        Assert.Equal(1, Ext(q).TCPSynRetrans);
        // Of another connection: it echoes what our SYNs never said.
        var options = Offer();
        options.SetTimestamps(1_000, syn.Segment.OptionsRef.TsVal - 5_000);
        q.Send(Syn | Ack, q.Iss, options: options);
        Assert.Equal(1, Ext(q).PAWSActive);
    }

    [Fact]
    public void WhatTheLimiterWithholdsIsCountedByReason()
    {
        using var p = new Peer();
        p.Accept(options: Offer(timestamps: true));
        for (var i = 0; i < 3; i++) p.Send(Rst, p.Next + 10);
        Assert.Equal(2, Ext(p).TCPACKSkippedChallenge);
        for (var i = 0; i < 3; i++) p.Send(Ack, p.Next - 100);
        Assert.Equal(3, Ext(p).TCPACKSkippedSeq);
        p.TsVal -= 500;
        for (var i = 0; i < 3; i++) p.Send(Ack);
        Assert.Equal(3, Ext(p).TCPACKSkippedPAWS);
        Assert.Equal(8, p.Tcp.Counters.RepliesLimited);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void TimeoutsAreCountedByWhatWentBeforeThem(bool sack)
    {
        using var p = new Peer();
        var t = p.Accept(TcpSettings.Default with { TailLossProbe = false, Rack = false, CongestionControl = "reno" }, Offer(sack: sack));
        p.Write(t, 6 * Mss);
        while (p.Inbox.Count > 0) p.Take();
        var start = p.HostNext - (6 * Mss);
        // One duplicate ACK begins no recovery.
        SendSack(p, sack, start, Mss, 2 * Mss);
        p.Advance(300);
        Assert.Equal((sack ? 1L : 0, sack ? 0L : 1), (Ext(p).TCPSackFailures, Ext(p).TCPRenoFailures));
        // The same again is no event of its own.
        p.Advance(400);
        Assert.Equal((2L, 1L), (Ext(p).TCPTimeouts, Ext(p).TCPSackFailures + Ext(p).TCPRenoFailures));
        // What is acknowledged ends the row, and the rest times out while it is repaired.
        p.Send(Ack, ack: start + (2 * Mss));
        p.Advance(20_000);
        Assert.Equal(1, Ext(p).TCPLossFailures);
    }

    [Fact]
    public void ASackOfWhatWasNeverSentIsDiscarded()
    {
        using var p = new Peer();
        var t = p.Accept(options: Offer(sack: true));
        p.Write(t, 2 * Mss);
        while (p.Inbox.Count > 0) p.Take();
        SendSack(p, true, p.HostNext - (2 * Mss), 5 * Mss, 6 * Mss);
        Assert.Equal(1, Ext(p).TCPSACKDiscard);
        Assert.Equal(2, Ext(p).TCPOrigDataSent);
    }

    [Fact]
    public void AnAckThatADeferringListenerPassesOverIsCounted()
    {
        using var p = new Peer();
        p.Listen(TcpSettings.Default with { DeferAcceptSeconds = 10 });
        p.SynExchange();
        p.Send(Ack);
        Assert.Equal(1, Ext(p).TCPDeferAcceptDrop);
    }

    [Fact]
    public void ASynThatFindsNoRoomGetsACookieOrNothing()
    {
        foreach (var cookies in (bool[])[true, false])
        {
            using var p = new Peer(World.Host.SmallOptions with { SynBacklogCountMax = 1, SynCookies = cookies });
            p.Listen();
            p.Send(Syn, p.Iss, options: Offer());
            p.Port++;
            p.Send(Syn, p.Iss, options: Offer());
            Assert.Equal(cookies ? (1L, 0L) : (0L, 1L), (Ext(p).TCPReqQFullDoCookies, Ext(p).TCPReqQFullDrop));
        }
    }

    private static void SendSack(Peer p, bool sack, SeqNumber ack, int from, int to)
    {
        var options = default(TcpOptions);
        if (sack) options.TryAddSackBlock(new SackBlock(ack + (uint)from, ack + (uint)to));
        p.Send(Ack, ack: ack, options: options);
    }

    private static TcpExtCounters Ext(Peer p)
    {
        p.Pump();
        return p.Tcp.ExtCounters;
    }
}
