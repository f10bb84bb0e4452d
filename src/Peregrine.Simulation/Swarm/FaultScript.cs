// What goes wrong in a swarm's world, and when: which kinds, then links made bad for a while and good again, hosts paused, restarted and
// starved. Each kind has a stream of chances of its own.
using System.Numerics;
using Peregrine.Core.Time;
using Peregrine.Simulation.Links;
using Peregrine.Simulation.Nodes;
using Peregrine.Simulation.Traffic;

namespace Peregrine.Simulation.Swarm;

internal sealed class FaultScript(SimulatedWorld world, SwarmTopology topology, SwarmFaults chosen)
{
    private readonly List<LinkConditions> _good = [];

    /// <summary>Whether faults have stopped.</summary>
    public bool IsOver { get; private set; }

    /// <summary>Three to nine kinds, of those allowed.</summary>
    public static SwarmFaults Choose(ulong seed, SwarmFaults allowed)
    {
        var random = new SimulationRandom(seed, 20);
        var chosen = SwarmFaults.None;
        var wanted = 3 + random.Next(7);
        // Also what is not allowed takes a place: leaving a kind out leaves the others as they are.
        for (var tries = 0; tries < 200 && BitOperations.PopCount((uint)chosen) < wanted; tries++) chosen |= (SwarmFaults)(1 << random.Next(30));
        return chosen & allowed;
    }

    public static int Count(SwarmFaults faults) => BitOperations.PopCount((uint)faults);

    public void Start()
    {
        foreach (var link in world.Links)
        {
            _good.Add(link.AtoB.Conditions);
            _good.Add(link.BtoA.Conditions);
        }
        Steady();
        Every(SwarmFaults.MtuChange, 300, r => Lane(r).Conditions = Lane(r).Conditions with { Mtu = r.Pick(600, 1_280, 1_400, 1_500) });
        Every(SwarmFaults.Flap, 400, r => Briefly(Link(r), r, static c => c with { IsUp = false }, bothWays: true));
        Every(SwarmFaults.OneWayBlackhole, 500, r => Briefly(Link(r), r, static c => c with { IsUp = false }, bothWays: false));
        Every(SwarmFaults.SizeBlackhole, 500, r =>
        {
            var from = r.Pick(1, 60, 500, 1_300);
            Briefly(Link(r), r, c => c with { SwallowFromBytes = from, SwallowToBytes = from + 400 }, bothWays: false);
        });
        Every(SwarmFaults.Partition, 2_000, Partition);
        Every(SwarmFaults.Pause, 300, r => Host(r).Host.Pause(Duration.FromMilliseconds(r.Size(r.Percent(10) ? 30_000 : 400))));
        Every(SwarmFaults.ClockDrift, 1_000, r => Host(r).Host.DriftClock(r.Next(400_000) - 200_000));
        Every(SwarmFaults.ClockJump, 1_000, r => Host(r).Host.JumpClock(Duration.FromMilliseconds(r.Size(r.Percent(10) ? 60_000 : 1_000))));
        Every(SwarmFaults.Restart, 1_500, r => Host(r).Host.Restart(Duration.FromMilliseconds(r.Size(5_000))));
        Every(SwarmFaults.MemoryPressure, 300, r => Hold(Host(r), r, isBlocks: true));
        Every(SwarmFaults.FramePressure, 300, r => Hold(Host(r), r, isBlocks: false));
        Every(SwarmFaults.NotAccepting, 500, r =>
        {
            var host = Host(r);
            host.IsNotAccepting = true;
            world.After(Duration.FromMilliseconds(r.Size(3_000)), () =>
            {
                host.IsNotAccepting = false;
                if (host.Host.IsRunning) host.Accept(host.Host.LocalNow);
                host.Host.Wake();
            });
        });
        Every(SwarmFaults.ListenerCloses, 800, r =>
        {
            var host = Host(r);
            if (!host.Host.IsRunning) return;
            host.StopListening();
            world.After(Duration.FromMilliseconds(r.Size(1_000)), () =>
            {
                if (host.Host.IsRunning) host.Listen();
            });
        });
    }

    /// <summary>All links are good again, all hosts run, all memory is free.</summary>
    public void Stop()
    {
        IsOver = true;
        for (var i = 0; i < world.Links.Count; i++)
        {
            world.Links[i].AtoB.Conditions = _good[i * 2];
            world.Links[i].BtoA.Conditions = _good[(i * 2) + 1];
        }
        foreach (var host in world.Hosts)
        {
            host.ReleaseMemory();
            host.DriftClock(0);
        }
    }

    private SimulationRandom Stream(SwarmFaults kind) => new(world.Seed, 0x100 + (ulong)BitOperations.Log2((uint)kind));

    // What a link does all the time.
    private void Steady()
    {
        Lanes(SwarmFaults.Loss, static (c, r) => c with { LossPerMillion = r.Pick(1_000, 10_000, 50_000, 150_000) });
        Lanes(SwarmFaults.BurstLoss, static (c, r) => c with { BurstStartPerMillion = r.Pick(2_000, 10_000), BurstEndPerMillion = r.Pick(50_000, 300_000) });
        Lanes(SwarmFaults.NthLoss, static (c, r) => c with { LoseEveryNth = r.Between(5, 60) });
        Lanes(SwarmFaults.Duplication, static (c, r) => c with { DuplicationPerMillion = r.Pick(5_000, 50_000, 300_000) });
        Lanes(SwarmFaults.Reordering, static (c, r) => c with { ReorderingPerMillion = r.Pick(10_000, 100_000, 400_000), ReorderDelay = Duration.FromMicroseconds(r.Pick(300, 5_000, 60_000)) });
        Lanes(SwarmFaults.Jitter, static (c, r) => c with { Jitter = Duration.FromMicroseconds(r.Pick(500, 5_000, 50_000)), JitterReorders = r.Percent(50) });
        Lanes(SwarmFaults.Corruption, static (c, r) => c with { CorruptionPerMillion = r.Pick(2_000, 20_000, 80_000) });
        Lanes(SwarmFaults.CaughtCorruption, static (c, r) => c with { CaughtCorruptionPerMillion = r.Pick(2_000, 20_000) });
        Lanes(SwarmFaults.Bottleneck, static (c, r) => c with { RateBitsPerSecond = r.Pick(500_000, 2_000_000, 10_000_000, 100_000_000), QueueBytesMax = r.Pick(5_000, 30_000, 200_000) });
        Lanes(SwarmFaults.QueueManagement, static (c, r) => c with
        {
            RateBitsPerSecond = r.Pick(2_000_000, 10_000_000), QueueBytesMax = 60_000, Discipline = r.Pick(QueueDiscipline.Red, QueueDiscipline.CoDel), EcnMarks = r.Percent(50),
        });
        Lanes(SwarmFaults.Asymmetry, static (c, r) => c with { Delay = Duration.FromMicroseconds(r.Pick(10, 30_000, 150_000)) });
    }

    private void Lanes(SwarmFaults kind, Func<LinkConditions, SimulationRandom, LinkConditions> change)
    {
        if ((chosen & kind) == 0) return;
        var random = Stream(kind);
        foreach (var link in world.Links)
        {
            if (random.Percent(60)) link.AtoB.Conditions = change(link.AtoB.Conditions, random);
            if (random.Percent(60)) link.BtoA.Conditions = change(link.BtoA.Conditions, random);
        }
    }

    // Again and again until faults stop, at random intervals around a mean.
    private void Every(SwarmFaults kind, int meanMs, Action<SimulationRandom> act)
    {
        if ((chosen & kind) == 0) return;
        var random = Stream(kind);
        Next();
        void Next() => world.After(Duration.FromMicroseconds(random.Next(meanMs * 2_000)), () =>
        {
            if (IsOver) return;
            act(random);
            Next();
        });
    }

    private SimulatedLink Link(SimulationRandom r) => world.Links[r.Next(world.Links.Count)];

    private LinkLane Lane(SimulationRandom r) => r.Percent(50) ? Link(r).AtoB : Link(r).BtoA;

    private HostTraffic Host(SimulationRandom r) => topology.Applications[r.Next(topology.Applications.Count)];

    private void Briefly(SimulatedLink link, SimulationRandom r, Func<LinkConditions, LinkConditions> change, bool bothWays)
    {
        var lane = r.Percent(50) ? link.AtoB : link.BtoA;
        lane.Conditions = change(lane.Conditions);
        if (bothWays) link.Set(change);
        world.After(Duration.FromMilliseconds(r.Size(r.Percent(10) ? 20_000 : 1_500)), () =>
        {
            if (!IsOver) link.Heal();
        });
    }

    private void Partition(SimulationRandom r)
    {
        // A part of the hosts is cut off from all others.
        var cut = new List<SimulatedLink>();
        foreach (var link in world.Links)
        {
            if (link.AtoB.From is not SimulatedSwitch && r.Percent(40)) cut.Add(link.Cut());
        }
        world.After(Duration.FromMilliseconds(r.Size(r.Percent(20) ? 200_000 : 5_000)), () =>
        {
            if (IsOver) return;
            foreach (var link in cut) link.Heal();
        });
    }

    private void Hold(HostTraffic host, SimulationRandom r, bool isBlocks)
    {
        var all = r.Percent(40) ? int.MaxValue : r.Size(600);
        host.Host.HoldMemory(isBlocks ? all : 0, isBlocks ? 0 : all);
        world.After(Duration.FromMilliseconds(r.Size(2_000)), host.Host.ReleaseMemory);
    }
}
