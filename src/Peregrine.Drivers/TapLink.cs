// A TAP (or TUN) device as a link: the control side. The kernel is the neighbour on the other end of the wire, so this is how the
// stack meets real programs without a card. Every frame costs a system call; see docs/internals/links.md for how much.
using Peregrine.Core.Links;
using Peregrine.Core.Memory;
using Peregrine.Drivers.Linux;
using Peregrine.Wire;

namespace Peregrine.Drivers;

/// <summary>
/// A link to this machine's kernel over a TAP device (with Ethernet headers) or a TUN device (without), with checksum and segmentation
/// offloads both ways. Needs CAP_NET_ADMIN in the device's namespace unless the device exists already and belongs to the user.
/// </summary>
public sealed class TapLink : ILink
{
    private const int SuperSegmentLimit = 65_535;

    // How often a deleted device is tried again.
    private const int AskEveryMs = 250;

    private readonly int[] _descriptors;
    private readonly TapQueue?[] _queues;
    private readonly bool _hasVnetHeader;
    private readonly int[] _fresh;
    private readonly Lock _gate = new();
    private Func<int[]>? _source;
    private long _askAgainAt;
    private int _control;

    private TapLink(string name, TapOptions options, int[] descriptors, short flags)
    {
        (Name, _descriptors) = (name, descriptors);
        _queues = new TapQueue?[descriptors.Length];
        _fresh = new int[descriptors.Length];
        Array.Fill(_fresh, -1);
        Medium = (flags & InterfaceControl.Tap) != 0 ? LinkMedium.Ethernet : LinkMedium.Ip;
        _hasVnetHeader = (flags & InterfaceControl.VnetHeader) != 0;
        _control = TapDevice.OpenControl(name);
        Mtu = TapDevice.ReadMtu(_control, name) ?? options.Mtu ?? 1500;
        MacAddress = Medium == LinkMedium.Ethernet ? options.MacAddress ?? DeriveAddress(name, _control) : default;
        if (!_hasVnetHeader || !options.Offloads) return;
        Offloads = LinkOffloads.TransmitChecksum | LinkOffloads.ReceiveChecksum | LinkOffloads.SegmentTcp4 | LinkOffloads.SegmentTcp6
            | LinkOffloads.ReceiveMerged;
        SuperSegmentMax = SuperSegmentLimit;
    }

    /// <inheritdoc/>
    public string Name { get; }

    /// <inheritdoc/>
    public LinkMedium Medium { get; }

    /// <inheritdoc/>
    public MacAddress MacAddress { get; }

    /// <inheritdoc/>
    public int Mtu { get; }

    /// <inheritdoc/>
    public LinkOffloads Offloads { get; }

    /// <inheritdoc/>
    public int SuperSegmentMax { get; }

    /// <inheritdoc/>
    public int QueueCount => _descriptors.Length;

    /// <summary>
    /// Whether the kernel's side is up and has its carrier; asks the kernel. A device that was deleted is opened again by its queues: see
    /// docs/internals/links.md.
    /// </summary>
    public bool IsUp => _control >= 0 ? TapDevice.IsUp(_control, Name) : !Array.Exists(_queues, static queue => queue is { IsGone: true });

    /// <summary>Why the device could not be opened again when that was tried last, or null.</summary>
    public string? LastFailure { get; private set; }

    /// <summary>Whether the device was not there before, so that it is ours to make again.</summary>
    internal bool MayMake { get; private init; }

    /// <summary>Opens or makes a device and configures the kernel's side as the options say.</summary>
    /// <param name="name">The interface's name, 1 to 15 characters; one "%d" in it lets the kernel number it.</param>
    /// <param name="options">How; null for the defaults, which do not touch the kernel's side.</param>
    /// <exception cref="ArgumentException">The name or an option is out of its range.</exception>
    /// <exception cref="UnauthorizedAccessException">It is not permitted; the message says what to do.</exception>
    /// <exception cref="IOException">The kernel refused; the message says what to do.</exception>
    public static TapLink Open(string name, TapOptions? options = null)
    {
        options ??= new TapOptions();
        TapDevice.Check(name, options);
        if (options.NetworkNamespace is null) return OpenHere(name, options);
        using var space = NetworkNamespace.Open(options.NetworkNamespace);
        return space.Run(() => OpenHere(name, options));
    }

    /// <summary>
    /// Takes an open descriptor of a TAP or TUN device, with TUNSETIFF done, IFF_NO_PI set and, for offloads, IFF_VNET_HDR. The link owns it.
    /// The kernel's side is left alone. Where the device lies in another namespace, <see cref="TapOptions.Mtu"/> must say its MTU.
    /// </summary>
    /// <exception cref="ArgumentException">The descriptor is no such device.</exception>
    public static TapLink FromDescriptor(int descriptor, TapOptions? options = null) => FromDescriptors([descriptor], options);

    /// <summary>As <see cref="FromDescriptor"/>, with a descriptor for each queue of the device.</summary>
    /// <exception cref="ArgumentException">A descriptor is no such device, or they are not of one.</exception>
    public static TapLink FromDescriptors(IReadOnlyList<int> descriptors, TapOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(descriptors);
        if (descriptors.Count is < 1 or > 64) throw new ArgumentException($"{descriptors.Count} descriptors are not in the range 1 to 64.", nameof(descriptors));
        options ??= new TapOptions();
        var first = Ask(descriptors[0], nameof(descriptors));
        foreach (var descriptor in descriptors)
        {
            var request = Ask(descriptor, nameof(descriptors));
            if (request.NameText() != first.NameText()) throw new ArgumentException($"Descriptor {descriptor} is of '{request.NameText()}' and the first of '{first.NameText()}'.", nameof(descriptors));
            Posix.SetNonBlocking(descriptor).ThrowIfError("cannot make the descriptor non-blocking");
            TapDevice.SetOffloads(descriptor, request.Flags, options.Offloads);
        }
        return new TapLink(first.NameText(), options, [.. descriptors], first.Flags);
    }

    private static InterfaceRequest Ask(int descriptor, string parameter)
    {
        InterfaceRequest request = default;
        if (Posix.IoControl(descriptor, InterfaceControl.GetInterface, ref request).IsError)
            throw new ArgumentException($"Descriptor {descriptor} is not a TAP or TUN device with TUNSETIFF done.", parameter);
        return (request.Flags & InterfaceControl.NoPacketInformation) != 0
            ? request
            : throw new ArgumentException($"Descriptor {descriptor} was made without IFF_NO_PI.", parameter);
    }

    /// <summary>Says who opens the device again when it was deleted.</summary>
    internal void SetSource(Func<int[]> source) => _source = source;

    /// <inheritdoc/>
    public ILinkQueue OpenQueue(int index, FramePool frames)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(index);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(index, QueueCount);
        ArgumentNullException.ThrowIfNull(frames);
        if (_queues[index] is not null) throw new InvalidOperationException($"Queue {index} of link '{Name}' is open already.");
        var longest = (SuperSegmentMax > 0 ? SuperSegmentLimit : Mtu) + TapQueue.LinkHeaderMax;
        return _queues[index] = new TapQueue(_descriptors[index], frames, Medium, _hasVnetHeader, longest, this, index);
    }

    /// <summary>Closes the queues and the device; the device goes unless it is persistent. Call when its engines no longer run.</summary>
    public void Dispose()
    {
        var control = Interlocked.Exchange(ref _control, -1);
        if (control >= 0) Posix.Close(control);
        CloseAll(_fresh);
        Array.Fill(_fresh, -1);
        _source = null;
        for (var i = 0; i < _descriptors.Length; i++)
        {
            _queues[i]?.Dispose();
            var descriptor = Interlocked.Exchange(ref _descriptors[i], -1);
            if (descriptor >= 0) Posix.Close(descriptor);
        }
    }

    /// <summary>
    /// Gives a queue whose device was deleted its new descriptor, once there is one. Called by the queue's own thread, which looks at the old
    /// descriptor no more; that one is closed.
    /// </summary>
    internal bool TryReopen(int index, out int descriptor)
    {
        lock (_gate)
        {
            descriptor = -1;
            if (_descriptors[index] < 0) return false;
            if (_fresh[index] < 0 && !TryOpenAll()) return false;
            Posix.Close(_descriptors[index]);
            descriptor = _descriptors[index] = _fresh[index];
            _fresh[index] = -1;
            return true;
        }
    }

    // The first queue that notices opens for all, and each takes its own when it has noticed too: one device's queues are opened one after the other.
    private bool TryOpenAll()
    {
        if (_source is null || Environment.TickCount64 < _askAgainAt) return false;
        _askAgainAt = Environment.TickCount64 + AskEveryMs;
        try
        {
            var opened = _source();
            if (opened.Length != _fresh.Length)
            {
                CloseAll(opened);
                throw new IOException($"'{Name}' came back with {opened.Length} queues instead of {_fresh.Length}");
            }
            CloseAll(_fresh);
            opened.CopyTo(_fresh, 0);
            LastFailure = null;
            return true;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or ArgumentException)
        {
            LastFailure = e.Message;
            return false;
        }
    }

    private static void CloseAll(ReadOnlySpan<int> descriptors)
    {
        foreach (var descriptor in descriptors)
        {
            if (descriptor >= 0) Posix.Close(descriptor);
        }
    }

    private static TapLink OpenHere(string name, TapOptions options)
    {
        // Asked before: afterwards there is one in any case.
        var mayMake = !TapDevice.Exists(name);
        var (descriptors, flags) = TapDevice.OpenAll(ref name, options);
        try
        {
            return new TapLink(name, options, descriptors, flags) { MayMake = mayMake, _source = () => TapDevice.Reopen(name, options, mayMake) };
        }
        catch
        {
            CloseAll(descriptors);
            throw;
        }
    }

    // Stable, so that the neighbours' caches stay right over a restart; locally administered; and never the kernel's own.
    private static MacAddress DeriveAddress(string name, int control)
    {
        var hash = 0xCBF2_9CE4_8422_2325;
        foreach (var letter in name) hash = (hash ^ letter) * 0x100_0000_01B3;
        var address = new MacAddress(0x0200_0000_0000 | ((hash >> 24) & 0xFF_FFFF_FFFF));
        return TapDevice.ReadAddress(control, name) == address ? new MacAddress(address.Value ^ 1) : address;
    }
}
