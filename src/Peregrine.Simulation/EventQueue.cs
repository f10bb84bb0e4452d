// What is going to happen, by virtual time and then by the order in which it was planned: a heap of values. Two events at the same
// instant always come in the order in which they were added, or a replay would not be one. What an event is lies beside the heap: keys
// without references move without the collector's help, which would cost more than the comparisons.
using Peregrine.Core.Time;

namespace Peregrine.Simulation;

/// <summary>Something to which events come.</summary>
internal interface IEventTarget
{
    /// <summary>The event's time has come.</summary>
    void OnEvent(object? payload, Instant now);
}

internal sealed class EventQueue(int capacity = 1_024)
{
    private record struct Key(long At, long Order, int Slot)
    {
        public readonly bool IsBefore(in Key other) => At != other.At ? At < other.At : Order < other.Order;
    }

    private Key[] _heap = new Key[capacity];
    private (IEventTarget Target, object? Payload)[] _events = new (IEventTarget, object?)[capacity];
    private int[] _freeSlots = new int[capacity];
    private int _slotsUsed, _freeCount;
    private long _order;

    public int Count { get; private set; }

    public Instant Next => Count == 0 ? Instant.Never : new Instant(_heap[0].At);

    public void Add(Instant at, IEventTarget target, object? payload = null)
    {
        if (Count == _heap.Length) Grow();
        var slot = _freeCount > 0 ? _freeSlots[--_freeCount] : _slotsUsed++;
        _events[slot] = (target, payload);
        var key = new Key(at.Nanoseconds, _order++, slot);
        var place = Count++;
        while (place > 0)
        {
            var parent = (place - 1) >> 1;
            if (!key.IsBefore(_heap[parent])) break;
            _heap[place] = _heap[parent];
            place = parent;
        }
        _heap[place] = key;
    }

    public Instant Take(out IEventTarget target, out object? payload)
    {
        var first = _heap[0];
        ref var taken = ref _events[first.Slot];
        (target, payload) = taken;
        taken = default;
        _freeSlots[_freeCount++] = first.Slot;
        var last = _heap[--Count];
        if (Count > 0) SiftDown(last);
        return new Instant(first.At);
    }

    private void SiftDown(in Key key)
    {
        var heap = _heap;
        var place = 0;
        while (true)
        {
            var child = (place << 1) + 1;
            if (child >= Count) break;
            if (child + 1 < Count && heap[child + 1].IsBefore(heap[child])) child++;
            if (!heap[child].IsBefore(key)) break;
            heap[place] = heap[child];
            place = child;
        }
        heap[place] = key;
    }

    private void Grow()
    {
        Array.Resize(ref _heap, Count * 2);
        Array.Resize(ref _events, Count * 2);
        Array.Resize(ref _freeSlots, Count * 2);
    }
}
