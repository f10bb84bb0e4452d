// A kind of link: one entry per driver in LinkKinds. What it is called, what may be said about it, how it is opened, and how a machine
// is asked whether it has it.
using Peregrine.Core.Links;
using Peregrine.Wire;

namespace Peregrine.Drivers;

/// <summary>Whether something stands behind the colon.</summary>
public enum LinkNameRule
{
    /// <summary>A name must be given.</summary>
    Required,

    /// <summary>A name may be given; an option can stand for it.</summary>
    Optional,

    /// <summary>There is nothing to name.</summary>
    None,
}

/// <summary>A kind of link.</summary>
public sealed class LinkKind
{
    /// <summary>The word before the colon.</summary>
    public required string Name { get; init; }

    /// <summary>How a link of this kind is written, for help texts: "tap:NAME".</summary>
    public required string Form { get; init; }

    /// <summary>What it is, in a line.</summary>
    public required string Help { get; init; }

    /// <summary>Whether it has a name.</summary>
    public LinkNameRule NameRule { get; init; }

    /// <summary>Its options, in the order of the help.</summary>
    public IReadOnlyList<LinkOption> Options { get; init; } = [];

    /// <summary>
    /// Opens a link. Throws <see cref="ArgumentException"/>, <see cref="UnauthorizedAccessException"/> or <see cref="IOException"/> with a
    /// message that says what to do.
    /// </summary>
    public required Func<LinkSpecification, LinkSettings, ILink> Open { get; init; }

    /// <summary>
    /// Opens the descriptors of all queues anew, in order, when the interface went and came back; null where no right is needed for that. May
    /// run in another process than the link's, so it knows nothing but what it is given.
    /// </summary>
    internal Func<LinkReopening, int[]>? Reopen { get; init; }

    /// <summary>
    /// Asks the machine what it offers of this kind: at least one offer, which may be "not available, because". Changes nothing that lasts,
    /// throws nothing, and takes no longer than a second.
    /// </summary>
    public required Func<MachineFacts, IEnumerable<LinkOffer>> Probe { get; init; }
}

/// <summary>What is said about a link beside its line: by a command's other options, or by the program. What the line itself says wins.</summary>
public sealed record LinkSettings
{
    /// <summary>Addresses that the kernel's side of a TAP or TUN device gets; other kinds have no such side and ignore them.</summary>
    public IReadOnlyList<IpPrefix> KernelAddresses { get; init; } = [];

    /// <summary>Whether the kernel's side, or the interface, is set up.</summary>
    public bool BringUp { get; init; }

    /// <summary>The network namespace of the interface, a name of <c>ip netns</c> or a path; null is the calling thread's.</summary>
    public string? NetworkNamespace { get; init; }

    /// <summary>Whether checksums and segmentation are left to the link where it can. Off for looking at real segments.</summary>
    public bool Offloads { get; init; } = true;

    /// <summary>The MTU in bytes that is wanted, or null for what the link has.</summary>
    public int? Mtu { get; init; }

    /// <summary>Who opens the link's descriptors anew when its interface went and came back; null for this process itself.</summary>
    public LinkOpener? Opener { get; init; }

    /// <summary>Is told which offer <c>auto</c> took, once it is open.</summary>
    public Action<LinkOffer>? Chosen { get; init; }
}

/// <summary>What a machine offers: a link that can be opened, or the reason why it cannot.</summary>
public sealed record LinkOffer
{
    /// <summary>The kind's word.</summary>
    public required string Kind { get; init; }

    /// <summary>The line that opens it: "packet:eth0".</summary>
    public required string Line { get; init; }

    /// <summary>Whether opening it would work.</summary>
    public bool IsAvailable => Reason is null;

    /// <summary>Why it is not available, or null when it is.</summary>
    public string? Reason { get; init; }

    /// <summary>What to do so that it becomes available, or null.</summary>
    public string? Remedy { get; init; }

    /// <summary>How it would work: "native, copy", "rings, vnet header".</summary>
    public string Mode { get; init; } = "";

    /// <summary>How many queues can be had, 1 or more.</summary>
    public int QueueCountMax { get; init; } = 1;

    /// <summary>What the link does by itself.</summary>
    public LinkOffloads Offloads { get; init; }

    /// <summary>Whether the kernel has addresses on that interface, so that it carries the machine's own traffic: <c>auto</c> without a name leaves it alone.</summary>
    public bool IsKernels { get; init; }

    /// <summary>
    /// How good it is, for <c>auto</c>: higher is better, 0 is never taken by itself. Of one interface: 40 DPDK, 30 AF_XDP native, 20 AF_PACKET,
    /// 10 AF_XDP generic.
    /// </summary>
    public int Rank { get; init; }
}
