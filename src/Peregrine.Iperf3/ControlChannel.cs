// The control connection: single state bytes, the cookie, and JSON behind a length of four bytes. What a peer claims bounds nothing here:
// memory grows with what has come, up to a limit.
using System.Buffers.Binary;
using System.Net.Sockets;
using System.Text;
using System.Text.Json.Nodes;
using Peregrine.Sockets;

namespace Peregrine.Iperf3;

internal sealed class ControlChannel(TcpConnection connection)
{
    /// <summary>36 characters and a zero.</summary>
    internal const int CookieLength = 37;

    /// <summary>Bytes that are still read of a peer that has been told of its error.</summary>
    private const int LingerBytesMax = 64 * 1024;

    private readonly byte[] _small = new byte[CookieLength];

    internal TcpConnection Connection => connection;

    internal async Task SendAsync(ControlState state)
    {
        try
        {
            await connection.SendAsync(new[] { (byte)(sbyte)state });
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            throw new Iperf3Exception(Iperf3Error.ControlWrite, Code(e));
        }
    }

    /// <summary>The next state, or null when the peer has closed.</summary>
    internal async Task<ControlState?> ReceiveStateAsync(CancellationToken cancel = default)
    {
        try
        {
            return await connection.ReceiveAsync(_small.AsMemory(0, 1), cancel) == 0 ? null : (ControlState)(sbyte)_small[0];
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            throw new Iperf3Exception(Iperf3Error.ControlRead, Code(e));
        }
    }

    internal async Task SendCookieAsync(byte[] cookie)
    {
        try
        {
            await connection.SendAsync(cookie);
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            throw new Iperf3Exception(Iperf3Error.SendCookie, Code(e));
        }
    }

    /// <summary>The cookie, or null when the peer closed before it was complete.</summary>
    internal async Task<byte[]?> ReceiveCookieAsync(CancellationToken cancel) => await ReceiveAllAsync(_small, cancel) ? _small.ToArray() : null;

    internal async Task SendJsonAsync(JsonNode json, Iperf3Error onError)
    {
        var text = Encoding.UTF8.GetBytes(JsonText.PrintOneLine(json));
        var message = new byte[4 + text.Length];
        BinaryPrimitives.WriteInt32BigEndian(message, text.Length);
        text.CopyTo(message, 4);
        try
        {
            await connection.SendAsync(message);
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            throw new Iperf3Exception(onError, Code(e));
        }
    }

    /// <summary>Receives an object.</summary>
    /// <param name="bytesMax">Longer ones are refused unread.</param>
    /// <param name="onError">The error for everything that goes wrong.</param>
    /// <param name="cancel">Gives up.</param>
    internal async Task<JsonObject> ReceiveJsonAsync(int bytesMax, Iperf3Error onError, CancellationToken cancel = default)
    {
        try
        {
            if (!await ReceiveAllAsync(_small.AsMemory(0, 4), cancel)) throw new Iperf3Exception(onError, detail: "the peer closed the connection");
            var length = BinaryPrimitives.ReadUInt32BigEndian(_small);
            if (length > bytesMax) throw new Iperf3Exception(onError, detail: $"the peer announced {length} bytes of JSON; at most {bytesMax} are taken");
            var text = new byte[Math.Min(length, 4_096)];
            for (var held = 0; held < length;)
            {
                if (held == text.Length) Array.Resize(ref text, (int)Math.Min(length, 2L * text.Length));
                var count = await connection.ReceiveAsync(text.AsMemory(held), cancel);
                if (count == 0) throw new Iperf3Exception(onError, detail: $"the peer closed after {held} of {length} bytes of JSON");
                held += count;
            }
            return JsonText.TryRead(text.AsSpan(0, (int)length)) ?? throw new Iperf3Exception(onError, detail: "the peer sent something that is no JSON object");
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            throw new Iperf3Exception(onError, Code(e));
        }
    }

    /// <summary>Tells the client why its test cannot be, and lets it hear that: what is still unread would make the close a reset.</summary>
    internal async Task SendErrorAsync(Iperf3Error error, CancellationToken patience)
    {
        var message = new byte[9];
        message[0] = unchecked((byte)ControlState.ServerError);
        BinaryPrimitives.WriteInt32BigEndian(message.AsSpan(1), (int)error);
        try
        {
            await connection.SendAsync(message, patience);
            connection.Shutdown(SocketShutdown.Send);
            for (var left = LingerBytesMax; left > 0;)
            {
                var count = await connection.ReceiveAsync(message, patience);
                if (count == 0) return;
                left -= count;
            }
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException or OperationCanceledException)
        {
            // The client is gone, or will not go; nobody is left to tell.
        }
    }

    /// <summary>Reads what follows a <see cref="ControlState.ServerError"/>.</summary>
    internal async Task<Iperf3Exception> ReceiveErrorAsync(CancellationToken cancel)
    {
        try
        {
            if (!await ReceiveAllAsync(_small.AsMemory(0, 8), cancel)) return new Iperf3Exception(Iperf3Error.ControlClosed);
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            return new Iperf3Exception(Iperf3Error.ControlRead, Code(e));
        }
        return new Iperf3Exception((Iperf3Error)BinaryPrimitives.ReadInt32BigEndian(_small));
    }

    internal static SocketError Code(Exception e) => e is SocketException socket ? socket.SocketErrorCode : SocketError.ConnectionAborted;

    private async Task<bool> ReceiveAllAsync(Memory<byte> buffer, CancellationToken cancel)
    {
        for (var held = 0; held < buffer.Length;)
        {
            var count = await connection.ReceiveAsync(buffer[held..], cancel);
            if (count == 0) return false;
            held += count;
        }
        return true;
    }
}
