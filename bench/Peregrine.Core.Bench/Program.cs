// Nanoseconds of a request, a connection or bulk data in the stack alone. Prints; judges nothing. Single stages: Peregrine.Stages.Bench.
//   dotnet run -c Release --project bench/Peregrine.Core.Bench requests [callback | await] [small | hello] [CONNECTIONS ...]
//   dotnet run -c Release --project bench/Peregrine.Core.Bench connects
//   dotnet run -c Release --project bench/Peregrine.Core.Bench bulk [memif [ring=N]] [MEGABYTES [ROUNDS]]
using System.Diagnostics;
using Peregrine.Core;
using Peregrine.Core.Bench;

if (args is ["requests", ..])
{
    RequestBench.Run(args[1..]);
    return;
}
if (args is ["connects"])
{
    ConnectBench.Run();
    return;
}
if (args is ["bulk", ..])
{
    var isMemif = args is [_, "memif", ..];
    var ring = args is [_, _, ['r', 'i', 'n', 'g', '=', .. var count], ..] ? int.Parse(count, System.Globalization.CultureInfo.InvariantCulture) : 0;
    int[] sizes = [.. args[(ring > 0 ? 3 : isMemif ? 2 : 1)..].Select(static text => int.Parse(text, System.Globalization.CultureInfo.InvariantCulture))];
    var (megabytes, rounds) = (sizes.Length > 0 ? sizes[0] : 100, sizes.Length > 1 ? sizes[1] : Measure.Rounds);
    if (isMemif) BulkBench.RunMemif(megabytes, rounds, ring > 0 ? ring : 1_024);
    else BulkBench.Run(megabytes, rounds);
    return;
}
Console.Error.WriteLine("usage: requests [callback | await] [small | hello] [CONNECTIONS ...] | connects | bulk [memif [ring=N]] [MEGABYTES [ROUNDS]]");
Environment.Exit(2);

namespace Peregrine.Core.Bench
{
    /// <summary>Times a loop and prints the best and the median of several rounds.</summary>
    internal static class Measure
    {
        public const int Rounds = 9;

        public static void Print(string what, int operations, Action round, int rounds = Rounds)
        {
            var times = new double[rounds];
            round();
            for (var i = 0; i < rounds; i++)
            {
                var start = Stopwatch.GetTimestamp();
                round();
                times[i] = Stopwatch.GetElapsedTime(start).TotalNanoseconds / operations;
            }
            Array.Sort(times);
            Console.WriteLine($"  {what,-62} {times[0],7:F1} {times[rounds / 2],7:F1}");
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
