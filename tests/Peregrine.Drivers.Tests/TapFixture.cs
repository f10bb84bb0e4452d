// A TAP or TUN device in a network namespace of its own, and the frames that cross it. Needs root; without, its tests report themselves as not run.
using System.Net;
using System.Net.Sockets;
using Peregrine.Core.Links;
using Peregrine.Core.Memory;
using Peregrine.Drivers.Linux;
using Peregrine.Wire;

namespace Peregrine.Drivers.Tests;

internal sealed class TapFixture : IDisposable
{
    public const string Name = "peregrine0";

    public static readonly IpAddress Kernel4 = IpAddress.Parse("10.93.0.1"), Ours4 = IpAddress.Parse("10.93.0.2");
    public static readonly IpAddress Kernel6 = IpAddress.Parse("fd93::1"), Ours6 = IpAddress.Parse("fd93::2");

    public TapFixture(TapOptions? options = null, int chunks = 512)
    {
        Assert.SkipUnless(Environment.IsPrivilegedProcess, "not run: a TAP device needs root");
        Pool = PoolFixture.Pool(chunks);
        Space = NetworkNamespace.Create();
        options ??= new TapOptions();
        options = options with { BringUp = true, KernelAddresses = [IpPrefix.Parse("10.93.0.1/24"), IpPrefix.Parse("fd93::1/64")], NetworkNamespace = Space.Path };
        Link = TapLink.Open(Name, options);
        Queue = Link.OpenQueue(0, Pool);
        if (!IsIp) KernelAddress = Space.Run(ReadKernelAddress);
    }

    public NetworkNamespace Space { get; }

    public TapLink Link { get; }

    public ILinkQueue Queue { get; }

    public FramePool Pool { get; }

    /// <summary>The kernel's side's Ethernet address.</summary>
    public MacAddress KernelAddress { get; }

    public bool IsIp => Link.Medium == LinkMedium.Ip;

    public void Dispose()
    {
        Link.Dispose();
        Space.Dispose();
    }

    /// <summary>A kernel socket inside the namespace.</summary>
    public Socket KernelSocket(SocketType type, bool v6 = false) =>
        Space.Run(() => new Socket(v6 ? AddressFamily.InterNetworkV6 : AddressFamily.InterNetwork, type, ProtocolType.Unspecified));

    /// <summary>Sends bytes as a plain frame.</summary>
    public void Send(ReadOnlySpan<byte> bytes) => Assert.Equal(1, Queue.Transmit([PoolFixture.Make(Pool, bytes)]));

    /// <summary>Sends an IP packet, with an Ethernet header where the link has them.</summary>
    public void SendPacket(ReadOnlySpan<byte> packet) => Send(Framed(packet));

    public byte[] Framed(ReadOnlySpan<byte> packet) => IsIp
        ? packet.ToArray()
        : PoolFixture.Ethernet(KernelAddress, Link.MacAddress, packet[0] >> 4 == 4 ? (ushort)0x0800 : (ushort)0x86DD, packet);

    /// <summary>The next frame that passes; ARP requests for our address are answered on the way. Fails when none comes for a minute.</summary>
    public Frame Next(Func<byte[], bool> passes)
    {
        var burst = new Frame[1];
        for (var looked = 0; looked < 10_000; looked++)
        {
            if (Queue.Receive(burst) == 0)
            {
                Span<PollDescriptor> poll = [new PollDescriptor { Descriptor = Queue.PollDescriptor, Events = LinuxConstants.PollIn }];
                if (Posix.Poll(poll, 60_000_000_000).Int32 != 1) Assert.Fail("no frame for a minute; the kernel's counters: " + Space.Run(ReadKernelCounters));
                continue;
            }
            var bytes = PoolFixture.Bytes(Pool, burst[0]);
            if (passes(bytes)) return burst[0];
            Pool.Return(burst[0]);
            if (IsArpForUs(bytes)) Send(PoolFixture.ArpReply(bytes, Link.MacAddress));
        }
        Assert.Fail("the wanted frame did not come");
        return default;
    }

    public bool IsArpForUs(byte[] frame) =>
        !IsIp && frame.Length >= 42 && frame[12] == 8 && frame[13] == 6 && frame[21] == 1 && IpAddress.ReadIPv4(frame.AsSpan(38)) == Ours4;

    /// <summary>Where the IP header of a frame starts.</summary>
    public int IpOffset => IsIp ? 0 : 14;

    public bool IsProtocol(byte[] frame, bool v6, byte protocol) =>
        frame.Length > IpOffset + 20 && frame[IpOffset] >> 4 == (v6 ? 6 : 4) && frame[IpOffset + (v6 ? 6 : 9)] == protocol;

    // What tells why the kernel dropped a frame of ours.
    private static string ReadKernelCounters() =>
        string.Join(", ", File.ReadLines("/proc/thread-self/net/snmp6").Where(line => !line.EndsWith("\t0", StringComparison.Ordinal)).Select(line => line.Replace(" ", "", StringComparison.Ordinal)))
        + File.ReadAllText("/proc/thread-self/net/netstat") + File.ReadAllText("/proc/thread-self/net/snmp") + File.ReadAllText("/proc/thread-self/net/if_inet6");

    private static MacAddress ReadKernelAddress()
    {
        var control = TapDevice.OpenControl(Name);
        var address = TapDevice.ReadAddress(control, Name);
        Posix.Close(control);
        return address ?? throw new InvalidOperationException("the device has no address");
    }

    public static IPEndPoint End(IpAddress address, int port) => new(address.ToIPAddress(), port);
}
