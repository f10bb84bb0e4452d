// What the TCP layer says to and takes from whoever drives it: handles, events, status. Plain values; no behaviour.
using System.Net.Sockets;
using Peregrine.Core.Tcp.Authentication;
using Peregrine.Wire;

namespace Peregrine.Core.Tcp;

/// <summary>Names a connection. A handle whose connection is gone is recognised by its generation and refused.</summary>
/// <param name="Index">Slot of the connection's TCB, 0 to the connection limit - 1: usable as an index of an array beside it.</param>
/// <param name="Generation">How often the slot has been used; 0 names nothing.</param>
public readonly record struct TcpHandle(uint Index, uint Generation)
{
    /// <summary>Whether the handle could name a connection at all.</summary>
    public bool IsValid => Generation != 0;
}

/// <summary>Names a listener.</summary>
/// <param name="Index">Slot of the listener.</param>
/// <param name="Generation">How often the slot has been used; 0 names nothing.</param>
public readonly record struct TcpListenerHandle(int Index, int Generation)
{
    /// <summary>Whether the handle could name a listener at all.</summary>
    public bool IsValid => Generation != 0;
}

/// <summary>What has become true of a connection or a listener.</summary>
[Flags]
public enum TcpEvents : ushort
{
    /// <summary>Nothing.</summary>
    None = 0,

    /// <summary>An active open has succeeded.</summary>
    Connected = 1,

    /// <summary>There are bytes to receive.</summary>
    Readable = 2,

    /// <summary>There is room in the send buffer again, after <see cref="TcpLayer.Send"/> took less than it was given.</summary>
    Writable = 4,

    /// <summary>The peer has finished sending: after the bytes that wait, no more will come.</summary>
    PeerClosed = 8,

    /// <summary>
    /// The protocol is finished with the connection, orderly or by an error. Bytes received before an orderly end can still be read. The
    /// application still has to let the handle go by <see cref="TcpLayer.Close"/>.
    /// </summary>
    Closed = 16,

    /// <summary>A listener has a connection to accept.</summary>
    Acceptable = 32,

    /// <summary>Everything that was sent has been acknowledged (asked for by <see cref="TcpLayer.NotifyWhenDrained"/>).</summary>
    SendDrained = 64,

    /// <summary>New urgent data are announced (RFC 9293 §3.8.5, MUST-32).</summary>
    Urgent = 128,
}

/// <summary>One event. Events of a connection are merged until they are taken.</summary>
/// <param name="Connection">The connection, or an invalid handle for a listener's event.</param>
/// <param name="Listener">The listener, or an invalid handle for a connection's event.</param>
/// <param name="Events">What became true.</param>
/// <param name="Error">With <see cref="TcpEvents.Closed"/>: why, or Success after an orderly end.</param>
public readonly record struct TcpEvent(TcpHandle Connection, TcpListenerHandle Listener, TcpEvents Events, SocketError Error);

/// <summary>How a connection stands, as the application needs it.</summary>
/// <param name="IsAlive">Whether the handle names a connection (perhaps a finished one that has not been let go).</param>
/// <param name="State">The state.</param>
/// <param name="ReadableBytes">Bytes in order and not read.</param>
/// <param name="WritableBytes">Bytes that the send buffer would take now.</param>
/// <param name="UnacknowledgedBytes">Bytes queued or in flight that the peer has not acknowledged.</param>
/// <param name="UrgentBytes">Bytes from the next one to be read to the end of urgent data; 0 without (RFC 9293 MUST-33).</param>
/// <param name="PeerClosed">Whether the peer has finished sending.</param>
/// <param name="Error">Why the connection ended, or Success.</param>
public readonly record struct TcpStatus(
    bool IsAlive, TcpState State, int ReadableBytes, int WritableBytes, int UnacknowledgedBytes, int UrgentBytes, bool PeerClosed, SocketError Error)
{
    /// <summary>Whether a third of the send buffer is free, so that a writer is not woken for crumbs.</summary>
    public bool IsRoomy { get; init; }

    /// <summary>Whether fewer than half of <see cref="TcpSettings.UnsentBytesMax"/> wait unsent, where that is a limit.</summary>
    public bool IsBelowUnsentLimit { get; init; }
}

/// <summary>Segments that are answered by nothing, so that scans learn little (blackhole(4)); RFC 9293 §3.10.7.1 and §3.10.7.2 answer each by a reset.</summary>
public enum TcpBlackHole
{
    /// <summary>None.</summary>
    None,

    /// <summary>SYNs to ports where nobody listens.</summary>
    Syns,

    /// <summary>All to ports where nobody listens.</summary>
    ClosedPorts,

    /// <summary>Those, and what a listening port does not expect.</summary>
    Unexpected,
}

/// <summary>ICMP errors that end an attempt to connect (RFC 9293 §3.9.2.2); the others are told when it fails for want of an answer.</summary>
public enum TcpConnectErrors
{
    /// <summary>None.</summary>
    None,

    /// <summary>Unreachable port or protocol, and what is prohibited (RFC 9293 SHLD-26).</summary>
    Hard,

    /// <summary>Those, and a hop limit that was used up: what FreeBSD does.</summary>
    HardAndExpired,

    /// <summary>All, at once: what Linux does.</summary>
    All,
}

/// <summary>What to listen on.</summary>
/// <param name="Local">Address (unspecified for all) and port (0 for any free one).</param>
/// <param name="Backlog">Connections that may wait to be accepted, 1 to 65,535.</param>
/// <param name="V6Only">With an unspecified IPv6 address: do not take IPv4 connections.</param>
/// <param name="Settings">Settings of accepted connections, or null for the stack's.</param>
/// <param name="Keys">Keys of peers (RFC 2385, RFC 5925), or null: from a peer with keys, only what is signed with them is taken.</param>
/// <param name="ReusePort">SO_REUSEPORT: others that ask for it too may listen on the same endpoint; connections are spread among them by a keyed hash of their endpoints.</param>
public readonly record struct TcpListenOptions(
    Endpoint Local, int Backlog = 512, bool V6Only = false, TcpSettings? Settings = null, TcpKeySet? Keys = null, bool ReusePort = false);

/// <summary>What to connect.</summary>
/// <param name="Remote">The peer. Broadcast and multicast addresses are refused (RFC 9293 MUST-46).</param>
/// <param name="Local">Own address (unspecified: chosen by route) and port (0: chosen, RFC 6056).</param>
/// <param name="Settings">Settings, or null for the stack's.</param>
/// <param name="Keys">Keys, of which those of the peer are used (RFC 2385, RFC 5925), or null for none.</param>
public readonly record struct TcpConnectOptions(Endpoint Remote, Endpoint Local = default, TcpSettings? Settings = null, TcpKeySet? Keys = null);
