// How a world ends: first every conversation within a bound of virtual time, then everything is closed and old, and each host must hold what
// it held at the start.
using Peregrine.Core.Time;
using Peregrine.Simulation.Traffic;

namespace Peregrine.Simulation.Swarm;

internal sealed class ClosingPhases(SimulatedWorld world, TrafficState traffic, IReadOnlyList<HostTraffic> applications)
{
    // Those who wait for somebody that is gone, and are excused, are ended by force.
    private static readonly Duration ForceAfter = Duration.FromSeconds(240);

    // TIME-WAIT and FIN-WAIT-2 of a minute, user time-outs of two, fragments of one.
    private static readonly Duration Age = Duration.FromSeconds(500);

    private int _quietCount;

    /// <summary>Lets time pass until all conversations have ended.</summary>
    /// <exception cref="SimulationFailureException">The limit came first.</exception>
    public void AwaitQuiet(Duration limit)
    {
        var end = world.Now + limit;
        while (!world.RunUntil(IsQuiet, ForceAfter))
        {
            if (world.Now >= end) throw Stuck(limit);
            foreach (var application in applications) application.AbortExcused();
        }
    }

    /// <summary>Closes everything, lets it grow old, and looks whether anything is left.</summary>
    /// <exception cref="SimulationFailureException">Something is.</exception>
    public void End()
    {
        foreach (var application in applications) application.Close();
        world.RunFor(Age);
        foreach (var host in world.Hosts) host.Judge.AtEnd();
        if (world.Buffers.HeldCount != 0) throw world.Failure("memory returns", "world", $"{world.Buffers.HeldCount} frames are still on their way");
    }

    private bool IsQuiet()
    {
        if (traffic.Found is { } found) throw found;
        // Asked after every event: flows that are done stay so.
        while (_quietCount < traffic.Flows.Count && traffic.Flows[_quietCount].IsDone) _quietCount++;
        if (_quietCount < traffic.Flows.Count) return false;
        foreach (var application in applications)
        {
            if (application.EndCount > 0) return false;
        }
        return true;
    }

    private SimulationFailureException Stuck(Duration limit)
    {
        var stuck = traffic.Flows.Where(static f => !f.IsDone).Select(static f => f.ToString()).Take(3).ToList();
        if (stuck.Count == 0) stuck.Add("a server's end that never learnt its flow");
        foreach (var application in applications) stuck.AddRange(application.Describe().Take(5));
        foreach (var host in world.Hosts) stuck.AddRange(host.Judge.Connections.Describe());
        return world.Failure("liveness", "world", $"{limit} after all faults had stopped: {string.Join("; ", stuck)}");
    }
}
