// Packets that a script sends, as bytes: IP, then TCP, UDP or an ICMP error with a quote. Checksums are good.
using System.Buffers.Binary;
using Peregrine.Scripting.Language;
using Peregrine.Wire;

namespace Peregrine.Scripting.Running;

internal static class PacketWriter
{
    internal static byte[] Tcp(ScriptSetup setup, Flow flow, TcpPacketText text)
    {
        var shift = new OptionShift(flow.LocalBase, static v => v, flow.LiveStamp);
        var options = OptionText.Encode(text.Options ?? [], shift);
        var header = 20 + options.Length;
        var packet = Ip(setup.Remote, setup.Local, IpProtocol.Tcp, header + text.Length, text.Ip, out var tcp);
        BinaryPrimitives.WriteUInt16BigEndian(tcp, flow.RemotePort);
        BinaryPrimitives.WriteUInt16BigEndian(tcp[2..], flow.LocalPort);
        BinaryPrimitives.WriteUInt32BigEndian(tcp[4..], text.IsAbsolute || IsFirst(flow, text) ? (uint)text.Seq : flow.RemoteBase + (uint)text.Seq);
        if (text.Ack is { } ack) BinaryPrimitives.WriteUInt32BigEndian(tcp[8..], text.IsAbsolute ? (uint)ack : flow.LocalBase + (uint)ack);
        var flags = FlagText.Parse(text.Flags);
        tcp[12] = (byte)(header / 4 << 4 | (flags >> 8));
        tcp[13] = (byte)flags;
        BinaryPrimitives.WriteUInt16BigEndian(tcp[14..], (ushort)Math.Min(text.Window ?? 0, ushort.MaxValue));
        BinaryPrimitives.WriteUInt16BigEndian(tcp[18..], (ushort)(text.Urgent ?? 0));
        options.CopyTo(tcp[20..]);
        if (text.Options?.Contains(Signatures.Valid) == true) Signatures.Sign(setup, tcp);
        if (text.Encapsulation is { } ports) return Wrap(setup, tcp, ports, text.Ip);
        Sum(setup.Remote, setup.Local, IpProtocol.Tcp, tcp, TcpHeader.ChecksumOffset);
        return packet;
    }

    private static byte[] Wrap(ScriptSetup setup, ReadOnlySpan<byte> segment, (int From, int To) ports, IpMarks marks)
    {
        var packet = Ip(setup.Remote, setup.Local, IpProtocol.Udp, UdpHeader.Length + segment.Length, marks, out var udp);
        UdpHeader.Write(udp, (ushort)ports.From, (ushort)ports.To, segment.Length);
        udp[6] = udp[7] = 0;
        segment.CopyTo(udp[UdpHeader.Length..]);
        Sum(setup.Remote, setup.Local, IpProtocol.Udp, udp, UdpHeader.ChecksumOffset);
        return packet;
    }

    // A SYN that opens the script's side has its number as written; the numbers of all others are counted from it.
    private static bool IsFirst(Flow flow, TcpPacketText text) => text.Flags.Contains('S', StringComparison.Ordinal) && flow.RemoteIsn == (uint)text.Seq;

    internal static byte[] Udp(ScriptSetup setup, Flow flow, UdpPacketText text)
    {
        var packet = Ip(setup.Remote, setup.Local, IpProtocol.Udp, UdpHeader.Length + text.Length, text.Ip, out var udp);
        UdpHeader.Write(udp, flow.RemotePort, flow.LocalPort, text.Length);
        udp[6] = udp[7] = 0;
        Sum(setup.Remote, setup.Local, IpProtocol.Udp, udp, UdpHeader.ChecksumOffset);
        return packet;
    }

    /// <summary>An error that a router on the path reports about a segment of ours.</summary>
    internal static byte[] Icmp(ScriptSetup setup, Flow flow, IcmpPacketText text)
    {
        var v4 = setup.Local.IsIPv4;
        var (type, code) = IcmpText.NumbersOf(text, v4);
        if (IcmpText.IsEcho(type, v4)) return Echo(setup, text, type);
        var protocol = text.QuotesUdp || text.Encapsulation is not null ? IpProtocol.Udp : IpProtocol.Tcp;
        var before = text.Encapsulation is null ? 0 : UdpHeader.Length;
        var quoted = Ip(setup.Local, setup.Remote, protocol, before + (text.QuotesUdp ? 8 + text.Length : 20 + text.Length), IpMarks.None, out var inner);
        if (text.Encapsulation is { } ports)
        {
            UdpHeader.Write(inner, (ushort)ports.From, (ushort)ports.To, 20 + text.Length);
            inner = inner[UdpHeader.Length..];
        }
        BinaryPrimitives.WriteUInt16BigEndian(inner, flow.LocalPort);
        BinaryPrimitives.WriteUInt16BigEndian(inner[2..], flow.RemotePort);
        if (!text.QuotesUdp)
        {
            var seq = text.Seq is { } said ? flow.LocalBase + (uint)said : flow.LastSeq;
            BinaryPrimitives.WriteUInt32BigEndian(inner[4..], seq);
            inner[12] = 5 << 4;
        }
        // RFC 792: the header and 8 bytes; RFC 4443: as much as fits.
        var quote = quoted.AsSpan(0, Math.Min(quoted.Length, v4 ? 28 + before : 1_232));
        var packet = Ip(setup.Gateway, setup.Local, v4 ? (byte)1 : (byte)58, 8 + quote.Length, text.Ip, out var icmp);
        (icmp[0], icmp[1]) = (type, code);
        if (text.Mtu is { } mtu) BinaryPrimitives.WriteUInt32BigEndian(icmp[4..], (uint)mtu);
        quote.CopyTo(icmp[8..]);
        if (v4) InternetChecksum.Store(icmp[2..], InternetChecksum.Sum(icmp));
        else Sum(setup.Gateway, setup.Local, 58, icmp, 2);
        return packet;
    }

    // RFC 792, RFC 4443 §4.1: an identifier, and no data.
    private static byte[] Echo(ScriptSetup setup, IcmpPacketText text, byte type)
    {
        var v4 = setup.Local.IsIPv4;
        var packet = Ip(setup.Remote, setup.Local, v4 ? (byte)1 : (byte)58, 8, text.Ip, out var icmp);
        icmp[0] = type;
        BinaryPrimitives.WriteUInt16BigEndian(icmp[4..], (ushort)(text.Id ?? 0));
        if (v4) InternetChecksum.Store(icmp[2..], InternetChecksum.Sum(icmp));
        else Sum(setup.Remote, setup.Local, 58, icmp, 2);
        return packet;
    }

    private static byte[] Ip(in IpAddress from, in IpAddress to, byte protocol, int length, IpMarks marks, out Span<byte> payload)
    {
        var v4 = from.IsIPv4;
        var header = v4 ? 20 : 40;
        var packet = new byte[header + length];
        var traffic = marks.Dscp is { } dscp ? dscp << 2 : marks.TrafficClass ?? 0;
        if (marks.Ecn is { } ecn) traffic = (traffic & 0xFC) | (ecn == -1 ? 2 : ecn);
        payload = packet.AsSpan(header);
        if (v4)
        {
            packet[0] = 0x45;
            packet[1] = (byte)traffic;
            BinaryPrimitives.WriteUInt16BigEndian(packet.AsSpan(2), (ushort)Math.Min(packet.Length, ushort.MaxValue));
            packet[8] = (byte)(marks.HopLimit ?? 64);
            packet[9] = protocol;
            from.WriteTo(packet.AsSpan(12));
            to.WriteTo(packet.AsSpan(16));
            InternetChecksum.Store(packet.AsSpan(10), InternetChecksum.Sum(packet.AsSpan(0, 20)));
            return packet;
        }
        BinaryPrimitives.WriteUInt32BigEndian(packet, (6u << 28) | ((uint)traffic << 20) | ((uint)(marks.FlowLabel ?? 0) & 0xF_FFFF));
        BinaryPrimitives.WriteUInt16BigEndian(packet.AsSpan(4), (ushort)length);
        packet[6] = protocol;
        packet[7] = (byte)(marks.HopLimit ?? 64);
        from.WriteTo(packet.AsSpan(8));
        to.WriteTo(packet.AsSpan(24));
        return packet;
    }

    private static void Sum(in IpAddress from, in IpAddress to, byte protocol, Span<byte> bytes, int at)
    {
        var sum = InternetChecksum.PseudoHeader(from, to, protocol, bytes.Length);
        InternetChecksum.Store(bytes[at..], InternetChecksum.Sum(bytes, sum));
    }
}

/// <summary>TCP's flags by their letters, with accurate ECN's bit as the ninth.</summary>
internal static class FlagText
{
    private const string Letters = "FSRP.UEWA";

    internal static int Parse(string text)
    {
        var flags = 0;
        foreach (var c in text)
        {
            // RFC 9768 §3.1: the counter's three bits, the first of them accurate ECN's own.
            if (c is >= '0' and <= '7')
            {
                flags |= ((c & 4) << 6) | ((c & 2) << 6) | ((c & 1) << 6);
                continue;
            }
            var bit = Letters.IndexOf(c == 'C' ? 'W' : c == 'N' ? 'A' : c, StringComparison.Ordinal);
            if (bit < 0) throw new NotApplicableException($"the TCP flag '{c}' is not understood");
            flags |= 1 << bit;
        }
        return flags;
    }

    internal static string Format(int flags)
    {
        var text = "";
        foreach (var c in "SFRPEWUA.")
        {
            if ((flags & (1 << Letters.IndexOf(c, StringComparison.Ordinal))) != 0) text += c;
        }
        return text;
    }
}
