// Making one AF_XDP socket: registering the frame pool's memory, mapping the rings, binding, with fallbacks where a kernel or driver lacks
// something. What it became stands in a record. Moves no frames.
using Peregrine.Core.Memory;
using Peregrine.Drivers.Linux;

namespace Peregrine.Drivers.Xdp;

/// <summary>What a socket can do, as it was bound.</summary>
internal readonly record struct XdpAbilities(bool ZeroCopy, bool MultiBuffer, bool TransmitMetadata, bool SaysWakeup, string? CopyReason);

/// <summary>Where a socket is bound, and the memory of its frames: with another socket's registration, or registered by this one.</summary>
internal readonly record struct XdpPlace(int InterfaceIndex, int Queue, bool IsNative, ChunkPool Chunks, int Headroom, XdpSocket? Shared)
{
    /// <summary>Who registers memory that has a descriptor, since it may lock more than this process; null for the process itself.</summary>
    public XdpRegistrar? Registrar { get; init; }
}

/// <summary>Registers a memory descriptor's bytes with a socket; the address in the registration counts from where they begin.</summary>
internal delegate PosixResult XdpRegistrar(int socket, int memory, in XdpUmemRegistration registration);

internal sealed unsafe class XdpSocket : IDisposable
{
    // The ring headers and the entries follow the offsets that the kernel gives; a completion ring as large as the transmit ring never overflows.
    private const int RingCount = 4;

    // Frames of a sendto in copy mode before Linux 6.18; a larger budget saves system calls where it can be set.
    private const int SendBufferBytes = 64 << 20;

    // Together about a second.
    private const int BusyAttempts = 400, BusyWaitMs = 2;

    private readonly (nint Address, nuint Length)[] _maps = new (nint, nuint)[RingCount];

    private XdpSocket(int descriptor, int interfaceIndex, int queue)
    {
        (Descriptor, InterfaceIndex, Queue) = (descriptor, interfaceIndex, queue);
    }

    public int Descriptor { get; private set; }

    public int InterfaceIndex { get; }

    public int Queue { get; }

    public XdpAbilities Abilities { get; private set; }

    public XdpRingMemory Receive { get; private set; }

    public XdpRingMemory Transmit { get; private set; }

    public XdpRingMemory Fill { get; private set; }

    public XdpRingMemory Completion { get; private set; }

    /// <summary>A socket as yet without memory and queue, tuned as far as that takes rights.</summary>
    /// <exception cref="UnauthorizedAccessException">It is not permitted.</exception>
    /// <exception cref="IOException">The kernel refused; the message says what to do.</exception>
    public static int Create(XdpOptions options)
    {
        var opened = Posix.Socket(XdpNumbers.Family, LinuxConstants.SocketRaw, 0);
        if (opened.Errno is Errno.EPERM or Errno.EACCES)
            throw new UnauthorizedAccessException("no permission to open an AF_XDP socket: run as root, or with CAP_NET_RAW, CAP_NET_ADMIN and CAP_BPF");
        if (opened.Errno is Errno.EAFNOSUPPORT) throw new IOException("this kernel is built without AF_XDP (CONFIG_XDP_SOCKETS): use --link packet:… instead");
        var socket = opened.ThrowIfError("cannot open an AF_XDP socket").Int32;
        // All of these only help; an older kernel, or a process that lacks CAP_NET_ADMIN, does without.
        XdpCalls.Set(socket, XdpNumbers.SocketLevel, XdpNumbers.SendBufferForce, SendBufferBytes);
        if (options.BusyPollUs == 0) return socket;
        XdpCalls.Set(socket, XdpNumbers.SocketLevel, XdpNumbers.PreferBusyPoll, 1);
        XdpCalls.Set(socket, XdpNumbers.SocketLevel, XdpNumbers.BusyPoll, options.BusyPollUs);
        XdpCalls.Set(socket, XdpNumbers.SocketLevel, XdpNumbers.BusyPollBudget, options.BusyPollFrames);
        return socket;
    }

    /// <summary>Opens and binds a socket, in the best way that the kernel and the driver have.</summary>
    /// <exception cref="IOException">The kernel refused; the message says what to do.</exception>
    public static XdpSocket Open(in XdpPlace place, XdpOptions options)
    {
        Check(place.Chunks);
        var tried = Attempt(place, options, zeroCopy: place.IsNative && options.Copy != XdpCopy.Copy, out var error);
        if (tried is not null) return tried;
        if (!place.IsNative || options.Copy != XdpCopy.Auto) throw Refused(place, options, error);
        var reason = Why(error);
        tried = Attempt(place, options, zeroCopy: false, out error) ?? throw Refused(place, options, error);
        tried.Abilities = tried.Abilities with { CopyReason = reason };
        return tried;
    }

    /// <summary>
    /// Binds a socket that somebody with rights has made (<see cref="Create"/>) and that is owned from now on, in the way that worked before:
    /// a socket registers its memory once, so it is good for one attempt.
    /// </summary>
    /// <exception cref="IOException">The kernel refused; the message says what to do.</exception>
    public static XdpSocket OpenGiven(int descriptor, in XdpPlace place, XdpOptions options, XdpAbilities before)
    {
        var socket = new XdpSocket(descriptor, place.InterfaceIndex, place.Queue);
        try
        {
            var result = socket.Bind(place, options, before with { TransmitMetadata = before.TransmitMetadata && options.TransmitChecksum });
            return result.IsError ? throw Refused(place, options, result.Errno) : socket;
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }

    public PosixResult ReadStatistics(out XdpStatistics statistics) => XdpCalls.Get(Descriptor, XdpNumbers.Statistics, out statistics);

    public void Dispose()
    {
        foreach (ref var map in _maps.AsSpan())
        {
            if (map.Address != 0) Posix.Unmap(map.Address, map.Length);
            map = default;
        }
        if (Descriptor >= 0) Posix.Close(Descriptor);
        Descriptor = -1;
    }

    // The kernel's rule (Linux 6.18, xdp_umem_reg): chunks of 2,048 bytes to a page, a power of two, unless unaligned. The pool's chunks are
    // powers of two already, so unaligned mode would gain nothing.
    private static void Check(ChunkPool chunks)
    {
        if (chunks.ChunkSize < 2_048 || (nuint)chunks.ChunkSize > Posix.PageSize)
            throw new IOException($"FrameSizeBytes is {chunks.ChunkSize}; an XDP link needs frames of 2048 to {Posix.PageSize} bytes");
    }

    private static XdpSocket? Attempt(in XdpPlace place, XdpOptions options, bool zeroCopy, out Errno error)
    {
        error = Errno.None;
        var sums = options.TransmitChecksum && (!zeroCopy || FinishesChecksums(DeviceFeatures.TryReadAll(), place.InterfaceIndex));
        // What is newest is given up first: metadata (6.8), then several chunks a frame (6.6), then wake-ups on demand (5.4).
        foreach (var (metadata, multiBuffer, wakeup) in ((bool, bool, bool)[])[(true, true, true), (false, true, true), (false, false, true), (false, false, false)])
        {
            if ((metadata && !sums) || (multiBuffer && !options.MultiBuffer)) continue;
            if (place.Shared?.Abilities is { } same && (metadata != same.TransmitMetadata || multiBuffer != same.MultiBuffer)) continue;
            var socket = new XdpSocket(Create(options), place.InterfaceIndex, place.Queue);
            var result = socket.Bind(place, options, new XdpAbilities(zeroCopy, multiBuffer, metadata, wakeup && options.NeedWakeup, null));
            if (!result.IsError) return socket;
            error = result.Errno;
            socket.Dispose();
            if (error is not (Errno.EINVAL or Errno.EOPNOTSUPP)) return null;
        }
        return null;
    }

    /// <summary>
    /// Whether the metadata of frames that are sent without a copy may ask for a checksum. In copy mode the kernel itself serves that, whatever the driver
    /// has; here a driver that does not announce it would send the frame unfinished.
    /// </summary>
    internal static bool FinishesChecksums(IReadOnlyDictionary<int, DeviceFeatures>? features, int interfaceIndex) =>
        features is not null && features.TryGetValue(interfaceIndex, out var has) && has.FinishesChecksums;

    private static IOException Refused(in XdpPlace place, XdpOptions options, Errno error) => new(
        $"cannot bind an AF_XDP socket to queue {place.Queue} of interface {place.InterfaceIndex} ({(options.Copy == XdpCopy.ZeroCopy ? "zero-copy" : "copy")} mode): {Why(error)}",
        (int)error);

    private static string Why(Errno error) => error switch
    {
        Errno.EOPNOTSUPP => "the driver cannot do without copies (EOPNOTSUPP)",
        Errno.EINVAL => "there is no such queue, or the driver refuses the mode (EINVAL); 'ethtool -l' lists queues",
        Errno.EBUSY => "the queue has an AF_XDP socket already (EBUSY): stop the other program, or take another queue",
        Errno.ENOBUFS or Errno.ENOMEM => "the memory may not be locked: raise the limit (ulimit -l), or give CAP_IPC_LOCK",
        Errno.ENETDOWN => "the interface is down (ENETDOWN): 'ip link set … up'",
        _ => PosixResult.Describe(error),
    };

    private PosixResult Bind(in XdpPlace place, XdpOptions options, in XdpAbilities wanted)
    {
        var result = Prepare(place, options, wanted.TransmitMetadata);
        var flags = (ushort)((wanted.ZeroCopy ? XdpNumbers.BindZeroCopy : place.IsNative ? XdpNumbers.BindCopy : 0)
            | (wanted.MultiBuffer ? XdpNumbers.BindMultiBuffer : 0) | (wanted.SaysWakeup ? XdpNumbers.BindNeedWakeup : 0));
        // The kernel gives a closed socket's queue free in a work queue: whoever opens it again at once finds it busy for a moment.
        for (var attempt = 0; !result.IsError; attempt++)
        {
            result = BindOnce(flags, place.Shared);
            if (result.Errno != Errno.EBUSY || attempt == BusyAttempts) break;
            result = default;
            Thread.Sleep(BusyWaitMs);
        }
        if (result.IsError) return result;
        Abilities = wanted with { ZeroCopy = IsZeroCopy() };
        // Only helps, on a kernel that has it.
        XdpCalls.Set(Descriptor, XdpNumbers.Level, XdpNumbers.TransmitBudget, options.RingFrames);
        return result;
    }

    private PosixResult Prepare(in XdpPlace place, XdpOptions options, bool metadata)
    {
        var chunks = place.Chunks;
        if (place.Shared is null)
        {
            var memory = place.Registrar is null ? -1 : chunks.Region.Descriptor;
            var registration = new XdpUmemRegistration
            {
                Address = memory < 0 ? (ulong)chunks.Base : (ulong)(chunks.Base - chunks.Region.Base),
                Length = (ulong)chunks.Count * (ulong)chunks.ChunkSize,
                ChunkSize = (uint)chunks.ChunkSize,
                Headroom = (uint)place.Headroom,
                Flags = metadata ? XdpNumbers.UmemHasMetadata : 0,
                MetadataLength = metadata ? (uint)XdpTransmitMetadata.Size : 0,
            };
            var registered = memory < 0 ? XdpCalls.Set(Descriptor, XdpNumbers.Level, XdpNumbers.RegisterUmem, registration) : place.Registrar!(Descriptor, memory, registration);
            if (registered.IsError) return registered;
        }
        var count = (uint)options.RingFrames;
        foreach (var ring in (int[])[XdpNumbers.FillRing, XdpNumbers.CompletionRing, XdpNumbers.ReceiveRing, XdpNumbers.TransmitRing])
        {
            var made = XdpCalls.Set(Descriptor, XdpNumbers.Level, ring, count);
            if (made.IsError) return made;
        }
        return MapRings(options.RingFrames);
    }

    private PosixResult MapRings(int count)
    {
        var got = XdpCalls.Get(Descriptor, XdpNumbers.MapOffsets, out XdpMapOffsets offsets);
        if (got.IsError) return got;
        Receive = Map(0, offsets.Receive, count, sizeof(XdpDescriptor), XdpNumbers.ReceiveRingPage, ref got);
        Transmit = Map(1, offsets.Transmit, count, sizeof(XdpDescriptor), XdpNumbers.TransmitRingPage, ref got);
        Fill = Map(2, offsets.Fill, count, sizeof(ulong), XdpNumbers.FillRingPage, ref got);
        Completion = Map(3, offsets.Completion, count, sizeof(ulong), XdpNumbers.CompletionRingPage, ref got);
        return got;
    }

    private XdpRingMemory Map(int index, in XdpRingOffsets offsets, int count, int entrySize, long page, ref PosixResult result)
    {
        if (result.IsError) return default;
        var length = (nuint)offsets.Entries + ((nuint)count * (nuint)entrySize);
        var mapped = XdpCalls.MapShared(Descriptor, length, page);
        if (mapped.IsError)
        {
            result = mapped;
            return default;
        }
        _maps[index] = (mapped.Value, length);
        return XdpRingMemory.At((byte*)mapped.Value, offsets, count);
    }

    private PosixResult BindOnce(ushort flags, XdpSocket? shared) => XdpCalls.Bind(Descriptor, new XdpAddress
    {
        Family = XdpNumbers.Family,
        // A socket that shares memory takes the first one's mode, and the kernel refuses other flags.
        Flags = shared is null ? flags : XdpNumbers.BindSharedUmem,
        InterfaceIndex = (uint)InterfaceIndex,
        Queue = (uint)Queue,
        SharedUmemDescriptor = shared is null ? 0 : (uint)shared.Descriptor,
    });

    private bool IsZeroCopy() => !XdpCalls.Get(Descriptor, XdpNumbers.Options, out uint flags).IsError && (flags & XdpNumbers.IsZeroCopy) != 0;
}
