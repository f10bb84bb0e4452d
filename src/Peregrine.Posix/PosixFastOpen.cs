// TCP Fast Open as sockets have it (RFC 7413 appendix A): data with the call that connects, a connect that waits for the first write, and
// listeners that take data of SYNs. What a system allows is data; cookies and their fate are the stack's.
using System.Buffers.Binary;
using System.Net.Sockets;
using Peregrine.Core.Tcp;
using Peregrine.Core.Tcp.FastOpen;
using Peregrine.Core.Time;
using Peregrine.Wire;

namespace Peregrine.Posix;

/// <summary>What the system allows: the bits of net.ipv4.tcp_fastopen.</summary>
[Flags]
internal enum PosixFastOpenModes
{
    None = 0,
    Client = 1,
    Server = 2,
    ClientWithoutCookie = 4,
    ServerWithoutCookie = 0x200,

    /// <summary>Every listener, as far as its backlog goes.</summary>
    AnyListener = 0x400,
}

internal static class PosixFastOpen
{
    /// <summary>The settings that a connection by fast open is made with.</summary>
    internal static TcpSettings ClientSettings(PosixSockets x, PosixSocket s) => s.Settings with
    {
        FastOpenConnect = true,
        FastOpenWithoutCookie = (x.FastOpenModes & PosixFastOpenModes.ClientWithoutCookie) != 0 || s.Kept.GetValueOrDefault("TCP_FASTOPEN_NO_COOKIE") != 0,
    };

    /// <summary>The settings of a listener's connections.</summary>
    internal static TcpSettings ListenerSettings(PosixSockets x, PosixSocket s, int backlog)
    {
        var modes = x.FastOpenModes;
        var length = s.Kept.GetValueOrDefault("TCP_FASTOPEN");
        if (length == 0 && (modes & PosixFastOpenModes.AnyListener) != 0) length = backlog;
        if ((modes & PosixFastOpenModes.Server) == 0) length = 0;
        return s.Settings with
        {
            FastOpenQueueLength = (int)Math.Clamp(length, 0, backlog),
            FastOpenWithoutCookie = (modes & PosixFastOpenModes.ServerWithoutCookie) != 0 || s.Kept.GetValueOrDefault("TCP_FASTOPEN_NO_COOKIE") != 0,
        };
    }

    /// <summary>Whether a connect with TCP_FASTOPEN_CONNECT can wait for data to go with the SYN.</summary>
    internal static bool MayDefer(PosixSockets x, PosixSocket s, Endpoint remote, Instant now) =>
        WantsConnect(x, s) && x.Stack.Tcp.FastOpenRoom(new TcpConnectOptions(remote, default, ClientSettings(x, s)), now) > 0;

    /// <summary>Whether connecting is to ask for a cookie at least.</summary>
    internal static bool WantsConnect(PosixSockets x, PosixSocket s) =>
        (x.FastOpenModes & PosixFastOpenModes.Client) != 0
        && (s.Kept.GetValueOrDefault("TCP_FASTOPEN_CONNECT") != 0 || (x.Manners.IsFreeBsd && s.Kept.GetValueOrDefault("TCP_FASTOPEN") != 0));

    /// <summary>The first write of a socket that is not connected: starts to connect, with data if a cookie is there.</summary>
    internal static PosixResult Write(PosixSockets x, PosixSocket s, Endpoint remote, ReadOnlySpan<byte> data, bool patient, ref int done, Instant now)
    {
        var isWanted = x.Manners.IsFreeBsd ? WantsConnect(x, s) : (x.FastOpenModes & PosixFastOpenModes.Client) != 0;
        if (!isWanted && !x.Manners.IsFreeBsd) return PosixResult.Fail("EOPNOTSUPP");
        var settings = isWanted ? ClientSettings(x, s) : s.Settings;
        var room = x.Stack.Tcp.FastOpenRoom(new TcpConnectOptions(remote, default, settings), now);
        var error = x.StartConnect(s, remote, settings, now);
        if (error != SocketError.Success) return PosixResult.Of(error);
        // A call that waits has the rest queued, so that it goes with the handshake's last ACK.
        var most = patient || x.Manners.IsFreeBsd ? data.Length : Math.Min(room, data.Length);
        done = Math.Max(0, x.Stack.Tcp.Send(s.Connection, data[..most], now));
        s.BytesWritten += done;
        if (x.Manners.IsFreeBsd) return new PosixResult(done);
        if (patient) return PosixResult.Waits;
        return done > 0 ? new PosixResult(done) : PosixResult.Fail("EINPROGRESS");
    }

    /// <summary>TCP_FASTOPEN_KEY: a key of 16 bytes, or two; the second is accepted as well.</summary>
    internal static PosixResult SetKey(PosixSockets x, PosixSocket s, ReadOnlySpan<byte> key)
    {
        if (key.Length is not (16 or 32)) return PosixResult.Fail("EINVAL");
        s.FastOpenKeys = KeysOf(key);
        if (s.Phase == PosixPhase.Listening) x.Stack.Tcp.SetFastOpenKeys(s.Listener, s.FastOpenKeys);
        return PosixResult.Success;
    }

    /// <summary>Keys from their bytes: one or two.</summary>
    internal static FastOpenKeys KeysOf(ReadOnlySpan<byte> key) => new(
        BinaryPrimitives.ReadUInt128LittleEndian(key), key.Length == 32 ? BinaryPrimitives.ReadUInt128LittleEndian(key[16..]) : null);
}
