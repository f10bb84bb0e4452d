// What goes wrong on real machines: clients killed, peers that never read, port scans, links that go down. Nothing may leak by it.
using System.Net.Sockets;
using System.Text;

namespace Peregrine.Interop.Tests;

public sealed class HardTimesTests(TapSite site) : IClassFixture<TapSite>
{
    [Theory(Timeout = Site.TimeoutMs)]
    [InlineData(false)]
    [InlineData(true)]
    public async Task ClientKilledInMidTransferLeavesNothing(bool v6)
    {
        site.Need("nc");
        using var nc = ChildProgram.Start(site, "nc", "-d", Site.Ours(v6).ToString(), $"{Services.Source}");
        // The program's output is a pipe that nobody empties further: the transfer is under way and cannot end.
        Assert.Equal(4_096, await nc.Output.BaseStream.ReadAtLeastAsync(new byte[4_096], 4_096));
        Assert.Equal(1, site.OnCore(stack => stack.Tcp.ConnectionCount));
        await nc.KillAsync();
        await site.ExpectQuietAsync();
    }

    [Theory(Timeout = Site.TimeoutMs)]
    [InlineData(false)]
    [InlineData(true)]
    public async Task SenderKilledInMidTransferLeavesNothing(bool v6)
    {
        site.Need("nc");
        using var nc = ChildProgram.Start(site, "nc", Site.Ours(v6).ToString(), $"{Services.Sink}");
        await Payload.WriteAsync(nc.Input, 4_000_000);
        await nc.Input.FlushAsync();
        await nc.KillAsync();
        await site.ExpectQuietAsync();
    }

    [Theory(Timeout = Site.TimeoutMs)]
    [InlineData(false)]
    [InlineData(true)]
    public async Task PeerThatNeverReadsHoldsNoMoreThanTheSendBufferAndThenGetsEverything(bool v6)
    {
        site.Need();
        var before = site.Tcp;
        using (var socket = await site.KernelConnectAsync(v6, Services.Source))
        {
            await Site.Until(() => site.Tcp.WindowProbesSent >= before.WindowProbesSent + 2, "the closed window is probed");
            var free = site.BlockCountFree;
            var sent = site.Tcp.BytesSent;
            var settings = site.Network.Options.Stack.Tcp;
            Assert.InRange(site.BlockCountAtStart - free, 1, settings.SendBufferBytesMax / site.Network.Options.Stack.BlockSizeBytes + 16);
            await Site.Until(() => site.Tcp.WindowProbesSent >= before.WindowProbesSent + 3, "the closed window is probed again");
            Assert.Equal(free, site.BlockCountFree);
            Assert.InRange(site.Tcp.BytesSent - sent, 0, 3);
            await using var stream = new NetworkStream(socket);
            Assert.Equal(Payload.HashOf(Site.TransferBytes), await Payload.HashAsync(stream));
        }
        await site.ExpectQuietAsync();
    }

    [Theory(Timeout = Site.TimeoutMs)]
    [InlineData(false, "-sS")]
    [InlineData(false, "-sX")]
    [InlineData(false, "-sF")]
    [InlineData(false, "-sN")]
    [InlineData(true, "-sS")]
    [InlineData(true, "-sX")]
    public async Task PortScanFindsWhatIsOpenAndHarmsNothing(bool v6, string kind)
    {
        site.Need("nmap");
        var resets = site.Tcp.ResetsSent;
        List<string> arguments = [kind, "-n", "-Pn", "-T4", "--host-timeout", "300s", "-p", "7,9,80,81-120", "-oG", "-"];
        if (v6) arguments.Add("-6");
        arguments.Add(Site.Ours(v6).ToString());
        var output = await ChildProgram.RunAsync(site, "nmap", [.. arguments]);
        var open = kind == "-sS" ? "open" : "open|filtered";
        foreach (var port in (int[])[Services.Echo, Services.Sink, Services.Http]) Assert.Contains($"{port}/{open}/tcp", output, StringComparison.Ordinal);
        // Closed ports answer with a reset, and are not listed one by one for that.
        Assert.Contains("Ignored State: closed (40)", output, StringComparison.Ordinal);
        Assert.InRange(site.Tcp.ResetsSent - resets, 40, 400);
        await CheckEchoAsync(v6);
        await site.ExpectQuietAsync();
    }

    [Theory(Timeout = Site.TimeoutMs)]
    [InlineData(false)]
    [InlineData(true)]
    public async Task ConnectionsOutliveALinkThatGoesDown(bool v6)
    {
        site.Need("ip");
        // Otherwise the kernel would forget its own IPv6 address.
        site.Space.Run(() => File.WriteAllText($"/proc/sys/net/ipv6/conf/{site.InterfaceName}/keep_addr_on_down", "1"));
        using (var socket = await site.KernelConnectAsync(v6, Services.Echo))
        {
            await ExchangeAsync(socket, "before");
            await ChildProgram.RunAsync(site, "ip", "link", "set", site.InterfaceName, "down");
            await Site.Until(() => !site.Network.IsLinkUp, "the network sees the link down");
            await socket.SendAsync(Encoding.ASCII.GetBytes("during"));
            await ChildProgram.RunAsync(site, "ip", "link", "set", site.InterfaceName, "up");
            await Site.Until(() => site.Network.IsLinkUp, "the network sees the link up");
            var buffer = new byte[6];
            await Payload.ReceiveAllAsync(socket, buffer);
            Assert.Equal("during", Encoding.ASCII.GetString(buffer));
            await ExchangeAsync(socket, "after");
        }
        await CheckEchoAsync(v6);
        await site.ExpectQuietAsync();
    }

    private static async Task ExchangeAsync(Socket socket, string text)
    {
        var buffer = new byte[text.Length];
        await socket.SendAsync(Encoding.ASCII.GetBytes(text));
        await Payload.ReceiveAllAsync(socket, buffer);
        Assert.Equal(text, Encoding.ASCII.GetString(buffer));
    }

    private async Task CheckEchoAsync(bool v6)
    {
        using var socket = await site.KernelConnectAsync(v6, Services.Echo);
        await ExchangeAsync(socket, "alive");
    }
}
