// Where code that awaits in a simulation goes on: on the thread that runs it, at the same instant, in the order of the posts, before anything else
// happens in the world.
using System.Diagnostics;

namespace Peregrine.Simulation.Networks;

internal sealed class SimulationContext(SimulatedWorld world) : SynchronizationContext
{
    private readonly Queue<(SendOrPostCallback Callback, object? State)> _posted = new();
    private StackTrace? _stray;

    /// <summary>Where code first went on upon a thread that is not the simulation's, or null.</summary>
    internal StackTrace? Stray => Volatile.Read(ref _stray);

    /// <summary>What an application has thrown, or null.</summary>
    internal Exception? Failure { get; private set; }

    /// <summary>Ends the run with an application's exception.</summary>
    internal void Fail(Exception exception) => Failure ??= exception;

    public override void Post(SendOrPostCallback d, object? state)
    {
        // An exception here would end the process: it would leave a thread of the pool. The runner throws instead.
        if (!world.AdmitsCaller)
        {
            Interlocked.CompareExchange(ref _stray, new StackTrace(1), null);
            return;
        }
        using var turn = world.Enter();
        _posted.Enqueue((d, state));
    }

    public override void Send(SendOrPostCallback d, object? state)
    {
        ArgumentNullException.ThrowIfNull(d);
        using var turn = world.Enter();
        Run(d, state);
    }

    public override SynchronizationContext CreateCopy() => this;

    /// <summary>Runs what was posted first; false when there is nothing.</summary>
    internal bool TryRunNext()
    {
        if (!_posted.TryDequeue(out var next)) return false;
        Run(next.Callback, next.State);
        return true;
    }

    /// <summary>Runs a call in this context.</summary>
    internal void Run(SendOrPostCallback callback, object? state)
    {
        var before = Current;
        SetSynchronizationContext(this);
        try
        {
            callback(state);
        }
        finally
        {
            SetSynchronizationContext(before);
        }
    }
}
