// The integer cube root: Math.Cbrt differs between machines.
namespace Peregrine.Core.Tcp.Congestion;

internal static class CubeRoot
{
    /// <summary>The largest integer whose cube is not above <paramref name="x"/>.</summary>
    internal static uint Of(ulong x)
    {
        // Bit by bit from the top, 22 rounds: y is the root so far, and 3y(y+1)+1 is what the next bit would take away.
        ulong y = 0;
        for (var shift = 63; shift >= 0; shift -= 3)
        {
            y <<= 1;
            var take = (3 * y * (y + 1)) + 1;
            if (x >> shift < take) continue;
            x -= take << shift;
            y++;
        }
        return (uint)y;
    }
}
