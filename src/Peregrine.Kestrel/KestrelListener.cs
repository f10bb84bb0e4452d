// A listener as Kestrel sees it: accepts until it is unbound, then says null once for each accept that waits.
using System.Buffers;
using System.Net;
using System.Net.Sockets;
using Microsoft.AspNetCore.Connections;
using Peregrine.Sockets;
using TcpListener = Peregrine.Sockets.TcpListener;

namespace Peregrine.Kestrel;

internal sealed class KestrelListener(TcpListener listener, MemoryPool<byte>? pool, TimeProvider time) : IConnectionListener
{
    private int _unbound;

    public EndPoint EndPoint => listener.LocalEndPoint;

    public async ValueTask<ConnectionContext?> AcceptAsync(CancellationToken cancellationToken = default)
    {
        while (Volatile.Read(ref _unbound) == 0)
        {
            try
            {
                return new KestrelConnection(await listener.AcceptAsync(cancellationToken).ConfigureAwait(false), pool, time);
            }
            catch (SocketException e) when (e.SocketErrorCode != SocketError.OperationAborted)
            {
                // A connection that died between the handshake and here is no fault of the listener.
            }
            catch (Exception e) when (e is SocketException or ObjectDisposedException)
            {
                break;
            }
        }
        return null;
    }

    public async ValueTask UnbindAsync(CancellationToken cancellationToken = default)
    {
        Volatile.Write(ref _unbound, 1);
        await listener.DisposeAsync().ConfigureAwait(false);
    }

    public async ValueTask DisposeAsync()
    {
        await UnbindAsync().ConfigureAwait(false);
        pool?.Dispose();
    }
}
