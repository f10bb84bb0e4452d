// "peregrine serve" on links beside a kernel: a veth pair between two namespaces, curl on the far side.
using System.Diagnostics;

namespace Peregrine.Cli.Tests;

public sealed class ServeLinkTests : IDisposable
{
    private static int s_made;

    private readonly string _near = $"pg{Environment.ProcessId}n{Interlocked.Increment(ref s_made)}", _far = $"pg{Environment.ProcessId}f{s_made}";
    private readonly List<string> _namespaces = [];

    public void Dispose()
    {
        foreach (var name in _namespaces) Run("ip", "netns", "del", name);
    }

    [Fact]
    public async Task APortOfTheMachinesOwnAddressIsServedOverXdpWithoutAnyConfiguration()
    {
        MakePair();
        using var scratch = new Scratch();
        using var serve = Tool.Start(scratch.Path, ["ip", "netns", "exec", _near], "serve", "--link", "xdp:near0,tcp=8080", "--port", "8080", "--https-port", "0");
        Assert.Contains("http://10.97.0.2:8080/", await serve.ReadUntilAsync("serving"), StringComparison.Ordinal);
        await serve.ReadUntilAsync("Ctrl-C ends it");
        Assert.Contains("<h1>It flies</h1>", Curl("http://10.97.0.2:8080/").Output, StringComparison.Ordinal);
        // The rest is the kernel's: another port, on which it has nobody (curl's status 7), and echo requests.
        Assert.Equal(7, Curl("http://10.97.0.2:8081/").Status);
        Assert.Equal(0, Run("ip", "netns", "exec", _far, "ping", "-n", "-c", "1", "-W", "60", "10.97.0.2").Status);
        await EndAsync(serve);
    }

    [Fact]
    public async Task APageIsServedOverDpdksPacketDevice()
    {
        Assert.SkipUnless(Directory.Exists("/usr/lib") && Directory.EnumerateFiles("/usr/lib", "librte_ethdev.so.23*", SearchOption.AllDirectories).Any(), "not run: DPDK 22.11 is not installed");
        MakePair();
        // That device cannot say that a checksum is unfinished or a segment uncut.
        Assert.Equal(0, Run("ip", "netns", "exec", _far, "ethtool", "-K", "far0", "tx", "off", "tso", "off", "gso", "off").Status);
        using var scratch = new Scratch();
        using var serve = Tool.Start(scratch.Path, ["ip", "netns", "exec", _near], "serve", "--link", "dpdk:net_af_packet0,iface=near0",
            "--address", "10.97.0.3/24", "--port", "8080", "--https-port", "0");
        await serve.ReadUntilAsync("Ctrl-C ends it");
        Assert.Contains("<h1>It flies</h1>", Curl("http://10.97.0.3:8080/").Output, StringComparison.Ordinal);
        await EndAsync(serve);
    }

    [Fact]
    public async Task AutoTakesAnInterfaceThatTheKernelLeavesToUs()
    {
        MakePair(ofTheKernel: false);
        using var scratch = new Scratch();
        using var serve = Tool.Start(scratch.Path, ["ip", "netns", "exec", _near], "serve", "--link", "auto", "--address", "10.97.0.2/24", "--port", "8080", "--https-port", "0");
        await serve.ReadUntilAsync("Ctrl-C ends it");
        Assert.Contains("<h1>It flies</h1>", Curl("http://10.97.0.2:8080/").Output, StringComparison.Ordinal);
        Assert.Matches("^link: (xdp|packet):near0 ", (await EndAsync(serve)).Errors);
    }

    [Fact]
    public async Task AutoMakesATapDeviceWhereNoInterfaceIsLeftToUs()
    {
        Tool.Need(root: true, "ip", "curl");
        Assert.Equal(0, Run("ip", "netns", "add", _near).Status);
        _namespaces.Add(_near);
        using var scratch = new Scratch();
        using var serve = Tool.Start(scratch.Path, ["ip", "netns", "exec", _near], "serve", "--link", "auto", "--port", "8080", "--https-port", "0");
        await serve.ReadUntilAsync("Ctrl-C ends it");
        Assert.Contains("<h1>It flies</h1>", Run("ip", "netns", "exec", _near, "curl", "-sS", "-m", "120", "http://192.0.2.2:8080/").Output, StringComparison.Ordinal);
        Assert.StartsWith("link: tap:peregrine0 ", (await EndAsync(serve)).Errors, StringComparison.Ordinal);
    }

    [Fact]
    public async Task AutoOnASocketIsTheServerWhereNobodyListensAndTheClientWhereSomebodyDoes()
    {
        using var scratch = new Scratch();
        var line = "auto:" + scratch.At("site.sock");
        using var serve = Tool.Start(scratch.Path, [], "serve", "--link", line, "--port", "8080", "--https-port", "0");
        await serve.ReadUntilAsync("Ctrl-C ends it");
        var fetched = await Tool.RunAsync(scratch.Path, [], "fetch", "http://192.0.2.2:8080/", "--link", line, "--address", "192.0.2.1/24", "--timeout-s", "60");
        Assert.True(fetched.Status == 0, fetched.ToString());
        Assert.Contains("<h1>It flies</h1>", fetched.Output, StringComparison.Ordinal);
        Assert.StartsWith($"link: memif:{scratch.At("site.sock")} ", fetched.Errors, StringComparison.Ordinal);
        Assert.StartsWith($"link: memif:{scratch.At("site.sock")},server ", (await EndAsync(serve)).Errors, StringComparison.Ordinal);
    }

    [Fact]
    public async Task WithQlogEveryConnectionHasAFileThatQlogsToolsRead()
    {
        using var scratch = new Scratch();
        var line = "auto:" + scratch.At("logged.sock");
        using var serve = Tool.Start(scratch.Path, [], "serve", "--link", line, "--port", "8080", "--https-port", "0", "--qlog", scratch.At("logs"));
        await serve.ReadUntilAsync("Ctrl-C ends it");
        var fetched = await Tool.RunAsync(scratch.Path, [], "fetch", "http://192.0.2.2:8080/", "--link", line, "--address", "192.0.2.1/24", "--timeout-s", "60");
        Assert.True(fetched.Status == 0, fetched.ToString());
        await EndAsync(serve);
        // RFC 7464: each record begins with a record separator.
        var records = File.ReadAllText(Assert.Single(Directory.GetFiles(scratch.At("logs")))).Split('\u001e', StringSplitOptions.RemoveEmptyEntries)
            .Select(static record => System.Text.Json.JsonDocument.Parse(record).RootElement).ToArray();
        Assert.True(records[0].TryGetProperty("qlog_version", out _) || records[0].TryGetProperty("file_schema", out _), records[0].ToString());
        var names = records.Skip(1).Select(static record => record.GetProperty("name").GetString()!).ToArray();
        foreach (var name in (string[])["connectivity:connection_started", "transport:packet_received", "transport:packet_sent", "recovery:metrics_updated"])
            Assert.Contains(name, names);
    }

    private static async Task<ToolResult> EndAsync(Tool serve)
    {
        serve.Interrupt();
        var result = await serve.FinishAsync();
        Assert.True(result.Status == 0, result.ToString());
        return result;
    }

    private static (int Status, string Output) Run(params string[] words)
    {
        using var process = Process.Start(new ProcessStartInfo(words[0], words[1..]) { RedirectStandardOutput = true })!;
        var output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return (process.ExitCode, output);
    }

    private (int Status, string Output) Curl(string url) => Run("ip", "netns", "exec", _far, "curl", "-sS", "-m", "120", url);

    private void MakePair(bool ofTheKernel = true)
    {
        Tool.Need(root: true, "ip", "curl", "ping", "ethtool");
        foreach (var name in (string[])[_near, _far])
        {
            Assert.Equal(0, Run("ip", "netns", "add", name).Status);
            _namespaces.Add(name);
        }
        foreach (var line in (string[])
            [
                $"-n {_near} link add near0 type veth peer name far0 netns {_far}", $"-n {_far} address add 10.97.0.1/24 dev far0",
                $"-n {_near} link set near0 up", $"-n {_far} link set far0 up",
            ])
            Assert.Equal(0, Run(["ip", .. line.Split(' ')]).Status);
        if (ofTheKernel) Assert.Equal(0, Run("ip", "-n", _near, "address", "add", "10.97.0.2/24", "dev", "near0").Status);
    }
}
