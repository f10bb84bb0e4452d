// One core as the sockets see it: the stack, the table of its objects, and the end of its mailbox. Whoever runs the loop (the host on a
// pinned thread, the simulation in virtual time) derives from it and calls BeginTurn, Execute and Dispatch. Has no thread or clock itself.
using System.Net.Sockets;
using Peregrine.Core;
using Peregrine.Core.Tcp;
using Peregrine.Core.Time;
using Peregrine.Core.Udp;

namespace Peregrine.Sockets;

/// <summary>A core's engine: everything that sockets need from the loop that runs a stack.</summary>
public abstract class SocketEngine
{
    /// <summary>Events that are worked on in stages together.</summary>
    private const int StageSize = 32;

    /// <summary>Objects of so few connections are taken to lie in the processor's cache whenever they are busy.</summary>
    private const int CachedConnectionCount = 256;

    private readonly Queue<IEngineWork> _deferred = new(64);
    private readonly WorkSlots _work = new(1024);
    private readonly List<TcpConnection> _batched = new(64);
    private readonly SocketTable<TcpConnection> _connections = new();
    private readonly SocketTable<ITcpHandler> _handlers = new();
    private readonly SocketTable<TcpListener> _listeners = new();
    private readonly SocketTable<UdpSocket> _datagramSockets = new();
    private readonly TcpEvent[] _staged = new TcpEvent[StageSize];
    private int _threadId = -1;
    private int _touched;

    /// <summary>Makes the engine of a stack.</summary>
    /// <param name="stack">The stack that the loop runs.</param>
    /// <param name="mode">Where continuations run.</param>
    protected SocketEngine(NetworkStack stack, CompletionMode mode = CompletionMode.Inline)
    {
        ArgumentNullException.ThrowIfNull(stack);
        Stack = stack;
        Mode = mode == CompletionMode.Default ? CompletionMode.Inline : mode;
        Blocks = new BlockMemory(stack.Tcp.Blocks);
        Context = new CoreSynchronizationContext(this);
    }

    /// <summary>The stack. To be touched on the core's thread only.</summary>
    public NetworkStack Stack { get; }

    /// <summary>Where continuations run that have no other wish.</summary>
    public CompletionMode Mode { get; }

    /// <summary>Whether the caller is on the core's thread.</summary>
    public bool IsCurrent => Environment.CurrentManagedThreadId == _threadId;

    /// <summary>The time of the present turn. On the core's thread only.</summary>
    public Instant Now { get; private set; }

    /// <summary>A context whose posts run on the core's thread. Install it on that thread to bring every await back.</summary>
    public CoreSynchronizationContext Context { get; }

    /// <summary>Whether the loop has ended for good. Any thread.</summary>
    public bool IsStopped { get; private set; }

    /// <summary>The call-back that runs, or ran last in this turn: a delegate, a state machine or a handler. For the watchdog; null between turns.</summary>
    public object? Running { get; internal set; }

    /// <summary>Connections that the application holds.</summary>
    public int ConnectionCount => _connections.Count;

    /// <summary>Whether work waits that did not come through the mailbox, so that the loop must not sleep.</summary>
    public bool HasWork => _deferred.Count > 0;

    /// <summary>Events that one <see cref="Dispatch"/> handles at most.</summary>
    public int EventCountMax { get; init; } = 512;

    /// <summary>The connection whose handler is being given bytes, which are the connection's until it returns.</summary>
    internal TcpHandle Delivering { get; set; }

    internal BlockMemory Blocks { get; }

    internal SegmentPool Segments { get; } = new();

    internal TcpLayer Tcp => Stack.Tcp;

    internal UdpLayer Udp => Stack.Udp;

    internal IEnumerable<TcpConnection> Connections => _connections.Items;

    internal SocketTable<UdpSocket> DatagramSockets => _datagramSockets;

    /// <summary>Puts a record into the core's bounded mailbox and wakes the core if it sleeps. Any thread.</summary>
    /// <returns>False when the mailbox is full or the core has stopped.</returns>
    public abstract bool TryPost(in EngineCommand command);

    /// <summary>
    /// As <see cref="TryPost"/>, for what may wait until the thread pool has run what is queued there now, when the caller is on one of its threads: many
    /// records then wake the core once.
    /// </summary>
    public virtual bool TryPostSoon(in EngineCommand command) => TryPost(command);

    /// <summary>Called between two attempts to post into a full mailbox: waits a little.</summary>
    /// <param name="attempt">How often it was full in a row, from 0.</param>
    protected abstract void WaitForRoom(int attempt);

    /// <summary>A thread that is not the core's has posted a call and is about to block until it is answered.</summary>
    protected virtual void OnCallerWaits()
    {
    }

    /// <summary>Runs an item on another thread than the core's (the host: the thread pool; the simulation: later in the same thread).</summary>
    public abstract void RunElsewhere(IThreadPoolWorkItem item);

    /// <summary>A call-back threw. The core goes on.</summary>
    public abstract void OnUnhandled(Exception exception, object callback);

    /// <summary>Makes the calling thread the core's. Call once on the loop's thread, before its first turn.</summary>
    public void AttachThread() => _threadId = Environment.CurrentManagedThreadId;

    /// <summary>No thread is the core's until <see cref="AttachThread"/> is called again: for loops whose turns are not all there is.</summary>
    public void DetachThread() => _threadId = -1;

    /// <summary>Says what time it is in this turn.</summary>
    public void BeginTurn(Instant now) => Now = now;

    /// <summary>Does what a record from the mailbox asks for.</summary>
    public void Execute(in EngineCommand command)
    {
        try
        {
            ExecuteCore(command);
        }
        catch (Exception e)
        {
            OnUnhandled(e, Running ?? this);
        }
    }

    /// <summary>Delivers what input and timers have brought, at most <see cref="EventCountMax"/> events, and runs what was put off.</summary>
    public void Dispatch(Instant now)
    {
        Now = now;
        // Only what was there at the start: work that makes work waits for the next turn.
        for (var left = _deferred.Count; left > 0; left--) RunWork(_deferred.Dequeue());
        for (var left = EventCountMax; left > 0;)
        {
            var count = TakeEvents(Math.Min(left, StageSize));
            if (count == 0) break;
            for (var i = 0; i < count; i++) Deliver(_staged[i]);
            left -= count;
        }
        for (var left = EventCountMax; left > 0 && Udp.TryNextEvent(out var e); left--) Deliver(e);
        if (_batched.Count > 0) EndBatch();
        Running = null;
    }

    /// <summary>Closes every listener; connections live on. On the core's thread.</summary>
    public void CloseListeners()
    {
        foreach (var listener in _listeners.ToArray()) listener.CloseOnCore();
    }

    /// <summary>Closes every connection and socket gracefully: queued data and FINs still go out. On the core's thread.</summary>
    public void CloseAll()
    {
        CloseListeners();
        foreach (var connection in _connections.ToArray()) connection.Dispose();
        foreach (var socket in _datagramSockets.ToArray()) socket.Dispose();
    }

    /// <summary>Resets every connection that is left. On the core's thread.</summary>
    public void AbortAll()
    {
        foreach (var connection in _connections.ToArray()) connection.Abort();
    }

    /// <summary>
    /// The loop has ended: nothing will be tried any more. Completes all that is pending with an error. On the core's thread, after the
    /// mailbox has been closed and drained.
    /// </summary>
    public void Stop()
    {
        IsStopped = true;
        CloseAll();
        foreach (var connection in _connections.ToArray()) connection.CloseOnCore(force: true);
        while (_deferred.TryDequeue(out var work)) RunWork(work);
    }

    /// <summary>Runs a function on the core's thread and gives its result; waits when called from another.</summary>
    /// <exception cref="ObjectDisposedException">The core has stopped.</exception>
    public T Run<T>(Func<T> function)
    {
        if (IsCurrent) return function();
        var call = new Call<T>(function);
        PostWork(call);
        OnCallerWaits();
        return call.Result.Task.GetAwaiter().GetResult();
    }

    /// <summary>As <see cref="Run{T}"/>, without blocking the caller.</summary>
    public Task<T> RunAsync<T>(Func<T> function)
    {
        var call = new Call<T>(function, this);
        PostWork(call);
        return call.Result.Task;
    }

    /// <summary>Posts a record, waiting while the mailbox is full. False when the core has stopped.</summary>
    internal bool Post(in EngineCommand command, bool soon = false)
    {
        for (var attempt = 0; ; attempt++)
        {
            if (soon ? TryPostSoon(command) : TryPost(command)) return true;
            if (IsStopped) return false;
            WaitForRoom(attempt);
        }
    }

    /// <summary>Runs work on the core's thread: later in this turn or the next when called there, else through the mailbox.</summary>
    internal void PostWork(IEngineWork work)
    {
        if (IsCurrent && !IsStopped)
        {
            _deferred.Enqueue(work);
            return;
        }
        uint slot;
        for (var attempt = 0; !_work.TryPut(work, out slot); attempt++)
        {
            if (IsStopped)
            {
                work.Abandon();
                return;
            }
            WaitForRoom(attempt);
        }
        if (!Post(new EngineCommand(EngineCommandKind.Work, slot)) && _work.Take(slot) is { } refused) refused.Abandon();
    }

    internal void Add(TcpConnection connection) => _connections.Set(connection.Handle.Index, connection);

    internal void Remove(TcpConnection connection) => _connections.Clear(connection.Handle.Index, connection);

    /// <summary>Who is told of a connection's events. Beside the connections, as those without a handler should not pay for one.</summary>
    internal ITcpHandler? HandlerOf(uint index) => _handlers.Get(index);

    /// <summary>Sets or takes away who is told; says whether there is one now.</summary>
    internal bool SetHandler(uint index, ITcpHandler? handler)
    {
        if (handler != null) _handlers.Set(index, handler);
        else if (_handlers.Get(index) is { } present) _handlers.Clear(index, present);
        return handler != null;
    }

    internal void Add(TcpListener listener) => _listeners.Set((uint)listener.Handle.Index, listener);

    internal void Remove(TcpListener listener) => _listeners.Clear((uint)listener.Handle.Index, listener);

    /// <summary>The handler wants to know when the batch has ended.</summary>
    internal void AddToBatch(TcpConnection connection) => _batched.Add(connection);

    internal TcpConnection? Find(uint index, uint generation) =>
        _connections.Get(index) is { } connection && connection.Handle.Generation == generation ? connection : null;


    private void ExecuteCore(in EngineCommand command)
    {
        switch (command.Kind)
        {
            case EngineCommandKind.Work:
                if (_work.Take(command.Index) is { } work) RunWork(work);
                break;
            case EngineCommandKind.Datagram:
                if (_datagramSockets.Get(command.Index) is { } socket && socket.Generation == command.Generation) socket.AttemptAll();
                break;
            case EngineCommandKind.None:
                break;
            default:
                Find(command.Index, command.Generation)?.Execute(command);
                break;
        }
    }

    /// <summary>Takes events in a stage, and has the objects that they concern load together rather than one after the other.</summary>
    private int TakeEvents(int countMax)
    {
        var count = 0;
        while (count < countMax && Tcp.TryNextEvent(out _staged[count])) count++;
        if (count > 1 && _connections.Count > CachedConnectionCount) _touched += TouchObjects(count);
        return count;
    }

    // First the connections, then what they lead to: loads that do not depend on each other overlap. The sum keeps the compiler from dropping them.
    private int TouchObjects(int count)
    {
        var sum = 0;
        for (var i = 0; i < count; i++) sum += ObjectStart.Load(_connections.Get(_staged[i].Connection.Index));
        for (var i = 0; i < count; i++)
        {
            var index = _staged[i].Connection.Index;
            sum += ObjectStart.Load(_handlers.Get(index) ?? (object?)_connections.Get(index)?.Receiving);
        }
        for (var i = 0; i < count; i++) sum += ObjectStart.Load(_connections.Get(_staged[i].Connection.Index)?.Receiving?.ContinuationState);
        return sum;
    }

    private void RunWork(IEngineWork work)
    {
        try
        {
            work.Execute();
        }
        catch (Exception e)
        {
            OnUnhandled(e, Running ?? work);
        }
    }

    private void Deliver(in TcpEvent e)
    {
        try
        {
            if ((e.Events & TcpEvents.Acceptable) != 0) _listeners.Get((uint)e.Listener.Index)?.OnAcceptable(e.Listener);
            else Find(e.Connection.Index, e.Connection.Generation)?.OnEvents(e.Events, e.Error);
        }
        catch (Exception exception)
        {
            OnUnhandled(exception, Running ?? this);
        }
    }

    private void Deliver(in UdpEvent e)
    {
        try
        {
            if (_datagramSockets.Get((uint)e.Socket.Index) is { } socket && socket.Handle == e.Socket) socket.AttemptAll();
        }
        catch (Exception exception)
        {
            OnUnhandled(exception, Running ?? this);
        }
    }

    private void EndBatch()
    {
        // A handler may not add to the batch it ends: it receives only in Deliver.
        for (var i = 0; i < _batched.Count; i++)
        {
            try
            {
                _batched[i].OnBatchEnd();
            }
            catch (Exception e)
            {
                OnUnhandled(e, _batched[i]);
            }
        }
        _batched.Clear();
    }

    /// <summary>A function to run on the core. Whoever awaits the result goes on elsewhere: what he does next may block.</summary>
    private sealed class Call<T>(Func<T> function, SocketEngine? awaited = null) : IEngineWork, IThreadPoolWorkItem
    {
        private T? _result;
        private Exception? _exception;

        internal TaskCompletionSource<T> Result { get; } = new();

        void IEngineWork.Execute()
        {
            try
            {
                _result = function();
            }
            catch (Exception e)
            {
                _exception = e;
            }
            Answer();
        }

        void IThreadPoolWorkItem.Execute()
        {
            if (_exception == null) Result.TrySetResult(_result!);
            else Result.TrySetException(_exception);
        }

        public void Abandon()
        {
            _exception = new ObjectDisposedException(null, "The network has been stopped.");
            Answer();
        }

        private void Answer()
        {
            if (awaited == null) ((IThreadPoolWorkItem)this).Execute();
            else awaited.RunElsewhere(this);
        }
    }
}
