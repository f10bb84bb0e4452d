// The process's thread pool, one work item at a time. Every worker is held; when the world stands still one of them is let go, does what is queued in the
// queue's order, and is held again. What runs in the pool then runs in the same order every time, and is known to have ended before time passes.
namespace Peregrine.Simulation.Networks;

internal sealed class SerialThreadPool : IDisposable
{
    /// <summary>Real time, which only bounds how long a program that is stuck takes to say so.</summary>
    internal static readonly TimeSpan UsualPatience = TimeSpan.FromSeconds(30);

    // There is one pool in a process, so one run at a time can have it.
    private static readonly SemaphoreSlim s_one = new(1);

    // Workers that something else has for good: known after the first run.
    private static int s_foreignCount;

    private readonly TimeSpan _patience;
    private readonly int _workerCount = Environment.ProcessorCount + 1;
    private readonly SemaphoreSlim _held = new(0);
    private readonly SemaphoreSlim _letGo = new(0);
    private readonly (int Workers, int Ports) _min, _max;
    private int _heldCount;

    // The worker that was let go, and whether it has not come back.
    private int _outThread;
    private bool _isOut;

    private SerialThreadPool(TimeSpan patience)
    {
        _patience = patience;
        ThreadPool.GetMinThreads(out _min.Workers, out _min.Ports);
        ThreadPool.GetMaxThreads(out _max.Workers, out _max.Ports);
        // One more than the fewest that the pool allows: something else may have one for good, as test runners do.
        ThreadPool.SetMinThreads(_workerCount, _min.Ports);
        ThreadPool.SetMaxThreads(_workerCount, _max.Ports);
        try
        {
            HoldAll();
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    private static int FreeCount
    {
        get
        {
            ThreadPool.GetAvailableThreads(out var free, out _);
            return free;
        }
    }

    private int ForeignCount => _workerCount - FreeCount - _heldCount;

    /// <summary>Whether something is queued.</summary>
    public static bool HasWork => ThreadPool.PendingWorkItemCount > 0;

    /// <summary>Calls a function on a thread of its own, outside of the pool, which is the function's alone meanwhile.</summary>
    public static async Task WithAsync(Action<SerialThreadPool> action, TimeSpan patience)
    {
        await s_one.WaitAsync().ConfigureAwait(false);
        try
        {
            await Task.Factory.StartNew(
                () =>
                {
                    using var pool = new SerialThreadPool(patience);
                    action(pool);
                },
                CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default).ConfigureAwait(false);
        }
        finally
        {
            s_one.Release();
        }
    }

    /// <summary>Lets the pool do what is queued, and what comes of it, until nothing is.</summary>
    /// <exception cref="TimeoutException">A work item does not come to its end.</exception>
    public void RunUntilIdle()
    {
        HoldFree();
        while (HasWork)
        {
            // Behind all that is queued: whoever gets there has done the rest.
            HoldOne();
            Volatile.Write(ref _isOut, true);
            _letGo.Release();
            AwaitHeld();
            while (Volatile.Read(ref _isOut))
            {
                // A worker that something else had is back, and has taken the place: it is held from now on, and the one that was let go works still.
                _heldCount++;
                HoldOne();
                AwaitHeld();
            }
        }
    }

    private void AwaitHeld()
    {
        if (_held.Wait(_patience)) return;
        throw new TimeoutException("A thread of the pool has been blocked for long while virtual time stood still for it: code that blocks (.Result, .Wait(), "
            + "Thread.Sleep) waits for what can only happen when it does not. Await instead.");
    }

    /// <summary>
    /// Whether a worker that is not held comes back within two seconds: one that something else had may have taken what was queued before it could be held. It is held then.
    /// </summary>
    public bool AwaitReturn()
    {
        for (var i = 0; i < 2_000 && ForeignCount > 0; i++)
        {
            if (HasWork) return true;
            Thread.Sleep(1);
        }
        if (FreeCount == 0) return HasWork;
        HoldFree();
        return true;
    }

    public void Dispose()
    {
        s_foreignCount = ForeignCount;
        if (_heldCount > 0) _letGo.Release(_heldCount);
        Restore();
    }

    private static TimeoutException Busy() => new("The thread pool is busy with something else, and a simulation needs it alone: run this test without others beside it "
        + "(in xunit a collection with DisableParallelization).");

    private void HoldAll()
    {
        HoldFree();
        // Whoever called us is on his way back to the pool, and would work beside the one that is let go. Two seconds are enough on the busiest machine; those
        // who do not come by then are away for good, and are not waited for again.
        for (var i = 0; i < 2_000 && ForeignCount > s_foreignCount; i++)
        {
            Thread.Sleep(1);
            HoldFree();
        }
        if (_heldCount == 0) throw Busy();
    }

    /// <summary>Holds the workers that are free: at the start all but those that something else has, and later those too when they come back.</summary>
    private void HoldFree()
    {
        while (FreeCount > 0)
        {
            HoldOne();
            // Counted before it comes: whoever comes late must be let go as well.
            _heldCount++;
            if (!_held.Wait(_patience)) throw Busy();
        }
    }

    private void HoldOne() => ThreadPool.UnsafeQueueUserWorkItem(static pool => pool.Hold(), this, preferLocal: false);

    private void Hold()
    {
        var thread = Environment.CurrentManagedThreadId;
        if (Volatile.Read(ref _outThread) == thread) Volatile.Write(ref _isOut, false);
        _held.Release();
        _letGo.Wait();
        Volatile.Write(ref _outThread, thread);
    }

    private void Restore()
    {
        ThreadPool.SetMaxThreads(_max.Workers, _max.Ports);
        ThreadPool.SetMinThreads(_min.Workers, _min.Ports);
    }
}
