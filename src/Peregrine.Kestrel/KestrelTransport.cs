// Kestrel's door to the stack: binds listeners and opens connections on a network that is asked for when the first is needed. It neither
// starts nor stops the network.
using System.Net;
using System.Net.Sockets;
using Microsoft.AspNetCore.Connections;
using Peregrine.Sockets;

namespace Peregrine.Kestrel;

/// <summary>
/// A transport for Kestrel and for clients that take an <see cref="IConnectionFactory"/>. Takes every <see cref="IPEndPoint"/>; others,
/// such as unix sockets, are left to the transports that were there before.
/// </summary>
public sealed class KestrelTransport : IConnectionListenerFactory, IConnectionListenerFactorySelector, IConnectionFactory
{
    private readonly Func<CancellationToken, ValueTask<Network>> _network;
    private readonly IMemoryPoolFactory<byte>? _pools;

    /// <summary>Makes a transport over a network that is there already.</summary>
    public KestrelTransport(Network network)
        : this(_ => ValueTask.FromResult(network))
    {
        ArgumentNullException.ThrowIfNull(network);
    }

    /// <summary>Makes a transport over a network that is started when the first listener or connection needs it.</summary>
    /// <param name="network">Gives the network, the same each time.</param>
    /// <param name="pools">Where Kestrel's own buffers come from, or null for the shared pool.</param>
    public KestrelTransport(Func<CancellationToken, ValueTask<Network>> network, IMemoryPoolFactory<byte>? pools = null)
    {
        ArgumentNullException.ThrowIfNull(network);
        (_network, _pools) = (network, pools);
    }

    /// <inheritdoc/>
    public bool CanBind(EndPoint endpoint) => endpoint is IPEndPoint;

    /// <summary>Listens.</summary>
    /// <param name="endpoint">An <see cref="IPEndPoint"/> with an address of the network, or <see cref="IPAddress.Any"/> or <see cref="IPAddress.IPv6Any"/>.</param>
    /// <param name="cancellationToken">Ends the wait for the network's start.</param>
    /// <exception cref="AddressInUseException">Something listens there already.</exception>
    /// <exception cref="InvalidOperationException">The network has no such address; the message says what to do.</exception>
    public async ValueTask<IConnectionListener> BindAsync(EndPoint endpoint, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(endpoint);
        if (endpoint is not IPEndPoint address) throw new NotSupportedException($"Peregrine listens on IP addresses, not on {endpoint}.");
        var network = await _network(cancellationToken).ConfigureAwait(false);
        try
        {
            // Kestrel writes whole answers. Said once for all connections: each one's own settings would be a record of its own.
            var settings = network.Engine.Stack.Options.Tcp with { NoDelay = true };
            return new KestrelListener(network.ListenTcp(address, new TcpListenerOptions { Settings = settings }), _pools?.Create(), network.TimeProvider);
        }
        catch (SocketException e) when (e.SocketErrorCode == SocketError.AddressAlreadyInUse)
        {
            throw new AddressInUseException($"Something listens on {endpoint} of this network already: choose another port.", e);
        }
        catch (SocketException e) when (e.SocketErrorCode == SocketError.AddressNotAvailable)
        {
            throw new InvalidOperationException($"This network has no address {address.Address}: listen on one that it was given, or on any (http://*:{address.Port}).", e);
        }
    }

    /// <summary>Opens a connection.</summary>
    /// <param name="endpoint">An <see cref="IPEndPoint"/> or a <see cref="DnsEndPoint"/>.</param>
    /// <param name="cancellationToken">Ends the attempt.</param>
    /// <exception cref="SocketException">As <see cref="Network.ConnectTcpAsync"/>.</exception>
    public async ValueTask<ConnectionContext> ConnectAsync(EndPoint endpoint, CancellationToken cancellationToken = default)
    {
        var network = await _network(cancellationToken).ConfigureAwait(false);
        var settings = network.Engine.Stack.Options.Tcp with { NoDelay = true };
        var connection = await network.ConnectTcpAsync(endpoint, new TcpConnectionOptions { Settings = settings }, cancellationToken).ConfigureAwait(false);
        return new KestrelConnection(connection, _pools?.Create(), network.TimeProvider);
    }
}
