using System.Diagnostics;
using Peregrine.Core.Links;
using Peregrine.Core.Memory;
using Peregrine.Drivers.Dpdk;
using Peregrine.Wire;

namespace Peregrine.Drivers.Tests;

/// <summary>DPDK's devices of software with this machine's kernel, or another device, at the other end. Needs root.</summary>
[Collection(DpdkTests.Name)]
public sealed class DpdkWireTests
{
    private static readonly IpAddress s_kernel = IpAddress.Parse("10.94.0.1"), s_ours = IpAddress.Parse("10.94.0.2");

    [Theory]
    [InlineData(DpdkBuffers.Own)]
    [InlineData(DpdkBuffers.Copied)]
    public void TheKernelAnswersOverAPacketSocketOnAVeth(DpdkBuffers buffers)
    {
        using var space = Veth();
        using var dpdk = new DpdkFixture("net_af_packet", "iface=p0", new DpdkOptions { NetworkNamespace = space.Path, Buffers = buffers });
        Assert.Equal(MacAddress.Parse("02:00:00:00:00:0a"), dpdk.Link.MacAddress);
        Ping(dpdk, 50);
    }

    [Fact]
    public void TheKernelAnswersOverAnXdpSocketOnAVeth()
    {
        using var space = Veth();
        using var dpdk = new DpdkFixture("net_af_xdp", "iface=p0,force_copy=1", new DpdkOptions { NetworkNamespace = space.Path });
        Assert.Equal(DpdkBuffers.Copied, dpdk.Link.Buffers);
        Ping(dpdk, 50);
    }

    [Fact]
    public void TheKernelAnswersOverATapDevice()
    {
        Assert.SkipUnless(Environment.IsPrivilegedProcess, "not run: a TAP device needs root");
        using var space = NetworkNamespace.Create();
        using var dpdk = new DpdkFixture("net_tap", "iface=dtap0", new DpdkOptions { NetworkNamespace = space.Path });
        Run(space, "ip", "address add 10.94.0.1/24 dev dtap0");
        Run(space, "ip", "link set dtap0 up");
        Ping(dpdk, 50);
    }

    [Fact]
    public void ADeviceWhoseInterfaceGoesDownSaysSo()
    {
        Assert.SkipUnless(Environment.IsPrivilegedProcess, "not run: a TAP device needs root");
        using var space = NetworkNamespace.Create();
        using var dpdk = new DpdkFixture("net_tap", "iface=dtap1", new DpdkOptions { NetworkNamespace = space.Path });
        Assert.True(SpinWait.SpinUntil(() => dpdk.Link.IsUp, 60_000));
        Run(space, "ip", "link set dtap1 down");
        Assert.True(SpinWait.SpinUntil(() => !dpdk.Link.IsUp, 60_000));
        Run(space, "ip", "link set dtap1 up");
        Assert.True(SpinWait.SpinUntil(() => dpdk.Link.IsUp, 60_000));
    }

    internal static void Ping(DpdkFixture dpdk, int count)
    {
        Assert.True(SpinWait.SpinUntil(() => dpdk.Link.IsUp, 60_000));
        var kernel = default(MacAddress);
        for (ushort number = 0; number < count; number++)
        {
            var echo = PoolFixture.Ip(s_ours, s_kernel, 1, PoolFixture.Echo(number));
            if (kernel == default) kernel = Resolve(dpdk);
            var length = 14 + echo.Length;
            Ask(dpdk, PoolFixture.Ethernet(kernel, dpdk.Link.MacAddress, 0x0800, echo), bytes =>
                bytes.Length >= length && bytes[12] == 8 && bytes[13] == 0 && bytes[23] == 1 && bytes[34] == 0 && bytes.AsSpan(38..length).SequenceEqual(echo.AsSpan(24)));
        }
    }

    private static MacAddress Resolve(DpdkFixture dpdk)
    {
        var request = new byte[60];
        MacAddress.Broadcast.WriteTo(request);
        dpdk.Link.MacAddress.WriteTo(request.AsSpan(6));
        new byte[] { 8, 6, 0, 1, 8, 0, 6, 4, 0, 1 }.CopyTo(request, 12);
        dpdk.Link.MacAddress.WriteTo(request.AsSpan(22));
        s_ours.WriteTo(request.AsSpan(28));
        s_kernel.WriteTo(request.AsSpan(38));
        return MacAddress.Read(Ask(dpdk, request, bytes => bytes.Length >= 42 && bytes[12] == 8 && bytes[13] == 6 && bytes[21] == 2).AsSpan(22));
    }

    /// <summary>Sends a frame until its answer comes: an interface that was just set up may drop the first of them.</summary>
    private static byte[] Ask(DpdkFixture dpdk, byte[] frame, Func<byte[], bool> wanted)
    {
        byte[]? found = null;
        var burst = new Frame[32];
        for (var sent = 0; sent < 120 && found is null; sent++)
        {
            Assert.Equal(1, dpdk.Queue.Transmit([PoolFixture.Make(dpdk.Pool, frame)]));
            SpinWait.SpinUntil(Look, 1_000);
        }
        Assert.True(found is not null, "the wanted frame did not come");
        return found;

        bool Look()
        {
            var n = dpdk.Queue.Receive(burst);
            for (var i = 0; i < n; i++)
            {
                var bytes = PoolFixture.Bytes(dpdk.Pool, burst[i]);
                dpdk.Pool.Return(burst[i]);
                if (wanted(bytes)) found ??= bytes;
                else if (bytes.Length >= 42 && bytes[13] == 6 && bytes[12] == 8 && bytes[21] == 1 && IpAddress.ReadIPv4(bytes.AsSpan(38)) == s_ours)
                    dpdk.Queue.Transmit([PoolFixture.Make(dpdk.Pool, PoolFixture.ArpReply(bytes, dpdk.Link.MacAddress))]);
            }
            dpdk.Queue.Reclaim();
            return found is not null;
        }
    }

    internal static NetworkNamespace Veth()
    {
        Assert.SkipUnless(Environment.IsPrivilegedProcess, "not run: a namespace needs root");
        DpdkFixture.SkipUnlessInstalled();
        var space = NetworkNamespace.Create();
        AddVeth(space);
        return space;
    }

    internal static void AddVeth(NetworkNamespace space)
    {
        Run(space, "ip", "link add p0 address 02:00:00:00:00:0a type veth peer name p1");
        Run(space, "ip", "address add 10.94.0.1/24 dev p1");
        Run(space, "ip", "link set p0 up");
        Run(space, "ip", "link set p1 up");
    }

    internal static void Run(NetworkNamespace space, string program, string arguments) => space.Run(() =>
    {
        using var process = Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardError = true })!;
        var error = process.StandardError.ReadToEnd();
        process.WaitForExit();
        Assert.True(process.ExitCode == 0, $"{program} {arguments}: {error}");
    });
}
