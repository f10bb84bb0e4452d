// The kind "dpdk": from a line to DpdkOptions, and what this machine has of it. Asking starts nothing: DPDK is loaded when a link is opened.
using Peregrine.Core.Links;

namespace Peregrine.Drivers.Dpdk;

internal static class DpdkKind
{
    private const string BoundCards = "/sys/bus/pci/drivers/vfio-pci";

    public static LinkKind Dpdk { get; } = new()
    {
        Name = "dpdk",
        Form = "dpdk:DEVICE[,ARGUMENT]",
        Help = "A port of DPDK 22.11: a card by its PCI address, or a device of software (net_af_packet0,iface=eth0). What is not an option here is the device's own argument.",
        Options =
        [
            LinkOption.Number("queues", 1, 64, "Queues; the device spreads flows over them"),
            LinkOption.Number("mtu", 68, 9600, "The MTU in bytes; the device's where nothing is said"),
            LinkOption.Number("ring", 32, 4096, "Descriptors a ring, at most"),
            LinkOption.Choice("buffers", ["own", "copied"], "Whether the device reads and writes the stack's own frame memory, or frames are copied"),
            LinkOption.Flag("offloads", "Whether the device sums, cuts and tags where it can; on where nothing is said"),
            LinkOption.Flag("promiscuous", "Whether all frames are taken"),
            LinkOption.Mac("mac", "Our address; the device's where nothing is said"),
            LinkOption.Text("netns", "NAMESPACE", "The network namespace in which the device is made: a name of 'ip netns', or a path"),
            LinkOption.Text("eal", "ARGUMENTS", "Arguments for DPDK itself, separated by blanks; the first link of a process decides"),
            LinkOption.Text("arg", "KEY=VALUE", "An argument of the device's own, for one that is called like an option here") with { IsRepeatable = true, IsPositional = true },
        ],
        Open = Open,
        Probe = static _ => Probe(),
    };

    private static DpdkLink Open(LinkSpecification line, LinkSettings settings)
    {
        var defaults = new DpdkOptions();
        return DpdkLink.Open(line.Name, new DpdkOptions
        {
            DeviceArguments = line.Texts("arg"),
            QueueCount = line.Number("queues") ?? defaults.QueueCount,
            Mtu = line.Number("mtu") ?? settings.Mtu,
            RingFrames = line.Number("ring") ?? defaults.RingFrames,
            Buffers = line.Text("buffers") switch { "own" => DpdkBuffers.Own, "copied" => DpdkBuffers.Copied, _ => DpdkBuffers.Automatic },
            Offloads = line.Flag("offloads") ?? settings.Offloads,
            Promiscuous = line.Flag("promiscuous") ?? false,
            MacAddress = line.Mac("mac"),
            NetworkNamespace = line.Text("netns") ?? settings.NetworkNamespace,
            EalArguments = line.Text("eal"),
        });
    }

    private static IEnumerable<LinkOffer> Probe()
    {
        var reason = DpdkLink.IsInstalled ? null : $"DPDK {DpdkAbi.Version} is not installed";
        var remedy = reason is null ? null : $"apt-get install {DpdkLibrary.Packages}";
        var cards = Cards();
        foreach (var card in cards)
            yield return new LinkOffer { Kind = "dpdk", Line = "dpdk:" + card, Mode = "card, polling", QueueCountMax = 64, Reason = reason, Remedy = remedy, Rank = 40 };
        if (cards.Count == 0) yield return new LinkOffer { Kind = "dpdk", Line = "dpdk:net_null0", Mode = "devices of software, polling", QueueCountMax = 64, Reason = reason, Remedy = remedy };
    }

    /// <summary>Network cards that somebody took from the kernel for a program like this one.</summary>
    private static List<string> Cards()
    {
        try
        {
            if (!Directory.Exists(BoundCards)) return [];
            return [.. Directory.EnumerateDirectories(BoundCards).Where(IsNetworkCard).Select(static path => Path.GetFileName(path)).Order(StringComparer.Ordinal)];
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return [];
        }
    }

    // PCI class 02 is a network controller; the folder also holds the driver's own files.
    private static bool IsNetworkCard(string path)
    {
        var file = Path.Combine(path, "class");
        return DpdkPort.IsCardAddress(Path.GetFileName(path)) && File.Exists(file) && File.ReadAllText(file).StartsWith("0x02", StringComparison.Ordinal);
    }
}
