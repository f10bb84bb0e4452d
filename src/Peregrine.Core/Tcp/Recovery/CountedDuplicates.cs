// Recovery without SACK as Linux has it (TcpSettings.CountedDuplicates): each duplicate ACK stands for a segment that has arrived, so that
// proportional rate reduction (RFC 9937) and the pipe work as they do with SACK. RFC 6582's recovery point holds: recovery ends above it.
using Peregrine.Wire;

namespace Peregrine.Core.Tcp.Recovery;

internal static class CountedDuplicates
{
    /// <summary>Whether duplicates are counted so on this connection.</summary>
    internal static bool Are(in Tcb c, in TcbCold k) => k.Does(SenderMechanisms.CountedDuplicates) && (c.Flags & TcbFlags.Sack) == 0;

    /// <summary>What is in flight: without the segments that have arrived, and without the first while it waits to go again.</summary>
    internal static uint Pipe(in Tcb c, in TcbCold k)
    {
        var flight = LossRecovery.Pipe(c, k);
        var arrived = (uint)c.DupAcks * c.Mss + ((k.Recovery.Flags & RecoveryFlags.RetransmitHead) != 0 ? c.Mss : 0u);
        return flight - Math.Min(flight, arrived);
    }

    /// <summary>One duplicate more, as long as there are segments that it can stand for.</summary>
    internal static void Add(ref Tcb c, in RecoveryState r, Scoreboard board)
    {
        var enough = c.DupAcks + 2u;
        if (c.DupAcks < byte.MaxValue && board.SegmentsFrom(r.Head, c.Mss, enough) >= enough) c.DupAcks++;
    }

    /// <summary>Duplicates that are left after an ACK of so many segments: the first of them was the hole, the others are those that were counted.</summary>
    internal static byte Left(in Tcb c, uint acked) => acked > c.DupAcks ? (byte)0 : (byte)(c.DupAcks - (Math.Max(acked, 1) - 1));

    // What an ACK of so many segments delivers that was not counted before.
    private static uint Delivered(in Tcb c, uint acked, uint countedBefore) => Math.Max(acked - Math.Min(acked, countedBefore), 1) * c.Mss;

    /// <summary>An ACK during the repair after a time-out: a duplicate tells of new data that have arrived (RFC 5682 §2.1 step 2b), and makes room.</summary>
    internal static void OnAckAfterTimeout(ref Tcb c, in RecoveryState r, Scoreboard board, uint acked, bool isDuplicate)
    {
        if (acked > 0) c.DupAcks = 0;
        else if (isDuplicate && c.Snd.Max.IsAfter(r.RecoveryPoint)) Add(ref c, r, board);
    }

    /// <summary>An ACK in recovery, of so many segments, that does not end it.</summary>
    internal static void OnAck(ref Tcb c, ref TcbCold k, RecordPool pool, Scoreboard board, uint acked, uint countedBefore, bool isDuplicate)
    {
        ref var r = ref k.Recovery;
        var isHeld = c.Snd.Una == r.RecoveryPoint;
        if (isHeld)
        {
            // RFC 6582 §3.2 step 2: what lies beyond is for the next recovery.
            c.DupAcks = 0;
            r.Flags &= ~RecoveryFlags.RetransmitHead;
        }
        else if (acked > 0)
        {
            // RFC 6582 §3.2 step 3, partial ACK: the next hole.
            r.RtxNext = r.Head;
            r.Flags |= RecoveryFlags.RetransmitHead | RecoveryFlags.PartialAckSeen;
        }
        else if (isDuplicate)
        {
            Add(ref c, r, board);
        }
        // Without the reduction over a round trip the window is ssthresh all the time, and the pipe governs.
        if ((r.Flags & RecoveryFlags.ProportionalReduction) == 0) return;
        if (acked > 0) ProportionalRateReduction.OnAck(ref c, k, ref pool.Episode(r.Episode), Delivered(c, acked, countedBefore), isSafe: isHeld);
        else if (isDuplicate && !isHeld) ProportionalRateReduction.OnAck(ref c, k, ref pool.Episode(r.Episode), c.Mss, isSafe: false);
    }
}
