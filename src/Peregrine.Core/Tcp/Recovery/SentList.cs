// The records in flight in the order of their latest transmission, as a list through the pool: what RACK looks at from its old end, so
// that the work per ACK is paid for by the records that leave it (RFC 8985 §6.2 step 5). A record is in it while it counts as in flight:
// not SACKed, and not held to be lost unless it was sent again.
namespace Peregrine.Core.Tcp.Recovery;

internal static class SentList
{
    private const uint None = RecordPool.None;

    /// <summary>The record has just been sent: it goes to the young end, from wherever it was.</summary>
    internal static void Append(RecordPool pool, ref RecoveryState r, uint index)
    {
        ref var record = ref pool[index];
        if (record.Has(RecordFlags.InSentList)) Remove(pool, ref r, index);
        record.Flags |= RecordFlags.InSentList;
        (record.PreviousSent, record.NextSent) = (r.SentTail, None);
        if (r.SentTail == None) r.SentHead = index;
        else pool[r.SentTail].NextSent = index;
        r.SentTail = index;
    }

    /// <summary>A record that was cut in two: the rest was sent with its front.</summary>
    internal static void InsertAfter(RecordPool pool, ref RecoveryState r, uint place, uint index)
    {
        ref var front = ref pool[place];
        ref var rest = ref pool[index];
        (rest.PreviousSent, rest.NextSent) = (place, front.NextSent);
        if (front.NextSent == None) r.SentTail = index;
        else pool[front.NextSent].PreviousSent = index;
        front.NextSent = index;
    }

    /// <summary>A record whose loss was no loss: it was sent before all that is in flight and in front of it in the sequence.</summary>
    internal static void Prepend(RecordPool pool, ref RecoveryState r, uint index)
    {
        ref var record = ref pool[index];
        record.Flags |= RecordFlags.InSentList;
        (record.PreviousSent, record.NextSent) = (None, r.SentHead);
        if (r.SentHead == None) r.SentTail = index;
        else pool[r.SentHead].PreviousSent = index;
        r.SentHead = index;
    }

    internal static void Remove(RecordPool pool, ref RecoveryState r, uint index)
    {
        ref var record = ref pool[index];
        if (!record.Has(RecordFlags.InSentList)) return;
        record.Flags &= ~RecordFlags.InSentList;
        if (record.PreviousSent == None) r.SentHead = record.NextSent;
        else pool[record.PreviousSent].NextSent = record.NextSent;
        if (record.NextSent == None) r.SentTail = record.PreviousSent;
        else pool[record.NextSent].PreviousSent = record.PreviousSent;
        (record.PreviousSent, record.NextSent) = (None, None);
    }
}
