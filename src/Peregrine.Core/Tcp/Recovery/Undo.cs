// What was taken from the window for a loss that was none is given back: by timestamps, when the first ACK after a retransmission echoes
// a time before it (RFC 3522, answered as RFC 4015 has it), and by D-SACK, when every retransmission was reported as received twice
// (RFC 3708 §3). F-RTO's verdict ends here as well. What "none" is for a time-out is ForwardRto's.
using Peregrine.Core.Time;
using Peregrine.Wire;

namespace Peregrine.Core.Tcp.Recovery;

internal static class Undo
{
    /// <summary>RFC 4015 §3.2 step 0: the window is about to be reduced.</summary>
    internal static void Begin(in Tcb c, in TcbCold k, ref RecoveryState r, ref RecoveryEpisode e)
    {
        e.PriorWmax = k.Congestion.Wmax;
        e.PriorCwnd = c.Cwnd;
        e.PriorSsthresh = c.Ssthresh;
        // A probe that is out may be reported as well.
        e.UndoRetransmitted = r.RetransmittedBytes + (HasRepeatedByProbe(r) ? c.Mss : 0u);
        e.UndoFrom = c.Snd.Una;
        e.RetransmitStamp = 0;
        r.Flags = (r.Flags | RecoveryFlags.UndoPossible) & ~RecoveryFlags.UndoAged;
    }

    /// <summary>A transmission during an episode: it counts against what proportional rate reduction allows, and may have to be undone.</summary>
    internal static void OnTransmit(in RecoveryState r, ref RecoveryEpisode e, uint length, uint mss, bool isRetransmission, Instant now)
    {
        // RFC 9937 §6.3; where the window is a number of packets, in whole ones.
        if ((r.Flags & RecoveryFlags.ProportionalReduction) != 0) e.PrrOut += r.Does(SenderMechanisms.PacketWindow) ? SegmentCount.Of(length, mss) * mss : length;
        if (isRetransmission && (r.Flags & RecoveryFlags.UndoPossible) != 0) OnRetransmit(ref e, length, now.Milliseconds);
    }

    /// <summary>RFC 3522 §3.2 step 2: remembers the timestamp of the first retransmission, and how much there was.</summary>
    private static void OnRetransmit(ref RecoveryEpisode e, uint length, uint timestamp)
    {
        e.UndoRetransmitted += length;
        if (e.RetransmitStamp == 0) e.RetransmitStamp = timestamp == 0 ? 1 : timestamp;
    }

    private static bool HasRepeatedByProbe(in RecoveryState r)
    {
        const RecoveryFlags probe = RecoveryFlags.ProbeInFlight | RecoveryFlags.ProbeIsRetransmission;
        return (r.Flags & probe) == probe;
    }

    /// <summary>RFC 3708 §3: a D-SACK accounts for a retransmission. Whether all of them are accounted for now.</summary>
    internal static bool OnDuplicate(ref RecoveryState r, ref RecoveryEpisode e, uint bytes, SeqNumber end)
    {
        // RFC 3708 §3 (A.4): nothing was sent again: the network has duplicated, and may again.
        if ((r.Flags & RecoveryFlags.UndoPossible) == 0)
        {
            if (!HasRepeatedByProbe(r)) r.Flags |= RecoveryFlags.PathDuplicates;
            return false;
        }
        if (e.RetransmitStamp == 0 || (r.Flags & RecoveryFlags.PathDuplicates) != 0) return false;
        // What had been acknowledged before belongs to an earlier reduction.
        if (!end.IsAfter(e.UndoFrom)) return false;
        e.UndoRetransmitted -= Math.Min(e.UndoRetransmitted, bytes);
        return e.UndoRetransmitted == 0;
    }

    /// <summary>RFC 3522 §3.2 steps 4 and 5: what is acknowledged had arrived before the retransmission was sent.</summary>
    internal static bool IsBeforeRetransmission(in RecoveryEpisode e, uint echo) =>
        e.RetransmitStamp != 0 && (int)(echo - e.RetransmitStamp) < 0;

    /// <summary>RFC 4015 §3.4: an echo of congestion says that the window was too large, whatever the losses were: nothing of it is given back.</summary>
    internal static void Forfeit(ref RecoveryEpisode e) => (e.PriorCwnd, e.PriorSsthresh) = (0, 0);

    /// <summary>Whether the window is to be given back.</summary>
    internal static bool GivesBack(in RecoveryEpisode e) => e.PriorCwnd != 0;

    /// <summary>RFC 4015 §3.4 step 9: gives back the window: never less than it is now.</summary>
    internal static void Restore(ref Tcb c, ref RecoveryState r, in RecoveryEpisode e)
    {
        // What is taken back was no reduction that new data would have to tell of.
        if (e.PriorSsthresh > c.Ssthresh) r.Flags &= ~RecoveryFlags.EcnReduced;
        c.Cwnd = Math.Max(c.Cwnd, e.PriorCwnd);
        c.Ssthresh = Math.Max(c.Ssthresh, e.PriorSsthresh);
        r.Flags &= ~(RecoveryFlags.UndoPossible | RecoveryFlags.ProportionalReduction | RecoveryFlags.RetransmitHead | RecoveryFlags.RecoveryPointSet);
    }
}
