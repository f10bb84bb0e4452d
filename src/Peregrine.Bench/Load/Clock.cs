// The load generator's clock: monotonic nanoseconds, and processor time of a thread. Nothing else here reads time.
using System.Diagnostics;
using System.Globalization;

namespace Peregrine.Bench.Load;

internal static class Clock
{
    internal static long Now => (long)(Stopwatch.GetTimestamp() * (1e9 / Stopwatch.Frequency));

    /// <summary>Processor seconds of the calling thread so far: the scheduler's own sum, in nanoseconds, not in ticks of 10 ms.</summary>
    internal static double ThreadCpuSeconds => CpuSecondsIn("/proc/thread-self/schedstat");

    /// <summary>Processor seconds in a schedstat file; 0 where a thread has ended meanwhile.</summary>
    internal static double CpuSecondsIn(string path)
    {
        try
        {
            return double.Parse(File.ReadAllText(path).Split(' ')[0], CultureInfo.InvariantCulture) / 1e9;
        }
        catch (IOException)
        {
            return 0;
        }
    }
}
