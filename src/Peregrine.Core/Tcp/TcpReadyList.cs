// Two intrusive first-in-first-out lists through the TCBs: connections with something to say, and connections with something to tell the
// application. Both only grow at the tail and shrink at the head: a connection that is freed while it is on one stays until its turn.
namespace Peregrine.Core.Tcp;

/// <summary>Connections that have something to send.</summary>
internal sealed class TcpReadyList
{
    private uint _head = TcbTable.None;
    private uint _tail = TcbTable.None;

    internal bool IsEmpty => _head == TcbTable.None;

    internal uint Head => _head;

    internal void Append(TcbTable tcbs, TcbRef t)
    {
        var index = tcbs.IndexOf(t);
        t.C.Flags |= TcbFlags.Ready;
        t.C.ReadyNext = TcbTable.None;
        if (_head == TcbTable.None) _head = index;
        else tcbs.Get(_tail).C.ReadyNext = index;
        _tail = index;
    }

    /// <summary>The head goes behind all others.</summary>
    internal void MoveHeadToTail(TcbTable tcbs)
    {
        if (_head == _tail) return;
        var t = tcbs.Get(_head);
        tcbs.Get(_tail).C.ReadyNext = _head;
        (_tail, _head) = (_head, t.C.ReadyNext);
        t.C.ReadyNext = TcbTable.None;
    }

    /// <summary>Takes the head off.</summary>
    internal void RemoveHead(TcbTable tcbs)
    {
        var t = tcbs.Get(_head);
        _head = t.C.ReadyNext;
        if (_head == TcbTable.None) _tail = TcbTable.None;
        t.C.ReadyNext = TcbTable.None;
        t.C.Flags &= ~TcbFlags.Ready;
    }
}

/// <summary>Connections with events that the application has not taken.</summary>
internal sealed class TcpEventQueue
{
    private uint _head = TcbTable.None;
    private uint _tail = TcbTable.None;

    internal bool IsEmpty => _head == TcbTable.None;

    internal void Append(TcbTable tcbs, TcbRef t)
    {
        var index = tcbs.IndexOf(t);
        t.C.Flags |= TcbFlags.EventQueued;
        t.C.EventNext = TcbTable.None;
        if (_head == TcbTable.None) _head = index;
        else tcbs.Get(_tail).C.EventNext = index;
        _tail = index;
    }

    /// <summary>Takes the first connection and its events.</summary>
    internal bool TryTake(TcbTable tcbs, out uint index, out TcpEvents events)
    {
        index = _head;
        events = TcpEvents.None;
        if (index == TcbTable.None) return false;
        var t = tcbs.Get(index);
        events = t.C.PendingEvents;
        t.C.PendingEvents = TcpEvents.None;
        _head = t.C.EventNext;
        if (_head == TcbTable.None) _tail = TcbTable.None;
        t.C.EventNext = TcbTable.None;
        t.C.Flags &= ~TcbFlags.EventQueued;
        return true;
    }
}
