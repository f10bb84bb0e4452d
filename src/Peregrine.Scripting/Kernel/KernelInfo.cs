// The running kernel's struct tcp_info, field by field under the names that scripts use (include/uapi/linux/tcp.h: the layout is part of the
// kernel's interface and the same on every 64-bit machine).
using System.Runtime.InteropServices;
using Peregrine.Scripting.Running;

namespace Peregrine.Scripting.Kernel;

internal static class KernelInfo
{
    internal const int Length = 280;

    // Each word of four bytes from the eighth on, and the wide ones.
    private static readonly string[] s_words =
    [
        "rto", "ato", "snd_mss", "rcv_mss", "unacked", "sacked", "lost", "retrans", "fackets", "last_data_sent", "last_ack_sent", "last_data_recv", "last_ack_recv",
        "pmtu", "rcv_ssthresh", "rtt", "rttvar", "snd_ssthresh", "snd_cwnd", "advmss", "reordering", "rcv_rtt", "rcv_space", "total_retrans",
    ];

    private static readonly Dictionary<string, (int At, int Size)> s_fields = Fields();

    private static Dictionary<string, (int At, int Size)> Fields()
    {
        var fields = new Dictionary<string, (int, int)>
        {
            ["state"] = (0, 1), ["ca_state"] = (1, 1), ["retransmits"] = (2, 1), ["probes"] = (3, 1), ["backoff"] = (4, 1), ["options"] = (5, 1),
            ["pacing_rate"] = (104, 8), ["max_pacing_rate"] = (112, 8), ["bytes_acked"] = (120, 8), ["bytes_received"] = (128, 8), ["segs_out"] = (136, 4), ["segs_in"] = (140, 4),
            ["notsent_bytes"] = (144, 4), ["min_rtt"] = (148, 4), ["data_segs_in"] = (152, 4), ["data_segs_out"] = (156, 4), ["delivery_rate"] = (160, 8),
            ["busy_time"] = (168, 8), ["rwnd_limited"] = (176, 8), ["sndbuf_limited"] = (184, 8), ["delivered"] = (192, 4), ["delivered_ce"] = (196, 4),
            ["bytes_sent"] = (200, 8), ["bytes_retrans"] = (208, 8), ["dsack_dups"] = (216, 4), ["reord_seen"] = (220, 4), ["rcv_ooopack"] = (224, 4),
            ["snd_wnd"] = (228, 4), ["rcv_wnd"] = (232, 4), ["rehash"] = (236, 4), ["total_rto"] = (240, 2), ["total_rto_recoveries"] = (242, 2), ["total_rto_time"] = (244, 4),
            ["received_ce"] = (248, 4), ["delivered_e1_bytes"] = (252, 4), ["delivered_e0_bytes"] = (256, 4), ["delivered_ce_bytes"] = (260, 4),
            ["received_e1_bytes"] = (264, 4), ["received_e0_bytes"] = (268, 4), ["received_ce_bytes"] = (272, 4), ["accecn_fail_mode"] = (276, 2), ["accecn_opt_seen"] = (278, 2),
        };
        for (var i = 0; i < s_words.Length; i++) fields[s_words[i]] = (8 + 4 * i, 4);
        return fields;
    }

    internal static long? LookUp(ReadOnlySpan<byte> info, string name)
    {
        if (InfoNames.Constant(name) is { } constant) return constant;
        if (!name.StartsWith("tcpi_", StringComparison.Ordinal)) return null;
        // Two scales in one byte.
        if (name is "tcpi_snd_wscale") return info[6] & 15;
        if (name is "tcpi_rcv_wscale") return info[6] >> 4;
        if (name is "tcpi_delivery_rate_app_limited") return info[7] & 1;
        if (name is "tcpi_fastopen_client_fail") return (info[7] >> 1) & 3;
        if (!s_fields.TryGetValue(name["tcpi_".Length..], out var field)) return null;
        var bytes = info[field.At..];
        return field.Size switch
        {
            1 => bytes[0],
            2 => MemoryMarshal.Read<ushort>(bytes),
            4 => MemoryMarshal.Read<uint>(bytes),
            _ => MemoryMarshal.Read<long>(bytes),
        };
    }
}
