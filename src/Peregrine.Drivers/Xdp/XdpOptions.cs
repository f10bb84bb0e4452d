// What can be chosen about an AF_XDP link. Records and enums, no behaviour but the checks of ranges.
using Peregrine.Wire;

namespace Peregrine.Drivers.Xdp;

/// <summary>Where the XDP program runs.</summary>
public enum XdpMode
{
    /// <summary>In the driver where it can, else generically.</summary>
    Auto,

    /// <summary>In the driver, before the kernel makes a packet of the frame.</summary>
    Native,

    /// <summary>Behind the driver, on the kernel's packets: works with every interface and is slower.</summary>
    Generic,
}

/// <summary>Whether frames are copied between the card's memory and ours.</summary>
public enum XdpCopy
{
    /// <summary>Not copied where the driver can do without, else copied.</summary>
    Auto,

    /// <summary>Copied by the kernel.</summary>
    Copy,

    /// <summary>Never copied; refused where the driver cannot.</summary>
    ZeroCopy,
}

/// <summary>How to open an AF_XDP link.</summary>
public sealed record XdpOptions
{
    /// <summary>Where the program runs.</summary>
    public XdpMode Mode { get; init; } = XdpMode.Auto;

    /// <summary>Whether frames are copied.</summary>
    public XdpCopy Copy { get; init; } = XdpCopy.Auto;

    /// <summary>What of the interface's traffic is ours from the start; <see cref="XdpLink.Steering"/> changes it later.</summary>
    public XdpTraffic Traffic { get; init; } = new();

    /// <summary>Queues, 1 to 64: as many as cores that will open one. The card must have them (<c>ethtool -l</c>); what comes on others is the kernel's.</summary>
    public int QueueCount { get; init; } = 1;

    /// <summary>The card's queue that is our first.</summary>
    public int FirstQueue { get; init; }

    /// <summary>Entries of the receive and the transmit ring of a queue, a power of two from 64 to 32,768.</summary>
    public int RingFrames { get; init; } = 2_048;

    /// <summary>Whether the kernel says when it needs a system call; without, there is one for each burst that is sent.</summary>
    public bool NeedWakeup { get; init; } = true;

    /// <summary>Whether frames longer than a chunk are taken and sent in several (Linux 6.6 and a driver that can).</summary>
    public bool MultiBuffer { get; init; } = true;

    /// <summary>Whether checksums of sent frames may be left to the kernel or the card (Linux 6.8; in copy mode every driver can).</summary>
    public bool TransmitChecksum { get; init; } = true;

    /// <summary>
    /// Whether received frames may carry an unfinished checksum, which is recognized by its value; null: on interfaces whose neighbour may be a
    /// kernel on the same machine (veth, virtio, TAP).
    /// </summary>
    public bool? UnfinishedChecksums { get; init; }

    /// <summary>Microseconds for which the kernel looks at the card itself on our behalf instead of by interrupts (SO_BUSY_POLL), 0 to 1,000; 0 is off.</summary>
    public int BusyPollUs { get; init; }

    /// <summary>Frames that such a look may take (SO_BUSY_POLL_BUDGET), 1 to 1,024.</summary>
    public int BusyPollFrames { get; init; } = 64;

    /// <summary>The namespace of the interface, a name of <c>ip netns</c> or a path; null is the calling thread's.</summary>
    public string? NetworkNamespace { get; init; }

    /// <summary>Checks every range.</summary>
    /// <exception cref="ArgumentException">A setting is out of its range; the message names setting, value and range.</exception>
    public void Validate()
    {
        Range(nameof(QueueCount), QueueCount, 1, 64);
        Range(nameof(FirstQueue), FirstQueue, 0, 4_095);
        Range(nameof(RingFrames), RingFrames, 64, 32_768);
        if ((RingFrames & (RingFrames - 1)) != 0) throw new ArgumentException($"{nameof(RingFrames)} is {RingFrames}; it must be a power of two from 64 to 32768.");
        Range(nameof(BusyPollUs), BusyPollUs, 0, 1_000);
        Range(nameof(BusyPollFrames), BusyPollFrames, 1, 1_024);
        if (Mode == XdpMode.Generic && Copy == XdpCopy.ZeroCopy)
            throw new ArgumentException("A generic program works on the kernel's packets, which are always copied: take native mode, or copy mode.");
        ArgumentNullException.ThrowIfNull(Traffic);
    }

    private static void Range(string name, int value, int min, int max)
    {
        if (value < min || value > max) throw new ArgumentException($"{name} is {value}; it must be from {min} to {max}.");
    }
}

/// <summary>Which of an interface's traffic is ours. What is not stays the kernel's.</summary>
public sealed record XdpTraffic
{
    /// <summary>Everything that arrives, whatever it is: the interface is ours alone.</summary>
    public bool All { get; init; }

    /// <summary>Addresses that only we have. All that comes to them is ours, and so are ARP and neighbour discovery about them.</summary>
    public IReadOnlyList<IpAddress> OwnAddresses { get; init; } = [];

    /// <summary>
    /// Addresses that the kernel has as well: <see cref="TcpPorts"/> and <see cref="UdpPorts"/> of them are ours, with ICMP errors about them and
    /// their fragments. ARP, neighbour discovery, ping and all else stays the kernel's.
    /// </summary>
    public IReadOnlyList<IpAddress> SharedAddresses { get; init; } = [];

    /// <summary>TCP ports of the shared addresses.</summary>
    public IReadOnlyList<PortRange> TcpPorts { get; init; } = [];

    /// <summary>UDP ports of the shared addresses.</summary>
    public IReadOnlyList<PortRange> UdpPorts { get; init; } = [];

    /// <summary>Turns the meaning of the ports around: those listed stay the kernel's, and all others are ours.</summary>
    public bool AllBut { get; init; }
}
