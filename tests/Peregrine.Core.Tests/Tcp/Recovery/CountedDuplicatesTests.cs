// Recovery without SACK where each duplicate ACK stands for a segment that has arrived, with and without a reduction over a round trip.
using Peregrine.Core.Tcp;
using Peregrine.Core.Tcp.Recovery;
using Peregrine.Wire;

namespace Peregrine.Core.Tests.Tcp.Recovery;

public sealed class CountedDuplicatesTests
{
    private static readonly RecoverySettings s_counted = RecoveryBench.Classic with { Mechanisms = SenderMechanisms.CountedDuplicates };

    private static RecoveryBench InRecovery(RecoverySettings settings)
    {
        var b = new RecoveryBench(sack: false, cwnd: 10_000, settings: settings).SendMany(10);
        for (var i = 0; i < 3; i++) b.Ack(0);
        Assert.Equal((RecoveryPhase.Recovery, 5_000u), (b.Phase, b.C.Ssthresh));
        Assert.Equal([0u], b.RetransmitAll());
        return b;
    }

    [Fact]
    // RFC 5681 §3.2 step 3 inflates by what has arrived; here it is off the pipe, and would count twice.
    public void WithoutAReductionOverARoundTripTheWindowIsNotInflatedBesideThePipe()
    {
        using var b = InRecovery(s_counted);
        Assert.Equal(5_000u, b.C.Cwnd);
        // Ten segments, less three that have arrived and one that is lost, and the retransmission are seven (RFC 6675 §4). The sixth duplicate lets the first
        // new segment go, as it does where the window is inflated: 5 + 6 segments for 10.
        for (var i = 3; i < 6; i++)
        {
            Assert.Equal(0u, b.Allowance);
            b.Ack(0);
        }
        Assert.Equal(RecoveryBench.Mss, b.Allowance);
    }

    [Fact]
    // RFC 4015 §3.3: without a reduction over a round trip nothing is left of a recovery that was undone.
    public void AnUndoneRecoveryWithoutAReductionOverARoundTripIsOver()
    {
        using var b = new RecoveryBench(sack: false, cwnd: 10_000, settings: s_counted with { EifelUndo = true });
        b.C.Flags |= TcbFlags.Timestamps;
        b.C.Ssthresh = 8_000;
        b.SendMany(4);
        for (var i = 0; i < 3; i++) b.Ack(0);
        Assert.Equal(RecoveryPhase.Recovery, b.Phase);
        b.PassMs(50);
        Assert.Equal([0u], b.RetransmitAll());
        b.PassMs(50);
        var options = default(TcpOptions);
        options.SetTimestamps(1, (uint)((b.Now.Nanoseconds / 1_000_000) - 100) + b.C.TsOffset);
        Assert.True(b.AckOptions(4_000, true, options).Undone);
        Assert.Equal((RecoveryPhase.Open, 8_000u), (b.Phase, b.C.Ssthresh));
        Assert.InRange(b.C.Cwnd, 10_000u, 12_000u);
        Assert.False((b.K.Recovery.Flags & RecoveryFlags.ProportionalReduction) != 0);
    }

    [Fact]
    // RFC 6582 §3.2 step 3: what a partial ACK takes off the flight had been taken off the pipe, but for the hole.
    public void APartialAckLetsTheNextHoleGoAndKeepsTheWindow()
    {
        using var b = InRecovery(s_counted);
        for (var i = 0; i < 4; i++) b.Ack(0);
        b.Ack(4_000);
        Assert.Equal((5_000u, RecoveryPhase.Recovery), (b.C.Cwnd, b.Phase));
        Assert.Equal([4_000u], b.RetransmitAll());
    }

    [Fact]
    // RFC 5681 §3.2: segments are counted, not bytes.
    public void SmallSegmentsAreSegments()
    {
        using var b = new RecoveryBench(sack: false, cwnd: 10_000, settings: s_counted).SendMany(5, length: 100);
        for (var i = 0; i < 3; i++) b.Ack(0);
        Assert.Equal(RecoveryPhase.Recovery, b.Phase);
    }

    [Fact]
    // RFC 5681 §4.2: an ACK for each segment at most, and the first is missing.
    public void MoreDuplicatesThanSegmentsCountForNothing()
    {
        using var b = new RecoveryBench(sack: false, cwnd: 10_000, settings: s_counted).SendMany(3, length: 100);
        for (var i = 0; i < 20; i++) b.Ack(0);
        Assert.Equal((2, RecoveryPhase.Disorder), (b.C.DupAcks, b.Phase));
    }
}
