// What an idle connection costs in memory, at one end: connections between two stacks in this process that say nothing. Memory that a stack
// reserves counts once it is touched: so it is the process's resident size that is read, beside the sums that the stack itself gives.
using System.Net;
using Peregrine.Bench.Load;
using Peregrine.Bench.Results;
using Peregrine.Bench.Serving;
using Peregrine.Core.Links;
using Peregrine.Drivers;
using Peregrine.Sockets;

namespace Peregrine.Bench.Lab;

internal static class IdleBench
{
    private const int ConnectionCountMax = 10_000_000, ConnectionsAPort = 50_000, FirstPort = 2_000, Group = 256;

    private const int PointCount = 10;

    /// <summary>Opens so many connections, in ten steps, and reads the memory after each.</summary>
    internal static async Task<IdleResult> RunAsync(int connections, Action<string> progress, CancellationToken cancel)
    {
        if (connections is < 1 or > ConnectionCountMax) throw new ArgumentException($"--connections is {connections}; for idle connections it must be from 1 to {ConnectionCountMax}.");
        var machine = MachineDescription.Read();
        var (ours, theirs) = MemoryLink.CreatePair();
        using var first = ours;
        using var second = theirs;
        var server = await StartAsync("bench-server", "192.0.2.2/24", connections, first, cancel).ConfigureAwait(false);
        await using (server.ConfigureAwait(false))
        {
            var client = await StartAsync("bench-client", "192.0.2.1/24", connections, second, cancel).ConfigureAwait(false);
            await using (client.ConfigureAwait(false))
            {
                var points = await OpenAsync(server, client, connections, progress, cancel).ConfigureAwait(false);
                var reserved = await server.Engine.RunAsync(() => server.Engine.Stack.Memory.Bytes).ConfigureAwait(false);
                return new IdleResult { Machine = machine, At = DateTimeOffset.UtcNow, ReservedBytes = (long)reserved, Points = points };
            }
        }
    }

    private static async Task<List<IdlePoint>> OpenAsync(Network server, Network client, int connections, Action<string> progress, CancellationToken cancel)
    {
        var kept = new TcpConnection[2 * connections];
        // One connection and its like make all code and tables first.
        var listeners = Enumerable.Range(0, (connections + ConnectionsAPort - 1) / ConnectionsAPort)
            .Select(i => server.ListenTcp(new IPEndPoint(IPAddress.Any, FirstPort + i), new TcpListenerOptions { Backlog = 4_096 })).ToArray();
        var (resident, managed) = (Environment.WorkingSet, GC.GetTotalMemory(forceFullCollection: true));
        var pending = new Task<TcpConnection>[Group];
        var points = new List<IdlePoint>();
        var (began, due) = (Clock.Now, 1);
        for (var at = 0; at < connections;)
        {
            var count = Math.Min(Group, connections - at);
            for (var i = 0; i < count; i++) pending[i] = client.ConnectTcpAsync(new IPEndPoint(IPAddress.Parse("192.0.2.2"), FirstPort + ((at + i) / ConnectionsAPort)), cancel: cancel).AsTask();
            for (var i = 0; i < count; i++)
            {
                kept[at + i] = await pending[i].ConfigureAwait(false);
                kept[connections + at + i] = await listeners[(at + i) / ConnectionsAPort].AcceptAsync(cancel).ConfigureAwait(false);
            }
            at += count;
            if ((long)at * PointCount < (long)due * connections) continue;
            due = (int)((long)at * PointCount / connections) + 1;
            var seconds = (Clock.Now - began) / 1e9;
            Array.Clear(pending);
            var heap = GC.GetTotalMemory(forceFullCollection: true) - managed;
            points.Add(new IdlePoint(at, Environment.WorkingSet - resident, heap, seconds));
            progress(FormattableString.Invariant($"{at:N0} open, {points[^1].ResidentBytes >> 20:N0} MiB"));
            began = Clock.Now;
        }
        GC.KeepAlive(kept);
        foreach (var listener in listeners) await listener.DisposeAsync().ConfigureAwait(false);
        return points;
    }

    private static async Task<PeregrineNetwork> StartAsync(string name, string address, int connections, ILink link, CancellationToken cancel)
    {
        var options = ServerSettings.Create(name, address, spin: false, -1, "none", isXdp: false);
        options = options with { Stack = options.Stack with { ConnectionCountMax = connections + 1_024, TimeWaitCountMax = 1_024, SynBacklogCountMax = 8_192 } };
        return await PeregrineNetwork.StartAsync(options, link, cancel: cancel, platform: new LinuxPlatform()).ConfigureAwait(false);
    }
}
