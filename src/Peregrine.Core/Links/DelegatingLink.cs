// What a wrapper of a link says of itself: what the wrapped link says. A wrapper derives from it and opens its own queues.
using Peregrine.Core.Memory;
using Peregrine.Wire;

namespace Peregrine.Core.Links;

/// <summary>A link over another one, which is disposed with it.</summary>
public abstract class DelegatingLink : ILink
{
    /// <summary>Wraps <paramref name="inner"/>.</summary>
    /// <param name="inner">The link that everything is handed on to.</param>
    protected DelegatingLink(ILink inner)
    {
        ArgumentNullException.ThrowIfNull(inner);
        Inner = inner;
    }

    /// <inheritdoc/>
    public string Name => Inner.Name;

    /// <inheritdoc/>
    public LinkMedium Medium => Inner.Medium;

    /// <inheritdoc/>
    public MacAddress MacAddress => Inner.MacAddress;

    /// <inheritdoc/>
    public int Mtu => Inner.Mtu;

    /// <summary>What the wrapped link does, but for gathering: wrappers look at frames' chunks.</summary>
    public LinkOffloads Offloads => Inner.Offloads & ~(LinkOffloads.Gather | LinkOffloads.GatherSegments);

    /// <inheritdoc/>
    public int SuperSegmentMax => Inner.SuperSegmentMax;

    /// <inheritdoc/>
    public int QueueCount => Inner.QueueCount;

    /// <inheritdoc/>
    public bool IsUp => Inner.IsUp;

    /// <inheritdoc/>
    public ITableSource? Tables => Inner.Tables;

    /// <inheritdoc/>
    public IReadOnlyList<IpPrefix> Addresses => Inner.Addresses;

    /// <inheritdoc/>
    public bool SharesMacAddress => Inner.SharesMacAddress;

    /// <inheritdoc/>
    public IPortKeeper? Ports => Inner.Ports;

    /// <inheritdoc/>
    public (ushort Min, ushort Max)? EphemeralPorts => Inner.EphemeralPorts;

    /// <summary>The wrapped link.</summary>
    protected ILink Inner { get; }

    /// <inheritdoc/>
    public void OnAddress(IpAddress address) => Inner.OnAddress(address);

    /// <inheritdoc/>
    public abstract ILinkQueue OpenQueue(int index, FramePool frames);

    /// <summary>Disposes of the queues and of the wrapped link.</summary>
    public abstract void Dispose();
}
