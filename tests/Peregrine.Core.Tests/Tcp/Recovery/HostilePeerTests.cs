using Peregrine.Core.Tcp.Recovery;

namespace Peregrine.Core.Tests.Tcp.Recovery;

public sealed class HostilePeerTests
{
    [Fact]
    public void WorkPerAckIsBoundedWhateverTheBlocks()
    {
        using var b = new RecoveryBench(cwnd: 1 << 29, records: 30_000).SendMany(20_000);
        var random = new Random(7);
        for (var i = 0; i < 300; i++)
        {
            var before = b.Recovery.Board.Steps;
            b.Ack(0, Block(), Block(), Block(), Block());
            Assert.InRange(b.Recovery.Board.Steps - before, 0, LossRecovery.StepsPerAckMax + 8);
        }

        (uint, uint) Block()
        {
            var left = (uint)random.Next(1, 19_999) * 1000;
            return (left, left + 1000);
        }
    }

    [Fact]
    // The search goes on where the last ACK's ended: a hole of thousands of records is crossed in a few ACKs.
    public void ALongHoleIsCrossedInTheEnd()
    {
        using var b = new RecoveryBench(cwnd: 1 << 29, records: 30_000).SendMany(20_000);
        var acks = 0;
        while (b.K.Recovery.SackedBytes == 0 && ++acks < 100) b.Ack(0, (10_000_000, 10_004_000));
        Assert.InRange(acks, 1, 15);
        Assert.Equal((0u, 1000u), b.Retransmit());
    }

    [Fact]
    public void CrumbsOfSacksTakeNoRecords()
    {
        using var b = new RecoveryBench(cwnd: 1 << 29).SendMany(10, 64_000);
        var free = b.Recovery.FreeRecords;
        for (var at = 1u; at < 600_000; at += 400) b.Ack(0, (at, at + 1), (at + 100, at + 101), (at + 200, at + 201));
        Assert.Equal((free, 0u), (b.Recovery.FreeRecords, b.K.Recovery.SackedBytes));
    }

    [Fact]
    // RFC 3465 §2: bytes are counted.
    public void DividedAcksOpenTheWindowNoFaster()
    {
        using var b = new RecoveryBench().SendMany(10);
        for (var i = 1u; i <= 1000; i++) b.Ack(i);
        Assert.Equal(11_000u, b.C.Cwnd);
    }

    [Fact]
    // RFC 3465 §2.2: L is two segments.
    public void OneAckOpensTheWindowByTwoSegmentsAtMost()
    {
        using var b = new RecoveryBench().SendMany(10);
        b.Ack(10_000);
        Assert.Equal(12_000u, b.C.Cwnd);
    }

    [Fact]
    public void AnUnusedWindowDoesNotGrow()
    {
        using var b = new RecoveryBench();
        for (var i = 1u; i <= 100; i++)
        {
            b.Send();
            b.Ack(i * 1000);
        }
        Assert.Equal(10_000u, b.C.Cwnd);
    }

    [Fact]
    public void AnExhaustedPoolLengthensTheLastRecordAndRefusesOnlyTheIdle()
    {
        using var b = new RecoveryBench(records: 2, cwnd: 100_000).SendMany(5);
        Assert.Equal(0, b.Recovery.FreeRecords);
        Assert.Equal(5000u, b.Pipe);
        var (c, k) = (b.C, b.K);
        k.Recovery = default;
        c.Snd.Una = c.Snd.Max;
        Assert.False(b.Recovery.OnTransmit(ref c, ref k, c.Snd.Max, 1000, false, b.Now));
        Assert.Equal(c.Snd.Una, c.Snd.Max);
        b.Ack(5000);
        Assert.Equal(2, b.Recovery.FreeRecords);
    }

    [Fact]
    public void WithoutRecordsForSplitsTheSackIsLeftOut()
    {
        using var b = new RecoveryBench(records: 1, cwnd: 100_000).SendMany(1, 10_000);
        b.Ack(0, (2000, 9000));
        Assert.Equal((0u, 10_000u), (b.K.Recovery.SackedBytes, b.Pipe));
        b.Timeout();
        // One segment a round trip: its record cannot be cut, and is not sent again before an ACK moves.
        Assert.Equal([0u], b.RetransmitAll());
        b.Ack(1000);
        Assert.Equal([1000u], b.RetransmitAll());
    }

    [Fact]
    public void ReleaseGivesAllRecordsBack()
    {
        using var b = new RecoveryBench(cwnd: 100_000).SendMany(50);
        b.Ack(3000, (5000, 9000), (20_000, 21_000));
        b.Recovery.Release(ref b.C, ref b.K);
        Assert.Equal(b.RecordCount, b.Recovery.FreeRecords);
    }

    [Fact]
    public void AZeroedConnectionOwnsNothing()
    {
        using var b = new RecoveryBench();
        var (c, k) = (b.C, b.K);
        (c, k) = (default, default);
        b.Recovery.Release(ref c, ref k);
        Assert.Equal(b.RecordCount, b.Recovery.FreeRecords);
    }

    [Fact]
    public void NothingIsAllocatedPerAck()
    {
        using var b = new RecoveryBench(cwnd: 100_000);
        Round(b, 0, 50);
        var before = GC.GetAllocatedBytesForCurrentThread();
        Round(b, 150_000, 50);
        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);
    }

    private static void Round(RecoveryBench b, uint from, int count)
    {
        var options = default(Peregrine.Wire.TcpOptions);
        for (var i = 0u; i < count; i++)
        {
            var at = b.C.Snd.Max;
            for (var j = 0; j < 3; j++) b.Recovery.OnTransmit(ref b.C, ref b.K, b.C.Snd.Max, 1000, false, b.Now);
            var sacked = default(Peregrine.Wire.TcpOptions);
            sacked.TryAddSackBlock(new Peregrine.Wire.SackBlock(at + 1000, at + 2000));
            b.Recovery.OnAck(ref b.C, ref b.K, at, sacked, true, b.Now, out _);
            b.Recovery.TryNextRetransmission(ref b.C, ref b.K, out _, out _);
            b.Recovery.OnAck(ref b.C, ref b.K, b.C.Snd.Max, options, false, b.Now, out _);
        }
        _ = from;
    }
}
