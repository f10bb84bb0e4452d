// The transmission control block, as two unmanaged structs without a managed reference: Tcb, which every segment touches, in one dense
// array, and TcbCold, which loss, timers and the application's rarer questions touch, in another. Index i of both is one connection.
// The strides are no large power of two: those alias in the cache. A test holds the sizes.
using System.Runtime.InteropServices;
using Peregrine.Core.Ip;
using Peregrine.Core.Tcp.Congestion;
using Peregrine.Core.Tcp.Queues;
using Peregrine.Core.Tcp.Recovery;
using Peregrine.Core.Time;
using Peregrine.Wire;

namespace Peregrine.Core.Tcp;

/// <summary>Send sequence variables (RFC 9293 §3.3.1).</summary>
internal struct SendVariables
{
    internal SeqNumber Una;

    /// <summary>Next to be sent; goes back after a retransmission time-out only where recovery says so.</summary>
    internal SeqNumber Nxt;

    /// <summary>The highest Nxt so far.</summary>
    internal SeqNumber Max;

    /// <summary>Sequence number after the last byte that the application has queued (a FIN not counted).</summary>
    internal SeqNumber QueueEnd;

    internal uint Wnd;
    internal SeqNumber Wl1;
    internal SeqNumber Wl2;
    internal SeqNumber Iss;

    /// <summary>The largest window that the peer has offered: Max(SND.WND) of the silly-window rules.</summary>
    internal uint WndMax;
}

/// <summary>Receive sequence variables (RFC 9293 §3.3.1).</summary>
internal struct ReceiveVariables
{
    internal SeqNumber Nxt;

    /// <summary>Right edge that has been advertised: never moves left (RFC 9293 SHLD-14).</summary>
    internal SeqNumber Edge;

    internal SeqNumber Irs;

    /// <summary>RFC 9293 §3.8.5: urgent pointer, valid with <see cref="TcbFlags.UrgentPending"/>.</summary>
    internal SeqNumber Up;
}

/// <summary>What is true of a connection, a bit each.</summary>
[Flags]
internal enum TcbFlags : uint
{
    None = 0,

    /// <summary>An ACK has to go out at once.</summary>
    AckNow = 1,

    /// <summary>An ACK is owed, and may wait for the delayed-ACK timer.</summary>
    AckDelayed = 2,

    /// <summary>The application has closed its sending side: a FIN follows the queued data.</summary>
    FinQueued = 4,

    /// <summary>Our FIN has been sent at least once (it occupies Snd.QueueEnd).</summary>
    FinSent = 8,

    /// <summary>The peer's FIN has been received in order.</summary>
    FinReceived = 0x10,

    /// <summary>On the ready list.</summary>
    Ready = 0x20,

    /// <summary>An event is queued.</summary>
    EventQueued = 0x40,

    /// <summary>RFC 7323 timestamps are in use.</summary>
    Timestamps = 0x80,

    /// <summary>Both sides permitted SACK (RFC 2018).</summary>
    Sack = 0x100,

    /// <summary>Both sides sent a window scale option.</summary>
    WindowScaling = 0x200,

    /// <summary>TCP_NODELAY: Nagle's algorithm is off.</summary>
    NoDelay = 0x400,

    /// <summary>The application waits for room: raise Writable when there is some.</summary>
    WantWritable = 0x800,

    /// <summary>The application has let go of the handle; the connection finishes by itself.</summary>
    Orphan = 0x1000,

    /// <summary>The connection came from a listener and waits in its accept queue.</summary>
    InAcceptQueue = 0x2000,

    /// <summary>Rcv.Up is valid and not yet passed.</summary>
    UrgentPending = 0x4000,

    /// <summary>The application will read no more: data that comes is answered with RST.</summary>
    ReceiveShutdown = 0x8000,

    /// <summary>The zero-window probe timer runs in the place of the retransmission timer.</summary>
    Persisting = 0x10000,

    /// <summary>Keepalive is on.</summary>
    Keepalive = 0x20000,

    /// <summary>Nothing was in flight since the last send: restart the window after idleness.</summary>
    RetransmitSyn = 0x40000,

    /// <summary>A partial segment is in flight (Minshall's variant of Nagle looks at it).</summary>
    SmallInFlight = 0x80000,

    /// <summary>Actively opened by us.</summary>
    ActiveOpen = 0x100000,

    /// <summary>One segment may go past the usual limits: a window or keepalive probe.</summary>
    ProbeNow = 0x200000,

    /// <summary>An application-visible SendDrained event is wanted (graceful stop).</summary>
    WantDrained = 0x400000,

    /// <summary>Pushed data have been received that the application should see at once.</summary>
    PushReceived = 0x800000,

    /// <summary>A soft ICMP error has been noted in the cold part (RFC 9293 §3.9.2.2).</summary>
    SoftError = 0x1000000,

    /// <summary>The last window update that could be sent was withheld for want of room in the burst.</summary>
    WindowUpdateOwed = 0x2000000,

    /// <summary>Data are queued that must not wait for more (a push point was set).</summary>
    PushQueued = 0x4000000,
}

/// <summary>What every segment of a connection touches.</summary>
[StructLayout(LayoutKind.Sequential, Pack = 4)]
internal struct Tcb
{
    // First line: state, send and receive variables, what decides the fast path.
    internal TcbFlags Flags;
    internal uint Generation;
    internal SendVariables Snd;
    internal ReceiveVariables Rcv;
    internal uint TsRecent;
    internal uint TsOffset;
    internal SeqNumber LastAckSent;
    internal Deadline TsRecentAge;
    internal ushort Mss;
    internal ushort LocalPort;
    internal ushort RemotePort;
    internal TcpState State;
    internal byte SndScale;
    internal byte RcvScale;
    internal byte QuickAcks;
    internal byte UnackedSegments;
    internal byte DupAcks;
    internal uint Cwnd;
    internal uint Ssthresh;

    // Second and third: queues, addresses, path, links of lists.
    internal SendQueueState SendQueue;
    internal ReceiveQueueState ReceiveQueue;
    internal IpAddress Local;
    internal IpAddress Remote;
    internal FlowPath Path;
    internal uint ReadyNext;
    internal uint EventNext;
    internal TcpEvents PendingEvents;
    internal ushort Settings;
    internal ushort PeerMss;
    internal ushort RcvMss;
}

/// <summary>What timers, loss recovery and rarer questions touch.</summary>
[StructLayout(LayoutKind.Sequential, Pack = 4)]
internal struct TcbCold
{
    internal Deadline Retransmission;
    internal Deadline DelayedAck;
    internal Deadline Keepalive;
    internal Deadline UserTimeout;
    internal Deadline LastReceived;
    internal RttState Rtt;
    internal RecoveryState Recovery;
    internal CongestionState Congestion;
    internal OutOfOrderState OutOfOrder;
    internal uint ReceiveBufferMax;
    internal uint SendBufferMax;
    internal uint TuneBytes;
    internal Deadline TuneStart;
    internal ulong BytesReceived;
    internal uint SegmentsIn;
    internal uint SegmentsOut;
    internal byte Backoff;
    internal byte ProbesSent;
    internal byte SynRetries;
    internal byte Error;
    internal int Listener;
}
