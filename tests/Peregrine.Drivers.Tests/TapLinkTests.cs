using System.Net.Sockets;
using Peregrine.Core.Links;
using Peregrine.Core.Memory;
using Peregrine.Wire;

namespace Peregrine.Drivers.Tests;

/// <summary>The link against the real kernel.</summary>
public sealed class TapLinkTests
{
    private const byte Icmp = 1, Udp = 17;

    [Fact]
    public void KernelAsksForOurAddressAndAnswersOurPing()
    {
        using var tap = new TapFixture();
        tap.SendPacket(PoolFixture.Ip(TapFixture.Ours4, TapFixture.Kernel4, Icmp, PoolFixture.Echo(5)));
        var request = tap.Next(tap.IsArpForUs);
        Assert.Equal(FrameFlags.Broadcast, request.Flags & FrameFlags.Broadcast);
        tap.Send(PoolFixture.ArpReply(PoolFixture.Bytes(tap.Pool, request), tap.Link.MacAddress));
        var reply = PoolFixture.Bytes(tap.Pool, tap.Next(frame => tap.IsProtocol(frame, false, Icmp)));
        Assert.Equal(tap.Link.MacAddress, MacAddress.Read(reply));
        Assert.Equal((0, 5), (reply[34], reply[41]));
    }

    [Theory]
    [InlineData(LinkMedium.Ethernet, true)]
    [InlineData(LinkMedium.Ip, true)]
    [InlineData(LinkMedium.Ethernet, false)]
    [InlineData(LinkMedium.Ip, false)]
    public void DatagramOfTheKernelHasItsChecksumUnfinishedWithOffloadsOnly(LinkMedium medium, bool offloads)
    {
        using var tap = new TapFixture(new TapOptions { Medium = medium, Offloads = offloads });
        using var socket = tap.KernelSocket(SocketType.Dgram);
        var payload = PoolFixture.Pattern(333);
        socket.SendTo(payload, TapFixture.End(TapFixture.Ours4, 7));
        var frame = tap.Next(bytes => tap.IsProtocol(bytes, false, Udp));
        var start = tap.IpOffset + 20;
        Assert.Equal(offloads, (frame.Flags & FrameFlags.ChecksumUnfinished) != 0);
        if (offloads) Assert.Equal((start, 6), (frame.ChecksumStart, frame.ChecksumOffset));
        var bytes = PoolFixture.Bytes(tap.Pool, frame);
        Assert.Equal(payload, bytes[(start + 8)..]);
        var pseudo = InternetChecksum.PseudoHeader(TapFixture.Kernel4, TapFixture.Ours4, Udp, bytes.Length - start);
        if (offloads) Assert.True(InternetChecksum.IsValid(InternetChecksum.Sum(bytes.AsSpan(start + 6, 2)) + (~pseudo & 0xFFFF)), "the field holds the pseudo-header's sum");
        else Assert.True(InternetChecksum.IsValid(InternetChecksum.Sum(bytes.AsSpan(start), pseudo)));
    }

    // The largest that IPv4 has: 65,535 bytes with its header. Over TAP the kernel counts the Ethernet header in.
    [Theory]
    [InlineData(LinkMedium.Ip, 65_535, true)]
    [InlineData(LinkMedium.Ip, 65_535, false)]
    [InlineData(LinkMedium.Ethernet, 65_521, false)]
    public void LargestPacketPassesUncut(LinkMedium medium, int mtu, bool offloads)
    {
        using var tap = new TapFixture(new TapOptions { Medium = medium, Mtu = mtu, Offloads = offloads });
        Assert.Equal(mtu, tap.Link.Mtu);
        using var socket = tap.KernelSocket(SocketType.Dgram);
        var payload = PoolFixture.Pattern(mtu - 28);
        socket.SendTo(payload, TapFixture.End(TapFixture.Ours4, 7));
        var bytes = PoolFixture.Bytes(tap.Pool, tap.Next(bytes => tap.IsProtocol(bytes, false, Udp)));
        Assert.Equal(payload, bytes[(tap.IpOffset + 28)..]);
        Assert.Throws<ArgumentException>(() => TapLink.Open("x", new TapOptions { Medium = medium, Mtu = mtu + 1 }));
    }

    [Fact]
    public void KernelFinishesTheChecksumOfOurDatagram()
    {
        using var tap = new TapFixture();
        using var socket = tap.KernelSocket(SocketType.Dgram);
        socket.Bind(TapFixture.End(TapFixture.Kernel4, 4000));
        socket.ReceiveTimeout = 60_000;
        byte[] datagram = [0x30, 0, 0x0F, 0xA0, 0, 11, 0, 0, 7, 8, 9];
        InternetChecksum.StorePartial(datagram.AsSpan(6), InternetChecksum.PseudoHeader(TapFixture.Ours4, TapFixture.Kernel4, Udp, datagram.Length));
        var frame = PoolFixture.Make(tap.Pool, tap.Framed(PoolFixture.Ip(TapFixture.Ours4, TapFixture.Kernel4, Udp, datagram)));
        (frame.Flags, frame.ChecksumStart, frame.ChecksumOffset) = (FrameFlags.ChecksumUnfinished, 34, 6);
        Assert.Equal(1, tap.Queue.Transmit([frame]));
        var buffer = new byte[16];
        Assert.Equal(3, socket.Receive(buffer));
        Assert.Equal([7, 8, 9], buffer[..3]);
    }

    [Theory]
    [InlineData(LinkMedium.Ethernet, false)]
    [InlineData(LinkMedium.Ip, false)]
    [InlineData(LinkMedium.Ip, true)]
    public void SuperSegmentsPassBothWays(LinkMedium medium, bool v6)
    {
        using var tap = new TapFixture(new TapOptions { Medium = medium });
        using var peer = new TinyTcpPeer(tap, v6);
        peer.Accept();
        var sent = PoolFixture.Pattern(12_000, 3);
        peer.Kernel.Send(sent);
        var frame = tap.Next(bytes => peer.PayloadOf(bytes).Length > 0);
        Assert.Equal(v6 ? SegmentKind.Tcp6 : SegmentKind.Tcp4, frame.SegmentKind);
        Assert.Equal(TinyTcpPeer.Mss, frame.SegmentSize);
        Assert.Equal(FrameFlags.ChecksumUnfinished, frame.Flags);
        Assert.Equal((peer.TcpOffset, 16), (frame.ChecksumStart, frame.ChecksumOffset));
        var payload = peer.PayloadOf(PoolFixture.Bytes(tap.Pool, frame)).ToArray();
        Assert.True(payload.Length >= 2 * TinyTcpPeer.Mss, "several segments in one frame");
        Assert.Equal(sent[..payload.Length], payload);

        var answer = PoolFixture.Pattern(25_000, 4);
        peer.SendSuperSegment(answer, 1000);
        peer.Kernel.ReceiveTimeout = 60_000;
        var got = new byte[answer.Length];
        for (var at = 0; at < got.Length;) at += peer.Kernel.Receive(got, at, got.Length - at, SocketFlags.None);
        Assert.Equal(answer, got);
    }

    [Fact]
    public void WithoutOffloadsTheKernelCutsItsSegments()
    {
        using var tap = new TapFixture(new TapOptions { Offloads = false });
        using var peer = new TinyTcpPeer(tap, v6: false);
        Assert.Equal((LinkOffloads.None, 0), (tap.Link.Offloads, tap.Link.SuperSegmentMax));
        peer.Accept();
        peer.Kernel.Send(PoolFixture.Pattern(12_000));
        var frame = tap.Next(bytes => peer.PayloadOf(bytes).Length > 0);
        var bytes = PoolFixture.Bytes(tap.Pool, frame);
        Assert.Equal((SegmentKind.None, FrameFlags.None), (frame.SegmentKind, frame.Flags));
        Assert.Equal(TinyTcpPeer.Mss, peer.PayloadOf(bytes).Length);
        Assert.True(InternetChecksum.IsValid(InternetChecksum.Sum(bytes.AsSpan(34),
            InternetChecksum.PseudoHeader(TapFixture.Kernel4, TapFixture.Ours4, 6, bytes.Length - 34))));
    }

    [Fact]
    public void LinkGoesDownAndComesBack()
    {
        using var tap = new TapFixture();
        Assert.True(tap.Link.IsUp);
        tap.Space.Run(() => KernelInterface.SetUp(TapFixture.Name, false));
        Assert.False(tap.Link.IsUp);
        tap.SendPacket(PoolFixture.Ip(TapFixture.Ours4, TapFixture.Kernel4, Icmp, PoolFixture.Echo(1)));
        Assert.Equal(1, tap.Queue.Counters.SendDroppedError);
        tap.Queue.Receive(new Frame[8]);
        tap.Space.Run(() => KernelInterface.SetUp(TapFixture.Name));
        Assert.True(tap.Link.IsUp);
        tap.SendPacket(PoolFixture.Ip(TapFixture.Ours4, TapFixture.Kernel4, Icmp, PoolFixture.Echo(2)));
        Assert.Equal(2, PoolFixture.Bytes(tap.Pool, tap.Next(bytes => tap.IsProtocol(bytes, false, Icmp)))[41]);
        Assert.Equal(1, tap.Queue.Counters.SendDroppedError);
    }

    [Fact]
    public void DeletedDeviceIsDownAndAsksForNoPolling()
    {
        using var tap = new TapFixture();
        tap.Space.Run(() => KernelInterface.Delete(TapFixture.Name));
        Assert.Equal(0, tap.Queue.Receive(new Frame[8]));
        Assert.Equal((false, -1, 1), (tap.Link.IsUp, tap.Queue.PollDescriptor, tap.Queue.Counters.ReceiveErrors));
        tap.Send(new byte[60]);
        Assert.Equal(0, tap.Queue.Receive(new Frame[8]));
        Assert.Equal((1, 1), (tap.Queue.Counters.SendDroppedError, tap.Queue.Counters.ReceiveErrors));
        tap.Link.Dispose();
        Assert.Equal(tap.Pool.Chunks.Count, tap.Pool.Chunks.FreeCount);
    }

    [Fact]
    public void DeviceThatWasNotThereBeforeIsMadeAgainWithAllItsQueues()
    {
        using var tap = new TapFixture(new TapOptions { QueueCount = 2 });
        using var second = tap.Link.OpenQueue(1, tap.Pool);
        Assert.Equal(LinkPresence.There, tap.Queue.Follow(out _));
        tap.Space.Run(() => KernelInterface.Delete(TapFixture.Name));
        foreach (var queue in (ILinkQueue[])[tap.Queue, second])
        {
            Assert.Equal(0, queue.Receive(new Frame[8]));
            Assert.Equal((LinkPresence.Reopened, null), (queue.Follow(out var problem), problem));
            Assert.Equal(LinkPresence.There, queue.Follow(out _));
        }
        Assert.True(tap.Link.IsUp);
        tap.Send(new byte[60]);
        Assert.Equal(1, tap.Queue.Counters.SentFrames);
    }

    [Fact]
    public void DeviceThatSomebodyElseMadeIsWaitedFor()
    {
        Assert.SkipUnless(Environment.IsPrivilegedProcess, "not run: a TAP device needs root");
        var pool = PoolFixture.Pool(512);
        using var space = NetworkNamespace.Create();
        var persistent = new TapOptions { Persist = true, NetworkNamespace = space.Path };
        TapLink.Open(TapFixture.Name, persistent).Dispose();
        using var link = TapLink.Open(TapFixture.Name, new TapOptions { NetworkNamespace = space.Path });
        using var queue = link.OpenQueue(0, pool);
        space.Run(() => KernelInterface.Delete(TapFixture.Name));
        Assert.Equal(0, queue.Receive(new Frame[8]));
        for (var i = 0; i < 2; i++)
        {
            Assert.Equal(LinkPresence.Gone, queue.Follow(out var problem));
            Assert.Contains("make it", problem, StringComparison.Ordinal);
        }
        TapLink.Open(TapFixture.Name, persistent).Dispose();
        Assert.Equal((LinkPresence.Reopened, null), (queue.Follow(out var none), none));
        space.Run(() => KernelInterface.SetUp(TapFixture.Name));
        Assert.True(link.IsUp);
    }

    [Fact]
    public void RaisedMtuIsFollowedWithoutOffloads()
    {
        using var tap = new TapFixture(new TapOptions { Offloads = false });
        tap.Space.Run(() => KernelInterface.SetMtu(TapFixture.Name, 9_000));
        Assert.Equal((LinkPresence.There, 9_000), (tap.Queue.Follow(out _), tap.Link.Mtu));
        using var socket = tap.KernelSocket(SocketType.Dgram);
        socket.SendTo(new byte[8_900], TapFixture.End(TapFixture.Ours4, 9));
        var frame = tap.Next(bytes => tap.IsProtocol(bytes, false, 17));
        Assert.Equal(14 + 28 + 8_900, frame.Length);
        tap.Pool.Return(frame);
    }

    [Fact]
    public void MtuAndAddressesAreWhatTheOptionsSay()
    {
        var address = MacAddress.Parse("02:01:02:03:04:05");
        using var tap = new TapFixture(new TapOptions { Mtu = 9000, MacAddress = address });
        Assert.Equal((TapFixture.Name, 9000, address, LinkMedium.Ethernet), (tap.Link.Name, tap.Link.Mtu, tap.Link.MacAddress, tap.Link.Medium));
        Assert.Equal((65_535, true), (tap.Link.SuperSegmentMax, tap.Link.Offloads.HasFlag(LinkOffloads.SegmentTcp4 | LinkOffloads.SegmentTcp6)));
    }

    [Fact]
    public void DerivedAddressIsStableLocalAndNotTheKernels()
    {
        MacAddress first;
        using (var tap = new TapFixture()) first = tap.Link.MacAddress;
        using (var tap = new TapFixture())
        {
            Assert.Equal(first, tap.Link.MacAddress);
            Assert.NotEqual(first, tap.KernelAddress);
        }
        Assert.Equal((2UL, false), (first.Value >> 40, first.IsMulticast));
    }

    [Fact]
    public void SeveralQueuesAllSend()
    {
        using var tap = new TapFixture(new TapOptions { QueueCount = 2 });
        Assert.Equal(2, tap.Link.QueueCount);
        using var socket = tap.KernelSocket(SocketType.Dgram);
        socket.Bind(TapFixture.End(TapFixture.Kernel4, 4000));
        socket.ReceiveTimeout = 60_000;
        var second = tap.Link.OpenQueue(1, tap.Pool);
        byte[] datagram = [0x30, 0, 0x0F, 0xA0, 0, 9, 0, 0, 1];
        tap.SendPacket(PoolFixture.Ip(TapFixture.Ours4, TapFixture.Kernel4, Udp, datagram));
        datagram[8] = 2;
        second.Transmit([PoolFixture.Make(tap.Pool, tap.Framed(PoolFixture.Ip(TapFixture.Ours4, TapFixture.Kernel4, Udp, datagram)))]);
        var got = new byte[2];
        Assert.Equal((1, 1), (socket.Receive(got, 0, 1, SocketFlags.None), socket.Receive(got, 1, 1, SocketFlags.None)));
        Assert.Equal((byte[])[1, 2], got.Order().ToArray());
        Assert.NotEqual(tap.Queue.PollDescriptor, second.PollDescriptor);
    }

    [Fact]
    public void OpenDescriptorCanBeGiven()
    {
        using var tap = new TapFixture(new TapOptions { QueueCount = 2 });
        var device = tap.Space.Run(static () => TapDevice.OpenAll("given0", new TapOptions()))[0];
        using var link = TapLink.FromDescriptor(device, new TapOptions { Mtu = 1400 });
        // It lies in another namespace, so its MTU is what the options say.
        Assert.Equal(("given0", 1400, LinkMedium.Ethernet, true), (link.Name, link.Mtu, link.Medium, link.IsUp));
        Assert.Throws<ArgumentException>(() => TapLink.FromDescriptor(0));
    }

    [Fact]
    public void ErrorsSayWhatToDo()
    {
        using var tap = new TapFixture();
        var options = new TapOptions { NetworkNamespace = tap.Space.Path };
        Assert.Contains("in use by another process", Assert.Throws<IOException>(() => TapLink.Open(TapFixture.Name, options)).Message, StringComparison.Ordinal);
        Assert.Contains("another kind", Assert.Throws<IOException>(() => TapLink.Open(TapFixture.Name, options with { Medium = LinkMedium.Ip })).Message, StringComparison.Ordinal);
        Assert.Contains("ip netns add", Assert.Throws<FileNotFoundException>(() => TapLink.Open("tap0", new TapOptions { NetworkNamespace = "nobody-made-it" })).Message, StringComparison.Ordinal);
        Assert.Contains("no interface 'none0'", Assert.Throws<IOException>(() => KernelInterface.SetUp("none0")).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void RouteThroughTheLinkCarriesOtherAddresses()
    {
        using var tap = new TapFixture();
        tap.Space.Run(() =>
        {
            KernelInterface.AddRoute(TapFixture.Name, IpPrefix.Parse("192.0.2.0/24"), TapFixture.Ours4);
            KernelInterface.AddRoute(TapFixture.Name, IpPrefix.Parse("::/0"), TapFixture.Ours6);
        });
        using var socket = tap.KernelSocket(SocketType.Dgram);
        socket.SendTo([1, 2, 3], TapFixture.End(IpAddress.Parse("192.0.2.9"), 7));
        var bytes = PoolFixture.Bytes(tap.Pool, tap.Next(bytes => tap.IsProtocol(bytes, false, Udp)));
        Assert.Equal(IpAddress.Parse("192.0.2.9"), IpAddress.ReadIPv4(bytes.AsSpan(30)));
    }
}
