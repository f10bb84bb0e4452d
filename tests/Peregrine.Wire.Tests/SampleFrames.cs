// Valid frames of every format, made by the writers: what round-trip, truncation, mutation and capture tests start from.
namespace Peregrine.Wire.Tests;

/// <summary>A frame, the line that the printer makes of it, and whether tcpdump's line is the same.</summary>
internal sealed record SampleFrame(string Name, byte[] Bytes, string Line, bool LikeTcpdump = true)
{
    public override string ToString() => Name;
}

internal static class SampleFrames
{
    public static readonly MacAddress MacA = MacAddress.Parse("02:00:00:00:00:0a");
    public static readonly MacAddress MacB = MacAddress.Parse("02:00:00:00:00:0b");
    public static readonly IpAddress FourA = IpAddress.Parse("192.0.2.1");
    public static readonly IpAddress FourB = IpAddress.Parse("198.51.100.2");
    public static readonly IpAddress SixA = IpAddress.Parse("2001:db8::a");
    public static readonly IpAddress SixB = IpAddress.Parse("2001:db8:1::b");

    private static readonly byte[] Text = "the quick brown fox"u8.ToArray();

    public static IReadOnlyList<SampleFrame> All { get; } = [.. Link(), .. Four(), .. Six(), .. Tcp()];

    public static TheoryData<string> Names => [.. All.Select(sample => sample.Name)];

    public static SampleFrame Named(string name) => All.Single(sample => sample.Name == name);

    public static byte[] OverEthernet(ushort etherType, ReadOnlySpan<byte> payload)
    {
        byte[] frame = new byte[EthernetHeader.Length + payload.Length];
        payload.CopyTo(frame.AsSpan(EthernetHeader.Write(frame, MacB, MacA, etherType)));
        return frame;
    }

    public static byte[] OverIPv4(byte protocol, ReadOnlySpan<byte> payload, IPv4Flags flags = IPv4Flags.DontFragment, int offset = 0, byte[]? options = null)
    {
        byte[] packet = new byte[IPv4Header.LengthMax + payload.Length];
        int length = IPv4Header.Write(
            packet, FourA, FourB, protocol, payload.Length, timeToLive: 63, trafficClass: 2, identification: 7, flags: flags, fragmentOffset: offset,
            options: options);
        payload.CopyTo(packet.AsSpan(length));
        return OverEthernet(EtherType.IPv4, packet.AsSpan(0, length + payload.Length));
    }

    public static byte[] OverIPv6(byte nextHeader, ReadOnlySpan<byte> payload, IpAddress? source = null, IpAddress? destination = null, byte hopLimit = 64)
    {
        byte[] packet = new byte[IPv6Header.Length + payload.Length];
        IPv6Header.Write(packet, source ?? SixA, destination ?? SixB, nextHeader, payload.Length, hopLimit, trafficClass: 1, flowLabel: 0xABCDE);
        payload.CopyTo(packet.AsSpan(IPv6Header.Length));
        return OverEthernet(EtherType.IPv6, packet);
    }

    public static byte[] MakeTcp(IpAddress source, IpAddress destination, in TcpSegment segment, ReadOnlySpan<byte> payload, byte[]? cookie = null)
    {
        byte[] bytes = new byte[TcpHeader.LengthMax + payload.Length];
        int length = TcpHeader.Write(bytes, 40000, 7777, segment, cookie);
        uint sum = InternetChecksum.CopyAndSum(payload, bytes.AsSpan(length));
        TcpHeader.WriteChecksum(bytes.AsSpan(0, length), source, destination, sum + InternetChecksum.Sum(bytes.AsSpan(0, length)), payload.Length);
        return bytes[..(length + payload.Length)];
    }

    public static byte[] MakeUdp(IpAddress source, IpAddress destination, ReadOnlySpan<byte> payload)
    {
        byte[] bytes = new byte[UdpHeader.Length + payload.Length];
        UdpHeader.Write(bytes, 40000, 7777, payload.Length);
        UdpHeader.WriteChecksum(bytes, source, destination, InternetChecksum.CopyAndSum(payload, bytes.AsSpan(UdpHeader.Length)), payload.Length);
        return bytes;
    }

    public static byte[] Filled(int length, Func<byte[], int> write)
    {
        byte[] bytes = new byte[length];
        return bytes[..write(bytes)];
    }

    private static IEnumerable<SampleFrame> Link()
    {
        byte[] request = Filled(28, b => new ArpPacket
        {
            Operation = ArpOperation.Request, SenderMac = MacA, SenderAddress = FourA, TargetAddress = FourB,
        }.WriteTo(b));
        byte[] reply = Filled(28, b => new ArpPacket
        {
            Operation = ArpOperation.Reply, SenderMac = MacB, SenderAddress = FourB, TargetMac = MacA, TargetAddress = FourA,
        }.WriteTo(b));
        yield return new("ARP request", OverEthernet(EtherType.Arp, request), "ARP, Request who-has 198.51.100.2 tell 192.0.2.1, length 28");
        yield return new(
            "ARP reply, padded", OverEthernet(EtherType.Arp, [.. reply, .. new byte[18]]),
            "ARP, Reply 198.51.100.2 is-at 02:00:00:00:00:0b, length 46");
        byte[] udp = OverIPv4(IpProtocol.Udp, MakeUdp(FourA, FourB, Text))[EthernetHeader.Length..];
        byte[] tagged = new byte[18 + udp.Length];
        udp.CopyTo(tagged, EthernetHeader.Write(tagged, MacB, MacA, VlanTag.Create(5, 3), EtherType.IPv4));
        yield return new("802.1Q", tagged, "vlan 5, p 3, IP 192.0.2.1.40000 > 198.51.100.2.7777: UDP, length 19", LikeTcpdump: false);
        byte[] twice = new byte[22 + udp.Length];
        udp.CopyTo(twice, EthernetHeader.Write(twice, MacB, MacA, VlanTag.Create(100), VlanTag.Create(4094, 7, true), EtherType.IPv4));
        yield return new(
            "QinQ", twice, "vlan 100, p 0, vlan 4094, p 7, DEI, IP 192.0.2.1.40000 > 198.51.100.2.7777: UDP, length 19", LikeTcpdump: false);
        yield return new("Unknown type", OverEthernet(0x88B5, Text), "ethertype Unknown (0x88b5), length 19", LikeTcpdump: false);
    }

    private static IEnumerable<SampleFrame> Four()
    {
        const string Pair = "IP 192.0.2.1 > 198.51.100.2: ";
        byte[] udp = MakeUdp(FourA, FourB, Text);
        yield return new("UDP", OverIPv4(IpProtocol.Udp, udp), "IP 192.0.2.1.40000 > 198.51.100.2.7777: UDP, length 19");
        yield return new(
            "Options", OverIPv4(IpProtocol.Udp, udp, options: [IPv4OptionType.RouterAlert, 4, 0, 0, 1, IPv4OptionType.RecordRoute, 3, 4]),
            "IP 192.0.2.1.40000 > 198.51.100.2.7777: UDP, length 19");
        yield return new(
            "Last fragment", OverIPv4(IpProtocol.Udp, Text, IPv4Flags.None, 1480), Pair + "frag (id 7, offset 1480) udp, length 19", LikeTcpdump: false);
        yield return new(
            "First fragment", OverIPv4(IpProtocol.Udp, udp.AsSpan(0, 24), IPv4Flags.MoreFragments),
            "IP 192.0.2.1.40000 > 198.51.100.2.7777: UDP, length 19, more fragments", LikeTcpdump: false);
        byte[] echo = Filled(64, b => Icmpv4Packet.WriteEcho(b, false, 9, 3, Text));
        yield return new("Echo request", OverIPv4(IpProtocol.Icmpv4, echo), Pair + "ICMP echo request, id 9, seq 3, length 27");
        byte[] reply = Filled(64, b => Icmpv4Packet.WriteEcho(b, true, 9, 3, Text));
        yield return new("Echo reply", OverIPv4(IpProtocol.Icmpv4, reply), Pair + "ICMP echo reply, id 9, seq 3, length 27");
        byte[] quoted = OverIPv4(IpProtocol.Udp, udp)[EthernetHeader.Length..][..28];
        (Icmpv4Type Type, byte Code, uint Word, string Line)[] errors =
        [
            (Icmpv4Type.DestinationUnreachable, Icmpv4UnreachableCode.Port, 0, "198.51.100.2 udp port 7777 unreachable"),
            (Icmpv4Type.DestinationUnreachable, Icmpv4UnreachableCode.Host, 0, "host 198.51.100.2 unreachable"),
            (Icmpv4Type.DestinationUnreachable, Icmpv4UnreachableCode.Net, 0, "net 198.51.100.2 unreachable"),
            (Icmpv4Type.DestinationUnreachable, Icmpv4UnreachableCode.Protocol, 0, "198.51.100.2 protocol 17 unreachable"),
            (Icmpv4Type.DestinationUnreachable, Icmpv4UnreachableCode.FragmentationNeeded, 1400,
                "198.51.100.2 unreachable - need to frag (mtu 1400)"),
            (Icmpv4Type.DestinationUnreachable, Icmpv4UnreachableCode.AdministrativelyProhibited, 0,
                "host 198.51.100.2 unreachable - admin prohibited filter"),
            (Icmpv4Type.TimeExceeded, 0, 0, "time exceeded in-transit"),
            (Icmpv4Type.TimeExceeded, 1, 0, "ip reassembly time exceeded"),
            (Icmpv4Type.ParameterProblem, 0, 20u << 24, "parameter problem - octet 20"),
            (Icmpv4Type.Redirect, 1, FourA.ToIPv4(), "redirect 198.51.100.2 to host 192.0.2.1"),
        ];
        foreach ((Icmpv4Type type, byte code, uint rest, string line) in errors)
        {
            byte[] error = Filled(64, b => Icmpv4Packet.Write(b, type, code, rest, quoted));
            yield return new($"{type} {code}", OverIPv4(IpProtocol.Icmpv4, error), $"{Pair}ICMP {line}, length 36");
        }

        yield return new("Unknown protocol", OverIPv4(253, Text), Pair + "ip-proto-253, length 19", LikeTcpdump: false);
        yield return new(
            "Tunnel", OverIPv4(4, OverIPv4(IpProtocol.Udp, udp)[EthernetHeader.Length..]),
            Pair + "IP 192.0.2.1.40000 > 198.51.100.2.7777: UDP, length 19");
    }

    private static IEnumerable<SampleFrame> Six()
    {
        const string Pair = "IP6 2001:db8::a > 2001:db8:1::b: ";
        byte[] udp = MakeUdp(SixA, SixB, Text);
        const string Line = "IP6 2001:db8::a.40000 > 2001:db8:1::b.7777: UDP, length 19";
        yield return new("UDP over IPv6", OverIPv6(IpProtocol.Udp, udp), Line);
        byte[] options = new byte[16];
        int length = IPv6OptionsHeader.Write(options, IpProtocol.DestinationOptions, [5, 2, 0, 0]);
        length += IPv6OptionsHeader.Write(options.AsSpan(length), IpProtocol.Udp, [0x1E, 3, 1, 2, 3]);
        yield return new("Extension headers", OverIPv6(IpProtocol.HopByHopOptions, [.. options[..length], .. udp]), Line, LikeTcpdump: false);
        byte[] fragment = new byte[8];
        IPv6FragmentHeader.Write(fragment, IpProtocol.Udp, 1448, false, 99);
        yield return new(
            "IPv6 fragment", OverIPv6(IpProtocol.Fragment, [.. fragment, .. Text]), Pair + "frag (id 99, offset 1448) udp, length 19",
            LikeTcpdump: false);
        IPv6FragmentHeader.Write(fragment, IpProtocol.Udp, 0, false, 99);
        yield return new("Atomic fragment", OverIPv6(IpProtocol.Fragment, [.. fragment, .. udp]), Line, LikeTcpdump: false);
        byte[] quoted = OverIPv6(IpProtocol.Udp, udp)[EthernetHeader.Length..];
        (Icmpv6Type Type, byte Code, uint Word, string Line, bool Same)[] errors =
        [
            (Icmpv6Type.DestinationUnreachable, 4, 0, "destination unreachable, unreachable port, 2001:db8:1::b udp port 7777", true),
            (Icmpv6Type.DestinationUnreachable, 0, 0, "destination unreachable, unreachable route 2001:db8:1::b", true),
            (Icmpv6Type.DestinationUnreachable, 1, 0, "destination unreachable, unreachable prohibited 2001:db8:1::b", false),
            (Icmpv6Type.DestinationUnreachable, 3, 0, "destination unreachable, unreachable address 2001:db8:1::b", true),
            (Icmpv6Type.PacketTooBig, 0, 1280, "packet too big, mtu 1280", true),
            (Icmpv6Type.TimeExceeded, 0, 0, "time exceeded in-transit for 2001:db8:1::b", true),
            (Icmpv6Type.ParameterProblem, 1, 40, "parameter problem, code 1 - octet 40", false),
        ];
        foreach ((Icmpv6Type type, byte code, uint rest, string line, bool same) in errors)
        {
            byte[] error = Filled(128, b => Icmpv6Packet.Write(b, SixA, SixB, type, code, rest, quoted));
            yield return new($"IPv6 {type} {code}", OverIPv6(IpProtocol.Icmpv6, error), $"{Pair}ICMP6, {line}, length 75", same);
        }

        byte[] echo = Filled(64, b => Icmpv6Packet.WriteEcho(b, SixA, SixB, false, 9, 3, Text));
        yield return new("IPv6 echo request", OverIPv6(IpProtocol.Icmpv6, echo), Pair + "ICMP6, echo request, id 9, seq 3, length 27");
        foreach (SampleFrame sample in Discovery()) yield return sample;
    }

    private static IEnumerable<SampleFrame> Discovery()
    {
        IpAddress a = IpAddress.Parse("fe80::a"), b = IpAddress.Parse("fe80::b"), group = b.SolicitedNodeMulticast();
        SampleFrame Make(string name, Func<byte[], int> write, IpAddress to, string line) => new(
            name, OverIPv6(IpProtocol.Icmpv6, Filled(256, write), a, to, 255), $"IP6 fe80::a > {to}: ICMP6, {line}");
        byte[] nonce = Filled(8, n => NdOptions.WriteNonce(n, 0x1234_5678_9ABC));
        yield return Make("Neighbour solicitation", m => NeighborSolicitation.Write(m, a, group, b, MacA), group, "neighbor solicitation, who has fe80::b, length 32");
        yield return Make("Solicitation with nonce", m => NeighborSolicitation.Write(m, a, group, b, null, nonce), group, "neighbor solicitation, who has fe80::b, length 32");
        yield return Make("Neighbour advertisement", m => NeighborAdvertisement.Write(m, a, b, a, MacA, true, true, true), b, "neighbor advertisement, tgt is fe80::a, length 32");
        yield return Make("Router solicitation", m => RouterSolicitation.Write(m, a, IpAddress.IPv6AllRouters, MacA), IpAddress.IPv6AllRouters, "router solicitation, length 16");
        var prefix = new NdPrefixInformation
        {
            Prefix = IpPrefix.Parse("2001:db8::/64"), IsOnLink = true, IsAutonomous = true, ValidLifetimeSeconds = 86400,
            PreferredLifetimeSeconds = 14400,
        };
        byte[] options = new byte[40];
        NdOptions.WriteMtu(options, 1400);
        prefix.WriteTo(options.AsSpan(8));
        yield return Make(
            "Router advertisement",
            m => new RouterAdvertisement
            {
                HopLimit = 64, IsManaged = true, HasOtherConfiguration = true, Preference = -1, RouterLifetimeSeconds = 1800,
                ReachableTimeMs = 30000, RetransTimerMs = 1000,
            }.WriteTo(m, a, IpAddress.IPv6AllNodes, options),
            IpAddress.IPv6AllNodes, "router advertisement, length 56");
        yield return Make("Redirect", m => RedirectMessage.Write(m, a, b, a, SixB, MacA), b, "redirect, 2001:db8:1::b to fe80::a, length 48");
    }

    private static IEnumerable<SampleFrame> Tcp()
    {
        const string Pair = "IP 192.0.2.1.40000 > 198.51.100.2.7777: ";
        SampleFrame Make(string name, TcpSegment segment, byte[] payload, string line, byte[]? cookie = null, bool same = true) =>
            new(name, OverIPv4(IpProtocol.Tcp, MakeTcp(FourA, FourB, segment, payload, cookie)), Pair + line, same);
        TcpOptions syn = default;
        syn.Mss = 1460;
        syn.SackPermitted = true;
        syn.SetTimestamps(1000, 0);
        syn.WindowScale = new WindowScale(7);
        yield return Make(
            "SYN", new() { Seq = new(0xFFFF_FFFF), Flags = TcpFlags.Syn | TcpFlags.Ece | TcpFlags.Cwr, Window = new(64240), Options = syn }, [],
            "Flags [SEW], seq 4294967295, win 64240, options [mss 1460,sackOK,TS val 1000 ecr 0,nop,wscale 7], length 0");
        syn.SetFastOpen(8);
        yield return Make(
            "SYN with cookie and data", new() { Seq = new(5), Flags = TcpFlags.Syn, Window = new(64240), Options = syn }, Text,
            "Flags [S], seq 5:24, win 64240, options [mss 1460,sackOK,TS val 1000 ecr 0,nop,wscale 7,tfo  cookie 0102030405060708,nop,nop], length 19",
            [1, 2, 3, 4, 5, 6, 7, 8]);
        TcpOptions request = default;
        request.SackPermitted = true;
        request.UserTimeoutField = 0x8005;
        request.SetFastOpen(0);
        yield return Make(
            "SYN asking for a cookie", new() { Seq = new(5), Flags = TcpFlags.Syn | TcpFlags.Ack, Ack = new(8), Window = new(1), Options = request }, [],
            "Flags [S.], seq 5, ack 8, win 1, options [nop,nop,sackOK,uto 5 min,tfo  cookiereq,nop,nop], length 0", same: false);
        TcpOptions stamped = default;
        stamped.SetTimestamps(uint.MaxValue, 77);
        yield return Make(
            "Data with timestamps",
            new() { Seq = new(0xFFFF_FFF0), Ack = new(2), Flags = TcpFlags.Ack | TcpFlags.Psh, Window = new(501), Options = stamped }, Text,
            "Flags [P.], seq 4294967280:3, ack 2, win 501, options [nop,nop,TS val 4294967295 ecr 77], length 19");
        TcpOptions sack = stamped;
        for (uint i = 0; i < 3; i++) sack.TryAddSackBlock(new SackBlock(new SeqNumber(10 * i + 10), new SeqNumber(10 * i + 15)));
        yield return Make(
            "SACK", new() { Seq = new(1), Ack = new(2), Flags = TcpFlags.Ack, Window = new(501), Options = sack }, [],
            "Flags [.], ack 2, win 501, options [nop,nop,TS val 4294967295 ecr 77,nop,nop,sack 3 {10:15}{20:25}{30:35}], length 0");
        yield return Make(
            "FIN with urgent data",
            new() { Seq = new(1), Ack = new(2), Flags = TcpFlags.Ack | TcpFlags.Fin | TcpFlags.Urg, Window = new(501), UrgentPointer = 3 }, Text,
            "Flags [F.U], seq 1:20, ack 2, win 501, urg 3, length 19");
        yield return Make("RST", new() { Seq = new(1), Flags = TcpFlags.Rst }, [], "Flags [R], seq 1, win 0, length 0");
        yield return Make("No flags", new() { Seq = new(1) }, [], "Flags [none], win 0, length 0");
        byte[] six = MakeTcp(SixA, SixB, new() { Seq = new(1), Ack = new(3), Flags = TcpFlags.Ack, Window = new(9), Options = stamped }, Text);
        yield return new(
            "TCP over IPv6", OverIPv6(IpProtocol.Tcp, six),
            "IP6 2001:db8::a.40000 > 2001:db8:1::b.7777: Flags [.], seq 1:20, ack 3, win 9, options [nop,nop,TS val 4294967295 ecr 77], length 19");
    }
}
