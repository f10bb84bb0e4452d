// The IP layer of a stack: what it is made of, and what transports, the engine and tools call. The mechanisms are in files of their own.
// It belongs to its stack's thread, reads no clock, and forwards nothing: it is a host.
using System.Net.Sockets;
using System.Runtime.CompilerServices;
using Peregrine.Core.Links;
using Peregrine.Core.Memory;
using Peregrine.Core.Time;
using Peregrine.Wire;

namespace Peregrine.Core.Ip;

/// <summary>IPv4 and IPv6 of one stack.</summary>
public sealed class IpLayer
{
    /// <summary>Timers handled in one call.</summary>
    private const int TimersPerCall = 64;

    private readonly IpInterface[] _interfaces;
    private readonly IpSender _sender;
    private readonly IpInput _input;
    private readonly LayerTimers _timers;
    private uint _generation = 1;
    private int _loopback = -1;

    /// <summary>Makes a layer without interfaces.</summary>
    /// <param name="options">Bounds and settings.</param>
    /// <param name="frames">The pool that received frames come from and sent ones are made of.</param>
    /// <param name="region">Memory for the tables: <see cref="BytesFor"/>.</param>
    /// <param name="key">A secret for hashes and identifications.</param>
    /// <param name="random">The stack's generator.</param>
    /// <param name="now">The time.</param>
    internal IpLayer(IpOptions options, FramePool frames, MemoryRegion region, UInt128 key, StackRandom random, Instant now)
    {
        options.Validate();
        (Options, Frames, Generator) = (options, frames, random);
        var hash = new AddressHash(key);
        _interfaces = new IpInterface[options.InterfaceCountMax];
        _timers = new LayerTimers(this, region, options);
        Addresses = new AddressTable(options.AddressCountMax, hash);
        Routes = new RouteTable(options.RouteCountMax);
        PathMtus = new PathMtuTable(region, options, hash);
        Neighbours = new NeighbourCache(this, region, options, hash, _timers.Heap);
        Reassembly = new Reassembly(this, region, options, hash);
        Limiter = new IcmpLimiter(options, now);
        Link = new LinkOutput(this);
        _sender = new IpSender(this, new PacketIdentification(hash, random));
        Groups = new GroupMembership(this);
        Solicitor = new Solicitor(this);
        Discovery = new NeighbourDiscovery(this);
        Routers = new RouterDiscovery(this);
        Configuration = new AddressConfiguration(this);
        Errors = new IcmpErrors(this);
        Echo = new IcmpEcho(this, options);
        Icmp = new IcmpLayer(this);
        _input = new IpInput(this);
    }

    /// <summary>What happened to frames and packets so far.</summary>
    public ref IpCounters Counters => ref _counters;

    /// <summary>Checks what is received. For tests.</summary>
    internal IpInput Input => _input;

    /// <summary>What happened to ICMP messages so far.</summary>
    public ref IcmpCounters IcmpCounters => ref _icmpCounters;

    /// <summary>What happened to neighbours so far.</summary>
    public ref NeighbourCounters NeighbourCounters => ref _neighbourCounters;

    private IpCounters _counters;
    private IcmpCounters _icmpCounters;
    private NeighbourCounters _neighbourCounters;

    /// <summary>Echo requests of our own.</summary>
    public IcmpEcho Echo { get; }

    /// <summary>How many interfaces there are.</summary>
    public int InterfaceCount { get; private set; }

    /// <summary>The routes, the longest prefix first.</summary>
    public ReadOnlySpan<Route> AllRoutes => Routes.All;

    /// <summary>When <see cref="FireTimers"/> is to be called next.</summary>
    public Instant NextDeadline => _timers.Heap.Next;

    internal IpOptions Options { get; }

    internal FramePool Frames { get; }

    internal StackRandom Generator { get; }

    internal AddressTable Addresses { get; }

    internal RouteTable Routes { get; }

    internal PathMtuTable PathMtus { get; }

    internal NeighbourCache Neighbours { get; }

    internal Reassembly Reassembly { get; }

    internal IcmpLimiter Limiter { get; }

    internal LinkOutput Link { get; }

    internal GroupMembership Groups { get; }

    internal Solicitor Solicitor { get; }

    internal NeighbourDiscovery Discovery { get; }

    internal RouterDiscovery Routers { get; }

    internal AddressConfiguration Configuration { get; }

    internal IcmpErrors Errors { get; }

    internal IcmpLayer Icmp { get; }

    internal LayerTimers Timers => _timers;

    /// <summary>Who is told of errors about TCP segments.</summary>
    internal ITransportErrors? TcpErrors { get; set; }

    /// <summary>Who is told of errors about UDP datagrams.</summary>
    internal ITransportErrors? UdpErrors { get; set; }

    /// <summary>The generation that paths are compared with; never 0.</summary>
    internal uint Generation => _generation;

    /// <summary>Bytes of native memory that a layer takes from its region.</summary>
    public static nuint BytesFor(IpOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        return LayerTimers.BytesFor(options) + PathMtuTable.BytesFor(options) + NeighbourCache.BytesFor(options) + Reassembly.BytesFor(options);
    }

    /// <summary>Adds an interface with its addresses and gateways.</summary>
    /// <returns>Its index.</returns>
    /// <exception cref="ArgumentException">An address, prefix or gateway makes no sense, or there is no room for it.</exception>
    internal int AddInterface(InterfaceOptions options, Instant now)
    {
        if (InterfaceCount == _interfaces.Length) throw new ArgumentException($"There is room for {_interfaces.Length} interfaces.", nameof(options));
        if (options.Mtu is < 68 or > 65_535) throw new ArgumentException("An interface's MTU is 68 to 65535 bytes.", nameof(options));
        int index = InterfaceCount++;
        _interfaces[index] = new IpInterface(index, options, Options);
        if (options.IsLoopback && _loopback < 0) _loopback = index;
        foreach (InterfaceAddress address in options.Addresses)
        {
            SocketError error = AddAddress(index, address, now);
            if (error != SocketError.Success) throw new ArgumentException($"{options.Name}: the address {address} cannot be added: {error}.", nameof(options));
        }

        uint metric = 100;
        foreach (IpAddress gateway in options.Gateways)
        {
            IpPrefix all = new(gateway.IsIPv4 ? IpAddress.IPv4Any : IpAddress.IPv6Any, 0);
            SocketError error = AddRoute(all, gateway, index, metric++);
            if (error != SocketError.Success) throw new ArgumentException($"{options.Name}: the gateway {gateway} cannot be added: {error}.", nameof(options));
        }

        Configuration.Start(_interfaces[index], now);
        return index;
    }

    /// <summary>The interface at an index.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal IpInterface Interface(int index) => _interfaces[index];

    /// <summary>An interface's name.</summary>
    public string InterfaceName(int index) => _interfaces[index].Name;

    /// <summary>Finds where packets to a destination go, and from which address.</summary>
    /// <param name="remote">The destination.</param>
    /// <param name="local">Our address; chosen here when it is unspecified.</param>
    /// <param name="path">The path.</param>
    /// <param name="now">The time.</param>
    /// <returns>Success, NetworkUnreachable, HostUnreachable, AddressNotAvailable or AddressFamilyNotSupported.</returns>
    internal SocketError Resolve(in IpAddress remote, ref IpAddress local, ref FlowPath path, Instant now)
    {
        path = default;
        if (remote.IsAny) return SocketError.AddressNotAvailable;
        if (!local.IsAny && local.IsIPv4 != remote.IsIPv4) return SocketError.AddressFamilyNotSupported;
        // RFC 1122 §3.2.1.3, RFC 1122 §3.3.4.2: the caller may choose among our own addresses, and no other is sent from.
        int localPlace = -1;
        if (!local.IsAny && !IsLocalAddress(local, out localPlace)) return SocketError.AddressNotAvailable;
        if (IsLocalAddress(remote, out _)) return ResolveLoopback(remote, ref local, ref path);
        if (remote.IsLoopback || local.IsLoopback) return SocketError.NetworkUnreachable;
        // A link-local address says which link is meant; so does an address of ours for a group.
        bool bound = localPlace >= 0 && (remote.IsLinkLocal || remote.IsMulticast || remote.IsBroadcast || (local.IsLinkLocal && local.IsIPv6));
        int only = bound ? Addresses.Places[localPlace].InterfaceIndex : -1;
        bool isGroup = remote.IsMulticast || Addresses.IsBroadcast(remote, only);
        int index;
        IpAddress nextHop = remote;
        if (Routes.TryFind(remote, only, out Route route))
        {
            index = route.InterfaceIndex;
            if (!route.IsOnLink) nextHop = route.Gateway;
        }
        else if (isGroup)
        {
            index = only >= 0 ? only : FirstLink(remote);
        }
        else
        {
            index = -1;
        }

        if (index < 0) return SocketError.NetworkUnreachable;
        if (local.IsAny)
        {
            int place = Addresses.SelectSource(remote, index);
            if (place < 0) return SocketError.AddressNotAvailable;
            local = Addresses.Places[place].Address;
        }

        return FillPath(_interfaces[index], remote, nextHop, isGroup, ref path, now);
    }

    private SocketError FillPath(IpInterface link, in IpAddress remote, in IpAddress nextHop, bool isGroup, ref FlowPath path, Instant now)
    {
        if (remote.IsIPv6 && !link.HasIPv6) return SocketError.NetworkUnreachable;
        path.Neighbour = FlowPath.NoNeighbour;
        if (link.IsEthernet && !isGroup)
        {
            int place = Neighbours.FindOrAdd(link.Index, nextHop, now);
            if (place < 0) return SocketError.HostUnreachable;
            path.Neighbour = Neighbours.HandleOf(place);
        }

        path.InterfaceIndex = (ushort)link.Index;
        path.Mtu = (ushort)PathMtus.Get(remote, link.MtuFor(remote), now);
        path.Generation = _generation;
        return SocketError.Success;
    }

    private SocketError ResolveLoopback(in IpAddress remote, ref IpAddress local, ref FlowPath path)
    {
        if (_loopback < 0) return SocketError.NetworkUnreachable;
        if (local.IsAny) local = remote;
        path = new FlowPath
        {
            Generation = _generation,
            InterfaceIndex = (ushort)_loopback,
            Mtu = (ushort)_interfaces[_loopback].Mtu,
            Neighbour = FlowPath.NoNeighbour,
        };
        return SocketError.Success;
    }

    private int FirstLink(in IpAddress remote)
    {
        for (int i = 0; i < InterfaceCount; i++)
        {
            if (!_interfaces[i].IsLoopback && Addresses.SelectSource(remote, i) >= 0) return i;
        }

        return -1;
    }

    /// <summary>Whether routes, addresses and MTUs are as they were when the path was found.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal bool IsCurrent(in FlowPath path) => path.Generation == _generation;

    /// <summary>Whether the interface's burst has room for one more frame of data.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal bool HasRoom(in FlowPath path) => _interfaces[path.InterfaceIndex].HasRoom;

    /// <summary>For how many frames of data the interface's burst has room.</summary>
    internal int Room(in FlowPath path) => _interfaces[path.InterfaceIndex].Room;

    /// <summary>What the path's link does by itself.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal LinkOffloads Offloads(in FlowPath path) => _interfaces[path.InterfaceIndex].Offloads;

    /// <summary>The largest super-segment, headers included, that the path's link takes, or 0.</summary>
    internal int SuperSegmentMax(in FlowPath path) => _interfaces[path.InterfaceIndex].Options.SuperSegmentMax;

    /// <summary>
    /// Sends a transport's packet. The frame begins with the transport header and has <see cref="FramePool.Headroom"/> before it; the
    /// layer owns it whatever happens, and counts what it drops. The path must have come from <see cref="Resolve"/>.
    /// </summary>
    internal void Output(ref Frame frame, in IpOutput how, in FlowPath path, Instant now) => _sender.Output(ref frame, how, path, now);

    /// <summary>Finishes a transport's checksum, or leaves it to the link where that can.</summary>
    /// <param name="frame">A frame that begins with the transport header, whose checksum field is zero.</param>
    /// <param name="path">Where it will go.</param>
    /// <param name="checksumOffset">Where the checksum field lies, from the frame's first byte.</param>
    /// <param name="pseudoSum">The pseudo-header's sum.</param>
    /// <param name="headerLength">Bytes from the first that are not in <paramref name="payloadSum"/>: even.</param>
    /// <param name="payloadSum">The sum of the rest, from the copy that put it there.</param>
    internal void FinishTransportChecksum(ref Frame frame, in FlowPath path, int checksumOffset, uint pseudoSum, int headerLength, uint payloadSum)
    {
        Span<byte> head = Frames.Head(frame);
        IpInterface link = _interfaces[path.InterfaceIndex];
        if ((link.Offloads & LinkOffloads.TransmitChecksum) != 0)
        {
            frame.Flags |= FrameFlags.ChecksumUnfinished;
            (frame.ChecksumStart, frame.ChecksumOffset) = (0, (ushort)checksumOffset);
            InternetChecksum.StorePartial(head[checksumOffset..], pseudoSum);
            return;
        }

        InternetChecksum.Store(head[checksumOffset..], InternetChecksum.Sum(head[..headerLength], pseudoSum + payloadSum));
    }

    /// <summary>
    /// Takes a received frame: checks it, answers ARP, neighbour discovery and ICMP, gathers fragments. True when there is a packet for a
    /// transport; the caller then still owns <paramref name="frame"/>, which may have become another. False when it was consumed.
    /// </summary>
    internal bool TryParse(ref Frame frame, int interfaceIndex, Instant now, out ReceivedPacket packet) =>
        _input.TryParse(ref frame, _interfaces[interfaceIndex], now, out packet);

    /// <summary>The frames that wait to be transmitted; still owned by the layer.</summary>
    internal Span<Frame> PendingOutput(int interfaceIndex) => _interfaces[interfaceIndex].Burst;

    /// <summary>Says that the first frames of <see cref="PendingOutput"/> have another owner now.</summary>
    internal void OnTransmitted(int interfaceIndex, int count)
    {
        IpInterface link = _interfaces[interfaceIndex];
        link.Dequeue(count);
        if (link.BurstCount == 0 || (link.Offloads & LinkOffloads.Gather) == 0) return;
        int dropped = link.KeepGathered(Frames);
        Counters.Sent -= dropped;
        Counters.SendDroppedNoMemory += dropped;
    }

    /// <summary>Moves out the frames that were sent to ourselves; they are to be given to input as received on the same interface.</summary>
    internal int TakeLoopback(int interfaceIndex, Span<Frame> into)
    {
        IpInterface link = _interfaces[interfaceIndex];
        int count = Math.Min(into.Length, link.BurstCount);
        link.Burst[..count].CopyTo(into);
        link.Dequeue(count);
        return count;
    }

    /// <summary>Handles timers that are due: a bounded number, so ask <see cref="NextDeadline"/> again.</summary>
    internal void FireTimers(Instant now) => _timers.Fire(now, TimersPerCall);

    /// <summary>Whether the address is one of ours and usable (any address of 127.0.0.0/8 is, when there is a loopback).</summary>
    public bool IsLocalAddress(in IpAddress address) => IsLocalAddress(address, out _);

    private bool IsLocalAddress(in IpAddress address, out int place)
    {
        place = Addresses.Find(address, -1);
        if (place >= 0) return Addresses.Places[place].IsUsable;
        return address.IsLoopback && _loopback >= 0;
    }

    /// <summary>Whether the address is a group, the limited broadcast, or the broadcast of one of our prefixes.</summary>
    public bool IsBroadcastOrMulticast(in IpAddress address) => address.IsMulticast || Addresses.IsBroadcast(address, -1);

    /// <summary>The largest packet in bytes that the path to a destination is believed to carry; 0 without a route.</summary>
    public int PathMtu(in IpAddress remote, Instant now)
    {
        if (IsLocalAddress(remote)) return _loopback < 0 ? 0 : _interfaces[_loopback].Mtu;
        return Routes.TryFind(remote, -1, out Route route) ? PathMtus.Get(remote, _interfaces[route.InterfaceIndex].MtuFor(remote), now) : 0;
    }

    /// <summary>A transport has confirmed that a report of a smaller path MTU is about a packet of its own (RFC 5927 §7.2).</summary>
    internal void OnPacketTooBigConfirmed(in IpAddress remote, int mtu, Instant now)
    {
        int most = Routes.TryFind(remote, -1, out Route route) ? _interfaces[route.InterfaceIndex].MtuFor(remote) : ushort.MaxValue;
        if (!PathMtus.TryLower(remote, mtu, most, now))
        {
            _icmpCounters.PathMtuIgnored++;
            return;
        }

        _icmpCounters.PathMtuLowered++;
        _timers.ArmPathMtuSweep(now);
        Invalidate();
    }

    /// <summary>RFC 4861 §7.3.1: the upper layer made forward progress on the path.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal void ConfirmReachable(in FlowPath path, Instant now) => Neighbours.Confirm(path.Neighbour, now);

    /// <summary>Answers a datagram that nobody listens for, as far as that is allowed and the limiter lets it.</summary>
    internal void SendPortUnreachable(in ReceivedPacket packet, Instant now) => Errors.SendPortUnreachable(packet, now);

    /// <summary>Adds an own address and the route to its link.</summary>
    /// <returns>Success, InvalidArgument, AddressAlreadyInUse or NoBufferSpaceAvailable.</returns>
    public SocketError AddAddress(int interfaceIndex, in InterfaceAddress address, Instant now) =>
        Configuration.Add(_interfaces[interfaceIndex], address, AddressOrigin.Static, Instant.Never, Instant.Never, now);

    /// <summary>Removes an own address. Flows that use it find out when they resolve their path again.</summary>
    public bool RemoveAddress(int interfaceIndex, in IpAddress address) => Configuration.Remove(interfaceIndex, address);

    /// <summary>The own addresses: copies as many as fit and returns how many there are.</summary>
    public int ListAddresses(Span<OwnAddress> into)
    {
        int count = 0;
        foreach (ref readonly OwnAddress own in Addresses.Places)
        {
            if (!own.IsUsed) continue;
            if (count < into.Length) into[count] = own;
            count++;
        }

        return count;
    }

    /// <summary>Adds a route.</summary>
    /// <param name="prefix">Destinations.</param>
    /// <param name="gateway">The next hop, or null (or unspecified) where they are on the link.</param>
    /// <param name="interfaceIndex">The interface.</param>
    /// <param name="metric">Of two routes with the same prefix the smaller wins.</param>
    /// <returns>Success, InvalidArgument or NoBufferSpaceAvailable.</returns>
    public SocketError AddRoute(in IpPrefix prefix, IpAddress? gateway, int interfaceIndex, uint metric)
    {
        IpAddress hop = gateway ?? default;
        bool bad = (uint)interfaceIndex >= (uint)InterfaceCount || (!hop.IsAny && hop.IsIPv4 != prefix.Address.IsIPv4) || hop.IsMulticast;
        if (bad || IsLocalAddress(hop)) return SocketError.InvalidArgument;
        return AddRoute(new Route
        {
            Prefix = prefix, Gateway = hop, InterfaceIndex = (ushort)interfaceIndex, Metric = metric,
            Origin = RouteOrigin.Static, Expires = Instant.Never,
        });
    }

    internal SocketError AddRoute(in Route route)
    {
        SocketError error = Routes.Add(route);
        if (error == SocketError.Success) Invalidate();
        _timers.ArmRouteExpiry(Routes.NextExpiry);
        return error;
    }

    /// <summary>Removes a route; false when there is none.</summary>
    public bool RemoveRoute(in IpPrefix prefix, IpAddress? gateway, int interfaceIndex)
    {
        bool removed = Routes.Remove(prefix, gateway ?? default, interfaceIndex);
        if (removed) Invalidate();
        return removed;
    }

    /// <summary>Sets a neighbour from outside, for good; false when every entry is in use.</summary>
    public bool SetNeighbour(int interfaceIndex, in IpAddress address, MacAddress mac, Instant now) =>
        Neighbours.SetPermanent(interfaceIndex, address, mac, now);

    /// <summary>Forgets a neighbour; false when it was not known.</summary>
    public bool RemoveNeighbour(int interfaceIndex, in IpAddress address) => Neighbours.Remove(interfaceIndex, address);

    /// <summary>The neighbours: copies as many as fit and returns how many there are.</summary>
    public int ListNeighbours(Span<NeighbourListing> into, Instant now)
    {
        int count = 0;
        for (int i = 0; i < Neighbours.CountMax; i++)
        {
            ref readonly Neighbour entry = ref Neighbours.At(i);
            if (!entry.IsUsed) continue;
            if (count < into.Length)
                into[count] = new NeighbourListing(entry.InterfaceIndex, entry.Address, entry.Mac, NeighbourCache.StateOf(entry, now), entry.IsRouter);
            count++;
        }

        return count;
    }

    /// <summary>The link carries larger or smaller packets from now on, 68 to 65,535 bytes: every flow finds its path again.</summary>
    internal void SetMtu(int interfaceIndex, int mtu)
    {
        _interfaces[interfaceIndex].Mtu = mtu;
        Invalidate();
    }

    /// <summary>Another device took its place, perhaps with another address: neighbours are asked again, and told ours and our groups.</summary>
    internal void OnDeviceReplaced(int interfaceIndex, MacAddress mac, Instant now)
    {
        _interfaces[interfaceIndex].Mac = mac;
        Neighbours.RemoveLearned(interfaceIndex);
        Invalidate();
        Solicitor.Announce(_interfaces[interfaceIndex]);
        Groups.OnDeviceReplaced(_interfaces[interfaceIndex], now);
    }

    /// <summary>How long from now a neighbour on the interface counts as reachable.</summary>
    internal Duration ReachableTime(int interfaceIndex, Instant now) => _interfaces[interfaceIndex].ReachableTime(Generator, now);

    /// <summary>Makes every flow find its path again.</summary>
    internal void Invalidate()
    {
        if (++_generation == 0) _generation = 1;
    }

    internal void OnGatewayAnswers(in IpAddress gateway, int interfaceIndex, bool answers)
    {
        if (Routes.NoteGateway(gateway, interfaceIndex, answers)) Invalidate();
    }

    internal void OnRouterGone(in IpAddress gateway, int interfaceIndex)
    {
        if (Routes.RemoveLearned(gateway, interfaceIndex)) Invalidate();
    }
}
