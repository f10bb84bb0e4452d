// The table of descriptors and the calls that make, name and end sockets. One stack, one thread: the stack's. Calls never wait; one that
// would says so by PosixResult.Blocks and is made again after the stack's next turn.
using System.Net.Sockets;
using Peregrine.Core;
using Peregrine.Core.Tcp;
using Peregrine.Core.Tcp.Authentication;
using Peregrine.Core.Time;
using Peregrine.Core.Udp;
using Peregrine.Wire;

namespace Peregrine.Posix;

internal sealed class PosixSockets(NetworkStack stack, PosixManners manners)
{
    private const int FirstDescriptor = 3;
    private const int DescriptorCountMax = 1_024;

    private readonly PosixSocket?[] _table = new PosixSocket?[DescriptorCountMax];
    private readonly Dictionary<TcpHandle, PosixSocket> _connections = [];
    private readonly Dictionary<TcpListenerHandle, PosixSocket> _listeners = [];

    internal NetworkStack Stack { get; } = stack;

    internal PosixManners Manners { get; } = manners;

    /// <summary>What the system allows of TCP Fast Open.</summary>
    internal PosixFastOpenModes FastOpenModes { get; set; }

    /// <summary>The system's security associations, of which sockets with TCP_MD5SIG take theirs (setkey(8) of the BSDs); null for none.</summary>
    internal TcpKeySet? Associations { get; set; }

    internal PosixSocket? Get(long fd) => fd is >= 0 and < DescriptorCountMax ? _table[fd] : null;

    /// <summary>Descriptors in use, with what they name.</summary>
    internal IEnumerable<PosixSocket> All => _table.OfType<PosixSocket>();

    internal PosixResult Open(PosixKind kind, bool v6, TcpSettings settings) => Place(new PosixSocket { Kind = kind, IsV6 = v6, Settings = settings });

    /// <summary>Gives something the lowest free descriptor.</summary>
    internal PosixResult Place(PosixSocket s)
    {
        for (var fd = FirstDescriptor; fd < DescriptorCountMax; fd++)
        {
            if (_table[fd] is not null) continue;
            _table[fd] = s;
            return new PosixResult(fd);
        }
        return PosixResult.Fail("EMFILE");
    }

    /// <summary>Gives a socket another number, and what has that number this one's.</summary>
    internal bool TryMove(long from, long to)
    {
        if (Get(from) is not { } s || to is < 0 or >= DescriptorCountMax) return false;
        (_table[from], _table[to]) = (_table[to], s);
        return true;
    }

    internal PosixResult Bind(long fd, Endpoint local)
    {
        if (Get(fd) is not { } s) return PosixResult.Fail("EBADF");
        if (s.IsBound || s.Phase != PosixPhase.Fresh) return PosixResult.Fail("EINVAL");
        if (Manners.IsFreeBsd && IsTaken(s, local)) return PosixResult.Fail("EADDRINUSE");
        if (s.Kind == PosixKind.Udp)
        {
            var error = Stack.Udp.Bind(new UdpBindOptions { Local = local }, out var handle);
            if (error != SocketError.Success) return PosixResult.Of(error);
            s.Datagrams = handle;
        }
        (s.Local, s.IsBound) = (local, true);
        MarkResets(s, s.Settings);
        return PosixResult.Success;
    }

    // FreeBSD: an address and port are one socket's, unless all ask for SO_REUSEPORT; an address beside the wildcard with SO_REUSEADDR as well.
    private bool IsTaken(PosixSocket s, Endpoint local) => local.Port != 0 && All.Any(o =>
        o != s && o.Kind == s.Kind && o is { IsBound: true, Phase: not PosixPhase.Connected } && o.Local.Port == local.Port && o.Local.Address.IsIPv4 == local.Address.IsIPv4
        && !(Has(o, "SO_REUSEPORT") && Has(s, "SO_REUSEPORT"))
        && (o.Local.Address == local.Address || ((o.Local.Address.IsUnspecified || local.Address.IsUnspecified) && !(Has(o, "SO_REUSEADDR") && Has(s, "SO_REUSEADDR")))));

    private static bool Has(PosixSocket s, string name) => s.Kept.GetValueOrDefault(name) != 0;

    /// <summary>FreeBSD answers segments to a socket that is only bound as the socket's options say.</summary>
    internal void MarkResets(PosixSocket s, Core.Tcp.TcpSettings? settings)
    {
        if (Manners.IsFreeBsd && s is { Kind: PosixKind.Tcp, Phase: PosixPhase.Fresh, IsBound: true }) Stack.Tcp.MarkResetsFrom(s.Local.Port, settings, settings is null ? null : KeysOf(s));
    }

    /// <summary>What a socket signs with.</summary>
    internal TcpKeySet? KeysOf(PosixSocket s) => s.Kept.GetValueOrDefault("TCP_MD5SIG") != 0 ? Associations : null;

    internal PosixResult Listen(long fd, long backlog)
    {
        if (Get(fd) is not { } s) return PosixResult.Fail("EBADF");
        if (s.Kind != PosixKind.Tcp) return PosixResult.Fail("EOPNOTSUPP");
        if (s.Phase == PosixPhase.Listening) return PosixResult.Success;
        if (s.Phase != PosixPhase.Fresh) return PosixResult.Fail("EINVAL");
        // A queue of n holds n + 1 on both systems.
        s.Backlog = (int)Math.Clamp(backlog + 1, 1, 4_096);
        var options = new TcpListenOptions(
            s.Local, s.Backlog, V6Only: false, PosixFastOpen.ListenerSettings(this, s, s.Backlog), KeysOf(s), s.Kept.GetValueOrDefault("SO_REUSEPORT") != 0);
        var error = Stack.Tcp.Listen(options, out var listener);
        if (error != SocketError.Success) return PosixResult.Of(error);
        (s.Phase, s.Listener) = (PosixPhase.Listening, listener);
        if (s.FastOpenKeys is not null) Stack.Tcp.SetFastOpenKeys(listener, s.FastOpenKeys);
        _listeners[listener] = s;
        return PosixResult.Success;
    }

    internal PosixResult Accept(long fd, out Endpoint remote)
    {
        remote = default;
        if (Get(fd) is not { } s) return PosixResult.Fail("EBADF");
        if (s.Kind != PosixKind.Tcp) return PosixResult.Fail("EOPNOTSUPP");
        if (s.Phase != PosixPhase.Listening) return PosixResult.Fail("EINVAL");
        if (!Stack.Tcp.TryAccept(s.Listener, out var connection)) return s.NonBlocking ? PosixResult.Fail("EAGAIN") : PosixResult.Waits;
        var opened = Open(PosixKind.Tcp, s.IsV6, s.Settings);
        if (opened.Errno is not null) return opened;
        var accepted = Get(opened.Value)!;
        (accepted.Phase, accepted.Connection, accepted.ConnectTold) = (PosixPhase.Connected, connection, true);
        (accepted.Local, accepted.Remote) = (Stack.Tcp.LocalOf(connection), Stack.Tcp.RemoteOf(connection));
        foreach (var (name, value) in s.Kept) accepted.Kept[name] = value;
        _connections[connection] = accepted;
        remote = accepted.Remote;
        return opened;
    }

    internal PosixResult Connect(long fd, Endpoint remote, Instant now)
    {
        if (Get(fd) is not { } s) return PosixResult.Fail("EBADF");
        if (s.Kind == PosixKind.Udp) return ConnectUdp(s, remote, now);
        if (s.Kind != PosixKind.Tcp) return PosixResult.Fail("ENOTSOCK");
        switch (s.Phase)
        {
            case PosixPhase.Listening:
                return PosixResult.Fail(Manners.IsFreeBsd ? "EOPNOTSUPP" : "EISCONN");
            // Linux says once that a connect in the background succeeded.
            case PosixPhase.Connected when !s.ConnectTold && !Manners.IsFreeBsd:
                return ContinueConnect(s, again: true);
            case PosixPhase.Connected:
                return PosixResult.Fail("EISCONN");
            case PosixPhase.Connecting:
                return ContinueConnect(s, again: true);
            case PosixPhase.Deferred:
                return PosixResult.Fail("EISCONN");
        }
        if (PosixFastOpen.MayDefer(this, s, remote, now))
        {
            (s.Phase, s.Remote) = (PosixPhase.Deferred, remote);
            return PosixResult.Success;
        }
        var error = StartConnect(s, remote, PosixFastOpen.WantsConnect(this, s) ? PosixFastOpen.ClientSettings(this, s) : s.Settings, now);
        if (error != SocketError.Success) return PosixResult.Of(error);
        return s.NonBlocking ? PosixResult.Fail("EINPROGRESS") : PosixResult.Waits;
    }

    /// <summary>A connect to an address of no family (connect(2)): the connection is given up, the socket is new again and keeps its name.</summary>
    internal PosixResult Disconnect(long fd, Instant now)
    {
        if (Get(fd) is not { } s) return PosixResult.Fail("EBADF");
        if (s.Kind != PosixKind.Tcp) return PosixResult.Fail("EAFNOSUPPORT");
        if (Manners.IsFreeBsd) return PosixResult.Fail("EAFNOSUPPORT");
        if (s.Phase == PosixPhase.Listening)
        {
            _listeners.Remove(s.Listener);
            Stack.Tcp.CloseListener(s.Listener, now);
            s.Listener = default;
        }
        if (s.Connection.IsValid)
        {
            if (Stack.Tcp.GetStatus(s.Connection).State is not (TcpState.Closed or TcpState.TimeWait)) s.PendingError = "ECONNRESET";
            _connections.Remove(s.Connection);
            Stack.Tcp.Abort(s.Connection, now);
            Stack.Tcp.Close(s.Connection, now);
            s.Connection = default;
        }
        (s.Phase, s.Remote, s.ReadShut, s.WriteShut, s.ErrorTaken, s.SoftErrorTaken, s.ConnectTold) = (PosixPhase.Fresh, default, false, false, false, false, false);
        return PosixResult.Success;
    }

    /// <summary>Makes the connection, whose SYN goes with the stack's next turn.</summary>
    internal SocketError StartConnect(PosixSocket s, Endpoint remote, TcpSettings settings, Instant now)
    {
        var error = Stack.Tcp.Connect(new TcpConnectOptions(remote, s.IsBound ? s.Local : default, settings, KeysOf(s)), now, out var connection);
        if (error != SocketError.Success) return error;
        s.PendingError = null;
        (s.Phase, s.Connection, s.Remote, s.Settings) = (PosixPhase.Connecting, connection, remote, settings);
        s.Local = Stack.Tcp.LocalOf(connection);
        _connections[connection] = s;
        return error;
    }

    /// <summary>Goes on with a connect that waited.</summary>
    internal PosixResult FinishConnect(long fd) => Get(fd) is { } s ? ContinueConnect(s, again: false) : PosixResult.Fail("EBADF");

    private PosixResult ContinueConnect(PosixSocket s, bool again)
    {
        var status = Stack.Tcp.GetStatus(s.Connection);
        if (status.Error != SocketError.Success && !s.ErrorTaken)
        {
            s.ErrorTaken = true;
            return PosixResult.Of(status.Error);
        }
        if (status.State is TcpState.SynSent or TcpState.SynReceived)
            return s.NonBlocking ? PosixResult.Fail(again ? "EALREADY" : "EINPROGRESS") : PosixResult.Waits;
        if (!IsUp(status.State)) return PosixResult.Fail("ECONNABORTED");
        s.Phase = PosixPhase.Connected;
        var told = s.ConnectTold;
        s.ConnectTold = true;
        return told ? PosixResult.Fail("EISCONN") : PosixResult.Success;
    }

    private static bool IsUp(TcpState state) => state is not (TcpState.Closed or TcpState.Listen or TcpState.SynSent or TcpState.SynReceived);

    private PosixResult ConnectUdp(PosixSocket s, Endpoint remote, Instant now)
    {
        if (!s.IsBound)
        {
            var any = new Endpoint(remote.Address.IsIPv4 ? IpAddress.IPv4Any : IpAddress.IPv6Any, 0);
            var bound = Stack.Udp.Bind(new UdpBindOptions { Local = any }, out var handle);
            if (bound != SocketError.Success) return PosixResult.Of(bound);
            (s.Datagrams, s.IsBound) = (handle, true);
        }
        s.Remote = remote;
        return PosixResult.Of(Stack.Udp.Connect(s.Datagrams, remote, now));
    }

    internal PosixResult Shutdown(long fd, bool read, bool write, Instant now)
    {
        if (Get(fd) is not { } s) return PosixResult.Fail("EBADF");
        // Linux: a listener that is to receive nothing any more is none; that it sends nothing says nothing.
        if (s is { Kind: PosixKind.Tcp, Phase: PosixPhase.Listening } && !Manners.IsFreeBsd) return read ? Disconnect(fd, now) : PosixResult.Success;
        if (s.Kind != PosixKind.Tcp || s.Phase is PosixPhase.Fresh or PosixPhase.Listening) return PosixResult.Fail("ENOTCONN");
        var status = Stack.Tcp.GetStatus(s.Connection);
        // Linux: the attempt is given up, nobody is told, and another may follow.
        if (status.State == TcpState.SynSent && !Manners.IsFreeBsd) return Disconnect(fd, now);
        // What the other side's reset has ended is no connection any more; an orderly end on both sides is none either.
        if (status.State is TcpState.Closed or TcpState.TimeWait) return PosixResult.Fail("ENOTCONN");
        if (read)
        {
            s.ReadShut = true;
            s.InEdges++;
            if (Manners.IsFreeBsd) Discard(s, now);
        }
        // Linux takes data for nobody while it can still send, and resets then (RFC 1122 §4.2.2.13).
        if ((write || s.WriteShut) && s.ReadShut && !Manners.IsFreeBsd) Stack.Tcp.ShutdownReceive(s.Connection, keepsReceived: true);
        if (!write || s.WriteShut) return PosixResult.Success;
        s.WriteShut = true;
        // FreeBSD: the FIN goes when the handshake is through.
        if (status.State == TcpState.SynSent) return PosixResult.Success;
        return PosixResult.Of(Stack.Tcp.Shutdown(s.Connection, now));
    }

    /// <summary>FreeBSD: what comes for a socket that will not read is acknowledged and thrown away.</summary>
    internal void Discard(PosixSocket s, Instant now) => Stack.Tcp.Consume(s.Connection, Stack.Tcp.GetStatus(s.Connection).ReadableBytes, now);

    internal PosixResult Close(long fd, Instant now)
    {
        if (Get(fd) is not { } s) return PosixResult.Fail("EBADF");
        _table[fd] = null;
        foreach (var other in All.Where(static o => o.Kind == PosixKind.Epoll)) other.Watches.Remove((int)fd);
        if (s.Kind == PosixKind.Udp && s.IsBound) Stack.Udp.Close(s.Datagrams);
        MarkResets(s, null);
        if (s.Kind != PosixKind.Tcp) return PosixResult.Success;
        if (s.Phase == PosixPhase.Listening)
        {
            _listeners.Remove(s.Listener);
            Stack.Tcp.CloseListener(s.Listener, now);
        }
        if (!s.Connection.IsValid) return PosixResult.Success;
        _connections.Remove(s.Connection);
        // SO_LINGER with a time of zero: a reset instead of a FIN.
        if (s.Kept.GetValueOrDefault("SO_LINGER.on") != 0 && s.Kept.GetValueOrDefault("SO_LINGER.time") == 0) Stack.Tcp.Abort(s.Connection, now);
        Stack.Tcp.Close(s.Connection, now);
        return PosixResult.Success;
    }

    /// <summary>Takes the stack's events, so that edges are known and what has ended can be freed.</summary>
    internal void OnTurn(Instant now)
    {
        while (Stack.Tcp.TryNextEvent(out var e))
        {
            if (e.Listener.IsValid)
            {
                if (_listeners.TryGetValue(e.Listener, out var listener)) listener.InEdges++;
                continue;
            }
            if (!_connections.TryGetValue(e.Connection, out var s)) continue;
            if ((e.Events & (TcpEvents.Readable | TcpEvents.PeerClosed | TcpEvents.Closed | TcpEvents.Urgent)) != 0) s.InEdges++;
            if ((e.Events & TcpEvents.Readable) != 0 && s.ReadShut && Manners.IsFreeBsd) Discard(s, now);
            if ((e.Events & (TcpEvents.Writable | TcpEvents.Connected | TcpEvents.Closed)) != 0) s.OutEdges++;
            if ((e.Events & TcpEvents.Connected) != 0) s.Phase = PosixPhase.Connected;
            if ((e.Events & TcpEvents.Connected) != 0 && s.WriteShut && Manners.IsFreeBsd) Stack.Tcp.Shutdown(s.Connection, now);
        }
        while (Stack.Udp.TryNextEvent(out _)) { }
    }

    /// <summary>Tells sockets with notices pending how far their data have come.</summary>
    internal void NoteProgress(Instant now, long nowMicroseconds)
    {
        foreach (var s in _connections.Values)
        {
            if (s.BytesWritten == 0 || !Stack.Tcp.TryGetInfo(s.Connection, now, out var info)) continue;
            s.Notices.OnProgress(s.BytesWritten - info.UnsentBytes, (long)info.BytesAcknowledged, nowMicroseconds);
            if (info.State == TcpState.Closed) s.Notices.OnEnded();
        }
    }
}

/// <summary>Where systems differ in their calls, as data.</summary>
internal sealed record PosixManners
{
    /// <summary>Errors that FreeBSD names otherwise.</summary>
    internal bool IsFreeBsd { get; init; }

    /// <summary>SO_SNDBUF and SO_RCVBUF are doubled when set, for bookkeeping (socket(7)).</summary>
    internal bool DoublesBuffers { get; init; }
}
