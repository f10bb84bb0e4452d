// One world of the swarm: topology, hosts, traffic and faults from a seed. It has three phases: faults and traffic; calm, in which every
// conversation must come to its end within a bound; and the end, at which every host must hold what it held at the start.
using Peregrine.Core.Time;
using Peregrine.Simulation.Hosts;
using Peregrine.Simulation.Nodes;
using Peregrine.Simulation.Traffic;

namespace Peregrine.Simulation.Swarm;

internal sealed class SwarmWorld : IDisposable
{
    private static readonly Duration HostilePhaseMax = Duration.FromSeconds(900);

    // The longest chain of waits when nothing is lost any more: a time-out backed off to a minute, a user time-out of two, transfers over
    // the slowest link, and the same for those who wait for somebody that was ended by force.
    private static readonly Duration CalmPhaseMax = Duration.FromSeconds(1_200);

    // New conversations over good links take seconds.
    private static readonly Duration CalmFlowMax = Duration.FromSeconds(240);

    private readonly SwarmOptions _options;
    private readonly SimulationRandom _random;
    private readonly SwarmTopology _topology;
    private readonly FaultScript _faults;
    private readonly ClosingPhases _closing;
    private int _flowTarget, _frameTarget;

    public SwarmWorld(ulong seed, SwarmOptions options, RegionPool? regions = null)
    {
        _options = options;
        World = new SimulatedWorld(seed, regions);
        _random = new SimulationRandom(seed, 10);
        Traffic = new TrafficState(World);
        Chosen = FaultScript.Choose(seed, options.Faults);
        _topology = new SwarmTopology(World, Traffic, Chosen, options);
        _faults = new FaultScript(World, _topology, Chosen);
        _closing = new ClosingPhases(World, Traffic, _topology.Applications);
    }

    public SimulatedWorld World { get; }

    public TrafficState Traffic { get; }

    /// <summary>The faults of this world.</summary>
    public SwarmFaults Chosen { get; }

    public IReadOnlyList<HostTraffic> Applications => _topology.Applications;

    /// <summary>Whether the world was large enough to be worth its seed.</summary>
    public bool IsWorthy => World.Hosts.Count >= 3 && Traffic.Flows.Count >= 20 && World.HostFrameCount >= 5_000 && FaultScript.Count(Chosen) >= 3;

    /// <summary>Runs all three phases.</summary>
    /// <exception cref="SimulationFailureException">A judge found something.</exception>
    public void Run()
    {
        _flowTarget = _options.FlowCountMax > 0 ? _options.FlowCountMax : _options.FlowCountMin + _random.Next(20);
        _frameTarget = _options.FrameCountMin + _random.Next(2_000);
        _faults.Start();
        _topology.Adversary?.Start(Traffic);
        if (!_options.IsPlain) _topology.Adversary?.StartAsking();
        ScheduleFlow();
        var enough = () => Traffic.Found is { } found ? throw found : Traffic.Flows.Count >= _flowTarget && (World.HostFrameCount >= _frameTarget || _options.FlowCountMax > 0);
        World.RunUntil(enough, HostilePhaseMax);
        Calm();
        _closing.End();
    }

    public void Dispose() => World.Dispose();

    private bool IsHostile => !_faults.IsOver && (_options.FlowCountMax == 0 || Traffic.Flows.Count < _options.FlowCountMax);

    private void ScheduleFlow() => World.After(Duration.FromMicroseconds(1_000 + _random.Next(_random.Percent(10) ? 1_000_000 : 60_000)), () =>
    {
        if (!IsHostile) return;
        StartFlow(isCalm: false);
        if (_random.Percent(20)) StartDatagrams();
        ScheduleFlow();
    });

    private void StartFlow(bool isCalm)
    {
        var applications = _topology.Applications;
        var client = applications[_random.Next(applications.Count)];
        var server = applications[_random.Next(applications.Count)];
        // Sometimes to itself, over the loopback.
        if (server == client && !_random.Percent(20)) server = applications[(client.Host.Number + _random.Next(applications.Count - 1)) % applications.Count];
        var isRequests = _random.Percent(45);
        int up = Bytes(), down = Bytes();
        var plan = new FlowPlan
        {
            Client = client.Host,
            Server = server.Host,
            IsV6 = _random.Percent(35),
            Kind = isRequests ? FlowKind.Requests : FlowKind.BothWays,
            ClientBytes = up,
            ServerBytes = down,
            Rounds = isRequests ? 1 + _random.Next(20) : 1,
            ChunkBytes = _random.Pick(16_384, 16_384, 4_000, 1_461, 100),
            IsCalm = isCalm,
            LetsGo = _random.Percent(isCalm ? 50 : 20),
        };
        if (isCalm)
        {
            client.Connect(plan);
            return;
        }
        plan = plan with
        {
            Ending = (Chosen & SwarmFaults.Aborts) != 0 && _random.Percent(30) ? _random.Pick(FlowEnding.ClientAborts, FlowEnding.ServerAborts, FlowEnding.ClientLeaves) : FlowEnding.Orderly,
            EndAfterBytes = _random.Next(Math.Max(1, up)),
            ReadPause = (Chosen & SwarmFaults.SlowReaders) != 0 && _random.Percent(30) ? Duration.FromMilliseconds(1 + _random.Size(400)) : default,
            Stall = (Chosen & SwarmFaults.Stalls) != 0 && _random.Percent(30) ? Duration.FromMilliseconds(_random.Size(20_000)) : default,
            LocalPort = MayReusePorts && _random.Percent(20) ? (ushort)(2_000 + _random.Next(3)) : (ushort)0,
        };
        client.Connect(plan);
    }

    // The same four numbers again are safe behind a TIME-WAIT. After a reset or a restart old segments may pass for new ones (RFC 1337,
    // RFC 9293 §3.4.3), and no stack can help it.
    private bool MayReusePorts => (Chosen & (SwarmFaults.Restart | SwarmFaults.Aborts | SwarmFaults.ListenerCloses | SwarmFaults.NotAccepting | SwarmFaults.SmallTables
        | SwarmFaults.Partition | SwarmFaults.Adversary)) == 0;

    private int Bytes() => _random.Percent(15) ? 0 : _random.Percent(40) ? _random.Size(2_000) : _random.Size(_options.BytesMax);

    private void StartDatagrams()
    {
        var applications = _topology.Applications;
        var from = applications[_random.Next(applications.Count)];
        var to = applications[_random.Next(applications.Count)];
        var isV6 = _random.Percent(40);
        for (var i = _random.Next(10); i >= 0; i--) from.SendDatagram(to.Host, isV6, _random.Size(_random.Percent(20) ? 6_000 : 1_400));
    }

    private void Calm()
    {
        _faults.Stop();
        _topology.Adversary?.Stop();
        foreach (var application in _topology.Applications)
        {
            application.IsCalm = true;
            application.IsNotAccepting = false;
        }
        World.RunUntil(() => _topology.Applications.All(static a => a.Host.IsRunning), Duration.FromSeconds(120));
        foreach (var application in _topology.Applications)
        {
            application.Listen();
            application.Accept(application.Host.LocalNow);
            application.Host.Wake();
        }
        _closing.AwaitQuiet(CalmPhaseMax);
        // Those whose handles were let go end by themselves; then there is room for new ones in the smallest table.
        World.RunFor(Duration.FromSeconds(300));
        for (var i = 0; i < 4; i++)
        {
            StartFlow(isCalm: true);
            _closing.AwaitQuiet(CalmFlowMax);
        }
    }
}
