// Where servers and client stand: one network namespace for the client, one for each server, a veth pair or a TAP device between them. Needs
// root. Touches nothing outside the namespaces that it makes, and takes them away again.
using System.Globalization;

namespace Peregrine.Bench.Lab;

internal sealed class VethLab : IDisposable
{
    private const string Prefix = "pgb";

    private readonly string _prefix = Prefix + Environment.ProcessId.ToString(CultureInfo.InvariantCulture);
    private readonly List<string> _spaces = [];
    private int _pairs;

    internal VethLab()
    {
        if (!Environment.IsPrivilegedProcess) throw new UnauthorizedAccessException("benchmarks on a kernel's link need root, for network namespaces; --link memory needs no permission");
        RemoveLeftOver();
        try
        {
            Client = AddSpace("c");
            Configure(Client, "net.ipv4.ip_local_port_range=1024 65535", "net.ipv4.tcp_tw_reuse=1", "net.ipv4.tcp_max_tw_buckets=262144");
        }
        catch
        {
            // Nobody else can: whoever wanted it has no object to dispose.
            Dispose();
            throw;
        }
    }

    /// <summary>The client's namespace.</summary>
    internal string Client { get; }

    /// <summary>Makes a namespace for a server, joined to the client's by a veth pair.</summary>
    /// <param name="kernelHasAddress">Whether the server's end belongs to the kernel there, or to a stack of its own.</param>
    /// <param name="steering">How each end's receive work comes to its own processor, as behind a card: the server's 0, the client's 1.</param>
    /// <param name="offloads">Which end may leave checksums out and segments whole.</param>
    internal VethPair AddPair(bool kernelHasAddress, Steering steering, Offloads offloads)
    {
        var number = ++_pairs;
        var space = AddSpace($"s{number}");
        var (ours, theirs) = ($"pgbc{number}", $"pgbs{number}");
        Ip(Client, "link", "add", ours, "type", "veth", "peer", "name", theirs, "netns", space);
        var pair = new VethPair(space, theirs, ours, $"10.96.{number}.2", $"10.96.{number}.1");
        Ip(Client, "addr", "add", pair.ClientAddress + "/24", "dev", ours);
        Ip(Client, "link", "set", ours, "up");
        if (kernelHasAddress) Ip(space, "addr", "add", pair.ServerAddress + "/24", "dev", theirs);
        Ip(space, "link", "set", theirs, "up");
        UseCubic(Client, ours, number, pair.ClientAddress);
        if (kernelHasAddress)
        {
            UseCubic(space, theirs, number, pair.ServerAddress);
            Configure(space, "net.core.somaxconn=4096", "net.ipv4.tcp_max_syn_backlog=8192", "net.ipv4.tcp_max_tw_buckets=262144");
        }
        if (offloads != Offloads.AsTheyAre) Helper.Run("ip", "netns", "exec", Client, "ethtool", "-K", ours, "tx", "off");
        if (offloads == Offloads.None) Helper.Run("ip", "netns", "exec", space, "ethtool", "-K", theirs, "tx", "off");
        if (offloads == Offloads.ServersOnly)
        {
            // Without timestamps (lwIP) the client may not use a port again that is in TIME-WAIT, and has none left after four seconds: it keeps few.
            Configure(Client, "net.ipv4.tcp_max_tw_buckets=1024");
        }
        if (steering == Steering.None) return pair;
        Steer(Client, ours, "2");
        if (steering == Steering.Napi) return pair with { NapiThreads = PinNapi(space, theirs) };
        Steer(space, theirs, "1");
        return pair;
    }

    /// <summary>A device of the client's whose frames nobody takes: they are for another MAC address than its other end's.</summary>
    internal void AddUnheard(string device)
    {
        Ip(Client, "link", "add", device, "type", "veth", "peer", "name", device + "1");
        Ip(Client, "link", "set", device, "up");
        Ip(Client, "link", "set", device + "1", "up");
    }

    /// <summary>Gives the client's end of a TAP device that a server made there the kernel side's settings.</summary>
    internal void OnTap(string device, string clientAddress)
    {
        var subnet = clientAddress[..(clientAddress.LastIndexOf('.') + 1)] + "0/24";
        Ip(Client, "route", "change", subnet, "dev", device, "src", clientAddress, "congctl", "cubic");
    }

    public void Dispose()
    {
        foreach (var space in _spaces)
        {
            try
            {
                Helper.Run("ip", "netns", "del", space);
            }
            catch (IOException)
            {
                // Gone already, or never made.
            }
        }
    }

    private static void Ip(string space, params string[] command) => Helper.Run(["ip", "-n", space, .. command]);

    /// <summary>Takes away what a process left that was killed: the number in a namespace's name is its process's.</summary>
    private static void RemoveLeftOver()
    {
        foreach (var name in Helper.Run("ip", "netns", "list").Split('\n').Select(static line => line.Split(' ')[0]))
        {
            if (LeftOverOf(name) is not { } process || Directory.Exists($"/proc/{process}")) continue;
            try
            {
                Helper.Run("ip", "netns", "del", name);
            }
            catch (IOException)
            {
                // Another bench is doing the same.
            }
        }
    }

    /// <summary>The process that made a namespace of this name; null for one that is not ours.</summary>
    internal static int? LeftOverOf(string name)
    {
        if (!name.StartsWith(Prefix, StringComparison.Ordinal)) return null;
        var digits = name.AsSpan(Prefix.Length);
        var end = digits.IndexOfAnyExceptInRange('0', '9');
        if (end <= 0 || !(digits[end..] is "c" || (digits[end] == 's' && digits.Length > end + 1 && !digits[(end + 1)..].ContainsAnyExceptInRange('0', '9')))) return null;
        return int.TryParse(digits[..end], NumberStyles.None, CultureInfo.InvariantCulture, out var process) ? process : null;
    }

    // The default may be another (this kernel's is named in no result); both ends shall have the same.
    private static void UseCubic(string space, string device, int number, string source) =>
        Ip(space, "route", "change", $"10.96.{number}.0/24", "dev", device, "src", source, "congctl", "cubic");

    private static void Configure(string space, params string[] settings)
    {
        foreach (var setting in settings)
        {
            var (name, value) = (setting.Split('=')[0], setting.Split('=')[1]);
            // Some belong to the whole machine on some kernels and cannot be set in a namespace: then the machine's holds.
            Helper.Run("ip", "netns", "exec", space, "sh", "-c", $"f=/proc/sys/{name.Replace('.', '/')}; [ ! -w $f ] || echo '{value}' >$f");
        }
    }

    private static void Steer(string space, string device, string mask) =>
        Helper.Run("ip", "netns", "exec", space, "sh", "-c", $"for q in /sys/class/net/{device}/queues/rx-*; do echo {mask} >$q/rps_cpus; done");

    /// <summary>The frames for AF_XDP are received by a thread of the kernel's, which shall be on the server's processor and in its account.</summary>
    private static List<int> PinNapi(string space, string device)
    {
        var threads = new List<int>();
        // veth has NAPI only with an XDP program or with GRO switched on.
        Helper.Run("ip", "netns", "exec", space, "sh", "-c", $"ethtool -K {device} gro on && echo 1 >/sys/class/net/{device}/threaded");
        foreach (var thread in Directory.GetDirectories("/proc").Where(static path => path[^1] is >= '0' and <= '9'))
        {
            var name = File.Exists(thread + "/comm") ? ReadOrNothing(thread + "/comm") : "";
            if (!name.StartsWith("napi/" + device, StringComparison.Ordinal)) continue;
            var id = Path.GetFileName(thread);
            Helper.Run("taskset", "-p", "-c", "0", id);
            // As an interrupt would: it goes before whoever runs there. Else a server that spins on the same processor has it for a whole time slice.
            Helper.Run("chrt", "-f", "-p", "1", id);
            threads.Add(int.Parse(id, CultureInfo.InvariantCulture));
        }
        return threads;
    }

    private static string ReadOrNothing(string path)
    {
        try
        {
            return File.ReadAllText(path);
        }
        catch (IOException)
        {
            return "";
        }
    }

    private string AddSpace(string suffix)
    {
        var name = _prefix + suffix;
        Helper.Run("ip", "netns", "add", name);
        _spaces.Add(name);
        Ip(name, "link", "set", "lo", "up");
        return name;
    }
}

/// <summary>How a server's end of a veth pair gets its receive work onto the server's processor.</summary>
internal enum Steering
{
    /// <summary>Not: it is done on the sender's.</summary>
    None,

    /// <summary>The kernel's receive packet steering.</summary>
    Packets,

    /// <summary>A NAPI thread of the device's own, pinned; merges segments (GRO).</summary>
    Napi,
}

/// <summary>What a veth pair's ends leave to the device: it sums nothing and cuts nothing, so what is left to it is never done.</summary>
internal enum Offloads
{
    /// <summary>Both leave checksums out and segments whole.</summary>
    AsTheyAre,

    /// <summary>The client's sums and cuts: for a server's stack that knows no other.</summary>
    ServersOnly,

    /// <summary>Both sum and cut.</summary>
    None,
}

/// <summary>A veth pair between the client and a server.</summary>
/// <param name="Space">The server's namespace.</param>
/// <param name="Device">The server's end.</param>
/// <param name="ClientDevice">The client's.</param>
/// <param name="ServerAddress">The server's address.</param>
/// <param name="ClientAddress">The client's.</param>
internal sealed record VethPair(string Space, string Device, string ClientDevice, string ServerAddress, string ClientAddress)
{
    /// <summary>Threads of the kernel's that receive for the server, where there are some.</summary>
    internal IReadOnlyList<int> NapiThreads { get; init; } = [];
}
