using System.Net;
using System.Net.Sockets;
using System.Text;
using Peregrine.Core.Links;
using Peregrine.Core.Memory;
using Peregrine.Drivers.Xdp;
using Peregrine.Wire;

namespace Peregrine.Drivers.Tests;

/// <summary>What is ours comes to us, and the kernel goes on as before, on one interface. The far end is the kernel's.</summary>
public sealed class XdpSteeringTests : IDisposable
{
    private const byte Icmp = 1, Tcp = 6, Udp = 17;
    private const int OurPort = 443, KernelPort = 80;

    private readonly VethFixture _veth = new();
    private readonly FramePool _pool = PoolFixture.Pool(1024);
    private XdpLink? _link;
    private ILinkQueue? _queue;

    public XdpSteeringTests()
    {
        _veth.NearSpace.Run(() => KernelInterface.AddAddress(VethFixture.Near, IpPrefix.Parse("10.94.0.2/24")));
        _veth.FarSpace.Run(() => KernelInterface.AddAddress(VethFixture.Far, IpPrefix.Parse("10.94.0.1/24")));
    }

    public void Dispose()
    {
        _link?.Dispose();
        _veth.Dispose();
    }

    [Theory]
    [InlineData(XdpMode.Native)]
    [InlineData(XdpMode.Generic)]
    public void OwnAddressIsOursWithItsArpAndTheKernelKeepsItsOwn(XdpMode mode)
    {
        Open(new XdpOptions { Mode = mode });
        _link!.OnAddress(VethFixture.Own4);
        ExpectKernelServes();
        using var socket = _veth.FarSocket(SocketType.Dgram);
        socket.SendTo("hello"u8, VethEnd(VethFixture.Own4, 7));
        var request = Next(static frame => frame[12] == 8 && frame[13] == 6);
        Assert.Equal(VethFixture.Own4, IpAddress.ReadIPv4(request.AsSpan(38)));
        _queue!.Transmit([PoolFixture.Make(_pool, PoolFixture.ArpReply(request, _link.MacAddress))]);
        var datagram = Next(frame => IsTo(frame, Udp, 7));
        Assert.Equal("hello", Encoding.ASCII.GetString(datagram, 42, 5));
        ExpectKernelServes();
        Assert.True(_link.Steering.Count(0).Passed > 0, "the kernel's frames were passed");
    }

    [Fact]
    public void DatagramOfAKernelBehindAVethHasItsChecksumUnfinished()
    {
        Open(new XdpOptions { Traffic = new XdpTraffic { SharedAddresses = [VethFixture.Near4], UdpPorts = [new PortRange(OurPort)] } });
        Assert.Equal(LinkOffloads.ReceiveUnfinished, _link!.Offloads & LinkOffloads.ReceiveUnfinished);
        using var socket = _veth.FarSocket(SocketType.Dgram);
        socket.SendTo("hello"u8, VethEnd(VethFixture.Near4, OurPort));
        var datagram = Next(frame => IsTo(frame, Udp, OurPort));
        var pseudo = InternetChecksum.PseudoHeader(VethFixture.Far4, VethFixture.Near4, Udp, 13);
        Assert.True(InternetChecksum.IsUnfinished(BitConverter.ToUInt16(datagram, 40), pseudo));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void PortsOfASharedAddressAreOursAndTheRestIsTheKernels(bool allBut)
    {
        PortRange[] ports = [new PortRange(allBut ? (ushort)KernelPort : (ushort)OurPort)];
        Open(new XdpOptions { Traffic = new XdpTraffic { TcpPorts = ports, UdpPorts = ports, AllBut = allBut } });
        _link!.OnAddress(VethFixture.Near4);
        ExpectKernelServes();
        using var client = _veth.FarSocket(SocketType.Stream);
        var connecting = client.ConnectAsync(VethEnd(VethFixture.Near4, OurPort));
        var syn = Next(frame => IsTo(frame, Tcp, OurPort));
        Assert.Equal(2, syn[14 + 20 + 13] & 0x3F);
        // The kernel would have answered with RST by now: the connection is open only for us to answer.
        ExpectKernelServes();
        Assert.False(connecting.IsCompleted);
        // Ports open and close while frames come.
        _link.Steering.OpenPort(udp: true, 9_000);
        _link.Steering.ClosePort(udp: true, 9_000);
        using var datagrams = _veth.FarSocket(SocketType.Dgram);
        datagrams.SendTo("x"u8, VethEnd(VethFixture.Near4, OurPort));
        Assert.Equal("x", Encoding.ASCII.GetString(Next(frame => IsTo(frame, Udp, OurPort)), 42, 1));
    }

    [Fact]
    public void FragmentsFollowTheirFirstOne()
    {
        Open(new XdpOptions { Traffic = new XdpTraffic { SharedAddresses = [VethFixture.Near4], UdpPorts = [new PortRange(OurPort)] } });
        using var socket = _veth.FarSocket(SocketType.Dgram);
        socket.SendTo(new byte[4_000], VethEnd(VethFixture.Near4, OurPort));
        var offsets = new List<int>();
        for (var i = 0; i < 3; i++)
        {
            var fragment = Next(static frame => frame[12] == 8 && frame[13] == 0);
            offsets.Add(((fragment[20] & 0x1F) << 8) | fragment[21]);
        }
        Assert.Equal([0, 185, 370], offsets);
        // Those of the kernel's ports are not ours.
        using var kernel = _veth.NearSocket(SocketType.Dgram);
        kernel.Bind(VethEnd(VethFixture.Near4, KernelPort));
        kernel.ReceiveTimeout = 60_000;
        socket.SendTo(new byte[4_000], VethEnd(VethFixture.Near4, KernelPort));
        Assert.Equal(4_000, kernel.Receive(new byte[5_000]));
    }

    [Fact]
    public void ErrorsThatQuoteOurFlowsAreOurs()
    {
        Open(new XdpOptions { Traffic = new XdpTraffic { SharedAddresses = [VethFixture.Near4], UdpPorts = [new PortRange(OurPort)] } });
        ExpectKernelServes();
        // To a port that nobody has there: the far kernel says so and quotes us.
        byte[] datagram = [OurPort >> 8, OurPort & 255, 0, 9, 0, 8, 0, 0];
        var far = VethFixture.AddressOf(_veth.FarSpace, VethFixture.Far);
        var frame = PoolFixture.Ethernet(far, _link!.MacAddress, 0x0800, PoolFixture.Ip(VethFixture.Near4, VethFixture.Far4, Udp, datagram));
        Assert.Equal(1, _queue!.Transmit([PoolFixture.Make(_pool, frame)]));
        var error = Next(static frame => frame[12] == 8 && frame[13] == 0 && frame[23] == Icmp);
        Assert.Equal((3, 3), (error[34], error[35]));
    }

    [Fact]
    public void InterfaceWithAProgramIsRefusedWithAnAdvice()
    {
        Open(new XdpOptions());
        var taken = Assert.Throws<IOException>(() => _veth.OpenNear());
        Assert.Contains("has an XDP program already", taken.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void WithoutNamedPortsThoseThatTheStackUsesAreOurs()
    {
        Open(new XdpOptions());
        Assert.Contains(new IpPrefix(VethFixture.Near4, 24), _link!.Addresses);
        Assert.Null(_link.Ports);
        _link.OnAddress(VethFixture.Near4);
        var ports = _link.Ports!;
        using var other = _veth.NearSocket(SocketType.Dgram);
        other.Bind(VethEnd(VethFixture.Near4, 9_000));
        Assert.False(ports.TryOpenPort(udp: true, 9_000));
        // Used twice, it is ours until the second has ended.
        Assert.True(ports.TryOpenPort(udp: true, OurPort) && ports.TryOpenPort(udp: true, OurPort));
        ports.ClosePort(udp: true, OurPort);
        using var datagrams = _veth.FarSocket(SocketType.Dgram);
        datagrams.SendTo("x"u8, VethEnd(VethFixture.Near4, OurPort));
        Assert.Equal("x", Encoding.ASCII.GetString(Next(frame => IsTo(frame, Udp, OurPort)), 42, 1));
        using var kernel = _veth.NearSocket(SocketType.Dgram);
        Assert.Throws<SocketException>(() => kernel.Bind(VethEnd(VethFixture.Near4, OurPort)));
        ports.ClosePort(udp: true, OurPort);
        kernel.Bind(VethEnd(VethFixture.Near4, OurPort));
        kernel.ReceiveTimeout = 60_000;
        datagrams.SendTo("yz"u8, VethEnd(VethFixture.Near4, OurPort));
        Assert.Equal(2, kernel.Receive(new byte[8]));
        Assert.Equal(((ushort)61_000, (ushort)65_535), _link.EphemeralPorts!.Value);
    }

    [Fact]
    public void PortsOfOursCannotBeTakenByTheKernelsPrograms()
    {
        using (var before = _veth.NearSocket(SocketType.Stream))
        {
            before.Bind(VethEnd(VethFixture.Near4, OurPort));
            before.Listen(1);
            Open(new XdpOptions { Traffic = new XdpTraffic { TcpPorts = [new PortRange(OurPort)] } });
            var e = Assert.Throws<IOException>(() => _link!.OnAddress(VethFixture.Near4));
            Assert.Contains("TCP port 443 of 10.94.0.2 cannot be ours", e.Message, StringComparison.Ordinal);
        }
        _link!.OnAddress(VethFixture.Near4);
        using var after = _veth.NearSocket(SocketType.Stream);
        after.SetSocketOption(SocketOptionLevel.Socket, SocketOptionName.ReuseAddress, true);
        Assert.Equal(SocketError.AddressAlreadyInUse, Assert.Throws<SocketException>(() => after.Bind(VethEnd(VethFixture.Near4, OurPort))).SocketErrorCode);
        _link.Dispose();
        after.Bind(VethEnd(VethFixture.Near4, OurPort));
    }

    [Fact]
    public void ProgramGoesWithTheLink()
    {
        Open(new XdpOptions { Traffic = new XdpTraffic { All = true } });
        _link!.Dispose();
        ExpectKernelServes();
    }

    [Theory]
    [InlineData(1_500)]
    [InlineData(4_000)]
    public void WhatIsOfferedIsWhatOpeningGives(int mtu)
    {
        foreach (var (space, name) in ((NetworkNamespace, string)[])[(_veth.NearSpace, VethFixture.Near), (_veth.FarSpace, VethFixture.Far)]) space.Run(() => KernelInterface.SetMtu(name, mtu));
        var offer = _veth.NearSpace.Run(static () => XdpKind.Xdp.Probe(MachineFacts.Read()).Single(static one => one.Line == "xdp:" + VethFixture.Near));
        Assert.Null(offer.Reason);
        Open(new XdpOptions { Traffic = new XdpTraffic { All = true } });
        Assert.Equal(_link!.Offloads & LinkOffloads.TransmitChecksum, offer.Offloads);
    }

    [Fact]
    public void InterfaceThatGoesAndComesBackIsTakenAgain()
    {
        Open(new XdpOptions { Traffic = new XdpTraffic { All = true } });
        Assert.True(_link!.IsUp);
        _veth.NearSpace.Run(() => KernelInterface.SetUp(VethFixture.Near, false));
        Assert.False(_link.IsUp);
        // The first tells that the interface is down and waits in the ring; the second is lost.
        for (var i = 0; i < 2; i++) Assert.Equal(1, _queue!.Transmit([PoolFixture.Make(_pool, new byte[60])]));
        Assert.Equal(1, _queue!.Counters.SendDroppedError);
        _veth.NearSpace.Run(() => KernelInterface.SetUp(VethFixture.Near));
        // The kernel says by and by that an interface runs.
        Assert.True(SpinWait.SpinUntil(() => _link.IsUp, 60_000));

        _veth.NearSpace.Run(() => KernelInterface.Delete(VethFixture.Near));
        Assert.False(_link.IsUp);
        Assert.Equal(0, _queue.Receive(new Frame[8]));
        Assert.Equal((-1, 1024), (_queue.PollDescriptor, _pool.Chunks.FreeCount));
        _veth.MakePair();
        Assert.True(SpinWait.SpinUntil(() => _link.IsUp, 60_000), _link.LastFailure);
        using var far = _veth.OpenFar();
        var farPool = PoolFixture.Pool();
        var farQueue = far.OpenQueue(0, farPool);
        _queue.Receive(new Frame[8]);
        var sent = PoolFixture.Ethernet(_link.MacAddress, far.MacAddress, 0x88B5, new byte[50]);
        farQueue.Transmit([PoolFixture.Make(farPool, sent)]);
        Assert.Equal([sent], VethFixture.Take(_queue, _pool, 1));
        _link.Dispose();
        Assert.Equal(1024, _pool.Chunks.FreeCount);
    }

    private static IPEndPoint VethEnd(IpAddress address, int port) => new(address.ToIPAddress(), port);

    private static bool IsTo(byte[] frame, byte protocol, int port) =>
        frame[12] == 8 && frame[13] == 0 && frame[23] == protocol && ((frame[36] << 8) | frame[37]) == port;

    private void Open(XdpOptions options)
    {
        _link = _veth.OpenNear(options);
        _queue = _link.OpenQueue(0, _pool);
    }

    /// <summary>The kernel's TCP on the shared interface answers a client, as an ssh server would.</summary>
    private void ExpectKernelServes()
    {
        using var listener = _veth.NearSocket(SocketType.Stream);
        listener.SetSocketOption(SocketOptionLevel.Socket, SocketOptionName.ReuseAddress, true);
        listener.Bind(VethEnd(VethFixture.Near4, KernelPort));
        listener.Listen(1);
        using var client = _veth.FarSocket(SocketType.Stream);
        Assert.True(client.ConnectAsync(VethEnd(VethFixture.Near4, KernelPort)).Wait(60_000), "the kernel's server was reached");
        using var server = listener.Accept();
        var sent = PoolFixture.Pattern(100_000);
        var sending = Task.Run(() => server.Send(sent));
        var got = new byte[sent.Length];
        client.ReceiveTimeout = 60_000;
        for (var at = 0; at < got.Length;) at += client.Receive(got, at, got.Length - at, SocketFlags.None);
        Assert.Equal(sent, got);
        Assert.Equal(sent.Length, sending.Result);
    }

    private byte[] Next(Func<byte[], bool> passes)
    {
        var burst = new Frame[1];
        for (var looked = 0; looked < 1_000; looked++)
        {
            if (_queue!.Receive(burst) == 0)
            {
                if (!VethFixture.WaitFor(_queue)) break;
                continue;
            }
            var bytes = PoolFixture.Bytes(_pool, burst[0]);
            _pool.Return(burst[0]);
            if (passes(bytes)) return bytes;
        }
        Assert.Fail("the wanted frame did not come");
        return [];
    }
}
