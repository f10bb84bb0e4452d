// A link that loses, repeats, reorders and damages the frames of another link, by seed. For tests and simulation; time-free.
using Peregrine.Core.Memory;
using Peregrine.Wire;

namespace Peregrine.Core.Links;

/// <summary>Wraps a link and does faults to its frames, each direction by its own options and seed.</summary>
public sealed class FaultyLink : DelegatingLink
{
    private readonly FaultOptions _onTransmit, _onReceive;
    private readonly FaultyQueue?[] _queues;

    /// <summary>Wraps <paramref name="inner"/>, which is disposed with this.</summary>
    public FaultyLink(ILink inner, FaultOptions? onTransmit = null, FaultOptions? onReceive = null)
        : base(inner)
    {
        (_onTransmit, _onReceive) = (onTransmit ?? FaultOptions.None, onReceive ?? FaultOptions.None);
        _queues = new FaultyQueue?[inner.QueueCount];
    }

    /// <inheritdoc/>
    public override ILinkQueue OpenQueue(int index, FramePool frames)
    {
        var inner = Inner.OpenQueue(index, frames);
        return _queues[index] = new FaultyQueue(inner, new FaultLane(_onTransmit, frames, (uint)(2 * index)), new FaultLane(_onReceive, frames, (uint)(2 * index) + 1));
    }

    /// <summary>What was done to sent frames of a queue.</summary>
    public FaultCounters TransmitFaults(int queue = 0) => _queues[queue]?.Transmitting.Counters ?? default;

    /// <summary>What was done to received frames of a queue.</summary>
    public FaultCounters ReceiveFaults(int queue = 0) => _queues[queue]?.Receiving.Counters ?? default;

    /// <summary>Starts or stops all faults. Stopping lets the frames that are held back out at the next turn. Call from the queues' thread.</summary>
    public void SetActive(bool active)
    {
        foreach (var queue in _queues)
        {
            if (queue is null) continue;
            queue.Transmitting.IsActive = queue.Receiving.IsActive = active;
            if (!active) queue.ReleaseHeld();
        }
    }

    /// <inheritdoc/>
    public override void Dispose()
    {
        foreach (var queue in _queues) queue?.Dispose();
        Inner.Dispose();
    }
}

/// <summary>One queue with a lane of faults a direction.</summary>
internal sealed class FaultyQueue(ILinkQueue inner, FaultLane transmitting, FaultLane receiving) : ILinkQueue
{
    private readonly Frame[] _burst = new Frame[64];
    private bool _releaseReceived, _disposed;

    public FaultLane Transmitting => transmitting;

    public FaultLane Receiving => receiving;

    public int PollDescriptor => inner.PollDescriptor;

    public LinkQueueCounters Counters => inner.Counters;

    public int Receive(Span<Frame> frames)
    {
        if (_releaseReceived)
        {
            _releaseReceived = false;
            receiving.Release();
        }
        var room = Math.Min(Math.Min(receiving.Room, _burst.Length), frames.Length);
        var n = room > 0 ? inner.Receive(_burst.AsSpan(0, room)) : 0;
        for (var i = 0; i < n; i++) receiving.Put(_burst[i]);
        var count = Math.Min(receiving.Output.Length, frames.Length);
        receiving.Output[..count].CopyTo(frames);
        receiving.Taken(count);
        return count;
    }

    public int Transmit(ReadOnlySpan<Frame> frames)
    {
        var taken = 0;
        while (taken < frames.Length)
        {
            if (transmitting.Room == 0 && !Flush()) break;
            for (var room = transmitting.Room; room > 0 && taken < frames.Length; room--) transmitting.Put(frames[taken++]);
        }
        Flush();
        return taken;
    }

    public void Reclaim()
    {
        Flush();
        inner.Reclaim();
    }

    public bool TryArm() => receiving.Output.IsEmpty && !_releaseReceived && inner.TryArm();

    public void SetWake(Action wake) => inner.SetWake(wake);

    public LinkPresence Follow(out string? problem) => inner.Follow(out problem);

    public void ReleaseHeld()
    {
        transmitting.Release();
        _releaseReceived = true;
        Flush();
    }

    public void Dispose()
    {
        if (_disposed) return;
        _disposed = true;
        transmitting.Clear();
        receiving.Clear();
        inner.Dispose();
    }

    /// <summary>Hands on what the link takes. True when there is room afterwards.</summary>
    private bool Flush()
    {
        if (!transmitting.Output.IsEmpty) transmitting.Taken(inner.Transmit(transmitting.Output));
        return transmitting.Room > 0;
    }
}
