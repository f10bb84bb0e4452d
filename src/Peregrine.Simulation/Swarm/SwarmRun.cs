// Runs single seeds and says how they went: the hash of the run, or what a judge found, with the last frames from a second run.
using Peregrine.Simulation.Hosts;
using Peregrine.Simulation.Trace;

namespace Peregrine.Simulation.Swarm;

/// <summary>How a seed went.</summary>
/// <param name="Seed">The seed.</param>
/// <param name="Hash">The run's digest.</param>
/// <param name="Failure">What was found, or null.</param>
internal sealed record SwarmResult(ulong Seed, ulong Hash, SimulationFailureException? Failure);

internal static class SwarmRun
{
    /// <summary>Runs a seed.</summary>
    public static SwarmResult Run(ulong seed, SwarmOptions options, RegionPool? regions = null, SortedDictionary<string, long>? counters = null, IFrameObserver? observer = null)
    {
        using var swarm = new SwarmWorld(seed, options, regions);
        if (observer is not null) swarm.World.Observe(observer);
        SimulationFailureException? failure = null;
        // Code that awaits goes on where it is completed only if the thread has no context: otherwise in the pool.
        var before = SynchronizationContext.Current;
        SynchronizationContext.SetSynchronizationContext(null);
        try
        {
            swarm.Run();
        }
        catch (SimulationFailureException e)
        {
            failure = e;
        }
        finally
        {
            SynchronizationContext.SetSynchronizationContext(before);
        }
        if (counters is not null && failure is null) SwarmCounters.Add(swarm, counters);
        return new SwarmResult(seed, swarm.World.TraceHash, failure);
    }

    /// <summary>What a failing seed did last: it runs again with somebody who watches.</summary>
    public static string LastFrames(ulong seed, SwarmOptions options, int count = 40)
    {
        var log = new FrameLog(count);
        var again = Run(seed, options, observer: log);
        return again.Failure is null ? "(the second run did not fail: the world is not deterministic)" : log.ToString();
    }

    /// <summary>A smaller world that fails by the same judge: without kinds of faults, with fewer hosts, conversations and bytes.</summary>
    public static SwarmOptions Shrink(ulong seed, SwarmOptions options, string judge, Action<string>? progress = null, CancellationToken cancel = default)
    {
        bool Fails(SwarmOptions tried) => !cancel.IsCancellationRequested && Run(seed, tried).Failure?.Judge == judge;
        foreach (var kind in Enum.GetValues<SwarmFaults>())
        {
            if (kind is SwarmFaults.None or SwarmFaults.All) continue;
            var tried = options with { Faults = options.Faults & ~kind };
            if (tried.Faults == options.Faults || !Fails(tried)) continue;
            options = tried;
            progress?.Invoke($"without {kind}");
        }
        if (!options.IsPlain && Fails(options with { IsPlain = true }))
        {
            options = options with { IsPlain = true };
            progress?.Invoke("as a plain world");
        }
        if (options.HasManners && Fails(options with { HasManners = false }))
        {
            options = options with { HasManners = false };
            progress?.Invoke("without manners");
        }
        foreach (var flows in (int[])[1, 2, 3, 5, 8, 12, 20, 30])
        {
            var tried = options with { FlowCountMax = flows };
            if (!Fails(tried)) continue;
            options = tried;
            progress?.Invoke($"{flows} flows");
            break;
        }
        foreach (var hosts in (int[])[2, 3, 4])
        {
            var tried = options with { HostCountMax = hosts };
            if (!Fails(tried)) continue;
            options = tried;
            progress?.Invoke($"{hosts} hosts");
            break;
        }
        for (var bytes = options.BytesMax / 4; bytes >= 1_000; bytes /= 4)
        {
            var tried = options with { BytesMax = bytes };
            if (!Fails(tried)) break;
            options = tried;
            progress?.Invoke($"{bytes} bytes");
        }
        return options;
    }
}
