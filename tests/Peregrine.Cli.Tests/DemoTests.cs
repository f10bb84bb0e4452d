// The first command that a newcomer types, in each of its worlds: root, user namespace, memory; and what it leaves behind, which is nothing.
namespace Peregrine.Cli.Tests;

public sealed class DemoTests
{
    private static readonly string[] s_nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];

    [Fact]
    public async Task AsRootTheKernelsCurlIsServedOverTap()
    {
        Tool.Need(root: true, "curl");
        using var scratch = new Scratch();
        var result = await Tool.RunAsync(scratch.Path, [], "demo", "--write", scratch.At("demo.pcapng"));
        AssertServed(result);
        Assert.Contains("TAP device in a network namespace of its own; the kernel's TCP", result.Output, StringComparison.Ordinal);
        Assert.Contains("$ curl --cacert demo.pem https://192.0.2.2/hello", result.Output, StringComparison.Ordinal);
        Assert.Contains("HTTP/2 200", result.Output, StringComparison.Ordinal);
        // A few decoded lines: a SYN with its options, and the request's segment.
        Assert.Contains("192.0.2.1", result.Output, StringComparison.Ordinal);
        Assert.Contains("Flags [S]", result.Output, StringComparison.Ordinal);

        var dump = await Tool.RunAsync(scratch.Path, [], "dump", scratch.At("demo.pcapng"));
        Assert.True(dump.Status == 0, dump.ToString());
        Assert.InRange(dump.Output.Split('\n').Length, 50, 100_000);
    }

    [Fact]
    public async Task OurIperf3AndTheInstalledOneAgreeInEveryPairing()
    {
        Tool.Need(root: true, "iperf3", "ip");
        using var scratch = new Scratch();
        var result = await Tool.RunAsync(scratch.Path, [], "demo", "iperf3");
        Assert.True(result.Status == 0, result.ToString());
        Assert.Contains("42 of 42 pairings agree", result.Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task AnOrdinaryUserGetsAUserNamespace()
    {
        Tool.Need(root: true, "curl", "setpriv", "unshare");
        using var scratch = new Scratch();
        var probe = await Tool.RunAsync(scratch.Path, [.. s_nobody, "unshare", "-Urn", "sh", "-c", "exec 3<>/dev/net/tun", "--"]);
        Assert.SkipUnless(probe.Status == 0, "not run: this machine forbids user namespaces, or the TAP device in them");
        var result = await Tool.RunAsync(scratch.Path, s_nobody, "demo");
        AssertServed(result);
        Assert.Contains("in a user namespace: no root needed", result.Output, StringComparison.Ordinal);
        Assert.Contains("$ curl http://192.0.2.2/hello", result.Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task WhereNothingIsPermittedASecondStackIsTheClient()
    {
        Tool.Need(root: true, "setpriv");
        using var scratch = new Scratch();
        // Without unshare(1) in the path there are no user namespaces for it.
        var result = await Tool.RunAsync(scratch.Path, [.. s_nobody, "env", "PATH=/nonexistent"], "demo");
        AssertServed(result);
        Assert.Contains("link in memory; a second Peregrine stack is the client", result.Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task MemoryIsToBeHadByAskingForIt()
    {
        using var scratch = new Scratch();
        var result = await Tool.RunAsync(scratch.Path, [], "demo", "--link", "memory");
        AssertServed(result);
        Assert.Contains("$ HttpClient over Peregrine: GET https://192.0.2.2/hello", result.Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task WithStayTheSiteCanBeReachedAsItSaysUntilInterrupted()
    {
        Tool.Need(root: true, "curl", "nsenter");
        using var scratch = new Scratch();
        using var demo = Tool.Start(scratch.Path, [], "demo", "--stay");
        var line = await demo.ReadUntilAsync("nsenter");
        var command = line.Trim().Split(' ');
        using (var curl = System.Diagnostics.Process.Start(new System.Diagnostics.ProcessStartInfo(command[0], command[1..]) { RedirectStandardOutput = true })!)
        {
            Assert.Contains("<h1>It flies</h1>", await curl.StandardOutput.ReadToEndAsync(), StringComparison.Ordinal);
        }
        await demo.ReadUntilAsync("peregrine stats demo");

        var stats = await Tool.RunAsync(scratch.Path, [], "stats", "demo");
        Assert.True(stats.Status == 0, stats.ToString());
        Assert.Contains("tcp.PassiveOpens", stats.Output, StringComparison.Ordinal);
        foreach (var what in (string[])["memory", "connections", "info"])
        {
            var answer = await Tool.RunAsync(scratch.Path, [], "stats", "--get", what, "--json");
            Assert.True(answer.Status == 0, answer.ToString());
            Assert.Equal('{', answer.Output[0]);
        }
        var nstat = await Tool.RunAsync(scratch.Path, [], "stats", "--nstat");
        Assert.Contains("TcpPassiveOpens", nstat.Output, StringComparison.Ordinal);
        var connections = await Tool.RunAsync(scratch.Path, [], "connections", "demo", "sport", ":80");
        Assert.True(connections.Status == 0 && connections.Output.StartsWith("State", StringComparison.Ordinal), connections.ToString());
        Assert.DoesNotContain("LISTEN", connections.Output, StringComparison.Ordinal);
        connections = await Tool.RunAsync(scratch.Path, [], "connections", "demo", "--all");
        Assert.Matches(@"(?m)^LISTEN +0 +\d+ +\S*:80 ", connections.Output);

        demo.Interrupt();
        var result = await demo.FinishAsync();
        Assert.True(result.Status == 0, result.ToString());
        Assert.Empty(Directory.GetFiles(Path.Combine(scratch.Path, "peregrine")));
    }

    private static void AssertServed(ToolResult result)
    {
        Assert.True(result.Status == 0, result.ToString());
        Assert.Contains("5 of 5 visits served by a TCP/IP stack in user space", result.Output, StringComparison.Ordinal);
        Assert.DoesNotContain("FAILED", result.Output, StringComparison.Ordinal);
        Assert.Empty(result.Errors);
    }
}
