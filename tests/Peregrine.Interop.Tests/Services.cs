// What our side serves in these tests: echo, sink, source and a little HTTP, over TCP on both families, and echo over UDP. Enough HTTP
// for curl and wrk, no more.
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Text;
using Peregrine.Sockets;
using TcpListener = Peregrine.Sockets.TcpListener;

namespace Peregrine.Interop.Tests;

internal static class Services
{
    /// <summary>Sends back what comes.</summary>
    public const int Echo = 7;

    /// <summary>Takes everything, and after the peer's FIN answers with its SHA-256.</summary>
    public const int Sink = 9;

    /// <summary>Sends <see cref="Site.TransferBytes"/> of the payload and ends.</summary>
    public const int Source = 19;

    /// <summary>GET / says hello, GET /bytes/N gives payload, PUT answers with the SHA-256 of the body.</summary>
    public const int Http = 80;

    /// <summary>Ports listened on with TCP.</summary>
    public const int Count = 4;

    public static IEnumerable<IDisposable> Start(Network network) =>
    [
        Serve(network, Echo, EchoAsync),
        Serve(network, Sink, SinkAsync),
        Serve(network, Source, static connection => Payload.SendAsync(connection, Site.TransferBytes)),
        Serve(network, Http, HttpAsync),
        ServeUdp(network),
    ];

    /// <summary>Accepts connections until the listener is disposed and gives each to the service.</summary>
    public static TcpListener Serve(Network network, int port, Func<TcpConnection, ValueTask> service)
    {
        var listener = network.ListenTcp(new IPEndPoint(IPAddress.IPv6Any, port), new TcpListenerOptions { Backlog = 2_048 });
        _ = AcceptAsync(listener, service);
        return listener;
    }

    private static async Task AcceptAsync(TcpListener listener, Func<TcpConnection, ValueTask> service)
    {
        try
        {
            while (true) _ = RunAsync(await listener.AcceptAsync(), service);
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            // The listener was disposed.
        }
    }

    private static async Task RunAsync(TcpConnection connection, Func<TcpConnection, ValueTask> service)
    {
        using (connection)
        {
            try
            {
                connection.NoDelay = true;
                await service(connection);
            }
            catch (Exception e) when (e is SocketException or ObjectDisposedException)
            {
                // The peer is gone; tests look at that from outside.
            }
        }
    }

    private static async ValueTask EchoAsync(TcpConnection connection)
    {
        var buffer = new byte[16_384];
        while (await connection.ReceiveAsync(buffer) is var count and > 0) await connection.SendAsync(buffer.AsMemory(0, count));
    }

    private static async ValueTask SinkAsync(TcpConnection connection) =>
        await connection.SendAsync(Encoding.ASCII.GetBytes(await Payload.HashAsync(connection)));

    private static async ValueTask HttpAsync(TcpConnection connection)
    {
        var buffer = new byte[65_536];
        var held = 0;
        while (true)
        {
            int end;
            while ((end = buffer.AsSpan(0, held).IndexOf("\r\n\r\n"u8)) < 0)
            {
                var count = await connection.ReceiveAsync(buffer.AsMemory(held));
                if (count == 0) return;
                held += count;
            }
            var head = Encoding.ASCII.GetString(buffer, 0, end);
            buffer.AsSpan(end + 4, held - end - 4).CopyTo(buffer);
            held -= end + 4;
            if (head.StartsWith("PUT", StringComparison.Ordinal)) held = await PutAsync(connection, head, buffer, held);
            else await GetAsync(connection, head);
            if (head.Contains("Connection: close", StringComparison.OrdinalIgnoreCase)) return;
        }
    }

    private static async ValueTask GetAsync(TcpConnection connection, string head)
    {
        var path = head.Split(' ')[1];
        if (!path.StartsWith("/bytes/", StringComparison.Ordinal))
        {
            await connection.SendAsync("HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\nHello, world!"u8.ToArray());
            return;
        }
        var length = long.Parse(path["/bytes/".Length..], CultureInfo.InvariantCulture);
        await connection.SendAsync(Encoding.ASCII.GetBytes($"HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n"));
        await Payload.SendAsync(connection, length);
    }

    /// <summary>Takes a body of a known length. Returns how many bytes of the next request it left in the buffer.</summary>
    private static async ValueTask<int> PutAsync(TcpConnection connection, string head, byte[] buffer, int held)
    {
        if (head.Contains("100-continue", StringComparison.OrdinalIgnoreCase)) await connection.SendAsync("HTTP/1.1 100 Continue\r\n\r\n"u8.ToArray());
        var line = head.Split("\r\n").Single(static line => line.StartsWith("Content-Length:", StringComparison.OrdinalIgnoreCase));
        var missing = long.Parse(line.Split(':')[1], CultureInfo.InvariantCulture);
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        while (true)
        {
            var taken = (int)Math.Min(missing, held);
            hash.AppendData(buffer, 0, taken);
            buffer.AsSpan(taken, held - taken).CopyTo(buffer);
            (missing, held) = (missing - taken, held - taken);
            if (missing == 0) break;
            held = await connection.ReceiveAsync(buffer);
            if (held == 0) return 0;
        }
        await connection.SendAsync(Encoding.ASCII.GetBytes($"HTTP/1.1 200 OK\r\nContent-Length: 64\r\n\r\n{Convert.ToHexStringLower(hash.GetHashAndReset())}"));
        return held;
    }

    private static UdpSocket ServeUdp(Network network)
    {
        var socket = network.BindUdp(new IPEndPoint(IPAddress.IPv6Any, Echo));
        _ = EchoDatagramsAsync(socket);
        return socket;
    }

    private static async Task EchoDatagramsAsync(UdpSocket socket)
    {
        var buffer = new byte[65_536];
        try
        {
            while (true)
            {
                var received = await socket.ReceiveFromAsync(buffer);
                await socket.SendToAsync(buffer.AsMemory(0, received.ReceivedBytes), received.RemoteEndpoint);
            }
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            // The socket was disposed.
        }
    }
}
