// FreeBSD's kernel settings (net.inet.tcp and a few more), mapped to ours.
using System.Globalization;
using Peregrine.Core;
using Peregrine.Core.Tcp;

namespace Peregrine.Scripting.Running;

internal static class FreeBsdSysctls
{
    internal static StackOptions Apply(StackOptions options, string name, string value)
    {
        var shortName = name.Replace("net.inet.tcp.", "", StringComparison.Ordinal);
        if (OfConnection(options.Tcp, shortName, value) is { } settings) return options with { Tcp = settings };
        switch (shortName)
        {
            case "rexmit_slop":
                return options with { RtoSlackMs = Number(value) };
            case "rexmit_min":
                return options with { RtoMsMin = Number(value) };
            case "drop_synfin":
                return options with { DropSynFin = Number(value) != 0 };
            case "syncookies":
                return options with { SynCookies = Number(value) != 0 };
            case "msl" when Number(value) % 500 == 0:
                return options with { TimeWaitSeconds = Number(value) / 500 };
            case "initcwnd_segments":
                return options with { InitialWindowSegments = Number(value) };
            case "syncookies_only":
                return options with { SynCookiesOnly = Number(value) != 0 };
            case "blackhole"
                or "fastopen.client_enable" or "fastopen.server_enable" or "pmtud_blackhole_detection" when Number(value) == 0:
                return options;
            case "rexmit_initial" when Number(value) == 1_000:
            case "path_mtu_discovery" or "delayed_ack" when Number(value) == 1:
            case "mssdflt" when Number(value) == 536:
            case "udp_tunneling_overhead" or "hostcache.purgenow" or "hostcache.purge" or "pmtud_blackhole_mss":
                return options;
            default:
                throw Sysctls.Unknown(name, value);
        }
    }

    private static TcpSettings? OfConnection(TcpSettings t, string name, string value)
    {
        switch (name)
        {
            case "rfc1323":
                return t with { Timestamps = Number(value) != 0, WindowScaling = Number(value) != 0 };
            case "sack.enable":
                return t with { SelectiveAcknowledgments = Number(value) != 0 };
            case "ecn.enable" when Number(value) is 0 or 1 or 2:
                return t with { Ecn = Number(value) switch { 0 => TcpEcnMode.Off, 1 => TcpEcnMode.On, _ => TcpEcnMode.Accept } };
            case "recvspace":
                return t with { ReceiveBufferBytes = Number(value), ReceiveBufferBytesMax = Math.Max(Number(value), t.ReceiveBufferBytesMax) };
            case "sendspace":
                return t with { SendBufferBytes = Number(value), SendBufferBytesMax = Math.Max(Number(value), t.SendBufferBytesMax) };
            case "kern.ipc.maxsockbuf":
                var most = (int)Math.Min(ulong.Parse(value, CultureInfo.InvariantCulture), 1 << 30);
                return t with { ReceiveBufferBytesMax = Math.Max(most, t.ReceiveBufferBytes), SendBufferBytesMax = Math.Max(most, t.SendBufferBytes) };
            case "delacktime":
                return t with { DelayedAckMs = Number(value) };
            case "keepidle" when Number(value) % 1_000 == 0:
                return t with { KeepAliveTimeSeconds = Number(value) / 1_000 };
            case "keepintvl" when Number(value) % 1_000 == 0:
                return t with { KeepAliveIntervalSeconds = Number(value) / 1_000 };
            case "keepcnt":
                return t with { KeepAliveRetryCount = Number(value) };
            case "insecure_rst":
                return t with { ExactResetsOnly = Number(value) == 0 };
            case "insecure_syn":
                return t with { ChallengeSyns = Number(value) == 0 };
            case "keepinit":
                return t with { ConnectTimeoutMs = Number(value) };
            case "ecn.maxretries":
                return t with { EcnSynRetryCount = Number(value) };
            case "icmp_may_rst":
                return t with { ConnectErrors = Number(value) != 0 ? TcpConnectErrors.HardAndExpired : TcpConnectErrors.None };
            case "rexmit_drop_options":
                return t with { SynOptionsRetryCount = Number(value) != 0 ? 3 : 0 };
            case "tolerate_missing_ts":
                return t with { AcceptsMissingTimestamps = Number(value) != 0 };
            case "always_keepalive":
                return t with { KeepAlive = Number(value) != 0 };
            case "delayed_ack" when Number(value) == 0:
                return t with { DelayedAckMs = 0 };
            case "finwait2_timeout":
                return t with { FinWait2TimeoutMs = Number(value) };
            case "cc.algorithm" when value is "cubic" or "newreno":
                return t with { CongestionControl = value == "cubic" ? "cubic" : "reno" };
            default:
                return null;
        }
    }

    private static int Number(string value) => Sysctls.Number(value);
}
