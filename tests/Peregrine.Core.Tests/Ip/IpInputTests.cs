// What may come in: links, VLANs, headers, martians, options, extension headers. Counters are compared whole.
using Peregrine.Core.Ip;
using Peregrine.Core.Memory;
using Peregrine.Core.Time;
using Peregrine.Wire;
using static Peregrine.Core.Tests.Ip.IpFixture;

namespace Peregrine.Core.Tests.Ip;

public sealed class IpInputTests : IDisposable
{
    private readonly IpFixture _f = new();

    public void Dispose()
    {
        _f.Sent();
        Assert.Equal(0, _f.FramesOut);
        _f.Dispose();
    }

    private void Dropped(byte[] frame, IpCounters expected, FrameFlags flags = default)
    {
        Assert.Null(_f.Receive(frame, flags: flags));
        expected.ReceivedFrames = 1;
        expected.Sent = _f.Ip.Counters.Sent;
        Assert.Equal(expected, _f.Ip.Counters);
    }

    private static byte[] Tcp4(IpAddress from, IpAddress to, MacAddress? mac = null, byte[]? options = null) => IPv4(from, to, 6, new byte[20], mac: mac, options: options);

    [Fact]
    public void SegmentComesUpAsItLies()
    {
        Up up = _f.Receive(IPv4(Peer4, Our4, 6, Pattern(20), trafficClass: 0x0B))!;
        Assert.Equal((Peer4, Our4, (byte)6, (byte)0x0B, (byte)64), (up.Packet.Source, up.Packet.Destination, up.Packet.Protocol, up.Packet.TrafficClass, up.Packet.HopLimit));
        Assert.Equal((34, 20, false, false), (up.Packet.TransportOffset, up.Packet.TransportLength, up.Packet.ChecksumGood, up.Packet.IsGroup));
        Assert.Equal(Pattern(20), up.Payload);
        Assert.Equal(new IpCounters { ReceivedFrames = 1, ReceivedDelivered = 1 }, _f.Ip.Counters);
    }

    [Fact]
    public void PaddingOfTheFrameIsCutOff()
    {
        byte[] frame = [.. IPv4(Peer4, Our4, 17, Pattern(10)), .. new byte[20]];
        Assert.Equal(10, _f.Receive(frame)!.Payload.Length);
        byte[] frame6 = [.. IPv6(Peer6, Our6, 17, Pattern(10)), .. new byte[20]];
        Assert.Equal(10, _f.Receive(frame6)!.Payload.Length);
    }

    [Theory]
    [InlineData(FrameFlags.ChecksumVerified)]
    [InlineData(FrameFlags.ChecksumUnfinished)]
    public void VerifiedAndUnfinishedChecksumsAreGood(FrameFlags flags) => Assert.True(_f.Receive(Tcp4(Peer4, Our4), flags: flags)!.Packet.ChecksumGood);

    [Fact]
    public void ChainedFrameComesUp()
    {
        Up up = _f.Receive(IPv6(Peer6, Our6, 6, Pattern(5000)), chunk: 1000)!;
        Assert.Equal(Pattern(5000), up.Payload);
    }

    [Fact]
    public void FrameForAnotherStationIsDropped() => Dropped(Tcp4(Peer4, Our4, PeerMac), new IpCounters { DroppedNotForUsLink = 1 });

    [Fact]
    public void FrameFromAGroupAddressIsDropped() =>
        Dropped(Ethernet(EtherType.IPv4, Tcp4(Peer4, Our4).AsSpan(14), from: MacAddress.Broadcast), new IpCounters { DroppedLinkSource = 1 });

    [Fact]
    public void UnknownEtherTypeIsDropped() => Dropped(Ethernet(0x88CC, new byte[46]), new IpCounters { DroppedUnknownEtherType = 1 });

    [Fact]
    public void ShortFrameIsDropped() => Dropped(new byte[13], new IpCounters { DroppedLinkTruncated = 1 });

    [Theory]
    [InlineData(5, false)]
    [InlineData(0, true)]
    public void OnlyPriorityTagsAreTaken(int id, bool taken)
    {
        byte[] plain = Tcp4(Peer4, Our4);
        var tagged = new byte[plain.Length + 4];
        EthernetHeader.Write(tagged, OurMac, PeerMac, new VlanTag((ushort)(0x6000 | id)), EtherType.IPv4);
        plain.AsSpan(14).CopyTo(tagged.AsSpan(18));
        Assert.Equal(taken, _f.Receive(tagged) is not null);
        Assert.Equal(taken ? new IpCounters { ReceivedFrames = 1, ReceivedDelivered = 1 } : new IpCounters { ReceivedFrames = 1, DroppedVlan = 1 }, _f.Ip.Counters);
    }

    [Fact]
    public void TagStrippedByTheLinkCountsAsATag()
    {
        Frame frame = _f.Make(Tcp4(Peer4, Our4));
        (frame.Flags, frame.VlanTag) = (FrameFlags.VlanTag, 0x6005);
        Assert.Null(_f.Receive(ref frame, _f.Link));
        Assert.Equal(1, _f.Ip.Counters.DroppedVlan);
    }

    public static TheoryData<string, string> MartianSources() => new()
    {
        { "127.0.0.1", "192.0.2.1" }, { "0.0.0.0", "192.0.2.1" }, { "255.255.255.255", "192.0.2.1" }, { "192.0.2.255", "192.0.2.1" },
        { "224.0.0.5", "192.0.2.1" }, { "192.0.2.1", "192.0.2.1" }, { "240.0.0.1", "192.0.2.1" }, { "0.1.2.3", "192.0.2.1" },
        { "::1", "2001:db8::1" }, { "::", "2001:db8::1" }, { "ff02::1", "2001:db8::1" }, { "2001:db8::1", "2001:db8::1" },
    };

    [Theory]
    [MemberData(nameof(MartianSources))]
    public void MartianSourceIsDropped(string from, string to)
    {
        IpAddress source = IpAddress.Parse(from), destination = IpAddress.Parse(to);
        Dropped(source.IsIPv4 ? Tcp4(source, destination) : IPv6(source, destination, 6, new byte[20]), new IpCounters { DroppedMartianSource = 1 });
    }

    [Fact]
    public void MappedAddressesInIPv6AreDropped()
    {
        var packet = IPv6(Peer6, Our6, 6, new byte[20]);
        IpAddress.Parse("::ffff:192.0.2.2").WriteIPv6To(packet.AsSpan(14 + 8));
        Dropped(packet, new IpCounters { DroppedMartianSource = 1 });
    }

    [Theory]
    [InlineData("127.0.0.1")]
    [InlineData("0.0.0.0")]
    [InlineData("::1")]
    [InlineData("::")]
    public void MartianDestinationIsDropped(string to)
    {
        IpAddress destination = IpAddress.Parse(to);
        Dropped(destination.IsIPv4 ? Tcp4(Peer4, destination) : IPv6(Peer6, destination, 6, new byte[20]), new IpCounters { DroppedMartianDestination = 1 });
    }

    [Theory]
    [InlineData("192.0.2.77")]
    [InlineData("224.0.0.251")]
    [InlineData("2001:db8::77")]
    [InlineData("ff02::fb")]
    public void PacketForOthersIsDropped(string to)
    {
        IpAddress destination = IpAddress.Parse(to);
        byte[] frame = destination.IsIPv4
            ? Tcp4(Peer4, destination, destination.IsMulticast ? MacAddress.ForIPv4Multicast(destination) : null)
            : IPv6(Peer6, destination, 6, new byte[20]);
        Dropped(frame, new IpCounters { DroppedNotForUs = 1 });
    }

    [Theory]
    [InlineData("255.255.255.255")]
    [InlineData("192.0.2.255")]
    [InlineData("224.0.0.1")]
    public void BroadcastsAndAllHostsComeUpMarked(string to)
    {
        Up up = _f.Receive(IPv4(Peer4, IpAddress.Parse(to), 17, new byte[8], mac: MacAddress.Broadcast))!;
        Assert.True(up.Packet.IsGroup);
    }

    [Fact]
    public void JoinedGroupComesUpUntilItIsLeft()
    {
        IpAddress group = IpAddress.Parse("ff02::fb");
        Assert.True(_f.Ip.Groups.TryJoin(group, _f.Link, _f.Now));
        Assert.True(_f.Receive(IPv6(Peer6, group, 17, new byte[8]))!.Packet.IsGroup);
        _f.Ip.Groups.Leave(group, _f.Link);
        Assert.Null(_f.Receive(IPv6(Peer6, group, 17, new byte[8])));
    }

    [Fact]
    public void UnicastPacketInABroadcastFrameIsDropped() =>
        Dropped(Tcp4(Peer4, Our4, MacAddress.Broadcast), new IpCounters { DroppedMartianDestination = 1 });

    [Fact]
    public void LoopbackAddressesAreGoodOnTheLoopback()
    {
        byte[] frame = Tcp4(IpAddress.Parse("127.0.0.1"), IpAddress.Parse("127.5.5.5"))[14..];
        Assert.NotNull(_f.Receive(frame, link: 0));
        Assert.NotNull(_f.Receive(Tcp4(Our4, Our4)[14..], link: 0));
        Assert.Null(_f.Receive(Tcp4(Our4, Peer4)[14..], link: 0));
    }

    [Fact]
    public void WrongHeaderChecksumIsDropped()
    {
        byte[] frame = Tcp4(Peer4, Our4);
        frame[14 + 8]--;
        Dropped(frame, new IpCounters { DroppedHeaderChecksum = 1 });
    }

    [Fact]
    public void AnotherVersionIsDropped()
    {
        byte[] frame = Tcp4(Peer4, Our4);
        frame[14] = 0x55;
        Dropped(frame, new IpCounters { DroppedMalformed = 1 });
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    public void SmallTtlIsNoReasonToDropWhatIsOurs(byte ttl)
    {
        var packet = new byte[40];
        IPv4Header.Write(packet, Peer4, Our4, 6, 20, timeToLive: ttl);
        Assert.Equal(ttl, _f.Receive(Ethernet(EtherType.IPv4, packet))!.Packet.HopLimit);
    }

    [Theory]
    [InlineData(13)]
    [InlineData(30)]
    [InlineData(53)]
    public void TruncatedPacketIsDropped(int length)
    {
        byte[] frame = Tcp4(Peer4, Our4)[..length];
        Dropped(frame, length < 14 ? new IpCounters { DroppedLinkTruncated = 1 } : new IpCounters { DroppedMalformed = 1 });
    }

    [Fact]
    public void SourceRoutesAndMalformedOptionsAreDroppedAndOthersIgnored()
    {
        Assert.Null(_f.Receive(Tcp4(Peer4, Our4, options: [131, 7, 4, 1, 2, 3, 4])));
        Assert.Null(_f.Receive(Tcp4(Peer4, Our4, options: [137, 7, 4, 1, 2, 3, 4])));
        Assert.Null(_f.Receive(Tcp4(Peer4, Our4, options: [7, 40, 4, 0])));
        Assert.Equal(3, _f.Ip.Counters.DroppedOptions);
        Up up = _f.Receive(Tcp4(Peer4, Our4, options: [1, 148, 4, 0, 0]))!;
        Assert.Equal((14 + 28, 20), (up.Packet.TransportOffset, up.Packet.TransportLength));
    }

    private static byte[] Options6(byte type, byte header = IpProtocol.DestinationOptions, IpAddress? to = null)
    {
        var bytes = new byte[8 + 20];
        IPv6OptionsHeader.Write(bytes, 6, [type, 2, 0, 0]);
        return IPv6(Peer6, to ?? Our6, header, bytes);
    }

    [Theory]
    [InlineData(0x1E, true, 0)]
    [InlineData(0x5E, false, 0)]
    [InlineData(0x9E, false, 1)]
    [InlineData(0xDE, false, 1)]
    public void UnknownOptionDoesWhatItsUpperBitsSay(byte type, bool passes, int errors)
    {
        _f.Know(Peer6);
        Assert.Equal(passes, _f.Receive(Options6(type)) is not null);
        List<byte[]> sent = _f.Sent();
        Assert.Equal(errors, sent.Count);
        if (errors == 0) return;
        Icmpv6Packet message = Message6(sent[0]);
        Assert.Equal((Icmpv6Type.ParameterProblem, Icmpv6ParameterCode.UnrecognizedOption, 42u), (message.Type, message.Code, message.Pointer));
    }

    [Theory]
    [InlineData(0x9E, 1)]
    [InlineData(0xDE, 0)]
    public void UnknownOptionToAGroupIsReportedOnlyIfItSaysSo(byte type, int errors)
    {
        _f.Know(Peer6);
        Assert.Null(_f.Receive(Options6(type, to: IpAddress.IPv6AllNodes)));
        Assert.Equal(errors, _f.Sent().Count);
    }

    [Fact]
    public void HopByHopOptionsStandFirstOrAreAnError()
    {
        _f.Know(Peer6);
        Assert.NotNull(_f.Receive(Options6(0x05, IpProtocol.HopByHopOptions)));
        var two = new byte[16 + 20];
        IPv6OptionsHeader.Write(two, IpProtocol.HopByHopOptions, [1, 2, 0, 0]);
        IPv6OptionsHeader.Write(two.AsSpan(8), 6, [1, 2, 0, 0]);
        Assert.Null(_f.Receive(IPv6(Peer6, Our6, IpProtocol.DestinationOptions, two)));
        Icmpv6Packet message = Message6(_f.SentOne());
        Assert.Equal((Icmpv6ParameterCode.UnrecognizedNextHeader, 40u), (message.Code, message.Pointer));
    }

    [Theory]
    [InlineData(0, 0, true)]
    [InlineData(0, 1, false)]
    [InlineData(99, 1, false)]
    [InlineData(4, 0, true)]
    public void RoutingHeaderWithSegmentsLeftIsAnError(byte type, byte segmentsLeft, bool passes)
    {
        _f.Know(Peer6);
        byte[] payload = [6, 0, type, segmentsLeft, 0, 0, 0, 0, .. new byte[20]];
        Assert.Equal(passes, _f.Receive(IPv6(Peer6, Our6, IpProtocol.Routing, payload)) is not null);
        if (passes) return;
        Icmpv6Packet message = Message6(_f.SentOne());
        Assert.Equal((Icmpv6Type.ParameterProblem, Icmpv6ParameterCode.ErroneousField, 42u), (message.Type, message.Code, message.Pointer));
    }

    [Fact]
    public void TooManyExtensionHeadersAreDropped()
    {
        var bytes = new byte[(9 * 8) + 20];
        for (int i = 0; i < 9; i++) IPv6OptionsHeader.Write(bytes.AsSpan(i * 8), i < 8 ? IpProtocol.DestinationOptions : (byte)6, [1, 2, 0, 0]);
        Dropped(IPv6(Peer6, Our6, IpProtocol.DestinationOptions, bytes), new IpCounters { DroppedExtensionHeader = 1 });
    }

    [Fact]
    public void NoNextHeaderEndsQuietly() => Dropped(IPv6(Peer6, Our6, IpProtocol.NoNextHeader, []), new IpCounters { DroppedNoNextHeader = 1 });

    [Fact]
    public void UnknownProtocolIsAnsweredInBothFamilies()
    {
        _f.Know(Peer4);
        _f.Know(Peer6);
        _f.Receive(IPv4(Peer4, Our4, 132, Pattern(64)));
        Icmpv4Packet four = Message4(_f.SentOne());
        Assert.Equal((Icmpv4Type.DestinationUnreachable, Icmpv4UnreachableCode.Protocol), (four.Type, four.Code));
        _f.Receive(IPv6(Peer6, Our6, 132, Pattern(64)));
        byte[] frame = _f.SentOne();
        Icmpv6Packet six = Message6(frame);
        Assert.Equal((Icmpv6Type.ParameterProblem, Icmpv6ParameterCode.UnrecognizedNextHeader, 6u), (six.Type, six.Code, six.Pointer));
        Assert.Equal(Pattern(64), six.Body[40..].ToArray());
        Assert.Equal(
            new IpCounters { ReceivedFrames = 2, DroppedUnknownProtocol = 2, Sent = 2 }, _f.Ip.Counters);
    }

    [Fact]
    public void TentativeAddressTakesNothing()
    {
        using var f = new IpFixture(link: o => o with { DetectDuplicates = true });
        Assert.Null(f.Receive(IPv6(Peer6, Our6, 6, new byte[20])));
        Assert.Equal(1, f.Ip.Counters.DroppedTentative);
        f.Advance(Duration.FromSeconds(3));
        Assert.NotNull(f.Receive(IPv6(Peer6, Our6, 6, new byte[20])));
        f.Sent();
    }

    [Fact]
    public void RandomFramesNeverThrowAndNeverLeak()
    {
        using var f = new IpFixture(new IpOptions { FragmentCountMax = 64, NeighbourCountMax = 64 }, o => o with { Autoconfigure = true }, 1024);
        var random = new StackRandom(2024);
        byte[][] seeds =
        [
            Tcp4(Peer4, Our4), IPv6(Peer6, Our6, 6, new byte[20]), Echo4(Peer4, Our4, Pattern(40)), Options6(0x1E), RouterTests.Router(1800, 1400),
            Solicitation(Peer6, Our6, PeerMac), Advertisement(Peer6, PeerMac, true, true), ArpFrame(ArpOperation.Request, Peer4, PeerMac, Our4),
            IPv4(Peer4, Our4, 17, UdpBytes(Peer4, Our4, 5, 6, Pattern(40))), IPv4(Peer4, Our4, 17, Pattern(64), 9, IPv4Flags.MoreFragments),
            IPv6(Peer6, Our6, IpProtocol.Fragment, [17, 0, 0, 1, 1, 2, 3, 4, .. Pattern(64)]),
            Icmp4(Peer4, Icmpv4Type.DestinationUnreachable, 4, 900, IPv4(Our4, Far4, 6, new byte[20])[14..]),
        ];
        long up = 0;
        for (int i = 0; i < 100_000; i++)
        {
            byte[] frame = (byte[])seeds[random.Next((uint)seeds.Length)].Clone();
            for (uint m = random.Next(5); m > 0; m--) frame[random.Next((uint)frame.Length)] = (byte)random.NextUInt32();
            if (random.Next(4) == 0) frame = frame[..(int)random.Next((uint)frame.Length + 1)];
            if (f.Receive(frame, (int)random.Next(8) == 0 ? 0 : f.Link, (FrameFlags)random.Next(16), random.Next(3) == 0 ? 70 : int.MaxValue) is not null) up++;
            if (i % 16 == 0) f.Advance(Duration.FromMilliseconds(random.Next(400)));
            f.Sent();
            f.Sent(0);
        }

        f.Advance(Duration.FromSeconds(200));
        f.Sent();
        Assert.Equal(0, f.FramesOut);
        Assert.InRange(up, 1000, 100_000);
        Assert.Equal(f.Ip.Counters.ReceivedFrames, Terminals(f.Ip.Counters));
    }

    /// <summary>The sum of the counters in which a received frame can end.</summary>
    internal static long Terminals(in IpCounters c)
    {
        object boxed = c;
        long sum = c.ReceivedDelivered + c.ReceivedIcmp + c.ReceivedArp + c.ReceivedGroupManagement + c.FragmentsMerged;
        foreach (System.Reflection.FieldInfo field in typeof(IpCounters).GetFields())
        {
            if (field.Name.StartsWith("Dropped", StringComparison.Ordinal)) sum += (long)field.GetValue(boxed)!;
        }

        return sum;
    }
}
