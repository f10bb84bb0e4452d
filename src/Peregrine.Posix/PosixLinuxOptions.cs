// What Linux takes and refuses of a socket option before anything is done with it: how short a value may be, which numbers it may be, in
// which states, and what is made of it when it is read back. Found by putting every option to the kernel in every state with values on both
// sides of each bound; tests/Scripts/options has what of that does not depend on the machine.
using System.Collections.Frozen;
using System.Globalization;
using Peregrine.Core.Tcp;

namespace Peregrine.Posix;

internal static class PosixLinuxOptions
{
    /// <summary>What an option takes.</summary>
    /// <param name="Least">The least number.</param>
    /// <param name="Most">The largest.</param>
    /// <param name="Usual">What it is until it is set.</param>
    /// <param name="IsFlag">Whether any number but zero is one.</param>
    /// <param name="Refusal">Why it can never be set, or null.</param>
    /// <param name="IsUnreadable">Whether the refusal is of reading too.</param>
    private sealed record Rule(long Least, long Most, long Usual = 0, bool IsFlag = false, string? Refusal = null, bool IsUnreadable = false);

    private const string Flags =
        """
        SO_DEBUG SO_REUSEADDR SO_DONTROUTE SO_BROADCAST SO_KEEPALIVE SO_OOBINLINE SO_NO_CHECK SO_REUSEPORT SO_TIMESTAMP SO_TIMESTAMPNS SO_TIMESTAMP_NEW SO_TIMESTAMPNS_NEW
        SO_RXQ_OVFL SO_WIFI_STATUS SO_NOFCS SO_SELECT_ERR_QUEUE SO_PREFER_BUSY_POLL SO_RCVMARK SO_RCVPRIORITY TCP_NODELAY TCP_CORK TCP_QUICKACK IP_RECVOPTS IP_RECVRETOPTS
        IP_PKTINFO IP_RECVERR IP_RECVTTL IP_RECVTOS IP_FREEBIND IP_PASSSEC IP_TRANSPARENT IP_RECVORIGDSTADDR IP_BIND_ADDRESS_NO_PORT IPV6_RECVERR IPV6_V6ONLY
        IPV6_FLOWINFO_SEND IPV6_RECVPKTINFO IPV6_RECVHOPLIMIT IPV6_RECVHOPOPTS IPV6_RECVRTHDR IPV6_RECVDSTOPTS IPV6_RECVPATHMTU IPV6_DONTFRAG IPV6_RECVTCLASS
        IPV6_RECVORIGDSTADDR IPV6_TRANSPARENT IPV6_FREEBIND IPV6_RECVFRAGSIZE
        """;

    private const string Numbers =
        """
        SO_PRIORITY=*..* SO_MARK=*..* SO_PEEK_OFF=*..*:-1 SO_INCOMING_CPU=*..*:-1 SO_BUSY_POLL=0..* SO_ZEROCOPY=0..1 SO_BINDTOIFINDEX=0..* SO_BUF_LOCK=0..3
        SO_TXREHASH=-1..1:1 TCP_KEEPIDLE=1..32767 TCP_KEEPINTVL=1..32767 TCP_KEEPCNT=1..127 TCP_SYNCNT=1..127 TCP_USER_TIMEOUT=0..* TCP_THIN_LINEAR_TIMEOUTS=0..1
        TCP_THIN_DUPACK=0..1 TCP_SAVE_SYN=0..2 TCP_FASTOPEN=0..* TCP_FASTOPEN_CONNECT=0..1 TCP_FASTOPEN_NO_COOKIE=0..1 TCP_INQ=0..1 TCP_TX_DELAY=0..2147483646
        TCP_RTO_MAX_MS=1000..120000:120000 TCP_RTO_MIN_US=4000..200000:200000 TCP_DELACK_MAX_US=4000..200000:200000 TCP_NOTSENT_LOWAT=*..* IP_MTU_DISCOVER=0..5:1
        IP_MINTTL=0..255 IP_RECVERR_RFC4884=0..1 IP_MULTICAST_ALL=0..1:1 IP_MULTICAST_LOOP=*..*:1 IP_LOCAL_PORT_RANGE=*..* IPV6_UNICAST_HOPS=-1..255:64 IPV6_TCLASS=-1..255
        IPV6_MULTICAST_LOOP=0..1:1 IPV6_MTU_DISCOVER=0..5:1 IPV6_MINHOPCOUNT=0..255 IPV6_RECVERR_RFC4884=0..1 IPV6_MULTICAST_ALL=*..*:1 IPV6_AUTOFLOWLABEL=*..*:1
        IPV6_ADDR_PREFERENCES=*..*:1280
        """;

    private const string ReadOnly = "SO_TYPE SO_ACCEPTCONN SO_PROTOCOL SO_DOMAIN SO_SNDLOWAT SO_ERROR SO_INCOMING_NAPI_ID SO_COOKIE SO_MEMINFO SO_PEERNAME TCP_IS_MPTCP TCP_INFO TCP_CC_INFO IP_MTU IP_NODEFRAG IP_PROTOCOL";

    private static readonly FrozenDictionary<string, Rule> s_rules = Rules().ToFrozenDictionary();

    private static IEnumerable<KeyValuePair<string, Rule>> Rules()
    {
        foreach (var name in Words(Flags)) yield return new(name, new Rule(long.MinValue, long.MaxValue, name == "TCP_QUICKACK" ? 1 : 0, IsFlag: true));
        foreach (var name in Words(ReadOnly)) yield return new(name, new Rule(0, 0, Refusal: "ENOPROTOOPT"));
        foreach (var name in Words("SO_PASSCRED SO_PASSSEC SO_PASSPIDFD SO_PASSRIGHTS")) yield return new(name, new Rule(0, 0, Refusal: "EOPNOTSUPP", IsUnreadable: true));
        foreach (var name in Words("SO_INQ TCP_COOKIE_TRANSACTIONS")) yield return new(name, new Rule(0, 0, Refusal: "ENOPROTOOPT", IsUnreadable: true));
        foreach (var (name, usual) in ((string, int)[])[("IP_ROUTER_ALERT", 0), ("IP_MULTICAST_TTL", 1), ("IP_RECVFRAGSIZE", 0)]) yield return new(name, new Rule(0, 0, usual, Refusal: "EINVAL"));
        yield return new("IPV6_MULTICAST_HOPS", new Rule(0, 0, 1, Refusal: "ENOPROTOOPT"));
        yield return new("TCP_TIMESTAMP", new Rule(0, 0, Refusal: "EPERM"));
        yield return new("SO_BSDCOMPAT", new Rule(long.MinValue, long.MaxValue));
        foreach (var word in Words(Numbers))
        {
            var parts = word.Split(['=', ':']);
            var ends = parts[1].Split("..");
            var usual = parts.Length > 2 ? Number(parts[2], 0) : 0;
            yield return new(parts[0], new Rule(Number(ends[0], long.MinValue), Number(ends[1], long.MaxValue), usual));
        }
    }

    private static string[] Words(string text) => text.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries);

    private static long Number(string text, long open) => text == "*" ? open : long.Parse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture);

    /// <summary>What the kernel makes of a value of so many bytes, or why it does not take it.</summary>
    /// <param name="s">The socket.</param>
    /// <param name="name">The option.</param>
    /// <param name="value">The number; without one (NULL) it is 0 for IPv6, and a fault for others.</param>
    /// <param name="length">How long the caller says it is.</param>
    /// <param name="isClosed">Whether the connection has ended.</param>
    internal static string? Refuse(PosixSocket s, string name, ref long? value, long length, bool isClosed)
    {
        if (length < 0) return "EINVAL";
        if (value is not null || name.StartsWith("IPV6_", StringComparison.Ordinal))
        {
            var number = value ?? 0;
            var refusal = Refuse(s, name, ref number, length, isClosed);
            value = number;
            return refusal;
        }
        return OfOtherSocket(s, name) || name is "IP_MTU" or "IP_PROTOCOL" ? "ENOPROTOOPT" : "EFAULT";
    }

    private static string? Refuse(PosixSocket s, string name, ref long value, long length, bool isClosed)
    {
        if (OfOtherSocket(s, name)) return "ENOPROTOOPT";
        if (name.StartsWith("IP_", StringComparison.Ordinal) && length < sizeof(int))
        {
            // A byte will do at this level, and for most so will none.
            if (length == 0 && name is "IP_TTL" or "IP_FREEBIND" or "IP_TRANSPARENT" or "IP_MINTTL" or "IP_MULTICAST_LOOP" or "IP_MULTICAST_TTL" or "IP_MULTICAST_ALL") return "EINVAL";
            value = length == 0 ? 0 : value & 0xFF;
        }
        else if (length < sizeof(int) && name is "IPV6_DONTFRAG" or "IPV6_AUTOFLOWLABEL" or "IPV6_RECVFRAGSIZE")
        {
            value = 0;
        }
        else if (length < ShortestOf(name) && !(name.StartsWith("IP", StringComparison.Ordinal) && s_rules.GetValueOrDefault(name) is { Refusal: not null }))
        {
            return "EINVAL";
        }
        if (name == "IP_LOCAL_PORT_RANGE" && length != sizeof(int)) return "EINVAL";
        if (length < sizeof(long)) value = (int)value;
        if (s_rules.GetValueOrDefault(name) is { } rule)
        {
            if (s.Kind == PosixKind.Udp && OfDatagrams(name) is { } own) rule = own;
            if (rule.Refusal is not null) return rule.Refusal;
            if (value < rule.Least || value > rule.Most) return "EINVAL";
        }
        return InState(s, isClosed ? PosixPhase.Fresh : s.Phase, name, value);
    }

    // Sockets of datagrams have some that streams have not, and the other way round.
    private static Rule? OfDatagrams(string name) => name switch
    {
        "IP_RECVFRAGSIZE" => new Rule(long.MinValue, long.MaxValue, IsFlag: true),
        "IP_MULTICAST_TTL" or "IPV6_MULTICAST_HOPS" => new Rule(-1, 255, 1),
        "SO_TXREHASH" => new Rule(0, 0, Refusal: "EOPNOTSUPP"),
        _ => null,
    };

    private static int ShortestOf(string name) => name switch { "SO_LINGER" => 8, "SO_RCVTIMEO" or "SO_SNDTIMEO" => 16, _ => sizeof(int) };

    // Options of TCP are unknown to UDP, and those of IPv6 to sockets of IPv4.
    private static bool OfOtherSocket(PosixSocket s, string name) =>
        (s.Kind == PosixKind.Udp && name.StartsWith("TCP_", StringComparison.Ordinal)) || (s.Kind == PosixKind.Tcp && name.StartsWith("UDP_", StringComparison.Ordinal))
        || (!s.IsV6 && name.StartsWith("IPV6_", StringComparison.Ordinal));

    private static string? InState(PosixSocket s, PosixPhase phase, string name, long value) => name switch
    {
        "TCP_FASTOPEN" or "TCP_FASTOPEN_NO_COOKIE" when phase is not (PosixPhase.Fresh or PosixPhase.Listening) => "EINVAL",
        "TCP_FASTOPEN_CONNECT" when phase != PosixPhase.Fresh => "EINVAL",
        "TCP_WINDOW_CLAMP" when value == 0 && phase != PosixPhase.Fresh => "EINVAL",
        "TCP_MAXSEG" when value != 0 && value is < 88 or > 32_767 => "EINVAL",
        "IP_TTL" when value != -1 && value is < 1 or > 255 => "EINVAL",
        "IPV6_V6ONLY" when s.IsBound || phase != PosixPhase.Fresh => "EINVAL",
        "IPV6_MTU" when value != 0 && value < 1_280 => "EINVAL",
        "IP_LOCAL_PORT_RANGE" when (value & 0xFFFF) is var low && ((value >> 16) & 0xFFFF) is var high && low != 0 && high != 0 && low > high => "EINVAL",
        "SO_RESERVE_MEM" => value < 0 ? "EINVAL" : "EOPNOTSUPP",
        "SO_BUSY_POLL_BUDGET" when value is < 0 or > ushort.MaxValue => "EINVAL",
        "SO_TIMESTAMPING" or "SO_TIMESTAMPING_NEW" => RefuseStamps(s, phase, name, value),
        _ => null,
    };

    // Keys count from a position, which a stream has once there is a connection; statistics come without the data; and a clock has to be named.
    private static string? RefuseStamps(PosixSocket s, PosixPhase phase, string name, long value)
    {
        const long keys = 1 << 7, statistics = 1 << 12, alone = 1 << 11, clock = 1 << 15, keysOfTcp = 1 << 16, known = (1 << 19) - 1;
        if ((value & ~known) != 0) return "EINVAL";
        if ((value & keysOfTcp) != 0 && (value & keys) == 0) return "EINVAL";
        if ((value & keys) != 0 && s.Kind == PosixKind.Tcp && phase is PosixPhase.Fresh or PosixPhase.Listening) return "EINVAL";
        if ((value & statistics) != 0 && (value & alone) == 0) return "EINVAL";
        return (value & clock) == 0 ? null : name == "SO_TIMESTAMPING" ? "EOPNOTSUPP" : "EINVAL";
    }

    /// <summary>What is read back of what was set.</summary>
    internal static long Kept(PosixSocket s, string name, long value) => name switch
    {
        "TCP_LINGER2" => value < 0 ? -1 : value == 0 ? 60 : Math.Min(value, 120),
        "TCP_DEFER_ACCEPT" => WholeRetries(value),
        "TCP_FASTOPEN" => Math.Min(value, 4_096),
        "TCP_THIN_DUPACK" or "SO_BSDCOMPAT" => 0,
        "TCP_WINDOW_CLAMP" => value == 0 ? 0 : Math.Max(value, 1_152),
        "SO_TXREHASH" => value < 0 ? 1 : value,
        "IP_TOS" => s.Kind == PosixKind.Udp ? value & 0xFF : value & 0xFC,
        "IPV6_TCLASS" => value < 0 ? 0 : s.Kind == PosixKind.Udp ? value : value & 0xFC,
        "IP_TTL" or "IPV6_UNICAST_HOPS" when value < 0 => 64,
        "IP_MULTICAST_TTL" or "IPV6_MULTICAST_HOPS" when value < 0 => 1,
        "IP_RECVFRAGSIZE" or "IP_MULTICAST_LOOP" or "IPV6_MULTICAST_ALL" or "IPV6_AUTOFLOWLABEL" => value != 0 ? 1 : 0,
        _ when s_rules.GetValueOrDefault(name) is { IsFlag: true } => value != 0 ? 1 : 0,
        _ => value,
    };

    // The kernel counts in SYN-ACKs, which come after 1, 2, 4 seconds and so on, at most two minutes apart.
    private static long WholeRetries(long seconds)
    {
        if (seconds <= 0) return 0;
        const int retriesMax = 255, farthest = 120;
        long period = 1, timeout = 1;
        for (var retries = 1; seconds > period && retries < retriesMax; retries++)
        {
            timeout = Math.Min(timeout * 2, farthest);
            period += timeout;
        }
        return period;
    }

    /// <summary>Why an option cannot be read, or null.</summary>
    internal static string? RefuseRead(PosixSocket s, string name, long length) => OfOtherSocket(s, name) ? "EOPNOTSUPP"
        : length < 0 && !name.StartsWith("IPV6_", StringComparison.Ordinal) ? "EINVAL"
        : s_rules.GetValueOrDefault(name) is { IsUnreadable: true } rule ? rule.Refusal
        : name is "SO_SNDBUFFORCE" or "SO_RCVBUFFORCE" or "SO_BUSY_POLL_BUDGET" ? "ENOPROTOOPT"
        : name is "IP_MTU" or "IPV6_MTU" && !s.Connection.IsValid ? "ENOTCONN"
        : name is "SO_TXREHASH" && s.Kind == PosixKind.Udp ? "EOPNOTSUPP" : null;

    /// <summary>The range that the stack has, for an option of which Linux takes more.</summary>
    internal static long Within(string name, long value) => name switch
    {
        "TCP_SYNCNT" => Math.Min(value, 15),
        "TCP_DEFER_ACCEPT" => Math.Min(value, 3_600),
        "IPV6_UNICAST_HOPS" => Math.Max(value, 1),
        "TCP_USER_TIMEOUT" when value != 0 => Math.Clamp(value, 1, 86_400_000),
        "SO_MAX_PACING_RATE" when value is >= 0 and < 1_000 => 1_000,
        _ => value,
    };

    /// <summary>Whether what was set is what is read back, whatever became of it.</summary>
    internal static bool IsKept(string name) =>
        name is "TCP_LINGER2" or "TCP_DEFER_ACCEPT" or "TCP_WINDOW_CLAMP" or "IP_TTL" or "IP_TOS" or "SO_BSDCOMPAT" or "SO_MAX_PACING_RATE"
        or "SO_BUSY_POLL_BUDGET" || s_rules.GetValueOrDefault(name) is { Refusal: null };

    /// <summary>What an option is that was never set.</summary>
    internal static bool TryGetUsual(string name, out long usual)
    {
        usual = s_rules.GetValueOrDefault(name)?.Usual ?? 0;
        return s_rules.ContainsKey(name) || name is "SO_RESERVE_MEM" or "IP_LOCAL_PORT_RANGE";
    }
}
