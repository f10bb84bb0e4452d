// The table of connections: from the hash of a four-tuple to what holds the connection (a TCB, a TIME-WAIT record, a half-open record).
// It keeps no tuples: a slot has half of the hash as its tag, and the owner of the record compares the tuple. Never grows, never rehashes.
// Half, because a slot of 8 bytes instead of 16 is what lets a million idle connections fit: the tag's low bits say where the entry is at
// home, and those above tell entries of one home apart. A tag that agrees by chance (one in a thousand of the neighbours, with a million
// connections) costs a comparison with a tuple that is not the right one.
//
// Open addressing with linear probing, entries of a cluster kept in the order of their home slots ("robin hood"): a search for what is
// not there stops at the first entry whose home lies after its own, and deletion shifts back, so no tombstones pile up under churn.
using System.Numerics;
using System.Runtime.CompilerServices;
using Peregrine.Core.Memory;
using Peregrine.Wire;

namespace Peregrine.Core.Demux;

/// <summary>What an entry of the table leads to.</summary>
internal enum DemuxKind : uint
{
    /// <summary>A connection block.</summary>
    Tcb,

    /// <summary>A record of a closed connection.</summary>
    TimeWait,

    /// <summary>A record of a half-open connection.</summary>
    SynReceived,
}

/// <summary>Compares a tuple with the record that an entry leads to.</summary>
internal interface IDemuxKeys
{
    /// <summary>Whether the record belongs to this tuple.</summary>
    bool Matches(DemuxKind kind, uint index, in IpAddress local, ushort localPort, in IpAddress remote, ushort remotePort);
}

/// <summary>Finds connections by tuple.</summary>
internal sealed unsafe class DemuxTable
{
    private const uint Empty = 0;

    private readonly Slot* _slots;
    private readonly uint _mask;
    private readonly UInt128 _key;
    private Prefetcher _prefetcher;

    /// <summary>Takes the table's slots from <paramref name="region"/>.</summary>
    /// <param name="region">Where the memory comes from.</param>
    /// <param name="capacity">Entries, 1 to 805,306,368; slots are the next power of two that is at most 75 % full then.</param>
    /// <param name="key">Secret of the hash.</param>
    public DemuxTable(MemoryRegion region, int capacity, UInt128 key)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(capacity, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(capacity, (1 << 30) / 4 * 3);
        (Capacity, _key) = (capacity, key);
        var slots = SlotCountFor(capacity);
        _mask = slots - 1;
        // A region is zeroed, so every slot is empty.
        _slots = (Slot*)region.Take((nuint)slots * (nuint)sizeof(Slot));
    }

    /// <summary>Entries that the table takes.</summary>
    public int Capacity { get; }

    /// <summary>Entries in the table.</summary>
    public int Count { get; private set; }

    /// <summary>Slots, of 8 bytes each.</summary>
    public int SlotCount => (int)(_mask + 1);

    /// <summary>The furthest that an entry has ever been put from its home slot: no search has read more slots than this and two.</summary>
    public int ProbeLengthMax { get; private set; }

    /// <summary>Adds that found the table full.</summary>
    public long Refused { get; private set; }

    /// <summary>Bytes of native memory for so many entries.</summary>
    public static nuint BytesFor(int capacity) => ((nuint)SlotCountFor(capacity) * (nuint)sizeof(Slot)) + 128;

    /// <summary>The keyed hash of a tuple, the local side first.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public ulong Hash(in IpAddress local, ushort localPort, in IpAddress remote, ushort remotePort) =>
        SipHash.Hash13(_key, local, localPort, remote, remotePort);

    /// <summary>Starts to load the slot where a search for <paramref name="hash"/> begins.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Prefetch(ulong hash) => _prefetcher.Touch(_slots + ((uint)hash & _mask));

    /// <summary>Finds the record of a tuple.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public bool TryFind<TKeys>(
        ulong hash, in IpAddress local, ushort localPort, in IpAddress remote, ushort remotePort, ref TKeys keys, out DemuxKind kind, out uint index)
        where TKeys : struct, IDemuxKeys
    {
        var position = (uint)hash & _mask;
        // Ends at an empty slot at the latest, and the table is never full.
        for (uint distance = 0; ; distance++)
        {
            var slot = _slots + position;
            if (slot->State == Empty) break;
            if (slot->Tag == (uint)hash)
            {
                kind = slot->Kind;
                index = slot->Index;
                if (keys.Matches(kind, index, local, localPort, remote, remotePort)) return true;
            }
            else if (Distance(slot, position) < distance)
            {
                break;
            }
            position = (position + 1) & _mask;
        }
        (kind, index) = (default, uint.MaxValue);
        return false;
    }

    /// <summary>The first entry with this hash, its tuple not compared: good for prefetching its record, and for nothing else.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public bool TryFindCandidate(ulong hash, out DemuxKind kind, out uint index)
    {
        var position = (uint)hash & _mask;
        for (uint distance = 0; ; distance++)
        {
            var slot = _slots + position;
            if (slot->State == Empty || (slot->Tag != (uint)hash && Distance(slot, position) < distance)) break;
            if (slot->Tag == (uint)hash)
            {
                (kind, index) = (slot->Kind, slot->Index);
                return true;
            }
            position = (position + 1) & _mask;
        }
        (kind, index) = (default, uint.MaxValue);
        return false;
    }

    /// <summary>Adds an entry; false when the table is full. The caller knows that the tuple is not there. Indexes are below 2³⁰.</summary>
    public bool TryAdd(ulong hash, DemuxKind kind, uint index)
    {
        if (Count >= Capacity)
        {
            Refused++;
            return false;
        }
        var entry = new Slot(hash, kind, index);
        var position = (uint)hash & _mask;
        for (uint distance = 0; ; distance++)
        {
            var slot = _slots + position;
            if (slot->State == Empty)
            {
                *slot = entry;
                if (distance > (uint)ProbeLengthMax) ProbeLengthMax = (int)distance;
                Count++;
                return true;
            }
            // The entry that is nearer to its home gives way: this keeps every cluster in the order of homes.
            var other = Distance(slot, position);
            if (other < distance)
            {
                if (distance > (uint)ProbeLengthMax) ProbeLengthMax = (int)distance;
                (*slot, entry) = (entry, *slot);
                distance = other;
            }
            position = (position + 1) & _mask;
        }
    }

    /// <summary>Removes an entry; false when it is not there.</summary>
    public bool Remove(ulong hash, DemuxKind kind, uint index)
    {
        if (!TryLocate(hash, kind, index, out var position)) return false;
        // Shift back what follows until a gap or an entry that is at home.
        for (; ; )
        {
            var next = (position + 1) & _mask;
            if (_slots[next].State == Empty || Distance(_slots + next, next) == 0) break;
            _slots[position] = _slots[next];
            position = next;
        }
        _slots[position] = default;
        Count--;
        return true;
    }

    /// <summary>Lets an entry lead elsewhere, as when a connection goes to TIME-WAIT; false when it is not there.</summary>
    public bool Replace(ulong hash, DemuxKind kind, uint index, DemuxKind newKind, uint newIndex)
    {
        if (!TryLocate(hash, kind, index, out var position)) return false;
        _slots[position] = new Slot(hash, newKind, newIndex);
        return true;
    }

    /// <summary>Slots read by a search for this hash that finds nothing: for reports and tests.</summary>
    internal int ProbeLengthOf(ulong hash)
    {
        var position = (uint)hash & _mask;
        for (uint distance = 0; ; distance++)
        {
            var slot = _slots + position;
            if (slot->State == Empty || Distance(slot, position) < distance) return (int)distance + 1;
            position = (position + 1) & _mask;
        }
    }

    private static uint SlotCountFor(int capacity) => BitOperations.RoundUpToPowerOf2((uint)((((long)capacity * 4) + 2) / 3));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private uint Distance(Slot* slot, uint position) => (position - slot->Tag) & _mask;

    private bool TryLocate(ulong hash, DemuxKind kind, uint index, out uint position)
    {
        var wanted = new Slot(hash, kind, index);
        position = (uint)hash & _mask;
        for (uint distance = 0; ; distance++)
        {
            var slot = _slots + position;
            if (slot->State == Empty || Distance(slot, position) < distance) return false;
            if (slot->Tag == wanted.Tag && slot->State == wanted.State) return true;
            position = (position + 1) & _mask;
        }
    }

    private readonly struct Slot(ulong hash, DemuxKind kind, uint index)
    {
        private const int IndexBits = 30;

        public readonly uint Tag = (uint)hash;

        /// <summary>0 when empty, else the kind and one above the index.</summary>
        public readonly uint State = (((uint)kind + 1) << IndexBits) | index;

        public DemuxKind Kind => (DemuxKind)((State >> IndexBits) - 1);

        public uint Index => State & ((1u << IndexBits) - 1);
    }
}
