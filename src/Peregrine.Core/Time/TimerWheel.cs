// The hierarchical timer wheel of a stack (Varghese and Lauck, 1987): four levels of 256 slots of Deadline's ticks, so 33 ms, 8.6 s,
// 37 min and 6.5 days. An id has at most one entry. It holds no callbacks and knows nothing of what an id is.
//
// A deadline that moves later is not moved here: its entry comes at the old time, and the owner arms it again (moving an entry with
// every ACK would cost more than looking once). One that moves earlier is moved at once, since late is wrong and early is not.
//
// A slot is a chain of blocks of ids, of which only the first may be partly filled: taking an id out of the middle puts the first
// block's last id into its place. So slots hold ceil(n / IdsPerBlock) blocks each, and with n1 + n2 + … ≤ idCount in S slots in use
//   blocks = Σ ceil(ni / B) ≤ Σ (ni + B - 1) / B ≤ idCount / B + S,   S ≤ min(idCount, 1024),
// which is what the constructor takes: the blocks cannot run out. Moving an id takes it out before it puts it in, so the sum holds
// at every step, also half-way through a cascade.
using System.Diagnostics;
using System.Numerics;
using System.Runtime.CompilerServices;
using Peregrine.Core.Demux;
using Peregrine.Core.Memory;

namespace Peregrine.Core.Time;

/// <summary>Timers for ids 0 to idCount − 1.</summary>
internal sealed unsafe class TimerWheel
{
    /// <summary>Ids of one block: with the header it is 256 bytes, four lines.</summary>
    private const int IdsPerBlock = 62;

    private const int Levels = 4, SlotsPerLevel = 256, SlotCount = Levels * SlotsPerLevel;
    private const uint None = uint.MaxValue;

    /// <summary>Entries that one call moves to a finer level, beside the ids that it reports: keeps a call short.</summary>
    private const int MovedCountMax = 1024;

    private readonly Block* _blocks;
    private readonly Entry* _entries;
    private readonly uint* _slots;
    private readonly ulong* _used;
    private readonly uint _blockCount;
    private uint _freeBlock;
    private uint _freshBlocks;
    private Prefetcher _prefetcher;

    /// <summary>All that is due at this tick or before has been reported, but for what still is in its slot.</summary>
    private long _current;

    /// <summary>The slot of a coarser level whose cascade was cut short, or -1.</summary>
    private int _unfinished = -1;

    /// <summary>No slot begins before this tick: lets most calls return at once.</summary>
    private long _earliest = long.MaxValue;

    /// <summary>Takes the wheel's memory from <paramref name="region"/>.</summary>
    public TimerWheel(MemoryRegion region, int idCount, Instant now)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(idCount, 1);
        IdCount = idCount;
        _current = TicksOf(now);
        _blockCount = BlockCountFor(idCount);
        _entries = (Entry*)region.Take((nuint)idCount * (nuint)sizeof(Entry));
        _blocks = (Block*)region.Take((nuint)_blockCount * (nuint)sizeof(Block));
        _slots = (uint*)region.Take(SlotCount * sizeof(uint));
        _used = (ulong*)region.Take(SlotCount / 8);
        for (var i = 0; i < SlotCount; i++) _slots[i] = None;
        _freeBlock = None;
    }

    /// <summary>Ids that can be armed.</summary>
    public int IdCount { get; }

    /// <summary>Ids that are armed.</summary>
    public int Count { get; private set; }

    /// <summary>Blocks in use: for tests of the bound above.</summary>
    internal int BlocksInUse { get; private set; }

    /// <summary>Blocks in all.</summary>
    internal int BlockCount => (int)_blockCount;

    /// <summary>Bytes of native memory for so many ids.</summary>
    public static nuint BytesFor(int idCount) =>
        ((nuint)idCount * (nuint)sizeof(Entry)) + ((nuint)BlockCountFor(idCount) * (nuint)sizeof(Block)) + (SlotCount * sizeof(uint)) + (SlotCount / 8) + 512;

    /// <summary>Whether an id has an entry.</summary>
    public bool IsArmed(uint id) => _entries[id].Deadline.IsSet;

    /// <summary>When an id's entry comes, or none.</summary>
    public Deadline DeadlineOf(uint id) => _entries[id].Deadline;

    /// <summary>
    /// Sees to it that <paramref name="id"/> is reported at <paramref name="at"/> at the latest. An earlier entry stays and will come
    /// first; an unset deadline changes nothing. A deadline that has passed is reported by the next <see cref="Fire"/>.
    /// </summary>
    public void Arm(uint id, Deadline at)
    {
        Debug.Assert(id < (uint)IdCount);
        if (!at.IsSet) return;
        var entry = _entries + id;
        if (entry->Deadline.IsSet)
        {
            if (!at.IsBefore(entry->Deadline)) return;
            Take(id);
        }
        else
        {
            Count++;
        }
        entry->Deadline = at;
        Place(id, at);
    }

    /// <summary>Takes an id's entry out, if there is one.</summary>
    public void Cancel(uint id)
    {
        Debug.Assert(id < (uint)IdCount);
        if (!_entries[id].Deadline.IsSet) return;
        Take(id);
        _entries[id].Deadline = default;
        Count--;
    }

    /// <summary>
    /// Reports ids whose entry has come, at most as many as <paramref name="due"/> holds; they are no longer armed. Goes on where it
    /// stopped when it is called again, and <see cref="NextDeadline"/> says "now" as long as something is left.
    /// </summary>
    public int Fire(Instant now, Span<uint> due)
    {
        // Time does not go back; if it seems to, nothing is due.
        var target = Math.Max(TicksOf(now), _current);
        if (target < _earliest)
        {
            _current = target;
            return 0;
        }
        var fired = 0;
        var budget = MovedCountMax;
        // Each turn takes at least one entry out of its slot, or is the last; so it ends after due.Length + MovedCountMax turns.
        while (fired < due.Length && budget > 0)
        {
            if (!TryFindNext(out var slot, out var start) || start > target) break;
            _current = Math.Max(_current, start);
            if (slot < SlotsPerLevel) fired += Drain(slot, due[fired..]);
            else budget -= Cascade(slot, budget);
        }
        _earliest = TryFindNext(out _, out var next) ? next : long.MaxValue;
        // Distances are measured from here, so it has to be now even when the last id that was asked for was the last one due.
        if (_earliest > target) _current = target;
        return fired;
    }

    /// <summary>
    /// When to call <see cref="Fire"/> next: exact within 33 ms; for later ones the beginning of a coarser slot, at which Fire moves
    /// entries and may report none. <paramref name="now"/> when something is left over, never when nothing is armed.
    /// </summary>
    public Instant NextDeadline(Instant now)
    {
        if (!TryFindNext(out _, out var start)) return Instant.Never;
        return start <= TicksOf(now) ? now : new Instant(start << Deadline.Shift);
    }

    private static uint BlockCountFor(int idCount) => (uint)((idCount / IdsPerBlock) + Math.Min(idCount, SlotCount));

    private static long TicksOf(Instant instant) => instant.Nanoseconds >> Deadline.Shift;

    /// <summary>Puts an id into the slot that its deadline has as seen from the current tick.</summary>
    private void Place(uint id, Deadline at)
    {
        // Within 2^31 ticks, so the signed difference is the distance. What has passed is due now: the current slot of the finest level.
        // If nobody fired for days the distance may seem shorter than it is or even negative, but never longer: early, not late.
        var distance = (int)(at.Ticks - (uint)_current);
        var ticks = distance < 0 ? (uint)_current : at.Ticks;
        // The highest byte in which it differs from now is its level; that byte is its slot there.
        var differ = ticks ^ (uint)_current;
        var level = differ == 0 ? 0 : BitOperations.Log2(differ) >> 3;
        var slot = (level << 8) | (byte)(ticks >> (level << 3));
        var start = StartOf(level, (byte)slot);
        if (start < _earliest) _earliest = start;
        Put(id, slot);
    }

    /// <summary>The first tick of a slot, seen from the current tick.</summary>
    private long StartOf(int level, byte index)
    {
        var shift = level << 3;
        var ahead = (byte)(index - (byte)(_current >> shift));
        return ((_current >> shift) + ahead) << shift;
    }

    /// <summary>
    /// The slot in use that comes first. Finer levels lie before coarser ones: an entry is on a coarser level because a higher byte of
    /// its time is greater than now's. The exception is a slot whose cascade was cut short, which is overdue.
    /// </summary>
    private bool TryFindNext(out int slot, out long start)
    {
        if (_unfinished >= 0)
        {
            (slot, start) = (_unfinished, _current);
            return true;
        }
        for (var level = 0; level < Levels; level++)
        {
            var from = (byte)(_current >> (level << 3));
            var index = NextUsed(level, from);
            if (index < 0) continue;
            slot = (level << 8) | index;
            start = StartOf(level, (byte)index);
            return true;
        }
        (slot, start) = (-1, long.MaxValue);
        return false;
    }

    /// <summary>The first slot in use from <paramref name="from"/> on, around the circle; -1 when there is none.</summary>
    private int NextUsed(int level, int from)
    {
        var words = _used + (level << 2);
        var word = from >> 6;
        var bits = words[word] & (ulong.MaxValue << (from & 63));
        for (var i = 0; i <= 4; i++)
        {
            if (bits != 0) return ((word & 3) << 6) | BitOperations.TrailingZeroCount(bits);
            word = (word + 1) & 3;
            bits = words[word];
        }
        return -1;
    }

    private int Drain(int slot, Span<uint> due)
    {
        var count = 0;
        while (count < due.Length && _slots[slot] != None)
        {
            var block = _blocks + _slots[slot];
            // Ids leave from the end of the block; the entries of those that follow are loaded meanwhile.
            if (block->Count > 8) _prefetcher.Touch(_entries + block->Ids[block->Count - 8]);
            var id = block->Ids[block->Count - 1];
            TakeLast(slot);
            _entries[id].Deadline = default;
            Count--;
            due[count++] = id;
        }
        return count;
    }

    /// <summary>Moves entries of a coarser slot to finer ones, at most <paramref name="budget"/>; returns how many.</summary>
    private int Cascade(int slot, int budget)
    {
        var count = 0;
        while (count < budget && _slots[slot] != None)
        {
            var block = _blocks + _slots[slot];
            if (block->Count > 8) _prefetcher.Touch(_entries + block->Ids[block->Count - 8]);
            var id = block->Ids[block->Count - 1];
            TakeLast(slot);
            Place(id, _entries[id].Deadline);
            count++;
        }
        _unfinished = _slots[slot] != None ? slot : -1;
        return count;
    }

    private void Put(uint id, int slot)
    {
        var head = _slots[slot];
        if (head == None || _blocks[head].Count == IdsPerBlock)
        {
            var fresh = RentBlock();
            _blocks[fresh].Next = head;
            _blocks[fresh].Count = 0;
            _blocks[fresh].Slot = (ushort)slot;
            _slots[slot] = head = fresh;
            _used[slot >> 6] |= 1UL << (slot & 63);
        }
        var block = _blocks + head;
        _entries[id].Position = (head << 6) | block->Count;
        block->Ids[block->Count++] = id;
    }

    /// <summary>Takes an id out of wherever it is; the last id of the slot's first block fills the gap.</summary>
    private void Take(uint id)
    {
        var position = _entries[id].Position;
        var block = _blocks + (position >> 6);
        var slot = block->Slot;
        var head = _blocks + _slots[slot];
        var last = head->Ids[head->Count - 1];
        block->Ids[position & 63] = last;
        _entries[last].Position = position;
        TakeLast(slot);
        if (slot == _unfinished && _slots[slot] == None) _unfinished = -1;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private void TakeLast(int slot)
    {
        var head = _slots[slot];
        var block = _blocks + head;
        if (--block->Count > 0) return;
        _slots[slot] = block->Next;
        if (block->Next == None) _used[slot >> 6] &= ~(1UL << (slot & 63));
        block->Next = _freeBlock;
        _freeBlock = head;
        BlocksInUse--;
    }

    private uint RentBlock()
    {
        BlocksInUse++;
        if (_freeBlock == None)
        {
            // Blocks never used yet: taken in order, so that a fresh wheel touches no memory it does not need.
            if (_freshBlocks == _blockCount) ThrowOutOfBlocks();
            return _freshBlocks++;
        }
        var block = _freeBlock;
        _freeBlock = _blocks[block].Next;
        return block;
    }

    private static void ThrowOutOfBlocks() => throw new InvalidOperationException("The timer wheel's blocks ran out, which its sizing excludes.");

    /// <summary>Where an id's entry lies, for prefetching.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void* AddressOf(uint id) => _entries + id;

    private struct Entry
    {
        /// <summary>When the entry comes; unset when the id has none.</summary>
        public Deadline Deadline;

        /// <summary>Block × 64 + place in the block; of no meaning when there is no entry.</summary>
        public uint Position;
    }

    private struct Block
    {
        public uint Next;
        public ushort Count;
        public ushort Slot;
        public fixed uint Ids[IdsPerBlock];
    }
}
