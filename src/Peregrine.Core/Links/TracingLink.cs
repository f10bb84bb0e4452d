// A link that writes every frame of another link to a pcapng capture. Its clock and its streams are given; it opens nothing itself.
using Peregrine.Core.Memory;
using Peregrine.Wire;

namespace Peregrine.Core.Links;

/// <summary>
/// Wraps a link and captures its frames with nanosecond times and their direction, one capture a queue, so that queues of several threads
/// share nothing. Frames are captured as they pass here: super-segments uncut, checksums perhaps unfinished.
/// </summary>
public sealed class TracingLink : DelegatingLink
{
    private readonly Func<int, Stream> _openCapture;
    private readonly Func<ulong> _clock;
    private readonly int _snapLength;
    private readonly TracingQueue?[] _queues;

    /// <summary>Wraps <paramref name="inner"/>, which is disposed with this.</summary>
    /// <param name="inner">The link to be watched.</param>
    /// <param name="openCapture">Gives the stream for the capture of a queue; it is closed with the queue.</param>
    /// <param name="clock">Nanoseconds since 1970, UTC; called once a burst.</param>
    /// <param name="snapLength">Bytes kept of a frame at most, 64 to 1 MiB.</param>
    public TracingLink(ILink inner, Func<int, Stream> openCapture, Func<ulong> clock, int snapLength = 65_600)
        : base(inner)
    {
        ArgumentNullException.ThrowIfNull(openCapture);
        ArgumentNullException.ThrowIfNull(clock);
        (_openCapture, _clock, _snapLength) = (openCapture, clock, snapLength);
        _queues = new TracingQueue?[inner.QueueCount];
    }

    /// <inheritdoc/>
    public override ILinkQueue OpenQueue(int index, FramePool frames)
    {
        var inner = Inner.OpenQueue(index, frames);
        var writer = new PcapngWriter(_openCapture(index), snapLength: _snapLength);
        var ethernet = Medium == LinkMedium.Ethernet;
        writer.AddInterface(Name, ethernet ? CaptureLinkType.Ethernet : CaptureLinkType.RawIp, mac: ethernet ? MacAddress : null);
        return _queues[index] = new TracingQueue(inner, frames, writer, _clock);
    }

    /// <summary>Hands what was captured so far to the streams. Call from the thread of the queues.</summary>
    public void Flush()
    {
        foreach (var queue in _queues) queue?.Flush();
    }

    /// <summary>Closes the captures, the queues and the wrapped link.</summary>
    public override void Dispose()
    {
        foreach (var queue in _queues) queue?.Dispose();
        Inner.Dispose();
    }
}

/// <summary>One queue with its capture.</summary>
internal sealed class TracingQueue(ILinkQueue inner, FramePool frames, PcapngWriter writer, Func<ulong> clock) : ILinkQueue
{
    // A super-segment with its link header.
    private readonly byte[] _whole = new byte[ushort.MaxValue + 64];
    private int _refused;
    private bool _disposed;

    public int PollDescriptor => inner.PollDescriptor;

    public LinkQueueCounters Counters => inner.Counters;

    public int Receive(Span<Frame> burst)
    {
        var n = inner.Receive(burst);
        if (n > 0) Capture(burst[..n], CaptureDirection.Inbound);
        return n;
    }

    public int Transmit(ReadOnlySpan<Frame> burst)
    {
        // Captured before they are sent, while they are ours. Those refused the last time come again first and are in the capture already.
        var known = Math.Min(_refused, burst.Length);
        if (known < burst.Length) Capture(burst[known..], CaptureDirection.Outbound);
        var taken = inner.Transmit(burst);
        _refused = burst.Length - taken;
        return taken;
    }

    public void Reclaim() => inner.Reclaim();

    public bool TryArm() => inner.TryArm();

    public void SetWake(Action wake) => inner.SetWake(wake);

    public LinkPresence Follow(out string? problem) => inner.Follow(out problem);

    public void Flush() => writer.Flush();

    public void Dispose()
    {
        if (_disposed) return;
        _disposed = true;
        writer.Dispose();
        inner.Dispose();
    }

    private void Capture(ReadOnlySpan<Frame> burst, CaptureDirection direction)
    {
        var now = clock();
        foreach (ref readonly var frame in burst)
        {
            ReadOnlySpan<byte> bytes = frame.IsChained ? _whole.AsSpan(0, frames.CopyTo(frame, 0, _whole)) : frames.Head(frame);
            writer.WriteFrame(0, now, bytes, direction);
        }
    }
}
