// What a fault injector does to frames, and what it has done. Records and sums, no behaviour.
namespace Peregrine.Core.Links;

/// <summary>Faults of one direction. Chances are per million frames, each drawn for each frame in the order of the fields.</summary>
public sealed record FaultOptions
{
    /// <summary>No faults.</summary>
    public static FaultOptions None { get; } = new();

    /// <summary>The seed: the same seed and the same frames give the same faults.</summary>
    public ulong Seed { get; init; }

    /// <summary>The numbers of frames to lose, counted from 1, in any order.</summary>
    public IReadOnlyList<long> DropNumbers { get; init; } = [];

    /// <summary>Frames lost.</summary>
    public int LossPerMillion { get; init; }

    /// <summary>Frames of which a bit is turned over. Checksums are finished before, so that the damage can be seen.</summary>
    public int CorruptionPerMillion { get; init; }

    /// <summary>Frames cut short, at any length from 1 on.</summary>
    public int TruncationPerMillion { get; init; }

    /// <summary>Frames delivered twice.</summary>
    public int DuplicationPerMillion { get; init; }

    /// <summary>Frames held back until later ones have passed.</summary>
    public int ReorderingPerMillion { get; init; }

    /// <summary>A frame held back lets 1 to this many others pass; at most 64. There is no time here: what no frame follows stays held.</summary>
    public int ReorderingDepthMax { get; init; } = 8;
}

/// <summary>What was done to the frames of one direction. Plain sums.</summary>
public struct FaultCounters
{
    /// <summary>Frames that came in.</summary>
    public long Frames;

    /// <summary>Frames lost, by chance or by number.</summary>
    public long Lost;

    /// <summary>Frames changed.</summary>
    public long Corrupted;

    /// <summary>Frames cut short.</summary>
    public long Truncated;

    /// <summary>Frames delivered once more.</summary>
    public long Duplicated;

    /// <summary>Frames held back.</summary>
    public long Reordered;

    /// <summary>Faults that could not be done: no chunk for a copy, a super-segment that cannot be summed, no room to hold back. The frame passed.</summary>
    public long Omitted;
}
