// ICMP and ICMPv6 input: echoes answered in the frame that they came in, errors read and handed on, the rest passed to its place.
using System.Net.Sockets;
using Peregrine.Core.Memory;
using Peregrine.Core.Time;
using Peregrine.Wire;

namespace Peregrine.Core.Ip;

/// <summary>ICMP input.</summary>
internal sealed class IcmpLayer(IpLayer ip)
{
    // Enough for a header, the longest quoted IPv4 header and eight bytes beyond, or IPv6 with a few extensions.
    private const int ContiguousWanted = 128;

    // RFC 1191 §7.1: where a router does not say its MTU, the next lower of the sizes that exist.
    private static ReadOnlySpan<ushort> Plateaus => [32_000, 17_914, 8166, 4352, 2002, 1492, 1006, 508, 296, 68];

    /// <summary>An ICMP message; owns the frame.</summary>
    public void OnIPv4(ref Frame frame, in ReceivedPacket packet, IpInterface link, Instant now)
    {
        ref IcmpCounters counters = ref ip.IcmpCounters;
        if (!TryOpen(ref frame, packet, out ReadOnlySpan<byte> bytes) || !Icmpv4Packet.TryParse(bytes, out Icmpv4Packet message))
        {
            Drop(ref counters.DroppedMalformed, frame);
            return;
        }

        if (!InternetChecksum.IsValid(ip.Frames.Sum(frame, packet.TransportOffset, packet.TransportLength, 0)))
        {
            Drop(ref counters.DroppedChecksum, frame);
            return;
        }

        switch (message.Type)
        {
            case Icmpv4Type.EchoRequest when message.Code == 0:
                // RFC 1122 §3.2.2.6: an echo to a broadcast or group may be ignored, and answering is what smurf attacks want.
                if (packet.IsGroup || !ip.Limiter.TryTakeEcho(now)) Drop(ref counters.DroppedEchoRequest, frame);
                else Reply(ref frame, packet, (byte)Icmpv4Type.EchoReply, now);
                return;
            case Icmpv4Type.EchoReply:
                OnEchoReply(packet, message.Identifier, message.Sequence, now);
                break;
            // RFC 9293 MUST-55: dropped in silence.
            case Icmpv4Type.SourceQuench:
                // RFC 6633 §3: silently discarded.
                counters.DroppedSourceQuench++;
                break;
            case Icmpv4Type.Redirect:
                OnRedirect(link, packet, message, now);
                break;
            case Icmpv4Type.DestinationUnreachable or Icmpv4Type.TimeExceeded or Icmpv4Type.ParameterProblem:
                OnError(packet, message, now);
                break;
            default:
                // RFC 1122 §3.2.2: unknown types are discarded in silence.
                counters.DroppedUnknownType++;
                break;
        }

        ip.Frames.Return(frame);
    }

    /// <summary>An ICMPv6 message; owns the frame.</summary>
    public void OnIPv6(ref Frame frame, in ReceivedPacket packet, IpInterface link, Instant now)
    {
        ref IcmpCounters counters = ref ip.IcmpCounters;
        if (!TryOpen(ref frame, packet, out ReadOnlySpan<byte> bytes) || !Icmpv6Packet.TryParse(bytes, out Icmpv6Packet message))
        {
            Drop(ref counters.DroppedMalformed, frame);
            return;
        }

        uint pseudo = InternetChecksum.PseudoHeader(packet.Source, packet.Destination, IpProtocol.Icmpv6, packet.TransportLength);
        if (!InternetChecksum.IsValid(ip.Frames.Sum(frame, packet.TransportOffset, packet.TransportLength, pseudo)))
        {
            Drop(ref counters.DroppedChecksum, frame);
            return;
        }

        switch (message.Type)
        {
            case Icmpv6Type.EchoRequest when message.Code == 0:
                if (packet.Source.IsAny || !ip.Limiter.TryTakeEcho(now)) Drop(ref counters.DroppedEchoRequest, frame);
                else Reply(ref frame, packet, (byte)Icmpv6Type.EchoReply, now);
                return;
            case Icmpv6Type.EchoReply:
                OnEchoReply(packet, message.Identifier, message.Sequence, now);
                break;
            case >= Icmpv6Type.RouterSolicitation and <= Icmpv6Type.Redirect:
                counters.ReceivedNeighbourDiscovery++;
                ip.Discovery.OnMessage(link, packet, message, now);
                break;
            case >= Icmpv6Type.MulticastListenerQuery and <= Icmpv6Type.MulticastListenerDone or Icmpv6Type.MulticastListenerReportV2:
                counters.ReceivedGroupManagement++;
                if (message.Type == Icmpv6Type.MulticastListenerQuery && packet.HopLimit == 1 && packet.Source.IsLinkLocal)
                    ip.Groups.OnMldQuery(link, message.Header.Rest >> 16, now);
                break;
            case >= Icmpv6Type.DestinationUnreachable and <= Icmpv6Type.ParameterProblem:
                OnError(packet, message, now);
                break;
            default:
                counters.DroppedUnknownType++;
                break;
        }

        ip.Frames.Return(frame);
    }

    // The message as far as it lies in the first chunk, which is made to hold enough of it.
    private bool TryOpen(ref Frame frame, in ReceivedPacket packet, out ReadOnlySpan<byte> bytes)
    {
        bytes = default;
        if (packet.TransportLength < IcmpHeader.Length) return false;
        ip.Frames.TryMakeContiguous(ref frame, packet.TransportOffset + Math.Min(packet.TransportLength, ContiguousWanted));
        if (frame.HeadLength < packet.TransportOffset + IcmpHeader.Length) return false;
        bytes = ip.Frames.Head(frame)[packet.TransportOffset..];
        bytes = bytes[..Math.Min(bytes.Length, packet.TransportLength)];
        return true;
    }

    // RFC 1122 §3.2.2.6, RFC 792, RFC 4443 §4.2: the data go back as they came, so the frame itself goes back.
    private void Reply(ref Frame frame, in ReceivedPacket packet, byte type, Instant now)
    {
        IpAddress local = packet.IsGroup ? default : packet.Destination;
        FlowPath path = default;
        if (ip.Resolve(packet.Source, ref local, ref path, now) != SocketError.Success)
        {
            Drop(ref ip.IcmpCounters.DroppedEchoRequest, frame);
            return;
        }

        ip.IcmpCounters.ReceivedEchoRequests++;
        ip.Frames.TrimEnd(ref frame, packet.TransportOffset + packet.TransportLength);
        FrameBytes.TrimFront(ref frame, packet.TransportOffset);
        (frame.Flags, frame.SegmentKind, frame.SegmentSize, frame.HeaderLength) = (FrameFlags.None, SegmentKind.None, 0, 0);
        Span<byte> head = ip.Frames.Head(frame);
        ref IcmpHeader header = ref System.Runtime.InteropServices.MemoryMarshal.AsRef<IcmpHeader>(head);
        header.Type = type;
        header.Checksum = default;
        uint pseudo = local.IsIPv4 ? 0 : InternetChecksum.PseudoHeader(local, packet.Source, IpProtocol.Icmpv6, frame.Length);
        InternetChecksum.Store(head[IcmpHeader.ChecksumOffset..], ip.Frames.Sum(frame, 0, frame.Length, pseudo));
        var how = new IpOutput
        {
            // RFC 1122 §3.2.2.6: the TOS of the request, without its marks of congestion.
            Local = local, Remote = packet.Source, Protocol = packet.Protocol, TrafficClass = (byte)(packet.TrafficClass & ~3),
        };
        ip.Output(ref frame, how, path, now);
    }

    private void OnEchoReply(in ReceivedPacket packet, ushort identifier, ushort sequence, Instant now)
    {
        if (!ip.Echo.IsOpen(identifier))
        {
            ip.IcmpCounters.DroppedEchoReply++;
            return;
        }

        int length = packet.TransportLength - IcmpHeader.Length;
        var echo = new EchoEvent(packet.Source, identifier, sequence, length, packet.HopLimit, SocketError.Success, now);
        if (ip.Echo.TryAdd(echo)) ip.IcmpCounters.ReceivedEchoReplies++;
        else ip.IcmpCounters.DroppedEchoEventsFull++;
    }

    /// <summary>An error about an echo request of ours; false when nobody waits for it.</summary>
    public bool OnEchoError(in IcmpError error, Instant now)
    {
        if (!ip.Echo.IsOpen(error.Local.Port)) return false;
        if (error.Kind == IcmpErrorKind.PacketTooBig) ip.OnPacketTooBigConfirmed(error.Remote.Address, error.Mtu, now);
        var echo = new EchoEvent(error.Remote.Address, error.Local.Port, error.Remote.Port, 0, 0, ToSocketError(error.Kind), now);
        if (!ip.Echo.TryAdd(echo)) ip.IcmpCounters.DroppedEchoEventsFull++;
        return true;
    }

    private void OnRedirect(IpInterface link, in ReceivedPacket packet, in Icmpv4Packet message, Instant now)
    {
        // RFC 1122 §3.2.2.2: the new gateway on the connected network, from the gateway in use for that destination.
        bool good = message.Code <= 3 && message.TryGetQuotedPacket(out IPv4Packet quoted) && ip.Errors.TryReadQuote(quoted.Bytes, out IcmpError error)
            && ip.Routes.TryFind(message.Gateway, link.Index, out Route toGateway) && toGateway.IsOnLink
            && ip.Routes.TryFind(error.Remote.Address, link.Index, out Route route)
            && ip.Routers.TryRedirect(link, error.Remote.Address, message.Gateway, route.Gateway == packet.Source, now);
        if (!good) ip.IcmpCounters.DroppedRedirect++;
    }

    private void OnError(in ReceivedPacket packet, in Icmpv4Packet message, Instant now)
    {
        bool good = message.TryGetQuotedPacket(out IPv4Packet quoted) & ip.Errors.TryReadQuote(quoted.Bytes, out IcmpError error);
        good = good && error.Local.Address == packet.Destination && TryKind(message, out error.Kind);
        if (good && error.Kind == IcmpErrorKind.PacketTooBig) error.Mtu = message.NextHopMtu != 0 ? message.NextHopMtu : Plateau(error.QuotedLength);
        Deliver(good, error, now);
    }

    private void OnError(in ReceivedPacket packet, in Icmpv6Packet message, Instant now)
    {
        bool good = message.TryGetQuotedPacket(out IPv6Packet quoted) & ip.Errors.TryReadQuote(quoted.Bytes, out IcmpError error);
        good = good && error.Local.Address == packet.Destination && TryKind(message, out error.Kind);
        if (good && error.Kind == IcmpErrorKind.PacketTooBig)
        {
            // RFC 8201 §4: a report of less than the least IPv6 MTU is discarded.
            good = message.Mtu >= IPv6Header.MtuMin;
            error.Mtu = (int)Math.Min(message.Mtu, ushort.MaxValue);
        }

        Deliver(good, error, now);
    }

    private void Deliver(bool good, in IcmpError error, Instant now)
    {
        if (good && ip.Errors.Deliver(error, now)) ip.IcmpCounters.ReceivedErrors++;
        else ip.IcmpCounters.DroppedErrorForeign++;
    }

    private static bool TryKind(in Icmpv4Packet message, out IcmpErrorKind kind)
    {
        kind = message.Type switch
        {
            Icmpv4Type.TimeExceeded => OfTime(message.Code),
            Icmpv4Type.ParameterProblem => IcmpErrorKind.ParameterProblem,
            // RFC 792, RFC 1122 §3.2.2.1, RFC 1812 §5.2.7.1.
            _ => message.Code switch
            {
                0 or 6 or 11 => IcmpErrorKind.NetUnreachable,
                Icmpv4UnreachableCode.Protocol => IcmpErrorKind.ProtocolUnreachable,
                Icmpv4UnreachableCode.Port => IcmpErrorKind.PortUnreachable,
                Icmpv4UnreachableCode.FragmentationNeeded => IcmpErrorKind.PacketTooBig,
                Icmpv4UnreachableCode.SourceRouteFailed => IcmpErrorKind.SourceRouteFailed,
                // 14 and 15, precedence, are for hosts to take as any other of the kind that may pass.
                7 => IcmpErrorKind.HostUnknown,
                9 => IcmpErrorKind.NetProhibited,
                10 or 13 => IcmpErrorKind.AdminProhibited,
                _ => IcmpErrorKind.HostUnreachable,
            },
        };
        return message.Type != Icmpv4Type.DestinationUnreachable || message.Code <= 15;
    }

    // RFC 792, RFC 4443 §3.3: 0 is in transit, 1 in reassembly.
    private static IcmpErrorKind OfTime(byte code) => code == 1 ? IcmpErrorKind.ReassemblyTimeExceeded : IcmpErrorKind.TimeExceeded;

    private static bool TryKind(in Icmpv6Packet message, out IcmpErrorKind kind)
    {
        kind = message.Type switch
        {
            Icmpv6Type.PacketTooBig => IcmpErrorKind.PacketTooBig,
            Icmpv6Type.TimeExceeded => OfTime(message.Code),
            Icmpv6Type.ParameterProblem => message.Code == Icmpv6ParameterCode.UnrecognizedNextHeader
                ? IcmpErrorKind.ProtocolUnreachable : IcmpErrorKind.ParameterProblem,
            _ => message.Code switch
            {
                Icmpv6UnreachableCode.NoRoute => IcmpErrorKind.NetUnreachable,
                Icmpv6UnreachableCode.Port => IcmpErrorKind.PortUnreachable,
                Icmpv6UnreachableCode.BeyondScope or Icmpv6UnreachableCode.Address => IcmpErrorKind.HostUnreachable,
                _ => IcmpErrorKind.AdminProhibited,
            },
        };
        return true;
    }

    private static int Plateau(int length)
    {
        foreach (ushort plateau in Plateaus)
        {
            if (plateau < length) return plateau;
        }

        return 68;
    }

    /// <summary>The error that a socket's user sees, as Linux and the base library name it.</summary>
    public static SocketError ToSocketError(IcmpErrorKind kind) => kind switch
    {
        IcmpErrorKind.NetUnreachable or IcmpErrorKind.NetProhibited => SocketError.NetworkUnreachable,
        IcmpErrorKind.HostUnknown => SocketError.HostDown,
        IcmpErrorKind.PortUnreachable => SocketError.ConnectionRefused,
        IcmpErrorKind.ProtocolUnreachable or IcmpErrorKind.ParameterProblem => SocketError.ProtocolOption,
        IcmpErrorKind.PacketTooBig => SocketError.MessageSize,
        IcmpErrorKind.SourceRouteFailed => SocketError.OperationNotSupported,
        _ => SocketError.HostUnreachable,
    };

    private void Drop(ref long counter, in Frame frame)
    {
        counter++;
        ip.Frames.Return(frame);
    }
}
