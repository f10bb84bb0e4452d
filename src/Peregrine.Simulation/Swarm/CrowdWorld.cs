// One large world: many hosts on switches that hang on one in the middle, and many connections that are all open at the same time, over
// links that lose, repeat, delay and reorder. The same judges and the same end as the swarm's worlds, at sizes that those do not have.
using Peregrine.Core.Ip;
using Peregrine.Core.Time;
using Peregrine.Simulation.Hosts;
using Peregrine.Simulation.Links;
using Peregrine.Simulation.Nodes;
using Peregrine.Simulation.Traffic;
using Peregrine.Wire;

namespace Peregrine.Simulation.Swarm;

internal sealed class CrowdWorld : IDisposable
{
    private const int HostsPerSwitch = 10;

    // All connections are opened within the first; each end stalls for the second, so that all are open together; then all must end within the third.
    private static readonly Duration OpeningTime = Duration.FromSeconds(10);
    private static readonly Duration StallTime = Duration.FromSeconds(40);
    private static readonly Duration EndMax = Duration.FromSeconds(1_200);

    private readonly List<TrafficApplication> _applications = [];
    private readonly SimulationRandom _random;
    private readonly int _connectionCount;

    /// <summary>Builds the network.</summary>
    /// <param name="seed">Everything follows from it.</param>
    /// <param name="hostCount">2 to 250.</param>
    /// <param name="connectionCount">1 to a million.</param>
    public CrowdWorld(ulong seed, int hostCount, int connectionCount)
    {
        World = new SimulatedWorld(seed);
        Traffic = new TrafficState(World);
        _random = new SimulationRandom(seed, 30);
        _connectionCount = connectionCount;
        var middle = World.AddSwitch("middle");
        var edge = middle;
        for (var i = 0; i < hostCount; i++)
        {
            if (i % HostsPerSwitch == 0)
            {
                edge = World.AddSwitch($"s{(i / HostsPerSwitch) + 1}");
                World.Connect(edge, middle, Conditions());
            }
            AddHost(i + 1, hostCount, edge);
        }
    }

    public SimulatedWorld World { get; }

    public TrafficState Traffic { get; }

    /// <summary>Ends of connections that were open at the same time: two a connection.</summary>
    public int OpenEndCount { get; private set; }

    /// <summary>Opens all connections, lets them talk, and ends the world.</summary>
    /// <exception cref="SimulationFailureException">A judge found something.</exception>
    public void Run()
    {
        for (var i = 0; i < _connectionCount; i++)
        {
            var client = _applications[i % _applications.Count];
            World.After(Duration.FromMicroseconds(_random.Next((int)OpeningTime.Microseconds)), () => Open(client));
        }
        World.RunFor(OpeningTime + (StallTime / 2));
        OpenEndCount = World.Hosts.Sum(static h => h.Stack.Tcp.ConnectionCount);
        World.RunFor(StallTime);
        foreach (var link in World.Links) link.Set(static c => c with { LossPerMillion = 0, DuplicationPerMillion = 0, ReorderingPerMillion = 0 });
        var closing = new ClosingPhases(World, Traffic, _applications);
        closing.AwaitQuiet(EndMax);
        closing.End();
    }

    public void Dispose() => World.Dispose();

    private void AddHost(int number, int hostCount, SimulatedSwitch edge)
    {
        var small = HostOptions.SmallStack;
        var host = World.AddHost($"h{number}", new HostOptions
        {
            Addresses =
            [
                new InterfaceAddress(IpAddress.FromIPv4(0x0A00_0000u + (uint)number), 24),
                new InterfaceAddress(IpAddress.FromIPv6(0xFD00_0000_0000_0000, (ulong)number), 64),
            ],
            Stack = small with
            {
                // Its own connections and those of others, which do not spread evenly.
                ConnectionCountMax = (_connectionCount / hostCount * 3) + 128,
                TimeWaitCountMax = (_connectionCount / hostCount * 3) + 128,
                FrameCount = 1_024,
                BlockCount = 4_096,
                TransmissionRecordCount = 8_192,
                Ip = small.Ip with { NeighbourCountMax = 1_024, NeighbourQueueTotalMax = 512 },
            },
            ClockStart = new Instant(1_000_000_000L * (1 + _random.Next(1_000_000))),
        });
        World.Connect(host, edge, Conditions());
        var application = new TrafficApplication(Traffic, host, backlog: 1_024);
        host.Application = application;
        _applications.Add(application);
    }

    private LinkConditions Conditions() => LinkConditions.Good with
    {
        Delay = Duration.FromMicroseconds(_random.Pick(20, 500, 5_000)),
        LossPerMillion = _random.Pick(0, 1_000, 10_000),
        DuplicationPerMillion = _random.Pick(0, 1_000),
        ReorderingPerMillion = _random.Pick(0, 10_000),
        ReorderDelay = Duration.FromMilliseconds(2),
    };

    private void Open(TrafficApplication client)
    {
        var server = _applications[_random.Next(_applications.Count)];
        client.Connect(new FlowPlan
        {
            Client = client.Host, Server = server.Host, IsV6 = _random.Percent(50), ClientBytes = 1_000 + _random.Size(20_000), ServerBytes = 1_000 + _random.Size(20_000),
            ChunkBytes = 1_000, Stall = StallTime,
        });
    }
}
