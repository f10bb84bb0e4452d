// Reads packets: what is said of IP, then TCP, UDP or ICMP. A kind that the interpreter does not know, a tunnel's header among them, makes the
// script not applicable by its name rather than wrong.
namespace Peregrine.Scripting.Language;

internal static class PacketParser
{
    private static readonly string[] s_foreign = ["ipv4", "ipv6", "gre", "mpls", "sctp", "udplite", "esp", "ah", "arp", "vxlan"];

    // Headers that stand before a packet are a tunnel's.
    private static readonly Dictionary<string, string> s_names = new() { ["ipv4"] = "IP in IPv4", ["ipv6"] = "IP in IPv6", ["udplite"] = "UDP-Lite" };

    internal static ScriptPacket Take(TextCursor at)
    {
        var ip = TakeMarks(at);
        at.SkipBlanks();
        foreach (var kind in s_foreign)
        {
            if (at.TryTakeWord(kind)) throw new NotApplicableException($"line {at.Line}: {s_names.GetValueOrDefault(kind, kind.ToUpperInvariant())} is not implemented");
        }
        var spi = TakePsp(at);
        var ports = TakePorts(at);
        if (spi != 0) return TakeTcp(at, ip) with { Ports = ports, PspSpi = spi };
        if (at.TryTakeWord("icmp")) return TakeIcmp(at, ip);
        if (at.TryTakeWord("udp")) return ports is null ? TakeUdp(at, ip) : TakeUdp(at, ip) with { Ports = ports };
        // What an error quotes may stand before it as well.
        if (at.Current == '[') return TakeQuotedIcmp(at, ip);
        return TakeTcp(at, ip) with { Ports = ports };
    }

    // "encap psp spi 7": sealed with that key.
    private static uint TakePsp(TextCursor at)
    {
        if (!at.TryTakeWord("encap")) return 0;
        if (!at.TryTakeWord("psp") || !at.TryTakeWord("spi")) throw at.Error($"'psp spi' and a number were expected before '{at.Rest()}'");
        var spi = at.TakeInteger();
        if (spi is < 1 or > uint.MaxValue) throw at.Error("an SPI is 1 to 4294967295");
        at.SkipBlanks();
        return (uint)spi;
    }

    // Ports before the flags ("80 > 5000") say which connection is meant, where a script has several.
    private static (int From, int To)? TakePorts(TextCursor at)
    {
        var start = at.Position;
        if (at.AtNumber && int.TryParse(at.TakeWhile(char.IsAsciiDigit), out var from) && at.TryTake('>') && at.AtNumber && int.TryParse(at.TakeWhile(char.IsAsciiDigit), out var to)
            && from <= ushort.MaxValue && to <= ushort.MaxValue && (char.IsWhiteSpace(at.Current) || at.Current == '('))
        {
            at.SkipBlanks();
            return (from, to);
        }
        at.Position = start;
        return null;
    }

    private static IcmpPacketText TakeQuotedIcmp(TextCursor at, IpMarks ip)
    {
        at.Expect('[');
        var quote = TakeQuote(at, new IcmpPacketText(ip, "", null, null, null));
        if (!at.TryTakeWord("icmp")) throw at.Error("'icmp' was expected behind what it quotes");
        return TakeIcmp(at, ip) with { Seq = quote.Seq, Length = quote.Length, QuotesUdp = quote.QuotesUdp, Encapsulation = quote.Encapsulation };
    }

    private static IpMarks TakeMarks(TextCursor at)
    {
        var marks = IpMarks.None;
        while (true)
        {
            at.SkipBlanks();
            var end = at.Current switch { '[' => ']', '(' => ')', _ => '\0' };
            if (end == '\0' || (end == ']' && (char.IsAsciiDigit(at.Peek(1)) || at.Peek(1) == 'u'))) return marks;
            at.Position++;
            do marks = TakeMark(at, marks);
            while (at.TryTake(','));
            at.Expect(end);
        }
    }

    private static IpMarks TakeMark(TextCursor at, IpMarks marks)
    {
        var name = at.TakeName();
        return name switch
        {
            "noecn" => marks with { Ecn = 0 },
            "ect0" => marks with { Ecn = 2 },
            "ect1" => marks with { Ecn = 1 },
            "ect01" => marks with { Ecn = -1 },
            "ce" => marks with { Ecn = 3 },
            "tos" or "class" or "tclass" => marks with { TrafficClass = (int)at.TakeInteger() },
            "ttl" or "hlim" => marks with { HopLimit = (int)at.TakeInteger() },
            "flowlabel" => marks with { FlowLabel = (int)at.TakeInteger() },
            // FreeBSD's dialect: the name of the field first.
            "ecn" => TakeMark(at, marks),
            "dscp" => marks with { Dscp = TakeDscp(at) },
            _ => throw at.Error($"'{name}' is no mark of an IP header: known are noecn, ect0, ect1, ect01, ce, tos, class, dscp, ttl, hlim, flowlabel"),
        };
    }

    // RFC 2474, RFC 2597, RFC 3246, RFC 5865, RFC 8622.
    private static int TakeDscp(TextCursor at)
    {
        if (at.AtNumber) return (int)at.TakeInteger();
        at.SkipBlanks();
        var name = at.TakeWhile(static c => char.IsAsciiLetterOrDigit(c) || c == '-');
        return name switch
        {
            ['c', 's', >= '0' and <= '7' and var n] => (n - '0') << 3,
            ['a', 'f', >= '1' and <= '4' and var n, >= '1' and <= '3' and var m] => ((n - '0') << 3) | ((m - '0') << 1),
            "ef" => 46,
            "voice-admit" => 44,
            "le" => 1,
            _ => throw at.Error($"'{name}' is no code point: known are cs0 to cs7, af11 to af43, ef, voice-admit, le, and numbers"),
        };
    }

    private static UdpPacketText TakeUdp(TextCursor at, IpMarks ip)
    {
        var ports = TakePorts(at);
        at.Expect('(');
        var length = (int)at.TakeInteger();
        at.Expect(')');
        return new UdpPacketText(ip, length) { Ports = ports };
    }

    private static IcmpPacketText TakeIcmp(TextCursor at, IpMarks ip)
    {
        var type = at.TakeName();
        var packet = new IcmpPacketText(ip, type, null, null, null);
        while (at.Current is ' ' or '\t') at.Position++;
        // The code is on the same line and is no keyword.
        if (char.IsAsciiLetter(at.Current) && !at.StartsWith("mtu ") && !at.StartsWith("id ") && !at.StartsWith("time")) packet = packet with { Code = at.TakeName() };
        else if (char.IsAsciiDigit(at.Current)) packet = packet with { Code = at.TakeWhile(char.IsAsciiDigit) };
        while (true)
        {
            if (at.TryTakeWord("mtu")) packet = packet with { Mtu = (int)at.TakeInteger() };
            else if (at.TryTakeWord("id")) packet = packet with { Id = (int)at.TakeInteger() };
            else if (OnSameLine(at, '['))
            {
                at.Position++;
                packet = TakeQuote(at, packet);
            }
            else return packet;
        }
    }

    private static IcmpPacketText TakeQuote(TextCursor at, IcmpPacketText packet)
    {
        if (at.TryTakeWord("udp"))
        {
            TakePorts(at);
            at.Expect('(');
            var length = (int)at.TakeInteger();
            at.Expect(')');
            at.Expect(']');
            return packet with { QuotesUdp = true, Length = length };
        }
        TakePorts(at);
        // Flags may stand before the sequence number that is quoted.
        if (char.IsAsciiLetterUpper(at.Current) || at.Current == '.') at.TakeWhile(static c => !char.IsWhiteSpace(c));
        var seq = at.TakeInteger();
        at.Expect(':');
        at.TakeInteger();
        at.Expect('(');
        var quoted = (int)at.TakeInteger();
        at.Expect(')');
        var ports = TakeEncapsulation(at);
        at.TakeUntil("]");
        return packet with { Seq = seq, Length = quoted, Encapsulation = ports };
    }

    private static TcpPacketText TakeTcp(TextCursor at, IpMarks ip)
    {
        var flags = at.TakeWhile(static c => "SFRPEWUACN.-01234567".Contains(c));
        if (flags.Length == 0 || !char.IsWhiteSpace(at.Current)) throw at.Error($"TCP flags were expected before '{at.Rest()}'");
        at.SkipBlanks();
        var isAny = at.TryTake("...");
        var seq = isAny ? 0 : at.TakeInteger();
        if (!isAny) at.Expect(':');
        var end = isAny ? 0 : at.TakeInteger();
        at.Expect('(');
        var length = (int)at.TakeInteger();
        at.Expect(')');
        if (!isAny && (uint)(end - seq) != (uint)length) throw at.Error($"{seq}:{end} is not {length} bytes long");
        var absolute = at.Current == '!';
        if (absolute) at.Position++;
        var packet = new TcpPacketText(ip) { Flags = flags.Replace("-", "", StringComparison.Ordinal), Seq = seq, Length = length, IsAbsolute = absolute, IsAnySeq = isAny };
        return TakeRest(at, packet);
    }

    private static TcpPacketText TakeRest(TextCursor at, TcpPacketText packet)
    {
        while (true)
        {
            if (at.TryTakeWord("ack")) packet = packet with { Ack = at.TakeInteger() };
            else if (at.TryTakeWord("win")) packet = packet with { Window = (int)at.TakeInteger() };
            else if (at.TryTakeWord("urg")) packet = packet with { Urgent = (int)at.TakeInteger() };
            else break;
        }
        packet = packet with { Options = OnSameLine(at, '<') ? TakeOptions(at) : [] };
        return packet with { Encapsulation = TakeEncapsulation(at) };
    }

    private static (int From, int To)? TakeEncapsulation(TextCursor at)
    {
        if (!OnSameLine(at, '/') || !at.StartsWith("/udp")) return null;
        at.Position += 4;
        at.Expect('(');
        var from = (int)at.TakeInteger();
        at.Expect('>');
        var to = (int)at.TakeInteger();
        at.Expect(')');
        return (from, to);
    }

    // The next event may start with a sign that belongs to a packet's options: only what is on this line counts.
    private static bool OnSameLine(TextCursor at, char c)
    {
        var ahead = 0;
        while (at.Peek(ahead) is ' ' or '\t') ahead++;
        if (at.Peek(ahead) != c || (c == '/' && at.Peek(ahead + 1) == '/')) return false;
        at.Position += ahead;
        return true;
    }

    private static List<string>? TakeOptions(TextCursor at)
    {
        at.Position++;
        var inside = at.TakeUntil(">");
        if (inside.Trim() == "...") return null;
        // Options as bytes.
        if (inside.Trim() is ['0', 'x' or 'X', ..] blob) return [blob];
        var options = new List<string>();
        foreach (var part in inside.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries))
            options.Add(string.Join(' ', part.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries)));
        return options;
    }
}
