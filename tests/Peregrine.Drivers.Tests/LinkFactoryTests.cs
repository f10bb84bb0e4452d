using Peregrine.Core.Links;

namespace Peregrine.Drivers.Tests;

public sealed class LinkFactoryTests
{
    [Fact]
    public void MemoryIsAnEndWhosePeerIsTheOther()
    {
        using var link = LinkFactory.Open("memory", new TapOptions { Mtu = 9000 });
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

    [Theory]
    [InlineData("dpdk:0")]
    [InlineData("tap")]
    [InlineData("tap:")]
    [InlineData("memory:x")]
    [InlineData("")]
    public void UnknownFormsNameTheKnownOnes(string form)
    {
        var e = Assert.Throws<ArgumentException>(() => LinkFactory.Open(form));
        Assert.Contains("known are tap:NAME, tun:NAME, memory", e.Message, StringComparison.Ordinal);
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
}
