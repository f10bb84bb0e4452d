// What is going to happen, by virtual time and then by the order in which it was planned: a binary heap of values. Two events at the same
// instant always come in the order in which they were added, or a replay would not be one.
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
    private struct Entry
    {
        public long At;
        public long Order;
        public IEventTarget Target;
        public object? Payload;
    }

    private Entry[] _heap = new Entry[capacity];
    private long _order;

    public int Count { get; private set; }

    public Instant Next => Count == 0 ? Instant.Never : new Instant(_heap[0].At);

    public void Add(Instant at, IEventTarget target, object? payload = null)
    {
        if (Count == _heap.Length) Array.Resize(ref _heap, Count * 2);
        var entry = new Entry { At = at.Nanoseconds, Order = _order++, Target = target, Payload = payload };
        var place = Count++;
        while (place > 0)
        {
            var parent = (place - 1) >> 1;
            if (!IsBefore(entry, _heap[parent])) break;
            _heap[place] = _heap[parent];
            place = parent;
        }
        _heap[place] = entry;
    }

    public Instant Take(out IEventTarget target, out object? payload)
    {
        var first = _heap[0];
        (target, payload) = (first.Target, first.Payload);
        var last = _heap[--Count];
        _heap[Count] = default;
        if (Count > 0) SiftDown(last);
        return new Instant(first.At);
    }

    private void SiftDown(in Entry entry)
    {
        var place = 0;
        while (true)
        {
            var child = (place << 1) + 1;
            if (child >= Count) break;
            if (child + 1 < Count && IsBefore(_heap[child + 1], _heap[child])) child++;
            if (!IsBefore(_heap[child], entry)) break;
            _heap[place] = _heap[child];
            place = child;
        }
        _heap[place] = entry;
    }

    private static bool IsBefore(in Entry a, in Entry b) => a.At != b.At ? a.At < b.At : a.Order < b.Order;
}
