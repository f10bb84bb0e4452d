// Connections share an interface's output: whoever has more to say than there is room for must not keep the others from speaking.
using Peregrine.Core.Tcp;
using Peregrine.Core.Time;
using Peregrine.Scenarios.Tests.World;

namespace Peregrine.Scenarios.Tests;

public sealed class OutputTurnTests
{
    [Fact]
    public void WhoAlwaysHasMoreToSayLeavesRoomToOthersAndTakesTurns()
    {
        using var world = new TwoHosts();
        var (bulk, bulkServer) = world.Open(80);
        var (other, otherServer) = world.Open(81);
        var (small, _) = world.Open(82);
        // Windows as wide as several bursts.
        Transfer[] transfers = [new(world.A, bulk, world.B, bulkServer, 6_000_000), new(world.A, other, world.B, otherServer, 6_000_000)];
        world.OnTurn = () => Array.ForEach(transfers, transfer => transfer.Turn(world.Now));
        world.AssertRunUntil(() => transfers.All(static transfer => transfer.IsDone), Duration.FromSeconds(100), "the transfers");
        world.OnTurn = null;
        world.Run(Duration.FromMilliseconds(50));
        foreach (var handle in new[] { bulk, other }) Assert.InRange(world.A.Tcp.Send(handle, new byte[1_000_000], world.Now), 600_000, 1_000_000);
        Assert.Equal(1, world.A.Tcp.Send(small, [1], world.Now));

        // One burst, full of what two connections have to say: all three are in it.
        Assert.True(world.A.Stack.Poll(world.Now));
        var ports = Ports(world.A);
        Assert.InRange(ports.Count, 200, 256);
        Assert.Contains(82, ports);
        Assert.InRange(ports.Count(static port => port == 80), 60, ports.Count - 60);
        // And the next ones go on where it ended: nobody has more than a turn's 64 KiB ahead of the other.
        for (var burst = 0; burst < 4; burst++)
        {
            world.A.Stack.Poll(world.Now);
            ports.AddRange(Ports(world.A));
            Assert.InRange(ports.Count(static port => port == 80) - ports.Count(static port => port == 81), -46, 46);
        }
    }

    private static List<int> Ports(Host host)
    {
        var pending = host.Stack.PendingOutput(host.Interface);
        var ports = new List<int>();
        foreach (ref var frame in pending)
        {
            var bytes = host.Stack.Frames.Head(frame);
            // Ethernet, IPv4 without options: the destination port.
            ports.Add((bytes[36] << 8) | bytes[37]);
            host.Stack.Frames.Return(frame);
        }
        host.Stack.OnTransmitted(host.Interface, pending.Length);
        return ports;
    }
}
