// What the neighbour cache keeps of a neighbour: its state in RFC 4861's words, and the entry. Values only.
using Peregrine.Core.Time;
using Peregrine.Wire;

namespace Peregrine.Core.Ip;

/// <summary>Reachability of a neighbour (RFC 4861 §7.3.2).</summary>
public enum NeighbourState : byte
{
    /// <summary>No entry, or one that nothing was sent to yet.</summary>
    None,

    /// <summary>Asked, and not answered yet; packets wait.</summary>
    Incomplete,

    /// <summary>Known to be reachable lately.</summary>
    Reachable,

    /// <summary>The address is known; whether it still answers is not, and nothing is sent to it.</summary>
    Stale,

    /// <summary>Sent to while stale; upper layers get some seconds to confirm it.</summary>
    Delay,

    /// <summary>Being asked again, by unicast.</summary>
    Probe,

    /// <summary>Set from outside: neither asked nor forgotten.</summary>
    Permanent,
}

/// <summary>A neighbour.</summary>
internal struct Neighbour
{
    public IpAddress Address;
    public MacAddress Mac;
    public Instant ReachableUntil;
    public Instant Used;          // when it was made, changed its state or was last asked for
    public int Next;              // of the hash chain, or of the free ones; index + 1
    public int QueueHead, QueueTail;   // index + 1
    public uint Generation;
    public ushort InterfaceIndex;
    public NeighbourState State;
    public byte Probes;
    public byte QueueCount;
    public bool IsRouter;
    public bool WasReachable;     // confirmed at least once: not pushed out while it is being asked again
    public bool IsUsed;
}

/// <summary>The flags of a neighbour advertisement (RFC 4861 §4.4).</summary>
[Flags]
internal enum AdvertisementFlags : byte
{
    None = 0,
    Override = 1,
    Solicited = 2,
    Router = 4,
}

/// <summary>A neighbour as tools list it.</summary>
/// <param name="InterfaceIndex">Its interface.</param>
/// <param name="Address">Its address.</param>
/// <param name="Mac">Its link-layer address, once known.</param>
/// <param name="State">Its reachability.</param>
/// <param name="IsRouter">Whether it said that it is a router.</param>
public readonly record struct NeighbourListing(int InterfaceIndex, IpAddress Address, MacAddress Mac, NeighbourState State, bool IsRouter);
