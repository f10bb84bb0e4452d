// Who gives way when the blocks of the queues become few, as shares of the pool: first buffers stop growing; then nothing is kept that can
// come again or can wait (data to be sent, data beyond a gap, datagrams); the last go to connections that hold no unread data.
namespace Peregrine.Core.Memory;

internal static class BlockPressure
{
    /// <summary>Less than a quarter is free: no buffer grows.</summary>
    internal static bool IsLow(ChunkPool blocks) => blocks.FreeCount < blocks.Count / 4;

    /// <summary>
    /// A sixteenth, for what is received in order: were all blocks full of data that wait for an acknowledgment, nothing could be received,
    /// and a connection to ourselves would wait for its own other end for ever.
    /// </summary>
    internal static int ReceiveReserve(ChunkPool blocks) => blocks.Count / 16;

    /// <summary>Whether what can wait or come again may take one more block.</summary>
    internal static bool LeavesReceiveReserve(ChunkPool blocks) => blocks.FreeCount > ReceiveReserve(blocks);

    /// <summary>
    /// Whether a connection with unread data may take one more block. The last, a thirty-second, are for those without: who does not read
    /// must not keep from reading who does.
    /// </summary>
    internal static bool LeavesReadersReserve(ChunkPool blocks) => blocks.FreeCount > blocks.Count / 32;
}
