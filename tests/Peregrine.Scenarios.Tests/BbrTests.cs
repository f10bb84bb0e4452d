// BBR over simulated paths: what it finds out about them, what it does to them, and what it leaves to others.
using Peregrine.Core;
using Peregrine.Core.Tcp;
using Peregrine.Core.Time;
using Peregrine.Scenarios.Tests.World;

namespace Peregrine.Scenarios.Tests;

public sealed class BbrTests
{
    private static readonly TcpSettings s_bbr = TcpSettings.Default with { CongestionControl = "bbr", SendBufferBytes = 4 << 20, ReceiveBufferBytes = 6 << 20 };

    // 10 Mbit/s and 40 ms: 50 kB, 33 frames.
    private const long Rate = 10_000_000;

    private static readonly WireOptions s_path = new() { Delay = Duration.FromMilliseconds(20), RateBitsPerSecond = Rate, QueueFramesMax = 132 };

    // What payload can have of a wire's rate: 1,448 bytes of 1,514.
    private const double PayloadShare = 1448.0 / 1514;

    [Theory]
    [InlineData(5_000_000, 5)]
    [InlineData(40_000_000, 3)]
    [InlineData(64_000, 2)]
    // The draft's example tests, also for a path that holds less than a packet: the bandwidth is found and used, and the queue stays short.
    public void TheBandwidthIsFoundAndTheQueueStaysShort(long rate, int delayMs)
    {
        using var flow = new Flow(new WireOptions { Delay = Duration.FromMilliseconds(delayMs), RateBitsPerSecond = rate, QueueFramesMax = 10_000 });
        flow.World.Run(Duration.FromSeconds(rate < 100_000 ? 60 : 2));
        Assert.InRange(flow.ShareOf(rate, Duration.FromSeconds(8)), 0.94, 1.03);
        var info = flow.Info();
        Assert.Equal(0, flow.World.AtoB.Lost);
        Assert.InRange(info.PacingBytesPerSecond * 8.0, rate * PayloadShare * 0.85, rate * PayloadShare * 1.27);
        // Never more than the round trip and a quarter in the queue, but for the four segments that keep the pipe busy.
        var floor = (6 * 1514 * 8_000_000.0 / rate) + info.MinimumRtt.Microseconds;
        Assert.InRange(info.SmoothedRtt.Microseconds, 0, Math.Max(floor, info.MinimumRtt.Microseconds * 2.25));
    }

    [Fact]
    public void CubicFillsTheSameQueue()
    {
        using var flow = new Flow(s_path, s_bbr with { CongestionControl = "cubic", HyStart = false });
        flow.World.Run(Duration.FromSeconds(6));
        Assert.True(flow.World.AtoB.Lost > 0, "the path is not what the other tests take it for");
    }

    [Fact]
    // draft-ietf-ccwg-bbr §5.3.4: every five seconds half of the path's volume for 200 ms, and the queue drains.
    public void ProbeRttDrainsThePathEveryFiveSeconds()
    {
        using var flow = new Flow(s_path);
        flow.World.Run(Duration.FromSeconds(2));
        var low = new List<double>();
        for (var ms = 0; ms < 16_000; ms += 10)
        {
            flow.World.Run(Duration.FromMilliseconds(10));
            if (flow.Info().FlightSize <= 30_000) low.Add(ms / 1_000.0);
        }
        var probes = low.Zip(low.Skip(1)).Count(pair => pair.Second - pair.First > 1) + 1;
        Assert.Equal(3, probes);
        Assert.InRange(low.Count * 10 / probes, 200, 400);
        Assert.InRange(flow.Info().MinimumRtt.Microseconds, 41_000, 42_500);
    }

    [Fact]
    public void OnePercentOfLossCostsLittle()
    {
        Assert.InRange(Share("bbr"), 0.85, 1);
        Assert.InRange(Share("cubic"), 0, 0.5);

        static double Share(string control)
        {
            using var flow = new Flow(s_path with { LossPerMille = 10 }, s_bbr with { CongestionControl = control });
            flow.World.Run(Duration.FromSeconds(3));
            return flow.ShareOf(Rate, Duration.FromSeconds(10));
        }
    }

    [Fact]
    // Losses that the queue causes are answered: what is lost stays few also where the queue holds a tenth of the path.
    public void AShortQueueLosesLittle()
    {
        using var flow = new Flow(s_path with { QueueFramesMax = 4 });
        flow.World.Run(Duration.FromSeconds(3));
        var (lost, sent) = (flow.World.AtoB.Lost, flow.World.AtoB.Sent);
        Assert.InRange(flow.ShareOf(Rate, Duration.FromSeconds(10)), 0.80, 1);
        Assert.InRange((flow.World.AtoB.Lost - lost) / (double)(flow.World.AtoB.Sent - sent), 0, 0.02);
    }

    [Theory]
    [InlineData("cubic", 66, 0.15)]
    [InlineData("cubic", 33, 0.15)]
    [InlineData("bbr", 66, 0.25)]
    public void ItSharesWithOthers(string other, int queue, double leastShare)
    {
        using var world = new TwoHosts(3, s_path with { QueueFramesMax = queue });
        var (client, server) = world.Open(client: s_bbr, server: s_bbr);
        var (client2, server2) = world.Open(81, client: s_bbr with { CongestionControl = other }, server: s_bbr);
        var (a, b) = (new Transfer(world.A, client, world.B, server, long.MaxValue), new Transfer(world.A, client2, world.B, server2, long.MaxValue));
        world.OnTurn = () =>
        {
            a.Turn(world.Now);
            b.Turn(world.Now);
        };
        world.Run(Duration.FromSeconds(10));
        var (a0, b0) = (a.Received, b.Received);
        world.Run(Duration.FromSeconds(15));
        var sum = (double)(a.Received - a0 + b.Received - b0);
        // What waited in the queue when counting began comes on top.
        Assert.InRange(sum * 8 / 15 / (Rate * PayloadShare), 0.9, 1.03);
        Assert.InRange((a.Received - a0) / sum, leastShare, 1 - leastShare);
    }

    [Theory]
    [InlineData(1_000_000, 10_000_000)]
    [InlineData(10_000_000, 1_000_000)]
    public void AnotherBandwidthIsFound(long before, long after)
    {
        using var flow = new Flow(s_path with { RateBitsPerSecond = before, QueueFramesMax = 33 });
        flow.World.Run(Duration.FromSeconds(5));
        flow.World.AtoB.Options = s_path with { RateBitsPerSecond = after, QueueFramesMax = 33 };
        flow.World.Run(Duration.FromSeconds(15));
        Assert.InRange(flow.ShareOf(after, Duration.FromSeconds(5)), 0.85, 1.05);
        Assert.InRange(flow.Info().PacingBytesPerSecond * 8.0, after * 0.7, after * 1.3);
    }

    [Fact]
    // draft-ietf-ccwg-bbr §5.5.4: what an application that sends a tenth shows is no bandwidth; and §5.4.1: after idleness the window stays.
    public void AnApplicationThatSendsLittleTeachesNothingWrong()
    {
        using var flow = new Flow(s_path);
        flow.World.Run(Duration.FromSeconds(3));
        var found = flow.Info();
        flow.BytesPerSecondMax = 120_000;
        flow.World.Run(Duration.FromSeconds(20));
        Assert.InRange(flow.Info().PacingBytesPerSecond * 8.0, Rate * PayloadShare * 0.8, Rate * 1.3);
        // Not within one of the 200 ms of every five seconds in which the window is small.
        flow.World.Run(Duration.FromSeconds(1));
        flow.BytesPerSecondMax = 0;
        flow.World.Run(Duration.FromSeconds(20));
        flow.BytesPerSecondMax = long.MaxValue;
        Assert.InRange(flow.Info().CongestionWindow, found.CongestionWindow / 2, uint.MaxValue);
        Assert.InRange(flow.ShareOf(Rate, Duration.FromMilliseconds(500)), 0.8, 1);
    }

    [Fact]
    // draft-ietf-ccwg-bbr §5.5.11: reordering that looks like loss does not keep the rate down.
    public void ReorderingIsNoCongestion()
    {
        using var flow = new Flow(s_path with { Jitter = Duration.FromMilliseconds(5), QueueFramesMax = 10_000 });
        flow.World.Run(Duration.FromSeconds(5));
        Assert.InRange(flow.ShareOf(Rate, Duration.FromSeconds(5)), 0.85, 1);
    }

    [Fact]
    // draft-ietf-ccwg-bbr §3.7: marks are answered.
    public void MarksKeepTheQueueShort()
    {
        using var flow = new Flow(s_path with { MarkFramesMin = 8 }, s_bbr with { Ecn = TcpEcnMode.On });
        flow.World.Run(Duration.FromSeconds(3));
        var marked = flow.World.AtoB.Marked;
        Assert.InRange(flow.ShareOf(Rate, Duration.FromSeconds(10)), 0.80, 1);
        Assert.Equal(0, flow.World.AtoB.Lost);
        Assert.InRange(flow.Info().SmoothedRtt.Microseconds, 40_000, 70_000);
        Assert.InRange(flow.World.AtoB.Marked - marked, 0, 5_000);
    }

    [Fact]
    public void WithoutSackLossesAreSurvivedToo()
    {
        using var flow = new Flow(s_path with { LossPerMille = 1 }, s_bbr with { SelectiveAcknowledgments = false });
        flow.World.Run(Duration.FromSeconds(3));
        Assert.InRange(flow.ShareOf(Rate, Duration.FromSeconds(10)), 0.3, 1);
    }

    [Fact]
    // No room for another model: the connection has CUBIC, and says so.
    public void WhereNoModelIsFreeCubicStandsIn()
    {
        using var world = new TwoHosts(options: Host.SmallOptions with { BbrConnectionCountMax = 1 });
        var (client, server) = world.Open(client: s_bbr);
        var (client2, server2) = world.Open(81, client: s_bbr);
        Assert.Equal(("bbr", "cubic"), (Name(client), Name(client2)));
        Assert.Equal(1, world.A.Tcp.ExtCounters.TCPBbrNoModel);
        Assert.Equal(System.Net.Sockets.SocketError.Success, world.A.Tcp.SetSettings(client, TcpSettings.Default, world.Now));
        Assert.Equal(System.Net.Sockets.SocketError.Success, world.A.Tcp.SetSettings(client2, s_bbr with { NoDelay = true }, world.Now));
        Assert.Equal(("cubic", "bbr"), (Name(client), Name(client2)));
        world.CloseAndAssertNothingLeaked((world.A, client), (world.B, server), (world.A, client2), (world.B, server2));

        string Name(TcpHandle handle)
        {
            Assert.True(world.A.Tcp.TryGetInfo(handle, world.Now, out var info));
            return info.CongestionControl;
        }
    }

    // One connection that sends without end, as fast as it may.
    private sealed class Flow : IDisposable
    {
        private readonly TcpHandle _client;
        private readonly Transfer _transfer;

        internal Flow(WireOptions wire, TcpSettings? settings = null)
        {
            World = new TwoHosts(1, wire);
            (_client, var server) = World.Open(client: settings ?? s_bbr, server: settings ?? s_bbr);
            _transfer = new Transfer(World.A, _client, World.B, server, long.MaxValue);
            var (last, budget) = (World.Now, 0.0);
            World.OnTurn = () =>
            {
                if (BytesPerSecondMax != long.MaxValue) budget += BytesPerSecondMax * ((World.Now - last).Nanoseconds / 1e9);
                last = World.Now;
                _transfer.QueuedMax = BytesPerSecondMax == long.MaxValue ? long.MaxValue : _transfer.Queued + (long)budget;
                budget -= (long)budget;
                _transfer.Turn(World.Now);
            };
        }

        internal TwoHosts World { get; }

        internal long BytesPerSecondMax { get; set; } = long.MaxValue;

        internal double ShareOf(long rate, Duration time)
        {
            var before = _transfer.Received;
            World.Run(time);
            return (_transfer.Received - before) * 8 / (time.Nanoseconds / 1e9) / (rate * PayloadShare);
        }

        internal TcpInfo Info()
        {
            Assert.True(World.A.Tcp.TryGetInfo(_client, World.Now, out var info));
            return info;
        }

        public void Dispose() => World.Dispose();
    }
}
