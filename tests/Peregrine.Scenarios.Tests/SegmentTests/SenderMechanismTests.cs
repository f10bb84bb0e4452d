// Mechanisms of a sender that need no history, each alone, on a connection whose segments may take the short ways.
using System.Net.Sockets;
using Peregrine.Core.Tcp;
using Peregrine.Scenarios.Tests.World;

namespace Peregrine.Scenarios.Tests.SegmentTests;

public sealed class SenderMechanismTests
{
    private const int Mss = 1460;

    // A packet sender that does nothing yet.
    private static readonly TcpSettings s_none = TcpProfile.FreeBsd.Connection with { PacketSender = true, NoDelay = true, QuickAckCount = 16 };

    [Theory]
    [InlineData(true, 500, 1460)]
    [InlineData(false, 1000, 1460)]
    // As Linux: two segments fit into the window; and the window of a segment that was expected counts like another's.
    public void TheMssIsHalfOfTheLargestWindowUntilALargerOneComes(bool half, int before, int after)
    {
        using var p = new Peer(Host.SmallOptions);
        var t = p.Accept(s_none with { HalfWindowMss = half }, window: 1_000);
        p.Write(t, 1_000);
        Assert.Equal(before, p.Take().Payload.Length);
        while (p.Inbox.Count > 0) p.Take();
        p.Send(Peer.Ack, window: 1_000);
        p.SendNext(100, window: 8_000);
        while (p.Inbox.Count > 0) p.Take();
        p.Write(t, Mss);
        Assert.Equal(after, p.Take().Payload.Length);
    }

    [Fact]
    // RFC 9293 SHLD-19: every second full-sized segment is acknowledged at once, also where the receiver's half is asked for when the connection has begun.
    public void AReceiversHalfThatIsSwitchedOnLaterChangesNothing()
    {
        using var p = new Peer(Host.SmallOptions with { SenderHistoryCountMax = 4 });
        var settings = s_none with { WriteRuns = true, QuickAckCount = 0 };
        var t = p.Accept(settings);
        Assert.Equal(SocketError.Success, p.Tcp.SetSettings(t, settings with { PacketReceiver = true }, p.Now));
        p.SendNext(Mss);
        p.ExpectSilence();
        p.SendNext(Mss);
        p.ExpectAck();
    }

    [Theory]
    [InlineData(44, true, true)]
    [InlineData(0, true, false)]
    [InlineData(44, false, false)]
    // RFC 5681 §4.2: three ACKs at once in any case.
    public void ABeginningGapIsToldThreeTimesAndThenByOneAckForSeveral(int count, bool isToThePacket, bool isCompressed)
    {
        using var p = new Peer(Host.SmallOptions with { SenderHistoryCountMax = 4 });
        p.Accept(TcpSettings.Default with { PacketSender = isToThePacket, PacketReceiver = true, SackCompressionCount = count }, Peer.Offer(sack: true));
        for (var i = 0; i < 3; i++) Assert.Single(Beyond(p, 100u * (uint)(i + 1)));
        var acks = Beyond(p, 400).Concat(Beyond(p, 500)).Count();
        Assert.Equal(isCompressed ? 0 : 2, acks);
        p.Advance(2);
        if (isCompressed) Assert.Equal((1, 1, 2L), (p.Inbox.Count, p.Take().Sacks.Length, p.Tcp.ExtCounters.TCPAckCompressed));
        p.ExpectSilence();
    }

    [Fact]
    // RFC 2018 §4: what has never been reported is not pushed out of the ACK by what comes later.
    public void ABlockMoreThanAnAckHoldsIsReportedAtOnce()
    {
        using var p = new Peer(Host.SmallOptions with { SenderHistoryCountMax = 4 });
        p.Accept(TcpSettings.Default with { PacketSender = true, PacketReceiver = true }, Peer.Offer(sack: true));
        for (var i = 0; i < 3; i++) Assert.Single(Beyond(p, 200u * (uint)(i + 1)));
        Assert.Single(Beyond(p, 800));
        Assert.Empty(Beyond(p, 900));
        // The ACK of a FIN does not wait, and takes what waits along.
        p.Send(Peer.Fin | Peer.Ack, p.Next + 1_500, length: 100);
        Assert.Equal(p.Next + 1_500, p.Take().Sacks[0].Left);
        p.Advance(2);
        p.ExpectSilence();
    }

    private static List<Answer> Beyond(Peer p, uint distance)
    {
        p.Send(Peer.Ack, p.Next + distance, length: 100);
        p.Pump();
        List<Answer> answers = [];
        while (p.Inbox.Count > 0) answers.Add(p.Take());
        return answers;
    }

    [Fact]
    // RFC 2018 §4, RFC 6691 §2: a FIN beyond a gap is reported with every segment, and the text leaves room for that.
    public void AnAnswerBesideAFinThatWaitsHasRoomForItsReport()
    {
        using var p = new Peer(Host.SmallOptions);
        var t = p.Accept(options: Peer.Offer(timestamps: true, sack: true));
        p.Send(Peer.Ack | Peer.Fin, p.Next + 100);
        Assert.Single(p.Take().Sacks);
        p.Write(t, Mss - 12);
        var first = p.Take();
        Assert.Equal((1, Mss - 12 - 12), (first.Sacks.Length, first.Payload.Length));
        Assert.Equal(12, p.Take().Payload.Length);
    }

    [Fact]
    // RFC 9293 §3.7.4 by BSD: what began with nothing in flight goes to its end, though others had their turn meanwhile.
    public void TheEndOfALongWriteThatBeganIdleWaitsForNobody()
    {
        using var p = new Peer(Host.SmallOptions);
        var t = p.Accept(s_none with { NoDelay = false, PlainNagle = true, SendBufferBytes = 200_000, SlowStartSegmentsPerAck = 100 }, Peer.Offer(scale: 6), window: 60_000);
        foreach (var segments in (int[])[10, 20, 40])
        {
            p.Write(t, segments * Mss);
            while (p.Inbox.Count > 0) p.Take();
            p.Send(Peer.Ack);
        }
        p.ExpectSilence();
        p.Write(t, (50 * Mss) + 100);
        var length = 0;
        while (p.Inbox.Count > 0) length += p.Take().Payload.Length;
        Assert.Equal((50 * Mss) + 100, length);
        // And not what is written behind it.
        p.Write(t, 100);
        p.ExpectSilence();
    }
}
