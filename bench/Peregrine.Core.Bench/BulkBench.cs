// One connection, one direction, two stacks and a link in memory on one thread: what a segment of bulk data costs both ends together. The
// link's kind says who sums and cuts: the plain one leaves everything to the core, as the cheapest card does. Over memif, whose ends are two
// processes in earnest, what it costs the client, which brings the memory, is timed by itself.
using System.Diagnostics;
using System.Net.Sockets;
using Peregrine.Core.Ip;
using Peregrine.Core.Links;
using Peregrine.Core.Memory;
using Peregrine.Core.Tcp;
using Peregrine.Core.Time;
using Peregrine.Drivers.Memif;
using Peregrine.Wire;

namespace Peregrine.Core.Bench;

internal sealed class BulkBench : IDisposable
{
    private readonly End _a, _b;
    private readonly ILink _linkA, _linkB;
    private readonly byte[] _buffer = new byte[65_536];
    private Instant _now = Instant.Zero + Duration.FromSeconds(1);
    private long _ticksA, _ticksB;

    private BulkBench(ILink linkA, ILink linkB, bool merge)
    {
        (_linkA, _linkB) = (linkA, linkB);
        _a = new End(_linkA, 1, merge, _now);
        _b = new End(_linkB, 2, merge, _now);
    }

    public static void Run(long megabytes, int rounds)
    {
        Console.WriteLine($"Bulk, {megabytes} MB a round: nanoseconds per 1,448 bytes, both ends together, best and median of {rounds} rounds");
        (MemoryLinkKind, int)[] links =
        [
            (MemoryLinkKind.Plain, 1_500), (MemoryLinkKind.Card, 1_500), (MemoryLinkKind.Plain, 9_000), (MemoryLinkKind.Card, 9_000), (MemoryLinkKind.Virtual, 1_500),
        ];
        foreach (var (kind, mtu) in links)
        {
            foreach (var merge in (bool[])[false, true])
            {
                var (linkA, linkB) = MemoryLink.CreatePair(new MemoryLinkOptions { Kind = kind, Mtu = mtu });
                using var bench = new BulkBench(linkA, linkB, merge);
                bench.Time($"{kind}, MTU {mtu:N0}, {(merge ? "segments merged on receipt" : "as they come")}", megabytes * 1_000_000, rounds);
            }
        }
    }

    /// <summary>The client's nanoseconds per 1,448 bytes, sending and receiving.</summary>
    public static void RunMemif(long megabytes, int rounds, int ring)
    {
        Console.WriteLine($"Bulk over memif, rings of {ring:N0}, {megabytes} MB a round: the client's nanoseconds per 1,448 bytes, best and median of {rounds} rounds");
        foreach (var isSender in (bool[])[true, false])
        {
            var options = new MemifOptions { SocketPath = $"@bulk-{Environment.ProcessId}-{isSender}", RingSize = ring };
            var server = MemifLink.Open(options with { Role = MemifRole.Server });
            var client = MemifLink.Open(options);
            while (!server.IsUp || !client.IsUp) Thread.Sleep(1);
            using var bench = isSender ? new BulkBench(client, server, merge: true) : new BulkBench(server, client, merge: true);
            bench.TimeOne(isSender ? "sends" : "receives", megabytes * 1_000_000, rounds, () => isSender ? bench._ticksA : bench._ticksB);
        }
    }

    public void Dispose()
    {
        _linkA.Dispose();
        _linkB.Dispose();
        _a.Stack.Dispose();
        _b.Stack.Dispose();
    }

    private void Time(string what, long bytes, int rounds)
    {
        var (client, server) = Open();
        Measure.Print(what, (int)(bytes / 1_448), () => Transfer(client, server, bytes), rounds);
    }

    private void TimeOne(string what, long bytes, int rounds, Func<long> ticks)
    {
        var (client, server) = Open();
        var times = new double[rounds];
        for (var i = -rounds / 2; i < rounds; i++)
        {
            var before = ticks();
            Transfer(client, server, bytes);
            if (i >= 0) times[i] = (ticks() - before) * 1e9 / Stopwatch.Frequency / (bytes / 1_448);
        }
        Array.Sort(times);
        Console.WriteLine($"  {what,-62} {times[0],7:F1} {times[rounds / 2],7:F1}");
    }

    private (TcpHandle Client, TcpHandle Server) Open()
    {
        if (_b.Stack.Tcp.Listen(new TcpListenOptions(new Endpoint(IpAddress.FromIPv4(10, 0, 0, 2), 80), 16), out var listener) != SocketError.Success) throw new InvalidOperationException("no listener");
        _a.Stack.Tcp.Connect(new TcpConnectOptions(new Endpoint(IpAddress.FromIPv4(10, 0, 0, 2), 80)), _now, out var client);
        TcpHandle server = default;
        for (var i = 0; i < 100_000 && !_b.Stack.Tcp.TryAccept(listener, out server); i++) Turn();
        return server.IsValid ? (client, server) : throw new InvalidOperationException("no connection");
    }

    private void Transfer(TcpHandle client, TcpHandle server, long bytes)
    {
        var (sent, received) = (0L, 0L);
        while (received < bytes)
        {
            var start = Stopwatch.GetTimestamp();
            while (sent < bytes)
            {
                var n = _a.Stack.Tcp.Send(client, _buffer.AsSpan(0, (int)Math.Min(_buffer.Length, bytes - sent)), _now);
                if (n <= 0) break;
                sent += n;
            }
            _ticksA += Stopwatch.GetTimestamp() - start;
            Turn();
            start = Stopwatch.GetTimestamp();
            while (_b.Stack.Tcp.Receive(server, _buffer, _now) is var n and > 0) received += n;
            _ticksB += Stopwatch.GetTimestamp() - start;
        }
    }

    private void Turn()
    {
        _now += Duration.FromMicroseconds(20);
        var start = Stopwatch.GetTimestamp();
        _a.Turn(_now);
        var between = Stopwatch.GetTimestamp();
        _b.Turn(_now);
        _ticksA += between - start;
        _ticksB += Stopwatch.GetTimestamp() - between;
    }

    private sealed class End
    {
        private readonly Frame[] _burst = new Frame[64];
        private readonly ILinkQueue _queue;
        private readonly int _interface;

        public End(ILink link, byte number, bool merge, Instant now)
        {
            var options = new StackOptions
            {
                ConnectionCountMax = 64, TimeWaitCountMax = 64, SynBacklogCountMax = 64,
                ListenerCountMax = 16, FrameCount = 4_096, BlockCount = 8_192, MergeReceived = merge,
            };
            Stack = new NetworkStack(options, MemoryRegion.Allocate(NetworkStack.BytesFor(options)), StackSecrets.FromSeed(number), number, now);
            _interface = Stack.AddInterface(
                new InterfaceOptions
                {
                    Name = link.Name, MacAddress = link.MacAddress, Medium = link.Medium, Mtu = link.Mtu, Offloads = link.Offloads, SuperSegmentMax = link.SuperSegmentMax,
                    LinkLocal = false, ReportMulticast = false, Addresses = [new InterfaceAddress(IpAddress.FromIPv4(10, 0, 0, number), 24)],
                },
                now);
            _queue = link.OpenQueue(0, Stack.Frames);
        }

        public NetworkStack Stack { get; }

        public void Turn(Instant now)
        {
            var n = _queue.Receive(_burst);
            if (n > 0) Stack.OnBurst(_interface, _burst.AsSpan(0, n), now);
            Stack.FireTimers(now);
            while (Stack.Tcp.TryNextEvent(out _))
            {
            }
            Stack.Poll(now);
            var pending = Stack.PendingOutput(_interface);
            if (pending.Length > 0) Stack.OnTransmitted(_interface, _queue.Transmit(pending));
            _queue.Reclaim();
        }
    }
}
