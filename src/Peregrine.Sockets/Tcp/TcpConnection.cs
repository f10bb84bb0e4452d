// A connection as an application holds it: a thin object over the stack's TCB, 56 bytes while nothing pends, with no buffer of its own. Operations on
// the core's thread run directly; those from other threads are stored in a reusable operation, and a record in the mailbox asks the core to try it.
using System.IO.Pipelines;
using System.Net;
using System.Net.Sockets;
using System.Runtime.InteropServices;
using Peregrine.Core.Tcp;

namespace Peregrine.Sockets;

/// <summary>
/// A TCP connection. Usable from any thread, fastest on its core's own. One send and one receive may pend at a time; they are independent.
/// Errors are <see cref="SocketException"/> with the code that System.Net.Sockets would give.
/// </summary>
public sealed class TcpConnection : IAsyncDisposable, IDisposable
{
    private readonly SocketEngine _engine;
    private TcpReceiveOperation? _receive;
    private TcpConnectionParts? _parts;
    private ushort _error;
    private ConnectionMarks _marks;
    private byte _mode;
    private byte _disposed;

    internal TcpConnection(SocketEngine engine, TcpHandle handle)
    {
        _engine = engine;
        Handle = handle;
        engine.Add(this);
        // Events that came before the object did are lost; the status has what they said.
        var status = engine.Tcp.GetStatus(handle);
        if (status.PeerClosed) _marks |= ConnectionMarks.PeerClosed;
        if (status.Error != SocketError.Success) OnEvents(TcpEvents.Closed, status.Error);
    }

    /// <summary>Own address and port, or null when the connection was gone before anybody asked. From another thread, the first call waits for the core.</summary>
    public IPEndPoint? LocalEndPoint => TcpConnectionParts.WithEndPoints(this).Local;

    /// <summary>The peer's address and port, or null when the connection was gone before anybody asked. From another thread, the first call waits for the core.</summary>
    public IPEndPoint? RemoteEndPoint => TcpConnectionParts.WithEndPoints(this).Remote;

    /// <summary>The connection's options, as properties named as in System.Net.Sockets and the kernel.</summary>
    public TcpSocketOptions Options => Parts.Options ??= new TcpSocketOptions(this);

    /// <summary>TCP_NODELAY: sends small segments at once. Default false.</summary>
    public bool NoDelay
    {
        get => Options.NoDelay;
        set => Options.NoDelay = value;
    }

    /// <summary>
    /// SO_LINGER: enabled with 0 seconds, <see cref="Dispose"/> resets the connection. Otherwise what is queued goes out in the
    /// background and <see cref="Dispose"/> does not wait. Time in seconds, 0 to 32,767. What a listener's settings say is inherited.
    /// </summary>
    public LingerOption LingerState
    {
        get => Options.LingerSeconds is >= 0 and var seconds ? new(true, seconds) : new(false, 0);
        set
        {
            ArgumentNullException.ThrowIfNull(value);
            if (value.LingerTime is < 0 or > 32_767)
                throw new ArgumentOutOfRangeException(nameof(value), value.LingerTime, $"LingerState is {value.LingerTime} seconds; it must be from 0 to 32767.");
            Options.LingerSeconds = value.Enabled ? value.LingerTime : -1;
        }
    }

    /// <summary>Where awaiting code goes on that has no context of its own. May be changed while nothing pends.</summary>
    public CompletionMode CompletionMode
    {
        get => _mode == 0 ? _engine.Mode : (CompletionMode)_mode;
        set => _mode = value is >= CompletionMode.Default and <= CompletionMode.ThreadPool ? (byte)value : throw new ArgumentOutOfRangeException(nameof(value), value, "CompletionMode must be Default, Inline or ThreadPool.");
    }

    /// <summary>Cancelled when the peer has finished (FIN) or the connection has ended, also while nobody receives. Call-backs run on the pool.</summary>
    public CancellationToken Ended => TcpConnectionParts.EndedOf(this);

    /// <summary>The core that the connection belongs to.</summary>
    public SocketEngine Engine => _engine;

    /// <summary>
    /// The received bytes as a pipe over the ring: on the core's thread its buffers are the ring's own blocks. Memory is valid until
    /// <see cref="PipeReader.AdvanceTo(SequencePosition)"/>, and no longer than until <see cref="Dispose"/>. Not to be mixed with
    /// <see cref="ReceiveAsync(Memory{byte}, CancellationToken)"/>. Completing it shuts receiving down.
    /// </summary>
    public PipeReader Input => _parts?.Input ?? TcpConnectionParts.Once(ref Parts.Input, () => new TcpPipeReader(this));

    /// <summary>
    /// The bytes to be sent as a pipe into the ring: on the core's thread its memory is the ring's own blocks. Completing it flushes and
    /// sends FIN, completing it with an exception resets the connection. Not to be mixed with <see cref="SendAsync"/>.
    /// </summary>
    public PipeWriter Output => _parts?.Output ?? TcpConnectionParts.Once(ref Parts.Output, () => new TcpPipeWriter(this));

    internal TcpHandle Handle { get; }

    /// <summary>Who is told of events, if anybody. Kept by the engine, as most connections have none. On the core's thread.</summary>
    private ITcpHandler? Handler
    {
        get => (_marks & ConnectionMarks.HasHandler) != 0 ? _engine.HandlerOf(Handle.Index) : null;
        set => _marks = (_marks & ~(ConnectionMarks.HasHandler | ConnectionMarks.SkipsBatchEnd)) | (_engine.SetHandler(Handle.Index, value) ? ConnectionMarks.HasHandler : 0);
    }

    internal bool IsDisposed => Volatile.Read(ref _disposed) != 0;
    internal TcpReceiveOperation? Receiving => _receive;
    internal bool IsEnded => (_marks & ConnectionMarks.Closed) != 0;
    internal bool IsSending => _parts?.Send is { IsActive: true };
    internal bool IsReleased => (_marks & ConnectionMarks.Released) != 0;

    /// <summary>Whether nothing more will be received: the end of the stream, or an own shutdown.</summary>
    internal bool IsReceiveEnded => (_marks & (ConnectionMarks.PeerClosed | ConnectionMarks.Closed | ConnectionMarks.ReceiveShut)) != 0;
    internal bool IsSendEnded => (_marks & (ConnectionMarks.SendShut | ConnectionMarks.Closed)) != 0;
    internal bool IsReceiveShut => (_marks & ConnectionMarks.ReceiveShut) != 0;
    private ITcpHandler? Told => IsDisposed ? null : Handler;
    internal SocketError Error => (SocketError)_error;
    internal void ForgetParts() => _parts = null;
    internal TcpConnectionParts Parts => _parts ?? TcpConnectionParts.Once(ref _parts, static () => new TcpConnectionParts());

    /// <summary>
    /// Receives at least one byte, or says 0 when the peer has finished, also where a reset or a time-out came after that. With an empty buffer it completes with 0 when there is something
    /// to receive (bytes, the end or an error).
    /// </summary>
    /// <param name="buffer">Where the bytes go. It belongs to the operation until that completes.</param>
    /// <param name="cancel">Cancels the receive; no data are lost by that, they stay for the next one.</param>
    /// <exception cref="SocketException">ConnectionReset, TimedOut, ConnectionAborted; OperationAborted when disposed meanwhile.</exception>
    /// <exception cref="InvalidOperationException">Another receive is pending on the connection.</exception>
    /// <exception cref="OperationCanceledException">Cancelled.</exception>
    /// <exception cref="ObjectDisposedException">The connection has been disposed.</exception>
    public ValueTask<int> ReceiveAsync(Memory<byte> buffer, CancellationToken cancel = default) => ReceiveAsync(buffer, throwsIO: false, cancel);

    /// <summary>Sends all the bytes: completes when they are in the send buffer, which is not yet when the peer has them.</summary>
    /// <param name="buffer">The bytes. They belong to the operation until that completes.</param>
    /// <param name="cancel">Cancels the send. An unknown part of the bytes has been taken then and will be sent, as with a kernel socket: usually only <see cref="Abort"/> makes sense after that.</param>
    /// <returns>The length of the buffer.</returns>
    /// <exception cref="SocketException">ConnectionReset, TimedOut; Shutdown after <see cref="Shutdown"/>; OperationAborted when disposed meanwhile.</exception>
    /// <exception cref="InvalidOperationException">Another send is pending on the connection.</exception>
    /// <exception cref="OperationCanceledException">Cancelled.</exception>
    /// <exception cref="ObjectDisposedException">The connection has been disposed.</exception>
    public ValueTask<int> SendAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancel = default)
    {
        if (_engine.IsCurrent && !IsSending && !cancel.IsCancellationRequested)
        {
            if (TrySend(buffer.Span, out var taken, out var fault, out var error))
                return fault == OperationFault.None ? new(taken) : SocketErrors.Fail<int>(fault, error);
            return StartSend(buffer, taken, throwsIO: false, cancel).AsValueTask();
        }
        if (IsDisposed) return SocketErrors.Fail<int>(OperationFault.Disposed, SocketError.OperationAborted);
        return cancel.IsCancellationRequested ? ValueTask.FromCanceled<int>(cancel) : StartSend(buffer, 0, throwsIO: false, cancel).AsValueTask();
    }

    /// <summary>
    /// Puts as many bytes into the send buffer as it takes now. On the core's thread only, for handlers. When fewer are taken than given,
    /// <see cref="ITcpHandler.OnWritable"/> comes later.
    /// </summary>
    /// <returns>Bytes taken, or -1 when the connection cannot send (any more).</returns>
    /// <exception cref="InvalidOperationException">Called from another thread.</exception>
    public int TrySend(ReadOnlySpan<byte> bytes)
    {
        if (!_engine.IsCurrent) throw new InvalidOperationException("TrySend may be called on the core's thread only; from another thread use SendAsync.");
        return TrySend(bytes, out var taken, out var fault, out _) && fault != OperationFault.None ? -1 : taken;
    }

    /// <summary>
    /// Has what arrives delivered to a handler, with spans, on the core's thread. What has arrived before is delivered at once. A null
    /// handler ends that.
    /// </summary>
    public void SetHandler(ITcpHandler? handler)
    {
        _engine.Run(() =>
        {
            Handler = handler;
            if (handler != null && !IsDisposed) OnEvents(TcpEvents.Readable | (_marks.HasFlag(ConnectionMarks.Closed) ? TcpEvents.Closed : 0), Error);
            return true;
        });
    }

    /// <summary>The connection as a stream. Disposing the stream disposes the connection.</summary>
    public Stream AsStream() => Parts.Stream ??= new TcpStream(this);

    /// <summary>Ends one or both directions: sending ends with a FIN after what is queued (half-close); receiving says 0 from now on.</summary>
    /// <exception cref="ObjectDisposedException">The connection has been disposed.</exception>
    public void Shutdown(SocketShutdown how)
    {
        ObjectDisposedException.ThrowIf(IsDisposed, this);
        if (how is < SocketShutdown.Receive or > SocketShutdown.Both) throw new ArgumentOutOfRangeException(nameof(how), how, "how must be Receive, Send or Both.");
        if (_engine.IsCurrent) ShutdownOnCore(how);
        else Post(EngineCommandKind.Shutdown, (long)how);
    }

    /// <summary>Resets the connection: what is queued is dropped and the peer gets an RST. Pending operations fail with ConnectionAborted. Dispose is still to be called.</summary>
    public void Abort()
    {
        if (IsDisposed) return;
        if (_engine.IsCurrent) AbortOnCore();
        else Post(EngineCommandKind.Abort);
    }

    /// <summary>A snapshot like Linux's tcp_info. Waits for the core when called from another thread.</summary>
    /// <exception cref="SocketException">NotConnected: the connection is gone.</exception>
    public TcpInfo GetInfo() => _engine.Run(() =>
        _engine.Tcp.TryGetInfo(Handle, _engine.Now, out var info) ? info : throw new SocketException((int)SocketError.NotConnected));

    /// <summary>
    /// Closes the connection gracefully: queued data and a FIN still go out in the background. Unread data make it a reset
    /// (RFC 1122 §4.2.2.13). Pending operations fail with OperationAborted. Memory of the pipes must not be used any more.
    /// </summary>
    public void Dispose()
    {
        if (Interlocked.Exchange(ref _disposed, (byte)1) != 0) return;
        if (_engine.IsCurrent) CloseOnCore();
        else Post(EngineCommandKind.Close);
    }

    /// <inheritdoc cref="Dispose"/>
    public ValueTask DisposeAsync()
    {
        Dispose();
        return ValueTask.CompletedTask;
    }

    internal ValueTask<int> ReceiveAsync(Memory<byte> buffer, bool throwsIO, CancellationToken cancel)
    {
        var here = _engine.IsCurrent;
        if (here && _receive is not { IsActive: true } && !cancel.IsCancellationRequested && TryReceive(buffer.Span, out var count, out var fault, out var error))
            return fault == OperationFault.None ? new(count) : SocketErrors.Fail<int>(fault, error, throwsIO);
        if (IsDisposed) return SocketErrors.Fail<int>(OperationFault.Disposed, SocketError.OperationAborted);
        if (cancel.IsCancellationRequested) return ValueTask.FromCanceled<int>(cancel);
        var operation = _receive ?? TcpConnectionParts.Once(ref _receive, () => new TcpReceiveOperation(this));
        operation.Claim(throwsIO);
        operation.Buffer = buffer;
        var result = operation.AsValueTask();
        operation.Start(cancel, here);
        if (!here) Ask(EngineCommandKind.Receive, operation);
        return result;
    }

    internal TcpSendOperation StartSend(ReadOnlyMemory<byte> buffer, int taken, bool throwsIO, CancellationToken cancel)
    {
        var operation = _parts?.Send ?? TcpConnectionParts.Once(ref Parts.Send, () => new TcpSendOperation(this));
        operation.Claim(throwsIO);
        operation.Buffer = buffer;
        operation.Taken = taken;
        operation.Start(cancel);
        if (!_engine.IsCurrent) Ask(EngineCommandKind.Send, operation);
        return operation;
    }

    /// <summary>Receives now. False when there is nothing yet. On the core's thread.</summary>
    internal bool TryReceive(Span<byte> destination, out int count, out OperationFault fault, out SocketError error)
    {
        (count, fault, error) = (0, OperationFault.None, SocketError.Success);
        if (IsDisposed) return Faulted(OperationFault.Disposed, SocketError.OperationAborted, out fault, out error);
        if (IsReceiveShut) return true;
        if (destination.Length > 0)
        {
            count = _engine.Tcp.Receive(Handle, destination, _engine.Now);
            if (count > 0) return true;
        }
        else if (_engine.Tcp.GetStatus(Handle).ReadableBytes > 0) return true;
        var dead = count < 0;
        count = 0;
        // As a kernel socket: a stream that its sender has ended has ended, whatever became of the connection afterwards.
        if ((_marks & ConnectionMarks.PeerClosed) != 0 || (_error == 0 && IsEnded)) return true;
        return (dead || _error != 0) && Faulted(OperationFault.Socket, _error != 0 ? Error : SocketError.ConnectionReset, out fault, out error);
    }

    /// <summary>Sends now what fits. True when all is taken or it failed. On the core's thread.</summary>
    internal bool TrySend(ReadOnlySpan<byte> bytes, out int taken, out OperationFault fault, out SocketError error)
    {
        (taken, fault, error) = (0, OperationFault.None, SocketError.Success);
        if (IsDisposed) return Faulted(OperationFault.Disposed, SocketError.OperationAborted, out fault, out error);
        if (_error != 0) return Faulted(OperationFault.Socket, Error, out fault, out error);
        if ((_marks & (ConnectionMarks.SendShut | ConnectionMarks.Closed)) != 0) return Faulted(OperationFault.Socket, SocketError.Shutdown, out fault, out error);
        while (taken < bytes.Length)
        {
            var n = _engine.Tcp.Send(Handle, bytes[taken..], _engine.Now);
            if (n < 0) return Faulted(OperationFault.Socket, DeadError(), out fault, out error);
            if (n == 0) return false;
            taken += n;
        }
        return true;
    }

    /// <summary>Does what a record asks for. On the core's thread.</summary>
    internal void Execute(in EngineCommand command)
    {
        switch (command.Kind)
        {
            case EngineCommandKind.Receive:
                _receive?.Attempt();
                break;
            case EngineCommandKind.Send:
                _parts?.Send?.Attempt();
                break;
            case EngineCommandKind.Pipes:
                _parts?.Input?.OnCore();
                _parts?.Output?.OnCore();
                break;
            case EngineCommandKind.Shutdown:
                if (!IsDisposed) ShutdownOnCore((SocketShutdown)command.Argument);
                break;
            case EngineCommandKind.Abort:
                AbortOnCore();
                break;
            case EngineCommandKind.Close:
                CloseOnCore();
                break;
        }
    }

    /// <summary>What input or a timer has brought. On the core's thread.</summary>
    internal void OnEvents(TcpEvents events, SocketError error)
    {
        if ((events & TcpEvents.PeerClosed) != 0) _marks |= ConnectionMarks.PeerClosed;
        if ((events & TcpEvents.Closed) != 0)
        {
            _marks |= ConnectionMarks.Closed;
            if (_error == 0) _error = (ushort)error;
        }
        if ((events & (TcpEvents.PeerClosed | TcpEvents.Closed)) != 0) TcpConnectionParts.TellEnded(ref _parts, _engine);
        if (_parts?.Connecting is { } connecting && (events & (TcpEvents.Connected | TcpEvents.Closed)) != 0) connecting.OnOutcome(this, events, error);
        if ((_marks & ConnectionMarks.HasHandler) != 0) TellHandler(events);
        if ((events & (TcpEvents.Readable | TcpEvents.PeerClosed | TcpEvents.Closed)) != 0)
        {
            _receive?.Attempt();
            _parts?.Input?.OnNews();
        }
        if ((events & (TcpEvents.Writable | TcpEvents.Closed)) != 0)
        {
            _parts?.Send?.Attempt();
            _parts?.Output?.OnCore();
        }
    }

    /// <summary>The turn's last call of the handler has been made.</summary>
    internal void OnBatchEnd()
    {
        _marks &= ~ConnectionMarks.InBatch;
        if (IsDisposed || Handler is not { } handler) return;
        _engine.Running = handler;
        try
        {
            handler.OnBatchEnd(this);
        }
        catch (Exception e)
        {
            OnHandlerFailed(e, handler);
        }
    }

    /// <summary>That handler does nothing at a batch's end, so it need not be told of any other. A wrapper may have asked it, which is told on.</summary>
    internal void SkipBatchEnds(ITcpHandler handler) => _marks |= Handler == handler ? ConnectionMarks.SkipsBatchEnd : 0;

    /// <summary>The last byte that pipes kept beside the ring is in the ring: a close that waited for that can be done.</summary>
    internal void OnOutputDrained()
    {
        if ((_marks & ConnectionMarks.ClosePending) != 0) CloseOnCore();
    }

    /// <summary>Closes for good. On the core's thread.</summary>
    internal void CloseOnCore(bool force = false)
    {
        Interlocked.Exchange(ref _disposed, (byte)1);
        if ((_marks & ConnectionMarks.Released) != 0) return;
        if (!force && !IsEnded && (_parts?.Output is { HasBacklog: true } || _engine.Delivering == Handle))
        {
            // Bytes that a flush has accepted must not be lost: the close waits until the ring has taken them.
            _marks |= ConnectionMarks.ClosePending;
            FailOperations(SocketError.OperationAborted);
            return;
        }
        _marks |= ConnectionMarks.Released | ConnectionMarks.Closed;
        Handler = null;
        Parts.NoteEndPoints(_engine, Handle);
        _parts?.Output?.OnClosing();
        if (_engine.Tcp.GetSettings(Handle) is { LingerSeconds: 0 }) _engine.Tcp.Abort(Handle, _engine.Now);
        _engine.Tcp.Close(Handle, _engine.Now);
        _engine.Remove(this);
        FailOperations(SocketError.OperationAborted);
        _parts?.Connecting?.Fail(OperationFault.Socket, SocketError.OperationAborted);
        _parts?.Input?.OnClosed();
    }

    internal bool Post(EngineCommandKind kind, long argument = 0, bool soon = false) => _engine.Post(new EngineCommand(kind, Handle.Index, Handle.Generation, argument), soon);

    internal void ShutdownOnCore(SocketShutdown how)
    {
        if (how != SocketShutdown.Send && !IsReceiveShut)
        {
            _marks |= ConnectionMarks.ReceiveShut;
            // A pipe's reader may be looking at the ring: then it stays until the connection is closed.
            if (_parts?.Input is not { IsReading: true }) _engine.Tcp.ShutdownReceive(Handle);
            _receive?.Attempt();
            _parts?.Input?.OnNews();
        }
        if (how == SocketShutdown.Receive || (_marks & ConnectionMarks.SendShut) != 0) return;
        _marks |= ConnectionMarks.SendShut;
        if (!IsEnded) _engine.Tcp.Shutdown(Handle, _engine.Now);
        _parts?.Send?.Fail(OperationFault.Socket, SocketError.Shutdown);
    }

    private static bool Faulted(OperationFault kind, SocketError code, out OperationFault fault, out SocketError error)
    {
        (fault, error) = (kind, code);
        return true;
    }

    private SocketError DeadError()
    {
        if (_engine.Tcp.GetStatus(Handle) is { IsAlive: true, Error: not SocketError.Success } status) return status.Error;
        return _error != 0 ? Error : SocketError.Shutdown;
    }

    private void AbortOnCore()
    {
        // A disposal by another thread that follows at once is marked already, and its close comes behind this.
        if (IsReleased) return;
        Parts.NoteEndPoints(_engine, Handle);
        if (!IsEnded) _engine.Tcp.Abort(Handle, _engine.Now);
        _marks |= ConnectionMarks.Closed;
        if (_error == 0) _error = checked((ushort)SocketError.ConnectionAborted);
        TellClosed(SocketError.ConnectionAborted);
        _parts?.Connecting?.OnOutcome(this, TcpEvents.Closed, SocketError.ConnectionAborted);
        FailOperations(SocketError.ConnectionAborted);
        _parts?.Input?.OnNews();
        _parts?.Output?.OnCore();
        OnOutputDrained();
    }

    private void FailOperations(SocketError error)
    {
        _receive?.Fail(OperationFault.Socket, error);
        _parts?.Send?.Fail(OperationFault.Socket, error);
        _parts?.Input?.Fail(error);
        _parts?.Output?.Fail(error);
    }

    internal void Ask(EngineCommandKind kind, SocketOperation operation)
    {
        // A disposal that the core did before the operation was pending did not see it, and its record finds no connection any more.
        if (!Post(kind) || IsDisposed) operation.Fail(OperationFault.Socket, SocketError.OperationAborted);
    }

    private void TellHandler(TcpEvents events)
    {
        var (handler, outer) = (Handler!, _engine.Delivering);
        _engine.Running = handler;
        try
        {
            // A handler that sets another within its call, as an upgrade does, has what comes after what it was given told to that one.
            if ((events & TcpEvents.Readable) != 0 && outer != Handle) DeliverRuns(outer);
            if ((events & TcpEvents.Writable) != 0) Told?.OnWritable(this);
            if ((events & TcpEvents.PeerClosed) != 0) Told?.OnPeerClosed(this);
            if ((events & TcpEvents.Closed) != 0 && !IsDisposed) TellClosed(Error);
        }
        catch (Exception e)
        {
            _engine.Delivering = outer;
            OnHandlerFailed(e, handler);
        }
    }

    private void DeliverRuns(TcpHandle outer)
    {
        for (var left = 1; left > 0 && Told is { } handler;)
        {
            var bytes = _engine.Tcp.Peek(Handle);
            if (bytes.IsEmpty) return;
            // A handler that answers and closes has read what it was given: its close waits, or unread bytes would make it a reset.
            _engine.Delivering = Handle;
            handler.OnReceived(this, bytes);
            _engine.Delivering = outer;
            left = _engine.Tcp.Consume(Handle, bytes.Length, _engine.Now);
            if (IsDisposed) CloseOnCore();
            if (IsDisposed || (_marks & (ConnectionMarks.InBatch | ConnectionMarks.SkipsBatchEnd)) != 0) continue;
            _marks |= ConnectionMarks.InBatch;
            _engine.AddToBatch(this);
        }
    }

    private void TellClosed(SocketError error)
    {
        if (Handler is not { } handler) return;
        Handler = null;
        try
        {
            handler.OnClosed(this, error);
        }
        catch (Exception e)
        {
            _engine.OnUnhandled(e, handler);
        }
    }

    private void OnHandlerFailed(Exception e, object callback)
    {
        _engine.OnUnhandled(e, callback);
        Handler = null;
        AbortOnCore();
    }
}
