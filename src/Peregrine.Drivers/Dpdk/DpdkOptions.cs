// What can be chosen about a link over DPDK. Checks its ranges, no other behaviour.
using Peregrine.Wire;

namespace Peregrine.Drivers.Dpdk;

/// <summary>Where the bytes of a frame lie while DPDK has it.</summary>
public enum DpdkBuffers
{
    /// <summary>What is known to be good for the driver.</summary>
    Automatic,

    /// <summary>In the core's own frame memory, which the device reads and writes: nothing is copied.</summary>
    Own,

    /// <summary>In DPDK's memory: each frame is copied once.</summary>
    Copied,
}

/// <summary>How to open a link over a port of DPDK.</summary>
public sealed record DpdkOptions
{
    /// <summary>The device's own arguments, as its driver's documentation has them: "iface=eth0".</summary>
    public IReadOnlyList<string> DeviceArguments { get; init; } = [];

    /// <summary>Queues, 1 to 64. The device spreads flows over them by hash. Frames move when all of them are open.</summary>
    public int QueueCount { get; init; } = 1;

    /// <summary>The MTU in bytes, 68 to 9,600; null leaves the device's own.</summary>
    public int? Mtu { get; init; }

    /// <summary>Our address; null takes the device's. Another than the device's makes it promiscuous.</summary>
    public MacAddress? MacAddress { get; init; }

    /// <summary>Whether all frames are taken, not only those to our address.</summary>
    public bool Promiscuous { get; init; }

    /// <summary>Whether the device sums, cuts and tags where it can.</summary>
    public bool Offloads { get; init; } = true;

    /// <summary>Where frames lie.</summary>
    public DpdkBuffers Buffers { get; init; } = DpdkBuffers.Automatic;

    /// <summary>Descriptors of each ring, 32 to 4,096; the device may correct it. A quarter of the frame pool at most is lent to the device.</summary>
    public int RingFrames { get; init; } = 512;

    /// <summary>The hash key for several queues, as long as the device's (40 or 52 bytes mostly); null leaves the device's.</summary>
    public IReadOnlyList<byte>? HashKey { get; init; }

    /// <summary>Arguments for rte_eal_init, separated by blanks; the first link of a process decides.</summary>
    public string? EalArguments { get; init; }

    /// <summary>The network namespace in which the device is made and asked, a name of <c>ip netns</c> or a path; null is the calling thread's.</summary>
    public string? NetworkNamespace { get; init; }

    internal void Check()
    {
        if (QueueCount is < 1 or > 64) throw Bad(nameof(QueueCount), $"{QueueCount}", "1 to 64");
        if (Mtu is < 68 or > 9600) throw Bad(nameof(Mtu), $"{Mtu}", "68 to 9600 bytes");
        if (RingFrames is < 32 or > 4096) throw Bad(nameof(RingFrames), $"{RingFrames}", "32 to 4096");
    }

    private static ArgumentException Bad(string key, string value, string range) => new($"dpdk: {key} is '{value}'; it must be {range}.");
}
