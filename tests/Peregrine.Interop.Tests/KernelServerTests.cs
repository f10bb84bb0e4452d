// Our TCP as the client of the kernel's: transfers, half-close, refusals, many connections, HttpClient and datagrams, both families.
using System.Net;
using System.Net.Http;
using System.Net.Sockets;
using System.Text;

namespace Peregrine.Interop.Tests;

public abstract class KernelServerTests(Site site)
{
    [Theory(Timeout = Site.TimeoutMs)]
    [InlineData(false)]
    [InlineData(true)]
    public async Task UploadArrivesAsItWasSentAndIsAnsweredAfterOurHalfClose(bool v6)
    {
        site.Need();
        var (listener, at) = site.KernelListener(v6);
        using var _ = listener;
        var server = ServeAsync(listener, static async stream => await stream.WriteAsync(Encoding.ASCII.GetBytes(await Payload.HashAsync(stream))));
        var connection = await site.Network.ConnectTcpAsync(at);
        await Payload.SendAsync(connection, Site.TransferBytes);
        connection.Shutdown(SocketShutdown.Send);
        var answer = new byte[64];
        await Payload.ReceiveAllAsync(connection, answer);
        Assert.Equal(Payload.HashOf(Site.TransferBytes), Encoding.ASCII.GetString(answer));
        Assert.Equal(0, await connection.ReceiveAsync(answer));
        connection.Dispose();
        await server;
        await site.ExpectQuietAsync();
    }

    [Theory(Timeout = Site.TimeoutMs)]
    [InlineData(false)]
    [InlineData(true)]
    public async Task DownloadArrivesAsItWasSent(bool v6)
    {
        site.Need();
        var (listener, at) = site.KernelListener(v6);
        using var _ = listener;
        var server = ServeAsync(listener, static stream => Payload.WriteAsync(stream, Site.TransferBytes));
        using (var connection = await site.Network.ConnectTcpAsync(at))
        {
            Assert.Equal(Payload.HashOf(Site.TransferBytes), await Payload.HashAsync(connection));
        }
        await server;
        await site.ExpectQuietAsync();
    }

    [Theory(Timeout = Site.TimeoutMs)]
    [InlineData(false)]
    [InlineData(true)]
    public async Task NcListensAndTakesWhatWeSend(bool v6)
    {
        site.Need("nc");
        using var nc = ChildProgram.Start(site, "nc", "-n", "-l", Site.Kernel(v6).ToString(), "4321");
        Sockets.TcpConnection? connection = null;
        // Until the program listens, the kernel refuses.
        await Site.Until(() => TryConnect(new IPEndPoint(Site.Kernel(v6), 4321), out connection), "nc listens");
        await connection!.SendAsync("over the fence"u8.ToArray());
        connection.Dispose();
        Assert.Equal("over the fence", await nc.FinishAsync());
        await site.ExpectQuietAsync();
    }

    [Theory(Timeout = Site.TimeoutMs)]
    [InlineData(false)]
    [InlineData(true)]
    public async Task ClosedPortRefusesUs(bool v6)
    {
        site.Need();
        var error = await Assert.ThrowsAsync<SocketException>(async () => await site.Network.ConnectTcpAsync(new IPEndPoint(Site.Kernel(v6), 4322)));
        Assert.Equal(SocketError.ConnectionRefused, error.SocketErrorCode);
        await site.ExpectQuietAsync();
    }

    [Theory(Timeout = Site.TimeoutMs)]
    [InlineData(false)]
    [InlineData(true)]
    public async Task AThousandConnectionsOfOursAreEachEchoed(bool v6)
    {
        site.Need();
        var (listener, at) = site.KernelListener(v6);
        using var _ = listener;
        var server = Task.WhenAll(Enumerable.Range(0, 1_000).Select(_ => ServeAsync(listener, static stream => stream.CopyToAsync(stream))));
        var connections = await Task.WhenAll(Enumerable.Range(0, 1_000).Select(_ => site.Network.ConnectTcpAsync(at).AsTask()));
        await Task.WhenAll(connections.Select(static async (connection, index) =>
        {
            var sent = Payload.At(index * 997, long.MaxValue)[..4_000];
            var buffer = new byte[sent.Length];
            await connection.SendAsync(sent);
            await Payload.ReceiveAllAsync(connection, buffer);
            Assert.True(sent.Span.SequenceEqual(buffer));
        }));
        foreach (var connection in connections) connection.Dispose();
        await server;
        await site.ExpectQuietAsync();
    }

    [Theory(Timeout = Site.TimeoutMs)]
    [InlineData(false)]
    [InlineData(true)]
    public async Task HttpClientFetchesOverOurConnections(bool v6)
    {
        site.Need();
        var (listener, at) = site.KernelListener(v6);
        using var _ = listener;
        var server = ServeAsync(listener, static async stream =>
        {
            using var reader = new StreamReader(stream, leaveOpen: true);
            while (await reader.ReadLineAsync() is { Length: > 0 })
            {
            }
            await stream.WriteAsync("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nHello"u8.ToArray());
        });
        using (var handler = new SocketsHttpHandler { ConnectCallback = site.Network.ConnectAsync })
        using (var client = new HttpClient(handler))
        {
            Assert.Equal("Hello", await client.GetStringAsync(new Uri($"http://{at}/")));
        }
        await server;
        await site.ExpectQuietAsync();
    }

    [Theory(Timeout = Site.TimeoutMs)]
    [InlineData(false)]
    [InlineData(true)]
    public async Task DatagramsOfOursAreEchoedByTheKernel(bool v6)
    {
        site.Need();
        using var kernel = site.KernelSocket(SocketType.Dgram, v6);
        kernel.Bind(new IPEndPoint(Site.Kernel(v6), 0));
        var at = (IPEndPoint)kernel.LocalEndPoint!;
        using var ours = site.Network.BindUdp(new IPEndPoint(v6 ? IPAddress.IPv6Any : IPAddress.Any, 0));
        byte[] there = new byte[65_536], here = new byte[65_536];
        foreach (var size in (int[])[1, 1_400, 8_000, 60_000])
        {
            var sent = Payload.At(size, long.MaxValue)[..size];
            await ours.SendToAsync(sent, at);
            var received = await kernel.ReceiveFromAsync(there, at);
            await kernel.SendToAsync(there.AsMemory(0, received.ReceivedBytes), received.RemoteEndPoint);
            Assert.Equal(size, (await ours.ReceiveFromAsync(here)).ReceivedBytes);
            Assert.True(sent.Span.SequenceEqual(here.AsSpan(0, size)));
        }
    }

    private bool TryConnect(IPEndPoint at, out Sockets.TcpConnection? connection)
    {
        try
        {
            connection = site.Network.ConnectTcpAsync(at).AsTask().GetAwaiter().GetResult();
            return true;
        }
        catch (SocketException)
        {
            connection = null;
            return false;
        }
    }

    private static async Task ServeAsync(Socket listener, Func<Stream, Task> service)
    {
        using var socket = await listener.AcceptAsync();
        await using var stream = new NetworkStream(socket);
        await service(stream);
    }
}

/// <summary>The same over TAP.</summary>
public sealed class KernelServerOverTapTests(TapSite site) : KernelServerTests(site), IClassFixture<TapSite>;

/// <summary>The same over AF_XDP.</summary>
public sealed class KernelServerOverXdpTests(XdpSite site) : KernelServerTests(site), IClassFixture<XdpSite>;

public sealed class KernelServerOverPacketTests(PacketSite site) : KernelServerTests(site), IClassFixture<PacketSite>;
