// Which socket a datagram is for: connected ones by both ends, bound ones by our end, exact address before wildcard; and which ports
// are taken. Hash tables with chains; nobody looks at all sockets.
using System.Net.Sockets;
using Peregrine.Core.Ip;
using Peregrine.Core.Memory;
using Peregrine.Wire;

namespace Peregrine.Core.Udp;

/// <summary>A UDP socket.</summary>
internal struct UdpSocket
{
    public Endpoint Local, Remote;
    public IpAddress PathLocal;
    public Endpoint PathRemote;      // where was sent to last
    public FlowPath Path;
    public uint Generation;
    public int Next;                 // of the chain that it is in, or of the free ones; index + 1
    public uint QueueHead, QueueTail;
    public int QueuedBytes, BufferSize;
    public SocketError Error;
    public UdpEvents Events;
    public byte HopLimit, MulticastHopLimit, TrafficClass;
    public bool V6Only, Reuse, Broadcast, DontFragment, IsConnected, IsUsed;

    /// <summary>Whether it serves the family of an address.</summary>
    public readonly bool Serves(in IpAddress address) => Local.Address.IsIPv4 == address.IsIPv4 || (Local.Address == IpAddress.IPv6Any && !V6Only);
}

/// <summary>The sockets by their ends.</summary>
internal sealed class UdpSocketTable
{
    private struct PortUse
    {
        public ushort IPv4, IPv6;                 // sockets that serve the family
        public ushort IPv4Alone, IPv6Alone;       // of these, those that do not share
    }

    private readonly RegionArray<UdpSocket> _sockets;
    private readonly RegionArray<int> _connected, _bound;     // index + 1
    private readonly RegionArray<PortUse> _ports;
    private readonly UInt128 _key;
    private int _free;

    public UdpSocketTable(MemoryRegion region, int countMax, UInt128 key)
    {
        _key = key;
        _sockets = new RegionArray<UdpSocket>(region, countMax);
        _connected = new RegionArray<int>(region, Buckets(countMax));
        _bound = new RegionArray<int>(region, Buckets(countMax));
        _ports = new RegionArray<PortUse>(region, 65_536);
        for (int i = countMax; i > 0; i--) (_sockets[i - 1].Next, _free) = (_free, i);
    }

    public int Count { get; private set; }

    public static nuint BytesFor(int countMax) => RegionArray<UdpSocket>.BytesFor(countMax) + (2 * RegionArray<int>.BytesFor(Buckets(countMax)))
        + RegionArray<PortUse>.BytesFor(65_536);

    public ref UdpSocket this[int index] => ref _sockets[index];

    public bool TryGet(UdpHandle handle, out int index)
    {
        index = (int)handle.Index;
        return handle.Index < (uint)_sockets.Length && _sockets[index].IsUsed && _sockets[index].Generation == handle.Generation;
    }

    public bool TryRent(out int index)
    {
        index = _free - 1;
        if (_free == 0) return false;
        ref UdpSocket socket = ref _sockets[index];
        _free = socket.Next;
        uint generation = socket.Generation + 1;
        socket = new UdpSocket
        {
            Generation = generation == 0 ? 1 : generation, IsUsed = true, QueueHead = ChunkPool.None, QueueTail = ChunkPool.None,
        };
        Count++;
        return true;
    }

    public void Return(int index)
    {
        _sockets[index] = new UdpSocket { Generation = _sockets[index].Generation, Next = _free };
        _free = index + 1;
        Count--;
    }

    /// <summary>Whether a binding would take what others have.</summary>
    public bool Conflicts(in UdpSocket wanted)
    {
        Endpoint local = wanted.Local;
        ref PortUse use = ref _ports[local.Port];
        bool ipv4 = wanted.Serves(IpAddress.IPv4Any), ipv6 = wanted.Serves(IpAddress.IPv6Any);
        if (local.Address.IsAny)
            return wanted.Reuse ? (ipv4 && use.IPv4Alone > 0) || (ipv6 && use.IPv6Alone > 0) : (ipv4 && use.IPv4 > 0) || (ipv6 && use.IPv6 > 0);
        if ((ipv4 ? use.IPv4 : use.IPv6) == 0) return false;
        return BlocksExact(wanted, local.Address) || BlocksExact(wanted, local.Address.IsIPv4 ? IpAddress.IPv4Any : IpAddress.IPv6Any)
            || (ipv4 && BlocksExact(wanted, IpAddress.IPv6Any));
    }

    public bool IsPortFree(ushort port, in UdpSocket wanted)
    {
        ref PortUse use = ref _ports[port];
        return (!wanted.Serves(IpAddress.IPv4Any) || use.IPv4 == 0) && (!wanted.Serves(IpAddress.IPv6Any) || use.IPv6 == 0);
    }

    private bool BlocksExact(in UdpSocket wanted, in IpAddress address)
    {
        for (int next = _bound[BoundBucket(address, wanted.Local.Port)]; next != 0; next = _sockets[next - 1].Next)
        {
            ref UdpSocket other = ref _sockets[next - 1];
            if (other.Local.Port != wanted.Local.Port || other.Local.Address != address || !other.Serves(wanted.Local.Address)) continue;
            if (!other.Reuse || !wanted.Reuse) return true;
        }

        return false;
    }

    /// <summary>Puts a socket into the chain that its ends say.</summary>
    public void Link(int index)
    {
        ref UdpSocket socket = ref _sockets[index];
        ref int bucket = ref BucketOf(socket);
        socket.Next = bucket;
        bucket = index + 1;
    }

    public void Unlink(int index)
    {
        ref int link = ref BucketOf(_sockets[index]);
        while (link != index + 1) link = ref _sockets[link - 1].Next;
        link = _sockets[index].Next;
    }

    /// <summary>Counts the socket's port as taken (1) or no longer (-1), by the ends that it was bound with.</summary>
    public void CountPort(in UdpSocket socket, int change)
    {
        ref PortUse use = ref _ports[socket.Local.Port];
        if (socket.Serves(IpAddress.IPv4Any))
        {
            use.IPv4 = (ushort)(use.IPv4 + change);
            if (!socket.Reuse) use.IPv4Alone = (ushort)(use.IPv4Alone + change);
        }

        if (socket.Serves(IpAddress.IPv6Any))
        {
            use.IPv6 = (ushort)(use.IPv6 + change);
            if (!socket.Reuse) use.IPv6Alone = (ushort)(use.IPv6Alone + change);
        }
    }

    /// <summary>The socket that a datagram is for: connected before bound, exact before wildcard, the latest of several; or -1.</summary>
    public int Find(in Endpoint local, in Endpoint remote)
    {
        int index = FindConnected(local, remote);
        if (index >= 0) return index;
        index = FindBound(local, local.Address);
        if (index >= 0) return index;
        if (local.Address.IsIPv4)
        {
            index = FindBound(local, IpAddress.IPv4Any);
            if (index >= 0) return index;
        }

        return FindBound(local, IpAddress.IPv6Any);
    }

    public int FindConnected(in Endpoint local, in Endpoint remote)
    {
        for (int next = _connected[ConnectedBucket(local, remote)]; next != 0; next = _sockets[next - 1].Next)
        {
            ref UdpSocket socket = ref _sockets[next - 1];
            if (socket.Local == local && socket.Remote == remote) return next - 1;
        }

        return -1;
    }

    private int FindBound(in Endpoint local, in IpAddress address)
    {
        for (int next = _bound[BoundBucket(address, local.Port)]; next != 0; next = _sockets[next - 1].Next)
        {
            ref UdpSocket socket = ref _sockets[next - 1];
            if (socket.Local.Port == local.Port && socket.Local.Address == address && socket.Serves(local.Address)) return next - 1;
        }

        return -1;
    }

    private ref int BucketOf(in UdpSocket socket)
    {
        if (socket.IsConnected) return ref _connected[ConnectedBucket(socket.Local, socket.Remote)];
        return ref _bound[BoundBucket(socket.Local.Address, socket.Local.Port)];
    }

    private int ConnectedBucket(in Endpoint local, in Endpoint remote) =>
        (int)(SipHash.Hash13(_key, local.Address, local.Port, remote.Address, remote.Port) & (uint)(_connected.Length - 1));

    private int BoundBucket(in IpAddress address, ushort port) =>
        (int)(SipHash.Hash13(_key, address, port, IpAddress.IPv6Any, 0) & (uint)(_bound.Length - 1));

    private static int Buckets(int countMax) => (int)System.Numerics.BitOperations.RoundUpToPowerOf2((uint)countMax);
}
