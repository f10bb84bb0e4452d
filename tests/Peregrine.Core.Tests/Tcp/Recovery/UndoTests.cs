// Spurious time-outs and retransmissions: F-RTO's steps (RFC 5682), undo by timestamps (RFC 3522, 4015) and by D-SACK (RFC 3708).
using Peregrine.Core.Tcp;
using Peregrine.Core.Tcp.Congestion;
using Peregrine.Core.Tcp.Recovery;
using Peregrine.Core.Time;
using Peregrine.Wire;

namespace Peregrine.Core.Tests.Tcp.Recovery;

public sealed class UndoTests
{
    private static readonly RecoverySettings s_frto = RecoveryBench.Classic with { ForwardRto = true };

    [Fact]
    // RFC 5682 §2.1: step 1, one retransmission; step 2b, two new segments; step 3b, the second ACK that moves on says "spurious".
    public void WithoutSackTwoAcksThatMoveOnMakeTheTimeoutSpurious()
    {
        using var b = new RecoveryBench(sack: false, settings: s_frto, cwnd: 10_000).SendMany(10).Queue(50_000);
        b.Timeout();
        Assert.Equal((0u, 1000u), b.Retransmit());
        Assert.Null(b.Retransmit());
        b.Ack(1000);
        Assert.Null(b.Retransmit());
        Assert.Equal(2000u, b.Allowance);
        b.SendMany(2);
        Assert.Equal(0u, b.Allowance);
        var sample = b.Ack(2000);
        Assert.True(sample.Undone);
        Assert.Equal(RecoveryPhase.Open, b.Phase);
        Assert.InRange(b.C.Cwnd, 10_000u, 12_000u);
        Assert.Equal(0u, b.K.Recovery.LostBytes);
        Assert.Equal((1, 1), (b.Recovery.Counters.TCPSpuriousRTOs, b.Recovery.Counters.TCPLossUndo));
    }

    [Fact]
    // RFC 5682 §2.1 step 3a: a duplicate ACK: the loss was real, and the rest goes again.
    public void ADuplicateAckAfterTheNewDataMeansThatTheLossWasReal()
    {
        using var b = new RecoveryBench(sack: false, settings: s_frto, cwnd: 10_000).SendMany(10).Queue(50_000);
        b.Timeout();
        b.Retransmit();
        b.Ack(1000);
        b.SendMany(2);
        Assert.False(b.Ack(1000).Undone);
        Assert.Equal(RecoveryPhase.Loss, b.Phase);
        Assert.Equal((1000u, 1000u), b.Retransmit());
    }

    [Fact]
    // RFC 5682 §2.1 step 2a: without new data there is nothing to learn from: conventional recovery.
    public void WithoutNewDataRetransmissionGoesOn()
    {
        using var b = new RecoveryBench(sack: false, settings: s_frto, cwnd: 10_000).SendMany(10);
        b.Timeout();
        b.Retransmit();
        b.Ack(1000);
        Assert.Equal((1000u, 1000u), b.Retransmit());
    }

    [Fact]
    // RFC 5682 §3.1 step 3b: with SACK, an ACK of what was sent once.
    public void WithSackOneAckOfWhatWasSentOnceIsEnough()
    {
        using var b = new RecoveryBench(settings: s_frto, cwnd: 10_000).SendMany(10).Queue(50_000);
        b.Timeout();
        b.Retransmit();
        Assert.True(b.Ack(2000).Undone);
        Assert.InRange(b.C.Cwnd, 10_000u, 12_000u);
    }

    [Fact]
    // RFC 3522 §3.2: the echo is older than the retransmission: the original had arrived.
    public void AnEchoFromBeforeTheRetransmissionUndoesTheTimeout()
    {
        using var b = new RecoveryBench(settings: RecoveryBench.Classic with { EifelUndo = true }, cwnd: 10_000);
        b.C.Flags |= TcbFlags.Timestamps;
        b.C.TsOffset = 77;
        b.SendMany(10);
        var sentMs = Ms(b);
        b.PassMs(300);
        b.Timeout();
        b.Retransmit();
        b.PassMs(5);
        Assert.True(Echo(b, 1000, sentMs).Undone);
        Assert.Equal((RecoveryPhase.Open, 0u), (b.Phase, b.K.Recovery.LostBytes));
        Assert.True(b.C.Cwnd >= 10_000);
        Assert.Equal(uint.MaxValue, b.C.Ssthresh);
    }

    [Fact]
    public void AnEchoOfTheRetransmissionUndoesNothing()
    {
        using var b = new RecoveryBench(settings: RecoveryBench.Classic with { EifelUndo = true }, cwnd: 10_000);
        b.C.Flags |= TcbFlags.Timestamps;
        b.SendMany(10);
        b.PassMs(300);
        b.Timeout();
        b.Retransmit();
        var again = Ms(b);
        b.PassMs(5);
        Assert.False(Echo(b, 1000, again).Undone);
        Assert.Equal(RecoveryPhase.Loss, b.Phase);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    // RFC 3708 §3: all that was sent again is reported as received twice: the window is what it was, even after recovery.
    public void DsacksForAllRetransmissionsUndoTheReduction(bool isCubic)
    {
        using var b = new RecoveryBench(
            algorithm: isCubic ? CongestionAlgorithm.Cubic : CongestionAlgorithm.NewReno, settings: RecoveryBench.Classic with { DsackUndo = true }, cwnd: 10_000).SendMany(10);
        b.Ack(0, (1000, 4000));
        Assert.Equal((0u, 1000u), b.Retransmit());
        b.Ack(10_000);
        Assert.Equal(RecoveryPhase.Open, b.Phase);
        Assert.True(b.C.Cwnd < 10_000);
        b.Ack(10_000, (0, 1000));
        Assert.True(b.C.Cwnd >= 10_000);
        Assert.Equal(uint.MaxValue, b.C.Ssthresh);
        Assert.Equal(1, b.Recovery.Counters.TCPDSACKUndo);
    }

    [Theory]
    [InlineData((int)CongestionAlgorithm.NewReno)]
    [InlineData((int)CongestionAlgorithm.Cubic)]
    [InlineData((int)CongestionAlgorithm.Dctcp)]
    // RFC 4015 §3.4: congestion that was echoed since the reduction was real. The next recovery finds the echo answered and takes ssthresh as it is.
    public void AnEchoOfCongestionLeavesNothingToUndo(int algorithm)
    {
        using var b = new RecoveryBench(
            algorithm: (CongestionAlgorithm)algorithm, settings: RecoveryBench.Classic with { DsackUndo = true, ProportionalRateReduction = true }, cwnd: 20_000).SendMany(10);
        b.Ack(0, (1000, 4000));
        Assert.Equal((0u, 1000u), b.Retransmit());
        b.Ack(10_000);
        b.SendMany(8);
        EcnResponse.OnFeedback(b.Recovery, ref b.C, ref b.K, 1000, 1000, isEcho: true, b.C.Cwnd, b.Now);
        var (cwnd, ssthresh) = (b.C.Cwnd, b.C.Ssthresh);
        b.Ack(10_000, (0, 1000));
        Assert.Equal((cwnd, ssthresh), (b.C.Cwnd, b.C.Ssthresh));
        b.Ack(10_000, (11_000, 14_000));
        Assert.Equal((RecoveryPhase.Recovery, ssthresh), (b.Phase, b.C.Ssthresh));
        b.Ack(18_000);
        Assert.True(b.C.Cwnd <= cwnd, $"the window is {b.C.Cwnd} after the recovery and was {cwnd}");
    }

    [Fact]
    public void ADsackForHalfOfTheRetransmissionsUndoesNothing()
    {
        using var b = new RecoveryBench(settings: RecoveryBench.Classic with { DsackUndo = true }, cwnd: 20_000).SendMany(10).Queue(50_000);
        b.Ack(0, (2000, 6000));
        Assert.Equal([0u], b.RetransmitAll());
        b.Ack(0, (2000, 7000));
        Assert.Equal([1000u], b.RetransmitAll());
        b.Ack(10_000);
        b.Ack(10_000, (0, 1000));
        Assert.True(b.C.Cwnd < 20_000);
        b.Ack(10_000, (1000, 2000));
        Assert.True(b.C.Cwnd >= 20_000);
    }

    private static uint Ms(RecoveryBench b) => (uint)(b.Now.Nanoseconds / 1_000_000);

    private static AckSample Echo(RecoveryBench b, uint ack, uint ms)
    {
        var options = default(TcpOptions);
        options.SetTimestamps(1, ms + b.C.TsOffset);
        return b.AckOptions(ack, false, options);
    }
}
