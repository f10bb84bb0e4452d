// The kind "memif": from a line to MemifOptions. Every machine has it, but nobody can say which sockets are meant.
using Peregrine.Core.Links;

namespace Peregrine.Drivers.Memif;

internal static class MemifKind
{
    private const string DefaultSocket = "/run/peregrine/memif.sock";

    public static LinkKind Memif { get; } = new()
    {
        Name = "memif",
        Form = "memif:SOCKET[,server]",
        Help = "Shared memory with another process on this machine: VPP, a DPDK program, another Peregrine. SOCKET is a path, or @NAME.",
        Options =
        [
            LinkOption.Flag("server", "Whether this end listens; without, it connects and brings the memory"),
            LinkOption.Number("id", 0, int.MaxValue, "The interface's number on the socket; the same at both ends"),
            LinkOption.Number("queues", 1, 64, "Pairs of rings; the fewer of both ends' counts"),
            LinkOption.Number("ring", 2, 16_384, "Descriptors a ring, a power of two; the client's counts"),
            LinkOption.Number("buffer", 256, 65_472, "Bytes a buffer, a multiple of 64; the client's counts"),
            LinkOption.Text("secret", "TEXT", "What the client must know, at most 24 characters"),
            LinkOption.Choice("mode", ["ethernet", "ip"], "With Ethernet headers or without; the same at both ends"),
            LinkOption.Number("mtu", 68, 65_513, "The MTU in bytes; set it at both ends"),
            LinkOption.Mac("mac", "Our address on the link; where nothing is said it follows from socket, id and role"),
            LinkOption.Flag("poll", "Whether the core looks for frames without ever sleeping"),
            LinkOption.Flag("unsealed", "Server: whether memory is taken that the client can cut off; for trusted clients only"),
        ],
        Open = Open,
        Probe = static _ => [Offer($"memif:{DefaultSocket},server")],
    };

    /// <summary>Whether a name is that of a socket, which no interface can have.</summary>
    public static bool IsSocket(string name) => name.StartsWith('@') || name.Contains('/');

    /// <summary>A link on a socket: a client where somebody listens there, else the server.</summary>
    public static LinkOffer OfferOn(string socket) => Offer($"memif:{LinkSpecification.Quote(socket)}{(MemifControl.HasServer(socket) ? "" : ",server")}");

    private static LinkOffer Offer(string line) => new() { Kind = "memif", Line = line, Mode = "shared memory, protocol 2.0", QueueCountMax = 64 };

    private static MemifLink Open(LinkSpecification line, LinkSettings settings)
    {
        var defaults = new MemifOptions();
        return MemifLink.Open(new MemifOptions
        {
            SocketPath = line.Name,
            Role = line.Flag("server") ?? false ? MemifRole.Server : MemifRole.Client,
            Id = (uint)(line.Number("id") ?? 0),
            QueueCount = line.Number("queues") ?? defaults.QueueCount,
            RingSize = line.Number("ring") ?? defaults.RingSize,
            BufferSize = line.Number("buffer") ?? defaults.BufferSize,
            Secret = line.Text("secret") ?? "",
            Medium = line.Text("mode") == "ip" ? LinkMedium.Ip : LinkMedium.Ethernet,
            Mtu = line.Number("mtu") ?? settings.Mtu ?? defaults.Mtu,
            MacAddress = line.Mac("mac"),
            Polling = line.Flag("poll") ?? false,
            AllowUnsealed = line.Flag("unsealed") ?? false,
        });
    }
}
