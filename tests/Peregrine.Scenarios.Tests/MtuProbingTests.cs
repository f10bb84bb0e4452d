// Paths whose routers drop what is too large and say nothing: what a sender finds out by itself (RFC 4821).
using Peregrine.Core.Tcp;
using Peregrine.Core.Time;
using Peregrine.Scenarios.Tests.World;

namespace Peregrine.Scenarios.Tests;

public sealed class MtuProbingTests
{
    private const int Ethernet = 14;

    // IPv4, TCP and timestamps.
    private const int Headers = 20 + 20 + 12;

    // After a failure no probe goes for as many round trips as the window has segments (RFC 4821 §7.6.2): a search takes its time.
    private const int SearchBytes = 25_000_000;

    private static readonly WireOptions s_wire = new() { Delay = Duration.FromMilliseconds(2), RateBitsPerSecond = 40_000_000, QueueFramesMax = 10_000 };

    [Theory]
    [InlineData(TcpMtuProbingMode.Off, false)]
    [InlineData(TcpMtuProbingMode.BlackHole, true)]
    public void ASilentlySmallPathStopsWhoDoesNotProbe(TcpMtuProbingMode mode, bool arrives)
    {
        using var world = new TwoHosts(1, s_wire);
        world.AtoB.DropWhen = static (_, frame) => frame.Length > Ethernet + 1_300;
        var (client, server) = world.Open(client: TcpSettings.Default with { MtuProbing = mode });
        var transfer = new Transfer(world.A, client, world.B, server, SearchBytes);
        world.OnTurn = () => transfer.Turn(world.Now);
        Assert.Equal(arrives, world.RunUntil(() => transfer.IsDone, Duration.FromSeconds(60)));
        if (!arrives) return;
        Assert.InRange(MssOf(world, client), 1_300 - Headers - 8, 1_300 - Headers);
        Assert.True(world.A.Tcp.ExtCounters.TCPMTUPSuccess > 0);
        Assert.True(world.A.Tcp.ExtCounters.TCPMTUPFail > 0);
    }

    [Fact]
    // RFC 4821 §5.2.
    public void WhatOneConnectionFoundIsKnownToTheNext()
    {
        using var world = new TwoHosts(1, s_wire);
        world.AtoB.DropWhen = static (_, frame) => frame.Length > Ethernet + 1_300;
        var settings = TcpSettings.Default with { MtuProbing = TcpMtuProbingMode.BlackHole };
        var (client, server) = world.Open(client: settings);
        var transfer = new Transfer(world.A, client, world.B, server, SearchBytes);
        world.OnTurn = () => transfer.Turn(world.Now);
        world.AssertRunUntil(() => transfer.IsDone, Duration.FromSeconds(60), "the first transfer");
        var timeouts = world.A.Tcp.Counters.RetransmissionTimeouts;
        (client, server) = world.Open(port: 81, client: settings);
        Assert.InRange(MssOf(world, client), 1_300 - Headers - 8, 1_300 - Headers);
        transfer = new Transfer(world.A, client, world.B, server, 300_000);
        world.AssertRunUntil(() => transfer.IsDone, Duration.FromSeconds(5), "the second transfer");
        Assert.Equal(timeouts, world.A.Tcp.Counters.RetransmissionTimeouts);
    }

    [Theory]
    [InlineData(1_500)]
    [InlineData(1_400)]
    [InlineData(1_280)]
    // RFC 4821 §7.6: each probe that arrives raises the size, and a lost one costs no window (§7.6.2).
    public void FromTheBeginningThePathsSizeIsFoundWithoutLosingTheWindow(int mtu)
    {
        using var world = new TwoHosts(1, s_wire);
        var largest = 0;
        world.AtoB.OnFrame = (_, frame) => largest = Math.Max(largest, frame.Length - Ethernet);
        world.AtoB.DropWhen = (_, frame) => frame.Length > Ethernet + mtu;
        // The window opens in small steps: where a probe's parts and new data leave at one instant of this world, RACK cannot tell which went first.
        var (client, server) = world.Open(client: TcpSettings.Default with { MtuProbing = TcpMtuProbingMode.Always, SlowStartSegmentsPerAck = 2 });
        Assert.Equal(1_024, MssOf(world, client));
        var transfer = new Transfer(world.A, client, world.B, server, SearchBytes);
        world.OnTurn = () => transfer.Turn(world.Now);
        world.AssertRunUntil(() => transfer.IsDone, Duration.FromSeconds(30), "the transfer");
        Assert.InRange(MssOf(world, client), mtu - Headers - 8, mtu - Headers);
        Assert.True(largest <= 1_500, $"a packet of {largest} bytes");
        ref var counters = ref world.A.Tcp.ExtCounters;
        Assert.Equal(mtu == 1_500, counters.TCPMTUPFail == 0);
        Assert.True(counters.TCPMTUPSuccess > 0);
        Assert.Equal(0, counters.TCPSackRecovery);
        Assert.Equal(0, world.A.Tcp.Counters.RetransmissionTimeouts);
    }

    [Theory]
    [InlineData(true, false)]
    [InlineData(false, false)]
    [InlineData(false, true)]
    // RFC 4821 §7.6.2.
    public void WithoutRackALostProbeCostsNoWindowEither(bool sack, bool countsDuplicates)
    {
        using var world = new TwoHosts(1, s_wire);
        world.AtoB.DropWhen = static (_, frame) => frame.Length > Ethernet + 1_400;
        var settings = TcpSettings.Default with
        {
            MtuProbing = TcpMtuProbingMode.Always,
            Rack = false,
            SelectiveAcknowledgments = sack,
            PacketSender = countsDuplicates,
            MtuSearchKeepsMss = false,
            SlowStartSegmentsPerAck = 2,
        };
        var (client, server) = world.Open(client: settings);
        var transfer = new Transfer(world.A, client, world.B, server, SearchBytes);
        world.OnTurn = () => transfer.Turn(world.Now);
        world.AssertRunUntil(() => transfer.IsDone, Duration.FromSeconds(60), "the transfer");
        Assert.InRange(MssOf(world, client), 1_400 - Headers - 8, 1_400 - Headers);
        ref var counters = ref world.A.Tcp.ExtCounters;
        Assert.True(counters.TCPMTUPFail > 0);
        Assert.Equal((0L, 0L), (counters.TCPSackRecovery, counters.TCPRenoRecovery));
        Assert.Equal(0, world.A.Tcp.Counters.RetransmissionTimeouts);
    }

    [Fact]
    // RFC 4821 §7.8: packets go over two paths in turn, and one of them is narrower.
    public void ASizeThatOnlyOneOfTwoPathsCarriesIsTakenBack()
    {
        using var world = new TwoHosts(1, s_wire);
        var large = 0;
        world.AtoB.DropWhen = (_, frame) => frame.Length > Ethernet + 1_200 && large++ % 2 != 0;
        var (client, server) = world.Open(client: TcpSettings.Default with { MtuProbing = TcpMtuProbingMode.Always });
        var transfer = new Transfer(world.A, client, world.B, server, SearchBytes);
        var most = 0;
        world.OnTurn = () =>
        {
            transfer.Turn(world.Now);
            most = Math.Max(most, MssOf(world, client));
        };
        world.AssertRunUntil(() => transfer.IsDone, Duration.FromSeconds(120), "the transfer");
        Assert.True(most > 1_200 - Headers, $"never larger than {most}");
        Assert.InRange(MssOf(world, client), 1_024, 1_200 - Headers);
    }

    [Fact]
    // RFC 4821 §7.7, §7.8: what a path lost that became narrower is no verdict on the size that was taken in its place.
    public void ABlackHoleEndsTheTrialOfTheSizeBefore()
    {
        using var world = new TwoHosts(1, s_wire);
        var isNarrow = false;
        world.AtoB.DropWhen = (_, frame) => isNarrow && frame.Length > Ethernet + 900;
        var (client, server) = world.Open(client: TcpSettings.Default with { MtuProbing = TcpMtuProbingMode.Always });
        var transfer = new Transfer(world.A, client, world.B, server, SearchBytes);
        world.OnTurn = () =>
        {
            transfer.Turn(world.Now);
            isNarrow |= world.A.Tcp.ExtCounters.TCPMTUPSuccess > 0;
        };
        world.AssertRunUntil(() => transfer.IsDone, Duration.FromSeconds(120), "the transfer");
        Assert.InRange(MssOf(world, client), 900 - Headers - 8, 900 - Headers);
    }

    [Fact]
    // RFC 4821 §7.7: nothing at all comes through: each further time-out halves, down to the floor.
    public void TimeoutsHalveTheSizeDownToTheFloor()
    {
        using var world = new TwoHosts(1, s_wire);
        world.AtoB.DropWhen = static (_, frame) => frame.Length > Ethernet + 300;
        var (client, server) = world.Open(client: TcpSettings.Default with { MtuProbing = TcpMtuProbingMode.BlackHole, MtuProbeFloorMss = 100 });
        var transfer = new Transfer(world.A, client, world.B, server, 20_000);
        world.OnTurn = () => transfer.Turn(world.Now);
        var least = int.MaxValue;
        world.AssertRunUntil(
            () =>
            {
                least = Math.Min(least, MssOf(world, client));
                return transfer.IsDone;
            },
            Duration.FromSeconds(120), "the transfer");
        Assert.InRange(least, 100, 300 - Headers);
    }

    [Fact]
    public void ASearchGoesByThePeersMssAsItCounts()
    {
        using var world = new TwoHosts(1, s_wire);
        var (client, _) = world.Open(
            client: TcpSettings.Default with { MtuProbing = TcpMtuProbingMode.Always, PeerMssMin = 300, Timestamps = false },
            server: TcpSettings.Default with { MaximumSegmentSize = 100 });
        Assert.Equal(300, MssOf(world, client));
    }

    [Fact]
    // tcp_probe_interval: the path has become wider, and the cache has forgotten.
    public void AfterTheIntervalTheSearchIsTakenUpAgain()
    {
        using var world = new TwoHosts(1, s_wire);
        var mtu = 1_300;
        world.AtoB.DropWhen = (_, frame) => frame.Length > Ethernet + mtu;
        var (client, server) = world.Open(client: TcpSettings.Default with { MtuProbing = TcpMtuProbingMode.Always, MtuProbeIntervalSeconds = 1 });
        SendNowAndThen(world, client, server);
        Assert.InRange(MssOf(world, client), 1_300 - Headers - 8, 1_300 - Headers);
        mtu = 1_500;
        // Path MTUs are forgotten after ten minutes.
        world.Run(Duration.FromSeconds(1_300));
        SendNowAndThen(world, client, server);
        Assert.InRange(MssOf(world, client), 1_500 - Headers - 8, 1_500 - Headers);
    }

    private static void SendNowAndThen(TwoHosts world, TcpHandle client, TcpHandle server)
    {
        for (var i = 0; i < 8; i++)
        {
            var transfer = new Transfer(world.A, client, world.B, server, 4_000_000);
            world.OnTurn = () => transfer.Turn(world.Now);
            world.AssertRunUntil(() => transfer.IsDone, Duration.FromSeconds(30), "a transfer");
            world.Run(Duration.FromSeconds(100));
        }
    }

    private static int MssOf(TwoHosts world, TcpHandle connection)
    {
        Assert.True(world.A.Tcp.TryGetInfo(connection, world.Now, out var info));
        return info.SendMss;
    }
}
