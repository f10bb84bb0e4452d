// One pending operation as a reusable ValueTask source: claimed by a caller on any thread, tried on the core's thread, completed there or
// by a cancellation, and continued where its rules say. Knows nothing of TCP or UDP; a derived class says what trying means.
//
// States: Idle -> Claimed (caller fills it in) -> Pending -> Busy (the core tries it, or a cancellation has won) -> Done -> Idle.
// Only compare-and-swap leads out of Pending where anybody but the core may want to, so data are consumed only by an operation that can
// no longer be cancelled.
using System.Runtime.CompilerServices;
using System.Threading.Tasks.Sources;

namespace Peregrine.Sockets;

/// <summary>What an operation ended with, beyond socket errors.</summary>
internal enum OperationFault
{
    None,
    Canceled,
    Disposed,
    Socket,
}

internal abstract class SocketOperation : IEngineWork, IThreadPoolWorkItem
{
    private const int Idle = 0, Claimed = 1, Pending = 2, Busy = 3, Done = 4;

    // Stands in the continuation's place when the operation was complete before anybody awaited it.
    private static readonly Action<object?> s_completed = static _ => throw new InvalidOperationException("The completion mark was run.");

    private int _state;
    private short _version;
    private bool _cancelRequested;
    private bool _throwsIO;

    // Begun on the core's thread, and nobody can cancel it: no other thread completes it, so none has to be reckoned with.
    private bool _isCoresOwn;
    private OperationFault _fault;
    private System.Net.Sockets.SocketError _error;
    private Action<object?>? _continuation;
    private object? _continuationState;
    private object? _context;
    private CancellationTokenRegistration _registration;

    protected SocketOperation(SocketEngine engine) => Engine = engine;

    /// <summary>The core that the operation runs on.</summary>
    internal SocketEngine Engine { get; }

    /// <summary>Whether somebody uses the operation: claimed, pending, or complete and not yet read.</summary>
    internal bool IsActive => Volatile.Read(ref _state) != Idle;

    /// <summary>Whether the operation waits for the core.</summary>
    internal bool IsWaiting => Volatile.Read(ref _state) == Pending;

    /// <summary>What the continuation is called with: the awaiting method's state machine.</summary>
    internal object? ContinuationState => _continuationState;

    internal short Version => _version;

    /// <summary>Where continuations run unless they say otherwise.</summary>
    protected abstract CompletionMode Mode { get; }

    /// <summary>What the operation is called in messages: "receive".</summary>
    protected abstract string Name { get; }

    /// <summary>Takes the operation for one use.</summary>
    /// <exception cref="InvalidOperationException">It is in use.</exception>
    internal void Claim(bool throwsIO = false)
    {
        if (Interlocked.CompareExchange(ref _state, Claimed, Idle) != Idle) ThrowInUse();
        _throwsIO = throwsIO;
        _fault = OperationFault.None;
        _cancelRequested = false;
    }

    /// <summary>As <see cref="Claim"/>, unless the operation is in use.</summary>
    internal bool TryClaim()
    {
        if (Interlocked.CompareExchange(ref _state, Claimed, Idle) != Idle) return false;
        (_throwsIO, _fault, _cancelRequested) = (false, OperationFault.None, false);
        return true;
    }

    /// <summary>The caller has filled the operation in: from here on the core and cancellation may complete it.</summary>
    internal void Start(CancellationToken cancel) => Start(cancel, Engine.IsCurrent);

    /// <summary>The same, of a caller who knows whether he is on the core's thread.</summary>
    internal void Start(CancellationToken cancel, bool isOnCore)
    {
        _isCoresOwn = isOnCore && !cancel.CanBeCanceled;
        Volatile.Write(ref _state, Pending);
        if (cancel.CanBeCanceled) _registration = cancel.UnsafeRegister(static state => ((SocketOperation)state!).Cancel(), this);
    }

    /// <summary>Tries the operation if it is pending. On the core's thread.</summary>
    internal void Attempt()
    {
        if (!TryEnter()) return;
        bool done;
        try
        {
            done = Perform();
        }
        catch (Exception e)
        {
            // A caller's buffer may be gone (a MemoryManager that was disposed): the operation fails, the core goes on.
            Engine.OnUnhandled(e, this);
            Finish(OperationFault.Socket, System.Net.Sockets.SocketError.Fault);
            return;
        }
        if (done) Finish();
        else Leave();
    }

    /// <summary>Ends a pending operation with a fault. The continuation runs later in the turn, never inside the caller.</summary>
    internal void Fail(OperationFault fault, System.Net.Sockets.SocketError error)
    {
        if (TryEnter()) Finish(fault, error, defer: true);
    }

    /// <summary>Does what is asked for. True when it is done; then <see cref="SetError"/> or the derived class has noted the outcome.</summary>
    protected abstract bool Perform();

    /// <summary>Drops references that the next use must not see.</summary>
    protected abstract void Clear();

    /// <summary>The operation was cancelled. Any thread.</summary>
    protected virtual void OnCanceled()
    {
    }

    /// <summary>Notes how a tried operation ended. It was begun before a disposal that it meets, so that is an abort and no misuse.</summary>
    protected void SetError(OperationFault fault, System.Net.Sockets.SocketError error) => (_fault, _error) = fault == OperationFault.Disposed
        ? (OperationFault.Socket, System.Net.Sockets.SocketError.OperationAborted)
        : (fault, error);

    /// <summary>Whether the operation is pending and now belongs to the caller.</summary>
    protected bool TryEnter()
    {
        if (Volatile.Read(ref _state) != Pending) return false;
        if (!_isCoresOwn) return Interlocked.CompareExchange(ref _state, Busy, Pending) == Pending;
        _state = Busy;
        return true;
    }

    /// <summary>Completes an operation that the caller has entered.</summary>
    protected void Finish(OperationFault fault, System.Net.Sockets.SocketError error, bool defer = false)
    {
        SetError(fault, error);
        Finish(defer);
    }

    /// <summary>Completes an operation that the caller has entered, with what was noted.</summary>
    protected void Finish(bool defer = false)
    {
        Volatile.Write(ref _state, Done);
        var continuation = Volatile.Read(ref _continuation) ?? Interlocked.CompareExchange(ref _continuation, s_completed, null);
        if (continuation != null) Deliver(defer);
    }

    internal ValueTaskSourceStatus StatusOf(short version)
    {
        if (version != _version) ThrowMisused();
        // Done is written before the continuation's place is settled: who sees it earlier could begin the next use under the completer's hands.
        if (Volatile.Read(ref _state) != Done || Volatile.Read(ref _continuation) == null) return ValueTaskSourceStatus.Pending;
        return _fault switch
        {
            OperationFault.None => ValueTaskSourceStatus.Succeeded,
            OperationFault.Canceled => ValueTaskSourceStatus.Canceled,
            _ => ValueTaskSourceStatus.Faulted,
        };
    }

    internal void Continue(Action<object?> continuation, object? state, short version, ValueTaskSourceOnCompletedFlags flags)
    {
        if (version != _version) ThrowMisused();
        _continuationState = state;
        _context = flags == 0 ? null : CapturedContext.Capture(flags);
        if (_isCoresOwn && _continuation == null && Engine.IsCurrent)
        {
            // What would complete it meanwhile is this thread.
            _continuation = continuation;
            return;
        }
        var previous = Interlocked.CompareExchange(ref _continuation, continuation, null);
        if (previous == null) return;
        if (!ReferenceEquals(previous, s_completed)) ThrowMisused();
        _continuation = continuation;
        Deliver(defer: true);
    }

    /// <summary>Reads the outcome once and makes the operation free for its next use.</summary>
    protected void TakeOutcome(short version)
    {
        if (StatusOf(version) == ValueTaskSourceStatus.Pending) ThrowMisused();
        var token = default(CancellationToken);
        if (!_isCoresOwn)
        {
            token = _registration.Token;
            // Waits for a cancellation that is running now, so that it cannot hit the next use.
            _registration.Dispose();
            _registration = default;
        }
        var (fault, error, io) = (_fault, _error, _throwsIO);
        _continuation = null;
        _continuationState = null;
        _context = null;
        Clear();
        _version++;
        Volatile.Write(ref _state, Idle);
        if (fault != OperationFault.None) SocketErrors.Throw(fault, error, io, token);
    }

    /// <summary>Runs the continuation. Called where it belongs.</summary>
    public void Execute()
    {
        var (continuation, state, context) = (_continuation!, _continuationState, _context);
        // What the watchdog names if this does not return.
        Engine.Running = state ?? continuation;
        if (context is CapturedContext { Execution: { } execution })
            ExecutionContext.Run(execution, static s => { var (c, x) = ((Action<object?>, object?))s!; c(x); }, (continuation, state));
        else
            continuation(state);
    }

    /// <summary>The core has stopped: the continuation runs on the thread pool instead.</summary>
    public void Abandon() => Engine.RunElsewhere(this);

    private void Leave()
    {
        Interlocked.Exchange(ref _state, Pending);
        if (Volatile.Read(ref _cancelRequested)) Cancel();
    }

    private void Cancel()
    {
        Volatile.Write(ref _cancelRequested, true);
        if (Interlocked.CompareExchange(ref _state, Busy, Pending) != Pending) return;
        OnCanceled();
        Finish(OperationFault.Canceled, System.Net.Sockets.SocketError.OperationAborted, defer: true);
    }

    private void Deliver(bool defer)
    {
        switch (_context)
        {
            case null:
            case CapturedContext { Scheduler: null }:
                if (Mode == CompletionMode.ThreadPool) Engine.RunElsewhere(this);
                else if (!defer && Engine.IsCurrent) Execute();
                else Engine.PostWork(this);
                break;
            case CapturedContext { Scheduler: CoreSynchronizationContext core } when ReferenceEquals(core, Engine.Context):
                if (!defer && Engine.IsCurrent) Execute();
                else Engine.PostWork(this);
                break;
            case CapturedContext { Scheduler: SynchronizationContext context }:
                context.Post(static s => ((SocketOperation)s!).Execute(), this);
                break;
            case CapturedContext { Scheduler: TaskScheduler scheduler }:
                _ = Task.Factory.StartNew(static s => ((SocketOperation)s!).Execute(), this, CancellationToken.None, TaskCreationOptions.DenyChildAttach, scheduler);
                break;
        }
    }

    private void ThrowInUse() => throw new InvalidOperationException(
        $"Another {Name} is pending here. One {Name} at a time: await the one before, or cancel it.");

    private static void ThrowMisused() => throw new InvalidOperationException(
        "A ValueTask of this operation was awaited twice, read before it was complete, or kept after it was read.");
}

/// <summary>An operation with a result.</summary>
internal abstract class SocketOperation<TResult>(SocketEngine engine) : SocketOperation(engine), IValueTaskSource<TResult>, IValueTaskSource
{
    /// <summary>What the operation brought; read only when it succeeded.</summary>
    protected TResult? Result { get; set; }

    internal ValueTask<TResult> AsValueTask() => new(this, Version);

    internal ValueTask AsUntypedValueTask() => new(this, Version);

    /// <inheritdoc/>
    public TResult GetResult(short token)
    {
        var result = Result;
        TakeOutcome(token);
        return result!;
    }

    void IValueTaskSource.GetResult(short token) => TakeOutcome(token);

    /// <inheritdoc/>
    public ValueTaskSourceStatus GetStatus(short token) => StatusOf(token);

    /// <inheritdoc/>
    public void OnCompleted(Action<object?> continuation, object? state, short token, ValueTaskSourceOnCompletedFlags flags) =>
        Continue(continuation, state, token, flags);

    /// <summary>Completes an operation that the caller has entered.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    protected void FinishWith(TResult result)
    {
        Result = result;
        Finish();
    }
}

/// <summary>Where an awaiting caller wants to go on, if not just anywhere. Allocated only for callers that have a context.</summary>
internal sealed class CapturedContext
{
    internal object? Scheduler { get; private init; }

    internal ExecutionContext? Execution { get; private init; }

    internal static CapturedContext? Capture(ValueTaskSourceOnCompletedFlags flags)
    {
        object? scheduler = null;
        if ((flags & ValueTaskSourceOnCompletedFlags.UseSchedulingContext) != 0)
        {
            if (SynchronizationContext.Current is { } context && context.GetType() != typeof(SynchronizationContext))
            {
                if (context is CoreSynchronizationContext core) return core.Captured ??= new CapturedContext { Scheduler = core };
                scheduler = context;
            }
            else if (TaskScheduler.Current != TaskScheduler.Default)
            {
                scheduler = TaskScheduler.Current;
            }
        }
        var execution = (flags & ValueTaskSourceOnCompletedFlags.FlowExecutionContext) != 0 ? ExecutionContext.Capture() : null;
        return scheduler == null && execution == null ? null : new CapturedContext { Scheduler = scheduler, Execution = execution };
    }
}
