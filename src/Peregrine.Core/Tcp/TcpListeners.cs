// Listeners and their accept queues. A listener is found by ListenerTable; connections that have completed their handshake wait here, in
// order, until the application takes them. The SYN backlog is another queue with another bound.
using System.Net.Sockets;
using Peregrine.Core.Demux;
using Peregrine.Core.Ip;
using Peregrine.Core.Tcp.Authentication;
using Peregrine.Core.Tcp.FastOpen;
using Peregrine.Core.Time;
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

    internal bool V6Only { get; init; }

    /// <summary>Number of the settings that its connections get.</summary>
    internal ushort Settings { get; set; }

    /// <summary>SO_REUSEPORT: whom it shares its address and port with, or null when it does not share.</summary>
    internal TcpListenerGroup? Group { get; set; }

    /// <summary>Keys of its fast open cookies, or null for the stack's.</summary>
    internal FastOpenKeys? FastOpenKeys { get; set; }

    /// <summary>Keys of its peers, or null.</summary>
    internal TcpKeySet? Keys { get; set; }

    /// <summary>Until then an answer to a cookie of this listener may come.</summary>
    internal Instant CookiesUntil { get; set; }

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

    /// <summary>Whose a segment is that belongs to no connection.</summary>
    internal bool TryFind(DemuxTable demux, in ReceivedPacket packet, in SegmentArrival s, out int listener)
    {
        if (!_table.TryFind(packet.Destination, s.LocalPort, out listener)) return false;
        if (_entries[listener]!.Group is { Count: > 1 } group) listener = group.Pick(demux.Hash(packet.Destination, s.LocalPort, packet.Source, s.RemotePort));
        return true;
    }

    /// <summary>Whether anybody listens there.</summary>
    internal bool IsListening(in IpAddress local, ushort port) => _table.TryFind(local, port, out _);

    internal bool Conflicts(in Endpoint local, bool v6Only) => _table.Conflicts(local, v6Only, reuseAddress: false);

    internal SocketError TryAdd(in TcpListenOptions options, ushort settings, out TcpListenerHandle handle)
    {
        handle = default;
        var index = Array.IndexOf(_entries, null);
        if (index < 0) return SocketError.TooManyOpenSockets;
        var group = options.ReusePort ? GroupOn(options.Local, options.V6Only) : null;
        // RFC 9293 MUST-41: a listener has a table of its own, and disturbs no connection that exists.
        var error = group is null ? _table.TryAdd(options.Local, options.V6Only, reuseAddress: options.ReusePort, index) : SocketError.Success;
        if (error != SocketError.Success) return error;
        group?.Add(index);
        if (options.ReusePort) group ??= new TcpListenerGroup(index);
        _entries[index] = new TcpListenerEntry(options.Local, ++_generation, options.Backlog, settings) { Keys = options.Keys, Group = group, V6Only = options.V6Only };
        Count++;
        handle = new TcpListenerHandle(index, _generation);
        return SocketError.Success;
    }

    internal void Remove(int index)
    {
        var entry = _entries[index]!;
        var wasFirst = entry.Group is null || entry.Group.First == index;
        entry.Group?.Remove(index);
        if (wasFirst) _table.Remove(entry.Local, index);
        // The table knows the others by another of them.
        if (wasFirst && entry.Group is { Count: > 0 } rest) _table.TryAdd(entry.Local, entry.V6Only, reuseAddress: true, rest.First);
        _entries[index] = null;
        Count--;
    }

    private TcpListenerGroup? GroupOn(in Endpoint local, bool v6Only) =>
        _table.TryFindExact(local, out var first) && _entries[first] is { Group: { } group } entry && entry.V6Only == v6Only ? group : null;

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
