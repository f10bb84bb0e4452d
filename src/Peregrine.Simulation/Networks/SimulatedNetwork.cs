// The simulator for people who test their own code: a network with named hosts, sockets on each, faults by a word, and virtual time that passes while
// their code waits.
using Peregrine.Core.Time;
using Peregrine.Simulation.Hosts;
using Peregrine.Simulation.Links;
using Peregrine.Simulation.Nodes;

namespace Peregrine.Simulation.Networks;

/// <summary>
/// A network in virtual time for tests: hosts by name, real stacks on them, faults, all from one seed. Time passes only while one of the Run methods
/// waits for code. Not for several threads at once, but for the code that runs on it.
/// </summary>
public sealed class SimulatedNetwork : IDisposable
{
    private static readonly TimeSpan s_usualLimit = TimeSpan.FromHours(1);

    private readonly CodeRunner _runner;

    /// <summary>Makes a network with one switch.</summary>
    /// <param name="seed">All chances follow from it: the same seed, the same run.</param>
    public SimulatedNetwork(ulong seed)
    {
        World = new SimulatedWorld(seed);
        _runner = new CodeRunner(World);
        TimeProvider = new SimulatedTimeProvider(World);
        Switch = World.AddSwitch("switch");
    }

    /// <summary>The seed.</summary>
    public ulong Seed => World.Seed;

    /// <summary>The world beneath: observers, routers, single links, judges.</summary>
    public SimulatedWorld World { get; }

    /// <summary>The world's clock, for the test itself. It begins with the year 2000. Code on a host takes the host's.</summary>
    public TimeProvider TimeProvider { get; }

    /// <summary>The switch that hosts are connected to when no other is named.</summary>
    public SimulatedSwitch Switch { get; }

    /// <summary>A digest of every frame that arrived anywhere, with its time: equal digests, equal runs.</summary>
    public ulong TraceHash => World.TraceHash;

    /// <summary>Real time after which a blocked thread of the pool is told of.</summary>
    internal TimeSpan PoolPatience { get; init; } = SerialThreadPool.UsualPatience;

    /// <summary>Adds a host and connects it by a line of its own.</summary>
    /// <param name="name">Its name, which other hosts can connect to.</param>
    /// <param name="at">The switch, or null for <see cref="Switch"/>.</param>
    /// <param name="options">Addresses and sizes, or null: then its addresses are 10.0.0.n and fd00::n.</param>
    /// <exception cref="ArgumentException">There is a host of that name.</exception>
    public NetworkHost AddHost(string name, SimulatedSwitch? at = null, HostOptions? options = null)
    {
        ArgumentException.ThrowIfNullOrEmpty(name);
        foreach (var known in World.Hosts)
        {
            if (string.Equals(known.Name, name, StringComparison.OrdinalIgnoreCase)) throw new ArgumentException($"There is a host '{name}' already.", nameof(name));
        }
        var host = World.AddHost(name, options);
        World.Connect(host, at ?? Switch);
        host.Network.Context = _runner.Context;
        return host.Network;
    }

    /// <summary>Adds another switch: a site of its own.</summary>
    public SimulatedSwitch AddSwitch(string name) => World.AddSwitch(name);

    /// <summary>Joins two switches by a link, whose delay and faults all between them share. Switches must not form a ring.</summary>
    public SimulatedLink Connect(SimulatedSwitch a, SimulatedSwitch b) => World.Connect(a, b);

    /// <summary>The host with a name.</summary>
    /// <exception cref="KeyNotFoundException">There is none.</exception>
    public NetworkHost Host(string name) => World.Host(name).Network;

    /// <summary>Cuts hosts off from all others. Among themselves they stay connected, and so do the others.</summary>
    /// <param name="side">One side of the partition.</param>
    public SimulatedNetwork Partition(params ReadOnlySpan<NetworkHost> side)
    {
        foreach (var inside in side)
        {
            foreach (var other in World.Hosts)
            {
                if (IsIn(side, other)) continue;
                World.Cuts.Add(inside.Machine.Mac, other.Mac);
                World.Cuts.Add(other.Mac, inside.Machine.Mac);
            }
        }
        return this;
    }

    /// <summary>What one host sends to another vanishes without a word; the other way stays as it is.</summary>
    public SimulatedNetwork Blackhole(NetworkHost from, NetworkHost to)
    {
        ArgumentNullException.ThrowIfNull(from);
        ArgumentNullException.ThrowIfNull(to);
        World.Cuts.Add(from.Machine.Mac, to.Machine.Mac);
        return this;
    }

    /// <summary>Ends all partitions and blackholes. Lines keep their conditions.</summary>
    public SimulatedNetwork Heal()
    {
        World.Cuts.Clear();
        return this;
    }

    /// <summary>
    /// Runs code to its end, all of it on the calling thread: it replays bit for bit. Code must await and never block, and must not leave this thread: it uses
    /// sockets of the hosts and timers of their <see cref="TimeProvider"/>s.
    /// </summary>
    /// <param name="code">The code. Its awaits come back to this thread.</param>
    /// <param name="limit">Virtual time that it may take, or null for an hour.</param>
    /// <exception cref="InvalidOperationException">The code went on upon another thread.</exception>
    /// <exception cref="TimeoutException">The code did not end within the limit, or waits for what cannot happen.</exception>
    /// <exception cref="SimulationFailureException">The stack itself is not as it must be.</exception>
    public void Run(Func<Task> code, TimeSpan? limit = null)
    {
        ArgumentNullException.ThrowIfNull(code);
        _runner.Run(code, limit ?? s_usualLimit, null);
    }

    /// <summary>
    /// Runs code that uses the thread pool, such as HttpClient and Kestrel. The whole process's pool serves this run alone meanwhile, one work item at a
    /// time, and virtual time passes only when all of it waits. What happens when is the same every time; bytes that come from real clocks or
    /// real chance, such as a Date header, are not.
    /// </summary>
    /// <param name="code">The code. Its own awaits come back to one thread.</param>
    /// <param name="limit">Virtual time that it may take, or null for an hour.</param>
    /// <exception cref="TimeoutException">As <see cref="Run"/>; or a thread of the pool is blocked; or the pool is busy with something else.</exception>
    public Task RunWithThreadPoolAsync(Func<Task> code, TimeSpan? limit = null)
    {
        ArgumentNullException.ThrowIfNull(code);
        return SerialThreadPool.WithAsync(pool => _runner.Run(code, limit ?? s_usualLimit, pool), PoolPatience);
    }

    /// <summary>Ends the network. What still waits on its sockets waits for ever.</summary>
    public void Dispose() => World.Dispose();

    private static bool IsIn(ReadOnlySpan<NetworkHost> side, SimulatedHost host)
    {
        foreach (var inside in side)
        {
            if (inside.Machine == host) return true;
        }
        return false;
    }
}
