// Segments for connections in TIME-WAIT, and the end of the wait. What to do is TimeWaitJudge's, a pure function; this does it.
using Peregrine.Core.Demux;
using Peregrine.Core.Ip;
using Peregrine.Core.Time;
using Peregrine.Wire;

namespace Peregrine.Core.Tcp;

internal sealed class TcpTimeWaitInput(TcpContext context, TcpReplies replies, TcpPassiveOpen passive)
{
    private readonly TcpContext _x = context;
    private readonly TcpReplies _replies = replies;
    private readonly TcpPassiveOpen _passive = passive;

    internal void OnSegment(uint index, ref SegmentArrival s, in ReceivedPacket packet, Instant now)
    {
        ref var record = ref _x.TimeWaits.Get(index);
        var verdict = Judge(record, s, now);
        if (verdict == TimeWaitVerdict.AcceptSyn && _x.Listeners.TryFind(_x.Demux, packet, s, out var listener))
        {
            // RFC 9293 MAY-2, SHLD-4 with RFC 6191: the old connection is certainly over. Without room it waits on, as it says from which number on the new one may begin.
            if (!_passive.HasRoom(listener))
            {
                _x.Counters.DroppedSynBacklogFull++;
                return;
            }
            var old = TakeOver(index);
            _passive.OnSyn(ref s, packet, listener, old, now);
            return;
        }
        if (verdict == TimeWaitVerdict.AcceptSyn && _x.Options.PlainTimeWait)
        {
            // The record has given way before anybody looks for a listener, and the SYN meets a closed port.
            Remove(index);
            _passive.OnSegment(ref s, packet, now);
            return;
        }
        _x.Counters.TimeWaitSegments++;
        if (record.Timestamps && s.Options.HasTimestamps && !s.IsRst && (int)(s.Options.TsVal - record.TsRecent) < 0) _x.Recovery.Counters.PAWSTimewait++;
        // RFC 9293 §3.10.7.4, second; RFC 5961 §3.2: only exactly in place.
        if (verdict == TimeWaitVerdict.IgnoreReset && !_x.Options.IgnoreTimeWaitResets && s.Seq == record.RcvNxt)
        {
            Remove(index);
            return;
        }
        if (verdict is not (TimeWaitVerdict.Ack or TimeWaitVerdict.AckAndRestart)) return;
        _replies.AckOf(record, _x.Authenticator?.OfTimeWait(index), now);
        if (verdict == TimeWaitVerdict.AckAndRestart) _x.TimeWaits.Restart(index, now);
    }

    private TimeWaitVerdict Judge(in TimeWaitRecord record, in SegmentArrival s, Instant now)
    {
        var segment = new TcpSegment { Seq = s.Seq, Ack = s.Ack, Flags = s.Flags, PayloadLength = s.PayloadLength, Options = s.Options };
        return _x.Options.PlainTimeWait ? TimeWaitJudge.JudgePlainly(record, segment) : TimeWaitJudge.Judge(record, segment, now);
    }

    /// <summary>Whether a segment opens a connection anew that waits here.</summary>
    internal bool IsReopenedBy(DemuxKind kind, uint index, in SegmentArrival s, Instant now) =>
        kind == DemuxKind.TimeWait && Judge(_x.TimeWaits.Get(index), s, now) == TimeWaitVerdict.AcceptSyn;

    /// <summary>
    /// Whether a connection of ours may take the tuple of one that waits here. What is still under way of the old one has an older timestamp than
    /// the new SYN's, so that the peer discards it (RFC 7323 §5), as RFC 6191 §2 argues for the other direction.
    /// </summary>
    internal bool MayReopen(DemuxKind kind, uint index, TcpSettings settings, Instant now) =>
        _x.Options.TimeWaitReuseMs != 0 && kind == DemuxKind.TimeWait && settings.Timestamps && _x.TimeWaits.Get(index).Timestamps &&
        _x.TimeWaits.WaitOf(index, now) >= Duration.FromMilliseconds(_x.Options.TimeWaitReuseMs);

    /// <summary>Removes a record for a new connection with its tuple, and says what was.</summary>
    internal TimeWaitRecord TakeOver(uint index)
    {
        var old = _x.TimeWaits.Get(index);
        Remove(index);
        _x.Counters.TimeWaitReused++;
        return old;
    }

    /// <summary>Removes records whose time is over: a turn's share.</summary>
    internal void FireTimers(Instant now)
    {
        for (var left = _x.Options.TimersPerTurnMax; left > 0 && _x.TimeWaits.TryExpire(now, out var index); left--) Remove(index);
    }

    private void Remove(uint index)
    {
        _x.Demux.Remove(_x.TimeWaits.Get(index).Hash, DemuxKind.TimeWait, index);
        _x.TimeWaits.Remove(index);
        _x.Authenticator?.OnTimeWaitEnded(index);
    }
}
