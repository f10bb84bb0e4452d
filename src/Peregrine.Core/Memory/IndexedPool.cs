// Records of one kind that some connections have and most have not, cut from a region and named by index. Index 0 is "none", so that a zeroed
// TCB has none. A record that is free keeps the index of the next free one in its first four bytes.
using System.Diagnostics;
using System.Runtime.CompilerServices;

namespace Peregrine.Core.Memory;

internal sealed unsafe class IndexedPool<T> where T : unmanaged
{
    internal const uint None = 0;

    private readonly T* _records;
    private readonly uint _count;
    private uint _firstFree;
    private uint _touched;

    internal IndexedPool(MemoryRegion region, int count)
    {
        Debug.Assert(sizeof(T) >= sizeof(uint), "a free record must have room for an index");
        _count = (uint)count;
        _records = (T*)region.Take(BytesFor(count));
    }

    /// <summary>Records in use.</summary>
    internal int UsedCount { get; private set; }

    internal static nuint BytesFor(int count) => (nuint)(count + 1) * (nuint)sizeof(T);

    internal ref T this[uint index]
    {
        get
        {
            Debug.Assert(index != None && index <= _count, "no such record");
            return ref _records[index];
        }
    }

    /// <summary>A zeroed record; false when all are in use.</summary>
    internal bool TryRent(out uint index)
    {
        index = _firstFree;
        if (index != None) _firstFree = Unsafe.As<T, uint>(ref _records[index]);
        // In order, so that pages are touched only when they are needed.
        else if (_touched < _count) index = ++_touched;
        else return false;
        UsedCount++;
        _records[index] = default;
        return true;
    }

    internal void Return(uint index)
    {
        Unsafe.As<T, uint>(ref this[index]) = _firstFree;
        _firstFree = index;
        UsedCount--;
    }
}
