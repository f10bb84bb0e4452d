// A connection as Kestrel sees it: the stack's pipes and the features that middleware asks for. It copies nothing and starts nothing.
using System.Buffers;
using System.IO.Pipelines;
using System.Net;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Connections.Features;
using Microsoft.AspNetCore.Http.Features;
using Peregrine.Sockets;

namespace Peregrine.Kestrel;

internal sealed class KestrelConnection : ConnectionContext,
    IConnectionIdFeature, IConnectionTransportFeature, IConnectionItemsFeature, IMemoryPoolFeature, IConnectionLifetimeFeature, IConnectionEndPointFeature
{
    // A FIN may be a half-close by a client that still waits for its answer. Kernel sockets leave that to chance; this is long enough for
    // most answers, and soon enough for an application that wants to know that its client has gone.
    private static readonly TimeSpan s_halfCloseGrace = TimeSpan.FromSeconds(1);

    private static long s_lastId = DateTime.UtcNow.Ticks;

    private readonly TcpConnection _connection;
    private readonly PipeReader _input;
    private readonly PipeWriter _output;
    private readonly TimeProvider _time;
    private readonly CancellationTokenSource _closed = new();
    private string? _id;
    private IDictionary<object, object?>? _items;
    private int _disposed;

    internal KestrelConnection(TcpConnection connection, MemoryPool<byte>? pool, TimeProvider time)
    {
        (_connection, _time) = (connection, time);
        (_input, _output) = (connection.Input, connection.Output);
        MemoryPool = pool ?? MemoryPool<byte>.Shared;
        LocalEndPoint = connection.LocalEndPoint;
        RemoteEndPoint = connection.RemoteEndPoint;
        Transport = new DuplexPipe(_input, _output);
        ConnectionClosed = _closed.Token;
        var features = new FeatureCollection(8);
        features.Set<IConnectionIdFeature>(this);
        features.Set<IConnectionTransportFeature>(this);
        features.Set<IConnectionItemsFeature>(this);
        features.Set<IMemoryPoolFeature>(this);
        features.Set<IConnectionLifetimeFeature>(this);
        features.Set<IConnectionEndPointFeature>(this);
        Features = features;
        connection.Ended.UnsafeRegister(static self => ((KestrelConnection)self!).OnPeerEnded(), this);
    }

    public override string ConnectionId
    {
        get => _id ??= "P" + Interlocked.Increment(ref s_lastId).ToString("X", System.Globalization.CultureInfo.InvariantCulture);
        set => _id = value;
    }

    public override IFeatureCollection Features { get; }

    public override IDictionary<object, object?> Items
    {
        get => _items ??= new ConnectionItems();
        set => _items = value;
    }

    public override IDuplexPipe Transport { get; set; }

    public override CancellationToken ConnectionClosed { get; set; }

    public override EndPoint? LocalEndPoint { get; set; }

    public override EndPoint? RemoteEndPoint { get; set; }

    public MemoryPool<byte> MemoryPool { get; }

    public override void Abort(ConnectionAbortedException abortReason)
    {
        _connection.Abort();
        SignalClosed();
    }

    public override void Abort() => Abort(new ConnectionAbortedException());

    public override async ValueTask DisposeAsync()
    {
        if (Interlocked.Exchange(ref _disposed, 1) != 0) return;
        // What was flushed goes out and a FIN after it; both in the background once the connection is closed.
        await _output.CompleteAsync().ConfigureAwait(false);
        await _input.CompleteAsync().ConfigureAwait(false);
        await _connection.DisposeAsync().ConfigureAwait(false);
        SignalClosed();
    }

    private void OnPeerEnded()
    {
        if (Volatile.Read(ref _disposed) == 0) _ = SignalLaterAsync();
    }

    private async Task SignalLaterAsync()
    {
        await Task.Delay(s_halfCloseGrace, _time).ConfigureAwait(false);
        SignalClosed();
    }

    private void SignalClosed()
    {
        if (_closed.IsCancellationRequested) return;
        // Registered call-backs may be slow, and this may be the core's thread.
        ThreadPool.UnsafeQueueUserWorkItem(static closed => closed.Cancel(), _closed, preferLocal: false);
    }

    private sealed class DuplexPipe(PipeReader input, PipeWriter output) : IDuplexPipe
    {
        public PipeReader Input => input;

        public PipeWriter Output => output;
    }
}
