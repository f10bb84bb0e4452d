// What is learned from routers: default routes, prefixes, addresses with their tests and lifetimes, MTU; and redirects.
using System.Net.Sockets;
using Peregrine.Core.Ip;
using Peregrine.Core.Time;
using Peregrine.Wire;
using static Peregrine.Core.Tests.Ip.IpFixture;

namespace Peregrine.Core.Tests.Ip;

public sealed class RouterTests : IDisposable
{
    private static readonly IpPrefix Prefix = IpPrefix.Parse("2001:db8:5::/64");
    private readonly IpFixture _f = new(link: o => o with { Autoconfigure = true, Gateways = [], Addresses = [InterfaceAddress.Parse("192.0.2.1/24")] });

    public void Dispose()
    {
        _f.Sent();
        _f.Dispose();
    }

    internal static byte[] Router(ushort lifetime, uint mtu = 0, IpPrefix? prefix = null, uint valid = 0, uint preferred = 0, IpAddress? from = null, byte hopLimit = 255)
    {
        var options = new byte[64];
        options[0] = NdOptionType.SourceLinkLayerAddress;
        options[1] = 1;
        PeerMac.WriteTo(options.AsSpan(2));
        int length = 8;
        if (mtu != 0) length += NdOptions.WriteMtu(options.AsSpan(length), mtu);
        if (prefix is { } p)
        {
            length += new NdPrefixInformation
            {
                Prefix = p, IsAutonomous = true, IsOnLink = true, ValidLifetimeSeconds = valid, PreferredLifetimeSeconds = preferred,
            }.WriteTo(options.AsSpan(length));
        }

        var message = new byte[128];
        IpAddress source = from ?? Gateway6;
        length = new RouterAdvertisement { HopLimit = 63, RouterLifetimeSeconds = lifetime }.WriteTo(
            message, source, IpAddress.IPv6AllNodes, options.AsSpan(0, length));
        return IPv6(source, IpAddress.IPv6AllNodes, IpProtocol.Icmpv6, message.AsSpan(0, length), hopLimit);
    }

    private OwnAddress? Autoconfigured()
    {
        var all = new OwnAddress[16];
        int count = _f.Ip.ListAddresses(all);
        return Array.Find(all[..count], a => a.Origin == AddressOrigin.Autoconfigured) is { Origin: AddressOrigin.Autoconfigured } found ? found : null;
    }

    [Fact]
    public void RoutersAreSolicitedThreeTimes()
    {
        _f.Advance(Duration.FromSeconds(60));
        Assert.Equal(3, _f.Ip.NeighbourCounters.SentRouterSolicitations);
    }

    [Fact]
    public void LinkLocalAddressIsTestedBeforeUse()
    {
        Assert.False(_f.Ip.IsLocalAddress(OurLinkLocal));
        _f.Advance(Duration.FromSeconds(3));
        Assert.True(_f.Ip.IsLocalAddress(OurLinkLocal));
        byte[]? test = _f.Sent().Find(f => Packet6(f).Source.IsAny && Packet6(f).NextHeader == IpProtocol.Icmpv6 && Message6(f).Type == Icmpv6Type.NeighborSolicitation);
        Assert.NotNull(test);
        Assert.Equal(OurLinkLocal.SolicitedNodeMulticast(), Packet6(test).Destination);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void AddressUnderTestThatSomebodyHasIsNotUsed(bool bySolicitation)
    {
        byte[] frame = bySolicitation
            ? Solicitation(IpAddress.IPv6Any, OurLinkLocal, null)
            : Advertisement(OurLinkLocal, PeerMac, false, true, to: IpAddress.IPv6AllNodes);
        _f.Receive(frame);
        _f.Advance(Duration.FromSeconds(10));
        Assert.False(_f.Ip.IsLocalAddress(OurLinkLocal));
        Assert.Equal(1, _f.Ip.NeighbourCounters.AddressConflicts);
    }

    [Fact]
    public void AdvertisementGivesRouteHopLimitMtuAndAddress()
    {
        _f.Advance(Duration.FromSeconds(3));
        _f.Receive(Router(1800, 1400, Prefix, 7200, 3600));
        _f.Advance(Duration.FromSeconds(3));
        IpAddress ours = IpAddress.Parse("2001:db8:5:0:0:ff:fe00:1");
        Assert.True(_f.Ip.IsLocalAddress(ours));
        Assert.Equal(1400, _f.Ip.PathMtu(Far6, _f.Now));
        _f.Sent();
        Assert.Equal(SocketError.Success, _f.Output(Far6));
        byte[] frame = _f.SentOne();
        Assert.Equal((ours, (byte)63, PeerMac), (Packet6(frame).Source, Packet6(frame).HopLimit, Eth(frame).Destination));
    }

    [Theory]
    [InlineData(1279u, 1500)]
    [InlineData(9000u, 1500)]
    [InlineData(1280u, 1280)]
    public void AdvertisedMtuIsBelievedWithinBounds(uint mtu, int expected)
    {
        _f.Receive(Router(1800, mtu));
        Assert.Equal(expected, _f.Ip.PathMtu(Far6, _f.Now));
    }

    [Fact]
    public void LifetimesDeprecateAndRemoveTheAddressAndTheRoute()
    {
        _f.Receive(Router(30, 0, Prefix, 9000, 100));
        _f.Advance(Duration.FromSeconds(20));
        Assert.Equal(AddressState.Preferred, Autoconfigured()?.State);
        _f.Advance(Duration.FromSeconds(20));
        Assert.Equal(0, _f.Ip.PathMtu(Far6, _f.Now));
        _f.Advance(Duration.FromSeconds(61));
        Assert.Equal(AddressState.Deprecated, Autoconfigured()?.State);
        _f.Advance(Duration.FromSeconds(9000));
        Assert.Null(Autoconfigured());
    }

    [Fact]
    public void ShortLifetimeCannotTakeAnAddressAwayAtOnce()
    {
        _f.Receive(Router(1800, 0, Prefix, 86_400, 86_400));
        _f.Receive(Router(1800, 0, Prefix, 1, 1));
        Assert.Equal(_f.Now + Duration.FromSeconds(7200), Autoconfigured()?.ValidUntil);
    }

    [Fact]
    public void RouterLifetimeOfZeroRemovesTheRoute()
    {
        _f.Receive(Router(1800));
        Assert.Equal(1500, _f.Ip.PathMtu(Far6, _f.Now));
        _f.Receive(Router(0));
        Assert.Equal(0, _f.Ip.PathMtu(Far6, _f.Now));
    }

    [Fact]
    public void AdvertisementsFromAfarOrFromNoRouterAreInvalid()
    {
        _f.Receive(Router(1800, hopLimit: 254));
        _f.Receive(Router(1800, from: Peer6));
        Assert.Equal(2, _f.Ip.NeighbourCounters.DroppedInvalid);
        Assert.Equal(0, _f.Ip.PathMtu(Far6, _f.Now));
    }

    [Fact]
    public void AdvertisementsAreIgnoredWhereNothingIsConfiguredByThem()
    {
        using var f = new IpFixture();
        f.Receive(Router(1800, 1280));
        Assert.Equal(new NeighbourCounters { DroppedRouter = 1 }, f.Ip.NeighbourCounters);
        Assert.Equal(1500, f.Ip.PathMtu(Far6, f.Now));
    }

    [Fact]
    public void FloodOfRoutersAndPrefixesIsBounded()
    {
        for (uint i = 0; i < 2000; i++)
        {
            IpPrefix prefix = new(IpAddress.FromIPv6(0x2001_0DB8_0000_0000 + ((ulong)i << 16), 0), 64);
            _f.Receive(Router(1800, 0, prefix, 7200, 7200, IpAddress.FromIPv6(0xFE80_0000_0000_0000, 0x1000 + i)));
            _f.Sent();
        }

        Assert.True(_f.Ip.AllRoutes.Length < 40);
        Assert.True(_f.Ip.ListAddresses(default) <= 12);
        Assert.Equal(SocketError.Success, _f.Ip.AddAddress(_f.Link, InterfaceAddress.Parse("192.0.2.77/24"), _f.Now));
    }

    [Fact]
    public void OpaqueIdentifiersComeFromTheKey()
    {
        using var a = new IpFixture(link: o => o with { InterfaceIdentifierKey = 1 });
        using var b = new IpFixture(link: o => o with { InterfaceIdentifierKey = 2 });
        using var c = new IpFixture(link: o => o with { InterfaceIdentifierKey = 1 });
        Assert.NotEqual(LinkLocalOf(a), LinkLocalOf(b));
        Assert.Equal(LinkLocalOf(a), LinkLocalOf(c));
    }

    private static IpAddress LinkLocalOf(IpFixture f)
    {
        var all = new OwnAddress[16];
        return Array.Find(all[..f.Ip.ListAddresses(all)], a => a.Origin == AddressOrigin.LinkLocal).Address;
    }

    private static byte[] Redirect(IpAddress from, IpAddress target, IpAddress destination)
    {
        var message = new byte[64];
        int length = RedirectMessage.Write(message, from, Our6, target, destination, PeerMac);
        return IPv6(from, Our6, IpProtocol.Icmpv6, message.AsSpan(0, length), 255);
    }

    [Fact]
    public void RedirectFromTheGatewayInUseIsFollowedWhereTheSettingsSaySo()
    {
        using var f = new IpFixture(new IpOptions { AcceptRedirects = true });
        f.Receive(Redirect(PeerLinkLocal, PeerLinkLocal, Far6));
        Assert.Equal(new IcmpCounters { ReceivedNeighbourDiscovery = 1, DroppedRedirect = 1 }, f.Ip.IcmpCounters);
        f.Receive(Redirect(Gateway6, PeerLinkLocal, Far6));
        Assert.Equal(1, f.Ip.IcmpCounters.ReceivedRedirects);
        f.Output(Far6);
        Assert.Equal(PeerMac, Eth(f.SentOne()).Destination);
        Assert.Equal(NeighbourState.Delay, f.StateOf(PeerLinkLocal));
        f.Advance(Duration.FromSeconds(700));
        Assert.Equal(-1, f.Ip.AllRoutes.ToArray().ToList().FindIndex(r => r.Origin == RouteOrigin.Redirect));
        f.Sent();
    }

    [Fact]
    public void RedirectsAreIgnoredByDefault()
    {
        using var f = new IpFixture();
        f.Receive(Redirect(Gateway6, PeerLinkLocal, Far6));
        f.Receive(Icmp4(Gateway4, Icmpv4Type.Redirect, 1, Peer4.ToIPv4(), IPv4(Our4, Far4, 6, new byte[20])[14..]));
        Assert.Equal(2, f.Ip.IcmpCounters.DroppedRedirect);
        Assert.Equal(0, f.Ip.IcmpCounters.ReceivedRedirects);
    }

    [Fact]
    public void RedirectOfIPv4IsFollowedOnlyFromTheGateway()
    {
        using var f = new IpFixture(new IpOptions { AcceptRedirects = true });
        byte[] quoted = IPv4(Our4, Far4, 6, new byte[20])[14..];
        f.Receive(Icmp4(Peer4, Icmpv4Type.Redirect, 1, Peer4.ToIPv4(), quoted));
        Assert.Equal(0, f.Ip.IcmpCounters.ReceivedRedirects);
        f.Receive(Icmp4(Gateway4, Icmpv4Type.Redirect, 1, Peer4.ToIPv4(), quoted));
        Assert.Equal(1, f.Ip.IcmpCounters.ReceivedRedirects);
        f.Output(Far4);
        Assert.True(ArpPacket.TryParse(f.SentOne().AsSpan(14), out ArpPacket asked));
        Assert.Equal(Peer4, asked.TargetAddress);
    }
}
