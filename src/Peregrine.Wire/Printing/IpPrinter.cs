// The network layer's part of a printed line, and UDP. Transports print behind the addresses, because tcpdump appends ports to them.
namespace Peregrine.Wire;

internal static class IpPrinter
{
    public static void AppendPacket(ref TextSpan text, ReadOnlySpan<byte> bytes, FramePrinterOptions options, int depth)
    {
        if (IPv4Packet.TryParse(bytes, out IPv4Packet four)) AppendIPv4(ref text, four, options, depth);
        else if (IPv6Packet.TryParse(bytes, out IPv6Packet six)) AppendIPv6(ref text, six, options, depth);
        else AppendMalformed(ref text, bytes);
    }

    private static void AppendMalformed(ref TextSpan text, ReadOnlySpan<byte> bytes)
    {
        if (IPv4Packet.TryParseQuoted(bytes, out IPv4Packet four))
        {
            text.Append("IP truncated-ip - ");
            text.Append(four.TotalLength - four.Bytes.Length);
            text.Append(" bytes missing! ");
            AppendPair(ref text, four.Source, four.Destination);
        }
        else if (IPv6Packet.TryParseQuoted(bytes, out IPv6Packet six))
        {
            text.Append("IP6 truncated-ip6 - ");
            text.Append(six.PayloadLength - six.Payload.Length);
            text.Append(" bytes missing! ");
            AppendPair(ref text, six.Source, six.Destination);
        }
        else
        {
            text.Append("[|ip], length ");
            text.Append(bytes.Length);
        }
    }

    private static void AppendPair(ref TextSpan text, IpAddress source, IpAddress destination)
    {
        text.Append(source);
        text.Append(" > ");
        text.Append(destination);
    }

    private static void AppendIPv4(ref TextSpan text, IPv4Packet packet, FramePrinterOptions options, int depth)
    {
        text.Append("IP ");
        if (packet.FragmentOffset > 0)
        {
            AppendPair(ref text, packet.Source, packet.Destination);
            AppendFragment(
                ref text, packet.Identification, packet.FragmentOffset, (packet.Flags & IPv4Flags.MoreFragments) != 0, packet.Protocol, packet.Payload.Length);
        }
        else
        {
            var upper = new UpperLayer(packet.Source, packet.Destination, packet.Protocol, packet.Payload, packet.IsFragment);
            AppendUpperLayer(ref text, upper, options, depth);
            if (packet.IsFragment) text.Append(", more fragments");
        }

        if ((options & FramePrinterOptions.Checksums) != 0 && !packet.HasValidChecksum) text.Append(", bad ip cksum");
    }

    private static void AppendIPv6(ref TextSpan text, IPv6Packet packet, FramePrinterOptions options, int depth)
    {
        text.Append("IP6 ");
        IPv6HeaderChain chain = packet.WalkHeaders(throughFirstFragment: true);
        ReadOnlySpan<byte> payload = packet.Bytes[chain.UpperLayerOffset..];
        bool isPart = false;
        if (chain.FragmentOffset >= 0)
        {
            IPv6FragmentHeader fragment = IPv6FragmentHeader.Read(packet.Bytes[chain.FragmentOffset..]);
            isPart = fragment.IsFragment;
            if (chain.Status == IPv6ChainStatus.Fragment)
            {
                AppendPair(ref text, packet.Source, packet.Destination);
                AppendFragment(ref text, fragment.Identification, fragment.Offset, fragment.MoreFragments, chain.Protocol, payload.Length);
                return;
            }
        }

        if (chain.Status != IPv6ChainStatus.Complete)
        {
            AppendPair(ref text, packet.Source, packet.Destination);
            text.Append(chain.Status == IPv6ChainStatus.Truncated ? ": [|ip6 extension]" : ": [ip6 extension headers out of order]");
            return;
        }

        AppendUpperLayer(ref text, new UpperLayer(packet.Source, packet.Destination, chain.Protocol, payload, isPart), options, depth);
        if (isPart) text.Append(", more fragments");
    }

    private static void AppendFragment(ref TextSpan text, uint identification, int offset, bool more, byte protocol, int length)
    {
        text.Append(": frag (id ");
        text.Append(identification);
        text.Append(", offset ");
        text.Append(offset);
        text.Append(more ? ", more) " : ") ");
        AppendProtocol(ref text, protocol);
        text.Append(", length ");
        text.Append(length);
    }

    private static void AppendUpperLayer(ref TextSpan text, UpperLayer upper, FramePrinterOptions options, int depth)
    {
        switch (upper.Protocol)
        {
            case IpProtocol.Tcp:
                TcpPrinter.Append(ref text, upper, options);
                break;
            case IpProtocol.Udp:
                AppendUdp(ref text, upper, options);
                break;
            case IpProtocol.Icmpv4 when upper.Source.IsIPv4:
                IcmpPrinter.AppendIcmpv4(ref text, upper, options);
                break;
            case IpProtocol.Icmpv6:
                IcmpPrinter.AppendIcmpv6(ref text, upper, options);
                break;
            // Tunnels: IPv4 (4) and IPv6 (41) in IP.
            case 4 or 41 when depth < FramePrinter.DepthMax:
                AppendPair(ref text, upper.Source, upper.Destination);
                text.Append(": ");
                AppendPacket(ref text, upper.Payload, options, depth + 1);
                break;
            default:
                AppendPair(ref text, upper.Source, upper.Destination);
                text.Append(": ");
                AppendProtocol(ref text, upper.Protocol);
                text.Append(", length ");
                text.Append(upper.Payload.Length);
                break;
        }
    }

    public static void AppendProtocol(ref TextSpan text, byte protocol)
    {
        ReadOnlySpan<char> name = protocol switch
        {
            IpProtocol.Icmpv4 => "icmp",
            IpProtocol.Igmp => "igmp",
            IpProtocol.Tcp => "tcp",
            IpProtocol.Udp => "udp",
            IpProtocol.Esp => "esp",
            IpProtocol.Icmpv6 => "ipv6-icmp",
            IpProtocol.NoNextHeader => "no next header",
            _ => default,
        };
        if (name.IsEmpty)
        {
            text.Append("ip-proto-");
            text.Append((uint)protocol);
        }
        else
        {
            text.Append(name);
        }
    }

    public static void AppendPortPair(ref TextSpan text, UpperLayer upper, ushort sourcePort, ushort destinationPort)
    {
        text.Append(upper.Source);
        text.Append('.');
        text.Append((uint)sourcePort);
        text.Append(" > ");
        text.Append(upper.Destination);
        text.Append('.');
        text.Append((uint)destinationPort);
        text.Append(": ");
    }

    public static void AppendShort(ref TextSpan text, UpperLayer upper, ReadOnlySpan<char> mark)
    {
        AppendPair(ref text, upper.Source, upper.Destination);
        text.Append(mark);
        text.Append(", length ");
        text.Append(upper.Payload.Length);
    }

    private static void AppendUdp(ref TextSpan text, UpperLayer upper, FramePrinterOptions options)
    {
        // Of a fragmented datagram only the beginning is here, and its length field speaks of the whole.
        bool whole = UdpDatagram.TryParse(upper.Payload, out UdpDatagram datagram);
        if (!whole && upper.Payload.Length < UdpHeader.Length)
        {
            AppendShort(ref text, upper, ": [|udp]");
            return;
        }

        ref readonly UdpHeader header = ref Overlay.On<UdpHeader>(upper.Payload);
        AppendPortPair(ref text, upper, header.SourcePort, header.DestinationPort);
        if (!whole && !upper.IsFragment)
        {
            text.Append("UDP, bad length ");
            text.Append((uint)header.DatagramLength);
            return;
        }

        text.Append("UDP, length ");
        text.Append(header.DatagramLength - UdpHeader.Length);
        if ((options & FramePrinterOptions.Checksums) == 0 || !whole || !datagram.HasChecksum) return;
        if (!datagram.HasValidChecksum(upper.Source, upper.Destination)) text.Append(", bad udp cksum");
    }
}

/// <summary>What a transport's printer is given.</summary>
internal readonly ref struct UpperLayer(IpAddress source, IpAddress destination, byte protocol, ReadOnlySpan<byte> payload, bool isFragment)
{
    public IpAddress Source { get; } = source;

    public IpAddress Destination { get; } = destination;

    public byte Protocol { get; } = protocol;

    public ReadOnlySpan<byte> Payload { get; } = payload;

    /// <summary>Whether the payload is only the beginning of what was sent.</summary>
    public bool IsFragment { get; } = isFragment;
}
