// The hosts of a swarm's world and how they hang together: one switch, or two networks with a router between them, over links of many kinds.
using Peregrine.Core;
using Peregrine.Core.Ip;
using Peregrine.Core.Tcp;
using Peregrine.Core.Time;
using Peregrine.Simulation.Adversaries;
using Peregrine.Simulation.Hosts;
using Peregrine.Simulation.Links;
using Peregrine.Simulation.Nodes;
using Peregrine.Simulation.Traffic;
using Peregrine.Wire;

namespace Peregrine.Simulation.Swarm;

internal sealed class SwarmTopology
{
    // Of a hundred worlds, those in which most hosts' applications are written on sockets. The others' meet the stack's calls directly.
    private const int OnSocketsPercent = 30;

    private readonly List<HostTraffic> _applications = [];
    private readonly SimulationRandom _random;
    private readonly SimulatedWorld _world;
    private readonly SwarmFaults _faults;
    private readonly StackManners? _manners;

    public SwarmTopology(SimulatedWorld world, TrafficState traffic, SwarmFaults faults, SwarmOptions options)
    {
        (_world, _faults) = (world, faults);
        _random = new SimulationRandom(world.Seed, 11);
        var count = Math.Min(options.HostCountMax, 3 + _random.Next(4));
        var isRouted = _random.Percent(35) && count > 1;
        // Chances of their own, so that without sockets a world is what it was before there were any.
        var sockets = new SimulationRandom(world.Seed, 12);
        var onSockets = sockets.Percent(OnSocketsPercent) && !options.IsPlain;
        _manners = options.HasManners ? new StackManners(new SimulationRandom(world.Seed, 13)) : null;
        var left = world.AddSwitch("s1");
        Switches.Add(left);
        Router = isRouted ? world.AddRouter("r") : null;
        var right = isRouted ? world.AddSwitch("s2") : left;
        if (isRouted) Switches.Add(right);
        for (var i = 0; i < count; i++)
        {
            var isRight = isRouted && i >= count / 2;
            var host = world.AddHost(((char)('a' + i)).ToString(), MakeOptions(i + 1, isRouted, isRight));
            world.Connect(host, isRight ? right : left, MakeConditions());
            Router?.Knows(host);
            var backlog = _random.Pick(4, 16, 128);
            HostTraffic application = onSockets && sockets.Percent(60) ? new SocketTraffic(traffic, host, backlog) : new TrafficApplication(traffic, host, backlog);
            host.Application = application;
            _applications.Add(application);
        }
        if ((faults & SwarmFaults.Adversary) != 0) AddAdversary(left);
        if (Router is null) return;
        JoinRouter(left, 0);
        JoinRouter(right, 1);
    }

    public IReadOnlyList<HostTraffic> Applications => _applications;

    public List<SimulatedSwitch> Switches { get; } = [];

    public SimulatedRouter? Router { get; }

    public Adversary? Adversary { get; private set; }

    private void AddAdversary(SimulatedSwitch network)
    {
        var near = _applications.Where(static a => a.Host.AddressV4.ToIPv4() >> 8 == 0x0A_00_00).Select(static a => a.Host);
        Adversary = new Adversary(_world, near);
        _world.Add(Adversary);
        network.MirrorPort = network.PortCount;
        _world.Connect(Adversary, network);
        foreach (var application in _applications)
        {
            application.HasRogues = true;
            application.Host.Judge.Adversary = Adversary;
            application.Host.Judge.Connections.Rogues.Add(Adversary.Address);
        }
    }

    private void JoinRouter(SimulatedSwitch network, byte number)
    {
        var link = _world.Connect(Router!, network, MakeConditions());
        Router!.Serve(link, new InterfaceAddress(IpAddress.FromIPv4(10, 0, number, 254), 24));
        Router.Serve(link, new InterfaceAddress(IpAddress.FromIPv6(0xFD00_0000_0000_0000 + number, 254), 64));
    }

    private HostOptions MakeOptions(int number, bool isRouted, bool isRight)
    {
        var network = (byte)(isRight ? 1 : 0);
        var isSmall = (_faults & SwarmFaults.SmallTables) != 0 && _random.Percent(60);
        return new HostOptions
        {
            Addresses =
            [
                new InterfaceAddress(IpAddress.FromIPv4(10, 0, network, (byte)number), 24),
                new InterfaceAddress(IpAddress.FromIPv6(0xFD00_0000_0000_0000 + network, (ulong)number), 64),
            ],
            Gateways = isRouted ? [IpAddress.FromIPv4(10, 0, network, 254), IpAddress.FromIPv6(0xFD00_0000_0000_0000 + network, 254)] : [],
            Mtu = (_faults & SwarmFaults.SmallMtu) != 0 && _random.Percent(40) ? _random.Pick(1_280, 1_400, 1_492) : 1_500,
            RingCount = _random.Pick(32, 64, 256),
            InterruptDelay = Duration.FromMicroseconds(_random.Pick(1, 5, 50, 200)),
            ClockStart = new Instant(1_000_000_000L * (1 + _random.Next(1_000_000))),
            // Just before 2^31 and 2^32, so that the numbers of a transfer pass them.
            SequenceNear = _random.Percent(40) ? _random.Pick(0u, 0x8000_0000u) - (uint)_random.Size(300_000) - (_random.Percent(50) ? 0u : 0xEE6B_2800u) : null,
            Stack = _manners is { } manners ? manners.Change(MakeStack(isSmall)) : MakeStack(isSmall),
        };
    }

    private StackOptions MakeStack(bool isSmall) => HostOptions.SmallStack with
    {
        ConnectionCountMax = isSmall ? _random.Pick(8, 16) : 128,
        TimeWaitCountMax = isSmall ? _random.Pick(4, 16) : 128,
        SynBacklogCountMax = isSmall ? _random.Pick(1, 4, 16) : 64,
        ListenerCountMax = 4,
        FrameCount = isSmall ? 96 : 256,
        BlockCount = isSmall ? _random.Pick(96, 160) : 768,
        BlockSizeBytes = _random.Pick(1_024, 2_048),
        TransmissionRecordCount = isSmall ? _random.Pick(64, 128) : 1_024,
        TcpRepliesPerSecond = _random.Pick(20, 1_000),
        TcpReplyBurst = _random.Pick(5, 100),
        RtoMsMax = 60_000,
        RtoMsMin = _random.Pick(200, 200, 1_000),
        InitialWindowSegments = _random.Pick(2, 10, 10),
        Ip = HostOptions.SmallStack.Ip with { IcmpErrorsPerSecond = 50, IcmpErrorBurst = 10, OutputBurstMax = _random.Pick(64, 256), NeighbourCountMax = 32 },
        Udp = new Core.Udp.UdpOptions { SocketCountMax = 4, ReceiveBufferSize = _random.Pick(8_192, 65_536) },
        Tcp = new TcpSettings
        {
            NoDelay = _random.Percent(40),
            KeepAlive = _random.Percent(20),
            KeepAliveTimeSeconds = 20,
            KeepAliveIntervalSeconds = 10,
            KeepAliveRetryCount = 3,
            UserTimeoutMs = _random.Pick(60_000, 120_000),
            // The judges of flows know a user time-out that counts from sending, and let an open try for longer.
            RetryCount = 0,
            Timestamps = _random.Percent(75),
            SelectiveAcknowledgments = _random.Percent(75),
            WindowScaling = _random.Percent(75),
            Ecn = _random.Pick(TcpEcnMode.Accept, TcpEcnMode.On, TcpEcnMode.Accurate),
            CongestionControl = _random.Pick("cubic", "newreno", "bbr", "dctcp"),
            ReceiveBufferBytes = _random.Pick(2_048, 16_384, 65_536, 131_072),
            ReceiveBufferBytesMax = _random.Pick(131_072, 1 << 20),
            SendBufferBytes = _random.Pick(4_096, 32_768, 131_072),
            SendBufferBytesMax = 262_144,
            QuickAckCount = _random.Pick(0, 16),
            DelayedAckMs = _random.Pick(0, 40, 200),
            MaximumSegmentSize = _random.Percent(10) ? _random.Pick(536, 200) : 0,
        },
    };

    private LinkConditions MakeConditions()
    {
        var delay = Duration.FromMicroseconds(_random.Pick(20, 200, 1_000, 5_000, 20_000));
        return new LinkConditions { Delay = delay };
    }
}
