// Who wants to see the frames of a world: logs, captures, tests.
using Peregrine.Core.Time;
using Peregrine.Simulation.Links;

namespace Peregrine.Simulation.Trace;

/// <summary>What became of a frame that a node sent.</summary>
public enum FrameFate : byte
{
    /// <summary>It arrived at the other end.</summary>
    Arrived,

    /// <summary>It arrived with bytes changed on the way.</summary>
    Corrupted,

    /// <summary>Lost by chance, by number, in a burst, or damaged so that Ethernet's checksum caught it.</summary>
    Lost,

    /// <summary>Dropped by a full queue or by its management.</summary>
    QueueFull,

    /// <summary>Larger than the link's MTU.</summary>
    TooBig,

    /// <summary>The link is down, or swallows this direction or this size.</summary>
    Blackholed,
}

/// <summary>Sees each frame once, when its fate is known: when it arrives or where it is dropped.</summary>
public interface IFrameObserver
{
    /// <summary>A frame has arrived or was dropped. The bytes are valid during the call only.</summary>
    void OnFrame(Instant time, LinkLane lane, ReadOnlySpan<byte> frame, FrameFate fate);
}
