// Streams through wires that lose, repeat, reorder and damage frames: every byte arrives once and in order, and nothing is held afterwards.
using Peregrine.Core;
using Peregrine.Core.Tcp;
using Peregrine.Core.Time;
using Peregrine.Scenarios.Tests.World;

namespace Peregrine.Scenarios.Tests;

public sealed class TransferTests
{
    public static TheoryData<string, WireOptions, int> Wires => new()
    {
        { "clean", new WireOptions(), 3_000_000 },
        { "loss of 2 %", new WireOptions { LossPerMille = 20 }, 1_000_000 },
        { "loss of 20 %", new WireOptions { LossPerMille = 200 }, 100_000 },
        { "reordering", new WireOptions { Jitter = Duration.FromMilliseconds(20) }, 1_000_000 },
        { "duplication of 20 %", new WireOptions { DuplicationPerMille = 200 }, 1_000_000 },
        { "every frame twice", new WireOptions { DuplicationPerMille = 1000 }, 500_000 },
        { "every frame twice, some late, some lost", new WireOptions { DuplicationPerMille = 1000, LossPerMille = 20, Jitter = Duration.FromMilliseconds(10) }, 300_000 },
        { "corruption of 2 %", new WireOptions { CorruptionPerMille = 20 }, 500_000 },
        { "everything", new WireOptions { LossPerMille = 30, DuplicationPerMille = 30, CorruptionPerMille = 10, Jitter = Duration.FromMilliseconds(5) }, 500_000 },
        { "slow", new WireOptions { RateBitsPerSecond = 10_000_000, QueueFramesMax = 30 }, 3_000_000 },
        { "long", new WireOptions { Delay = Duration.FromMilliseconds(200) }, 10_000_000 },
    };

    [Theory]
    [MemberData(nameof(Wires))]
    public void EveryByteArrivesOnceAndInOrderBothWays(string name, WireOptions wire, int bytes)
    {
        Assert.NotEmpty(name);
        // Three lost requests for the neighbour's address are no reason to give up here.
        var patient = TcpSettings.Default with { ConnectErrors = TcpConnectErrors.Hard };
        for (ulong seed = 1; seed <= 3; seed++)
        {
            using var world = new TwoHosts(seed, wire);
            var (client, server) = world.Open(v6: seed % 2 == 0, client: patient);
            var up = new Transfer(world.A, client, world.B, server, bytes);
            var down = new Transfer(world.B, server, world.A, client, bytes);
            world.OnTurn = () =>
            {
                up.Turn(world.Now);
                down.Turn(world.Now);
            };
            world.AssertRunUntil(() => up.IsDone && down.IsDone, Duration.FromSeconds(1000), $"{name}, seed {seed}: {up.Received} and {down.Received} of {bytes}: the transfer");
            world.CloseAndAssertNothingLeaked((world.A, client), (world.B, server));
        }
    }

    [Fact]
    public void AReaderThatStopsClosesTheWindowAndProbesKeepTheConnection()
    {
        using var world = new TwoHosts();
        var (client, server) = world.Open();
        var transfer = new Transfer(world.A, client, world.B, server, 20_000_000) { ReadPerTurn = 0 };
        world.OnTurn = () => transfer.Turn(world.Now);
        world.Run(Duration.FromSeconds(3_600));
        Assert.Equal(0u, Info(world.A, client).SendWindow);
        Assert.InRange(world.A.Tcp.Counters.WindowProbesSent, 50, 200);
        Assert.Equal(TcpState.Established, world.A.Tcp.GetStatus(client).State);
        transfer.ReadPerTurn = int.MaxValue;
        world.AssertRunUntil(() => transfer.IsDone, Duration.FromSeconds(100), "the rest");
        world.CloseAndAssertNothingLeaked((world.A, client), (world.B, server));
    }

    [Fact]
    public void BuffersGrowToTheBandwidthDelayProduct()
    {
        // 100 Mbit/s and 100 ms of round trip: 1.25 MB are in flight, ten times the buffers at the start.
        using var world = new TwoHosts(1, new WireOptions { Delay = Duration.FromMilliseconds(50), RateBitsPerSecond = 100_000_000, QueueFramesMax = 1000 });
        var (client, server) = world.Open();
        var transfer = new Transfer(world.A, client, world.B, server, 40_000_000);
        world.OnTurn = () => transfer.Turn(world.Now);
        var start = world.Now;
        world.AssertRunUntil(() => transfer.IsDone, Duration.FromSeconds(60), "the transfer");
        Assert.InRange((world.Now - start).Milliseconds, 3_200, 8_000);
        Assert.True(Info(world.B, server).ReceiveBuffer > 1_250_000, "the receive buffer did not grow");
        world.CloseAndAssertNothingLeaked((world.A, client), (world.B, server));
    }

    [Fact]
    public void DataAreHeldBackWhenBlocksRunOutAndComeAgain()
    {
        var tight = Host.SmallOptions with { BlockCount = 64, Tcp = new TcpSettings { ReceiveBufferBytes = 1 << 20 } };
        using var world = new TwoHosts(1, null, Host.SmallOptions, tight);
        var (client, server) = world.Open();
        var transfer = new Transfer(world.A, client, world.B, server, 3_000_000) { ReadPerTurn = 0 };
        world.OnTurn = () => transfer.Turn(world.Now);
        world.Run(Duration.FromSeconds(20));
        Assert.True(world.B.Tcp.Counters.DroppedBytesNoMemory > 0, "the pool never ran out");
        transfer.ReadPerTurn = int.MaxValue;
        world.AssertRunUntil(() => transfer.IsDone, Duration.FromSeconds(600), "the transfer");
        world.CloseAndAssertNothingLeaked((world.A, client), (world.B, server));
    }

    [Fact]
    public void SameSeedSameFrames()
    {
        Assert.Equal(Trace(5), Trace(5));
        Assert.NotEqual(Trace(5), Trace(6));
    }

    private static ulong Trace(ulong seed)
    {
        using var world = new TwoHosts(seed, new WireOptions { LossPerMille = 30, Jitter = Duration.FromMilliseconds(3) });
        var hash = 14695981039346656037UL;
        void Take(Instant now, byte[] frame)
        {
            hash = (hash ^ (ulong)now.Nanoseconds) * 1099511628211;
            foreach (var b in frame) hash = (hash ^ b) * 1099511628211;
        }
        world.AtoB.OnFrame = Take;
        world.BtoA.OnFrame = Take;
        var (client, server) = world.Open();
        var transfer = new Transfer(world.A, client, world.B, server, 200_000);
        world.OnTurn = () => transfer.Turn(world.Now);
        world.AssertRunUntil(() => transfer.IsDone, Duration.FromSeconds(600), "the transfer");
        return hash;
    }

    private static TcpInfo Info(Host host, TcpHandle handle)
    {
        Assert.True(host.Tcp.TryGetInfo(handle, default, out var info));
        return info;
    }
}
