// A UDP socket. One receive and one send may pend at a time; nothing is allocated per datagram in the forms that take an Endpoint or a
// SocketAddress. A receive whose buffer is too short cuts the datagram, as the kernel does.
using System.Buffers.Binary;
using System.Net;
using System.Net.Sockets;
using Peregrine.Core.Udp;
using Peregrine.Wire;

namespace Peregrine.Sockets;

/// <summary>A UDP socket. Usable from any thread, fastest on its core's own.</summary>
public sealed class UdpSocket : IAsyncDisposable, IDisposable
{
    private readonly SocketEngine _engine;
    private readonly CompletionMode _mode;
    private readonly ReceiveOperation _receive;
    private readonly SendOperation _send;
    private int _disposed;
    private bool _closed;

    private UdpSocket(SocketEngine engine, UdpHandle handle, IPEndPoint local, UdpSocketOptions options)
    {
        _engine = engine;
        _mode = options.CompletionMode;
        Handle = handle;
        LocalEndPoint = local;
        _receive = new ReceiveOperation(this);
        _send = new SendOperation(this);
        engine.DatagramSockets.Set(handle.Index, this);
    }

    /// <summary>Own address and port; the port is the one chosen when 0 was asked for.</summary>
    public IPEndPoint LocalEndPoint { get; private set; }

    /// <summary>The peer after <see cref="ConnectAsync"/>, or null.</summary>
    public IPEndPoint? RemoteEndPoint { get; private set; }

    internal UdpHandle Handle { get; }

    internal uint Generation => Handle.Generation;

    private bool IsDisposed => Volatile.Read(ref _disposed) != 0;

    /// <summary>Receives a datagram and says who sent it.</summary>
    /// <param name="buffer">Where it goes.</param>
    /// <param name="cancel">Cancels; no datagram is lost by that.</param>
    /// <exception cref="SocketException">ConnectionRefused and others: an ICMP error about something that was sent; OperationAborted when disposed meanwhile.</exception>
    /// <exception cref="InvalidOperationException">Another receive is pending on the socket.</exception>
    /// <exception cref="OperationCanceledException">Cancelled.</exception>
    public ValueTask<UdpReceived> ReceiveFromAsync(Memory<byte> buffer, CancellationToken cancel = default)
    {
        if (TryNow(out var received, buffer, null, cancel, out var failed)) return failed ?? new(received);
        if (IsDisposed) return SocketErrors.Fail<UdpReceived>(OperationFault.Disposed, SocketError.OperationAborted);
        return cancel.IsCancellationRequested ? ValueTask.FromCanceled<UdpReceived>(cancel) : Start(buffer, null, cancel).AsDatagram();
    }

    /// <summary>Receives a datagram, and writes who sent it into <paramref name="receivedAddress"/>.</summary>
    /// <returns>Bytes written to the buffer.</returns>
    /// <inheritdoc cref="ReceiveFromAsync(Memory{byte}, CancellationToken)" path="/exception"/>
    public ValueTask<int> ReceiveFromAsync(Memory<byte> buffer, SocketAddress receivedAddress, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(receivedAddress);
        return ReceiveCount(buffer, receivedAddress, cancel);
    }

    /// <summary>Receives a datagram, as <see cref="Socket"/> does it; allocates the end point.</summary>
    /// <inheritdoc cref="ReceiveFromAsync(Memory{byte}, CancellationToken)" path="/exception"/>
    public async ValueTask<SocketReceiveFromResult> ReceiveFromAsync(Memory<byte> buffer, EndPoint remoteEndPoint, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(remoteEndPoint);
        var received = await ReceiveFromAsync(buffer, cancel).ConfigureAwait(false);
        return new SocketReceiveFromResult { ReceivedBytes = received.ReceivedBytes, RemoteEndPoint = EndPoints.ToIPEndPoint(received.RemoteEndpoint) };
    }

    /// <summary>Receives a datagram; on a connected socket from the peer only.</summary>
    /// <returns>Bytes written to the buffer.</returns>
    /// <inheritdoc cref="ReceiveFromAsync(Memory{byte}, CancellationToken)" path="/exception"/>
    public ValueTask<int> ReceiveAsync(Memory<byte> buffer, CancellationToken cancel = default) => ReceiveCount(buffer, null, cancel);

    /// <summary>Sends a datagram. Completes when the stack has taken it.</summary>
    /// <returns>The length of the buffer.</returns>
    /// <exception cref="SocketException">MessageSize, NetworkUnreachable, HostUnreachable, AccessDenied (broadcast not enabled).</exception>
    /// <exception cref="InvalidOperationException">Another send is pending on the socket.</exception>
    /// <exception cref="OperationCanceledException">Cancelled.</exception>
    public ValueTask<int> SendToAsync(ReadOnlyMemory<byte> buffer, Endpoint remote, CancellationToken cancel = default)
    {
        if (IsDisposed) return SocketErrors.Fail<int>(OperationFault.Disposed, SocketError.OperationAborted);
        if (cancel.IsCancellationRequested) return ValueTask.FromCanceled<int>(cancel);
        var here = _engine.IsCurrent;
        if (here && !_send.IsActive && TrySend(buffer.Span, remote, out var sent, out var fault, out var error))
            return fault == OperationFault.None ? new(sent) : SocketErrors.Fail<int>(fault, error);
        _send.Claim();
        (_send.Buffer, _send.Remote) = (buffer, remote);
        var result = _send.AsValueTask();
        _send.Start(cancel);
        if (!here) Ask(_send);
        return result;
    }

    /// <inheritdoc cref="SendToAsync(ReadOnlyMemory{byte}, Endpoint, CancellationToken)"/>
    public ValueTask<int> SendToAsync(ReadOnlyMemory<byte> buffer, SocketAddress remote, CancellationToken cancel = default) =>
        SendToAsync(buffer, ReadAddress(remote), cancel);

    /// <inheritdoc cref="SendToAsync(ReadOnlyMemory{byte}, Endpoint, CancellationToken)"/>
    public ValueTask<int> SendToAsync(ReadOnlyMemory<byte> buffer, IPEndPoint remote, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(remote);
        return SendToAsync(buffer, EndPoints.ToEndpoint(remote), cancel);
    }

    /// <summary>Sends a datagram to the peer of a connected socket.</summary>
    /// <inheritdoc cref="SendToAsync(ReadOnlyMemory{byte}, Endpoint, CancellationToken)"/>
    public ValueTask<int> SendAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancel = default) =>
        RemoteEndPoint == null ? ValueTask.FromException<int>(new SocketException((int)SocketError.NotConnected)) : SendToAsync(buffer, default(Endpoint), cancel);

    /// <summary>Fixes the peer: only its datagrams are received, and ICMP errors are reported.</summary>
    /// <exception cref="SocketException">NetworkUnreachable, AddressNotAvailable.</exception>
    public async ValueTask ConnectAsync(IPEndPoint remote, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(remote);
        cancel.ThrowIfCancellationRequested();
        if (_engine.IsCurrent) ConnectOnCore(remote);
        else await _engine.RunAsync(() => ConnectOnCore(remote)).ConfigureAwait(false);
    }

    /// <summary>Closes the socket. Pending operations fail with OperationAborted.</summary>
    public void Dispose()
    {
        if (Interlocked.Exchange(ref _disposed, 1) != 0) return;
        if (_engine.IsCurrent) AttemptAll();
        else _engine.Post(new EngineCommand(EngineCommandKind.Datagram, Handle.Index, Handle.Generation));
    }

    /// <inheritdoc cref="Dispose"/>
    public ValueTask DisposeAsync()
    {
        Dispose();
        return ValueTask.CompletedTask;
    }

    internal static UdpSocket Bind(SocketEngine engine, IPEndPoint local, UdpSocketOptions options)
    {
        options.Validate();
        if (engine.IsStopped) throw new SocketException((int)SocketError.NetworkDown);
        var bind = new UdpBindOptions
        {
            Local = EndPoints.ToEndpoint(local),
            V6Only = local.AddressFamily == AddressFamily.InterNetworkV6 && !options.DualMode,
            ReuseAddress = options.ReuseAddress,
            Broadcast = options.EnableBroadcast,
            ReceiveBufferSize = options.ReceiveBufferSize,
            HopLimit = (byte)options.Ttl,
            MulticastHopLimit = (byte)options.MulticastTtl,
            TrafficClass = (byte)options.Tos,
            DontFragment = options.DontFragment,
        };
        SocketErrors.Check(engine.Udp.Bind(bind, out var handle));
        return new UdpSocket(engine, handle, EndPoints.ToIPEndPoint(engine.Udp.LocalEndpoint(handle)), options);
    }

    /// <summary>Something happened at the socket, or another thread asks. On the core's thread.</summary>
    internal void AttemptAll()
    {
        if (IsDisposed && !_closed)
        {
            _closed = true;
            _engine.Udp.Close(Handle);
            _engine.DatagramSockets.Clear(Handle.Index, this);
            _receive.Fail(OperationFault.Socket, SocketError.OperationAborted);
            _send.Fail(OperationFault.Socket, SocketError.OperationAborted);
            return;
        }
        _receive.Attempt();
        _send.Attempt();
    }

    private static Endpoint ReadAddress(SocketAddress address)
    {
        ArgumentNullException.ThrowIfNull(address);
        var bytes = address.Buffer.Span[..address.Size];
        return address.Family switch
        {
            AddressFamily.InterNetwork when bytes.Length >= 8 => new Endpoint(IpAddress.ReadIPv4(bytes[4..]), BinaryPrimitives.ReadUInt16BigEndian(bytes[2..])),
            AddressFamily.InterNetworkV6 when bytes.Length >= 24 => new Endpoint(IpAddress.ReadIPv6(bytes[8..]), BinaryPrimitives.ReadUInt16BigEndian(bytes[2..])),
            _ => throw new ArgumentException("The address must be of family InterNetwork or InterNetworkV6.", nameof(address)),
        };
    }

    // The layouts of sockaddr_in and sockaddr_in6. A buffer of the IPv6 family gets IPv4 senders in the mapped form, as a kernel's would.
    private static void WriteAddress(SocketAddress address, in Endpoint from)
    {
        var bytes = address.Buffer.Span;
        if (address.Family == AddressFamily.InterNetworkV6)
        {
            if (bytes.Length < 28) throw new ArgumentException("The address buffer must have at least 28 bytes.", nameof(address));
            bytes[2..28].Clear();
            BinaryPrimitives.WriteUInt16BigEndian(bytes[2..], from.Port);
            from.Address.WriteIPv6To(bytes[8..]);
            address.Size = 28;
            return;
        }
        if (bytes.Length < 16 || !from.Address.IsIPv4) throw new ArgumentException("The address buffer must be of the sender's family and long enough.", nameof(address));
        bytes[2..16].Clear();
        BinaryPrimitives.WriteUInt16BigEndian(bytes[2..], from.Port);
        from.Address.WriteTo(bytes[4..]);
        address.Size = 16;
    }

    private bool ConnectOnCore(IPEndPoint remote)
    {
        ObjectDisposedException.ThrowIf(IsDisposed, this);
        SocketErrors.Check(_engine.Udp.Connect(Handle, EndPoints.ToEndpoint(remote), _engine.Now));
        LocalEndPoint = EndPoints.ToIPEndPoint(_engine.Udp.LocalEndpoint(Handle));
        RemoteEndPoint = remote;
        return true;
    }

    private ValueTask<int> ReceiveCount(Memory<byte> buffer, SocketAddress? address, CancellationToken cancel)
    {
        if (TryNow(out var received, buffer, address, cancel, out var failed))
            return failed == null ? new(received.ReceivedBytes) : Recast(failed.Value);
        if (IsDisposed) return SocketErrors.Fail<int>(OperationFault.Disposed, SocketError.OperationAborted);
        return cancel.IsCancellationRequested ? ValueTask.FromCanceled<int>(cancel) : Start(buffer, address, cancel).AsCount();
    }

    private static async ValueTask<int> Recast(ValueTask<UdpReceived> failed) => (await failed.ConfigureAwait(false)).ReceivedBytes;

    private bool TryNow(out UdpReceived received, Memory<byte> buffer, SocketAddress? address, CancellationToken cancel, out ValueTask<UdpReceived>? failed)
    {
        (received, failed) = (default, null);
        if (!_engine.IsCurrent || _receive.IsActive || cancel.IsCancellationRequested) return false;
        if (!TryReceive(buffer.Span, address, out received, out var fault, out var error)) return false;
        if (fault != OperationFault.None) failed = SocketErrors.Fail<UdpReceived>(fault, error);
        return true;
    }

    private ReceiveOperation Start(Memory<byte> buffer, SocketAddress? address, CancellationToken cancel)
    {
        _receive.Claim();
        (_receive.Buffer, _receive.Address) = (buffer, address);
        _receive.Start(cancel);
        if (!_engine.IsCurrent) Ask(_receive);
        return _receive;
    }

    private void Ask(SocketOperation operation)
    {
        if (!_engine.Post(new EngineCommand(EngineCommandKind.Datagram, Handle.Index, Handle.Generation)) || IsDisposed)
            operation.Fail(OperationFault.Socket, SocketError.OperationAborted);
    }

    private bool TryReceive(Span<byte> buffer, SocketAddress? address, out UdpReceived received, out OperationFault fault, out SocketError error)
    {
        (received, fault, error) = (default, OperationFault.None, SocketError.Success);
        if (IsDisposed)
        {
            fault = OperationFault.Disposed;
            return true;
        }
        if (_engine.Udp.TryTakeError(Handle, out error))
        {
            fault = OperationFault.Socket;
            return true;
        }
        var n = _engine.Udp.Receive(Handle, buffer, out var from, out var to, out var truncated);
        if (n < 0) return false;
        if (address != null) WriteAddress(address, from);
        received = new UdpReceived(n, from, to, truncated);
        return true;
    }

    private bool TrySend(ReadOnlySpan<byte> bytes, in Endpoint remote, out int sent, out OperationFault fault, out SocketError error)
    {
        (sent, fault, error) = (0, OperationFault.None, SocketError.Success);
        if (IsDisposed)
        {
            fault = OperationFault.Disposed;
            return true;
        }
        sent = _engine.Udp.Send(Handle, bytes, remote, _engine.Now, out error);
        if (error == SocketError.WouldBlock) return false;
        if (error != SocketError.Success) fault = OperationFault.Socket;
        return true;
    }

    private sealed class ReceiveOperation(UdpSocket socket) : SocketOperation<UdpReceived>(socket._engine), System.Threading.Tasks.Sources.IValueTaskSource<int>
    {
        internal Memory<byte> Buffer { get; set; }

        internal SocketAddress? Address { get; set; }

        protected override CompletionMode Mode => socket._mode == CompletionMode.Default ? Engine.Mode : socket._mode;

        protected override string Name => "receive";

        internal ValueTask<UdpReceived> AsDatagram() => AsValueTask();

        internal ValueTask<int> AsCount() => new((System.Threading.Tasks.Sources.IValueTaskSource<int>)this, Version);

        int System.Threading.Tasks.Sources.IValueTaskSource<int>.GetResult(short token) => GetResult(token).ReceivedBytes;

        protected override bool Perform()
        {
            if (!socket.TryReceive(Buffer.Span, Address, out var received, out var fault, out var error)) return false;
            Result = received;
            SetError(fault, error);
            return true;
        }

        protected override void Clear() => (Buffer, Address) = (default, null);
    }

    private sealed class SendOperation(UdpSocket socket) : SocketOperation<int>(socket._engine)
    {
        internal ReadOnlyMemory<byte> Buffer { get; set; }

        internal Endpoint Remote { get; set; }

        protected override CompletionMode Mode => socket._mode == CompletionMode.Default ? Engine.Mode : socket._mode;

        protected override string Name => "send";

        protected override bool Perform()
        {
            if (!socket.TrySend(Buffer.Span, Remote, out var sent, out var fault, out var error)) return false;
            Result = sent;
            SetError(fault, error);
            return true;
        }

        protected override void Clear() => Buffer = default;
    }
}
