// The control channel of a memif link: a thread that listens or connects, lets the handshakes talk, hands sessions to the queues and takes
// them away, and begins again when the peer has gone. It touches no frame; nothing that a peer does on its socket can hold up a core.
using System.Threading;
using Peregrine.Drivers.Linux;

namespace Peregrine.Drivers.Memif;

internal sealed class MemifControl : IDisposable
{
    private const int Backlog = 8;
    private const long HandshakeNanoseconds = 5_000_000_000, RetryMin = 20_000_000, RetryMax = 1_000_000_000;

    private readonly MemifLink _link;
    private readonly MemifOptions _options;
    private readonly Thread _thread;
    private readonly int _wake;
    private readonly int _listener = -1;
    private volatile bool _stopping;
    private volatile string _state = "not connected yet";
    private volatile bool _isConnected;
    private long _sessions;

    public MemifControl(MemifLink link)
    {
        (_link, _options) = (link, link.Options);
        _wake = Posix.CreateEvent().ThrowIfError("cannot make an eventfd").Int32;
        try
        {
            if (_options.Role == MemifRole.Server) _listener = Listen(_options.SocketPath);
            else ProbePermission(_options.SocketPath);
        }
        catch
        {
            Posix.Close(_wake);
            throw;
        }
        _thread = new Thread(Run) { IsBackground = true, Name = "memif " + _options.SocketPath };
        _thread.Start();
    }

    public bool IsConnected => _isConnected;

    /// <summary>What is so, for people: the peer's name, or why there is none.</summary>
    public string State => _state;

    /// <summary>Connections that came to be.</summary>
    public long SessionCount => Interlocked.Read(ref _sessions);

    public unsafe void Wake()
    {
        ulong one = 1;
        Posix.Write(_wake, &one, sizeof(ulong));
    }

    public void Dispose()
    {
        if (_stopping) return;
        _stopping = true;
        Wake();
        _thread.Join();
        if (_listener >= 0)
        {
            Posix.Close(_listener);
            if (!_options.SocketPath.StartsWith('@')) UnixSocket.Unlink(_options.SocketPath);
        }
        Posix.Close(_wake);
    }

    private static int Listen(string path)
    {
        for (var attempt = 0; ; attempt++)
        {
            var socket = UnixSocket.Create(UnixSocket.SequencedPackets).ThrowIfError("cannot make a unix socket").Int32;
            var bound = UnixSocket.Bind(socket, path);
            if (!bound.IsError) bound = UnixSocket.Listen(socket, Backlog);
            if (!bound.IsError) return socket;
            Posix.Close(socket);
            if (bound.Errno is Errno.EACCES or Errno.EPERM)
                throw new UnauthorizedAccessException($"no permission to make the memif socket {path}: choose a folder that is yours, or an abstract name (memif:@NAME,server)");
            // A socket file outlives its process. One that nobody listens on is left over, and only such a one is removed.
            if (bound.Errno != Errno.EADDRINUSE || attempt > 0 || path.StartsWith('@') || !IsAbandoned(path))
                bound.ThrowIfError($"cannot listen on the memif socket {path}" + (bound.Errno == Errno.EADDRINUSE ? " (is another server running there?)" : ""));
            UnixSocket.Unlink(path);
        }
    }

    /// <summary>Whether somebody listens on a socket, who sees us come and go.</summary>
    public static bool HasServer(string path) => !TryReach(path).IsError;

    private static bool IsAbandoned(string path) => TryReach(path).Errno == Errno.ECONNREFUSED;

    private static PosixResult TryReach(string path)
    {
        var socket = UnixSocket.Create(UnixSocket.SequencedPackets).ThrowIfError("cannot make a unix socket").Int32;
        var connected = UnixSocket.Connect(socket, path);
        Posix.Close(socket);
        return connected;
    }

    // Everything else that may be wrong passes when the server comes; a missing permission does not, and its owner should hear of it at once.
    private static void ProbePermission(string path)
    {
        var connected = TryReach(path);
        if (connected.Errno is Errno.EACCES or Errno.EPERM)
            throw new UnauthorizedAccessException($"no permission to connect to the memif socket {path}: run as its owner, or have it opened to your group");
        if (connected.Errno == Errno.EPROTOTYPE) throw new IOException($"{path} is a unix socket, but not one of memif (SOCK_SEQPACKET)");
    }

    private void Run()
    {
        var retry = RetryMin;
        while (!_stopping)
        {
            var socket = _options.Role == MemifRole.Server ? NextClient() : TryConnect();
            if (socket < 0)
            {
                if (_options.Role == MemifRole.Server) continue;
                WaitFor(-1, retry);
                retry = Math.Min(retry * 2, RetryMax);
                continue;
            }
            var before = SessionCount;
            try
            {
                Converse(socket);
            }
            catch (Exception e) when (e is IOException or OutOfMemoryException)
            {
                // No descriptors or no memory for a session: that may pass as well.
                _state = e.Message;
            }
            finally
            {
                Posix.Close(socket);
            }
            if (SessionCount != before) retry = RetryMin;
            // A server that refuses us would otherwise be asked in a tight loop.
            else if (_options.Role == MemifRole.Client && !_stopping) WaitFor(-1, retry = Math.Min(retry * 2, RetryMax));
        }
    }

    private int NextClient()
    {
        WaitFor(_listener, -1);
        return _stopping ? -1 : UnixSocket.Accept(_listener).Int32;
    }

    private int TryConnect()
    {
        var socket = UnixSocket.Create(UnixSocket.SequencedPackets);
        if (socket.IsError) return -1;
        var connected = UnixSocket.Connect(socket.Int32, _options.SocketPath);
        if (!connected.IsError) return socket.Int32;
        _state = $"no server at {_options.SocketPath}: {PosixResult.Describe(connected.Errno)}";
        Posix.Close(socket.Int32);
        return -1;
    }

    /// <summary>Talks to one peer until it goes, is refused, breaks the rules, or we stop.</summary>
    private void Converse(int socket)
    {
        using MemifHandshake handshake = _options.Role == MemifRole.Server
            ? new MemifServerHandshake(_options, _link.Name, Wake)
            : new MemifClientHandshake(_options, _link.Name, Wake);
        string? reason = null;
        var offered = false;
        var deadline = Environment.TickCount64 + (HandshakeNanoseconds / 1_000_000);
        while (reason is null && !_stopping)
        {
            while (reason is null && handshake.TryTakeOutgoing(out var message))
                if (UnixSocket.Send(socket, message.Bytes, message.Descriptor >= 0 ? [message.Descriptor] : []).IsError) reason = "cannot send to the peer";
            if (handshake.Session is { } session && !offered && reason is null)
            {
                offered = true;
                Begin(session, handshake.PeerName);
            }
            if (reason is not null) break;
            var left = deadline - Environment.TickCount64;
            var isReady = WaitFor(socket, offered ? -1 : Math.Max(0, left) * 1_000_000);
            if (handshake.Session?.Failure is { } failure) reason = failure;
            else if (isReady) reason = Hear(socket, handshake);
            else if (!offered && left <= 0) reason = "handshake took too long";
        }
        _state = reason ?? "stopped";
        if (reason is null || !reason.StartsWith("peer", StringComparison.Ordinal))
            UnixSocket.Send(socket, MemifHandshake.Disconnect(reason ?? "interface is closed"), []);
        if (offered) End(handshake.Session!);
    }

    /// <summary>Takes one message. Null, or why to end.</summary>
    private static string? Hear(int socket, MemifHandshake handshake)
    {
        Span<byte> bytes = stackalloc byte[MemifMessage.Size];
        Span<int> descriptors = [-1];
        var got = UnixSocket.Receive(socket, bytes, descriptors, out var count);
        if (got.Errno is Errno.EAGAIN or Errno.EINTR) return null;
        if (got.Errno == Errno.EINVAL) return "message is too long, or brings too many descriptors";
        if (got.IsError || got.Int32 == 0) return "peer has gone";
        var descriptor = count > 0 ? descriptors[0] : -1;
        if (got.Int32 == MemifMessage.Size) return handshake.OnMessage(bytes, descriptor);
        if (descriptor >= 0) Posix.Close(descriptor);
        return "message is too short";
    }

    private void Begin(MemifSession session, string peer)
    {
        _state = $"connected to {(peer.Length > 0 ? peer : "a nameless peer")}";
        Interlocked.Increment(ref _sessions);
        // The queues first: whoever sees the link up may send.
        _link.OfferToAll(session);
        _isConnected = true;
    }

    private void End(MemifSession session)
    {
        _link.OfferToAll(null);
        _isConnected = false;
        session.Release();
    }

    /// <summary>Waits for a descriptor (or none) or a wake. True when the descriptor has something. A second client meanwhile is turned away.</summary>
    private bool WaitFor(int descriptor, long nanoseconds)
    {
        var turnsAway = descriptor != _listener ? _listener : -1;
        Span<PollDescriptor> poll =
        [
            new() { Descriptor = _wake, Events = LinuxConstants.PollIn },
            new() { Descriptor = descriptor, Events = LinuxConstants.PollIn },
            new() { Descriptor = turnsAway, Events = LinuxConstants.PollIn },
        ];
        if (Posix.Poll(poll, nanoseconds).IsError) return false;
        if (poll[0].Returned != 0) UnixSocket.DrainEvent(_wake);
        if (poll[2].Returned != 0 && UnixSocket.Accept(turnsAway) is { IsError: false } second)
        {
            UnixSocket.Send(second.Int32, MemifHandshake.Disconnect("already connected"), []);
            Posix.Close(second.Int32);
        }
        return poll[1].Returned != 0;
    }
}
