// The one queue of a replayed capture. Frames come when it is their time; a queue that sleeps until then has itself woken by a timer, which is
// good for about a millisecond.
using Peregrine.Core.Links;
using Peregrine.Core.Memory;
using Peregrine.Core.Time;
using Peregrine.Wire;

namespace Peregrine.Drivers.Pcap;

internal sealed class PcapQueue(PcapReplay replay, PcapngWriter? output, FramePool frames, PcapOptions options) : ILinkQueue
{
    private const int NanosecondsPerTick = 100;

    // A super-segment with its link header and a tag.
    private readonly byte[] _whole = new byte[ushort.MaxValue + 64];
    private readonly int _longest = options.Mtu + (replay.Medium == LinkMedium.Ethernet ? 22 : 0);
    private LinkQueueCounters _counters;
    private ITimer? _timer;
    private Action? _wake;
    private long _startedAt = -1;
    private string? _outputProblem;
    private bool _closed;

    public int PollDescriptor => -1;

    public LinkQueueCounters Counters => _counters with { ReceiveDroppedMalformed = replay.SkippedCount, ReceiveErrors = replay.Error is null ? 0 : 1 };

    public int Receive(Span<Frame> burst)
    {
        if (_closed) return 0;
        if (_startedAt < 0) _startedAt = options.Clock.GetTimestamp();
        var received = 0;
        var elapsed = Elapsed();
        // Without memory for it a frame stays in the file: a replay can wait, and so loses nothing.
        while (received < burst.Length && replay.HasFrame && replay.Offset <= elapsed && replay.TryTake(frames, out burst[received]))
            _counters.ReceivedBytes += burst[received++].Length;
        _counters.ReceivedFrames += received;
        return received;
    }

    public int Transmit(ReadOnlySpan<Frame> burst)
    {
        if (_closed) return 0;
        var now = (ulong)(options.Clock.GetUtcNow() - DateTimeOffset.UnixEpoch).Ticks * NanosecondsPerTick;
        foreach (ref readonly var frame in burst)
        {
            if (_outputProblem is null && IsSendable(frame) && TryWrite(frame, now))
            {
                _counters.SentFrames++;
                _counters.SentBytes += frame.Length;
            }
            else
            {
                _counters.SendDroppedError++;
            }
            frames.Return(frame);
        }
        return burst.Length;
    }

    public void Reclaim()
    {
    }

    public bool TryArm()
    {
        if (_closed || !replay.HasFrame) return true;
        var wait = replay.Offset - Elapsed();
        if (wait <= Duration.Zero) return false;
        _timer ??= options.Clock.CreateTimer(static queue => Volatile.Read(ref ((PcapQueue)queue!)._wake)?.Invoke(), this, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
        // One tick more than the rest rounded down, so that it is time when the timer has run out; and no more than a timer takes.
        _timer.Change(TimeSpan.FromMilliseconds(Math.Min(wait.Milliseconds + 1, int.MaxValue)), Timeout.InfiniteTimeSpan);
        return true;
    }

    public void SetWake(Action wake) => Volatile.Write(ref _wake, wake);

    /// <summary>Brings what was sent to the file now and then, and says what is wrong with either file: neither comes back by itself.</summary>
    public LinkPresence Follow(out string? problem)
    {
        TryFlush();
        problem = replay is { HasFrame: false, Error: { } error } ? "the replay has ended: " + error
            : _outputProblem is not null ? "nothing is written any more: " + _outputProblem
            : null;
        return problem is null ? LinkPresence.There : LinkPresence.Gone;
    }

    public void Dispose()
    {
        if (_closed) return;
        _closed = true;
        _timer?.Dispose();
        TryFlush();
    }

    private Duration Elapsed() =>
        options.IsFullSpeed ? new Duration(long.MaxValue) : new Duration(options.Clock.GetElapsedTime(Math.Max(_startedAt, 0)).Ticks * NanosecondsPerTick);

    private bool IsSendable(in Frame frame) =>
        frame.Length <= _longest && frame.SegmentKind == SegmentKind.None && (frame.Flags & (FrameFlags.ChecksumUnfinished | FrameFlags.VlanTag)) == 0;

    /// <summary>False when the disk is full or gone; from then on all that is sent is dropped and counted.</summary>
    private bool TryWrite(in Frame frame, ulong now)
    {
        try
        {
            output?.WriteFrame(0, now, frame.IsChained ? _whole.AsSpan(0, frames.CopyTo(frame, 0, _whole)) : frames.Head(frame), CaptureDirection.Outbound);
            return true;
        }
        catch (IOException e)
        {
            _outputProblem = e.Message;
            return false;
        }
    }

    private void TryFlush()
    {
        try
        {
            if (_outputProblem is null) output?.Flush();
        }
        catch (IOException e)
        {
            _outputProblem = e.Message;
        }
    }
}
