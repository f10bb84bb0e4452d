// Nanoseconds of the tables' operations at a size given as argument (a million unless named), or of a request in the stack alone.
// Prints; judges nothing.
//   dotnet run -c Release --project bench/Peregrine.Core.Bench [ENTRIES]
//   dotnet run -c Release --project bench/Peregrine.Core.Bench requests [CONNECTIONS ...]
//   dotnet run -c Release --project bench/Peregrine.Core.Bench bulk [MEGABYTES]
using System.Diagnostics;
using Peregrine.Core;
using Peregrine.Core.Bench;

if (args is ["requests", ..])
{
    RequestBench.Run(args.Length > 1 ? [.. args[1..].Select(int.Parse)] : [64, 10_000, 1_000_000]);
    return;
}
if (args is ["bulk", ..])
{
    BulkBench.Run(args.Length > 1 ? int.Parse(args[1], System.Globalization.CultureInfo.InvariantCulture) : 100);
    return;
}
var entries = args.Length > 0 ? int.Parse(args[0].Replace("_", "", StringComparison.Ordinal)) : 1_000_000;
Console.WriteLine($"{entries:N0} entries; nanoseconds an operation, best and median of {Measure.Rounds} rounds");
DemuxBench.Run(entries);
TimerWheelBench.Run(entries);

namespace Peregrine.Core.Bench
{
    /// <summary>Times a loop and prints the best and the median of several rounds.</summary>
    internal static class Measure
    {
        public const int Rounds = 9;

        public static void Print(string what, int operations, Action round)
        {
            var times = new double[Rounds];
            round();
            for (var i = 0; i < Rounds; i++)
            {
                var start = Stopwatch.GetTimestamp();
                round();
                times[i] = Stopwatch.GetElapsedTime(start).TotalNanoseconds / operations;
            }
            Array.Sort(times);
            Console.WriteLine($"  {what,-62} {times[0],7:F1} {times[Rounds / 2],7:F1}");
        }

        /// <summary>Numbers 0 to n − 1 in an order at random.</summary>
        public static uint[] Shuffled(int n, StackRandom random)
        {
            var order = new uint[n];
            for (var i = 0; i < n; i++) order[i] = (uint)i;
            for (var i = n - 1; i > 0; i--)
            {
                var j = random.Next((uint)i + 1);
                (order[i], order[j]) = (order[j], order[i]);
            }
            return order;
        }
    }
}
