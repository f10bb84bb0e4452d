// ICMP errors that we send, of both families: whether one may be sent at all, the limiter, and the message.
// Also the reading of quoted packets, for errors that we receive or find ourselves.
using System.Buffers.Binary;
using Peregrine.Core.Memory;
using Peregrine.Core.Time;
using Peregrine.Wire;

namespace Peregrine.Core.Ip;

/// <summary>Sends errors and reads quotes.</summary>
internal sealed class IcmpErrors(IpLayer ip)
{
    // RFC 1812 §4.3.2.3: at most 576 bytes; RFC 4443 §2.4 c: at most the least IPv6 MTU.
    private const int QuoteMaxIPv4 = 576 - IPv4Header.Length - IcmpHeader.Length;
    private const int QuoteMaxIPv6 = IPv6Header.MtuMin - IPv6Header.Length - IcmpHeader.Length;

    /// <summary>Our UDP port whose datagrams hold TCP segments; 0 for none.</summary>
    internal ushort TunnelPort { get; set; }

    /// <summary>Datagrams may hold TCP segments, or could once.</summary>
    internal bool HasTunnels { get; set; }

    /// <summary>Nobody listens on the port of a datagram (RFC 1122 §3.2.2.1).</summary>
    public void SendPortUnreachable(in ReceivedPacket packet, Instant now)
    {
        if (packet.Source.IsIPv4) Send(packet, (byte)Icmpv4Type.DestinationUnreachable, Icmpv4UnreachableCode.Port, 0, false, now);
        else Send(packet, (byte)Icmpv6Type.DestinationUnreachable, Icmpv6UnreachableCode.Port, 0, false, now);
    }

    /// <summary>IPv4: a protocol that we do not speak.</summary>
    public void SendProtocolUnreachable(in ReceivedPacket packet, Instant now) =>
        Send(packet, (byte)Icmpv4Type.DestinationUnreachable, Icmpv4UnreachableCode.Protocol, 0, false, now);

    /// <summary>IPv6: a header that we cannot process.</summary>
    /// <param name="packet">The packet.</param>
    /// <param name="code">See <see cref="Icmpv6ParameterCode"/>.</param>
    /// <param name="pointer">Where the trouble is, from the IPv6 header's first byte.</param>
    /// <param name="now">The time.</param>
    public void SendParameterProblem(in ReceivedPacket packet, byte code, int pointer, Instant now) =>
        // RFC 4443 §2.4 e.3: only for an unrecognised option (and packet too big) may the packet have been sent to a group.
        Send(packet, (byte)Icmpv6Type.ParameterProblem, code, (uint)pointer, code == Icmpv6ParameterCode.UnrecognizedOption, now);

    /// <summary>Fragments did not all come in time; the first did.</summary>
    public void SendReassemblyTimeExceeded(in Frame frame, in FragmentPlace place, Instant now)
    {
        var packet = new ReceivedPacket
        {
            Frame = frame, Source = place.Source, Destination = place.Destination, NetworkOffset = place.NetworkOffset,
            TransportOffset = place.PayloadOffset, TransportLength = place.Length,
            IsGroup = ip.IsBroadcastOrMulticast(place.Destination),
        };
        byte type = place.Source.IsIPv4 ? (byte)Icmpv4Type.TimeExceeded : (byte)Icmpv6Type.TimeExceeded;
        Send(packet, type, 1, 0, false, now);
    }

    private void Send(in ReceivedPacket packet, byte type, byte code, uint rest, bool evenToGroup, Instant now)
    {
        if (!MayAnswer(packet, evenToGroup))
        {
            ip.IcmpCounters.SuppressedForbidden++;
            return;
        }

        if (!ip.Limiter.TryTakeError(now))
        {
            ip.IcmpCounters.SuppressedLimited++;
            return;
        }

        // RFC 1122 §3.2.2, RFC 4443 §2.2: from the address that the packet was sent to, if that is one of ours.
        IpAddress local = ip.IsLocalAddress(packet.Destination) ? packet.Destination : default;
        FlowPath path = default;
        bool routed = ip.Resolve(packet.Source, ref local, ref path, now) == System.Net.Sockets.SocketError.Success;
        if (!routed || !ip.Frames.TryRent(out Frame frame))
        {
            if (routed) ip.Counters.SendDroppedNoMemory++;
            else ip.Counters.SendDroppedNoRoute++;
            return;
        }

        Write(ref frame, packet, local, type, code, rest);
        ip.IcmpCounters.SentErrors++;
        // RFC 1122 §3.2.2: with a TOS of zero.
        var how = new IpOutput { Local = local, Remote = packet.Source, Protocol = local.IsIPv4 ? IpProtocol.Icmpv4 : IpProtocol.Icmpv6 };
        ip.Output(ref frame, how, path, now);
    }

    private void Write(ref Frame frame, in ReceivedPacket packet, in IpAddress local, byte type, byte code, uint rest)
    {
        int room = Math.Min(local.IsIPv4 ? QuoteMaxIPv4 : QuoteMaxIPv6, ip.Frames.Chunks.ChunkSize - frame.Offset - IcmpHeader.Length);
        int quoted = Math.Min(room, packet.TransportOffset - packet.NetworkOffset + packet.TransportLength);
        frame.Length = frame.HeadLength = (ushort)(IcmpHeader.Length + quoted);
        Span<byte> message = ip.Frames.Head(frame);
        Span<byte> body = message[IcmpHeader.Length..];
        ip.Frames.CopyTo(packet.Frame, packet.NetworkOffset, body);
        if (local.IsIPv4) Icmpv4Packet.Write(message, (Icmpv4Type)type, code, rest, body);
        else Icmpv6Packet.Write(message, local, packet.Source, (Icmpv6Type)type, code, rest, body);
    }

    // RFC 1122 §3.2.2, RFC 4443 §2.4 e: never about an error, a group or broadcast, a fragment but the first, or a source that is no host.
    private bool MayAnswer(in ReceivedPacket packet, bool evenToGroup)
    {
        if ((packet.IsGroup && !evenToGroup) || packet.Source.IsAny || ip.IsBroadcastOrMulticast(packet.Source)) return false;
        ReadOnlySpan<byte> head = ip.Frames.Head(packet.Frame)[packet.NetworkOffset..];
        if (packet.Source.IsIPv4)
        {
            if (!IPv4Packet.TryParseQuoted(head, out IPv4Packet quoted) || quoted.FragmentOffset != 0) return false;
            return quoted.Protocol != IpProtocol.Icmpv4 || (quoted.Payload.Length > 0
                && (Icmpv4Type)quoted.Payload[0] is Icmpv4Type.EchoRequest or Icmpv4Type.EchoReply or Icmpv4Type.TimestampRequest);
        }

        if (!IPv6Packet.TryParseQuoted(head, out IPv6Packet quoted6)) return false;
        IPv6HeaderChain chain = quoted6.WalkHeaders(throughFirstFragment: true);
        if (chain.Status == IPv6ChainStatus.Fragment) return false;
        if (chain.Status != IPv6ChainStatus.Complete || chain.Protocol != IpProtocol.Icmpv6) return true;
        if (chain.UpperLayerOffset >= quoted6.Bytes.Length) return false;
        byte type = quoted6.Bytes[chain.UpperLayerOffset];
        return type >= 128 && type != (byte)Icmpv6Type.Redirect;
    }

    /// <summary>A packet of ours (an IP header first) could not be delivered on its link: tells its transport.</summary>
    public void ReportUnreachable(in Frame frame, Instant now)
    {
        if (!TryReadQuote(ip.Frames.Head(frame), out IcmpError error)) return;
        error.Kind = IcmpErrorKind.HostUnreachable;
        error.IsLocal = true;
        Deliver(error, now);
    }

    /// <summary>Tells the transport of the quoted packet; false when there is none.</summary>
    public bool Deliver(in IcmpError error, Instant now)
    {
        switch (error.Protocol)
        {
            case IpProtocol.Tcp when ip.TcpErrors is not null:
                ip.TcpErrors.OnIcmpError(error, now);
                return true;
            case IpProtocol.Udp when ip.UdpErrors is not null:
                ip.UdpErrors.OnIcmpError(error, now);
                return true;
            case IpProtocol.Icmpv4 or IpProtocol.Icmpv6:
                return ip.Icmp.OnEchoError(error, now);
            default:
                return false;
        }
    }

    /// <summary>Reads a quoted packet as far as the transport needs it. The quote's source must be ours, or it is refused.</summary>
    public bool TryReadQuote(ReadOnlySpan<byte> packet, out IcmpError error)
    {
        error = default;
        ReadOnlySpan<byte> transport;
        IpAddress local, remote;
        if (packet.Length > 0 && packet[0] >> 4 == 4)
        {
            // RFC 5927 §4: only a quote that has the ports says whom it is about.
            if (!IPv4Packet.TryParseQuoted(packet, out IPv4Packet quoted) || quoted.FragmentOffset != 0) return false;
            (local, remote) = (quoted.Source, quoted.Destination);
            (error.Protocol, error.QuotedLength) = (quoted.Protocol, quoted.TotalLength);
            transport = quoted.Payload;
        }
        else
        {
            if (!IPv6Packet.TryParseQuoted(packet, out IPv6Packet quoted)) return false;
            IPv6HeaderChain chain = quoted.WalkHeaders(throughFirstFragment: true);
            if (chain.Status != IPv6ChainStatus.Complete || chain.UpperLayerOffset > quoted.Bytes.Length) return false;
            (local, remote) = (quoted.Source, quoted.Destination);
            if (local.IsIPv4 || remote.IsIPv4) return false;
            (error.Protocol, error.QuotedLength) = (chain.Protocol, quoted.PayloadLength + IPv6Header.Length);
            transport = quoted.Bytes[chain.UpperLayerOffset..];
        }

        if (transport.Length < 8 || !ip.IsLocalAddress(local)) return false;
        if (error.Protocol == IpProtocol.Udp && TunnelPort != 0 && BinaryPrimitives.ReadUInt16BigEndian(transport) == TunnelPort && transport.Length >= UdpHeader.Length + 8)
        {
            (error.Protocol, error.EncapsulationPort) = (IpProtocol.Tcp, BinaryPrimitives.ReadUInt16BigEndian(transport[2..]));
            transport = transport[UdpHeader.Length..];
        }

        bool hasPorts = error.Protocol is IpProtocol.Tcp or IpProtocol.Udp;
        // An echo's identifier and sequence take the places of the ports.
        ReadOnlySpan<byte> ports = hasPorts ? transport : transport[4..];
        error.Local = new Endpoint(local, BinaryPrimitives.ReadUInt16BigEndian(ports));
        error.Remote = new Endpoint(remote, BinaryPrimitives.ReadUInt16BigEndian(ports[2..]));
        error.HasSeq = error.Protocol == IpProtocol.Tcp;
        if (error.HasSeq) error.Seq = new SeqNumber(BinaryPrimitives.ReadUInt32BigEndian(transport[4..]));
        return true;
    }
}
