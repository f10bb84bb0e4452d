// "peregrine script": runs packetdrill scripts against the stack, in process and in virtual time, and says one line a script.
using System.CommandLine;
using Peregrine.Scripting;

namespace Peregrine.Cli.Commands;

internal static class ScriptCommand
{
    internal static Command Create()
    {
        var paths = new Argument<string[]>("path") { Description = "Scripts (.pkt), or folders of scripts", Arity = ArgumentArity.OneOrMore };
        var profile = new Option<string>("--profile")
        {
            Description = "The system that the scripts were written for: linux or freebsd. It settles defaults, option order and the names of errors",
            DefaultValueFactory = static _ => "linux",
        };
        var quiet = new Option<bool>("--failed") { Description = "Print only the scripts that failed, and the sum" };
        var kernel = new Option<bool>("--kernel") { Description = "Run against the running Linux kernel instead, in real time and a network namespace of its own; needs root" };
        var trace = new Option<bool>("--trace") { Description = "Print every packet that comes in (<) and goes out (>) and every call's result, with the script's time" };
        var table = new Option<bool>("--table") { Description = "Print a table in Markdown instead: the sum, and a row a script, by its name in the folder that was given" };
        var command = new Command("script",
            "Runs scripts in packetdrill's language against the stack, each against one of its own, in virtual time.\n\n"
            + "One line a script: passed; failed, with what was expected and what was seen; or not applicable, with what is missing.\n"
            + "Exit status: 0 when none failed, 1 when one did, 2 when none was applicable.\n\nExamples:\n"
            + "  peregrine script handshake.pkt\n"
            + "  peregrine script --profile freebsd --failed ./tcp-testsuite\n"
            + "  sudo peregrine script --kernel handshake.pkt")
        {
            paths, profile, quiet, kernel, trace, table,
        };
        command.SetAction(parsed => parsed.GetValue(table)
            ? Tabulate(parsed.GetValue(paths)!, parsed.GetValue(profile)!, parsed.GetValue(kernel))
            : Run(parsed.GetValue(paths)!, parsed.GetValue(profile)!, parsed.GetValue(quiet), parsed.GetValue(kernel), parsed.GetValue(trace)));
        return command;
    }

    private static int Tabulate(string[] paths, string profile, bool kernel)
    {
        var results = new List<(string Name, ScriptResult Result)>();
        foreach (var path in paths)
        {
            foreach (var file in ScriptSuite.Find(path))
                results.Add((file == path ? file : Path.GetRelativePath(path, file), kernel ? ScriptSuite.RunFileOnKernel(file) : ScriptSuite.RunFile(file, profile)));
        }
        var counts = Enum.GetValues<ScriptOutcome>().Select(outcome => results.Count(r => r.Result.Outcome == outcome)).ToArray();
        Console.WriteLine($"{counts[0]} passed, {counts[1]} failed, {counts[2]} not applicable.\n\n| script | result | reason |\n| --- | --- | --- |");
        foreach (var (name, result) in results) Console.WriteLine($"| {name} | {Word(result.Outcome)} | {Cell(result.Detail)} |");
        return counts[1] > 0 ? 1 : counts[0] > 0 ? 0 : 2;
    }

    private static string Word(ScriptOutcome outcome) => outcome switch { ScriptOutcome.Passed => "passed", ScriptOutcome.Failed => "failed", _ => "not applicable" };

    private static string Cell(string text) => string.Join("; ", text.Split('\n', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries))
        .Replace("<", "&lt;", StringComparison.Ordinal).Replace(">", "&gt;", StringComparison.Ordinal).Replace("|", "\\|", StringComparison.Ordinal);

    private static int Run(string[] paths, string profile, bool onlyFailed, bool kernel, bool isTraced)
    {
        var counts = new int[3];
        Action<string>? trace = isTraced ? Console.WriteLine : null;
        foreach (var path in paths.SelectMany(ScriptSuite.Find))
        {
            var result = kernel ? ScriptSuite.RunFileOnKernel(path, isTraced ? 1 : 3, trace) : ScriptSuite.RunFile(path, profile, trace);
            counts[(int)result.Outcome]++;
            if (!onlyFailed || result.Outcome == ScriptOutcome.Failed) Console.WriteLine(result);
        }
        Console.WriteLine($"{counts[0]} passed, {counts[1]} failed, {counts[2]} not applicable");
        return counts[1] > 0 ? 1 : counts[0] > 0 ? 0 : 2;
    }
}
