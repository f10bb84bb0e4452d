// Kernel settings in a script's own namespace: what public scripts' common settings set, and then what the script says. Only names under
// net are written, and only those of this namespace: /proc/sys/net shows each thread its own.
using Peregrine.Scripting.Language;
using Peregrine.Scripting.Running;

namespace Peregrine.Scripting.Kernel;

internal sealed class KernelSysctls
{
    // As Profile.Linux has them.
    private static readonly (string Name, string Value)[] s_usual =
    [
        ("tcp_rmem", "4096 540000 15728640"), ("tcp_wmem", "4096 262144 4194304"), ("tcp_timestamps", "1"), ("tcp_syn_retries", "5"), ("tcp_synack_retries", "5"),
        ("tcp_frto", "2"), ("tcp_sack", "1"), ("tcp_dsack", "1"), ("tcp_reordering", "3"), ("tcp_slow_start_after_idle", "0"), ("tcp_early_retrans", "3"), ("tcp_recovery", "1"),
        ("tcp_ecn", "0"), ("tcp_syn_linear_timeouts", "0"), ("tcp_pacing_ss_ratio", "200"), ("tcp_pacing_ca_ratio", "120"), ("tcp_fastopen", "0x70403"), ("tcp_syncookies", "1"),
        ("tcp_fastopen_key", "a1a1a1a1-b2b2b2b2-c3c3c3c3-d4d4d4d4"), ("tcp_fastopen_blackhole_timeout_sec", "0"),
    ];

    /// <summary>What sockets are given: the kernel may not let a namespace choose its default.</summary>
    internal string CongestionControl { get; private set; } = "cubic";

    /// <summary>Sets the usual, and what a script sets before it does anything else.</summary>
    internal KernelSysctls(Script script)
    {
        foreach (var (name, value) in s_usual) Write("net.ipv4." + name, value);
        foreach (var e in script.Events)
        {
            if (e is not ShellEvent shell) break;
            if (!StateCheck.Is(shell.Command)) Run(shell.Command);
        }
    }

    internal void Run(string command)
    {
        foreach (var (name, value) in Sysctls.Read(command))
        {
            if (name == Sysctls.QueueDiscipline) continue;
            if (name == "net.ipv4.tcp_congestion_control") CongestionControl = value;
            else if (!Write(name, value)) throw new NotApplicableException($"the kernel did not take {name}={value}");
        }
    }

    internal static bool Write(string name, string value)
    {
        if (!name.StartsWith("net.", StringComparison.Ordinal) || !name.All(static c => char.IsAsciiLetterOrDigit(c) || c is '.' or '_')) return false;
        try
        {
            File.WriteAllText("/proc/sys/" + name.Replace('.', '/'), value);
            return true;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return false;
        }
    }
}
