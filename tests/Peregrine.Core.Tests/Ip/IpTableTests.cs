// The tables of the IP layer by themselves: timers' heap, routes, path MTUs, own addresses, limiter.
using System.Net.Sockets;
using Peregrine.Core.Ip;
using Peregrine.Core.Memory;
using Peregrine.Core.Time;
using Peregrine.Wire;
using static Peregrine.Core.Tests.Ip.IpFixture;

namespace Peregrine.Core.Tests.Ip;

public sealed class IpTableTests
{
    private static readonly Instant Start = new(1_000_000_000);

    [Fact]
    public void HeapFiresInOrderAndForgetsWhatWasCancelled()
    {
        using MemoryRegion region = MemoryRegion.Allocate(DeadlineHeap.BytesFor(500) + 4096);
        var heap = new DeadlineHeap(region, 500);
        var random = new StackRandom(3);
        var model = new Dictionary<int, long>();
        for (int i = 0; i < 5000; i++)
        {
            int id = (int)random.Next(500);
            if (random.Next(3) == 0)
            {
                heap.Cancel(id);
                model.Remove(id);
            }
            else
            {
                model[id] = random.Next(100_000);
                heap.Arm(id, new Instant(model[id]));
            }

            Assert.Equal(model.Count == 0 ? long.MaxValue : model.Values.Min(), heap.Next.Nanoseconds);
        }

        long last = 0;
        while (heap.TryPop(new Instant(100_000), out int id))
        {
            Assert.True(model[id] >= last);
            last = model[id];
            Assert.True(model.Remove(id));
        }

        Assert.Empty(model);
    }

    private static Route RouteOf(string prefix, string gateway = "::", uint metric = 0, int link = 0, RouteOrigin origin = RouteOrigin.Static) => new()
    {
        Prefix = IpPrefix.Parse(prefix), Gateway = IpAddress.Parse(gateway), Metric = metric, InterfaceIndex = (ushort)link, Expires = Instant.Never,
        Origin = origin,
    };

    [Theory]
    [InlineData("10.1.2.3", 4)]
    [InlineData("10.1.9.9", 3)]
    [InlineData("10.9.9.9", 2)]
    [InlineData("11.0.0.1", 1)]
    [InlineData("2001:db8::1", 6)]
    [InlineData("2001:db9::1", 5)]
    public void LongestPrefixWins(string address, int link)
    {
        var routes = new RouteTable(16);
        (string Prefix, int Link)[] all =
            [("0.0.0.0/0", 1), ("10.1.2.0/24", 4), ("10.0.0.0/8", 2), ("10.1.0.0/16", 3), ("::/0", 5), ("2001:db8::/32", 6)];
        foreach (var (prefix, index) in all) Assert.Equal(SocketError.Success, routes.Add(RouteOf(prefix, link: index)));
        Assert.True(routes.TryFind(IpAddress.Parse(address), -1, out Route route));
        Assert.Equal(link, route.InterfaceIndex);
    }

    [Fact]
    public void FamiliesDoNotMix()
    {
        var routes = new RouteTable(8);
        routes.Add(RouteOf("::/0"));
        Assert.False(routes.TryFind(Far4, -1, out _));
    }

    [Fact]
    public void SmallerMetricWinsUntilItsGatewayDoesNotAnswer()
    {
        var routes = new RouteTable(8);
        routes.Add(RouteOf("0.0.0.0/0", "192.0.2.1", 20));
        routes.Add(RouteOf("0.0.0.0/0", "192.0.2.2", 10));
        Assert.Equal("192.0.2.2", Gateway(routes));
        Assert.True(routes.NoteGateway(IpAddress.Parse("192.0.2.2"), 0, false));
        Assert.Equal("192.0.2.1", Gateway(routes));
        Assert.True(routes.NoteGateway(IpAddress.Parse("192.0.2.1"), 0, false));
        Assert.Equal("192.0.2.2", Gateway(routes));
        Assert.False(routes.NoteGateway(IpAddress.Parse("192.0.2.9"), 0, false));
    }

    private static string Gateway(RouteTable routes) => routes.TryFind(Far4, -1, out Route route) ? route.Gateway.ToString() : "";

    [Fact]
    public void RouteTableIsBounded()
    {
        var routes = new RouteTable(8);
        for (int i = 0; i < 8; i++) Assert.Equal(SocketError.Success, routes.Add(RouteOf($"10.{i}.0.0/16")));
        Assert.Equal(SocketError.NoBufferSpaceAvailable, routes.Add(RouteOf("10.9.0.0/16")));
        Assert.Equal(SocketError.Success, routes.Add(RouteOf("10.3.0.0/16", metric: 7)));
        Assert.True(routes.Remove(IpPrefix.Parse("10.3.0.0/16"), default, 0));
        Assert.False(routes.Remove(IpPrefix.Parse("10.3.0.0/16"), default, 0));
        Assert.Equal(7, routes.Count);
    }

    [Fact]
    public void AdvertisedRouteDoesNotReplaceAConfiguredOne()
    {
        var routes = new RouteTable(8);
        routes.Add(RouteOf("::/0", "fe80::1"));
        routes.Add(RouteOf("::/0", "fe80::1", origin: RouteOrigin.RouterAdvertisement));
        Assert.Equal(RouteOrigin.Static, Assert.Single(routes.All.ToArray()).Origin);
        Assert.False(routes.RemoveAdvertised(IpPrefix.Parse("::/0"), IpAddress.Parse("fe80::1"), 0));
    }

    [Fact]
    public void FailedGatewayMovesFlowsToTheOther()
    {
        using var f = new IpFixture(link: o => o with { Gateways = [Gateway4, IpAddress.Parse("192.0.2.253")] });
        Assert.Equal(SocketError.Success, f.Output(Far4));
        f.Advance(Duration.FromSeconds(4));
        f.Sent();
        f.Output(Far4);
        Assert.True(ArpPacket.TryParse(f.SentOne().AsSpan(14), out ArpPacket asked));
        Assert.Equal(IpAddress.Parse("192.0.2.253"), asked.TargetAddress);
        f.Advance(Duration.FromSeconds(10));
        f.Sent();
    }

    [Theory]
    [InlineData("198.51.100.7", 1000, 1000)]
    [InlineData("198.51.100.7", 68, 552)]
    [InlineData("198.51.100.7", 1, 552)]
    [InlineData("2001:db8:ffff::7", 1300, 1300)]
    [InlineData("2001:db8:ffff::7", 1000, 1280)]
    [InlineData("198.51.100.7", 1500, 1500)]
    [InlineData("198.51.100.7", 60_000, 1500)]
    public void PathMtuIsLoweredDownToTheFloorAndNeverRaised(string remote, int reported, int expected)
    {
        using var f = new IpFixture();
        IpAddress to = IpAddress.Parse(remote);
        IpAddress local = default;
        FlowPath path = default;
        f.Ip.Resolve(to, ref local, ref path, f.Now);
        f.Ip.OnPacketTooBigConfirmed(to, reported, f.Now);
        Assert.Equal(expected, f.Ip.PathMtu(to, f.Now));
        Assert.Equal(expected == 1500, f.Ip.IsCurrent(path));
        f.Ip.OnPacketTooBigConfirmed(to, 1450, f.Now);
        Assert.Equal(Math.Min(expected, 1450), f.Ip.PathMtu(to, f.Now));
    }

    [Fact]
    public void LoweredPathMtuIsForgottenAfterTenMinutesAndFlowsHearOfIt()
    {
        using var f = new IpFixture();
        f.Ip.OnPacketTooBigConfirmed(Far4, 1000, f.Now);
        IpAddress local = default;
        FlowPath path = default;
        f.Ip.Resolve(Far4, ref local, ref path, f.Now);
        Assert.Equal(1000, path.Mtu);
        f.Advance(Duration.FromSeconds(590));
        Assert.True(f.Ip.IsCurrent(path));
        f.Advance(Duration.FromSeconds(80));
        Assert.False(f.Ip.IsCurrent(path));
        f.Ip.Resolve(Far4, ref local, ref path, f.Now);
        Assert.Equal(1500, path.Mtu);
        Assert.Equal(Instant.Never, f.Ip.NextDeadline);
    }

    [Fact]
    public void PathMtuTableIsBoundedUnderAFlood()
    {
        using var f = new IpFixture(new IpOptions { PathMtuCountMax = 64 });
        for (uint i = 0; i < 10_000; i++) f.Ip.OnPacketTooBigConfirmed(IpAddress.FromIPv4(0x0B00_0000 + i), 900, f.Now);
        Assert.InRange(f.Ip.PathMtus.Count, 32, 64);
        Assert.Equal(10_000, f.Ip.IcmpCounters.PathMtuLowered);
    }

    [Fact]
    public void LimiterGivesItsBurstAndThenItsRate()
    {
        var limiter = new IcmpLimiter(new IpOptions { IcmpErrorsPerSecond = 100, IcmpErrorBurst = 5 }, Start);
        int Taken(Instant at)
        {
            int taken = 0;
            for (int i = 0; i < 1000; i++) taken += limiter.TryTakeError(at) ? 1 : 0;
            return taken;
        }

        Assert.Equal(5, Taken(Start));
        Assert.Equal(0, Taken(Start + Duration.FromMilliseconds(9)));
        Assert.Equal(1, Taken(Start + Duration.FromMilliseconds(10)));
        Assert.Equal(3, Taken(Start + Duration.FromMilliseconds(40)));
        Assert.Equal(5, Taken(Start + Duration.FromSeconds(1_000_000)));
        Assert.True(limiter.TryTakeEcho(Start));
    }

    [Theory]
    [InlineData("192.0.2.9", "192.0.2.1")]
    [InlineData("198.51.100.1", "192.0.2.1")]
    [InlineData("2001:db8::9", "2001:db8::1")]
    [InlineData("fe80::9", "fe80::ff:fe00:1")]
    [InlineData("2001:db8:ffff::1", "2001:db8::1")]
    [InlineData("ff02::fb", "fe80::ff:fe00:1")]
    public void SourceIsOfTheDestinationsScope(string remote, string expected)
    {
        using var f = new IpFixture();
        IpAddress local = default;
        FlowPath path = default;
        Assert.Equal(SocketError.Success, f.Ip.Resolve(IpAddress.Parse(remote), ref local, ref path, f.Now));
        Assert.Equal(IpAddress.Parse(expected), local);
    }

    [Fact]
    public void ResolvingFailsWithTheRightError()
    {
        using var f = new IpFixture(link: o => o with { Gateways = [] });
        SocketError Resolve(IpAddress remote, IpAddress local)
        {
            FlowPath path = default;
            return f.Ip.Resolve(remote, ref local, ref path, f.Now);
        }

        Assert.Equal(SocketError.NetworkUnreachable, Resolve(Far4, default));
        Assert.Equal(SocketError.NetworkUnreachable, Resolve(Far6, default));
        Assert.Equal(SocketError.AddressNotAvailable, Resolve(Peer4, Far4));
        Assert.Equal(SocketError.AddressNotAvailable, Resolve(IpAddress.IPv4Any, default));
        Assert.Equal(SocketError.AddressFamilyNotSupported, Resolve(Peer4, Our6));
        Assert.Equal(SocketError.NetworkUnreachable, Resolve(Peer4, IpAddress.IPv4Loopback));
        Assert.Equal(SocketError.Success, Resolve(Our4, default));
        Assert.Equal(SocketError.Success, Resolve(IpAddress.Parse("127.9.9.9"), default));
    }

    [Theory]
    [InlineData("10.0.0.1")]
    [InlineData("172.16.0.1")]
    [InlineData("192.168.0.1")]
    [InlineData("192.168.1.1")]
    [InlineData("192.168.178.1")]
    [InlineData("fe80::1")]
    [InlineData("fd00::1")]
    public void AUsualGatewayIsNotLookedUpForTheLoopbackAddress(string gateway)
    {
        // The IPv6 ones share their low half with ::1, which is no address of an interface by default.
        Assert.NotEqual(AddressTable.Bit(IpAddress.Parse("127.0.0.1")), AddressTable.Bit(IpAddress.Parse(gateway)));
    }

    [Fact]
    public void AddressesComeAndGoWithTheirRoutes()
    {
        using var f = new IpFixture(link: o => o with { Gateways = [] });
        IpAddress local = default;
        FlowPath path = default;
        IpAddress remote = IpAddress.Parse("203.0.113.9");
        Assert.Equal(SocketError.NetworkUnreachable, f.Ip.Resolve(remote, ref local, ref path, f.Now));
        Assert.Equal(SocketError.Success, f.Ip.AddAddress(f.Link, InterfaceAddress.Parse("203.0.113.1/24"), f.Now));
        Assert.Equal(SocketError.AddressAlreadyInUse, f.Ip.AddAddress(f.Link, InterfaceAddress.Parse("203.0.113.1/24"), f.Now));
        Assert.Equal(SocketError.Success, f.Ip.Resolve(remote, ref local, ref path, f.Now));
        Assert.True(f.Ip.IsCurrent(path));
        Assert.True(f.Ip.RemoveAddress(f.Link, IpAddress.Parse("203.0.113.1")));
        Assert.False(f.Ip.IsCurrent(path));
        local = default;
        Assert.Equal(SocketError.NetworkUnreachable, f.Ip.Resolve(remote, ref local, ref path, f.Now));
        Assert.Equal(SocketError.InvalidArgument, f.Ip.AddAddress(f.Link, InterfaceAddress.Parse("224.0.0.1/24"), f.Now));
        Assert.Equal(SocketError.InvalidArgument, f.Ip.AddRoute(IpPrefix.Parse("10.0.0.0/8"), Our4, f.Link, 1));
    }

    [Fact]
    public void IdentificationsOfAPairDoNotRepeatSoonAndLookRandom()
    {
        var ids = new PacketIdentification(new AddressHash(77), new StackRandom(5));
        var seen = new HashSet<ushort>();
        for (int i = 0; i < 60_000; i++) Assert.True(seen.Add((ushort)ids.Next(Our4, Peer4, 17)));
        Assert.NotEqual(ids.Next(Our4, Peer4, 17) + 1, ids.Next(Our4, Far4, 17));
    }
}
