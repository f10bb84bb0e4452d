// IP packets with TCP or ICMP in them, written by hand: what a peer may send that no stack would.
using System.Buffers.Binary;
using Peregrine.Wire;

namespace Peregrine.Scenarios.Tests.World;

public static class RawTcp
{
    /// <summary>A TCP segment in an IPv4 or IPv6 packet, by the family of the addresses; checksums good.</summary>
    public static byte[] Packet(in IpAddress from, ushort fromPort, in IpAddress to, ushort toPort, in TcpSegment segment, ReadOnlySpan<byte> payload, byte ecn = 0)
    {
        var ip = from.IsIPv4 ? 20 : 40;
        Span<byte> header = stackalloc byte[TcpHeader.LengthMax];
        var length = TcpHeader.Write(header, fromPort, toPort, segment);
        var packet = new byte[ip + length + payload.Length];
        header[..length].CopyTo(packet.AsSpan(ip));
        payload.CopyTo(packet.AsSpan(ip + length));
        WriteIp(packet, from, to, IpProtocol.Tcp, ecn);
        FixChecksum(packet);
        return packet;
    }

    /// <summary>Sums the TCP segment of an IP packet anew.</summary>
    public static void FixChecksum(byte[] packet)
    {
        var isV4 = packet[0] >> 4 == 4;
        var ip = isV4 ? 20 : 40;
        var tcp = packet.AsSpan(ip);
        if (tcp.Length < TcpHeader.Length) return;
        tcp[16] = tcp[17] = 0;
        // The addresses lie one behind the other, so their sum is the pseudo-header's.
        Span<byte> rest = stackalloc byte[4];
        rest[1] = IpProtocol.Tcp;
        BinaryPrimitives.WriteUInt16BigEndian(rest[2..], (ushort)tcp.Length);
        var sum = InternetChecksum.Sum(packet.AsSpan(isV4 ? 12 : 8, isV4 ? 8 : 32));
        InternetChecksum.Store(tcp[16..], InternetChecksum.Sum(tcp, InternetChecksum.Sum(rest, sum)));
    }

    /// <summary>An ICMPv4 error of <paramref name="reporter"/> to <paramref name="quotedFrom"/> about a segment that it is said to have sent.</summary>
    public static byte[] IcmpV4(
        byte type, byte code, ushort mtu, in IpAddress reporter, in IpAddress quotedFrom, ushort fromPort, in IpAddress quotedTo, ushort toPort, SeqNumber seq)
    {
        var packet = new byte[20 + 8 + 28];
        var icmp = packet.AsSpan(20);
        (icmp[0], icmp[1]) = (type, code);
        BinaryPrimitives.WriteUInt16BigEndian(icmp[6..], mtu);
        var quoted = new byte[28];
        WriteIp(quoted, quotedFrom, quotedTo, IpProtocol.Tcp);
        BinaryPrimitives.WriteUInt16BigEndian(quoted.AsSpan(20), fromPort);
        BinaryPrimitives.WriteUInt16BigEndian(quoted.AsSpan(22), toPort);
        BinaryPrimitives.WriteUInt32BigEndian(quoted.AsSpan(24), seq.Value);
        quoted.CopyTo(icmp[8..]);
        InternetChecksum.Store(icmp[2..], InternetChecksum.Sum(icmp));
        WriteIp(packet, reporter, quotedFrom, 1);
        return packet;
    }

    /// <summary>The TCP segment in an IP packet without options and extension headers; false when there is none.</summary>
    public static bool TryRead(byte[] packet, out ushort fromPort, out ushort toPort, out TcpSegment segment, out byte[] payload)
    {
        (fromPort, toPort, segment, payload) = (0, 0, default, []);
        var isV4 = packet[0] >> 4 == 4;
        var ip = isV4 ? 20 : 40;
        if (packet.Length < ip) return false;
        if ((isV4 ? packet[9] : packet[6]) != IpProtocol.Tcp || !TcpPacket.TryParse(packet.AsSpan(ip), out var tcp)) return false;
        if (!tcp.ToSegment(out segment)) return false;
        (fromPort, toPort, payload) = (tcp.SourcePort, tcp.DestinationPort, tcp.Payload.ToArray());
        return true;
    }

    /// <summary>The TCP segment of an IPv4 packet in a UDP datagram, which has no checksum.</summary>
    public static byte[] InUdp(byte[] packet, ushort fromPort, ushort toPort)
    {
        var wrapped = new byte[packet.Length + UdpHeader.Length];
        packet.AsSpan(20).CopyTo(wrapped.AsSpan(20 + UdpHeader.Length));
        BinaryPrimitives.WriteUInt16BigEndian(wrapped.AsSpan(20), fromPort);
        BinaryPrimitives.WriteUInt16BigEndian(wrapped.AsSpan(22), toPort);
        BinaryPrimitives.WriteUInt16BigEndian(wrapped.AsSpan(24), (ushort)(wrapped.Length - 20));
        WriteIp(wrapped, IpAddress.FromIPv4(packet[12], packet[13], packet[14], packet[15]), IpAddress.FromIPv4(packet[16], packet[17], packet[18], packet[19]), IpProtocol.Udp);
        return wrapped;
    }

    /// <summary>The segment that a datagram in an IPv4 packet holds, in an IPv4 packet.</summary>
    public static byte[] OutOfUdp(byte[] packet)
    {
        byte[] inner = [.. packet.AsSpan(0, 20), .. packet.AsSpan(20 + UdpHeader.Length)];
        WriteIp(inner, IpAddress.FromIPv4(packet[12], packet[13], packet[14], packet[15]), IpAddress.FromIPv4(packet[16], packet[17], packet[18], packet[19]), IpProtocol.Tcp);
        return inner;
    }

    private static void WriteIp(byte[] packet, in IpAddress from, in IpAddress to, byte protocol, byte ecn = 0)
    {
        if (from.IsIPv4)
        {
            (packet[0], packet[1]) = (0x45, ecn);
            BinaryPrimitives.WriteUInt16BigEndian(packet.AsSpan(2), (ushort)packet.Length);
            (packet[6], packet[8], packet[9]) = (0x40, 64, protocol);
            from.WriteTo(packet.AsSpan(12));
            to.WriteTo(packet.AsSpan(16));
            InternetChecksum.Store(packet.AsSpan(10), InternetChecksum.Sum(packet.AsSpan(0, 20)));
            return;
        }
        (packet[0], packet[1]) = (0x60, (byte)(ecn << 4));
        BinaryPrimitives.WriteUInt16BigEndian(packet.AsSpan(4), (ushort)(packet.Length - 40));
        (packet[6], packet[7]) = (protocol, 64);
        from.WriteTo(packet.AsSpan(8));
        to.WriteTo(packet.AsSpan(24));
    }
}
