// What a sender remembers beyond its TCB where it is to behave as Linux's to the packet: how far round trips vary, how much of the window was
// used, CUBIC's counters of packets, and where the application's messages end. In a pool of its own, so that an idle connection of a stack
// that does not ask for it pays nothing (StackOptions.SenderHistoryCountMax).
using System.Runtime.InteropServices;
using Peregrine.Wire;

namespace Peregrine.Core.Tcp.Recovery;

/// <summary>The memory of one sender.</summary>
[StructLayout(LayoutKind.Sequential, Pack = 4)]
internal struct SenderHistory
{
    internal const uint None = 0;

    /// <summary>Smoothed deviation of the round trip (RFC 6298 §2's RTTVAR before a window's maximum is taken), in quarters of a microsecond.</summary>
    internal uint Deviation;

    /// <summary>The largest <see cref="Deviation"/> of this window of data.</summary>
    internal uint DeviationMax;

    /// <summary>The window of data ends when this is acknowledged.</summary>
    internal SeqNumber DeviationEnd;

    /// <summary>The most bytes that were in flight at once in the window of data that ends at <see cref="UseEnd"/>.</summary>
    internal uint FlightMax;
    internal SeqNumber UseEnd;

    internal PacketCubicState Cubic;

    internal MessageMarkState Marks;

    /// <summary>Segments of data sent, as far as pacing counts them.</summary>
    internal uint DataSegments;

    /// <summary>When something was sent last (<see cref="TimeStamp32"/>).</summary>
    internal uint LastSentAt;
    internal SenderHistoryFlags Flags;

    /// <summary>Of <see cref="SenderMechanisms.OfHistory"/>, those that this sender has.</summary>
    internal SenderMechanisms Mechanisms;

    internal ReceiverMemory Receiver;
}

[Flags]
internal enum SenderHistoryFlags : ushort
{
    None = 0,

    /// <summary>The congestion window was what limited in this window of data.</summary>
    WindowLimited = 1,

    /// <summary>What may go waits for an ACK or a write (<see cref="Recovery.Gathering"/>).</summary>
    Gathering = 2,

    /// <summary>Segments were overtaken by more than three.</summary>
    Reordered = 4,
}

/// <summary>CUBIC's numbers where it counts packets and milliseconds.</summary>
[StructLayout(LayoutKind.Sequential, Pack = 4)]
internal struct PacketCubicState
{
    /// <summary>Packets to be acknowledged for each by which the window grows.</summary>
    internal uint Count;

    /// <summary>Packets acknowledged towards the next.</summary>
    internal uint Credit;

    /// <summary>Wmax in packets, perhaps lowered by fast convergence; 0 for none.</summary>
    internal uint LastMax;
    internal uint LastCwnd;
    internal uint LastMs;
    internal uint Origin;

    /// <summary>K in units of 2⁻¹⁰ s.</summary>
    internal uint K;
    internal uint DelayMinUs;

    /// <summary>0: the epoch has not begun.</summary>
    internal uint EpochStartMs;
    internal uint AckCount;

    /// <summary>The window that Reno would have.</summary>
    internal uint RenoCwnd;

    /// <summary>Of the round of slow start: when it began, when its last ACK of a train came, where it ends, its shortest round trip, and the samples.</summary>
    internal uint RoundStartUs;
    internal uint LastAckUs;
    internal SeqNumber RoundEnd;
    internal uint RoundRttUs;
    internal byte SampleCount;
    internal bool IsFound;
}
