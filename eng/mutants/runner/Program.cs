// Runs seeds until one fails, and says which judge found it and how fast: what the mutants' script asks of a stack with a fault in it.
using System.Globalization;
using Peregrine.Simulation.Swarm;

var count = args.Length > 0 ? long.Parse(args[0], CultureInfo.InvariantCulture) : 300;
var first = args.Length > 1 ? ulong.Parse(args[1], CultureInfo.InvariantCulture) : 1;
var report = SwarmRunner.Run(new SwarmRange { First = first, Count = count, TwicePercent = 20, FailureCountMax = 1 }, CancellationToken.None);
if (report.Failures.Count == 0)
{
    Console.WriteLine($"not caught in {report.Done} seeds");
    return 0;
}
var finding = report.Failures[0];
Console.WriteLine(finding.Message);
Console.WriteLine($"caught by: {finding.Judge}; seeds: {finding.Seed - first + 1}");
return 1;
