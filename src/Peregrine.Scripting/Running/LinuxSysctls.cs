// Linux's settings that a script may set and that have no influence on what it sees here: they are about other machines' memory, queues and
// tools, or about what this stack does not do (Documentation/networking/ip-sysctl.rst).
namespace Peregrine.Scripting.Running;

internal static class LinuxSysctls
{
    private static readonly HashSet<string> s_withoutInfluence =
    [
        "tcp_mem", "tcp_max_orphans", "tcp_low_latency", "tcp_fack", "tcp_app_win", "tcp_workaround_signed_windows", "tcp_tw_recycle",
        "tcp_min_snd_mss", "tcp_ecn_option", "tcp_ecn_option_beacon", "tcp_fwmark_accept", "tcp_l3mdev_accept", "tcp_migrate_req", "tcp_reflect_tos", "tcp_plb_enabled", "tcp_available_congestion_control",
        "tcp_allowed_congestion_control", "tcp_challenge_ack_limit", "tcp_backlog_ack_defer", "tcp_child_ehash_entries", "tcp_collapse_max_bytes", "tcp_retrans_collapse",
        "tcp_min_rtt_wlen", "tcp_comp_sack_rtt_percent", "tcp_ecn_fallback", "tcp_fastopen_blackhole_timeout_sec", "tcp_syn_linear_timeouts", "tcp_pingpong_thresh", "tcp_stdurg",
        "tcp_probe_timeout", "tcp_rto_max_ms", "tcp_shrink_window", "tcp_early_demux", "ip_early_demux", "ip_nonlocal_bind", "ip_forward", "ip_no_pmtu_disc",
        "tcp_thin_dupack", "tcp_ehash_entries", "tcp_plb_rehash_rounds", "tcp_plb_idle_rehash_rounds", "tcp_plb_suspend_rto_sec", "tcp_plb_cong_thresh", "tcp_wan_timestamps", "tcp_tso_allow_early_tx",
        "tcp_rx_skb_cache", "tcp_tx_skb_cache", "tcp_autobind", "fib_multipath_hash_policy", "ip_autobind_reuse", "ip_unprivileged_port_start", "ip_local_reserved_ports", "fwmark_reflect",
        "icmp_ratelimit", "icmp_ratemask", "icmp_msgs_per_sec", "icmp_msgs_burst",
    ];

    internal static bool IsWithoutInfluence(string name) =>
        s_withoutInfluence.Contains(name)
        || new[] { "net.core.", "net.ipv6.conf.", "net.ipv6.route.", "conf.", "route.", "neigh.", "udp_" }.Any(start => name.StartsWith(start, StringComparison.Ordinal));
}
