using Peregrine.Core.Tcp.Recovery;
using Peregrine.Core.Time;

namespace Peregrine.Core.Tests.Tcp.Recovery;

public sealed class TimeoutTests
{
    [Fact]
    // RFC 5681 §3.1 equation (4) and the loss window; RFC 6298 §5.4.
    public void TimeoutSendsTheEarliestSegmentAgainWithAWindowOfOne()
    {
        using var b = new RecoveryBench(cwnd: 10_000).SendMany(10);
        b.Timeout();
        Assert.Equal((1000u, 5000u, RecoveryPhase.Loss, 0u), (b.C.Cwnd, b.C.Ssthresh, b.Phase, b.Pipe));
        Assert.Equal([0u], b.RetransmitAll());
        Assert.Equal(0u, b.Allowance);
    }

    [Fact]
    // RFC 5681 §3.1: slow start up to ssthresh, by one segment an ACK, over all that was in flight.
    public void WhatWasInFlightGoesOutAgainInSlowStart()
    {
        using var b = new RecoveryBench(cwnd: 10_000).SendMany(10);
        b.Timeout();
        b.RetransmitAll();
        b.Ack(1000);
        Assert.Equal(2000u, b.C.Cwnd);
        Assert.Equal([1000u, 2000u], b.RetransmitAll());
        b.Ack(3000);
        Assert.Equal(3000u, b.C.Cwnd);
        Assert.Equal([3000u, 4000u, 5000u], b.RetransmitAll());
        Assert.True(b.Ack(10_000).LeftRecovery);
        Assert.Equal(RecoveryPhase.Open, b.Phase);
    }

    [Fact]
    // RFC 6675 §5.1: SACKs are used in what follows a time-out.
    public void WhatIsSackedIsNotSentAgain()
    {
        using var b = new RecoveryBench(cwnd: 10_000).SendMany(10);
        b.Ack(0, (1000, 3000));
        b.Timeout();
        b.C.Cwnd = 20_000;
        Assert.Equal([0u, 3000u, 4000u, 5000u, 6000u, 7000u, 8000u, 9000u], b.RetransmitAll());
    }

    [Fact]
    // RFC 2018 §8: the left edge was SACKed, and the ACK stops before it: the receiver took it back.
    public void RenegingShowsAtTheLeftEdgeAndEndsTheTrust()
    {
        using var b = new RecoveryBench(cwnd: 10_000).SendMany(5);
        b.Ack(0, (1000, 2000), (3000, 4000));
        b.Ack(1000);
        b.Timeout();
        Assert.Equal(0u, b.K.Recovery.SackedBytes);
        b.C.Cwnd = 20_000;
        Assert.Equal([1000u, 2000u, 3000u, 4000u], b.RetransmitAll());
    }

    [Fact]
    // RFC 2018 §8: a repair that times out as well does not go by old SACKs.
    public void TheSecondTimeoutForgetsAllSacks()
    {
        using var b = new RecoveryBench(cwnd: 10_000).SendMany(5);
        b.Ack(0, (1000, 5000));
        b.Timeout();
        Assert.Equal(4000u, b.K.Recovery.SackedBytes);
        b.RetransmitAll();
        b.Timeout();
        Assert.Equal(0u, b.K.Recovery.SackedBytes);
    }

    [Fact]
    // RFC 6675 §5.1: with a test for reneging they may be kept; where the first segment was reported, nothing is believed.
    public void WherePacketsAreCountedSacksAreKeptUntilTheFirstSegmentIsAmongThem()
    {
        using var b = new RecoveryBench(cwnd: 10_000, settings: RecoveryBench.Classic with { Mechanisms = SenderMechanisms.PacketWindow }).SendMany(5);
        b.Ack(0, (1000, 3000), (4000, 5000));
        for (var i = 0; i < 3; i++)
        {
            b.Timeout();
            Assert.Equal(3000u, b.K.Recovery.SackedBytes);
            b.RetransmitAll();
        }
        b.Ack(1000);
        b.Timeout();
        Assert.Equal(0u, b.K.Recovery.SackedBytes);
    }

    [Fact]
    // RFC 5681 §3.1: ssthresh is held when the same segment times out again.
    public void SsthreshFallsOnceForOneSegment()
    {
        using var b = new RecoveryBench(cwnd: 20_000).SendMany(20);
        b.Timeout();
        b.RetransmitAll();
        b.Timeout();
        Assert.Equal(10_000u, b.C.Ssthresh);
    }

    [Fact]
    // RFC 6675 §5.1.
    public void NoFastRecoveryBeforeTheRecoveryPoint()
    {
        using var b = new RecoveryBench(cwnd: 10_000).SendMany(10);
        b.Timeout();
        b.RetransmitAll();
        for (var right = 2000u; right <= 9000; right += 1000) Assert.False(b.Ack(0, (1000, right)).EnteredRecovery);
        Assert.Equal(RecoveryPhase.Loss, b.Phase);
    }

    [Fact]
    public void AnMssThatGrewPastTheWindowBlocksNothing()
    {
        using var b = new RecoveryBench(cwnd: 10_000).SendMany(2);
        b.Timeout();
        b.C.Mss = 1400;
        Assert.Equal(1000u, b.Allowance);
        Assert.Equal((0u, 1000u), b.Retransmit());
        Assert.Equal(0u, b.Allowance);
    }

    [Fact]
    // RFC 6298 §5.5 and §2.5.
    public void RtoDoublesUpToItsMaximum()
    {
        using var b = new RecoveryBench().SendMany(1);
        var seconds = new List<long>();
        for (var i = 0; i < 10; i++)
        {
            seconds.Add(b.Recovery.Rto(b.K).Milliseconds / 1000);
            b.Timeout();
        }
        Assert.Equal([1L, 2, 4, 8, 16, 32, 64, 120, 120, 120], seconds);
    }

    [Fact]
    // RFC 6298 §3 and §5: only a sample from data sent once ends the doubling.
    public void DoublingEndsWithASampleFromDataSentOnce()
    {
        using var b = new RecoveryBench().SendMany(1);
        b.Timeout();
        b.RetransmitAll();
        b.PassMs(50);
        b.Ack(1000);
        Assert.Equal(Duration.FromSeconds(2), b.Recovery.Rto(b.K));
        b.Send();
        b.PassMs(50);
        b.Ack(2000);
        Assert.Equal(Duration.FromMilliseconds(200), b.Recovery.Rto(b.K));
    }

    [Fact]
    // RFC 1191 §6.5.
    public void ASmallerMtuResendsWhatWasTooLargeAndLeavesTheWindow()
    {
        using var b = new RecoveryBench(cwnd: 10_000);
        b.Send();
        b.Ack(1000);
        var cwnd = b.C.Cwnd;
        b.SendMany(2);
        b.Send(300);
        b.Recovery.OnMssReduced(ref b.C, ref b.K, 500);
        Assert.True(b.Recovery.HasRetransmission(b.C, b.K));
        Assert.Equal([1000u, 1500u, 2000u, 2500u], b.RetransmitAll());
        Assert.Equal((cwnd, RecoveryPhase.Open, 2300u), (b.C.Cwnd, b.Phase, b.Pipe));
        Assert.False(b.Recovery.HasRetransmission(b.C, b.K));
        b.Ack(3300);
        Assert.Equal(b.RecordCount, b.Recovery.FreeRecords);
    }

    [Fact]
    // RFC 5681 §3.1: the initial window shrinks with its segments.
    public void ASmallerMtuShrinksTheInitialWindow()
    {
        using var b = new RecoveryBench();
        b.Recovery.OnMssReduced(ref b.C, ref b.K, 500);
        Assert.Equal((5000u, 500), (b.C.Cwnd, (int)b.C.Mss));
    }

    [Fact]
    // RFC 5681 §4.1.
    public void IdlenessRestartsTheWindow()
    {
        using var b = new RecoveryBench(cwnd: 50_000).SendMany(1);
        b.PassMs(10);
        b.Ack(1000);
        b.PassMs(100);
        b.Recovery.OnIdle(ref b.C, ref b.K, b.Now);
        Assert.True(b.C.Cwnd >= 50_000);
        b.PassMs(200);
        b.Recovery.OnIdle(ref b.C, ref b.K, b.Now);
        Assert.Equal(10_000u, b.C.Cwnd);
    }

    [Fact]
    public void RestartAfterIdleCanBeSwitchedOff()
    {
        using var b = new RecoveryBench(cwnd: 50_000, settings: RecoveryBench.Classic with { SlowStartAfterIdle = false });
        b.PassMs(5000);
        b.Recovery.OnIdle(ref b.C, ref b.K, b.Now);
        Assert.Equal(50_000u, b.C.Cwnd);
    }
}
