// What the theory says of throughput under a steady loss: windows in segments by loss (0 to 1) and round trip. They assume one loss in every 1/p segments and
// no time-outs, so they fit best where losses are few.
namespace Peregrine.Simulation.Curves;

internal static class ResponseFunctions
{
    /// <summary>The payload of a full segment: 1,500 bytes less 40 of headers and 12 of timestamps.</summary>
    public const int SegmentBytes = 1_448;

    // Mathis, Semke, Mahdavi and Ott, 1997, with a byte counted for a byte acknowledged (RFC 3465): RFC 8312 Eq. 3 for AIMD(1, 0.5).
    public static double Reno(double loss) => Math.Sqrt(1.5 / loss);

    // RFC 8312 Eq. 7, for the constants that RFC 9438 keeps; where it is below Reno's, CUBIC goes as Reno would (RFC 9438 §4.3).
    public static double Cubic(double loss, double roundTripSeconds) =>
        Math.Max(Reno(loss), 1.054 * ThreeQuarters(roundTripSeconds) / ThreeQuarters(loss));

    /// <summary>Megabits of payload a second of a window a round trip.</summary>
    public static double MegabitsPerSecond(double segments, double roundTripSeconds) => segments * SegmentBytes * 8 / roundTripSeconds / 1_000_000;

    // x to the power of 3/4, by square roots, which are exact everywhere.
    private static double ThreeQuarters(double x) => Math.Sqrt(x) * Math.Sqrt(Math.Sqrt(x));
}
