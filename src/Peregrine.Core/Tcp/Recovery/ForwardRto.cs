// F-RTO (RFC 5682): after a time-out the first ACK that moves on is answered with new data instead of retransmissions, and the next one
// tells whether what was taken for lost had only been late. With SACK a single ACK may tell.
namespace Peregrine.Core.Tcp.Recovery;

internal static class ForwardRto
{
    private const RecoveryFlags Steps = RecoveryFlags.FrtoFirst | RecoveryFlags.FrtoSecond;

    /// <summary>RFC 5682 §2.1 step 1: the first segment goes again, and no other until an ACK comes. Not within another recovery; as Linux, when it times out again too.</summary>
    internal static void Begin(ref RecoveryState r, bool isNewRecovery, bool isRepeated)
    {
        r.Flags &= ~Steps;
        if (r.Does(SenderMechanisms.PacketWindow) ? isNewRecovery || isRepeated : isNewRecovery && !isRepeated) r.Flags |= RecoveryFlags.FrtoFirst;
    }

    /// <summary>Retransmissions wait.</summary>
    internal static bool IsWaiting(in RecoveryState r) => (r.Flags & RecoveryFlags.FrtoSecond) != 0;

    /// <summary>An ACK after the time-out that does not end recovery. True: the time-out was spurious.</summary>
    internal static bool OnAck(ref Tcb c, ref RecoveryState r, uint acked, uint sacked, bool isDuplicate, bool originalDelivered)
    {
        if ((r.Flags & Steps) == 0) return false;
        var isSack = (c.Flags & TcbFlags.Sack) != 0;
        var isSecond = (r.Flags & RecoveryFlags.FrtoSecond) != 0;
        // RFC 5682 §3.1 step 3b: with SACK, what was never sent again tells as soon as it is reported: it would have been before, had
        // it arrived before. RFC 5682 §2.1 step 3b: without, the second ACK that moves on.
        if (originalDelivered && (isSack || (isSecond && acked > 0))) return true;
        if (isSecond)
        {
            if (!isDuplicate && sacked == 0) return false;
            // RFC 5682 §2.1 step 3a, §3.1 step 3a: the loss was real: three segments, and slow start from there.
            r.Flags &= ~Steps;
            if (!r.Does(SenderMechanisms.PacketWindow)) c.Cwnd = 3u * c.Mss;
            return false;
        }
        // As Linux: a duplicate before new data have gone is of what was sent before the time-out, and tells nothing of it.
        if (acked == 0 && r.Does(SenderMechanisms.PacketWindow) && c.Snd.Max == r.RecoveryPoint) return false;
        // RFC 5682 §2.1 step 2a: a duplicate, or nothing new to send.
        r.Flags &= ~Steps;
        // RFC 5682 §2.1 step 2b.
        if (acked > 0 && RetransmissionChoice.HasNewData(c)) r.Flags |= RecoveryFlags.FrtoSecond;
        return false;
    }

    internal static void End(ref RecoveryState r) => r.Flags &= ~Steps;
}
