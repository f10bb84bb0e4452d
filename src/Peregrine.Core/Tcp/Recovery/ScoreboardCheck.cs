// The scoreboard's invariants, walked over in full: for debug builds and tests, never for the packet path.
namespace Peregrine.Core.Tcp.Recovery;

internal static class ScoreboardCheck
{
    internal static bool Holds(RecordPool pool, in Tcb c, in TcbCold k)
    {
        ref readonly var r = ref k.Recovery;
        if (r.Head == RecordPool.None) return IsEmpty(c, r);
        var listed = 0;
        uint sacked = 0, lost = 0, again = 0, previous = RecordPool.None, top = RecordPool.None;
        var known = r.Episode == RecordPool.None ? RecordPool.None : pool.Episode(r.Episode).Hint;
        bool hint = known == RecordPool.None, next = r.RtxNext == RecordPool.None;
        var at = c.Snd.Una;
        var left = pool.Count;
        for (var index = r.Head; index != RecordPool.None; index = pool[index].Next)
        {
            ref var record = ref pool[index];
            if (--left < 0 || record.Seq != at || record.Length == 0 || record.Previous != previous) return false;
            if (record.IsSacked)
            {
                if (record.Has(RecordFlags.Lost | RecordFlags.InFlightAgain)) return false;
                // Adjacent SACKed records are merged.
                if (previous != RecordPool.None && pool[previous].IsSacked) return false;
                sacked += record.Length;
                top = index;
            }
            if (record.Has(RecordFlags.Lost)) lost += record.Length;
            var inFlight = !record.IsSacked && (!record.Has(RecordFlags.Lost) || record.Has(RecordFlags.InFlightAgain));
            if (inFlight != record.Has(RecordFlags.InSentList) && !record.Has(RecordFlags.Retransmitted)) return false;
            if (record.Has(RecordFlags.InSentList)) listed++;
            if (record.Has(RecordFlags.InFlightAgain)) again += record.Length;
            hint |= known == index;
            next |= r.RtxNext == index;
            at = record.End;
            previous = index;
        }
        return hint && next && at == c.Snd.Max && r.Tail == previous && r.TopSacked == top
            && r.SackedBytes == sacked && r.LostBytes == lost && r.RetransmittedBytes == again
            && sacked + lost <= LossRecovery.FlightSize(c) && IsSentListInOrder(pool, r, listed);
    }

    private static bool IsSentListInOrder(RecordPool pool, in RecoveryState r, int listed)
    {
        if (r.SentHead == RecordPool.None) return listed == 0;
        var index = r.SentHead;
        do
        {
            var next = pool[index].NextSent;
            if (--listed < 0 || !pool[index].Has(RecordFlags.InSentList) || pool[next].PreviousSent != index) return false;
            index = next;
        }
        while (index != r.SentHead);
        return listed == 0;
    }

    private static bool IsEmpty(in Tcb c, in RecoveryState r) =>
        c.Snd.Una == c.Snd.Max && (r.Tail | r.RtxNext | r.TopSacked | r.SentHead | r.SackedBytes | r.LostBytes | r.RetransmittedBytes) == 0;
}
