namespace Peregrine.Wire.Tests;

public class NeighborDiscoveryTests
{
    private static readonly IpAddress A = IpAddress.Parse("fe80::a");
    private static readonly IpAddress B = IpAddress.Parse("fe80::b");

    private static Icmpv6Packet Message(string name)
    {
        Assert.True(IPv6Packet.TryParse(SampleFrames.Named(name).Bytes.AsSpan(14), out IPv6Packet packet));
        Assert.True(Icmpv6Packet.TryParse(packet.Payload, out Icmpv6Packet message));
        Assert.True(message.HasValidChecksum(packet.Source, packet.Destination));
        Assert.False(message.IsError);
        return message;
    }

    [Fact]
    public void SolicitationRoundTrips()
    {
        Assert.True(NeighborSolicitation.TryParse(Message("Neighbour solicitation"), out NeighborSolicitation solicitation));
        Assert.Equal(B, solicitation.Target);
        Assert.True(solicitation.Options.TryGetLinkLayerAddress(NdOptionType.SourceLinkLayerAddress, out MacAddress mac));
        Assert.Equal(SampleFrames.MacA, mac);
        Assert.False(solicitation.Options.TryGetLinkLayerAddress(NdOptionType.TargetLinkLayerAddress, out _));
        Assert.True(NeighborSolicitation.TryParse(Message("Solicitation with nonce"), out NeighborSolicitation probe));
        Assert.False(probe.Options.TryGetLinkLayerAddress(NdOptionType.SourceLinkLayerAddress, out _));
        Assert.True(probe.Options.TryGet(NdOptionType.Nonce, out ReadOnlySpan<byte> nonce));
        Assert.Equal(Convert.FromHexString("123456789ABC"), nonce.ToArray());
    }

    [Theory]
    [InlineData(false, false, false)]
    [InlineData(true, false, false)]
    [InlineData(false, true, false)]
    [InlineData(false, false, true)]
    [InlineData(true, true, true)]
    public void AdvertisementRoundTrips(bool isRouter, bool isSolicited, bool isOverride)
    {
        byte[] bytes = new byte[32];
        Assert.Equal(32, NeighborAdvertisement.Write(bytes, A, B, A, SampleFrames.MacA, isRouter, isSolicited, isOverride));
        Assert.True(Icmpv6Packet.TryParse(bytes, out Icmpv6Packet packet));
        Assert.True(packet.HasValidChecksum(A, B));
        Assert.True(NeighborAdvertisement.TryParse(packet, out NeighborAdvertisement read));
        Assert.Equal((A, isRouter, isSolicited, isOverride), (read.Target, read.IsRouter, read.IsSolicited, read.IsOverride));
        Assert.True(read.Options.TryGetLinkLayerAddress(NdOptionType.TargetLinkLayerAddress, out MacAddress mac));
        Assert.Equal(SampleFrames.MacA, mac);
        Assert.Equal(24, NeighborAdvertisement.Write(bytes, A, B, A, null, isRouter, isSolicited, isOverride));
    }

    [Fact]
    public void RouterMessagesRoundTrip()
    {
        Assert.True(RouterSolicitation.TryParse(Message("Router solicitation"), out RouterSolicitation solicitation));
        Assert.True(solicitation.Options.TryGetLinkLayerAddress(NdOptionType.SourceLinkLayerAddress, out _));
        Assert.True(RouterAdvertisement.TryParse(Message("Router advertisement"), out RouterAdvertisement router));
        Assert.Equal((64, true, true, -1), (router.HopLimit, router.IsManaged, router.HasOtherConfiguration, router.Preference));
        Assert.Equal((1800, 30000u, 1000u), (router.RouterLifetimeSeconds, router.ReachableTimeMs, router.RetransTimerMs));
        Assert.True(router.Options.TryGetMtu(out uint mtu));
        Assert.Equal(1400u, mtu);
        int prefixes = 0;
        foreach (NdOption option in router.Options)
        {
            if (!option.TryGetPrefix(out NdPrefixInformation prefix)) continue;
            prefixes++;
            Assert.Equal(IpPrefix.Parse("2001:db8::/64"), prefix.Prefix);
            Assert.Equal((true, true, 86400u, 14400u), (prefix.IsOnLink, prefix.IsAutonomous, prefix.ValidLifetimeSeconds, prefix.PreferredLifetimeSeconds));
        }

        Assert.Equal(1, prefixes);
    }

    [Theory]
    [InlineData(-1)]
    [InlineData(0)]
    [InlineData(1)]
    public void RouterPreferenceRoundTrips(int preference)
    {
        byte[] bytes = new byte[16];
        new RouterAdvertisement { Preference = preference }.WriteTo(bytes, A, B, default);
        Assert.True(Icmpv6Packet.TryParse(bytes, out Icmpv6Packet packet));
        Assert.True(RouterAdvertisement.TryParse(packet, out RouterAdvertisement read));
        Assert.Equal((preference, false, false), (read.Preference, read.IsManaged, read.HasOtherConfiguration));
    }

    [Fact]
    public void RedirectRoundTrips()
    {
        Assert.True(RedirectMessage.TryParse(Message("Redirect"), out RedirectMessage redirect));
        Assert.Equal((A, SampleFrames.SixB), (redirect.Target, redirect.Destination));
        Assert.True(redirect.Options.TryGetLinkLayerAddress(NdOptionType.TargetLinkLayerAddress, out _));
    }

    [Theory]
    // RFC 4861 §4.6: a length of zero, beyond the end, and a piece of an option.
    [InlineData(new byte[] { 1, 0, 0, 0, 0, 0, 0, 0 })]
    [InlineData(new byte[] { 1, 2, 0, 0, 0, 0, 0, 0 })]
    [InlineData(new byte[] { 1, 1, 0, 0 })]
    [InlineData(new byte[] { 1 })]
    public void MessageWithMalformedOptionsIsRefused(byte[] options)
    {
        byte[] bytes = new byte[24 + options.Length];
        NeighborSolicitation.Write(bytes, A, B, B, null, options);
        Assert.True(Icmpv6Packet.TryParse(bytes, out Icmpv6Packet packet));
        Assert.False(NeighborSolicitation.TryParse(packet, out _));
        Assert.False(NdOptions.TryParse(options, out _));
    }

    [Fact]
    public void OneTypeIsNotReadAsAnother()
    {
        Icmpv6Packet solicitation = Message("Neighbour solicitation");
        Assert.False(NeighborAdvertisement.TryParse(solicitation, out _));
        Assert.False(RouterSolicitation.TryParse(solicitation, out _));
        Assert.False(RouterAdvertisement.TryParse(solicitation, out _));
        Assert.False(RedirectMessage.TryParse(solicitation, out _));
    }

    [Fact]
    public void PrefixOptionThatMakesNoSenseIsNotGiven()
    {
        byte[] option = new byte[32];
        new NdPrefixInformation { Prefix = IpPrefix.Parse("2001:db8::/64") }.WriteTo(option);
        bool Reads()
        {
            Assert.True(NdOptions.TryParse(option, out NdOptions options));
            NdOptionEnumerator walk = options.GetEnumerator();
            return walk.MoveNext() && walk.Current.TryGetPrefix(out _);
        }

        Assert.True(Reads());
        option[2] = 129;
        Assert.False(Reads());
        option[2] = 128;
        IpAddress.Parse("1.2.3.4").WriteIPv6To(option.AsSpan(16));
        Assert.False(Reads());
    }
}
