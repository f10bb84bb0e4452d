// How many segments bytes make, the last of which may be short: the unit of what Linux and several RFCs count where this stack counts bytes.
using System.Runtime.CompilerServices;

namespace Peregrine.Core.Tcp.Recovery;

internal static class SegmentCount
{
    /// <summary>Segments of at most <paramref name="mss"/> bytes that so many bytes make.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static uint Of(uint bytes, uint mss) => (bytes + mss - 1) / mss;
}
