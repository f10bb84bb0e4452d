// A router: it answers for its own addresses (ARP, neighbour solicitations), forwards by prefix, takes one from the hop limit, and reports
// what it cannot forward by ICMP, as RFC 1812 and RFC 4443 want. Its neighbours are told to it; it does not ask for them.
using System.Buffers.Binary;
using Peregrine.Core.Ip;
using Peregrine.Core.Time;
using Peregrine.Simulation.Hosts;
using Peregrine.Simulation.Links;
using Peregrine.Wire;

namespace Peregrine.Simulation.Nodes;

/// <summary>A router.</summary>
public sealed class SimulatedRouter : SimulatedNode
{
    private readonly List<(IpPrefix Prefix, IpAddress Own, int Port)> _prefixes = [];
    private readonly Dictionary<IpAddress, MacAddress> _neighbours = [];
    private readonly MacAddress _mac;

    internal SimulatedRouter(SimulatedWorld world, string name, int number)
        : base(world, name) => _mac = new MacAddress(0x0200_00FF_0000 + (ulong)number);

    /// <summary>Packets forwarded.</summary>
    public long ForwardedCount { get; private set; }

    /// <summary>ICMP errors sent.</summary>
    public long ErrorCount { get; private set; }

    /// <summary>Whether errors are reported at all: without them, path MTUs cannot be discovered. Default true.</summary>
    public bool SendsErrors { get; set; } = true;

    /// <summary>Gives the router an address on the network behind a link that was connected before.</summary>
    /// <param name="link">The link.</param>
    /// <param name="own">The router's address there and the network's prefix length.</param>
    /// <exception cref="ArgumentException">The link is not at this router.</exception>
    public SimulatedRouter Serve(SimulatedLink link, InterfaceAddress own)
    {
        ArgumentNullException.ThrowIfNull(link);
        var lane = link.From(this);
        for (var port = 0; port < PortCount; port++)
        {
            if (Port(port) == lane) _prefixes.Add((new IpPrefix(own.Address, own.PrefixLength), own.Address, port));
        }
        return this;
    }

    /// <summary>Tells the router where a host is.</summary>
    public SimulatedRouter Knows(SimulatedHost host)
    {
        ArgumentNullException.ThrowIfNull(host);
        foreach (var address in host.Addresses) _neighbours[address.Address] = host.Mac;
        return this;
    }

    internal override void OnFrame(int port, FrameBuffer frame, Instant now)
    {
        var bytes = frame.Span;
        if (bytes.Length < EthernetHeader.Length + 20)
        {
            World.Buffers.Return(frame);
            return;
        }
        var mine = MacAddress.Read(bytes) == _mac;
        switch (BinaryPrimitives.ReadUInt16BigEndian(bytes[12..]))
        {
            case EtherType.Arp:
                AnswerArp(port, bytes[EthernetHeader.Length..], now);
                break;
            case EtherType.IPv4 when mine && IPv4Packet.TryParse(bytes[EthernetHeader.Length..], out var v4):
                if (InternetChecksum.IsValid(InternetChecksum.Sum(bytes.Slice(EthernetHeader.Length, (bytes[EthernetHeader.Length] & 15) * 4))))
                {
                    Forward(port, frame, IpAddress.ReadIPv4(bytes[30..]), bytes[22], now);
                    return;
                }
                break;
            case EtherType.IPv6 when IPv6Packet.TryParse(bytes[EthernetHeader.Length..], out var v6):
                if (AnswerSolicitation(port, bytes[EthernetHeader.Length..], now) || !mine) break;
                Forward(port, frame, IpAddress.ReadIPv6(bytes[38..]), bytes[21], now);
                return;
        }
        World.Buffers.Return(frame);
    }

    private void Forward(int port, FrameBuffer frame, in IpAddress destination, byte hops, Instant now)
    {
        var bytes = frame.Span;
        var isV4 = destination.IsIPv4;
        var size = bytes.Length - EthernetHeader.Length;
        if (destination.IsMulticast || IsOwn(destination)) World.Buffers.Return(frame);
        else if (hops <= 1) Refuse(port, frame, isV4 ? Icmpv4Type.TimeExceeded : 0, Icmpv6Type.TimeExceeded, 0, 0, now);
        else if (!TryRoute(destination, out var way) || !_neighbours.TryGetValue(destination, out var mac))
            Refuse(port, frame, Icmpv4Type.DestinationUnreachable, Icmpv6Type.DestinationUnreachable, isV4 ? (byte)1 : (byte)3, 0, now);
        else if (size > Port(way).Conditions.Mtu)
            Refuse(port, frame, Icmpv4Type.DestinationUnreachable, Icmpv6Type.PacketTooBig, isV4 ? (byte)4 : (byte)0, (uint)Port(way).Conditions.Mtu, now);
        else Send(way, frame, mac, isV4, now);
    }

    private void Send(int way, FrameBuffer frame, MacAddress mac, bool isV4, Instant now)
    {
        ForwardedCount++;
        var bytes = frame.Span;
        if (isV4)
        {
            var before = BinaryPrimitives.ReadUInt16BigEndian(bytes[22..]);
            bytes[22]--;
            var sum = InternetChecksum.Update(BinaryPrimitives.ReadUInt16BigEndian(bytes[24..]), before, BinaryPrimitives.ReadUInt16BigEndian(bytes[22..]));
            BinaryPrimitives.WriteUInt16BigEndian(bytes[24..], sum);
        }
        else
        {
            bytes[21]--;
        }
        mac.WriteTo(bytes);
        _mac.WriteTo(bytes[6..]);
        Port(way).Send(frame, now);
    }

    private bool TryRoute(in IpAddress destination, out int port)
    {
        port = -1;
        var longest = -1;
        foreach (var (prefix, _, at) in _prefixes)
        {
            if (prefix.Length <= longest || prefix.Address.IsIPv4 != destination.IsIPv4 || !prefix.Contains(destination)) continue;
            (port, longest) = (at, prefix.Length);
        }
        return port >= 0;
    }

    private bool IsOwn(in IpAddress address)
    {
        foreach (var (_, own, _) in _prefixes)
        {
            if (own == address) return true;
        }
        return false;
    }

    /// <summary>An ICMP error to the sender, about a packet that goes no further. Never about an ICMP error or a later fragment (RFC 1122 §3.2.2).</summary>
    private void Refuse(int port, FrameBuffer frame, Icmpv4Type v4, Icmpv6Type v6, byte code, uint rest, Instant now)
    {
        var packet = frame.Span[EthernetHeader.Length..];
        var isV4 = packet[0] >> 4 == 4;
        var mac = MacAddress.Read(frame.Span[6..]);
        if (SendsErrors && MayReport(packet, isV4))
        {
            var source = isV4 ? IpAddress.ReadIPv4(packet[12..]) : IpAddress.ReadIPv6(packet[8..]);
            var own = OwnAt(port, isV4);
            var ip = isV4 ? 20 : 40;
            var quoted = packet[..Math.Min(packet.Length, isV4 ? 548 : 1_232 - 40)];
            var error = World.Buffers.Rent(EthernetHeader.Length + ip + 8 + quoted.Length);
            var bytes = error.Span;
            EthernetHeader.Write(bytes, mac, _mac, isV4 ? EtherType.IPv4 : EtherType.IPv6);
            if (isV4)
            {
                IPv4Header.Write(bytes[EthernetHeader.Length..], own, source, IpProtocol.Icmpv4, 8 + quoted.Length);
                Icmpv4Packet.Write(bytes[(EthernetHeader.Length + ip)..], v4, code, rest, quoted);
            }
            else
            {
                IPv6Header.Write(bytes[EthernetHeader.Length..], own, source, IpProtocol.Icmpv6, 8 + quoted.Length);
                Icmpv6Packet.Write(bytes[(EthernetHeader.Length + ip)..], own, source, v6, code, rest, quoted);
            }
            ErrorCount++;
            Port(port).Send(error, now);
        }
        World.Buffers.Return(frame);
    }

    private static bool MayReport(ReadOnlySpan<byte> packet, bool isV4)
    {
        if (!isV4) return packet[6] != IpProtocol.Icmpv6;
        var isLaterFragment = (BinaryPrimitives.ReadUInt16BigEndian(packet[6..]) & 0x1FFF) != 0;
        return packet[9] != IpProtocol.Icmpv4 && !isLaterFragment;
    }

    private IpAddress OwnAt(int port, bool v4)
    {
        foreach (var (_, own, at) in _prefixes)
        {
            if (at == port && own.IsIPv4 == v4) return own;
        }
        return v4 ? IpAddress.IPv4Any : IpAddress.IPv6Any;
    }

    private void AnswerArp(int port, ReadOnlySpan<byte> message, Instant now)
    {
        if (!ArpPacket.TryParse(message, out var request) || request.Operation != ArpOperation.Request) return;
        if (OwnAt(port, true) != request.TargetAddress) return;
        var answer = World.Buffers.Rent(EthernetHeader.Length + ArpHeader.Length);
        EthernetHeader.Write(answer.Span, request.SenderMac, _mac, EtherType.Arp);
        new ArpPacket
        {
            Operation = ArpOperation.Reply, SenderMac = _mac, SenderAddress = request.TargetAddress, TargetMac = request.SenderMac, TargetAddress = request.SenderAddress,
        }.WriteTo(answer.Span[EthernetHeader.Length..]);
        Port(port).Send(answer, now);
    }

    // RFC 4861 §7.2.4.
    private bool AnswerSolicitation(int port, ReadOnlySpan<byte> packet, Instant now)
    {
        if (packet[6] != IpProtocol.Icmpv6 || packet.Length < 40 + 24 || packet[40] != (byte)Icmpv6Type.NeighborSolicitation) return false;
        IpAddress source = IpAddress.ReadIPv6(packet[8..]), target = IpAddress.ReadIPv6(packet[48..]);
        // Duplicate address detection (source ::) of somebody who wants this address does not happen here.
        if (source.IsAny || OwnAt(port, false) != target || !_neighbours.TryGetValue(source, out var mac)) return true;
        var answer = World.Buffers.Rent(EthernetHeader.Length + 40 + 32);
        var bytes = answer.Span;
        EthernetHeader.Write(bytes, mac, _mac, EtherType.IPv6);
        IPv6Header.Write(bytes[EthernetHeader.Length..], target, source, IpProtocol.Icmpv6, 32, 255);
        NeighborAdvertisement.Write(bytes[(EthernetHeader.Length + 40)..], target, source, target, _mac, isRouter: true, isSolicited: true, isOverride: true);
        Port(port).Send(answer, now);
        return true;
    }
}
