// Listeners and their accept queues. A listener is found by ListenerTable; connections that have completed their handshake wait here, in
// order, until the application takes them. The SYN backlog is another queue with another bound.
using System.Net.Sockets;
using Peregrine.Core.Demux;
using Peregrine.Core.Tcp.Authentication;
using Peregrine.Core.Tcp.FastOpen;
using Peregrine.Wire;

namespace Peregrine.Core.Tcp;

/// <summary>One listener.</summary>
internal sealed class TcpListenerEntry
{
    private readonly TcpHandle[] _accepts;
    private int _head;

    internal TcpListenerEntry(in Endpoint local, int generation, int backlog, ushort settings)
    {
        (Local, Generation, Settings) = (local, generation, settings);
        _accepts = new TcpHandle[backlog];
    }

    internal Endpoint Local { get; }

    internal int Generation { get; }

    /// <summary>Number of the settings that its connections get.</summary>
    internal ushort Settings { get; set; }

    /// <summary>Keys of its fast open cookies, or null for the stack's.</summary>
    internal FastOpenKeys? FastOpenKeys { get; set; }

    /// <summary>Keys of its peers, or null.</summary>
    internal TcpKeySet? Keys { get; set; }

    internal FastOpenQueue FastOpens { get; } = new();

    internal int Backlog => _accepts.Length;

    internal int AcceptCount { get; private set; }

    internal bool IsFull => AcceptCount == _accepts.Length;

    /// <summary>Whether an Acceptable event waits to be taken.</summary>
    internal bool EventQueued { get; set; }

    internal void Enqueue(TcpHandle connection)
    {
        _accepts[(_head + AcceptCount) % _accepts.Length] = connection;
        AcceptCount++;
    }

    internal bool TryDequeue(out TcpHandle connection)
    {
        connection = default;
        if (AcceptCount == 0) return false;
        connection = _accepts[_head];
        _head = (_head + 1) % _accepts.Length;
        AcceptCount--;
        return true;
    }
}

/// <summary>All listeners of a stack.</summary>
internal sealed class TcpListeners
{
    private readonly TcpListenerEntry?[] _entries;
    private readonly ListenerTable _table;
    private readonly int[] _events;
    private int _eventHead;
    private int _eventCount;
    private int _generation;

    internal TcpListeners(int countMax)
    {
        _entries = new TcpListenerEntry?[countMax];
        _events = new int[countMax];
        _table = new ListenerTable(countMax);
    }

    internal int Count { get; private set; }

    internal bool HasEvents => _eventCount > 0;

    internal TcpListenerEntry? Get(int index) => (uint)index < (uint)_entries.Length ? _entries[index] : null;

    internal TcpListenerEntry? Get(TcpListenerHandle handle) => Get(handle.Index) is { } entry && entry.Generation == handle.Generation ? entry : null;

    internal bool TryFind(in IpAddress local, ushort port, out int listener) => _table.TryFind(local, port, out listener);

    internal bool Conflicts(in Endpoint local, bool v6Only) => _table.Conflicts(local, v6Only, reuseAddress: false);

    internal SocketError TryAdd(in TcpListenOptions options, ushort settings, out TcpListenerHandle handle)
    {
        handle = default;
        var index = Array.IndexOf(_entries, null);
        if (index < 0) return SocketError.TooManyOpenSockets;
        // RFC 9293 MUST-41: a listener has a table of its own, and disturbs no connection that exists.
        var error = _table.TryAdd(options.Local, options.V6Only, reuseAddress: false, index);
        if (error != SocketError.Success) return error;
        _entries[index] = new TcpListenerEntry(options.Local, ++_generation, options.Backlog, settings) { Keys = options.Keys };
        Count++;
        handle = new TcpListenerHandle(index, _generation);
        return SocketError.Success;
    }

    internal void Remove(int index)
    {
        _table.Remove(_entries[index]!.Local, index);
        _entries[index] = null;
        Count--;
    }

    /// <summary>Says that a listener has something to accept.</summary>
    internal void Raise(int index)
    {
        var entry = _entries[index]!;
        if (entry.EventQueued) return;
        entry.EventQueued = true;
        _events[(_eventHead + _eventCount) % _events.Length] = index;
        _eventCount++;
    }

    internal bool TryTakeEvent(out TcpListenerHandle handle)
    {
        while (_eventCount > 0)
        {
            var index = _events[_eventHead];
            _eventHead = (_eventHead + 1) % _events.Length;
            _eventCount--;
            if (_entries[index] is not { EventQueued: true } entry) continue;
            entry.EventQueued = false;
            handle = new TcpListenerHandle(index, entry.Generation);
            return true;
        }
        handle = default;
        return false;
    }
}
