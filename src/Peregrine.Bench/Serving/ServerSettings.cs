// How a benchmark's server network is set up, in its own process or beside the client's on a link in memory.
using System.Net;
using Peregrine.Core;
using Peregrine.Core.Links;
using Peregrine.Core.Tcp;

namespace Peregrine.Bench.Serving;

internal static class ServerSettings
{
    /// <summary>Options of a network for benchmarks.</summary>
    /// <param name="name">The network's name; its thread is called so.</param>
    /// <param name="address">Its address, with prefix length.</param>
    /// <param name="spin">Never sleep, or always at once: what lies between would depend on how busy the machine is.</param>
    /// <param name="cpu">The processor of its core, or -1.</param>
    /// <param name="control">Path of its control socket.</param>
    /// <param name="isXdp">Whether frames must lie two to a page.</param>
    internal static PeregrineOptions Create(string name, string address, bool spin, int cpu, string control, bool isXdp) => new()
    {
        Name = name,
        Addresses = [address],
        Cpu = cpu,
        Idle = spin ? IdleMode.BusyPoll : IdleMode.Block,
        ControlSocket = control,
        StopGraceMs = 200,
        UseSystemResolver = false,
        // A processor that is shared with other programs is no callback's fault.
        CallbackLimitMs = 0,
        Stack = new StackOptions
        {
            FrameSizeBytes = isXdp ? 2_048 : 4_096,
            // All ports but the well-known: connections by the thousand a second leave as many in TIME-WAIT.
            EphemeralPortMin = 1_024,
            EphemeralPortMax = 65_535,
            TimeWaitCountMax = 1 << 18,
            Tcp = TcpSettings.Default with { NoDelay = true, CongestionControl = "cubic" },
        },
    };

    /// <summary>
    /// The same network for a client that is a stack of ours: sixteen addresses, whose ports serve again after a second, as the kernel's client does it
    /// (tcp_tw_reuse). One address has 64,512 ports to a server's one, and they would be in TIME-WAIT within that second.
    /// </summary>
    internal static PeregrineOptions ForClient(PeregrineOptions options) => options with
    {
        Addresses = [.. ClientAddresses.Select(static address => $"{address}/24")],
        Stack = options.Stack with { TimeWaitReuseMs = 1_000, TimeWaitCountMax = 1 << 20 },
    };

    /// <summary>The addresses that such a client's connections take in turns.</summary>
    internal static IReadOnlyList<IPAddress> ClientAddresses { get; } = [.. Enumerable.Range(16, 16).Select(static last => new IPAddress([192, 0, 2, (byte)last]))];

    /// <summary>The link, with losses where the work has some.</summary>
    internal static ILink WithLoss(ILink link, double percent)
    {
        if (percent == 0) return link;
        var faults = new FaultOptions { Seed = 1, LossPerMillion = (int)(percent * 10_000) };
        return new FaultyLink(link, faults, faults);
    }
}
