// Proportional rate reduction (RFC 9937): the sequence of sndcnt for the losses that the RFC discusses.
using Peregrine.Core.Tcp.Recovery;

namespace Peregrine.Core.Tests.Tcp.Recovery;

public sealed class PrrTests
{
    private static readonly RecoverySettings s_prr = RecoveryBench.Classic with { ProportionalRateReduction = true };

    // The bytes that each ACK lets go, retransmissions included, with everything allowed sent at once.
    private static uint Answer(RecoveryBench b)
    {
        var sent = (uint)b.RetransmitAll().Count * RecoveryBench.Mss;
        while (b.Allowance >= RecoveryBench.Mss)
        {
            b.Send();
            sent += RecoveryBench.Mss;
        }
        return sent;
    }

    [Fact]
    // RFC 6937 §3.1, the first example: 20 segments, the first lost, a reduction to one half: after the first three ACKs and the
    // retransmission, one new segment for every second ACK.
    public void AfterOneLossTheWindowGlidesToSsthresh()
    {
        using var b = new RecoveryBench(settings: s_prr, cwnd: 20_000).SendMany(20).Queue(100_000);
        b.Ack(0, (1000, 2000));
        b.Ack(0, (1000, 3000));
        Assert.True(b.Ack(0, (1000, 4000)).EnteredRecovery);
        Assert.Equal(10_000u, b.C.Ssthresh);
        var sent = new List<uint> { Answer(b) };
        for (uint right = 5000; right <= 20_000; right += 1000)
        {
            b.Ack(0, (1000, right));
            sent.Add(Answer(b));
        }
        Assert.Equal(1000u, sent[0]);
        var total = sent.Aggregate(0u, (sum, x) => sum + x);
        // Seventeen delivered, RecoverFS twenty, ssthresh half of it: half of what is delivered, rounded up.
        Assert.InRange(total, 8_000u, 10_000u);
        Assert.All(sent.Skip(1), x => Assert.InRange(x, 0u, 1000u));
        b.Ack(b.Max);
        Assert.Equal(RecoveryPhase.Open, b.Phase);
        Assert.InRange(b.C.Cwnd, 10_000u, 11_000u);
    }

    [Fact]
    // RFC 9937 §6.2, PRR-SSRB: heavy losses leave less in flight than ssthresh: one more than was delivered while no further loss shows.
    public void BelowSsthreshItCatchesUpBySlowStart()
    {
        using var b = new RecoveryBench(settings: s_prr, cwnd: 20_000).SendMany(20).Queue(100_000);
        b.Ack(0, (16_000, 17_000));
        b.Ack(0, (16_000, 18_000));
        b.Ack(0, (16_000, 19_000));
        Assert.Equal(RecoveryPhase.Recovery, b.Phase);
        Assert.True(b.Pipe < b.C.Ssthresh);
        Assert.Equal(1000u, Answer(b));
        b.Ack(1000, (16_000, 19_000));
        Assert.Equal(2000u, Answer(b));
        b.Ack(2000, (16_000, 19_000));
        Assert.Equal(2000u, Answer(b));
    }

    [Fact]
    public void TheFastRetransmitGoesInAnyCase()
    {
        using var b = new RecoveryBench(settings: s_prr, cwnd: 4000).SendMany(4).Queue(100_000);
        b.Ack(0, (1000, 2000));
        b.Ack(0, (1000, 3000));
        b.Ack(0, (1000, 4000));
        Assert.Equal((0u, 1000u), b.Retransmit());
    }
}
