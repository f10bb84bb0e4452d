// A network as an application sees it: where listeners, connections and UDP sockets come from. The host and the simulation derive from it.
using System.Net;
using System.Net.Http;
using System.Net.Sockets;
using Peregrine.Core.Tcp;
using Peregrine.Core.Tcp.Authentication;

namespace Peregrine.Sockets;

/// <summary>How a connection is opened.</summary>
public sealed record TcpConnectionOptions
{
    /// <summary>Own address and port, or null: address chosen by route, port by the stack (RFC 6056).</summary>
    public IPEndPoint? LocalEndPoint { get; init; }

    /// <summary>Settings, or null for the stack's.</summary>
    public TcpSettings? Settings { get; init; }

    /// <summary>Keys, of which those of the peer sign every segment (TCP_MD5SIG, TCP_AO), or null for none.</summary>
    public TcpKeySet? Keys { get; init; }

    /// <summary>Where awaiting code goes on. Default: as the network says.</summary>
    public CompletionMode CompletionMode { get; init; }
}

/// <summary>A network. Usable from any thread.</summary>
public abstract class Network : IAsyncDisposable
{
    /// <summary>Makes a network over an engine.</summary>
    protected Network(SocketEngine engine, INameResolver? resolver = null)
    {
        ArgumentNullException.ThrowIfNull(engine);
        Engine = engine;
        Resolver = resolver ?? new HostTable();
    }

    /// <summary>The core that new sockets belong to.</summary>
    public SocketEngine Engine { get; protected set; }

    /// <summary>Finds the addresses of hosts that <see cref="ConnectTcpAsync"/> is given by name.</summary>
    public INameResolver Resolver { get; }

    /// <summary>
    /// The clock that time-outs of code on this network follow: the system's, or virtual time on a simulated host. Give it to what takes a
    /// <see cref="System.TimeProvider"/>, and the code runs on both.
    /// </summary>
    public virtual TimeProvider TimeProvider => TimeProvider.System;

    /// <summary>Listens. From another thread than the core's this waits for the core.</summary>
    /// <param name="local">Address and port; port 0 takes a free one; <see cref="IPAddress.IPv6Any"/> takes both families unless the options say otherwise.</param>
    /// <param name="options">Backlog and more, or null.</param>
    /// <exception cref="SocketException">AddressAlreadyInUse, AddressNotAvailable.</exception>
    public TcpListener ListenTcp(IPEndPoint local, TcpListenerOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(local);
        options ??= new TcpListenerOptions();
        options.Validate();
        var listen = new TcpListenOptions(EndPoints.ToEndpoint(local), options.Backlog, local.AddressFamily == AddressFamily.InterNetworkV6 && !options.DualMode,
            options.Settings, options.Keys, options.ReusePort);
        return Engine.Run(() => Listen(listen, options));
    }

    /// <summary>Opens a connection. A name is resolved and its addresses are tried in turn.</summary>
    /// <param name="remote">An <see cref="IPEndPoint"/> or a <see cref="DnsEndPoint"/>.</param>
    /// <param name="options">Own address, settings, or null.</param>
    /// <param name="cancel">Ends the attempt.</param>
    /// <exception cref="SocketException">ConnectionRefused, TimedOut, HostUnreachable, NetworkUnreachable, AddressNotAvailable, HostNotFound: of the last address tried.</exception>
    /// <exception cref="OperationCanceledException">Cancelled.</exception>
    public ValueTask<TcpConnection> ConnectTcpAsync(EndPoint remote, TcpConnectionOptions? options = null, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(remote);
        options ??= new TcpConnectionOptions();
        options.Settings?.Validate();
        if (cancel.IsCancellationRequested) return ValueTask.FromCanceled<TcpConnection>(cancel);
        return remote switch
        {
            IPEndPoint address => Connect(address, options, cancel),
            DnsEndPoint name => ConnectByName(name, options, cancel),
            _ => throw new ArgumentException($"A TCP connection needs an IPEndPoint or a DnsEndPoint, not {remote.GetType().Name}.", nameof(remote)),
        };
    }

    /// <summary>For <see cref="SocketsHttpHandler.ConnectCallback"/>: opens a connection for HttpClient and gives its stream.</summary>
    public async ValueTask<Stream> ConnectAsync(SocketsHttpConnectionContext context, CancellationToken cancel)
    {
        ArgumentNullException.ThrowIfNull(context);
        var connection = await ConnectTcpAsync(context.DnsEndPoint, null, cancel).ConfigureAwait(false);
        connection.NoDelay = true;
        return connection.AsStream();
    }

    /// <summary>Binds a UDP socket. From another thread than the core's this waits for the core.</summary>
    /// <param name="local">Address and port; port 0 takes a free one.</param>
    /// <param name="options">Options, or null.</param>
    /// <exception cref="SocketException">AddressAlreadyInUse, AddressNotAvailable.</exception>
    public UdpSocket BindUdp(IPEndPoint local, UdpSocketOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(local);
        options ??= new UdpSocketOptions();
        return Engine.Run(() => UdpSocket.Bind(Engine, local, options));
    }

    /// <summary>Ends the network: gracefully, within the time that its options allow.</summary>
    public abstract ValueTask DisposeAsync();

    private TcpListener Listen(in TcpListenOptions listen, TcpListenerOptions options)
    {
        if (Engine.IsStopped) throw new SocketException((int)SocketError.NetworkDown);
        SocketErrors.Check(Engine.Tcp.Listen(listen, out var handle));
        return new TcpListener(Engine, handle, EndPoints.ToIPEndPoint(Engine.Tcp.LocalOf(handle)), options);
    }

    private ValueTask<TcpConnection> Connect(IPEndPoint remote, TcpConnectionOptions options, CancellationToken cancel)
    {
        var request = new ConnectRequest(new TcpConnectOperation(Engine, options.CompletionMode), options.CompletionMode,
            new TcpConnectOptions(EndPoints.ToEndpoint(remote), EndPoints.ToEndpoint(options.LocalEndPoint), options.Settings, options.Keys));
        return request.Start(cancel);
    }

    private async ValueTask<TcpConnection> ConnectByName(DnsEndPoint remote, TcpConnectionOptions options, CancellationToken cancel)
    {
        var addresses = await Resolver.ResolveAsync(remote.Host, cancel).ConfigureAwait(false);
        SocketException? last = null;
        foreach (var address in addresses)
        {
            if (remote.AddressFamily != AddressFamily.Unspecified && remote.AddressFamily != address.AddressFamily) continue;
            try
            {
                return await Connect(new IPEndPoint(address, remote.Port), options, cancel).ConfigureAwait(false);
            }
            catch (SocketException e)
            {
                last = e;
            }
        }
        throw last ?? new SocketException((int)SocketError.HostNotFound);
    }

    private sealed class ConnectRequest(TcpConnectOperation operation, CompletionMode mode, TcpConnectOptions options) : IEngineWork
    {
        public void Execute() => operation.Begin(options, mode);

        public void Abandon() => operation.Fail(OperationFault.Socket, SocketError.NetworkDown);

        internal ValueTask<TcpConnection> Start(CancellationToken cancel)
        {
            operation.Claim();
            var result = operation.AsValueTask();
            operation.Start(cancel);
            if (operation.Engine.IsCurrent) Execute();
            else operation.Engine.PostWork(this);
            return result;
        }
    }
}
