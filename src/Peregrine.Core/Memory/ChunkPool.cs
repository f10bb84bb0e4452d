// Chunks of equal size in a native region, each with exactly one owner, named by index. A note of 16 bytes beside each chunk
// lets its owner chain chunks into frames and queues without touching the chunk itself.
// Not thread-safe and never grows: a pool belongs to one stack, and an empty one says no.
using System.Diagnostics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Peregrine.Core.Memory;

/// <summary>What the owner of a chunk writes about it.</summary>
public struct ChunkNote
{
    /// <summary>The next chunk of the same chain, or <see cref="ChunkPool.None"/>.</summary>
    public uint Next;

    /// <summary>Offset of the first used byte.</summary>
    public ushort Start;

    /// <summary>Count of used bytes.</summary>
    public ushort Length;

    /// <summary>For the owner: a sequence number, a reference, a mark.</summary>
    public uint Tag;

    internal uint State;
}

/// <summary>A pool of chunks of one size.</summary>
public sealed unsafe class ChunkPool
{
    /// <summary>No chunk.</summary>
    public const uint None = uint.MaxValue;

    private const uint Free = 0, Rented = 1;

    private readonly byte* _chunks;
    private readonly ChunkNote* _notes;
    private readonly uint* _free;
    private readonly int _shift;
    private Counts _counts;

    /// <summary>Cuts a pool out of <paramref name="region"/>.</summary>
    /// <param name="region">Where the memory comes from.</param>
    /// <param name="chunkSize">Bytes a chunk: a power of two, 256 to 65,536.</param>
    /// <param name="count">Chunks, 1 or more.</param>
    /// <param name="name">What the memory report calls it.</param>
    public ChunkPool(MemoryRegion region, int chunkSize, int count, string name)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(count, 1);
        if (chunkSize is < 256 or > 65_536 || (chunkSize & (chunkSize - 1)) != 0)
            throw new ArgumentOutOfRangeException(nameof(chunkSize), chunkSize, "A chunk's size is a power of two from 256 to 65536 bytes.");
        (ChunkSize, Count, Name, Region) = (chunkSize, count, name, region);
        _shift = System.Numerics.BitOperations.Log2((uint)chunkSize);
        _chunks = region.Take((nuint)count << _shift, 4096);
        _notes = (ChunkNote*)region.Take((nuint)count * (nuint)sizeof(ChunkNote));
        _free = (uint*)region.Take((nuint)count * sizeof(uint));
        for (var i = 0; i < count; i++) _free[i] = (uint)(count - 1 - i);
        (_counts.Free, _counts.LowestFree) = (count, count);
    }

    /// <summary>Bytes a chunk.</summary>
    public int ChunkSize { get; }

    /// <summary>Chunks in all.</summary>
    public int Count { get; }

    /// <summary>What the memory report calls the pool.</summary>
    public string Name { get; }

    /// <summary>The region that the pool was cut out of.</summary>
    public MemoryRegion Region { get; }

    /// <summary>Chunks that can be rented now.</summary>
    public int FreeCount => _counts.Free;

    /// <summary>The lowest that <see cref="FreeCount"/> has been.</summary>
    public int LowestFreeCount => _counts.LowestFree;

    /// <summary>Rents that found the pool empty.</summary>
    public long Exhausted => _counts.Exhausted;

    /// <summary>The first byte of the pool's chunks; chunk i lies i × <see cref="ChunkSize"/> further.</summary>
    public byte* Base => _chunks;

    /// <summary>Bytes of native memory that a pool of this shape takes, with its notes.</summary>
    public static nuint BytesFor(int chunkSize, int count) =>
        ((nuint)count * (nuint)chunkSize) + ((nuint)count * (nuint)(sizeof(ChunkNote) + sizeof(uint))) + 4096 + 256;

    /// <summary>Rents a chunk; its note is cleared and its bytes are not.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public bool TryRent(out uint chunk)
    {
        var free = _counts.Free;
        if (free == 0)
        {
            _counts.Exhausted++;
            chunk = None;
            return false;
        }
        _counts.Free = --free;
        chunk = _free[free];
        if (free < _counts.LowestFree) _counts.LowestFree = free;
        Debug.Assert(_notes[chunk].State == Free, "rented twice");
        _notes[chunk] = new ChunkNote { Next = None, State = Rented };
        return true;
    }

    /// <summary>Gives a chunk back. It must be rented.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Return(uint chunk)
    {
        if (chunk >= (uint)Count || _notes[chunk].State != Rented) ThrowNotRented(chunk);
        _notes[chunk].State = Free;
        _free[_counts.Free++] = chunk;
    }

    /// <summary>Gives a whole chain back, following <see cref="ChunkNote.Next"/>.</summary>
    public void ReturnChain(uint first)
    {
        for (var left = Count; first != None && left > 0; left--)
        {
            var next = _notes[first].Next;
            Return(first);
            first = next;
        }
    }

    /// <summary>The chunk's first byte.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public byte* Address(uint chunk)
    {
        Debug.Assert(chunk < (uint)Count);
        return _chunks + ((nuint)chunk << _shift);
    }

    /// <summary>The chunk's note.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public ref ChunkNote Note(uint chunk)
    {
        Debug.Assert(chunk < (uint)Count);
        return ref _notes[chunk];
    }

    /// <summary>Whether a chunk is rented: for checkers and tests.</summary>
    public bool IsRented(uint chunk) => chunk < (uint)Count && _notes[chunk].State == Rented;

    private void ThrowNotRented(uint chunk) =>
        throw new InvalidOperationException($"Chunk {chunk} of pool '{Name}' was returned and is not rented.");

    // What every rent changes lies the largest cache line there is away from what never changes, and from the objects before and behind: the other
    // end of a memory link finds our chunks by this object from another core, and pools of several cores are made one after the other.
    [StructLayout(LayoutKind.Explicit, Size = 272)]
    private struct Counts
    {
        [FieldOffset(128)] public int Free;
        [FieldOffset(132)] public int LowestFree;
        [FieldOffset(136)] public long Exhausted;
    }
}
