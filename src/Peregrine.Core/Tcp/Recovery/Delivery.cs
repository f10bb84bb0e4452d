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
    internal LossTally Losses;
    internal uint DuplicateBytes;

    /// <summary>Duplicate ACKs that had been counted before this one moved on.</summary>
    internal byte CountedDuplicates;

    /// <summary>The duplicate's range, where <see cref="DuplicateBytes"/> is not zero.</summary>
    internal SeqNumber DuplicateEnd;

    /// <summary>Records found lost that had been sent again already.</summary>
    internal int LostRetransmissions;

    /// <summary>The peer has taken back what it had reported (<see cref="Reneging"/>).</summary>
    internal bool IsReneging;

    /// <summary>Steps that may still be spent on finding places in the scoreboard.</summary>
    internal int Budget;

    /// <summary>The latest sent of the records delivered.</summary>
    internal TransmissionRecord Latest;
    internal bool HasLatest;

    /// <summary>When the first record that was acknowledged cumulatively and never sent again had been sent.</summary>
    internal Instant OldestSentAt;
    internal bool HasOldest;

    /// <summary>Bytes of those that were sent more than once.</summary>
    internal uint RetransmittedBytes;

    /// <summary>When the first record that a SACK newly reported and that was never sent again had been sent.</summary>
    internal Instant OldestSackedAt;
    internal bool HasOldestSacked;

    /// <summary>Segments that had not been reported before.</summary>
    internal uint Segments;

    /// <summary>Segments that are acknowledged cumulatively, where duplicates are counted: also those that <see cref="CountedDuplicates"/> stood for.</summary>
    internal uint AckedSegments;

    /// <summary>There were more duplicates than segments that they can have stood for.</summary>
    internal bool IsOvertaken;

    /// <summary>Their size at most.</summary>
    internal uint Mss;

    /// <summary>Where the FIN ends, with <see cref="HasFin"/>.</summary>
    internal SeqNumber FinEnd;
    internal bool HasFin;

    /// <summary>Among the cumulatively acknowledged there was one sent more than once.</summary>
    internal bool AckedRetransmitted;

    /// <summary>Something that was sent once was delivered, and it lies before <see cref="OriginalLimit"/>.</summary>
    internal bool OriginalDelivered;

    /// <summary>RFC 8985 §6.2 step 3: something sent once was delivered that lies below what had been delivered before.</summary>
    internal bool Reordered;

    /// <summary>How far below, at most, in bytes.</summary>
    internal uint ReorderedDistance;

    /// <summary>When the ACK came.</summary>
    internal Instant Now;

    /// <summary>The shortest round trip known, for telling whose delivery an ACK reports.</summary>
    internal Duration RttMin;

    /// <summary>The echoed timestamp without our offset, in milliseconds, with <see cref="HasEcho"/>.</summary>
    internal uint EchoMs;
    internal bool HasEcho;

    /// <summary>RFC 8985 RACK.fack before this ACK, with <see cref="HasForward"/>.</summary>
    internal SeqNumber Forward;
    internal bool HasForward;

    /// <summary>RFC 5682: only what lies before this tells anything about a time-out.</summary>
    internal SeqNumber OriginalLimit;

    /// <summary>RFC 8985 §6.2 step 2: the latest sent of those that are surely delivered, with <see cref="HasRack"/>.</summary>
    internal Instant RackSentAt;
    internal SeqNumber RackEnd;
    internal bool HasRack;

    /// <summary>RFC 8985 §6.2 step 2: the last looked at of those, whose round trip RACK.rtt is: of the cumulatively acknowledged, where there are any.</summary>
    internal Instant RackLastSentAt;
    private bool _hasCumulativeRack;

    internal void Add(in TransmissionRecord record, uint bytes, bool isCumulative = false)
    {
        Bytes += bytes;
        // Whole ones: one that an ACK has cut counts when its end is reached.
        if (Mss != 0) Segments += SegmentsOf(record, record.Length) - SegmentsOf(record, record.Length - bytes);
        if (!isCumulative && !HasOldestSacked && !record.Has(RecordFlags.Retransmitted)) (OldestSackedAt, HasOldestSacked) = (record.SentAt, true);
        if (!record.Has(RecordFlags.Retransmitted))
        {
            var end = record.Seq + bytes;
            if (HasForward && end.IsBefore(Forward)) (Reordered, ReorderedDistance) = (true, Math.Max(ReorderedDistance, (uint)(Forward - record.Seq)));
            if (end.IsBeforeOrEqual(OriginalLimit)) OriginalDelivered = true;
            TakeRack(record, bytes, isCumulative);
        }
        else
        {
            RetransmittedBytes += bytes;
            if (IsSurelyDelivered(record, isCumulative)) TakeRack(record, bytes, isCumulative);
        }
        if (HasLatest && (record.SentAt < Latest.SentAt || (record.SentAt == Latest.SentAt && record.Seq.IsBefore(Latest.Seq)))) return;
        Latest = record;
        HasLatest = true;
    }

    // A FIN goes with the last bytes, and its segment has not arrived before it has.
    private readonly uint SegmentsOf(in TransmissionRecord record, uint length) =>
        HasFin && length > 1 && record.End == FinEnd ? SegmentCount.Of(length - 1, Mss) : SegmentCount.Of(length, Mss);

    internal void AddAcknowledged(in TransmissionRecord record, uint bytes)
    {
        Add(record, bytes, isCumulative: true);
        if (record.Has(RecordFlags.Retransmitted)) AckedRetransmitted = true;
        else if (!HasOldest) (OldestSentAt, HasOldest) = (record.SentAt, true);
    }

    // RFC 8985 §6.2 step 2: an ACK of what was sent twice may be the first copy's. The echoed timestamp tells, or an impossible round trip.
    // The echo is asked for cumulative ACKs only: a segment out of order, which a SACK reports, does not set it (RFC 7323 §4.3), and a
    // loss probe whose SACK were not believed would prove nothing.
    private readonly bool IsSurelyDelivered(in TransmissionRecord record, bool isCumulative) =>
        (!isCumulative || !HasEcho || (int)(EchoMs - record.SentAt.Milliseconds) >= 0) && Now - record.SentAt >= RttMin;

    private void TakeRack(in TransmissionRecord record, uint bytes, bool isCumulative)
    {
        if (isCumulative || !_hasCumulativeRack) (RackLastSentAt, _hasCumulativeRack) = (record.SentAt, isCumulative);
        var end = record.Seq + bytes;
        if (HasRack && (record.SentAt < RackSentAt || (record.SentAt == RackSentAt && !end.IsAfter(RackEnd)))) return;
        (RackSentAt, RackEnd, HasRack) = (record.SentAt, end, true);
    }
}
