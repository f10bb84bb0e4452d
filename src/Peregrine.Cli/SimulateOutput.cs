// What a simulation came to, for people: counters in groups, then what failed and how to see it again.
using System.Globalization;
using Peregrine.Simulation.Swarm;

namespace Peregrine.Cli;

internal static class SimulateOutput
{
    internal static void Print(SwarmReport report, SwarmOptions options)
    {
        PrintCounters(report.Counters);
        foreach (var finding in report.Failures) Console.WriteLine(finding.Message);
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture,
            $"{report.Done} seeds in {report.Seconds:F1} s ({report.Done / Math.Max(report.Seconds, 0.001):F0} a second), {report.Twice} of them twice: {report.Failures.Count} failed"));
        if (report.Failures.Count > 0)
        {
            Console.WriteLine(SwarmRun.LastFrames(report.Failures[0].Seed, options));
            Console.WriteLine($"see it again: peregrine simulate --seed {report.Failures[0].Seed}{options.CommandLine} --trace (or --shrink, or --pcap FILE)");
        }
    }

    internal static void PrintCounters(SortedDictionary<string, long> counters)
    {
        foreach (var group in counters.GroupBy(static pair => pair.Key[..pair.Key.IndexOf('.', StringComparison.Ordinal)]))
        {
            var line = group.Key + ":";
            foreach (var (name, count) in group)
            {
                var item = string.Create(CultureInfo.InvariantCulture, $" {name[(group.Key.Length + 1)..]} {count:N0}");
                if (line.Length + item.Length > 140)
                {
                    Console.WriteLine(line);
                    line = "   ";
                }
                line += item;
            }
            Console.WriteLine(line);
        }
    }
}
