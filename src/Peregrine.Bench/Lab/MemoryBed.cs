// Server and client in this process, a core each, over a link in memory: no permission needed, and no kernel in the figures. There is nobody
// to compare with but another build of the same.
using System.Net;
using Peregrine.Bench.Load;
using Peregrine.Bench.Results;
using Peregrine.Bench.Serving;
using Peregrine.Core.Links;
using Peregrine.Drivers;

namespace Peregrine.Bench.Lab;

internal sealed class MemoryBed : Bed
{
    private const string ServerAddress = "192.0.2.2", Server = "bench-server", Client = "bench-client";

    private readonly string _folder = Directory.CreateTempSubdirectory("peregrine-bench-").FullName;

    internal override string Link => "memory";

    /// <summary>Of every so many turns of the server's loop one is timed; 0 for none.</summary>
    internal int ProfileEveryTurns { get; init; }

    /// <summary>The server's sums of timed turns at the last run's end, by their names.</summary>
    internal IReadOnlyDictionary<string, long> Profile { get; private set; } = new Dictionary<string, long>();

    internal override IReadOnlyList<(string Name, string Placement)> Sides { get; } = [("Peregrine", "server on core 0, client a Peregrine stack on core 1, one process")];

    internal override async Task<BenchRun> RunAsync(int side, BenchWork work, CancellationToken cancel)
    {
        if (work.Kestrel) throw new ArgumentException("--kestrel needs a client on the kernel's sockets: give --link xdp, packet or tap.");
        var control = Path.Combine(_folder, "control.sock");
        var (ours, theirs) = MemoryLink.CreatePair();
        using var first = ServerSettings.WithLoss(ours, work.LossPercent);
        using var second = theirs;
        var client = (Environment.ProcessorCount > 1 ? 1 : 0, ServerSettings.ForClient(ServerSettings.Create(Client, "", work.Spin, -1, "none", false)));
        var settings = ServerSettings.Create(Server, ServerAddress + "/24", work.Spin, 0, control, false) with { ProfileEveryTurns = ProfileEveryTurns };
        var server = await PeregrineNetwork.StartAsync(settings, first, cancel: cancel, platform: new LinuxPlatform()).ConfigureAwait(false);
        await using (server.ConfigureAwait(false))
        {
            var services = new StackServer(server, work.Await);
            await using (services.ConfigureAwait(false))
            {
                var network = await PeregrineNetwork.StartAsync(client.Item2 with { Cpu = client.Item1 }, second, cancel: cancel, platform: new LinuxPlatform()).ConfigureAwait(false);
                await using (network.ConfigureAwait(false))
                {
                    var readings = new List<ServerUsage>();
                    var load = new StackLoad(work, network, IPAddress.Parse(ServerAddress));
                    var result = await load.RunAsync(
                        static () => Clock.CoreCpuSeconds(Client), async () => readings.Add(await ReadAsync(control, cancel).ConfigureAwait(false)), cancel).ConfigureAwait(false);
                    using var counters = await Contender.CountersAsync(control, cancel).ConfigureAwait(false);
                    Profile = counters.RootElement.GetProperty("profile").EnumerateObject().ToDictionary(static sum => sum.Name, static sum => sum.Value.GetInt64());
                    return new BenchRun(result, readings[1].Since(readings[0]));
                }
            }
        }
    }

    public override ValueTask DisposeAsync()
    {
        Directory.Delete(_folder, recursive: true);
        return ValueTask.CompletedTask;
    }

    private static Task<ServerUsage> ReadAsync(string control, CancellationToken cancel) => Contender.WithCountersAsync(
        new ServerUsage
        {
            CpuSeconds = Clock.CoreCpuSeconds(Server),
            MachineSeconds = Contender.MachineSeconds(),
            // Of both ends: they share a process.
            AllocatedBytes = GC.GetTotalAllocatedBytes(),
            Collections = GC.CollectionCount(0),
        },
        control, cancel);
}
