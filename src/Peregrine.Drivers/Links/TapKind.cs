// The kinds "tap" and "tun": from a line to TapOptions, and whether this machine lets us.
using Peregrine.Core.Links;
using Peregrine.Drivers.Linux;

namespace Peregrine.Drivers;

internal static class TapKind
{
    private const LinkOffloads All = LinkOffloads.TransmitChecksum | LinkOffloads.ReceiveChecksum | LinkOffloads.SegmentTcp4 | LinkOffloads.SegmentTcp6
        | LinkOffloads.ReceiveMerged | LinkOffloads.Gather;

    private static readonly LinkOption[] s_options =
    [
        LinkOption.Number("queues", 1, 64, "Queues; the kernel spreads flows over them"),
        LinkOption.Flag("offloads", "Whether checksums and segmentation are left to whoever needs them; on where nothing is said"),
        LinkOption.Flag("persist", "Whether the device stays when the link is closed"),
        LinkOption.Flag("up", "Whether the kernel's side is set up"),
        LinkOption.Text("fd", "DESCRIPTOR", "A device that is open already: a descriptor's number, or a launcher's name for it; once for each queue") with { IsRepeatable = true },
        LinkOption.Text("netns", "NAMESPACE", "The network namespace of the device: a name of 'ip netns', or a path"),
    ];

    public static LinkKind Tap { get; } = new()
    {
        Name = "tap",
        Form = "tap:NAME",
        NameRule = LinkNameRule.Optional,
        Help = "Ethernet to this machine's kernel, over a TAP device; made when it is not there.",
        Options =
        [
            Mtu(65_521),
            .. s_options,
            LinkOption.Mac("mac", "Our address on the link; where nothing is said it follows from the name"),
            LinkOption.Prefix("kernel", "An address for the kernel's side, which is then set up as well") with { IsRepeatable = true },
        ],
        Open = static (line, settings) => Open(line, settings, LinkMedium.Ethernet),
        Reopen = static link => TapDevice.Reopen(link.Name, Options(link.Line, link.Settings, LinkMedium.Ethernet), link.MayMake),
        Probe = static facts => Offers(facts, "tap"),
    };

    public static LinkKind Tun { get; } = new()
    {
        Name = "tun",
        Form = "tun:NAME",
        NameRule = LinkNameRule.Optional,
        Help = "IP without Ethernet to this machine's kernel, over a TUN device; made when it is not there.",
        Options = [Mtu(65_535), .. s_options, LinkOption.Prefix("kernel", "An address for the kernel's side, which is then set up as well") with { IsRepeatable = true }],
        Open = static (line, settings) => Open(line, settings, LinkMedium.Ip),
        Reopen = static link => TapDevice.Reopen(link.Name, Options(link.Line, link.Settings, LinkMedium.Ip), link.MayMake),
        Probe = static facts => Offers(facts, "tun"),
    };

    private static LinkOption Mtu(int max) => LinkOption.Number("mtu", 68, max, "The MTU in bytes, set on the kernel's side too");

    private static TapLink Open(LinkSpecification line, LinkSettings settings, LinkMedium medium)
    {
        var options = Options(line, settings, medium);
        if (line.Texts("fd") is { Count: > 0 } descriptors) return Take(line, descriptors, options);
        if (line.Name.Length == 0) throw line.Error($"the name is missing: {line.Kind.Form}, or {line.Kind.Name}:fd=DESCRIPTOR");
        var link = TapLink.Open(line.Name, options);
        return settings.Opener is { } opener ? opener.Allow(link, new LinkReopening(line, link.Name, settings, link.MayMake), link.SetSource) : link;
    }

    /// <summary>A device that somebody else has opened and configured: whoever did that opens it again, too.</summary>
    private static TapLink Take(LinkSpecification line, IReadOnlyList<string> descriptors, TapOptions options)
    {
        if (line.Name.Length > 0) throw line.Error("an open descriptor has its name already: leave it out");
        foreach (var option in (string[])["queues", "persist", "up", "netns", "kernel"])
        {
            if (line.IsSet(option)) throw line.Error($"'{option}' is for a device that is opened here; whoever opened this one has decided it");
        }
        var link = TapLink.FromDescriptors([.. descriptors.Select(LauncherDescriptors.Take)], options);
        if (link.Medium == options.Medium) return link;
        link.Dispose();
        throw line.Error($"the descriptor is of a {(link.Medium == LinkMedium.Ethernet ? "TAP" : "TUN")} device");
    }

    private static TapOptions Options(LinkSpecification line, LinkSettings settings, LinkMedium medium)
    {
        var kernel = line.Prefixes("kernel");
        return new TapOptions
        {
            Medium = medium,
            Mtu = line.Number("mtu") ?? settings.Mtu,
            QueueCount = line.Number("queues") ?? 1,
            Offloads = line.Flag("offloads") ?? settings.Offloads,
            Persist = line.Flag("persist") ?? false,
            MacAddress = medium == LinkMedium.Ethernet ? line.Mac("mac") : null,
            KernelAddresses = kernel.Count > 0 ? kernel : settings.KernelAddresses,
            BringUp = line.Flag("up") ?? (settings.BringUp || kernel.Count > 0),
            NetworkNamespace = line.Text("netns") ?? settings.NetworkNamespace,
        };
    }

    /// <summary>A device of our own, and those that are there and wait for a program.</summary>
    private static IEnumerable<LinkOffer> Offers(MachineFacts facts, string kind)
    {
        var isTap = kind == "tap";
        var (reason, remedy) = Obstacle(facts);
        var own = new LinkOffer
        {
            Kind = kind, Line = kind + ":peregrine0", Mode = "virtio header", QueueCountMax = 64, Offloads = All, Reason = reason, Remedy = remedy, Rank = isTap ? 5 : 4,
        };
        // A device that waits has no carrier yet. Its kernel's side has addresses when somebody has prepared it, which is no reason to leave it alone.
        var waiting = facts.Interfaces.Where(one => one.Kind == "tun" && one.IsEthernet == isTap && !one.IsRunning && one.Name != "peregrine0");
        return [.. waiting.Select(one => own with { Line = $"{kind}:{one.Name}", Rank = isTap ? 15 : 14 }), own];
    }

    private static (string? Reason, string? Remedy) Obstacle(MachineFacts facts)
    {
        var opened = Posix.Open(TapDevice.DevicePath, OpenFlags.ReadWrite | OpenFlags.NonBlocking);
        if (opened.Errno is Errno.EACCES or Errno.EPERM) return ($"{TapDevice.DevicePath} may not be opened", "run as root, or give yourself access to it (chmod, a group)");
        if (opened.IsError) return ($"{TapDevice.DevicePath} is missing", $"load the module ('modprobe tun'); in a container pass '--device {TapDevice.DevicePath}'");
        Posix.Close(opened.Int32);
        return facts.Has(Capability.NetAdmin)
            ? (null, null)
            : ("CAP_NET_ADMIN is missing", "run as root, in 'unshare -Urn', or on a device that root made for you ('ip tuntap add mode tap user $USER name peregrine0')");
    }
}
