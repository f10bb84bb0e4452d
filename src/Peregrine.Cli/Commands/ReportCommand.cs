// "peregrine report": results of benchmarks as one page.
using System.CommandLine;
using Peregrine.Bench.Report;
using Peregrine.Bench.Results;

namespace Peregrine.Cli.Commands;

internal static class ReportCommand
{
    internal static Command Create()
    {
        var sources = new Argument<string[]>("results") { Description = "Result files of 'peregrine bench', or folders with them", Arity = ArgumentArity.OneOrMore };
        var output = new Option<string>("--output", "-o") { Description = "The page", DefaultValueFactory = static _ => "report.html" };
        var command = new Command("report", "Makes one self-contained HTML page from results.\n\nExamples:\n  peregrine bench http --output results\n  peregrine report results -o report.html") { sources, output };
        command.SetAction(parsed =>
        {
            Write(parsed.GetValue(sources)!, parsed.GetValue(output)!);
            Console.WriteLine(parsed.GetValue(output));
        });
        return command;
    }

    /// <exception cref="FileNotFoundException">A source is not there, or a folder has no results.</exception>
    internal static void Write(IReadOnlyList<string> sources, string output)
    {
        var results = new List<BenchResult>();
        var idle = new List<IdleResult>();
        foreach (var source in sources)
        {
            if (File.Exists(source))
            {
                Read(source);
                continue;
            }
            if (!Directory.Exists(source)) throw new FileNotFoundException($"There is no file or folder {source}.");
            foreach (var file in Directory.GetFiles(source, "*.json").Order(StringComparer.Ordinal))
            {
                try
                {
                    Read(file);
                }
                catch (InvalidDataException e)
                {
                    // It may lie there for another reason, and is no reason to have no page.
                    Console.Error.WriteLine("  left out: " + e.Message);
                }
            }
        }
        if (results.Count + idle.Count == 0) throw new FileNotFoundException($"There are no results (*.json) in {string.Join(", ", sources)}: make some with 'peregrine bench NAME --output FOLDER'.");
        // In the order in which they were measured: that of the works, and the same page for the same files.
        File.WriteAllText(output, HtmlReport.Create([.. results.OrderBy(static result => result.At)], [.. idle.OrderBy(static result => result.At)]));

        void Read(string file)
        {
            var text = File.ReadAllText(file);
            if (text.Contains(IdleResult.FormatName, StringComparison.Ordinal)) idle.Add(IdleResult.Parse(text, file));
            else results.Add(BenchResult.Parse(text, file));
        }
    }
}
