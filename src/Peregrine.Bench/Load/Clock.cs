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

    /// <summary>Processor seconds of a process so far, with those of its threads that have ended; 0 when it is gone.</summary>
    internal static double ProcessCpuSeconds(int process) => KernelCalls.CpuNanoseconds(process) / 1e9;

    /// <summary>Processor time of a network's core, found by its thread's name, of which the kernel keeps 15 bytes.</summary>
    internal static double CoreCpuSeconds(string network)
    {
        const int NameLengthMax = 15;
        var name = network + " core";
        name = name[..Math.Min(name.Length, NameLengthMax)];
        return Directory.GetDirectories(string.Create(CultureInfo.InvariantCulture, $"/proc/{Environment.ProcessId}/task"))
            .Where(task => ReadName(task) == name)
            .Sum(static task => CpuSecondsIn(task + "/schedstat"));
    }

    private static string ReadName(string task)
    {
        try
        {
            return File.ReadAllText(task + "/comm").Trim();
        }
        catch (IOException)
        {
            return "";
        }
    }
}
