// The sample that docs/simulated-network.md teaches with, as a user starts it.
using System.Diagnostics;

namespace Peregrine.Simulation.Web.Tests;

public sealed class SampleTests
{
    [Fact]
    public async Task TheSampleFindsItsRetryBugAndReplaysItAndTheRepairHolds()
    {
        var folder = new DirectoryInfo(AppContext.BaseDirectory);
        while (!File.Exists(Path.Combine(folder.FullName, "Peregrine.slnx"))) folder = folder.Parent!;
        var program = Path.Combine(folder.FullName, "artifacts/bin/RetryUnderPartition/release/RetryUnderPartition.dll");
        using var sample = Process.Start(new ProcessStartInfo("dotnet", [program]) { RedirectStandardOutput = true })!;
        using var limit = new CancellationTokenSource(TimeSpan.FromMinutes(3));
        var output = await sample.StandardOutput.ReadToEndAsync(limit.Token);
        await sample.WaitForExitAsync(limit.Token);
        Assert.Equal((0, output), (sample.ExitCode, output));
        Assert.Contains("40 orders were placed and", output, StringComparison.Ordinal);
        Assert.Contains("the same story, to the microsecond", output, StringComparison.Ordinal);
        Assert.Contains("50 seeds, 0 of them wrong", output, StringComparison.Ordinal);
    }
}
