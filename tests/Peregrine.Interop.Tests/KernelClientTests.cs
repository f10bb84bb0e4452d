// The kernel's TCP and its programs as clients of ours: curl, nc, ping, wrk, nmap and plain sockets, both families.
using System.Net;
using System.Net.Sockets;
using System.Text;
using Peregrine.Sockets;

[assembly: CollectionBehavior(DisableTestParallelization = true)]

namespace Peregrine.Interop.Tests;

public abstract class KernelClientTests(Site site)
{
    [Theory(Timeout = Site.TimeoutMs)]
    [InlineData(false)]
    [InlineData(true)]
    public async Task CurlFetchesAPage(bool v6)
    {
        site.Need("curl");
        Assert.Equal("Hello, world!", await ChildProgram.RunAsync(site, "curl", "-sS", "-g", "-m", "60", $"http://{Site.OursInUrl(v6)}/"));
        await site.ExpectQuietAsync();
    }

    [Theory(Timeout = Site.TimeoutMs)]
    [InlineData(false)]
    [InlineData(true)]
    public async Task CurlDownloadsWhatWasSent(bool v6)
    {
        site.Need("curl");
        var hash = await ChildProgram.HashOutputAsync(site, "curl", "-sS", "-g", "-m", "600", $"http://{Site.OursInUrl(v6)}/bytes/{Site.TransferBytes}");
        Assert.Equal(Payload.HashOf(Site.TransferBytes), hash);
        await site.ExpectQuietAsync();
    }

    [Theory(Timeout = Site.TimeoutMs)]
    [InlineData(false)]
    [InlineData(true)]
    public async Task CurlUploadArrivesAsItWasSent(bool v6)
    {
        site.Need("curl");
        var file = Path.GetTempFileName();
        try
        {
            await using (var stream = File.OpenWrite(file)) await Payload.WriteAsync(stream, Site.TransferBytes);
            var answer = await ChildProgram.RunAsync(site, "curl", "-sS", "-g", "-m", "600", "-T", file, $"http://{Site.OursInUrl(v6)}/x");
            Assert.Equal(Payload.HashOf(Site.TransferBytes), answer);
        }
        finally
        {
            File.Delete(file);
        }
        await site.ExpectQuietAsync();
    }

    [Theory(Timeout = Site.TimeoutMs)]
    [InlineData(false)]
    [InlineData(true)]
    public async Task NcIsAnsweredAfterItsHalfClose(bool v6)
    {
        site.Need("nc");
        using var nc = ChildProgram.Start(site, "nc", "-N", Site.Ours(v6).ToString(), $"{Services.Sink}");
        await Payload.WriteAsync(nc.Input, Site.TransferBytes);
        Assert.Equal(Payload.HashOf(Site.TransferBytes), await nc.FinishAsync());
        await site.ExpectQuietAsync();
    }

    [Theory(Timeout = Site.TimeoutMs)]
    [InlineData(false)]
    [InlineData(true)]
    public async Task KernelGoesOnSendingAfterOurHalfClose(bool v6)
    {
        site.Need();
        var got = new TaskCompletionSource<string>(TaskCreationOptions.RunContinuationsAsynchronously);
        using var listener = Services.Serve(site.Network, 1_234, async connection =>
        {
            await connection.SendAsync("bye"u8.ToArray());
            connection.Shutdown(SocketShutdown.Send);
            got.SetResult(await Payload.HashAsync(connection));
        });
        using (var socket = await site.KernelConnectAsync(v6, 1_234))
        {
            await using var stream = new NetworkStream(socket);
            using var reader = new StreamReader(stream);
            Assert.Equal("bye", await reader.ReadToEndAsync());
            await Payload.WriteAsync(stream, 1_000_000);
        }
        Assert.Equal(Payload.HashOf(1_000_000), await got.Task);
        await site.ExpectQuietAsync();
    }

    [Theory(Timeout = Site.TimeoutMs)]
    [InlineData(false, 56)]
    [InlineData(true, 56)]
    [InlineData(false, 8_000)]
    [InlineData(true, 8_000)]
    [InlineData(false, 60_000)]
    [InlineData(true, 60_000)]
    public async Task PingIsAnsweredWithLargePayloadsToo(bool v6, int size)
    {
        site.Need("ping");
        // One at a time: after its last request ping waits for two of its round trips only, however long -W is, and a busy machine takes longer.
        for (var i = 0; i < 20; i++)
        {
            var output = await ChildProgram.RunAsync(site, "ping", "-n", "-q", "-c", "1", "-W", "30", "-s", $"{size}", Site.Ours(v6).ToString());
            Assert.Contains("1 received, 0% packet loss", output, StringComparison.Ordinal);
        }
    }

    [Theory(Timeout = Site.TimeoutMs)]
    [InlineData(false)]
    [InlineData(true)]
    public async Task WrkSeesNoErrorOverSixtyFourConnections(bool v6)
    {
        site.Need("wrk");
        var before = site.Tcp;
        var output = await ChildProgram.RunAsync(site, "wrk", "-t1", "-c64", Site.IsLong ? "-d60s" : "-d2s", "--timeout", "60s", $"http://{Site.OursInUrl(v6)}/");
        Assert.DoesNotContain("Socket errors", output, StringComparison.Ordinal);
        Assert.DoesNotContain("Non-2xx", output, StringComparison.Ordinal);
        Assert.Contains("Requests/sec", output, StringComparison.Ordinal);
        Assert.InRange(site.Tcp.PassiveOpens - before.PassiveOpens, 64, 66);
        await site.ExpectQuietAsync();
    }

    [Theory(Timeout = Site.TimeoutMs)]
    [InlineData(false)]
    [InlineData(true)]
    public async Task AThousandConnectionsAtOnceAreEachEchoed(bool v6)
    {
        site.Need();
        var sockets = await Task.WhenAll(Enumerable.Range(0, 1_000).Select(_ => site.KernelConnectAsync(v6, Services.Echo)));
        await Site.Until(() => site.OnCore(stack => stack.Tcp.ConnectionCount) == 1_000, "a thousand connections are open");
        await Task.WhenAll(sockets.Select(static async (socket, index) =>
        {
            var sent = Payload.At(index * 997, long.MaxValue)[..4_000];
            var buffer = new byte[sent.Length];
            await socket.SendAsync(sent);
            await Payload.ReceiveAllAsync(socket, buffer);
            Assert.True(sent.Span.SequenceEqual(buffer));
        }));
        foreach (var socket in sockets) socket.Dispose();
        await site.ExpectQuietAsync();
    }

    [Theory(Timeout = Site.TimeoutMs)]
    [InlineData(false)]
    [InlineData(true)]
    public async Task ThousandsOfShortConnectionsAreEachServed(bool v6)
    {
        site.Need();
        var count = Site.IsLong ? 20_000 : 2_000;
        var before = site.Tcp;
        var next = 0;
        await Task.WhenAll(Enumerable.Range(0, 32).Select(async _ =>
        {
            while (Interlocked.Increment(ref next) <= count)
            {
                using var socket = await site.KernelConnectAsync(v6, Services.Http);
                await socket.SendAsync("GET / HTTP/1.1\r\nConnection: close\r\n\r\n"u8.ToArray());
                using var reader = new StreamReader(new NetworkStream(socket));
                Assert.EndsWith("Hello, world!", await reader.ReadToEndAsync(), StringComparison.Ordinal);
            }
        }));
        Assert.Equal(count, site.Tcp.PassiveOpens - before.PassiveOpens);
        await site.ExpectQuietAsync();
    }

    [Theory(Timeout = Site.TimeoutMs)]
    [InlineData(false)]
    [InlineData(true)]
    public async Task DatagramsThatAreSentInOneCallAreEachEchoed(bool v6)
    {
        const int udp = 17, segment = 103, size = 1_000, count = 20;
        site.Need();
        using var socket = site.KernelSocket(SocketType.Dgram, v6);
        await socket.ConnectAsync(new IPEndPoint(Site.Ours(v6), Services.Echo));
        // UDP_SEGMENT: the kernel leaves them joined for as long as the way takes it, which over TAP and AF_PACKET is up to us.
        socket.SetRawSocketOption(udp, segment, BitConverter.GetBytes(size));
        var sent = Payload.At(0, long.MaxValue)[..((size * count) + 300)];
        Assert.Equal(sent.Length, await socket.SendAsync(sent));
        var buffer = new byte[65_536];
        for (var at = 0; at < sent.Length; at += size)
        {
            var part = sent[at..Math.Min(at + size, sent.Length)];
            Assert.Equal(part.Length, await socket.ReceiveAsync(buffer));
            Assert.True(part.Span.SequenceEqual(buffer.AsSpan(0, part.Length)));
        }
    }

    [Theory(Timeout = Site.TimeoutMs)]
    [InlineData(false)]
    [InlineData(true)]
    public async Task DatagramsOfEverySizeAreEchoed(bool v6)
    {
        site.Need();
        using var socket = site.KernelSocket(SocketType.Dgram, v6);
        await socket.ConnectAsync(new IPEndPoint(Site.Ours(v6), Services.Echo));
        var buffer = new byte[65_536];
        foreach (var size in (int[])[0, 1, 1_400, 1_452, 1_473, 8_000, 60_000])
        {
            var sent = Payload.At(size, long.MaxValue)[..size];
            await socket.SendAsync(sent);
            Assert.Equal(size, await socket.ReceiveAsync(buffer));
            Assert.True(sent.Span.SequenceEqual(buffer.AsSpan(0, size)));
        }
    }
}

/// <summary>The same over TAP.</summary>
public sealed class KernelClientOverTapTests(TapSite site) : KernelClientTests(site), IClassFixture<TapSite>;

/// <summary>The same over AF_XDP.</summary>
public sealed class KernelClientOverXdpTests(XdpSite site) : KernelClientTests(site), IClassFixture<XdpSite>;

public sealed class KernelClientOverPacketTests(PacketSite site) : KernelClientTests(site), IClassFixture<PacketSite>;
