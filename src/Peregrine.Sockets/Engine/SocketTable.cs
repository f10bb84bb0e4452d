// Objects by the index of the handle that the stack gave them. Grows to the highest index used; an index is reused only after the
// stack has freed it.
namespace Peregrine.Sockets;

internal sealed class SocketTable<T>
    where T : class
{
    private T?[] _items = new T?[64];

    internal int Count { get; private set; }

    internal IEnumerable<T> Items
    {
        get
        {
            foreach (var item in _items)
            {
                if (item != null) yield return item;
            }
        }
    }

    internal T? Get(uint index)
    {
        var items = _items;
        return index < (uint)items.Length ? items[index] : null;
    }

    internal void Set(uint index, T item)
    {
        if (index >= (uint)_items.Length) Array.Resize(ref _items, (int)Math.Max(index + 1, Math.Min((uint)_items.Length * 2, int.MaxValue / 16)));
        if (_items[index] == null) Count++;
        _items[index] = item;
    }

    internal void Clear(uint index, T item)
    {
        if (!ReferenceEquals(Get(index), item)) return;
        _items[index] = null;
        Count--;
    }

    internal T[] ToArray() => [.. Items];
}
