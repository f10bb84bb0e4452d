// What the network reports and may mend: told to whoever asks, and no reason to give a connection up.
using System.Net.Sockets;
using Peregrine.Core.Tcp;
using Peregrine.Core.Time;
using Peregrine.Scenarios.Tests.World;
using Peregrine.Wire;

namespace Peregrine.Scenarios.Tests;

public sealed class SoftErrorTests
{
    [Fact]
    public void LostRouteIsASoftErrorAndTheConnectionOutlivesIt()
    {
        using var world = new TwoHosts();
        var (client, server) = world.Open();
        var route = new IpPrefix(IpAddress.FromIPv4(10, 0, 0, 0), 24);
        Assert.Equal(SocketError.Success, InfoOf(world, client).SoftError);
        Assert.True(world.A.Stack.Ip.RemoveRoute(route, null, world.A.Interface));
        Assert.Equal(4, world.A.Tcp.Send(client, "lost"u8, world.Now));
        world.AssertRunUntil(() => InfoOf(world, client).SoftError == SocketError.NetworkUnreachable, Duration.FromSeconds(10), "the error");
        Assert.Equal(TcpState.Established, world.A.Tcp.GetStatus(client).State);
        Assert.Equal(SocketError.Success, world.A.Stack.Ip.AddRoute(route, null, world.A.Interface, 0));
        world.AssertRunUntil(() => world.B.Tcp.GetStatus(server).ReadableBytes == 4, Duration.FromSeconds(60), "the data");
        Assert.Equal(4, world.B.Tcp.Receive(server, new byte[4], world.Now));
        world.CloseAndAssertNothingLeaked((world.A, client), (world.B, server));
    }

    private static TcpInfo InfoOf(TwoHosts world, TcpHandle connection)
    {
        Assert.True(world.A.Tcp.TryGetInfo(connection, world.Now, out var info));
        return info;
    }
}
