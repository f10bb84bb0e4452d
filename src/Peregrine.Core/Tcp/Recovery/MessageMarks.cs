// Where the application's writes end within data that wait to be sent, as Linux's segment buffers keep it: the end of a write is pushed (PSH) when
// it is sent and when it is sent again, however much was written behind it; the end of a message (MSG_EOR) also ends its segment. Writes that
// follow each other run together up to the largest transmission. A mark is a record of the pool; where none is free, or one connection has too
// many, an end goes unmarked: PSH is advice, and a message's end is one to segments only.
using Peregrine.Core.Memory;
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

    /// <summary>The end of what left before the rest of its write was taken.</summary>
    internal SeqNumber FirstEnd;

    /// <summary>What is true of the end of the run: <see cref="RecordFlags.Pushed"/>, <see cref="RecordFlags.MessageEnd"/>.</summary>
    internal RecordFlags RunEnd;
}

internal sealed class MessageMarks(RecordPool pool, IndexedPool<SenderHistory> histories)
{
    private const uint CountMax = 256;

    /// <summary>What Linux counts for a buffer beside its bytes.</summary>
    internal const uint RunOverhead = 832;

    private readonly RecordPool _pool = pool;

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
        var runs = new WriteRuns(c, k, m, sendable);
        if (count > 0 && !runs.IsAtEnd) runs.RunEnd &= ~RecordFlags.Pushed;
        while (count > 0)
        {
            if (runs.IsAtEnd)
            {
                if (runs.RunEnd != RecordFlags.None && runs.End.IsAfter(c.Snd.Nxt)) Add(ref m, runs.End, runs.RunEnd);
                runs.Begin();
            }
            count -= runs.Take(count);
        }
        if (isPushed || runs.IsFar) runs.Push();
        if (endsMessage) runs.RunEnd |= RecordFlags.MessageEnd;
        c.Snd.QueueEnd = runs.End;
        (m.RunStart, m.PushedEnd, m.RunEnd, m.FirstEnd) = (runs.Start, runs.PushedEnd, runs.RunEnd, runs.FirstEnd);
    }

    /// <summary>What did not leave at once leaves as ever.</summary>
    internal void ForgetFirst(in TcbCold k)
    {
        if (k.HasHistory) histories[k.History].Marks.FirstEnd = default;
    }

    /// <summary>Whether what is sent next leaves while its write is still being taken: it is no probe of the path then.</summary>
    internal bool IsFirst(in Tcb c, in TcbCold k) => k.HasHistory && histories[k.History].Marks.FirstEnd is var end && end != default && end - c.Snd.Nxt is > 0 and < ushort.MaxValue;

    /// <summary>How many of so many bytes may be queued: a run that has begun is filled, and another begins while the send buffer is not full.</summary>
    internal uint Room(in Tcb c, in TcbCold k, uint wanted, uint sendable, uint held)
    {
        if (c.State == TcpState.SynSent) return Math.Min(wanted, k.SendBuffer - Math.Min(k.SendBuffer, c.SendQueue.Length));
        var runs = new WriteRuns(c, k, histories[k.History].Marks, sendable);
        var room = 0u;
        while (room < wanted)
        {
            if (runs.IsAtEnd)
            {
                if (held >= k.SendBuffer) break;
                runs.Begin();
                held += RunOverhead;
            }
            var part = runs.Take(wanted - room);
            (room, held) = (room + part, held + part);
        }
        return room;
    }

    /// <summary>Bytes that the run which the next write goes on with has room for: they are taken whatever else waits.</summary>
    internal uint RoomOfRun(in Tcb c, in TcbCold k, uint sendable) => c.State == TcpState.SynSent ? 0 : new WriteRuns(c, k, histories[k.History].Marks, sendable).Left;

    private void Add(ref MessageMarkState m, SeqNumber end, RecordFlags flags)
    {
        // What is to be sent needs records too: marks take none of the last half, or what waits could never go.
        if (m.Count == CountMax || 2 * _pool.FreeCount <= _pool.Count || !_pool.TryRent(out var index)) return;
        _pool[index] = new TransmissionRecord { Seq = end, Flags = flags };
        if (m.Last == RecordPool.None) m.First = index;
        else _pool[m.Last].Next = index;
        m.Last = index;
        m.Count++;
    }

    /// <summary>What goes up to there goes by itself, before any mark: it is pushed, as the peer's window lets nothing follow.</summary>
    internal void PushNext(in TcbCold k, SeqNumber end)
    {
        if (!k.HasHistory || (histories[k.History].Mechanisms & SenderMechanisms.WriteRuns) == 0) return;
        ref var m = ref histories[k.History].Marks;
        var isBefore = m.First == RecordPool.None || end.IsBefore(_pool[m.First].Seq);
        if (!isBefore || m.Count == CountMax || 2 * _pool.FreeCount <= _pool.Count || !_pool.TryRent(out var index)) return;
        _pool[index] = new TransmissionRecord { Seq = end, Flags = RecordFlags.Pushed, Next = m.First };
        if (m.First == RecordPool.None) m.Last = index;
        m.First = index;
        m.Count++;
    }

    /// <summary>Whether a mark lies before the end of the queue, and how many bytes after Snd.Nxt the first does.</summary>
    internal bool TryNext(in Tcb c, in TcbCold k, out uint length)
    {
        length = 0;
        if (!k.HasHistory) return false;
        ref var m = ref histories[k.History].Marks;
        if (m.First == RecordPool.None) return false;
        length = (uint)Math.Max(0, _pool[m.First].Seq - c.Snd.Nxt);
        return length > 0;
    }

    /// <summary>Whether a write or message ends there, by a mark.</summary>
    internal bool IsPushed(in TcbCold k, SeqNumber end)
    {
        if (!k.HasHistory) return false;
        ref var m = ref histories[k.History].Marks;
        return m.First != RecordPool.None && _pool[m.First].Seq == end && _pool[m.First].Has(RecordFlags.Pushed);
    }

    /// <summary>Whether a message ends there.</summary>
    internal bool IsMessageEnd(in Tcb c, in TcbCold k, SeqNumber end)
    {
        if (!k.HasHistory) return false;
        ref var m = ref histories[k.History].Marks;
        if (end == c.Snd.QueueEnd) return (m.RunEnd & RecordFlags.MessageEnd) != 0;
        return m.First != RecordPool.None && _pool[m.First].Seq == end && _pool[m.First].Has(RecordFlags.MessageEnd);
    }

    /// <summary>New data have gone up to Snd.Nxt: what is marked in there is the transmission's record's now.</summary>
    internal void OnSent(in Tcb c, in TcbCold k)
    {
        if (!k.HasHistory) return;
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
