// A list of small numbers in order of arrival, each at most once, with removal from anywhere. Two arrays, no allocation afterwards.
namespace Peregrine.Core.Udp;

/// <summary>A bounded queue of indexes.</summary>
internal sealed class IndexList(int countMax)
{
    // Index + 1; 0 is none. An index is in the list when it has a predecessor, or is the first.
    private readonly int[] _next = new int[countMax];
    private readonly int[] _previous = new int[countMax];
    private int _first, _last;

    public bool IsEmpty => _first == 0;

    public bool Contains(int index) => _first == index + 1 || _previous[index] != 0;

    public void Add(int index)
    {
        if (Contains(index)) return;
        _previous[index] = _last;
        _next[index] = 0;
        if (_last != 0) _next[_last - 1] = index + 1;
        else _first = index + 1;
        _last = index + 1;
    }

    public void Remove(int index)
    {
        if (!Contains(index)) return;
        int next = _next[index], previous = _previous[index];
        if (previous != 0) _next[previous - 1] = next;
        else _first = next;
        if (next != 0) _previous[next - 1] = previous;
        else _last = previous;
        _next[index] = _previous[index] = 0;
    }

    public bool TryTake(out int index)
    {
        index = _first - 1;
        if (_first == 0) return false;
        Remove(index);
        return true;
    }
}
