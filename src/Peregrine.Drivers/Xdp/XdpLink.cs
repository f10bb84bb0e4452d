// An interface of the kernel as a link, by AF_XDP: the control side. The steering program decides what is ours, the rest of the machine
// keeps the interface. An interface that is deleted and comes back under its name is taken again.
using System.Threading;
using Peregrine.Core.Links;
using Peregrine.Core.Memory;
using Peregrine.Drivers.Linux;
using Peregrine.Wire;

namespace Peregrine.Drivers.Xdp;

/// <summary>
/// A link over an interface of the kernel that shares it with the kernel: what <see cref="Steering"/> says is ours, everything else goes on as
/// before. Needs root, or CAP_NET_ADMIN, CAP_NET_RAW and CAP_BPF; Linux 5.9 or later.
/// </summary>
public sealed class XdpLink : ILink
{
    // What the kernel puts before a frame: XDP_PACKET_HEADROOM.
    private const int KernelHeadroom = 256;
    private const int LinkHeader = 18, ChunkSizeMin = 2_048;

    private XdpOptions _options;
    private readonly NetworkNamespace _space;
    private readonly XdpQueue?[] _queues;
    private readonly List<XdpSocket> _sockets = [];
    private readonly HashSet<IpAddress> _steered = [];
    private readonly PortReservation _reserved = new();
    private readonly SharedPorts? _ports;
    private readonly Lock _gate = new();
    private readonly int[] _given;
    private Func<int[]>? _opener;
    private XdpRegistrar? _registrar;
    private XdpAttachment? _attachment;
    private KernelTables? _tables;
    private int _control;
    private int _epoch;
    private bool _wasUp;
    private XdpAbilities _abilities;
    private string _mode = "";

    private XdpLink(string name, XdpOptions options, NetworkNamespace space)
    {
        (Name, _options, _space) = (name, options, space);
        _queues = new XdpQueue?[options.QueueCount];
        _given = new int[options.QueueCount];
        Array.Fill(_given, -1);
        _control = -1;
        Steering = new XdpSteering(options.FirstQueue + options.QueueCount, options.Traffic);
        if (options.Traffic is { All: false, AllBut: false, TcpPorts.Count: 0, UdpPorts.Count: 0 }) _ports = new SharedPorts(space, Steering);
    }

    /// <inheritdoc/>
    public string Name { get; }

    /// <summary>What of the interface's traffic is ours.</summary>
    public XdpSteering Steering { get; }

    /// <inheritdoc/>
    public LinkMedium Medium => LinkMedium.Ethernet;

    /// <summary>The interface's own address as it is now, which we share with the kernel; asks it.</summary>
    public MacAddress MacAddress
    {
        get
        {
            lock (_gate) return field = TapDevice.ReadAddress(_control, Name) ?? field;
        }
    }

    /// <summary>The interface's MTU as it is now; asks the kernel.</summary>
    public int Mtu
    {
        get
        {
            lock (_gate) return field = TapDevice.ReadMtu(_control, Name) is { } mtu ? Math.Min(mtu, MtuMax) : field;
        }
    }

    /// <inheritdoc/>
    public LinkOffloads Offloads { get; private set; }

    /// <inheritdoc/>
    public int SuperSegmentMax => 0;

    /// <inheritdoc/>
    public int QueueCount => _queues.Length;

    /// <summary>How the link works, for people: "native, copy (…), several chunks a frame".</summary>
    public string Mode => _abilities.TransmitMetadata && _options.TransmitChecksum ? _mode + (_abilities.ZeroCopy ? ", checksums by the driver" : ", checksums by the kernel") : _mode;

    /// <summary>
    /// Whether the interface is there, up, and has its carrier; asks the kernel. An interface that was deleted and is there again is taken again
    /// here, and the queues follow at their next turn.
    /// </summary>
    public bool IsUp
    {
        get
        {
            lock (_gate)
            {
                if (_control < 0) return false;
                Look();
                var isUp = _attachment is not null && TapDevice.IsUp(_control, Name);
                if (isUp && !_wasUp) _tables?.Follow(_attachment!.InterfaceIndex);
                return _wasUp = isUp;
            }
        }
    }

    /// <summary>The kernel's neighbours and routes of the interface, where we share an address with it; null where all our addresses are our own.</summary>
    public ITableSource? Tables => _tables;

    /// <summary>
    /// The kernel's addresses on the interface, link-local ones aside, for a network that names none: then it shares them. None where everything
    /// is ours.
    /// </summary>
    public IReadOnlyList<IpPrefix> Addresses => _options.Traffic.All ? [] : _space.Run(() => KernelAddresses().Where(static a => !a.Address.IsLinkLocal || a.Address.IsIPv4).ToList());

    /// <summary>Whether the kernel speaks on the interface as well.</summary>
    public bool SharesMacAddress => !_options.Traffic.All;

    /// <summary>Where no ports are named, those of shared addresses follow the stack's listeners and UDP sockets.</summary>
    public IPortKeeper? Ports => _tables is null ? null : _ports;

    /// <summary>Where ports follow listeners: 61,000 to 65,535, from which Linux picks none by itself.</summary>
    public (ushort Min, ushort Max)? EphemeralPorts => Ports is null ? null : (SharedPorts.Ephemeral.First, SharedPorts.Ephemeral.Last);

    internal KernelTables? KernelTables => _tables;

    /// <summary>Why the link could not be taken again the last time, or null.</summary>
    public string? LastFailure { get; private set; }

    /// <summary>How often the interface went or came since the link was opened.</summary>
    internal int Epoch => Volatile.Read(ref _epoch);

    internal bool IsAttached => Volatile.Read(ref _attachment) is not null;

    /// <summary>Chunks that a frame to be sent may have; MAX_SKB_FRAGS is 17 unless the kernel was built otherwise.</summary>
    internal int PartCountMax => 16;

    // With several chunks a frame the kernel bounds the MTU, else a chunk does; the smallest that a pool may have.
    private int MtuMax { get; set; } = ChunkSizeMin - KernelHeadroom - XdpQueue.Headroom - LinkHeader;

    /// <summary>Attaches the program to an interface and looks what can be done with it.</summary>
    /// <param name="name">The interface's name.</param>
    /// <param name="options">How; null for the defaults, with which nothing is ours until <see cref="Steering"/> is told.</param>
    /// <exception cref="ArgumentException">An option is out of its range.</exception>
    /// <exception cref="UnauthorizedAccessException">It is not permitted; the message says what to do.</exception>
    /// <exception cref="IOException">The kernel refused; the message says what to do.</exception>
    public static XdpLink Open(string name, XdpOptions? options = null)
    {
        options ??= new XdpOptions();
        TapDevice.Check(name, new TapOptions());
        options.Validate();
        var space = NetworkNamespace.Open(options.NetworkNamespace ?? "/proc/thread-self/ns/net");
        XdpLink? link = null;
        try
        {
            link = new XdpLink(name, options, space);
            var opened = link;
            space.Run(opened.OpenHere);
            return link;
        }
        catch
        {
            if (link is null) space.Dispose();
            else link.Dispose();
            throw;
        }
    }

    /// <inheritdoc/>
    public ILinkQueue OpenQueue(int index, FramePool frames)
    {
        QueueGuard.Check(Name, _queues, index, frames);
        // A quarter of the pool at most lies ready for the card: the rest is for frames that are worked on and sent.
        var fill = Math.Min(_options.RingFrames, Math.Max(1, frames.Chunks.Count / 4));
        return _queues[index] = new XdpQueue(this, index, frames, fill);
    }

    /// <summary>
    /// Steers an address of the network: one that the kernel does not have on the interface becomes ours, and of one that it has the ports of
    /// <see cref="XdpTraffic"/> do, or where that names none, the ports that the stack listens on.
    /// </summary>
    /// <exception cref="IOException">A named port is in use by a program of the kernel's.</exception>
    public void OnAddress(IpAddress address)
    {
        var traffic = _options.Traffic;
        if (traffic.All || traffic.OwnAddresses.Contains(address) || traffic.SharedAddresses.Contains(address)) return;
        if (_steered.Contains(address)) return;
        if (_space.Run(() => KernelAddresses().Any(has => has.Address == address))) Share(address);
        else Steering.AddOwnAddress(address);
        _steered.Add(address);
    }

    /// <summary>What the kernel counted at a queue: what it dropped for want of chunks or room, and descriptors that it refused.</summary>
    public (long DroppedNoMemory, long DroppedRingFull, long Invalid) ReadDrops(int queue)
    {
        if (_queues[queue] is not { } open) return default;
        var s = open.Statistics();
        return ((long)s.ReceiveDropped, (long)s.ReceiveRingFull, (long)(s.ReceiveInvalid + s.TransmitInvalid));
    }

    /// <summary>Closes the queues and takes the program off the interface. Call when its engines no longer run.</summary>
    public void Dispose()
    {
        foreach (var queue in _queues) queue?.Dispose();
        lock (_gate)
        {
            Detach();
            if (_control >= 0) Posix.Close(_control);
            _control = -1;
        }
        _tables?.Dispose();
        _reserved.Dispose();
        _ports?.Dispose();
        Steering.Dispose();
        _space.Dispose();
    }

    /// <summary>A socket for a queue, in the interface's namespace; queues of one pool share its registration.</summary>
    internal XdpSocket OpenSocket(int index, FramePool frames)
    {
        lock (_gate)
        {
            var attachment = _attachment ?? throw new IOException($"the interface '{Name}' is gone");
            var shared = Array.Find(_queues, queue => queue?.Frames == frames && queue.Socket is { } socket && MayShare(socket, attachment))?.Socket;
            var place = new XdpPlace(attachment.InterfaceIndex, _options.FirstQueue + index, attachment.IsNative, frames.Chunks, XdpQueue.Headroom, shared);
            var given = _given[index];
            _given[index] = -1;
            var socket = given >= 0 ? XdpSocket.OpenGiven(given, place with { Registrar = _registrar }, _options, _abilities) : _space.Run(() => XdpSocket.Open(place, _options));
            _sockets.Add(socket);
            return socket;
        }
    }

    private bool MayShare(XdpSocket socket, XdpAttachment attachment) =>
        socket.InterfaceIndex == attachment.InterfaceIndex && (_options.TransmitChecksum || !socket.Abilities.TransmitMetadata);

    /// <summary>Lets the program send a queue's frames to its socket.</summary>
    internal void Publish(int index, XdpSocket socket) => Steering.SetSocket(_options.FirstQueue + index, socket.Descriptor);

    internal void Withdraw(int index, XdpSocket socket)
    {
        Steering.ClearSocket(_options.FirstQueue + index);
        lock (_gate) _sockets.Remove(socket);
        socket.Dispose();
    }

    /// <summary>Looks whether the interface is still the one that is attached; says why there is none.</summary>
    internal string? Follow()
    {
        lock (_gate)
        {
            if (_control >= 0) Look();
            return _attachment is null ? LastFailure ?? $"there is no interface '{Name}' any more; it is taken again when it is there again" : null;
        }
    }

    /// <summary>Whether the program runs in the driver.</summary>
    internal bool IsNative { get; private set; }

    /// <summary>Says who attaches the program and makes the sockets when the interface comes back, and who registers memory with them; else this process.</summary>
    internal void SetOpener(Func<int[]> opener, XdpRegistrar registrar) => (_opener, _registrar) = (opener, registrar);

    internal void OnReopenFailed(Exception e) => LastFailure = e.Message;

    private void OpenHere()
    {
        _control = TapDevice.OpenControl(Name);
        if (_control < 0) throw new IOException($"there is no interface '{Name}': 'ip link' lists them");
        var facts = XdpOpening.Find(Name);
        _attachment = XdpAttachment.Attach(facts, Steering.Program, _options.Mode);
        if (TakesSeveralChunks(facts.Mtu)) _options = _options with { TransmitChecksum = false };
        Describe(_attachment, facts);
        foreach (var address in _options.Traffic.SharedAddresses) Reserve(address);
    }

    // Where metadata is registered, the kernel wants room for it before every part of a frame, and chained chunks begin with data. So
    // either frames fit into a chunk or checksums are not left to the kernel.
    internal static bool TakesSeveralChunks(int mtu) => mtu + LinkHeader + FramePool.Headroom > ChunkSizeMin;

    private void Share(IpAddress address)
    {
        _space.Run(() => Reserve(address));
        Steering.AddSharedAddress(address);
    }

    private void Reserve(IpAddress address)
    {
        // What is answered to the shared address is the kernel's: it must ask for us, and we take what it knows.
        _tables ??= new KernelTables(_attachment!.InterfaceIndex);
        _ports?.AddAddress(address);
        if (_options.Traffic.AllBut) return;
        _reserved.Add(address, _options.Traffic.TcpPorts, udp: false);
        _reserved.Add(address, _options.Traffic.UdpPorts, udp: true);
    }

    private IEnumerable<IpPrefix> KernelAddresses() =>
        System.Net.NetworkInformation.NetworkInterface.GetAllNetworkInterfaces()
            .Where(one => one.Name == Name)
            .SelectMany(static one => one.GetIPProperties().UnicastAddresses)
            .Where(static has => !has.Address.IsIPv6Multicast)
            .Select(static has => new IpPrefix(IpAddress.FromIPAddress(has.Address), has.PrefixLength));

    // The stack asks for offloads before it opens a queue, so a socket with a pool of its own finds out.
    private unsafe void Describe(XdpAttachment attachment, InterfaceFacts facts)
    {
        using var region = MemoryRegion.Allocate(ChunkPool.BytesFor(ChunkSizeMin, 64) + 65_536);
        var chunks = new ChunkPool(region, ChunkSizeMin, 64, "probe");
        var place = new XdpPlace(facts.Index, _options.FirstQueue, attachment.IsNative, chunks, XdpQueue.Headroom, null);
        using var socket = XdpSocket.Open(place, _options with { RingFrames = 64 });
        var able = _abilities = socket.Abilities;
        if (able.MultiBuffer) MtuMax = 65_521;
        Offloads = (able.TransmitMetadata ? LinkOffloads.TransmitChecksum : 0) | (MayBeUnfinished(facts) ? LinkOffloads.ReceiveUnfinished : 0);
        IsNative = attachment.IsNative;
        _mode = (attachment.IsNative ? "native" : $"generic ({attachment.GenericReason})")
            + (able.ZeroCopy ? ", zero-copy" : able.CopyReason is null ? ", copy" : $", copy ({able.CopyReason})")
            + (able.MultiBuffer ? ", several chunks a frame" : "");
    }

    private bool MayBeUnfinished(InterfaceFacts facts) =>
        _options.UnfinishedChecksums ?? (facts.Kind is "veth" or "tun" or "bridge" or "macvlan" || InterfaceDriver.NameOf(_control, Name) is "veth" or "virtio_net" or "tun");

    /// <summary>Lets an interface go that is not there any more, and takes one that is there again.</summary>
    private void Look()
    {
        var index = InterfaceDriver.IndexOf(_control, Name);
        if (_attachment is { } attachment && attachment.InterfaceIndex == index)
        {
            if (!_options.TransmitChecksum || TapDevice.ReadMtu(_control, Name) is not { } mtu || !TakesSeveralChunks(mtu)) return;
            _options = _options with { TransmitChecksum = false };
            Volatile.Write(ref _epoch, _epoch + 1);
            // New sockets are needed on the same interface, and an opener that makes them attaches the program as well.
            if (_opener is null) return;
        }
        if (_attachment is not null)
        {
            Detach();
            // Whoever comes back has come up anew, also when nobody asked meanwhile whether it was down.
            _wasUp = false;
            Volatile.Write(ref _epoch, _epoch + 1);
        }
        if (index == 0) return;
        try
        {
            var again = _opener is { } opener ? AttachBy(opener, index) : _space.Run(() => XdpAttachment.Attach(XdpOpening.Find(Name), Steering.Program, _options.Mode));
            Volatile.Write(ref _attachment, again);
            Volatile.Write(ref _epoch, _epoch + 1);
            LastFailure = null;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // Perhaps without the privileges by now. It is tried again whenever somebody asks, and the reason stands here.
            LastFailure = e.Message;
        }
    }

    private void Detach()
    {
        _attachment?.Dispose();
        Volatile.Write(ref _attachment, null);
        foreach (ref var given in _given.AsSpan())
        {
            if (given >= 0) Posix.Close(given);
            given = -1;
        }
    }

    /// <summary>What <see cref="XdpOpening.Open"/> gave in another process: the attachment, and the sockets for the queues to take.</summary>
    private XdpAttachment AttachBy(Func<int[]> opener, int index)
    {
        var descriptors = opener();
        // The interface may have gone again meanwhile, or another come.
        if (descriptors.Length == 1 + _given.Length && InterfaceDriver.IndexOf(_control, Name) == index)
        {
            descriptors.AsSpan(1).CopyTo(_given);
            return new XdpAttachment(descriptors[0], index, IsNative);
        }
        foreach (var descriptor in descriptors) Posix.Close(descriptor);
        throw new IOException($"the interface '{Name}' changed while it was taken again");
    }
}
