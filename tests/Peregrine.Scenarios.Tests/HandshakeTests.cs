// Opening and closing connections between two stacks, by every road of RFC 9293 §3.5 and §3.6.
using System.Net.Sockets;
using Peregrine.Core.Tcp;
using Peregrine.Core.Time;
using Peregrine.Scenarios.Tests.World;
using Peregrine.Wire;

namespace Peregrine.Scenarios.Tests;

public sealed class HandshakeTests
{
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void OpenEchoAndCloseLeaveNothingBehind(bool v6)
    {
        using var world = new TwoHosts();
        var (client, server) = world.Open(v6: v6);
        Assert.Equal(5, world.A.Tcp.Send(client, "hello"u8, world.Now));
        var buffer = new byte[100];
        world.AssertRunUntil(() => world.B.Tcp.GetStatus(server).ReadableBytes == 5, Duration.FromSeconds(1), "the request");
        Assert.Equal(5, world.B.Tcp.Receive(server, buffer, world.Now));
        Assert.Equal(5, world.B.Tcp.Send(server, buffer.AsSpan(0, 5), world.Now));
        world.AssertRunUntil(() => world.A.Tcp.GetStatus(client).ReadableBytes == 5, Duration.FromSeconds(1), "the answer");
        Assert.Equal(5, world.A.Tcp.Receive(client, buffer, world.Now));
        Assert.Equal("hello"u8.ToArray(), buffer[..5]);
        Assert.Equal(SocketError.Success, world.A.Tcp.Shutdown(client, world.Now));
        world.AssertRunUntil(() => world.B.Tcp.GetStatus(server).PeerClosed, Duration.FromSeconds(1), "the FIN");
        Assert.Equal(TcpState.CloseWait, world.B.Tcp.GetStatus(server).State);
        world.AssertRunUntil(() => world.A.Tcp.GetStatus(client).State == TcpState.FinWait2, Duration.FromSeconds(1), "the ACK of the FIN");
        Assert.Equal(4, world.B.Tcp.Send(server, "last"u8, world.Now));
        Assert.Equal(SocketError.Success, world.B.Tcp.Shutdown(server, world.Now));
        world.AssertRunUntil(() => world.A.Tcp.GetStatus(client).PeerClosed, Duration.FromSeconds(1), "the other FIN");
        Assert.Equal(1, world.A.Tcp.TimeWaitCount);
        Assert.Equal(4, world.A.Tcp.Receive(client, buffer, world.Now));
        world.CloseAndAssertNothingLeaked((world.A, client), (world.B, server));
    }

    // A walk over all connections, for which settings that nobody has any more would be the end.
    [Fact]
    public void ConnectionThatWasLetGoInTimeWaitIsNoConnectionAnyMore()
    {
        using var world = new TwoHosts();
        var (client, server) = world.Open();
        Assert.Equal(SocketError.Success, world.A.Tcp.SetSettings(client, TcpSettings.Default with { UserTimeoutMs = 123_456 }, world.Now));
        Assert.Equal(SocketError.Success, world.A.Tcp.Shutdown(client, world.Now));
        Assert.Equal(SocketError.Success, world.B.Tcp.Shutdown(server, world.Now));
        world.AssertRunUntil(() => world.A.Tcp.TimeWaitCount == 1, Duration.FromSeconds(5), "TIME-WAIT");
        Assert.True(world.A.Tcp.TryGetHandle(0, out var listed));
        Assert.Equal((client, TcpState.TimeWait), (listed, world.A.Tcp.GetStatus(listed).State));
        world.A.Tcp.Close(client, world.Now);
        for (var slot = 0; slot < world.A.Tcp.SlotCount; slot++) Assert.False(world.A.Tcp.TryGetHandle(slot, out _));
        world.AssertRunUntil(() => world.B.Tcp.GetStatus(server).PeerClosed, Duration.FromSeconds(5), "the FIN");
        for (var slot = 0; slot < world.A.Tcp.SlotCount; slot++) Assert.False(world.A.Tcp.TryGetHandle(slot, out _));
    }

    [Fact]
    public void ConnectingToAClosedPortIsRefused()
    {
        using var world = new TwoHosts();
        Assert.Equal(SocketError.Success, world.A.Tcp.Connect(new TcpConnectOptions(new Endpoint(world.B.Address, 81)), world.Now, out var c));
        world.AssertRunUntil(() => world.A.Seen.ContainsKey(c), Duration.FromSeconds(1), "the refusal");
        Assert.Equal((TcpEvents.Closed, SocketError.ConnectionRefused), world.A.Seen[c]);
        world.CloseAndAssertNothingLeaked((world.A, c));
    }

    // Nothing is known of the neighbour when they begin: all SYNs wait for its answer, and none is lost, which would cost a second.
    [Fact]
    public void AHundredConnectionsBeginAtOnceWithAServerJustMet()
    {
        using var world = new TwoHosts();
        Assert.Equal(SocketError.Success, world.B.Tcp.Listen(new TcpListenOptions(new Endpoint(world.B.Address, 80), 200), out var listener));
        for (var i = 0; i < 100; i++) Assert.Equal(SocketError.Success, world.A.Tcp.Connect(new TcpConnectOptions(new Endpoint(world.B.Address, 80)), world.Now, out _));
        var accepted = 0;
        world.OnTurn = () =>
        {
            while (world.B.Tcp.TryAccept(listener, out _)) accepted++;
        };
        world.AssertRunUntil(() => accepted == 100, Duration.FromMilliseconds(500), "the last handshake");
        Assert.Equal(0, world.A.Stack.Ip.NeighbourCounters.QueueDropped);
    }

    [Fact]
    public void ConnectingIntoTheVoidTimesOutAfterMoreThanThreeMinutes()
    {
        using var world = new TwoHosts();
        world.AtoB.DropWhen = (_, frame) => frame.Length > 42;
        var start = world.Now;
        Assert.Equal(SocketError.Success, world.A.Tcp.Connect(new TcpConnectOptions(new Endpoint(world.B.Address, 81)), world.Now, out var c));
        world.AssertRunUntil(() => world.A.Seen.ContainsKey(c), Duration.FromSeconds(600), "the time-out");
        Assert.Equal((TcpEvents.Closed, SocketError.TimedOut), world.A.Seen[c]);
        Assert.InRange((world.Now - start).Milliseconds, 180_000, 400_000);
        world.CloseAndAssertNothingLeaked((world.A, c));
    }

    [Fact]
    public void SimultaneousOpenMakesOneConnection()
    {
        using var world = new TwoHosts();
        var a = new Endpoint(world.A.Address, 1000);
        var b = new Endpoint(world.B.Address, 2000);
        Assert.Equal(SocketError.Success, world.A.Tcp.Connect(new TcpConnectOptions(b, a), world.Now, out var ca));
        Assert.Equal(SocketError.Success, world.B.Tcp.Connect(new TcpConnectOptions(a, b), world.Now, out var cb));
        world.AssertRunUntil(
            () => world.A.Tcp.GetStatus(ca).State == TcpState.Established && world.B.Tcp.GetStatus(cb).State == TcpState.Established,
            Duration.FromSeconds(10), "the simultaneous open");
        var transfer = new Transfer(world.A, ca, world.B, cb, 100_000);
        world.OnTurn = () => transfer.Turn(world.Now);
        world.AssertRunUntil(() => transfer.IsDone, Duration.FromSeconds(10), "the transfer");
        world.CloseAndAssertNothingLeaked((world.A, ca), (world.B, cb));
    }

    [Fact]
    public void SimultaneousCloseEndsInTimeWaitOnBothSides()
    {
        using var world = new TwoHosts();
        var (client, server) = world.Open();
        world.A.Tcp.Shutdown(client, world.Now);
        world.B.Tcp.Shutdown(server, world.Now);
        world.AssertRunUntil(() => world.A.Tcp.TimeWaitCount == 1 && world.B.Tcp.TimeWaitCount == 1, Duration.FromSeconds(5), "TIME-WAIT");
        world.CloseAndAssertNothingLeaked((world.A, client), (world.B, server));
    }

    [Fact]
    public void AbortResetsThePeer()
    {
        using var world = new TwoHosts();
        var (client, server) = world.Open();
        world.A.Tcp.Abort(client, world.Now);
        world.AssertRunUntil(() => world.B.Seen.TryGetValue(server, out var s) && (s.Events & TcpEvents.Closed) != 0, Duration.FromSeconds(5), "the reset");
        Assert.Equal(SocketError.ConnectionReset, world.B.Seen[server].Error);
        world.CloseAndAssertNothingLeaked((world.A, client), (world.B, server));
    }

    [Fact]
    public void ClosingWithUnreadDataResetsThePeer()
    {
        using var world = new TwoHosts();
        var (client, server) = world.Open();
        world.A.Tcp.Send(client, "nobody reads this"u8, world.Now);
        world.AssertRunUntil(() => world.B.Tcp.GetStatus(server).ReadableBytes > 0, Duration.FromSeconds(1), "the data");
        world.B.Tcp.Close(server, world.Now);
        world.AssertRunUntil(() => world.A.Seen.TryGetValue(client, out var s) && (s.Events & TcpEvents.Closed) != 0, Duration.FromSeconds(5), "the reset");
        Assert.Equal(SocketError.ConnectionReset, world.A.Seen[client].Error);
        world.CloseAndAssertNothingLeaked((world.A, client));
    }

    [Fact]
    public void ConnectionToOwnAddressLoopsInside()
    {
        using var world = new TwoHosts();
        Assert.Equal(SocketError.Success, world.A.Tcp.Listen(new TcpListenOptions(new Endpoint(IpAddress.IPv4Any, 80)), out var listener));
        Assert.Equal(SocketError.Success, world.A.Tcp.Connect(new TcpConnectOptions(new Endpoint(world.A.Address, 80)), world.Now, out var c));
        TcpHandle s = default;
        world.AssertRunUntil(() => world.A.Tcp.TryAccept(listener, out s), Duration.FromSeconds(2), "the loop");
        var transfer = new Transfer(world.A, c, world.A, s, 1_000_000);
        world.OnTurn = () => transfer.Turn(world.Now);
        world.AssertRunUntil(() => transfer.IsDone, Duration.FromSeconds(10), "the transfer");
        world.A.Tcp.CloseListener(listener, world.Now);
        world.CloseAndAssertNothingLeaked((world.A, c), (world.A, s));
        Assert.Equal(0, world.AtoB.Sent);
    }
}
