// A link over memif: packets through memory shared with another process on this machine (VPP, a DPDK program, another Peregrine), without
// a system call a frame. The control side: what the link is, its queues, and the thread that keeps it connected.
using System.Threading;
using Peregrine.Core.Links;
using Peregrine.Core.Memory;
using Peregrine.Wire;

namespace Peregrine.Drivers.Memif;

/// <summary>
/// One end of a memif connection (protocol 2.0). It is up while a peer is connected; a peer that dies or restarts takes it down until it
/// is back. memif describes no offloads: checksums are done in software on both sides, and frames are at most the MTU long.
/// </summary>
public sealed class MemifLink : ILink
{
    private const int LinkHeaderMax = 22;

    private readonly MemifQueue?[] _queues;
    private readonly Lock _lock = new();
    private readonly MemifControl _control;
    private MemifSession? _session;

    private MemifLink(MemifOptions options)
    {
        Options = options;
        Name = "memif" + options.Id.ToString(System.Globalization.CultureInfo.InvariantCulture);
        MacAddress = options.Medium == LinkMedium.Ethernet ? options.MacAddress ?? DeriveAddress(options) : default;
        Limits = new MemifLimits(options.Medium, options.Medium == LinkMedium.Ethernet ? 14 : 1, options.Mtu + (options.Medium == LinkMedium.Ethernet ? LinkHeaderMax : 0));
        _queues = new MemifQueue?[options.QueueCount];
        _control = new MemifControl(this);
    }

    /// <summary>What the link was opened with.</summary>
    public MemifOptions Options { get; }

    /// <inheritdoc/>
    public string Name { get; }

    /// <inheritdoc/>
    public LinkMedium Medium => Options.Medium;

    /// <inheritdoc/>
    public MacAddress MacAddress { get; }

    /// <inheritdoc/>
    public int Mtu => Options.Mtu;

    /// <summary>Gathering: what is sent is copied into the shared memory anyhow. memif has no description of checksums or segments.</summary>
    public LinkOffloads Offloads => LinkOffloads.Gather | LinkOffloads.GatherSegments;

    /// <inheritdoc/>
    public int SuperSegmentMax => 0;

    /// <inheritdoc/>
    public int QueueCount => _queues.Length;

    /// <summary>Whether a peer is connected.</summary>
    public bool IsUp => _control.IsConnected;

    /// <summary>What is so, for people: the peer's name, or why there is none.</summary>
    public string State => _control.State;

    /// <summary>How often a peer has connected since the link was opened.</summary>
    public long ConnectionCount => _control.SessionCount;

    internal MemifLimits Limits { get; }

    /// <summary>The session that queues are offered, or none. For tests, which play the hostile peer in its memory.</summary>
    internal MemifSession? Session
    {
        get
        {
            lock (_lock) return _session;
        }
    }

    /// <summary>
    /// Opens an end. A server listens from now on; a client connects, and tries again for as long as there is no server.
    /// </summary>
    /// <exception cref="ArgumentException">An option is out of its range.</exception>
    /// <exception cref="UnauthorizedAccessException">The socket may not be made or connected to; the message says what to do.</exception>
    /// <exception cref="IOException">The socket is in use or cannot be had.</exception>
    public static MemifLink Open(MemifOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        options.Validate();
        return new MemifLink(options);
    }

    /// <inheritdoc/>
    public ILinkQueue OpenQueue(int index, FramePool frames)
    {
        lock (_lock)
        {
            QueueGuard.Check(Name, _queues, index, frames);
            var queue = _queues[index] = new MemifQueue(this, index, frames);
            queue.Offer(_session);
            return queue;
        }
    }

    /// <summary>Ends the connection, closes queues and socket. Call when its engines no longer run.</summary>
    public void Dispose()
    {
        _control.Dispose();
        foreach (var queue in _queues) queue?.Dispose();
    }

    internal void OfferToAll(MemifSession? session)
    {
        lock (_lock)
        {
            _session = session;
            foreach (var queue in _queues) queue?.Offer(session);
        }
    }

    // Stable over restarts, locally administered, and never the same at both ends.
    private static MacAddress DeriveAddress(MemifOptions options)
    {
        var hash = 0xCBF2_9CE4_8422_2325;
        foreach (var letter in $"{options.SocketPath}/{options.Id}") hash = (hash ^ letter) * 0x100_0000_01B3;
        return new MacAddress(0x0200_0000_0000 | (hash >> 24 & 0xFF_FFFF_FFFE) | (options.Role == MemifRole.Server ? 1UL : 0));
    }
}
