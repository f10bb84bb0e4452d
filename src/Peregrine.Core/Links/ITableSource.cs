// Neighbours and routes that somebody else keeps, as a link that shares its interface with the kernel has them: changes to be read and
// applied to the stack's own tables. Says nothing of where they come from.
using Peregrine.Wire;

namespace Peregrine.Core.Links;

/// <summary>What a change is about.</summary>
public enum TableChangeKind
{
    /// <summary>A neighbour: an address on the link and its hardware address.</summary>
    Neighbour,

    /// <summary>A route: a prefix and perhaps a gateway.</summary>
    Route,
}

/// <summary>A change of a table.</summary>
/// <param name="Kind">What it is about.</param>
/// <param name="IsRemoved">Whether it is no longer there.</param>
/// <param name="Prefix">The neighbour's address, or where the route leads.</param>
/// <param name="Gateway">The route's next hop, or unspecified.</param>
/// <param name="MacAddress">The neighbour's hardware address.</param>
/// <param name="Metric">Of two routes with the same prefix the smaller wins.</param>
public readonly record struct TableChange(TableChangeKind Kind, bool IsRemoved, IpPrefix Prefix, IpAddress Gateway, MacAddress MacAddress, uint Metric);

/// <summary>A source of changes. Used by the core that owns the link's first queue, and by no other thread.</summary>
public interface ITableSource
{
    /// <summary>A descriptor that poll(2) finds readable when changes wait.</summary>
    int PollDescriptor { get; }

    /// <summary>Reads changes without waiting: at first all that there is, later what is new.</summary>
    /// <returns>How many were read, from the start of the span; fewer than it holds when nothing more waits.</returns>
    int Read(Span<TableChange> changes);
}
