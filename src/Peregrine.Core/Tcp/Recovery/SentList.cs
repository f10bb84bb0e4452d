// The records in flight in the order of their latest transmission, as a ring through the pool: what RACK looks at from its old end, so
// that the work per ACK is paid for by the records that leave it (RFC 8985 §6.2 step 5). A record is in it while it counts as in flight:
// not SACKed, and not held to be lost unless it was sent again.
namespace Peregrine.Core.Tcp.Recovery;

internal static class SentList
{
    private const uint None = RecordPool.None;

    /// <summary>The record has just been sent: it goes to the young end, from wherever it was.</summary>
    internal static void Append(RecordPool pool, ref RecoveryState r, uint index)
    {
        if (pool[index].Has(RecordFlags.InSentList)) Remove(pool, ref r, index);
        Insert(pool, ref r, index);
    }

    /// <summary>A record whose loss was no loss: it was sent before all that is in flight and in front of it in the sequence.</summary>
    internal static void Prepend(RecordPool pool, ref RecoveryState r, uint index)
    {
        Insert(pool, ref r, index);
        r.SentHead = index;
    }

    /// <summary>A record that was cut in two: the rest was sent with its front.</summary>
    internal static void InsertAfter(RecordPool pool, uint place, uint index)
    {
        ref var front = ref pool[place];
        ref var rest = ref pool[index];
        (rest.PreviousSent, rest.NextSent) = (place, front.NextSent);
        pool[front.NextSent].PreviousSent = index;
        front.NextSent = index;
    }

    internal static void Remove(RecordPool pool, ref RecoveryState r, uint index)
    {
        ref var record = ref pool[index];
        if (!record.Has(RecordFlags.InSentList)) return;
        record.Flags &= ~RecordFlags.InSentList;
        if (r.SentHead == index) r.SentHead = record.NextSent == index ? None : record.NextSent;
        pool[record.PreviousSent].NextSent = record.NextSent;
        pool[record.NextSent].PreviousSent = record.PreviousSent;
        (record.PreviousSent, record.NextSent) = (None, None);
    }

    // Before the head, which is behind the youngest.
    private static void Insert(RecordPool pool, ref RecoveryState r, uint index)
    {
        ref var record = ref pool[index];
        record.Flags |= RecordFlags.InSentList;
        if (r.SentHead == None)
        {
            (r.SentHead, record.PreviousSent, record.NextSent) = (index, index, index);
            return;
        }
        ref var head = ref pool[r.SentHead];
        (record.PreviousSent, record.NextSent) = (head.PreviousSent, r.SentHead);
        pool[head.PreviousSent].NextSent = index;
        head.PreviousSent = index;
    }
}
