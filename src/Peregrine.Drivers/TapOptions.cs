// What can be chosen about a TAP or TUN link. A record, no behaviour.
using Peregrine.Core.Links;
using Peregrine.Wire;

namespace Peregrine.Drivers;

/// <summary>How to open a TAP link, and how to configure the kernel's side of it.</summary>
public sealed record TapOptions
{
    /// <summary><see cref="LinkMedium.Ethernet"/> opens a TAP device, <see cref="LinkMedium.Ip"/> a TUN device.</summary>
    public LinkMedium Medium { get; init; } = LinkMedium.Ethernet;

    /// <summary>Our address on the link; by default a locally administered one that follows from the device's name.</summary>
    public MacAddress? MacAddress { get; init; }

    /// <summary>The MTU in bytes, 68 to 65,521, set on the kernel's side too; null leaves it as it is (1,500 for a new device).</summary>
    public int? Mtu { get; init; }

    /// <summary>Whether checksums and segmentation are left to whoever needs them, in both directions. Off for looking at real segments.</summary>
    public bool Offloads { get; init; } = true;

    /// <summary>Queues, 1 to 64. More than one makes the kernel spread flows over them by hash.</summary>
    public int QueueCount { get; init; } = 1;

    /// <summary>Addresses that the kernel's side gets, with prefix lengths.</summary>
    public IReadOnlyList<IpPrefix> KernelAddresses { get; init; } = [];

    /// <summary>Whether the kernel's side is set up. Off where somebody else configures it.</summary>
    public bool BringUp { get; init; }

    /// <summary>Whether the device stays when the link is closed.</summary>
    public bool Persist { get; init; }

    /// <summary>The namespace in which the device is opened or made, a name of <c>ip netns</c> or a path; null is the calling thread's.</summary>
    public string? NetworkNamespace { get; init; }
}
