// Who gives way when the blocks of the queues become few, as shares of the pool: first buffers stop growing; then nothing is kept that can
// come again or can wait (data to be sent, data beyond a gap, datagrams); the last go to connections that hold no unread data.
using System.Numerics;

namespace Peregrine.Core.Memory;

/// <summary>How few blocks are left, and who gives way.</summary>
public enum MemoryPressure : byte
{
    /// <summary>There are enough.</summary>
    None,

    /// <summary>No buffer grows any more.</summary>
    NoGrowth,

    /// <summary>Data beyond a gap are given up, and what can wait is not taken: data to be sent, datagrams.</summary>
    Prune,

    /// <summary>Only connections without unread data receive.</summary>
    Refuse,
}

internal static class BlockPressure
{
    private const uint TwoSegments = 32 * 1024;

    /// <summary>The level that the pool has come to.</summary>
    internal static MemoryPressure LevelOf(ChunkPool blocks)
    {
        if (!LeavesReadersReserve(blocks)) return MemoryPressure.Refuse;
        if (!LeavesReceiveReserve(blocks)) return MemoryPressure.Prune;
        return IsLow(blocks) ? MemoryPressure.NoGrowth : MemoryPressure.None;
    }

    /// <summary>Less than a quarter is free: no buffer grows.</summary>
    internal static bool IsLow(ChunkPool blocks) => blocks.FreeCount < blocks.Count / 4;

    /// <summary>
    /// A sixteenth, for what is received in order: were all blocks full of data that wait for an acknowledgment, nothing could be received,
    /// and a connection to ourselves would wait for its own other end for ever. Of a small pool up to a fifth, so that the largest of the loopback's segments finds
    /// room (two where there is more): of one that finds room in part the rest is dropped, and comes again only after a time-out, each longer than the one before.
    /// </summary>
    internal static int ReceiveReserve(ChunkPool blocks) =>
        Math.Max(blocks.Count / 16, Math.Min(blocks.Count / 5, (int)(TwoSegments >> BitOperations.Log2((uint)blocks.ChunkSize))));

    /// <summary>Whether what can wait or come again may take one more block.</summary>
    internal static bool LeavesReceiveReserve(ChunkPool blocks) => blocks.FreeCount > ReceiveReserve(blocks);

    /// <summary>
    /// Whether a connection with unread data may take one more block. The last, a thirty-second, are for those without: who does not read
    /// must not keep from reading who does.
    /// </summary>
    internal static bool LeavesReadersReserve(ChunkPool blocks) => blocks.FreeCount > blocks.Count / 32;
}
