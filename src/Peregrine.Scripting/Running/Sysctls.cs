// Shell lines that set kernel settings, mapped to ours. A setting of ours that has no such number, or a value that we cannot have, makes
// the script not applicable, by name. Settings that only prepare a real machine (caches, queues) are passed over.
using System.Globalization;
using System.Text.RegularExpressions;
using Peregrine.Core;
using Peregrine.Core.Tcp;

namespace Peregrine.Scripting.Running;

internal static class Sysctls
{
    // What these commands do to a machine is so here already: every script has a stack of its own.
    private static readonly string[] s_harmless =
        ["ip tcp_metrics", "tcpdrop", "true", "sysctl_restore", "sysctl_restore_", "defaults.sh", "set_sysctls.py", "setkey -F", "kldload", "kldstat", "sleep 0",
            "nstat > /dev/null", "nstat >/dev/null", "nstat -n", "ss -", "grep ", "ip tcp-metrics", "modprobe", "ethtool -K",
            "ifconfig tun0", "ulimit", "sync", "/sys/module/tcp_cubic/parameters/hystart", "conntrack -F", "iptables -F",
            "/sys/module/tcp_cubic/parameters/hystart_"];

    /// <summary>What a line about an interface's queue is called among the settings; its value is the discipline's name and parameters.</summary>
    internal const string QueueDiscipline = "tc qdisc";

    private const string Tree = "/proc/sys/";

    // "tc qdisc replace dev tun0 root fq …": what follows the place.
    private static string DisciplineOf(string line)
    {
        var at = line.IndexOf(" root ", StringComparison.Ordinal);
        return line.Contains(" del", StringComparison.Ordinal) || at < 0 ? "" : line[(at + 6)..].Split('2')[0].Trim();
    }

    /// <summary>The settings that a command sets, as name and value.</summary>
    internal static IEnumerable<(string Name, string Value)> Read(string command)
    {
        foreach (var raw in command.Replace("\\\n", " ", StringComparison.Ordinal).Split(["\n", ";", "&&", "||"], StringSplitOptions.None))
        {
            var line = raw.Split('#')[0].Trim();
            if (line.StartsWith("sudo ", StringComparison.Ordinal)) line = line["sudo ".Length..].TrimStart();
            if (line.Length == 0 || ScriptFileTable.Is(line)) continue;
            if (line.StartsWith("tc qdisc ", StringComparison.Ordinal))
            {
                yield return (QueueDiscipline, DisciplineOf(line));
                continue;
            }
            if (EchoOf(line) is { } echoed)
            {
                yield return echoed;
                continue;
            }
            if (line.StartsWith("sysctl", StringComparison.Ordinal) || line.Contains("set_sysctls.py", StringComparison.Ordinal)
                || line.Contains(Tree, StringComparison.Ordinal))
            {
                foreach (var pair in Pairs(line)) yield return pair;
                continue;
            }
            if (RouteLines.TryRead(line, out var ofRoute))
            {
                foreach (var pair in ofRoute) yield return pair;
                continue;
            }
            if (!s_harmless.Any(h => line.Contains(h, StringComparison.Ordinal))) throw new NotApplicableException($"the shell line '{line}' sets nothing that is known here");
        }
    }

    // "echo VALUE > /proc/sys/net/ipv4/NAME".
    private static (string Name, string Value)? EchoOf(string line)
    {
        var at = line.IndexOf('>', StringComparison.Ordinal);
        if (!line.StartsWith("echo ", StringComparison.Ordinal) || at < 0 || !line[(at + 1)..].TrimStart().StartsWith(Tree, StringComparison.Ordinal)) return null;
        var value = line["echo ".Length..at].Trim();
        if (value.StartsWith("-n ", StringComparison.Ordinal)) value = value[3..].Trim();
        return (line[(at + 1)..].Trim()[Tree.Length..].Replace('/', '.'), value.Trim('"', '\''));
    }

    private static IEnumerable<(string, string)> Pairs(string line)
    {
        line = Regex.Replace(line, @"\s*=\s*", "=", RegexOptions.CultureInvariant);
        var at = 0;
        while ((at = line.IndexOf('=', at)) >= 0)
        {
            var start = at;
            while (start > 0 && !char.IsWhiteSpace(line[start - 1])) start--;
            var name = line[start..at].Replace(Tree, "", StringComparison.Ordinal).Replace('/', '.');
            at++;
            string value;
            if (at < line.Length && line[at] is '"' or '\'')
            {
                var end = line.IndexOf(line[at], at + 1);
                value = end < 0 ? "" : line[(at + 1)..end];
                at = end < 0 ? line.Length : end + 1;
            }
            else
            {
                var end = at;
                while (end < line.Length && !char.IsWhiteSpace(line[end])) end++;
                value = line[at..end];
                at = end;
            }
            yield return (name, value);
        }
    }

    /// <summary>Options with a setting changed.</summary>
    internal static StackOptions Apply(StackOptions options, string name, string value, bool v6) =>
        name == QueueDiscipline ? options with { Tcp = options.Tcp with { Pacing = PacingOf(value) } }
        : name.StartsWith("net.inet", StringComparison.Ordinal) || name.StartsWith("kern.", StringComparison.Ordinal)
            ? FreeBsdSysctls.Apply(options, name, value, v6)
            : RouteLines.Apply(options, name, value) ?? ApplyLinux(options, name.Replace("net.ipv4.", "", StringComparison.Ordinal), value);

    // The fair queue sends each flow's packets at its pacing rate (tc-fq(8)); others as they come.
    private static TcpPacingMode PacingOf(string discipline) =>
        discipline.Split(' ')[0] == "fq" && !discipline.Contains("nopacing", StringComparison.Ordinal) ? TcpPacingMode.On : TcpPacingMode.Auto;

    private static StackOptions ApplyLinux(StackOptions options, string name, string value)
    {
        var t = options.Tcp;
        switch (name)
        {
            case "tcp_timestamps":
                return options with { Tcp = t with { Timestamps = Number(value) != 0 } };
            case "tcp_sack":
                return options with { Tcp = t with { SelectiveAcknowledgments = Number(value) != 0 } };
            case "tcp_window_scaling":
                return options with { Tcp = t with { WindowScaling = Number(value) != 0 } };
            case "tcp_syn_retries":
                return options with { Tcp = t with { SynRetryCount = Number(value) } };
            case "tcp_synack_retries":
                return options with { Tcp = t with { SynAckRetryCount = Number(value) } };
            case "tcp_congestion_control":
                return options with { Tcp = t with { CongestionControl = value } };
            case "tcp_slow_start_after_idle":
                return options with { Tcp = t with { SlowStartAfterIdle = Number(value) != 0 } };
            case "tcp_ecn" when Number(value) is 0 or 1 or 2 or 3 or 5:
                return options with { Tcp = t with { Ecn = (TcpEcnMode)Number(value) } };
            case "tcp_early_retrans":
                return options with { Tcp = t with { TailLossProbe = Number(value) != 0 } };
            case "tcp_recovery":
                return options with { Tcp = t with { Rack = Number(value) != 0 } };
            case "tcp_frto":
                return options with { Tcp = t with { ForwardRto = Number(value) != 0 } };
            case "tcp_rmem" when Three(value) is [_, var usual, var most]:
                return options with { Tcp = t with { ReceiveBufferBytes = usual, ReceiveBufferBytesMax = Math.Max(usual, most) } };
            case "tcp_wmem" when Three(value) is [_, var usual, var most]:
                return options with { Tcp = t with { SendBufferBytes = usual, SendBufferBytesMax = Math.Max(usual, most) } };
            case "tcp_notsent_lowat":
                return options with { Tcp = t with { UnsentBytesMax = (int)Math.Min(ulong.Parse(value, CultureInfo.InvariantCulture), int.MaxValue) == int.MaxValue ? 0 : Number(value) } };
            case "tcp_retries1" or "tcp_reordering" or "tcp_max_reordering" or "tcp_max_syn_backlog" or "tcp_adv_win_scale"
                or "tcp_tso_rtt_log" or "tcp_rto_min_us" or "tcp_thin_linear_timeouts" or "tcp_abort_on_overflow"
                or "tcp_dsack":
                return options;
            case "tcp_keepalive_time":
                return options with { Tcp = t with { KeepAliveTimeSeconds = Number(value) } };
            case "tcp_keepalive_intvl":
                return options with { Tcp = t with { KeepAliveIntervalSeconds = Number(value) } };
            case "tcp_keepalive_probes":
                return options with { Tcp = t with { KeepAliveRetryCount = Number(value) } };
            case "tcp_fin_timeout" when Number(value) > 0:
                return options with { Tcp = t with { FinWait2TimeoutMs = Number(value) * 1_000 } };
            case "tcp_syncookies":
                return options with { SynCookies = Number(value) != 0, SynCookiesOnly = Number(value) == 2 };
            case "tcp_no_metrics_save" or "tcp_min_tso_segs" or "tcp_autocorking" or "tcp_limit_output_bytes" or "tcp_tso_win_divisor" or "tcp_moderate_rcvbuf"
                or "tcp_invalid_ratelimit" or "ip_local_port_range" or "tcp_pacing_ss_ratio" or "tcp_pacing_ca_ratio":
                return options;
            case "tcp_mtu_probing" when Number(value) is 0 or 1 or 2:
                return options with { Tcp = t with { MtuProbing = (TcpMtuProbingMode)Number(value) } };
            case "tcp_base_mss":
                return options with { Tcp = t with { MtuProbeBaseMss = Number(value) } };
            case "tcp_mtu_probe_floor":
                return options with { Tcp = t with { MtuProbeFloorMss = Number(value) } };
            case "tcp_probe_threshold":
                return options with { Tcp = t with { MtuProbeThresholdBytes = Number(value) } };
            case "tcp_probe_interval":
                return options with { Tcp = t with { MtuProbeIntervalSeconds = Number(value) } };
            case var _ when (ApplyEnds(options, name, value) ?? ApplyCompression(options, name, value)) is { } changed:
                return changed;
            case var _ when LinuxSysctls.IsWithoutInfluence(name):
                return options;
            default:
                throw Unknown(name, value);
        }
    }

    // What is about how connections end.
    private static StackOptions? ApplyEnds(StackOptions options, string name, string value) => name switch
    {
        "tcp_rfc1337" => options with { IgnoreTimeWaitResets = Number(value) != 0 },
        // 2 is for the loopback alone.
        "tcp_tw_reuse" => options with { TimeWaitReuseMs = Number(value) == 1 ? 1_000 : 0 },
        "tcp_tw_reuse_delay" => options.TimeWaitReuseMs == 0 ? options : options with { TimeWaitReuseMs = Math.Max(1, Number(value)) },
        "tcp_max_tw_buckets" => options with { TimeWaitCountMax = Math.Max(1, Number(value)) },
        "tcp_retries2" => options with { Tcp = options.Tcp with { RetryCount = Math.Clamp(Number(value), 1, 15) } },
        // 0 is for 8, as ip-sysctl has it.
        "tcp_orphan_retries" => options with { Tcp = options.Tcp with { OrphanRetryCount = Number(value) == 0 ? 8 : Math.Clamp(Number(value), 1, 15) } },
        _ => null,
    };

    private static StackOptions? ApplyCompression(StackOptions options, string name, string value) => name switch
    {
        "tcp_comp_sack_nr" => options with { Tcp = options.Tcp with { SackCompressionCount = Number(value) } },
        "tcp_comp_sack_delay_ns" => options with { Tcp = options.Tcp with { SackCompressionDelayNs = Number(value) } },
        "tcp_comp_sack_slack_ns" => options with { Tcp = options.Tcp with { SackCompressionSlackNs = Number(value) } },
        _ => null,
    };

    internal static NotApplicableException Unknown(string name, string value) => new($"the setting {name}={value} has none like it here");

    internal static int Number(string value) =>
        value.StartsWith("0x", StringComparison.Ordinal) && int.TryParse(value.AsSpan(2), NumberStyles.HexNumber, CultureInfo.InvariantCulture, out var hex) ? hex
            : int.TryParse(value, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var number) ? number
            : throw new NotApplicableException($"'{value}' is no number that a setting here can have");

    private static int[] Three(string value) => [.. value.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries).Select(Number)];
}
