// "--user" as a service uses it: root at the start, nobody afterwards, and a link that comes back all the same.
using System.Diagnostics;

namespace Peregrine.Cli.Tests;

public sealed class PrivilegeTests
{
    [Fact]
    public async Task WithoutRootADeletedDeviceComesBackThroughTheOpener()
    {
        Tool.Need(root: true, "ip", "curl", "setpriv");
        using var scratch = new Scratch();
        var space = $"pgp{Environment.ProcessId}";
        await RunAsync("ip", "netns", "add", space);
        try
        {
            using var tool = Tool.Start(scratch.Path, [], "serve", "--netns", space, "--link", "tap:pgp0", "--user", "nobody", "--https-port", "0");
            await tool.ReadUntilAsync("Ctrl-C ends it");
            Assert.Contains("It flies", await CurlAsync(space), StringComparison.Ordinal);
            Assert.Equal("nobody", Owner(tool.ProcessId));
            var opener = Assert.Single(Children(tool.ProcessId));
            Assert.Equal("root", Owner(opener));

            await RunAsync("ip", "-n", space, "link", "del", "pgp0");
            Assert.Contains("It flies", await CurlAsync(space), StringComparison.Ordinal);

            // The socket was made before the drop, and is the user's.
            var stats = await Tool.RunAsync(scratch.Path, ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"], "stats", "serve");
            Assert.True(stats.Status == 0 && stats.Output.Contains("engine.Turns", StringComparison.Ordinal), stats.ToString());

            // However the process ends, the opener does not outlive it.
            using (var process = Process.GetProcessById(tool.ProcessId)) process.Kill();
            Assert.True(SpinWait.SpinUntil(() => !Directory.Exists($"/proc/{opener}"), 60_000), "the opener is still there");
        }
        finally
        {
            await RunAsync("ip", "netns", "del", space);
        }
    }

    // The opener attaches the program and makes the sockets; registering and binding them is the user's, with more memory than the usual limit.
    [Fact]
    public async Task WithoutRootAnXdpLinkComesBackThroughTheOpener()
    {
        Tool.Need(root: true, "ip", "curl", "prlimit");
        using var scratch = new Scratch();
        var (ours, theirs) = ($"pgx{Environment.ProcessId}", $"pgy{Environment.ProcessId}");
        await RunAsync("ip", "netns", "add", ours);
        await RunAsync("ip", "netns", "add", theirs);
        try
        {
            await MakePairAsync(ours, theirs);
            using var tool = Tool.Start(scratch.Path, ["prlimit", "--memlock=65536:65536"], "serve", "--netns", ours, "--link", "xdp:pgx0", "--user", "nobody", "--https-port", "0");
            await tool.ReadUntilAsync("Ctrl-C ends it");
            Assert.Contains("It flies", await CurlAsync(theirs), StringComparison.Ordinal);
            Assert.Equal("nobody", Owner(tool.ProcessId));
            Assert.Equal("root", Owner(Assert.Single(Children(tool.ProcessId))));

            await RunAsync("ip", "-n", ours, "link", "del", "pgx0");
            await MakePairAsync(ours, theirs);
            Assert.Contains("It flies", await CurlAsync(theirs), StringComparison.Ordinal);

            // Frames of several chunks take sockets of another kind, and so new ones.
            await RunAsync("ip", "-n", ours, "link", "set", "pgx0", "mtu", "4000");
            await UntilCountedAsync(scratch, "linkWatch.MtuChanges");
            Assert.Contains("It flies", await CurlAsync(theirs), StringComparison.Ordinal);
            await RunAsync("ip", "-n", ours, "link", "set", "pgx0", "down");
            await RunAsync("ip", "-n", ours, "link", "set", "pgx0", "up");
            Assert.Contains("It flies", await CurlAsync(theirs), StringComparison.Ordinal);
            tool.Interrupt();
            var result = await tool.FinishAsync();
            Assert.True(result.Status == 0, result.ToString());
        }
        finally
        {
            await RunAsync("ip", "netns", "del", ours);
            await RunAsync("ip", "netns", "del", theirs);
        }
    }

    [Fact]
    public async Task OpenerOfALinkThatNeedsNoneEndsAtOnceAndCtrlCIsClean()
    {
        Tool.Need(root: true, "setpriv");
        using var scratch = new Scratch();
        using var tool = Tool.Start(scratch.Path, [], "serve", "--link", $"memif:{scratch.At("m.sock")},server", "--user", "nobody", "--https-port", "0");
        await tool.ReadUntilAsync("Ctrl-C ends it");
        Assert.Equal("nobody", Owner(tool.ProcessId));
        Assert.True(SpinWait.SpinUntil(() => Children(tool.ProcessId).Count == 0, 60_000), "the opener is still there");
        tool.Interrupt();
        var result = await tool.FinishAsync();
        Assert.True(result is { Status: 0, Errors: "" }, result.ToString());
    }

    [Fact]
    public async Task CtrlCWhileItStartsIsCleanToo()
    {
        using var scratch = new Scratch();
        var socket = scratch.At("m.sock");
        using var tool = Tool.Start(scratch.Path, [], "serve", "--link", $"memif:{socket},server", "--https-port", "0");
        Assert.True(SpinWait.SpinUntil(() => File.Exists(socket), 60_000), "the link was not opened");
        tool.Interrupt();
        var result = await tool.FinishAsync();
        Assert.True(result is { Status: 0 or 130, Errors: "" }, result.ToString());
        Assert.False(File.Exists(socket), "the link was not closed");
    }

    private static async Task MakePairAsync(string ours, string theirs)
    {
        await RunAsync("ip", "-n", ours, "link", "add", "pgx0", "type", "veth", "peer", "name", "pgy0", "netns", theirs);
        await RunAsync("ip", "-n", ours, "link", "set", "pgx0", "up");
        await RunAsync("ip", "-n", theirs, "addr", "add", "192.0.2.1/24", "dev", "pgy0");
        await RunAsync("ip", "-n", theirs, "link", "set", "pgy0", "up");
    }

    private static async Task UntilCountedAsync(Scratch scratch, string counter)
    {
        for (var i = 0; i < 100; i++)
        {
            var stats = await Tool.RunAsync(scratch.Path, [], "stats", "serve");
            if (stats.Output.Contains(counter, StringComparison.Ordinal)) return;
        }
        Assert.Fail(counter + " did not count");
    }

    private static async Task<string> CurlAsync(string space)
    {
        // The device may be away for a moment: curl asks again.
        using var curl = Process.Start(new ProcessStartInfo("ip", ["netns", "exec", space, "curl", "-s", "--retry", "20", "--retry-delay", "1", "--retry-all-errors", "--connect-timeout", "5", "http://192.0.2.2/"]) { RedirectStandardOutput = true })!;
        var page = await curl.StandardOutput.ReadToEndAsync(TestContext.Current.CancellationToken);
        await curl.WaitForExitAsync(TestContext.Current.CancellationToken);
        return page;
    }

    private static async Task RunAsync(string program, params string[] arguments)
    {
        using var process = Process.Start(program, arguments);
        await process.WaitForExitAsync(TestContext.Current.CancellationToken);
        Assert.Equal(0, process.ExitCode);
    }

    private static string Owner(int process)
    {
        var line = File.ReadLines($"/proc/{process}/status").First(static l => l.StartsWith("Uid:", StringComparison.Ordinal));
        return line.Split('\t')[2] switch { "0" => "root", "65534" => "nobody", var other => other };
    }

    /// <summary>Of all the process's threads: whichever started it is its parent.</summary>
    private static List<int> Children(int process) =>
        [.. Directory.GetDirectories($"/proc/{process}/task").SelectMany(static task => File.ReadAllText(task + "/children").Split(' ', StringSplitOptions.RemoveEmptyEntries)).Select(int.Parse)];
}
