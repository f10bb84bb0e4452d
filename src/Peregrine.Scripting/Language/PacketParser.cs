// Reads packets: what is said of IP, then TCP, UDP or ICMP. Kinds that the interpreter does not know are read as foreign, so that the
// script can be called not applicable by name rather than wrong.
namespace Peregrine.Scripting.Language;

internal static class PacketParser
{
    private static readonly string[] s_foreign = ["ipv4", "ipv6", "gre", "mpls", "psp", "encap", "sctp", "udplite", "esp", "ah"];

    internal static ScriptPacket Take(TextCursor at)
    {
        var ip = TakeMarks(at);
        at.SkipBlanks();
        foreach (var kind in s_foreign)
        {
            if (!at.TryTakeWord(kind)) continue;
            at.SkipLine();
            return new ForeignPacketText(kind);
        }
        SkipPorts(at);
        if (at.TryTakeWord("icmp")) return TakeIcmp(at, ip);
        if (at.TryTakeWord("udp")) return TakeUdp(at, ip);
        // A chunk list of SCTP has a name and a bracket where TCP has flags.
        if (at.StartsWith("sctp:")) throw at.Error("SCTP is not understood");
        return TakeTcp(at, ip);
    }

    // Ports before the flags ("80 > 5000") name the connection in scripts for a real wire; here a script has one at a time.
    private static void SkipPorts(TextCursor at)
    {
        var start = at.Position;
        if (at.AtNumber && at.TakeWhile(char.IsAsciiDigit).Length > 0 && at.TryTake('>') && at.AtNumber && at.TakeWhile(char.IsAsciiDigit).Length > 0 && char.IsWhiteSpace(at.Current)) at.SkipBlanks();
        else at.Position = start;
    }

    private static IpMarks TakeMarks(TextCursor at)
    {
        var marks = IpMarks.None;
        while (true)
        {
            at.SkipBlanks();
            var end = at.Current switch { '[' => ']', '(' => ')', _ => '\0' };
            if (end == '\0') return marks;
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
            "flowlabel" => Ignore(at, marks),
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

    private static IpMarks Ignore(TextCursor at, IpMarks marks)
    {
        at.TakeInteger();
        return marks;
    }

    private static UdpPacketText TakeUdp(TextCursor at, IpMarks ip)
    {
        at.Expect('(');
        var length = (int)at.TakeInteger();
        at.Expect(')');
        return new UdpPacketText(ip, length);
    }

    private static IcmpPacketText TakeIcmp(TextCursor at, IpMarks ip)
    {
        var type = at.TakeName();
        string? code = null;
        int? mtu = null;
        at.SkipBlanks();
        // The code is on the same line and is no keyword.
        if (char.IsAsciiLetter(at.Current) && !at.StartsWith("mtu ") && !at.StartsWith("time")) code = at.TakeName();
        if (at.TryTakeWord("mtu")) mtu = (int)at.TakeInteger();
        if (!at.TryTake('[')) return new IcmpPacketText(ip, type, code, mtu, null);
        if (at.TryTakeWord("udp"))
        {
            at.Expect('(');
            var length = (int)at.TakeInteger();
            at.Expect(')');
            at.Expect(']');
            return new IcmpPacketText(ip, type, code, mtu, null) { QuotesUdp = true, Length = length };
        }
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
        return new IcmpPacketText(ip, type, code, mtu, seq) { Length = quoted, Encapsulation = ports };
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
