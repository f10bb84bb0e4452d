// RACK (RFC 8985 §6), segment by segment: what is marked lost when, and how the reordering window follows what was seen.
using Peregrine.Core.Tcp;
using Peregrine.Core.Tcp.Recovery;
using Peregrine.Core.Time;
using Peregrine.Wire;

namespace Peregrine.Core.Tests.Tcp.Recovery;

public sealed class RackTests
{
    private static readonly RecoverySettings s_rack = RecoveryBench.Classic with { Rack = true };

    // Ten segments a millisecond apart, the first ACK after a round trip of 40 ms.
    private static RecoveryBench Flight(int count = 10, RecoverySettings? settings = null)
    {
        var b = new RecoveryBench(settings: settings ?? s_rack, cwnd: 50_000);
        b.Send();
        b.PassMs(40);
        b.Ack(1000);
        for (var i = 0; i < count; i++)
        {
            b.Send();
            b.PassMs(1);
        }
        b.PassMs(40 - count);
        return b;
    }

    [Fact]
    // A stamp counts modulo 1,100 s. A peer that acknowledges nothing new for ten minutes must not make each repetition lost as it goes out.
    public void WhatWasDeliveredTenMinutesAgoMakesNothingLost()
    {
        using var b = Flight();
        b.Ack(2000, (3000, 4000));
        for (var minutes = 0; minutes < 10; minutes += 2)
        {
            b.PassMs(120_000);
            b.Timeout();
            b.Retransmit();
        }
        b.PassMs(50);
        var sample = b.Ack(2000);
        Assert.Equal(0u, sample.LostBytes);
        Assert.True(b.Peek() is null, "the head went out again although its repetition is on its way");
    }

    [Fact]
    // §6.2 steps 4 and 5: without reordering seen and fewer than three segments SACKed, a quarter of the shortest round trip is waited.
    public void AHoleIsLostAfterAQuarterOfTheRoundTripTime()
    {
        using var b = Flight();
        b.PassMs(1);
        var sample = b.Ack(1000, (2000, 3000));
        Assert.Equal(0u, sample.LostBytes);
        Assert.InRange(sample.ReorderingWait.Microseconds, 9_900, 10_100);
        b.PassMs(8);
        Assert.True(b.Recovery.OnReorderingTimeout(ref b.C, ref b.K, b.Now) > Duration.Zero);
        Assert.Equal(RecoveryPhase.Disorder, b.Phase);
        b.PassMs(2);
        b.Recovery.OnReorderingTimeout(ref b.C, ref b.K, b.Now);
        Assert.Equal(RecoveryPhase.Recovery, b.Phase);
        Assert.Equal(1000u, b.K.Recovery.LostBytes);
        Assert.Equal((1000u, 1000u), b.Retransmit());
        Assert.Equal(1, b.Recovery.Counters.TCPRACKTimerRecovery);
    }

    [Fact]
    // §6.2 step 4: three SACKed segments and no reordering: no wait.
    public void ThreeSackedSegmentsMarkTheHoleAtOnce()
    {
        using var b = Flight();
        b.Ack(1000, (2000, 3000));
        b.Ack(1000, (2000, 4000));
        Assert.Equal(RecoveryPhase.Disorder, b.Phase);
        var sample = b.Ack(1000, (2000, 5000));
        Assert.True(sample.EnteredRecovery);
        Assert.Equal(1000u, sample.LostBytes);
        Assert.Equal((1000u, 1000u), b.Retransmit());
        Assert.Null(b.Retransmit());
    }

    [Fact]
    // §6.2 step 3: what was sent once comes below what was delivered.
    public void ReorderingOnceSeenNoCountOfSegmentsMarksAnything()
    {
        using var b = Flight();
        b.Ack(1000, (2000, 3000));
        b.Ack(3000);
        Assert.True((b.K.Recovery.Flags & RecoveryFlags.ReorderingSeen) != 0);
        Assert.Equal(1, b.Recovery.Counters.TCPSACKReorder);
        var sample = b.Ack(3000, (4000, 8000));
        Assert.Equal(0u, sample.LostBytes);
        Assert.True(sample.ReorderingWait > Duration.Zero);
        b.PassMs(11);
        b.Recovery.OnReorderingTimeout(ref b.C, ref b.K, b.Now);
        Assert.Equal(RecoveryPhase.Recovery, b.Phase);
    }

    [Fact]
    // §6.2 step 4: (N + 1) / 4 of the shortest round trip after N rounds with a D-SACK, never more than SRTT; 16 recoveries without
    // one, and it is 1/4 again.
    public void TheWindowGrowsByAQuarterARoundThatSeesADsack()
    {
        using var b = Flight(2);
        b.K.Recovery.Flags |= RecoveryFlags.ReorderingSeen;
        var quarter = Rack.ReorderingWindow(b.C, b.K);
        Assert.InRange(quarter, 40_000_000u / 4 / 256 - 100, 40_000_000u / 4 / 256 + 100);
        b.Ack(1000, (2000, 3000));
        b.Ack(1000, (500, 1000), (2000, 3000));
        Assert.Equal(1, b.K.Recovery.ReorderingSteps);
        b.Ack(1000, (500, 1000), (2000, 3000));
        Assert.Equal(1, b.K.Recovery.ReorderingSteps);
        Assert.InRange(Rack.ReorderingWindow(b.C, b.K), (2 * quarter) - 2, (2 * quarter) + 2);
        b.K.Recovery.ReorderingSteps = 200;
        Assert.Equal((uint)((b.K.Rtt.Srtt >> 3) * 1000ul / 256), Rack.ReorderingWindow(b.C, b.K));
        for (var i = 0; i < 15; i++) Rack.OnRecoveryEnd(ref b.K.Recovery);
        Assert.Equal(200, b.K.Recovery.ReorderingSteps);
        Rack.OnRecoveryEnd(ref b.K.Recovery);
        Assert.Equal(0, b.K.Recovery.ReorderingSteps);
    }

    [Fact]
    // RFC 6675 cannot find this: the retransmission is lost as well, and segments sent after it arrive.
    public void ALostRetransmissionIsFoundByWhatWasSentAfterIt()
    {
        using var b = Flight();
        b.Ack(1000, (2000, 6000));
        Assert.Equal((1000u, 1000u), b.Retransmit());
        b.PassMs(1);
        b.Send();
        b.PassMs(41);
        var sample = b.Ack(1000, (11_000, 12_000), (2000, 6000));
        Assert.Equal(6000u, sample.LostBytes);
        Assert.Equal((1000u, 1000u), b.Retransmit());
        Assert.Equal(1, b.Recovery.Counters.TCPLostRetransmit);
    }

    [Fact]
    // §6.2 step 2: the ACK of a retransmission that comes too soon, or echoes an earlier time, is the first copy's.
    public void AnAckThatIsTheFirstCopysMarksNothing()
    {
        using var b = Flight();
        b.Ack(1000, (2000, 6000));
        b.Retransmit();
        b.PassMs(1);
        var sample = b.Ack(2000 + 4000);
        Assert.Equal(0u, sample.LostBytes);
        Assert.Equal(0u, b.K.Recovery.LostBytes);
    }

    [Fact]
    // §6.3: a time-out marks the first segment and what has had a round trip and the window; what was sent just now stays in flight.
    public void ATimeoutSparesWhatWasSentJustBefore()
    {
        using var b = Flight(3);
        b.PassMs(200);
        b.Send();
        b.PassMs(5);
        b.Timeout();
        Assert.Equal(3000u, b.K.Recovery.LostBytes);
        Assert.Equal(1000u, b.Pipe);
        Assert.Equal((1000u, 1000u), b.Retransmit());
    }

    [Fact]
    // Bounded work: a walk over a thousand records in flight for each of a thousand ACKs would be a million steps.
    public void EachRecordIsLookedAtOnceHoweverManyAcksCome()
    {
        using var b = new RecoveryBench(settings: s_rack, cwnd: 4_000_000, records: 5000);
        b.Send();
        b.PassMs(40);
        b.Ack(1000);
        b.SendMany(2000);
        b.PassMs(40);
        var before = b.Recovery.Board.Steps;
        for (uint i = 1; i < 2000; i++) b.Ack(1000, ((1000 * i) + 1000, (1000 * i) + 2000));
        Assert.InRange(b.Recovery.Board.Steps - before, 0, 10_000);
        Assert.Equal(1000u, b.K.Recovery.LostBytes);
    }

    [Fact]
    // Without a free record RACK's state has no place; RFC 6675 goes on.
    public void WithoutAFreeRecordLossesAreFoundByCounting()
    {
        using var b = new RecoveryBench(settings: s_rack, cwnd: 50_000, records: 10);
        b.SendMany(10);
        b.Ack(0, (1000, 2000));
        b.Ack(0, (3000, 4000), (1000, 2000));
        b.Ack(0, (5000, 6000), (3000, 4000), (1000, 2000));
        Assert.Equal(RecordPool.None, b.K.Recovery.Episode);
        Assert.Equal(RecoveryPhase.Recovery, b.Phase);
        Assert.Equal(1000u, b.K.Recovery.LostBytes);
    }
}
