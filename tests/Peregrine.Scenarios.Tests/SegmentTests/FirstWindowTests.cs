// The window that a SYN-ACK promises is the one that the connection keeps (RFC 9293 SHLD-14), whatever it was reckoned by.
using Peregrine.Core.Tcp;
using Peregrine.Scenarios.Tests.World;
using Peregrine.Wire;
using static Peregrine.Scenarios.Tests.SegmentTests.Peer;

namespace Peregrine.Scenarios.Tests.SegmentTests;

public sealed class FirstWindowTests
{
    private static readonly TcpSettings ToThePacket = new() { ReceiveBufferBytes = 3_000, ReceiveBufferBytesMax = 3_000, PacketSender = true, PacketReceiver = true };

    private static readonly TcpSettings Open = new() { FastOpenQueueLength = 16, FastOpenWithoutCookie = true, ReceiveBufferBytes = 3_000, ReceiveBufferBytesMax = 3_000 };

    [Fact]
    public void APathThatBecomesNarrowDuringTheHandshakeTakesBackNoneOfTheWindow()
    {
        using var peer = new Peer();
        var other = peer.Accept(ToThePacket);
        var (otherIss, otherPort) = (peer.HostIss, peer.Port);
        peer.Write(other, 1_000);
        peer.Inbox.Clear();
        peer.Port++;
        var window = peer.SynExchange().Window;
        Assert.Equal(2_920, window);
        // To whole segments of 960 bytes it would be 2,880 now, and that is the path from the first segment on that goes to it.
        peer.Raw(RawTcp.IcmpV4(3, 4, 1_000, peer.Address, peer.HostAddress, HostPort, peer.Address, otherPort, otherIss + 1), reachesTcp: false);
        peer.Inbox.Clear();
        peer.Send(Syn, peer.Iss);
        Assert.Equal(window, peer.Take().Window);
        peer.Send(Syn, peer.Iss);
        var again = peer.Take();
        Assert.Equal((Syn | Ack, window, 960), (again.Flags, again.Window, again.Segment.OptionsRef.Mss));
        // What came before it was lost.
        peer.Send(Ack, peer.Next + (uint)window - 10, length: 10);
        Assert.True(peer.Tcp.TryAccept(peer.Listener, out var connection));
        Assert.Equal(TcpState.Established, peer.State(connection));
        Assert.Equal(0, peer.Tcp.Counters.DroppedOutOfWindow);
    }

    [Fact]
    public void WithoutPacketSenderTheReceiverIsNoneToThePacket()
    {
        using var peer = new Peer();
        peer.Listen(ToThePacket with { PacketSender = false });
        Assert.Equal(3_000, peer.SynExchange().Window);
    }

    [Fact]
    public void TheWindowOfASynAckInATunnelIsInSegmentsThatFitTheTunnel()
    {
        using var peer = new Peer();
        peer.Tcp.UdpTunnelPort = 9_899;
        peer.Listen(ToThePacket with { ReceiveBufferBytes = 30_000, ReceiveBufferBytesMax = 30_000 });
        var segment = new TcpSegment { Seq = peer.Iss, Flags = Syn, Window = new UnscaledWindow(ushort.MaxValue), Options = Offer() };
        peer.Raw(RawTcp.InUdp(RawTcp.Packet(peer.Address, peer.Port, peer.HostAddress, HostPort, segment, []), 7_000, 9_899));
        Assert.True(RawTcp.TryRead(RawTcp.OutOfUdp(peer.Others.Dequeue()), out _, out _, out var answer, out _));
        // 20 segments of 1,460 without the tunnel, which takes 8 bytes of each.
        Assert.Equal((Syn | Ack, 1_452, 20 * 1_452), (answer.Flags, answer.OptionsRef.Mss, answer.Window.Value));
    }

    // RFC 7413 §4.2.2: such a SYN-ACK comes from a connection, whose buffer the peer's MSS may have rounded, and may hold the SYN's data.
    [Theory]
    [InlineData(false, false, 500, 2_500)]
    [InlineData(false, true, 500, 3_000)]
    [InlineData(true, false, 500, 2_920)]
    [InlineData(true, true, 500, 3_500)]
    public void AllOfTheWindowOfAFastSynAckIsTaken(bool isToThePacket, bool isWhole, int length, int expected)
    {
        using var peer = new Peer();
        peer.Listen(Open with { PacketSender = isToThePacket, PacketReceiver = isToThePacket, WholeSegmentBuffer = isWhole });
        var options = Offer(mss: 700);
        options.SetFastOpen(0);
        peer.Send(Syn, peer.Iss, length: length, options: options);
        var answer = peer.Take();
        Assert.Equal((Syn | Ack, peer.Iss + 1 + (uint)length, expected), (answer.Flags, answer.Ack, answer.Window));
        peer.HostNext = answer.Seq + 1;
        Assert.True(peer.Tcp.TryAccept(peer.Listener, out var connection));
        peer.Next = answer.Ack;
        for (var left = expected; left > 0; left -= 700) peer.SendNext(Math.Min(left, 700));
        Assert.Equal(length + expected, peer.Tcp.GetStatus(connection).ReadableBytes);
        Assert.Equal(0, peer.Tcp.Counters.DroppedOutOfWindow);
    }
}
