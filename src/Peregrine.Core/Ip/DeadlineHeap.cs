// The IP layer's timers: a binary heap of ids by instant, each id at most once. A few thousand ids that are rarely armed
// (unresolved neighbours, fragments, lifetimes); not for transports, which have the wheel.
using Peregrine.Core.Memory;
using Peregrine.Core.Time;

namespace Peregrine.Core.Ip;

/// <summary>A bounded set of (id, instant), with the earliest at hand.</summary>
internal sealed class DeadlineHeap
{
    private struct Node
    {
        public Instant At;
        public int Id;
    }

    private readonly RegionArray<Node> _nodes;
    private readonly RegionArray<int> _places;   // place + 1 of each id, 0 when it is not armed

    public DeadlineHeap(MemoryRegion region, int idCount)
    {
        _nodes = new RegionArray<Node>(region, idCount);
        _places = new RegionArray<int>(region, idCount);
    }

    public int Count { get; private set; }

    /// <summary>The earliest instant, or never.</summary>
    public Instant Next => Count == 0 ? Instant.Never : _nodes[0].At;

    public static nuint BytesFor(int idCount) => RegionArray<Node>.BytesFor(idCount) + RegionArray<int>.BytesFor(idCount);

    public bool IsArmed(int id) => _places[id] != 0;

    /// <summary>Arms or moves the id's timer.</summary>
    public void Arm(int id, Instant at)
    {
        int place = _places[id] - 1;
        if (place < 0)
        {
            place = Count++;
            Put(place, new Node { At = at, Id = id });
        }
        else
        {
            _nodes[place].At = at;
        }

        Settle(place);
    }

    /// <summary>Takes the id's timer away, armed or not.</summary>
    public void Cancel(int id)
    {
        int place = _places[id] - 1;
        if (place < 0) return;
        _places[id] = 0;
        Count--;
        if (place == Count) return;
        Put(place, _nodes[Count]);
        Settle(place);
    }

    /// <summary>Takes out the earliest id whose instant has come.</summary>
    public bool TryPop(Instant now, out int id)
    {
        id = -1;
        if (Count == 0 || _nodes[0].At > now) return false;
        id = _nodes[0].Id;
        Cancel(id);
        return true;
    }

    private void Put(int place, Node node)
    {
        _nodes[place] = node;
        _places[node.Id] = place + 1;
    }

    private void Settle(int place)
    {
        Node node = _nodes[place];
        while (place > 0 && node.At < _nodes[(place - 1) / 2].At)
        {
            Put(place, _nodes[(place - 1) / 2]);
            place = (place - 1) / 2;
        }

        while ((2 * place) + 1 < Count)
        {
            int child = (2 * place) + 1;
            if (child + 1 < Count && _nodes[child + 1].At < _nodes[child].At) child++;
            if (_nodes[child].At >= node.At) break;
            Put(place, _nodes[child]);
            place = child;
        }

        Put(place, node);
    }
}
