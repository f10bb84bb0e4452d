// A host whose blocks are used up: who gives way, and who can go on.
using Peregrine.Core;
using Peregrine.Core.Memory;
using Peregrine.Core.Tcp;
using Peregrine.Core.Time;
using Peregrine.Core.Udp;
using Peregrine.Scenarios.Tests.World;
using Peregrine.Wire;

namespace Peregrine.Scenarios.Tests;

public sealed class MemoryTests
{
    private static readonly StackOptions Tight = Host.SmallOptions with { BlockCount = 64, BlockSizeBytes = 2_048 };

    [Fact]
    public void WhoDoesNotReadDoesNotKeepOthersFromReading()
    {
        using var world = new TwoHosts(optionsB: Tight);
        var open = Enumerable.Range(0, 6).Select(_ => world.Open()).ToArray();
        var transfers = open.Select(c => new Transfer(world.A, c.Client, world.B, c.Server, 200_000)).ToArray();
        foreach (var unread in transfers[1..]) unread.ReadPerTurn = 0;
        var isFull = false;
        world.OnTurn = () =>
        {
            foreach (var transfer in isFull ? transfers : transfers.AsSpan(1)) transfer.Turn(world.Now);
        };
        world.Run(Duration.FromSeconds(20));
        Assert.False(BlockPressure.LeavesReadersReserve(world.B.Tcp.Blocks));
        isFull = true;
        world.AssertRunUntil(() => transfers[0].IsDone, Duration.FromSeconds(120), $"{transfers[0].Received} bytes and all that follow");
        foreach (var unread in transfers) unread.ReadPerTurn = int.MaxValue;
        world.AssertRunUntil(() => transfers.All(static t => t.IsDone), Duration.FromSeconds(120), "what was not read before");
        world.CloseAndAssertNothingLeaked([.. open.Select(c => (world.A, c.Client)), .. open.Select(c => (world.B, c.Server))]);
    }

    [Fact]
    public void DatagramsThatNobodyReadsLeaveBlocksForConnections()
    {
        using var world = new TwoHosts(optionsB: Tight with { Udp = new UdpOptions { ReceiveBufferSize = 1 << 20 } });
        Assert.Equal(System.Net.Sockets.SocketError.Success, world.B.Stack.Udp.Bind(new UdpBindOptions { Local = new Endpoint(world.B.Address, 7) }, out var unread));
        Assert.Equal(System.Net.Sockets.SocketError.Success, world.A.Stack.Udp.Bind(new UdpBindOptions { Local = new Endpoint(world.A.Address, 0) }, out var sender));
        for (var i = 0; i < 100; i++)
        {
            world.A.Stack.Udp.Send(sender, new byte[1_000], new Endpoint(world.B.Address, 7), world.Now, out _);
            world.Run(Duration.FromMilliseconds(10));
        }
        Assert.True(world.B.Stack.Udp.Counters.DroppedNoMemory > 0);
        Assert.Equal(BlockPressure.ReceiveReserve(world.B.Tcp.Blocks), world.B.Tcp.Blocks.FreeCount);
        var (client, server) = world.Open();
        var transfer = new Transfer(world.A, client, world.B, server, 50_000);
        world.OnTurn = () => transfer.Turn(world.Now);
        world.AssertRunUntil(() => transfer.IsDone, Duration.FromSeconds(60), "a transfer");
        world.B.Stack.Udp.Close(unread);
        world.A.Stack.Udp.Close(sender);
        world.CloseAndAssertNothingLeaked((world.A, client), (world.B, server));
    }
}
