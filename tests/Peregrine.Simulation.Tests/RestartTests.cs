// A host that loses everything and comes back, with what runs on it: users' code has to live with such peers.
using System.Net;
using System.Net.Sockets;
using Peregrine.Core.Time;
using Peregrine.Simulation.Networks;
using Peregrine.Sockets;

namespace Peregrine.Simulation.Tests;

public sealed class RestartTests
{
    private static readonly IPEndPoint s_service = new(IPAddress.Any, 7);

    [Fact]
    public void ARestartedHostsApplicationBeginsAnewAndItsPeerFindsItAgain()
    {
        var (story, hash) = Restarted(5);
        Assert.Equal(["life 1 serves", "life 1: greeted", "life 1 ends: told True", "life 2 serves", "client: ConnectionReset", "life 2: greeted"], story);
        Assert.Equal(hash, Restarted(5).Hash);
        Assert.NotEqual(hash, Restarted(6).Hash);
    }

    [Fact]
    public void WhatPendsOnARestartingHostEndsWithAnError()
    {
        using var network = new SimulatedNetwork(3);
        var host = network.AddHost("host");
        network.AddHost("far").Unplug();
        var errors = new List<SocketError>();
        network.Run(async () =>
        {
            await using var listener = host.ListenTcp(s_service);
            await using var datagrams = host.BindUdp(s_service);
            Task[] waiting =
            [
                Note(host.ConnectTcpAsync(new IPEndPoint(IPAddress.Parse("10.0.0.2"), 7)).AsTask()), Note(listener.AcceptAsync().AsTask()), Note(datagrams.ReceiveFromAsync(new byte[10]).AsTask()),
            ];
            network.World.After(Duration.FromMilliseconds(10), () => host.Restart(TimeSpan.FromSeconds(1)));
            await Task.WhenAll(waiting);
            // The name is free again at once, and the same object gives sockets of the new life.
            await Task.Delay(TimeSpan.FromSeconds(2), network.TimeProvider);
            await using var again = host.ListenTcp(s_service);
        });
        Assert.Equal([SocketError.OperationAborted, SocketError.OperationAborted, SocketError.OperationAborted], errors);

        async Task Note(Task task) => errors.Add((await Assert.ThrowsAsync<SocketException>(() => task)).SocketErrorCode);
    }

    [Fact]
    public void WhileItIsDownAHostGivesNoSockets()
    {
        using var network = new SimulatedNetwork(3);
        var host = network.AddHost("host");
        host.Restart(TimeSpan.FromSeconds(1));
        network.Run(async () =>
        {
            Assert.Throws<ObjectDisposedException>(() => host.ListenTcp(s_service));
            var error = await Assert.ThrowsAsync<SocketException>(() => host.ConnectTcpAsync(new IPEndPoint(IPAddress.Parse("10.0.0.9"), 7)).AsTask());
            Assert.Equal(SocketError.NetworkDown, error.SocketErrorCode);
        });
    }

    [Fact]
    public void AnApplicationThatThrowsEndsTheRun()
    {
        using var network = new SimulatedNetwork(3);
        network.AddHost("host").Runs(async (host, stopping) =>
        {
            await Task.Delay(TimeSpan.FromSeconds(1), host.TimeProvider, stopping);
            throw new InvalidDataException("a defect of the application");
        });
        var e = Assert.Throws<InvalidDataException>(() => network.Run(() => Task.Delay(TimeSpan.FromSeconds(5), network.TimeProvider)));
        Assert.Equal("a defect of the application", e.Message);
    }

    // A disposal on another thread than the core's follows the abort through the mailbox, and must not turn it into a graceful close.
    [Fact]
    public void AnAbortThatADisposalFollowsAtOnceIsStillAReset()
    {
        using var network = new SimulatedNetwork(3);
        var (server, client) = (network.AddHost("server"), network.AddHost("client"));
        network.Run(async () =>
        {
            await using var listener = server.ListenTcp(s_service);
            var connection = await client.ConnectTcpAsync(new DnsEndPoint("server", 7));
            await using var peer = await listener.AcceptAsync();
            connection.Abort();
            connection.Dispose();
            var error = await Assert.ThrowsAsync<SocketException>(() => peer.ReceiveAsync(new byte[1]).AsTask());
            Assert.Equal(SocketError.ConnectionReset, error.SocketErrorCode);
        });
    }

    private static (List<string> Story, ulong Hash) Restarted(ulong seed)
    {
        using var network = new SimulatedNetwork(seed);
        var story = new List<string>();
        var lives = 0;
        var server = network.AddHost("server").Delay(TimeSpan.FromMilliseconds(20)).Jitter(TimeSpan.FromMilliseconds(5)).Runs(ServeAsync);
        var client = network.AddHost("client");
        network.Run(async () =>
        {
            await GreetAsync();
            await using var open = await client.ConnectTcpAsync(new DnsEndPoint("server", 7));
            server.Restart(TimeSpan.FromSeconds(5));
            await Task.Delay(TimeSpan.FromSeconds(6), client.TimeProvider);
            // The server knows nothing of this connection any more, and says so when it hears of it.
            await open.SendAsync(new byte[1]);
            var error = await Assert.ThrowsAsync<SocketException>(() => open.ReceiveAsync(new byte[1]).AsTask());
            story.Add($"client: {error.SocketErrorCode}");
            await GreetAsync();
        });
        return (story, network.TraceHash);

        async Task GreetAsync()
        {
            await using var connection = await client.ConnectTcpAsync(new DnsEndPoint("server", 7));
            await connection.SendAsync("hello"u8.ToArray());
            connection.Shutdown(SocketShutdown.Send);
            Assert.Equal(0, await connection.ReceiveAsync(new byte[1]));
        }

        async Task ServeAsync(NetworkHost host, CancellationToken stopping)
        {
            var life = ++lives;
            try
            {
                await using var listener = host.ListenTcp(s_service);
                story.Add($"life {life} serves");
                while (true)
                {
                    await using var connection = await listener.AcceptAsync(CancellationToken.None);
                    var buffer = new byte[16];
                    while (await connection.ReceiveAsync(buffer, CancellationToken.None) > 0) story.Add($"life {life}: greeted");
                }
            }
            finally
            {
                story.Add($"life {life} ends: told {stopping.IsCancellationRequested}");
            }
        }
    }
}
