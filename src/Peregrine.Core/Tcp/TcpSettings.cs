// What a connection can be told, as one immutable record with units in the names and a validated range for every setting. TCBs hold the
// number of a record in TcpSettingsTable, so a million connections with the same settings hold them once.
using Peregrine.Core.Time;

namespace Peregrine.Core.Tcp;

/// <summary>Settings of a connection, a listener's connections or a whole stack. The defaults are Linux's (<see cref="TcpProfile.Linux"/>).</summary>
public sealed partial record TcpSettings
{
    /// <summary>The defaults.</summary>
    public static TcpSettings Default { get; } = new();

    /// <summary>TCP_NODELAY: sends small segments at once (Nagle's algorithm off, RFC 9293 §3.7.4). Default false.</summary>
    public bool NoDelay { get; init; }

    /// <summary>
    /// A small segment waits for all that is in flight (Nagle's algorithm, RFC 9293 §3.7.4), but for the end of what began with nothing in flight, as BSD has it; else only
    /// for a small one (Minshall's variant), as in Linux. Default false.
    /// </summary>
    public bool PlainNagle { get; init; }

    /// <summary>TCP_CORK: partial segments wait for more data, or for the time-out. Default false.</summary>
    public bool Cork { get; init; }

    /// <summary>TCP_NOTSENT_LOWAT: the send buffer takes no more than about so many unsent bytes, 1 to 1 GiB, or 0 for no limit. Default 0.</summary>
    public int UnsentBytesMax { get; init; }

    /// <summary>A closed window is probed with a byte of data (RFC 9293 §3.8.6.1); else by a segment without any before the window, as Linux does. Default false.</summary>
    public bool WindowProbeData { get; init; }

    /// <summary>Resets of a connection with timestamps carry them (RFC 7323 §3.2). Default true.</summary>
    public bool ResetTimestamps { get; init; } = true;

    /// <summary>A SYN-ACK that echoes a timestamp which our SYNs did not have is answered by a reset and not taken. Default true.</summary>
    public bool ChecksSynAckEcho { get; init; } = true;

    /// <summary>Receive buffer at the start, in bytes, 2,048 to 1 GiB. Default 128 KiB. It grows to <see cref="ReceiveBufferBytesMax"/> as the path needs.</summary>
    public int ReceiveBufferBytes { get; init; } = 128 * 1024;

    /// <summary>Largest receive buffer, in bytes; equal to <see cref="ReceiveBufferBytes"/> for no automatic tuning. Default 6 MiB.</summary>
    public int ReceiveBufferBytesMax { get; init; } = 6 * 1024 * 1024;

    /// <summary>Send buffer at the start, in bytes, 2,048 to 1 GiB. Default 256 KiB.</summary>
    public int SendBufferBytes { get; init; } = 256 * 1024;

    /// <summary>Largest send buffer, in bytes. Default 4 MiB.</summary>
    public int SendBufferBytesMax { get; init; } = 4 * 1024 * 1024;

    /// <summary>Largest segment that we accept and send, in bytes without options, 64 to 65,495, or 0 for what the path allows (TCP_MAXSEG).</summary>
    public int MaximumSegmentSize { get; init; }

    /// <summary>How long an ACK may wait for company, in milliseconds, 0 to 499 (RFC 9293 MUST-40). Default 40.</summary>
    public int DelayedAckMs { get; init; } = 40;

    /// <summary>How many first segments are acknowledged at once, 0 to 63. Default 16.</summary>
    public int QuickAckCount { get; init; } = 16;

    /// <summary>An application that answers what it gets within the delay of an ACK gets no quick ACKs, until one had to go alone. Default true.</summary>
    public bool InteractiveAcks { get; init; } = true;

    /// <summary>The ACK of a FIN in sequence waits for company like another, once data have come; else it goes at once. Default false (Linux delays it).</summary>
    public bool DelaysFinAck { get; init; }

    /// <summary>An ACK goes as soon as more than a full-sized segment is unacknowledged; else with two of them (RFC 9293 SHLD-19). Default true.</summary>
    public bool AckPastSegment { get; init; } = true;

    /// <summary>The window starts at 64 KiB at most and opens by two segments for each that comes, up to the receive buffer. Default true.</summary>
    public bool WindowSlowStart { get; init; } = true;

    /// <summary>A loss reduces from the congestion window; else from the data in flight (RFC 5681 §3.1), which may be less. Default true.</summary>
    public bool ReducesFromWindow { get; init; } = true;

    /// <summary>How often a SYN is repeated before the open fails, 0 to 15. Default 7: with doubling from 1 s, more than the 3 minutes of RFC 9293 MUST-23.</summary>
    public int SynRetryCount { get; init; } = 7;

    /// <summary>How often a SYN-ACK is repeated, 0 to 15. Default 5.</summary>
    public int SynAckRetryCount { get; init; } = 5;

    /// <summary>SYNs or SYN-ACKs that may be sent again before the initial window is one segment (RFC 6928 §2: one; RFC 5681 §3.1: none), 0 to 15. Default 0; Linux's own is 1.</summary>
    public int ForgivenSynLosses { get; init; }

    /// <summary>TCP_KEEPINIT: an open that is not answered fails after this, in milliseconds, 1,000 to 86,400,000, or 0 for by retries only. Default 0.</summary>
    public int ConnectTimeoutMs { get; init; }

    /// <summary>A SYN that was repeated so often goes on without window scale, timestamps and SACK, 1 to 15, or 0 for never. Default 0.</summary>
    public int SynOptionsRetryCount { get; init; }

    /// <summary>TCP_NOOPT: our SYNs have no options, not even the MSS that RFC 9293 SHLD-5 wants. Default false.</summary>
    public bool NoOptions { get; init; }

    /// <summary>What ICMP errors end an attempt to connect. Default <see cref="TcpConnectErrors.All"/>.</summary>
    public TcpConnectErrors ConnectErrors { get; init; } = TcpConnectErrors.All;

    /// <summary>
    /// TCP_USER_TIMEOUT: how long sent data may stay unacknowledged before the connection fails, in milliseconds, 1 to 86,400,000.
    /// Default 924,000, which is what 15 retries come to elsewhere (R2 of RFC 9293 §3.8.3, MUST-21).
    /// </summary>
    public int UserTimeoutMs { get; init; } = 924_000;

    /// <summary>tcp_retries2, with <see cref="PacketSender"/>: limits time-outs and probes, from the first of them, where no user time-out is chosen, 1 to 15; 0 leaves <see cref="UserTimeoutMs"/> from sending on. Default 15.</summary>
    public int RetryCount { get; init; } = 15;

    /// <summary>tcp_orphan_retries: <see cref="RetryCount"/> of a connection that the application has closed, 1 to 15. Default 8.</summary>
    public int OrphanRetryCount { get; init; } = 8;

    /// <summary>SO_KEEPALIVE. Default false (RFC 9293 MUST-25).</summary>
    public bool KeepAlive { get; init; }

    /// <summary>
    /// Time-outs of the same data that the next one ends the connection after, with a reset (FreeBSD's retries), 0 to 255. Default 0: they are not counted, and
    /// <see cref="UserTimeoutMs"/> is the limit, or with <see cref="PacketSender"/> <see cref="RetryCount"/>.
    /// </summary>
    public int TimeoutCountMax { get; init; }

    /// <summary>Idle time before the first keepalive probe, in seconds, 1 to 32,767. Default 7,200 (RFC 9293 MUST-28).</summary>
    public int KeepAliveTimeSeconds { get; init; } = 7_200;

    /// <summary>Time between keepalive probes, in seconds, 1 to 32,767. Default 75.</summary>
    public int KeepAliveIntervalSeconds { get; init; } = 75;

    /// <summary>Unanswered keepalive probes that end a connection, 1 to 127. Default 9.</summary>
    public int KeepAliveRetryCount { get; init; } = 9;

    /// <summary>SO_LINGER: 0 makes closing a reset; -1, and any other number of seconds up to 32,767, closes in the background and nobody waits. Default -1.</summary>
    public int LingerSeconds { get; init; } = -1;

    /// <summary>
    /// Closing with received data unread resets the connection (RFC 9293 SHLD-3); else they are thrown away and its end is orderly, as BSD has it, and only what
    /// comes later is answered by a reset. Default true.
    /// </summary>
    public bool ResetsUnread { get; init; } = true;

    /// <summary>Closing an active open in SYN-RECEIVED drops it without a word, as BSD has it; else the FIN follows the handshake (RFC 9293 §3.10.4). Default false.</summary>
    public bool ForgetsHalfOpen { get; init; }

    /// <summary>
    /// How long an abandoned connection may stay in FIN-WAIT-2, in milliseconds, 1,000 to 120,000; 0 for as long as all of keepalive's probes take, but no
    /// longer than three days, as BSD has it; -1 for not at all, when a reset ends it. Default 60,000.
    /// </summary>
    public int FinWait2TimeoutMs { get; init; } = 60_000;

    /// <summary>
    /// The congestion control's name: "cubic" (default), "reno", "bbr" (version 3, draft-ietf-ccwg-bbr; of at most
    /// <see cref="StackOptions.BbrConnectionCountMax"/> connections at a time), or "dctcp" (RFC 8257), which is for networks under one
    /// administration and asks for ECN by itself.
    /// </summary>
    public string CongestionControl { get; init; } = "cubic";

    /// <summary>Segments are spaced in time instead of leaving in bursts. Default <see cref="TcpPacingMode.Auto"/>.</summary>
    public TcpPacingMode Pacing { get; init; }

    /// <summary>
    /// SO_MAX_PACING_RATE: the connection sends no faster than this, in bytes a second, 1,000 to 1,000,000,000,000, or 0 for no limit.
    /// Default 0.
    /// </summary>
    public long PacingBytesPerSecondMax { get; init; }

    /// <summary>tcp_recovery: losses are found by time (RACK, RFC 8985 §6) rather than by counting (RFC 6675). Needs SACK. Default true.</summary>
    public bool Rack { get; init; } = true;

    /// <summary>
    /// Text that comes with the peer's SYN while we are connecting is kept (RFC 9293 §3.10.7.3), also without TCP Fast Open; Linux waits for it to come
    /// again. Default false.
    /// </summary>
    public bool KeepsSynText { get; init; }

    /// <summary>What the timer of RFC 8985's reordering window waits beyond it, in milliseconds, 0 to 500; 2 is the least of Linux's timers. Default 2.</summary>
    public int ReorderingMarginMs { get; init; } = 2;

    /// <summary>tcp_early_retrans: tail loss probes (RFC 8985 §7). Needs SACK. Default true.</summary>
    public bool TailLossProbe { get; init; } = true;

    /// <summary>How long a loss probe waits for the ACK of a single segment beyond two round trips, in milliseconds, 0 to 500. Default 200.</summary>
    public int ProbeAckDelayMs { get; init; } = 200;

    /// <summary>Proportional rate reduction in fast recovery with SACK (RFC 9937). Default true.</summary>
    public bool ProportionalRateReduction { get; init; } = true;

    /// <summary>
    /// What goes again is filled up to a whole segment with what was sent behind it and goes again too (RFC 9293 §3.7.4 leaves repacketization to the
    /// sender; FreeBSD does it). Default false.
    /// </summary>
    public bool JoinsRetransmissions { get; init; }

    /// <summary>
    /// An echo of ECN marks reduces the window by <see cref="ProportionalRateReduction"/>, over a round trip, where that is on; else at once (RFC 3168
    /// §6.1.2 leaves it open). Default true.
    /// </summary>
    public bool GradualEcnReduction { get; init; } = true;

    /// <summary>tcp_frto: F-RTO finds spurious time-outs (RFC 5682). Default true.</summary>
    public bool ForwardRto { get; init; } = true;

    /// <summary>A reduction is undone when timestamps show that nothing was lost (RFC 3522, RFC 4015). Default true.</summary>
    public bool EifelUndo { get; init; } = true;

    /// <summary>A reduction is undone when every retransmission was reported as a duplicate (RFC 3708). Default true.</summary>
    public bool DsackUndo { get; init; } = true;

    /// <summary>HyStart++ ends CUBIC's first slow start before the path's queue overruns (RFC 9406). Default true.</summary>
    public bool HyStart { get; init; } = true;

    /// <summary>Segments that one ACK opens the window by in slow start at most (RFC 3465: L, which is 2 there), 1 to 65,535. Default 65,535: no bound, as in Linux.</summary>
    public int SlowStartSegmentsPerAck { get; init; } = 65_535;

    /// <summary>
    /// RFC 3742's max_ssthresh: beyond so many segments slow start opens the window by half of that number a round trip, 2 to 1,000,000 (the RFC
    /// recommends 100), or 0 for no limit. Default 0: Linux has it no more.
    /// </summary>
    public int SlowStartSegmentsMax { get; init; }

    /// <summary>tcp_slow_start_after_idle: the window restarts after a time-out without sending (RFC 5681 §4.1). Default true.</summary>
    public bool SlowStartAfterIdle { get; init; } = true;

    /// <summary>
    /// RFC 7661: a window that is not used is kept for five minutes, though the application pauses (<see cref="SlowStartAfterIdle"/> then says nothing); what is
    /// sent into it is paced, unless <see cref="Pacing"/> is off, and a loss reduces from what was used. Default false: Linux only keeps an unused
    /// window from growing, and FreeBSD has net.inet.tcp.newcwv off.
    /// </summary>
    public bool WindowValidation { get; init; }

    /// <summary>
    /// Senders behave to the packet: the settings from <see cref="PacketCubic"/> to <see cref="MtuSearchKeepsMss"/> are in force, each by itself; they are
    /// Linux's, and without this one the RFCs' plainer ways take their places. The first six, and <see cref="PacketReceiver"/>, need a history of the sender, so
    /// <see cref="StackOptions.SenderHistoryCountMax"/>: a connection for which it leaves no room goes without those. What a connection does is settled
    /// when it begins. Default false; Linux's own is true.
    /// </summary>
    public bool PacketSender { get; init; }

    /// <summary>With <see cref="PacketSender"/> and a history: CUBIC counts packets and milliseconds, and its slow start ends by Linux's HyStart. Default true.</summary>
    public bool PacketCubic { get; init; } = true;

    /// <summary>
    /// With <see cref="PacketSender"/> and a history: every ACK gives a round trip, also one that only reports by SACK, and the largest deviation of a window of
    /// data makes the time-out (mdev_max); else one ACK a round trip, averaged by RFC 6298 §2. Default true.
    /// </summary>
    public bool RoundTripPerAck { get; init; } = true;

    /// <summary>
    /// With <see cref="PacketSender"/> and a history: the congestion window counts as used (RFC 7661 §1) by the most that was in flight in a window of data; else by
    /// the round trip. Default true.
    /// </summary>
    public bool WindowUsePerWindow { get; init; } = true;

    /// <summary>
    /// With <see cref="PacketSender"/> and a history: writes run together in buffers. The end of each is pushed whenever it is sent (PSH), MSG_EOR ends a segment, a
    /// write is not cut by the send buffer's limit, and buffers count with their overhead; else the end of the queue is pushed, and bytes count. Default true.
    /// </summary>
    public bool WriteRuns { get; init; } = true;

    /// <summary>
    /// With <see cref="PacketSender"/> and a history: a transmission has a millisecond's worth of segments and half the window at most, and what is less than a
    /// third of the window waits for an ACK that is near (tcp_tso_win_divisor, tcp_tso_rtt_log). Default true.
    /// </summary>
    public bool GathersSegments { get; init; } = true;

    /// <summary>
    /// With <see cref="PacketSender"/> and a history: the first ten segments are not paced, and what follows a pause has half its time already; else two
    /// milliseconds' worth may follow each other. Default true.
    /// </summary>
    public bool PacingHeadStart { get; init; } = true;

    /// <summary>With <see cref="PacketSender"/>: the MSS is bounded by half of the largest window that the peer has offered. Default true.</summary>
    public bool HalfWindowMss { get; init; } = true;

    /// <summary>
    /// With <see cref="PacketSender"/>: the congestion window is a number of packets, small ones too, which another MSS leaves as it is; proportional rate reduction goes by whole
    /// segments, from the window (RFC 6937) and not from what is in flight; F-RTO's third ACK, and a time-out within recovery, lower nothing; a FIN waits
    /// for its place in it, and in the peer's; on a path that reorders what SACKs report opens it too; and SACKs are kept over repeated time-outs, but one
    /// that the peer takes back leaves it half a round trip, not a whole time-out. Default true.
    /// </summary>
    public bool PacketWindow { get; init; } = true;

    /// <summary>
    /// With <see cref="PacketSender"/>: without SACK each duplicate ACK stands for a segment that has arrived, so that proportional rate reduction works as with it;
    /// else the window is inflated (RFC 6582). Default true.
    /// </summary>
    public bool CountedDuplicates { get; init; } = true;

    /// <summary>
    /// With <see cref="PacketSender"/>: what goes again takes what goes again behind it along, as far as whole transmissions fit into a segment (tcp_retrans_collapse);
    /// <see cref="JoinsRetransmissions"/> comes before it. Default true.
    /// </summary>
    public bool JoinsWholeRetransmissions { get; init; } = true;

    /// <summary>
    /// With <see cref="PacketSender"/>: the peer's window is filled to its edge, also by a part of a segment; nothing goes again beyond the edge of one that
    /// shrank, nor does a loss probe, and ACKs are at that edge; and an ACK that shrinks it without other news is one duplicate more. Default true.
    /// </summary>
    public bool WindowToEdge { get; init; } = true;

    /// <summary>
    /// With <see cref="PacketSender"/>: the timer of loss probes runs also while one is out, after which the time-out counts from when the first segment
    /// was sent; a SACK that took longer than the first segment has been out since it went again restarts the time-out; and a probe is the last segment as it was sent, however short. Default true.
    /// </summary>
    public bool ProbeTimerStays { get; init; } = true;

    /// <summary>
    /// With <see cref="PacketSender"/>: what is lost without congestion, being too large for the path or data of a SYN that were not taken, goes again as after a
    /// time-out, though the window stays. Default true.
    /// </summary>
    public bool RepairsAsTimeout { get; init; } = true;

    /// <summary>
    /// With <see cref="PacketSender"/>: an ACK that waits goes with a segment that comes in the last quarter of its delay, and only who has received data since it last
    /// sent some counts as answering (<see cref="InteractiveAcks"/>). Default true.
    /// </summary>
    public bool HastensDelayedAcks { get; init; } = true;

    /// <summary>
    /// With <see cref="PacketSender"/>: <see cref="TcpMtuProbingMode.Always"/> leaves the MSS of a passive open at what was taken for the path's until its search has
    /// found something, and a probe may follow a lost one at once. Default true.
    /// </summary>
    public bool MtuSearchKeepsMss { get; init; } = true;

    /// <summary>
    /// With <see cref="PacketSender"/> and a history: receivers behave to the packet too, as Linux's: ACKs wait as long as data take to come, 40 ms at first and 200
    /// at most; the receive buffer counts the memory that Linux would need for what it holds, so that about half of it is offered; and a segment that
    /// reaches beyond the window is refused. Default false.
    /// </summary>
    public bool PacketReceiver { get; init; }

    /// <summary>
    /// tcp_comp_sack_nr, with <see cref="PacketReceiver"/> in force: of the segments beyond a gap the first three are acknowledged at once, and so many ACKs of those that follow
    /// may go as one, 0 to 255; 0: each at once, as RFC 5681 §4.2 has it. Default 44.
    /// </summary>
    public int SackCompressionCount { get; init; } = 44;

    /// <summary>tcp_comp_sack_delay_ns: how long such an ACK waits at most in nanoseconds, 0 to 1,000,000,000, and no longer than a twentieth of the round trip. Default 1,000,000.</summary>
    public int SackCompressionDelayNs { get; init; } = 1_000_000;

    /// <summary>tcp_comp_sack_slack_ns: nanoseconds that it may wait longer, to share a timer's tick with others, 0 to 1,000,000,000. Default 100,000.</summary>
    public int SackCompressionSlackNs { get; init; } = 100_000;

    /// <summary>RTO restart (RFC 7765): with few segments in flight the timer runs from when they were sent. Default false.</summary>
    public bool RtoRestart { get; init; }

    /// <summary>tcp_ecn: explicit congestion notification, classic (RFC 3168) or accurate (RFC 9768). Default <see cref="TcpEcnMode.Accept"/>.</summary>
    public TcpEcnMode Ecn { get; init; } = TcpEcnMode.Accept;

    /// <summary>
    /// TCP_FASTOPEN_CONNECT: connecting asks the server for a Fast Open cookie, or sends what is queued before the stack's next turn with the
    /// SYN (RFC 7413). For applications only that may get the same request twice (RFC 7413 §6.3). Default false.
    /// </summary>
    public bool FastOpenConnect { get; init; }

    /// <summary>
    /// TCP_FASTOPEN: a listener takes data of SYNs whose cookie is good, as long as no more than so many connections wait for the end of
    /// their handshake, 0 to 65,535; 0 for none (RFC 7413 §4.2). Default 0.
    /// </summary>
    public int FastOpenQueueLength { get; init; }

    /// <summary>Data of SYNs are sent and taken without a cookie (RFC 7413 §4.2 without its defence): for closed networks. Default false.</summary>
    public bool FastOpenWithoutCookie { get; init; }

    /// <summary>A request for a cookie that was not answered is made once in the option's experimental form (kind 254). Default true.</summary>
    public bool FastOpenExperimental { get; init; } = true;

    /// <summary>How often a SYN that asks for ECN is repeated so, 0 to 15; further ones ask for nothing (RFC 3168 §6.1.1.1). Default 0.</summary>
    public int EcnSynRetryCount { get; init; }

    /// <summary>RFC 7323 timestamps are offered and accepted. Default true.</summary>
    public bool Timestamps { get; init; } = true;

    /// <summary>RFC 2018 selective acknowledgments are offered and accepted. Default true.</summary>
    public bool SelectiveAcknowledgments { get; init; } = true;

    /// <summary>RFC 7323 window scaling is offered and accepted. Default true.</summary>
    public bool WindowScaling { get; init; } = true;

    /// <summary>A segment without timestamps is taken although they were agreed on; else dropped (RFC 7323 §3.2). Default true.</summary>
    public bool AcceptsMissingTimestamps { get; init; } = true;

    /// <summary>A connection that was reset while it waited to be accepted is given out all the same, with what it had received. Default true.</summary>
    public bool AcceptsResetConnections { get; init; } = true;

    /// <summary>
    /// TCP_REMOTE_UDP_ENCAPS_PORT: connections are opened in UDP datagrams to this port, 1 to 65,535, or 0 for none. Needs
    /// <see cref="TcpLayer.UdpTunnelPort"/>. Default 0.
    /// </summary>
    public int UdpEncapsulationPort { get; init; }

    /// <summary>IPV6_USE_MIN_MTU: packets of 1,280 bytes at most, which every IPv6 path carries (RFC 8200 §5). Default false.</summary>
    public bool MinimumMtu { get; init; }

    /// <summary>A SYN's options go in FreeBSD's order and close together, not in Linux's and aligned (<see cref="Wire.TcpOptions.IsPacked"/>). Default false.</summary>
    public bool PackedSynOptions { get; init; }

    /// <summary>A reset counts only exactly in place (RFC 5961 §3.2); else anywhere in the window (RFC 793). Default true.</summary>
    public bool ExactResetsOnly { get; init; } = true;

    /// <summary>A SYN in a connection is answered by a challenge ACK (RFC 5961 §4.2); else one in the window resets it (RFC 793). Default true.</summary>
    public bool ChallengeSyns { get; init; } = true;

    /// <summary>While our FIN alone is unacknowledged, an ACK of something new carries it again. Default false.</summary>
    public bool AcksRepeatFin { get; init; }

    /// <summary>A FIN beyond a gap is reported by SACK, in the block of the data before it where they have come, and by D-SACK when it comes again. Default true.</summary>
    public bool SackCoversFin { get; init; } = true;

    /// <summary>
    /// A reset counts also exactly behind the last of the data that are held beyond a gap, as Linux has it. Whoever can guess a place in the window can put
    /// data there, and then reset: RFC 5961 §3.2 has such resets challenged. Default false.
    /// </summary>
    public bool AcceptsResetsBehindHeld { get; init; }

    /// <summary>A peer that answers no window probe for the user time-out is sent a reset. Default false.</summary>
    public bool ResetsUnanswered { get; init; }

    /// <summary>In a simultaneous open our SYN goes again with the options that it had, whatever the peer's has; else with what both share. Default true.</summary>
    public bool SynAckRepeatsSyn { get; init; } = true;

    /// <summary>An ACK of what our SYN was not, which is answered by a reset, has the SYN go again at once. Default true.</summary>
    public bool WrongAckRepeatsSyn { get; init; } = true;

    /// <summary>Every second segment is acknowledged at once, however small; else every second full-sized one (RFC 9293 SHLD-19). Default false.</summary>
    public bool AckEverySecondSegment { get; init; }

    /// <summary>Segments are in the window when the buffer has room for them, also where 16 bits could not advertise so much;
    /// and while much of it is free, the window says how much is free to the byte. Default false.</summary>
    public bool WindowIsBuffer { get; init; }

    /// <summary>The buffers of a new connection are rounded up to whole segments, options not taken off. Default false.</summary>
    public bool WholeSegmentBuffer { get; init; }

    /// <summary>
    /// A peer's MSS counts as at least so many bytes (FreeBSD's minmss), 0 to 1,460: segments that are too small cost more than they bring. Default 0: what is sent is
    /// never below 48 bytes a segment, as with Linux's tcp_min_snd_mss.
    /// </summary>
    public int PeerMssMin { get; init; }

    /// <summary>
    /// In SYN-SENT an IPv4 router's report about the path counts only below the size that the default MSS needs, 576 bytes, and then the SYN goes again at once, as BSD
    /// has it; else any report counts for the next SYN. Default false.
    /// </summary>
    public bool SynKeepsPath { get; init; }

    /// <summary>tcp_mtu_probing: the path's MTU is searched for by segments of data (RFC 4821). Default <see cref="TcpMtuProbingMode.Off"/>.</summary>
    public TcpMtuProbingMode MtuProbing { get; init; }

    /// <summary>tcp_base_mss: where the search begins, in bytes of payload, 48 to 65,495. Default 1,024.</summary>
    public int MtuProbeBaseMss { get; init; } = 1_024;

    /// <summary>tcp_mtu_probe_floor: what time-outs lower it to at most, in bytes of payload, 48 to 65,495. Default 48.</summary>
    public int MtuProbeFloorMss { get; init; } = 48;

    /// <summary>tcp_probe_threshold: a search ends when so few bytes are left between what arrives and what does not, 1 to 65,535. Default 8.</summary>
    public int MtuProbeThresholdBytes { get; init; } = 8;

    /// <summary>tcp_probe_interval: after this time a search is taken up again, in seconds, 1 to 86,400. Default 600.</summary>
    public int MtuProbeIntervalSeconds { get; init; } = 600;

    /// <summary>What happens to the connection is told to the stack's log, where there is one (<see cref="TcpLayer.EventSink"/>). Default false.</summary>
    public bool EventLog { get; init; }

    /// <summary>
    /// TCP_DEFER_ACCEPT: a listener gives a connection out when data have come, or its SYN-ACK has waited for so long, in seconds, 0 to 3,600; 0 for
    /// at once. Default 0.
    /// </summary>
    public int DeferAcceptSeconds { get; init; }

    /// <summary>SO_RCVLOWAT: the application hears of received bytes when there are so many, 1 to 1 GiB, or the stream ends. Default 1.</summary>
    public int ReceiveLowBytes { get; init; } = 1;

    /// <summary>IPv6 flow label, 0 to 0xFFFFF (RFC 6437); 0 for none. Default 0.</summary>
    public int FlowLabel { get; init; }

    /// <summary>IP_TTL and IPV6_UNICAST_HOPS, 1 to 255. Default 64 (RFC 9293 MUST-49).</summary>
    public int HopLimit { get; init; } = 64;

    /// <summary>IP_TOS and IPV6_TCLASS without the ECN bits, 0 to 252 in steps of 4 (RFC 9293 MUST-48). Default 0.</summary>
    public int TrafficClass { get; init; }

    internal bool HastensAcks => PacketSender && HastensDelayedAcks;

    internal bool SearchKeepsMss => PacketSender && MtuSearchKeepsMss;

    // Keepalive's largest settings would make it 48 days, and no deadline is further away than three: nobody waits for longer.
    internal Duration FinWait2Timeout =>
        FinWait2TimeoutMs != 0 ? Duration.FromMilliseconds(FinWait2TimeoutMs)
            : Duration.Min(Duration.FromSeconds(KeepAliveRetryCount * KeepAliveIntervalSeconds), Deadline.DistanceMax);
}
