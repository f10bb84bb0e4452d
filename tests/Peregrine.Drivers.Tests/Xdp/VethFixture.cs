// A pair of veth interfaces in a namespace of their own, both ends ours by AF_XDP or one of them the kernel's. Needs root; without, its
// tests report themselves as not run.
using System.Net.Sockets;
using Peregrine.Core.Links;
using Peregrine.Core.Memory;
using Peregrine.Drivers.Linux;
using Peregrine.Drivers.Xdp;
using Peregrine.Wire;

namespace Peregrine.Drivers.Tests;

internal sealed class VethFixture : IDisposable
{
    public const string Near = "near0", Far = "far0";

    /// <summary>A type for experiments (IEEE 802), which no kernel answers.</summary>
    public static readonly byte[] OwnType = [0x88, 0xB5];

    public static readonly IpAddress Far4 = IpAddress.Parse("10.94.0.1"), Near4 = IpAddress.Parse("10.94.0.2"), Own4 = IpAddress.Parse("10.94.0.3");

    /// <param name="mtu">Of both ends.</param>
    /// <param name="queueCount">Queues of each.</param>
    /// <param name="kernelSpeaksIPv6">False keeps the kernels from sending by themselves, so that every frame is the test's.</param>
    public VethFixture(int mtu = 1500, int queueCount = 1, bool kernelSpeaksIPv6 = true)
    {
        Assert.SkipUnless(Environment.IsPrivilegedProcess, "not run: AF_XDP needs root");
        NearSpace = NetworkNamespace.Create();
        FarSpace = NetworkNamespace.Create();
        if (!kernelSpeaksIPv6)
        {
            NearSpace.Run(KernelFixture.NoIPv6ByItself);
            FarSpace.Run(KernelFixture.NoIPv6ByItself);
        }
        MakePair(mtu, queueCount);
    }

    public NetworkNamespace NearSpace { get; }

    public NetworkNamespace FarSpace { get; }

    public void MakePair(int mtu = 1500, int queueCount = 1)
    {
        NearSpace.Run(() =>
        {
            KernelInterface.AddPair(Near, Far, FarSpace, queueCount);
            KernelInterface.SetMtu(Near, mtu);
            KernelInterface.SetUp(Near);
        });
        FarSpace.Run(() =>
        {
            KernelInterface.SetMtu(Far, mtu);
            KernelInterface.SetUp(Far);
        });
    }

    /// <summary>Opens the near end; everything that arrives is ours unless the options say otherwise.</summary>
    public XdpLink OpenNear(XdpOptions? options = null) =>
        XdpLink.Open(Near, (options ?? new XdpOptions { Traffic = new XdpTraffic { All = true } }) with { NetworkNamespace = NearSpace.Path });

    public XdpLink OpenFar(XdpOptions? options = null) =>
        XdpLink.Open(Far, (options ?? new XdpOptions { Traffic = new XdpTraffic { All = true } }) with { NetworkNamespace = FarSpace.Path });

    public Socket FarSocket(SocketType type) => FarSpace.Run(() => new Socket(AddressFamily.InterNetwork, type, ProtocolType.Unspecified));

    public Socket NearSocket(SocketType type) => NearSpace.Run(() => new Socket(AddressFamily.InterNetwork, type, ProtocolType.Unspecified));

    public static MacAddress AddressOf(NetworkNamespace space, string name) =>
        space.Run(() => InterfaceDump.Read().First(one => one.Name == name).MacAddress);

    /// <summary>Frames and bytes that the kernel says an interface has received and sent (what `ip -s link` shows).</summary>
    public static (long ReceivedFrames, long ReceivedBytes, long SentFrames, long SentBytes) KernelCounters(NetworkNamespace space, string name) => space.Run(() =>
    {
        var columns = File.ReadLines("/proc/thread-self/net/dev").First(line => line.TrimStart().StartsWith(name + ":", StringComparison.Ordinal))
            .Split([' ', ':'], StringSplitOptions.RemoveEmptyEntries);
        return (long.Parse(columns[2]), long.Parse(columns[1]), long.Parse(columns[10]), long.Parse(columns[9]));
    });

    /// <summary>Waits until frames can be received, at most a minute; false when none came.</summary>
    public static bool WaitFor(ILinkQueue queue)
    {
        if (!queue.TryArm()) return true;
        Span<PollDescriptor> poll = [new PollDescriptor { Descriptor = queue.PollDescriptor, Events = LinuxConstants.PollIn }];
        return Posix.Poll(poll, 60_000_000_000).Int32 == 1;
    }

    /// <summary>Receives exactly so many frames of the tests' own type, as bytes; the kernels at both ends say things by themselves. All chunks go back.</summary>
    public static List<byte[]> Take(ILinkQueue queue, FramePool pool, int count)
    {
        var got = new List<byte[]>();
        var burst = new Frame[64];
        while (got.Count < count)
        {
            var n = queue.Receive(burst.AsSpan(0, Math.Min(burst.Length, count - got.Count)));
            if (n == 0 && !WaitFor(queue)) Assert.Fail($"{got.Count} of {count} frames came: " + string.Join(",", got.Select(b => b.Length)));
            for (var i = 0; i < n; i++)
            {
                var bytes = PoolFixture.Bytes(pool, burst[i]);
                if (bytes.AsSpan(12).StartsWith(OwnType) || bytes.AsSpan(16).StartsWith(OwnType)) got.Add(bytes);
                pool.Return(burst[i]);
            }
        }
        return got;
    }

    public void Dispose()
    {
        NearSpace.Dispose();
        FarSpace.Dispose();
    }
}
