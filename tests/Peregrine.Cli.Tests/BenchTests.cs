// One benchmark from the command line to the page, without privileges. Both ends sleep between frames: two that spin get nowhere on a machine whose
// processors others want. What it measures is anybody's guess there; that it counts is not.
using System.Text.Json;

namespace Peregrine.Cli.Tests;

public sealed class BenchTests
{
    [Fact]
    public async Task PingPongInMemoryGivesATableAFileAndAPage()
    {
        using var scratch = new Scratch();
        var run = await Tool.RunAsync(scratch.Path, [], "bench", "pingpong", "--link", "memory", "--quick", "--pairs", "2", "--seconds", "2", "--spin", "false", "--output", scratch.At("results"));
        Assert.True(run.Status == 0, run.ToString());
        Assert.Contains("operations/s", run.Output, StringComparison.Ordinal);
        var file = Assert.Single(Directory.GetFiles(scratch.At("results"), "*.json"));
        using var result = JsonDocument.Parse(await File.ReadAllTextAsync(file, TestContext.Current.CancellationToken));
        var runs = result.RootElement.GetProperty("sides")[0].GetProperty("runs");
        Assert.Equal(2, runs.GetArrayLength());
        foreach (var one in runs.EnumerateArray())
        {
            var (load, server) = (one.GetProperty("load"), one.GetProperty("server"));
            Assert.Equal(0, load.GetProperty("errors").GetInt64());
            // A ping is a frame in and a frame out: what the client counted is what the server's link has seen, but for the edges of the time.
            var operations = load.GetProperty("operations").GetInt64();
            Assert.True(operations > 0, one.ToString());
            Assert.True(server.GetProperty("framesIn").GetInt64() >= operations, one.ToString());
        }
        var page = await Tool.RunAsync(scratch.Path, [], "report", scratch.At("results"), "-o", scratch.At("page.html"));
        Assert.True(page.Status == 0, page.ToString());
        Assert.Contains("pingpong, 64 B, c=1, blocking", await File.ReadAllTextAsync(scratch.At("page.html"), TestContext.Current.CancellationToken), StringComparison.Ordinal);
    }

    [Fact]
    public async Task TwoProcessesAskEachOtherOverSharedMemory()
    {
        using var scratch = new Scratch();
        var run = await Tool.RunAsync(scratch.Path, [], "bench", "http", "-c", "4", "--link", "memif", "--pairs", "1", "--seconds", "2", "--spin", "false", "--output", scratch.At("results"));
        Assert.True(run.Status == 0, run.ToString());
        using var result = JsonDocument.Parse(await File.ReadAllTextAsync(Assert.Single(Directory.GetFiles(scratch.At("results"), "*.json")), TestContext.Current.CancellationToken));
        var one = result.RootElement.GetProperty("sides")[0].GetProperty("runs")[0];
        Assert.Equal(0, one.GetProperty("load").GetProperty("errors").GetInt64());
        Assert.True(one.GetProperty("load").GetProperty("operations").GetInt64() > 0, one.ToString());
        Assert.True(one.GetProperty("server").GetProperty("framesIn").GetInt64() > 0, one.ToString());
    }

    [Fact]
    public async Task Http2ComesByWayOfKestrelOnOurStack()
    {
        Tool.Need(root: true, "ip", "h2load", "taskset", "ethtool", "dotnet");
        using var scratch = new Scratch();
        var run = await Tool.RunAsync(
            scratch.Path, [], "bench", "http", "--h2", "-c", "2", "--pipeline", "4", "--link", "tap", "--pairs", "1", "--seconds", "2", "--peer", "none", "--output", scratch.At("results"));
        Assert.True(run.Status == 0, run.ToString());
        using var result = JsonDocument.Parse(await File.ReadAllTextAsync(Assert.Single(Directory.GetFiles(scratch.At("results"), "*.json")), TestContext.Current.CancellationToken));
        var one = result.RootElement.GetProperty("sides")[0].GetProperty("runs")[0];
        Assert.True(one.GetProperty("load").GetProperty("operations").GetInt64() > 0, one.ToString());
        // At least a frame in for all that h2load asked.
        Assert.True(one.GetProperty("server").GetProperty("framesIn").GetInt64() > 0, one.ToString());
    }
}
