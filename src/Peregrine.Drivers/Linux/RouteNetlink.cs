// A small rtnetlink client: sets an interface up, its MTU, addresses and routes in the namespace of the thread that made it.
// Not on any packet path; each request waits for the kernel's answer. Blittable bytes, no structs: the layout is the protocol's.
using System.Buffers.Binary;
using System.Runtime.InteropServices;
using Peregrine.Wire;

namespace Peregrine.Drivers.Linux;

internal sealed class RouteNetlink : IDisposable
{
    private const int HeaderLength = 16;
    private const ushort MessageError = 2, NewLink = 16, DeleteLink = 17, NewAddress = 20, NewRoute = 24;
    private const ushort FlagRequest = 1, FlagAcknowledge = 4, FlagReplace = 0x100, FlagCreate = 0x400, FlagExclusive = 0x200;
    private const ushort LinkAddress = 1, LinkName = 3, LinkMtu = 4, LinkKind = 18, LinkNamespace = 28, TransmitQueues = 31, ReceiveQueues = 32, KindName = 1, KindDetails = 2, PairPeer = 1;
    private const ushort AddressAddress = 1, AddressLocal = 2, AddressFlags = 8, RouteDestination = 1, RouteInterface = 4, RouteGateway = 5;
    private const uint NoDuplicateDetection = 2;
    private const int Tentative = 0x40, UsableAttempts = 200;
    private const byte MainTable = 254, ProtocolStatic = 4, ScopeUniverse = 0, ScopeLink = 253, KindUnicast = 1;

    private readonly int _socket;
    private readonly byte[] _buffer = new byte[512];
    private int _length;
    private uint _sequence;

    public RouteNetlink() =>
        _socket = Posix.Socket(LinuxConstants.FamilyNetlink, LinuxConstants.SocketRaw, 0).ThrowIfError("cannot open a netlink socket").Int32;

    /// <summary>The number of an interface by its name.</summary>
    public static int IndexOf(string name)
    {
        var control = Posix.Socket(LinuxConstants.FamilyInet, LinuxConstants.SocketDatagram, 0).ThrowIfError("cannot open a control socket").Int32;
        try
        {
            var request = InterfaceRequest.For(name);
            Posix.IoControl(control, InterfaceControl.GetIndex, ref request).ThrowIfError($"there is no interface '{name}'");
            return request.Number;
        }
        finally
        {
            Posix.Close(control);
        }
    }

    public void SetUp(string name, bool up)
    {
        BeginLink(NewLink, 0, name, up ? (uint)InterfaceControl.FlagUp : 0, (uint)InterfaceControl.FlagUp);
        Exchange().ThrowIfError($"cannot set '{name}' {(up ? "up" : "down")}");
    }

    public void SetMtu(string name, int mtu)
    {
        BeginLink(NewLink, 0, name, 0, 0);
        AppendUInt32(LinkMtu, (uint)mtu);
        Exchange().ThrowIfError($"cannot set the MTU of '{name}' to {mtu}");
    }

    public void SetMacAddress(string name, MacAddress address)
    {
        Span<byte> bytes = stackalloc byte[MacAddress.Length];
        address.WriteTo(bytes);
        BeginLink(NewLink, 0, name, 0, 0);
        AppendAttribute(LinkAddress, bytes);
        Exchange().ThrowIfError($"cannot set the hardware address of '{name}' to {address}");
    }

    /// <summary>Makes two interfaces that are each other's wire. The second goes into another namespace where a descriptor of one is given.</summary>
    public void AddPair(string name, string peer, int peerNamespace, int queueCount)
    {
        Begin(NewLink, FlagCreate | FlagExclusive);
        AppendPairEnd(name, queueCount);
        var kind = _length;
        AppendAttribute(LinkKind, []);
        AppendAttribute(KindName, "veth"u8);
        var details = _length;
        AppendAttribute(KindDetails, []);
        var second = _length;
        AppendAttribute(PairPeer, []);
        AppendPairEnd(peer, queueCount);
        if (peerNamespace >= 0) AppendUInt32(LinkNamespace, (uint)peerNamespace);
        foreach (var nest in (ReadOnlySpan<int>)[kind, details, second]) MemoryMarshal.Write(_buffer.AsSpan(nest), (ushort)(_length - nest));
        Exchange().ThrowIfError($"cannot make the pair of interfaces '{name}' and '{peer}'");
    }

    public void DeleteInterface(string name)
    {
        BeginLink(DeleteLink, 0, name, 0, 0);
        Exchange().ThrowIfError($"cannot delete '{name}'");
    }

    /// <summary>Adds an address. An IPv6 one is used at once, without duplicate detection: on a link of two ends that would only delay.</summary>
    public void AddAddress(string name, in IpPrefix prefix)
    {
        Begin(NewAddress, FlagCreate | FlagReplace);
        AppendByte(prefix.Address.IsIPv4 ? (byte)LinuxConstants.FamilyInet : (byte)LinuxConstants.FamilyInet6);
        AppendByte((byte)prefix.Length);
        AppendByte(0);
        AppendByte(ScopeUniverse);
        AppendInt32(IndexOf(name));
        AppendAddress(AddressLocal, prefix.Address);
        AppendAddress(AddressAddress, prefix.Address);
        if (prefix.Address.IsIPv6) AppendUInt32(AddressFlags, NoDuplicateDetection);
        Exchange().ThrowIfError($"cannot add {prefix} to '{name}'");
        if (prefix.Address.IsIPv6) WaitUntilUsable(name, prefix.Address);
    }

    /// <summary>Adds a route through an interface, by a gateway unless that is unspecified.</summary>
    public void AddRoute(string name, in IpPrefix destination, IpAddress? gateway)
    {
        Begin(NewRoute, FlagCreate | FlagReplace);
        AppendByte(destination.Address.IsIPv4 ? (byte)LinuxConstants.FamilyInet : (byte)LinuxConstants.FamilyInet6);
        AppendByte((byte)destination.Length);
        AppendByte(0);
        AppendByte(0);
        AppendByte(MainTable);
        AppendByte(ProtocolStatic);
        AppendByte(gateway is null && destination.Address.IsIPv4 ? ScopeLink : ScopeUniverse);
        AppendByte(KindUnicast);
        AppendInt32(0);
        if (destination.Length > 0) AppendAddress(RouteDestination, destination.NetworkAddress);
        if (gateway is { } hop) AppendAddress(RouteGateway, hop);
        AppendUInt32(RouteInterface, (uint)IndexOf(name));
        Exchange().ThrowIfError($"cannot add a route to {destination} by '{name}'");
    }

    public void Dispose() => Posix.Close(_socket);

    // The kernel makes an IPv6 address usable in a work queue, also where nothing has to be detected; a connection opened before
    // would take another source address. Bounded: on an interface that is down it stays tentative, and that is no error.
    private static void WaitUntilUsable(string name, in IpAddress address)
    {
        Span<byte> bytes = stackalloc byte[16];
        address.WriteIPv6To(bytes);
        var wanted = Convert.ToHexStringLower(bytes);
        for (var attempt = 0; attempt < UsableAttempts; attempt++)
        {
            // Columns: address, interface number, prefix length, scope, flags, interface name; of the thread's namespace.
            foreach (var line in File.ReadLines("/proc/thread-self/net/if_inet6"))
            {
                if (!line.StartsWith(wanted, StringComparison.Ordinal) || !line.EndsWith(' ' + name, StringComparison.Ordinal)) continue;
                var columns = line.Split(' ', StringSplitOptions.RemoveEmptyEntries);
                if ((Convert.ToInt32(columns[4], 16) & Tentative) == 0) return;
            }
            Thread.Sleep(1);
        }
    }

    /// <summary>struct ifinfomsg, then the attributes of an interface that is to be made.</summary>
    private void AppendPairEnd(string name, int queueCount)
    {
        for (var i = 0; i < 4; i++) AppendInt32(0);
        AppendAttribute(LinkName, System.Text.Encoding.ASCII.GetBytes(name + '\0'));
        AppendUInt32(TransmitQueues, (uint)queueCount);
        AppendUInt32(ReceiveQueues, (uint)queueCount);
    }

    private void BeginLink(ushort kind, ushort flags, string name, uint value, uint mask)
    {
        Begin(kind, flags);
        AppendInt32(0);
        AppendInt32(IndexOf(name));
        AppendInt32((int)value);
        AppendInt32((int)mask);
    }

    private void Begin(ushort kind, int flags)
    {
        _buffer.AsSpan().Clear();
        MemoryMarshal.Write(_buffer.AsSpan(4), kind);
        MemoryMarshal.Write(_buffer.AsSpan(6), (ushort)(flags | FlagRequest | FlagAcknowledge));
        MemoryMarshal.Write(_buffer.AsSpan(8), ++_sequence);
        _length = HeaderLength;
    }

    private void AppendByte(byte value) => _buffer[_length++] = value;

    private void AppendInt32(int value)
    {
        MemoryMarshal.Write(_buffer.AsSpan(_length), value);
        _length += 4;
    }

    private void AppendUInt32(ushort kind, uint value)
    {
        Span<byte> bytes = stackalloc byte[4];
        MemoryMarshal.Write(bytes, value);
        AppendAttribute(kind, bytes);
    }

    private void AppendAddress(ushort kind, in IpAddress address)
    {
        Span<byte> bytes = stackalloc byte[16];
        if (address.IsIPv4) BinaryPrimitives.WriteUInt32BigEndian(bytes, address.ToIPv4());
        else address.WriteIPv6To(bytes);
        AppendAttribute(kind, bytes[..address.Length]);
    }

    private void AppendAttribute(ushort kind, ReadOnlySpan<byte> value)
    {
        var attribute = _buffer.AsSpan(_length);
        MemoryMarshal.Write(attribute, (ushort)(4 + value.Length));
        MemoryMarshal.Write(attribute[2..], kind);
        value.CopyTo(attribute[4..]);
        _length += (4 + value.Length + 3) & ~3;
    }

    /// <summary>Sends the request and reads the acknowledgement, which carries an errno.</summary>
    private PosixResult Exchange()
    {
        MemoryMarshal.Write(_buffer, _length);
        var sent = Posix.Send(_socket, _buffer.AsSpan(0, _length));
        if (sent.IsError) return sent;
        Span<byte> answer = stackalloc byte[1024];
        // Nothing else is asked for on this socket; a few rounds allow for signals.
        for (var round = 0; round < 8; round++)
        {
            var got = Posix.Receive(_socket, answer);
            if (got.Errno == Errno.EINTR) continue;
            if (got.IsError) return got;
            if (got.Int32 < HeaderLength + 4 || MemoryMarshal.Read<ushort>(answer[4..]) != MessageError) continue;
            if (MemoryMarshal.Read<uint>(answer[8..]) != _sequence) continue;
            var error = MemoryMarshal.Read<int>(answer[HeaderLength..]);
            return error == 0 ? default : PosixResult.Of((Errno)(-error));
        }
        return PosixResult.Of(Errno.EIO);
    }
}
