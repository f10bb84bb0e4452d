// The ACK of the only record in flight while nothing looks lost and the window is not what limits: most ACKs of a connection that asks and
// answers. What LossRecovery.OnAck comes to then, without what it gathers for losses, SACKs and growth; it changes nothing that OnAck would
// not, and refuses by saying "not me". A test plays both ways.
using Peregrine.Core.Tcp.Congestion;
using Peregrine.Core.Time;
using Peregrine.Wire;

namespace Peregrine.Core.Tcp.Recovery;

internal sealed class LoneAck(RecordPool pool)
{
    private const RecoveryFlags Limited = RecoveryFlags.LimitedThisRound | RecoveryFlags.LimitedLastRound;

    private const RecordFlags Unusual =
        RecordFlags.Sacked | RecordFlags.Lost | RecordFlags.InFlightAgain | RecordFlags.Retransmitted | RecordFlags.PartlyRetransmitted | RecordFlags.MtuLost;

    /// <summary>Whether it is taken. Tests turn it off to see that both ways do the same.</summary>
    internal bool IsOn { get; set; } = true;

    /// <summary>Takes an ACK of Snd.Max without SACK blocks; false, and nothing done, when it is more than this.</summary>
    internal bool TryTake(ref Tcb c, ref TcbCold k, Instant now)
    {
        ref var r = ref k.Recovery;
        var index = r.Head;
        if (!IsOn || index == RecordPool.None || index != r.Tail || r.Episode != RecordPool.None || r.Phase != RecoveryPhase.Open) return false;
        if (CongestionControl.OwnsWindow(r.Algorithm) || r.ValidatesWindow || k.HasHistory) return false;
        ref var record = ref pool[index];
        // RFC 7661 §1, RFC 9438 §5.8: with this the window would not grow, whichever the congestion control.
        if ((record.Flags & Unusual) != 0 || (r.Flags & (Limited | RecoveryFlags.Established)) != RecoveryFlags.Established) return false;
        var acked = LossRecovery.FlightSize(c);
        if (record.Length != acked || (c.Cwnd < c.Ssthresh && c.Cwnd / 2 < acked)) return false;

        var (sentAt, delivered) = (record.SentAt, record.Delivered);
        pool.Return(index);
        r.Head = r.Tail = r.RtxNext = r.SentHead = RecordPool.None;
        c.Snd.Una = c.Snd.Max;
        c.DupAcks = 0;
        r.Flags &= ~RecoveryFlags.TimedOut;
        AckAccount.EndRound(ref k, acked, delivered);
        AckAccount.TakeRoundTrip(ref k, now - sentAt);
        AckAccount.NoteDelivery(ref r, sentAt, now);
        if ((r.Flags & RecoveryFlags.RecoveryPointSet) != 0 && c.Snd.Una.IsAfter(r.RecoveryPoint)) r.Flags &= ~RecoveryFlags.RecoveryPointSet;
        return true;
    }
}
