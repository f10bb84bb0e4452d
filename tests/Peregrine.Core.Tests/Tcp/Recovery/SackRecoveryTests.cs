using Peregrine.Core.Tcp.Congestion;
using Peregrine.Core.Tcp.Recovery;

namespace Peregrine.Core.Tests.Tcp.Recovery;

public sealed class SackRecoveryTests
{
    [Fact]
    // RFC 6675 §5 steps 1 and 4: three ACKs that report something new.
    public void ThreeSacksStartRecoveryWithTheFirstSegment()
    {
        using var b = new RecoveryBench(cwnd: 10_000).SendMany(10);
        b.Ack(0, (1000, 2000));
        Assert.Equal(RecoveryPhase.Disorder, b.Phase);
        b.Ack(0, (1000, 3000));
        Assert.Null(b.Peek());
        var sample = b.Ack(0, (1000, 4000));
        Assert.True(sample.EnteredRecovery);
        Assert.Equal(RecoveryPhase.Recovery, b.Phase);
        Assert.Equal((5000u, 5000u), (b.C.Cwnd, b.C.Ssthresh));
        Assert.Equal((0u, 1000u), b.Retransmit());
        // Six not SACKed above the hole and the retransmission: SetPipe.
        Assert.Equal(7000u, b.Pipe);
        Assert.Null(b.Retransmit());
        Assert.Equal(0u, b.Allowance);
    }

    [Fact]
    // RFC 6675 §5 step 2: IsLost (HighACK + 1) by bytes, with a single ACK.
    public void OneSackOfMoreThanTwoSegmentsStartsRecovery()
    {
        using var b = new RecoveryBench(cwnd: 10_000).SendMany(10);
        var sample = b.Ack(0, (1000, 3001 + 999));
        Assert.True(sample.EnteredRecovery);
        Assert.Equal(1000u, sample.LostBytes);
    }

    [Fact]
    public void OneSackOfTwoSegmentsDoesNot()
    {
        using var b = new RecoveryBench(cwnd: 10_000).SendMany(10);
        var sample = b.Ack(0, (1000, 3000));
        Assert.False(sample.EnteredRecovery);
        Assert.Equal(8000u, b.Pipe);
    }

    [Fact]
    // RFC 6675 §4 IsLost: three discontiguous runs.
    public void ThreeSeparateRunsMarkWhatLiesBelowThemAll()
    {
        using var b = new RecoveryBench(cwnd: 20_000).SendMany(10);
        var sample = b.Ack(0, (1000, 2000), (3000, 4000), (5000, 6000));
        Assert.Equal(1000u, sample.LostBytes);
        Assert.True(sample.EnteredRecovery);
        b.Ack(0, (7000, 8000));
        Assert.Equal(2000u, b.K.Recovery.LostBytes);
    }

    [Fact]
    // RFC 6675 §5: the same blocks again are no duplicate ACK, and RFC 3042 §2 forbids new data for them.
    public void RepeatedSacksCountOnce()
    {
        using var b = new RecoveryBench(cwnd: 10_000).SendMany(10);
        for (var i = 0; i < 10; i++) b.Ack(0, (1000, 2000));
        Assert.Equal(1, b.C.DupAcks);
        Assert.Equal(RecoveryPhase.Disorder, b.Phase);
        Assert.Equal(1000u, b.Allowance);
    }

    [Fact]
    // RFC 6675 §5 step 3: limited transmit by pipe.
    public void EachSackBeforeRecoveryLetsOneNewSegmentGo()
    {
        using var b = new RecoveryBench(cwnd: 5000).SendMany(5);
        Assert.Equal(0u, b.Allowance);
        b.Ack(0, (1000, 2000));
        Assert.Equal(1000u, b.Allowance);
        b.Send();
        Assert.Equal(0u, b.Allowance);
        b.Ack(0, (1000, 3000));
        Assert.Equal(1000u, b.Allowance);
        Assert.Equal(5000u, b.C.Cwnd);
    }

    [Fact]
    // RFC 5681 §3.2 step 2: what limited transmit sent is not counted.
    public void LimitedTransmitDoesNotRaiseSsthresh()
    {
        using var b = new RecoveryBench(cwnd: 6000).SendMany(6);
        b.Ack(0, (1000, 2000));
        b.Send();
        b.Ack(0, (1000, 3000));
        b.Send();
        b.Ack(0, (1000, 4000));
        Assert.Equal(3000u, b.C.Ssthresh);
    }

    [Fact]
    // RFC 6675 §4 NextSeg rule (1): all holes in order, as the pipe drains.
    public void HolesAreFilledInOrder()
    {
        using var b = new RecoveryBench(cwnd: 20_000).SendMany(20);
        b.Ack(0, (1000, 2000), (3000, 4000), (5000, 20_000));
        Assert.Equal(10_000u, b.C.Cwnd);
        Assert.Equal([0u, 2000u, 4000u], b.RetransmitAll());
        Assert.Equal(3000u, b.Pipe);
    }

    [Fact]
    // RFC 6675 §4 NextSeg rule (2) before (3): new data when there is some.
    public void NewDataGoBeforeWhatIsNotHeldLost()
    {
        using var b = new RecoveryBench(cwnd: 20_000).SendMany(20).Queue(5000);
        b.Ack(0, (1000, 10_000), (11_000, 12_000));
        Assert.Equal((0u, 1000u), b.Retransmit());
        // 10000 is below a SACK but not lost: rule (3) waits for want of new data.
        Assert.Null(b.Peek());
        Assert.True(b.Allowance >= 0);
        b.C.Snd.QueueEnd = b.C.Snd.Max;
        b.C.Cwnd = 15_000;
        Assert.Equal((10_000u, 1000u), b.Retransmit());
        Assert.Equal(11_000u, b.Pipe);
        Assert.Null(b.Peek());
    }

    [Fact]
    // RFC 6675 §4 NextSeg rule (4): one rescue, of the end, once the first retransmission is acknowledged and more.
    public void TheEndIsRescuedOnce()
    {
        using var b = new RecoveryBench(cwnd: 20_000).SendMany(10);
        b.Ack(0, (1000, 2000), (3000, 6000));
        b.C.Cwnd = 20_000;
        Assert.Equal([0u, 2000u], b.RetransmitAll());
        b.Ack(2000, (3000, 6000));
        Assert.Equal((9000u, 1000u), b.Peek());
        var pipe = b.Pipe;
        Assert.Equal((9000u, 1000u), b.Retransmit());
        Assert.Equal(pipe, b.Pipe);
        Assert.Null(b.Peek());
    }

    [Fact]
    // RFC 6675 §5 (A).
    public void RecoveryEndsAtTheRecoveryPoint()
    {
        using var b = new RecoveryBench(cwnd: 10_000).SendMany(10);
        b.Ack(0, (1000, 4000));
        b.Retransmit();
        Assert.False(b.Ack(4000).LeftRecovery);
        Assert.Equal(RecoveryPhase.Recovery, b.Phase);
        Assert.True(b.Ack(10_000).LeftRecovery);
        Assert.Equal(RecoveryPhase.Open, b.Phase);
        Assert.Equal(5000u, b.C.Cwnd);
        Assert.Equal(b.RecordCount, b.Recovery.FreeRecords);
    }

    [Fact]
    public void ALossDuringRecoveryStartsTheNextOne()
    {
        using var b = new RecoveryBench(cwnd: 10_000).SendMany(10);
        b.Ack(0, (1000, 10_000));
        b.Retransmit();
        b.SendMany(5);
        b.Ack(0, (11_000, 15_000));
        var sample = b.Ack(10_000, (11_000, 15_000));
        Assert.True(sample is { LeftRecovery: true, EnteredRecovery: true });
        Assert.Equal((10_000u, 1000u), b.Retransmit());
        Assert.Equal(2500u, b.C.Ssthresh);
    }

    [Fact]
    // RFC 2018 §4: a block that ends within a super-segment cuts its record at a segment's end.
    public void SuperSegmentsAreCutBySacks()
    {
        using var b = new RecoveryBench(cwnd: 20_000).SendMany(1, 10_000);
        b.Ack(0, (2000, 5000));
        b.C.Cwnd = 20_000;
        Assert.Equal(3000u, b.K.Recovery.SackedBytes);
        Assert.Equal(2000u, b.K.Recovery.LostBytes);
        Assert.Equal([0u, 1000u], b.RetransmitAll());
        Assert.Equal(7000u, b.Pipe);
    }

    [Fact]
    // RFC 2883 §4: below the ACK, and within the second block.
    public void DuplicateSacksAreCountedAndMarkNothing()
    {
        using var b = new RecoveryBench(cwnd: 20_000).SendMany(10);
        Assert.Equal(500u, b.Ack(2000, (500, 1000)).DuplicateBytes);
        var sample = b.Ack(2000, (5000, 5500), (5000, 6000));
        Assert.Equal((500u, 1000u), (sample.DuplicateBytes, sample.SackedBytes));
    }

    [Theory]
    [InlineData(2000, 2000)]
    [InlineData(3000, 2000)]
    [InlineData(9000, 10_001)]
    [InlineData(0x7FFF_FFFF, 0x8000_1000)]
    [InlineData(5000, 0x8000_2000)]
    public void NonsenseBlocksMeanNothing(uint left, uint right)
    {
        using var b = new RecoveryBench(cwnd: 20_000).SendMany(10);
        b.Ack(0, (left, right));
        Assert.Equal((0u, 0), (b.K.Recovery.SackedBytes, b.C.DupAcks));
    }

    [Fact]
    public void SackBlocksOfAConnectionWithoutSackMeanNothing()
    {
        using var b = new RecoveryBench(sack: false, cwnd: 20_000).SendMany(10);
        b.AckWith(0, false, (1000, 5000));
        Assert.Equal(0u, b.K.Recovery.SackedBytes);
    }

    [Theory]
    [InlineData("newreno", 5000)]
    [InlineData("cubic", 7000)]
    public void TheCongestionControlSaysHowFarTheWindowFalls(string name, uint window)
    {
        Assert.True(CongestionControl.TryParse(name, out var algorithm));
        using var b = new RecoveryBench(algorithm: algorithm, cwnd: 10_000).SendMany(10);
        b.Ack(0, (1000, 4000));
        Assert.Equal((window, window), (b.C.Cwnd, b.C.Ssthresh));
    }
}
