// Entry to and exit from fast recovery, and the window's inflation where there is no SACK (RFC 5681 §3.2, RFC 6582 §3.2, RFC 6675 §5).
using Peregrine.Wire;

namespace Peregrine.Core.Tcp.Recovery;

internal static class FastRecovery
{
    /// <summary>Ssthresh has been set: starts recovery, whose first act is to send the segment at Snd.Una again.</summary>
    internal static void Begin(ref Tcb c, ref RecoveryState r, in TransmissionRecord head, bool isSack, bool isRack, bool countsDuplicates)
    {
        // RFC 6675 §5 step 4.1, RFC 6582 §3.2 step 2.
        r.RecoveryPoint = c.Snd.Max;
        r.Phase = RecoveryPhase.Recovery;
        r.Flags &= ~RecoveryFlags.RescueOffered;
        r.Flags |= RecoveryFlags.RecoveryPointSet;
        // What the recovery before has sent again, beyond its recovery point, is in flight and counted: once is enough.
        // RACK may have found others lost than the first.
        if (isRack ? head.Has(RecordFlags.Lost) && !head.Has(RecordFlags.InFlightAgain) : !isSack || !head.Has(RecordFlags.InFlightAgain))
            r.Flags |= RecoveryFlags.RetransmitHead;
        r.RtxNext = r.Head;
        // RFC 6675 §5 step 4.2; RFC 5681 §3.2 step 3: three segments have left the network. Where duplicates are counted, the pipe has heard of them already.
        c.Cwnd = isSack || countsDuplicates ? c.Ssthresh : c.Ssthresh + (3u * c.Mss);
    }

    /// <summary>An ACK in recovery of a connection without SACK that does not reach the recovery point.</summary>
    internal static void OnAckWithoutSack(ref Tcb c, ref RecoveryState r, uint acked, bool isDuplicate)
    {
        if (acked > 0)
        {
            // RFC 6582 §3.2 step 3, partial ACK: the next hole goes out; the window deflates by what was acknowledged.
            var deflated = c.Cwnd > acked ? c.Cwnd - acked : 0;
            if (acked >= c.Mss) deflated += c.Mss;
            c.Cwnd = Math.Max(deflated, c.Mss);
            r.RtxNext = r.Head;
            r.Flags |= RecoveryFlags.RetransmitHead;
            return;
        }
        if (!isDuplicate) return;
        // RFC 5681 §3.2 step 4: a segment has left the network, but not more than there were: bogus duplicates inflate nothing.
        var limit = c.Ssthresh + Math.Max((uint)(r.RecoveryPoint - c.Snd.Una), 3u * c.Mss);
        c.Cwnd = Math.Max(c.Cwnd, Math.Min(c.Cwnd + c.Mss, limit));
    }

    /// <summary>An ACK reached the recovery point.</summary>
    internal static void End(ref Tcb c, bool isSack)
    {
        // RFC 6582 §3.2 step 3, full ACK, choice (1): no burst after deflation. With SACK cwnd has been ssthresh all the time.
        var flight = LossRecovery.FlightSize(c);
        if (!isSack) c.Cwnd = Math.Min(c.Ssthresh, Math.Max(flight, c.Mss) + c.Mss);
    }
}
