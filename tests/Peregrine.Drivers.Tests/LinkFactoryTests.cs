using Peregrine.Core.Links;
using Peregrine.Wire;

namespace Peregrine.Drivers.Tests;

public sealed class LinkFactoryTests
{
    [Fact]
    public void MemoryIsAnEndWhosePeerIsTheOther()
    {
        using var link = LinkFactory.Open("memory,mtu=9000");
        var end = Assert.IsType<MemoryLink>(link);
        Assert.Equal(9000, end.Mtu);
        Assert.Same(end, end.Peer.Peer);
        Assert.NotSame(end, end.Peer);
    }

    [Fact]
    public void TapAndTunOpenByName()
    {
        using var tap = new TapFixture();
        tap.Space.Run(() =>
        {
            using ILink ethernet = LinkFactory.Open("tap:p%d"), ip = LinkFactory.Open("tun:given1");
            Assert.Equal(("p0", LinkMedium.Ethernet), (ethernet.Name, ethernet.Medium));
            Assert.Equal(("given1", LinkMedium.Ip), (ip.Name, ip.Medium));
            Assert.Equal((default, false), (ip.MacAddress, ip.IsUp));
        });
    }

    [Fact]
    public void LineWinsOverSettings()
    {
        var settings = new LinkSettings { Mtu = 1400 };
        using ILink said = LinkFactory.Open("memory,mtu=9000", settings), unsaid = LinkFactory.Open("memory", settings);
        Assert.Equal((9000, 1400), (said.Mtu, unsaid.Mtu));
    }

    [Fact]
    public void OptionsOfALineReachTheDevice()
    {
        using var tap = new TapFixture();
        tap.Space.Run(() =>
        {
            using var link = LinkFactory.Open("tap:given2,mtu=2000,queues=3,offloads=off,mac=02:00:00:00:00:77,up,kernel=198.51.100.1/24");
            Assert.Equal((2000, 3, LinkOffloads.None), (link.Mtu, link.QueueCount, link.Offloads));
            Assert.Equal(MacAddress.Parse("02:00:00:00:00:77"), link.MacAddress);
            Assert.True(link.IsUp);
            var facts = MachineFacts.Read().Interfaces.Single(one => one.Name == "given2");
            Assert.Equal(("tun", 2000, true, true, false), (facts.Kind, facts.Mtu, facts.IsUp, facts.IsEthernet, facts.IsLoopback));
        });
    }

    [Theory]
    [InlineData("a/b")]
    [InlineData("..")]
    [InlineData("sixteen-letters-")]
    [InlineData("two words")]
    [InlineData("tapé")]
    public void ImpossibleNamesAreRefusedBeforeTheKernelSeesThem(string name) =>
        Assert.Contains("not the name of an interface", Assert.Throws<ArgumentException>(() => TapLink.Open(name)).Message, StringComparison.Ordinal);

    [Fact]
    public void ImpossibleOptionsAreRefused()
    {
        Assert.Throws<ArgumentException>(() => TapLink.Open("tap0", new TapOptions { Mtu = 67 }));
        Assert.Throws<ArgumentException>(() => TapLink.Open("tap0", new TapOptions { QueueCount = 65 }));
    }

    [Fact]
    public void PairIsAWireBetweenTwoNamespaces()
    {
        using var tap = new TapFixture();
        using var other = NetworkNamespace.Create();
        tap.Space.Run(() =>
        {
            KernelInterface.AddPair("one0", "two0", other, queueCount: 3);
            KernelInterface.SetUp("one0");
            var one = MachineFacts.Read().Interfaces.Single(static i => i.Name == "one0");
            Assert.Equal(("veth", 3, 3, true, false), (one.Kind, one.ReceiveQueueCount, one.TransmitQueueCount, one.IsUp, one.IsRunning));
            Assert.Contains("'one0'", Assert.Throws<IOException>(() => KernelInterface.AddPair("one0", "three0")).Message, StringComparison.Ordinal);
        });
        other.Run(() => KernelInterface.SetUp("two0"));
        Assert.True(tap.Space.Run(() => MachineFacts.Read().Interfaces.Single(static i => i.Name == "one0").IsRunning));
    }
}
