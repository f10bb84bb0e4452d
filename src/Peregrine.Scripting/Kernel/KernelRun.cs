// A script against the running kernel: on a thread that leaves the process's network namespace for one of its own and ends with it. Real
// time is at the mercy of the machine, so a run that did not go as expected is tried again.
using Peregrine.Scripting.Language;
using Peregrine.Scripting.Running;

namespace Peregrine.Scripting.Kernel;

internal static class KernelRun
{
    /// <summary>How far the script's own events may be late before a difference says nothing.</summary>
    private const long LatenessMax = 4_000;

    /// <summary>A kernel's timers are as coarse as its ticks, and coarser the longer they run: an eighth of a second late at one second with 100 ticks.</summary>
    private const long UsualTolerance = 150_000;

    /// <summary>Runs a script's text until it passes, at most so many times.</summary>
    /// <param name="name">What to call it.</param>
    /// <param name="text">The script.</param>
    /// <param name="attempts">How often it may be tried.</param>
    /// <param name="trace">Is told of every packet and call.</param>
    /// <param name="toleranceMicroseconds">How far times may be off at least, whatever the script says; unless given, that is said by the script or generous.</param>
    internal static ScriptResult Run(string name, string text, int attempts, long? toleranceMicroseconds = null, Action<string>? trace = null)
    {
        // Code is compiled when it first runs, which would make the first script late: what both ways share runs here before.
        ScriptRunner.Run(name, text, Profile.Linux);
        ScriptResult? failure = null;
        for (var i = 0; i < attempts; i++)
        {
            var (result, lateness) = Once(name, text, toleranceMicroseconds, trace);
            if (result.Outcome != ScriptOutcome.Failed) return result;
            // A failure of a run that kept its time is the one that counts.
            if (lateness <= LatenessMax) failure = result;
            else failure ??= new ScriptResult(name, ScriptOutcome.NotApplicable, $"this machine is too busy: the script's own events were up to {lateness / 1_000} ms late, and then {result.Detail}");
        }
        return failure!;
    }

    private static (ScriptResult Result, long Lateness) Once(string name, string text, long? tolerance, Action<string>? trace)
    {
        (ScriptResult, long) outcome = default;
        var thread = new Thread(() => outcome = OnOwnThread(name, text, tolerance, trace)) { Name = "script against the kernel" };
        thread.Start();
        thread.Join();
        return outcome;
    }

    private static (ScriptResult Result, long Lateness) OnOwnThread(string name, string text, long? tolerance, Action<string>? trace)
    {
        var lateness = 0L;
        var result = ScriptRunner.Run(name, text, Profile.Linux, (script, setup) =>
        {
            var isSaid = script.Options.Any(static o => o.Key == "tolerance_usecs");
            var least = tolerance ?? (isSaid ? 0 : UsualTolerance);
            setup = setup with { ToleranceMicroseconds = Math.Max(least, setup.ToleranceMicroseconds) };
            using var world = new KernelWorld(setup);
            using var calls = new KernelCalls(world, new KernelSysctls(script));
            world.Start();
            try
            {
                ScriptRunner.Run(script, world, calls, trace);
            }
            finally
            {
                lateness = world.LatenessMicroseconds;
            }
        });
        return (result, lateness);
    }
}
