// Runs seeds until one fails, and says which judge found it and how fast: what the mutants' script asks of a stack with a fault in it.
using System.Diagnostics;
using System.Globalization;
using Peregrine.Simulation.Swarm;

var count = args.Length > 0 ? long.Parse(args[0], CultureInfo.InvariantCulture) : 300;
var first = args.Length > 1 ? ulong.Parse(args[1], CultureInfo.InvariantCulture) : 1;
var failuresMax = args.Length > 2 ? int.Parse(args[2], CultureInfo.InvariantCulture) : 1;
var started = Stopwatch.GetTimestamp();
var report = SwarmRunner.Run(
    new SwarmRange { First = first, Count = count, TwicePercent = 0, FailureCountMax = failuresMax }, CancellationToken.None);
var seconds = Stopwatch.GetElapsedTime(started).TotalSeconds;
foreach (var finding in report.Failures) Console.WriteLine(finding.Message);
if (report.Failures.Count == 0)
{
    Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"not caught in {report.Done} seeds, {seconds:F1} s"));
    foreach (var (name, sum) in report.Counters) Console.WriteLine($"{name,-34} {sum}");
    return 1;
}
Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"caught by: {report.Failures[0].Judge}; seeds: {report.Done}; seconds: {seconds:F1}"));
if (failuresMax > 1) Console.WriteLine(SwarmRun.LastFrames(report.Failures[0].Seed, new SwarmOptions(), 60));
return 0;
