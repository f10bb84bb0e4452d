// What can be chosen about an AF_PACKET link. A record, no behaviour.
using Peregrine.Wire;

namespace Peregrine.Drivers.Packet;

/// <summary>How to open an AF_PACKET link.</summary>
public sealed record PacketOptions
{
    /// <summary>Queues, 1 to 64: sockets over which the kernel spreads flows by hash (PACKET_FANOUT).</summary>
    public int QueueCount { get; init; } = 1;

    /// <summary>Whether checksums and segmentation of sent frames are left to the kernel and the card. Received frames say in any case what they are.</summary>
    public bool Offloads { get; init; } = true;

    /// <summary>Our address on the link; null is the interface's own. Another one needs <see cref="Promiscuous"/>, which it turns on.</summary>
    public MacAddress? MacAddress { get; init; }

    /// <summary>Whether the card hands over frames for other addresses too.</summary>
    public bool Promiscuous { get; init; }

    /// <summary>Whether sent frames pass by the interface's queueing discipline: faster, and nobody shapes them or waits when the card is full.</summary>
    public bool BypassQdisc { get; init; }

    /// <summary>Bytes that may wait in the kernel for a queue, 64 KiB to 1 GiB. The kernel counts its own overhead too.</summary>
    public int BufferBytes { get; init; } = 8 << 20;

    /// <summary>
    /// Ports that are ours on addresses which the kernel has as well. With any, nothing else of TCP and UDP comes here, the kernel is kept from
    /// answering on these ports, and its own programs cannot take them. Without, all that arrives comes here: then our addresses must not be the kernel's.
    /// </summary>
    public IReadOnlyList<PortRange> Ports { get; init; } = [];

    /// <summary>The MTU in bytes where it is to be smaller than the interface's.</summary>
    public int? Mtu { get; init; }

    /// <summary>Whether the interface is set up.</summary>
    public bool BringUp { get; init; }

    /// <summary>The namespace of the interface, a name of <c>ip netns</c> or a path; null is the calling thread's.</summary>
    public string? NetworkNamespace { get; init; }
}
