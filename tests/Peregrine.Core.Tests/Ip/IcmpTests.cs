// ICMP of both families: echoes, errors that we send and those that must not be sent, errors that we read and whom they reach.
using System.Net.Sockets;
using Peregrine.Core.Ip;
using Peregrine.Core.Memory;
using Peregrine.Core.Time;
using Peregrine.Wire;
using static Peregrine.Core.Tests.Ip.IpFixture;

namespace Peregrine.Core.Tests.Ip;

public sealed class IcmpTests : IDisposable
{
    private readonly IpFixture _f = new();

    public IcmpTests()
    {
        _f.Know(Peer4);
        _f.Know(Peer6);
        _f.Know(Gateway4);
        _f.Know(Gateway6);
    }

    public void Dispose()
    {
        _f.Advance(Duration.FromSeconds(100));
        _f.Sent();
        _f.Sent(0);
        Assert.Equal(0, _f.FramesOut);
        _f.Dispose();
    }

    [Theory]
    [InlineData(0, int.MaxValue)]
    [InlineData(57, int.MaxValue)]
    [InlineData(1471, 300)]
    [InlineData(1400, 43)]
    public void EchoIsAnsweredWithTheSameData(int length, int chunk)
    {
        _f.Receive(Echo4(Peer4, Our4, Pattern(length)), chunk: chunk);
        byte[] frame = _f.SentOne();
        Icmpv4Packet reply = Message4(frame);
        Assert.Equal((Icmpv4Type.EchoReply, (ushort)7, (ushort)1), (reply.Type, reply.Identifier, reply.Sequence));
        Assert.Equal(Pattern(length), reply.Body.ToArray());
        Assert.Equal((Our4, Peer4), (Packet4(frame).Source, Packet4(frame).Destination));
        Assert.Equal(new IcmpCounters { ReceivedEchoRequests = 1 }, _f.Ip.IcmpCounters);
    }

    [Theory]
    [InlineData("2001:db8::1")]
    [InlineData("ff02::1")]
    public void EchoOfIPv6IsAnsweredEvenToAllNodes(string to)
    {
        var message = new byte[8 + 33];
        IpAddress destination = IpAddress.Parse(to);
        Icmpv6Packet.WriteEcho(message, Peer6, destination, false, 9, 2, Pattern(33));
        _f.Receive(IPv6(Peer6, destination, IpProtocol.Icmpv6, message));
        byte[] frame = _f.SentOne();
        Icmpv6Packet reply = Message6(frame);
        Assert.Equal((Icmpv6Type.EchoReply, Our6), (reply.Type, Packet6(frame).Source));
        Assert.Equal(Pattern(33), reply.Body.ToArray());
    }

    [Fact]
    public void LargeEchoComesInFragmentsAndGoesOutInFragments()
    {
        var message = new byte[8 + 4000];
        Icmpv4Packet.WriteEcho(message, false, 1, 1, Pattern(4000));
        for (int at = 0; at < message.Length; at += 1480)
        {
            int part = Math.Min(1480, message.Length - at);
            _f.Receive(IPv4(Peer4, Our4, 1, message.AsSpan(at, part), 5, at + part < message.Length ? IPv4Flags.MoreFragments : IPv4Flags.None, at));
        }

        List<byte[]> sent = _f.Sent();
        byte[] reply = [.. sent.SelectMany(f => Packet4(f).Payload.ToArray())];
        Assert.Equal(3, sent.Count);
        Assert.True(Icmpv4Packet.TryParse(reply, out Icmpv4Packet packet));
        Assert.True(packet.HasValidChecksum);
        Assert.Equal(Pattern(4000), packet.Body.ToArray());
    }

    [Fact]
    public void EchoToABroadcastIsIgnored()
    {
        _f.Receive(Echo4(Peer4, IpAddress.Parse("192.0.2.255"), [1], mac: MacAddress.Broadcast));
        Assert.Empty(_f.Sent());
        Assert.Equal(new IcmpCounters { DroppedEchoRequest = 1 }, _f.Ip.IcmpCounters);
    }

    [Fact]
    public void UnknownTypesAreDroppedInSilence()
    {
        _f.Receive(Icmp4(Peer4, Icmpv4Type.TimestampRequest, 0, 0, new byte[12]));
        _f.Receive(Icmp4(Peer4, (Icmpv4Type)99, 0, 0, []));
        _f.Receive(Icmp6(Peer6, Our6, (Icmpv6Type)200, 0, 0, []));
        _f.Receive(Icmp6(Peer6, Our6, (Icmpv6Type)99, 0, 0, []));
        Assert.Empty(_f.Sent());
        Assert.Equal(new IcmpCounters { DroppedUnknownType = 4 }, _f.Ip.IcmpCounters);
    }

    [Fact]
    public void WrongChecksumsAreDropped()
    {
        byte[] four = Echo4(Peer4, Our4, [1, 2, 3]);
        four[^1] ^= 1;
        byte[] six = Icmp6(Peer6, Our6, Icmpv6Type.EchoRequest, 0, 0, [1, 2, 3]);
        six[^1] ^= 1;
        _f.Receive(four);
        _f.Receive(six);
        Assert.Equal(new IcmpCounters { DroppedChecksum = 2 }, _f.Ip.IcmpCounters);
    }

    [Fact]
    public void PortUnreachableQuotesTheDatagram()
    {
        byte[] datagram = UdpBytes(Peer4, Our4, 1000, 2000, Pattern(700));
        _f.Receive(IPv4(Peer4, Our4, 17, datagram));
        byte[] frame = _f.SentOne();
        Icmpv4Packet error = Message4(frame);
        Assert.Equal((Icmpv4Type.DestinationUnreachable, Icmpv4UnreachableCode.Port), (error.Type, error.Code));
        Assert.Equal((576, (byte)0), (Packet4(frame).TotalLength, Packet4(frame).TrafficClass));
        Assert.True(error.TryGetQuotedPacket(out IPv4Packet quoted));
        Assert.Equal((Peer4, Our4, 728), (quoted.Source, quoted.Destination, quoted.TotalLength));
        Assert.Equal(datagram[..528], quoted.Payload.ToArray());
    }

    [Fact]
    public void ErrorsOfIPv6AreAtMostTheLeastMtu()
    {
        _f.Receive(IPv6(Peer6, Our6, 17, UdpBytes(Peer6, Our6, 1000, 2000, Pattern(1400))));
        byte[] frame = _f.SentOne();
        Assert.Equal((Icmpv6Type.DestinationUnreachable, Icmpv6UnreachableCode.Port), (Message6(frame).Type, Message6(frame).Code));
        Assert.Equal(1280 + 14, frame.Length);
    }

    public static TheoryData<byte[]> Unanswerable() =>
    [
        IPv4(Peer4, IpAddress.Parse("192.0.2.255"), 132, new byte[20], mac: MacAddress.Broadcast),
        IPv4(Peer4, IpAddress.Parse("224.0.0.1"), 132, new byte[20], mac: MacAddress.ForIPv4Multicast(IpAddress.Parse("224.0.0.1"))),
        IPv6(Peer6, IpAddress.IPv6AllNodes, 132, new byte[20]),
        IPv6(Peer6, Our6, IpProtocol.DestinationOptions, [IpProtocol.Icmpv6, 0, 0x9E, 2, 0, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0, 0]),
    ];

    [Theory]
    [MemberData(nameof(Unanswerable))]
    public void NoErrorIsSentAboutGroupsOrErrors(byte[] frame)
    {
        _f.Receive(frame);
        Assert.Empty(_f.Sent());
        Assert.Equal(new IcmpCounters { SuppressedForbidden = 1 }, _f.Ip.IcmpCounters);
    }

    [Fact]
    public void ErrorsPassTheLimiter()
    {
        for (int i = 0; i < 200; i++)
        {
            _f.Receive(IPv4(Peer4, Our4, 17, UdpBytes(Peer4, Our4, 1000, 2000, [1])));
            _f.Sent();
        }

        Assert.Equal((50, 150), (_f.Ip.IcmpCounters.SentErrors, _f.Ip.IcmpCounters.SuppressedLimited));
        _f.Advance(Duration.FromMilliseconds(1));
        _f.Receive(IPv4(Peer4, Our4, 17, UdpBytes(Peer4, Our4, 1000, 2000, [1])));
        Assert.Single(_f.Sent());
    }

    private static byte[] QuotedTcp(IpAddress from, IpAddress to, int length = 20)
    {
        byte[] segment = [0x1F, 0x90, 0x00, 0x50, 0x12, 0x34, 0x56, 0x78, .. new byte[length - 8]];
        return from.IsIPv4 ? IPv4(from, to, 6, segment)[14..] : IPv6(from, to, 6, segment)[14..];
    }

    [Theory]
    [InlineData(3, 0, nameof(IcmpErrorKind.NetUnreachable))]
    [InlineData(3, 1, nameof(IcmpErrorKind.HostUnreachable))]
    [InlineData(3, 2, nameof(IcmpErrorKind.ProtocolUnreachable))]
    [InlineData(3, 3, nameof(IcmpErrorKind.PortUnreachable))]
    [InlineData(3, 4, nameof(IcmpErrorKind.PacketTooBig))]
    [InlineData(3, 5, nameof(IcmpErrorKind.SourceRouteFailed))]
    [InlineData(3, 13, nameof(IcmpErrorKind.AdminProhibited))]
    [InlineData(11, 0, nameof(IcmpErrorKind.TimeExceeded))]
    [InlineData(11, 1, nameof(IcmpErrorKind.ReassemblyTimeExceeded))]
    [InlineData(12, 0, nameof(IcmpErrorKind.ParameterProblem))]
    public void ErrorReachesTheTransportWithWhatWasQuoted(byte type, byte code, string kind)
    {
        _f.Receive(Icmp4(Far4, (Icmpv4Type)type, code, 1000, QuotedTcp(Our4, Far4)));
        IcmpError error = Assert.Single(_f.TcpErrors.All);
        Assert.Equal(Enum.Parse<IcmpErrorKind>(kind), error.Kind);
        Assert.Equal((new Endpoint(Our4, 8080), new Endpoint(Far4, 80), true, 0x12345678u), (error.Local, error.Remote, error.HasSeq, error.Seq.Value));
        Assert.Equal((kind == nameof(IcmpErrorKind.PacketTooBig) ? 1000 : 0, 40, false), (error.Mtu, error.QuotedLength, error.IsLocal));
        Assert.Equal(new IcmpCounters { ReceivedErrors = 1 }, _f.Ip.IcmpCounters);
        Assert.Equal(1500, _f.Ip.PathMtu(Far4, _f.Now));
    }

    [Theory]
    [InlineData(1, 0, 0u, nameof(IcmpErrorKind.NetUnreachable))]
    [InlineData(1, 1, 0u, nameof(IcmpErrorKind.AdminProhibited))]
    [InlineData(1, 3, 0u, nameof(IcmpErrorKind.HostUnreachable))]
    [InlineData(1, 4, 0u, nameof(IcmpErrorKind.PortUnreachable))]
    [InlineData(2, 0, 1300u, nameof(IcmpErrorKind.PacketTooBig))]
    [InlineData(3, 0, 0u, nameof(IcmpErrorKind.TimeExceeded))]
    [InlineData(3, 1, 0u, nameof(IcmpErrorKind.ReassemblyTimeExceeded))]
    [InlineData(4, 1, 6u, nameof(IcmpErrorKind.ProtocolUnreachable))]
    public void ErrorOfIPv6ReachesTheTransport(byte type, byte code, uint rest, string kind)
    {
        _f.Receive(Icmp6(Far6, Our6, (Icmpv6Type)type, code, rest, QuotedTcp(Our6, Far6)));
        IcmpError error = Assert.Single(_f.TcpErrors.All);
        Assert.Equal((Enum.Parse<IcmpErrorKind>(kind), new Endpoint(Our6, 8080)), (error.Kind, error.Local));
    }

    [Fact]
    public void OldRoutersReportIsTakenAsTheNextPlateau()
    {
        _f.Receive(Icmp4(Far4, Icmpv4Type.DestinationUnreachable, 4, 0, QuotedTcp(Our4, Far4, 1480)));
        Assert.Equal(1492, Assert.Single(_f.TcpErrors.All).Mtu);
    }

    public static TheoryData<byte[]> Foreign() =>
    [
        Icmp4(Far4, Icmpv4Type.DestinationUnreachable, 3, 0, QuotedTcp(Peer4, Far4)),
        Icmp4(Far4, Icmpv4Type.DestinationUnreachable, 3, 0, QuotedTcp(IpAddress.IPv4Loopback, Far4)),
        Icmp4(Far4, Icmpv4Type.DestinationUnreachable, 3, 0, QuotedTcp(Our4, Far4)[..24]),
        Icmp4(Far4, Icmpv4Type.DestinationUnreachable, 3, 0, []),
        Icmp4(Far4, Icmpv4Type.DestinationUnreachable, 3, 0, IPv4(Our4, Far4, 132, new byte[20])[14..]),
        Icmp4(Far4, Icmpv4Type.DestinationUnreachable, 3, 0, IPv4(Our4, Far4, 6, new byte[24], 1, IPv4Flags.None, 800)[14..]),
        Icmp6(Far6, Our6, Icmpv6Type.PacketTooBig, 0, 1279, QuotedTcp(Our6, Far6)),
        Icmp6(Far6, Our6, Icmpv6Type.DestinationUnreachable, 0, 0, QuotedTcp(OurLinkLocal, Far6)),
    ];

    [Theory]
    [MemberData(nameof(Foreign))]
    public void ErrorAboutNoPacketOfOursIsDropped(byte[] frame)
    {
        _f.Receive(frame);
        Assert.Empty(_f.TcpErrors.All);
        Assert.Equal(new IcmpCounters { DroppedErrorForeign = 1 }, _f.Ip.IcmpCounters);
    }

    [Fact]
    public void SourceQuenchMeansNothing()
    {
        _f.Receive(Icmp4(Far4, Icmpv4Type.SourceQuench, 0, 0, QuotedTcp(Our4, Far4)));
        Assert.Empty(_f.TcpErrors.All);
        Assert.Equal(new IcmpCounters { DroppedSourceQuench = 1 }, _f.Ip.IcmpCounters);
    }

    [Fact]
    public void OwnEchoBringsAnEventAndStrangeRepliesDoNot()
    {
        Assert.True(_f.Ip.Echo.TryOpen(out ushort id));
        Assert.Equal(SocketError.Success, _f.Ip.Echo.Send(Peer4, id, 3, Pattern(56), 0, _f.Now));
        byte[] request = _f.SentOne();
        Assert.Equal((Icmpv4Type.EchoRequest, id, (ushort)3), (Message4(request).Type, Message4(request).Identifier, Message4(request).Sequence));
        _f.Receive(Echo4(Peer4, Our4, [1], isReply: true, id: (ushort)(id + 1)));
        Assert.False(_f.Ip.Echo.TryNext(out _));
        _f.Receive(Echo4(Peer4, Our4, Pattern(56), isReply: true, id: id));
        Assert.True(_f.Ip.Echo.TryNext(out EchoEvent echo));
        Assert.Equal(new EchoEvent(Peer4, id, 1, 56, 64, SocketError.Success, _f.Now), echo);
        Assert.Equal(new IcmpCounters { SentEchoRequests = 1, ReceivedEchoReplies = 1, DroppedEchoReply = 1 }, _f.Ip.IcmpCounters);
    }

    [Fact]
    public void ErrorsAboutOwnEchoesBringEvents()
    {
        _f.Ip.Echo.TryOpen(out ushort id);
        _f.Ip.Echo.Send(Far6, id, 4, [1, 2], 0, _f.Now);
        _f.Receive(Icmp6(Far6, Our6, Icmpv6Type.DestinationUnreachable, 3, 0, _f.SentOne()[14..]));
        Assert.True(_f.Ip.Echo.TryNext(out EchoEvent echo));
        Assert.Equal((Far6, (ushort)4, SocketError.HostUnreachable), (echo.Remote, echo.Sequence, echo.Error));
        _f.Ip.Echo.Send(IpAddress.Parse("192.0.2.99"), id, 5, [1, 2], 0, _f.Now);
        _f.Advance(Duration.FromSeconds(4));
        Assert.True(_f.Ip.Echo.TryNext(out echo));
        Assert.Equal(((ushort)5, SocketError.HostUnreachable), (echo.Sequence, echo.Error));
    }

    [Fact]
    public void EchoEventsAreBounded()
    {
        _f.Ip.Echo.TryOpen(out ushort id);
        for (int i = 0; i < 300; i++) _f.Receive(Echo4(Peer4, Our4, [], isReply: true, id: id));
        Assert.Equal((256, 44), (_f.Ip.IcmpCounters.ReceivedEchoReplies, _f.Ip.IcmpCounters.DroppedEchoEventsFull));
    }

    [Theory]
    [InlineData("127.0.0.1")]
    [InlineData("::1")]
    [InlineData("192.0.2.1")]
    [InlineData("2001:db8::1")]
    public void EchoToOurselvesLoopsInside(string address)
    {
        _f.Ip.Echo.TryOpen(out ushort id);
        Assert.Equal(SocketError.Success, _f.Ip.Echo.Send(IpAddress.Parse(address), id, 1, Pattern(9000), 0, _f.Now));
        var burst = new Frame[8];
        for (int turn = 0; turn < 2; turn++)
        {
            int count = _f.Ip.TakeLoopback(0, burst);
            Assert.Equal(1, count);
            Assert.Null(_f.Receive(ref burst[0], 0));
        }

        Assert.True(_f.Ip.Echo.TryNext(out EchoEvent echo));
        Assert.Equal((IpAddress.Parse(address), 9000), (echo.Remote, echo.Length));
        Assert.Empty(_f.Sent());
    }

    [Fact]
    public void ListenerQueryIsAnsweredWithOurGroups()
    {
        IpAddress group = IpAddress.Parse("ff05::1234");
        _f.Ip.Groups.TryJoin(group, _f.Link, _f.Now);
        _f.Advance(Duration.FromSeconds(1));
        _f.Sent();
        _f.Receive(Icmp6(Gateway6, IpAddress.IPv6AllNodes, Icmpv6Type.MulticastListenerQuery, 0, 1000u << 16, new byte[20], hopLimit: 1));
        _f.Advance(Duration.FromSeconds(2));
        byte[] frame = _f.SentOne();
        IPv6Packet packet = Packet6(frame);
        Assert.Equal((IpProtocol.HopByHopOptions, (byte)1, IpAddress.Parse("ff02::16")), (packet.NextHeader, packet.HopLimit, packet.Destination));
        Assert.True(Icmpv6Packet.TryParse(packet.Payload[8..], out Icmpv6Packet report));
        Assert.True(report.HasValidChecksum(packet.Source, packet.Destination));
        Assert.Equal((Icmpv6Type.MulticastListenerReportV2, (byte)2), (report.Type, report.Bytes[7] is 2 or 3 ? (byte)2 : report.Bytes[7]));
        Assert.True(report.Bytes.IndexOf(WireBytes(group)) > 0);
        Assert.True(report.Bytes.IndexOf(WireBytes(Our6.SolicitedNodeMulticast())) > 0);
    }

    [Fact]
    public void MembershipQueryIsAnsweredWithAReportForEachGroup()
    {
        IpAddress group = IpAddress.Parse("239.1.2.3");
        _f.Ip.Groups.TryJoin(group, _f.Link, _f.Now);
        _f.Advance(Duration.FromSeconds(1));
        _f.Sent();
        byte[] query = [0x11, 10, 0xEE, 0xF5, 0, 0, 0, 0];
        IpAddress all = IpAddress.Parse("224.0.0.1");
        _f.Receive(IPv4(Gateway4, all, IpProtocol.Igmp, query, mac: MacAddress.ForIPv4Multicast(all)));
        _f.Advance(Duration.FromSeconds(2));
        byte[] frame = _f.SentOne();
        Assert.Equal((group, (byte)1, (byte)0x16), (Packet4(frame).Destination, Packet4(frame).TimeToLive, Packet4(frame).Payload[0]));
        Assert.Equal(MacAddress.ForIPv4Multicast(group), Eth(frame).Destination);
    }

    // RFC 3376 §1 and RFC 3810 §1: routers and snooping switches know of listeners by their reports only.
    [Fact]
    public void AnotherDeviceInTheLinksPlaceIsToldTheGroupsAgain()
    {
        IpAddress group4 = IpAddress.Parse("239.1.2.3"), group6 = IpAddress.Parse("ff02::4242");
        _f.Ip.Groups.TryJoin(group4, _f.Link, _f.Now);
        _f.Ip.Groups.TryJoin(group6, _f.Link, _f.Now);
        _f.Advance(Duration.FromSeconds(1));
        _f.Sent();
        _f.Ip.OnDeviceReplaced(_f.Link, MacAddress.Parse("02:00:00:00:00:33"), _f.Now);
        _f.Advance(Duration.FromSeconds(1));
        var frames = _f.Sent();
        Assert.Contains(frames, frame => Eth(frame).Destination == MacAddress.ForIPv4Multicast(group4) && Packet4(frame).Payload[0] == 0x16);
        Assert.Contains(frames, frame => Eth(frame).Destination == MacAddress.Parse("33:33:00:00:00:16") && frame.AsSpan().IndexOf(WireBytes(group6)) > 0);
        Assert.All(frames, frame => Assert.Equal(MacAddress.Parse("02:00:00:00:00:33"), Eth(frame).Source));
    }

    private static byte[] WireBytes(IpAddress address)
    {
        var bytes = new byte[16];
        address.WriteIPv6To(bytes);
        return bytes;
    }
}
