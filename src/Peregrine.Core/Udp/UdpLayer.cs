// UDP (RFC 768, RFC 1122 §4.1, RFC 8200 §8.1): sockets, bound and connected, their queues, events and errors.
// It belongs to its stack's thread; awaiting and waiting are built on its events elsewhere. A group's datagram goes to one socket.
using System.Net.Sockets;
using System.Runtime.InteropServices;
using Peregrine.Core.Ip;
using Peregrine.Core.Links;
using Peregrine.Core.Memory;
using Peregrine.Core.Time;
using Peregrine.Wire;

namespace Peregrine.Core.Udp;

/// <summary>UDP of one stack.</summary>
public sealed class UdpLayer : ITransportErrors
{
    private const int PortTriesMax = 32;
    private const int WritablePerCall = 64;

    // Linux joins no more (UDP_MAX_SEGMENTS).
    private const int JoinedMax = 128;

    private readonly IpLayer _ip;
    private readonly UdpOptions _options;
    private readonly UdpSocketTable _sockets;
    private readonly UdpReceiveQueue _queue;
    private readonly IndexList _events, _waiting;
    private readonly StackRandom _random;
    private readonly int _blockSize;
    private UdpCounters _counters;

    /// <summary>Makes a layer without sockets and has ICMP errors about datagrams told to it.</summary>
    /// <param name="ip">The layer below.</param>
    /// <param name="options">Bounds.</param>
    /// <param name="blocks">Where received datagrams are kept.</param>
    /// <param name="region">Memory for the tables: <see cref="BytesFor"/>.</param>
    /// <param name="key">A secret for the hashes.</param>
    /// <param name="random">The stack's generator.</param>
    internal UdpLayer(IpLayer ip, UdpOptions options, ChunkPool blocks, MemoryRegion region, UInt128 key, StackRandom random)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(options.SocketCountMax, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(options.SocketCountMax, 65_535);
        (_ip, _options, _random, _blockSize) = (ip, options, random, blocks.ChunkSize);
        _sockets = new UdpSocketTable(region, options.SocketCountMax, key);
        _queue = new UdpReceiveQueue(blocks, ip.Frames);
        _events = new IndexList(options.SocketCountMax);
        _waiting = new IndexList(options.SocketCountMax);
        ip.UdpErrors = this;
    }

    /// <summary>What happened so far.</summary>
    public ref UdpCounters Counters => ref _counters;

    /// <summary>Who is told of sockets' ports, or null.</summary>
    internal IPortKeeper? Ports { get; set; }

    /// <summary>Sockets now.</summary>
    public int SocketCount => _sockets.Count;

    /// <summary>Bytes of native memory that a layer takes from its region; blocks are another pool's.</summary>
    public static nuint BytesFor(UdpOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        return UdpSocketTable.BytesFor(options.SocketCountMax);
    }

    /// <summary>Makes a socket bound to our end.</summary>
    /// <returns>Success, AddressNotAvailable, AddressAlreadyInUse, TooManyOpenSockets.</returns>
    public SocketError Bind(in UdpBindOptions options, out UdpHandle socket)
    {
        socket = default;
        IpAddress local = options.Local.Address;
        if (!local.IsAny && !_ip.IsLocalAddress(local) && !_ip.IsBroadcastOrMulticast(local)) return SocketError.AddressNotAvailable;
        if (!_sockets.TryRent(out int index)) return SocketError.TooManyOpenSockets;
        ref UdpSocket s = ref _sockets[index];
        s.Local = options.Local;
        s.V6Only = options.V6Only;
        s.Reuse = options.ReuseAddress;
        s.Broadcast = options.Broadcast;
        s.DontFragment = options.DontFragment;
        s.HopLimit = options.HopLimit;
        s.MulticastHopLimit = options.MulticastHopLimit;
        s.TrafficClass = options.TrafficClass;
        s.BufferSize = options.ReceiveBufferSize > 0 ? options.ReceiveBufferSize : _options.ReceiveBufferSize;
        bool free = s.Local.Port == 0 ? TryPickPort(ref s) : !_sockets.Conflicts(s);
        if (!free || Ports?.TryOpenPort(udp: true, s.Local.Port) == false)
        {
            _sockets.Return(index);
            return SocketError.AddressAlreadyInUse;
        }

        _sockets.CountPort(s, 1);
        _sockets.Link(index);
        socket = new UdpHandle((uint)index, s.Generation);
        return SocketError.Success;
    }

    // RFC 6056 §3.3.1: a random port; after some tries in vain the next free one from a random place on.
    private bool TryPickPort(ref UdpSocket socket)
    {
        uint count = (uint)(_options.EphemeralPortMax - _options.EphemeralPortMin + 1);
        uint start = _random.Next(count);
        for (uint i = 0; i < count + PortTriesMax; i++)
        {
            uint place = i < PortTriesMax ? _random.Next(count) : (start + i) % count;
            var port = (ushort)(_options.EphemeralPortMin + place);
            if (!_sockets.IsPortFree(port, socket)) continue;
            socket.Local = new Endpoint(socket.Local.Address, port);
            return true;
        }

        return false;
    }

    /// <summary>
    /// Fixes the other end: the socket sends there by default, receives only from there, and is told of ICMP errors. The unspecified
    /// endpoint undoes it.
    /// </summary>
    /// <returns>Success, NotSocket, AddressFamilyNotSupported, AddressAlreadyInUse, AccessDenied, or as the route says.</returns>
    public SocketError Connect(UdpHandle socket, in Endpoint remote, Instant now)
    {
        if (!_sockets.TryGet(socket, out int index)) return SocketError.NotSocket;
        ref UdpSocket s = ref _sockets[index];
        if (remote == default)
        {
            _sockets.Unlink(index);
            (s.IsConnected, s.Remote) = (false, default);
            _sockets.Link(index);
            return SocketError.Success;
        }

        if (remote.Port == 0) return SocketError.AddressNotAvailable;
        SocketError error = Route(ref s, remote, now);
        if (error != SocketError.Success) return error;
        var local = new Endpoint(s.PathLocal, s.Local.Port);
        int other = _sockets.FindConnected(local, remote);
        if (other >= 0 && other != index) return SocketError.AddressAlreadyInUse;
        _sockets.Unlink(index);
        // The port counts for the families that the socket serves, and they change with the address.
        _sockets.CountPort(s, -1);
        (s.Local, s.Remote, s.IsConnected) = (local, remote, true);
        _sockets.CountPort(s, 1);
        _sockets.Link(index);
        return SocketError.Success;
    }

    /// <summary>Sends a datagram.</summary>
    /// <param name="socket">The socket.</param>
    /// <param name="data">At most 65,507 bytes over IPv4, 65,527 over IPv6.</param>
    /// <param name="remote">To whom; the default value for the other end of a connected socket.</param>
    /// <param name="now">The time.</param>
    /// <param name="error">Success, or why not. WouldBlock: no room now, and <see cref="UdpEvents.Writable"/> will come.</param>
    /// <returns>The length, or -1.</returns>
    public int Send(UdpHandle socket, ReadOnlySpan<byte> data, in Endpoint remote, Instant now, out SocketError error)
    {
        error = SocketError.NotSocket;
        if (!_sockets.TryGet(socket, out int index)) return -1;
        ref UdpSocket s = ref _sockets[index];
        Endpoint to = remote == default ? s.Remote : remote;
        error = to.Port == 0 ? (remote == default ? SocketError.NotConnected : SocketError.AddressNotAvailable) : Route(ref s, to, now);
        if (error == SocketError.Success) error = CheckLength(s, data.Length);
        if (error != SocketError.Success)
        {
            _counters.SendRefused++;
            return -1;
        }

        if (!_ip.HasRoom(s.Path))
        {
            _counters.SendRefusedFull++;
            _waiting.Add(index);
            error = SocketError.WouldBlock;
            return -1;
        }

        if (!TryBuild(s, data, out Frame frame))
        {
            _counters.SendRefusedNoMemory++;
            error = SocketError.NoBufferSpaceAvailable;
            return -1;
        }

        var how = new IpOutput
        {
            Local = s.PathLocal, Remote = to.Address, Protocol = IpProtocol.Udp, TrafficClass = s.TrafficClass,
            HopLimit = to.Address.IsMulticast ? s.MulticastHopLimit : s.HopLimit, DontFragment = s.DontFragment,
        };
        _counters.Sent++;
        _ip.Output(ref frame, how, s.Path, now);
        return data.Length;
    }

    private static SocketError CheckLength(in UdpSocket s, int length)
    {
        int headers = UdpHeader.Length + (s.PathRemote.Address.IsIPv4 ? IPv4Header.Length : IPv6Header.Length);
        int most = s.PathRemote.Address.IsIPv4 ? IPv4Header.TotalLengthMax - headers : IPv6Header.PayloadLengthMax - UdpHeader.Length;
        // RFC 8899 §3 (2): who searches for the path's MTU is told at once.
        bool tooLong = length > most || (s.DontFragment && length + headers > s.Path.Mtu);
        return tooLong ? SocketError.MessageSize : SocketError.Success;
    }

    // The path to where was sent last is kept: a conversation looks it up once.
    private SocketError Route(ref UdpSocket s, in Endpoint remote, Instant now)
    {
        if (s.PathRemote == remote && _ip.IsCurrent(s.Path)) return SocketError.Success;
        if (!s.Serves(remote.Address)) return SocketError.AddressFamilyNotSupported;
        if (!s.Broadcast && _ip.Addresses.IsBroadcast(remote.Address, -1)) return SocketError.AccessDenied;
        IpAddress local = s.Local.Address.IsAny || _ip.IsBroadcastOrMulticast(s.Local.Address) ? default : s.Local.Address;
        s.Path = default;
        SocketError error = _ip.Resolve(remote.Address, ref local, ref s.Path, now);
        if (error != SocketError.Success) return error;
        (s.PathLocal, s.PathRemote) = (local, remote);
        return SocketError.Success;
    }

    private bool TryBuild(in UdpSocket s, ReadOnlySpan<byte> data, out Frame frame)
    {
        if (!_ip.Frames.TryRentFor(UdpHeader.Length + data.Length, out frame)) return false;
        uint sum = _ip.Frames.CopyInAndSum(frame, UdpHeader.Length, data);
        Span<byte> head = _ip.Frames.Head(frame);
        UdpHeader.Write(head, s.Local.Port, s.PathRemote.Port, data.Length);
        if ((_ip.Offloads(s.Path) & LinkOffloads.TransmitChecksum) != 0)
        {
            frame.Flags |= FrameFlags.ChecksumUnfinished;
            frame.ChecksumOffset = UdpHeader.ChecksumOffset;
            uint pseudo = InternetChecksum.PseudoHeader(s.PathLocal, s.PathRemote.Address, IpProtocol.Udp, frame.Length);
            InternetChecksum.StorePartial(head[UdpHeader.ChecksumOffset..], pseudo);
        }
        else
        {
            UdpHeader.WriteChecksum(head, s.PathLocal, s.PathRemote.Address, sum, data.Length);
        }

        return true;
    }

    /// <summary>Takes the oldest datagram.</summary>
    /// <param name="socket">The socket.</param>
    /// <param name="destination">Where to; what does not fit is lost.</param>
    /// <param name="from">Who sent it.</param>
    /// <param name="to">Our address that it was sent to, or a broadcast or group (RFC 1122 §4.1.3.5).</param>
    /// <param name="truncated">Whether something was lost.</param>
    /// <returns>Bytes copied, or -1 when there is no datagram or no such socket.</returns>
    public int Receive(UdpHandle socket, Span<byte> destination, out Endpoint from, out IpAddress to, out bool truncated)
    {
        (from, to, truncated) = (default, default, false);
        return _sockets.TryGet(socket, out int index) ? _queue.Take(ref _sockets[index], destination, out from, out to, out truncated) : -1;
    }

    /// <summary>Bytes of the oldest datagram, or -1 when there is none.</summary>
    public int NextLength(UdpHandle socket) => _sockets.TryGet(socket, out int index) ? _queue.NextLength(_sockets[index]) : -1;

    /// <summary>Takes the next event; several at one socket are merged into one.</summary>
    public bool TryNextEvent(out UdpEvent next)
    {
        next = default;
        if (!_events.TryTake(out int index)) return false;
        ref UdpSocket s = ref _sockets[index];
        next = new UdpEvent(new UdpHandle((uint)index, s.Generation), s.Events);
        s.Events = UdpEvents.None;
        return true;
    }

    /// <summary>Takes the pending error of a connected socket: ConnectionRefused, HostUnreachable, MessageSize and so on.</summary>
    public bool TryTakeError(UdpHandle socket, out SocketError error)
    {
        error = SocketError.Success;
        if (!_sockets.TryGet(socket, out int index)) return false;
        ref UdpSocket s = ref _sockets[index];
        (error, s.Error) = (s.Error, SocketError.Success);
        return error != SocketError.Success;
    }

    /// <summary>Closes a socket; its handle is dead.</summary>
    public void Close(UdpHandle socket)
    {
        if (!_sockets.TryGet(socket, out int index)) return;
        ref UdpSocket s = ref _sockets[index];
        _queue.Clear(ref s);
        _events.Remove(index);
        _waiting.Remove(index);
        _sockets.Unlink(index);
        _sockets.CountPort(s, -1);
        Ports?.ClosePort(udp: true, s.Local.Port);
        _sockets.Return(index);
    }

    /// <summary>Our end; the default value for a dead handle.</summary>
    public Endpoint LocalEndpoint(UdpHandle socket) => _sockets.TryGet(socket, out int index) ? _sockets[index].Local : default;

    /// <summary>The other end of a connected socket, else the default value.</summary>
    public Endpoint RemoteEndpoint(UdpHandle socket) => _sockets.TryGet(socket, out int index) ? _sockets[index].Remote : default;

    /// <summary>A received packet of protocol UDP; the caller keeps its frame.</summary>
    internal void OnPacket(in ReceivedPacket packet, Instant now)
    {
        ReadOnlySpan<byte> head = _ip.Frames.Head(packet.Frame)[packet.TransportOffset..];
        if (head.Length < UdpHeader.Length || packet.TransportLength < UdpHeader.Length)
        {
            _counters.DroppedMalformed++;
            return;
        }

        ref readonly UdpHeader header = ref MemoryMarshal.AsRef<UdpHeader>(head);
        int length = header.DatagramLength;
        if (length < UdpHeader.Length || length > packet.TransportLength)
        {
            _counters.DroppedMalformed++;
            return;
        }

        // RFC 1122 §4.1.3.4: verified, always; a bad one is dropped in silence.
        if (!packet.ChecksumGood && !IsChecksumGood(packet, header, length)) return;
        var local = new Endpoint(packet.Destination, header.DestinationPort);
        var remote = new Endpoint(packet.Source, header.SourcePort);
        int index = _sockets.Find(local, remote);
        if (index < 0)
        {
            _counters.DroppedNoSocket++;
            // RFC 1122 §4.1.3.1: port unreachable.
            _ip.SendPortUnreachable(packet, now);
            return;
        }

        DeliverParts(index, packet, remote, length - UdpHeader.Length);
    }

    /// <summary>Delivers one datagram, or those that the sender's machine left joined because the link takes them so (UDP segmentation offload).</summary>
    private void DeliverParts(int index, in ReceivedPacket packet, in Endpoint remote, int length)
    {
        int part = packet.Frame.SegmentKind == SegmentKind.Udp ? packet.Frame.SegmentSize : length;
        if (length > part * JoinedMax)
        {
            _counters.DroppedMalformed++;
            return;
        }

        int at = 0;
        do
        {
            Deliver(index, packet, remote, at, Math.Min(part, length - at));
            at += part;
        }
        while (at < length);
    }

    private bool IsChecksumGood(in ReceivedPacket packet, in UdpHeader header, int length)
    {
        if (header.Checksum.Raw == 0)
        {
            // RFC 768: no checksum. RFC 8200 §8.1: not over IPv6.
            if (packet.Source.IsIPv4) return true;
            _counters.DroppedNoChecksum++;
            return false;
        }

        uint pseudo = InternetChecksum.PseudoHeader(packet.Source, packet.Destination, IpProtocol.Udp, length);
        if (packet.MayBeUnfinished && InternetChecksum.IsUnfinished(header.Checksum.Raw, pseudo)) return true;
        if (InternetChecksum.IsValid(_ip.Frames.Sum(packet.Frame, packet.TransportOffset, length, pseudo))) return true;
        _counters.DroppedChecksum++;
        return false;
    }

    private void Deliver(int index, in ReceivedPacket packet, in Endpoint remote, int at, int length)
    {
        ref UdpSocket s = ref _sockets[index];
        // The buffer counts memory, so that small datagrams cannot take more than they were allowed; one always fits.
        if (s.QueuedBytes > 0 && s.QueuedBytes + (_queue.BlocksFor(length) * _blockSize) > s.BufferSize)
        {
            _counters.DroppedBufferFull++;
            return;
        }

        if (!_queue.TryAdd(ref s, packet.Frame, packet.TransportOffset + UdpHeader.Length + at, length, remote, packet.Destination))
        {
            _counters.DroppedNoMemory++;
            return;
        }

        _counters.Received++;
        Raise(index, UdpEvents.Readable);
    }

    /// <summary>After transmission: tells some of the sockets that had no room. Call once a turn.</summary>
    internal void OnOutputRoom()
    {
        for (int i = 0; i < WritablePerCall && _waiting.TryTake(out int index); i++)
        {
            if (_ip.HasRoom(_sockets[index].Path))
            {
                Raise(index, UdpEvents.Writable);
                continue;
            }

            _waiting.Add(index);
            break;
        }
    }

    /// <summary>Whether an event waits for <see cref="TryNextEvent"/>.</summary>
    internal bool HasEvents => !_events.IsEmpty;

    private void Raise(int index, UdpEvents events)
    {
        _sockets[index].Events |= events;
        _events.Add(index);
    }

    // RFC 1122 §4.1.3.3: errors are passed up; as with Linux, to connected sockets.
    void ITransportErrors.OnIcmpError(in IcmpError error, Instant now)
    {
        int index = _sockets.Find(error.Local, error.Remote);
        // RFC 5927 §4.2 in spirit: only about a destination that the socket has sent to.
        if (index < 0 || _sockets[index].PathRemote != error.Remote)
        {
            _counters.ErrorsForeign++;
            return;
        }

        ref UdpSocket s = ref _sockets[index];
        _counters.ErrorsDelivered++;
        if (error.Kind == IcmpErrorKind.PacketTooBig) _ip.OnPacketTooBigConfirmed(error.Remote.Address, error.Mtu, now);
        // A datagram that may be fragmented needs no new attempt by the user: the next one will be.
        if (!s.IsConnected || (error.Kind == IcmpErrorKind.PacketTooBig && !s.DontFragment)) return;
        s.Error = IcmpLayer.ToSocketError(error.Kind);
        Raise(index, UdpEvents.Error);
    }
}
