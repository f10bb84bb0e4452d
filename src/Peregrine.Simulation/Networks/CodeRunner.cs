// Runs asynchronous code beside a world: what the code has to do at this instant, then what the thread pool has to do, where it may take part, and
// only then the world's next event. So time stands still while code runs, and passes while all of it waits.
using System.Runtime.ExceptionServices;
using Peregrine.Core.Time;

namespace Peregrine.Simulation.Networks;

internal sealed class CodeRunner(SimulatedWorld world)
{
    internal const string StrayMessage =
        "Code of this simulation went on upon another thread than the one that runs it, so the run would not replay: Task.Run, a timer or a Task.Delay without the "
        + "network's TimeProvider, or a library with threads of its own, such as HttpClient or Kestrel. Run such code by RunWithThreadPoolAsync.";

    private readonly SimulationContext _context = new(world);
    private bool _isRunning;

    /// <summary>Where code goes on that awaits.</summary>
    internal SimulationContext Context => _context;

    /// <summary>Runs code to its end.</summary>
    /// <param name="code">The code.</param>
    /// <param name="limit">Virtual time that it may take.</param>
    /// <param name="pool">The thread pool, when code may run there too; else all of it runs on the calling thread.</param>
    public void Run(Func<Task> code, Duration limit, SerialThreadPool? pool)
    {
        if (_isRunning) throw new InvalidOperationException("This network runs code already: await the code instead of running it inside.");
        var before = SynchronizationContext.Current;
        // What completes inside the world's events goes on there, whatever it awaits with: only code itself runs in the context.
        SynchronizationContext.SetSynchronizationContext(null);
        using var turn = world.Enter();
        _isRunning = true;
        if (pool is null) world.SoleThread = Environment.CurrentManagedThreadId;
        foreach (var host in world.Hosts) host.Stack.HandOver();
        try
        {
            Task? task = null;
            _context.Run(_ => task = code(), null);
            RunUntil(task!, world.Now + limit, pool);
            task!.GetAwaiter().GetResult();
        }
        finally
        {
            (world.SoleThread, _isRunning) = (0, false);
            SynchronizationContext.SetSynchronizationContext(before);
        }
    }

    private void RunUntil(Task task, Instant end, SerialThreadPool? pool)
    {
        while (!task.IsCompleted)
        {
            if (_context.Stray is { } where) throw new InvalidOperationException(StrayMessage + "\n" + where);
            if (_context.Failure is { } failure) ExceptionDispatchInfo.Throw(failure);
            if (_context.TryRunNext()) continue;
            if (pool is not null && SerialThreadPool.HasWork)
            {
                world.Yield(pool.RunUntilIdle);
                continue;
            }
            if (world.Queue.Next > end)
            {
                if (pool is null || !HaveReturned(pool)) throw Stuck(end);
                continue;
            }
            world.Step();
        }
    }

    private bool HaveReturned(SerialThreadPool pool)
    {
        var have = false;
        world.Yield(() => have = pool.AwaitReturn());
        return have;
    }

    private TimeoutException Stuck(Instant end) => new(world.Queue.Next.IsNever
        ? "The code waits, and nothing is going to happen in the simulated network: it waits for something outside, such as a real timer, a file, another "
            + "thread, or a lock that nobody gives back."
        : $"The code has not ended by {end} of virtual time (seed {world.Seed}): a peer that is never heard, a timer without end, or a limit that is too small.");
}
