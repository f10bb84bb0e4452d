// What the tool says: help that teaches, errors that say what to do, and the status that scripts go by.
namespace Peregrine.Cli.Tests;

public sealed class CommandTests
{
    [Theory]
    [InlineData("demo", "--stay")]
    [InlineData("serve", "Examples:")]
    [InlineData("ping", "Examples:")]
    [InlineData("dump", "Examples:")]
    [InlineData("stats", "Examples:")]
    [InlineData("connections", "Examples:")]
    [InlineData("bench", "Examples:")]
    [InlineData("report", "Examples:")]
    public async Task HelpTeaches(string command, string text)
    {
        using var scratch = new Scratch();
        var result = await Tool.RunAsync(scratch.Path, [], command, "--help");
        Assert.Equal(0, result.Status);
        Assert.Contains(text, result.Output, StringComparison.Ordinal);
        Assert.Contains($"peregrine {command}", result.Output, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("simulate")]
    [InlineData("serve")]
    [InlineData("bench")]
    [InlineData("iperf3")]
    [InlineData("script")]
    [InlineData("demo")]
    public async Task HelpFitsIntoAHundredAndTwentyColumns(string command)
    {
        using var scratch = new Scratch();
        var result = await Tool.RunAsync(scratch.Path, [], command, "--help");
        Assert.Equal(0, result.Status);
        Assert.Equal("", string.Join('\n', result.Output.Split('\n').Where(static line => line.TrimEnd().Length > 120)));
        Assert.Contains("Options:", result.Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task SimulateCrowdRunsALargeWorldAndSaysWhatItWas()
    {
        using var scratch = new Scratch();
        var result = await Tool.RunAsync(scratch.Path, [], "simulate", "crowd", "--hosts", "5", "--connections", "60", "--seed", "7");
        Assert.True(result.Status == 0, result.ToString());
        Assert.StartsWith("5 hosts, 60 connections, 120 ends open at once, ", result.Output, StringComparison.Ordinal);
        Assert.Matches("clean after .* s; trace hash [0-9a-f]{16}\n$", result.Output);
        var again = await Tool.RunAsync(scratch.Path, [], "simulate", "crowd", "--hosts", "5", "--connections", "60", "--seed", "7");
        Assert.Equal(result.Output[^17..], again.Output[^17..]);
    }

    [Theory]
    [InlineData("Unrecognized command", "nonsense")]
    [InlineData("--hosts is 1; it must be from 2 to 250", "simulate", "crowd", "--hosts", "1")]
    [InlineData("--connections is 0; it must be from 1 to 1000000", "simulate", "crowd", "--connections", "0")]
    [InlineData("Required argument missing", "ping")]
    [InlineData("is no address: give one like", "ping", "no.such")]
    [InlineData("is not a link: known are", "ping", "192.0.2.1", "--link", "bogus:1")]
    [InlineData("--count must be from 1 to 65535", "ping", "192.0.2.1", "--link", "memory", "-c", "0")]
    [InlineData("an entry must be an address with its prefix length", "ping", "192.0.2.1", "--link", "memory", "--address", "999")]
    [InlineData("give --link tap:NAME", "serve", "--link", "memory")]
    [InlineData("There is no folder", "serve", "/no/such")]
    [InlineData("from 1 to 65535", "serve", "--port", "99999")]
    [InlineData("There is no file", "dump", "/no/such")]
    [InlineData("Give either a capture file or --link", "dump")]
    [InlineData("start one, for example with 'peregrine demo --stay'", "stats")]
    [InlineData("is it running, and is it yours?", "stats", "nosuch")]
    [InlineData("Must be one of", "demo", "nosuch")]
    [InlineData("Must be one of", "bench", "nosuch")]
    [InlineData("--pairs is 0; it must be from 1 to 99", "bench", "pingpong", "--link", "memory", "--pairs", "0")]
    [InlineData("--connections is 0; it must be from 1 to 20000", "bench", "http", "--link", "memory", "-c", "0")]
    [InlineData("--connections is 0; for idle connections it must be from 1", "bench", "idle", "-c", "0")]
    [InlineData("--link is \"bogus\"; it must be memory, memif, tap, packet or xdp", "bench", "http", "--link", "bogus")]
    [InlineData("There is no file or folder /no/such", "report", "/no/such")]
    public async Task ErrorsSayWhatToDo(string text, params string[] arguments)
    {
        using var scratch = new Scratch();
        var result = await Tool.RunAsync(scratch.Path, [], arguments);
        Assert.Equal(1, result.Status);
        Assert.Contains(text, result.Errors, StringComparison.Ordinal);
        Assert.DoesNotContain("   at ", result.Errors, StringComparison.Ordinal);
        Assert.DoesNotContain("(Parameter", result.Errors, StringComparison.Ordinal);
    }

    [Fact]
    public async Task WithoutPermissionATapDeviceIsRefusedWithAWayOut()
    {
        Tool.Need(root: true, "setpriv");
        using var scratch = new Scratch();
        var result = await Tool.RunAsync(scratch.Path, ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"], "ping", "192.0.2.1");
        Assert.Equal(1, result.Status);
        Assert.Equal("peregrine: no permission to open a TAP device: run as root, or use --link memory\n", result.Errors);
    }

    [Fact]
    public async Task PingOverMemoryIsAnswered()
    {
        using var scratch = new Scratch();
        var result = await Tool.RunAsync(scratch.Path, [], "ping", "192.0.2.1", "--link", "memory", "-c", "3", "--interval-ms", "1", "-s", "3000", "--dump");
        Assert.True(result.Status == 0, result.ToString());
        Assert.Contains("3 sent, 3 answered", result.Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task PingThatNobodyAnswersFails()
    {
        using var scratch = new Scratch();
        var result = await Tool.RunAsync(scratch.Path, [], "ping", "198.51.100.9", "--link", "memory", "-c", "1", "--address", "192.0.2.2/24");
        Assert.Equal(1, result.Status);
        Assert.Contains("1 sent, 0 answered", result.Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task DamagedCaptureIsSaidToBe()
    {
        using var scratch = new Scratch();
        await File.WriteAllTextAsync(scratch.At("x.pcapng"), "this is no capture at all, and long enough to be one");
        var result = await Tool.RunAsync(scratch.Path, [], "dump", scratch.At("x.pcapng"));
        Assert.Equal(1, result.Status);
        Assert.Contains("is damaged after 0 frames", result.Errors, StringComparison.Ordinal);
    }

    [Fact]
    public async Task AFolderIsServedToTheKernelUntilInterrupted()
    {
        Tool.Need(root: true, "curl", "nsenter", "unshare");
        using var scratch = new Scratch();
        Directory.CreateDirectory(scratch.At("site"));
        await File.WriteAllTextAsync(scratch.At("site/index.html"), "a file of the folder");
        // In a network namespace of its own: the device and its addresses are nobody else's.
        using var serve = Tool.Start(scratch.Path, ["unshare", "-n"], "serve", scratch.At("site"), "--port", "8080", "--https-port", "8443");
        await serve.ReadUntilAsync("Ctrl-C ends it");
        foreach (var url in (string[])["http://192.0.2.2:8080/", "https://192.0.2.2:8443/index.html", "http://[2001:db8::2]:8080/"])
        {
            var start = new System.Diagnostics.ProcessStartInfo("nsenter", ["-t", $"{serve.ProcessId}", "-n", "curl", "-sSkg", "-m", "20", url]) { RedirectStandardOutput = true };
            using var curl = System.Diagnostics.Process.Start(start)!;
            Assert.Equal("a file of the folder", await curl.StandardOutput.ReadToEndAsync());
        }
        serve.Interrupt();
        var result = await serve.FinishAsync();
        Assert.True(result.Status == 0, result.ToString());
    }

    [Fact]
    public async Task RootIsGivenUpInAllThreadsOnceTheLinkIsOpen()
    {
        Tool.Need(root: true, "curl", "nsenter", "unshare");
        using var scratch = new Scratch();
        using var serve = Tool.Start(scratch.Path, ["unshare", "-n"], "serve", "--user", "nobody", "--port", "8080", "--https-port", "0");
        await serve.ReadUntilAsync("Ctrl-C ends it");
        var nobody = (await File.ReadAllLinesAsync("/etc/passwd")).Single(static line => line.StartsWith("nobody:", StringComparison.Ordinal)).Split(':')[2];
        var threads = Directory.GetDirectories($"/proc/{serve.ProcessId}/task").Select(static thread => File.ReadAllLines(thread + "/status")).ToList();
        Assert.True(threads.Count > 1);
        Assert.All(threads, status =>
        {
            Assert.Contains($"Uid:\t{nobody}\t{nobody}\t{nobody}\t{nobody}", status);
            Assert.Contains("CapEff:\t0000000000000000", status);
            Assert.Contains("CapPrm:\t0000000000000000", status);
            Assert.Contains("NoNewPrivs:\t1", status);
        });
        var start = new System.Diagnostics.ProcessStartInfo("nsenter", ["-t", $"{serve.ProcessId}", "-n", "curl", "-sSg", "-m", "20", "-o", "/dev/null", "-w", "%{http_code}", "http://192.0.2.2:8080/"])
        {
            RedirectStandardOutput = true,
        };
        using var curl = System.Diagnostics.Process.Start(start)!;
        Assert.Equal("200", await curl.StandardOutput.ReadToEndAsync());
        serve.Interrupt();
        var result = await serve.FinishAsync();
        Assert.True(result.Status == 0, result.ToString());
    }
}
