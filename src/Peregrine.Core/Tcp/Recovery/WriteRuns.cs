// How writes run together while they are queued: how far a run may fill up, when its end is pushed, and what leaves while the write is still being taken.
// A value: MessageMarks keeps what comes of it, and asks a copy how much there is room for.
using Peregrine.Wire;

namespace Peregrine.Core.Tcp.Recovery;

internal struct WriteRuns
{
    // The largest transmission less the room for headers.
    private const uint TransmissionMax = 65_215;

    private readonly uint _most;
    private readonly uint _burst;
    private readonly uint _farBytes;
    private uint _sendable;

    // What is sent while the write is still being taken is no part of the run any more.
    private SeqNumber _sent;

    internal WriteRuns(in Tcb c, in TcbCold k, in MessageMarkState m, uint sendable)
    {
        _most = MaxOf(c);
        _burst = Gathering.BytesMax(c, k);
        _farBytes = c.Snd.WndMax / 2;
        _sendable = sendable - (sendable % c.Mss);
        (_sent, End, Start, RunEnd, FirstEnd) = (c.Snd.Nxt, c.Snd.QueueEnd, m.RunStart, m.RunEnd, m.FirstEnd);
        PushedEnd = End == c.Snd.Iss + 1 ? End : m.PushedEnd;
    }

    /// <summary>The end of what is queued.</summary>
    internal SeqNumber End { get; private set; }

    /// <summary>Where the run begins that the next byte goes on with.</summary>
    internal SeqNumber Start { get; private set; }

    /// <summary>The end that was pushed last.</summary>
    internal SeqNumber PushedEnd { get; private set; }

    /// <summary>Where the transmission ends that left alone, as soon as a run was full.</summary>
    internal SeqNumber FirstEnd { get; private set; }

    /// <summary>What is true of the end of the run.</summary>
    internal RecordFlags RunEnd { get; set; }

    /// <summary>Whether the next byte begins another run: this one is sent, full, or the end of a message.</summary>
    internal readonly bool IsAtEnd => Length == 0 || Length >= _most || (RunEnd & RecordFlags.MessageEnd) != 0;

    /// <summary>How many bytes more this run has room for.</summary>
    internal readonly uint Left => IsAtEnd ? 0 : _most - Length;

    /// <summary>Whether a PSH is due: a receiver that waits for one must not wait for longer than half of its window.</summary>
    internal readonly bool IsFar => End.IsAfter(PushedEnd + _farBytes);

    private readonly uint Length => (uint)Math.Max(0, End - SeqNumber.Max(Start, _sent));

    /// <summary>Bytes that one run of writes may have: whole segments, half of the peer's largest window at most.</summary>
    internal static uint MaxOf(in Tcb c)
    {
        var most = c.Snd.WndMax > 536 ? Math.Min(TransmissionMax, c.Snd.WndMax / 2) : Math.Min(TransmissionMax, c.Snd.WndMax);
        return Math.Max(most / c.Mss, 1) * c.Mss;
    }

    internal void Begin() => (Start, RunEnd) = (End, RecordFlags.None);

    internal void Push() => (RunEnd, PushedEnd) = (RunEnd | RecordFlags.Pushed, End);

    /// <summary>Queues so many bytes, or as many as the run still has room for; says how many.</summary>
    internal uint Take(uint count)
    {
        var length = Length;
        var part = Math.Min(_most - length, count);
        End += part;
        if (length + part < _most || part == count) return part;
        if (IsFar)
        {
            Push();
            Leave(_sendable);
        }
        else if (_sent.IsAfterOrEqual(Start))
        {
            Leave(_burst);
            FirstEnd = _sent;
        }
        return part;
    }

    private void Leave(uint most)
    {
        var part = Math.Min(Math.Min(_sendable, most), (uint)Math.Max(0, End - _sent));
        _sent += part;
        _sendable -= part;
    }
}
