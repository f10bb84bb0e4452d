// The kind "packet": from a line to PacketOptions, and on which interfaces this machine lets us.
using Peregrine.Core.Links;
using Peregrine.Drivers.Linux;

namespace Peregrine.Drivers.Packet;

internal static class PacketKind
{
    public static LinkKind Packet { get; } = new()
    {
        Name = "packet",
        Form = "packet:INTERFACE",
        Help = "An interface of this machine over AF_PACKET: every card and veth, nothing to install, shared with the kernel.",
        Options =
        [
            LinkOption.Number("queues", 1, 64, "Queues; the kernel spreads flows over them by hash"),
            LinkOption.Number("mtu", 68, 65_521, "The MTU in bytes where it is to be smaller than the interface's"),
            LinkOption.Flag("offloads", "Whether checksums and segmentation are left to the kernel and the card; on where nothing is said"),
            LinkOption.Of("port", "PORT[-PORT]", "a port or a range like 8000-8999", "A port that is ours on an address that the kernel has too; all others stay the kernel's",
                static text => PortRange.TryParse(text, out var range) && range.First > 0) with { IsRepeatable = true },
            LinkOption.Mac("mac", "Our address on the link, if not the interface's own"),
            LinkOption.Flag("promiscuous", "Whether frames for other addresses come too"),
            LinkOption.Flag("bypass", "Whether sent frames pass by the queueing discipline"),
            LinkOption.Number("buffer", 65_536, 1 << 30, "Bytes that may wait in the kernel for a queue; 8 MiB where nothing is said"),
            LinkOption.Flag("up", "Whether the interface is set up"),
            LinkOption.Text("netns", "NAMESPACE", "The network namespace of the interface: a name of 'ip netns', or a path"),
        ],
        Open = static (line, settings) => Open(line, settings),
        Reopen = static link => PacketLink.OpenSockets(link.Name, Options(link.Line, link.Settings)),
        Probe = static facts => Probe(facts),
    };

    private static PacketLink Open(LinkSpecification line, LinkSettings settings)
    {
        var link = PacketLink.Open(line.Name, Options(line, settings));
        if (settings.Opener is not { } opener || !link.NeedsNewSockets) return link;
        return opener.Allow(link, new LinkReopening(line, link.Name, settings, MayMake: false), link.SetSource);
    }

    private static PacketOptions Options(LinkSpecification line, LinkSettings settings)
    {
        var ordinary = new PacketOptions();
        return ordinary with
        {
            QueueCount = line.Number("queues") ?? 1,
            Mtu = line.Number("mtu") ?? settings.Mtu,
            Offloads = line.Flag("offloads") ?? settings.Offloads,
            Ports = [.. line.Texts("port").Select(PortRange.Parse)],
            MacAddress = line.Mac("mac"),
            Promiscuous = line.Flag("promiscuous") ?? false,
            BypassQdisc = line.Flag("bypass") ?? false,
            BufferBytes = line.Number("buffer") ?? ordinary.BufferBytes,
            BringUp = line.Flag("up") ?? false,
            NetworkNamespace = line.Text("netns") ?? settings.NetworkNamespace,
        };
    }

    private static List<LinkOffer> Probe(MachineFacts facts)
    {
        var obstacle = Obstacle();
        // A TAP device's frames go to whoever has it open; a packet socket on it would stand on the kernel's side.
        var offers = facts.Interfaces.Where(static one => one.IsEthernet && !one.IsLoopback && one.Kind != "tun").Select(one =>
        {
            var (reason, remedy) = obstacle;
            if (reason is null && !one.IsUp) (reason, remedy) = ($"{one.Name} is down", $"'ip link set {one.Name} up', or the option 'up'");
            else if (reason is null && !one.IsRunning) (reason, remedy) = ($"{one.Name} has no carrier", "plug the cable in, or set its peer up");
            return Offer("packet:" + one.Name, 20, reason, remedy) with { IsKernels = one.HasAddress };
        }).ToList();
        if (offers.Count == 0) offers.Add(Offer("packet:eth0", 0, obstacle.Reason ?? "there is no Ethernet interface in this namespace", obstacle.Remedy ?? "make one: 'ip link add veth0 type veth peer name veth1'"));
        return offers;
    }

    private static LinkOffer Offer(string line, int rank, string? reason, string? remedy) => new()
    {
        Kind = "packet",
        Line = line,
        Mode = "batches, virtio header",
        QueueCountMax = 64,
        Offloads = LinkOffloads.TransmitChecksum | LinkOffloads.ReceiveChecksum | LinkOffloads.SegmentTcp4 | LinkOffloads.SegmentTcp6 | LinkOffloads.ReceiveMerged
            | LinkOffloads.Gather,
        Rank = rank,
        Reason = reason,
        Remedy = remedy,
    };

    private static (string? Reason, string? Remedy) Obstacle()
    {
        var socket = Posix.Socket(LinuxConstants.FamilyPacket, LinuxConstants.SocketRaw, 0);
        if (socket.IsError)
            return socket.Errno is Errno.EPERM or Errno.EACCES
                ? ("CAP_NET_RAW is missing", "run as root, or 'setcap cap_net_raw+ep' on the program")
                : ("the kernel has no packet sockets", "load the module ('modprobe af_packet')");
        Posix.Close(socket.Int32);
        return (null, null);
    }
}
