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

    private readonly QueueDescriptors _sockets;
    private readonly PacketQueue?[] _queues;
    private readonly PacketOptions _options;
    private readonly PortGuard? _guard;
    private readonly NetworkNamespace? _space;
    private readonly Lock _gate = new();
    private Func<int[]> _source;
    private int _boundTo;
    private int _control;
    private int _mtu;
    private MacAddress _address;

    private PacketLink(string name, PacketOptions options)
    {
        (Name, _options) = (name, options);
        _queues = new PacketQueue?[options.QueueCount];
        _boundTo = RouteNetlink.IndexOf(name);
        var facts = InterfaceDump.Read().FirstOrDefault(one => one.Index == _boundTo) ?? throw new IOException($"there is no interface '{name}'");
        if (!facts.IsEthernet) throw new IOException($"'{name}' is no Ethernet interface: take one that is, or --link tun:NAME");
        _control = TapDevice.OpenControl(name);
        _mtu = facts.Mtu;
        _address = facts.MacAddress;
        _guard = options.Ports.Count > 0 ? new PortGuard(options.Ports) : null;
        _space = NetworkNamespace.TryHoldCurrent();
        try
        {
            _sockets = new QueueDescriptors(OpenSockets(name, options with { NetworkNamespace = null }));
            var again = options with { NetworkNamespace = _space?.Path };
            _source = () => OpenSockets(name, again);
        }
        catch
        {
            _guard?.Dispose();
            _space?.Dispose();
            Posix.Close(_control);
            throw;
        }
        Offloads = LinkOffloads.ReceiveChecksum | LinkOffloads.ReceiveMerged;
        if (!options.Offloads) return;
        Offloads |= LinkOffloads.TransmitChecksum | LinkOffloads.SegmentTcp4 | LinkOffloads.SegmentTcp6 | LinkOffloads.Gather;
        SuperSegmentMax = SuperSegmentLimit;
    }

    /// <inheritdoc/>
    public string Name { get; }

    /// <inheritdoc/>
    public LinkMedium Medium => LinkMedium.Ethernet;

    /// <summary>The interface's address as it is now, or what the options say.</summary>
    public MacAddress MacAddress => _options.MacAddress ?? (_address = TapDevice.ReadAddress(_control, Name) ?? _address);

    /// <summary>The interface's MTU as it is now, or what the options say where that is smaller.</summary>
    public int Mtu => Math.Min(_mtu = Math.Min(TapDevice.ReadMtu(_control, Name) ?? _mtu, ushort.MaxValue), _options.Mtu ?? ushort.MaxValue);

    /// <inheritdoc/>
    public LinkOffloads Offloads { get; }

    /// <inheritdoc/>
    public int SuperSegmentMax { get; }

    /// <inheritdoc/>
    public int QueueCount => _queues.Length;

    /// <summary>Whether the interface is up and has its carrier; asks the kernel.</summary>
    public bool IsUp => TapDevice.IsUp(_control, Name);

    /// <summary>Whether the kernel speaks from that address as well: it does unless we have one of our own.</summary>
    public bool SharesMacAddress => _options.MacAddress is null;

    /// <summary>Where ports are named, the widest range of them: what is answered to others is the kernel's.</summary>
    public (ushort Min, ushort Max)? EphemeralPorts =>
        _options.Ports is [] ? null : _options.Ports.MaxBy(static range => range.Last - range.First) is var widest ? (widest.First, widest.Last) : null;

    /// <summary>Whether going over to another interface of that name takes new sockets, and so rights: a socket by itself only changes over.</summary>
    internal bool NeedsNewSockets => QueueCount > 1 || _options.BringUp;

    /// <summary>Opens an interface.</summary>
    /// <param name="name">The interface.</param>
    /// <param name="options">How; null for the defaults.</param>
    /// <exception cref="ArgumentException">The name or an option is out of its range.</exception>
    /// <exception cref="UnauthorizedAccessException">It is not permitted; the message says what to do.</exception>
    /// <exception cref="IOException">The kernel refused, or one of our ports is in use; the message says what to do.</exception>
    public static PacketLink Open(string name, PacketOptions? options = null)
    {
        options ??= new PacketOptions();
        Check(name, options);
        return NetworkNamespace.RunIn(options.NetworkNamespace, () => new PacketLink(name, options));
    }

    /// <inheritdoc/>
    public ILinkQueue OpenQueue(int index, FramePool frames)
    {
        QueueGuard.Check(Name, _queues, index, frames);
        lock (_gate)
        {
            _sockets.TryChange(index);
            return _queues[index] = new PacketQueue(_sockets[index], frames, Follow);

            LinkPresence Follow(PacketQueue queue, out string? problem) => this.Follow(index, queue, out problem);
        }
    }

    /// <summary>Closes the queues and the sockets; the kernel is alone with the interface again. Call when its engines no longer run.</summary>
    public void Dispose()
    {
        var control = Interlocked.Exchange(ref _control, -1);
        if (control >= 0) Posix.Close(control);
        foreach (var queue in _queues) queue?.Dispose();
        lock (_gate) _sockets.Dispose();
        _guard?.Dispose();
        _space?.Dispose();
    }

    internal static void Check(string name, PacketOptions options)
    {
        TapDevice.CheckName(name);
        if (options.QueueCount is < 1 or > 64) throw new ArgumentException($"{options.QueueCount} queues are not in the range 1 to 64.", nameof(options));
        if (options.BufferBytes is < 65_536 or > 1 << 30) throw new ArgumentException($"The buffer of {options.BufferBytes} bytes is not in the range 65536 to 1073741824.", nameof(options));
    }

    /// <summary>Says who opens the sockets of all queues again when the interface was deleted and made again; by default this process.</summary>
    internal void SetSource(Func<int[]> source) => _source = source;

    /// <summary>Opens a socket for every queue, in the namespace of the options.</summary>
    internal static int[] OpenSockets(string name, PacketOptions options) => NetworkNamespace.RunIn(options.NetworkNamespace, () =>
    {
        if (options.BringUp) KernelInterface.SetUp(name);
        return PacketSocket.OpenAll(RouteNetlink.IndexOf(name), name, options);
    });

    private LinkPresence Follow(int index, PacketQueue queue, out string? problem)
    {
        problem = null;
        lock (_gate)
        {
            if (_sockets.TryChange(index))
            {
                queue.Attach(_sockets[index]);
                return LinkPresence.Reopened;
            }
            var found = InterfaceDriver.IndexOf(_control, Name);
            if (found == _boundTo) return LinkPresence.There;
            problem = found == 0 ? $"there is no interface '{Name}' any more; it is taken again when it is there again" : Rebind(index, found);
            if (problem is not null) return LinkPresence.Gone;
            queue.Attach(_sockets[index]);
            return LinkPresence.Reopened;
        }
    }

    /// <summary>Goes over to an interface that has our name and another number; says why not.</summary>
    private string? Rebind(int index, int interfaceIndex)
    {
        try
        {
            if (NeedsNewSockets)
            {
                _sockets.Replace(_source());
                _sockets.TryChange(index);
            }
            else
            {
                PacketSocket.Bind(_sockets[index], interfaceIndex, Name, _options);
            }
            _boundTo = interfaceIndex;
            return null;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or ArgumentException)
        {
            return e.Message;
        }
    }
}
