namespace Peregrine.Wire.Tests;

public class PacketTests
{
    private static ReadOnlySpan<byte> PayloadOf(string name)
    {
        Assert.True(EthernetFrame.TryParse(SampleFrames.Named(name).Bytes, out EthernetFrame frame));
        return frame.Payload;
    }

    private static IPv4Packet Four(string name)
    {
        Assert.True(IPv4Packet.TryParse(PayloadOf(name), out IPv4Packet packet));
        return packet;
    }

    private static IPv6Packet Six(string name)
    {
        Assert.True(IPv6Packet.TryParse(PayloadOf(name), out IPv6Packet packet));
        return packet;
    }

    [Fact]
    public void EthernetHeadersRoundTripWithAnyTags()
    {
        Assert.True(EthernetFrame.TryParse(SampleFrames.Named("UDP").Bytes, out EthernetFrame plain));
        Assert.Equal((SampleFrames.MacB, SampleFrames.MacA, EtherType.IPv4, 0), (plain.Destination, plain.Source, plain.EtherType, plain.TagCount));
        Assert.Equal(default, plain.OuterTag);
        Assert.True(EthernetFrame.TryParse(SampleFrames.Named("802.1Q").Bytes, out EthernetFrame tagged));
        Assert.Equal((EtherType.IPv4, 1, 18), (tagged.EtherType, tagged.TagCount, tagged.HeaderLength));
        Assert.Equal((5, 3, false), (tagged.OuterTag.Id, tagged.OuterTag.Priority, tagged.OuterTag.IsDropEligible));
        Assert.Equal(default, tagged.InnerTag);
        Assert.True(EthernetFrame.TryParse(SampleFrames.Named("QinQ").Bytes, out EthernetFrame twice));
        Assert.Equal((EtherType.IPv4, 2, 22), (twice.EtherType, twice.TagCount, twice.HeaderLength));
        Assert.Equal((100, 4094, 7, true), (twice.OuterTag.Id, twice.InnerTag.Id, twice.InnerTag.Priority, twice.InnerTag.IsDropEligible));
        Assert.True(plain.Payload.SequenceEqual(twice.Payload));
    }

    [Fact]
    public void TagThatIsCutOffIsRefused()
    {
        byte[] bytes = SampleFrames.Named("QinQ").Bytes;
        for (int length = 0; length < 22; length++) Assert.False(EthernetFrame.TryParse(bytes.AsSpan(0, length), out _));
        Assert.True(EthernetFrame.TryParse(bytes.AsSpan(0, 22), out EthernetFrame frame));
        Assert.True(frame.Payload.IsEmpty);
    }

    [Fact]
    public void ArpRoundTripsAndRefusesOtherHardware()
    {
        byte[] bytes = PayloadOf("ARP reply, padded").ToArray();
        Assert.True(ArpPacket.TryParse(bytes, out ArpPacket packet));
        var expected = new ArpPacket
        {
            Operation = ArpOperation.Reply, SenderMac = SampleFrames.MacB, SenderAddress = SampleFrames.FourB, TargetMac = SampleFrames.MacA,
            TargetAddress = SampleFrames.FourA,
        };
        Assert.Equal(expected, packet);
        for (int length = 0; length < ArpHeader.Length; length++) Assert.False(ArpPacket.TryParse(bytes.AsSpan(0, length), out _));
        foreach (int at in (int[])[1, 3, 4, 5])
        {
            byte[] wrong = [.. bytes];
            wrong[at]++;
            Assert.False(ArpPacket.TryParse(wrong, out _));
        }
    }

    [Fact]
    public void KnownIPv4HeaderIsReproducedByteForByte()
    {
        // A header whose checksum is known from many textbooks.
        byte[] expected = Convert.FromHexString("45000073000040004011b861c0a80001c0a800c7");
        byte[] written = new byte[20];
        int length = IPv4Header.Write(written, IpAddress.Parse("192.168.0.1"), IpAddress.Parse("192.168.0.199"), IpProtocol.Udp, 95);
        Assert.Equal(20, length);
        Assert.Equal(expected, written);
    }

    [Fact]
    public void IPv4FieldsRoundTrip()
    {
        IPv4Packet packet = Four("Options");
        Assert.Equal((SampleFrames.FourA, SampleFrames.FourB, IpProtocol.Udp), (packet.Source, packet.Destination, packet.Protocol));
        Assert.Equal((63, 2, 2, 7, 28), (packet.TimeToLive, packet.TrafficClass, packet.Ecn, packet.Identification, packet.HeaderLength));
        Assert.Equal(IPv4Flags.DontFragment, packet.Flags);
        Assert.False(packet.IsFragment);
        Assert.True(packet.HasValidChecksum);
        IPv4Packet last = Four("Last fragment");
        Assert.Equal((1480, true, IPv4Flags.None), (last.FragmentOffset, last.IsFragment, last.Flags));
        IPv4Packet first = Four("First fragment");
        Assert.Equal((0, true, IPv4Flags.MoreFragments), (first.FragmentOffset, first.IsFragment, first.Flags));
    }

    [Fact]
    public void IPv4OptionsAreWalkedWithoutPadding()
    {
        IPv4OptionEnumerator options = Four("Options").EnumerateOptions();
        Assert.True(options.MoveNext());
        Assert.Equal((IPv4OptionType.RouterAlert, 0, 2), (options.Type, options.Offset, options.Content.Length));
        Assert.True(options.MoveNext());
        Assert.Equal((IPv4OptionType.RecordRoute, 5, 1), (options.Type, options.Offset, options.Content.Length));
        Assert.False(options.MoveNext());
        Assert.False(options.IsMalformed);
    }

    [Theory]
    [InlineData(new byte[] { 7, 0, 0, 0 })]
    [InlineData(new byte[] { 7, 1, 0, 0 })]
    [InlineData(new byte[] { 7, 5, 0, 0 })]
    [InlineData(new byte[] { 1, 1, 1, 7 })]
    public void MalformedIPv4OptionEndsTheWalk(byte[] bytes)
    {
        Assert.True(IPv4Packet.TryParse(SampleFrames.OverIPv4(1, [], options: bytes).AsSpan(14), out IPv4Packet packet));
        IPv4OptionEnumerator options = packet.EnumerateOptions();
        Assert.False(options.MoveNext());
        Assert.True(options.IsMalformed);
        Assert.False(options.MoveNext());
    }

    [Fact]
    public void IPv4LengthsThatContradictAreRefused()
    {
        byte[] good = PayloadOf("UDP").ToArray();
        (int At, byte Value)[] wrongs = [(0, 0x44), (0, 0x55), (0, 0x4F), (2, 0xFF), (3, 19)];
        foreach ((int at, byte value) in wrongs)
        {
            byte[] bytes = [.. good];
            bytes[at] = value;
            Assert.False(IPv4Packet.TryParse(bytes, out _), $"byte {at} = {value:x2}");
        }

        Assert.True(IPv4Packet.TryParse([.. good, 1, 2, 3], out IPv4Packet padded));
        Assert.Equal(good.Length, padded.Bytes.Length);
    }

    [Fact]
    public void IPv6FieldsRoundTrip()
    {
        IPv6Packet packet = Six("UDP over IPv6");
        Assert.Equal((SampleFrames.SixA, SampleFrames.SixB, IpProtocol.Udp), (packet.Source, packet.Destination, packet.NextHeader));
        Assert.Equal((64, 1, 1, 0xABCDEu), (packet.HopLimit, packet.TrafficClass, packet.Ecn, packet.FlowLabel));
        Assert.Equal(packet.PayloadLength, packet.Payload.Length);
        Assert.Equal(IPv6ChainStatus.Complete, packet.WalkHeaders().Status);
        Assert.Equal((IpProtocol.Udp, 40, 6), (packet.WalkHeaders().Protocol, packet.WalkHeaders().UpperLayerOffset, packet.WalkHeaders().NextHeaderFieldOffset));
        Assert.True(IPv6Packet.TryParse([.. packet.Bytes, 1, 2, 3], out IPv6Packet padded));
        Assert.Equal(packet.Bytes.Length, padded.Bytes.Length);
    }

    [Fact]
    public void ExtensionHeadersAreWalkedToTheUpperLayer()
    {
        IPv6Packet packet = Six("Extension headers");
        IPv6HeaderChain chain = packet.WalkHeaders();
        Assert.Equal((IPv6ChainStatus.Complete, IpProtocol.Udp, 56, 48), (chain.Status, chain.Protocol, chain.UpperLayerOffset, chain.NextHeaderFieldOffset));
        Assert.Equal((40, 48, -1, -1), (chain.HopByHopOffset, chain.DestinationOptionsOffset, chain.RoutingOffset, chain.FragmentOffset));
        var options = new IPv6OptionEnumerator(packet.Bytes[chain.HopByHopOffset..]);
        Assert.True(options.MoveNext());
        Assert.Equal((5, 2, 2, IPv6OptionAction.Skip), (options.Type, options.Offset, options.Content.Length, options.Action));
        Assert.False(options.MoveNext());
        Assert.False(options.IsMalformed);
    }

    [Theory]
    [InlineData(new byte[] { 17, 0, 5, 5, 0, 0, 0, 0 }, true)]
    [InlineData(new byte[] { 17, 0, 0, 0, 0, 0, 0, 5 }, true)]
    [InlineData(new byte[] { 17, 0, 5, 4, 0, 0, 0, 0 }, false)]
    [InlineData(new byte[] { 17, 0, 1, 4, 0, 0, 0, 0 }, false)]
    [InlineData(new byte[] { 17, 0, 0, 0, 0, 0, 0, 0 }, false)]
    [InlineData(new byte[] { 17 }, false)]
    public void IPv6OptionBeyondItsHeaderIsMalformed(byte[] header, bool malformed)
    {
        var options = new IPv6OptionEnumerator(header);
        for (int i = 0; i < 8 && options.MoveNext(); i++) Assert.True(options.Content.Length <= 4);
        Assert.Equal(malformed, options.IsMalformed);
    }

    private static IPv6HeaderChain Walk(byte first, bool throughFirstFragment, params byte[] payload)
    {
        Assert.True(IPv6Packet.TryParse(SampleFrames.OverIPv6(first, payload).AsSpan(14), out IPv6Packet packet));
        return packet.WalkHeaders(throughFirstFragment);
    }

    [Fact]
    public void WalkEndsAtFragmentsButGoesThroughAtomicOnes()
    {
        Assert.Equal(IPv6ChainStatus.Complete, Six("Atomic fragment").WalkHeaders().Status);
        Assert.Equal(40, Six("Atomic fragment").WalkHeaders().FragmentOffset);
        IPv6HeaderChain chain = Six("IPv6 fragment").WalkHeaders(throughFirstFragment: true);
        Assert.Equal((IPv6ChainStatus.Fragment, IpProtocol.Udp, 48, 40), (chain.Status, chain.Protocol, chain.UpperLayerOffset, chain.FragmentOffset));
        IPv6FragmentHeader header = IPv6FragmentHeader.Read(Six("IPv6 fragment").Bytes[40..]);
        Assert.Equal((1448, false, 99u, true), (header.Offset, header.MoreFragments, (uint)header.Identification, header.IsFragment));
        byte[] first = [60, 0, 0, 1, 0, 0, 0, 9, 17, 0, 1, 4, 0, 0, 0, 0];
        Assert.Equal((IPv6ChainStatus.Fragment, 60), (Walk(44, false, first).Status, Walk(44, false, first).Protocol));
        Assert.Equal((IPv6ChainStatus.Complete, 17), (Walk(44, true, first).Status, Walk(44, true, first).Protocol));
    }

    [Fact]
    public void WalkRefusesWhatRfc8200Forbids()
    {
        byte[] option = [60, 0, 1, 4, 0, 0, 0, 0];
        // Hop-by-hop options behind destination options.
        Assert.Equal(IPv6ChainStatus.HopByHopMisplaced, Walk(60, false, [0, 0, 1, 4, 0, 0, 0, 0, .. option]).Status);
        Assert.Equal(IPv6ChainStatus.HopByHopMisplaced, Walk(0, false, [0, 0, 1, 4, 0, 0, 0, 0, .. option]).Status);
        Assert.Equal(IPv6ChainStatus.Truncated, Walk(60, false, option).Status);
        Assert.Equal(IPv6ChainStatus.Truncated, Walk(60, false, option[..7]).Status);
        Assert.Equal(IPv6ChainStatus.Truncated, Walk(43, false, [17, 1, 0, 0, 0, 0, 0, 0]).Status);
        byte[] many = [.. Enumerable.Repeat(option, IPv6HeaderChain.HeaderCountMax + 1).SelectMany(o => o)];
        IPv6HeaderChain chain = Walk(60, false, many);
        Assert.Equal((IPv6ChainStatus.TooMany, 40 + 64), (chain.Status, chain.UpperLayerOffset));
    }

    [Fact]
    public void WalkKnowsTheLengthOfEachKind()
    {
        // An authentication header counts words of 32 bits.
        IPv6HeaderChain chain = Walk(51, false, [43, 4, .. new byte[22], 17, 0, .. new byte[6], 1]);
        Assert.Equal((IPv6ChainStatus.Complete, 17, 40 + 24 + 8, 64), (chain.Status, chain.Protocol, chain.UpperLayerOffset, chain.RoutingOffset));
        // What is not known is the upper layer, and the pointer shows where it was named.
        chain = Walk(60, false, [200, 0, 1, 4, 0, 0, 0, 0, 7]);
        Assert.Equal((IPv6ChainStatus.Complete, 200, 40), (chain.Status, chain.Protocol, chain.NextHeaderFieldOffset));
        Assert.Equal(59, Walk(59, false).Protocol);
        Assert.Equal(50, Walk(50, false, 1, 2, 3).Protocol);
    }

    [Fact]
    public void UdpRoundTripsAndCutsOffWhatFollows()
    {
        Assert.True(UdpDatagram.TryParse([.. Four("UDP").Payload, 1, 2], out UdpDatagram datagram));
        Assert.Equal((40000, 7777), (datagram.SourcePort, datagram.DestinationPort));
        Assert.Equal("the quick brown fox"u8.ToArray(), datagram.Payload.ToArray());
        Assert.True(datagram.HasChecksum);
        Assert.True(datagram.HasValidChecksum(SampleFrames.FourA, SampleFrames.FourB));
        Assert.False(datagram.HasValidChecksum(SampleFrames.FourA, SampleFrames.FourA));
        byte[] bytes = datagram.Bytes.ToArray();
        bytes[5] = 7;
        Assert.False(UdpDatagram.TryParse(bytes, out _));
        bytes[5] = 28;
        Assert.False(UdpDatagram.TryParse(bytes, out _));
        bytes[5] = 27;
        bytes[6] = bytes[7] = 0;
        Assert.True(UdpDatagram.TryParse(bytes, out datagram));
        Assert.False(datagram.HasChecksum);
        Expect.Throw<OverflowException>(() => UdpHeader.Write(new byte[8], 1, 2, 65535));
    }

    [Fact]
    public void Icmpv4ErrorGivesThePacketThatItQuotes()
    {
        Assert.True(Icmpv4Packet.TryParse(Four("DestinationUnreachable 4").Payload, out Icmpv4Packet packet));
        Assert.True(packet.IsError && packet.HasValidChecksum);
        Assert.Equal(1400, packet.NextHopMtu);
        Assert.True(packet.TryGetQuotedPacket(out IPv4Packet quoted));
        Assert.Equal((SampleFrames.FourA, SampleFrames.FourB, 47), (quoted.Source, quoted.Destination, quoted.TotalLength));
        Assert.Equal(8, quoted.Payload.Length);
        Assert.True(Icmpv4Packet.TryParse(Four("Echo request").Payload, out Icmpv4Packet echo));
        Assert.False(echo.IsError || echo.TryGetQuotedPacket(out _));
        Assert.Equal((9, 3), (echo.Identifier, echo.Sequence));
        Assert.True(Icmpv4Packet.TryParse(Four("Redirect 1").Payload, out Icmpv4Packet redirect));
        Assert.Equal(SampleFrames.FourA, redirect.Gateway);
        Assert.True(redirect.TryGetQuotedPacket(out _));
        Assert.True(Icmpv4Packet.TryParse(packet.Bytes[..27], out Icmpv4Packet cut));
        Assert.False(cut.TryGetQuotedPacket(out _));
    }

    [Fact]
    public void QuotedPacketEndsWhereRfc4884SaysThatExtensionsBegin()
    {
        // A quoted packet of 300 bytes of which 128 are here, and then an extension structure.
        byte[] quoted = new byte[128];
        IPv4Header.Write(quoted, SampleFrames.FourA, SampleFrames.FourB, IpProtocol.Udp, 280);
        byte[] message = new byte[8 + 128 + 8];
        Icmpv4Packet.Write(message, Icmpv4Type.TimeExceeded, 0, 32u << 16, [.. quoted, 0x20, 0, 0, 0, 0, 4, 1, 1]);
        Assert.True(Icmpv4Packet.TryParse(message, out Icmpv4Packet packet));
        Assert.True(packet.TryGetQuotedPacket(out IPv4Packet four));
        Assert.Equal((128, 300), (four.Bytes.Length, four.TotalLength));
        byte[] quotedSix = new byte[128];
        IPv6Header.Write(quotedSix, SampleFrames.SixA, SampleFrames.SixB, IpProtocol.Udp, 280);
        Icmpv6Packet.Write(
            message, SampleFrames.SixA, SampleFrames.SixB, Icmpv6Type.TimeExceeded, 0, 16u << 24, [.. quotedSix, 0x20, 0, 0, 0, 0, 4, 1, 1]);
        Assert.True(Icmpv6Packet.TryParse(message, out Icmpv6Packet packetSix));
        Assert.True(packetSix.TryGetQuotedPacket(out IPv6Packet six));
        Assert.Equal((128, 280), (six.Bytes.Length, six.PayloadLength));
    }

    [Fact]
    public void Icmpv6ErrorGivesThePacketThatItQuotes()
    {
        Assert.True(Icmpv6Packet.TryParse(Six("IPv6 PacketTooBig 0").Payload, out Icmpv6Packet packet));
        Assert.True(packet.IsError && packet.HasValidChecksum(SampleFrames.SixA, SampleFrames.SixB));
        Assert.False(packet.HasValidChecksum(SampleFrames.SixA, SampleFrames.SixA));
        Assert.Equal(1280u, packet.Mtu);
        Assert.True(packet.TryGetQuotedPacket(out IPv6Packet quoted));
        Assert.Equal((SampleFrames.SixA, IpProtocol.Udp), (quoted.Source, quoted.NextHeader));
        Assert.True(Icmpv6Packet.TryParse(Six("IPv6 ParameterProblem 1").Payload, out Icmpv6Packet problem));
        Assert.Equal(40u, problem.Pointer);
        Assert.True(Icmpv6Packet.TryParse(packet.Bytes[..47], out Icmpv6Packet cut));
        Assert.False(cut.TryGetQuotedPacket(out _));
    }
}
