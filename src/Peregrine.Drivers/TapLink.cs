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

    private readonly int[] _descriptors;
    private readonly TapQueue?[] _queues;
    private readonly bool _hasVnetHeader;
    private int _control;

    private TapLink(string name, TapOptions options, int[] descriptors, short flags)
    {
        (Name, _descriptors) = (name, descriptors);
        _queues = new TapQueue?[descriptors.Length];
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
    /// Whether the kernel's side is up and has its carrier; asks the kernel. A device that goes down comes back by itself, a deleted one does not.
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
        if (options.NetworkNamespace is null) return OpenHere(name, options);
        using var space = NetworkNamespace.Open(options.NetworkNamespace);
        return space.Run(() => OpenHere(name, options));
    }

    /// <summary>
    /// Takes an open descriptor of a TAP or TUN device, with TUNSETIFF done, IFF_NO_PI set and, for offloads, IFF_VNET_HDR. The link owns it.
    /// The kernel's side is left alone. Where the device lies in another namespace, <see cref="TapOptions.Mtu"/> must say its MTU.
    /// </summary>
    /// <exception cref="ArgumentException">The descriptor is no such device.</exception>
    public static TapLink FromDescriptor(int descriptor, TapOptions? options = null)
    {
        options ??= new TapOptions();
        InterfaceRequest request = default;
        if (Posix.IoControl(descriptor, InterfaceControl.GetInterface, ref request).IsError)
            throw new ArgumentException($"Descriptor {descriptor} is not a TAP or TUN device with TUNSETIFF done.", nameof(descriptor));
        if ((request.Flags & InterfaceControl.NoPacketInformation) == 0)
            throw new ArgumentException($"Descriptor {descriptor} was made without IFF_NO_PI.", nameof(descriptor));
        Posix.SetNonBlocking(descriptor).ThrowIfError("cannot make the descriptor non-blocking");
        TapDevice.SetOffloads(descriptor, request.Flags, options.Offloads);
        return new TapLink(request.NameText(), options, [descriptor], request.Flags);
    }

    /// <inheritdoc/>
    public ILinkQueue OpenQueue(int index, FramePool frames)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(index);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(index, QueueCount);
        ArgumentNullException.ThrowIfNull(frames);
        if (_queues[index] is not null) throw new InvalidOperationException($"Queue {index} of link '{Name}' is open already.");
        var longest = (SuperSegmentMax > 0 ? SuperSegmentLimit : Mtu) + TapQueue.LinkHeaderMax;
        return _queues[index] = new TapQueue(_descriptors[index], frames, Medium, _hasVnetHeader, longest);
    }

    /// <summary>Closes the queues and the device; the device goes unless it is persistent. Call when its engines no longer run.</summary>
    public void Dispose()
    {
        var control = Interlocked.Exchange(ref _control, -1);
        if (control >= 0) Posix.Close(control);
        for (var i = 0; i < _descriptors.Length; i++)
        {
            _queues[i]?.Dispose();
            var descriptor = Interlocked.Exchange(ref _descriptors[i], -1);
            if (descriptor >= 0) Posix.Close(descriptor);
        }
    }

    private static TapLink OpenHere(string name, TapOptions options)
    {
        var descriptors = new int[options.QueueCount];
        Array.Fill(descriptors, -1);
        try
        {
            short flags = 0;
            for (var i = 0; i < descriptors.Length; i++) (descriptors[i], flags) = TapDevice.Open(ref name, options);
            TapDevice.Configure(name, options);
            return new TapLink(name, options, descriptors, flags);
        }
        catch
        {
            foreach (var descriptor in descriptors)
            {
                if (descriptor >= 0) Posix.Close(descriptor);
            }
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
