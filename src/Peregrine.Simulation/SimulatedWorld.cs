// A world: virtual time, a queue of what will happen, nodes and links, and those who watch. One thread, one seed, no clock: whatever
// happens follows from the seed and from what the caller builds. Time passes only while one of the Run methods is called.
using Peregrine.Core.Time;
using Peregrine.Simulation.Hosts;
using Peregrine.Simulation.Judges;
using Peregrine.Simulation.Links;
using Peregrine.Simulation.Networks;
using Peregrine.Simulation.Nodes;
using Peregrine.Simulation.Trace;
using Peregrine.Wire;

namespace Peregrine.Simulation;

/// <summary>A network of hosts with real stacks, in virtual time. Not for several threads; many worlds may run side by side.</summary>
public sealed class SimulatedWorld : IDisposable
{
    private readonly List<SimulatedNode> _nodes = [];
    private readonly List<SimulatedHost> _hosts = [];
    private readonly List<SimulatedLink> _links = [];
    private readonly List<IFrameObserver> _observers = [];
    private readonly RegionPool _regions;
    private readonly bool _ownsRegions;
    private readonly Lock _lock = new();
    private TraceHash _hash = new();
    private FrameBuffer? _corrupted;

    /// <summary>Makes an empty world.</summary>
    /// <param name="seed">Whatever is left to chance follows from it.</param>
    /// <param name="regions">Where stacks' memory comes from, or null: many worlds one after another are faster with a common pool.</param>
    public SimulatedWorld(ulong seed, RegionPool? regions = null)
    {
        Seed = seed;
        _regions = regions ?? new RegionPool();
        _ownsRegions = regions is null;
        Random = new SimulationRandom(seed, 1);
    }

    /// <summary>The seed.</summary>
    public ulong Seed { get; }

    /// <summary>The virtual time. Worlds begin at one second.</summary>
    public Instant Now { get; private set; } = new(1_000_000_000);

    /// <summary>Chances for whoever builds or scripts the world.</summary>
    public SimulationRandom Random { get; }

    /// <summary>The hosts, in the order in which they were added.</summary>
    public IReadOnlyList<SimulatedHost> Hosts => _hosts;

    /// <summary>The links, in the order in which they were made.</summary>
    public IReadOnlyList<SimulatedLink> Links => _links;

    /// <summary>Frames that were sent into links.</summary>
    public long FrameCount { get; private set; }

    /// <summary>Frames that hosts have sent.</summary>
    public long HostFrameCount { get; internal set; }

    /// <summary>A digest of all that arrived so far, with times and places: equal digests, equal runs.</summary>
    public ulong TraceHash => _hash.Value;

    /// <summary>Whether judges look at every turn of every host. Default true.</summary>
    public bool IsJudged { get; set; } = true;

    internal EventQueue Queue { get; } = new();

    internal FrameBufferPool Buffers { get; } = new();

    internal CutPairs Cuts { get; } = new();

    /// <summary>The only thread that may enter now, or 0 when whoever waits for his turn may.</summary>
    internal int SoleThread { get; set; }

    /// <summary>Whether the calling thread may enter.</summary>
    internal bool AdmitsCaller => SoleThread == 0 || SoleThread == Environment.CurrentManagedThreadId;

    internal JudgeCounters Judged;

    /// <summary>Adds a host.</summary>
    /// <param name="name">Its name, unique in the world.</param>
    /// <param name="options">Addresses, sizes and settings, or null: then its addresses are 10.0.0.n and fd00::n for the n-th host.</param>
    public SimulatedHost AddHost(string name, HostOptions? options = null)
    {
        var host = new SimulatedHost(this, name, _hosts.Count + 1, options ?? new HostOptions(), _regions);
        _hosts.Add(host);
        _nodes.Add(host);
        return host;
    }

    /// <summary>Adds a switch.</summary>
    public SimulatedSwitch AddSwitch(string name)
    {
        var node = new SimulatedSwitch(this, name);
        _nodes.Add(node);
        return node;
    }

    /// <summary>Adds a router.</summary>
    public SimulatedRouter AddRouter(string name)
    {
        var node = new SimulatedRouter(this, name, _nodes.Count + 1);
        _nodes.Add(node);
        return node;
    }

    internal void Add(SimulatedNode node) => _nodes.Add(node);

    /// <summary>Takes the caller's turn in the world, until the scope is disposed of: sockets and timers may be used by any thread.</summary>
    /// <exception cref="InvalidOperationException">The world is run on one thread, and this is another.</exception>
    internal Lock.Scope Enter()
    {
        if (!AdmitsCaller) throw new InvalidOperationException(CodeRunner.StrayMessage);
        return _lock.EnterScope();
    }

    /// <summary>Gives the turn, which the caller has, to others during a call.</summary>
    internal void Yield(Action action)
    {
        _lock.Exit();
        try
        {
            action();
        }
        finally
        {
            _lock.Enter();
        }
    }

    /// <summary>Joins two nodes.</summary>
    /// <param name="a">One end.</param>
    /// <param name="b">The other.</param>
    /// <param name="conditions">What both directions do to frames, or null for a good link.</param>
    public SimulatedLink Connect(SimulatedNode a, SimulatedNode b, LinkConditions? conditions = null)
    {
        ArgumentNullException.ThrowIfNull(a);
        ArgumentNullException.ThrowIfNull(b);
        var link = new SimulatedLink(this, a, b, _links.Count, conditions ?? LinkConditions.Good);
        _links.Add(link);
        return link;
    }

    /// <summary>The host with a name.</summary>
    /// <exception cref="KeyNotFoundException">There is none.</exception>
    public SimulatedHost Host(string name) =>
        _hosts.Find(h => h.Name == name) ?? throw new KeyNotFoundException($"There is no host '{name}' in this world: add it by AddHost.");

    /// <summary>The host with an address, or null.</summary>
    internal SimulatedHost? HostAt(in IpAddress address)
    {
        foreach (var host in _hosts)
        {
            foreach (var own in host.Addresses)
            {
                if (own.Address == address) return host;
            }
        }
        return null;
    }

    /// <summary>Shows all frames to somebody, from now on.</summary>
    public void Observe(IFrameObserver observer) => _observers.Add(observer);

    /// <summary>Plans something: the call comes when so much time has passed.</summary>
    public void After(Duration time, Action action)
    {
        ArgumentNullException.ThrowIfNull(action);
        Queue.Add(Now + Duration.Max(time, Duration.Zero), Script.Target, action);
    }

    /// <summary>Lets time pass.</summary>
    public void RunFor(Duration time) => RunUntil(static () => false, time);

    /// <summary>Lets time pass until a condition holds, which is asked after every event.</summary>
    /// <returns>False when the limit came first.</returns>
    public bool RunUntil(Func<bool> condition, Duration limit)
    {
        ArgumentNullException.ThrowIfNull(condition);
        var end = Now + limit;
        while (!condition())
        {
            if (Queue.Next > end)
            {
                Now = end;
                return condition();
            }
            Step();
        }
        return true;
    }

    /// <summary>Ends the world and gives its memory back.</summary>
    public void Dispose()
    {
        foreach (var host in _hosts) host.End();
        if (_ownsRegions) _regions.Dispose();
    }

    internal void Step()
    {
        var at = Queue.Take(out var target, out var payload);
        if (at > Now) Now = at;
        target.OnEvent(payload, Now);
    }

    internal void OnArrival(LinkLane lane, int number, FrameBuffer frame)
    {
        FrameCount++;
        _hash.Add(Now, number, frame.Span);
        if (_observers.Count == 0) return;
        var fate = frame == _corrupted ? FrameFate.Corrupted : FrameFate.Arrived;
        foreach (var observer in _observers) observer.OnFrame(Now, lane, frame.Span, fate);
    }

    internal void OnDropped(LinkLane lane, FrameBuffer frame, FrameFate fate)
    {
        FrameCount++;
        foreach (var observer in _observers) observer.OnFrame(Now, lane, frame.Span, fate);
        Buffers.Return(frame);
    }

    internal void OnCorrupted(LinkLane lane, FrameBuffer frame)
    {
        // Only the latest is remembered: this is for people who read a trace.
        _corrupted = frame;
        foreach (var observer in _observers) observer.OnFrame(Now, lane, frame.Span, FrameFate.Corrupted);
    }

    /// <summary>Ends the run: something is not as it must be.</summary>
    internal SimulationFailureException Failure(string judge, string where, string what, Exception? inner = null) => new(judge, Seed, Now, where, what, inner);

    private sealed class Script : IEventTarget
    {
        public static Script Target { get; } = new();

        public void OnEvent(object? payload, Instant now) => ((Action)payload!)();
    }
}
