// The faults that the swarm's worlds choose from, by name: leaving some out is how a failing world is made smaller.
namespace Peregrine.Simulation.Swarm;

/// <summary>Kinds of faults.</summary>
[Flags]
internal enum SwarmFaults
{
    None = 0,
    Loss = 1,
    BurstLoss = 1 << 1,
    NthLoss = 1 << 2,
    Duplication = 1 << 3,
    Reordering = 1 << 4,
    Jitter = 1 << 5,
    Corruption = 1 << 6,
    CaughtCorruption = 1 << 7,
    Bottleneck = 1 << 8,
    QueueManagement = 1 << 9,
    Asymmetry = 1 << 10,
    SmallMtu = 1 << 11,
    MtuChange = 1 << 12,
    Flap = 1 << 13,
    OneWayBlackhole = 1 << 14,
    SizeBlackhole = 1 << 15,
    Partition = 1 << 16,
    Pause = 1 << 17,
    ClockDrift = 1 << 18,
    ClockJump = 1 << 19,
    Restart = 1 << 20,
    MemoryPressure = 1 << 21,
    FramePressure = 1 << 22,
    SlowReaders = 1 << 23,
    Stalls = 1 << 24,
    Aborts = 1 << 25,
    NotAccepting = 1 << 26,
    ListenerCloses = 1 << 27,
    Adversary = 1 << 28,
    SmallTables = 1 << 29,
    All = (1 << 30) - 1,
}
