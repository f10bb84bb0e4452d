// The primary interface: call-backs with spans on the core's thread. Nothing is allocated, copied or queued between the ring and these.
using System.Net.Sockets;

namespace Peregrine.Sockets;

/// <summary>
/// Takes what arrives on a connection. All calls come on the core's thread, one after another; they must not block. An exception that
/// leaves a call resets the connection.
/// </summary>
public interface ITcpHandler
{
    /// <summary>Bytes have arrived, in order. The span lies in the connection's ring and is valid during the call only; all of it counts as read.</summary>
    void OnReceived(TcpConnection connection, ReadOnlySpan<byte> bytes);

    /// <summary>No more calls of <see cref="OnReceived"/> follow in this turn: a good moment to send what they led to.</summary>
    void OnBatchEnd(TcpConnection connection) => connection.SkipBatchEnds(this);

    /// <summary>There is room in the send buffer again after <see cref="TcpConnection.TrySend(ReadOnlySpan{byte})"/> took less than it was given.</summary>
    void OnWritable(TcpConnection connection)
    {
    }

    /// <summary>The peer will send no more (FIN). Unless overridden, closes the connection.</summary>
    void OnPeerClosed(TcpConnection connection) => connection.Dispose();

    /// <summary>The connection has ended; nothing follows.</summary>
    /// <param name="connection">The connection.</param>
    /// <param name="error"><see cref="SocketError.Success"/> after an orderly end, else why: <see cref="SocketError.ConnectionReset"/>, <see cref="SocketError.TimedOut"/> …</param>
    void OnClosed(TcpConnection connection, SocketError error)
    {
    }
}
