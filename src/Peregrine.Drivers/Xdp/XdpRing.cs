// The two ends of a ring that is shared with the kernel: one producer, one consumer, indexes that run freely over 32 bits. They work on
// any memory, so tests need no card. Indexes are published and seen by release and acquire, which Arm64 needs and x64 has anyway.
using System.Runtime.CompilerServices;
using System.Threading;
using Peregrine.Drivers.Linux;

namespace Peregrine.Drivers.Xdp;

/// <summary>Where the parts of a ring lie.</summary>
internal readonly unsafe struct XdpRingMemory(void* producer, void* consumer, void* flags, void* entries, int count)
{
    public readonly uint* Producer = (uint*)producer;
    public readonly uint* Consumer = (uint*)consumer;
    public readonly uint* Flags = (uint*)flags;
    public readonly void* Entries = entries;

    /// <summary>Entries, a power of two.</summary>
    public readonly int Count = count;

    public static XdpRingMemory At(byte* memory, in XdpRingOffsets offsets, int count) =>
        new(memory + offsets.Producer, memory + offsets.Consumer, memory + offsets.Flags, memory + offsets.Entries, count);
}

/// <summary>The end that writes: the fill ring's and the transmit ring's is ours.</summary>
internal unsafe struct XdpProducer<T>(XdpRingMemory memory) where T : unmanaged
{
    private readonly XdpRingMemory _memory = memory;
    private readonly uint _mask = (uint)memory.Count - 1;

    // What is written and not yet shown, and what the other side was last seen to have taken.
    private uint _next = *memory.Producer;
    private uint _taken = Volatile.Read(ref *memory.Consumer);

    public readonly int Capacity => _memory.Count;

    /// <summary>Entries that were shown and that the kernel has not taken.</summary>
    public readonly int Waiting => (int)(*_memory.Producer - Volatile.Read(ref *_memory.Consumer));

    /// <summary>Whether the kernel wants a system call before it looks. Call after <see cref="Publish"/>.</summary>
    public readonly bool NeedsWakeup
    {
        get
        {
            // The kernel sets the flag and then looks at the index once more; we write the index and then look at the flag. Without the
            // fence both could look too early, and a frame would lie until the next one.
            Interlocked.MemoryBarrier();
            return (Volatile.Read(ref *_memory.Flags) & XdpNumbers.NeedWakeup) != 0;
        }
    }

    /// <summary>How many entries can be written; looks at the kernel's index only when fewer than wanted are known.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public int Room(int wanted)
    {
        var room = _memory.Count - (int)(_next - _taken);
        if (room >= wanted) return room;
        // Acquire: the kernel has read the entries before it moved the index, so they can be written over.
        _taken = Volatile.Read(ref *_memory.Consumer);
        return _memory.Count - (int)(_next - _taken);
    }

    /// <summary>The next entry to be written; there must be room.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public ref T Next() => ref ((T*)_memory.Entries)[_next++ & _mask];

    /// <summary>Shows what was written.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly void Publish() => Volatile.Write(ref *_memory.Producer, _next);
}

/// <summary>The end that reads: the receive ring's and the completion ring's is ours.</summary>
internal unsafe struct XdpConsumer<T>(XdpRingMemory memory) where T : unmanaged
{
    private readonly XdpRingMemory _memory = memory;
    private readonly uint _mask = (uint)memory.Count - 1;
    private uint _next = *memory.Consumer;
    private uint _shown = Volatile.Read(ref *memory.Producer);

    /// <summary>Whether entries wait, without taking note of them.</summary>
    public readonly bool HasEntries => Volatile.Read(ref *_memory.Producer) != _next;

    /// <summary>How many entries can be read, at most <paramref name="max"/>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public int Available(int max)
    {
        var available = (int)(_shown - _next);
        if (available < max)
        {
            // Acquire: entries that the index shows are read after it.
            _shown = Volatile.Read(ref *_memory.Producer);
            available = (int)(_shown - _next);
        }
        return Math.Min(available, max);
    }

    /// <summary>The next entry; it must be available, and may be read until <see cref="Release"/>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public ref readonly T Next() => ref ((T*)_memory.Entries)[_next++ & _mask];

    /// <summary>Gives what was read back.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly void Release() => Volatile.Write(ref *_memory.Consumer, _next);
}
