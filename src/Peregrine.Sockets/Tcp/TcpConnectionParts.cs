// What a connection has only when somebody asks for it, kept apart so that an idle connection is one small object; and its two
// operations, which exist from the first time that a receive or send has to wait.
using System.Net;
using System.Net.Sockets;
using Peregrine.Wire;

namespace Peregrine.Sockets;

/// <summary>What is true of a connection object. Written on the core's thread only.</summary>
[Flags]
internal enum ConnectionMarks : ushort
{
    None = 0,

    /// <summary>The peer's FIN has come.</summary>
    PeerClosed = 1,

    /// <summary>The protocol is finished with the connection.</summary>
    Closed = 2,

    /// <summary>The application receives no more.</summary>
    ReceiveShut = 4,

    /// <summary>The application sends no more.</summary>
    SendShut = 8,

    /// <summary>In the list of connections whose handler is told of the batch's end.</summary>
    InBatch = 16,

    /// <summary>Disposed, but the pipe's output is not yet in the ring.</summary>
    ClosePending = 32,

    /// <summary>The handle has been given back to the stack.</summary>
    Released = 64,

    /// <summary>A handler is told of events; the engine has it.</summary>
    HasHandler = 128,

    /// <summary>The handler does nothing at a batch's end.</summary>
    SkipsBatchEnd = 256,
}

internal sealed class TcpConnectionParts
{
    internal TcpPipeReader? Input;
    internal TcpPipeWriter? Output;
    internal CancellationTokenSource? Ended;
    internal TcpSendOperation? Send;
    private Endpoint _local;
    private Endpoint _remote;
    private IPEndPoint? _localObject;
    private IPEndPoint? _remoteObject;
    private bool _hasEndPoints;

    internal TcpStream? Stream { get; set; }

    internal TcpSocketOptions? Options { get; set; }

    /// <summary>Whether both end points have been noted. They are written once, before this.</summary>
    internal bool HasEndPoints => Volatile.Read(ref _hasEndPoints);

    internal IPEndPoint? Local => !HasEndPoints ? null : _localObject ?? Once(ref _localObject, () => EndPoints.ToIPEndPoint(_local));

    internal IPEndPoint? Remote => !HasEndPoints ? null : _remoteObject ?? Once(ref _remoteObject, () => EndPoints.ToIPEndPoint(_remote));

    internal TcpConnectOperation? Connecting { get; set; }

    /// <summary>Remembers both end points, so that they can be asked for after the connection is gone. On the core's thread.</summary>
    internal bool NoteEndPoints(SocketEngine engine, Core.Tcp.TcpHandle handle)
    {
        if (_hasEndPoints || !engine.Tcp.TryGetInfo(handle, engine.Now, out var info)) return false;
        (_local, _remote) = (info.Local, info.Remote);
        Volatile.Write(ref _hasEndPoints, true);
        return true;
    }

    /// <summary>The connection's parts with its end points noted, if it still has any.</summary>
    internal static TcpConnectionParts WithEndPoints(TcpConnection connection)
    {
        var (parts, engine) = (connection.Parts, connection.Engine);
        if (!parts.HasEndPoints && (!engine.IsStopped || engine.IsCurrent)) engine.Run(() => parts.NoteEndPoints(engine, connection.Handle));
        return parts;
    }

    /// <summary>The token of the connection's end, cancelled already if that has come.</summary>
    internal static CancellationToken EndedOf(TcpConnection connection)
    {
        TcpConnectionParts? parts = connection.Parts;
        var source = Once(ref parts.Ended, static () => new CancellationTokenSource());
        // An end before the source was there told nobody; a later one finds it.
        if (connection.IsReceiveEnded) TellEnded(ref parts, connection.Engine);
        return source.Token;
    }

    /// <summary>The end has come and is marked: cancels the token if anybody has asked for it.</summary>
    internal static void TellEnded(ref TcpConnectionParts? parts, SocketEngine engine)
    {
        // Marks are written before this, the source is published before marks are read: one side sees the other.
        Interlocked.MemoryBarrier();
        if (Volatile.Read(ref parts)?.Ended is not { IsCancellationRequested: false } source) return;
        // Registered call-backs are the application's and may block: never on the core's thread.
        engine.RunElsewhere(new Cancellation(source));
    }

    /// <summary>Creates a lazy part once, whichever threads race for it.</summary>
    internal static T Once<T>(ref T? field, Func<T> create)
        where T : class
    {
        if (Volatile.Read(ref field) is { } present) return present;
        var created = create();
        return Interlocked.CompareExchange(ref field, created, null) ?? created;
    }

    private sealed class Cancellation(CancellationTokenSource source) : IThreadPoolWorkItem
    {
        public void Execute() => source.Cancel();
    }
}

internal sealed class TcpReceiveOperation(TcpConnection connection) : SocketOperation<int>(connection.Engine)
{
    internal Memory<byte> Buffer { get; set; }

    protected override CompletionMode Mode => connection.CompletionMode;

    protected override string Name => "receive";

    protected override bool Perform()
    {
        if (!connection.TryReceive(Buffer.Span, out var count, out var fault, out var error)) return false;
        Result = count;
        SetError(fault, error);
        return true;
    }

    protected override void Clear() => Buffer = default;
}

internal sealed class TcpSendOperation(TcpConnection connection) : SocketOperation<int>(connection.Engine)
{
    internal ReadOnlyMemory<byte> Buffer { get; set; }

    /// <summary>Bytes of the buffer that the ring has taken.</summary>
    internal int Taken { get; set; }

    protected override CompletionMode Mode => connection.CompletionMode;

    protected override string Name => "send";

    protected override bool Perform()
    {
        var done = connection.TrySend(Buffer.Span[Taken..], out var taken, out var fault, out var error);
        Taken += taken;
        if (!done) return false;
        Result = Taken;
        SetError(fault, error);
        return true;
    }

    protected override void Clear() => Buffer = default;
}

internal sealed class TcpConnectOperation(SocketEngine engine, CompletionMode mode) : SocketOperation<TcpConnection>(engine)
{
    private volatile TcpConnection? _connection;

    protected override CompletionMode Mode { get; } = mode == CompletionMode.Default ? engine.Mode : mode;

    protected override string Name => "connect";

    /// <summary>Opens the connection. On the core's thread.</summary>
    internal void Begin(in Core.Tcp.TcpConnectOptions options, CompletionMode mode)
    {
        if (!IsWaiting) return;
        var error = Engine.IsStopped ? SocketError.NetworkDown : Engine.Tcp.Connect(options, Engine.Now, out var handle) is var result && result == SocketError.Success
            ? Opened(handle, mode)
            : result;
        if (error != SocketError.Success) Fail(OperationFault.Socket, error);
    }

    internal void OnOutcome(TcpConnection connection, Core.Tcp.TcpEvents events, SocketError error)
    {
        // Nobody else has the connection yet, so nothing else is in its parts: an idle connection is to be one small object.
        connection.ForgetParts();
        if (!TryEnter())
        {
            connection.Dispose();
            return;
        }
        if ((events & Core.Tcp.TcpEvents.Connected) != 0 && connection.Error == SocketError.Success)
        {
            FinishWith(connection);
            return;
        }
        if (error == SocketError.Success) error = connection.Error == SocketError.Success ? SocketError.ConnectionRefused : connection.Error;
        connection.Dispose();
        Finish(OperationFault.Socket, error);
    }

    protected override bool Perform() => false;

    protected override void Clear()
    {
    }

    protected override void OnCanceled() => _connection?.Dispose();

    private SocketError Opened(Core.Tcp.TcpHandle handle, CompletionMode mode)
    {
        var connection = new TcpConnection(Engine, handle) { CompletionMode = mode };
        connection.Parts.Connecting = this;
        _connection = connection;
        // A cancellation between the request and here did not see the connection.
        if (!IsWaiting) connection.Dispose();
        return SocketError.Success;
    }
}
