// Congestion window validation, RFC 7661 by sections, with segments of 1,000 bytes and round trips of 100 ms.
using Peregrine.Core.Tcp;
using Peregrine.Core.Tcp.Congestion;
using Peregrine.Core.Tcp.Recovery;
using Peregrine.Core.Time;

namespace Peregrine.Core.Tests.Tcp.Recovery;

public sealed class WindowValidationTests
{
    private const uint Mss = RecoveryBench.Mss;

    private static readonly RecoverySettings s_validating = RecoveryBench.Classic with { WindowValidation = true };

    private static bool IsNonValidated(RecoveryBench b) => b.K.Recovery.IsNonValidated;

    private static uint? PipeAck(RecoveryBench b) => b.Recovery.Validation.PipeAck(b.K.Recovery);

    private static bool IsPaced(RecoveryBench b) => (b.K.Recovery.Flags & RecoveryFlags.Paced) != 0;

    // So many segments, and the ACK of them all a round trip later.
    private static void Round(RecoveryBench b, int segments)
    {
        b.SendMany(segments);
        b.PassMs(100);
        b.Ack(b.Max);
    }

    private static void Rounds(RecoveryBench b, int segments, int rounds)
    {
        for (var i = 0; i < rounds; i++) Round(b, segments);
    }

    // In the non-validated phase with a window of 40 segments, in congestion avoidance, of which so many are used.
    private static RecoveryBench Underused(int segments, RecoverySettings? settings = null)
    {
        var b = new RecoveryBench(settings: settings ?? s_validating, cwnd: 40 * Mss);
        b.C.Ssthresh = 20 * Mss;
        Rounds(b, segments, 30);
        Assert.True(IsNonValidated(b));
        Assert.Equal((40 * Mss, (uint?)((uint)segments * Mss)), (b.C.Cwnd, PipeAck(b)));
        return b;
    }

    [Fact]
    // RFC 7661 §4.1: what is not measured yet inhibits nothing.
    public void AConnectionStartsValidatedAndUndefined()
    {
        using var b = new RecoveryBench(settings: s_validating with { SlowStartSegmentsPerAck = 100 });
        Round(b, 10);
        Assert.Equal((20 * Mss, null, false), (b.C.Cwnd, PipeAck(b), IsNonValidated(b)));
        Round(b, 20);
        Assert.Equal((40 * Mss, null, false), (b.C.Cwnd, PipeAck(b), IsNonValidated(b)));
    }

    [Fact]
    // RFC 7661 §4.2: a sample is what one round trip delivered, and the variable no more than the highest of the sampling period, here a second.
    public void PipeAckIsTheLargestRoundTripOfASecond()
    {
        using var b = new RecoveryBench(settings: s_validating, cwnd: 12 * Mss);
        Rounds(b, 3, 4);
        Assert.Equal(3 * Mss, PipeAck(b));
        Rounds(b, 9, 2);
        Rounds(b, 2, 2);
        Assert.Equal(9 * Mss, PipeAck(b));
        Rounds(b, 2, 12);
        Assert.Equal(2 * Mss, PipeAck(b));
    }

    [Fact]
    // RFC 7661 §4.2, §4.5.1: many ACKs within a round trip are one sample.
    public void TheAcksOfARoundTripAreOneSample()
    {
        using var b = new RecoveryBench(settings: s_validating, cwnd: 12 * Mss);
        Rounds(b, 6, 2);
        for (var round = 0; round < 20; round++)
        {
            b.SendMany(8);
            b.PassMs(80);
            for (var i = 8u; i > 0; i--)
            {
                b.PassMs(5);
                b.Ack(b.Max - ((i - 1) * Mss));
            }
        }
        // Samples are at least a smoothed round trip apart, 100 ms, and a turn here takes 120.
        Assert.InRange(PipeAck(b)!.Value, 8 * Mss, 14 * Mss);
        Assert.NotEqual(Mss, PipeAck(b));
    }

    [Fact]
    // RFC 7661 §4.3, §4.4: kept through scarce use and through a pause in which another window would start again.
    public void AnUnusedWindowIsKept()
    {
        using var b = Underused(15);
        b.PassMs(60_000);
        b.Recovery.OnIdle(ref b.C, ref b.K, b.Now);
        Assert.Equal((40 * Mss, true), (b.C.Cwnd, IsNonValidated(b)));
        Rounds(b, 1, 50);
        Assert.Equal(40 * Mss, b.C.Cwnd);

        using var other = new RecoveryBench(cwnd: 40 * Mss);
        Rounds(other, 15, 2);
        other.PassMs(60_000);
        other.Recovery.OnIdle(ref other.C, ref other.K, other.Now);
        Assert.Equal(10 * Mss, other.C.Cwnd);
    }

    [Fact]
    // RFC 7661 §4.4: the cwnd only increases after a sender fully uses it, and a sender that does leaves the phase.
    public void InTheNonValidatedPhaseOnlyAFullWindowGrows()
    {
        using var b = Underused(15);
        Round(b, 19);
        Assert.Equal((40 * Mss, true), (b.C.Cwnd, IsNonValidated(b)));
        Round(b, 40);
        Assert.True(b.C.Cwnd > 40 * Mss);
        Round(b, 40);
        Assert.False(IsNonValidated(b));
    }

    [Fact]
    // RFC 7661 §4.3: half of the window is enough for it to count as validated and to grow.
    public void HalfOfTheWindowValidatesIt()
    {
        using var b = Underused(10);
        Rounds(b, 24, 2);
        Assert.False(IsNonValidated(b));
        var before = b.C.Cwnd;
        Rounds(b, 24, 10);
        Assert.True(b.C.Cwnd > before);
    }

    [Theory]
    [InlineData(5, 12, 12)]
    [InlineData(15, 6, 15)]
    // RFC 7661 §4.4.1: Max(pipeACK, LossFlightSize) / 2 within the recovery, less half of what was sent again after it; then nothing is known.
    public void ALossTakesHalfOfWhatWasUsedAndTheRepairsToo(int used, int flight, int larger)
    {
        using var b = Underused(used);
        var una = b.Una;
        b.SendMany(flight);
        b.PassMs(100);
        for (var i = 2u; i <= 4; i++) b.Ack(una, (una + Mss, una + (i * Mss)));
        Assert.Equal((RecoveryPhase.Recovery, (uint)larger * Mss / 2), (b.Phase, b.C.Cwnd));
        Assert.Single(b.RetransmitAll());
        b.PassMs(100);
        b.Ack(b.Max);
        var after = ((uint)larger - 1) * Mss / 2;
        Assert.Equal((RecoveryPhase.Open, after, after), (b.Phase, b.C.Cwnd, b.C.Ssthresh));
        Assert.Equal((false, null), (IsNonValidated(b), PipeAck(b)));
    }

    [Fact]
    // RFC 7661 §4.4.1: MUST NOT be reduced below one segment.
    public void NoLossLeavesLessThanASegment()
    {
        using var b = Underused(1);
        var una = b.Una;
        b.SendMany(4);
        b.PassMs(100);
        b.Ack(una, (una + Mss, una + (4 * Mss)));
        b.Ack(una, (una + Mss, una + (4 * Mss)));
        Assert.Equal(RecoveryPhase.Recovery, b.Phase);
        // The repair itself, and everything after it, has to be sent again too.
        b.Recovery.Validation.OnRepaired(b.K.Recovery, 10 * Mss);
        b.RetransmitAll();
        b.PassMs(100);
        b.Ack(b.Max);
        Assert.Equal(Mss, b.C.Cwnd);
    }

    [Fact]
    // RFC 7661 §4.2: MUST NOT be updated during recovery; a validated window is reduced as ever, and what was measured is forgotten.
    public void AValidatedWindowIsReducedAsEver()
    {
        using var b = new RecoveryBench(settings: s_validating, cwnd: 20 * Mss);
        b.C.Ssthresh = 20 * Mss;
        Rounds(b, 18, 3);
        var una = b.Una;
        b.SendMany(18);
        b.PassMs(100);
        for (var i = 2u; i <= 4; i++) b.Ack(una, (una + Mss, una + (i * Mss)));
        Assert.Equal((RecoveryPhase.Recovery, 9 * Mss, null), (b.Phase, b.C.Cwnd, PipeAck(b)));
        b.RetransmitAll();
        b.Ack(una + (2 * Mss));
        b.PassMs(200);
        b.Ack(b.Max);
        Assert.Equal((9 * Mss, null), (b.C.Cwnd, PipeAck(b)));
    }

    [Fact]
    // RFC 7661 §4.4: a time-out ends the phase and goes on as RFC 5681 has it, from what is in flight.
    public void ATimeoutEndsThePhase()
    {
        using var b = Underused(15);
        b.SendMany(4);
        b.PassMs(1_000);
        b.Timeout();
        Assert.Equal((Mss, 2 * Mss, false), (b.C.Cwnd, b.C.Ssthresh, IsNonValidated(b)));
    }

    [Fact]
    // RFC 7661 §4.4: an echo of congestion is an indication too.
    public void AnEchoReducesFromWhatWasUsed()
    {
        using var b = Underused(15);
        b.SendMany(4);
        b.PassMs(100);
        b.Ack(b.Max);
        EcnResponse.OnFeedback(b.Recovery, ref b.C, ref b.K, 4 * Mss, 4 * Mss, isEcho: true, b.C.Cwnd, b.Now);
        Assert.Equal((false, 15 * Mss / 2), (IsNonValidated(b), b.C.Ssthresh));
        Assert.InRange(b.C.Cwnd, Mss, 15 * Mss / 2);
    }

    [Theory]
    [InlineData(TcpPacingMode.Auto, true)]
    [InlineData(TcpPacingMode.Off, false)]
    // RFC 7661 §4.4.2: no bursts at line rate into a window that is not validated.
    public void ANonValidatedWindowIsPaced(TcpPacingMode pacing, bool isPaced)
    {
        using var b = Underused(15, s_validating with { Pacing = pacing });
        Assert.Equal(isPaced, IsPaced(b));
        if (isPaced) Assert.InRange(b.Recovery.PacingRate(b.C, b.K), 400_000ul, 500_000ul);
        Rounds(b, 40, 2);
        Assert.False(IsPaced(b));
    }

    [Theory]
    [InlineData(290, 40, 20)]
    [InlineData(310, 20, 30)]
    [InlineData(610, 10, 30)]
    [InlineData(100_000, 10, 30)]
    [InlineData(400_000, 10, 30)]
    // RFC 7661 §4.4.3, §4.5.2: after five minutes, and once for each further five, down to the initial window; slow start leads back up.
    public void AfterFiveMinutesTheWindowIsHalved(int seconds, int cwnd, int ssthresh)
    {
        using var b = Underused(2);
        b.PassMs(seconds * 1_000L);
        b.Recovery.OnIdle(ref b.C, ref b.K, b.Now);
        Assert.Equal(((uint)cwnd * Mss, (uint)ssthresh * Mss), (b.C.Cwnd, b.C.Ssthresh));
    }

    [Fact]
    public void AfterFiveMinutesOfScarceUseTheWindowIsHalvedAsWell()
    {
        using var b = Underused(2);
        for (var i = 0; i < 28; i++)
        {
            b.PassMs(10_000);
            b.Recovery.OnIdle(ref b.C, ref b.K, b.Now);
            Round(b, 2);
        }
        Assert.Equal(40 * Mss, b.C.Cwnd);
        for (var i = 0; i < 4; i++)
        {
            b.PassMs(10_000);
            b.Recovery.OnIdle(ref b.C, ref b.K, b.Now);
            Round(b, 2);
        }
        Assert.Equal((20 * Mss, 30 * Mss), (b.C.Cwnd, b.C.Ssthresh));
    }

    [Fact]
    public void WithoutTheSettingNothingIsMeasured()
    {
        using var b = new RecoveryBench(cwnd: 40 * Mss);
        Rounds(b, 2, 30);
        Assert.Equal((0u, false), (b.K.Recovery.Validation, b.K.Recovery.ValidatesWindow));
        Assert.Equal(b.RecordCount, b.Recovery.FreeRecords);
        using var cubic = new RecoveryBench(settings: s_validating, algorithm: CongestionAlgorithm.Cubic);
        Assert.Equal((true, CongestionAlgorithm.Cubic), (cubic.K.Recovery.ValidatesWindow, cubic.K.Recovery.Algorithm));
    }
}
