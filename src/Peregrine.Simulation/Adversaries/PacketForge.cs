// Frames written by hand, with good checksums: what an adversary sends.
using System.Buffers.Binary;
using Peregrine.Wire;

namespace Peregrine.Simulation.Adversaries;

internal static class PacketForge
{
    /// <summary>A TCP segment in an Ethernet frame.</summary>
    public static FrameBuffer Tcp(
        FrameBufferPool pool, MacAddress fromMac, MacAddress toMac, in IpAddress from, ushort fromPort, in IpAddress to, ushort toPort, in TcpSegment segment,
        ReadOnlySpan<byte> payload)
    {
        Span<byte> header = stackalloc byte[TcpHeader.LengthMax];
        var length = TcpHeader.Write(header, fromPort, toPort, segment);
        // The checksum field is zero in this sum.
        TcpHeader.WriteChecksum(header[..length], from, to, InternetChecksum.Sum(payload, InternetChecksum.Sum(header[..length])), payload.Length);
        var frame = Ip(pool, fromMac, toMac, from, to, IpProtocol.Tcp, length + payload.Length, out var offset);
        header[..length].CopyTo(frame.Span[offset..]);
        payload.CopyTo(frame.Span[(offset + length)..]);
        return frame;
    }

    /// <summary>An Ethernet frame with an IP header and room behind it.</summary>
    public static FrameBuffer Ip(
        FrameBufferPool pool, MacAddress fromMac, MacAddress toMac, in IpAddress from, in IpAddress to, byte protocol, int length, out int offset,
        IPv4Flags flags = IPv4Flags.DontFragment, int fragmentOffset = 0, ushort identification = 0)
    {
        offset = EthernetHeader.Length + (from.IsIPv4 ? 20 : 40);
        var frame = pool.Rent(offset + length);
        EthernetHeader.Write(frame.Span, toMac, fromMac, from.IsIPv4 ? EtherType.IPv4 : EtherType.IPv6);
        var ip = frame.Span[EthernetHeader.Length..];
        if (from.IsIPv4) IPv4Header.Write(ip, from, to, protocol, length, flags: flags, fragmentOffset: fragmentOffset, identification: identification);
        else IPv6Header.Write(ip, from, to, protocol, length);
        return frame;
    }

    /// <summary>An ICMP error of <paramref name="reporter"/> that quotes a TCP segment which its receiver is said to have sent.</summary>
    public static FrameBuffer IcmpError(
        FrameBufferPool pool, MacAddress fromMac, MacAddress toMac, in IpAddress reporter, byte type, byte code, ushort mtu,
        in IpAddress quotedFrom, ushort fromPort, in IpAddress quotedTo, ushort toPort, SeqNumber seq)
    {
        Span<byte> quoted = stackalloc byte[28];
        IPv4Header.Write(quoted, quotedFrom, quotedTo, IpProtocol.Tcp, 20);
        BinaryPrimitives.WriteUInt16BigEndian(quoted[20..], fromPort);
        BinaryPrimitives.WriteUInt16BigEndian(quoted[22..], toPort);
        BinaryPrimitives.WriteUInt32BigEndian(quoted[24..], seq.Value);
        var frame = Ip(pool, fromMac, toMac, reporter, quotedFrom, IpProtocol.Icmpv4, 8 + quoted.Length, out var offset);
        Icmpv4Packet.Write(frame.Span[offset..], (Icmpv4Type)type, code, mtu, quoted);
        return frame;
    }
}
