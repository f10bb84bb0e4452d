// The transmission control block, as two unmanaged structs without a managed reference: Tcb, which every segment touches, in one dense
// array, and TcbCold, which loss, timers and the application's rarer questions touch, in another. Index i of both is one connection.
// The strides are no large power of two: those alias in the cache. A test holds the sizes.
using System.Runtime.InteropServices;
using Peregrine.Core.Ip;
using Peregrine.Core.Tcp.Congestion;
using Peregrine.Core.Tcp.FastOpen;
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

    // RFC 9293 REC-1: 32 bits.
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

    /// <summary><see cref="TcbCold.RcvUp"/> is valid and not yet passed.</summary>
    UrgentPending = 0x4000,

    /// <summary>The application will read no more: data that comes is answered with RST.</summary>
    ReceiveShutdown = 0x8000,

    /// <summary>The zero-window probe timer runs in the place of the retransmission timer.</summary>
    Persisting = 0x10000,

    /// <summary>Keepalive is on.</summary>
    Keepalive = 0x20000,

    /// <summary>The SYN (or SYN-ACK) has to be sent, for the first time or again.</summary>
    SynPending = 0x40000,

    /// <summary>A partial segment is in flight (Minshall's variant of Nagle looks at it).</summary>
    SmallInFlight = 0x80000,

    /// <summary>Actively opened by us.</summary>
    ActiveOpen = 0x100000,

    /// <summary>A zero-window probe has to go out.</summary>
    ProbeNow = 0x200000,

    /// <summary>An application-visible SendDrained event is wanted (graceful stop).</summary>
    WantDrained = 0x400000,

    /// <summary>A keepalive probe has to go out.</summary>
    KeepaliveNow = 0x800000,

    /// <summary><see cref="TcpSettings.WindowIsBuffer"/>, where each segment that is sent sees it.</summary>
    WindowIsBuffer = 0x1000000,

    /// <summary>The peer's FIN arrived out of order and waits at <see cref="TcbCold.FinSeq"/>.</summary>
    FinWaiting = 0x2000000,

    /// <summary>We send urgent data up to <see cref="TcbCold.SndUp"/>.</summary>
    UrgentToSend = 0x4000000,

    /// <summary>The protocol is finished; only the application's handle keeps the TCB.</summary>
    Finished = 0x8000000,

    /// <summary>The handshake completed: a failure is a reset, not a failed open.</summary>
    WasEstablished = 0x10000000,

    /// <summary>Sending waits for a transmission record or a block rather than for the peer.</summary>
    Starved = 0x20000000,

    /// <summary>Freed, but still on a list.</summary>
    FreePending = 0x40000000,

    /// <summary>In the queue of those that wait for blocks.</summary>
    WaitsForBlocks = 0x80000000,
}

/// <summary>What a wrong ACK in SYN-SENT has led to.</summary>
internal enum SynAgain : byte
{
    None,

    /// <summary>The SYN goes again shortly.</summary>
    Due,

    /// <summary>It has.</summary>
    Sent,
}

/// <summary>How ACKs are given: a byte.</summary>
internal struct AckManner
{
    private const byte CountMask = 0x3F, Heard = 0x40, Interactive = 0x80;

    private byte _bits;

    /// <summary>Segments that are still to be acknowledged at once, 0 to 63.</summary>
    internal byte Quick
    {
        readonly get => (byte)(_bits & CountMask);
        set => _bits = (byte)((_bits & ~CountMask) | value);
    }

    /// <summary>Data have come since we last sent some.</summary>
    internal bool HasHeard
    {
        readonly get => (_bits & Heard) != 0;
        set => _bits = (byte)(value ? _bits | Heard : _bits & ~Heard);
    }

    /// <summary>The application answers what it gets, so that an ACK need not be quick.</summary>
    internal bool IsInteractive
    {
        readonly get => (_bits & Interactive) != 0;
        set => _bits = (byte)(value ? _bits | Interactive : _bits & ~Interactive);
    }
}

/// <summary>MSG_MORE: more follows what was queued.</summary>
[Flags]
internal enum MoreHints : byte
{
    None = 0,

    /// <summary>The last of the queue is no end of a message: it is not pushed.</summary>
    Unpushed = 4,

    /// <summary>A partial segment waits until an acknowledgment or more data come.</summary>
    Held = 8,
}

/// <summary>What every segment of a connection touches: three lines of 64 bytes, and the table begins with a line.</summary>
[StructLayout(LayoutKind.Sequential, Pack = 4)]
internal struct Tcb
{
    // First: state, send and receive variables, what decides the fast path.
    internal TcbFlags Flags;
    internal uint Generation;
    internal SendVariables Snd;
    internal ReceiveVariables Rcv;
    internal uint TsRecent;

    /// <summary>Added to our clock in milliseconds (RFC 7323 §5.4).</summary>
    internal uint TsOffset;

    /// <summary>When TsRecent was taken, in units of 2^30 ns: RFC 7323 §5.5 lets it expire after 24 days.</summary>
    internal uint TsRecentAge;
    internal SeqNumber LastAckSent;
    internal uint ReceiveBuffer;
    internal uint Cwnd;
    internal uint Ssthresh;

    /// <summary>Largest payload of a segment of ours: Eff.snd.MSS of RFC 9293 §3.7.1 without further options than timestamps.</summary>
    internal ushort Mss;
    internal ushort LocalPort;
    internal ushort RemotePort;

    /// <summary>The largest segment that the peer has sent, or our announced MSS before there was one: what "full-sized" means for ACKs.</summary>
    internal ushort RcvMss;
    internal TcpState State;
    internal byte SndScale;
    internal byte RcvScale;
    internal AckManner Acks;
    internal byte DupAcks;
    internal byte Backoff;
    internal TcpEvents PendingEvents;

    // Then: queues, addresses, path, links of lists.
    internal SendQueueState SendQueue;
    internal ReceiveQueueState ReceiveQueue;
    internal FlowPath Path;
    internal uint ReadyNext;
    internal uint EventNext;
    internal IpAddress Local;
    internal IpAddress Remote;

    internal readonly Endpoint LocalEndpoint => new(Local, LocalPort);

    internal readonly Endpoint RemoteEndpoint => new(Remote, RemotePort);

    /// <summary>RFC 9293 §3.8.6.2.1: what the peer's window lets go still; nothing beyond one that has shrunk (SHLD-15).</summary>
    internal readonly uint UsableWindow => (uint)Math.Max(0, Snd.Una + Snd.Wnd - Snd.Nxt);

    /// <summary>The application has ended the stream, and its FIN has not gone.</summary>
    internal readonly bool IsFinUnsent => (Flags & (TcbFlags.FinQueued | TcbFlags.FinSent)) == TcbFlags.FinQueued;
}

/// <summary>What timers, loss recovery and rarer questions touch.</summary>
[StructLayout(LayoutKind.Sequential, Pack = 4)]
internal struct TcbCold
{
    /// <summary>Bytes from the start that the usual segment touches. What is behind them belongs to rarer questions.</summary>
    internal const int UsualBytes = 160;

    /// <summary>
    /// Retransmission (RFC 6298), or zero-window probes while <see cref="TcbFlags.Persisting"/>; RACK's reordering window or the tail loss
    /// probe as recovery's flags say (RFC 8985 §8: one timer, and what it is for).
    /// </summary>
    internal Deadline Retransmission;
    internal Deadline DelayedAck;
    internal Deadline UserTimeout;
    internal Deadline LastReceived;
    internal RttState Rtt;
    internal RecoveryState Recovery;
    internal OutOfOrderState OutOfOrder;

    /// <summary>RFC 2883: the duplicate to report in the next ACK; equal when there is none.</summary>
    internal SeqNumber DsackStart;
    internal SeqNumber DsackEnd;

    /// <summary>End of the last partial segment sent, with <see cref="TcbFlags.SmallInFlight"/>.</summary>
    internal SeqNumber SmallEnd;
    internal uint SendBuffer;

    /// <summary>Bytes that the application read in the tuning's round; with <see cref="TcbFlags.FinWaiting"/>, <see cref="FinSeq"/>.</summary>
    internal uint RoundBytes;

    /// <summary>Round-trip time as the receiver sees it, microseconds.</summary>
    internal uint RcvRttUs;
    internal ulong BytesReceived;
    internal ulong BytesAcked;
    internal uint SegmentsIn;
    internal uint SegmentsOut;

    /// <summary>A <see cref="System.Net.Sockets.SocketError"/>.</summary>
    internal ushort Error;
    internal ushort PeerMss;
    internal ushort Settings;
    internal byte ProbesSent;
    private byte _softErrorAndFastOpen;

    // Behind UsualBytes.

    /// <summary>Keepalive while open; the end of an orphan's FIN-WAIT-2.</summary>
    internal Deadline Keepalive;

    /// <summary>When the last reply to an unacceptable segment went out: such replies are limited per connection.</summary>
    internal Deadline LastChallenge;

    /// <summary>When our SYN went out, for the first round-trip sample; then the start of the receive tuning's round.</summary>
    internal Deadline RoundStart;

    /// <summary>With <see cref="RecoveryFlags.Paced"/>: before this no segment goes; a <see cref="TimeStamp32"/>.</summary>
    internal uint PacedUntil;
    internal CongestionState Congestion;

    /// <summary>RFC 9293 §3.8.5: end of the urgent data that we send, with <see cref="TcbFlags.UrgentToSend"/>.</summary>
    internal SeqNumber SndUp;

    /// <summary>RFC 9293 §3.8.5: urgent pointer, valid with <see cref="TcbFlags.UrgentPending"/>.</summary>
    internal SeqNumber RcvUp;
    internal uint SegmentsRetransmitted;

    /// <summary>
    /// Where the peer's FIN lies when it arrived before its data, with <see cref="TcbFlags.FinWaiting"/>: in the place of <see cref="RoundBytes"/>, as
    /// a peer that has said its last needs no larger buffer.
    /// </summary>
    internal SeqNumber FinSeq
    {
        readonly get => new(RoundBytes);
        set => RoundBytes = value.Value;
    }

    /// <summary>What ICMP reported: <see cref="TcpErrors"/>, below 4; <see cref="TcpDetails"/> may have its name.</summary>
    internal byte SoftError
    {
        readonly get => (byte)(_softErrorAndFastOpen & 3);
        set => _softErrorAndFastOpen = (byte)((_softErrorAndFastOpen & 0xFC) | value);
    }

    /// <summary>Whether our SYN goes again for an ACK that was wrong: in the place of <see cref="ProbesSent"/>, of which there are none before the handshake is done.</summary>
    internal SynAgain SynAgain
    {
        readonly get => (SynAgain)ProbesSent;
        set => ProbesSent = (byte)value;
    }

    /// <summary>The sender's <see cref="Recovery.SenderHistory"/>, or none.</summary>
    internal readonly uint History => Recovery.History;

    internal readonly bool HasHistory => Recovery.HasHistory;

    /// <inheritdoc cref="RecoveryState.Does"/>
    internal readonly bool Does(SenderMechanisms mechanism) => Recovery.Does(mechanism);

    /// <summary>What the application has said of data to come.</summary>
    internal MoreHints More
    {
        readonly get => (MoreHints)(_softErrorAndFastOpen & 12);
        set => _softErrorAndFastOpen = (byte)((_softErrorAndFastOpen & 0xF3) | (byte)value);
    }

    internal FastOpenFlags FastOpen
    {
        readonly get => (FastOpenFlags)(_softErrorAndFastOpen >> 4);
        set => _softErrorAndFastOpen = (byte)((_softErrorAndFastOpen & 0x0F) | ((byte)value << 4));
    }

    /// <summary>With <see cref="FastOpenFlags.Pending"/>: whose queue it counts in, 16 bits of the generation. In the place of <see cref="SndUp"/>.</summary>
    internal TcpListenerHandle FastOpenListener
    {
        readonly get => new((int)(SndUp.Value >> 16), (ushort)SndUp.Value);
        set => SndUp = new SeqNumber(((uint)value.Index << 16) | (ushort)value.Generation);
    }
}
