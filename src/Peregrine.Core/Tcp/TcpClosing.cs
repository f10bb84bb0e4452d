// The application's end of a connection: closing the sending side, letting go of the handle, aborting, and the time limit on an abandoned
// FIN-WAIT-2. What the peer's segments do to a closing connection is in TcpInput.
using System.Net.Sockets;
using Peregrine.Core.Time;

namespace Peregrine.Core.Tcp;

internal static class TcpClosing
{
    /// <summary>RFC 9293 §3.10.4 CLOSE: no more will be sent; a FIN follows what is queued.</summary>
    internal static SocketError Shutdown(TcpContext x, TcbRef t)
    {
        ref var c = ref t.C;
        if ((c.Flags & TcbFlags.Finished) != 0) return SocketError.NotConnected;
        if ((c.Flags & TcbFlags.FinQueued) != 0) return SocketError.Success;
        switch (c.State)
        {
            case TcpState.SynSent:
                return SocketError.NotConnected;
            case TcpState.SynReceived:
                // RFC 9293 §3.10.4: queued until ESTABLISHED.
                break;
            case TcpState.Established:
                TcpStates.Move(ref c.State, TcpState.FinWait1);
                break;
            case TcpState.CloseWait:
                TcpStates.Move(ref c.State, TcpState.LastAck);
                break;
            default:
                return SocketError.NotConnected;
        }
        c.Flags |= TcbFlags.FinQueued;
        x.MarkReady(t);
        return SocketError.Success;
    }

    /// <summary>The application lets the handle go. What is queued is still delivered; unread data mean a reset, unless that is off.</summary>
    internal static void Close(TcpContext x, TcbRef t, TcpReplies replies, Instant now)
    {
        ref var c = ref t.C;
        c.Flags |= TcbFlags.Orphan;
        c.PendingEvents = TcpEvents.None;
        if ((c.Flags & TcbFlags.Finished) != 0)
        {
            x.Free(t);
            return;
        }
        if (c.State is TcpState.SynSent || (c.State is TcpState.SynReceived && (c.Flags & TcbFlags.ActiveOpen) != 0 && x.SettingsOf(t).ForgetsHalfOpen))
        {
            x.Finish(t, SocketError.OperationAborted);
            return;
        }
        if (c.ReceiveQueue.Length > 0 && !x.SettingsOf(t).ResetsUnread) x.ReceiveQueue.Release(ref c.ReceiveQueue);
        // RFC 9293 MAY-1, SHLD-3: closing with received data unread is no orderly end: the peer must not believe that they were taken.
        if (c.ReceiveQueue.Length > 0)
        {
            x.Recovery.Counters.TCPAbortOnClose++;
            replies.ResetOf(t, now);
            x.Finish(t, SocketError.ConnectionAborted);
            return;
        }
        RetryLimit.OnOrphaned(x, t, now);
        if ((c.Flags & TcbFlags.FinQueued) == 0) Shutdown(x, t);
        if (c.State == TcpState.FinWait2) StartFinWait2(x, t, replies, isAnswer: false, now);
    }

    /// <summary>RFC 9293 §3.10.5 ABORT: everything queued is dropped and the peer gets a reset.</summary>
    internal static void Abort(TcpContext x, TcbRef t, TcpReplies replies, Instant now)
    {
        ref var c = ref t.C;
        if ((c.Flags & TcbFlags.Finished) == 0)
        {
            if (c.State >= TcpState.Established) x.Recovery.Counters.TCPAbortOnData++;
            // RFC 9293 §3.10.5: a reset goes out only where the peer may still have use of the connection.
            if (c.State is TcpState.SynReceived or TcpState.Established or TcpState.FinWait1 or TcpState.FinWait2 or TcpState.CloseWait) replies.ResetOf(t, now);
            x.Finish(t, SocketError.ConnectionAborted);
        }
    }

    /// <summary>Nobody is left to receive: an abandoned FIN-WAIT-2 ends by a timer, for the peer may never close; or at once, by a reset.</summary>
    internal static void StartFinWait2(TcpContext x, TcbRef t, TcpReplies replies, bool isAnswer, Instant now)
    {
        if ((t.C.Flags & TcbFlags.Orphan) == 0) return;
        if (x.SettingsOf(t).FinWait2TimeoutMs < 0)
        {
            x.Recovery.Counters.TCPAbortOnData++;
            replies.ResetOf(t, now, isAnswer);
            x.Finish(t, SocketError.ConnectionAborted);
            return;
        }
        t.K.Keepalive = Deadline.At(now + x.SettingsOf(t).FinWait2Timeout);
        x.Arm(t, t.K.Keepalive);
    }
}
