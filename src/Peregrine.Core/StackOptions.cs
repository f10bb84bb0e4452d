// What a stack is told when it is made: how many of everything (all memory is taken at the start), the bounds of a turn, and the settings
// of its protocols. A record, validated as a whole; every setting has its unit and range.
using Peregrine.Core.Ip;
using Peregrine.Core.Tcp;
using Peregrine.Core.Tcp.Recovery;
using Peregrine.Core.Udp;

namespace Peregrine.Core;

/// <summary>Sizes, bounds and settings of a stack.</summary>
public sealed record StackOptions
{
    /// <summary>Connections at most, 1 to 16,777,216. Default 65,536.</summary>
    public int ConnectionCountMax { get; init; } = 65_536;

    /// <summary>TIME-WAIT records at most, 1 to 16,777,216; when full, the oldest gives way. Default 65,536.</summary>
    public int TimeWaitCountMax { get; init; } = 65_536;

    /// <summary>Half-open connections at most, 1 to 1,048,576. Default 8,192.</summary>
    public int SynBacklogCountMax { get; init; } = 8_192;

    /// <summary>Listeners at most, 1 to 65,535. Default 1,024.</summary>
    public int ListenerCountMax { get; init; } = 1_024;

    /// <summary>Frames, 64 to 1,048,576. Default 8,192.</summary>
    public int FrameCount { get; init; } = 8_192;

    /// <summary>Bytes of a frame's chunk, a power of two from 2,048 to 65,536. Default 4,096.</summary>
    public int FrameSizeBytes { get; init; } = 4_096;

    /// <summary>Blocks of the connections' send and receive queues, 64 to 16,777,216. Default 16,384 (64 MiB).</summary>
    public int BlockCount { get; init; } = 16_384;

    /// <summary>Bytes of a block, a power of two from 1,024 to 32,768. Default 4,096.</summary>
    public int BlockSizeBytes { get; init; } = 4_096;

    /// <summary>Records of segments in flight, 64 to 16,777,216. Default 65,536.</summary>
    public int TransmissionRecordCount { get; init; } = 65_536;

    /// <summary>Connections that may use BBR at a time, 0 to 16,777,216: others that ask for it get CUBIC. Default 1,024.</summary>
    public int BbrConnectionCountMax { get; init; } = 1_024;

    /// <summary>Connections that may have a sender's history at a time (<see cref="TcpSettings.PacketSender"/>), about 180 bytes each, 0 to 16,777,216. Default 0.</summary>
    public int SenderHistoryCountMax { get; init; }

    /// <summary>Connections that may use Accurate ECN at a time, 0 to 16,777,216: others use classic ECN or none. Default 1,024.</summary>
    public int AccurateEcnConnectionCountMax { get; init; } = 1_024;

    /// <summary>Timers that fire in a turn at most, 1 to 65,536. Default 256.</summary>
    public int TimersPerTurnMax { get; init; } = 256;

    /// <summary>Connections that are asked for output in a turn at most, 1 to 65,536. Default 1,024.</summary>
    public int OutputConnectionsPerTurnMax { get; init; } = 1_024;

    /// <summary>First ephemeral port. Default 32,768.</summary>
    public ushort EphemeralPortMin { get; init; } = 32_768;

    /// <summary>Last ephemeral port, not below the first. Default 60,999.</summary>
    public ushort EphemeralPortMax { get; init; } = 60_999;

    /// <summary>SYN cookies when the SYN backlog is full (RFC 4987 §3.6). Default true.</summary>
    public bool SynCookies { get; init; } = true;

    /// <summary>Segments with a TCP authentication option of peers that have no key are dropped; else taken (RFC 5925 §7.3). Default false.</summary>
    public bool DropUnknownKeys { get; init; }

    /// <summary>How long a record stays in TIME-WAIT, in seconds, 1 to 240: 2 MSL. Default 60.</summary>
    public int TimeWaitSeconds { get; init; } = 60;

    /// <summary>
    /// After so long in TIME-WAIT the local port of a connection with timestamps may begin another one to the same endpoint, in milliseconds, 1 to
    /// 240,000 (Linux's tcp_tw_reuse with tcp_tw_reuse_delay, 1,000). For those who open connections by the thousand a second to one server. 0: not before TIME-WAIT has
    /// ended (RFC 9293 §3.3.2). Default 0.
    /// </summary>
    public int TimeWaitReuseMs { get; init; }

    /// <summary>
    /// tcp_rfc1337: resets do not end TIME-WAIT (RFC 1337 §3, fix F1); else one exactly in place does (RFC 9293 §3.10.7.4). Default true; Linux's own is false.
    /// </summary>
    public bool IgnoreTimeWaitResets { get; init; } = true;

    /// <summary>Least time between challenge ACKs of one connection, in milliseconds, 0 to 10,000 (RFC 5961 §7). Default 500.</summary>
    public int ChallengeAckIntervalMs { get; init; } = 500;

    /// <summary>Resets and ACKs to strangers a second at most, 1 to 1,000,000. Default 10,000.</summary>
    public int TcpRepliesPerSecond { get; init; } = 10_000;

    /// <summary>How many such replies may go out at once, 1 to 1,000,000. Default 1,000.</summary>
    public int TcpReplyBurst { get; init; } = 1_000;

    /// <summary>Least retransmission time-out, in milliseconds, 1 to 60,000. Default 200 (RFC 6298 §2.4 says 1,000, which servers do not use).</summary>
    public int RtoMsMin { get; init; } = 200;

    /// <summary>Retransmission time-out before the first measurement, in milliseconds, 100 to 60,000. Default 1,000 (RFC 6298 §2.1).</summary>
    public int RtoMsInitial { get; init; } = 1_000;

    /// <summary>Largest retransmission time-out, in milliseconds, 60,000 to 240,000 (RFC 6298 §2.5). Default 120,000.</summary>
    public int RtoMsMax { get; init; } = 120_000;

    /// <summary>Segments of the initial congestion window, 1 to 10 (RFC 6928). Default 10.</summary>
    public int InitialWindowSegments { get; init; } = 10;

    /// <summary>
    /// Most bytes of the initial congestion window, unless two segments are more, 2,920 to 1,048,576 (RFC 6928 §2 has 14,600). Default
    /// 1,048,576, which is none: Linux counts segments only.
    /// </summary>
    public int InitialWindowBytesMax { get; init; } = 1 << 20;

    /// <summary>
    /// Received segments of a burst that continue each other are merged before they are processed, where the link has not done it (generic
    /// receive offload). Default true.
    /// </summary>
    public bool MergeReceived { get; init; } = true;

    /// <summary>A listener drops a SYN that has a FIN as well (RFC 9293 §3.10.7.2 lets it open a connection). Default true.</summary>
    public bool ListenDropsSynFin { get; init; } = true;

    /// <summary>A segment with both SYN and FIN is dropped unseen in every state. Default false.</summary>
    public bool DropSynFin { get; init; }

    /// <summary>Which segments that belong nowhere are dropped without a reset (blackhole(4)). Default <see cref="TcpBlackHole.None"/>.</summary>
    public TcpBlackHole BlackHole { get; init; }

    /// <summary>Added to every time-out but a first SYN's, in milliseconds, 0 to 1,000 (FreeBSD's rexmit_slop). Default 0.</summary>
    public int RtoSlackMs { get; init; }

    /// <summary>
    /// TIME-WAIT as FreeBSD has it: a SYN beyond what was received ends it, and opens a new connection or, where nobody listens, is answered by a reset; another is
    /// dropped, and any segment but an exact duplicate ACK is answered. Default false: RFC 6191, and silence in the window.
    /// </summary>
    public bool PlainTimeWait { get; init; }

    /// <summary>Every SYN is answered by a cookie (RFC 4987 §3.6), and the backlog is not used. Default false.</summary>
    public bool SynCookiesOnly { get; init; }

    /// <summary>
    /// Details of every connection are kept for tools: <see cref="Peregrine.Core.Tcp.TcpInfo.Details"/>, about 200 bytes a connection of
    /// <see cref="ConnectionCountMax"/>. Default false.
    /// </summary>
    public bool ConnectionDetails { get; init; }

    /// <summary>RTO is the smoothed round trip and at least this more, in milliseconds, 0 to 1,000. Default 200, as Linux's tcp_rto_min; 0 is RFC 6298's.</summary>
    public int RtoVarianceMsMin { get; init; } = 200;

    /// <summary>Servers whose TCP Fast Open cookies are remembered (RFC 7413 §4.1.3), 4 to 65,536. Default 1,024.</summary>
    public int FastOpenCacheCountMax { get; init; } = 1_024;

    /// <summary>
    /// How long a server is spared Fast Open that did not give a cookie or did not take a SYN's data (RFC 7413 §4.1.3.1), in seconds, 0 to
    /// 86,400. Default 0, as in Linux.
    /// </summary>
    public int FastOpenDisableSeconds { get; init; }

    /// <summary>Settings of connections that are given none of their own.</summary>
    public TcpSettings Tcp { get; init; } = TcpSettings.Default;

    /// <summary>Bounds and settings of IP.</summary>
    public IpOptions Ip { get; init; } = new();

    /// <summary>Bounds and settings of UDP.</summary>
    public UdpOptions Udp { get; init; } = new();

    /// <summary>Checks every range.</summary>
    /// <exception cref="ArgumentOutOfRangeException">A setting is out of its range; the message names setting, value and range.</exception>
    public void Validate()
    {
        Range(nameof(ConnectionCountMax), ConnectionCountMax, 1, 1 << 24);
        Range(nameof(TimeWaitCountMax), TimeWaitCountMax, 1, 1 << 24);
        Range(nameof(SynBacklogCountMax), SynBacklogCountMax, 1, 1 << 20);
        Range(nameof(ListenerCountMax), ListenerCountMax, 1, 65_535);
        Range(nameof(FrameCount), FrameCount, 64, 1 << 20);
        PowerOfTwo(nameof(FrameSizeBytes), FrameSizeBytes, 2_048, 65_536);
        Range(nameof(BlockCount), BlockCount, 64, 1 << 24);
        PowerOfTwo(nameof(BlockSizeBytes), BlockSizeBytes, 1_024, 32_768);
        Range(nameof(TransmissionRecordCount), TransmissionRecordCount, 64, 1 << 24);
        Range(nameof(BbrConnectionCountMax), BbrConnectionCountMax, 0, 1 << 24);
        Range(nameof(SenderHistoryCountMax), SenderHistoryCountMax, 0, 1 << 24);
        Range(nameof(AccurateEcnConnectionCountMax), AccurateEcnConnectionCountMax, 0, 1 << 24);
        Range(nameof(TimersPerTurnMax), TimersPerTurnMax, 1, 65_536);
        Range(nameof(OutputConnectionsPerTurnMax), OutputConnectionsPerTurnMax, 1, 65_536);
        Range(nameof(EphemeralPortMin), EphemeralPortMin, 1, 65_535);
        Range(nameof(EphemeralPortMax), EphemeralPortMax, EphemeralPortMin, 65_535);
        Range(nameof(TimeWaitSeconds), TimeWaitSeconds, 1, 240);
        Range(nameof(TimeWaitReuseMs), TimeWaitReuseMs, 0, 240_000);
        Range(nameof(ChallengeAckIntervalMs), ChallengeAckIntervalMs, 0, 10_000);
        Range(nameof(TcpRepliesPerSecond), TcpRepliesPerSecond, 1, 1_000_000);
        Range(nameof(TcpReplyBurst), TcpReplyBurst, 1, 1_000_000);
        Range(nameof(RtoSlackMs), RtoSlackMs, 0, 1_000);
        Range(nameof(RtoVarianceMsMin), RtoVarianceMsMin, 0, 1_000);
        Range(nameof(RtoMsMin), RtoMsMin, 1, 60_000);
        Range(nameof(RtoMsInitial), RtoMsInitial, 100, 60_000);
        Range(nameof(RtoMsMax), RtoMsMax, 60_000, 240_000);
        Range(nameof(FastOpenCacheCountMax), FastOpenCacheCountMax, 4, 65_536);
        Range(nameof(FastOpenDisableSeconds), FastOpenDisableSeconds, 0, 86_400);
        Range(nameof(InitialWindowSegments), InitialWindowSegments, 1, 10);
        Range(nameof(InitialWindowBytesMax), InitialWindowBytesMax, 2_920, 1 << 20);
        if (!Enum.IsDefined(BlackHole)) throw new ArgumentOutOfRangeException(nameof(BlackHole), BlackHole, "BlackHole must be one of: None, Syns, ClosedPorts, Unexpected.");
        Tcp.Validate();
        if (SenderHistoryCountMax == 0 && (SenderMechanismsOf.Settings(Tcp) & SenderMechanisms.OfHistory) is not 0 and var needed)
        {
            throw new ArgumentOutOfRangeException(nameof(SenderHistoryCountMax), SenderHistoryCountMax,
                $"SenderHistoryCountMax is 0; it must be from 1 to {1 << 24} with PacketSender and any of {needed}.");
        }
        Ip.Validate();
    }

    private static void Range(string name, int value, int min, int max)
    {
        if (value < min || value > max)
            throw new ArgumentOutOfRangeException(name, value, $"{name} is {value}; it must be from {min} to {max}.");
    }

    private static void PowerOfTwo(string name, int value, int min, int max)
    {
        if (value < min || value > max || (value & (value - 1)) != 0)
            throw new ArgumentOutOfRangeException(name, value, $"{name} is {value}; it must be a power of two from {min} to {max}.");
    }
}
