// UDP sockets as an application meets them.
using System.Net;
using System.Net.Sockets;

namespace Peregrine.Sockets.Tests;

public sealed class UdpSocketTests
{
    [Fact]
    public async Task DatagramCarriesItsSender()
    {
        await using var network = TestNetwork.ByHand();
        var server = network.BindUdp(new IPEndPoint(IPAddress.Any, 0));
        var client = network.BindUdp(new IPEndPoint(IPAddress.Loopback, 0));
        var receive = server.ReceiveFromAsync(new byte[16]);
        Assert.Equal(3, await client.SendToAsync(new byte[3], new IPEndPoint(IPAddress.Loopback, server.LocalEndPoint.Port)));
        network.Core.Settle();
        var received = await receive;
        Assert.Equal((3, client.LocalEndPoint.Port, false), (received.ReceivedBytes, received.RemoteEndpoint.Port, received.IsTruncated));
        Assert.Equal(Wire.IpAddress.IPv4Loopback, received.LocalAddress);
    }

    [Fact]
    public async Task ShortBufferCutsTheDatagramAndSaysSo()
    {
        await using var network = TestNetwork.ByHand();
        var (server, client) = (network.BindUdp(new IPEndPoint(IPAddress.Loopback, 0)), network.BindUdp(new IPEndPoint(IPAddress.Loopback, 0)));
        await client.SendToAsync(new byte[10], server.LocalEndPoint);
        await client.SendToAsync(new byte[4], server.LocalEndPoint);
        network.Core.Settle();
        var (first, second) = (await server.ReceiveFromAsync(new byte[5]), await server.ReceiveFromAsync(new byte[5]));
        Assert.Equal((5, true, 4, false), (first.ReceivedBytes, first.IsTruncated, second.ReceivedBytes, second.IsTruncated));
    }

    [Fact]
    public async Task SocketAddressFormGivesTheSender()
    {
        await using var network = TestNetwork.ByHand();
        var (server, client) = (network.BindUdp(new IPEndPoint(IPAddress.Loopback, 0)), network.BindUdp(new IPEndPoint(IPAddress.Loopback, 0)));
        await client.SendToAsync(new byte[10], server.LocalEndPoint.Serialize());
        network.Core.Settle();
        var from = new SocketAddress(AddressFamily.InterNetwork);
        Assert.Equal(10, await server.ReceiveFromAsync(new byte[20], from));
        Assert.Equal(client.LocalEndPoint, new IPEndPoint(0, 0).Create(from));
    }

    [Fact]
    public async Task ConnectedSocketSendsWithoutAnAddressAndHearsOfRefusal()
    {
        await using var network = TestNetwork.ByHand();
        var (server, client) = (network.BindUdp(new IPEndPoint(IPAddress.Loopback, 0)), network.BindUdp(new IPEndPoint(IPAddress.Any, 0)));
        Assert.Equal(SocketError.NotConnected, (await Assert.ThrowsAsync<SocketException>(async () => await client.SendAsync(new byte[1]))).SocketErrorCode);
        await client.ConnectAsync(server.LocalEndPoint);
        Assert.Equal(server.LocalEndPoint, client.RemoteEndPoint);
        Assert.Equal(2, await client.SendAsync(new byte[2]));
        network.Core.Settle();
        Assert.Equal(2, await server.ReceiveAsync(new byte[5]));
        server.Dispose();
        network.Core.Settle();
        Assert.Equal(2, await client.SendAsync(new byte[2]));
        network.Core.Settle();
        Assert.Equal(SocketError.ConnectionRefused, (await Assert.ThrowsAsync<SocketException>(async () => await client.ReceiveAsync(new byte[5]))).SocketErrorCode);
    }

    [Fact]
    public async Task DisposalFailsWhatIsPendingAndFreesThePort()
    {
        await using var network = TestNetwork.ByHand();
        var socket = network.BindUdp(new IPEndPoint(IPAddress.Loopback, 0));
        Assert.Equal(SocketError.AddressAlreadyInUse, Assert.Throws<SocketException>(() => network.BindUdp(socket.LocalEndPoint)).SocketErrorCode);
        var pending = socket.ReceiveAsync(new byte[1]);
        Assert.Throws<InvalidOperationException>(() => { _ = socket.ReceiveAsync(new byte[1]); });
        socket.Dispose();
        network.Core.Settle();
        Assert.Equal(SocketError.OperationAborted, (await Assert.ThrowsAsync<SocketException>(async () => await pending)).SocketErrorCode);
        await Assert.ThrowsAsync<ObjectDisposedException>(async () => await socket.ReceiveAsync(new byte[1]));
        Assert.Equal(socket.LocalEndPoint, network.BindUdp(socket.LocalEndPoint).LocalEndPoint);
    }

    [Fact]
    public async Task CancelledReceiveLosesNoDatagram()
    {
        await using var network = TestNetwork.OnThread();
        var (server, client) = (network.BindUdp(new IPEndPoint(IPAddress.Loopback, 0)), network.BindUdp(new IPEndPoint(IPAddress.Loopback, 0)));
        using var cancel = new CancellationTokenSource();
        var receive = server.ReceiveAsync(new byte[5], cancel.Token).AsTask();
        cancel.Cancel();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => receive.WaitAsync(TestNetwork.Limit));
        await client.SendToAsync(new byte[4], server.LocalEndPoint).AsTask().WaitAsync(TestNetwork.Limit);
        Assert.Equal(4, await server.ReceiveAsync(new byte[5]).AsTask().WaitAsync(TestNetwork.Limit));
    }
}
