// A listening socket. Connections wait in the stack's accept queue, which the backlog bounds; an object is made when one is accepted.
using System.Net;
using System.Net.Sockets;
using Peregrine.Core.Tcp;
using Peregrine.Core.Tcp.Authentication;

namespace Peregrine.Sockets;

/// <summary>How a listener takes connections.</summary>
public sealed record TcpListenerOptions
{
    /// <summary>Connections that may wait to be accepted, 1 to 65,535. Default 512.</summary>
    public int Backlog { get; init; } = 512;

    /// <summary>Whether a listener on <see cref="IPAddress.IPv6Any"/> takes IPv4 connections too. Default true, as Kestrel and most servers set it.</summary>
    public bool DualMode { get; init; } = true;

    /// <summary>
    /// SO_REUSEPORT: other listeners of this network that ask for it too may listen on the same address and port, and connections are spread among them by a keyed
    /// hash of their endpoints. Without it, and beside one without it, a second listener is refused (AddressAlreadyInUse). Default false.
    /// </summary>
    public bool ReusePort { get; init; }

    /// <summary>Settings of accepted connections, or null for the stack's.</summary>
    public TcpSettings? Settings { get; init; }

    /// <summary>Keys of peers (TCP_MD5SIG, TCP_AO), or null: from a peer with keys, only what is signed with them is taken.</summary>
    public TcpKeySet? Keys { get; init; }

    /// <summary>Where awaiting code of accepted connections goes on. Default: as the network says.</summary>
    public CompletionMode CompletionMode { get; init; }

    /// <summary>Checks every range.</summary>
    /// <exception cref="ArgumentOutOfRangeException">A setting is out of its range.</exception>
    public void Validate()
    {
        if (Backlog is < 1 or > 65_535) throw new ArgumentOutOfRangeException(nameof(Backlog), Backlog, $"Backlog is {Backlog}; it must be from 1 to 65535.");
        Settings?.Validate();
    }
}

/// <summary>A TCP listener. Usable from any thread; several accepts may be pending.</summary>
public sealed class TcpListener : IAsyncDisposable, IDisposable
{
    private readonly SocketEngine _engine;
    private readonly TcpListenerOptions _options;
    private readonly Queue<AcceptOperation> _waiting = new();
    private readonly Queue<TcpConnection> _orphans = new();
    private readonly AcceptOperation _usual;
    private int _disposed;
    private bool _closed;

    internal TcpListener(SocketEngine engine, TcpListenerHandle handle, IPEndPoint local, TcpListenerOptions options)
    {
        _engine = engine;
        _options = options;
        _usual = new AcceptOperation(this);
        Handle = handle;
        LocalEndPoint = local;
        engine.Add(this);
    }

    /// <summary>Address and port; the port is the one chosen when 0 was asked for.</summary>
    public IPEndPoint LocalEndPoint { get; }

    internal TcpListenerHandle Handle { get; }

    /// <summary>Accepts a connection.</summary>
    /// <exception cref="SocketException">OperationAborted: the listener was disposed meanwhile.</exception>
    /// <exception cref="ObjectDisposedException">The listener has been disposed.</exception>
    /// <exception cref="OperationCanceledException">Cancelled; no connection is lost by that.</exception>
    public ValueTask<TcpConnection> AcceptAsync(CancellationToken cancel = default)
    {
        ObjectDisposedException.ThrowIf(Volatile.Read(ref _disposed) != 0, this);
        if (cancel.IsCancellationRequested) return ValueTask.FromCanceled<TcpConnection>(cancel);
        var here = _engine.IsCurrent;
        if (here && _waiting.Count == 0 && TryAccept() is { } connection) return new(connection);
        // One accept after another is the usual loop, and uses the same operation each time.
        var operation = _usual;
        if (!operation.TryClaim())
        {
            operation = new AcceptOperation(this);
            operation.Claim();
        }
        var result = operation.AsValueTask();
        operation.Start(cancel);
        if (here) _waiting.Enqueue(operation);
        else _engine.PostWork(new AcceptRequest(this, operation));
        return result;
    }

    /// <summary>Gives the listener other keys, or none; connections that exist keep theirs.</summary>
    /// <exception cref="SocketException">NotSocket: the listener was disposed.</exception>
    public void SetKeys(TcpKeySet? keys) => _engine.Run(() =>
    {
        SocketErrors.Check(_engine.Tcp.Keys.Set(Handle, keys));
        return true;
    });

    /// <summary>Stops listening. Connections that were not accepted are reset; pending accepts fail with OperationAborted.</summary>
    public void Dispose()
    {
        if (Interlocked.Exchange(ref _disposed, 1) != 0) return;
        if (_engine.IsCurrent) CloseOnCore();
        else _engine.PostWork(new CloseRequest(this));
    }

    /// <summary>As <see cref="Dispose"/>, and completes when the port is free again.</summary>
    public async ValueTask DisposeAsync()
    {
        Interlocked.Exchange(ref _disposed, 1);
        if (_engine.IsCurrent)
        {
            CloseOnCore();
            return;
        }
        try
        {
            await _engine.RunAsync(() =>
            {
                CloseOnCore();
                return true;
            }).ConfigureAwait(false);
        }
        catch (ObjectDisposedException)
        {
            // The core has stopped and closed the listener with everything else.
        }
    }

    internal void OnAcceptable(TcpListenerHandle handle)
    {
        if (handle == Handle) Serve();
    }

    internal void CloseOnCore()
    {
        Volatile.Write(ref _disposed, 1);
        if (_closed) return;
        _closed = true;
        _engine.Tcp.CloseListener(Handle, _engine.Now);
        _engine.Remove(this);
        while (_waiting.TryDequeue(out var operation)) operation.Fail(OperationFault.Socket, SocketError.OperationAborted);
        while (_orphans.TryDequeue(out var orphan)) orphan.Abort();
    }

    private void Serve()
    {
        while (!_closed && _waiting.TryPeek(out var operation))
        {
            if (!operation.IsWaiting)
            {
                _waiting.Dequeue();
                continue;
            }
            if (TryAccept() is not { } connection) return;
            _waiting.Dequeue();
            if (!operation.TryGive(connection))
            {
                // Cancelled in this very moment: the connection goes to the next accept, or waits for one.
                _orphans.Enqueue(connection);
            }
        }
    }

    private TcpConnection? TryAccept()
    {
        while (_orphans.TryDequeue(out var orphan))
        {
            if (!orphan.IsDisposed) return orphan;
        }
        return !_closed && _engine.Tcp.TryAccept(Handle, out var handle)
            ? new TcpConnection(_engine, handle) { CompletionMode = _options.CompletionMode }
            : null;
    }

    private void Add(AcceptOperation operation)
    {
        if (_closed)
        {
            operation.Fail(OperationFault.Socket, SocketError.OperationAborted);
            return;
        }
        _waiting.Enqueue(operation);
        Serve();
    }

    private sealed class AcceptOperation(TcpListener listener) : SocketOperation<TcpConnection>(listener._engine)
    {
        protected override CompletionMode Mode =>
            listener._options.CompletionMode == CompletionMode.Default ? Engine.Mode : listener._options.CompletionMode;

        protected override string Name => "accept";

        internal bool TryGive(TcpConnection connection)
        {
            if (!TryEnter()) return false;
            FinishWith(connection);
            return true;
        }

        protected override bool Perform() => false;

        protected override void Clear() => Result = null;
    }

    private sealed class AcceptRequest(TcpListener listener, AcceptOperation operation) : IEngineWork
    {
        public void Execute() => listener.Add(operation);

        public void Abandon() => operation.Fail(OperationFault.Socket, SocketError.OperationAborted);
    }

    private sealed class CloseRequest(TcpListener listener) : IEngineWork
    {
        public void Execute() => listener.CloseOnCore();

        public void Abandon()
        {
        }
    }
}
