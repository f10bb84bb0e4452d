// How long ACKs wait where that is to be Linux's to the packet (TcpSettings.PacketReceiver): the delay follows the pace at which data come, the first
// segments and those after a disturbance are acknowledged at once, and an application that reads all that there is has small segments acknowledged
// with it. RFC 9293 MUST-40 and SHLD-18 leave this open up to half a second.
using Peregrine.Core.Time;

namespace Peregrine.Core.Tcp;

internal static class AdaptiveAcks
{
    /// <summary>Linux's least delay.</summary>
    private const int DelayMinMs = 40;

    /// <summary>Its largest.</summary>
    private const int DelayMaxMs = 200;

    /// <summary>Segments that are acknowledged at once at most.</summary>
    private const uint QuickMax = 16;

    /// <summary>What the options of a segment may take from its text.</summary>
    private const int OptionsMax = 40;

    /// <summary>The connection's memory as a receiver; there is one where <see cref="Is"/> says so.</summary>
    internal static ref ReceiverMemory Of(TcpContext x, TcbRef t) => ref x.Recovery.Memory.Of(t.K).Receiver;

    internal static bool Is(TcpContext x, TcbRef t) => x.Recovery.Memory.Does(t.K, Recovery.SenderMechanisms.PacketReceiver);

    /// <summary>Text has come, next in sequence.</summary>
    internal static void OnData(TcpContext x, TcbRef t, ref ReceiverMemory m, Instant now)
    {
        ref var c = ref t.C;
        var ms = now.Milliseconds;
        if (m.AckDelayMs == 0)
        {
            Quicken(ref c, m);
            m.AckDelayMs = DelayMinMs;
        }
        else
        {
            var gap = ms - m.DataAtMs;
            var rto = LongestMs(x, t);
            // The mean of what it was and of the pace of the data, but for pauses; a long one begins anew.
            if (gap <= DelayMinMs / 2) m.AckDelayMs = (ushort)((m.AckDelayMs / 2) + (DelayMinMs / 2));
            else if (gap < m.AckDelayMs) m.AckDelayMs = (ushort)Math.Min((m.AckDelayMs / 2) + gap, rto);
            else if (gap > rto) Quicken(ref c, m);
        }
        m.DataAtMs = ms;
    }

    /// <summary>A SYN-ACK has come: what waits to be sent will answer it.</summary>
    internal static void OnSynAck(TcpContext x, TcbRef t, Instant now)
    {
        if (x.SettingsOf(t).HastensAcks) t.C.Acks.HasHeard = t.C.Snd.QueueEnd.IsAfter(t.C.Snd.Nxt);
        if (!Is(x, t)) return;
        ref var m = ref Of(x, t);
        m.DataAtMs = now.Milliseconds;
        if (!t.C.Snd.QueueEnd.IsAfter(t.C.Snd.Nxt)) return;
        Quicken(ref t.C, m);
        m.AckDelayMs = DelayMinMs;
    }

    /// <summary>What a full-sized segment is: the largest that came, or a small size that came twice.</summary>
    internal static void Measure(TcpContext x, TcbRef t, ref ReceiverMemory m, int length, bool isPushed)
    {
        ref var c = ref t.C;
        if (length >= c.RcvMss)
        {
            if (length != c.RcvMss) TrueSizeWindow.OnFullSize(ref m, length, TrueSizeWindow.HeaderLength(x, t));
            var most = TcpHandshake.AnnouncedMss(c.Local, c.Path, x.SettingsOf(t), x.Encapsulation.OverheadOf(c));
            c.RcvMss = (ushort)Math.Min(length, most);
            if (length > c.RcvMss + OptionsMax) m.Flags |= ReceiverFlags.Small;
            return;
        }
        if (length >= 536 || (length >= 88 && !isPushed))
        {
            var before = m.LastSize;
            m.LastSize = (ushort)length;
            if (before == length)
            {
                c.RcvMss = (ushort)length;
                return;
            }
        }
        m.Flags |= (m.Flags & ReceiverFlags.Small) != 0 ? ReceiverFlags.SmallAgain : ReceiverFlags.Small;
    }

    private static void Quicken(ref Tcb c, in ReceiverMemory m)
    {
        var half = m.Offered / (2u * c.RcvMss);
        c.Acks.Quick = (byte)Math.Max(c.Acks.Quick, Math.Min(half == 0 ? 2 : half, QuickMax));
    }

    /// <summary>What came repeats what was there: the peer may not have heard of it, so that it hears at once for a while.</summary>
    internal static void OnRepeated(TcpContext x, TcbRef t)
    {
        t.C.Flags |= TcbFlags.AckNow;
        t.C.Acks.IsInteractive = false;
        if (!Is(x, t)) return;
        ref var m = ref Of(x, t);
        Quicken(ref t.C, m);
        m.AckDelayMs = DelayMinMs;
    }

    /// <summary>Whether what came is acknowledged at once.</summary>
    internal static bool IsDue(TcpContext x, TcbRef t, ref ReceiverMemory m)
    {
        ref var c = ref t.C;
        if (c.Acks is { Quick: > 0, IsInteractive: false }) return true;
        if ((uint)(c.Rcv.Nxt - c.LastAckSent) <= c.RcvMss) return false;
        // RFC 5681 §4.2's second segment; but an ACK that would take the window back says nothing new to a sender that fills it.
        return c.ReceiveQueue.Length < (uint)x.SettingsOf(t).ReceiveLowBytes || TrueSizeWindow.Select(ref c, m) >= m.Offered;
    }

    /// <summary>How long an ACK waits that is owed now.</summary>
    internal static Duration Delay(TcpContext x, TcbRef t, TcpSettings settings)
    {
        if (!Is(x, t)) return Duration.FromMilliseconds(settings.DelayedAckMs);
        ref var m = ref Of(x, t);
        int delay = m.AckDelayMs;
        if (delay > DelayMinMs)
        {
            var most = t.C.Acks.IsInteractive || (m.Flags & ReceiverFlags.Small) != 0 ? DelayMaxMs : 500;
            if (t.K.Rtt.Srtt != 0) most = Math.Min(most, Math.Max((int)Math.Min(t.K.Rtt.Srtt >> 3, 1_000_000) / 1_000, DelayMinMs));
            delay = Math.Min(delay, most);
        }
        return Duration.FromMilliseconds(Math.Min(delay, DelayMaxMs));
    }

    // No delay grows beyond the time-out, which may be minutes, nor beyond its field.
    private static uint LongestMs(TcpContext x, TcbRef t) => (uint)Math.Min(x.Recovery.Rto(t.K).Nanoseconds / 1_000_000, ushort.MaxValue);

    /// <summary>An ACK has waited in vain: nothing came that it could have ridden on.</summary>
    internal static void OnWaited(TcpContext x, TcbRef t)
    {
        if (Is(x, t))
        {
            ref var m = ref Of(x, t);
            m.AckDelayMs = t.C.Acks.IsInteractive ? (ushort)DelayMinMs : (ushort)Math.Min(2u * m.AckDelayMs, LongestMs(x, t));
        }
        t.C.Acks.IsInteractive = false;
    }

    /// <summary>An ACK goes; whether one was owed.</summary>
    internal static void OnSent(ref Tcb c, ref ReceiverMemory m, bool wasOwed, ref TcpExtCounters counters)
    {
        m.Flags &= ~(ReceiverFlags.Small | ReceiverFlags.SmallAgain);
        counters.TCPAckCompressed += m.Compressed;
        m.Compressed = 0;
        if (!wasOwed || c.Acks.Quick == 0) return;
        if (--c.Acks.Quick == 0) m.AckDelayMs = DelayMinMs;
    }

    /// <summary>Data go: who answers what came within an ACK's delay will do so again: ACKs can ride on answers, and need not be quick.</summary>
    internal static void NoteAnswer(TcpContext x, TcbRef t, Instant now)
    {
        ref var acks = ref t.C.Acks;
        if (Is(x, t))
        {
            ref var m = ref Of(x, t);
            acks.IsInteractive |= now.Milliseconds - m.DataAtMs < m.AckDelayMs;
            return;
        }
        if (!acks.HasHeard) return;
        acks.HasHeard = false;
        var settings = x.SettingsOf(t);
        if (settings.InteractiveAcks && now - t.K.LastReceived.ToInstant(now) < Duration.FromMilliseconds(settings.DelayedAckMs)) acks.IsInteractive = true;
    }

    /// <summary>TCP_QUICKACK: as if the application had read and something small had come.</summary>
    internal static bool IsDueOnRequest(TcpContext x, TcbRef t)
    {
        if (!Is(x, t)) return true;
        ref var m = ref Of(x, t);
        m.Flags |= ReceiverFlags.Small;
        return IsDueOnRead(t, m);
    }

    /// <summary>Whether the application's reading has what is owed acknowledged at once.</summary>
    internal static bool IsDueOnRead(TcbRef t, in ReceiverMemory m)
    {
        ref var c = ref t.C;
        if ((c.Flags & TcbFlags.AckDelayed) == 0) return false;
        if ((uint)(c.Rcv.Nxt - c.LastAckSent) > c.RcvMss) return true;
        if (c.ReceiveQueue.Length > 0 || t.K.OutOfOrder.HasIntervals) return false;
        return (m.Flags & ReceiverFlags.SmallAgain) != 0 || ((m.Flags & ReceiverFlags.Small) != 0 && !c.Acks.IsInteractive);
    }
}
