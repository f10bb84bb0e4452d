// What a link is to the stack: one control side (ILink) and one queue per core (ILinkQueue) through which bursts of frames move.
// Drivers implement it; wrappers (tracer, fault injector) implement it over another. Knows nothing of protocols.
using Peregrine.Core.Memory;
using Peregrine.Core.Time;
using Peregrine.Wire;

namespace Peregrine.Core.Links;

/// <summary>What a link can do by itself, so that the stack need not.</summary>
[Flags]
public enum LinkOffloads
{
    /// <summary>Nothing.</summary>
    None = 0,

    /// <summary>Finishes TCP and UDP checksums of frames that are sent (<see cref="FrameFlags.ChecksumUnfinished"/>).</summary>
    TransmitChecksum = 1,

    /// <summary>Says which received frames have a verified or unfinished checksum.</summary>
    ReceiveChecksum = 2,

    /// <summary>Cuts TCP super-segments over IPv4.</summary>
    SegmentTcp4 = 4,

    /// <summary>Cuts TCP super-segments over IPv6.</summary>
    SegmentTcp6 = 8,

    /// <summary>May deliver merged TCP super-segments, and UDP datagrams of one sender joined.</summary>
    ReceiveMerged = 16,

    /// <summary>
    /// Received frames may carry an unfinished checksum and cannot say so: the neighbour is a kernel on this machine, and the link sees bytes
    /// only. The stack recognizes one by its value; see docs/internals/xdp.md.
    /// </summary>
    ReceiveUnfinished = 32,

    /// <summary>
    /// Takes frames whose payload lies in pieces of the stack's memory (<see cref="FrameFlags.Gathered"/>), and has copied what it has taken when
    /// <see cref="ILinkQueue.Transmit"/> returns. Whoever drives the stack hands its output on right after <see cref="NetworkStack.Poll"/> then,
    /// before the stack is called again for anything else.
    /// </summary>
    Gather = 64,

    /// <summary>
    /// With <see cref="Gather"/>: gathers segments that are not cut as well, and finishes the checksum of whatever it gathers while it copies. For a
    /// link that sends by copying itself: so each byte is copied once on its way, from the send queue to where the peer finds it.
    /// </summary>
    GatherSegments = 128,
}

/// <summary>How frames on the link begin.</summary>
public enum LinkMedium
{
    /// <summary>With an Ethernet header.</summary>
    Ethernet,

    /// <summary>With an IP header (TUN).</summary>
    Ip,
}

/// <summary>What became of the device under a queue.</summary>
public enum LinkPresence
{
    /// <summary>It is the one that was opened.</summary>
    There,

    /// <summary>It is gone: nothing comes or goes until it is back.</summary>
    Gone,

    /// <summary>It was gone and has just been opened again; its address may be another one.</summary>
    Reopened,
}

/// <summary>A link's control side. Called from the thread that owns the network; its queues from the core that owns each.</summary>
public interface ILink : IDisposable
{
    /// <summary>A short name for people ("tap0").</summary>
    string Name { get; }

    /// <summary>With or without Ethernet headers.</summary>
    LinkMedium Medium { get; }

    /// <summary>Our address on the link; default where the medium has none. May change when the device was <see cref="LinkPresence.Reopened"/>.</summary>
    MacAddress MacAddress { get; }

    /// <summary>The largest IP packet in bytes, 68 to 65,535. May change at any time; the engine asks now and then.</summary>
    int Mtu { get; }

    /// <summary>What the link does by itself.</summary>
    LinkOffloads Offloads { get; }

    /// <summary>The largest super-segment in bytes including headers that the link takes (0 without segmentation), at most 65,535.</summary>
    int SuperSegmentMax { get; }

    /// <summary>How many queues can be opened, 1 or more.</summary>
    int QueueCount { get; }

    /// <summary>Whether there is a carrier. May change at any time; the engine asks now and then.</summary>
    bool IsUp { get; }

    /// <summary>Opens a queue. Frames received are rented from <paramref name="frames"/> and frames sent are returned to it.</summary>
    /// <param name="index">0 to <see cref="QueueCount"/> - 1, each once.</param>
    /// <param name="frames">The frame pool of the core that will own the queue; the driver may register its memory.</param>
    ILinkQueue OpenQueue(int index, FramePool frames);

    /// <summary>
    /// Neighbours and routes that the link knows from elsewhere, or null where the stack finds its own. Ask after <see cref="OnAddress"/>.
    /// </summary>
    ITableSource? Tables => null;

    /// <summary>Addresses that a network takes which names none: those of the kernel on an interface that is shared with it.</summary>
    IReadOnlyList<IpPrefix> Addresses => [];

    /// <summary>
    /// Whether a kernel uses <see cref="MacAddress"/> as well. A link-local IPv6 address made of it would be the kernel's too, so the stack makes
    /// another one (RFC 7217).
    /// </summary>
    bool SharesMacAddress => false;

    /// <summary>Who is told of the ports that listeners and UDP sockets use, or null where all ports are ours. Ask after <see cref="OnAddress"/>.</summary>
    IPortKeeper? Ports => null;

    /// <summary>The ports from which connections of ours must begin for their answers to come, or null where any will do. Ask after <see cref="OnAddress"/>.</summary>
    (ushort Min, ushort Max)? EphemeralPorts => null;

    /// <summary>
    /// Says which addresses the network has on the link, before its queue is opened. A link that shares an interface with the kernel takes what
    /// comes to them; the others take everything anyhow.
    /// </summary>
    /// <exception cref="IOException">The link cannot have that address; the message says what to do.</exception>
    void OnAddress(IpAddress address)
    {
    }
}

/// <summary>One core's side of a link. Not thread-safe.</summary>
public interface ILinkQueue : IDisposable
{
    /// <summary>Receives at most <paramref name="frames"/>.Length frames without waiting; the caller owns what was received.</summary>
    /// <returns>How many were received, from the start of the span.</returns>
    int Receive(Span<Frame> frames);

    /// <summary>Takes as many frames as it can, from the start of the span, in order, and owns them from then on.</summary>
    /// <returns>How many were taken.</returns>
    int Transmit(ReadOnlySpan<Frame> frames);

    /// <summary>Gives transmitted frames that the link has finished with back to the pool. Call once a turn.</summary>
    void Reclaim();

    /// <summary>A descriptor that poll(2) finds readable when frames wait, or -1 where there is none (then the link wakes by <see cref="SetWake"/>).</summary>
    int PollDescriptor { get; }

    /// <summary>Says that the owner is about to sleep. False when frames wait already, and the owner must not sleep.</summary>
    bool TryArm();

    /// <summary>Gives the link a function that wakes the owner from any thread; a link with a descriptor may ignore it.</summary>
    void SetWake(Action wake);

    /// <summary>
    /// Looks after the device: follows a changed MTU, and opens again what was gone and is back. Called now and then by the owner, before it asks
    /// the link anything; it may take as long as opening does.
    /// </summary>
    /// <param name="problem">While the device is gone: why, and what would bring it back; else null.</param>
    LinkPresence Follow(out string? problem)
    {
        problem = null;
        return LinkPresence.There;
    }

    /// <summary>What has happened so far.</summary>
    LinkQueueCounters Counters { get; }
}

/// <summary>What happened at a queue. Plain sums since it was opened.</summary>
public struct LinkQueueCounters
{
    /// <summary>Frames received.</summary>
    public long ReceivedFrames;

    /// <summary>Bytes received.</summary>
    public long ReceivedBytes;

    /// <summary>Frames sent.</summary>
    public long SentFrames;

    /// <summary>Bytes sent.</summary>
    public long SentBytes;

    /// <summary>System calls made.</summary>
    public long SystemCalls;

    /// <summary>Received frames dropped by the link: no chunk was free.</summary>
    public long ReceiveDroppedNoMemory;

    /// <summary>Received frames dropped by the link: truncated or malformed.</summary>
    public long ReceiveDroppedMalformed;

    /// <summary>Frames that the link refused to send: an error of the device, the link being down.</summary>
    public long SendDroppedError;

    /// <summary>Attempts to receive that failed, for another reason than that nothing waited.</summary>
    public long ReceiveErrors;
}
