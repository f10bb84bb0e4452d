// What one ACK delivered, gathered while the scoreboard walks over the records concerned.
using Peregrine.Core.Time;
using Peregrine.Wire;

namespace Peregrine.Core.Tcp.Recovery;

internal struct Delivery
{
    /// <summary>Bytes that had not been reported before, by SACK or cumulatively.</summary>
    internal uint Bytes;
    internal uint SackedBytes;
    internal uint LostBytes;
    internal uint DuplicateBytes;

    /// <summary>Steps that may still be spent on finding places in the scoreboard.</summary>
    internal int Budget;

    /// <summary>The latest sent of the records delivered.</summary>
    internal TransmissionRecord Latest;
    internal bool HasLatest;

    /// <summary>When the first record that was acknowledged cumulatively and never sent again had been sent.</summary>
    internal Instant OldestSentAt;
    internal bool HasOldest;

    /// <summary>Among the cumulatively acknowledged there was one sent more than once.</summary>
    internal bool AckedRetransmitted;

    internal void Add(in TransmissionRecord record, uint bytes)
    {
        Bytes += bytes;
        if (HasLatest && (record.SentAt < Latest.SentAt || (record.SentAt == Latest.SentAt && record.Seq.IsBefore(Latest.Seq)))) return;
        Latest = record;
        HasLatest = true;
    }

    internal void AddAcknowledged(in TransmissionRecord record, uint bytes)
    {
        Add(record, bytes);
        if (record.Has(RecordFlags.Retransmitted)) AckedRetransmitted = true;
        else if (!HasOldest) (OldestSentAt, HasOldest) = (record.SentAt, true);
    }
}
