// UDP sockets: who gets a datagram, what is refused, errors, bounds; and that a datagram allocates nothing.
using System.Net.Sockets;
using Peregrine.Core.Ip;
using Peregrine.Core.Links;
using Peregrine.Core.Memory;
using Peregrine.Core.Tests.Ip;
using Peregrine.Core.Time;
using Peregrine.Core.Udp;
using Peregrine.Wire;
using static Peregrine.Core.Tests.Ip.IpFixture;

namespace Peregrine.Core.Tests.Udp;

public sealed class UdpTests : IDisposable
{
    private readonly IpFixture _f = new();

    public UdpTests()
    {
        _f.Know(Peer4);
        _f.Know(Peer6);
        _f.Know(Gateway4);
    }

    public void Dispose()
    {
        _f.Sent();
        Assert.Equal(0, _f.FramesOut);
        _f.Dispose();
    }

    private UdpHandle Bind(string local, Func<UdpBindOptions, UdpBindOptions>? more = null)
    {
        var options = new UdpBindOptions { Local = Endpoint.Parse(local) };
        Assert.Equal(SocketError.Success, _f.Udp.Bind(more is null ? options : more(options), out UdpHandle socket));
        return socket;
    }

    private void Arrive(IpAddress from, IpAddress to, ushort fromPort, ushort toPort, byte[] data, bool checksum = true, MacAddress? mac = null)
    {
        byte[] datagram = UdpBytes(from, to, fromPort, toPort, data, checksum);
        _f.Receive(from.IsIPv4 ? IPv4(from, to, 17, datagram, mac: mac) : IPv6(from, to, 17, datagram));
    }

    private string Take(UdpHandle socket)
    {
        var buffer = new byte[2000];
        int count = _f.Udp.Receive(socket, buffer, out Endpoint from, out _, out _);
        return count < 0 ? "-" : $"{from} {System.Text.Encoding.ASCII.GetString(buffer, 0, count)}";
    }

    private static byte[] Text(string text) => System.Text.Encoding.ASCII.GetBytes(text);

    private void ArriveJoined(byte[] data, ushort size)
    {
        Frame frame = _f.Make(IPv4(Peer4, Our4, 17, UdpBytes(Peer4, Our4, 1000, 53, data, checksum: true)));
        (frame.SegmentKind, frame.SegmentSize) = (SegmentKind.Udp, size);
        _f.Receive(ref frame, _f.Link);
    }

    [Fact]
    public void JoinedDatagramsAreTakenApart()
    {
        UdpHandle socket = Bind("192.0.2.1:53");
        ArriveJoined(Text("onetwosix-"), 3);
        foreach (string part in (string[])["one", "two", "six", "-"]) Assert.Equal("192.0.2.2:1000 " + part, Take(socket));
        Assert.Equal("-", Take(socket));
        Assert.Equal(4, _f.Udp.Counters.Received);
    }

    [Theory]
    [InlineData(0, 10)]
    [InlineData(1, 129)]
    public void MoreJoinedDatagramsThanAnyKernelJoinsAreDropped(ushort size, int length)
    {
        UdpHandle socket = Bind("192.0.2.1:53");
        ArriveJoined(new byte[length], size);
        Assert.Equal("-", Take(socket));
        Assert.Equal((0, 1), (_f.Udp.Counters.Received, _f.Udp.Counters.DroppedMalformed));
    }

    [Fact]
    public void DatagramIsReceivedWithItsEndsAndAnEvent()
    {
        UdpHandle socket = Bind("192.0.2.1:53");
        Arrive(Peer4, Our4, 1000, 53, Text("hello"));
        Assert.True(_f.Udp.TryNextEvent(out UdpEvent next));
        Assert.Equal(new UdpEvent(socket, UdpEvents.Readable), next);
        Assert.False(_f.Udp.TryNextEvent(out _));
        Assert.Equal(5, _f.Udp.NextLength(socket));
        var buffer = new byte[10];
        Assert.Equal(5, _f.Udp.Receive(socket, buffer, out Endpoint from, out IpAddress to, out bool truncated));
        Assert.Equal((new Endpoint(Peer4, 1000), Our4, false), (from, to, truncated));
        Assert.Equal("-", Take(socket));
        Assert.Equal(new UdpCounters { Received = 1 }, _f.Udp.Counters);
    }

    [Fact]
    public void SentDatagramIsRightOnTheWireInBothFamilies()
    {
        UdpHandle socket = Bind("[::]:5353");
        Assert.Equal(3, _f.Udp.Send(socket, Text("abc"), new Endpoint(Peer4, 9), _f.Now, out _));
        IPv4Packet four = Packet4(_f.SentOne());
        Assert.True(UdpDatagram.TryParse(four.Payload, out UdpDatagram datagram));
        Assert.True(datagram.HasValidChecksum(four.Source, four.Destination));
        Assert.Equal((ushort)5353, datagram.SourcePort);
        Assert.Equal(3, _f.Udp.Send(socket, Text("abc"), new Endpoint(Peer6, 9), _f.Now, out _));
        IPv6Packet six = Packet6(_f.SentOne());
        Assert.True(UdpDatagram.TryParse(six.Payload, out datagram));
        Assert.True(datagram.HasChecksum && datagram.HasValidChecksum(six.Source, six.Destination));
        Assert.Equal(new UdpCounters { Sent = 2 }, _f.Udp.Counters);
    }

    [Fact]
    public void HopLimitAndTrafficClassAreTheSocketsOrTheDefault()
    {
        UdpHandle plain = Bind("0.0.0.0:0"), own = Bind("192.0.2.1:0", o => o with { HopLimit = 9, TrafficClass = 0xB8 });
        _f.Udp.Send(plain, [1], new Endpoint(Peer4, 9), _f.Now, out _);
        _f.Udp.Send(own, [1], new Endpoint(Peer4, 9), _f.Now, out _);
        List<byte[]> sent = _f.Sent();
        Assert.Equal((64, 0), (Packet4(sent[0]).TimeToLive, Packet4(sent[0]).TrafficClass));
        Assert.Equal((9, 0xB8), (Packet4(sent[1]).TimeToLive, Packet4(sent[1]).TrafficClass));
    }

    [Fact]
    public void ChecksumIsLeftToALinkThatFinishesIt()
    {
        using var f = new IpFixture(link: o => o with { Offloads = LinkOffloads.TransmitChecksum });
        f.Know(Peer4);
        f.Udp.Bind(new UdpBindOptions { Local = new Endpoint(Our4, 5) }, out UdpHandle socket);
        f.Udp.Send(socket, Pattern(100), new Endpoint(Peer4, 9), f.Now, out _);
        Frame frame = f.Ip.PendingOutput(f.Link)[0];
        Assert.Equal((FrameFlags.ChecksumUnfinished, (ushort)34, (ushort)6), (frame.Flags, frame.ChecksumStart, frame.ChecksumOffset));
        f.Frames.FinishChecksum(ref frame, isUdp: true);
        IPv4Packet packet = Packet4(f.BytesOf(frame));
        Assert.True(UdpDatagram.TryParse(packet.Payload, out UdpDatagram datagram));
        Assert.True(datagram.HasValidChecksum(packet.Source, packet.Destination));
        f.Sent();
    }

    [Fact]
    public void ConnectedBeforeExactBeforeWildcard()
    {
        UdpHandle any6 = Bind("[::]:53", o => o with { ReuseAddress = true });
        UdpHandle any4 = Bind("0.0.0.0:53", o => o with { ReuseAddress = true });
        UdpHandle exact = Bind("192.0.2.1:53", o => o with { ReuseAddress = true });
        UdpHandle connected = Bind("192.0.2.1:53", o => o with { ReuseAddress = true });
        Assert.Equal(SocketError.Success, _f.Udp.Connect(connected, new Endpoint(Peer4, 1000), _f.Now));
        Arrive(Peer4, Our4, 1000, 53, Text("a"));
        Assert.Equal("192.0.2.2:1000 a", Take(connected));
        Arrive(Peer4, Our4, 1001, 53, Text("b"));
        Assert.Equal("192.0.2.2:1001 b", Take(exact));
        _f.Udp.Close(exact);
        Arrive(Peer4, Our4, 1001, 53, Text("c"));
        Assert.Equal("192.0.2.2:1001 c", Take(any4));
        _f.Udp.Close(any4);
        Arrive(Peer4, Our4, 1001, 53, Text("d"));
        Assert.Equal("192.0.2.2:1001 d", Take(any6));
        Arrive(Peer6, Our6, 1001, 53, Text("e"));
        Assert.Equal("[2001:db8::2]:1001 e", Take(any6));
    }

    [Fact]
    public void V6OnlySocketDoesNotGetIPv4()
    {
        UdpHandle six = Bind("[::]:53", o => o with { V6Only = true });
        UdpHandle four = Bind("0.0.0.0:53");
        Arrive(Peer4, Our4, 1, 53, Text("x"));
        Assert.Equal(("-", "192.0.2.2:1 x"), (Take(six), Take(four)));
        _f.Udp.Send(six, [1], new Endpoint(Peer4, 9), _f.Now, out SocketError error);
        Assert.Equal(SocketError.AddressFamilyNotSupported, error);
    }

    [Theory]
    [InlineData("0.0.0.0:53", "0.0.0.0:53", false)]
    [InlineData("0.0.0.0:53", "192.0.2.1:53", false)]
    [InlineData("192.0.2.1:53", "0.0.0.0:53", false)]
    [InlineData("192.0.2.1:53", "127.0.0.1:53", true)]
    [InlineData("[::]:53", "0.0.0.0:53", false)]
    [InlineData("[::]:53", "192.0.2.1:53", false)]
    [InlineData("0.0.0.0:53", "[2001:db8::1]:53", true)]
    [InlineData("192.0.2.1:53", "192.0.2.1:54", true)]
    [InlineData("192.0.2.1:53", "192.0.2.1:53", false)]
    public void BindingsConflictWhereTheyOverlap(string first, string second, bool allowed)
    {
        UdpHandle one = Bind(first);
        Assert.Equal(
            allowed ? SocketError.Success : SocketError.AddressAlreadyInUse, _f.Udp.Bind(new UdpBindOptions { Local = Endpoint.Parse(second) }, out _));
        _f.Udp.Close(one);
        if (!allowed) Bind(second);
    }

    [Fact]
    public void ForeignAddressCannotBeBound() =>
        Assert.Equal(SocketError.AddressNotAvailable, _f.Udp.Bind(new UdpBindOptions { Local = Endpoint.Parse("192.0.2.9:1") }, out _));

    [Fact]
    public void EphemeralPortsAreRandomDistinctAndInRange()
    {
        var ports = new List<ushort>();
        for (int i = 0; i < 64; i++) ports.Add(_f.Udp.LocalEndpoint(Bind("0.0.0.0:0")).Port);
        Assert.Equal(64, ports.Distinct().Count());
        Assert.All(ports, p => Assert.InRange(p, 49_152, 65_535));
        Assert.True(ports.Zip(ports.Skip(1), (a, b) => Math.Abs(a - b)).Max() > 1000);
        Assert.Equal(SocketError.TooManyOpenSockets, _f.Udp.Bind(new UdpBindOptions { Local = Endpoint.Parse("0.0.0.0:0") }, out _));
    }

    [Fact]
    public void EphemeralPortsRunOutWithAnError()
    {
        using MemoryRegion region = MemoryRegion.Allocate(4 << 20);
        var options = new UdpOptions { SocketCountMax = 64, EphemeralPortMin = 50_000, EphemeralPortMax = 50_009 };
        var udp = new UdpLayer(_f.Ip, options, _f.Blocks, region, 1, new StackRandom(1));
        for (int i = 0; i < 10; i++) Assert.Equal(SocketError.Success, udp.Bind(new UdpBindOptions { Local = new Endpoint(IpAddress.IPv4Any, 0) }, out _));
        Assert.Equal(SocketError.AddressAlreadyInUse, udp.Bind(new UdpBindOptions { Local = new Endpoint(IpAddress.IPv4Any, 0) }, out _));
        _f.Ip.UdpErrors = _f.Udp;
    }

    [Fact]
    public void ChecksumsAreJudgedAsEachFamilyDemands()
    {
        UdpHandle socket = Bind("[::]:53");
        Arrive(Peer4, Our4, 1, 53, Text("four"), checksum: false);
        Assert.Equal("192.0.2.2:1 four", Take(socket));
        Arrive(Peer6, Our6, 1, 53, Text("six"), checksum: false);
        byte[] bad = IPv4(Peer4, Our4, 17, UdpBytes(Peer4, Our4, 1, 53, Text("bad")));
        bad[^1] ^= 0x40;
        _f.Receive(bad);
        Assert.Equal("-", Take(socket));
        _f.Receive(bad, flags: FrameFlags.ChecksumVerified);
        Assert.NotEqual("-", Take(socket));
        Assert.Equal(new UdpCounters { Received = 2, DroppedNoChecksum = 1, DroppedChecksum = 1 }, _f.Udp.Counters);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void UnfinishedChecksumIsTakenFromALinkThatMayHaveThemOnly(bool mayBe)
    {
        using var f = new IpFixture(link: o => o with { Offloads = mayBe ? LinkOffloads.ReceiveUnfinished : LinkOffloads.None });
        byte[] datagram = UdpBytes(Peer4, Our4, 1, 53, Text("veth"), checksum: false);
        InternetChecksum.StorePartial(datagram.AsSpan(6), InternetChecksum.PseudoHeader(Peer4, Our4, 17, datagram.Length));
        f.Receive(IPv4(Peer4, Our4, 17, datagram));
        // One that is neither: damage is still found.
        datagram[6] ^= 1;
        f.Receive(IPv4(Peer4, Our4, 17, datagram));
        Assert.Equal(new UdpCounters { DroppedNoSocket = mayBe ? 1 : 0, DroppedChecksum = mayBe ? 1 : 2 }, f.Udp.Counters);
    }

    [Fact]
    public void LengthFieldIsJudged()
    {
        UdpHandle socket = Bind("0.0.0.0:53");
        foreach (ushort length in (ushort[])[7, 14])
        {
            byte[] datagram = UdpBytes(Peer4, Our4, 1, 53, Text("hello"), checksum: false);
            datagram[5] = (byte)length;
            _f.Receive(IPv4(Peer4, Our4, 17, datagram));
        }

        _f.Receive(IPv4(Peer4, Our4, 17, new byte[7]));
        Assert.Equal(new UdpCounters { DroppedMalformed = 3 }, _f.Udp.Counters);
        byte[] shorter = UdpBytes(Peer4, Our4, 1, 53, Text("hello"), checksum: false);
        shorter[5] = 10;
        _f.Receive(IPv4(Peer4, Our4, 17, shorter));
        Assert.Equal("192.0.2.2:1 he", Take(socket));
    }

    [Fact]
    public void LongDatagramComesThroughBlocksAndIsTruncatedOnlyByTheReader()
    {
        UdpHandle socket = Bind("0.0.0.0:53");
        byte[] datagram = UdpBytes(Peer4, Our4, 1, 53, Pattern(5001));
        for (int at = 0; at < datagram.Length; at += 1480)
        {
            int part = Math.Min(1480, datagram.Length - at);
            _f.Receive(IPv4(Peer4, Our4, 17, datagram.AsSpan(at, part), 3, at + part < datagram.Length ? IPv4Flags.MoreFragments : IPv4Flags.None, at));
        }

        Arrive(Peer4, Our4, 1, 53, Pattern(100));
        var buffer = new byte[6000];
        Assert.Equal(5001, _f.Udp.Receive(socket, buffer, out _, out _, out bool truncated));
        Assert.Equal(Pattern(5001), buffer[..5001]);
        Assert.False(truncated);
        Assert.Equal(40, _f.Udp.Receive(socket, buffer.AsSpan(0, 40), out _, out _, out truncated));
        Assert.True(truncated);
        Assert.Equal(_f.Blocks.Count, _f.Blocks.FreeCount);
    }

    [Fact]
    public void ReceiveBufferIsBoundedInMemory()
    {
        UdpHandle socket = Bind("0.0.0.0:53", o => o with { ReceiveBufferSize = 8192 });
        for (int i = 0; i < 10; i++) Arrive(Peer4, Our4, 1, 53, [(byte)i]);
        Assert.Equal((4, 6), (_f.Udp.Counters.Received, _f.Udp.Counters.DroppedBufferFull));
        _f.Udp.Close(socket);
        Assert.Equal(_f.Blocks.Count, _f.Blocks.FreeCount);
    }

    [Fact]
    public void EmptyDatagramsAreDatagrams()
    {
        UdpHandle socket = Bind("0.0.0.0:53");
        Arrive(Peer4, Our4, 1, 53, []);
        Assert.Equal("192.0.2.2:1 ", Take(socket));
        Assert.Equal(0, _f.Udp.Send(socket, [], new Endpoint(Peer4, 9), _f.Now, out SocketError error));
        Assert.Equal(SocketError.Success, error);
    }

    [Fact]
    public void PortUnreachableIsAnErrorOfTheConnectedSocketOnly()
    {
        UdpHandle connected = Bind("0.0.0.0:0"), bound = Bind("0.0.0.0:0");
        Assert.Equal(SocketError.Success, _f.Udp.Connect(connected, new Endpoint(Far4, 9), _f.Now));
        foreach (UdpHandle socket in (UdpHandle[])[connected, bound])
        {
            _f.Udp.Send(socket, [1], new Endpoint(Far4, 9), _f.Now, out _);
            _f.Receive(Icmp4(Far4, Icmpv4Type.DestinationUnreachable, 3, 0, _f.SentOne()[14..]));
        }

        Assert.True(_f.Udp.TryNextEvent(out UdpEvent next));
        Assert.Equal(new UdpEvent(connected, UdpEvents.Error), next);
        Assert.False(_f.Udp.TryNextEvent(out _));
        Assert.True(_f.Udp.TryTakeError(connected, out SocketError error));
        Assert.Equal(SocketError.ConnectionRefused, error);
        Assert.False(_f.Udp.TryTakeError(connected, out _));
        Assert.False(_f.Udp.TryTakeError(bound, out _));
    }

    [Fact]
    public void ForgedReportChangesNoPathMtuAndATrueOneDoes()
    {
        UdpHandle socket = Bind("0.0.0.0:0");
        _f.Udp.Send(socket, [1], new Endpoint(Far4, 9), _f.Now, out _);
        byte[] sent = _f.SentOne();
        byte[] forged = (byte[])sent.Clone();
        forged[14 + 20 + 1] ^= 1;
        _f.Receive(Icmp4(Far4, Icmpv4Type.DestinationUnreachable, 4, 1000, forged.AsSpan(14)));
        Assert.Equal((1500, 1L), (_f.Ip.PathMtu(Far4, _f.Now), _f.Udp.Counters.ErrorsForeign));
        forged = (byte[])sent.Clone();
        forged[14 + 20 + 3] ^= 1;
        _f.Receive(Icmp4(Far4, Icmpv4Type.DestinationUnreachable, 4, 1000, forged.AsSpan(14)));
        Assert.Equal(1500, _f.Ip.PathMtu(Far4, _f.Now));
        _f.Receive(Icmp4(Far4, Icmpv4Type.DestinationUnreachable, 4, 1000, sent.AsSpan(14)));
        Assert.Equal(1000, _f.Ip.PathMtu(Far4, _f.Now));
        _f.Udp.Send(socket, Pattern(1200), new Endpoint(Far4, 9), _f.Now, out _);
        Assert.Equal(2, _f.Sent().Count);
    }

    [Fact]
    public void SendingRefusesWithTheRightError()
    {
        UdpHandle socket = Bind("0.0.0.0:0"), whole = Bind("0.0.0.0:0", o => o with { DontFragment = true });
        SocketError Send(UdpHandle from, string to, int length)
        {
            Assert.Equal(-1, _f.Udp.Send(from, new byte[length], to.Length == 0 ? default : Endpoint.Parse(to), _f.Now, out SocketError error));
            return error;
        }

        Assert.Equal(SocketError.NotConnected, Send(socket, "", 1));
        Assert.Equal(SocketError.MessageSize, Send(socket, "192.0.2.2:9", 65_508));
        Assert.Equal(SocketError.MessageSize, Send(whole, "192.0.2.2:9", 1473));
        Assert.Equal(SocketError.AccessDenied, Send(socket, "192.0.2.255:9", 1));
        Assert.Equal(SocketError.AccessDenied, Send(socket, "255.255.255.255:9", 1));
        Assert.Equal(SocketError.AddressNotAvailable, Send(socket, "192.0.2.2:0", 1));
        Assert.Equal(SocketError.AddressFamilyNotSupported, Send(socket, "[2001:db8::2]:9", 1));
        _f.Udp.Close(socket);
        Assert.Equal(SocketError.NotSocket, Send(socket, "192.0.2.2:9", 1));
        Assert.Equal(7, _f.Udp.Counters.SendRefused);
    }

    [Fact]
    public void BroadcastsAndMulticastsGoToGroupAddresses()
    {
        UdpHandle socket = Bind("0.0.0.0:0", o => o with { Broadcast = true });
        Assert.Equal(1, _f.Udp.Send(socket, [1], new Endpoint(IpAddress.Parse("192.0.2.255"), 9), _f.Now, out _));
        Assert.Equal(MacAddress.Broadcast, Eth(_f.SentOne()).Destination);
        IpAddress group = IpAddress.Parse("239.1.2.3");
        Assert.Equal(1, _f.Udp.Send(socket, [1], new Endpoint(group, 9), _f.Now, out _));
        byte[] frame = _f.SentOne();
        Assert.Equal((MacAddress.ForIPv4Multicast(group), (byte)1), (Eth(frame).Destination, Packet4(frame).TimeToLive));
    }

    [Fact]
    public void FullOutputRefusesAndTellsWhenThereIsRoom()
    {
        UdpHandle socket = Bind("0.0.0.0:0");
        SocketError error = SocketError.Success;
        int sent = 0;
        while (sent < 1000 && _f.Udp.Send(socket, [1], new Endpoint(Peer4, 9), _f.Now, out error) == 1) sent++;
        Assert.Equal((240, SocketError.WouldBlock), (sent, error));
        _f.Udp.OnOutputRoom();
        Assert.False(_f.Udp.TryNextEvent(out _));
        _f.Sent();
        _f.Udp.OnOutputRoom();
        Assert.True(_f.Udp.TryNextEvent(out UdpEvent next));
        Assert.Equal(new UdpEvent(socket, UdpEvents.Writable), next);
    }

    [Fact]
    public void HandleThatOutlivedItsSocketIsRefused()
    {
        UdpHandle old = Bind("0.0.0.0:53");
        _f.Udp.Close(old);
        UdpHandle fresh = Bind("0.0.0.0:53");
        Assert.Equal(old.Index, fresh.Index);
        Arrive(Peer4, Our4, 1, 53, Text("x"));
        Assert.Equal("-", Take(old));
        Assert.Equal("192.0.2.2:1 x", Take(fresh));
        _f.Udp.Close(old);
        Assert.Equal(1, _f.Udp.SocketCount);
    }

    [Fact]
    public void DisconnectingReceivesFromAllAgain()
    {
        UdpHandle socket = Bind("192.0.2.1:53");
        _f.Udp.Connect(socket, new Endpoint(Peer4, 7), _f.Now);
        Arrive(Gateway4, Our4, 7, 53, Text("x"));
        Assert.Equal("-", Take(socket));
        _f.Udp.Connect(socket, default, _f.Now);
        Arrive(Gateway4, Our4, 7, 53, Text("y"));
        Assert.Equal("192.0.2.254:7 y", Take(socket));
        _f.Sent();
    }

    [Fact]
    public void DatagramToOurselvesLoopsInside()
    {
        UdpHandle server = Bind("[::]:53"), client = Bind("0.0.0.0:0");
        Assert.Equal(9000, _f.Udp.Send(client, Pattern(9000), new Endpoint(Our4, 53), _f.Now, out _));
        var burst = new Frame[4];
        Assert.Equal(1, _f.Ip.TakeLoopback(0, burst));
        Assert.NotNull(_f.Receive(ref burst[0], 0));
        var buffer = new byte[10_000];
        Assert.Equal(9000, _f.Udp.Receive(server, buffer, out Endpoint from, out _, out _));
        Assert.Equal(_f.Udp.LocalEndpoint(client).Port, from.Port);
        Assert.Equal(Pattern(9000), buffer[..9000]);
    }

    [Fact]
    public void ManyConnectedSocketsOnOnePortAreFoundEach()
    {
        var sockets = new List<UdpHandle>();
        for (int i = 0; i < 60; i++)
        {
            sockets.Add(Bind("192.0.2.1:53", o => o with { ReuseAddress = true }));
            Assert.Equal(SocketError.Success, _f.Udp.Connect(sockets[i], new Endpoint(Peer4, (ushort)(1000 + i)), _f.Now));
        }

        for (int i = 0; i < 60; i++) Arrive(Peer4, Our4, (ushort)(1000 + i), 53, [(byte)('a' + (i % 26))]);
        for (int i = 0; i < 60; i++) Assert.Equal($"192.0.2.2:{1000 + i} {(char)('a' + (i % 26))}", Take(sockets[i]));
        foreach (UdpHandle socket in sockets) _f.Udp.Close(socket);
        Bind("0.0.0.0:53");
    }

    [Fact]
    public void DatagramAllocatesNothing()
    {
        UdpHandle server = Bind("[::]:53"), client = Bind("0.0.0.0:0");
        byte[] data = Pattern(100), arriving = IPv4(Peer4, Our4, 17, UdpBytes(Peer4, Our4, 1, 53, data)), buffer = new byte[2000];
        var burst = new Frame[4];
        var peer = new Endpoint(Peer4, 9);
        var self = new Endpoint(Our4, 53);
        void Turn()
        {
            Frame frame = _f.Make(arriving);
            if (_f.Ip.TryParse(ref frame, _f.Link, _f.Now, out ReceivedPacket packet))
            {
                _f.Udp.OnPacket(packet, _f.Now);
                _f.Frames.Return(frame);
            }

            _f.Udp.Send(client, data, peer, _f.Now, out _);
            _f.Udp.Send(client, data, self, _f.Now, out _);
            Span<Frame> pending = _f.Ip.PendingOutput(_f.Link);
            foreach (ref Frame sent in pending) _f.Frames.Return(sent);
            _f.Ip.OnTransmitted(_f.Link, pending.Length);
            int count = _f.Ip.TakeLoopback(0, burst);
            for (int i = 0; i < count; i++)
            {
                if (!_f.Ip.TryParse(ref burst[i], 0, _f.Now, out packet)) continue;
                _f.Udp.OnPacket(packet, _f.Now);
                _f.Frames.Return(burst[i]);
            }

            while (_f.Udp.TryNextEvent(out _)) while (_f.Udp.Receive(server, buffer, out _, out _, out _) >= 0) ;
        }

        for (int i = 0; i < 2000; i++) Turn();
        long before = GC.GetAllocatedBytesForCurrentThread();
        for (int i = 0; i < 2000; i++) Turn();
        long allocated = GC.GetAllocatedBytesForCurrentThread() - before;
        Assert.Equal(0, allocated);
        Assert.Equal(8000, _f.Udp.Counters.Received);
    }
}
