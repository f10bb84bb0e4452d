// What a socket tells of data that it was given to send (socket(7), recvmsg with MSG_ERRQUEUE): that the memory of a MSG_ZEROCOPY call is
// the application's again, and when data were handed on, sent and acknowledged (SO_TIMESTAMPING). Positions are counted from the first
// byte that the socket was ever given.

namespace Peregrine.Posix;

/// <summary>One entry: an extended error as the kernel makes it.</summary>
/// <param name="Errno">The error's name, or "0".</param>
/// <param name="Origin">Where it comes from.</param>
/// <param name="Code">What of its kind it is.</param>
/// <param name="Info">ee_info.</param>
/// <param name="Data">ee_data.</param>
/// <param name="AtMicroseconds">When, for a timestamp.</param>
internal sealed record PosixNotice(string Errno, string Origin, string Code, string Info, long Data, long? AtMicroseconds = null);

/// <summary>Of which moments of its last byte a call is told: bits of SO_TIMESTAMPING (linux/net_tstamp.h).</summary>
[Flags]
internal enum PosixStamps
{
    None = 0,
    Sent = 1 << 1,
    Scheduled = 1 << 8,
    Acknowledged = 1 << 9,
    All = Sent | Scheduled | Acknowledged,
}

/// <summary>Notices of one socket, and what they wait for.</summary>
internal sealed class PosixErrorQueue
{
    private readonly Queue<PosixNotice> _notices = new();
    private readonly Queue<(long Id, long End)> _copies = new();
    private readonly List<Stamped> _stamped = [];
    private long _copyCount;
    private (long First, long Last)? _copiesDone;

    private sealed class Stamped
    {
        internal required long End { get; init; }

        internal required long Key { get; init; }

        internal required PosixStamps Wanted { get; init; }

        internal bool IsSent { get; set; }
    }

    /// <summary>Counts notices: each is an edge.</summary>
    internal int Edges { get; private set; }

    internal bool HasNotices => _notices.Count > 0 || _copiesDone is not null;

    /// <summary>A call with MSG_ZEROCOPY gave bytes up to a position.</summary>
    internal void OnZeroCopy(long end) => _copies.Enqueue((_copyCount++, end));

    /// <summary>A call's last byte is to be told of.</summary>
    internal void OnWrite(long end, long key, PosixStamps wanted) => _stamped.Add(new Stamped { End = end, Key = key, Wanted = wanted });

    /// <summary>Bytes up to these positions have been sent and acknowledged.</summary>
    internal void OnProgress(long sent, long acknowledged, long nowMicroseconds)
    {
        ReleaseCopies(acknowledged);
        for (var i = 0; i < _stamped.Count; i++)
        {
            var s = _stamped[i];
            if (!s.IsSent && s.End <= sent)
            {
                s.IsSent = true;
                if ((s.Wanted & PosixStamps.Scheduled) != 0) Add(s, "SCM_TSTAMP_SCHED", nowMicroseconds);
                if ((s.Wanted & PosixStamps.Sent) != 0) Add(s, "SCM_TSTAMP_SND", nowMicroseconds);
            }
            if (s.End > acknowledged) continue;
            if ((s.Wanted & PosixStamps.Acknowledged) != 0) Add(s, "SCM_TSTAMP_ACK", nowMicroseconds);
            _stamped.RemoveAt(i--);
        }
    }

    /// <summary>The connection is gone, and with it what was not acknowledged: the memory is the application's again.</summary>
    internal void OnEnded() => ReleaseCopies(long.MaxValue);

    private void ReleaseCopies(long end)
    {
        while (_copies.TryPeek(out var copy) && copy.End <= end)
        {
            _copies.Dequeue();
            Edges++;
            // Neighbours are told of together.
            _copiesDone = _copiesDone is { } done ? (done.First, copy.Id) : (copy.Id, copy.Id);
        }
    }

    private void Add(Stamped s, string what, long at)
    {
        Edges++;
        _notices.Enqueue(new PosixNotice("ENOMSG", "SO_EE_ORIGIN_TIMESTAMPING", "0", what, s.Key, at));
    }

    /// <summary>Takes the next notice.</summary>
    internal bool TryTake(out PosixNotice notice)
    {
        if (_copiesDone is { } done)
        {
            _copiesDone = null;
            // The bytes are always copied here, so the application learns that it gained nothing.
            notice = new PosixNotice("0", "SO_EE_ORIGIN_ZEROCOPY", "SO_EE_CODE_ZEROCOPY_COPIED", $"{done.First}", done.Last);
            return true;
        }
        return _notices.TryDequeue(out notice!);
    }
}
