// Socket options by their names: those that decide something become TcpSettings, some are kept and reported, and an unknown one is said
// to be unknown (null), so that the caller can tell "not there" from "refused".
using Peregrine.Core.Tcp;
using Peregrine.Core.Time;
using Peregrine.Wire;

namespace Peregrine.Posix;

internal static class PosixOptions
{
    // net.core.rmem_default and wmem_default.
    private const int DatagramBufferBytes = 212_992;

    // Kept and reported; nothing in this stack depends on them.
    private static readonly HashSet<string> s_kept =
    [
        "SO_REUSEADDR", "SO_REUSEPORT", "SO_MARK", "SO_PRIORITY", "SO_DEBUG", "SO_DONTROUTE", "SO_BROADCAST", "SO_OOBINLINE", "IP_FREEBIND", "IPV6_V6ONLY",
        "IP_BIND_ADDRESS_NO_PORT", "IP_RECVERR", "IPV6_RECVERR", "TCP_FASTOPEN", "TCP_FASTOPEN_CONNECT", "TCP_FASTOPEN_NO_COOKIE",
        "TCP_INQ", "SO_ZEROCOPY", "SO_TIMESTAMPING", "SO_TIMESTAMP", "SO_TIMESTAMPNS", "SO_BUSY_POLL", "SO_INCOMING_CPU",
        "SO_REUSEPORT_LB", "SO_NOSIGPIPE", "SO_USELOOPBACK", "SO_TS_CLOCK", "SO_BINTIME", "SO_SETFIB", "SO_USER_COOKIE", "SO_NO_OFFLOAD", "SO_NO_DDP",
        "IP_RECVTOS", "IP_RECVTTL", "IP_RECVDSTADDR", "IP_RECVIF", "IP_DONTFRAG", "IP_PORTRANGE", "IPV6_RECVPKTINFO", "IPV6_RECVHOPLIMIT", "IPV6_RECVTCLASS",
        "IPV6_RECVPATHMTU", "IPV6_DONTFRAG", "IPV6_PORTRANGE", "IPV6_AUTOFLOWLABEL", "TCP_LOG", "TCP_LOGID", "TCP_LOG_TAG", "TCP_RST_REASON_ENABLE",
        "SO_RERROR", "SO_SNDLOWAT", "IP_BINDANY", "IP_BINDMULTI", "IP_ORIGDSTADDR", "IP_VLAN_PCP", "IP_RSS_LISTEN_BUCKET", "IP_MULTICAST_TTL", "IP_MULTICAST_LOOP", "TCP_REUSPORT_LB_NUMA",
        "TCP_THIN_LINEAR_TIMEOUTS", "TCP_THIN_DUPACK", "TCP_SAVE_SYN", "TCP_TX_DELAY", "IP_MTU_DISCOVER", "IPV6_MTU_DISCOVER", "SO_RCVTIMEO", "SO_SNDTIMEO",
    ];

    /// <summary>Sets an option; null when it is not known.</summary>
    /// <param name="x">The sockets.</param>
    /// <param name="fd">Which one.</param>
    /// <param name="name">The option.</param>
    /// <param name="value">Its value.</param>
    /// <param name="length">How many bytes of it there are.</param>
    /// <param name="now">The time.</param>
    internal static PosixResult? Set(PosixSockets x, long fd, string name, long? value, long length, Instant now)
    {
        if (x.Get(fd) is not { } s) return PosixResult.Fail("EBADF");
        if (s.Kind is not (PosixKind.Tcp or PosixKind.Udp)) return PosixResult.Fail("ENOTSOCK");
        if (IsOfGone(x, s, name)) return PosixResult.Fail("ECONNRESET");
        if (x.Manners.IsFreeBsd) return length < sizeof(int) ? PosixResult.Fail("EINVAL") : value is { } said ? Set(x, s, name, said, now) : PosixResult.Fail("EFAULT");
        var isClosed = s.Connection.IsValid && x.Stack.Tcp.GetStatus(s.Connection).State == TcpState.Closed;
        if (PosixLinuxOptions.Refuse(s, name, ref value, length, isClosed) is { } refusal) return PosixResult.Fail(refusal);
        // What only a process with rights may have here everyone has.
        name = name switch { "SO_SNDBUFFORCE" => "SO_SNDBUF", "SO_RCVBUFFORCE" => "SO_RCVBUF", "SO_TIMESTAMPING_NEW" => "SO_TIMESTAMPING", _ => name };
        if (name is "SO_SNDBUF" or "SO_RCVBUF") s.Kept["SO_BUF_LOCK"] = s.Kept.GetValueOrDefault("SO_BUF_LOCK") | (name == "SO_SNDBUF" ? 1u : 2u);
        var kept = PosixLinuxOptions.Kept(s, name, value ?? 0);
        var isKept = PosixLinuxOptions.IsKept(name);
        var isOfStack = s.Kind == PosixKind.Tcp || name.StartsWith("SO_", StringComparison.Ordinal);
        var result = isOfStack ? Set(x, s, name, PosixLinuxOptions.Within(name, kept), now) : null;
        if (result is { Errno: not null } || (!isKept && isOfStack)) return result;
        // What decides nothing here is kept; so is what the stack has coarser, for whoever reads it back.
        s.Kept[name] = kept;
        return PosixResult.Success;
    }

    /// <summary>FreeBSD: TCP of a connection that has ended, its socket still open, has no options any more.</summary>
    internal static bool IsOfGone(PosixSockets x, PosixSocket s, string name) =>
        x.Manners.IsFreeBsd && name.StartsWith("TCP_", StringComparison.Ordinal) && s.Connection.IsValid && x.Stack.Tcp.GetStatus(s.Connection).State == TcpState.Closed;

    private static PosixResult? Set(PosixSockets x, PosixSocket s, string name, long value, Instant now)
    {
        // FreeBSD: options of one TCP stack (tcp_rack(4), tcp_bbr(4)) are no options of another; what they tune is not here.
        if (x.Manners.IsFreeBsd && IsOfOtherStack(name))
        {
            if (!s.Settings.Rack) return PosixResult.Fail("ENOPROTOOPT");
            s.Kept[name] = value;
            return PosixResult.Success;
        }
        if (s_kept.Contains(name))
        {
            s.Kept[name] = value;
            if (name == "SO_TIMESTAMPING") s.StampOrigin = UnacknowledgedStart(x, s, now);
            return s.Phase == PosixPhase.Listening ? ApplyToListener(x, s) : PosixResult.Success;
        }
        if (name == "TCP_MD5SIG" && x.Associations is not null)
        {
            s.Kept[name] = value;
            x.MarkResets(s, s.Settings);
            return s.Phase == PosixPhase.Listening ? PosixResult.Of(x.Stack.Tcp.Keys.Set(s.Listener, x.KeysOf(s))) : PosixResult.Success;
        }
        if (name == "TCP_QUICKACK")
        {
            s.Kept[name] = value;
            x.Stack.Tcp.SetQuickAck(s.Connection, value != 0);
            return PosixResult.Success;
        }
        if (Change(x, s, name, value) is not { } settings) return name is "TCP_CONGESTION" ? PosixResult.Fail("ENOENT") : null;
        try
        {
            settings.Validate();
        }
        catch (ArgumentOutOfRangeException)
        {
            return PosixResult.Fail("EINVAL");
        }
        s.Settings = settings;
        x.MarkResets(s, settings);
        if (s.Phase == PosixPhase.Listening) return ApplyToListener(x, s);
        // FreeBSD: what is made smaller on an open connection holds at once.
        var takesMss = name is "TCP_MAXSEG" or "IPV6_USE_MIN_MTU" && x.Manners.IsFreeBsd;
        return s.Connection.IsValid ? PosixResult.Of(x.Stack.Tcp.SetSettings(s.Connection, settings, now, takesMss)) : PosixResult.Success;
    }

    private static bool IsOfOtherStack(string name) =>
        name.StartsWith("TCP_RACK_", StringComparison.Ordinal) || name.StartsWith("TCP_BBR_", StringComparison.Ordinal)
        || name is "TCP_USE_CMP_ACKS" or "TCP_MAXPEAKRATE" or "TCP_IDLE_REDUCE" or "TCP_DATA_AFTER_CLOSE" or "TCP_DEFER_OPTIONS" or "TCP_FAST_RSM_HACK" or "TCP_HDWR_RATE_CAP"
            or "TCP_PACING_RATE_CAP" or "TCP_HYSTART_ENABLE" or "TCP_NO_PRR" or "TCP_REC_ABC_VAL" or "TCP_LRD";

    // Keys count from the first byte that was not acknowledged when the option was set.
    private static long UnacknowledgedStart(PosixSockets x, PosixSocket s, Instant now) =>
        x.Stack.Tcp.TryGetInfo(s.Connection, now, out var info) ? (long)info.BytesAcknowledged : 0;

    private static PosixResult ApplyToListener(PosixSockets x, PosixSocket s) =>
        PosixResult.Of(x.Stack.Tcp.SetSettings(s.Listener, PosixFastOpen.ListenerSettings(x, s, s.Backlog)));

    private static TcpSettings? Change(PosixSockets x, PosixSocket s, string name, long value)
    {
        var (t, manners) = (s.Settings, x.Manners);
        var number = (int)Math.Clamp(value, int.MinValue, int.MaxValue);
        switch (name)
        {
            case "SO_KEEPALIVE":
                // FreeBSD: every connection has it (always_keepalive), and the option says what the socket asked for.
                if (manners.IsFreeBsd) s.Kept[name] = value;
                if (manners.IsFreeBsd) return t with { KeepAlive = value != 0 || x.Stack.Options.Tcp.KeepAlive };
                return t with { KeepAlive = value != 0 };
            case "TCP_NODELAY":
                return t with { NoDelay = value != 0 };
            // FreeBSD: none of the socket's own; then the system's counts.
            case "TCP_KEEPIDLE" or "TCP_KEEPINTVL" or "TCP_KEEPCNT" or "TCP_KEEPINIT" when value == 0 && manners.IsFreeBsd:
                return KeepAliveOfSystem(t, x.Stack.Options.Tcp, name);
            case "TCP_KEEPIDLE":
                return t with { KeepAliveTimeSeconds = number };
            case "TCP_KEEPINTVL":
                return t with { KeepAliveIntervalSeconds = number };
            case "TCP_KEEPCNT":
                return t with { KeepAliveRetryCount = number };
            case "TCP_MAXSEG":
                // FreeBSD: to be made smaller only, and not below minmss.
                return t with { MaximumSegmentSize = manners.IsFreeBsd && (number < 216 - 40 || number > Get(x, s, name, default)) ? -1 : number };
            case "TCP_SYNCNT":
                return t with { SynRetryCount = number };
            case "TCP_USER_TIMEOUT" or "TCP_MAXUNACKTIME":
                return t with { UserTimeoutMs = number == 0 ? TcpSettings.Default.UserTimeoutMs : name == "TCP_USER_TIMEOUT" ? number : number * 1000 };
            case "IPV6_USE_MIN_MTU":
                return t with { MinimumMtu = value == 1 };
            case "TCP_REMOTE_UDP_ENCAPS_PORT":
                // Before the connection is made only, and not without a tunnel.
                var isRefused = s.Phase != PosixPhase.Fresh || value is < 0 or > 65_535 || (value != 0 && x.Stack.Tcp.UdpTunnelPort == 0);
                return t with { UdpEncapsulationPort = isRefused ? -1 : number };
            case "TCP_DEFER_ACCEPT":
                return t with { DeferAcceptSeconds = number };
            case "IPV6_FLOWLABEL":
                return t with { FlowLabel = number };
            case "TCP_CORK" or "TCP_NOPUSH":
                return t with { Cork = value != 0 };
            case "TCP_NOTSENT_LOWAT":
                s.Kept[name] = value;
                return t with { UnsentBytesMax = value is < 0 or >= int.MaxValue ? 0 : number };
            case "SO_MAX_PACING_RATE":
                return t with { PacingBytesPerSecondMax = value is < 0 or >= uint.MaxValue ? 0 : value };
            case "TCP_KEEPINIT":
                return t with { ConnectTimeoutMs = number * 1000 };
            case "TCP_NOOPT":
                return t with { NoOptions = value != 0 };
            case "TCP_DELACK":
                return t with { DelayedAckMs = value == 0 ? 0 : TcpProfile.FreeBsd.Connection.DelayedAckMs };
            case "TCP_LINGER2":
                return t with { FinWait2TimeoutMs = number < 0 ? -1 : number * 1_000 };
            case "IP_TOS" or "IPV6_TCLASS":
                return t with { TrafficClass = number & 0xFC };
            case "IP_TTL" or "IPV6_UNICAST_HOPS":
                return t with { HopLimit = number };
            default:
                return ChangeBuffers(t, manners, s, name, value);
        }
    }

    private static TcpSettings KeepAliveOfSystem(TcpSettings t, TcpSettings system, string name) => name switch
    {
        "TCP_KEEPIDLE" => t with { KeepAliveTimeSeconds = system.KeepAliveTimeSeconds },
        "TCP_KEEPINTVL" => t with { KeepAliveIntervalSeconds = system.KeepAliveIntervalSeconds },
        "TCP_KEEPCNT" => t with { KeepAliveRetryCount = system.KeepAliveRetryCount },
        _ => t with { ConnectTimeoutMs = system.ConnectTimeoutMs },
    };

    private static TcpSettings? ChangeBuffers(TcpSettings t, PosixManners manners, PosixSocket s, string name, long value)
    {
        var number = (int)Math.Clamp(value, int.MinValue, int.MaxValue);
        switch (name)
        {
            case "SO_SNDBUF":
                if (value < 0) value = 1 << 29;
                var send = Math.Clamp(manners.DoublesBuffers ? value * 2 : value, manners.DoublesBuffers ? 4_608 : 2_048, 1 << 30);
                return t with { SendBufferBytes = (int)send, SendBufferBytesMax = (int)send };
            case "SO_RCVBUF":
                // Linux doubles it for its bookkeeping, and offers half of that.
                if (value < 0) value = 1 << 29;
                var receive = Math.Clamp(value, manners.DoublesBuffers ? 2_048 : 2_304, 1 << 30);
                if (manners.DoublesBuffers) s.Kept[name] = Math.Max(2 * value, 2_304);
                else if (s.Connection.IsValid) s.Kept[name] = value;
                return t with { ReceiveBufferBytes = (int)receive, ReceiveBufferBytesMax = Math.Max((int)receive, manners.DoublesBuffers ? (int)receive : t.ReceiveBufferBytesMax) };
            case "SO_RCVLOWAT":
                // Linux: at most half the buffer, and below zero as much as can be.
                var half = manners.IsFreeBsd || s.Kind != PosixKind.Tcp ? int.MaxValue : (int)((s.Kept.TryGetValue("SO_RCVBUF", out var doubled) ? doubled : t.ReceiveBufferBytesMax) / 2);
                if (manners.DoublesBuffers) s.Kept[name] = Math.Clamp(number < 0 ? int.MaxValue : number, 1, half);
                return t with { ReceiveLowBytes = Math.Clamp(number < 0 ? int.MaxValue : number, 1, Math.Min(half, 1 << 30)) };
            case "TCP_WINDOW_CLAMP":
                if (value == 0) return t;
                var clamp = Math.Clamp(number, 2_048, 1 << 30);
                return t with { ReceiveBufferBytes = Math.Min(t.ReceiveBufferBytes, clamp), ReceiveBufferBytesMax = clamp };
            default:
                return null;
        }
    }

    // FreeBSD's t_maxseg: what the family's default is until the handshake has said more (mssdflt, v6mssdflt), and options not taken off.
    private static int FreeBsdMss(PosixSocket s, bool hasInfo, in TcpInfo info) =>
        hasInfo && info.State is not (TcpState.SynSent or TcpState.Closed) ? info.SendMss + (info.Timestamps ? TcpOptions.TimestampsLength : 0)
            : s.Settings.MaximumSegmentSize != 0 ? s.Settings.MaximumSegmentSize : s.IsV6 ? 1_220 : 536;

    /// <summary>Sets the congestion control.</summary>
    internal static PosixResult SetCongestion(PosixSockets x, long fd, string algorithm, Instant now)
    {
        if (x.Get(fd) is not { } s) return PosixResult.Fail("EBADF");
        return Replace(x, s, s.Settings with { CongestionControl = algorithm }, now);
    }

    /// <summary>Gives a socket other settings; ENOENT when one of them is not there.</summary>
    internal static PosixResult Replace(PosixSockets x, PosixSocket s, TcpSettings settings, Instant now)
    {
        try
        {
            settings.Validate();
        }
        catch (ArgumentOutOfRangeException)
        {
            return PosixResult.Fail("ENOENT");
        }
        s.Settings = settings;
        if (s.Phase == PosixPhase.Listening) return ApplyToListener(x, s);
        return s.Connection.IsValid ? PosixResult.Of(x.Stack.Tcp.SetSettings(s.Connection, settings, now)) : PosixResult.Success;
    }

    /// <summary>Reads an option; null when it is not known.</summary>
    internal static long? Get(PosixSockets x, PosixSocket s, string name, Instant now)
    {
        if (x.Manners.IsFreeBsd && s_bits.TryGetValue(name, out var bit)) return (s_kept.Contains(name) ? s.Kept.GetValueOrDefault(name) : Live(x, s, name, now)) is 0 or null ? 0 : bit;
        if (x.Manners.IsFreeBsd) return s_kept.Contains(name) ? s.Kept.GetValueOrDefault(name, UsualOfFreeBsd(name)) : Live(x, s, name, now) ?? OfOtherStack(s, name);
        if (s.Kept.TryGetValue(name, out var kept)) return kept;
        return Live(x, s, name, now) ?? (PosixLinuxOptions.TryGetUsual(name, out var usual) ? usual : s_kept.Contains(name) ? 0 : null);
    }

    // FreeBSD's flags are read back as the bits that they are (sys/socket.h), those of TCP as well.
    private static readonly Dictionary<string, long> s_bits = new()
    {
        ["SO_DEBUG"] = 1, ["SO_ACCEPTCONN"] = 2, ["SO_REUSEADDR"] = 4, ["SO_KEEPALIVE"] = 8, ["SO_DONTROUTE"] = 0x10, ["SO_BROADCAST"] = 0x20, ["SO_USELOOPBACK"] = 0x40,
        ["SO_OOBINLINE"] = 0x100, ["SO_REUSEPORT"] = 0x200, ["SO_TIMESTAMP"] = 0x400, ["SO_NOSIGPIPE"] = 0x800, ["SO_BINTIME"] = 0x2000, ["SO_NO_OFFLOAD"] = 0x4000,
        ["SO_NO_DDP"] = 0x8000, ["SO_REUSEPORT_LB"] = 0x1_0000, ["SO_RERROR"] = 0x2_0000, ["TCP_NODELAY"] = 4, ["TCP_NOOPT"] = 8, ["TCP_NOPUSH"] = 0x1000,
    };

    // SO_SNDLOWAT's 2,048 (setsockopt(2)), and sockets of IPv6 that hear nothing else (ip6(4), net.inet6.ip6.v6only).
    private static long UsualOfFreeBsd(string name) => name switch { "SO_SNDLOWAT" => 2_048, "IPV6_V6ONLY" => 1, _ => 0 };

    private static long? OfOtherStack(PosixSocket s, string name) => IsOfOtherStack(name) && s.Settings.Rack ? s.Kept.GetValueOrDefault(name) : null;

    private static long? Live(PosixSockets x, PosixSocket s, string name, Instant now)
    {
        var t = s.Settings;
        var hasInfo = x.Stack.Tcp.TryGetInfo(s.Connection, now, out var info);
        return name switch
        {
            "SO_SNDBUF" or "SO_RCVBUF" when s.Kind == PosixKind.Udp && s.Settings == x.Stack.Options.Tcp => DatagramBufferBytes,
            "SO_SNDBUF" => hasInfo ? info.SendBuffer : t.SendBufferBytes,
            "SO_RCVBUF" when s.Kept.TryGetValue(name, out var said) => said,
            "SO_RCVBUF" => hasInfo ? info.ReceiveBuffer : t.ReceiveBufferBytes,
            "SO_KEEPALIVE" when x.Manners.IsFreeBsd => s.Kept.GetValueOrDefault(name),
            "SO_KEEPALIVE" => t.KeepAlive ? 1 : 0,
            "SO_TYPE" => s.Kind == PosixKind.Udp ? 2 : 1,
            "SO_ACCEPTCONN" => s.Phase == PosixPhase.Listening ? 1 : 0,
            "TCP_NODELAY" => t.NoDelay ? 1 : 0,
            "TCP_KEEPIDLE" => t.KeepAliveTimeSeconds,
            "TCP_KEEPINTVL" => t.KeepAliveIntervalSeconds,
            "TCP_KEEPCNT" => t.KeepAliveRetryCount,
            "TCP_MAXSEG" when x.Manners.IsFreeBsd => FreeBsdMss(s, hasInfo, info),
            "TCP_MAXSEG" => hasInfo && (t.MaximumSegmentSize == 0 || info.State != TcpState.Closed) ? info.SendMss : t.MaximumSegmentSize != 0 ? t.MaximumSegmentSize : 536,
            "TCP_SYNCNT" => t.SynRetryCount,
            "TCP_USER_TIMEOUT" => t.UserTimeoutMs == TcpSettings.Default.UserTimeoutMs ? 0 : t.UserTimeoutMs,
            "TCP_LINGER2" => t.FinWait2TimeoutMs / 1000,
            "TCP_MD5SIG" => s.Kept.GetValueOrDefault(name),
            "TCP_QUICKACK" => s.Kept.GetValueOrDefault(name, 1),
            "TCP_CORK" or "TCP_NOPUSH" => t.Cork ? 1 : 0,
            "TCP_NOTSENT_LOWAT" => s.Kept.GetValueOrDefault(name),
            "SO_MAX_PACING_RATE" => t.PacingBytesPerSecondMax == 0 ? -1 : t.PacingBytesPerSecondMax,
            "SO_RCVLOWAT" => t.ReceiveLowBytes,
            "TCP_DEFER_ACCEPT" => t.DeferAcceptSeconds,
            "TCP_WINDOW_CLAMP" => hasInfo || x.Manners.IsFreeBsd ? t.ReceiveBufferBytesMax : 0,
            // A socket that is bound to an address of IPv6 hears nothing else.
            "IPV6_V6ONLY" when s.IsBound => s.Local.Address.IsIPv4 || s.Local.Address == IpAddress.IPv6Any ? 0 : 1,
            "SO_SNDLOWAT" => 1,
            "IP_MTU" or "IPV6_MTU" when hasInfo => info.PathMtu,
            "SO_DOMAIN" => s.IsV6 ? x.Manners.IsFreeBsd ? 28 : 10 : 2,
            "SO_PROTOCOL" or "SO_PROTOTYPE" => s.Kind == PosixKind.Udp ? 17 : 6,
            "TCP_KEEPINIT" => t.ConnectTimeoutMs / 1000,
            "TCP_NOOPT" => t.NoOptions ? 1 : 0,
            "TCP_DELACK" => t.DelayedAckMs == 0 ? 0 : 1,
            "TCP_MAXUNACKTIME" => t.UserTimeoutMs == TcpSettings.Default.UserTimeoutMs ? 0 : t.UserTimeoutMs / 1000,
            "SO_LISTENQLIMIT" => s.Phase == PosixPhase.Listening ? s.Backlog - 1 : 0,
            "TCP_FASTOPEN" when s.Phase == PosixPhase.Listening && (x.FastOpenModes & PosixFastOpenModes.AnyListener) != 0 => s.Backlog - 1,
            "IPV6_USE_MIN_MTU" => t.MinimumMtu ? 1 : 0,
            "TCP_REMOTE_UDP_ENCAPS_PORT" => s.Connection.IsValid ? x.Stack.Tcp.UdpEncapsulationPortOf(s.Connection) : t.UdpEncapsulationPort,
            "IP_TOS" or "IPV6_TCLASS" => t.TrafficClass,
            "IP_TTL" or "IPV6_UNICAST_HOPS" => t.HopLimit,
            // Of datagrams the next one's bytes.
            "SIOCINQ" or "FIONREAD" when s.Kind == PosixKind.Udp => s.IsBound ? Math.Max(0, x.Stack.Udp.NextLength(s.Datagrams)) : 0,
            "SIOCINQ" or "FIONREAD" => x.Stack.Tcp.GetStatus(s.Connection).ReadableBytes,
            "SIOCOUTQNSD" => hasInfo ? info.UnsentBytes : 0,
            // At the mark: the next byte to be read is urgent.
            "SIOCATMARK" => x.Stack.Tcp.GetStatus(s.Connection).UrgentBytes == 1 ? 1 : 0,
            // FreeBSD's names of them (tcp(4), sys/filio.h).
            "FIONWRITE" => x.Stack.Tcp.GetStatus(s.Connection).UnacknowledgedBytes,
            "FIONSPACE" when hasInfo => info.SendBuffer - x.Stack.Tcp.GetStatus(s.Connection).UnacknowledgedBytes,
            "SIOCOUTQ" => x.Stack.Tcp.GetStatus(s.Connection).UnacknowledgedBytes,
            _ => null,
        };
    }
}
