// The stack and the kernel on one interface and one address: ports of ours by AF_XDP, everything else the kernel's, neighbours and routes
// from the kernel. The clients are the kernel of another namespace behind a veth pair, and of a third behind that one as a router.
using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using System.Text;
using Peregrine.Core;
using Peregrine.Drivers;
using Peregrine.Drivers.Xdp;
using Peregrine.Sockets;
using Peregrine.Wire;

namespace Peregrine.Interop.Tests;

public sealed class CoexistenceTests : IDisposable
{
    private const int OurPort = 443, KernelPort = 22, FarPort = 7_000;

    private static readonly IPAddress s_near = IPAddress.Parse("10.95.0.2"), s_far = IPAddress.Parse("10.95.0.1"), s_beyond = IPAddress.Parse("10.96.0.1");

    private static readonly IPAddress s_near6 = IPAddress.Parse("fd95::2"), s_far6 = IPAddress.Parse("fd95::1"), s_own6 = IPAddress.Parse("fd95::3");

    private readonly NetworkNamespace _near, _far;

    public CoexistenceTests()
    {
        Assert.SkipUnless(Environment.IsPrivilegedProcess, "not run: AF_XDP needs root");
        _near = NetworkNamespace.Create();
        _far = NetworkNamespace.Create();
        _near.Run(() =>
        {
            KernelInterface.AddPair("near0", "far0", _far);
            KernelInterface.SetUp("near0");
            KernelInterface.AddAddress("near0", IpPrefix.Parse("10.95.0.2/24"));
            KernelInterface.AddAddress("near0", IpPrefix.Parse("fd95::2/64"));
            // Set before the stack starts: the dump brings it.
            KernelInterface.AddRoute("near0", IpPrefix.Parse("10.96.0.0/24"), Wire.IpAddress.Parse("10.95.0.1"));
        });
        _far.Run(() =>
        {
            KernelInterface.SetUp("far0");
            KernelInterface.AddAddress("far0", IpPrefix.Parse("10.95.0.1/24"));
            KernelInterface.AddAddress("far0", IpPrefix.Parse("fd95::1/64"));
            KernelInterface.AddAddress("lo", IpPrefix.Parse("10.96.0.1/32"));
        });
    }

    public void Dispose()
    {
        _near?.Dispose();
        _far?.Dispose();
    }

    [Fact(Timeout = Site.TimeoutMs)]
    public async Task PortsOfOneAddressAreServedByTheStackAndByTheKernelAtOnce()
    {
        using var link = Open($",tcp={OurPort},tcp=61000-65535");
        await using var network = await StartAsync(
            link, new StackOptions { ConnectionCountMax = 64, EphemeralPortMin = 61_000, EphemeralPortMax = 65_535 }, $"{s_near}/24");
        using var ours = Services.Serve(network, OurPort, static async connection => await connection.SendAsync("stack"u8.ToArray()));
        using var listener = Listen(_near, s_near, KernelPort);
        var serving = ServeAsync(listener, "kernel", 3);

        // Incoming, to both; the first to ours repeats its SYN until the address has been tested.
        for (var round = 0; round < 3; round++)
        {
            Assert.Equal("stack", await FetchAsync(s_near, OurPort));
            Assert.Equal("kernel", await FetchAsync(s_near, KernelPort));
        }
        await serving;
        await PingAsync(s_near.ToString());

        // Outgoing from the stack: to the neighbour, whom the kernel finds for it, and by the kernel's route.
        foreach (var to in (IPAddress[])[s_far, s_beyond]) await ConnectOutAsync(network, to);
        Assert.True(link.Steering.Count(0) is { Taken: > 0, Passed: > 0 }, "both had frames");
    }

    [Fact(Timeout = Site.TimeoutMs)]
    public async Task WithoutAnyConfigurationAddressesAreTheKernelsAndPortsFollowListeners()
    {
        using var link = Open("");
        await using var network = await StartAsync(link, new StackOptions { ConnectionCountMax = 64 });
        Assert.Equal(["10.95.0.2/24", "fd95::2/64"], network.Options.Addresses.Order());
        using var listener = Listen(_near, s_near, KernelPort);
        var serving = ServeAsync(listener, "kernel", 5);
        Assert.Equal(SocketError.ConnectionRefused, await RefusedAsync(s_near, OurPort));
        // A port of the kernel's programs cannot become ours; the address is any, so that it stands for this one too.
        Assert.Equal(SocketError.AddressAlreadyInUse, Assert.Throws<SocketException>(() => network.ListenTcp(new IPEndPoint(IPAddress.Any, KernelPort))).SocketErrorCode);
        Assert.Equal("kernel", await FetchAsync(s_near, KernelPort));

        for (var round = 0; round < 2; round++)
        {
            using (Services.Serve(network, OurPort, static async connection => await connection.SendAsync("stack"u8.ToArray())))
            {
                Assert.Equal("stack", await FetchAsync(s_near, OurPort));
                Assert.Equal("stack", await FetchAsync(s_near6, OurPort));
                Assert.Equal("kernel", await FetchAsync(s_near, KernelPort));
                Assert.Equal(SocketError.AddressAlreadyInUse, Assert.Throws<SocketException>(() => Listen(_near, s_near, OurPort).Dispose()).SocketErrorCode);
                // Another port is the kernel's, which says that nobody has it.
                Assert.Equal(SocketError.ConnectionRefused, await RefusedAsync(s_near, OurPort + 1));
            }
            // Closed, it is the kernel's again, and its programs may have it.
            Assert.Equal(SocketError.ConnectionRefused, await RefusedAsync(s_near, OurPort));
            using var theirs = Listen(_near, s_near, OurPort);
            var answering = ServeAsync(theirs, "theirs", 1);
            Assert.Equal("theirs", await FetchAsync(s_near, OurPort));
            await answering;
        }

        // Datagrams, both ways, and a connection that begins in the range that is ours.
        using (var socket = network.BindUdp(new IPEndPoint(s_near, OurPort)))
        {
            using var client = _far.Run(() => new Socket(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp));
            await client.SendToAsync("ask"u8.ToArray(), new IPEndPoint(s_near, OurPort));
            var buffer = new byte[16];
            var received = await socket.ReceiveFromAsync(buffer);
            await socket.SendToAsync(buffer.AsMemory(0, received.ReceivedBytes), received.RemoteEndpoint);
            Assert.Equal(3, await client.ReceiveAsync(buffer));
        }
        foreach (var to in (IPAddress[])[s_far, s_far6]) await ConnectOutAsync(network, to);
        Assert.Equal("kernel", await FetchAsync(s_near, KernelPort));
        Assert.Equal("kernel", await FetchAsync(s_near, KernelPort));
    }

    [Fact(Timeout = Site.TimeoutMs)]
    public async Task OnIPv6StackAndKernelHaveAddressesOfTheirOwnOnOneCard()
    {
        using var link = Open("");
        await using var network = await StartAsync(link, new StackOptions { ConnectionCountMax = 64 }, $"{s_own6}/64");
        using var ours = Services.Serve(network, OurPort, static async connection => await connection.SendAsync("stack"u8.ToArray()));
        Assert.Equal("stack", await FetchAsync(s_own6, OurPort));
        // Each answers for itself, the link-local addresses included, which both have made of the same card.
        var kernel = Assert.Single(LinkLocalsOfTheKernel());
        var own = Assert.Single(LinkLocalsOf(network));
        Assert.NotEqual(kernel, own);
        await PingAsync(s_near6.ToString());
        await PingAsync(s_own6.ToString());
        // The kernel tests its own for a moment, as the stack does not.
        await Site.Until(() => !_near.Run(IsTesting), "the kernel has tested its address");
        await PingAsync($"{kernel}%far0");
        await PingAsync($"{own}%far0");
        await ConnectOutAsync(network, s_far6);
        Assert.Equal(SocketError.ConnectionRefused, await RefusedAsync(s_near6, OurPort));
    }

    [Fact(Timeout = Site.TimeoutMs)]
    public async Task RoutesAndNeighboursThatChangeReachTheStack()
    {
        Assert.SkipUnless(ChildProgram.IsInstalled("ip"), "not run: ip is not installed");
        using var link = Open("");
        await using var network = await StartAsync(link, new StackOptions { ConnectionCountMax = 64 });
        await ConnectOutAsync(network, s_beyond);
        await IpAsync(_near, "route del 10.96.0.0/24");
        await Site.Until(() => Refuses(network, s_beyond), "the route is gone");
        await IpAsync(_near, "route add 10.96.0.0/24 via 10.95.0.1");
        await Site.Until(() => !Refuses(network, s_beyond), "the route is there again");
        await ConnectOutAsync(network, s_beyond);
        // The neighbour gets another card: the kernel hears of it, and so do we.
        await IpAsync(_far, "link set far0 address 02:00:00:00:00:77");
        await IpAsync(_near, "neigh replace 10.95.0.1 lladdr 02:00:00:00:00:77 dev near0");
        await ConnectOutAsync(network, s_beyond);
        // The interface is deleted and comes back with another neighbour and route: the tables are those of the new one.
        var card = link.MacAddress;
        _near.Run(() => KernelInterface.Delete("near0"));
        await Site.Until(() => !network.IsLinkUp, "the interface is gone");
        // It gets its name last: an interface that was seen with another card's address would be taken with that.
        _near.Run(() => KernelInterface.AddPair("near1", "far0", _far));
        await IpAsync(_near, $"link set near1 address {card}");
        await IpAsync(_near, "link set near1 name near0");
        _near.Run(() =>
        {
            KernelInterface.SetUp("near0");
            KernelInterface.AddAddress("near0", IpPrefix.Parse("10.95.0.2/24"));
        });
        _far.Run(() =>
        {
            KernelInterface.SetUp("far0");
            KernelInterface.AddAddress("far0", IpPrefix.Parse("10.95.0.1/24"));
        });
        await Site.Until(() => network.IsLinkUp, "the interface is back");
        await Site.Until(() => Refuses(network, s_beyond), "the old route is gone, of which the kernel said nothing");
        await ConnectOutAsync(network, s_far);
        await IpAsync(_near, "route add 10.96.0.0/24 via 10.95.0.1");
        await ConnectOutAsync(network, s_beyond);
    }

    private XdpLink Open(string options) => (XdpLink)LinkFactory.Open($"xdp:near0,netns={_near.Path}{options}");

    private static ValueTask<PeregrineNetwork> StartAsync(XdpLink link, StackOptions stack, params string[] addresses) => PeregrineNetwork.StartAsync(
        new PeregrineOptions
        {
            Name = "shared", Addresses = addresses, ControlSocket = "none", UseSystemResolver = false, StopGraceMs = 0, LinkCheckMs = 10, Stack = stack,
        },
        link,
        platform: new LinuxPlatform());

    private static bool Refuses(PeregrineNetwork network, IPAddress to) =>
        network.Engine.Run(() => network.Engine.Stack.Ip.PathMtu(IpAddress.FromIPAddress(to), default)) == 0;

    private static async Task IpAsync(NetworkNamespace space, string arguments)
    {
        using var ip = Process.Start("nsenter", [$"--net={space.Path}", "ip", .. arguments.Split(' ')]);
        await ip.WaitForExitAsync();
        Assert.Equal(0, ip.ExitCode);
    }

    // Columns of if_inet6: address, interface, length, scope, flags in hexadecimal (0x40 is tentative), name.
    private static bool IsTesting() => File.ReadLines("/proc/thread-self/net/if_inet6")
        .Any(static line => (Convert.ToInt32(line.Split(' ', StringSplitOptions.RemoveEmptyEntries)[4], 16) & 0x40) != 0);

    private List<IPAddress> LinkLocalsOfTheKernel() => _near.Run(() => System.Net.NetworkInformation.NetworkInterface.GetAllNetworkInterfaces()
        .Single(static one => one.Name == "near0").GetIPProperties().UnicastAddresses
        .Where(static a => a.Address.IsIPv6LinkLocal).Select(static a => new IPAddress(a.Address.GetAddressBytes())).ToList());

    private static List<IPAddress> LinkLocalsOf(PeregrineNetwork network) => network.Engine.Run(() =>
    {
        var own = new Core.Ip.OwnAddress[16];
        return own[..network.Engine.Stack.Ip.ListAddresses(own)].Select(static a => a.Address.ToIPAddress()).Where(static a => a.IsIPv6LinkLocal).ToList();
    });

    private async Task ConnectOutAsync(PeregrineNetwork network, IPAddress to)
    {
        using var far = Listen(_far, to, FarPort);
        var answering = ServeAsync(far, "far", 1);
        await using var connection = await network.ConnectTcpAsync(new IPEndPoint(to, FarPort));
        var buffer = new byte[16];
        var n = await connection.ReceiveAsync(buffer);
        Assert.Equal("far", Encoding.ASCII.GetString(buffer, 0, n));
        await answering;
    }

    private async Task<SocketError> RefusedAsync(IPAddress address, int port)
    {
        using var socket = _far.Run(() => new Socket(address.AddressFamily, SocketType.Stream, ProtocolType.Tcp));
        return (await Assert.ThrowsAsync<SocketException>(async () => await socket.ConnectAsync(new IPEndPoint(address, port)))).SocketErrorCode;
    }

    private static Socket Listen(NetworkNamespace space, IPAddress address, int port)
    {
        var socket = space.Run(() => new Socket(address.AddressFamily, SocketType.Stream, ProtocolType.Tcp));
        socket.Bind(new IPEndPoint(address, port));
        socket.Listen(16);
        return socket;
    }

    private static async Task ServeAsync(Socket listener, string text, int count)
    {
        for (var i = 0; i < count; i++)
        {
            using var socket = await listener.AcceptAsync();
            await socket.SendAsync(Encoding.ASCII.GetBytes(text));
        }
    }

    private async Task<string> FetchAsync(IPAddress address, int port)
    {
        using var socket = _far.Run(() => new Socket(address.AddressFamily, SocketType.Stream, ProtocolType.Tcp));
        await socket.ConnectAsync(new IPEndPoint(address, port));
        using var reader = new StreamReader(new NetworkStream(socket));
        return await reader.ReadToEndAsync();
    }

    private async Task PingAsync(string address)
    {
        Assert.SkipUnless(ChildProgram.IsInstalled("ping"), "not run: ping is not installed");
        var start = new ProcessStartInfo("nsenter") { RedirectStandardOutput = true, UseShellExecute = false };
        foreach (var word in (string[])[$"--net={_far.Path}", "ping", "-n", "-q", "-c", "3", "-i", "0.01", "-W", "30", address]) start.ArgumentList.Add(word);
        using var ping = Process.Start(start)!;
        var output = await ping.StandardOutput.ReadToEndAsync();
        await ping.WaitForExitAsync();
        Assert.Contains("3 received, 0% packet loss", output, StringComparison.Ordinal);
    }
}
