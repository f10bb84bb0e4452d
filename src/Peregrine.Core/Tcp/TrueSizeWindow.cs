// The receive window where that is to be Linux's (TcpSettings.PacketReceiver): a segment takes of the buffer what Linux's memory for it would,
// twice its text and more where it is small, and half of the buffer is offered until segments have shown how much of it text fills. The window
// opens by two segments for each that fills its memory well, and never further than what is free.
using System.Numerics;
using Peregrine.Wire;

namespace Peregrine.Core.Tcp;

internal static class TrueSizeWindow
{
    /// <summary>As long as nothing is known, half of the buffer is text.</summary>
    private const ushort RatioAtFirst = 128;

    /// <summary>What memory for a packet has beyond its bytes: room before it, and its description behind it and apart.</summary>
    private const int Around = 384, Description = 256;

    /// <summary>Segments below this say nothing of their sender's pace.</summary>
    private const int LengthMin = 128;

    /// <summary>The buffer that settings ask for: what an application asked for counts twice, as in Linux.</summary>
    private static uint BufferOf(TcpSettings settings) =>
        settings.ReceiveBufferBytesMax == settings.ReceiveBufferBytes ? Math.Max(2u * (uint)settings.ReceiveBufferBytes, 2_304) : (uint)settings.ReceiveBufferBytes;

    /// <summary>Whether settings ask for this: with <see cref="TcpSettings.PacketSender"/>, as all that is to the packet.</summary>
    internal static bool IsAsked(TcpSettings settings) => settings is { PacketSender: true, PacketReceiver: true };

    /// <summary>The first window: half of the buffer, in whole segments.</summary>
    internal static uint First(TcpSettings settings, int mss)
    {
        if (!IsAsked(settings)) return (uint)settings.ReceiveBufferBytes;
        var space = BufferOf(settings) / 2;
        return space > (uint)mss ? space / (uint)mss * (uint)mss : space;
    }

    /// <summary>The connection is established.</summary>
    internal static void Begin(TcpContext x, TcbRef t)
    {
        if (!AdaptiveAcks.Is(x, t)) return;
        ref var c = ref t.C;
        ref var m = ref AdaptiveAcks.Of(x, t);
        var settings = x.SettingsOf(t);
        uint mss = TcpHandshake.AnnouncedMss(c.Local, c.Path, settings, x.Encapsulation.OverheadOf(c));
        var options = (c.Flags & (TcbFlags.Timestamps | TcbFlags.ActiveOpen)) == TcbFlags.Timestamps ? TcpOptions.TimestampsLength : 0;
        m.Buffer = BufferOf(settings);
        m.Ratio = RatioAtFirst;
        m.Offered = Math.Min(First(settings, (int)mss - options), WindowBound(c));
        var whole = FromSpace(m, m.Buffer);
        m.WindowMax = Math.Min(whole, WindowBound(c));
        // A segment is kept back, where there are more than two.
        if (m.WindowMax > 2 * mss && m.WindowMax + mss > whole) m.WindowMax = Math.Max(2 * mss, whole - mss);
        m.WindowLimit = Math.Min(m.Offered, m.WindowMax);
        c.RcvMss = (ushort)Math.Max(Math.Min(Math.Min(Math.Min(mss, c.Mss), m.Offered / 2), 536), 88);
        c.Acks.Quick = 0;
        c.Rcv.Edge = SeqNumber.Max(c.Rcv.Edge, c.LastAckSent + m.Offered);
    }

    /// <summary>Whether the connection's window goes by this: once it is established.</summary>
    internal static bool Is(TcpContext x, TcbRef t) => AdaptiveAcks.Is(x, t) && AdaptiveAcks.Of(x, t).Ratio != 0;

    /// <summary>A segment that reaches beyond the window is not cut to it (RFC 9293 §3.10.7.4) but refused, as by Linux since 6.17.</summary>
    internal static bool IsTooLong(TcpContext x, TcbRef t, in SegmentArrival s) =>
        s.PayloadLength > 0 && (s.Seq + (uint)s.PayloadLength).IsAfter(t.C.Rcv.Edge) && Is(x, t);

    private static uint WindowBound(in Tcb c) => (uint)ushort.MaxValue << c.RcvScale;

    private static uint FromSpace(in ReceiverMemory m, uint space) => (uint)(((ulong)space * m.Ratio) >> 8);

    internal static int HeaderLength(TcpContext x, TcbRef t) => TcpHandshake.IpHeaderLength(t.C.Local) + TcpHeader.Length + TcpHandshake.OptionLength(x, t);

    private static uint TrueSize(int length, int header) => BitOperations.RoundUpToPowerOf2((uint)(length + header + Around)) + Description;

    /// <summary>A full-sized segment shows how much of the buffer is text.</summary>
    internal static void OnFullSize(ref ReceiverMemory m, int length, int header)
    {
        var ratio = (ushort)Math.Max(((ulong)length << 8) / TrueSize(length, header), 1);
        if (m.Ratio == 0 || ratio == m.Ratio) return;
        m.Ratio = ratio;
        SetMax(ref m, FromSpace(m, m.Buffer));
    }

    private static void SetMax(ref ReceiverMemory m, uint most)
    {
        if (most == m.WindowMax) return;
        m.WindowLimit = most < m.WindowMax ? Math.Min(m.WindowLimit, most) : Math.Max(m.WindowLimit, Math.Min(m.Offered, most));
        m.WindowMax = most;
    }

    /// <summary>Text of so many bytes was taken, in order or beyond a gap.</summary>
    internal static void OnTaken(TcpContext x, TcbRef t, ref ReceiverMemory m, int length)
    {
        ref var c = ref t.C;
        var size = TrueSize(length, HeaderLength(x, t));
        m.Held += size;
        if (length < LengthMin) return;
        var room = (long)Math.Min(m.WindowMax, Free(m)) - m.WindowLimit;
        if (room <= 0) return;
        uint mss = TcpHandshake.AnnouncedMss(c.Local, c.Path, x.SettingsOf(t), x.Encapsulation.OverheadOf(c));
        var more = FromSpace(m, size) <= (uint)length ? 2 * mss : Earned(c, m, size, length, (uint)x.SettingsOf(t).ReceiveBufferBytesMax);
        if (more == 0) return;
        m.WindowLimit += (uint)Math.Min(room, Math.Max(more, 2u * (uint)length));
        c.Acks.Quick = (byte)(c.Acks.Quick | 1);
    }

    // Less text than its memory could hold opens the window only while it is small.
    private static uint Earned(in Tcb c, in ReceiverMemory m, uint size, int length, uint bufferMax)
    {
        var (taken, window) = (FromSpace(m, size) >> 1, FromSpace(m, bufferMax) >> 1);
        for (; m.WindowLimit <= window; (taken, window) = (taken >> 1, window >> 1))
        {
            if (taken <= (uint)length) return 2u * c.RcvMss;
        }
        return 0;
    }

    private static uint Free(in ReceiverMemory m) => m.Held < m.Buffer ? FromSpace(m, m.Buffer - m.Held) : 0;

    /// <summary>The application has read so many bytes.</summary>
    internal static void OnRead(ref Tcb c, in TcbCold k, ref ReceiverMemory m, int count)
    {
        var left = c.ReceiveQueue.Length;
        if (left == 0 && !k.OutOfOrder.HasIntervals)
        {
            m.Held = 0;
            return;
        }
        // A segment's memory is free when all of it was read.
        var one = TrueSize(c.RcvMss, TcpHandshake.IpHeaderLength(c.Local) + TcpHeader.Length);
        var held = (uint)((ulong)m.Held * Math.Max(left, 1) / (left + (uint)count));
        m.Held = Math.Min(m.Held, (held + one - 1) / one * one);
    }

    /// <summary>The window that could be advertised now (RFC 9293 §3.8.6.2.2): as much as is free and earned, or nothing where that is too little.</summary>
    internal static uint Select(ref Tcb c, in ReceiverMemory m)
    {
        var whole = FromSpace(m, m.Buffer);
        var most = Math.Min(m.WindowMax, whole);
        var mss = Math.Min(c.RcvMss, most);
        var free = Free(m);
        if (free < most / 2)
        {
            c.Acks.Quick = 0;
            free = free >> c.RcvScale << c.RcvScale;
            // RFC 9293 §3.8.6.2.2: only while less than half is free; a buffer of less than a segment, or of no whole steps, would never open again.
            if (free < whole >> 4 || free < mss) return 0;
        }
        free = Math.Min(free, m.WindowLimit);
        if (c.RcvScale != 0) return AlignUp(free, c.RcvScale);
        // Without a scale it moves by whole segments.
        var window = m.Offered;
        if (window + mss <= free || window > free) return mss == 0 ? free : free / mss * mss;
        // RFC 9293 §3.8.6.2.2: or by half of what there is, where that is less.
        return free > window + (Math.Min(most, m.WindowLimit) >> 1) ? free : window;
    }

    private static uint AlignUp(uint value, int scale) => (value + (1u << scale) - 1) >> scale << scale;

    /// <summary>The SEG.WND to send now; moves Rcv.Edge.</summary>
    internal static ushort Advertise(ref Tcb c, ref ReceiverMemory m, ref TcpExtCounters counters)
    {
        var current = (uint)Math.Max(0, c.Rcv.Edge - c.Rcv.Nxt);
        var wasClosed = m.Offered == 0;
        var window = Select(ref c, m);
        // RFC 9293 SHLD-14: never to the left.
        if (window < current) window = AlignUp(current, c.RcvScale);
        window = Math.Min(window, WindowBound(c));
        m.Offered = window;
        c.Rcv.Edge = c.Rcv.Nxt + window;
        if (wasClosed != (window == 0)) (wasClosed ? ref counters.TCPFromZeroWindowAdv : ref counters.TCPToZeroWindowAdv)++;
        return (ushort)(window >> c.RcvScale);
    }

    /// <summary>Whether reading has opened the window so far that the peer should hear of it at once: to twice what is left of it, while that is less than half.</summary>
    internal static bool DeservesUpdate(ref Tcb c, in ReceiverMemory m)
    {
        var current = (uint)Math.Max(0, c.Rcv.Edge - c.Rcv.Nxt);
        if (2ul * current > m.WindowMax) return false;
        var window = Select(ref c, m);
        return window != 0 && window >= 2ul * current;
    }
}
