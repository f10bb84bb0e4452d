using Peregrine.Core.Time;

namespace Peregrine.Core.Tests.Tcp.Recovery;

public sealed class AckSampleTests
{
    [Fact]
    public void ARateSampleSpansTheRecordsFlight()
    {
        using var b = new RecoveryBench(cwnd: 100_000);
        b.Send();
        b.PassMs(1);
        b.Send();
        b.PassMs(9);
        var first = b.Ack(1000);
        Assert.Equal((1000u, 0u, Duration.FromMilliseconds(10)), (first.Delivered - first.PriorDelivered, first.PriorDelivered, first.Rtt));
        b.PassMs(1);
        var second = b.Ack(2000);
        Assert.Equal(2000u, second.Delivered - second.PriorDelivered);
        Assert.InRange(second.SendElapsed.Microseconds, 999, 1001);
        Assert.InRange(second.AckElapsed.Microseconds, 10_999, 11_001);
        Assert.InRange(second.SinceLastDelivery.Microseconds, 999, 1001);
        Assert.Equal(1000u, second.InFlightBefore);
    }

    [Fact]
    public void SackedBytesAreDeliveredOnce()
    {
        using var b = new RecoveryBench(cwnd: 100_000).SendMany(3);
        Assert.Equal(1000u, b.Ack(0, (1000, 2000)).Delivered);
        Assert.Equal(1000u, b.Ack(0, (1000, 2000)).Delivered);
        var sample = b.Ack(3000);
        Assert.Equal((3000u, 3000u), (sample.Delivered, sample.AckedBytes));
    }

    [Fact]
    public void ARoundBeginsWhenWhatWasSentAfterTheLastOneArrives()
    {
        using var b = new RecoveryBench(cwnd: 100_000).SendMany(4);
        Assert.True(b.Ack(1000).IsRoundStart);
        b.SendMany(1);
        Assert.False(b.Ack(2000).IsRoundStart);
        Assert.False(b.Ack(4000).IsRoundStart);
        Assert.True(b.Ack(5000).IsRoundStart);
    }

    [Fact]
    public void AppLimitedSamplesSaySo()
    {
        using var b = new RecoveryBench(cwnd: 100_000).SendMany(1);
        b.Recovery.OnAppLimited(ref b.C, ref b.K);
        b.SendMany(1);
        Assert.False(b.Ack(1000).IsAppLimited);
        Assert.True(b.Ack(2000).IsAppLimited);
        b.SendMany(1);
        Assert.False(b.Ack(3000).IsAppLimited);
    }

    [Fact]
    // draft-cheng-iccrg-delivery-rate-estimation §3.4: a sender whose window is full, or that has something to send again, is limited by
    // the path and not by the application, although it has nothing new.
    public void AFullWindowOrALossIsNoLimitOfTheApplication()
    {
        using var full = new RecoveryBench(cwnd: 2000).SendMany(2);
        full.Recovery.OnAppLimited(ref full.C, ref full.K);
        Assert.Equal(0u, full.K.Recovery.AppLimitedUntil);
        using var lossy = new RecoveryBench(cwnd: 100_000).SendMany(5);
        lossy.Ack(0, (1000, 5000));
        lossy.Recovery.OnAppLimited(ref lossy.C, ref lossy.K);
        Assert.Equal(0u, lossy.K.Recovery.AppLimitedUntil);
        lossy.RetransmitAll();
        lossy.Recovery.OnAppLimited(ref lossy.C, ref lossy.K);
        Assert.NotEqual(0u, lossy.K.Recovery.AppLimitedUntil);
    }

    [Fact]
    public void TimeWithNothingInFlightIsInNoSample()
    {
        using var b = new RecoveryBench(cwnd: 100_000).SendMany(1);
        b.PassMs(10);
        b.Ack(1000);
        b.PassMs(60_000);
        b.SendMany(1);
        b.PassMs(10);
        var sample = b.Ack(2000);
        Assert.InRange(sample.AckElapsed.Microseconds, 9_999, 10_001);
        Assert.Equal(Duration.Zero, sample.SendElapsed);
    }

    [Fact]
    public void AnOldAckMovesNothing()
    {
        using var b = new RecoveryBench(cwnd: 100_000).SendMany(3);
        b.Ack(2000);
        var sample = b.Ack(1000);
        Assert.Equal((0u, 2000u, 0), (sample.AckedBytes, b.Una, (int)b.C.DupAcks));
    }

    [Fact]
    public void PartialAckOfASuperSegmentKeepsTheRest()
    {
        using var b = new RecoveryBench(cwnd: 100_000).SendMany(1, 10_000);
        b.PassMs(7);
        var sample = b.Ack(3000);
        Assert.Equal((3000u, 7000u, Duration.FromMilliseconds(7)), (sample.AckedBytes, b.Pipe, sample.Rtt));
    }
}
