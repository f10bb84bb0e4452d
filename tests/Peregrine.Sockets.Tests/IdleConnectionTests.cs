// A million idle connections in memory: what one takes, all of it together, and that the last costs what the first did. Costs are counted in
// bytes and turns, which are the same on every machine; the time is printed and judged by nobody.
using System.Diagnostics;
using System.Net;
using Peregrine.Core;

namespace Peregrine.Sockets.Tests;

[CollectionDefinition(nameof(Alone), DisableParallelization = true)]
public sealed class Alone;

// The heap's size is read, and others that run beside would change it.
[Collection(nameof(Alone))]
public sealed class IdleConnectionTests
{
    /// <summary>Bytes an end of connection, demux slots (twice as many as entries, and a power of two) and timer: a sum of sizes, without chance.</summary>
    private const double NativeMax = 434;

    /// <summary>Bytes an end of the API's object (56) and its place in the table of sockets, which grows by doubling; the rest is what a heap's size may be off by.</summary>
    private const double ObjectsMax = 66;

    /// <summary>Both ends of each are on the one core, so this is two million ends.</summary>
    private const int ConnectionCount = 1_000_000;

    /// <summary>Connections that are opened together.</summary>
    private const int BatchSize = 500;

    /// <summary>Connections to one port: well below the number of ephemeral ports, as a picker of ports is not what is measured here.</summary>
    private const int ConnectionsPerPort = 20_000;

    private readonly List<Step> _steps = [];
    private readonly TcpConnection[] _clients = new TcpConnection[ConnectionCount];
    private readonly TcpConnection[] _servers = new TcpConnection[ConnectionCount];

    [Fact]
    public async Task AMillionTakeAtMost500BytesAnEndAndTheLastCostsWhatTheFirstDid()
    {
        await using var network = TestNetwork.ByHand(options: Options);
        // The first batches pay for what is made once.
        Open(network, 0, 2 * BatchSize);
        var objectsBefore = GC.GetTotalMemory(forceFullCollection: true);
        for (var opened = 2 * BatchSize; opened < ConnectionCount; opened += _steps[^1].Count)
            Open(network, opened, Math.Min(ConnectionsPerPort, ConnectionCount - opened));
        var objects = (GC.GetTotalMemory(forceFullCollection: true) - objectsBefore) / (2.0 * (ConnectionCount - (2 * BatchSize)));
        var memory = network.Core.Stack.Memory;
        var native = Share(memory, "connections") + Share(memory, "demux slots") + Share(memory, "connection timers");
        Print(native, objects);

        Assert.Equal(2 * ConnectionCount, network.Core.Stack.Tcp.ConnectionCount);
        Assert.InRange(native, 100, NativeMax);
        Assert.InRange(objects, 56, ObjectsMax);
        // An idle connection holds no block, no record of a transmission, no frame.
        foreach (var name in (string[])["blocks of send and receive queues", "transmission records", "frames"]) Assert.Equal(0, InUse(memory, name));
        // Neither more garbage nor more turns for the last than for the first; that searches stay short is DemuxTableTests' matter.
        var (first, last) = (_steps[1], _steps[^1]);
        Assert.InRange(last.Allocated / (double)last.Count, 1, 1.05 * first.Allocated / first.Count);
        Assert.Equal(first.Turns / (double)first.Count, last.Turns / (double)last.Count, 0.001);
        foreach (var i in (int[])[0, ConnectionCount / 2, ConnectionCount - 1]) CheckEcho(network, i);
    }

    private static StackOptions Options { get; } = new()
    {
        ConnectionCountMax = 2 * ConnectionCount,
        TimeWaitCountMax = 1_024,
        SynBacklogCountMax = 1_024,
        ListenerCountMax = 64,
        FrameCount = 4_096,
        BlockCount = 256,
        TransmissionRecordCount = 4_096,
    };

    private void Open(TestNetwork network, int start, int count)
    {
        using var listener = network.ListenTcp(new IPEndPoint(IPAddress.Loopback, 1_000 + _steps.Count), new TcpListenerOptions { Backlog = BatchSize });
        var clock = Stopwatch.GetTimestamp();
        var allocated = GC.GetAllocatedBytesForCurrentThread();
        var turns = 0;
        var connecting = new ValueTask<TcpConnection>[BatchSize];
        for (var done = 0; done < count; done += BatchSize)
        {
            for (var i = 0; i < BatchSize; i++) connecting[i] = network.ConnectTcpAsync(listener.LocalEndPoint);
            for (var quiet = 0; quiet < 2; turns++) quiet = network.Core.Turn() ? 0 : quiet + 1;
            for (var i = 0; i < BatchSize; i++)
            {
                var accept = listener.AcceptAsync();
                Assert.True(connecting[i].IsCompletedSuccessfully && accept.IsCompletedSuccessfully, $"connection {start + done + i} was not made");
                _clients[start + done + i] = connecting[i].Result;
                _servers[start + done + i] = accept.Result;
            }
        }
        _steps.Add(new Step(count, GC.GetAllocatedBytesForCurrentThread() - allocated, turns, Stopwatch.GetElapsedTime(clock)));
    }

    private void CheckEcho(TestNetwork network, int index)
    {
        var client = _clients[index];
        var tcp = network.Core.Stack.Tcp;
        var (local, remote) = (tcp.LocalOf(client.Handle), tcp.RemoteOf(client.Handle));
        var server = Assert.Single(_servers, s => tcp.RemoteOf(s.Handle) == local && tcp.LocalOf(s.Handle) == remote);
        Assert.True(client.SendAsync(new byte[] { 42 }).IsCompletedSuccessfully);
        network.Core.Settle();
        var buffer = new byte[8];
        Assert.Equal(1, server.ReceiveAsync(buffer).Result);
        Assert.Equal(42, buffer[0]);
    }

    private static double Share(MemoryPlan memory, string name)
    {
        var holder = memory.Holders.Single(h => h.Name == name);
        return holder.Bytes / (2.0 * ConnectionCount);
    }

    private static long InUse(MemoryPlan memory, string name) => memory.Holders.Single(h => h.Name == name).InUse;

    private void Print(double native, double objects)
    {
        TestContext.Current.TestOutputHelper?.WriteLine(
            $"{ConnectionCount:N0} connections: {native + objects:F1} bytes an end ({native:F1} native, {objects:F1} of objects); nanoseconds a connection with both ends: "
            + string.Join(", ", _steps.Skip(1).Where((_, i) => i % 10 == 0 || i == _steps.Count - 2).Select(s => $"{s.Time.TotalNanoseconds / s.Count:F0}")));
    }

    private sealed record Step(int Count, long Allocated, int Turns, TimeSpan Time);
}
