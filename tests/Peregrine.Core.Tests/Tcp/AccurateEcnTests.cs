// Accurate ECN's table against a dictionary, and the arithmetic of counters that come round.
using Peregrine.Core.Memory;
using Peregrine.Core.Tcp;
using Peregrine.Core.Tcp.AccurateEcn;
using Peregrine.Wire;

namespace Peregrine.Core.Tests.Tcp;

public sealed class AccurateEcnTests
{
    [Fact]
    public void TheTableHoldsWhatADictionaryHolds()
    {
        const int count = 100;
        using var region = MemoryRegion.Allocate(AccurateEcnTable.BytesFor(count) + 4_096);
        var table = new AccurateEcnTable(region, count);
        var model = new Dictionary<uint, uint>();
        var random = new StackRandom(1);
        for (uint i = 0; i < 100_000; i++)
        {
            var key = random.Next(300);
            if (model.Remove(key)) table.Remove(key);
            else if (table.TryAdd(key)) table.Of(key).ReceivedCe = model[key] = i;
            else Assert.Equal(count, model.Count);
            Assert.Equal(model.Count, table.Count);
            if (i % 100 == 0) Assert.All(model, pair => Assert.Equal(pair.Value, table.Of(pair.Key).ReceivedCe));
        }
    }

    [Theory]
    // RFC 9768 appendix A.2.1: its own examples, and none.
    [InlineData(2, 9, 2)]
    [InlineData(2, 10, 10)]
    [InlineData(0, 7, 0)]
    [InlineData(0, 8, 8)]
    [InlineData(5, 2, 5)]
    public void TheFieldCameRoundAsOftenAsItMayHave(uint packets, uint acknowledged, uint safest) =>
        Assert.Equal(safest, AccurateEcnSender.Safest(packets, acknowledged));

    [Theory]
    // RFC 9768 appendix A.2.2: with marked bytes known, ten marks are not believed where two fit; ten are where two do not.
    [InlineData(1_460, 2 + 5)]
    [InlineData(8_000, 10 + 5)]
    public void AnOptionTellsWhetherTheFieldCameRound(uint bytes, uint count)
    {
        var state = AccurateEcnState.Initial;
        state.Flags |= AccurateEcnFlags.FeedbackSeen;
        var s = new SegmentArrival { Flags = TcpFlags.Ack | AccurateEcnReceiver.ToFlags(7) };
        s.Options.AccurateEcn = new AccurateEcnOption(0, 2, 1, bytes, 0);
        Assert.Equal(bytes, AccurateEcnSender.OnAck(ref state, s, 14_600, 1_460));
        Assert.Equal(count, state.SentCe);
    }

    [Fact]
    // RFC 9768 appendix A.1: by timestamps an ACK of nothing new is told from one that was overtaken; counters wrap.
    public void AnAckThatWasOvertakenSaysNothing()
    {
        var state = AccurateEcnState.Initial;
        (state.Flags, state.SentCe, state.SentCeBytes) = (AccurateEcnFlags.FeedbackSeen, uint.MaxValue, 33_554_433);
        var s = new SegmentArrival { Flags = TcpFlags.Ack | AccurateEcnReceiver.ToFlags(0) };
        s.Options.AccurateEcn = new AccurateEcnOption(0, 2, 1, 1_461, 0);
        Assert.Equal(0u, AccurateEcnSender.OnAck(ref state, s, 0, 1_460));
        s.Options.SetTimestamps(1, 0);
        Assert.Equal(1_460u, AccurateEcnSender.OnAck(ref state, s, 0, 1_460));
        Assert.Equal((0u, 33_555_893u), (state.SentCe, state.SentCeBytes));
        s.Flags = TcpFlags.Ack | AccurateEcnReceiver.ToFlags(3);
        Assert.Equal(0u, AccurateEcnSender.OnAck(ref state, s, 0, 1_460));
    }
}
