// Recovery without SACK as Linux has it (TcpSettings.CountedDuplicates): each duplicate ACK stands for a segment that has arrived, so that
// proportional rate reduction (RFC 9937) and the pipe work as they do with SACK. RFC 6582's recovery point holds: recovery ends above it.
using Peregrine.Wire;

namespace Peregrine.Core.Tcp.Recovery;

internal static class CountedDuplicates
{
    private const byte DupThresh = 3;

    /// <summary>Whether duplicates are counted so on this connection.</summary>
    internal static bool Are(in Tcb c, in TcbCold k) => k.Does(SenderMechanisms.CountedDuplicates) && (c.Flags & TcbFlags.Sack) == 0;

    /// <summary>What is in flight: without the segments that have arrived, and without the first while it waits to go again.</summary>
    internal static uint Pipe(in Tcb c, in TcbCold k, uint slack = 0)
    {
        var flight = LossRecovery.Pipe(c, k) + slack;
        return flight - Math.Min(flight, Arrived(c, k) + Lost(c, k));
    }

    /// <summary>Bytes of what has arrived.</summary>
    internal static uint Arrived(in Tcb c, in TcbCold k) => Are(c, k) ? (uint)c.DupAcks * c.Mss : 0;

    /// <summary>Bytes of what is lost and in no mark of the scoreboard: in fast recovery the first segment, also when it has gone again.</summary>
    internal static uint Lost(in Tcb c, in TcbCold k)
    {
        ref readonly var r = ref k.Recovery;
        var isLost = (r.Flags & RecoveryFlags.RetransmitHead) != 0 || (r.Phase == RecoveryPhase.Recovery && c.Snd.Una.IsBefore(r.RecoveryPoint));
        return isLost && r.LostBytes == 0 && Are(c, k) ? c.Mss : 0u;
    }

    /// <summary>Duplicates that begin recovery: three (RFC 5681 §3.2), until more or fewer were seen to come for what was only overtaken.</summary>
    internal static byte Threshold(in Tcb c, in TcbCold k) => Are(c, k) && k.Recovery.ReorderingSteps != 0 ? k.Recovery.ReorderingSteps : DupThresh;

    // Segments of which duplicates tell nothing: what is marked lost, and the first in any case.
    private static uint Holes(in RecoveryState r, uint mss) => Math.Max(SegmentCount.Of(r.LostBytes, mss), 1);

    /// <summary>One duplicate more, as long as there are segments that it can stand for: whether one is delivered.</summary>
    internal static bool Add(ref Tcb c, ref RecoveryState r, Scoreboard board, ref AckSample sample)
    {
        if (c.DupAcks == byte.MaxValue) return false;
        var enough = c.DupAcks + 1u + Holes(r, c.Mss);
        var inFlight = board.SegmentsFrom(r.Head, c.Mss, enough);
        if (inFlight < enough)
        {
            sample.IsOvertaken = true;
            Estimate(ref r, inFlight);
            return false;
        }
        c.DupAcks++;
        sample.DeliveredSegments++;
        return true;
    }

    // More duplicates than segments that can have arrived: as Linux, none was lost, all that was in flight has been overtaken by as much. Without SACK
    // there is no other use for this field (RFC 8985 needs it).
    private static void Estimate(ref RecoveryState r, uint segments) => r.ReorderingSteps = (byte)Math.Clamp(segments, 1, byte.MaxValue);

    /// <summary>Snd.Una has moved on: what that delivers which was not counted before, and which duplicates are left.</summary>
    internal static void OnProgress(ref Tcb c, ref RecoveryState r, Scoreboard board, ref Delivery d)
    {
        c.DupAcks = Left(c, d.Segments);
        d.AckedSegments = Math.Max(d.Segments, 1);
        d.Segments = Delivered(d.AckedSegments, d.CountedDuplicates);
        if (c.DupAcks == 0) return;
        var holes = Holes(r, c.Mss);
        var inFlight = board.SegmentsFrom(r.Head, c.Mss, c.DupAcks + holes);
        if (inFlight >= c.DupAcks + holes) return;
        c.DupAcks = (byte)(inFlight - Math.Min(inFlight, holes));
        d.IsOvertaken = true;
        Estimate(ref r, inFlight + d.AckedSegments);
    }

    /// <summary>Duplicates that are left after an ACK of so many segments: the first of them was the hole, the others are those that were counted.</summary>
    private static byte Left(in Tcb c, uint acked) => acked > c.DupAcks ? (byte)0 : (byte)(c.DupAcks - (Math.Max(acked, 1) - 1));

    // Segments that an ACK of so many delivers that were not counted before.
    private static uint Delivered(uint acked, uint countedBefore) => Math.Max(acked - Math.Min(acked, countedBefore), 1);

    /// <summary>
    /// An ACK during the repair after a time-out: a duplicate tells of new data that have arrived (RFC 5682 §2.1 step 2b), and makes room; not of what lies
    /// beyond the recovery point when that is acknowledged (RFC 6582 §4).
    /// </summary>
    internal static void OnAckAfterTimeout(ref Tcb c, ref RecoveryState r, Scoreboard board, ref AckSample sample, bool isDuplicate)
    {
        if (sample.AckedBytes > 0) c.DupAcks = 0;
        else if (isDuplicate && c.Snd.Una.IsBefore(r.RecoveryPoint) && c.Snd.Max.IsAfter(r.RecoveryPoint)) Add(ref c, ref r, board, ref sample);
    }

    /// <summary>An ACK in recovery, of so many segments, that does not end it.</summary>
    internal static void OnAck(ref Tcb c, ref TcbCold k, RecordPool pool, Scoreboard board, ref AckSample sample, in Delivery d, bool isDuplicate)
    {
        ref var r = ref k.Recovery;
        var acked = sample.AckedBytes > 0 ? d.AckedSegments : 0;
        var isHeld = c.Snd.Una == r.RecoveryPoint;
        var isNews = false;
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
            r.Flags |= RecoveryFlags.RetransmitHead;
        }
        else if (isDuplicate)
        {
            isNews = Add(ref c, ref r, board, ref sample);
        }
        // Without the reduction over a round trip the window is ssthresh all the time, and the pipe governs.
        if ((r.Flags & RecoveryFlags.ProportionalReduction) == 0) return;
        if (acked > 0) ProportionalRateReduction.OnAck(ref c, k, ref pool.Episode(r.Episode), d.Segments * c.Mss, isSafe: isHeld);
        else if (isNews) ProportionalRateReduction.OnAck(ref c, k, ref pool.Episode(r.Episode), c.Mss, isSafe: false);
    }
}
