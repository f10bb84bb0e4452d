// What a world exercised, as named sums: so that one sees that the faults bite.
using System.Runtime.InteropServices;
using Peregrine.Core.Tcp;
using Peregrine.Simulation.Links;

namespace Peregrine.Simulation.Swarm;

internal static class SwarmCounters
{
    private static readonly string[] s_tcp = typeof(TcpCounters).GetFields().Select(static f => f.Name).ToArray();

    /// <summary>Adds a world's counters to sums by name.</summary>
    public static void Add(SwarmWorld swarm, SortedDictionary<string, long> sums)
    {
        var world = swarm.World;
        Add(sums, "world.hosts", world.Hosts.Count);
        Add(sums, "world.frames", world.HostFrameCount);
        Add(sums, "world.connections", swarm.Traffic.Flows.Count);
        Add(sums, "world.unworthy", swarm.IsWorthy ? 0 : 1);
        Add(sums, "world.datagrams", swarm.Traffic.DatagramsReceived);
        Add(sums, "sockets.ends", swarm.Traffic.SocketEnds);
        Add(sums, "sockets.cancelled", swarm.Traffic.Cancellations);
        for (var bit = 0; bit < 30; bit++)
        {
            var kind = (SwarmFaults)(1 << bit);
            if ((swarm.Chosen & kind) != 0) Add(sums, "fault." + kind, 1);
        }
        foreach (var (error, count) in swarm.Traffic.Endings) Add(sums, "ending." + error, count);
        AddJudged(world, sums);
        foreach (var link in world.Links)
        {
            AddLane(link.AtoB.Counters, sums);
            AddLane(link.BtoA.Counters, sums);
        }
        foreach (var host in world.Hosts)
        {
            Add(sums, "host.turns", host.TurnCount);
            Add(sums, "host.ringDropped", host.RingDroppedCount);
            var counters = MemoryMarshal.Cast<TcpCounters, long>(new ReadOnlySpan<TcpCounters>(in host.Stack.Tcp.Counters));
            for (var i = 0; i < counters.Length; i++) Add(sums, "tcp." + s_tcp[i], counters[i]);
            Add(sums, "ip.Reassembled", host.Stack.Ip.Counters.Reassembled);
            Add(sums, "ip.DroppedHeaderChecksum", host.Stack.Ip.Counters.DroppedHeaderChecksum);
            Add(sums, "icmp.ReceivedErrors", host.Stack.Ip.IcmpCounters.ReceivedErrors);
            Add(sums, "icmp.PathMtuLowered", host.Stack.Ip.IcmpCounters.PathMtuLowered);
            Add(sums, "udp.DroppedChecksum", host.Stack.Udp.Counters.DroppedChecksum);
        }
    }

    private static void AddJudged(SimulatedWorld world, SortedDictionary<string, long> sums)
    {
        Add(sums, "judged.turns", world.Judged.Turns);
        Add(sums, "judged.connections", world.Judged.Connections);
        Add(sums, "judged.segments", world.Judged.Segments);
        Add(sums, "judged.memoryWalks", world.Judged.MemoryWalks);
        Add(sums, "judged.scoreboards", world.Judged.Scoreboards);
        Add(sums, "judged.bytes", world.Judged.BytesVerified);
    }

    private static void AddLane(in LaneCounters c, SortedDictionary<string, long> sums)
    {
        Add(sums, "link.lost", c.Lost);
        Add(sums, "link.queueDropped", c.QueueDropped);
        Add(sums, "link.marked", c.Marked);
        Add(sums, "link.swallowed", c.Swallowed);
        Add(sums, "link.duplicated", c.Duplicated);
        Add(sums, "link.reordered", c.Reordered);
        Add(sums, "link.corrupted", c.Corrupted);
    }

    private static void Add(SortedDictionary<string, long> sums, string name, long count)
    {
        if (count != 0) sums[name] = sums.GetValueOrDefault(name) + count;
    }
}
