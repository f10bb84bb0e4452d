// Segments that answer at once and stand outside a connection's flow: resets, the ACK that closes into TIME-WAIT, ACKs of TIME-WAIT.
// Every reply to somebody whom we do not know passes one limiter, so that nobody can make us a reflector.
using Peregrine.Core.Ip;
using Peregrine.Core.Tcp.Authentication;
using Peregrine.Core.Time;
using Peregrine.Wire;

namespace Peregrine.Core.Tcp;

internal sealed class TcpReplies(TcpContext context, TcpSegmentWriter writer)
{
    private readonly TcpContext _x = context;
    private readonly TcpSegmentWriter _writer = writer;
    private readonly Dictionary<ushort, SegmentMarks> _bound = [];
    private Instant _tokensAt;
    private long _tokens = context.Options.TcpReplyBurst;

    /// <summary>RFC 9293 §3.10.7.1: the reset that answers a segment which belongs nowhere. Never to a reset.</summary>
    internal void ResetFor(in ReceivedPacket packet, in SegmentArrival s, Instant now, SegmentMarks? marks = null)
    {
        if (s.IsRst || !TryTake(now)) return;
        var signer = default(TcpAuthentication);
        if (_x.Authenticator is { } authenticator && !authenticator.MayReset(packet, s, out signer)) return;
        var plan = s.IsAck
            ? new SegmentPlan { Seq = s.Ack, Flags = TcpFlags.Rst }
            : new SegmentPlan { Seq = default, Ack = s.End, Flags = TcpFlags.Rst | TcpFlags.Ack };
        var path = default(FlowPath);
        // Back the way that it came, whatever the connection's is.
        if (_writer.TrySendBare(packet.Destination, s.LocalPort, packet.Source, s.RemotePort, plan, ref path, now, tunnelOf: packet.EncapsulationPort, signer: signer, marks: marks))
            _x.Counters.ResetsSent++;
    }

    /// <summary>How segments to a port without listener or connection are answered: as the socket says that has it, or null for as the stack does.</summary>
    internal void Mark(ushort port, TcpSettings? settings, TcpKeySet? keys)
    {
        // What is not signed with the keys is not answered at all.
        if (keys is not null) TcpKeyring.Enable(_x).Bind(port, keys);
        else _x.Authenticator?.Bind(port, null);
        if (settings is null) _bound.Remove(port);
        else _bound[port] = SegmentMarks.Of(settings);
    }

    /// <summary>What was said of a port.</summary>
    internal SegmentMarks? MarksOf(ushort port) => _bound.TryGetValue(port, out var marks) ? marks : null;

    /// <summary>A reset of a connection of ours, exactly in place: SND.NXT, so that it survives RFC 5961 at the peer.</summary>
    /// <param name="t">The connection.</param>
    /// <param name="now">Now.</param>
    /// <param name="isAnswer">It answers an ACK as one that belongs nowhere, which has its number (RFC 9293 §3.10.7.1).</param>
    internal void ResetOf(TcbRef t, Instant now, bool isAnswer = false)
    {
        ref var c = ref t.C;
        var plan = new SegmentPlan { Seq = c.Snd.Nxt, Ack = isAnswer ? default : c.Rcv.Nxt, Flags = isAnswer ? TcpFlags.Rst : TcpFlags.Rst | TcpFlags.Ack };
        // Nobody looks at it, but Linux's has it.
        if (!isAnswer && TrueSizeWindow.Is(_x, t)) plan.Window = TcpWindow.Advertise(_x, t);
        // RFC 7323 §3.2: a reset may have timestamps, and need not.
        if (!isAnswer && (c.Flags & TcbFlags.Timestamps) != 0 && _x.SettingsOf(t).ResetTimestamps) plan.Options.SetTimestamps(TcpContext.TimestampNow(c, now), c.TsRecent);
        if (!_writer.TrySendBare(c.Local, c.LocalPort, c.Remote, c.RemotePort, plan, ref c.Path, now, signer: _x.Authenticator?.Of(t), marks: SegmentMarks.Of(_x.SettingsOf(t)))) return;
        _x.Counters.ResetsSent++;
        t.K.SegmentsOut++;
        _x.Log?.OnSent(t, plan, 0, now);
    }

    /// <summary>The last ACK of a connection that is about to become a TIME-WAIT record.</summary>
    internal void AckOf(TcbRef t, Instant now)
    {
        ref var c = ref t.C;
        var plan = new SegmentPlan { Seq = c.Snd.Nxt, Ack = c.Rcv.Nxt, Flags = TcpFlags.Ack, Window = TcpWindow.Advertise(_x, t) };
        if ((c.Flags & TcbFlags.Timestamps) != 0) plan.Options.SetTimestamps(TcpContext.TimestampNow(c, now), c.TsRecent);
        if (!_writer.TrySendBare(c.Local, c.LocalPort, c.Remote, c.RemotePort, plan, ref c.Path, now, signer: _x.Authenticator?.Of(t), marks: SegmentMarks.Of(_x.SettingsOf(t)))) return;
        _x.Counters.AcksSent++;
        _x.Log?.OnSent(t, plan, 0, now);
    }

    /// <summary>An ACK from a TIME-WAIT record (RFC 9293 §3.10.7.4: the FIN again, or something out of place), limited.</summary>
    internal void AckOf(in TimeWaitRecord record, TcpAuthentication? signer, Instant now)
    {
        if (!TryTake(now))
        {
            _x.Recovery.Counters.TCPACKSkippedTimeWait++;
            return;
        }
        var plan = new SegmentPlan
        {
            Seq = record.SndNxt,
            Ack = record.RcvNxt,
            Flags = TcpFlags.Ack,
            Window = (ushort)Math.Min(record.RcvWnd >> record.RcvScale, ushort.MaxValue),
        };
        if (record.Timestamps) plan.Options.SetTimestamps(now.Milliseconds + record.TsOffset, record.TsRecent);
        var path = default(FlowPath);
        if (_writer.TrySendBare(record.Local, record.LocalPort, record.Remote, record.RemotePort, plan, ref path, now, signer: signer, marks: record.Marks)) _x.Counters.AcksSent++;
    }

    /// <summary>One token of the limiter for replies to strangers.</summary>
    internal bool TryTake(Instant now)
    {
        var rate = _x.Options.TcpRepliesPerSecond;
        var earned = (now - _tokensAt).Nanoseconds / (1_000_000_000 / rate);
        if (earned > 0)
        {
            _tokens = Math.Min(_x.Options.TcpReplyBurst, _tokens + earned);
            _tokensAt = now;
        }
        if (_tokens == 0)
        {
            _x.Counters.RepliesLimited++;
            return false;
        }
        _tokens--;
        return true;
    }
}
