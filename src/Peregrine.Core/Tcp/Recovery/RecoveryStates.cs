// Loss recovery's and round-trip measurement's parts of a TCB: 68 and 16 bytes; a test has the sum. Only LossRecovery and its helpers
// write them.
using System.Runtime.InteropServices;
using Peregrine.Core.Tcp.Congestion;
using Peregrine.Wire;

namespace Peregrine.Core.Tcp.Recovery;

/// <summary>What the sender thinks of the data in flight.</summary>
internal enum RecoveryPhase : byte
{
    /// <summary>Nothing looks lost.</summary>
    Open,

    /// <summary>Duplicate ACKs or SACKs, not enough to call anything lost.</summary>
    Disorder,

    /// <summary>Fast recovery (RFC 5681 §3.2, RFC 6582, RFC 6675 §5).</summary>
    Recovery,

    /// <summary>After a retransmission time-out: all that is not SACKed is sent again in slow start.</summary>
    Loss,
}

[Flags]
internal enum RecoveryFlags : uint
{
    None = 0,

    /// <summary>The segment at Snd.Una goes out next, whatever the window says (RFC 6675 §5 step 4.3, RFC 6582 §3.2 steps 2 and 3).</summary>
    RetransmitHead = 1,

    /// <summary>The last range handed out was RFC 6675's rescue retransmission, rule (4).</summary>
    RescueOffered = 2,

    /// <summary>RecoveryPoint means something; cleared once Snd.Una has passed it, so that it is never compared when stale.</summary>
    RecoveryPointSet = 4,

    /// <summary>The window had no room for another segment at some moment of this round trip.</summary>
    LimitedThisRound = 8,

    /// <summary>The same, of the round trip before.</summary>
    LimitedLastRound = 0x10,

    /// <summary>The retransmission timer has expired since Snd.Una last moved.</summary>
    TimedOut = 0x20,

    /// <summary>The handshake is done: ACKs open the window.</summary>
    Established = 0x40,

    /// <summary>The SYN timer expired: RTO starts at 3 s (RFC 6298 §5.7).</summary>
    SynTimedOut = 0x80,

    /// <summary>Records marked lost by a smaller path MTU wait for retransmission.</summary>
    MtuRepair = 0x200,

    /// <summary>This round trip has given its sample to the averages.</summary>
    RttTaken = 0x400,

    /// <summary>RFC 8985 RACK.reordering_seen.</summary>
    ReorderingSeen = 0x800,

    /// <summary>RFC 8985 RACK.dsack_round: this round trip has seen a D-SACK.</summary>
    DsackRound = 0x1000,

    /// <summary>RFC 8985 TLP.end_seq is set.</summary>
    ProbeInFlight = 0x2000,

    /// <summary>RFC 8985 TLP.is_retrans.</summary>
    ProbeIsRetransmission = 0x4000,

    /// <summary>No round-trip sample has been taken since the last loss probe (RFC 8985 §7.3).</summary>
    NoRttSinceProbe = 0x8000,

    /// <summary>The probe time-out has come, and the output has not sent the probe yet.</summary>
    ProbePending = 0x1_0000,

    /// <summary>The retransmission timer runs for a loss probe (RFC 8985 §8: one timer, and what it is for).</summary>
    TimerIsProbe = 0x2_0000,

    /// <summary>The retransmission timer runs for RACK's reordering window.</summary>
    TimerIsReordering = 0x80_0000,

    /// <summary>What the last reduction took could be given back (RFC 4015, RFC 3708).</summary>
    UndoPossible = 0x4_0000,

    /// <summary>RFC 5682 §3.1 step 1 is done: the first ACK after the time-out is awaited.</summary>
    FrtoFirst = 0x8_0000,

    /// <summary>RFC 5682 §3.1 step 2 is done: new data may go instead of retransmissions, and the second ACK is awaited.</summary>
    FrtoSecond = 0x10_0000,

    /// <summary>A round trip has passed since the recovery that <see cref="UndoPossible"/> speaks of.</summary>
    UndoAged = 0x40_0000,

    /// <summary>RFC 3168: both sides agreed on ECN.</summary>
    EcnAgreed = 0x100_0000,

    /// <summary>RFC 9768: and on its accurate form: <see cref="TcpContext.AccurateEcn"/> has the connection's state.</summary>
    AccurateEcn = 0x8000_0000,

    /// <summary>A mark came and the sender has not said CWR yet: our ACKs echo it.</summary>
    EcnEchoing = 0x200_0000,

    /// <summary>The window was reduced: the next new data say so.</summary>
    EcnReduced = 0x400_0000,

    /// <summary>Echoes are answered until RecoveryPoint is acknowledged.</summary>
    EcnResponded = 0x800_0000,

    /// <summary>RFC 3708 §3 (A.4): the path duplicates by itself, so that D-SACKs prove nothing about our retransmissions.</summary>
    PathDuplicates = 0x1000_0000,

    /// <summary>Segments are spaced in time: <see cref="TcbCold.PacedUntil"/>.</summary>
    Paced = 0x2000_0000,

    /// <summary>Something may go as soon as <see cref="TcbCold.PacedUntil"/> has come: the wheel says when.</summary>
    PacingWait = 0x4000_0000,

    /// <summary>Proportional rate reduction governs this recovery.</summary>
    ProportionalReduction = 0x20_0000,
}

/// <summary>Round-trip estimates (RFC 6298 §2). A zero Srtt means that there was no sample.</summary>
[StructLayout(LayoutKind.Sequential, Pack = 4)]
internal struct RttState
{
    /// <summary>Smoothed round-trip time in eighths of a microsecond.</summary>
    internal uint Srtt;

    /// <summary>Its variation in quarters of a microsecond.</summary>
    internal uint RttVar;

    /// <summary>The shortest round trip seen, in microseconds; 0 for none.</summary>
    internal uint MinRtt;

    /// <summary>A round trip ends when a record sent at or after this count of delivered bytes is delivered.</summary>
    internal uint RoundEnd;
}

/// <summary>The scoreboard's ends and sums, and where recovery stands.</summary>
[StructLayout(LayoutKind.Sequential, Pack = 4)]
internal struct RecoveryState
{
    /// <summary>First record: the one at Snd.Una.</summary>
    internal uint Head;

    /// <summary>Last record: it ends at Snd.Max.</summary>
    internal uint Tail;

    /// <summary>No record before this one is to be retransmitted by rule (1) or (3): the place of HighRxt.</summary>
    internal uint RtxNext;

    /// <summary>The SACKed record with the highest sequence numbers.</summary>
    internal uint TopSacked;

    /// <summary>RFC 6675 RecoveryPoint, RFC 6582 recover: Snd.Max when recovery began or the timer expired.</summary>
    internal SeqNumber RecoveryPoint;

    /// <summary>Bytes of records that are SACKed.</summary>
    internal uint SackedBytes;

    /// <summary>Bytes of records that are marked lost.</summary>
    internal uint LostBytes;

    /// <summary>Bytes whose retransmission counts as in flight.</summary>
    internal uint RetransmittedBytes;

    /// <summary>Bytes delivered to the peer so far, modulo 2³².</summary>
    internal uint Delivered;

    /// <summary>When <see cref="Delivered"/> last grew: a <see cref="TimeStamp32"/>.</summary>
    internal uint DeliveredAt;

    /// <summary>When the latest delivered record was sent: a <see cref="TimeStamp32"/>.</summary>
    internal uint FirstSentAt;

    /// <summary>Of the records in flight, the one sent longest ago.</summary>
    internal uint SentHead;

    /// <summary>The <see cref="RecoveryEpisode"/>, while there is something to recover from; a record of the same pool.</summary>
    internal uint Episode;

    internal RecoveryFlags Flags;

    /// <summary>RFC 8985 RACK.reo_wnd_mult less one.</summary>
    internal byte ReorderingSteps;

    /// <summary>RFC 8985 RACK.reo_wnd_persist.</summary>
    internal byte ReorderingPersist;

    /// <summary>How often RTO has been doubled (RFC 6298 §5.5).</summary>
    internal byte Backoff;

    private byte _phaseAndAlgorithm;

    internal RecoveryPhase Phase
    {
        readonly get => (RecoveryPhase)(_phaseAndAlgorithm & 3);
        set => _phaseAndAlgorithm = (byte)((_phaseAndAlgorithm & ~3) | (byte)value);
    }

    internal CongestionAlgorithm Algorithm
    {
        readonly get => (CongestionAlgorithm)((_phaseAndAlgorithm >> 2) & 7);
        set => _phaseAndAlgorithm = (byte)((_phaseAndAlgorithm & 0xE3) | ((byte)value << 2));
    }

    /// <summary>RFC 7661: more of the window than is used was not validated: it is the window of another time.</summary>
    internal bool IsNonValidated
    {
        readonly get => (_phaseAndAlgorithm & 0x40) != 0;
        set => _phaseAndAlgorithm = (byte)((_phaseAndAlgorithm & 0xBF) | (value ? 0x40 : 0));
    }

    /// <summary>RFC 7661: the settings ask for validation.</summary>
    internal bool ValidatesWindow
    {
        readonly get => (_phaseAndAlgorithm & 0x80) != 0;
        set => _phaseAndAlgorithm = (byte)((_phaseAndAlgorithm & 0x7F) | (value ? 0x80 : 0));
    }

    /// <summary>The sender has a <see cref="SenderHistory"/>.</summary>
    internal bool HasHistory
    {
        readonly get => (_phaseAndAlgorithm & 0x20) != 0;
        private set => _phaseAndAlgorithm = (byte)((_phaseAndAlgorithm & 0xDF) | (value ? 0x20 : 0));
    }

    // An index of 25 bits, of one or the other: a sender with a history judges by that how its window is used. Above it the mechanisms, and BeganIdle.
    private uint _validationOrHistory;

    private const int MechanismShift = 25;
    private const uint IndexMask = (1u << MechanismShift) - 1;
    private const uint Idle = 1u << 31;

    /// <summary>What is being sent began with nothing in flight, and its turn was over before all of it had gone.</summary>
    internal bool BeganIdle
    {
        readonly get => (_validationOrHistory & Idle) != 0;
        set => _validationOrHistory = value ? _validationOrHistory | Idle : _validationOrHistory & ~Idle;
    }

    /// <summary>Of <see cref="SenderMechanisms.OfTcb"/>, those that this sender has.</summary>
    internal SenderMechanisms Mechanisms
    {
        readonly get => (SenderMechanisms)(_validationOrHistory >> MechanismShift) & SenderMechanisms.OfTcb;
        set => _validationOrHistory = (_validationOrHistory & (IndexMask | Idle)) | ((uint)value << MechanismShift);
    }

    /// <summary>Whether this sender does that, which needs no history.</summary>
    internal readonly bool Does(SenderMechanisms mechanism) => (_validationOrHistory & ((uint)mechanism << MechanismShift)) != 0;

    /// <summary>The <see cref="ValidationState"/>, while there is something to validate; a record of the same pool.</summary>
    internal uint Validation
    {
        readonly get => HasHistory ? RecordPool.None : _validationOrHistory & IndexMask;
        set => _validationOrHistory = (_validationOrHistory & ~IndexMask) | value;
    }

    /// <summary>The <see cref="SenderHistory"/>, from the connection's beginning to its end, or none.</summary>
    internal uint History
    {
        readonly get => HasHistory ? _validationOrHistory & IndexMask : SenderHistory.None;
        set => (HasHistory, _validationOrHistory) = (value != SenderHistory.None, (_validationOrHistory & ~IndexMask) | value);
    }

    /// <summary>Until so many bytes are delivered, rate samples are limited by the application.</summary>
    internal uint AppLimitedUntil;
}
