using System.Buffers.Binary;
using Peregrine.Core.Links;
using Peregrine.Core.Memory;
using Peregrine.Drivers.Xdp;
using Peregrine.Wire;

namespace Peregrine.Drivers.Tests;

/// <summary>
/// Whose an IPv6 frame is, as a table: each is sent by the far end, byte by byte, and the program's counters say what became of it. The kernels
/// are silent.
/// </summary>
public sealed class XdpSteering6Tests : IDisposable
{
    private const byte HopByHop = 0, Tcp = 6, Udp = 17, Routing = 43, FragmentHeader = 44, Icmp6 = 58, NoNext = 59, Destination = 60;
    private const int OurPort = 443, KernelPort = 22;

    private static readonly IpAddress s_peer = IpAddress.Parse("fd94::1"), s_own = IpAddress.Parse("fd94::abcd:1234"), s_shared = IpAddress.Parse("fd94::2"),
        s_other = IpAddress.Parse("fd94::3"), s_nodes = IpAddress.Parse("ff02::1"), s_solicited = IpAddress.Parse("ff02::1:ffcd:1234");

    private readonly VethFixture _veth = new(kernelSpeaksIPv6: false);
    private readonly FramePool _nearPool = PoolFixture.Pool(), _farPool = PoolFixture.Pool();
    private readonly XdpLink _near, _far;
    private readonly ILinkQueue _nearQueue, _farQueue;

    public XdpSteering6Tests()
    {
        PortRange[] ports = [new PortRange(OurPort)];
        _near = _veth.OpenNear(new XdpOptions { Traffic = new XdpTraffic { OwnAddresses = [s_own], SharedAddresses = [s_shared], TcpPorts = ports, UdpPorts = ports } });
        _far = _veth.OpenFar();
        _nearQueue = _near.OpenQueue(0, _nearPool);
        _farQueue = _far.OpenQueue(0, _farPool);
    }

    public void Dispose()
    {
        _near?.Dispose();
        _far?.Dispose();
        _veth?.Dispose();
    }

    [Fact]
    public void NeighbourDiscoveryGoesToWhoeverHasTheTarget()
    {
        Expect(true, s_solicited, Icmp6, Neighbour(135, s_own));
        Expect(true, s_own, Icmp6, Neighbour(135, s_own));
        Expect(true, s_nodes, Icmp6, Neighbour(136, s_own));
        // An advertisement to us is an answer: its target is the peer.
        Expect(true, s_own, Icmp6, Neighbour(136, s_peer));
        Expect(false, s_solicited, Icmp6, Neighbour(135, s_other));
        Expect(false, s_solicited, Icmp6, Neighbour(135, s_shared));
        Expect(false, s_nodes, Icmp6, Neighbour(136, s_shared));
        Expect(false, s_shared, Icmp6, Neighbour(136, s_peer));
        // Routers' advertisements and redirects are the kernel's, and so is what is cut off before its target ends.
        Expect(false, s_nodes, Icmp6, Neighbour(134, s_own));
        Expect(false, s_nodes, Icmp6, Neighbour(137, s_own));
        Expect(false, s_solicited, Icmp6, Neighbour(135, s_own)[..23]);
    }

    [Fact]
    public void AllOfAnOwnAddressIsOurs()
    {
        foreach (var protocol in (byte[])[Tcp, Udp, Icmp6, NoNext, HopByHop, 132]) Expect(true, s_own, protocol, Segment(KernelPort));
        Expect(true, s_own, FragmentHeader, Fragment(Udp, 100, 1, more: false, new byte[16]));
        Expect(true, s_own, Tcp, []);
        Expect(false, s_other, Tcp, Segment(OurPort));
    }

    [Fact]
    public void PortsDecideBehindUpToFourExtensionHeaders()
    {
        foreach (var protocol in (byte[])[Tcp, Udp])
        {
            Expect(true, s_shared, protocol, Segment(OurPort));
            Expect(false, s_shared, protocol, Segment(KernelPort));
            foreach (var (count, isOurs) in ((int, bool)[])[(1, true), (2, true), (4, true), (5, false)])
            {
                var payload = Segment(OurPort);
                var kernels = Segment(KernelPort);
                var next = protocol;
                for (var i = 0; i < count; i++)
                {
                    (payload, kernels) = (Extension(next, i, payload), Extension(next, i, kernels));
                    next = ((byte[])[Destination, Routing, HopByHop])[i % 3];
                }
                Expect(isOurs, s_shared, next, payload);
                Expect(false, s_shared, next, kernels);
            }
        }
        Expect(false, s_shared, 132, Segment(OurPort));
        Expect(false, s_shared, NoNext, Segment(OurPort));
        // Headers that are cut off, or say that they are longer than the packet.
        Expect(false, s_shared, HopByHop, Extension(Tcp, 0, [])[..7]);
        Expect(false, s_shared, Destination, Extension(Tcp, 0, []));
        var longer = Extension(Tcp, 0, Segment(OurPort));
        longer[1] = 255;
        Expect(false, s_shared, Routing, longer);
        Expect(false, s_shared, Tcp, Segment(OurPort)[..3]);
    }

    [Fact]
    public void LaterFragmentsGoWhereTheirFirstOneWent()
    {
        var rest = new byte[16];
        // One that overtakes its first one is the kernel's: nothing is known of it yet.
        Expect(false, s_shared, FragmentHeader, Fragment(Udp, 64, 7, more: true, rest));
        Expect(true, s_shared, FragmentHeader, Fragment(Udp, 0, 7, more: true, Segment(OurPort)));
        Expect(true, s_shared, FragmentHeader, Fragment(Udp, 64, 7, more: true, rest));
        Expect(true, s_shared, FragmentHeader, Fragment(Udp, 128, 7, more: false, rest));
        Expect(false, s_shared, FragmentHeader, Fragment(Udp, 64, 8, more: true, rest));
        Expect(false, s_shared, FragmentHeader, Fragment(Tcp, 64, 7, more: true, rest));
        Expect(false, s_shared, FragmentHeader, Fragment(Udp, 64, 7, more: true, rest), from: s_other);
        Expect(false, s_shared, FragmentHeader, Fragment(Udp, 0, 9, more: true, Segment(KernelPort)));
        Expect(false, s_shared, FragmentHeader, Fragment(Udp, 64, 9, more: false, rest));
        // Behind other headers, and all of a packet in one (RFC 6946).
        Expect(true, s_shared, HopByHop, Extension(FragmentHeader, 0, Fragment(Tcp, 0, 10, more: true, Segment(OurPort))));
        Expect(true, s_shared, Destination, Extension(FragmentHeader, 1, Fragment(Tcp, 64, 10, more: false, rest)));
        Expect(true, s_shared, FragmentHeader, Fragment(Udp, 0, 11, more: false, Segment(OurPort)));
        Expect(false, s_shared, FragmentHeader, Fragment(Udp, 0, 12, more: true, [])[..7]);
    }

    [Fact]
    public void ErrorsGoToWhoeverTheyQuote()
    {
        foreach (var protocol in (byte[])[Tcp, Udp])
        {
            foreach (byte type in (byte[])[1, 2, 3, 4]) Expect(true, s_shared, Icmp6, Error(type, protocol, Source(OurPort)));
            foreach (byte type in (byte[])[1, 2, 3, 4]) Expect(false, s_shared, Icmp6, Error(type, protocol, Source(KernelPort)));
            // The quoted destination may be any port, ours too.
            Expect(false, s_shared, Icmp6, Error(1, protocol, Segment(OurPort)));
            foreach (byte type in (byte[])[0, 5, 100, 127, 128, 129]) Expect(false, s_shared, Icmp6, Error(type, protocol, Source(OurPort)));
            // A datagram of ours that was fragmented: the first fragment names its ports, the others cannot.
            Expect(true, s_shared, Icmp6, Error(3, FragmentHeader, Fragment(protocol, 0, 5, more: true, Source(OurPort))));
            Expect(false, s_shared, Icmp6, Error(3, FragmentHeader, Fragment(protocol, 0, 5, more: true, Source(KernelPort))));
            Expect(false, s_shared, Icmp6, Error(3, FragmentHeader, Fragment(protocol, 64, 5, more: true, Source(OurPort))));
        }
        Expect(false, s_shared, Icmp6, Error(1, Icmp6, Source(OurPort)));
        // Cut off in the middle of what it quotes.
        Expect(false, s_shared, Icmp6, Error(1, Tcp, Source(OurPort))[..(8 + 40)]);
        Expect(false, s_shared, Icmp6, Error(1, Tcp, Source(OurPort))[..(8 + 39)]);
        Expect(false, s_shared, Icmp6, Error(1, FragmentHeader, Fragment(Udp, 0, 5, more: true, []))[..(8 + 40 + 7)]);
    }

    private static byte[] Segment(int port)
    {
        var bytes = new byte[20];
        BinaryPrimitives.WriteUInt16BigEndian(bytes, 50_000);
        BinaryPrimitives.WriteUInt16BigEndian(bytes.AsSpan(2), (ushort)port);
        return bytes;
    }

    private static byte[] Source(int port)
    {
        var bytes = new byte[20];
        BinaryPrimitives.WriteUInt16BigEndian(bytes, (ushort)port);
        BinaryPrimitives.WriteUInt16BigEndian(bytes.AsSpan(2), 50_000);
        return bytes;
    }

    /// <summary>An extension header of (units + 1) * 8 bytes before the rest.</summary>
    private static byte[] Extension(byte next, int units, byte[] rest)
    {
        var header = new byte[(units + 1) * 8];
        (header[0], header[1]) = (next, (byte)units);
        return [.. header, .. rest];
    }

    private static byte[] Fragment(byte next, int offset, int id, bool more, byte[] rest)
    {
        var header = new byte[8];
        header[0] = next;
        BinaryPrimitives.WriteUInt16BigEndian(header.AsSpan(2), (ushort)(offset | (more ? 1 : 0)));
        BinaryPrimitives.WriteInt32BigEndian(header.AsSpan(4), id);
        return [.. header, .. rest];
    }

    private static byte[] Neighbour(byte type, IpAddress target)
    {
        var bytes = new byte[24];
        bytes[0] = type;
        target.WriteTo(bytes.AsSpan(8));
        return bytes;
    }

    private static byte[] Error(byte type, byte protocol, byte[] quoted) => [type, 0, 0, 0, 0, 0, 0, 0, .. PoolFixture.Ip(s_shared, s_peer, protocol, quoted)];

    private void Expect(bool isOurs, IpAddress to, byte protocol, byte[] payload, IpAddress? from = null)
    {
        var frame = PoolFixture.Ethernet(_near.MacAddress, _far.MacAddress, 0x86DD, PoolFixture.Ip(from ?? s_peer, to, protocol, payload));
        var (taken, passed) = _near.Steering.Count(0);
        Assert.Equal(1, _farQueue.Transmit([PoolFixture.Make(_farPool, frame)]));
        // Nobody else sends, so the one frame that is counted next is this one.
        Assert.True(SpinWait.SpinUntil(() => _near.Steering.Count(0) != (taken, passed), 60_000), "the frame did not come");
        Assert.Equal(isOurs ? (taken + 1, passed) : (taken, passed + 1), _near.Steering.Count(0));
        var burst = new Frame[2];
        var n = 0;
        Assert.Equal(isOurs, isOurs ? SpinWait.SpinUntil(() => (n = _nearQueue.Receive(burst)) > 0, 60_000) : (n = _nearQueue.Receive(burst)) > 0);
        for (var i = 0; i < n; i++)
        {
            Assert.Equal(frame, PoolFixture.Bytes(_nearPool, burst[i]));
            _nearPool.Return(burst[i]);
        }
        _farQueue.Reclaim();
    }
}
