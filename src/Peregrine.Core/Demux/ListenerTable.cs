// Listeners and bound sockets by local address and port. Small and local: only the application adds to it, so its hash needs no secret.
// Not the place of connections: those are in DemuxTable, which is asked first.
using System.Net.Sockets;
using System.Numerics;
using Peregrine.Wire;

namespace Peregrine.Core.Demux;

/// <summary>Finds who listens on an address and port: the exact address before the wildcard of its family, that before dual-stack "::".</summary>
internal sealed class ListenerTable
{
    private const int None = -1;

    private readonly Entry[] _entries;
    private readonly int[] _byEndpoint;
    private readonly int[] _byPort;
    private readonly int _mask;
    private int _free;

    /// <summary>Makes a table for so many listeners, 1 or more.</summary>
    public ListenerTable(int capacity)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(capacity, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(capacity, 1 << 24);
        Capacity = capacity;
        _entries = new Entry[capacity];
        for (var i = 0; i < capacity; i++) _entries[i].Next = i + 1 < capacity ? i + 1 : None;
        var buckets = (int)BucketCountFor(capacity);
        _mask = buckets - 1;
        _byEndpoint = new int[buckets];
        _byPort = new int[buckets];
        Array.Fill(_byEndpoint, None);
        Array.Fill(_byPort, None);
    }

    /// <summary>Listeners that the table takes.</summary>
    public int Capacity { get; }

    /// <summary>Listeners in the table.</summary>
    public int Count { get; private set; }

    /// <summary>Bytes of memory for so many listeners.</summary>
    public static nuint BytesFor(int capacity)
    {
        unsafe
        {
            return ((nuint)capacity * (nuint)sizeof(Entry)) + (BucketCountFor(capacity) * 2 * sizeof(int));
        }
    }

    /// <summary>Who answers for this address and port.</summary>
    public bool TryFind(in IpAddress local, ushort port, out int listener)
    {
        var entry = Find(local, port);
        if (entry == None && local.IsIPv4)
        {
            entry = Find(IpAddress.IPv4Any, port);
            if (entry == None)
            {
                entry = Find(IpAddress.IPv6Any, port);
                // RFC 3493 §5.3: a socket that is not IPv6-only gets IPv4 traffic as well.
                if (entry != None && _entries[entry].V6Only) entry = None;
            }
        }
        else if (entry == None)
        {
            entry = Find(IpAddress.IPv6Any, port);
        }
        listener = entry == None ? None : _entries[entry].Listener;
        return entry != None;
    }

    /// <summary>Who listens on this very endpoint.</summary>
    public bool TryFindExact(in Endpoint local, out int listener)
    {
        var entry = Find(local.Address, local.Port);
        listener = entry == None ? None : _entries[entry].Listener;
        return entry != None;
    }

    /// <summary>Adds a listener.</summary>
    /// <param name="local">Address or wildcard, and a port that is not 0.</param>
    /// <param name="v6Only">Whether "::" leaves IPv4 alone; of no meaning for other addresses.</param>
    /// <param name="reuseAddress">
    /// Whether a wildcard and an address may share a port; both must want it. The same endpoint is refused even then.
    /// </param>
    /// <param name="listener">What <see cref="TryFind"/> answers.</param>
    /// <returns>Success, AddressAlreadyInUse, InvalidArgument for port 0, or TooManyOpenSockets.</returns>
    public SocketError TryAdd(in Endpoint local, bool v6Only, bool reuseAddress, int listener)
    {
        if (local.Port == 0) return SocketError.InvalidArgument;
        if (Conflicts(local, v6Only, reuseAddress)) return SocketError.AddressAlreadyInUse;
        if (_free == None) return SocketError.TooManyOpenSockets;
        var entry = _free;
        _free = _entries[entry].Next;
        var portBucket = PortBucket(local.Port);
        _entries[entry] = new Entry { Local = local, V6Only = v6Only, Reuse = reuseAddress, Listener = listener, Next = _byPort[portBucket] };
        _byPort[portBucket] = entry;
        var position = EndpointBucket(local.Address, local.Port);
        while (_byEndpoint[position] != None) position = (position + 1) & _mask;
        _byEndpoint[position] = entry;
        Count++;
        return SocketError.Success;
    }

    /// <summary>Whether a socket bound so would meet one that is there, as Linux judges it.</summary>
    public bool Conflicts(in Endpoint local, bool v6Only, bool reuseAddress)
    {
        if (Find(local.Address, local.Port) != None) return true;
        if (!local.Address.IsAny)
        {
            if (local.Address.IsIPv4 && Refuses(Find(IpAddress.IPv4Any, local.Port), reuseAddress)) return true;
            var dual = Find(IpAddress.IPv6Any, local.Port);
            return dual != None && !(local.Address.IsIPv4 && _entries[dual].V6Only) && Refuses(dual, reuseAddress);
        }
        // A wildcard meets whoever has the port, in the families that it covers.
        for (var entry = _byPort[PortBucket(local.Port)]; entry != None; entry = _entries[entry].Next)
        {
            ref var other = ref _entries[entry];
            if (other.Local.Port != local.Port) continue;
            var otherIsDual = other.Local.Address == IpAddress.IPv6Any && !other.V6Only;
            var overlap = local.Address.IsIPv4 ? other.Local.Address.IsIPv4 || otherIsDual : other.Local.Address.IsIPv6 || !v6Only;
            if (overlap && !(reuseAddress && other.Reuse)) return true;
        }
        return false;
    }

    /// <summary>Removes a listener; false when it is not there.</summary>
    public bool Remove(in Endpoint local, int listener)
    {
        var position = EndpointBucket(local.Address, local.Port);
        for (; _byEndpoint[position] != None; position = (position + 1) & _mask)
        {
            ref var candidate = ref _entries[_byEndpoint[position]];
            if (candidate.Local == local && candidate.Listener == listener) break;
        }
        var entry = _byEndpoint[position];
        if (entry == None) return false;
        ShiftBack(position);
        ref var link = ref _byPort[PortBucket(local.Port)];
        while (link != entry) link = ref _entries[link].Next;
        link = _entries[entry].Next;
        _entries[entry] = new Entry { Next = _free };
        _free = entry;
        Count--;
        return true;
    }

    private static uint BucketCountFor(int capacity) => BitOperations.RoundUpToPowerOf2((uint)capacity * 2);

    private bool Refuses(int entry, bool reuseAddress) => entry != None && !(reuseAddress && _entries[entry].Reuse);

    private int Find(in IpAddress address, ushort port)
    {
        // Half of the buckets are empty at least, so this ends.
        for (var position = EndpointBucket(address, port); _byEndpoint[position] != None; position = (position + 1) & _mask)
        {
            ref var entry = ref _entries[_byEndpoint[position]];
            if (entry.Local.Port == port && entry.Local.Address == address) return _byEndpoint[position];
        }
        return None;
    }

    private void ShiftBack(int hole)
    {
        for (var next = (hole + 1) & _mask; _byEndpoint[next] != None; next = (next + 1) & _mask)
        {
            ref var local = ref _entries[_byEndpoint[next]].Local;
            var home = EndpointBucket(local.Address, local.Port);
            // Whoever's home lies after the hole stays where it is.
            if (((next - home) & _mask) < ((next - hole) & _mask)) continue;
            _byEndpoint[hole] = _byEndpoint[next];
            hole = next;
        }
        _byEndpoint[hole] = None;
    }

    private int PortBucket(ushort port) => (int)((port * 0x9E37_79B1u) >> 8) & _mask;

    private int EndpointBucket(in IpAddress address, ushort port)
    {
        var mixed = (address.High + port) * 0x9E37_79B9_7F4A_7C15;
        mixed = (mixed ^ (mixed >> 32) ^ address.Low) * 0xC2B2_AE3D_27D4_EB4F;
        return (int)(mixed >> 32) & _mask;
    }

    private struct Entry
    {
        public Endpoint Local;
        public int Listener;

        /// <summary>The next of the same port bucket, or of the free list.</summary>
        public int Next;
        public bool V6Only;
        public bool Reuse;
    }
}
