// One IP layer with a loopback and an Ethernet interface, fed with hand-made frames; what it sends is taken out as bytes.
// Not a test. Everything is deterministic; the time is a field.
using Peregrine.Core.Ip;
using Peregrine.Core.Links;
using Peregrine.Core.Memory;
using Peregrine.Core.Time;
using Peregrine.Core.Udp;
using Peregrine.Wire;

namespace Peregrine.Core.Tests.Ip;

internal sealed class IpFixture : IDisposable
{
    public static readonly MacAddress OurMac = MacAddress.Parse("02:00:00:00:00:01"), PeerMac = MacAddress.Parse("02:00:00:00:00:02");
    public static readonly IpAddress Our4 = IpAddress.Parse("192.0.2.1"), Peer4 = IpAddress.Parse("192.0.2.2"), Gateway4 = IpAddress.Parse("192.0.2.254");
    public static readonly IpAddress Our6 = IpAddress.Parse("2001:db8::1"), Peer6 = IpAddress.Parse("2001:db8::2"), Gateway6 = IpAddress.Parse("fe80::fe");
    public static readonly IpAddress Far4 = IpAddress.Parse("198.51.100.7"), Far6 = IpAddress.Parse("2001:db8:ffff::7");
    public static readonly IpAddress OurLinkLocal = IpAddress.Parse("fe80::ff:fe00:1"), PeerLinkLocal = IpAddress.Parse("fe80::2");

    private readonly MemoryRegion _region;

    public IpFixture(IpOptions? options = null, Func<InterfaceOptions, InterfaceOptions>? link = null, int chunkCount = 4096, int chunkSize = 2048)
    {
        options ??= new IpOptions();
        var udp = new UdpOptions { SocketCountMax = 64 };
        _region = MemoryRegion.Allocate(
            (2 * ChunkPool.BytesFor(chunkSize, chunkCount)) + IpLayer.BytesFor(options) + UdpLayer.BytesFor(udp) + 65_536);
        Frames = new FramePool(new ChunkPool(_region, chunkSize, chunkCount, "frames"));
        Blocks = new ChunkPool(_region, chunkSize, chunkCount, "blocks");
        var random = new StackRandom(1);
        Ip = new IpLayer(options, Frames, _region, 12345, random, Now);
        Udp = new UdpLayer(Ip, udp, Blocks, _region, 54321, random);
        Ip.TcpErrors = TcpErrors;
        Ip.AddInterface(
            new InterfaceOptions
            {
                Name = "lo", IsLoopback = true, Medium = LinkMedium.Ip, Mtu = 65_535,
                Offloads = LinkOffloads.TransmitChecksum | LinkOffloads.ReceiveChecksum,
                Addresses = [InterfaceAddress.Parse("127.0.0.1/8"), InterfaceAddress.Parse("::1/128")],
            },
            Now);
        var ethernet = new InterfaceOptions
        {
            Name = "eth", MacAddress = OurMac,
            Addresses = [InterfaceAddress.Parse("192.0.2.1/24"), InterfaceAddress.Parse("2001:db8::1/64")],
            Gateways = [Gateway4, Gateway6],
        };
        Link = Ip.AddInterface(link is null ? ethernet : link(ethernet), Now);
    }

    public IpLayer Ip { get; }

    public UdpLayer Udp { get; }

    public FramePool Frames { get; }

    public ChunkPool Blocks { get; }

    public RecordedErrors TcpErrors { get; } = new();

    public int Link { get; }

    public Instant Now { get; set; } = new(1_000_000_000);

    public int FramesOut => Frames.Chunks.Count - Frames.Chunks.FreeCount;

    public void Dispose() => _region.Dispose();

    /// <summary>A frame of these bytes, cut into chunks so small as <paramref name="chunk"/> says, or in one.</summary>
    public Frame Make(ReadOnlySpan<byte> bytes, int chunk = int.MaxValue, int headroom = 0)
    {
        Assert.True(Frames.TryRent(out Frame frame, headroom));
        int head = Math.Min(Math.Min(bytes.Length, chunk), Frames.Chunks.ChunkSize - headroom);
        frame.HeadLength = (ushort)head;
        frame.Length = head;
        bytes[..head].CopyTo(Frames.Head(frame));
        uint last = frame.Chunk;
        for (int at = head; at < bytes.Length;)
        {
            int part = Math.Min(Math.Min(chunk, Frames.Chunks.ChunkSize), bytes.Length - at);
            Assert.True(Frames.TryExtend(ref frame, ref last, part));
            bytes.Slice(at, part).CopyTo(Frames.ChunkSpan(last));
            at += part;
        }

        return frame;
    }

    public byte[] BytesOf(in Frame frame)
    {
        var bytes = new byte[frame.Length];
        Assert.Equal(bytes.Length, Frames.CopyTo(frame, 0, bytes));
        return bytes;
    }

    /// <summary>Gives a frame to input; what comes up is described, and the frame returned.</summary>
    public Up? Receive(byte[] bytes, int? link = null, FrameFlags flags = default, int chunk = int.MaxValue)
    {
        Frame frame = Make(bytes, chunk);
        frame.Flags = flags;
        return Receive(ref frame, link ?? Link);
    }

    public Up? Receive(ref Frame frame, int link)
    {
        if (!Ip.TryParse(ref frame, link, Now, out ReceivedPacket packet)) return null;
        var payload = new byte[packet.TransportLength];
        Assert.Equal(payload.Length, Frames.CopyTo(frame, packet.TransportOffset, payload));
        if (packet.Protocol == IpProtocol.Udp) Udp.OnPacket(packet, Now);
        Frames.Return(frame);
        return new Up(packet, payload);
    }

    /// <summary>Takes everything that waits to be sent.</summary>
    public List<byte[]> Sent(int? link = null)
    {
        var sent = new List<byte[]>();
        foreach (Frame frame in Ip.PendingOutput(link ?? Link))
        {
            sent.Add(BytesOf(frame));
            Frames.Return(frame);
        }

        Ip.OnTransmitted(link ?? Link, sent.Count);
        return sent;
    }

    public byte[] SentOne() => Assert.Single(Sent());

    /// <summary>Fires timers one after the other until an instant.</summary>
    public void Advance(Duration duration)
    {
        Instant end = Now + duration;
        for (int i = 0; i < 100_000 && Ip.NextDeadline <= end; i++)
        {
            Now = Instant.Max(Now, Ip.NextDeadline);
            Ip.FireTimers(Now);
        }

        Now = end;
        Ip.FireTimers(Now);
    }

    /// <summary>Sends a packet of a transport through the layer.</summary>
    public System.Net.Sockets.SocketError Output(IpAddress remote, byte protocol = IpProtocol.Tcp, int length = 20, bool dontFragment = true, byte fill = 0)
    {
        IpAddress local = default;
        FlowPath path = default;
        var error = Ip.Resolve(remote, ref local, ref path, Now);
        if (error != System.Net.Sockets.SocketError.Success) return error;
        Assert.True(Frames.TryRentFor(length, out Frame frame));
        var data = new byte[length];
        for (int i = 0; i < length; i++) data[i] = (byte)(i + fill);
        Frames.CopyInAndSum(frame, 0, data);
        var how = new IpOutput { Local = local, Remote = remote, Protocol = protocol, DontFragment = dontFragment };
        Ip.Output(ref frame, how, path, Now);
        return System.Net.Sockets.SocketError.Success;
    }

    /// <summary>Makes a neighbour known and reachable, so that packets go out at once.</summary>
    public void Know(IpAddress address, MacAddress? mac = null) => Assert.True(Ip.SetNeighbour(Link, address, mac ?? PeerMac, Now));

    public NeighbourState? StateOf(IpAddress address)
    {
        int place = Ip.Neighbours.Find(Link, address);
        return place < 0 ? null : NeighbourCache.StateOf(Ip.Neighbours.At(place), Now);
    }

    public static byte[] Ethernet(ushort type, ReadOnlySpan<byte> payload, MacAddress? to = null, MacAddress? from = null)
    {
        var frame = new byte[EthernetHeader.Length + payload.Length];
        EthernetHeader.Write(frame, to ?? OurMac, from ?? PeerMac, type);
        payload.CopyTo(frame.AsSpan(EthernetHeader.Length));
        return frame;
    }

    public static byte[] IPv4(
        IpAddress from, IpAddress to, byte protocol, ReadOnlySpan<byte> payload, ushort id = 0, IPv4Flags flags = IPv4Flags.DontFragment, int offset = 0,
        byte trafficClass = 0, byte[]? options = null, MacAddress? mac = null)
    {
        var packet = new byte[60 + payload.Length];
        int length = IPv4Header.Write(
            packet, from, to, protocol, payload.Length, trafficClass: trafficClass, identification: id, flags: flags, fragmentOffset: offset,
            options: options);
        payload.CopyTo(packet.AsSpan(length));
        return Ethernet(EtherType.IPv4, packet.AsSpan(0, length + payload.Length), mac);
    }

    public static byte[] IPv6(IpAddress from, IpAddress to, byte next, ReadOnlySpan<byte> payload, byte hopLimit = 64, MacAddress? mac = null, byte trafficClass = 0)
    {
        var packet = new byte[IPv6Header.Length + payload.Length];
        IPv6Header.Write(packet, from, to, next, payload.Length, hopLimit, trafficClass);
        payload.CopyTo(packet.AsSpan(IPv6Header.Length));
        return Ethernet(EtherType.IPv6, packet, mac ?? (to.IsMulticast ? MacAddress.ForIPv6Multicast(to) : null));
    }

    public static byte[] UdpBytes(IpAddress from, IpAddress to, ushort fromPort, ushort toPort, ReadOnlySpan<byte> data, bool checksum = true)
    {
        var datagram = new byte[UdpHeader.Length + data.Length];
        UdpHeader.Write(datagram, fromPort, toPort, data.Length);
        data.CopyTo(datagram.AsSpan(UdpHeader.Length));
        if (checksum) UdpHeader.WriteChecksum(datagram, from, to, InternetChecksum.Sum(data), data.Length);
        return datagram;
    }

    public static byte[] Echo4(IpAddress from, IpAddress to, ReadOnlySpan<byte> data, bool isReply = false, ushort id = 7, MacAddress? mac = null)
    {
        var message = new byte[8 + data.Length];
        Icmpv4Packet.WriteEcho(message, isReply, id, 1, data);
        return IPv4(from, to, IpProtocol.Icmpv4, message, mac: mac);
    }

    public static byte[] Icmp4(IpAddress from, Icmpv4Type type, byte code, uint rest, ReadOnlySpan<byte> quoted)
    {
        var message = new byte[8 + quoted.Length];
        Icmpv4Packet.Write(message, type, code, rest, quoted);
        return IPv4(from, Our4, IpProtocol.Icmpv4, message);
    }

    public static byte[] Icmp6(
        IpAddress from, IpAddress to, Icmpv6Type type, byte code, uint rest, ReadOnlySpan<byte> body, byte hopLimit = 64)
    {
        var message = new byte[8 + body.Length];
        Icmpv6Packet.Write(message, from, to, type, code, rest, body);
        return IPv6(from, to, IpProtocol.Icmpv6, message, hopLimit);
    }

    public static byte[] ArpFrame(ArpOperation operation, IpAddress sender, MacAddress senderMac, IpAddress target, MacAddress? to = null)
    {
        var bytes = new byte[46];
        new ArpPacket { Operation = operation, SenderMac = senderMac, SenderAddress = sender, TargetAddress = target, TargetMac = to ?? default }.WriteTo(bytes);
        return Ethernet(EtherType.Arp, bytes, to ?? MacAddress.Broadcast, senderMac);
    }

    public static byte[] Solicitation(IpAddress from, IpAddress target, MacAddress? mac, IpAddress? to = null, byte hopLimit = 255)
    {
        var message = new byte[32];
        IpAddress destination = to ?? target.SolicitedNodeMulticast();
        int length = NeighborSolicitation.Write(message, from, destination, target, mac);
        return IPv6(from, destination, IpProtocol.Icmpv6, message.AsSpan(0, length), hopLimit);
    }

    public static byte[] Advertisement(
        IpAddress target, MacAddress? mac, bool solicited, bool isOverride, bool isRouter = false, IpAddress? to = null, byte hopLimit = 255)
    {
        var message = new byte[32];
        IpAddress destination = to ?? Our6;
        int length = NeighborAdvertisement.Write(message, target, destination, target, mac, isRouter, solicited, isOverride);
        return IPv6(target, destination, IpProtocol.Icmpv6, message.AsSpan(0, length), hopLimit);
    }

    public static EthernetFrame Eth(byte[] frame)
    {
        Assert.True(EthernetFrame.TryParse(frame, out EthernetFrame ethernet));
        return ethernet;
    }

    public static IPv4Packet Packet4(byte[] frame)
    {
        Assert.True(IPv4Packet.TryParse(frame.AsSpan(EthernetHeader.Length), out IPv4Packet packet));
        Assert.True(packet.HasValidChecksum);
        return packet;
    }

    public static IPv6Packet Packet6(byte[] frame)
    {
        Assert.True(IPv6Packet.TryParse(frame.AsSpan(EthernetHeader.Length), out IPv6Packet packet));
        return packet;
    }

    public static Icmpv6Packet Message6(byte[] frame)
    {
        IPv6Packet packet = Packet6(frame);
        Assert.Equal(IpProtocol.Icmpv6, packet.NextHeader);
        Assert.True(Icmpv6Packet.TryParse(packet.Payload, out Icmpv6Packet message));
        Assert.True(message.HasValidChecksum(packet.Source, packet.Destination));
        return message;
    }

    public static Icmpv4Packet Message4(byte[] frame)
    {
        IPv4Packet packet = Packet4(frame);
        Assert.Equal(IpProtocol.Icmpv4, packet.Protocol);
        Assert.True(Icmpv4Packet.TryParse(packet.Payload, out Icmpv4Packet message));
        Assert.True(message.HasValidChecksum);
        return message;
    }

    public static byte[] Pattern(int length)
    {
        var bytes = new byte[length];
        for (int i = 0; i < length; i++) bytes[i] = (byte)((i * 7) ^ (i >> 8));
        return bytes;
    }
}

/// <summary>What came up to a transport.</summary>
internal sealed record Up(ReceivedPacket Packet, byte[] Payload);

internal sealed class RecordedErrors : ITransportErrors
{
    public List<IcmpError> All { get; } = [];

    public void OnIcmpError(in IcmpError error, Instant now) => All.Add(error);
}
