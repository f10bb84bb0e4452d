using Peregrine.Core.Tcp.Recovery;

namespace Peregrine.Core.Tests.Tcp.Recovery;

public sealed class NewRenoRecoveryTests
{
    private static RecoveryBench InRecovery(out uint window)
    {
        var b = new RecoveryBench(sack: false, cwnd: 10_000).SendMany(10);
        for (var i = 0; i < 3; i++) b.Ack(0);
        window = b.C.Cwnd;
        return b;
    }

    [Fact]
    // RFC 5681 §3.2 steps 2 and 3.
    public void ThirdDuplicateRetransmitsAndInflates()
    {
        using var b = InRecovery(out var window);
        Assert.Equal(RecoveryPhase.Recovery, b.Phase);
        Assert.Equal((8000u, 5000u), (window, b.C.Ssthresh));
        Assert.Equal([0u], b.RetransmitAll());
        Assert.Equal(0u, b.Allowance);
    }

    [Fact]
    // RFC 3042 §2: one new segment for each of the first two, and cwnd stays.
    public void FirstTwoDuplicatesLetNewSegmentsGo()
    {
        using var b = new RecoveryBench(sack: false, cwnd: 10_000).SendMany(10);
        b.Ack(0);
        Assert.Equal(1000u, b.Allowance);
        b.Send();
        b.Ack(0);
        Assert.Equal(1000u, b.Allowance);
        b.Send();
        Assert.Equal(0u, b.Allowance);
        Assert.Equal(10_000u, b.C.Cwnd);
        b.Ack(0);
        Assert.Equal(5000u, b.C.Ssthresh);
    }

    [Fact]
    // RFC 5681 §3.2 steps 4 and 5.
    public void FurtherDuplicatesInflateByOneSegmentEach()
    {
        using var b = InRecovery(out _);
        b.Retransmit();
        for (var i = 0; i < 4; i++) b.Ack(0);
        Assert.Equal(12_000u, b.C.Cwnd);
        Assert.Equal(2000u, b.Allowance);
    }

    [Fact]
    // RFC 5681 §3.2 step 4, its note: no more than there were segments.
    public void BogusDuplicatesDoNotInflateWithoutBound()
    {
        using var b = InRecovery(out _);
        for (var i = 0; i < 1000; i++) b.Ack(0);
        Assert.Equal(15_000u, b.C.Cwnd);
    }

    [Fact]
    // RFC 6582 §3.2 step 3: two of ten are lost.
    public void PartialAckRetransmitsTheNextHoleAndDeflates()
    {
        using var b = InRecovery(out _);
        b.Retransmit();
        for (var i = 0; i < 5; i++) b.Ack(0);
        Assert.Equal(13_000u, b.C.Cwnd);
        b.Ack(4000);
        Assert.Equal(10_000u, b.C.Cwnd);
        Assert.Equal((4000u, 1000u), b.Retransmit());
        Assert.Null(b.Retransmit());
        Assert.Equal(RecoveryPhase.Recovery, b.Phase);
        b.Ack(6000);
        Assert.Equal([6000u], b.RetransmitAll());
    }

    [Fact]
    // RFC 6582 §3.2 step 3, full ACK with choice (1).
    public void FullAckDeflatesToWhatIsInFlight()
    {
        using var b = InRecovery(out _);
        b.Retransmit();
        var sample = b.Ack(10_000);
        Assert.True(sample.LeftRecovery);
        Assert.Equal((RecoveryPhase.Open, 2000u), (b.Phase, b.C.Cwnd));
    }

    [Fact]
    // RFC 6582 §3.2 step 2: three duplicates of an ACK that does not cover more than recover.
    public void NoSecondFastRetransmitBeforeRecoverIsPassed()
    {
        using var b = InRecovery(out _);
        b.Retransmit();
        b.Ack(10_000);
        b.SendMany(5);
        for (var i = 0; i < 5; i++) b.Ack(10_000);
        Assert.Equal(RecoveryPhase.Disorder, b.Phase);
        Assert.Null(b.Peek());
        b.Ack(11_000);
        for (var i = 0; i < 3; i++) b.Ack(11_000);
        Assert.Equal(RecoveryPhase.Recovery, b.Phase);
    }

    [Fact]
    public void WhatIsNoDuplicateIsNotCounted()
    {
        using var b = new RecoveryBench(sack: false, cwnd: 10_000).SendMany(10);
        for (var i = 0; i < 10; i++) b.AckWith(0, false);
        Assert.Equal((0, RecoveryPhase.Open), (b.C.DupAcks, b.Phase));
    }

    [Fact]
    public void TheRecoverPointDoesNotOutliveTheCircle()
    {
        // Four GiB later the old number would lie ahead again.
        using var b = InRecovery(out _);
        b.Retransmit();
        b.Ack(10_000);
        var end = 10_000u;
        for (var i = 0; i < 44; i++)
        {
            b.Send(100_000_000);
            end += 100_000_000;
            b.Ack(end);
        }
        b.C.Cwnd = 10_000;
        b.SendMany(10);
        for (var i = 0; i < 3; i++) b.Ack(end);
        Assert.Equal(RecoveryPhase.Recovery, b.Phase);
    }
}
