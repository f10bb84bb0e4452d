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
            // Set before the stack starts: the dump brings it.
            KernelInterface.AddRoute("near0", IpPrefix.Parse("10.96.0.0/24"), Wire.IpAddress.Parse("10.95.0.1"));
        });
        _far.Run(() =>
        {
            KernelInterface.SetUp("far0");
            KernelInterface.AddAddress("far0", IpPrefix.Parse("10.95.0.1/24"));
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
        using var link = (XdpLink)LinkFactory.Open($"xdp:near0,tcp={OurPort},tcp=61000-65535,netns={_near.Path}");
        await using var network = await PeregrineNetwork.StartAsync(
            new PeregrineOptions
            {
                Name = "shared",
                Addresses = [$"{s_near}/24"],
                ControlSocket = "none",
                UseSystemResolver = false,
                StopGraceMs = 0,
                Stack = new StackOptions { ConnectionCountMax = 64, EphemeralPortMin = 61_000, EphemeralPortMax = 65_535 },
            },
            link,
            platform: new LinuxPlatform());
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
        await PingAsync();

        // Outgoing from the stack: to the neighbour, whom the kernel finds for it, and by the kernel's route.
        foreach (var to in (IPAddress[])[s_far, s_beyond])
        {
            using var far = Listen(_far, to, FarPort);
            var answering = ServeAsync(far, "far", 1);
            await using var connection = await network.ConnectTcpAsync(new IPEndPoint(to, FarPort));
            var buffer = new byte[16];
            var n = await connection.ReceiveAsync(buffer);
            Assert.Equal("far", Encoding.ASCII.GetString(buffer, 0, n));
            await answering;
        }
        Assert.True(link.Steering.Count(0) is { Taken: > 0, Passed: > 0 }, "both had frames");
    }

    private static Socket Listen(NetworkNamespace space, IPAddress address, int port)
    {
        var socket = space.Run(() => new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp));
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
        using var socket = _far.Run(() => new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp));
        await socket.ConnectAsync(new IPEndPoint(address, port));
        using var reader = new StreamReader(new NetworkStream(socket));
        return await reader.ReadToEndAsync();
    }

    private async Task PingAsync()
    {
        Assert.SkipUnless(ChildProgram.IsInstalled("ping"), "not run: ping is not installed");
        var start = new ProcessStartInfo("nsenter") { RedirectStandardOutput = true, UseShellExecute = false };
        foreach (var word in (string[])[$"--net={_far.Path}", "ping", "-n", "-q", "-c", "3", "-i", "0.01", "-W", "30", s_near.ToString()]) start.ArgumentList.Add(word);
        using var ping = Process.Start(start)!;
        var output = await ping.StandardOutput.ReadToEndAsync();
        await ping.WaitForExitAsync();
        Assert.Contains("3 received, 0% packet loss", output, StringComparison.Ordinal);
    }
}
