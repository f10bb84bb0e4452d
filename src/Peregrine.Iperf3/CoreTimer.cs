// A timer whose call-back runs on the core's thread, and something to wait for there until the next tick.
using System.Threading.Tasks.Sources;
using Peregrine.Sockets;

namespace Peregrine.Iperf3;

internal sealed class CoreTimer : IDisposable
{
    private readonly SocketEngine _engine;
    private readonly Action _action;
    private readonly ITimer _timer;
    private int _isPosted;
    private bool _isDisposed;

    internal CoreTimer(SocketEngine engine, TimeProvider time, Action action)
    {
        (_engine, _action) = (engine, action);
        _timer = time.CreateTimer(static state => ((CoreTimer)state!).Post(), this, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
    }

    internal void Once(TimeSpan due) => _timer.Change(due < TimeSpan.Zero ? TimeSpan.Zero : due, Timeout.InfiniteTimeSpan);

    internal void Every(TimeSpan period) => _timer.Change(period, period);

    public void Dispose()
    {
        _isDisposed = true;
        _timer.Dispose();
    }

    // Ticks that the core has not had time for are one tick.
    private void Post()
    {
        if (Interlocked.Exchange(ref _isPosted, 1) == 0) _engine.Context.Post(static state => ((CoreTimer)state!).Fire(), this);
    }

    private void Fire()
    {
        Volatile.Write(ref _isPosted, 0);
        if (!_isDisposed && _engine.IsCurrent) _action();
    }
}

/// <summary>One waiter at a time waits for the next opening. Allocates nothing.</summary>
internal sealed class Gate : IValueTaskSource
{
    private ManualResetValueTaskSourceCore<bool> _core;
    private bool _isAwaited;

    internal ValueTask WaitAsync()
    {
        _core.Reset();
        _isAwaited = true;
        return new ValueTask(this, _core.Version);
    }

    internal void Open()
    {
        if (!_isAwaited) return;
        _isAwaited = false;
        _core.SetResult(true);
    }

    void IValueTaskSource.GetResult(short token) => _core.GetResult(token);

    ValueTaskSourceStatus IValueTaskSource.GetStatus(short token) => _core.GetStatus(token);

    void IValueTaskSource.OnCompleted(Action<object?> continuation, object? state, short token, ValueTaskSourceOnCompletedFlags flags) =>
        _core.OnCompleted(continuation, state, token, flags);
}
