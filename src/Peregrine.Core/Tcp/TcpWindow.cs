// The receive window: what is advertised, when it may open, and the automatic growth of the receive and send buffers. The advertised
// right edge never moves left (RFC 9293 SHLD-14); the window is a promise to look at data, not a reservation of blocks.
using Peregrine.Core.Memory;
using Peregrine.Core.Time;
using Peregrine.Wire;

namespace Peregrine.Core.Tcp;

internal static class TcpWindow
{
    /// <summary>RFC 9293 §3.8.6.2.1 (3): whether what may go at most, less than a segment and less than what waits, is worth one where nothing is in flight.</summary>
    internal static bool IsWorthASegment(in Tcb c, uint most, uint allowance) => most == allowance || most >= c.Snd.WndMax / 2;

    /// <summary>The scale that lets <paramref name="bufferBytes"/> be advertised in 16 bits (RFC 7323 §2.3).</summary>
    internal static byte ScaleFor(int bufferBytes)
    {
        byte scale = 0;
        while (scale < WindowScale.ShiftMax && bufferBytes >> scale > ushort.MaxValue) scale++;
        return scale;
    }

    /// <summary>The right edge that could be advertised now, before the rules against small steps.</summary>
    private static SeqNumber OfferedEdge(in Tcb c)
    {
        var used = c.ReceiveQueue.Length;
        // RFC 9293 MAY-8: closed for as long as the application does not read.
        return c.Rcv.Nxt + (c.ReceiveBuffer > used ? c.ReceiveBuffer - used : 0);
    }

    /// <summary>The SEG.WND to send now; moves Rcv.Edge when the window opens.</summary>
    internal static ushort Advertise(TcpContext x, TcbRef t)
    {
        ref var c = ref t.C;
        ref var counters = ref x.Recovery.Counters;
        if (TrueSizeWindow.Is(x, t)) return TrueSizeWindow.Advertise(ref c, ref AdaptiveAcks.Of(x, t), ref counters);
        var offered = OfferedEdge(c);
        var gain = offered - c.Rcv.Edge;
        var wasClosed = c.Rcv.Edge == c.LastAckSent;
        // RFC 9293 MUST-39: RFC 9293 §3.8.6.2.2 with Fr = 1/2: the edge moves in steps of a segment or half the buffer.
        if (IsStep(c, gain) || IsWide(c, offered)) c.Rcv.Edge = offered;
        // RFC 9293 SHLD-14: never to the left. Rounding up to the scale's step keeps a rounded window from shrinking (RFC 7323 §2.4), but only while
        // less than a step is promised beyond the buffer: each segment that is no multiple of the step adds to that, and many small ones without end.
        var window = (uint)Math.Max(0, c.Rcv.Edge - c.Rcv.Nxt);
        var step = 1u << c.RcvScale;
        var field = (window + step - 1) >> c.RcvScale;
        if (c.Rcv.Nxt + (field << c.RcvScale) - offered >= (int)step) field = window >> c.RcvScale;
        field = Math.Min(field, ushort.MaxValue);
        c.Rcv.Edge = SeqNumber.Max(c.Rcv.Edge, c.Rcv.Nxt + (field << c.RcvScale));
        if (wasClosed != (field == 0)) (wasClosed ? ref counters.TCPFromZeroWindowAdv : ref counters.TCPToZeroWindowAdv)++;
        return (ushort)field;
    }

    // FreeBSD's rule: a window is only foolish when it is small, so a wide one says what there is.
    private static bool IsWide(in Tcb c, SeqNumber offered) =>
        (c.Flags & TcbFlags.WindowIsBuffer) != 0 && offered.IsAfter(c.Rcv.Edge) && offered - c.Rcv.Nxt >= Math.Min(c.ReceiveBuffer / 4, c.RcvMss);

    private static bool IsStep(in Tcb c, int gain) => gain > 0 && gain >= Math.Min(c.ReceiveBuffer / 2, c.RcvMss);

    /// <summary>The application has read so many bytes; whether the peer should hear of it at once.</summary>
    internal static bool OnRead(TcpContext x, TcbRef t, int count, Instant now)
    {
        if (!TrueSizeWindow.Is(x, t))
        {
            TuneReceive(t, x.SettingsOf(t), (uint)count, BlockPressure.IsLow(x.Blocks), now);
            return DeservesUpdate(t.C);
        }
        ref var m = ref AdaptiveAcks.Of(x, t);
        TrueSizeWindow.OnRead(ref t.C, t.K, ref m, count);
        return AdaptiveAcks.IsDueOnRead(t, m) || TrueSizeWindow.DeservesUpdate(ref t.C, m);
    }

    /// <summary>Whether reading has opened the window so far that the peer should hear of it at once.</summary>
    private static bool DeservesUpdate(in Tcb c)
    {
        var gain = OfferedEdge(c) - c.Rcv.Edge;
        // A step too small to be advertised would make an ACK that says nothing new, one for each read.
        if (!IsStep(c, gain)) return false;
        var left = c.Rcv.Edge - c.Rcv.Nxt;
        // An update saves a stalled peer; while most of the window is open, the next ACK carries it for nothing.
        return left < 2 * c.RcvMss || gain >= c.ReceiveBuffer / 2;
    }

    /// <summary>A window that starts small opens by two segments for each that comes, until the buffer is offered (Linux's rcv_ssthresh).</summary>
    internal static void GrowReceive(ref Tcb c, TcpSettings settings, int length)
    {
        if (!settings.WindowSlowStart || c.ReceiveBuffer >= (uint)settings.ReceiveBufferBytes || length < 128) return;
        c.ReceiveBuffer = (uint)Math.Min((ulong)settings.ReceiveBufferBytes, c.ReceiveBuffer + 2ul * (uint)Math.Max(length, c.Mss));
    }

    /// <summary>
    /// Receive tuning, called as the application reads: when it read in one round trip more than half the buffer, the peer's window limits
    /// the flow and not the path, so the buffer grows to twice what was read.
    /// </summary>
    private static void TuneReceive(TcbRef t, TcpSettings settings, uint read, bool memoryIsLow, Instant now)
    {
        ref var k = ref t.K;
        ref var c = ref t.C;
        // Nothing comes behind a FIN, and FinSeq has the place of the count.
        if ((c.Flags & TcbFlags.FinWaiting) != 0) return;
        k.RoundBytes += read;
        if (k.RcvRttUs == 0 || c.ReceiveBuffer >= (uint)settings.ReceiveBufferBytesMax) return;
        if (now - k.RoundStart.ToInstant(now) < Duration.FromMicroseconds(k.RcvRttUs)) return;
        if (!memoryIsLow && k.RoundBytes > c.ReceiveBuffer / 2)
        {
            var wanted = Math.Min(2UL * k.RoundBytes + 16UL * c.RcvMss, (ulong)settings.ReceiveBufferBytesMax);
            if (wanted > c.ReceiveBuffer) c.ReceiveBuffer = (uint)wanted;
        }
        k.RoundBytes = 0;
        k.RoundStart = Deadline.At(now);
    }

    /// <summary>One sample of the round trip as the receiver sees it: the time between our ACK and the data that echo its timestamp.</summary>
    internal static void SampleReceiveRtt(ref TcbCold k, uint microseconds)
    {
        microseconds = Math.Max(microseconds, 1);
        // A sender that paused makes samples too long, never too short: follow falls at once and rises slowly.
        k.RcvRttUs = k.RcvRttUs == 0 || microseconds < k.RcvRttUs ? microseconds : k.RcvRttUs + ((microseconds - k.RcvRttUs) >> 3);
    }

    /// <summary>Send tuning: two congestion windows fit, so that the window is full while the application is woken.</summary>
    internal static void TuneSend(ref Tcb c, ref TcbCold k, TcpSettings settings, bool countsOverhead, bool memoryIsLow)
    {
        if (memoryIsLow) return;
        var room = 2UL * c.Cwnd;
        // As Linux: two windows of ten segments at least, each in a buffer of a power of two and its overhead.
        if (countsOverhead)
            room = 2UL * Math.Max(c.Cwnd / c.Mss, 10) * (System.Numerics.BitOperations.RoundUpToPowerOf2((uint)Math.Max(c.Mss, k.PeerMss) + 640) + 256);
        var wanted = (uint)Math.Min(room, (ulong)settings.SendBufferBytesMax);
        if (wanted > k.SendBuffer) k.SendBuffer = wanted;
    }
}
