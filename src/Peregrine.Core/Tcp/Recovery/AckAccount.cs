// What an ACK's deliveries come to: the count of what was delivered and its rounds, a round-trip sample, and the sample of the delivery
// rate. It judges no loss.
using Peregrine.Core.Time;
using Peregrine.Wire;

namespace Peregrine.Core.Tcp.Recovery;

internal static class AckAccount
{
    /// <summary>Counts what was delivered; true when a round trip began with it.</summary>
    internal static bool EndRound(ref TcbCold k, in Delivery d)
    {
        if (d.HasLatest) return EndRound(ref k, d.Bytes, d.Latest.Delivered);
        k.Recovery.Delivered += d.Bytes;
        return false;
    }

    /// <summary>The same, of so many bytes the latest of which was sent when so many had been delivered.</summary>
    internal static bool EndRound(ref TcbCold k, uint bytes, uint deliveredWhenSent)
    {
        ref var r = ref k.Recovery;
        r.Delivered += bytes;
        if ((int)(deliveredWhenSent - k.Rtt.RoundEnd) < 0) return false;
        k.Rtt.RoundEnd = r.Delivered;
        r.Flags &= ~(RecoveryFlags.LimitedLastRound | RecoveryFlags.RttTaken | RecoveryFlags.DsackRound);
        if ((r.Flags & RecoveryFlags.LimitedThisRound) != 0) r.Flags |= RecoveryFlags.LimitedLastRound;
        r.Flags &= ~RecoveryFlags.LimitedThisRound;
        return true;
    }

    /// <summary>The round trip that the ACK tells, if it tells one.</summary>
    /// <param name="c">The connection.</param>
    /// <param name="k">Its cold part.</param>
    /// <param name="options">The segment's options.</param>
    /// <param name="d">What was delivered.</param>
    /// <param name="isProgress">Snd.Una has moved.</param>
    /// <param name="takesSacks">What was sent once and is reported by SACK gives one too.</param>
    /// <param name="now">Now.</param>
    /// <param name="sample">The round trip.</param>
    internal static bool TryRoundTrip(in Tcb c, in TcbCold k, in TcpOptions options, in Delivery d, bool isProgress, bool takesSacks, Instant now, out Duration sample)
    {
        sample = default;
        // RFC 9293 MUST-18: RFC 6298 §3, Karn: no sample when something acknowledged was sent more than once …
        if (isProgress && d.HasOldest && !d.AckedRetransmitted) sample = now - d.OldestSentAt;
        else if (takesSacks && d.HasOldestSacked) sample = now - d.OldestSackedAt;
        // … but for timestamps, which tell the copies apart. RFC 7323 §4.1: only from an ACK that moves Snd.Una.
        else return isProgress && d.AckedRetransmitted && TryTimestamp(c, options, now, out sample);
        return true;
    }

    /// <summary>Takes a round trip into the estimates.</summary>
    internal static void TakeRoundTrip(ref TcbCold k, Duration sample)
    {
        ref var r = ref k.Recovery;
        // RFC 6298 §5: a sample from data sent once ends the doubling.
        r.Backoff = 0;
        r.Flags &= ~RecoveryFlags.NoRttSinceProbe;
        // RFC 7323 §4.2: one sample a round trip goes into the averages, so that their gains mean what RFC 6298 chose them for.
        if ((r.Flags & RecoveryFlags.RttTaken) != 0 && k.Rtt.Srtt != 0)
        {
            RoundTrip.Note(ref k.Rtt, sample);
            return;
        }
        r.Flags |= RecoveryFlags.RttTaken;
        RoundTrip.Take(ref k.Rtt, sample);
    }

    /// <summary>RFC 7323 §4.1: the round trip by the echo of our timestamp.</summary>
    internal static bool TryTimestamp(in Tcb c, in TcpOptions options, Instant now, out Duration sample)
    {
        sample = default;
        if ((c.Flags & TcbFlags.Timestamps) == 0 || !options.HasTimestamps) return false;
        // Our timestamp clock counts milliseconds from the connection's offset; an echo from the future or of long ago is none.
        var ms = now.Milliseconds + c.TsOffset - options.TsEcr;
        if (ms > 600_000) return false;
        sample = Duration.FromMilliseconds(Math.Max(ms, 1));
        return true;
    }

    /// <summary>Whether the time-out counts from now with this ACK, which acknowledges nothing cumulatively.</summary>
    internal static bool RestartsTimer(in TcbCold k, in Delivery d, Scoreboard board)
    {
        ref readonly var r = ref k.Recovery;
        // As Linux: what a SACK reports has taken longer than the first segment has been out since it went again: that one has its full time yet.
        return d.HasOldestSacked && k.Does(SenderMechanisms.ProbeTimerStays) && r.Head != RecordPool.None && d.OldestSackedAt < board[r.Head].SentAt;
    }

    /// <summary>What the ACK says, for congestion control and rate estimation.</summary>
    internal static void MakeSample(ref RecoveryState r, in Delivery d, uint acked, uint inFlight, bool isRoundStart, Instant now, out AckSample sample)
    {
        sample = default;
        sample.Now = now;
        sample.AckedBytes = acked;
        sample.SackedBytes = d.SackedBytes;
        sample.ReorderedDistance = d.ReorderedDistance;
        sample.IsOvertaken = d.IsOvertaken;
        sample.LostBytes = d.LostBytes;
        sample.DuplicateBytes = d.DuplicateBytes;
        sample.DeliveredBytes = d.Bytes;
        sample.DeliveredSegments = d.Segments;
        sample.Delivered = r.Delivered;
        sample.PriorDelivered = r.Delivered;
        sample.InFlightBefore = inFlight;
        sample.IsRoundStart = isRoundStart;
        if (!d.HasLatest) return;
        var stamp = TimeStamp32.Of(now);
        sample.PriorDelivered = d.Latest.Delivered;
        sample.TxInFlight = d.Latest.TxInFlight;
        sample.PriorLost = d.Latest.Lost;
        sample.SendElapsed = TimeStamp32.Between(d.Latest.FirstSentAt, TimeStamp32.Of(d.Latest.SentAt));
        sample.AckElapsed = TimeStamp32.Between(d.Latest.DeliveredAt, stamp);
        sample.SinceLastDelivery = TimeStamp32.Between(r.DeliveredAt, stamp);
        sample.IsAppLimited = d.Latest.Has(RecordFlags.AppLimited);
        if (!d.Latest.Has(RecordFlags.Retransmitted)) sample.Rtt = now - d.Latest.SentAt;
        NoteDelivery(ref r, d.Latest.SentAt, now);
    }

    /// <summary>What rate samples of later transmissions start from: when the latest delivered was sent, and that it is delivered now.</summary>
    internal static void NoteDelivery(ref RecoveryState r, Instant sentAt, Instant now)
    {
        r.FirstSentAt = TimeStamp32.Of(sentAt);
        r.DeliveredAt = TimeStamp32.Of(now);
        if (r.AppLimitedUntil != 0 && (int)(r.Delivered - r.AppLimitedUntil) > 0) r.AppLimitedUntil = 0;
    }
}
