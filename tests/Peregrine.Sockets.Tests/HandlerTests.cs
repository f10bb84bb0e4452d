// The span call-back, and that an echo of any kind allocates nothing.
using System.Net;
using System.Net.Sockets;

namespace Peregrine.Sockets.Tests;

public sealed class HandlerTests
{
    [Fact]
    public async Task HandlerGetsBytesBatchesAndTheEnd()
    {
        await using var network = TestNetwork.ByHand();
        var (client, server) = network.Pair();
        var handler = new EchoHandler();
        server.SetHandler(handler);
        Assert.Equal(3, await client.SendAsync(new byte[] { 1, 2, 3 }));
        network.Core.Settle();
        var buffer = new byte[8];
        Assert.Equal(3, await client.ReceiveAsync(buffer));
        Assert.Equal((3, 1), (handler.Bytes, handler.Batches));
        client.Shutdown(SocketShutdown.Send);
        network.Core.Settle();
        Assert.True(server.IsDisposed);
        Assert.Equal(0, await client.ReceiveAsync(buffer));
    }

    [Fact]
    public async Task AnotherHandlerIsToldOfBatchesThatTheOneBeforeDidNotWant()
    {
        await using var network = TestNetwork.ByHand();
        var (client, server) = network.Pair();
        client.NoDelay = true;
        var (plain, echo) = (new CountingHandler(), new EchoHandler());
        foreach (var (handler, times) in new (ITcpHandler, int)[] { (plain, 3), (echo, 2), (plain, 1), (new Forwarding(plain, echo), 3) })
        {
            server.SetHandler(handler);
            for (var i = 0; i < times; i++)
            {
                Assert.Equal(3, await client.SendAsync(new byte[] { 1, 2, 3 }));
                network.Core.Settle();
            }
        }
        // A wrapper asks a handler that does nothing at a batch's end, and is told of all of them nevertheless.
        Assert.Equal((3 * (3 + 1 + 3), 2 + 3), (plain.Bytes, echo.Batches));
    }

    [Fact]
    public async Task HandlerThatSetsAnotherHasTheRestToldToIt()
    {
        await using var network = TestNetwork.ByHand();
        var (client, server) = network.Pair();
        var next = new EchoHandler();
        var first = new UpgradingHandler(next);
        server.SetHandler(first);
        const int Length = 40_000;
        await client.SendAsync(new byte[Length]);
        client.Shutdown(SocketShutdown.Send);
        network.Core.Settle();
        Assert.Equal(1, first.Calls);
        Assert.InRange(next.Bytes, 1, Length - 1);
        Assert.Equal(Length, first.Bytes + next.Bytes);
        // The end of the stream is the next one's too, which closes then.
        Assert.True(server.IsDisposed);
    }

    [Fact]
    public async Task WhatArrivedBeforeTheHandlerIsDelivered()
    {
        await using var network = TestNetwork.ByHand();
        var (client, server) = network.Pair();
        Assert.Equal(3, await client.SendAsync(new byte[] { 1, 2, 3 }));
        network.Core.Settle();
        var handler = new EchoHandler();
        server.SetHandler(handler);
        Assert.Equal(3, handler.Bytes);
    }

    [Fact]
    public async Task HandlerThatAnswersAndClosesHasReadWhatItWasGiven()
    {
        await using var network = TestNetwork.ByHand();
        var (client, server) = network.Pair();
        server.SetHandler(new LastWordHandler());
        Assert.Equal(3, await client.SendAsync(new byte[] { 1, 2, 3 }));
        network.Core.Settle();
        Assert.True(server.IsDisposed);
        var buffer = new byte[8];
        Assert.Equal(3, await client.ReceiveAsync(buffer));
        // The orderly end and no reset, after which the answer could have been lost.
        Assert.Equal(0, await client.ReceiveAsync(buffer));
        client.Dispose();
        network.Core.Settle();
        Assert.Equal(0, network.Core.Stack.Tcp.Counters.ResetsSent);
        Assert.Equal(0, network.Core.ConnectionCount);
    }

    [Fact]
    public async Task HandlerThatThrowsResetsItsConnectionOnly()
    {
        await using var network = TestNetwork.ByHand();
        var (client, server) = network.Pair();
        var (other, mirror) = network.Pair();
        server.SetHandler(new ThrowingHandler());
        mirror.SetHandler(new EchoHandler());
        Assert.Equal(1, await client.SendAsync(new byte[1]));
        Assert.Equal(1, await other.SendAsync(new byte[1]));
        network.Core.Settle();
        await Assert.ThrowsAsync<SocketException>(async () => await client.ReceiveAsync(new byte[1]));
        Assert.Equal(1, await other.ReceiveAsync(new byte[1]));
        Assert.Single(network.Core.Unhandled);
    }

    [Fact]
    public async Task HandlerHearsOfAReset()
    {
        await using var network = TestNetwork.ByHand();
        var (client, server) = network.Pair();
        var handler = new EchoHandler();
        server.SetHandler(handler);
        client.Abort();
        network.Core.Settle();
        Assert.Equal(SocketError.ConnectionReset, handler.Error);
    }

    [Theory]
    [InlineData("handler")]
    [InlineData("await")]
    [InlineData("pipe")]
    [InlineData("stream")]
    public async Task EchoAllocatesNothing(string kind)
    {
        await using var network = TestNetwork.ByHand();
        var (client, server) = network.Pair();
        if (kind == "handler") server.SetHandler(new EchoHandler());
        else _ = kind switch { "pipe" => EchoByPipe(server), "stream" => EchoByStream(server.AsStream()), _ => EchoByAwait(server) };
        var (request, answer) = (new byte[100], new byte[200]);
        long Round(int count)
        {
            var before = GC.GetAllocatedBytesForCurrentThread();
            for (var i = 0; i < count; i++)
            {
                var receive = client.ReceiveAsync(answer);
                _ = client.SendAsync(request).Result;
                for (var turn = 0; turn < 20 && !receive.IsCompleted; turn++) network.Core.Turn();
                if (receive.Result != request.Length) return -1;
            }
            return GC.GetAllocatedBytesForCurrentThread() - before;
        }
        Assert.True(Round(2_000) >= 0);
        Assert.Equal(0, Round(1_000));
    }

    [Fact]
    public async Task DatagramAllocatesNothing()
    {
        await using var network = TestNetwork.ByHand();
        var server = network.BindUdp(new IPEndPoint(IPAddress.Loopback, 0));
        var client = network.BindUdp(new IPEndPoint(IPAddress.Loopback, 0));
        _ = EchoDatagrams(server);
        var to = new Wire.Endpoint(Wire.IpAddress.IPv4Loopback, (ushort)server.LocalEndPoint.Port);
        var (request, answer) = (new byte[100], new byte[200]);
        var from = new SocketAddress(AddressFamily.InterNetwork);
        long Round(int count)
        {
            var before = GC.GetAllocatedBytesForCurrentThread();
            for (var i = 0; i < count; i++)
            {
                var receive = client.ReceiveFromAsync(answer, from);
                _ = client.SendToAsync(request, to).Result;
                for (var turn = 0; turn < 20 && !receive.IsCompleted; turn++) network.Core.Turn();
                if (receive.Result != request.Length) return -1;
            }
            return GC.GetAllocatedBytesForCurrentThread() - before;
        }
        Assert.True(Round(2_000) >= 0);
        Assert.Equal(0, Round(1_000));
    }

    private static async Task EchoByAwait(TcpConnection connection)
    {
        var buffer = new byte[4096];
        while (await connection.ReceiveAsync(buffer) is var n && n > 0) await connection.SendAsync(buffer.AsMemory(0, n));
    }

    private static async Task EchoByStream(Stream stream)
    {
        var buffer = new byte[4096];
        while (await stream.ReadAsync(buffer) is var n && n > 0) await stream.WriteAsync(buffer.AsMemory(0, n));
    }

    private static async Task EchoByPipe(TcpConnection connection)
    {
        while (true)
        {
            var result = await connection.Input.ReadAsync();
            foreach (var part in result.Buffer)
            {
                part.Span.CopyTo(connection.Output.GetSpan(part.Length));
                connection.Output.Advance(part.Length);
            }
            connection.Input.AdvanceTo(result.Buffer.End);
            await connection.Output.FlushAsync();
            if (result.IsCompleted) return;
        }
    }

    private static async Task EchoDatagrams(UdpSocket socket)
    {
        var buffer = new byte[2048];
        while (true)
        {
            var received = await socket.ReceiveFromAsync(buffer);
            await socket.SendToAsync(buffer.AsMemory(0, received.ReceivedBytes), received.RemoteEndpoint);
        }
    }

    private sealed class EchoHandler : ITcpHandler
    {
        internal int Bytes { get; private set; }

        internal int Batches { get; private set; }

        internal SocketError Error { get; private set; }

        public void OnReceived(TcpConnection connection, ReadOnlySpan<byte> bytes)
        {
            Bytes += bytes.Length;
            connection.TrySend(bytes);
        }

        public void OnBatchEnd(TcpConnection connection) => Batches++;

        public void OnClosed(TcpConnection connection, SocketError error) => Error = error;
    }

    private sealed class CountingHandler : ITcpHandler
    {
        internal int Bytes { get; private set; }

        public void OnReceived(TcpConnection connection, ReadOnlySpan<byte> bytes) => Bytes += bytes.Length;
    }

    private sealed class UpgradingHandler(ITcpHandler next) : ITcpHandler
    {
        internal int Bytes { get; private set; }

        internal int Calls { get; private set; }

        public void OnReceived(TcpConnection connection, ReadOnlySpan<byte> bytes)
        {
            Calls++;
            Bytes += bytes.Length;
            connection.SetHandler(next);
        }
    }

    private sealed class Forwarding(ITcpHandler plain, ITcpHandler echo) : ITcpHandler
    {
        public void OnReceived(TcpConnection connection, ReadOnlySpan<byte> bytes) => plain.OnReceived(connection, bytes);

        public void OnBatchEnd(TcpConnection connection)
        {
            plain.OnBatchEnd(connection);
            echo.OnBatchEnd(connection);
        }
    }

    private sealed class LastWordHandler : ITcpHandler
    {
        public void OnReceived(TcpConnection connection, ReadOnlySpan<byte> bytes)
        {
            connection.TrySend(bytes);
            connection.Dispose();
        }
    }

    private sealed class ThrowingHandler : ITcpHandler
    {
        public void OnReceived(TcpConnection connection, ReadOnlySpan<byte> bytes) => throw new InvalidOperationException("by design");
    }
}
