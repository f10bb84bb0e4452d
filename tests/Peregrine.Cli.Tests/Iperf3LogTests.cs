// Where iperf3's output goes with --logfile: into the file, behind what is there, and nowhere else.
namespace Peregrine.Cli.Tests;

public sealed class Iperf3LogTests
{
    [Fact]
    public async Task ALogFileTakesAllOutputBehindWhatItHas()
    {
        using var scratch = new Scratch();
        var log = scratch.At("iperf3.log");
        await File.WriteAllTextAsync(log, "before\n", TestContext.Current.CancellationToken);
        foreach (var bytes in (string[])["100K", "200K"])
        {
            var run = await Tool.RunAsync(scratch.Path, [], "iperf3", "-c", "192.0.2.1", "--link", "memory", "-n", bytes, "--logfile", log);
            Assert.Equal((0, "", ""), (run.Status, run.Output, run.Errors));
        }
        var lines = await File.ReadAllLinesAsync(log, TestContext.Current.CancellationToken);
        Assert.Equal("before", lines[0]);
        Assert.Equal(2, lines.Count(static line => line.StartsWith("Connecting to host 192.0.2.1, port 5201", StringComparison.Ordinal)));
        Assert.Equal(2, lines.Count(static line => line == "iperf Done."));
    }

    [Fact]
    public async Task ErrorsGoIntoTheLogFileToo()
    {
        using var scratch = new Scratch();
        var log = scratch.At("iperf3.log");
        // The server in the other stack listens on the same port that the client asks; a file that is not there is the client's own error.
        var run = await Tool.RunAsync(scratch.Path, [], "iperf3", "-c", "192.0.2.1", "--link", "memory", "-F", scratch.At("none"), "--logfile", log);
        Assert.Equal((1, "", ""), (run.Status, run.Output, run.Errors));
        Assert.Contains("unable to open -F file", await File.ReadAllTextAsync(log, TestContext.Current.CancellationToken), StringComparison.Ordinal);
        // A folder that is not there: an error on the standard error, and nothing is begun.
        var refused = await Tool.RunAsync(scratch.Path, [], "iperf3", "-c", "192.0.2.1", "--link", "memory", "-n", "1K", "--logfile", scratch.At("no/folder"));
        Assert.Equal(1, refused.Status);
        Assert.Contains("unable to open log file", refused.Errors, StringComparison.Ordinal);
    }
}
