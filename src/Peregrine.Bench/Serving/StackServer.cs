// The services of the benchmarks on Peregrine's raw API: call-backs with spans on the core's thread or, where that is asked for, await. The C server
// beside it (bench/peers/k.c) offers the same services on the same ports.
using System.Buffers;
using System.Net;
using System.Net.Sockets;
using Peregrine.Sockets;
using TcpListener = Peregrine.Sockets.TcpListener;

namespace Peregrine.Bench.Serving;

internal sealed class StackServer : IAsyncDisposable
{
    private const int BufferBytes = 16 * 1024;

    private static readonly byte[] s_answer = Services.Answer.ToArray();
    private static readonly byte[] s_source = new byte[256 * 1024];

    private readonly List<TcpListener> _listeners = [];
    private readonly UdpSocket _echo;

    /// <summary>Listens on all services' ports.</summary>
    /// <param name="network">The network.</param>
    /// <param name="awaits">Whether echo and HTTP await what they receive and send. Bulk data are called back always.</param>
    internal StackServer(Network network, bool awaits = false)
    {
        var echo = new EchoService();
        var source = new SourceService();
        if (awaits)
        {
            Listen(network, Services.Echo, EchoAsync);
            Listen(network, Services.Http, static connection => AnswerAsync(connection, closing: false));
            Listen(network, Services.HttpClosing, static connection => AnswerAsync(connection, closing: true));
        }
        else
        {
            Listen(network, Services.Echo, Handled(_ => echo));
            Listen(network, Services.Http, Handled(static _ => new HttpService(closing: false)));
            Listen(network, Services.HttpClosing, Handled(static _ => new HttpService(closing: true)));
        }
        Listen(network, Services.Discard, Handled(static _ => new DiscardService()));
        Listen(network, Services.Source, Handled(connection =>
        {
            source.OnWritable(connection);
            return source;
        }));
        _echo = network.BindUdp(new IPEndPoint(IPAddress.Any, Services.Echo));
        _ = EchoDatagramsAsync(_echo);
    }

    public async ValueTask DisposeAsync()
    {
        foreach (var listener in _listeners) await listener.DisposeAsync().ConfigureAwait(false);
        await _echo.DisposeAsync().ConfigureAwait(false);
    }

    private static Func<TcpConnection, Task> Handled(Func<TcpConnection, ITcpHandler> service) => connection =>
    {
        connection.SetHandler(service(connection));
        return Task.CompletedTask;
    };

    private void Listen(Network network, int port, Func<TcpConnection, Task> service)
    {
        var listener = network.ListenTcp(new IPEndPoint(IPAddress.Any, port), new TcpListenerOptions { Backlog = 4_096 });
        _listeners.Add(listener);
        _ = AcceptAsync(listener, service);
    }

    private static async Task AcceptAsync(TcpListener listener, Func<TcpConnection, Task> service)
    {
        try
        {
            while (true)
            {
                var connection = await listener.AcceptAsync().ConfigureAwait(false);
                connection.NoDelay = true;
                _ = service(connection);
            }
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            // The listener was disposed: the server ends.
        }
    }

    private static async Task EchoAsync(TcpConnection connection)
    {
        var buffer = ArrayPool<byte>.Shared.Rent(BufferBytes);
        try
        {
            while (await connection.ReceiveAsync(buffer).ConfigureAwait(false) is > 0 and var count) await connection.SendAsync(buffer.AsMemory(0, count)).ConfigureAwait(false);
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            // The client is gone.
        }
        ArrayPool<byte>.Shared.Return(buffer);
        connection.Dispose();
    }

    private static async Task AnswerAsync(TcpConnection connection, bool closing)
    {
        var (buffer, ends) = (ArrayPool<byte>.Shared.Rent(BufferBytes), default(HeaderEnds));
        try
        {
            while (await connection.ReceiveAsync(buffer).ConfigureAwait(false) is > 0 and var count)
            {
                var requests = ends.Count(buffer.AsSpan(0, count));
                for (var i = 0; i < requests; i++) await connection.SendAsync(s_answer).ConfigureAwait(false);
                if (closing && requests > 0) break;
            }
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            // The client is gone.
        }
        ArrayPool<byte>.Shared.Return(buffer);
        connection.Dispose();
    }

    private static async Task EchoDatagramsAsync(UdpSocket socket)
    {
        var buffer = new byte[2_048];
        try
        {
            while (true)
            {
                var received = await socket.ReceiveFromAsync(buffer).ConfigureAwait(false);
                await socket.SendToAsync(buffer.AsMemory(0, received.ReceivedBytes), received.RemoteEndpoint).ConfigureAwait(false);
            }
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            // The socket was disposed.
        }
    }

    private sealed class EchoService : ITcpHandler
    {
        public void OnReceived(TcpConnection connection, ReadOnlySpan<byte> bytes)
        {
            // A client of ours never has more on the way than the send buffer takes; one that does is not measured but cut off.
            if (connection.TrySend(bytes) != bytes.Length) connection.Abort();
        }
    }

    private sealed class DiscardService : ITcpHandler
    {
        public void OnReceived(TcpConnection connection, ReadOnlySpan<byte> bytes)
        {
        }
    }

    private sealed class SourceService : ITcpHandler
    {
        public void OnReceived(TcpConnection connection, ReadOnlySpan<byte> bytes)
        {
        }

        public void OnWritable(TcpConnection connection)
        {
            while (connection.TrySend(s_source) == s_source.Length)
            {
            }
        }
    }

    /// <summary>Answers every end of a header. Bytes of an end that is cut in two are counted from one call to the next.</summary>
    private sealed class HttpService(bool closing) : ITcpHandler
    {
        private HeaderEnds _ends;

        public void OnReceived(TcpConnection connection, ReadOnlySpan<byte> bytes)
        {
            for (var requests = _ends.Count(bytes); requests > 0; requests--)
            {
                if (connection.TrySend(s_answer) != s_answer.Length) connection.Abort();
                if (closing) connection.Dispose();
            }
        }
    }
}
