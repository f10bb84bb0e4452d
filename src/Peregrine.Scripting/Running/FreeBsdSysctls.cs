// FreeBSD's kernel settings (tcp(4), siftr and log switches left aside), mapped to ours. One of four things becomes of a name: it is a setting of
// the stack, or one of connections, or nothing here depends on it, or only the value that is FreeBSD's own can be had.
using System.Globalization;
using Peregrine.Core;
using Peregrine.Core.Tcp;

namespace Peregrine.Scripting.Running;

internal static class FreeBsdSysctls
{
    // Caches, logs, sizes of tables and the kernel's own economy: what is on the wire does not depend on them, or every script begins with them empty.
    private static readonly string[] s_passed =
    [
        "log_in_vain", "log_debug", "do_tcpdrain", "reass.", "hostcache.", "tcbhashsize", "pcbcount", "states", "tso", "soreceive_stream", "per_cpu_timers",
        "isn_reseed_interval", "require_unique_port", "sack.maxholes", "sack.globalmaxholes", "sack.tso", "syncache.bucketlimit", "syncache.cachelimit",
        "syncache.hashsize", "syncache.count", "syncache.see_other", "ts_offset_per_conn", "maxtcptw", "map_limit", "split_limit", "sendbuf_inc",
        "sendbuf_auto_lowat", "recvbuf_inc", "bb.", "hpts.", "rack.", "bbr.", "functions_available", "functions_inherit_listen_socket_stack", "ack_war_",
        "fastopen.ccache_", "fastopen.autokey", "fastopen.keylen", "fastopen.maxkeys", "fastopen.numkeys", "fastopen.maxpsks", "fastopen.numpsks",
        "fastopen.psk_enable", "net.inet.icmp.", "net.inet6.icmp6.", "net.inet.ip.portrange.", "net.inet.ip.random_id", "net.inet.ip.rfc6864", "net.inet.udp.",
        "cc.hystartplusplus.", "cc.newreno.", "cc.cubic.", "cc.htcp.", "cc.vegas.", "cc.dctcp.", "cc.cdg.", "cc.chd.", "cc.available",
        "lro.", "log.", "msgs.", "pacing_limit", "hw_tls", "usrlog_", "stats_gather", "nolocaltimewait", "isn_", "detect_", "bind_all_fibs", "net.inet.ip.mcast.", "net.inet.ip.maxfrag", "net.inet.ip.forwarding",
        "net.inet.ip.redirect", "net.inet.ip.sourceroute", "net.inet.ip.accept_sourceroute", "net.inet.ip.check_interface", "net.inet.ip.source_address_validation", "net.inet.ip.no_same_prefix",
        "net.inet.ip.process_options", "net.inet6.ip6.use_", "net.inet6.ip6.auto_", "net.inet6.ip6.accept_rtadv", "net.inet6.ip6.dad_", "net.inet6.ip6.v6only", "net.inet6.ip6.forwarding",
        "net.inet6.ip6.redirect", "net.inet6.ip6.maxfrag", "net.inet6.ip6.source_address_validation", "net.inet6.ip6.stableaddr", "net.inet.siftr.", "net.inet.raw.", "net.isr.", "net.link.", "kern.hz",
        "kern.ipc.mb_use_ext_pgs", "kern.ipc.numopensockets", "security.",
        "kern.ipc.somaxconn", "kern.ipc.soacceptqueue", "kern.ipc.nmbclusters", "kern.ipc.sockbuf_waste_factor",
    ];

    // What FreeBSD has, we have so, and not otherwise.
    private static readonly Dictionary<string, int[]> s_usual = new()
    {
        ["path_mtu_discovery"] = [1],
        ["persmin"] = [5_000],
        ["persmax"] = [60_000],
        ["rfc3042"] = [1],
        ["rfc3390"] = [1],
        ["rfc3465"] = [1],
        ["rfc6675_pipe"] = [1],
        ["do_lrd"] = [0],
        ["sack.lrd"] = [0, 1],
        ["sack.revised"] = [1],
        ["do_prr_conservative"] = [0],
        ["cc.abe"] = [0],
        ["cc.abe_frlossreduce"] = [0],
        ["blackhole_local"] = [0, 1],
        ["maxunacktime"] = [0],
        ["insecure_ack"] = [0],
        ["syncache.rst_on_sock_fail"] = [1],
        ["fastopen.acceptany"] = [0],
        ["fastopen.client_enable"] = [0],
        ["fastopen.server_enable"] = [0],
        ["ecn.generalized"] = [0],
    };

    // Rules that the system has once, not a socket each: what it does with segments and errors that come, and how it repeats and delays.
    private static readonly string[] s_forAll =
    [
        "insecure_rst", "insecure_syn", "icmp_may_rst", "rexmit_drop_options", "ecn.maxretries", "tolerate_missing_ts", "delacktime", "delayed_ack",
        "pmtud_blackhole_detection", "pmtud_blackhole_mss", "v6pmtud_blackhole_mss", "mssdflt", "v6mssdflt", "minmss", "do_prr", "finwait2_timeout", "fast_finwait2_recycle",
    ];

    /// <summary>A setting that says something only beside another: the time of fast recycling.</summary>
    internal const string Dependent = "net.inet.tcp.finwait2_timeout";

    /// <summary>Whether a setting counts for sockets that exist already.</summary>
    internal static bool IsForAll(string name) => name.StartsWith("net.inet.tcp.", StringComparison.Ordinal) && s_forAll.Contains(name["net.inet.tcp.".Length..]);

    internal static StackOptions Apply(StackOptions options, string name, string value, bool v6)
    {
        var shortName = name.Replace("net.inet.tcp.", "", StringComparison.Ordinal);
        if (s_passed.Any(p => shortName.StartsWith(p, StringComparison.Ordinal))) return options;
        if (OfConnection(options.Tcp, shortName, value, v6) is { } settings) return options with { Tcp = settings };
        switch (shortName)
        {
            case "rexmit_initial":
                return options with { RtoMsInitial = Number(value) };
            case "rexmit_slop":
                return options with { RtoSlackMs = Number(value) };
            case "rexmit_min":
                return options with { RtoMsMin = Number(value) };
            case "blackhole" when Number(value) is >= 0 and <= 3 and var hole:
                return options with { BlackHole = (TcpBlackHole)hole };
            case "drop_synfin":
                return options with { DropSynFin = Number(value) != 0 };
            case "syncookies":
                return options with { SynCookies = Number(value) != 0 };
            case "msl" when Number(value) % 500 == 0:
                return options with { TimeWaitSeconds = Number(value) / 500 };
            case "msl_local":
                return options;
            // 0 is RFC 3390 §1: four segments, or 4,380 bytes, or two segments.
            case "initcwnd_segments" when Number(value) == 0:
                return options with { InitialWindowSegments = 4, InitialWindowBytesMax = 4_380 };
            case "initcwnd_segments":
                // RFC 6928 §2 with that number for ten.
                return options with { InitialWindowSegments = Number(value), InitialWindowBytesMax = Math.Clamp(Number(value), 2, 10) * 1_460 };
            case "syncookies_only":
                return options with { SynCookiesOnly = Number(value) != 0 };
            case "fastopen.path_disable_time":
                return options with { FastOpenDisableSeconds = Number(value) };
            default:
                return s_usual.TryGetValue(shortName, out var usual) && usual.Contains(Number(value)) ? options : throw Sysctls.Unknown(name, value);
        }
    }

    private static TcpSettings? OfConnection(TcpSettings t, string name, string value, bool v6) =>
        Timers(t, name, value) ?? Buffers(t, name, value) ?? Sizes(t, name, value, v6) ?? Rules(t, name, value);

    private static TcpSettings? Rules(TcpSettings t, string name, string value)
    {
        switch (name)
        {
            case "rfc1323" when Number(value) is >= 0 and <= 3 and var which:
                // 2 for the scale alone, 3 for timestamps alone.
                return t with { WindowScaling = which is 1 or 2, Timestamps = which is 1 or 3 };
            case "sack.enable":
                return t with { SelectiveAcknowledgments = Number(value) != 0 };
            case "ecn.enable" when Number(value) is >= 0 and <= 4 and var which:
                return t with { Ecn = which switch { 0 => TcpEcnMode.Off, 1 => TcpEcnMode.On, 2 => TcpEcnMode.Accept, 3 => TcpEcnMode.Accurate, _ => TcpEcnMode.AcceptAccurate } };
            case "ecn.maxretries":
                return t with { EcnSynRetryCount = Number(value) };
            case "insecure_rst":
                return t with { ExactResetsOnly = Number(value) == 0 };
            case "insecure_syn":
                return t with { ChallengeSyns = Number(value) == 0 };
            case "icmp_may_rst":
                return t with { ConnectErrors = Number(value) != 0 ? TcpConnectErrors.HardAndExpired : TcpConnectErrors.None };
            case "rexmit_drop_options":
                return t with { SynOptionsRetryCount = Number(value) != 0 ? 3 : 0 };
            case "tolerate_missing_ts":
                return t with { AcceptsMissingTimestamps = Number(value) != 0 };
            case "newcwv":
                return t with { WindowValidation = Number(value) != 0 };
            case "do_prr":
                return t with { ProportionalRateReduction = Number(value) != 0 };
            case "abc_l_var":
                return t with { SlowStartSegmentsPerAck = Number(value) };
            case "cc.algorithm":
                return t with { CongestionControl = value == "newreno" ? "reno" : value };
            case "functions_default":
                return FreeBsdStacks.Choose(t, value);
            default:
                return null;
        }
    }

    private static TcpSettings? Timers(TcpSettings t, string name, string value)
    {
        switch (name)
        {
            case "delacktime":
                return t with { DelayedAckMs = Number(value) };
            case "delayed_ack":
                return Number(value) == 0 ? t with { DelayedAckMs = 0 } : t;
            case "keepidle" when Number(value) % 1_000 == 0:
                return t with { KeepAliveTimeSeconds = Number(value) / 1_000 };
            case "keepintvl" when Number(value) % 1_000 == 0:
                return t with { KeepAliveIntervalSeconds = Number(value) / 1_000 };
            case "retries" when Number(value) is > 0 and <= 15 and var most:
                return t with { TimeoutCountMax = most, SynRetryCount = most };
            case "keepcnt":
                return t with { KeepAliveRetryCount = Number(value) };
            case "keepinit":
                return t with { ConnectTimeoutMs = Number(value) };
            case "maxunacktime" when Number(value) > 0:
                return t with { UserTimeoutMs = Number(value) };
            case "always_keepalive":
                return t with { KeepAlive = Number(value) != 0 };
            // Without fast recycling (tcp(4)) it says nothing, and keepalive's time counts.
            case "fast_finwait2_recycle":
                return t with { FinWait2TimeoutMs = Number(value) == 0 ? 0 : t.FinWait2TimeoutMs == 0 ? 60_000 : t.FinWait2TimeoutMs };
            case "finwait2_timeout":
                // With it, 0 is no wait at all, and ours would be keepalive's.
                return t.FinWait2TimeoutMs == 0 ? t : Number(value) > 0 ? t with { FinWait2TimeoutMs = Number(value) } : null;
            case "syncache.rexmtlimit":
                return t with { SynAckRetryCount = Number(value) };
            default:
                return null;
        }
    }

    private static TcpSettings? Buffers(TcpSettings t, string name, string value)
    {
        switch (name)
        {
            case "recvspace":
                return t with { ReceiveBufferBytes = Number(value), ReceiveBufferBytesMax = Math.Max(Number(value), t.ReceiveBufferBytesMax) };
            case "sendspace":
                return t with { SendBufferBytes = Number(value), SendBufferBytesMax = Math.Max(Number(value), t.SendBufferBytesMax) };
            case "recvbuf_max":
                return t with { ReceiveBufferBytesMax = Math.Max(Number(value), t.ReceiveBufferBytes) };
            case "sendbuf_max":
                return t with { SendBufferBytesMax = Math.Max(Number(value), t.SendBufferBytes) };
            case "recvbuf_auto" or "sendbuf_auto" when Number(value) == 1:
                return t;
            case "kern.ipc.maxsockbuf":
                var most = (int)Math.Min(ulong.Parse(value, CultureInfo.InvariantCulture), 1 << 30);
                return t with { ReceiveBufferBytesMax = Math.Max(most, t.ReceiveBufferBytes), SendBufferBytesMax = Math.Max(most, t.SendBufferBytes) };
            default:
                return null;
        }
    }

    // Each family has sizes of its own; a script has one family.
    private static TcpSettings? Sizes(TcpSettings t, string name, string value, bool v6)
    {
        switch (name)
        {
            case "pmtud_blackhole_detection" when Number(value) is >= 0 and <= 3 and var families:
                return t with { MtuProbing = families == 1 || families == (v6 ? 3 : 2) ? TcpMtuProbingMode.Steps : TcpMtuProbingMode.Off };
            case "pmtud_blackhole_mss":
                return v6 ? t : t with { MtuProbeBaseMss = Number(value) };
            case "v6pmtud_blackhole_mss":
                return v6 ? t with { MtuProbeBaseMss = Number(value) } : t;
            case "net.inet.ip.ttl":
                return v6 ? t : t with { HopLimit = Number(value) };
            case "net.inet6.ip6.hlim":
                return v6 ? t with { HopLimit = Number(value) } : t;
            case "minmss":
                return t with { PeerMssMin = Number(value) };
            case "mssdflt":
                return v6 ? t : t with { MtuProbeFloorMss = Number(value) };
            case "v6mssdflt":
                return v6 ? t with { MtuProbeFloorMss = Number(value) } : t;
            default:
                return null;
        }
    }

    private static int Number(string value) => Sysctls.Number(value);
}

/// <summary>FreeBSD's TCP stacks (tcp_functions(9)) by name, as settings: how losses are found and repaired.</summary>
internal static class FreeBsdStacks
{
    /// <summary>Settings of connections of that stack; null for one that is not known.</summary>
    internal static TcpSettings? Choose(TcpSettings t, string name) => name switch
    {
        "freebsd" => t with { Rack = false, TailLossProbe = false, DsackUndo = false },
        "rack" => t with { Rack = true, TailLossProbe = true, DsackUndo = true },
        "bbr" => t with { Rack = true, TailLossProbe = true, DsackUndo = true, CongestionControl = "bbr" },
        _ => null,
    };

    /// <summary>Which stack settings are those of.</summary>
    internal static string NameOf(TcpSettings t) => !t.Rack ? "freebsd" : t.CongestionControl == "bbr" ? "bbr" : "rack";
}
