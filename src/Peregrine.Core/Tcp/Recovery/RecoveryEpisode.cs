// What is kept of a connection while something may be lost: from the first SACK, loss probe or time-out until all is acknowledged and
// nothing is left to be undone. It lies in a record of the pool, so that an idle connection carries none of it; where no record is free,
// recovery goes on without what this holds (RFC 6675's marking instead of RACK's, no undo, no proportional reduction).
using System.Runtime.InteropServices;
using Peregrine.Wire;

namespace Peregrine.Core.Tcp.Recovery;

/// <summary>The state of one recovery: as large as a <see cref="TransmissionRecord"/>.</summary>
[StructLayout(LayoutKind.Sequential, Pack = 4)]
internal struct RecoveryEpisode
{
    /// <summary>RFC 8985 RACK.xmit_ts: when the latest sent of the delivered segments was sent, a <see cref="TimeStamp32"/>.</summary>
    internal uint RackSentAt;

    /// <summary>RFC 8985 RACK.end_seq.</summary>
    internal SeqNumber RackEnd;

    /// <summary>RFC 8985 RACK.rtt, in units of 256 ns; 0 before the first delivery.</summary>
    internal uint RackRtt;

    /// <summary>Where the last search in the scoreboard ended.</summary>
    internal uint Hint;

    /// <summary>Cwnd, Ssthresh and CUBIC's Wmax before the reduction, with <see cref="RecoveryFlags.UndoPossible"/>.</summary>
    internal uint PriorCwnd;
    internal uint PriorSsthresh;
    internal uint PriorWmax;

    /// <summary>Bytes retransmitted since the reduction that no D-SACK has reported (RFC 3708 §3).</summary>
    internal uint UndoRetransmitted;

    /// <summary>Snd.Una at the reduction: D-SACKs of what lies before it do not count.</summary>
    internal SeqNumber UndoFrom;

    /// <summary>Our timestamp clock at the first retransmission since the reduction (RFC 3522 RetransmitTS); 0 for none.</summary>
    internal uint RetransmitStamp;

    /// <summary>RFC 9937 prr_delivered.</summary>
    internal uint PrrDelivered;

    /// <summary>RFC 9937 prr_out.</summary>
    internal uint PrrOut;

    /// <summary>RFC 9937 RecoverFS.</summary>
    internal uint RecoverFs;

    /// <summary>RFC 6675 RescueRxt, as the number after it: only without RACK.</summary>
    internal SeqNumber RescueRxt
    {
        readonly get => RackEnd;
        set => RackEnd = value;
    }

    /// <summary>RFC 8985 TLP.end_seq, with <see cref="RecoveryFlags.ProbeInFlight"/>: never in recovery, where PRR counts in its place.</summary>
    internal SeqNumber ProbeEnd
    {
        readonly get => new(PrrOut);
        set => PrrOut = value.Value;
    }
}
