// Tail loss probe (RFC 8985 §7): when ACKs stay out for two round trips, one segment goes that makes the receiver speak, so that a loss
// at a flight's end costs no time-out. Says when, and what an ACK of the probe means; the segment is the output's to send.
using Peregrine.Core.Time;
using Peregrine.Wire;

namespace Peregrine.Core.Tcp.Recovery;

internal static class TailLossProbe
{
    /// <summary>What the ACK of a probe said.</summary>
    internal enum Outcome
    {
        /// <summary>Nothing, or there is no probe.</summary>
        None,

        /// <summary>The probe was not needed, or was new data.</summary>
        Done,

        /// <summary>The probe repaired a loss, which congestion control has to hear of.</summary>
        Repaired,
    }

    // A probe is out, or no round trip was measured since the last one.
    private const RecoveryFlags Waits = RecoveryFlags.ProbeInFlight | RecoveryFlags.NoRttSinceProbe;

    /// <summary>
    /// RFC 8985 §7.2: whether a probe may be scheduled: not in recovery. Linux's timer runs though a probe is out, but not in disorder; when it comes, the time-out
    /// counts from when the first segment was sent.
    /// </summary>
    internal static bool MaySchedule(in Tcb c, in RecoveryState r) =>
        IsPossible(c, r) && (r.Does(SenderMechanisms.ProbeTimerStays) ? r.Phase <= RecoveryPhase.Open : r.Phase <= RecoveryPhase.Disorder && (r.Flags & Waits) == 0);

    /// <summary>RFC 8985 §7.3: whether a probe may be sent: one at a time, and after another only with a round trip in between, which Linux does not ask for.</summary>
    internal static bool MaySend(in Tcb c, in RecoveryState r) =>
        IsPossible(c, r) && r.Phase <= RecoveryPhase.Disorder && (r.Flags & (r.Does(SenderMechanisms.ProbeTimerStays) ? RecoveryFlags.ProbeInFlight : Waits)) == 0;

    // SACK in use, something in flight, and nothing of it SACKed.
    private static bool IsPossible(in Tcb c, in RecoveryState r) =>
        (c.Flags & TcbFlags.Sack) != 0 && r.SackedBytes == 0 && r.Head != RecordPool.None && (r.Flags & RecoveryFlags.Established) != 0;

    /// <summary>The last segment has come to lie beyond a window that shrank, and nothing new may go: as Linux, the time-out's turn, which repeats the first.</summary>
    internal static bool IsBeyondWindow(in Tcb c, in TcbCold k, in TransmissionRecord last)
    {
        if (!k.Does(SenderMechanisms.WindowToEdge)) return false;
        var start = last.End - (((last.Length - 1) % c.Mss) + 1);
        return start != c.Snd.Una && !start.IsBefore(c.Snd.Una + c.Snd.Wnd);
    }

    /// <summary>RFC 8985 §7.2 TLP_calc_PTO, without its bound by the retransmission timer, which is the caller's.</summary>
    internal static Duration Timeout(in Tcb c, in TcbCold k, RecoverySettings settings)
    {
        if (k.Rtt.Srtt == 0) return settings.RtoInitial;
        var timeout = Duration.FromMicroseconds(2 * (long)(k.Rtt.Srtt >> 3));
        // The receiver may hold the ACK of a single segment back; of more it may not, but timers need a little time themselves.
        return timeout + (LossRecovery.FlightSize(c) <= c.Mss && (!k.Does(SenderMechanisms.ProbeTimerStays) || k.Recovery.Head == k.Recovery.Tail) ? settings.ProbeAckDelayMax : settings.ProbeMargin);
    }

    /// <summary>RFC 8985 §7.3: whether the probe may go that the timer asks for; it is then remembered until it is acknowledged.</summary>
    internal static void OnSent(in Tcb c, ref RecoveryState r, ref RecoveryEpisode e, bool isRetransmission)
    {
        e.ProbeEnd = c.Snd.Max;
        r.Flags |= RecoveryFlags.ProbeInFlight | RecoveryFlags.NoRttSinceProbe;
        if (isRetransmission) r.Flags |= RecoveryFlags.ProbeIsRetransmission;
        else r.Flags &= ~RecoveryFlags.ProbeIsRetransmission;
    }

    /// <summary>RFC 8985 §7.4.2: a duplicate ACK at the probe's end: both copies came.</summary>
    internal static void OnIdleDuplicate(ref RecoveryState r) => r.Flags &= ~(RecoveryFlags.ProbeInFlight | RecoveryFlags.ProbeIsRetransmission);

    /// <summary>RFC 8985 §7.4.2 TLP_process_ack.</summary>
    internal static Outcome OnAck(in Tcb c, ref RecoveryState r, in RecoveryEpisode e, in Delivery d, bool isBareDuplicate)
    {
        if ((r.Flags & RecoveryFlags.ProbeInFlight) == 0 || c.Snd.Una.IsBefore(e.ProbeEnd)) return Outcome.None;
        var outcome = Outcome.Done;
        if ((r.Flags & RecoveryFlags.ProbeIsRetransmission) != 0 && !(d.DuplicateBytes > 0 && d.DuplicateEnd == e.ProbeEnd))
        {
            if (c.Snd.Una.IsAfter(e.ProbeEnd)) outcome = Outcome.Repaired;
            // At exactly the probe's end: a second ACK would say that both copies came.
            else if (!isBareDuplicate) return Outcome.None;
        }
        r.Flags &= ~(RecoveryFlags.ProbeInFlight | RecoveryFlags.ProbeIsRetransmission);
        return outcome;
    }
}
