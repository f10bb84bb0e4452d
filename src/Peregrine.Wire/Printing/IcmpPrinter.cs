// ICMP's part of a printed line, both versions, with what an error quotes and what neighbour discovery asks.
namespace Peregrine.Wire;

internal static class IcmpPrinter
{
    public static void AppendIcmpv4(ref TextSpan text, UpperLayer upper, FramePrinterOptions options)
    {
        if (!Icmpv4Packet.TryParse(upper.Payload, out Icmpv4Packet packet))
        {
            IpPrinter.AppendShort(ref text, upper, ": [|icmp]");
            return;
        }

        text.Append(upper.Source);
        text.Append(" > ");
        text.Append(upper.Destination);
        text.Append(": ICMP ");
        switch (packet.Type)
        {
            case Icmpv4Type.EchoRequest or Icmpv4Type.EchoReply:
                text.Append(packet.Type == Icmpv4Type.EchoRequest ? "echo request" : "echo reply");
                AppendEcho(ref text, packet.Identifier, packet.Sequence);
                break;
            case Icmpv4Type.DestinationUnreachable:
                AppendUnreachable(ref text, packet);
                break;
            case Icmpv4Type.Redirect:
                AppendRedirect(ref text, packet);
                break;
            case Icmpv4Type.TimeExceeded:
                text.Append(packet.Code == 0 ? "time exceeded in-transit" : "ip reassembly time exceeded");
                break;
            case Icmpv4Type.ParameterProblem:
                text.Append("parameter problem - octet ");
                text.Append((uint)packet.Pointer);
                break;
            default:
                AppendTypeAndCode(ref text, (byte)packet.Type, packet.Code);
                break;
        }

        AppendLength(ref text, packet.Bytes.Length);
        bool check = (options & FramePrinterOptions.Checksums) != 0 && !upper.IsFragment;
        if (check && !packet.HasValidChecksum) text.Append(", bad icmp cksum");
    }

    private static void AppendEcho(ref TextSpan text, ushort identifier, ushort sequence)
    {
        text.Append(", id ");
        text.Append((uint)identifier);
        text.Append(", seq ");
        text.Append((uint)sequence);
    }

    private static void AppendLength(ref TextSpan text, int length)
    {
        text.Append(", length ");
        text.Append(length);
    }

    private static void AppendTypeAndCode(ref TextSpan text, byte type, byte code)
    {
        text.Append("type-#");
        text.Append((uint)type);
        text.Append(", code ");
        text.Append((uint)code);
    }

    private static void AppendUnreachable(ref TextSpan text, Icmpv4Packet packet)
    {
        if (!packet.TryGetQuotedPacket(out IPv4Packet quoted))
        {
            text.Append("unreachable - #");
            text.Append((uint)packet.Code);
            return;
        }

        switch (packet.Code)
        {
            case Icmpv4UnreachableCode.Protocol:
                text.Append(quoted.Destination);
                text.Append(" protocol ");
                text.Append((uint)quoted.Protocol);
                text.Append(" unreachable");
                break;
            case Icmpv4UnreachableCode.Port:
                text.Append(quoted.Destination);
                AppendQuotedPort(ref text, quoted.Protocol, quoted.Payload);
                text.Append(" unreachable");
                break;
            case Icmpv4UnreachableCode.FragmentationNeeded:
                text.Append(quoted.Destination);
                text.Append(" unreachable - need to frag (mtu ");
                text.Append((uint)packet.NextHopMtu);
                text.Append(')');
                break;
            default:
                text.Append(packet.Code == Icmpv4UnreachableCode.Net ? "net " : "host ");
                text.Append(quoted.Destination);
                text.Append(" unreachable");
                if (packet.Code <= Icmpv4UnreachableCode.Host) break;
                text.Append(packet.Code == Icmpv4UnreachableCode.AdministrativelyProhibited ? " - admin prohibited filter" : " - #");
                if (packet.Code != Icmpv4UnreachableCode.AdministrativelyProhibited) text.Append((uint)packet.Code);
                break;
        }
    }

    private static void AppendQuotedPort(ref TextSpan text, byte protocol, ReadOnlySpan<byte> payload)
    {
        bool hasPorts = protocol is IpProtocol.Tcp or IpProtocol.Udp && payload.Length >= 4;
        text.Append(' ');
        IpPrinter.AppendProtocol(ref text, protocol);
        text.Append(" port ");
        if (hasPorts) text.Append((uint)(payload[2] << 8 | payload[3]));
        else text.Append('?');
    }

    private static void AppendRedirect(ref TextSpan text, Icmpv4Packet packet)
    {
        text.Append("redirect");
        if (packet.TryGetQuotedPacket(out IPv4Packet quoted))
        {
            text.Append(' ');
            text.Append(quoted.Destination);
        }

        text.Append((packet.Code & 1) == 0 ? " to net " : " to host ");
        text.Append(packet.Gateway);
    }

    public static void AppendIcmpv6(ref TextSpan text, UpperLayer upper, FramePrinterOptions options)
    {
        if (!Icmpv6Packet.TryParse(upper.Payload, out Icmpv6Packet packet))
        {
            IpPrinter.AppendShort(ref text, upper, ": [|icmp6]");
            return;
        }

        text.Append(upper.Source);
        text.Append(" > ");
        text.Append(upper.Destination);
        text.Append(": ICMP6, ");
        switch (packet.Type)
        {
            case Icmpv6Type.EchoRequest or Icmpv6Type.EchoReply:
                text.Append(packet.Type == Icmpv6Type.EchoRequest ? "echo request" : "echo reply");
                AppendEcho(ref text, packet.Identifier, packet.Sequence);
                break;
            case Icmpv6Type.DestinationUnreachable:
                AppendUnreachable(ref text, packet);
                break;
            case Icmpv6Type.PacketTooBig:
                text.Append("packet too big, mtu ");
                text.Append(packet.Mtu);
                break;
            case Icmpv6Type.TimeExceeded:
                text.Append(packet.Code == 0 ? "time exceeded in-transit" : "ip reassembly time exceeded");
                if (packet.TryGetQuotedPacket(out IPv6Packet quoted))
                {
                    text.Append(" for ");
                    text.Append(quoted.Destination);
                }

                break;
            case Icmpv6Type.ParameterProblem:
                text.Append("parameter problem, code ");
                text.Append((uint)packet.Code);
                text.Append(" - octet ");
                text.Append(packet.Pointer);
                break;
            default:
                AppendDiscovery(ref text, packet);
                break;
        }

        AppendLength(ref text, packet.Bytes.Length);
        bool check = (options & FramePrinterOptions.Checksums) != 0 && !upper.IsFragment;
        if (check && !packet.HasValidChecksum(upper.Source, upper.Destination)) text.Append(", bad icmp6 cksum");
    }

    private static void AppendUnreachable(ref TextSpan text, Icmpv6Packet packet)
    {
        text.Append("destination unreachable, ");
        text.Append(packet.Code switch
        {
            Icmpv6UnreachableCode.NoRoute => "unreachable route",
            Icmpv6UnreachableCode.AdministrativelyProhibited => "unreachable prohibited",
            Icmpv6UnreachableCode.BeyondScope => "beyond scope",
            Icmpv6UnreachableCode.Address => "unreachable address",
            Icmpv6UnreachableCode.Port => "unreachable port",
            _ => "unknown code",
        });
        if (!packet.TryGetQuotedPacket(out IPv6Packet quoted)) return;
        text.Append(packet.Code == Icmpv6UnreachableCode.Port ? ", " : " ");
        text.Append(quoted.Destination);
        if (packet.Code != Icmpv6UnreachableCode.Port) return;
        IPv6HeaderChain chain = quoted.WalkHeaders(throughFirstFragment: true);
        AppendQuotedPort(ref text, chain.Protocol, quoted.Bytes[chain.UpperLayerOffset..]);
    }

    private static void AppendDiscovery(ref TextSpan text, Icmpv6Packet packet)
    {
        switch (packet.Type)
        {
            case Icmpv6Type.RouterSolicitation:
                text.Append("router solicitation");
                break;
            case Icmpv6Type.RouterAdvertisement:
                text.Append("router advertisement");
                break;
            case Icmpv6Type.NeighborSolicitation:
                text.Append("neighbor solicitation");
                if (!NeighborSolicitation.TryParse(packet, out NeighborSolicitation solicitation)) goto default;
                text.Append(", who has ");
                text.Append(solicitation.Target);
                break;
            case Icmpv6Type.NeighborAdvertisement:
                text.Append("neighbor advertisement");
                if (!NeighborAdvertisement.TryParse(packet, out NeighborAdvertisement advertisement)) goto default;
                text.Append(", tgt is ");
                text.Append(advertisement.Target);
                break;
            case Icmpv6Type.Redirect:
                text.Append("redirect");
                if (!RedirectMessage.TryParse(packet, out RedirectMessage redirect)) goto default;
                text.Append(", ");
                text.Append(redirect.Destination);
                text.Append(" to ");
                text.Append(redirect.Target);
                break;
            case Icmpv6Type.MulticastListenerReportV2:
                text.Append("multicast listener report v2");
                break;
            default:
                text.Append(packet.Type is >= Icmpv6Type.RouterSolicitation and <= Icmpv6Type.Redirect ? " [malformed], " : "");
                AppendTypeAndCode(ref text, (byte)packet.Type, packet.Code);
                break;
        }
    }
}
