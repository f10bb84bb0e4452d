// Our own addresses, over all interfaces, and what else a destination can be to us: broadcast, group, nobody.
// Decides nothing about packets; duplicate detection and lifetimes are driven from AddressConfiguration.
using System.Runtime.CompilerServices;
using Peregrine.Core.Time;
using Peregrine.Wire;

namespace Peregrine.Core.Ip;

/// <summary>Whether an own address may be used (RFC 4862 §2, §5.5.4).</summary>
public enum AddressState : byte
{
    /// <summary>In use.</summary>
    Preferred,

    /// <summary>Still being tested for duplicates; nothing is sent from it and nothing taken for it.</summary>
    Tentative,

    /// <summary>Its preferred lifetime is over: not for new flows.</summary>
    Deprecated,

    /// <summary>Somebody else has it: never used.</summary>
    Duplicate,
}

/// <summary>Where an own address came from.</summary>
public enum AddressOrigin : byte
{
    /// <summary>Configured.</summary>
    Static,

    /// <summary>A link-local address of the interface's own making.</summary>
    LinkLocal,

    /// <summary>Made from a prefix that a router advertised.</summary>
    Autoconfigured,
}

/// <summary>An own address.</summary>
public struct OwnAddress
{
    /// <summary>The address.</summary>
    public IpAddress Address;

    /// <summary>When it stops being preferred.</summary>
    public Instant PreferredUntil;

    /// <summary>When it is removed.</summary>
    public Instant ValidUntil;

    /// <summary>The interface's index.</summary>
    public ushort InterfaceIndex;

    /// <summary>Bits of the link's prefix.</summary>
    public byte PrefixLength;

    /// <summary>Whether it may be used.</summary>
    public AddressState State;

    /// <summary>Where it came from.</summary>
    public AddressOrigin Origin;

    internal byte ProbesLeft;

    internal bool IsUsed;

    /// <summary>The prefix of the link.</summary>
    public readonly IpPrefix Prefix => new(Address, PrefixLength);

    internal readonly bool IsUsable => IsUsed && State is AddressState.Preferred or AddressState.Deprecated;
}

/// <summary>The own addresses.</summary>
internal sealed class AddressTable
{
    private readonly OwnAddress[] _addresses;
    private readonly short[] _slots;      // open addressing, at most a quarter full: place + 1, or 0
    private readonly AddressHash _hash;

    // A packet is asked about twice: is its destination ours, and is its source not. The last answer serves the first question, a bit for
    // each own address the second; both are only short cuts to what the table says.
    private readonly (uint Address, ushort Interface)[] _broadcasts;
    private int _broadcastCount;
    private ulong _ownBits;
    private IpAddress _lastAddress;
    private int _lastInterface = -2;
    private int _lastPlace;

    public AddressTable(int countMax, AddressHash hash)
    {
        _addresses = new OwnAddress[countMax];
        _slots = new short[System.Numerics.BitOperations.RoundUpToPowerOf2((uint)countMax * 4)];
        _broadcasts = new (uint, ushort)[countMax];
        _hash = hash;
    }

    /// <summary>All places; those not in use have <see cref="OwnAddress.IsUsed"/> unset.</summary>
    public Span<OwnAddress> Places => _addresses;

    /// <summary>Finds the place of an address, whatever its state. A link-local one belongs to its interface only.</summary>
    /// <param name="address">The address.</param>
    /// <param name="interfaceIndex">The interface on which it is looked for; -1 for any.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public int Find(in IpAddress address, int interfaceIndex)
    {
        if ((_ownBits >> Bit(address) & 1) == 0) return -1;
        if (address == _lastAddress && interfaceIndex == _lastInterface) return _lastPlace;
        return Look(address, interfaceIndex);
    }

    private int Look(in IpAddress address, int interfaceIndex)
    {
        int mask = _slots.Length - 1, found = -1;
        int slot = (int)_hash.Of(address, 0) & mask;
        for (; _slots[slot] != 0; slot = (slot + 1) & mask)
        {
            ref OwnAddress own = ref _addresses[_slots[slot] - 1];
            if (own.Address != address) continue;
            if (own.InterfaceIndex == interfaceIndex || interfaceIndex < 0)
            {
                found = _slots[slot] - 1;
                break;
            }
            // Another interface's address is ours too (the weak host model, RFC 1122 §3.3.4.2), but a link-local one is another host's.
            if (!address.IsLinkLocal || address.IsIPv4) found = _slots[slot] - 1;
        }

        if (found >= 0) (_lastAddress, _lastInterface, _lastPlace) = (address, interfaceIndex, found);
        return found;
    }

    public bool TryAdd(in OwnAddress address, out int place)
    {
        for (place = 0; place < _addresses.Length && _addresses[place].IsUsed; place++)
        {
        }

        if (place == _addresses.Length) return false;
        _addresses[place] = address;
        _addresses[place].IsUsed = true;
        Rebuild();
        return true;
    }

    public void Remove(int place)
    {
        _addresses[place] = default;
        Rebuild();
    }

    /// <summary>Whether the address is the broadcast of a prefix of this interface (or of any, with -1), or the limited one.</summary>
    public bool IsBroadcast(in IpAddress address, int interfaceIndex)
    {
        if (!address.IsIPv4) return false;
        if (address.IsBroadcast) return true;
        uint value = address.ToIPv4();
        for (int i = 0; i < _broadcastCount; i++)
        {
            if (_broadcasts[i].Address == value && (interfaceIndex < 0 || _broadcasts[i].Interface == interfaceIndex)) return true;
        }

        return false;
    }

    /// <summary>Whether a solicited-node group of one of the interface's addresses (RFC 4291 §2.7.1).</summary>
    public bool IsSolicitedNodeGroup(in IpAddress group, int interfaceIndex)
    {
        if (group.High != 0xFF02_0000_0000_0000 || group.Low >> 24 != 0x0000_0001_FF) return false;
        foreach (ref readonly OwnAddress own in _addresses.AsSpan())
        {
            if (own.IsUsed && own.InterfaceIndex == interfaceIndex && own.Address.IsIPv6 && own.State != AddressState.Duplicate
                && (own.Address.Low & 0xFF_FFFF) == (group.Low & 0xFF_FFFF)) return true;
        }

        return false;
    }

    /// <summary>The address to speak from (RFC 6724 §5 without labels and home addresses; for IPv4 the same rules serve).</summary>
    /// <returns>Its place, or -1.</returns>
    public int SelectSource(in IpAddress remote, int interfaceIndex)
    {
        int best = -1;
        long bestScore = -1;
        for (int i = 0; i < _addresses.Length; i++)
        {
            ref readonly OwnAddress own = ref _addresses[i];
            if (!own.IsUsable || own.Address.IsIPv4 != remote.IsIPv4) continue;
            if (own.Address.IsLoopback && !remote.IsLoopback) continue;
            bool sameInterface = own.InterfaceIndex == interfaceIndex;
            if (own.Address.IsLinkLocal && own.Address.IsIPv6 && !sameInterface) continue;
            long score = Score(own, remote, sameInterface);
            if (score > bestScore) (best, bestScore) = (i, score);
        }

        return best;
    }

    private static long Score(in OwnAddress own, in IpAddress remote, bool sameInterface)
    {
        // RFC 6724 §5 rule 1: the same address. Rule 2: appropriate scope. Rule 3: avoid deprecated. Rule 5: the outgoing interface.
        // Rule 8: the longest matching prefix, at most the address's own prefix length.
        long score = own.Address == remote ? 1 << 20 : 0;
        int scope = Scope(own.Address), wanted = Scope(remote);
        score += scope == wanted ? 16 << 13 : scope > wanted ? (15 - scope) << 13 : scope << 9;
        if (own.State == AddressState.Preferred) score += 1 << 9;
        if (sameInterface) score += 1 << 8;
        return score + Math.Min(CommonBits(own.Address, remote), own.PrefixLength);
    }

    private static int Scope(in IpAddress address) =>
        address.IsMulticast && address.IsIPv6 ? address.MulticastScope : address.IsLinkLocal || address.IsLoopback ? 2 : 14;

    private static int CommonBits(in IpAddress a, in IpAddress b)
    {
        if (a.IsIPv4) return System.Numerics.BitOperations.LeadingZeroCount(a.ToIPv4() ^ b.ToIPv4());
        ulong high = a.High ^ b.High;
        return high != 0 ? System.Numerics.BitOperations.LeadingZeroCount(high) : 64 + System.Numerics.BitOperations.LeadingZeroCount(a.Low ^ b.Low);
    }

    private void Rebuild()
    {
        Array.Clear(_slots);
        (_broadcastCount, _ownBits, _lastInterface) = (0, 0, -2);
        int mask = _slots.Length - 1;
        for (int i = 0; i < _addresses.Length; i++)
        {
            if (!_addresses[i].IsUsed) continue;
            int slot = (int)_hash.Of(_addresses[i].Address, 0) & mask;
            while (_slots[slot] != 0) slot = (slot + 1) & mask;
            _slots[slot] = (short)(i + 1);
            ref readonly OwnAddress own = ref _addresses[i];
            _ownBits |= 1UL << Bit(own.Address);
            // RFC 3021 §2.2: a prefix of 31 bits has no broadcast.
            if (own.Address.IsIPv4 && own.PrefixLength < 31) _broadcasts[_broadcastCount++] = (own.Prefix.Broadcast.ToIPv4(), own.InterfaceIndex);
        }
    }

    // Of all of the low half, by Fibonacci hashing: gateways end in .1 as the loopback address does, and each packet of theirs would be looked up.
    internal static int Bit(in IpAddress address) => (int)(address.Low * 0x9E37_79B9_7F4A_7C15 >> 58);
}
