// A page over a virtual machine's card without a virtual machine: "peregrine serve" on net_vhost in a process of its own, and a network of
// this process on virtio-user, which is the card's driver.
using System.Diagnostics;
using System.Net;
using System.Text;
using Peregrine.Drivers;
using Peregrine.Drivers.Dpdk;
using Peregrine.Sockets;

namespace Peregrine.Interop.Tests;

public sealed class VhostTests
{
    [Fact(Timeout = Site.TimeoutMs)]
    public async Task APageCrossesFromOneProcessToTheOther()
    {
        Assert.SkipUnless(DpdkLink.IsInstalled, "not run: DPDK 22.11 is not installed (apt-get install dpdk)");
        var path = Path.Combine(Path.GetTempPath(), $"peregrine-vhost-page-{Environment.ProcessId}.sock");
        File.Delete(path);
        using var serve = Serve(path);
        try
        {
            while (await serve.StandardOutput.ReadLineAsync() is { } line && !line.StartsWith("Ctrl-C ends it", StringComparison.Ordinal))
            {
            }
            using var link = LinkFactory.Open($"dpdk:net_virtio_user0,path={path}");
            await using var network = await PeregrineNetwork.StartAsync(
                new PeregrineOptions { Name = "vhost", Addresses = ["192.0.2.3/24"], ControlSocket = "none", UseSystemResolver = false, StopGraceMs = 0, LinkCheckMs = 10 },
                link,
                platform: new LinuxPlatform());
            await Site.Until(() => network.IsLinkUp, "the two ends have found each other");
            for (var round = 0; round < 3; round++) Assert.Contains("<h1>It flies</h1>", await FetchAsync(network), StringComparison.Ordinal);
        }
        finally
        {
            serve.Kill(entireProcessTree: true);
            await serve.WaitForExitAsync();
            File.Delete(path);
        }
    }

    private static Process Serve(string path)
    {
        var start = new ProcessStartInfo("dotnet")
        {
            RedirectStandardOutput = true, UseShellExecute = false,
        };
        var tool = Path.GetFullPath(Path.Combine(AppContext.BaseDirectory, "../../Peregrine.Cli/release/Peregrine.Cli.dll"));
        foreach (var word in (string[])[tool, "serve", "--link", $"dpdk:net_vhost0,iface={path}", "--address", "192.0.2.2/24", "--port", "80", "--https-port", "0"])
            start.ArgumentList.Add(word);
        return Process.Start(start)!;
    }

    private static async Task<string> FetchAsync(PeregrineNetwork network)
    {
        await using var connection = await network.ConnectTcpAsync(new IPEndPoint(IPAddress.Parse("192.0.2.2"), 80));
        await connection.SendAsync("GET / HTTP/1.1\r\nHost: 192.0.2.2\r\nConnection: close\r\n\r\n"u8.ToArray());
        var page = new StringBuilder();
        var buffer = new byte[4_096];
        while (await connection.ReceiveAsync(buffer) is > 0 and var n) page.Append(Encoding.UTF8.GetString(buffer, 0, n));
        return page.ToString();
    }
}
