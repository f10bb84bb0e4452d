// Two whole networks against each other: echo, both families, allocation, modes, link down and up, stopping without loss, the watchdog.
using System.Net;
using System.Net.Sockets;
using Peregrine.Core.Links;
using Peregrine.Sockets;

namespace Peregrine.Tests;

public sealed class NetworkTests
{
    [Theory]
    [InlineData(IdleMode.Adaptive, CompletionMode.Inline)]
    [InlineData(IdleMode.Block, CompletionMode.Inline)]
    [InlineData(IdleMode.BusyPoll, CompletionMode.ThreadPool)]
    [InlineData(IdleMode.Block, CompletionMode.ThreadPool)]
    public async Task EchoOverTheLink(IdleMode idle, CompletionMode mode)
    {
        await using var networks = await TestNetworks.StartAsync(o => o with { Idle = idle, CompletionMode = mode });
        var (client, server) = await networks.PairAsync();
        var echo = EchoAsync(server);
        var bytes = new byte[300_000];
        new Random(1).NextBytes(bytes);
        var send = Task.Run(async () => await client.SendAsync(bytes));
        var got = new byte[bytes.Length];
        await client.AsStream().ReadExactlyAsync(got).AsTask().WaitAsync(TestNetworks.Limit);
        await send.WaitAsync(TestNetworks.Limit);
        Assert.True(got.AsSpan().SequenceEqual(bytes));
        client.Dispose();
        Assert.Equal(bytes.Length, await echo.WaitAsync(TestNetworks.Limit));
    }

    [Fact]
    public async Task EchoOverIPv6AndTheDriversPlatform()
    {
        await using var networks = await TestNetworks.StartAsync(static o => o with { Idle = IdleMode.Block }, new Drivers.LinuxPlatform());
        var listener = networks.A.ListenTcp(new IPEndPoint(IPAddress.IPv6Any, 0));
        var accept = listener.AcceptAsync().AsTask();
        var client = await networks.B.ConnectTcpAsync(new IPEndPoint(IPAddress.Parse("fd07::1"), listener.LocalEndPoint.Port)).AsTask().WaitAsync(TestNetworks.Limit);
        _ = EchoAsync(await accept.WaitAsync(TestNetworks.Limit));
        await client.SendAsync(new byte[] { 1, 2, 3 }).AsTask().WaitAsync(TestNetworks.Limit);
        var got = new byte[3];
        await client.AsStream().ReadExactlyAsync(got).AsTask().WaitAsync(TestNetworks.Limit);
        Assert.Equal([1, 2, 3], got);
        Assert.Equal(AddressFamily.InterNetworkV6, client.RemoteEndPoint!.AddressFamily);
        // A dual-mode listener takes the other family too.
        var other = listener.AcceptAsync().AsTask();
        var four = await networks.B.ConnectTcpAsync(new IPEndPoint(IPAddress.Parse("10.7.0.1"), listener.LocalEndPoint.Port)).AsTask().WaitAsync(TestNetworks.Limit);
        Assert.Equal(four.LocalEndPoint, (await other.WaitAsync(TestNetworks.Limit)).RemoteEndPoint);
    }

    [Fact]
    public async Task EchoAllocatesNothingOnTheCoresThread()
    {
        await using var networks = await TestNetworks.StartAsync();
        var (client, server) = await networks.PairAsync();
        _ = networks.A.Engine.Run(() => EchoAsync(server));
        var allocated = await (await networks.B.Engine.RunAsync(() => AskAsync(networks.A, client, 1_000, 1_000))).WaitAsync(TestNetworks.Limit);
        Assert.Equal((0L, 0L), allocated);
    }

    [Fact]
    public async Task DatagramsGoBothWays()
    {
        await using var networks = await TestNetworks.StartAsync();
        var server = networks.A.BindUdp(new IPEndPoint(IPAddress.Any, 0));
        var client = networks.B.BindUdp(new IPEndPoint(IPAddress.Any, 0));
        var receive = server.ReceiveFromAsync(new byte[100]).AsTask();
        await client.SendToAsync(new byte[50], new IPEndPoint(IPAddress.Parse("10.7.0.1"), server.LocalEndPoint.Port)).AsTask().WaitAsync(TestNetworks.Limit);
        var received = await receive.WaitAsync(TestNetworks.Limit);
        Assert.Equal(50, received.ReceivedBytes);
        var answer = client.ReceiveAsync(new byte[100]).AsTask();
        await server.SendToAsync(new byte[60], received.RemoteEndpoint).AsTask().WaitAsync(TestNetworks.Limit);
        Assert.Equal(60, await answer.WaitAsync(TestNetworks.Limit));
    }

    [Fact]
    public async Task DisposalOfTheNetworkLosesNothingThatWasSent()
    {
        await using var networks = await TestNetworks.StartAsync(static o => o with { CompletionMode = CompletionMode.ThreadPool });
        var (client, server) = await networks.PairAsync();
        var bytes = new byte[200_000];
        new Random(2).NextBytes(bytes);
        await client.SendAsync(bytes).AsTask().WaitAsync(TestNetworks.Limit);
        var stopping = networks.B.DisposeAsync().AsTask();
        var got = new MemoryStream();
        var buffer = new byte[10_000];
        while (await server.ReceiveAsync(buffer).AsTask().WaitAsync(TestNetworks.Limit) is var n && n > 0) got.Write(buffer, 0, n);
        Assert.True(got.ToArray().AsSpan().SequenceEqual(bytes));
        await stopping.WaitAsync(TestNetworks.Limit);
    }

    [Fact]
    public async Task StopLetsOpenConnectionsFinish()
    {
        await using var networks = await TestNetworks.StartAsync(static o => o with { CompletionMode = CompletionMode.ThreadPool });
        var listener = networks.A.ListenTcp(new IPEndPoint(IPAddress.Any, 0));
        var accept = listener.AcceptAsync().AsTask();
        var client = await networks.B.ConnectTcpAsync(new IPEndPoint(IPAddress.Parse("10.7.0.1"), listener.LocalEndPoint.Port)).AsTask().WaitAsync(TestNetworks.Limit);
        var echo = EchoAsync(await accept.WaitAsync(TestNetworks.Limit));
        var next = listener.AcceptAsync().AsTask();
        var stop = networks.A.StopAsync();
        await Assert.ThrowsAsync<SocketException>(() => next.WaitAsync(TestNetworks.Limit));
        // The listener is gone and the connection still works.
        await client.SendAsync(new byte[5]).AsTask().WaitAsync(TestNetworks.Limit);
        await client.AsStream().ReadExactlyAsync(new byte[5]).AsTask().WaitAsync(TestNetworks.Limit);
        Assert.False(stop.IsCompleted);
        client.Dispose();
        Assert.Equal(5, await echo.WaitAsync(TestNetworks.Limit));
        await stop.WaitAsync(TestNetworks.Limit);
        Assert.DoesNotContain(networks.Log.Lines, static line => line.Contains("connections are reset", StringComparison.Ordinal));
    }

    [Fact]
    public async Task StopResetsWhatIsLeftAfterItsTime()
    {
        await using var networks = await TestNetworks.StartAsync(static o => o with { StopGraceMs = 20, CompletionMode = CompletionMode.ThreadPool });
        var (client, server) = await networks.PairAsync();
        var receive = client.ReceiveAsync(new byte[1]).AsTask();
        await networks.A.StopAsync().WaitAsync(TestNetworks.Limit);
        Assert.Contains(networks.Log.Lines, static line => line.Contains("1 connections are reset", StringComparison.Ordinal));
        Assert.Equal(SocketError.ConnectionReset, (await Assert.ThrowsAsync<SocketException>(() => receive.WaitAsync(TestNetworks.Limit))).SocketErrorCode);
        GC.KeepAlive(server);
    }

    [Fact]
    public async Task LinkDownAndUpIsLoggedAndDataGoOn()
    {
        await using var networks = await TestNetworks.StartAsync(static o => o with { LinkCheckMs = 1, CompletionMode = CompletionMode.ThreadPool });
        var (client, server) = await networks.PairAsync();
        networks.LinkA.SetCarrier(false);
        await networks.Log.WaitForAsync("is down");
        Assert.False(networks.A.IsLinkUp && networks.B.IsLinkUp);
        await client.SendAsync(new byte[5]).AsTask().WaitAsync(TestNetworks.Limit);
        networks.LinkA.SetCarrier(true);
        await networks.Log.WaitForAsync("is up.");
        await server.AsStream().ReadExactlyAsync(new byte[5]).AsTask().WaitAsync(TestNetworks.Limit);
    }

    [Fact]
    public async Task WatchdogNamesTheCallbackThatBlocks()
    {
        await using var networks = await TestNetworks.StartAsync(static o => o with { CallbackLimitMs = 5 });
        var (client, server) = await networks.PairAsync();
        using var release = new ManualResetEventSlim();
        var blocking = networks.A.Engine.Run(() => BlockTheCoreAsync(server, release));
        await client.SendAsync(new byte[1]).AsTask().WaitAsync(TestNetworks.Limit);
        try
        {
            var line = await Task.Run(() => networks.Log.WaitForAsync(nameof(BlockTheCoreAsync)));
            Assert.Contains("has held the core", line, StringComparison.Ordinal);
        }
        finally
        {
            release.Set();
        }
        await blocking.WaitAsync(TestNetworks.Limit);
    }

    [Fact]
    public async Task CallbackThatThrowsIsLoggedAndTheCoreGoesOn()
    {
        await using var networks = await TestNetworks.StartAsync();
        networks.A.Engine.Context.Post(static _ => throw new InvalidOperationException("by design"), null);
        await networks.Log.WaitForAsync("threw");
        var (client, server) = await networks.PairAsync();
        Assert.NotNull(client.RemoteEndPoint);
        Assert.NotNull(server.RemoteEndPoint);
    }

    [Fact]
    public async Task StoppedNetworkRefusesEverything()
    {
        var (link, other) = MemoryLink.CreatePair();
        using var a = link;
        using var b = other;
        var network = await PeregrineNetwork.StartAsync(TestNetworks.Options("x", "10.7.0.1"), link);
        await network.DisposeAsync();
        await network.DisposeAsync();
        await network.StopAsync().WaitAsync(TestNetworks.Limit);
        Assert.Throws<ObjectDisposedException>(() => network.ListenTcp(new IPEndPoint(IPAddress.Any, 1)));
        await Assert.ThrowsAsync<SocketException>(() => network.ConnectTcpAsync(new IPEndPoint(IPAddress.Loopback, 1)).AsTask().WaitAsync(TestNetworks.Limit));
    }

    [Fact]
    public async Task UnreachableAndRefusedSayWhy()
    {
        await using var networks = await TestNetworks.StartAsync();
        var refused = await Assert.ThrowsAsync<SocketException>(() => networks.B.ConnectTcpAsync(new IPEndPoint(IPAddress.Parse("10.7.0.1"), 9)).AsTask().WaitAsync(TestNetworks.Limit));
        var unreachable = await Assert.ThrowsAsync<SocketException>(() => networks.B.ConnectTcpAsync(new IPEndPoint(IPAddress.Parse("192.0.2.1"), 9)).AsTask().WaitAsync(TestNetworks.Limit));
        Assert.Equal((SocketError.ConnectionRefused, SocketError.NetworkUnreachable), (refused.SocketErrorCode, unreachable.SocketErrorCode));
    }

    [Fact]
    public async Task CancelledConnectLeavesNothingBehind()
    {
        await using var networks = await TestNetworks.StartAsync(static o => o with { CompletionMode = CompletionMode.ThreadPool });
        using var cancel = new CancellationTokenSource();
        var connect = networks.B.ConnectTcpAsync(new IPEndPoint(IPAddress.Parse("10.7.0.99"), 9), null, cancel.Token).AsTask();
        cancel.Cancel();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => connect.WaitAsync(TestNetworks.Limit));
        Assert.Equal(0, networks.B.Engine.Run(() => networks.B.Engine.ConnectionCount));
    }

    private static async Task<int> EchoAsync(TcpConnection connection)
    {
        var (buffer, total) = (new byte[16_384], 0);
        while (await connection.ReceiveAsync(buffer).ConfigureAwait(false) is var n && n > 0)
        {
            await connection.SendAsync(buffer.AsMemory(0, n)).ConfigureAwait(false);
            total += n;
        }
        connection.Dispose();
        return total;
    }

    /// <summary>On the core's thread: asks, and counts what both cores' threads allocate meanwhile, after a warm-up.</summary>
    private static async Task<(long Own, long Other)> AskAsync(PeregrineNetwork other, TcpConnection connection, int warmUp, int count)
    {
        var (request, answer) = (new byte[100], new byte[200]);
        var otherBefore = 0L;
        var before = 0L;
        for (var i = 0; i < warmUp + count; i++)
        {
            if (i == warmUp / 2) otherBefore = await other.Engine.RunAsync(GC.GetAllocatedBytesForCurrentThread).ConfigureAwait(false);
            if (i == warmUp / 2 + 1) await connection.Engine.RunAsync(static () => true).ConfigureAwait(false);
            if (i == warmUp) before = GC.GetAllocatedBytesForCurrentThread();
            await connection.SendAsync(request);
            if (await connection.ReceiveAsync(answer) != request.Length) throw new InvalidOperationException("The echo came in parts.");
        }
        var own = GC.GetAllocatedBytesForCurrentThread() - before;
        var otherAfter = await other.Engine.RunAsync(GC.GetAllocatedBytesForCurrentThread).ConfigureAwait(false);
        // The echo's side: two questions from elsewhere may cost it a little, a thousand echoes nothing.
        return (own, (otherAfter - otherBefore) / count);
    }

    private static async Task BlockTheCoreAsync(TcpConnection connection, ManualResetEventSlim release)
    {
        await connection.ReceiveAsync(new byte[1]).ConfigureAwait(false);
        release.Wait(TestNetworks.Limit);
    }
}
