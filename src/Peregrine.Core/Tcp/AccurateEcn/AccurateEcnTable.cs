// The states of a stack's connections with Accurate ECN, found by the number of the connection's TCB, which has no room for more than a
// flag. Open addressing with half the slots free, so that a search ends soon; what is taken out leaves no gap behind.
using System.Numerics;
using Peregrine.Core.Memory;

namespace Peregrine.Core.Tcp.AccurateEcn;

internal sealed unsafe class AccurateEcnTable
{
    private readonly AccurateEcnState* _slots;
    private readonly uint _mask;
    private readonly int _countMax;

    internal AccurateEcnTable(MemoryRegion region, int countMax)
    {
        _countMax = countMax;
        _mask = SlotsFor(countMax) - 1;
        _slots = (AccurateEcnState*)region.Take(BytesFor(countMax));
    }

    internal int Count { get; private set; }

    internal bool HasRoom => Count < _countMax;

    internal static nuint BytesFor(int countMax) => SlotsFor(countMax) * (nuint)sizeof(AccurateEcnState);

    /// <summary>The state of a connection that has one.</summary>
    internal ref AccurateEcnState Of(uint tcb) => ref _slots[Find(tcb + 1)];

    /// <summary>Gives a connection a state as at the start; false when there is no room.</summary>
    internal bool TryAdd(uint tcb)
    {
        if (!HasRoom) return false;
        ref var state = ref _slots[Find(tcb + 1)];
        state = AccurateEcnState.Initial;
        state.Key = tcb + 1;
        Count++;
        return true;
    }

    internal void Remove(uint tcb)
    {
        var hole = Find(tcb + 1);
        Count--;
        // What was put behind the slot because it was taken moves up.
        for (var at = (hole + 1) & _mask; _slots[at].Key != 0; at = (at + 1) & _mask)
        {
            if (((at - Home(_slots[at].Key)) & _mask) < ((at - hole) & _mask)) continue;
            _slots[hole] = _slots[at];
            hole = at;
        }
        _slots[hole] = default;
    }

    private static uint SlotsFor(int countMax) => BitOperations.RoundUpToPowerOf2(Math.Max((uint)countMax, 1) * 2);

    // The slot that has the key, or the free one where it would be.
    private uint Find(uint key)
    {
        var at = Home(key);
        while (_slots[at].Key != 0 && _slots[at].Key != key) at = (at + 1) & _mask;
        return at;
    }

    // Numbers of TCBs lie close together: as they are, they fill slots side by side.
    private uint Home(uint key) => key & _mask;
}
