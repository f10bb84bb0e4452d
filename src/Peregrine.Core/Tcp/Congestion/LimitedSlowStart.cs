// Limited slow start (RFC 3742): beyond so many segments slow start's window opens by half of that number a round trip and no longer doubles, so
// that it does not overrun a long path's queue by thousands of segments.
namespace Peregrine.Core.Tcp.Congestion;

internal static class LimitedSlowStart
{
    /// <summary>What of the growth of an ACK is left.</summary>
    /// <param name="cwnd">The window before it.</param>
    /// <param name="mss">Bytes of a segment.</param>
    /// <param name="growth">What slow start would open it by: not more than was acknowledged.</param>
    /// <param name="segments">RFC 3742's max_ssthresh in segments; 0 for no limit.</param>
    internal static uint Limit(uint cwnd, uint mss, uint growth, uint segments)
    {
        var limit = (ulong)segments * mss;
        if (segments == 0 || cwnd <= limit) return growth;
        // RFC 3742 §2: K = int(cwnd / (0.5 max_ssthresh)); cwnd += int(MSS / K), in bytes as RFC 3465 counts them.
        return (uint)Math.Max(growth / (2ul * cwnd / limit), Math.Min(growth, 1));
    }
}
