// What a descriptor names: a TCP socket before, in and after its life as listener or connection, a UDP socket, or an epoll instance.
using Peregrine.Core.Tcp;
using Peregrine.Core.Udp;
using Peregrine.Wire;

namespace Peregrine.Posix;

internal enum PosixKind
{
    Tcp,
    Udp,
    Epoll,
    PipeIn,
    PipeOut,
    File,
}

/// <summary>Where a TCP socket stands.</summary>
internal enum PosixPhase
{
    Fresh,
    Listening,

    /// <summary>A connect that waits for the first write (TCP_FASTOPEN_CONNECT).</summary>
    Deferred,
    Connecting,
    Connected,
}

internal sealed class PosixSocket
{
    internal required PosixKind Kind { get; init; }

    internal required bool IsV6 { get; init; }

    internal PosixPhase Phase { get; set; }

    internal bool NonBlocking { get; set; }

    internal bool IsBound { get; set; }

    internal bool ReadShut { get; set; }

    internal bool WriteShut { get; set; }

    /// <summary>Whether the error with which the connection ended has been told.</summary>
    internal bool ErrorTaken { get; set; }

    /// <summary>An error that no connection has: what a connection that was given up leaves behind.</summary>
    internal string? PendingError { get; set; }

    /// <summary>Whether SO_ERROR has told of a soft error.</summary>
    internal bool SoftErrorTaken { get; set; }

    /// <summary>Whether connect has said that it succeeded.</summary>
    internal bool ConnectTold { get; set; }

    /// <summary>What listen was given, as the stack counts it.</summary>
    internal int Backlog { get; set; }

    internal Endpoint Local { get; set; }

    internal Endpoint Remote { get; set; }

    internal TcpSettings Settings { get; set; } = TcpSettings.Default;

    /// <summary>TCP_FASTOPEN_KEY, or null for the stack's.</summary>
    internal Core.Tcp.FastOpen.FastOpenKeys? FastOpenKeys { get; set; }

    internal TcpHandle Connection { get; set; }

    internal TcpListenerHandle Listener { get; set; }

    internal UdpHandle Datagrams { get; set; }

    /// <summary>For an end of a pipe: the pipe.</summary>
    internal PosixPipe? Pipe { get; init; }

    /// <summary>For a file: its length, and where the next read begins.</summary>
    internal long FileLength { get; init; }

    internal long FileOffset { get; set; }

    internal PosixErrorQueue Notices { get; } = new();

    /// <summary>Bytes that were given to be sent so far.</summary>
    internal long BytesWritten { get; set; }

    /// <summary>How far away the urgent byte was when it was read out of band; 0 when it was not.</summary>
    internal int UrgentTaken { get; set; }

    /// <summary>Position from which SO_TIMESTAMPING counts keys.</summary>
    internal long StampOrigin { get; set; }

    /// <summary>Options that are kept and reported, but decide nothing here, by their names.</summary>
    internal Dictionary<string, long> Kept { get; } = [];

    /// <summary>Counts what makes a socket readable, so that an edge is seen.</summary>
    internal int InEdges { get; set; }

    /// <summary>Counts what makes a socket writable.</summary>
    internal int OutEdges { get; set; }

    /// <summary>For an epoll instance: what it watches, by descriptor.</summary>
    internal SortedDictionary<int, PosixWatch> Watches { get; } = [];
}

/// <summary>A descriptor that an epoll instance watches.</summary>
internal sealed class PosixWatch
{
    internal PosixEvents Wanted { get; set; }

    internal long Data { get; set; }

    internal bool EdgeTriggered { get; set; }

    internal bool OneShot { get; set; }

    /// <summary>EPOLLEXCLUSIVE: one of those who wait is woken; here nobody else waits.</summary>
    internal bool Exclusive { get; set; }

    internal bool Disarmed { get; set; }

    internal PosixEvents Told { get; set; }

    internal (int In, int Out, int Error) ToldAt { get; set; }
}

/// <summary>Readiness as poll and epoll report it.</summary>
[Flags]
internal enum PosixEvents
{
    None = 0,
    In = 1,
    Priority = 2,
    Out = 4,
    Error = 8,
    HangUp = 16,
    ReadHangUp = 0x2000,
}
