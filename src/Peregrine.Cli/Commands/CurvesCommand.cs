// "peregrine curves": measures the curves that are kept in docs/curves, and says which have moved, or keeps them anew.
using System.CommandLine;
using System.Diagnostics;
using System.Globalization;
using Peregrine.Simulation.Curves;

namespace Peregrine.Cli.Commands;

internal static class CurvesCommand
{
    internal static Command Create()
    {
        var names = new Argument<string[]>("names") { Description = "Which curves; all without it", Arity = ArgumentArity.ZeroOrMore };
        var update = new Option<bool>("--update") { Description = "Write tables and plots anew" };
        var folder = new Option<DirectoryInfo>("--folder") { Description = "Where they are kept", DefaultValueFactory = static _ => new DirectoryInfo(CurveCatalogue.Folder) };
        var command = new Command("curves",
            "Measures TCP in the simulator: throughput by loss, round trip and buffer, windows, fairness, recovery. The same code gives the same numbers on every\n"
            + "machine, so a curve that has moved was moved by a change. Fails when one has.\n\nExamples:\n"
            + "  peregrine curves                         compares all with docs/curves\n"
            + "  peregrine curves --update                keeps them anew, tables and plots\n"
            + "  peregrine curves fairness --folder /tmp  one of them, somewhere else")
        {
            names, update, folder,
        };
        command.SetAction((parsed, cancel) => Task.Run(() => Run(parsed.GetValue(names)!, parsed.GetValue(update), parsed.GetValue(folder)!, cancel), CancellationToken.None));
        return command;
    }

    private static int Run(string[] names, bool update, DirectoryInfo folder, CancellationToken cancel)
    {
        if (!folder.Exists) throw new DirectoryNotFoundException($"There is no folder '{folder}': start this in the repository, or give --folder.");
        var moved = 0;
        Parallel.ForEach(names.Length > 0 ? names : CurveCatalogue.Names, new ParallelOptions { CancellationToken = cancel }, name =>
        {
            var began = Stopwatch.GetTimestamp();
            var curve = CurveCatalogue.Measure(name);
            var (table, plot) = (Path.Combine(folder.FullName, name + ".csv"), Path.Combine(folder.FullName, name + ".svg"));
            var isSame = File.Exists(table) && File.ReadAllText(table) == curve.ToCsv();
            if (!isSame) Interlocked.Increment(ref moved);
            if (update)
            {
                File.WriteAllText(table, curve.ToCsv());
                File.WriteAllText(plot, SvgPlot.Draw(curve));
            }
            Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{name}: {(isSame ? "as it was" : "moved")} ({Stopwatch.GetElapsedTime(began).TotalSeconds:F1} s)"));
        });
        return moved == 0 || update ? 0 : 1;
    }
}
