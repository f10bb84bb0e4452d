// How tight the blocks are. The thresholds are shares of the pool: below the first, buffers stop growing; below the second, data out of
// order are given up, for they can come again.
using Peregrine.Core.Memory;

namespace Peregrine.Core.Tcp;

internal static class TcpMemory
{
    /// <summary>Less than a quarter of the blocks is free: no buffer grows.</summary>
    internal static bool IsLow(TcpContext x) => x.Blocks.FreeCount < x.Blocks.Count / 4;

    /// <summary>
    /// Blocks that what is to be sent leaves alone, a sixteenth: were all of them full of data that wait for an acknowledgment, nothing could be
    /// received, and a connection to ourselves would wait for its own other end for ever.
    /// </summary>
    internal static int ReceiveReserve(ChunkPool blocks) => blocks.Count / 16;

    /// <summary>Less than a sixteenth is free: nothing out of order is kept.</summary>
    internal static bool IsCritical(TcpContext x) => x.Blocks.FreeCount < x.Blocks.Count / 16;
}
