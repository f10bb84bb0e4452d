// The models of a stack's BBR connections: native memory, named by index. Index 0 is "none".
using System.Diagnostics;
using Peregrine.Core.Memory;

namespace Peregrine.Core.Tcp.Congestion.Bbr;

internal sealed unsafe class BbrPool
{
    internal const uint None = 0;

    private readonly BbrModel* _models;
    private readonly uint _count;
    private readonly StackRandom _random;
    private uint _firstFree;
    private uint _touched;

    internal BbrPool(MemoryRegion region, int count, StackRandom random)
    {
        _count = (uint)count;
        _random = random;
        _models = (BbrModel*)region.Take(BytesFor(count));
    }

    internal int UsedCount { get; private set; }

    internal static nuint BytesFor(int count) => (nuint)(count + 1) * (nuint)sizeof(BbrModel);

    internal ref BbrModel this[uint index]
    {
        get
        {
            Debug.Assert(index != None && index <= _count, "no such model");
            return ref _models[index];
        }
    }

    /// <summary>A model with nothing in it but a seed.</summary>
    internal bool TryRent(out uint index)
    {
        index = _firstFree;
        if (index != None) _firstFree = _models[index].NextFree;
        // In order, so that pages are touched only when they are needed.
        else if (_touched < _count) index = ++_touched;
        else return false;
        UsedCount++;
        _models[index] = new BbrModel { Seed = _random.NextUInt64() };
        return true;
    }

    internal void Return(uint index)
    {
        _models[index].NextFree = _firstFree;
        _firstFree = index;
        UsedCount--;
    }
}
