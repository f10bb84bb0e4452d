// The log of a connection's events: what recovery did is told in the order in which it happened, and only of connections that ask.
using Peregrine.Core.Tcp;
using Peregrine.Core.Tcp.Log;
using Peregrine.Core.Time;
using Peregrine.Scenarios.Tests.World;

namespace Peregrine.Scenarios.Tests;

public sealed class EventLogTests
{
    private static readonly WireOptions s_wire = new() { Delay = Duration.FromMilliseconds(20), RateBitsPerSecond = 50_000_000 };
    private static readonly TcpSettings s_logged = TcpSettings.Default with { EventLog = true };

    [Fact]
    public void ALossIsToldWithItsRetransmissionAndItsRecovery()
    {
        var log = Run((n, _) => n == 30, out var settled);
        Assert.Equal(log.Single(static r => r.Kind == TcpLogKind.Lost).Bytes, (uint)log.Single(static r => r.IsRetransmission).Segment.PayloadLength);
        var phases = log.Where(static r => r.Kind == TcpLogKind.CongestionStateChanged).Select(static r => r.Congestion);
        Assert.Equal([TcpCongestionPhase.Recovery, TcpCongestionPhase.CongestionAvoidance], phases);
        Assert.DoesNotContain(log, static r => r.Kind is TcpLogKind.RetransmissionTimeout or TcpLogKind.Spurious);
        Assert.Equal(settled.SlowStartThreshold, log.Last(static r => r.Kind == TcpLogKind.MetricsUpdated).Metrics.SlowStartThreshold);
        Assert.Equal(log.Select(static r => r.Time.Nanoseconds).Order(), log.Select(static r => r.Time.Nanoseconds));
    }

    [Fact]
    public void ATimeoutAndWhatItMarksLostAreTold()
    {
        // The wire is dead for a while.
        var since = Instant.Never;
        var log = Run((n, now) => n >= 30 && now - (since = Instant.Min(since, now)) < Duration.FromMilliseconds(300), out _);
        Assert.Contains(log, static r => r.Kind == TcpLogKind.RetransmissionTimeout);
        Assert.Contains(log, static r => r.Kind == TcpLogKind.CongestionStateChanged && r.Congestion == TcpCongestionPhase.Loss);
        Assert.True(log.Where(static r => r.Kind == TcpLogKind.Lost).Sum(static r => r.Bytes) > 0);
    }

    [Fact]
    public void ConnectionsThatDoNotAskAreNotTold()
    {
        using var world = new TwoHosts(1, s_wire);
        var sink = new Sink();
        world.A.Tcp.EventSink = sink;
        world.Open();
        Assert.Empty(sink.Records);
        var (logged, _) = world.Open(port: 8, client: s_logged);
        Assert.Equal(TcpLogKind.Opened, sink.Records[0].Kind);
        world.A.Tcp.Abort(logged, world.Now);
        Assert.Equal(TcpLogKind.Closed, sink.Records[^1].Kind);
        Assert.Equal(System.Net.Sockets.SocketError.ConnectionAborted, sink.Records[^1].Error);
    }

    private static List<TcpLogRecord> Run(Func<long, Instant, bool> isDropped, out TcpInfo settled)
    {
        using var world = new TwoHosts(1, s_wire);
        var sink = new Sink();
        world.A.Tcp.EventSink = sink;
        var (client, server) = world.Open(client: s_logged);
        var first = world.AtoB.Sent;
        world.AtoB.DropWhen = (n, _) => isDropped(n - first, world.Now);
        var transfer = new Transfer(world.A, client, world.B, server, 300_000);
        world.OnTurn = () => transfer.Turn(world.Now);
        world.AssertRunUntil(() => transfer.IsDone && world.A.Tcp.GetStatus(client).UnacknowledgedBytes == 0, Duration.FromSeconds(30), "the transfer");
        Assert.True(world.A.Tcp.TryGetInfo(client, world.Now, out settled));
        return sink.Records;
    }

    private sealed class Sink : ITcpEventSink
    {
        internal List<TcpLogRecord> Records { get; } = [];

        public void OnEvent(in TcpLogRecord record) => Records.Add(record);
    }
}
