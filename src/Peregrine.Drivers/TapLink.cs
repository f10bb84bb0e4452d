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

    private readonly QueueDescriptors _descriptors;
    private readonly TapQueue?[] _queues;
    private readonly NetworkNamespace? _space;
    private readonly Lock _gate = new();
    private readonly bool _hasVnetHeader;
    private int _control;
    private int _mtu;

    private Func<int[]>? _source;

    private TapLink(TapOptions options, IReadOnlyList<int> descriptors)
    {
        (Name, var flags) = TapDevice.Describe(descriptors[0]);
        _descriptors = new QueueDescriptors(descriptors);
        _queues = new TapQueue?[descriptors.Count];
        Medium = (flags & InterfaceControl.Tap) != 0 ? LinkMedium.Ethernet : LinkMedium.Ip;
        _hasVnetHeader = (flags & InterfaceControl.VnetHeader) != 0;
        (_space, _control) = (NetworkNamespace.TryHoldCurrent(), TapDevice.OpenControl(Name));
        _mtu = options.Mtu ?? 1500;
        MacAddress = Medium == LinkMedium.Ethernet ? options.MacAddress ?? DeriveAddress(Name, _control) : default;
        if (!_hasVnetHeader || !options.Offloads) return;
        Offloads = LinkOffloads.TransmitChecksum | LinkOffloads.ReceiveChecksum | LinkOffloads.SegmentTcp4 | LinkOffloads.SegmentTcp6
            | LinkOffloads.ReceiveMerged | LinkOffloads.Gather;
        SuperSegmentMax = SuperSegmentLimit;
    }

    /// <inheritdoc/>
    public string Name { get; }

    /// <inheritdoc/>
    public LinkMedium Medium { get; }

    /// <inheritdoc/>
    public MacAddress MacAddress { get; }

    /// <summary>The MTU of the kernel's side as it is now; asks the kernel.</summary>
    public int Mtu => _mtu = TapDevice.ReadMtu(_control, Name) ?? _mtu;

    /// <inheritdoc/>
    public LinkOffloads Offloads { get; }

    /// <inheritdoc/>
    public int SuperSegmentMax { get; }

    /// <inheritdoc/>
    public int QueueCount => _queues.Length;

    /// <summary>
    /// Whether the kernel's side is up and has its carrier; asks the kernel. A device that goes down comes back by itself, and one that was deleted
    /// and made again is opened again.
    /// </summary>
    public bool IsUp => _control >= 0 ? TapDevice.IsUp(_control, Name) : !Array.Exists(_queues, static queue => queue is { IsGone: true });

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
        return NetworkNamespace.RunIn(options.NetworkNamespace, () => OpenHere(name, options));
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
        var (first, _) = TapDevice.Describe(descriptors[0]);
        foreach (var descriptor in descriptors)
        {
            var (name, flags) = TapDevice.Describe(descriptor);
            if (name != first) throw new ArgumentException($"Descriptor {descriptor} is of '{name}' and the first of '{first}'.", nameof(descriptors));
            Posix.SetNonBlocking(descriptor).ThrowIfError("cannot make the descriptor non-blocking");
            TapDevice.SetOffloads(descriptor, flags, options.Offloads);
        }
        return new TapLink(options, descriptors);
    }

    /// <summary>Whether the device was not there before, so that it is ours to make again.</summary>
    internal bool MayMake { get; private init; }

    /// <summary>Says who opens the device again, for all queues, when it was deleted; by default this process.</summary>
    internal void SetSource(Func<int[]> source) => _source = source;

    /// <inheritdoc/>
    public ILinkQueue OpenQueue(int index, FramePool frames)
    {
        QueueGuard.Check(Name, _queues, index, frames);
        lock (_gate)
        {
            _descriptors.TryChange(index);
            return _queues[index] = new TapQueue(_descriptors[index], frames, Medium, _hasVnetHeader, FrameLengthMax, Follow);

            LinkPresence Follow(TapQueue queue, out string? problem) => this.Follow(index, queue, out problem);
        }
    }

    /// <summary>Closes the queues and the device; the device goes unless it is persistent. Call when its engines no longer run.</summary>
    public void Dispose()
    {
        var control = Interlocked.Exchange(ref _control, -1);
        if (control >= 0) Posix.Close(control);
        foreach (var queue in _queues) queue?.Dispose();
        lock (_gate) _descriptors.Dispose();
        _space?.Dispose();
    }

    private int FrameLengthMax => (SuperSegmentMax > 0 ? SuperSegmentLimit : Mtu) + TapQueue.LinkHeaderMax;

    private LinkPresence Follow(int index, TapQueue queue, out string? problem)
    {
        problem = null;
        lock (_gate)
        {
            if (!queue.IsGone)
            {
                // Without offloads the chunks that lie ready are for frames of the MTU.
                queue.Fit(FrameLengthMax);
                return LinkPresence.There;
            }
            if (!_descriptors.TryChange(index))
            {
                problem = Reopen();
                if (problem is not null) return LinkPresence.Gone;
                _descriptors.TryChange(index);
            }
            queue.Attach(_descriptors[index]);
            queue.Fit(FrameLengthMax);
            return LinkPresence.Reopened;
        }
    }

    /// <summary>Opens the device again, for all queues; says why not.</summary>
    private string? Reopen()
    {
        if (_source is null) return "the device was deleted, and whoever opened it for us must do so again";
        try
        {
            _descriptors.Replace(_source());
            return null;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or ArgumentException)
        {
            return e.Message;
        }
    }

    private static TapLink OpenHere(string name, TapOptions options)
    {
        // Asked before: afterwards there is one in any case.
        var mayMake = !TapDevice.Exists(name);
        var descriptors = TapDevice.OpenAll(name, options);
        try
        {
            var link = new TapLink(options with { NetworkNamespace = null }, descriptors) { MayMake = mayMake };
            var again = options with { NetworkNamespace = link._space?.Path };
            link._source = () => TapDevice.Reopen(link.Name, again, mayMake);
            return link;
        }
        catch
        {
            foreach (var descriptor in descriptors) Posix.Close(descriptor);
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
