// The kind "xdp": from a line to XdpOptions, and what this machine's interfaces offer.
using Peregrine.Core.Links;
using Peregrine.Drivers.Linux;

namespace Peregrine.Drivers.Xdp;

internal static class XdpKind
{
    private static readonly string[] s_modes = ["auto", "native", "generic"], s_copies = ["auto", "copy", "zero-copy"];

    public static LinkKind Xdp { get; } = new()
    {
        Name = "xdp",
        Form = "xdp:INTERFACE",
        Help = "An interface shared with the kernel, by AF_XDP: the network's own addresses and the ports named here are ours, all else stays the kernel's.",
        Options =
        [
            LinkOption.Text("tcp", "PORT|FIRST-LAST", "TCP ports of the kernel's address that are ours") with { IsRepeatable = true },
            LinkOption.Text("udp", "PORT|FIRST-LAST", "UDP ports of the kernel's address that are ours") with { IsRepeatable = true },
            LinkOption.Flag("all-but", "The named ports stay the kernel's, and all others are ours"),
            LinkOption.Flag("all", "Everything that arrives is ours: the kernel, ssh included, hears nothing any more"),
            LinkOption.Choice("mode", s_modes, "Where the program runs: in the driver, or generically behind it"),
            LinkOption.Choice("copy", s_copies, "Whether the kernel copies frames; auto tries without"),
            LinkOption.Number("queues", 1, 64, "Queues of the card, from first-queue on; frames on others stay the kernel's"),
            LinkOption.Number("first-queue", 0, 4_095, "The card's queue that is our first"),
            LinkOption.Number("ring", 64, 32_768, "Entries of a ring, a power of two"),
            LinkOption.Number("busy-poll", 0, 1_000, "Microseconds for which the kernel polls the card for us; 0 is off"),
            LinkOption.Flag("unfinished", "Whether unfinished checksums are recognized; where nothing is said, on veth, virtio and TAP"),
            LinkOption.Text("netns", "NAMESPACE", "The network namespace of the interface: a name of 'ip netns', or a path"),
        ],
        Open = static (line, settings) => Open(line, settings),
        Reopen = static link => link.Held is [var program]
            ? XdpOpening.Open(link.Name, program, Options(link.Line, link.Settings))
            : throw new IOException("the opener was given no XDP program"),
        Probe = Offers,
    };

    private static XdpLink Open(LinkSpecification line, LinkSettings settings)
    {
        var link = XdpLink.Open(line.Name, Options(line, settings));
        if (settings.Opener is not { } opener) return link;
        // It comes back where the program ran at first: how its sockets are bound follows from that.
        var again = line.IsSet("mode") ? line : LinkSpecification.Parse($"{line.Source},mode={(link.IsNative ? "native" : "generic")}");
        return opener.Allow(link, new LinkReopening(again, link.Name, settings, MayMake: false) { Held = [link.Steering.Program] }, source => link.SetOpener(source, opener.Register));
    }

    private static XdpOptions Options(LinkSpecification line, LinkSettings settings)
    {
        try
        {
            var options = new XdpOptions
            {
                Mode = (XdpMode)Math.Max(0, Array.IndexOf(s_modes, line.Text("mode"))),
                Copy = (XdpCopy)Math.Max(0, Array.IndexOf(s_copies, line.Text("copy"))),
                QueueCount = line.Number("queues") ?? 1,
                FirstQueue = line.Number("first-queue") ?? 0,
                RingFrames = line.Number("ring") ?? 2_048,
                BusyPollUs = line.Number("busy-poll") ?? 0,
                TransmitChecksum = settings.Offloads,
                UnfinishedChecksums = line.Flag("unfinished"),
                NetworkNamespace = line.Text("netns") ?? settings.NetworkNamespace,
                Traffic = new XdpTraffic
                {
                    All = line.Flag("all") ?? false,
                    AllBut = line.Flag("all-but") ?? false,
                    TcpPorts = [.. line.Texts("tcp").Select(PortRange.Parse)],
                    UdpPorts = [.. line.Texts("udp").Select(PortRange.Parse)],
                },
            };
            options.Validate();
            return options;
        }
        catch (Exception e) when (e is FormatException or ArgumentException)
        {
            throw line.Error(e.Message);
        }
    }

    // What the driver announces is no promise, and before Linux 6.3 it announces nothing: only attaching tells, and that would disturb the interface.
    private static string ModeOf(InterfaceFacts one, IReadOnlyDictionary<int, DeviceFeatures>? features)
    {
        if (features is null || !features.TryGetValue(one.Index, out var has)) return one.Kind is "" or "veth" or "tun" ? "native where the driver can, else generic" : "generic";
        return has.HasZeroCopy ? "native without copies, as the driver says" : has.IsNative ? "native, as the driver says" : "generic";
    }

    // Metadata of sent frames came with Linux 6.8.
    private static bool KernelSums(int mtu) => OperatingSystem.IsOSPlatformVersionAtLeast("Linux", 6, 8) && !XdpLink.TakesSeveralChunks(mtu);

    private static IEnumerable<LinkOffer> Offers(MachineFacts facts)
    {
        var may = facts.Has(Capability.SysAdmin) || (facts.Has(Capability.NetAdmin) && facts.Has(Capability.NetRaw) && facts.Has(Capability.Bpf));
        var features = DeviceFeatures.TryReadAll();
        foreach (var one in facts.Interfaces.Where(static one => one.IsEthernet && !one.IsLoopback))
        {
            var reason = !may ? "CAP_NET_ADMIN, CAP_NET_RAW or CAP_BPF is missing"
                : one.HasXdpProgram ? "another XDP program is attached"
                : !one.IsUp ? "the interface is down" : null;
            yield return new LinkOffer
            {
                Kind = "xdp",
                IsKernels = one.HasAddress,
                Line = "xdp:" + one.Name,
                Mode = ModeOf(one, features),
                QueueCountMax = Math.Clamp(one.ReceiveQueueCount, 1, 64),
                // Where it is sure that the kernel copies; a card may do without, and then its driver decides.
                Offloads = one.Kind is "veth" && KernelSums(one.Mtu) ? LinkOffloads.TransmitChecksum : LinkOffloads.None,
                Reason = reason,
                Remedy = reason is null ? null : !may ? "run as root" : one.HasXdpProgram ? $"'ip link set dev {one.Name} xdp off'" : $"'ip link set {one.Name} up'",
                Rank = one.Kind is "" or "veth" ? 30 : 10,
            };
        }
    }
}
