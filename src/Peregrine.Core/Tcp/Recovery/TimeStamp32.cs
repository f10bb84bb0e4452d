// An instant in four bytes, in units of 256 ns modulo 2^32 (18 minutes): for rate samples, where only short differences matter.
// Not for deadlines and not for idle times longer than that; Deadline and Instant are.
using Peregrine.Core.Time;

namespace Peregrine.Core.Tcp.Recovery;

internal static class TimeStamp32
{
    internal const int Shift = 8;

    internal static uint Of(Instant instant) => (uint)((ulong)instant.Nanoseconds >> Shift);

    /// <summary>The time from <paramref name="earlier"/> to <paramref name="later"/>, to 256 ns.</summary>
    internal static Duration Between(uint earlier, uint later) => new((long)(later - earlier) << Shift);
}
