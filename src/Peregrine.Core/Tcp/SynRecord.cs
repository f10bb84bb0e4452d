// What is kept of a half-open connection from its SYN to the ACK that completes it: no buffers, no timers of its own.
using System.Runtime.InteropServices;
using Peregrine.Core.Ip;
using Peregrine.Core.Time;
using Peregrine.Wire;

namespace Peregrine.Core.Tcp;

/// <summary>What a SYN asked for.</summary>
[Flags]
internal enum SynFlags : byte
{
    /// <summary>Nothing.</summary>
    None = 0,

    /// <summary>The peer sent a window scale option, and we answered it.</summary>
    WindowScale = 1,

    /// <summary>The peer permitted SACK, and so did we.</summary>
    Sack = 2,

    /// <summary>The peer sent timestamps, and so did we.</summary>
    Timestamps = 4,

    /// <summary>ECN was asked for and granted.</summary>
    Ecn = 8,

    /// <summary>The SYN-ACK has timed out, or that is not known: there is no round-trip sample (Karn), and the connection begins with care.</summary>
    Retransmitted = 16,

    /// <summary>The SYN-ACK brings a fast open cookie.</summary>
    FastOpen = 32,

    /// <summary>In the form of the experiment, as the SYN had it.</summary>
    FastOpenExperimental = 64,

    /// <summary>Accurate ECN was asked for and granted.</summary>
    AccurateEcn = 128,
}

/// <summary>A connection in SYN-RECEIVED from a passive open; 128 bytes.</summary>
[StructLayout(LayoutKind.Sequential, Pack = 4)]
internal struct SynRecord
{
    /// <summary>Our address.</summary>
    internal IpAddress Local;

    /// <summary>The peer's address.</summary>
    internal IpAddress Remote;

    /// <summary>Hash in the demux table.</summary>
    internal ulong Hash;

    /// <summary>When the first SYN-ACK went out: the first round-trip sample begins here.</summary>
    internal Instant FirstSent;

    /// <summary>Where SYN-ACKs go.</summary>
    internal FlowPath Path;

    /// <summary>The listener's index.</summary>
    internal int Listener;

    /// <summary>The listener's generation.</summary>
    internal int ListenerGeneration;

    /// <summary>The peer's initial sequence number.</summary>
    internal SeqNumber Irs;

    /// <summary>Ours.</summary>
    internal SeqNumber Iss;

    /// <summary>The peer's last timestamp, with <see cref="SynFlags.Timestamps"/>.</summary>
    internal uint TsRecent;

    /// <summary>Offset of our timestamps.</summary>
    internal uint TsOffset;

    /// <summary>Receive window in bytes that the SYN-ACK announces.</summary>
    internal uint RcvWnd;

    /// <summary>When the SYN-ACK is sent again. Set by the backlog.</summary>
    internal Deadline Due;

    /// <summary>Which use of the slot this is. Set by the backlog.</summary>
    internal uint Generation;

    /// <summary>Neighbours in the queue of their retransmission count. Set by the backlog.</summary>
    internal uint Earlier, Later;

    /// <summary>Neighbours among the listener's records. Set by the backlog.</summary>
    internal uint PreviousOfListener, NextOfListener;

    /// <summary>Our port.</summary>
    internal ushort LocalPort;

    /// <summary>The peer's port.</summary>
    internal ushort RemotePort;

    /// <summary>The peer's segment size, or its family's default.</summary>
    internal ushort PeerMss;

    /// <summary>Window of the SYN, which is never scaled.</summary>
    internal UnscaledWindow SndWnd;

    /// <summary>What was agreed on.</summary>
    internal SynFlags Flags;

    /// <summary>With <see cref="SynFlags.AccurateEcn"/>: the IP-ECN field of the latest SYN, and <see cref="NotCapable"/>; of any, <see cref="Acknowledged"/> and <see cref="SentAgain"/>.</summary>
    internal byte SynField;

    private byte _scales;

    /// <summary>Time-outs of the SYN-ACK; 255 means that the record is free. Set by the backlog.</summary>
    internal byte Retries;

    /// <summary>SendID of the key that signs what we send, where the peer has keys of TCP-AO (RFC 5925 §4).</summary>
    internal byte SendKeyId;

    /// <summary>RecvID of the key that the peer used.</summary>
    internal byte ReceiveKeyId;

    /// <summary>In <see cref="SynField"/>: a SYN or a SYN-ACK asked for nothing, so that the client may be without ECN (RFC 9768 §3.1.5).</summary>
    internal const byte NotCapable = 4;

    /// <summary>In <see cref="SynField"/>: the handshake is complete, and its connection waits for data (TCP_DEFER_ACCEPT).</summary>
    internal const byte Acknowledged = 8;

    /// <summary>How often the SYN-ACK went again, when it timed out or because the SYN came again; 15 for more.</summary>
    internal byte SentAgain
    {
        readonly get => (byte)(SynField >> 4);
        set => SynField = (byte)((SynField & 15) | (Math.Min((int)value, 15) << 4));
    }

    /// <summary>The peer's shift, with <see cref="SynFlags.WindowScale"/>.</summary>
    internal byte SndScale
    {
        readonly get => (byte)(_scales & 15);
        set => _scales = (byte)((_scales & 0xF0) | value);
    }

    /// <summary>Ours.</summary>
    internal byte RcvScale
    {
        readonly get => (byte)(_scales >> 4);
        set => _scales = (byte)((_scales & 15) | (value << 4));
    }

    /// <summary>The peer's SYN, with what was agreed on of its options.</summary>
    internal readonly SegmentArrival AgreedSyn()
    {
        var syn = new SegmentArrival { Seq = Irs, RawWindow = SndWnd.Value, Flags = TcpFlags.Syn };
        if ((Flags & SynFlags.Timestamps) != 0) syn.Options.SetTimestamps(TsRecent, 0);
        if ((Flags & SynFlags.Sack) != 0) syn.Options.SackPermitted = true;
        if ((Flags & SynFlags.WindowScale) != 0) syn.Options.WindowScale = new WindowScale(SndScale);
        syn.Options.Mss = PeerMss;
        return syn;
    }

    internal readonly Endpoint LocalEndpoint => new(Local, LocalPort);

    internal readonly Endpoint RemoteEndpoint => new(Remote, RemotePort);

    /// <summary>Whether the record is this tuple's.</summary>
    internal readonly bool Matches(in IpAddress local, ushort localPort, in IpAddress remote, ushort remotePort) =>
        RemotePort == remotePort && LocalPort == localPort && Remote == remote && Local == local;
}
