// The deliberate faults in eng/mutants: each patch still applies to the sources as they are. `./test --long` also builds them one by one and
// runs seeds until a judge finds each.
using System.Diagnostics;

namespace Peregrine.Simulation.Tests;

public sealed class MutantTests
{
    [Fact]
    public void EveryMutantStillApplies()
    {
        var patches = Directory.GetFiles(Path.Combine(Sources.Root, "eng", "mutants"), "*.patch");
        Assert.True(patches.Length >= 25, $"{patches.Length} mutants");
        Assert.All(patches, static patch => Assert.Equal("", Run("git", "apply", "--check", patch)));
    }

    [Fact]
    public void EveryMutantIsCaughtByAJudge()
    {
        Assert.SkipUnless(Environment.GetEnvironmentVariable("PEREGRINE_LONG") == "1", "takes half an hour: ./test --long");
        var table = Run(Path.Combine(Sources.Root, "eng", "mutants", "run"));
        Assert.Contains("| ack-plus-one |", table, StringComparison.Ordinal);
        Assert.DoesNotContain("**", table, StringComparison.Ordinal);
    }

    // What it printed; for a command that failed, with its errors.
    private static string Run(string command, params string[] arguments)
    {
        using var process = Process.Start(new ProcessStartInfo(command, arguments) { WorkingDirectory = Sources.Root, RedirectStandardOutput = true, RedirectStandardError = true })!;
        var errors = process.StandardError.ReadToEndAsync();
        var output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return process.ExitCode == 0 ? output : output + errors.Result;
    }
}
