// Text and FIN on their way in: windows, trimming, gaps, and what is acknowledged when.
using Peregrine.Core.Tcp;
using Peregrine.Scenarios.Tests.World;
using Peregrine.Wire;
using static Peregrine.Scenarios.Tests.SegmentTests.Peer;

namespace Peregrine.Scenarios.Tests.SegmentTests;

public sealed class ReceiveTests
{
    private static readonly TcpSettings Small = new() { ReceiveBufferBytes = 4_096, ReceiveBufferBytesMax = 4_096 };

    [Theory]
    [InlineData(70_000)]
    [InlineData(-5_000)]
    public void TextOutsideTheWindowElicitsADuplicateAck(int offset)
    {
        using var peer = new Peer();
        var c = peer.Accept();
        peer.Send(Ack, peer.Next + (uint)offset, length: 10);
        peer.ExpectAck();
        Assert.Equal((0, 1), (peer.Tcp.GetStatus(c).ReadableBytes, peer.Tcp.Counters.DroppedOutOfWindow));
    }

    [Fact]
    public void TextThatCameBeforeIsCutOffAtTheFront()
    {
        using var peer = new Peer();
        var c = peer.Accept();
        peer.SendNext(100);
        peer.ExpectAck();
        peer.Next -= 50;
        peer.SendNext(100);
        peer.ExpectAck();
        peer.AssertReads(c, 150);
        Assert.Equal(50, peer.Tcp.Counters.DuplicateBytes);
    }

    [Fact]
    public void TextBeyondTheWindowIsCutOffAtTheBackWithItsFin()
    {
        using var peer = new Peer();
        var c = peer.Accept(Small);
        for (var i = 0; i < 4; i++)
        {
            peer.SendNext(1_000);
            peer.ExpectAck();
        }
        peer.Send(Ack | Fin, length: 200);
        peer.Next += 96;
        Assert.Equal(0, peer.ExpectAck().Window);
        Assert.Equal(TcpState.Established, peer.State(c));
        peer.AssertReads(c, 4_096);
        peer.Take();
        peer.SendNext(104, Ack | Fin);
        peer.ExpectAck();
        peer.AssertReads(c, 104, 4_096);
        Assert.Equal(TcpState.CloseWait, peer.State(c));
    }

    // RFC 9293 SHLD-31, RFC 2018 §4: the latest block first; RFC 2883: and a duplicate before it.
    [Fact]
    public void SackBlocksSayWhatIsHeldLatestFirstAndDuplicatesBeforeAll()
    {
        using var peer = new Peer();
        var c = peer.Accept(options: Offer(sack: true));
        var start = peer.Next;
        SackBlock Block(uint from, uint to) => new(start + from, start + to);
        peer.Send(Ack, start + 100, length: 100);
        Assert.Equal([Block(100, 200)], peer.ExpectAck().Sacks);
        peer.Send(Ack, start + 300, length: 100);
        Assert.Equal([Block(300, 400), Block(100, 200)], peer.ExpectAck().Sacks);
        peer.Send(Ack, start + 100, length: 100);
        Assert.Equal(Block(100, 200), peer.ExpectAck().Sacks[0]);
        Assert.Equal(1, peer.Tcp.Counters.DsacksSent);
        peer.Send(Ack, start, length: 100);
        Assert.Equal([Block(300, 400)], peer.ExpectAck(start + 200).Sacks);
        peer.Send(Ack, start + 150, length: 50);
        Assert.Equal([Block(150, 200), Block(300, 400)], peer.ExpectAck(start + 200).Sacks);
        peer.Send(Ack, start + 200, length: 100);
        Assert.Empty(peer.ExpectAck(start + 400).Sacks);
        peer.AssertReads(c, 400);
    }

    [Fact]
    public void WithoutPermissionNoSackBlockIsSent()
    {
        using var peer = new Peer();
        peer.Accept();
        peer.Send(Ack, peer.Next + 100, length: 100);
        Assert.Equal(0, peer.ExpectAck().Segment.OptionsRef.SackBlockCount);
    }

    [Fact]
    public void OverlappingTextOutOfOrderComesTogetherOnce()
    {
        using var peer = new Peer();
        var c = peer.Accept();
        foreach (var (at, length) in new[] { (500, 100), (100, 100), (150, 400), (90, 20), (580, 20) })
        {
            peer.Send(Ack, peer.Next + (uint)at, length: length);
            peer.ExpectAck();
        }
        peer.Send(Ack, length: 95);
        peer.ExpectAck(peer.Next + 600);
        peer.AssertReads(c, 600);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(50)]
    public void AFinOutOfOrderWaitsForTheTextBeforeIt(int withText)
    {
        using var peer = new Peer();
        var c = peer.Accept();
        peer.Send(Ack | Fin, peer.Next + 100, length: withText);
        peer.ExpectAck();
        Assert.Equal(TcpState.Established, peer.State(c));
        peer.SendNext(100);
        peer.Next += (uint)withText + 1;
        peer.ExpectAck();
        Assert.Equal(TcpState.CloseWait, peer.State(c));
        peer.AssertReads(c, 100 + withText);
    }

    [Fact]
    public void AFinThatIsRepeatedIsAcknowledgedAgainAndTextBehindItIsIgnored()
    {
        using var peer = new Peer();
        var c = peer.Accept();
        peer.SendNext(0, Ack | Fin);
        peer.ExpectAck();
        peer.Send(Ack | Fin, peer.Next - 1);
        peer.ExpectAck();
        peer.Send(Ack, length: 10);
        Assert.Equal((TcpState.CloseWait, 0), (peer.State(c), peer.Tcp.GetStatus(c).ReadableBytes));
        peer.Write(c, 10);
        Assert.Equal(10, peer.Take().Payload.Length);
    }

    // RFC 9293 SHLD-14
    [Theory]
    [InlineData(-1)]
    [InlineData(3)]
    [InlineData(14)]
    public void TheAdvertisedEdgeNeverMovesLeft(int scale)
    {
        using var peer = new Peer();
        var c = peer.Accept(new TcpSettings { ReceiveBufferBytes = 10_000, ReceiveBufferBytesMax = 300_000 }, Offer(scale: scale));
        peer.Tcp.TryGetInfo(c, peer.Now, out var info);
        var edge = peer.Next;
        var random = new Random(1);
        var buffer = new byte[1_000];
        for (var i = 0; i < 2_000; i++)
        {
            if (random.Next(2) == 0) peer.SendNext(random.Next(1, 1_200));
            if (random.Next(3) == 0) peer.Tcp.Receive(c, buffer.AsSpan(0, random.Next(buffer.Length)), peer.Now);
            peer.Advance(random.Next(50));
            while (peer.Inbox.TryDequeue(out var answer))
            {
                var offered = answer.Ack + ((uint)answer.Window << info.ReceiveScale);
                // RFC 7323 §2.4: but for the scale's rounding.
                Assert.True((offered + ((1u << info.ReceiveScale) - 1)).IsAfterOrEqual(edge), $"step {i}: the edge moved left");
                (edge, peer.Next) = (SeqNumber.Max(edge, offered), answer.Ack);
            }
        }
        Assert.True(edge - (peer.Iss + 1) > 100_000);
    }

    // RFC 7323 §2.4: a window that is rounded up again with each segment would never close.
    [Fact]
    public void SmallSegmentsDoNotOutgrowTheBuffer()
    {
        using var peer = new Peer();
        var c = peer.Accept(new TcpSettings { ReceiveBufferBytes = 4_096, ReceiveBufferBytesMax = 1 << 20 }, Offer(scale: 0));
        peer.Tcp.TryGetInfo(c, peer.Now, out var info);
        Assert.Equal(5, info.ReceiveScale);
        var window = uint.MaxValue;
        for (var i = 0; i < 5_000 && window > 0; i++)
        {
            peer.SendNext(1);
            peer.Advance(500);
            while (peer.Inbox.TryDequeue(out var answer)) window = (uint)answer.Window << info.ReceiveScale;
        }
        Assert.Equal(0u, window);
        Assert.InRange(peer.Tcp.GetStatus(c).ReadableBytes, 4_096, 4_096 + 31);
    }

    // RFC 9293 MUST-39
    [Fact]
    public void TheWindowOpensInStepsOfASegmentOrHalfTheBuffer()
    {
        using var peer = new Peer();
        var c = peer.Accept(Small with { ReceiveBufferBytes = 10_000, ReceiveBufferBytesMax = 10_000 });
        for (var i = 0; i < 10; i++)
        {
            peer.SendNext(1_000);
            peer.ExpectAck();
        }
        peer.AssertReads(c, 999, max: true);
        peer.ExpectSilence();
        peer.AssertReads(c, 1, 999, max: true);
        Assert.Equal(1_000, peer.ExpectAck().Window);
    }

    // RFC 9293 MUST-66
    [Fact]
    public void WithAClosedWindowAckAndUrgAreProcessedAndTextIsNot()
    {
        using var peer = new Peer();
        var c = FillWindow(peer);
        peer.Write(c, 100);
        peer.Take();
        peer.Send(Ack | Urg, length: 10, urgent: 20);
        Assert.Equal(0, peer.ExpectAck().Window);
        Assert.Equal((4_096, 0), (peer.Tcp.GetStatus(c).ReadableBytes, peer.Tcp.GetStatus(c).UnacknowledgedBytes));
        Assert.True((peer.Host.Seen[c].Events & TcpEvents.Urgent) != 0);
    }

    // RFC 9293 MUST-66: the sender of a FIN has its SND.NXT behind a window that was full: refusing it would be refusing its ACKs.
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void AFinNeedsNoWindowAndTheAcksBehindItCount(bool isAlone)
    {
        using var peer = new Peer();
        var c = isAlone ? FillWindow(peer) : FillWindow(peer, 3);
        peer.Write(c, 100);
        peer.Take();
        peer.SendNext(isAlone ? 0 : 1_024, Ack | Fin);
        Assert.Equal((0, TcpState.CloseWait), (peer.ExpectAck().Window, peer.State(c)));
        peer.Write(c, 100);
        peer.Take();
        peer.Send(Ack);
        Assert.Equal((4_096, 0), (peer.Tcp.GetStatus(c).ReadableBytes, peer.Tcp.GetStatus(c).UnacknowledgedBytes));
        // With text that has no room the FIN has none either.
        using var other = new Peer();
        c = FillWindow(other);
        other.Send(Ack | Fin, length: 1);
        other.ExpectAck();
        Assert.Equal(TcpState.Established, other.State(c));
    }

    // RFC 9293 MUST-66
    [Fact]
    public void WithAClosedWindowAResetInPlaceIsTaken()
    {
        using var peer = new Peer();
        var c = FillWindow(peer);
        peer.Send(Rst, peer.Next + 1);
        peer.ExpectSilence();
        peer.Send(Rst);
        Assert.Equal(System.Net.Sockets.SocketError.ConnectionReset, peer.ErrorOf(c));
    }

    // RFC 9293 MAY-8, MUST-37 seen from the other side.
    [Fact]
    public void EveryProbeOfAClosedWindowIsAnswered()
    {
        using var peer = new Peer();
        FillWindow(peer);
        for (var i = 0; i < 50; i++)
        {
            peer.Send(Ack, length: 1);
            Assert.Equal(0, peer.ExpectAck().Window);
            peer.Advance(1_000);
        }
    }

    // RFC 9293 §3.4, §3.8.6.1: the peer has taken the byte of our probe and we that of its: its SND.NXT is behind ours of what it sent.
    [Fact]
    public void TwoThatProbeEachOthersWindowHearThatItHasOpened()
    {
        using var peer = new Peer();
        var c = peer.Accept(new TcpSettings { WindowProbeData = true }, window: 0);
        peer.Write(c, 100);
        peer.Advance(1_500);
        Assert.Equal((peer.HostIss + 1, 1), (peer.Inbox.Peek().Seq, peer.Take().Payload.Length));
        peer.Inbox.Clear();
        peer.Send(Ack, ack: peer.HostIss + 1, length: 1, window: 0);
        peer.Next += 1;
        peer.Advance(100);
        peer.Inbox.Clear();
        peer.Send(Ack, peer.Next - 1, window: 1_000);
        var answer = peer.Take();
        Assert.Equal((peer.HostIss + 2, 99), (answer.Seq, answer.Payload.Length));
        // What it has heard before is a keep-alive, which is answered and says nothing (§3.8.4).
        peer.Advance(5_000);
        peer.Inbox.Clear();
        peer.Send(Ack, peer.Next - 1, ack: answer.Seq, window: 0);
        peer.ExpectAck();
    }

    // RFC 9293 MUST-40, MUST-58, SHLD-18, SHLD-19
    [Theory]
    [InlineData(40)]
    [InlineData(499)]
    public void AnAckIsDelayedLessThanHalfASecondAndEverySecondSegmentIsAcknowledgedAtOnce(int delay)
    {
        using var peer = new Peer();
        peer.Accept(new TcpSettings { QuickAckCount = 0, DelayedAckMs = delay });
        var start = peer.Now;
        peer.SendNext(1_000);
        peer.ExpectSilence();
        peer.Advance(1_000);
        Assert.InRange((peer.ExpectAck().At - start).Milliseconds, delay, delay + 8 < 500 ? delay + 8 : 500);
        for (var i = 0; i < 5; i++)
        {
            peer.SendNext(1_000);
            peer.ExpectSilence();
            peer.SendNext(1_000);
            peer.ExpectAck();
        }
        Assert.Equal(1, peer.Tcp.Counters.DelayedAcks);
    }

    [Fact]
    public void TheFirstSegmentsAreAcknowledgedAtOnce()
    {
        using var peer = new Peer();
        peer.Accept(new TcpSettings { QuickAckCount = 5 });
        for (var i = 0; i < 5; i++)
        {
            peer.SendNext(10);
            peer.ExpectAck();
        }
        peer.SendNext(10);
        peer.ExpectSilence();
    }

    // RFC 9293 MUST-31, MUST-32, MUST-33
    [Fact]
    public void UrgentDataAreAnnouncedBeforeTheyComeAndStayInLine()
    {
        using var peer = new Peer();
        var c = peer.Accept();
        // RFC 9293 MUST-62: the pointer names the byte after the urgent data.
        peer.Send(Ack | Urg, length: 4, urgent: 10);
        peer.Next += 4;
        peer.ExpectAck();
        Assert.True((peer.Host.Seen[c].Events & TcpEvents.Urgent) != 0);
        Assert.Equal(10, peer.Tcp.GetStatus(c).UrgentBytes);
        peer.SendNext(10);
        peer.ExpectAck();
        peer.AssertReads(c, 14);
        Assert.Equal(0, peer.Tcp.GetStatus(c).UrgentBytes);
    }

    // RFC 9293 MUST-3
    [Fact]
    public void AWrongChecksumIsCountedAndIgnored()
    {
        using var peer = new Peer();
        var c = peer.Accept();
        var packet = RawTcp.Packet(peer.Address, peer.Port, peer.HostAddress, HostPort, new TcpSegment { Seq = peer.Next, Ack = peer.HostNext, Flags = Rst | Ack }, []);
        packet[36] ^= 1;
        peer.Raw(packet);
        peer.ExpectSilence();
        Assert.Equal((TcpState.Established, 1L), (peer.State(c), peer.Tcp.Counters.DroppedChecksum));
    }

    // RFC 9293 MUST-7
    [Fact]
    public void AnIllegalOptionLengthIsCountedAndIgnored()
    {
        using var peer = new Peer();
        var c = peer.Accept();
        var options = default(TcpOptions);
        options.SetTimestamps(1, 2);
        var reset = new TcpSegment { Seq = peer.Next, Ack = peer.HostNext, Flags = Rst | Ack, Options = options };
        var packet = RawTcp.Packet(peer.Address, peer.Port, peer.HostAddress, HostPort, reset, []);
        packet[40] = 99;
        packet[41] = 1;
        RawTcp.FixChecksum(packet);
        peer.Raw(packet);
        peer.ExpectSilence();
        Assert.Equal((TcpState.Established, 1L), (peer.State(c), peer.Tcp.Counters.DroppedMalformed));
    }

    private static TcpHandle FillWindow(Peer peer, int segments = 4)
    {
        var c = peer.Accept(Small);
        for (var i = 0; i < segments; i++)
        {
            peer.SendNext(1_024);
            peer.ExpectAck();
        }
        return c;
    }
}
