// Proportional rate reduction (RFC 6937 §3, revised by RFC 9937): in fast recovery with SACK, what may be sent follows what is delivered, so that the
// window glides from where it was to ssthresh over a round trip instead of falling silent for half of one.
namespace Peregrine.Core.Tcp.Recovery;

internal static class ProportionalRateReduction
{
    /// <summary>RFC 9937 §6.1: recovery begins with this ACK. RecoverFS is what was in flight before it.</summary>
    internal static void Begin(in Tcb c, ref RecoveryState r, ref RecoveryEpisode e, uint acked, uint newlySacked)
    {
        r.Flags |= RecoveryFlags.ProportionalReduction;
        e.PrrDelivered = 0;
        e.PrrOut = 0;
        e.RecoverFs = Math.Max(LossRecovery.FlightSize(c) + acked + newlySacked - r.SackedBytes, 1);
    }

    /// <summary>RFC 9937 §6.2: an ACK in recovery: sets Cwnd to what is in flight and what may go now.</summary>
    internal static void OnAck(ref Tcb c, in TcbCold k, ref RecoveryEpisode e, uint delivered, bool isSafe)
    {
        e.PrrDelivered += delivered;
        var pipe = (c.Flags & TcbFlags.Sack) != 0 ? LossRecovery.Pipe(c, k) : CountedDuplicates.Pipe(c, k);
        long send;
        if (pipe > c.Ssthresh)
        {
            // CEIL(prr_delivered * ssthresh / RecoverFS) - prr_out.
            send = k.Does(SenderMechanisms.PacketWindow) ? (long)InSegments(c, e) : (long)((((ulong)e.PrrDelivered * c.Ssthresh) + e.RecoverFs - 1) / e.RecoverFs) - e.PrrOut;
        }
        else
        {
            // PRR-CRB: as much as was delivered; PRR-SSRB: one more where nothing further was lost.
            send = Math.Max((long)e.PrrDelivered - e.PrrOut, delivered);
            if (isSafe) send += c.Mss;
            send = Math.Min((long)c.Ssthresh - pipe, send);
        }
        // A fast retransmit goes in any case.
        if (e.PrrOut == 0 && send < c.Mss) send = c.Mss;
        c.Cwnd = (uint)Math.Clamp(pipe + Math.Max(send, 0), c.Mss, uint.MaxValue);
    }

    // The same in whole segments, as Linux counts.
    private static long InSegments(in Tcb c, in RecoveryEpisode e)
    {
        var (delivered, sent, whole, window) = ((long)SegmentCount.Of(e.PrrDelivered, c.Mss), (long)SegmentCount.Of(e.PrrOut, c.Mss), c.Ssthresh / c.Mss, Math.Max(e.RecoverFs / c.Mss, 1));
        return (((delivered * (long)whole) + window - 1) / window - sent) * c.Mss;
    }

    /// <summary>RFC 9937 §6.4: recovery ends at ssthresh, unless it was undone and there is none.</summary>
    internal static void End(ref Tcb c, ref RecoveryState r, bool keepsWindow)
    {
        r.Flags &= ~RecoveryFlags.ProportionalReduction;
        if (!keepsWindow) c.Cwnd = c.Ssthresh;
    }
}
