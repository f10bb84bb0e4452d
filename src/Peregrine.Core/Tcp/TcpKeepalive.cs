// Keepalive probes (RFC 9293 §3.8.4): off unless asked for, and sent only when nothing has been received for the interval.
using System.Net.Sockets;
using Peregrine.Core.Time;

namespace Peregrine.Core.Tcp;

internal static class TcpKeepalive
{
    /// <summary>Arms the timer of a connection that has just been established or was just told to use keepalive.</summary>
    internal static void Start(TcpContext x, TcbRef t, Instant now)
    {
        // RFC 9293 MAY-5, MUST-24, MUST-25: per connection, default off.
        if ((t.C.Flags & TcbFlags.Keepalive) == 0) return;
        // RFC 9293 MUST-27, MUST-28: configurable, two hours or more by default.
        t.K.Keepalive = Deadline.At(now + Duration.FromSeconds(x.SettingsOf(t).KeepAliveTimeSeconds));
        x.Arm(t, t.K.Keepalive);
    }

    /// <summary>The settings of an open connection say something new: an idle time that is another counts from when the peer was last heard.</summary>
    internal static void OnSettings(TcpContext x, TcbRef t, bool hadKeepalive, Instant now)
    {
        if (!hadKeepalive) Start(x, t, now);
        // One that is being probed is waited for no longer because of them.
        if (!hadKeepalive || t.K.ProbesSent > 0 || (t.C.Flags & TcbFlags.Keepalive) == 0) return;
        t.K.Keepalive = Deadline.At(Instant.Max(now, t.K.LastReceived.ToInstant(now) + Duration.FromSeconds(x.SettingsOf(t).KeepAliveTimeSeconds)));
        x.Arm(t, t.K.Keepalive);
    }

    /// <summary>The timer has come: waits on, probes, or gives the connection up.</summary>
    internal static void OnTimer(TcpContext x, TcbRef t, TcpReplies replies, Instant now)
    {
        ref var k = ref t.K;
        var settings = x.SettingsOf(t);
        k.Keepalive = Deadline.None;
        if ((t.C.Flags & TcbFlags.Keepalive) == 0) return;
        var idle = now - k.LastReceived.ToInstant(now);
        var time = Duration.FromSeconds(settings.KeepAliveTimeSeconds);
        // RFC 9293 MUST-26: only when nothing was received within the interval; and data in flight are a probe of their own.
        if (idle < time || TcpContext.HasOutstanding(t.C))
        {
            var rest = idle < time ? time - idle : time;
            k.Keepalive = Deadline.At(now + rest);
            return;
        }
        // RFC 9293 MUST-29: one unanswered probe proves nothing.
        var isOver = RetryLimit.Is(settings) && RetryLimit.IsChosen(settings)
            ? k.ProbesSent > 0 && idle >= Duration.FromMilliseconds(settings.UserTimeoutMs)
            : k.ProbesSent >= settings.KeepAliveRetryCount;
        if (isOver)
        {
            replies.ResetOf(t, now);
            x.Finish(t, SocketError.TimedOut);
            return;
        }
        k.ProbesSent++;
        t.C.Flags |= TcbFlags.KeepaliveNow;
        x.MarkReady(t);
        k.Keepalive = Deadline.At(now + Duration.FromSeconds(settings.KeepAliveIntervalSeconds));
    }
}
