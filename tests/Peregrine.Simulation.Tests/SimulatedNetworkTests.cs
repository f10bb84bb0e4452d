// Users' code on a simulated network, all of it on one thread: it replays bit for bit, its time-outs take no real time, and faults do what they say.
using System.Net;
using System.Net.Sockets;
using System.Text;
using System.Threading.Channels;
using Peregrine.Core.Time;
using Peregrine.Simulation.Networks;
using Peregrine.Sockets;

namespace Peregrine.Simulation.Tests;

public sealed class SimulatedNetworkTests
{
    private static readonly IPEndPoint s_service = new(IPAddress.Any, 7);

    [Fact]
    public void TheSameSeedRunsUsersCodeTheSameBitForBit()
    {
        var (first, firstHash) = Chat(11);
        var (second, secondHash) = Chat(11);
        var (other, otherHash) = Chat(12);
        Assert.Equal(40, first.Split('\n').Length - 1);
        Assert.Equal(first, second);
        Assert.Equal(firstHash, secondHash);
        Assert.NotEqual(firstHash, otherHash);
        Assert.NotEqual(first, other);
    }

    [Fact]
    public void ATimerTakesVirtualTimeAndNoRealTime()
    {
        using var network = new SimulatedNetwork(1);
        var host = network.AddHost("a");
        var before = host.TimeProvider.GetUtcNow();
        var ticks = 0;
        network.Run(
            async () =>
            {
                using var timer = new PeriodicTimer(TimeSpan.FromHours(1), host.TimeProvider);
                while (ticks < 48 && await timer.WaitForNextTickAsync()) ticks++;
            },
            TimeSpan.FromDays(3));
        Assert.Equal(new DateTimeOffset(2000, 1, 1, 0, 0, 0, TimeSpan.Zero), before);
        Assert.Equal(TimeSpan.FromDays(2), host.TimeProvider.GetUtcNow() - before);
    }

    [Fact]
    public void APausedHostsTimersAreLateAndAnothersAreNot()
    {
        using var network = new SimulatedNetwork(1);
        var (paused, awake) = (network.AddHost("paused"), network.AddHost("awake"));
        var start = network.TimeProvider.GetTimestamp();
        var (late, inTime) = (TimeSpan.Zero, TimeSpan.Zero);
        network.Run(async () =>
        {
            paused.Pause(TimeSpan.FromSeconds(5));
            var a = Note(paused, () => late = network.TimeProvider.GetElapsedTime(start));
            var b = Note(awake, () => inTime = network.TimeProvider.GetElapsedTime(start));
            await Task.WhenAll(a, b);
        });
        Assert.Equal(TimeSpan.FromSeconds(5), late);
        Assert.Equal(TimeSpan.FromSeconds(2), inTime);

        static async Task Note(NetworkHost host, Action note)
        {
            await Task.Delay(TimeSpan.FromSeconds(2), host.TimeProvider);
            note();
        }
    }

    [Fact]
    public void APartitionStopsWhoIsOnTheOtherSideAndNobodyElse()
    {
        using var network = new SimulatedNetwork(3);
        var (server, near, far) = (network.AddHost("server"), network.AddHost("near"), network.AddHost("far"));
        network.Run(async () =>
        {
            var serving = EchoAsync(server);
            Assert.Equal("one", await AskAsync(far, "one"));
            network.Partition(far);
            Assert.Equal("two", await AskAsync(near, "two"));
            await Assert.ThrowsAnyAsync<OperationCanceledException>(() => AskAsync(far, "three"));
            network.Heal();
            Assert.Equal("four", await AskAsync(far, "four"));
            await server.DisposeAsync();
            await serving;
        });
        Assert.True(server.Link.BtoA.Counters.Swallowed > 0);
    }

    // The first program of docs/simulated-network.md.
    [Fact]
    public void WhatIsSentIntoAPartitionArrivesWhenItHeals()
    {
        using var network = new SimulatedNetwork(42);
        var server = network.AddHost("server").Delay(TimeSpan.FromMilliseconds(20)).Loss(percent: 1);
        var client = network.AddHost("client");
        var buffer = new byte[5];
        network.Run(async () =>
        {
            await using var listener = server.ListenTcp(s_service);
            var accepting = listener.AcceptAsync();
            await using var connection = await client.ConnectTcpAsync(new DnsEndPoint("server", 7));
            await using var peer = await accepting;
            await connection.SendAsync("hello"u8.ToArray());
            network.Partition(client);
            await Task.Delay(TimeSpan.FromMinutes(10), client.TimeProvider);
            network.Heal();
            await peer.ReceiveAsync(buffer);
        });
        Assert.Equal("hello", Encoding.ASCII.GetString(buffer));
        Assert.True(client.Machine.Stack.Tcp.Counters.SegmentsRetransmitted > 3);
    }

    [Fact]
    public void TwoSitesShareTheCableBetweenThem()
    {
        using var network = new SimulatedNetwork(9);
        var here = network.AddHost("server");
        var asia = network.AddSwitch("asia");
        var far = network.AddHost("far", at: asia);
        network.Connect(network.Switch, asia).Delay(TimeSpan.FromMilliseconds(100));
        var elapsed = TimeSpan.Zero;
        network.Run(async () =>
        {
            var serving = EchoAsync(here);
            var start = far.TimeProvider.GetTimestamp();
            Assert.Equal("hello", await AskAsync(far, "hello"));
            elapsed = far.TimeProvider.GetElapsedTime(start);
            network.Partition(far);
            await Assert.ThrowsAnyAsync<OperationCanceledException>(() => AskAsync(far, "lost"));
            await here.DisposeAsync();
            await serving;
        });
        // The address, the handshake and the answer: three times there and back.
        Assert.InRange(elapsed.TotalMilliseconds, 600, 620);
    }

    [Fact]
    public void ABlackholeSwallowsOneDirection()
    {
        using var network = new SimulatedNetwork(4);
        var (a, b) = (network.AddHost("a"), network.AddHost("b"));
        var arrived = new List<string>();
        network.Run(async () =>
        {
            await using var atA = a.BindUdp(new IPEndPoint(IPAddress.Any, 9));
            await using var atB = b.BindUdp(new IPEndPoint(IPAddress.Any, 9));
            var (toA, toB) = (new IPEndPoint(a.Machine.AddressV4.ToIPAddress(), 9), new IPEndPoint(b.Machine.AddressV4.ToIPAddress(), 9));
            await atA.SendToAsync("before"u8.ToArray(), toB);
            arrived.Add(await TakeAsync(atB));
            network.Blackhole(a, b);
            await atA.SendToAsync("lost"u8.ToArray(), toB);
            await atB.SendToAsync("back"u8.ToArray(), toA);
            arrived.Add(await TakeAsync(atA));
            network.Heal();
            await atA.SendToAsync("after"u8.ToArray(), toB);
            arrived.Add(await TakeAsync(atB));
        });
        Assert.Equal(["before", "back", "after"], arrived);

        static async Task<string> TakeAsync(UdpSocket socket)
        {
            var buffer = new byte[64];
            var got = await socket.ReceiveFromAsync(buffer);
            return Encoding.ASCII.GetString(buffer, 0, got.ReceivedBytes);
        }
    }

    [Fact]
    public void FaultsOfALineAreWhatTheirNamesSay()
    {
        using var network = new SimulatedNetwork(5);
        var host = network.AddHost("a").Delay(TimeSpan.FromMilliseconds(40)).Jitter(TimeSpan.FromMilliseconds(3)).Loss(2.5).Duplicate(1).Reorder(4, TimeSpan.FromMilliseconds(7))
            .Rate(10_000_000, 20_000).Unplug();
        var conditions = host.Link.BtoA.Conditions;
        Assert.Equal(host.Link.AtoB.Conditions, conditions);
        Assert.Equal((Duration.FromMilliseconds(40), Duration.FromMilliseconds(3)), (conditions.Delay, conditions.Jitter));
        Assert.Equal((25_000, 10_000, 40_000, Duration.FromMilliseconds(7)),
            (conditions.LossPerMillion, conditions.DuplicationPerMillion, conditions.ReorderingPerMillion, conditions.ReorderDelay));
        Assert.Equal((10_000_000L, 20_000, false), (conditions.RateBitsPerSecond, conditions.QueueBytesMax, conditions.IsUp));
        Assert.True(host.Plug().Link.AtoB.Conditions.IsUp);
        Assert.Throws<ArgumentOutOfRangeException>(() => host.Loss(101));
        Assert.Throws<ArgumentException>(() => network.AddHost("A"));
    }

    [Fact]
    public void CodeThatLeavesTheThreadIsToldSo()
    {
        using var network = new SimulatedNetwork(6);
        var host = network.AddHost("a");
        Exception? there = null;
        var here = Assert.Throws<InvalidOperationException>(() => network.Run(async () =>
        {
            var context = SynchronizationContext.Current!;
            var elsewhere = new Thread(() =>
            {
                there = Record.Exception(() => host.BindUdp(new IPEndPoint(IPAddress.Any, 9)));
                context.Post(static _ => { }, null);
            });
            elsewhere.Start();
            elsewhere.Join();
            await Task.Delay(TimeSpan.FromMinutes(30), host.TimeProvider);
        }));
        Assert.Contains("RunWithThreadPoolAsync", here.Message, StringComparison.Ordinal);
        Assert.Equal(here.Message.Split('\n')[0], Assert.IsType<InvalidOperationException>(there).Message);
    }

    // Kestrel's heartbeat does, while the thread that runs the world waits for the heartbeat's end.
    [Fact]
    public void AClockIsReadByAnyThreadWithoutWaitingForTheWorld()
    {
        using var network = new SimulatedNetwork(6);
        var host = network.AddHost("a");
        long there = 0;
        network.Run(() =>
        {
            var elsewhere = new Thread(() => there = host.TimeProvider.GetTimestamp()) { IsBackground = true };
            elsewhere.Start();
            Assert.True(elsewhere.Join(TimeSpan.FromSeconds(20)));
            return Task.CompletedTask;
        });
        Assert.Equal(host.TimeProvider.GetTimestamp(), there);
    }

    [Fact]
    public void CodeThatWaitsForWhatCannotHappenIsToldSo()
    {
        using var network = new SimulatedNetwork(6);
        network.AddHost("a");
        var never = new TaskCompletionSource();
        Assert.Contains("nothing is going to happen", Assert.Throws<TimeoutException>(() => network.Run(() => never.Task)).Message, StringComparison.Ordinal);
        Assert.Throws<TimeoutException>(() => network.Run(() => Task.Delay(TimeSpan.FromHours(2), network.TimeProvider)));
    }

    [Fact]
    public void AnExceptionOfTheCodeIsTheRuns()
    {
        using var network = new SimulatedNetwork(7);
        var client = network.AddHost("client");
        network.AddHost("server");
        var e = Assert.Throws<SocketException>(() => network.Run(async () => await client.ConnectTcpAsync(new DnsEndPoint("server", 80))));
        Assert.Equal(SocketError.ConnectionRefused, e.SocketErrorCode);
        e = Assert.Throws<SocketException>(() => network.Run(async () => await client.ConnectTcpAsync(new DnsEndPoint("nobody", 80))));
        Assert.Equal(SocketError.HostNotFound, e.SocketErrorCode);
    }

    /// <summary>Two clients behind a bad line, with time-outs, retries, a queue, a lock and a periodic timer: what happened when, and the trace's digest.</summary>
    private static (string Log, ulong Hash) Chat(ulong seed)
    {
        using var network = new SimulatedNetwork(seed);
        var server = network.AddHost("server").Delay(TimeSpan.FromMilliseconds(10)).Jitter(TimeSpan.FromMilliseconds(4)).Loss(8);
        NetworkHost[] clients = [network.AddHost("anne"), network.AddHost("bert").Rate(2_000_000)];
        var log = new StringBuilder();
        network.Run(async () =>
        {
            var serving = EchoAsync(server);
            var lines = Channel.CreateUnbounded<string>();
            var gate = new SemaphoreSlim(1);
            var writing = WriteAsync();
            await Task.WhenAll(clients.Select(AskManyAsync));
            lines.Writer.Complete();
            await writing;
            await server.DisposeAsync();
            await serving;

            async Task WriteAsync()
            {
                while (await lines.Reader.WaitToReadAsync())
                {
                    while (lines.Reader.TryRead(out var line)) log.Append(network.TimeProvider.GetTimestamp()).Append(' ').AppendLine(line);
                }
            }

            async Task AskManyAsync(NetworkHost client)
            {
                using var timer = new PeriodicTimer(TimeSpan.FromMilliseconds(30), client.TimeProvider);
                for (var i = 0; i < 20; i++)
                {
                    await timer.WaitForNextTickAsync();
                    await gate.WaitAsync();
                    try
                    {
                        await lines.Writer.WriteAsync($"{client.Name} {await AskAsync(client, new string('x', 1 + (i * 700)))}");
                    }
                    catch (OperationCanceledException)
                    {
                        await lines.Writer.WriteAsync(client.Name + " gave up");
                    }
                    finally
                    {
                        gate.Release();
                    }
                }
            }
        });
        return (log.ToString(), network.TraceHash);
    }

    private static async Task EchoAsync(NetworkHost host)
    {
        await using var listener = host.ListenTcp(s_service);
        try
        {
            while (true) _ = ServeAsync(await listener.AcceptAsync());
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            // The host has closed its sockets.
        }

        static async Task ServeAsync(TcpConnection connection)
        {
            await using var stream = connection.AsStream();
            try
            {
                await stream.CopyToAsync(stream);
            }
            catch (IOException)
            {
                // The client gave up.
            }
        }
    }

    private static async Task<string> AskAsync(NetworkHost client, string text)
    {
        using var cancel = new CancellationTokenSource(TimeSpan.FromSeconds(2), client.TimeProvider);
        await using var connection = await client.ConnectTcpAsync(new DnsEndPoint("server", 7), null, cancel.Token);
        var bytes = Encoding.ASCII.GetBytes(text);
        await connection.SendAsync(bytes, cancel.Token);
        connection.Shutdown(SocketShutdown.Send);
        var answer = new byte[bytes.Length];
        var count = 0;
        while (count < answer.Length)
        {
            var n = await connection.ReceiveAsync(answer.AsMemory(count), cancel.Token);
            if (n == 0) break;
            count += n;
        }
        return Encoding.ASCII.GetString(answer, 0, count);
    }
}
