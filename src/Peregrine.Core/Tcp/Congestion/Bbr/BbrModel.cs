// BBR's state of one connection: its model of the path, and where its state machine stands. It lies in a record of a pool of its own,
// since a TCB has no room for so much that most connections never need.
using System.Runtime.InteropServices;
using Peregrine.Core.Time;
using Peregrine.Wire;

namespace Peregrine.Core.Tcp.Congestion.Bbr;

/// <summary>draft-ietf-ccwg-bbr §5.1: BBR.state.</summary>
internal enum BbrPhase : byte
{
    Startup,
    Drain,
    ProbeDown,
    ProbeCruise,
    ProbeRefill,
    ProbeUp,
    ProbeRtt,
}

/// <summary>What the ACKs that come in tell about bandwidth probing (BBR.ack_phase).</summary>
internal enum BbrAckPhase : byte
{
    Init,
    Refilling,
    ProbeStarting,
    ProbeFeedback,
    ProbeStopping,
}

[Flags]
internal enum BbrFlags : ushort
{
    None = 0,

    /// <summary>BBR.full_bw_reached.</summary>
    FullBwReached = 1,

    /// <summary>BBR.full_bw_now.</summary>
    FullBwNow = 2,

    /// <summary>BBR.round_start.</summary>
    RoundStart = 4,

    /// <summary>BBR.loss_round_start.</summary>
    LossRoundStart = 8,

    /// <summary>BBR.is_loss_in_round.</summary>
    LossInRound = 0x10,

    /// <summary>BBR.is_bw_probe_sample.</summary>
    BwProbeSample = 0x20,

    /// <summary>BBR.prev_probe_too_high.</summary>
    ProbeTooHigh = 0x40,

    /// <summary>BBR.prev_probe_precautionary.</summary>
    ProbePrecautionary = 0x80,

    /// <summary>BBR.idle_restart.</summary>
    IdleRestart = 0x100,

    /// <summary>BBR.probe_rtt_expired.</summary>
    ProbeRttExpired = 0x200,

    /// <summary>BBR.probe_rtt_round_done.</summary>
    ProbeRttRoundDone = 0x400,

    /// <summary>The first round trip has been measured, and the pacing rate follows from it.</summary>
    HasRtt = 0x800,

    /// <summary>BBR.undo_state is <see cref="BbrPhase.Startup"/>.</summary>
    UndoStartup = 0x1000,

    /// <summary>BBR.undo_state is <see cref="BbrPhase.ProbeUp"/>.</summary>
    UndoProbeUp = 0x2000,
}

/// <summary>One connection's model. Rates are bytes a second, volumes bytes, the draft's Infinity the largest number.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct BbrModel
{
    internal const uint NoLimit = uint.MaxValue;
    internal const ulong NoRateLimit = ulong.MaxValue;

    /// <summary>BBR.max_bw_filter: the most of this ProbeBW cycle, and of the one before.</summary>
    internal ulong CycleBw;
    internal ulong LastCycleBw;

    internal ulong Bw;
    internal ulong BwShortterm;
    internal ulong BwLatest;
    internal ulong FullBw;
    internal ulong PacingRate;
    internal ulong UndoBwShortterm;

    internal Instant MinRttStamp;
    internal Instant ProbeRttMinStamp;

    /// <summary>BBR.probe_rtt_done_stamp; zero while it is not set.</summary>
    internal Instant ProbeRttDoneStamp;
    internal Instant CycleStamp;
    internal Instant ExtraAckedStart;

    /// <summary>BBR.min_rtt in microseconds; <see cref="NoLimit"/> before the first sample.</summary>
    internal uint MinRtt;
    internal uint ProbeRttMinDelay;
    internal uint ProbeWaitMs;

    internal uint InflightLongterm;
    internal uint InflightShortterm;
    internal uint InflightLatest;
    internal uint UndoInflightLongterm;
    internal uint UndoInflightShortterm;
    internal uint PriorCwnd;
    internal uint InitialCwnd;
    internal uint MaxInflight;

    /// <summary>BBR.next_round_delivered, BBR.loss_round_delivered: counts of delivered bytes, modulo 2³².</summary>
    internal uint NextRoundDelivered;
    internal uint LossRoundDelivered;
    internal uint RoundCount;
    internal uint RoundsSinceProbeUp;
    internal uint DrainStartRound;

    internal uint ProbeUpAcked;
    internal uint ProbeUpAckedPerIncrement;

    internal BbrMaxFilter ExtraAcked;
    internal uint ExtraAckedDelivered;

    /// <summary>C.lost: bytes found lost in all, modulo 2³².</summary>
    internal uint Lost;

    /// <summary>Where the last range found lost ends, and how many ranges apart from each other this round has seen.</summary>
    internal SeqNumber LostEnd;
    internal uint LostRanges;

    /// <summary>What the next random choice is made from.</summary>
    internal ulong Seed;

    internal BbrFlags Flags;
    internal BbrPhase Phase;
    internal BbrAckPhase AckPhase;
    internal byte ProbeUpRounds;
    internal byte FullBwCount;

    /// <summary>BBR.max_bw.</summary>
    internal readonly ulong MaxBw => Math.Max(CycleBw, LastCycleBw);

    /// <summary>IsInAProbeBWState().</summary>
    internal readonly bool IsProbeBw => Phase is BbrPhase.ProbeDown or BbrPhase.ProbeCruise or BbrPhase.ProbeRefill or BbrPhase.ProbeUp;

    internal readonly bool Has(BbrFlags flags) => (Flags & flags) != 0;

    internal void Set(BbrFlags flags, bool isSet)
    {
        if (isSet) Flags |= flags;
        else Flags &= ~flags;
    }
}
