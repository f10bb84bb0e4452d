// Connections share an interface's output: whoever has more to say than there is room for must not keep the others from speaking.
using Peregrine.Core.Tcp;
using Peregrine.Core.Time;
using Peregrine.Scenarios.Tests.World;

namespace Peregrine.Scenarios.Tests;

public sealed class OutputTurnTests
{
    // 64 KiB and the segment that passes them; twice, since the end of a burst cuts a turn, and the next burst gives a whole one.
    private const int AheadMax = 2 * (65_536 + 1_448);

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
        var frames = Frames(world.A);
        Assert.InRange(frames.Count, 200, 256);
        Assert.Contains(82, frames.Select(static frame => frame.Port));
        Assert.InRange(frames.Count(static frame => frame.Port == 80), 60, frames.Count - 60);
        // And the next ones go on where it ended: nobody gets further ahead of the other.
        for (var burst = 0; burst < 4; burst++)
        {
            world.A.Stack.Poll(world.Now);
            frames.AddRange(Frames(world.A));
            var ahead = frames.Sum(static frame => frame.Port switch { 80 => frame.Bytes, 81 => -frame.Bytes, _ => 0 });
            Assert.InRange(ahead, -AheadMax, AheadMax);
        }
    }

    private static List<(int Port, int Bytes)> Frames(Host host)
    {
        var pending = host.Stack.PendingOutput(host.Interface);
        var frames = new List<(int, int)>();
        foreach (ref var frame in pending)
        {
            var bytes = host.Stack.Frames.Head(frame);
            // Ethernet, IPv4 without options, TCP with timestamps: the destination port and the payload.
            frames.Add(((bytes[36] << 8) | bytes[37], ((bytes[16] << 8) | bytes[17]) - 52));
            host.Stack.Frames.Return(frame);
        }
        host.Stack.OnTransmitted(host.Interface, pending.Length);
        return frames;
    }
}
