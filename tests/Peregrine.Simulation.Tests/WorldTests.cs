// What worlds are made of: links, queues, switches, routers and clocks, by themselves and with real hosts.
using System.Net.Sockets;
using Peregrine.Core.Ip;
using Peregrine.Core.Tcp;
using Peregrine.Core.Time;
using Peregrine.Simulation.Hosts;
using Peregrine.Simulation.Links;
using Peregrine.Simulation.Trace;
using Peregrine.Simulation.Traffic;
using Peregrine.Wire;

namespace Peregrine.Simulation.Tests;

public sealed class WorldTests
{
    [Fact]
    public void EventsAtTheSameInstantComeInTheOrderOfTheirPlanning()
    {
        using var world = new SimulatedWorld(1);
        var order = new List<int>();
        for (var i = 0; i < 100; i++)
        {
            var number = i;
            world.After(Duration.FromMilliseconds(5 - (i % 3)), () => order.Add(number));
        }
        world.RunFor(Duration.FromSeconds(1));
        Assert.Equal(Enumerable.Range(0, 100).OrderByDescending(static i => i % 3).ThenBy(static i => i), order);
    }

    [Fact]
    public void AConversationOverABadLinkDeliversEveryByte()
    {
        using var world = new SimulatedWorld(7);
        var traffic = new TrafficState(world);
        var (a, b) = Pair(world, traffic, out var link);
        link.Delay(Duration.FromMilliseconds(3), Duration.FromMilliseconds(2)).Lose(50_000).Duplicate(60_000).Corrupt(60_000).Reorder(150_000, Duration.FromMilliseconds(9));
        var flow = a.Connect(new FlowPlan { Client = a.Host, Server = b.Host, ClientBytes = 150_000, ServerBytes = 70_000 });
        Assert.True(world.RunUntil(() => flow.IsDone, Duration.FromSeconds(120)), flow.ToString());
        Assert.Equal((150_008L, 70_000L), (flow.ServerReceived, flow.ClientReceived));
        var counters = link.AtoB.Counters;
        Assert.True(counters is { Lost: > 0, Duplicated: > 0, Corrupted: > 0, Reordered: > 0 }, $"{counters.Lost} {counters.Duplicated} {counters.Corrupted} {counters.Reordered}");
        Assert.True(a.Host.Stack.Tcp.Counters.SegmentsRetransmitted > 0);
    }

    // The swarm's seed 10: with a clock whose stamps have their highest bit set, RACK waited for nine minutes.
    [Fact]
    public void LossesAreRepairedSoonWhateverTheClockShows()
    {
        using var world = new SimulatedWorld(10);
        var traffic = new TrafficState(world);
        var a = new TrafficApplication(traffic, world.AddHost("a", new HostOptions { ClockStart = new Instant(700_000_000_000) }), 16);
        var b = new TrafficApplication(traffic, world.AddHost("b"), 16);
        a.Host.Application = a;
        b.Host.Application = b;
        world.Connect(a.Host, b.Host).Lose(30_000).Reorder(100_000, Duration.FromMilliseconds(3));
        var flow = a.Connect(new FlowPlan { Client = a.Host, Server = b.Host, ClientBytes = 400_000 });
        Assert.True(world.RunUntil(() => flow.IsDone, Duration.FromSeconds(60)), flow.ToString());
    }

    // A TIME-WAIT gives way to another, its last ACK was lost, and the FIN that comes again is answered by a reset. All has arrived by then, though a slow reader
    // has not read it: nobody is to blame.
    [Fact]
    public void WhatHasArrivedIsReadBeforeAnybodyIsBlamedForAReset()
    {
        using var world = new SimulatedWorld(1);
        var traffic = new TrafficState(world);
        var lan = world.AddSwitch("lan");
        var a = new TrafficApplication(traffic, world.AddHost("a", new HostOptions { Stack = HostOptions.SmallStack with { TimeWaitCountMax = 1 } }), 16);
        var b = new TrafficApplication(traffic, world.AddHost("b"), 16);
        (a.Host.Application, b.Host.Application) = (a, b);
        world.Connect(a.Host, lan);
        var way = world.Connect(b.Host, lan);
        // The server's part waits for the client to read, so that the client's FIN comes first.
        var flow = a.Connect(new FlowPlan
        {
            Client = a.Host, Server = b.Host, ClientBytes = 60_000, ServerBytes = 10_000, ChunkBytes = 1_000, ReadPause = Duration.FromMilliseconds(500),
            Settings = new TcpSettings { ReceiveBufferBytes = 2_048, ReceiveBufferBytesMax = 2_048 },
        });
        Assert.True(world.RunUntil(() => a.Host.Stack.Tcp.Counters.TimeWaitEntered == 1, Duration.FromSeconds(60)), flow.ToString());
        way.Cut();
        var other = a.Connect(new FlowPlan { Client = a.Host, Server = a.Host });
        Assert.True(world.RunUntil(() => a.Host.Stack.Tcp.Counters.TimeWaitEvicted == 1, Duration.FromSeconds(5)), other.ToString());
        way.Heal();
        Assert.InRange(flow.ServerReceived, Flow.HeaderBytes, 50_000);
        Assert.True(world.RunUntil(() => flow.IsDone, Duration.FromSeconds(60)), flow.ToString());
        Assert.Equal((60_008L, 10_000L, 1L), (flow.ServerReceived, flow.ClientReceived, traffic.Endings[SocketError.ConnectionReset]));
    }

    [Fact]
    public void APartitionThatHealsDelaysAndLosesNothing()
    {
        using var world = new SimulatedWorld(8);
        var traffic = new TrafficState(world);
        var (a, b) = Pair(world, traffic, out var link);
        var flow = a.Connect(new FlowPlan { Client = a.Host, Server = b.Host, ClientBytes = 100_000, IsV6 = true });
        world.After(Duration.FromMilliseconds(8), () => link.Cut());
        Assert.False(world.RunUntil(() => flow.IsDone, Duration.FromSeconds(10)));
        link.Heal();
        Assert.True(world.RunUntil(() => flow.IsDone, Duration.FromSeconds(60)), flow.ToString());
        Assert.Equal(100_008, flow.ServerReceived);
    }

    [Fact]
    public void ARouterTakesAHopAndReportsWhatIsTooBig()
    {
        using var world = new SimulatedWorld(9);
        var traffic = new TrafficState(world);
        var router = world.AddRouter("r");
        var a = new TrafficApplication(traffic, world.AddHost("a", Options(0)), 16);
        var b = new TrafficApplication(traffic, world.AddHost("b", Options(1)), 16);
        foreach (var (application, number) in new[] { (a, (byte)0), (b, (byte)1) })
        {
            application.Host.Application = application;
            var link = world.Connect(application.Host, router);
            router.Serve(link, new InterfaceAddress(IpAddress.FromIPv4(10, 0, number, 254), 24)).Knows(application.Host);
        }
        world.Links[1].Set(static c => c with { Mtu = 900 });
        var log = new FrameLog(10_000);
        world.Observe(log);
        var flow = a.Connect(new FlowPlan { Client = a.Host, Server = b.Host, ClientBytes = 50_000 });
        Assert.True(world.RunUntil(() => flow.IsDone, Duration.FromSeconds(60)), flow.ToString());
        Assert.True(router.ForwardedCount > 50);
        Assert.True(router.ErrorCount > 0);
        Assert.Equal(1, a.Host.Stack.Ip.IcmpCounters.PathMtuLowered);
        Assert.Contains("need to frag (mtu 900)", log.ToString(), StringComparison.Ordinal);

        static HostOptions Options(byte network) => new()
        {
            Addresses = [new InterfaceAddress(IpAddress.FromIPv4(10, 0, network, 1), 24)],
            Gateways = [IpAddress.FromIPv4(10, 0, network, 254)],
        };
    }

    [Fact]
    public void AClockThatDriftsAndJumpsOnlyMovesForward()
    {
        var clock = new HostClock(new Instant(0), new Instant(5_000));
        var last = clock.Local(new Instant(0));
        var random = new SimulationRandom(3);
        var now = new Instant(0);
        for (var i = 0; i < 10_000; i++)
        {
            now += new Duration(random.Next(5_000_000));
            if (random.Percent(10)) clock.Drift(random.Next(800_000) - 400_000, now);
            if (random.Percent(5)) clock.Jump(Duration.FromMilliseconds(random.Next(1_000)), now);
            var local = clock.Local(now);
            Assert.True(local >= last);
            last = local;
            var wanted = local + new Duration(random.Next(2_000_000_000));
            var at = clock.World(wanted, now);
            Assert.True(clock.Local(at) >= wanted);
            Assert.True(clock.Local(at) - wanted < Duration.FromMicroseconds(5), $"{clock.Local(at) - wanted}");
        }
    }

    private static (TrafficApplication A, TrafficApplication B) Pair(SimulatedWorld world, TrafficState traffic, out SimulatedLink link)
    {
        var a = new TrafficApplication(traffic, world.AddHost("a"), 16);
        var b = new TrafficApplication(traffic, world.AddHost("b"), 16);
        a.Host.Application = a;
        b.Host.Application = b;
        link = world.Connect(a.Host, b.Host);
        return (a, b);
    }
}
