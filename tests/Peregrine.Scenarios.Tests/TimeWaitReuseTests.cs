// The port of a connection in TIME-WAIT, taken for a new connection of ours: StackOptions.TimeWaitReuseMs.
using System.Net.Sockets;
using Peregrine.Core.Tcp;
using Peregrine.Core.Time;
using Peregrine.Scenarios.Tests.World;
using Peregrine.Wire;

namespace Peregrine.Scenarios.Tests;

public sealed class TimeWaitReuseTests
{
    private static readonly TcpSettings Plain = TcpSettings.Default with { Timestamps = false };

    private TcpListenerHandle _listener;

    [Fact]
    public void APortServesAgainAfterTheTimeThatTheOptionGives()
    {
        using var world = Waiting(1_000, null);
        Assert.Equal(SocketError.AddressAlreadyInUse, Connect(world, null, out _));
        world.Run(Duration.FromMilliseconds(1_100));
        Assert.Equal(SocketError.Success, Connect(world, null, out var client));
        Assert.Equal((0, 1L), (world.A.Tcp.TimeWaitCount, world.A.Tcp.Counters.TimeWaitReused));
        TcpHandle server = default;
        world.AssertRunUntil(() => world.B.Tcp.TryAccept(_listener, out server), Duration.FromSeconds(1), "the second connection");
        Assert.Equal(TcpState.Established, world.A.Tcp.GetStatus(client).State);
        world.B.Tcp.CloseListener(_listener, world.Now);
        world.CloseAndAssertNothingLeaked((world.A, client), (world.B, server));
    }

    [Theory]
    [InlineData(0, true)]
    [InlineData(1_000, false)]
    public void ItDoesNotWithoutTheOptionOrWithoutTimestampsOnEitherConnection(int reuseMs, bool timestamps)
    {
        using var world = Waiting(reuseMs, timestamps ? null : Plain);
        world.Run(Duration.FromSeconds(50));
        Assert.Equal(SocketError.AddressAlreadyInUse, Connect(world, null, out _));
        Assert.Equal(SocketError.AddressAlreadyInUse, Connect(world, Plain, out _));
        world.Run(Duration.FromSeconds(11));
        Assert.Equal(SocketError.Success, Connect(world, null, out _));
        Assert.Equal(0, world.A.Tcp.Counters.TimeWaitReused);
    }

    // RFC 6191 §2: to the peer the timestamp of the new SYN is later than the last.
    [Fact]
    public void ThePeerInTimeWaitTakesTheNewConnectionToo()
    {
        using var world = new TwoHosts(options: Host.SmallOptions with { TimeWaitReuseMs = 1_000 });
        Listen(world);
        Assert.Equal(SocketError.Success, Connect(world, null, out var client));
        TcpHandle server = default;
        world.AssertRunUntil(() => world.B.Tcp.TryAccept(_listener, out server), Duration.FromSeconds(1), "the handshake");
        // Both close at once, so that both wait.
        world.A.Tcp.Close(client, world.Now);
        world.B.Tcp.Close(server, world.Now);
        world.AssertRunUntil(() => world.A.Tcp.TimeWaitCount == 1 && world.B.Tcp.TimeWaitCount == 1, Duration.FromSeconds(5), "TIME-WAIT");
        world.Run(Duration.FromMilliseconds(1_100));
        Assert.Equal(SocketError.Success, Connect(world, null, out client));
        world.AssertRunUntil(() => world.A.Tcp.GetStatus(client).State == TcpState.Established, Duration.FromSeconds(1), "the second connection");
        Assert.Equal((1L, 1L), (world.A.Tcp.Counters.TimeWaitReused, world.B.Tcp.Counters.TimeWaitReused));
    }

    // A range of four ports and forty connections, one a second: without reuse the fifth would find none.
    [Fact]
    public void AFewPortsServeManyConnections()
    {
        using var world = new TwoHosts(options: Host.SmallOptions with { TimeWaitReuseMs = 1_000, EphemeralPortMin = 50_000, EphemeralPortMax = 50_003 });
        Listen(world);
        for (var i = 0; i < 40; i++)
        {
            Assert.Equal(SocketError.Success, world.A.Tcp.Connect(new TcpConnectOptions(new Endpoint(world.B.Address, 80)), world.Now, out var client));
            TcpHandle server = default;
            world.AssertRunUntil(() => world.B.Tcp.TryAccept(_listener, out server), Duration.FromSeconds(1), "the handshake");
            world.A.Tcp.Close(client, world.Now);
            world.AssertRunUntil(() => world.B.Tcp.GetStatus(server).PeerClosed, Duration.FromSeconds(1), "the FIN");
            world.B.Tcp.Close(server, world.Now);
            world.Run(Duration.FromSeconds(1));
        }
        Assert.Equal(36, world.A.Tcp.Counters.TimeWaitReused);
        Assert.Equal(4, world.A.Tcp.TimeWaitCount);
    }

    private static SocketError Connect(TwoHosts world, TcpSettings? settings, out TcpHandle client) =>
        world.A.Tcp.Connect(new TcpConnectOptions(new Endpoint(world.B.Address, 80), new Endpoint(world.A.Address, 50_000), settings), world.Now, out client);

    private void Listen(TwoHosts world) => Assert.Equal(SocketError.Success, world.B.Tcp.Listen(new TcpListenOptions(new Endpoint(world.B.Address, 80), 64), out _listener));

    /// <summary>A has closed its connection first, just now, and waits.</summary>
    private TwoHosts Waiting(int reuseMs, TcpSettings? settings)
    {
        var world = new TwoHosts(options: Host.SmallOptions with { TimeWaitReuseMs = reuseMs });
        Listen(world);
        Assert.Equal(SocketError.Success, Connect(world, settings, out var client));
        TcpHandle server = default;
        world.AssertRunUntil(() => world.B.Tcp.TryAccept(_listener, out server), Duration.FromSeconds(1), "the handshake");
        world.A.Tcp.Close(client, world.Now);
        world.AssertRunUntil(() => world.B.Tcp.GetStatus(server).PeerClosed, Duration.FromSeconds(1), "the FIN");
        world.B.Tcp.Close(server, world.Now);
        world.AssertRunUntil(() => world.A.Tcp.TimeWaitCount == 1, Duration.FromSeconds(1), "TIME-WAIT");
        return world;
    }
}
