// Objects that wait to be run on a core. A mailbox record has no references, so it names one of these slots.
// Bounded; used for rare things (listen, connect, continuations from foreign threads), never per packet.
namespace Peregrine.Sockets;

/// <summary>Something to be run on the core's thread.</summary>
internal interface IEngineWork
{
    /// <summary>Runs on the core's thread.</summary>
    void Execute();

    /// <summary>The core has stopped and the work will never run.</summary>
    void Abandon();
}

internal sealed class WorkSlots
{
    private readonly IEngineWork?[] _slots;
    private readonly uint[] _free;
    private readonly object _gate = new();
    private int _freeCount;

    internal WorkSlots(int count)
    {
        _slots = new IEngineWork?[count];
        _free = new uint[count];
        for (var i = 0; i < count; i++) _free[i] = (uint)(count - 1 - i);
        _freeCount = count;
    }

    internal bool TryPut(IEngineWork work, out uint slot)
    {
        lock (_gate)
        {
            if (_freeCount == 0)
            {
                slot = 0;
                return false;
            }
            slot = _free[--_freeCount];
            _slots[slot] = work;
            return true;
        }
    }

    internal IEngineWork? Take(uint slot)
    {
        lock (_gate)
        {
            if (slot >= (uint)_slots.Length || _slots[slot] is not { } work) return null;
            _slots[slot] = null;
            _free[_freeCount++] = slot;
            return work;
        }
    }
}
