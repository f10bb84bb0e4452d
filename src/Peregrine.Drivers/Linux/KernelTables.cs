// The kernel's neighbours and routes of one interface, by rtnetlink: at first a dump of each, then every change. It also asks the kernel to
// find a neighbour, where the answers on the wire are the kernel's. Applies nothing: whoever reads decides.
using System.Buffers.Binary;
using System.Runtime.InteropServices;
using Peregrine.Core.Links;
using Peregrine.Wire;

namespace Peregrine.Drivers.Linux;

internal sealed class KernelTables : ITableSource, IDisposable
{
    private const int Header = 16, NeighbourHeader = 12, RouteHeader = 12;
    private const ushort Error = 2, Done = 3, NewRoute = 24, DeleteRoute = 25, GetRoute = 26, NewNeighbour = 28, DeleteNeighbour = 29, GetNeighbour = 30;
    private const ushort FlagRequest = 1, FlagDump = 0x300, FlagCreate = 0x400;
    private const ushort NeighbourAddress = 1, NeighbourMac = 2, RouteDestination = 1, RouteInterface = 4, RouteGateway = 5, RoutePriority = 6;
    private const uint GroupNeighbours = 4, GroupRoutes4 = 0x40, GroupRoutes6 = 0x400;
    private const ushort StateKnown = 0x02 | 0x04 | 0x08 | 0x10 | 0x40 | 0x80, StateFailed = 0x20;
    private const byte Use = 1, MainTable = 254, Unicast = 1;
    private const uint ClonedRoute = 0x200;
    private const int RoundsMax = 64;

    // What has been told and may have to be taken back; of a table that is larger the rest stays until the kernel itself says that it is gone.
    private const int ToldCountMax = 65_536;

    private readonly byte[] _buffer = new byte[32_768];
    private readonly Queue<ushort> _dumps = new();
    private int _socket;
    private int _interface;
    private readonly Dictionary<(TableChangeKind Kind, IpPrefix Prefix, IpAddress Gateway), int> _told = [];
    private readonly Queue<TableChange> _gone = new();
    private int _at, _end;
    private int _generation;
    private bool _isDumping, _dumpsAgain;

    /// <summary>Watches an interface of the calling thread's namespace.</summary>
    public KernelTables(int interfaceIndex)
    {
        _socket = Posix.Socket(LinuxConstants.FamilyNetlink, LinuxConstants.SocketRaw | OpenFlags.NonBlocking, 0).ThrowIfError("cannot open a netlink socket").Int32;
        XdpCalls.Bind(_socket, new NetlinkAddress { Family = LinuxConstants.FamilyNetlink, Groups = GroupNeighbours | GroupRoutes4 | GroupRoutes6 })
            .ThrowIfError("cannot watch the kernel's neighbours and routes");
        Follow(interfaceIndex);
    }

    public int PollDescriptor => _socket;

    /// <summary>How often the kernel had more to say than there was room for.</summary>
    public int OverrunCount { get; private set; }

    /// <summary>
    /// Watches this interface from now on, and reads all of it again; what was told before and is not there any more is taken back. For an
    /// interface that came back, or came up again: IPv4's routes go with it, and the kernel does not say so.
    /// </summary>
    public void Follow(int interfaceIndex)
    {
        _interface = interfaceIndex;
        _generation++;
        // A socket has one dump at a time.
        if (_isDumping) _dumpsAgain = true;
        else BeginDumps();
    }

    public int Read(Span<TableChange> changes)
    {
        var count = 0;
        while (count < changes.Length && _gone.TryDequeue(out changes[count])) count++;
        for (var round = 0; round < RoundsMax && count < changes.Length && _socket >= 0; round++)
        {
            if (_at >= _end)
            {
                var got = Posix.Receive(_socket, _buffer);
                // Changes were lost for want of room: everything is read again.
                if (got.Errno == Errno.ENOBUFS)
                {
                    OverrunCount++;
                    Follow(_interface);
                }
                if (got.IsError) break;
                (_at, _end) = (0, got.Int32);
            }
            while (_at < _end && count < changes.Length)
            {
                if (!TryTake(out changes[count])) continue;
                Remember(changes[count]);
                count++;
            }
            while (count < changes.Length && _gone.TryDequeue(out changes[count])) count++;
        }
        return count;
    }

    /// <summary>Asks the kernel to find a neighbour's hardware address, or to see whether the one it knows is still right.</summary>
    public void Ask(IpAddress address)
    {
        Span<byte> request = stackalloc byte[Header + NeighbourHeader + 4 + 16];
        request.Clear();
        request[Header] = FamilyOf(address);
        MemoryMarshal.Write(request[(Header + 4)..], _interface);
        request[Header + 10] = Use;
        var attribute = request[(Header + NeighbourHeader)..];
        MemoryMarshal.Write(attribute, (ushort)(4 + address.Length));
        MemoryMarshal.Write(attribute[2..], NeighbourAddress);
        if (address.IsIPv4) BinaryPrimitives.WriteUInt32BigEndian(attribute[4..], address.ToIPv4());
        else address.WriteIPv6To(attribute[4..]);
        Send(request[..(Header + NeighbourHeader + 4 + address.Length)], NewNeighbour, FlagRequest | FlagCreate);
    }

    public void Dispose()
    {
        var socket = Interlocked.Exchange(ref _socket, -1);
        if (socket >= 0) Posix.Close(socket);
    }

    private static byte FamilyOf(in IpAddress address) => (byte)(address.IsIPv4 ? LinuxConstants.FamilyInet : LinuxConstants.FamilyInet6);

    private static bool TryAddress(byte family, ReadOnlySpan<byte> value, out IpAddress address)
    {
        address = default;
        if (family == LinuxConstants.FamilyInet && value.Length == 4) address = IpAddress.ReadIPv4(value);
        else if (family == LinuxConstants.FamilyInet6 && value.Length == 16) address = IpAddress.ReadIPv6(value);
        else return false;
        return true;
    }

    private static ReadOnlySpan<byte> Find(ReadOnlySpan<byte> attributes, ushort wanted)
    {
        while (attributes.Length >= 4)
        {
            int length = MemoryMarshal.Read<ushort>(attributes);
            if (length < 4 || length > attributes.Length) break;
            if ((MemoryMarshal.Read<ushort>(attributes[2..]) & 0x3FFF) == wanted) return attributes[4..length];
            attributes = attributes[Math.Min(attributes.Length, (length + 3) & ~3)..];
        }
        return default;
    }

    private void BeginDumps()
    {
        (_isDumping, _dumpsAgain) = (true, false);
        _dumps.Clear();
        _dumps.Enqueue(GetRoute);
        Dump(GetNeighbour);
    }

    private void OnDumped()
    {
        if (_dumpsAgain)
        {
            BeginDumps();
            return;
        }
        if (_dumps.TryDequeue(out var next))
        {
            Dump(next);
            return;
        }
        _isDumping = false;
        foreach (var (what, generation) in _told)
        {
            if (generation == _generation) continue;
            _gone.Enqueue(new TableChange(what.Kind, IsRemoved: true, what.Prefix, what.Gateway, default, 0));
            _told.Remove(what);
        }
    }

    private void Remember(in TableChange change)
    {
        var what = (change.Kind, change.Prefix, change.Gateway);
        if (change.IsRemoved) _told.Remove(what);
        else if (_told.Count < ToldCountMax || _told.ContainsKey(what)) _told[what] = _generation;
    }

    private void Dump(ushort kind)
    {
        Span<byte> request = stackalloc byte[Header + RouteHeader];
        request.Clear();
        Send(request, kind, FlagRequest | FlagDump);
    }

    private void Send(Span<byte> request, ushort kind, int flags)
    {
        MemoryMarshal.Write(request, request.Length);
        MemoryMarshal.Write(request[4..], kind);
        MemoryMarshal.Write(request[6..], (ushort)flags);
        // A request that is lost is made again: a neighbour is asked for with the next packet to it.
        Posix.Send(_socket, request);
    }

    /// <summary>Takes the next message of what was received. False when it says nothing about our interface.</summary>
    private bool TryTake(out TableChange change)
    {
        change = default;
        var bytes = _buffer.AsSpan(_at, _end - _at);
        var length = bytes.Length >= Header ? MemoryMarshal.Read<int>(bytes) : 0;
        if (length < Header || length > bytes.Length)
        {
            _at = _end;
            return false;
        }
        _at += Math.Min(bytes.Length, (length + 3) & ~3);
        var kind = MemoryMarshal.Read<ushort>(bytes[4..]);
        var message = bytes[Header..length];
        switch (kind)
        {
            case NewNeighbour or DeleteNeighbour when message.Length >= NeighbourHeader:
                return TryNeighbour(message, kind == DeleteNeighbour, out change);
            case NewRoute or DeleteRoute when message.Length >= RouteHeader:
                return TryRoute(message, kind == DeleteRoute, out change);
            case Done:
                OnDumped();
                return false;
            case Error:
            default:
                return false;
        }
    }

    private bool TryNeighbour(ReadOnlySpan<byte> message, bool isRemoved, out TableChange change)
    {
        change = default;
        if (MemoryMarshal.Read<int>(message[4..]) != _interface) return false;
        var state = MemoryMarshal.Read<ushort>(message[8..]);
        var attributes = message[NeighbourHeader..];
        if (!TryAddress(message[0], Find(attributes, NeighbourAddress), out var address) || address.IsMulticast) return false;
        var mac = Find(attributes, NeighbourMac);
        isRemoved |= (state & StateFailed) != 0;
        if (!isRemoved && ((state & StateKnown) == 0 || mac.Length != MacAddress.Length)) return false;
        change = new TableChange(TableChangeKind.Neighbour, isRemoved, new IpPrefix(address, address.IsIPv4 ? 32 : 128), default,
            isRemoved ? default : MacAddress.Read(mac), 0);
        return true;
    }

    private bool TryRoute(ReadOnlySpan<byte> message, bool isRemoved, out TableChange change)
    {
        change = default;
        var (family, length, table, kind) = (message[0], message[1], message[4], message[7]);
        var attributes = message[RouteHeader..];
        var output = Find(attributes, RouteInterface);
        var isOurs = table == MainTable && kind == Unicast && (MemoryMarshal.Read<uint>(message[8..]) & ClonedRoute) == 0
            && output.Length == 4 && MemoryMarshal.Read<int>(output) == _interface;
        // Routes without a gateway are those of the interface's own prefixes, which the stack has from its addresses.
        if (!isOurs || !TryAddress(family, Find(attributes, RouteGateway), out var gateway)) return false;
        var destination = gateway.IsIPv4 ? IpAddress.IPv4Any : IpAddress.IPv6Any;
        if (length > 0 && !TryAddress(family, Find(attributes, RouteDestination), out destination)) return false;
        var metric = Find(attributes, RoutePriority);
        change = new TableChange(TableChangeKind.Route, isRemoved, new IpPrefix(destination, length), gateway, default,
            metric.Length == 4 ? MemoryMarshal.Read<uint>(metric) : 0);
        return true;
    }

    /// <summary>struct sockaddr_nl.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private struct NetlinkAddress
    {
        public ushort Family;
        public ushort Padding;
        public uint Port;
        public uint Groups;
    }
}
