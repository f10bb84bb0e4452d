// What befalls a link while connections are open: no carrier, down and up, another MTU, deleted and made again. Over every kind that lives on
// an interface of the kernel; the network must say so, recover by itself, and no connection may end by it.
using System.Net.Sockets;
using System.Text;
using Peregrine.Core.Tcp;
using Peregrine.Drivers;
using Peregrine.Wire;

namespace Peregrine.Interop.Tests;

public sealed class LinkLifeTests
{
    public static TheoryData<LinkUnderTest, bool> Kinds => new()
    {
        { LinkUnderTest.Tap, false }, { LinkUnderTest.Tap, true },
        { LinkUnderTest.Packet, false }, { LinkUnderTest.Packet, true },
        { LinkUnderTest.Xdp, false }, { LinkUnderTest.Xdp, true },
    };

    [Theory(Timeout = Site.TimeoutMs)]
    [MemberData(nameof(Kinds))]
    public async Task InterfaceDeletedAndMadeAgainIsTakenAgain(LinkUnderTest kind, bool v6)
    {
        await using var site = await OpenAsync(kind);
        using var socket = await site.KernelConnectAsync(v6, Services.Echo);
        await ExchangeAsync(socket, "before");
        site.Delete();
        await Site.Until(() => Watch(site).DevicesGone == 1 || Watch(site).DevicesReopened == 1, "the network sees that the interface is gone");
        site.Remake();
        await Site.Until(() => Watch(site).DevicesReopened == 1 && site.Network.IsLinkUp, "the interface is taken again");
        Assert.Null(((CoreEngine)site.Network.Engine).LinkWatch.Problem);
        await ExchangeAsync(socket, "after");
        using var other = await site.KernelConnectAsync(v6, Services.Echo);
        await ExchangeAsync(other, "anew");
    }

    [Theory(Timeout = Site.TimeoutMs)]
    [MemberData(nameof(Kinds))]
    public async Task OurInterfaceDownAndUpIsSaidAndHarmsNoConnection(LinkUnderTest kind, bool v6)
    {
        await using var site = await OpenAsync(kind);
        site.Space.Run(() => File.WriteAllText($"/proc/sys/net/ipv6/conf/{site.InterfaceName}/keep_addr_on_down", "1"));
        using var socket = await site.KernelConnectAsync(v6, Services.Echo);
        await ExchangeAsync(socket, "before");
        site.OnOurInterface(static name => KernelInterface.SetUp(name, false));
        await Site.Until(() => !site.Network.IsLinkUp, "the network sees the link down");
        await socket.SendAsync(Encoding.ASCII.GetBytes("during"));
        site.OnOurInterface(static name => KernelInterface.SetUp(name));
        await Site.Until(() => site.Network.IsLinkUp, "the network sees the link up");
        await ExpectAsync(socket, "during");
        await ExchangeAsync(socket, "after");
        Assert.Equal((1, 1, 0, 0), (Watch(site).CarriersLost, Watch(site).CarriersBack, Watch(site).DevicesGone, Watch(site).MtuChanges));
    }

    [Theory(Timeout = Site.TimeoutMs)]
    [MemberData(nameof(Kinds))]
    public async Task OpenConnectionFollowsTheMtuDownAndUp(LinkUnderTest kind, bool v6)
    {
        await using var site = await OpenAsync(kind);
        using var socket = await site.KernelConnectAsync(v6, Services.Echo);
        await ExchangeAsync(socket, "before");
        var headers = (v6 ? 40 : 20) + 20 + 12;
        Assert.Equal(1_500 - headers, SendMss(site));
        site.SetMtu(1_300);
        await Site.Until(() => SendMss(site) == 1_300 - headers, "the segment size follows the MTU down");
        await EchoALotAsync(socket);
        site.SetMtu(4_000);
        // The peer said in its SYN what it takes.
        await Site.Until(() => SendMss(site) == 1_500 - headers, "the segment size follows the MTU up");
        await EchoALotAsync(socket);
        using var other = await site.KernelConnectAsync(v6, Services.Echo);
        await EchoALotAsync(other);
        Assert.Equal(4_000 - headers, site.OnCore(stack => Mss(stack).Max()));
        Assert.Equal(2, Watch(site).MtuChanges);
    }

    [Theory(Timeout = Site.TimeoutMs)]
    [MemberData(nameof(Kinds))]
    public async Task MtuMayShrinkInTheMiddleOfATransfer(LinkUnderTest kind, bool v6)
    {
        await using var site = await OpenAsync(kind);
        site.Space.Run(() => File.WriteAllText($"/proc/sys/net/ipv6/conf/{site.InterfaceName}/keep_addr_on_down", "1"));
        using var socket = await site.KernelConnectAsync(v6, Services.Source);
        await using var stream = new NetworkStream(socket);
        var hashing = Payload.HashAsync(stream);
        // What is under way now is lost, so that segments of the old size must go again in the new one.
        site.OnOurInterface(static name => KernelInterface.SetUp(name, false));
        await Site.Until(() => !site.Network.IsLinkUp, "the network sees the link down");
        site.SetMtu(1_300);
        await Site.Until(() => Watch(site).MtuChanges == 1, "the network sees the MTU");
        site.OnOurInterface(static name => KernelInterface.SetUp(name));
        Assert.Equal(Payload.HashOf(Site.TransferBytes), await hashing);
    }

    // A TAP device's address is the kernel's end; ours is another one, and nobody can change it.
    [Theory(Timeout = Site.TimeoutMs)]
    [InlineData(LinkUnderTest.Packet, false)]
    [InlineData(LinkUnderTest.Packet, true)]
    [InlineData(LinkUnderTest.Xdp, false)]
    [InlineData(LinkUnderTest.Xdp, true)]
    public async Task NeighbourIsToldAnotherAddressOfTheInterface(LinkUnderTest kind, bool v6)
    {
        await using var site = await OpenAsync(kind);
        site.Need("ip");
        using var socket = await site.KernelConnectAsync(v6, Services.Echo);
        await ExchangeAsync(socket, "before");
        var address = MacAddress.Parse("02:5e:12:34:56:78");
        site.OnOurInterface(name => KernelInterface.SetMacAddress(name, address));
        await Site.Until(() => Watch(site).AddressChanges == 1, "the network sees the address");
        await ExchangeAsync(socket, "after");
        var entry = await ChildProgram.RunAsync(site, "ip", "neigh", "show", "to", Site.Ours(v6).ToString());
        Assert.Contains(address.ToString(), entry, StringComparison.OrdinalIgnoreCase);
        using var other = await site.KernelConnectAsync(v6, Services.Echo);
        await ExchangeAsync(other, "anew");
        Assert.Equal((1, 0, 0), (Watch(site).AddressChanges, Watch(site).DevicesGone, Watch(site).DevicesReopened));
    }

    // 65,521 is the largest that a TAP device has. Without offloads each of these frames lies in many chunks and is summed by us.
    [Theory(Timeout = Site.TimeoutMs)]
    [InlineData(LinkUnderTest.Tap, 9_000, true)]
    [InlineData(LinkUnderTest.Tap, 9_000, false)]
    [InlineData(LinkUnderTest.Tap, 65_521, true)]
    [InlineData(LinkUnderTest.Tap, 65_521, false)]
    [InlineData(LinkUnderTest.Packet, 9_000, true)]
    [InlineData(LinkUnderTest.Packet, 65_521, false)]
    [InlineData(LinkUnderTest.Xdp, 9_000, true)]
    public async Task JumboFramesCarryConnectionsBothWays(LinkUnderTest kind, int mtu, bool offloads)
    {
        await using var site = await OpenAsync(kind, offloads);
        site.SetMtu(mtu);
        await Site.Until(() => Watch(site).MtuChanges == 1, "the network sees the MTU");
        foreach (var v6 in (bool[])[false, true])
        {
            using var socket = await site.KernelConnectAsync(v6, Services.Echo);
            await EchoALotAsync(socket);
            Assert.Equal(mtu - (v6 ? 40 : 20) - 20 - 12, site.OnCore(stack => Mss(stack).Max()));
            using var source = await site.KernelConnectAsync(v6, Services.Source);
            await using var stream = new NetworkStream(source);
            Assert.Equal(Payload.HashOf(Site.TransferBytes), await Payload.HashAsync(stream));
        }
    }

    private static async Task<Site> OpenAsync(LinkUnderTest kind, bool offloads = true)
    {
        Site site = kind switch
        {
            LinkUnderTest.Tap => new TapSite(offloads),
            LinkUnderTest.Packet => new PacketSite(offloads),
            _ => new XdpSite(),
        };
        await site.InitializeAsync();
        site.Need();
        return site;
    }

    private static LinkWatchCounters Watch(Site site) => ((CoreEngine)site.Network.Engine).LinkWatch.Counters;

    private static int SendMss(Site site) => site.OnCore(stack => Mss(stack).Single());

    private static List<int> Mss(Core.NetworkStack stack)
    {
        var sizes = new List<int>();
        for (var slot = 0; slot < stack.Tcp.SlotCount; slot++)
        {
            if (stack.Tcp.TryGetHandle(slot, out var handle) && stack.Tcp.TryGetInfo(handle, default, out var info) && info.State == TcpState.Established)
                sizes.Add(info.SendMss);
        }
        return sizes;
    }

    private static async Task EchoALotAsync(Socket socket)
    {
        var sent = Payload.At(0, 60_000);
        var sending = socket.SendAsync(sent);
        var got = new byte[sent.Length];
        await Payload.ReceiveAllAsync(socket, got);
        Assert.Equal(sent.Length, await sending);
        Assert.True(sent.Span.SequenceEqual(got), "the bytes differ");
    }

    private static async Task ExchangeAsync(Socket socket, string text)
    {
        await socket.SendAsync(Encoding.ASCII.GetBytes(text));
        await ExpectAsync(socket, text);
    }

    private static async Task ExpectAsync(Socket socket, string text)
    {
        var buffer = new byte[text.Length];
        await Payload.ReceiveAllAsync(socket, buffer);
        Assert.Equal(text, Encoding.ASCII.GetString(buffer));
    }
}
