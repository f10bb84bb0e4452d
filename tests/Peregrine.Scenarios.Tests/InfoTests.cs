// What a snapshot of a connection tells of things that only tools ask for (StackOptions.ConnectionDetails).
using Peregrine.Core.Tcp;
using Peregrine.Core.Time;
using Peregrine.Scenarios.Tests.World;

namespace Peregrine.Scenarios.Tests;

public sealed class InfoTests
{
    private static TwoHosts World(WireOptions? wire = null) => new(1, wire, Host.SmallOptions with { ConnectionDetails = true });

    [Theory]
    [InlineData("cubic")]
    [InlineData("bbr")]
    public void TheDeliveryRateIsTheLinks(string control)
    {
        using var world = World(new WireOptions { Delay = Duration.FromMilliseconds(10), RateBitsPerSecond = 20_000_000 });
        var (client, server) = world.Open(client: TcpSettings.Default with { CongestionControl = control });
        var transfer = new Transfer(world.A, client, world.B, server, 5_000_000) { QueuedMax = 3_000_000 };
        world.OnTurn = () => transfer.Turn(world.Now);
        world.AssertRunUntil(() => transfer.Received > 2_000_000, Duration.FromSeconds(60), "the middle");
        var info = Details(world, world.A, client);
        // Less than 2.5 MB/s by the headers; samples of a recovery show less.
        Assert.InRange(info.DeliveryBytesPerSecond, 1_800_000ul, 2_500_000ul);
        Assert.False(info.IsDeliveryAppLimited);
        Assert.True(info.BytesSent > 2_000_000);
    }

    [Fact]
    public void TimeoutsAreCountedAndTimed()
    {
        using var world = World();
        var (client, server) = world.Open();
        var transfer = new Transfer(world.A, client, world.B, server, 20_000);
        world.OnTurn = () => transfer.Turn(world.Now);
        world.AtoB.DropWhen = static (_, _) => true;
        world.Run(Duration.FromSeconds(4));
        var during = Details(world, world.A, client);
        Assert.InRange(during.Timeouts, 2u, 6u);
        Assert.Equal(1u, during.TimeoutEpisodes);
        Assert.True(during.TimeoutTime > Duration.FromSeconds(2), $"{during.TimeoutTime}");
        world.AtoB.DropWhen = null;
        world.AssertRunUntil(() => transfer.IsDone, Duration.FromSeconds(60), "the transfer");
        world.Run(Duration.FromSeconds(1));
        var after = Details(world, world.A, client);
        world.Run(Duration.FromSeconds(30));
        Assert.Equal((after.Timeouts, 1u, after.TimeoutTime), (Details(world, world.A, client).Timeouts, after.TimeoutEpisodes, Details(world, world.A, client).TimeoutTime));
    }

    [Fact]
    public void ASynThatIsRepeatedIsATimeoutThatEndsWithTheHandshake()
    {
        using var world = World();
        var syns = 0;
        world.AtoB.DropWhen = (_, frame) => frame[12] == 8 && frame[13] == 0 && syns++ < 2;
        var (client, _) = world.Open();
        world.Run(Duration.FromSeconds(10));
        var info = Details(world, world.A, client);
        // Repeated after 1 s and after 3 s, and answered in 10 ms.
        Assert.Equal((2u, 1u), (info.Timeouts, info.TimeoutEpisodes));
        Assert.InRange(info.TimeoutTime.Milliseconds, 2_000, 2_050);
    }

    [Fact]
    public void BothEndsKnowWhatCameOutOfOrder()
    {
        using var world = World(new WireOptions { Delay = Duration.FromMilliseconds(5), Jitter = Duration.FromMilliseconds(5) });
        var (client, server) = world.Open();
        var transfer = new Transfer(world.A, client, world.B, server, 500_000);
        world.OnTurn = () => transfer.Turn(world.Now);
        world.AssertRunUntil(() => transfer.IsDone, Duration.FromSeconds(60), "the transfer");
        Assert.True(Details(world, world.B, server).OutOfOrderSegments > 0);
        var sender = Details(world, world.A, client);
        Assert.True(sender.ReorderingEvents > 0);
        Assert.True(sender.Reordering > 3);
    }

    [Theory]
    [InlineData(TcpEcnMode.On)]
    [InlineData(TcpEcnMode.Accurate)]
    public void MarksAreToldAtBothEnds(TcpEcnMode mode)
    {
        using var world = World(new WireOptions { Delay = Duration.FromMilliseconds(5), RateBitsPerSecond = 20_000_000, MarkFramesMin = 5 });
        var settings = TcpSettings.Default with { Ecn = mode };
        var (client, server) = world.Open(client: settings, server: settings);
        var transfer = new Transfer(world.A, client, world.B, server, 2_000_000);
        world.OnTurn = () => transfer.Turn(world.Now);
        world.AssertRunUntil(() => transfer.IsDone, Duration.FromSeconds(60), "the transfer");
        world.Run(Duration.FromSeconds(1));
        Assert.True(Details(world, world.A, client).MarkedSegmentsDelivered > 0);
        Assert.True(Details(world, world.B, server).EcnSeen);
        Assert.True(world.A.Tcp.TryGetInfo(client, world.Now, out var sender) & world.B.Tcp.TryGetInfo(server, world.Now, out var receiver));
        Assert.Equal(mode == TcpEcnMode.Accurate, sender.AccurateEcnCounters.HasValue);
        if (sender.AccurateEcnCounters is not { } sent || receiver.AccurateEcnCounters is not { } received) return;
        Assert.Equal((world.AtoB.Marked, world.AtoB.Marked), (sent.MarkedSegmentsDelivered, received.MarkedSegmentsReceived));
        Assert.Equal((received.MarkedBytesReceived, received.Ect0BytesReceived, 0u), (sent.MarkedBytesDelivered, sent.Ect0BytesDelivered, sent.Ect1BytesDelivered));
        Assert.Equal((2_000_000u, true, TcpAccurateEcnFailures.None), (received.MarkedBytesReceived + received.Ect0BytesReceived, sent.OptionSeen, sent.Failures));
    }

    [Fact]
    public void AFastOpenThatCouldNotBeSaysWhy()
    {
        using var world = World();
        var settings = TcpSettings.Default with { FastOpenConnect = true, FastOpenQueueLength = 8 };
        var (first, _) = world.Open(80, client: settings, server: settings);
        Assert.Equal(TcpFastOpenFailure.NoCookie, Details(world, world.A, first).FastOpenFailure);
        world.AtoB.DropWhen = static (_, frame) => frame.Length > 60 && frame[12] == 8 && (frame[47] & 2) != 0;
        Assert.Equal(System.Net.Sockets.SocketError.Success, world.A.Tcp.Connect(new(new(world.B.Address, 80), default, settings), world.Now, out var second));
        world.Run(Duration.FromMilliseconds(1_500));
        Assert.Equal(TcpFastOpenFailure.SynRepeated, Details(world, world.A, second).FastOpenFailure);
    }

    private static TcpInfoDetails Details(TwoHosts world, Host host, TcpHandle connection)
    {
        Assert.True(host.Tcp.TryGetInfo(connection, world.Now, out var info));
        return Assert.NotNull(info.Details);
    }
}
