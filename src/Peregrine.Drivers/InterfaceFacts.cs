// What the kernel says about one of its interfaces. A record, no behaviour.
using Peregrine.Wire;

namespace Peregrine.Drivers;

/// <summary>One interface of the kernel, as rtnetlink describes it.</summary>
public sealed record InterfaceFacts
{
    /// <summary>The name.</summary>
    public required string Name { get; init; }

    /// <summary>The number, 1 or more.</summary>
    public required int Index { get; init; }

    /// <summary>The kind of a virtual interface ("veth", "tun", "bridge"), or empty for a card.</summary>
    public string Kind { get; init; } = "";

    /// <summary>The hardware address, or default.</summary>
    public MacAddress MacAddress { get; init; }

    /// <summary>The largest packet in bytes.</summary>
    public int Mtu { get; init; }

    /// <summary>Whether it is the loopback interface.</summary>
    public bool IsLoopback { get; init; }

    /// <summary>Whether it begins frames with Ethernet headers.</summary>
    public bool IsEthernet { get; init; }

    /// <summary>Whether it was set up.</summary>
    public bool IsUp { get; init; }

    /// <summary>Whether it is up and has its carrier.</summary>
    public bool IsRunning { get; init; }

    /// <summary>Receive queues.</summary>
    public int ReceiveQueueCount { get; init; } = 1;

    /// <summary>Transmit queues.</summary>
    public int TransmitQueueCount { get; init; } = 1;

    /// <summary>Frames that the kernel has received on it, as <c>ip -s link</c> shows them.</summary>
    public long ReceivedFrames { get; init; }

    /// <summary>Frames that the kernel has sent on it.</summary>
    public long SentFrames { get; init; }

    /// <summary>Whether the kernel has addresses on it, link-local ones aside.</summary>
    public bool HasAddress { get; init; }

    /// <summary>Whether an XDP program is attached.</summary>
    public bool HasXdpProgram { get; init; }
}
