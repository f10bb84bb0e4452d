// What is recorded can be looked at again: captures in one file and in a row of them, and played as a link.
namespace Peregrine.Cli.Tests;

public sealed class CaptureTests
{
    [Fact]
    public async Task ACaptureIsSplitIntoFilesOfWhichTheNewestAreKept()
    {
        using var scratch = new Scratch();
        var whole = await RecordAsync(scratch, "--capture", scratch.At("whole.pcapng"));
        var split = await Tool.RunAsync(scratch.Path, [], "dump", scratch.At("whole.pcapng"), "-w", scratch.At("part.pcapng"), "--capture-size", "1K", "--capture-count", "2");
        Assert.True(split.Status == 0, split.ToString());
        var parts = Directory.GetFiles(scratch.Path, "part-*.pcapng").Order(StringComparer.Ordinal).ToList();
        Assert.Equal(2, parts.Count);
        Assert.DoesNotContain("part-00001", parts[0], StringComparison.Ordinal);
        Assert.All(parts, static part => Assert.InRange(new FileInfo(part).Length, 200, 1_000));
        var lines = new List<string>();
        foreach (var part in parts) lines.AddRange(await LinesAsync(scratch, part));
        Assert.NotEmpty(lines);
        // Each begins its times anew.
        Assert.Equal(whole.TakeLast(lines.Count).Select(WithoutTime), lines.Select(WithoutTime));
    }

    [Fact]
    public async Task ALivingCaptureGoesIntoARowOfFilesToo()
    {
        using var scratch = new Scratch();
        var printed = await RecordAsync(scratch, "--capture", scratch.At("row.pcapng"), "--capture-size", "1K", "--dump");
        var parts = Directory.GetFiles(scratch.Path, "row-*.pcapng").Order(StringComparer.Ordinal).ToList();
        Assert.InRange(parts.Count, 2, 100);
        var lines = new List<string>();
        foreach (var part in parts) lines.AddRange(await LinesAsync(scratch, part));
        Assert.Equal(printed.Select(WithoutTime), lines.Select(WithoutTime));
    }

    [Fact]
    public async Task ARecordingIsALink()
    {
        using var scratch = new Scratch();
        var whole = await RecordAsync(scratch, "--capture", scratch.At("whole.pcapng"));
        var again = await Tool.RunAsync(scratch.Path, [], "dump", "--link", $"pcap:{scratch.At("whole.pcapng")},sent,speed=full", "-c", $"{whole.Count}");
        Assert.True(again.Status == 0, again.ToString());
        Assert.Equal(whole.Select(WithoutTime), Frames(again).Select(WithoutTime));
    }

    [Theory]
    [InlineData("--capture-count needs --capture-size", "--capture", "x", "--capture-count", "3")]
    [InlineData("--capture-size needs --capture FILE", "--capture-size", "1M")]
    [InlineData("--capture-size is \"much\"; it must be 1000 or more, like 500K", "--capture", "x", "--capture-size", "much")]
    [InlineData("--capture-count is -1", "--capture", "x", "--capture-size", "1M", "--capture-count", "-1")]
    public async Task WhatCannotBeMeantIsSaid(string message, params string[] options)
    {
        using var scratch = new Scratch();
        var result = await Tool.RunAsync(scratch.Path, [], ["ping", "192.0.2.1", "--link", "memory", .. options]);
        Assert.Equal(1, result.Status);
        Assert.Contains(message, result.Errors, StringComparison.Ordinal);
    }

    /// <summary>A few frames between two stacks; gives the lines of "whole.pcapng", or what was printed.</summary>
    private static async Task<IReadOnlyList<string>> RecordAsync(Scratch scratch, params string[] options)
    {
        var ping = await Tool.RunAsync(scratch.Path, [], ["ping", "192.0.2.1", "--link", "memory", "-c", "9", "--interval-ms", "1", .. options]);
        Assert.True(ping.Status == 0, ping.ToString());
        return options.Contains("--dump") ? Frames(ping) : await LinesAsync(scratch, scratch.At("whole.pcapng"));
    }

    private static async Task<IReadOnlyList<string>> LinesAsync(Scratch scratch, string file)
    {
        var dump = await Tool.RunAsync(scratch.Path, [], "dump", file);
        Assert.True(dump.Status == 0, dump.ToString());
        return Frames(dump);
    }

    private static IReadOnlyList<string> Frames(ToolResult result) => [.. result.Output.Split('\n').Where(static line => line.Contains(" > ", StringComparison.Ordinal) || line.Contains("ARP", StringComparison.Ordinal))];

    // Behind the arrow, for a recording that is played comes in whatever it was.
    private static string WithoutTime(string line) => line[(line.IndexOf(" ms ", StringComparison.Ordinal) + 7)..];
}
