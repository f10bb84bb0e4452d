// An interface of the kernel as a link, over packet sockets: the control side. Needs no help from the driver, works on every interface, and
// shares it with the kernel. See docs/internals/links.md for what that means for addresses.
using Peregrine.Core.Links;
using Peregrine.Core.Memory;
using Peregrine.Drivers.Linux;
using Peregrine.Wire;

namespace Peregrine.Drivers.Packet;

/// <summary>
/// A link over AF_PACKET sockets on an interface of this machine, with checksum and segmentation offloads both ways. Needs CAP_NET_RAW.
/// </summary>
public sealed class PacketLink : ILink
{
    private const int SuperSegmentLimit = 65_535;

    private readonly int[] _sockets;
    private readonly PacketQueue?[] _queues;
    private readonly PacketOptions _options;
    private readonly PortGuard? _guard;
    private int _control;

    private PacketLink(string name, PacketOptions options)
    {
        (Name, _options) = (name, options);
        _queues = new PacketQueue?[options.QueueCount];
        var index = RouteNetlink.IndexOf(name);
        if (options.BringUp) KernelInterface.SetUp(name);
        var facts = InterfaceDump.Read().FirstOrDefault(one => one.Index == index) ?? throw new IOException($"there is no interface '{name}'");
        if (!facts.IsEthernet) throw new IOException($"'{name}' is no Ethernet interface: take one that is, or --link tun:NAME");
        _control = TapDevice.OpenControl(name);
        MacAddress = options.MacAddress ?? facts.MacAddress;
        _guard = options.Ports.Count > 0 ? new PortGuard(options.Ports) : null;
        try
        {
            _sockets = PacketSocket.OpenAll(index, name, options);
        }
        catch
        {
            _guard?.Dispose();
            Posix.Close(_control);
            throw;
        }
        Offloads = LinkOffloads.ReceiveChecksum | LinkOffloads.ReceiveMerged;
        if (!options.Offloads) return;
        Offloads |= LinkOffloads.TransmitChecksum | LinkOffloads.SegmentTcp4 | LinkOffloads.SegmentTcp6;
        SuperSegmentMax = SuperSegmentLimit;
    }

    /// <inheritdoc/>
    public string Name { get; }

    /// <inheritdoc/>
    public LinkMedium Medium => LinkMedium.Ethernet;

    /// <inheritdoc/>
    public MacAddress MacAddress { get; }

    /// <summary>The interface's MTU as it is now, or what the options say where that is smaller.</summary>
    public int Mtu => Math.Min(TapDevice.ReadMtu(_control, Name) ?? 1500, _options.Mtu ?? ushort.MaxValue);

    /// <inheritdoc/>
    public LinkOffloads Offloads { get; }

    /// <inheritdoc/>
    public int SuperSegmentMax { get; }

    /// <inheritdoc/>
    public int QueueCount => _queues.Length;

    /// <summary>Whether the interface is up and has its carrier; asks the kernel.</summary>
    public bool IsUp => TapDevice.IsUp(_control, Name);

    /// <summary>Opens an interface.</summary>
    /// <param name="name">The interface.</param>
    /// <param name="options">How; null for the defaults.</param>
    /// <exception cref="ArgumentException">The name or an option is out of its range.</exception>
    /// <exception cref="UnauthorizedAccessException">It is not permitted; the message says what to do.</exception>
    /// <exception cref="IOException">The kernel refused, or one of our ports is in use; the message says what to do.</exception>
    public static PacketLink Open(string name, PacketOptions? options = null)
    {
        options ??= new PacketOptions();
        TapDevice.CheckName(name);
        if (options.QueueCount is < 1 or > 64) throw new ArgumentException($"{options.QueueCount} queues are not in the range 1 to 64.", nameof(options));
        if (options.BufferBytes is < 65_536 or > 1 << 30) throw new ArgumentException($"The buffer of {options.BufferBytes} bytes is not in the range 65536 to 1073741824.", nameof(options));
        if (options.NetworkNamespace is null) return new PacketLink(name, options);
        using var space = NetworkNamespace.Open(options.NetworkNamespace);
        return space.Run(() => new PacketLink(name, options));
    }

    /// <inheritdoc/>
    public ILinkQueue OpenQueue(int index, FramePool frames)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(index);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(index, QueueCount);
        ArgumentNullException.ThrowIfNull(frames);
        if (_queues[index] is not null) throw new InvalidOperationException($"Queue {index} of link '{Name}' is open already.");
        return _queues[index] = new PacketQueue(_sockets[index], frames);
    }

    /// <summary>Closes the queues and the sockets; the kernel is alone with the interface again. Call when its engines no longer run.</summary>
    public void Dispose()
    {
        var control = Interlocked.Exchange(ref _control, -1);
        if (control >= 0) Posix.Close(control);
        for (var i = 0; i < _sockets.Length; i++)
        {
            _queues[i]?.Dispose();
            var socket = Interlocked.Exchange(ref _sockets[i], -1);
            if (socket >= 0) Posix.Close(socket);
        }
        _guard?.Dispose();
    }
}
