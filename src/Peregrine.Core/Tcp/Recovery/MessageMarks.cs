// Where the application's writes end within data that wait to be sent, as Linux's segment buffers keep it: the end of a write is pushed (PSH) when
// it is sent and when it is sent again, however much was written behind it; the end of a message (MSG_EOR) also ends its segment. Writes that
// follow each other run together up to the largest transmission. A mark is a record of the pool; where none is free, or one connection has too
// many, an end goes unmarked: PSH is advice, and a message's end is one to segments only.
using Peregrine.Wire;

namespace Peregrine.Core.Tcp.Recovery;

/// <summary>The marks of one connection.</summary>
internal struct MessageMarkState
{
    /// <summary>Marks in order of their sequence numbers, none beyond the run.</summary>
    internal uint First;
    internal uint Last;
    internal uint Count;

    /// <summary>Where the run begins that the next write goes on with, unless it has been sent by then.</summary>
    internal SeqNumber RunStart;

    /// <summary>The end that was pushed last.</summary>
    internal SeqNumber PushedEnd;

    /// <summary>What is true of the end of the run: <see cref="RecordFlags.Pushed"/>, <see cref="RecordFlags.MessageEnd"/>.</summary>
    internal RecordFlags RunEnd;
}

internal sealed class MessageMarks(RecordPool pool, SenderHistoryPool histories)
{
    private const uint CountMax = 256;

    // The largest transmission less the room for headers.
    private const uint TransmissionMax = 65_215;

    /// <summary>What Linux counts for a buffer beside its bytes.</summary>
    internal const uint RunOverhead = 832;

    private readonly RecordPool _pool = pool;

    /// <summary>Bytes that one run of writes may have: whole segments, half of the peer's largest window at most.</summary>
    internal static uint RunMax(in Tcb c)
    {
        var most = c.Snd.WndMax > 536 ? Math.Min(TransmissionMax, c.Snd.WndMax / 2) : Math.Min(TransmissionMax, c.Snd.WndMax);
        return Math.Max(most / c.Mss, 1) * c.Mss;
    }

    /// <summary>The application has queued bytes: Snd.QueueEnd moves.</summary>
    /// <param name="c">The connection.</param>
    /// <param name="k">Its cold part, with a history.</param>
    /// <param name="count">How many.</param>
    /// <param name="isPushed">No more is announced.</param>
    /// <param name="endsMessage">A message ends with them.</param>
    /// <param name="sendable">Bytes that windows let go now.</param>
    internal void OnQueued(ref Tcb c, in TcbCold k, uint count, bool isPushed, bool endsMessage, uint sendable)
    {
        ref var m = ref histories[k.History].Marks;
        if (c.State == TcpState.SynSent)
        {
            // What goes with the handshake or after it: neither segment size nor window are known.
            c.Snd.QueueEnd += count;
            (m.RunStart, m.PushedEnd, m.RunEnd) = (c.Snd.Iss + 1, c.Snd.QueueEnd, RecordFlags.Pushed);
            return;
        }
        var most = RunMax(c);
        sendable -= sendable % c.Mss;
        if (c.Snd.QueueEnd == c.Snd.Iss + 1) m.PushedEnd = c.Snd.QueueEnd;
        // What is sent while the write is still being taken is no part of the run any more.
        var sent = c.Snd.Nxt;
        var isFirst = true;
        while (count > 0)
        {
            var length = (uint)Math.Max(0, c.Snd.QueueEnd - SeqNumber.Max(m.RunStart, sent));
            if (length == 0 || length >= most || (m.RunEnd & RecordFlags.MessageEnd) != 0)
            {
                if (m.RunEnd != RecordFlags.None && c.Snd.QueueEnd.IsAfter(c.Snd.Nxt)) Add(ref m, c.Snd.QueueEnd, m.RunEnd);
                (m.RunStart, m.RunEnd, length) = (c.Snd.QueueEnd, RecordFlags.None, 0);
            }
            else if (isFirst)
            {
                m.RunEnd &= ~RecordFlags.Pushed;
            }
            isFirst = false;
            var part = Math.Min(most - length, count);
            c.Snd.QueueEnd += part;
            count -= part;
            if (length + part < most || count == 0) continue;
            if (IsFar(c, m))
            {
                Push(c, ref m);
                Leave(ref sent, c.Snd.QueueEnd, ref sendable, sendable);
            }
            else if (sent.IsAfterOrEqual(m.RunStart))
            {
                // Half the window at once at most, so that two transmissions are in flight.
                Leave(ref sent, c.Snd.QueueEnd, ref sendable, Math.Max(c.Cwnd / c.Mss / 2, 1) * c.Mss);
            }
        }
        if (isPushed || IsFar(c, m)) Push(c, ref m);
        if (endsMessage) m.RunEnd |= RecordFlags.MessageEnd;
    }

    /// <summary>How many of so many bytes may be queued: a run that has begun is filled, and another begins while the send buffer is not full.</summary>
    internal uint Room(in Tcb c, in TcbCold k, uint wanted, uint sendable, uint held)
    {
        ref var m = ref histories[k.History].Marks;
        if (c.State == TcpState.SynSent) return Math.Min(wanted, k.SendBuffer - Math.Min(k.SendBuffer, c.SendQueue.Length));
        var most = RunMax(c);
        sendable -= sendable % c.Mss;
        var (end, sent, start, pushed, isEnded) = (c.Snd.QueueEnd, c.Snd.Nxt, m.RunStart, m.PushedEnd, (m.RunEnd & RecordFlags.MessageEnd) != 0);
        if (end == c.Snd.Iss + 1) pushed = end;
        var room = 0u;
        while (room < wanted)
        {
            var length = (uint)Math.Max(0, end - SeqNumber.Max(start, sent));
            if (length == 0 || length >= most || isEnded)
            {
                if (held >= k.SendBuffer) break;
                (start, length, isEnded) = (end, 0, false);
                held += RunOverhead;
            }
            var part = Math.Min(most - length, wanted - room);
            (end, room, held) = (end + part, room + part, held + part);
            if (length + part < most) continue;
            if (end.IsAfter(pushed + c.Snd.WndMax / 2))
            {
                pushed = end;
                Leave(ref sent, end, ref sendable, sendable);
            }
            else if (sent.IsAfterOrEqual(start))
            {
                Leave(ref sent, end, ref sendable, Math.Max(c.Cwnd / c.Mss / 2, 1) * c.Mss);
            }
        }
        return room;
    }

    // A receiver that waits for PSH must not wait for longer than half of its window.
    private static bool IsFar(in Tcb c, in MessageMarkState m) => c.Snd.QueueEnd.IsAfter(m.PushedEnd + c.Snd.WndMax / 2);

    private static void Push(in Tcb c, ref MessageMarkState m) => (m.RunEnd, m.PushedEnd) = (m.RunEnd | RecordFlags.Pushed, c.Snd.QueueEnd);

    private static void Leave(ref SeqNumber sent, SeqNumber end, ref uint sendable, uint most)
    {
        var part = Math.Min(Math.Min(sendable, most), (uint)Math.Max(0, end - sent));
        sent += part;
        sendable -= part;
    }

    private void Add(ref MessageMarkState m, SeqNumber end, RecordFlags flags)
    {
        if (m.Count == CountMax || !_pool.TryRent(out var index)) return;
        _pool[index] = new TransmissionRecord { Seq = end, Flags = flags };
        if (m.Last == RecordPool.None) m.First = index;
        else _pool[m.Last].Next = index;
        m.Last = index;
        m.Count++;
    }

    /// <summary>Whether a mark lies before the end of the queue, and how many bytes after Snd.Nxt the first does.</summary>
    internal bool TryNext(in Tcb c, in TcbCold k, out uint length)
    {
        length = 0;
        if (k.History == SenderHistoryPool.None) return false;
        ref var m = ref histories[k.History].Marks;
        if (m.First == RecordPool.None) return false;
        length = (uint)Math.Max(0, _pool[m.First].Seq - c.Snd.Nxt);
        return length > 0;
    }

    /// <summary>Whether a write or message ends there, by a mark.</summary>
    internal bool IsPushed(in TcbCold k, SeqNumber end)
    {
        if (k.History == SenderHistoryPool.None) return false;
        ref var m = ref histories[k.History].Marks;
        return m.First != RecordPool.None && _pool[m.First].Seq == end && _pool[m.First].Has(RecordFlags.Pushed);
    }

    /// <summary>Whether a message ends there.</summary>
    internal bool IsMessageEnd(in Tcb c, in TcbCold k, SeqNumber end)
    {
        if (k.History == SenderHistoryPool.None) return false;
        ref var m = ref histories[k.History].Marks;
        if (end == c.Snd.QueueEnd) return (m.RunEnd & RecordFlags.MessageEnd) != 0;
        return m.First != RecordPool.None && _pool[m.First].Seq == end && _pool[m.First].Has(RecordFlags.MessageEnd);
    }

    /// <summary>New data have gone up to Snd.Nxt: what is marked in there is the transmission's record's now.</summary>
    internal void OnSent(in Tcb c, in TcbCold k)
    {
        if (k.History == SenderHistoryPool.None) return;
        ref var m = ref histories[k.History].Marks;
        while (m.First != RecordPool.None && _pool[m.First].Seq.IsBeforeOrEqual(c.Snd.Nxt)) RemoveFirst(ref m);
    }

    internal void Release(in TcbCold k)
    {
        ref var m = ref histories[k.History].Marks;
        while (m.First != RecordPool.None) RemoveFirst(ref m);
    }

    private void RemoveFirst(ref MessageMarkState m)
    {
        var index = m.First;
        m.First = _pool[index].Next;
        if (m.First == RecordPool.None) m.Last = RecordPool.None;
        m.Count--;
        _pool.Return(index);
    }
}
