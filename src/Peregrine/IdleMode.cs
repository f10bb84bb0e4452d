// What a core does when there is nothing to do.
namespace Peregrine;

/// <summary>What a core does when there is nothing to do.</summary>
public enum IdleMode
{
    /// <summary>Looks on for a while, then sleeps until a frame, a command or a timer: low latency under load, no burned core when idle.</summary>
    Adaptive,

    /// <summary>Never sleeps: least latency, one processor always busy.</summary>
    BusyPoll,

    /// <summary>Sleeps at once: least work, a few microseconds more latency.</summary>
    Block,
}
