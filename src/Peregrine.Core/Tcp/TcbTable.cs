// The two dense native arrays of TCBs, hot and cold, and the free list. Index i of both is one connection, and the timer wheel's id.
using System.Runtime.CompilerServices;
using Peregrine.Core.Memory;

namespace Peregrine.Core.Tcp;

/// <summary>
/// A connection while it is worked on: both parts of its TCB. A value that lives on the stack only, of two pointers: what is larger than
/// 16 bytes is passed through memory by the calling conventions of x64 and Arm64, and this is passed everywhere.
/// </summary>
internal readonly unsafe ref struct TcbRef(Tcb* hot, TcbCold* cold)
{
    private readonly Tcb* _hot = hot;
    private readonly TcbCold* _cold = cold;

    /// <summary>The hot part.</summary>
    internal ref Tcb C
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => ref *_hot;
    }

    /// <summary>The cold part.</summary>
    internal ref TcbCold K
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => ref *_cold;
    }

    /// <summary>Where the hot part lies.</summary>
    internal Tcb* Hot => _hot;
}

/// <summary>All TCBs of a stack.</summary>
internal sealed unsafe class TcbTable
{
    internal const uint None = uint.MaxValue;

    private readonly Tcb* _hot;
    private readonly TcbCold* _cold;
    private uint _freeHead = None;
    private uint _untouched;

    internal TcbTable(MemoryRegion region, int capacity)
    {
        Capacity = capacity;
        _hot = (Tcb*)region.Take((nuint)capacity * (nuint)sizeof(Tcb));
        _cold = (TcbCold*)region.Take((nuint)capacity * (nuint)sizeof(TcbCold));
    }

    internal int Capacity { get; }

    internal int Count { get; private set; }

    internal static nuint BytesFor(int capacity) => ((nuint)capacity * (nuint)(sizeof(Tcb) + sizeof(TcbCold))) + 256;

    /// <summary>A cleared TCB with a new generation, in state Closed; false when the limit of connections is reached.</summary>
    internal bool TryAllocate(out uint index)
    {
        if (_freeHead != None)
        {
            index = _freeHead;
            _freeHead = _hot[index].ReadyNext;
        }
        else if (_untouched < (uint)Capacity)
        {
            // Slots are taken in order and memory that no connection needed is never touched.
            index = _untouched++;
        }
        else
        {
            index = None;
            return false;
        }
        var generation = _hot[index].Generation;
        _hot[index] = default;
        _cold[index] = default;
        _hot[index].Generation = generation == 0 ? 1 : generation;
        _hot[index].ReadyNext = None;
        _hot[index].EventNext = None;
        Count++;
        return true;
    }

    /// <summary>Makes every handle of the connection invalid at once.</summary>
    internal void Retire(uint index)
    {
        ref var generation = ref _hot[index].Generation;
        generation = generation + 1 == 0 ? 1 : generation + 1;
    }

    internal void Free(uint index)
    {
        ref var c = ref _hot[index];
        c.Flags = TcbFlags.None;
        c.ReadyNext = _freeHead;
        _freeHead = index;
        Count--;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal TcbRef Get(uint index) => new(_hot + index, _cold + index);

    /// <summary>The connection's place in the table.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal uint IndexOf(TcbRef t) => (uint)(t.Hot - _hot);

    internal TcpHandle HandleOf(TcbRef t) => new(IndexOf(t), t.C.Generation);

    /// <summary>Whether the handle names a live connection.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal bool IsLive(TcpHandle handle) =>
        handle.Index < _untouched && handle.Generation != 0 && _hot[handle.Index].Generation == handle.Generation;

    /// <summary>The hot part's address, for prefetching.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal Tcb* HotAddress(uint index) => _hot + index;

    /// <summary>The cold part's address, for prefetching.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal TcbCold* ColdAddress(uint index) => _cold + index;

    /// <summary>One more than the highest slot ever used: the bound of a walk over all connections.</summary>
    internal uint UsedSlots => _untouched;
}
