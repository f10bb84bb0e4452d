// The descriptors of a link's queues, and those that will follow them: a device that is opened again is so for all queues at once, and each
// queue changes over on its own core when it next looks. Not thread-safe; the link has a lock.
using Peregrine.Drivers.Linux;

namespace Peregrine.Drivers;

internal sealed class QueueDescriptors : IDisposable
{
    private readonly int[] _current;
    private readonly int[] _next;

    public QueueDescriptors(IReadOnlyList<int> descriptors)
    {
        _current = [.. descriptors];
        _next = new int[descriptors.Count];
        Array.Fill(_next, -1);
    }

    public int Count => _current.Length;

    /// <summary>A queue's descriptor, -1 when all are closed.</summary>
    public int this[int index] => _current[index];

    /// <summary>Lets new descriptors wait for their queues.</summary>
    public void Replace(IReadOnlyList<int> fresh)
    {
        if (fresh.Count != _next.Length)
        {
            foreach (var descriptor in fresh) Posix.Close(descriptor);
            throw new IOException($"the opener gave {fresh.Count} descriptors for {_next.Length} queues");
        }
        for (var i = 0; i < _next.Length; i++) Put(ref _next[i], fresh[i]);
    }

    /// <summary>Changes a queue over to its new descriptor, if there is one, and closes the old one.</summary>
    public bool TryChange(int index)
    {
        if (_next[index] < 0) return false;
        Put(ref _current[index], _next[index]);
        _next[index] = -1;
        return true;
    }

    public void Dispose()
    {
        for (var i = 0; i < _next.Length; i++)
        {
            Put(ref _current[i], -1);
            Put(ref _next[i], -1);
        }
    }

    private static void Put(ref int place, int descriptor)
    {
        if (place >= 0) Posix.Close(place);
        place = descriptor;
    }
}
