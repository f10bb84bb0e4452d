// What to do with a segment for a connection in TIME-WAIT: a pure function of record, segment and time (RFC 9293 §3.10.7.4 with RFC 6191,
// RFC 1337 and RFC 7323). It sends nothing and changes nothing; answering with an ACK passes the caller's limiter for such ACKs.
using Peregrine.Core.Time;
using Peregrine.Wire;

namespace Peregrine.Core.Tcp;

/// <summary>What to do with a segment in TIME-WAIT.</summary>
internal enum TimeWaitVerdict : byte
{
    /// <summary>Drop: in the window and without a use, such as a bare ACK or text after the peer's FIN.</summary>
    Drop,

    /// <summary>Drop: a reset does not end TIME-WAIT.</summary>
    IgnoreReset,

    /// <summary>Drop: a SYN that may be an old duplicate; the record stays.</summary>
    DropSyn,

    /// <summary>Drop: no timestamp on a connection that uses them.</summary>
    DropWithoutTimestamp,

    /// <summary>Answer with an ACK (an old duplicate, or what cannot be), and drop. To be limited by the caller.</summary>
    Ack,

    /// <summary>The peer sent its FIN again: answer with an ACK and start the wait again. To be limited by the caller.</summary>
    AckAndRestart,

    /// <summary>
    /// A new connection: remove the record and treat the SYN as a listener does, with an initial sequence number from
    /// <see cref="TimeWaitJudge.IssAfter"/>. Without a listener the record stays and nothing is sent, unless <see cref="StackOptions.PlainTimeWait"/>: then it goes, and a reset answers.
    /// </summary>
    AcceptSyn,
}

/// <summary>Judges segments that come in TIME-WAIT.</summary>
internal static class TimeWaitJudge
{
    /// <summary>What to do with <paramref name="segment"/>.</summary>
    /// <param name="record">The connection that was.</param>
    /// <param name="segment">The segment, its checksum verified.</param>
    /// <param name="now">The time.</param>
    /// <param name="timestampsAllowed">Whether a new connection from a SYN with timestamps would use them.</param>
    public static TimeWaitVerdict Judge(in TimeWaitRecord record, in TcpSegment segment, Instant now, bool timestampsAllowed = true)
    {
        // RFC 1337 §3, fix F1: ignore resets in TIME-WAIT, so that an old duplicate that makes the other end send one kills nothing.
        if (segment.Has(TcpFlags.Rst)) return TimeWaitVerdict.IgnoreReset;
        if (segment.Has(TcpFlags.Syn))
        {
            // RFC 9293 §3.10.7.4: a SYN that is no connection request gets a challenge ACK (RFC 5961 §4.2).
            if ((segment.Flags & (TcpFlags.Ack | TcpFlags.Fin)) != 0) return TimeWaitVerdict.Ack;
            return JudgeSyn(record, segment, now, timestampsAllowed);
        }
        // RFC 9293 §3.10.7.4, fifth: without the ACK bit, drop.
        if (!segment.Has(TcpFlags.Ack)) return TimeWaitVerdict.Drop;
        if (record.Timestamps)
        {
            // RFC 7323 §3.2: a segment without timestamps on a connection with them should be dropped silently.
            if (!segment.OptionsRef.HasTimestamps) return TimeWaitVerdict.DropWithoutTimestamp;
            // RFC 7323 §5.3 R1: an older timestamp is not acceptable: ACK and drop.
            if ((int)(segment.OptionsRef.TsVal - record.TsRecent) < 0) return TimeWaitVerdict.Ack;
        }
        // RFC 9293 §3.10.7.4, fifth and eighth: the peer's FIN again, which ends where the peer's last ended.
        if (segment.Has(TcpFlags.Fin) && segment.End == record.RcvNxt) return TimeWaitVerdict.AckAndRestart;
        // RFC 9293 §3.10.7.4, first: what is not acceptable is answered with an ACK.
        return IsAcceptable(record, segment) ? TimeWaitVerdict.Drop : TimeWaitVerdict.Ack;
    }

    /// <summary>As <see cref="StackOptions.PlainTimeWait"/> says.</summary>
    public static TimeWaitVerdict JudgePlainly(in TimeWaitRecord record, in TcpSegment segment)
    {
        if (segment.Has(TcpFlags.Rst)) return TimeWaitVerdict.IgnoreReset;
        // RFC 1122 §4.2.2.13: a SYN beyond the last sequence number of the connection before opens it anew.
        if (segment.Has(TcpFlags.Syn) && !segment.Has(TcpFlags.Ack)) return segment.Seq.IsAfter(record.RcvNxt) ? TimeWaitVerdict.AcceptSyn : TimeWaitVerdict.DropSyn;
        if (!segment.Has(TcpFlags.Ack)) return TimeWaitVerdict.Drop;
        if (segment.Has(TcpFlags.Fin) && segment.End == record.RcvNxt) return TimeWaitVerdict.AckAndRestart;
        var isDuplicate = segment.Flags == TcpFlags.Ack && segment.PayloadLength == 0 && segment.Seq == record.RcvNxt && segment.Ack == record.SndNxt;
        return isDuplicate ? TimeWaitVerdict.Drop : TimeWaitVerdict.Ack;
    }

    /// <summary>
    /// The initial sequence number of a connection that begins out of TIME-WAIT: the proposed one if that is beyond anything that the
    /// old connection's peer may still take for its own, else the first that is.
    /// </summary>
    // RFC 9293 §3.6.1 (1): larger than the largest that the previous incarnation used. 65,535 more are what its peer may have offered as
    // window without scaling, as Linux does it; a number further off than half the circle counts as smaller.
    public static SeqNumber IssAfter(in TimeWaitRecord record, SeqNumber proposed)
    {
        var floor = record.SndNxt + 65_535;
        return proposed.IsAfter(floor) ? proposed : floor + 2;
    }

    // RFC 6191 §2; RFC 9293 MAY-2, SHLD-4
    private static TimeWaitVerdict JudgeSyn(in TimeWaitRecord record, in TcpSegment segment, Instant now, bool timestampsAllowed)
    {
        // The wait is over and only the removal is late.
        if (record.Expires.IsDue(now)) return TimeWaitVerdict.AcceptSyn;
        // "The last sequence number seen" is the one of the peer's FIN, which is RCV.NXT - 1.
        var isNewer = segment.Seq.IsAfterOrEqual(record.RcvNxt);
        var timestamps = timestampsAllowed && segment.OptionsRef.HasTimestamps;
        bool accept;
        if (!timestamps)
        {
            accept = isNewer;
        }
        else if (!record.Timestamps)
        {
            accept = true;
        }
        else
        {
            var later = (int)(segment.OptionsRef.TsVal - record.TsRecent);
            accept = later > 0 || (later == 0 && isNewer);
        }
        return accept ? TimeWaitVerdict.AcceptSyn : TimeWaitVerdict.DropSyn;
    }

    // RFC 9293 §3.10.7.4, table 6.
    private static bool IsAcceptable(in TimeWaitRecord record, in TcpSegment segment)
    {
        if (record.RcvWnd == 0) return segment.Length == 0 && segment.Seq == record.RcvNxt;
        if (segment.Seq.IsInWindow(record.RcvNxt, record.RcvWnd)) return true;
        return segment.Length > 0 && (segment.End - 1u).IsInWindow(record.RcvNxt, record.RcvWnd);
    }
}
