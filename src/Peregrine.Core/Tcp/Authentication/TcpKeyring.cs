// The keys of a stack's listeners and connections as their owners see them: changed while they run, and read for confirmation (RFC 5925 §7.1).
using System.Net.Sockets;

namespace Peregrine.Core.Tcp.Authentication;

/// <summary>Which keys a connection with TCP-AO uses.</summary>
/// <param name="SendId">SendID of the key that authenticates what we send (current_key).</param>
/// <param name="ReceiveId">RecvID of the key that we would have the peer use (rnext_key).</param>
/// <param name="ReceivedKeyId">KeyID of the last segment received.</param>
/// <param name="ReceivedNextKeyId">Its RNextKeyID.</param>
public readonly record struct TcpKeyStatus(byte SendId, byte ReceiveId, byte ReceivedKeyId, byte ReceivedNextKeyId);

/// <summary>Keys of listeners and connections.</summary>
public sealed class TcpKeyring
{
    private readonly TcpContext _x;

    internal TcpKeyring(TcpContext context) => _x = context;

    /// <summary>Gives a listener other keys, or none; connections that exist keep theirs.</summary>
    /// <returns>Success, or NotSocket when the listener is gone.</returns>
    public SocketError Set(TcpListenerHandle listener, TcpKeySet? keys)
    {
        if (_x.Listeners.Get(listener) is not { } entry) return SocketError.NotSocket;
        entry.Keys = keys;
        if (keys is not null) Enable(_x);
        return SocketError.Success;
    }

    /// <summary>Gives a connection other keys. It goes on with those of the same identifiers, or with the first.</summary>
    /// <returns>Success; NotConnected; InvalidArgument when it was opened without keys, or when none of these is the peer's or they are of the other kind.</returns>
    public SocketError Set(TcpHandle connection, TcpKeySet keys)
    {
        ArgumentNullException.ThrowIfNull(keys);
        if (!_x.Tcbs.IsLive(connection)) return SocketError.NotConnected;
        var t = _x.Tcbs.Get(connection.Index);
        // RFC 5925 §8: a connection uses one of the two or none, from its SYN on.
        if (_x.Authenticator?.Of(t) is not { } authentication || keys.For(t.C.LocalEndpoint, t.C.RemoteEndpoint) is not { } peers || peers.IsMd5 != authentication.Keys.IsMd5)
            return SocketError.InvalidArgument;
        authentication.Replace(peers);
        return SocketError.Success;
    }

    /// <summary>Says which keys are to be used from now on (RFC 5925 §7.1); the peer follows the one and may ask for another instead of the other.</summary>
    /// <param name="connection">The connection.</param>
    /// <param name="sendId">SendID of the key that authenticates what we send, or null to leave it.</param>
    /// <param name="receiveId">RecvID of the key that the peer should use, or null to leave it.</param>
    /// <returns>Success, NotConnected, or InvalidArgument when the connection has no such key.</returns>
    public SocketError Prefer(TcpHandle connection, byte? sendId, byte? receiveId)
    {
        if (!_x.Tcbs.IsLive(connection)) return SocketError.NotConnected;
        var t = _x.Tcbs.Get(connection.Index);
        if (_x.Authenticator?.Of(t) is not { Keys.IsMd5: false } authentication) return SocketError.InvalidArgument;
        var current = sendId is { } send ? authentication.Keys.BySendId(send) : null;
        var next = receiveId is { } receive ? authentication.Keys.ByReceiveId(receive) : null;
        if ((current is null && sendId is not null) || (next is null && receiveId is not null)) return SocketError.InvalidArgument;
        authentication.Prefer(current, next);
        return SocketError.Success;
    }

    /// <summary>Which keys a connection uses; false when it has none of TCP-AO.</summary>
    public bool TryGetStatus(TcpHandle connection, out TcpKeyStatus status)
    {
        status = default;
        if (!_x.Tcbs.IsLive(connection) || _x.Authenticator?.Of(_x.Tcbs.Get(connection.Index)) is not { Keys.IsMd5: false } authentication) return false;
        status = new TcpKeyStatus(
            authentication.Current.SendId, authentication.Next.ReceiveId, authentication.LastReceived.KeyId, authentication.LastReceived.NextKeyId);
        return true;
    }

    /// <summary>From now on segments are looked at for signatures.</summary>
    internal static TcpAuthenticator Enable(TcpContext context) => context.Authenticator ??= new TcpAuthenticator(context);
}
