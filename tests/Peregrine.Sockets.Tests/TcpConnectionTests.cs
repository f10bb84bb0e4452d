// What an application meets on a connection: data, ends, errors, cancellation, disposal, on the core's thread by hand.
using System.Net;
using System.Net.Sockets;

namespace Peregrine.Sockets.Tests;

public sealed class TcpConnectionTests
{
    private static readonly byte[] s_hello = "hello"u8.ToArray();

    [Fact]
    public async Task WhatIsSentIsReceived()
    {
        await using var network = TestNetwork.ByHand();
        var (client, server) = network.Pair();
        var receive = server.ReceiveAsync(new byte[16]);
        Assert.False(receive.IsCompleted);
        var send = client.SendAsync(s_hello);
        Assert.True(send.IsCompletedSuccessfully);
        Assert.Equal(5, send.Result);
        network.Core.Settle();
        Assert.True(receive.IsCompletedSuccessfully);
        Assert.Equal(5, receive.Result);
    }

    [Fact]
    public async Task ReceiveCompletesAtOnceWhenBytesWait()
    {
        await using var network = TestNetwork.ByHand();
        var (client, server) = network.Pair();
        Assert.Equal(5, client.SendAsync(s_hello).Result);
        network.Core.Settle();
        var buffer = new byte[3];
        var receive = server.ReceiveAsync(buffer);
        Assert.True(receive.IsCompletedSuccessfully);
        Assert.Equal(3, receive.Result);
        Assert.Equal("hel"u8.ToArray(), buffer);
        Assert.Equal(2, server.ReceiveAsync(buffer).Result);
    }

    [Fact]
    public async Task EmptyReceiveCompletesWhenReadableAndTakesNothing()
    {
        await using var network = TestNetwork.ByHand();
        var (client, server) = network.Pair();
        var empty = server.ReceiveAsync(Memory<byte>.Empty);
        Assert.False(empty.IsCompleted);
        Assert.Equal(5, client.SendAsync(s_hello).Result);
        network.Core.Settle();
        Assert.Equal(0, empty.Result);
        Assert.Equal(5, server.ReceiveAsync(new byte[16]).Result);
    }

    [Fact]
    public async Task SecondReceiveIsRefusedInWords()
    {
        await using var network = TestNetwork.ByHand();
        var (_, server) = network.Pair();
        var first = server.ReceiveAsync(new byte[1]);
        var e = Assert.Throws<InvalidOperationException>(() => { _ = server.ReceiveAsync(new byte[1]); });
        Assert.Contains("Another receive is pending", e.Message, StringComparison.Ordinal);
        Assert.False(first.IsCompleted);
    }

    [Fact]
    public async Task SecondSendIsRefusedInWords()
    {
        await using var network = TestNetwork.ByHand();
        var (client, _) = network.Pair();
        var first = client.SendAsync(new byte[64 << 20]);
        Assert.False(first.IsCompleted);
        var e = Assert.Throws<InvalidOperationException>(() => { _ = client.SendAsync(s_hello); });
        Assert.Contains("Another send is pending", e.Message, StringComparison.Ordinal);
        client.Abort();
        network.Core.Settle();
        Assert.True(first.IsFaulted);
        Assert.Throws<SocketException>(() => first.GetAwaiter().GetResult());
    }

    [Fact]
    public async Task LargeSendCompletesWhenTheReaderHasMadeRoom()
    {
        await using var network = TestNetwork.ByHand();
        var (client, server) = network.Pair();
        var bytes = new byte[8 << 20];
        new Random(1).NextBytes(bytes);
        var send = client.SendAsync(bytes);
        var got = new MemoryStream();
        var buffer = new byte[50_000];
        while (got.Length < bytes.Length)
        {
            network.Core.Settle();
            var n = server.ReceiveAsync(buffer).Result;
            got.Write(buffer, 0, n);
        }
        network.Core.Settle();
        Assert.Equal(bytes.Length, send.Result);
        Assert.Equal(bytes, got.ToArray());
    }

    [Fact]
    public async Task HalfCloseGivesTheEndAndTheOtherDirectionLives()
    {
        await using var network = TestNetwork.ByHand();
        var (client, server) = network.Pair();
        Assert.Equal(5, client.SendAsync(s_hello).Result);
        client.Shutdown(SocketShutdown.Send);
        network.Core.Settle();
        Assert.Equal(5, server.ReceiveAsync(new byte[16]).Result);
        Assert.Equal(0, server.ReceiveAsync(new byte[16]).Result);
        Assert.Equal(0, server.ReceiveAsync(new byte[16]).Result);
        Assert.Equal(5, server.SendAsync(s_hello).Result);
        network.Core.Settle();
        Assert.Equal(5, client.ReceiveAsync(new byte[16]).Result);
    }

    [Fact]
    public async Task SendAfterShutdownFailsWithShutdown()
    {
        await using var network = TestNetwork.ByHand();
        var (client, _) = network.Pair();
        client.Shutdown(SocketShutdown.Send);
        var e = await Assert.ThrowsAsync<SocketException>(async () => await client.SendAsync(s_hello));
        Assert.Equal(SocketError.Shutdown, e.SocketErrorCode);
    }

    [Fact]
    public async Task ReceiveAfterReceiveShutdownGivesTheEnd()
    {
        await using var network = TestNetwork.ByHand();
        var (_, server) = network.Pair();
        var pending = server.ReceiveAsync(new byte[1]);
        server.Shutdown(SocketShutdown.Receive);
        network.Core.Settle();
        Assert.Equal(0, pending.Result);
        Assert.Equal(0, server.ReceiveAsync(new byte[1]).Result);
    }

    [Fact]
    public async Task ResetByThePeerIsConnectionReset()
    {
        await using var network = TestNetwork.ByHand();
        var (client, server) = network.Pair();
        var pending = server.ReceiveAsync(new byte[1]);
        client.Abort();
        network.Core.Settle();
        Assert.Equal(SocketError.ConnectionReset, Assert.Throws<SocketException>(() => pending.GetAwaiter().GetResult()).SocketErrorCode);
        var later = await Assert.ThrowsAsync<SocketException>(async () => await server.SendAsync(s_hello));
        Assert.Equal(SocketError.ConnectionReset, later.SocketErrorCode);
    }

    [Fact]
    public async Task DisposalFailsWhatIsPendingAndClosesTheOtherEnd()
    {
        await using var network = TestNetwork.ByHand();
        var (client, server) = network.Pair();
        var pending = server.ReceiveAsync(new byte[1]);
        server.Dispose();
        network.Core.Settle();
        Assert.Equal(SocketError.OperationAborted, Assert.Throws<SocketException>(() => pending.GetAwaiter().GetResult()).SocketErrorCode);
        await Assert.ThrowsAsync<ObjectDisposedException>(async () => await server.ReceiveAsync(new byte[1]));
        await Assert.ThrowsAsync<ObjectDisposedException>(async () => await server.SendAsync(s_hello));
        Assert.Equal(0, client.ReceiveAsync(new byte[1]).Result);
    }

    // As read(2) on Linux.
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task TheEndOfTheStreamStaysItsEndWhenAResetFollows(bool isReadBefore)
    {
        await using var network = TestNetwork.ByHand();
        var (client, server) = network.Pair();
        Assert.Equal(5, client.SendAsync(s_hello).Result);
        client.Shutdown(SocketShutdown.Send);
        network.Core.Settle();
        if (isReadBefore) Assert.Equal((5, 0), (server.ReceiveAsync(new byte[16]).Result, server.ReceiveAsync(new byte[16]).Result));
        client.Abort();
        network.Core.Settle();
        if (!isReadBefore) Assert.Equal(5, server.ReceiveAsync(new byte[16]).Result);
        Assert.Equal((0, 0), (server.ReceiveAsync(new byte[16]).Result, server.ReceiveAsync(default).Result));
        Assert.Equal(SocketError.ConnectionReset, Assert.Throws<SocketException>(() => server.SendAsync(s_hello).GetAwaiter().GetResult()).SocketErrorCode);
    }

    [Fact]
    public async Task DisposalWithLingerZeroResets()
    {
        await using var network = TestNetwork.ByHand();
        var (client, server) = network.Pair();
        server.LingerState = new LingerOption(true, 0);
        server.Dispose();
        network.Core.Settle();
        var e = await Assert.ThrowsAsync<SocketException>(async () => await client.ReceiveAsync(new byte[1]));
        Assert.Equal(SocketError.ConnectionReset, e.SocketErrorCode);
    }

    [Fact]
    public async Task WhatAListenerSaysOfLingeringIsInherited()
    {
        await using var network = TestNetwork.ByHand();
        var (client, server) = network.Pair(listen: new TcpListenerOptions { Settings = Core.Tcp.TcpSettings.Default with { LingerSeconds = 0 } });
        Assert.Equal((true, 0), (server.LingerState.Enabled, server.LingerState.LingerTime));
        Assert.False(client.LingerState.Enabled);
        client.LingerState = new LingerOption(true, 7);
        Assert.Equal(7, client.LingerState.LingerTime);
        server.Dispose();
        network.Core.Settle();
        var e = await Assert.ThrowsAsync<SocketException>(async () => await client.ReceiveAsync(new byte[1]));
        Assert.Equal(SocketError.ConnectionReset, e.SocketErrorCode);
    }

    [Fact]
    public async Task ListenersThatReuseAPortShareItsConnections()
    {
        await using var network = TestNetwork.ByHand();
        var shared = new TcpListenerOptions { ReusePort = true };
        var first = network.ListenTcp(new IPEndPoint(IPAddress.Loopback, 0), shared);
        var second = network.ListenTcp(first.LocalEndPoint, shared);
        Assert.Equal(SocketError.AddressAlreadyInUse, Assert.Throws<SocketException>(() => network.ListenTcp(first.LocalEndPoint)).SocketErrorCode);
        var counts = new int[2];
        for (var i = 0; i < 32; i++)
        {
            using var cancel = new CancellationTokenSource();
            var accepts = new[] { first.AcceptAsync(cancel.Token), second.AcceptAsync(cancel.Token) };
            var connect = network.ConnectTcpAsync(first.LocalEndPoint);
            network.Core.Settle();
            Assert.True(connect.IsCompletedSuccessfully);
            Assert.NotEqual(accepts[0].IsCompletedSuccessfully, accepts[1].IsCompletedSuccessfully);
            counts[accepts[0].IsCompletedSuccessfully ? 0 : 1]++;
            cancel.Cancel();
        }
        Assert.All(counts, static count => Assert.InRange(count, 4, 28));
    }

    [Fact]
    public async Task CancelledReceiveLosesNothing()
    {
        await using var network = TestNetwork.ByHand();
        var (client, server) = network.Pair();
        using var cancel = new CancellationTokenSource();
        var pending = server.ReceiveAsync(new byte[16], cancel.Token);
        cancel.Cancel();
        var e = Assert.Throws<OperationCanceledException>(() => pending.GetAwaiter().GetResult());
        Assert.Equal(cancel.Token, e.CancellationToken);
        Assert.Equal(5, client.SendAsync(s_hello).Result);
        network.Core.Settle();
        Assert.Equal(5, server.ReceiveAsync(new byte[16]).Result);
    }

    [Fact]
    public async Task CancelledBeforehandDoesNothing()
    {
        await using var network = TestNetwork.ByHand();
        var (client, server) = network.Pair();
        var canceled = new CancellationToken(true);
        await Assert.ThrowsAnyAsync<OperationCanceledException>(async () => await client.SendAsync(s_hello, canceled));
        await Assert.ThrowsAnyAsync<OperationCanceledException>(async () => await server.ReceiveAsync(new byte[1], canceled));
        network.Core.Settle();
        Assert.False(server.ReceiveAsync(new byte[1]).IsCompleted);
    }

    [Fact]
    public async Task CancelledSendLeavesTheConnectionUsable()
    {
        await using var network = TestNetwork.ByHand();
        var (client, server) = network.Pair();
        using var cancel = new CancellationTokenSource();
        var send = client.SendAsync(new byte[64 << 20], cancel.Token);
        cancel.Cancel();
        Assert.Throws<OperationCanceledException>(() => send.GetAwaiter().GetResult());
        network.Core.Settle();
        Assert.True(server.ReceiveAsync(new byte[1]).Result == 1);
        client.Shutdown(SocketShutdown.Send);
        var buffer = new byte[1 << 20];
        for (var left = 1000; left > 0; left--)
        {
            network.Core.Settle();
            if (server.ReceiveAsync(buffer).Result == 0) return;
        }
        Assert.Fail("The end did not come.");
    }

    [Fact]
    public async Task EndPointsNameBothEndsAndOutliveTheConnection()
    {
        await using var network = TestNetwork.ByHand();
        var (client, server) = network.Pair();
        Assert.Equal(client.LocalEndPoint, server.RemoteEndPoint);
        Assert.Equal(client.RemoteEndPoint, server.LocalEndPoint);
        var remote = client.RemoteEndPoint;
        client.Dispose();
        network.Core.Settle();
        Assert.Equal(remote, client.RemoteEndPoint);
    }

    [Fact]
    public async Task RefusedConnectionSaysSo()
    {
        await using var network = TestNetwork.ByHand();
        var connect = network.ConnectTcpAsync(new IPEndPoint(IPAddress.Loopback, 9));
        network.Core.Settle();
        Assert.Equal(SocketError.ConnectionRefused, Assert.Throws<SocketException>(() => connect.GetAwaiter().GetResult()).SocketErrorCode);
        Assert.Equal(0, network.Core.ConnectionCount);
    }

    [Fact]
    public async Task NameIsResolvedAndItsAddressesAreTriedInTurn()
    {
        await using var network = TestNetwork.ByHand();
        var listener = network.ListenTcp(new IPEndPoint(IPAddress.Loopback, 0));
        var connect = network.ConnectTcpAsync(new DnsEndPoint("two.example", listener.LocalEndPoint.Port)).AsTask();
        network.Core.Settle();
        Assert.True(connect.IsCompletedSuccessfully);
        var unknown = await Assert.ThrowsAsync<SocketException>(() => network.ConnectTcpAsync(new DnsEndPoint("nobody.example", 1)).AsTask());
        Assert.Equal(SocketError.HostNotFound, unknown.SocketErrorCode);
    }

    [Fact]
    public async Task PortInUseSaysSo()
    {
        await using var network = TestNetwork.ByHand();
        var listener = network.ListenTcp(new IPEndPoint(IPAddress.Any, 0));
        Assert.NotEqual(0, listener.LocalEndPoint.Port);
        var e = Assert.Throws<SocketException>(() => network.ListenTcp(new IPEndPoint(IPAddress.Any, listener.LocalEndPoint.Port)));
        Assert.Equal(SocketError.AddressAlreadyInUse, e.SocketErrorCode);
    }

    [Fact]
    public async Task DisposedListenerFailsItsAcceptsAndFreesItsPort()
    {
        await using var network = TestNetwork.ByHand();
        var listener = network.ListenTcp(new IPEndPoint(IPAddress.Any, 0));
        var (first, second) = (listener.AcceptAsync(), listener.AcceptAsync());
        await listener.DisposeAsync();
        network.Core.Settle();
        Assert.Equal(SocketError.OperationAborted, Assert.Throws<SocketException>(() => first.GetAwaiter().GetResult()).SocketErrorCode);
        Assert.Throws<SocketException>(() => second.GetAwaiter().GetResult());
        var again = network.ListenTcp(new IPEndPoint(IPAddress.Any, listener.LocalEndPoint.Port));
        Assert.Equal(listener.LocalEndPoint.Port, again.LocalEndPoint.Port);
    }

    [Fact]
    public async Task CancelledAcceptLosesNoConnection()
    {
        await using var network = TestNetwork.ByHand();
        var listener = network.ListenTcp(new IPEndPoint(IPAddress.Loopback, 0));
        using var cancel = new CancellationTokenSource();
        var accept = listener.AcceptAsync(cancel.Token);
        cancel.Cancel();
        Assert.Throws<OperationCanceledException>(() => accept.GetAwaiter().GetResult());
        var connect = network.ConnectTcpAsync(listener.LocalEndPoint);
        network.Core.Settle();
        Assert.True(listener.AcceptAsync().IsCompletedSuccessfully);
        Assert.True(connect.IsCompletedSuccessfully);
    }

    [Theory]
    [InlineData("ReceiveBufferSize", 1)]
    [InlineData("KeepAliveTimeSeconds", 0)]
    [InlineData("Ttl", 256)]
    [InlineData("Tos", -4)]
    [InlineData("UserTimeoutMs", 0)]
    public async Task OptionOutOfRangeNamesSettingValueAndRange(string name, int value)
    {
        await using var network = TestNetwork.ByHand();
        var (client, _) = network.Pair();
        var property = typeof(TcpSocketOptions).GetProperty(name)!;
        var e = Assert.Throws<System.Reflection.TargetInvocationException>(() => property.SetValue(client.Options, value)).InnerException;
        var range = Assert.IsType<ArgumentOutOfRangeException>(e);
        Assert.Contains(value.ToString(System.Globalization.CultureInfo.InvariantCulture), range.Message, StringComparison.Ordinal);
        Assert.Contains("from", range.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task OptionsAreKept()
    {
        await using var network = TestNetwork.ByHand();
        var (client, _) = network.Pair();
        client.NoDelay = true;
        client.Options.KeepAlive = true;
        client.Options.KeepAliveTimeSeconds = 60;
        client.Options.ReceiveBufferSize = 65_536;
        Assert.True(client.NoDelay);
        Assert.Equal((true, 60, 65_536), (client.Options.KeepAlive, client.Options.KeepAliveTimeSeconds, client.Options.ReceiveBufferSize));
    }

    [Fact]
    public async Task IdleConnectionObjectIsAtMost56Bytes()
    {
        await using var network = TestNetwork.ByHand();
        var handle = network.Pair().Client.Handle;
        _ = new TcpConnection(network.Core, handle);
        var before = GC.GetAllocatedBytesForCurrentThread();
        var connection = new TcpConnection(network.Core, handle);
        var bytes = GC.GetAllocatedBytesForCurrentThread() - before;
        Assert.InRange(bytes, 1, 56);
        GC.KeepAlive(connection);
    }
}
