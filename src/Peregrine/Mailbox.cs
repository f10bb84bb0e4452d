// A core's mailbox: a bounded ring of records that any thread posts into and the core alone takes from. Closing it is one step with
// posting, so that after the core has drained it for the last time nothing can lie in it unseen. Never waits and never allocates.
using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Peregrine.Sockets;

namespace Peregrine;

internal sealed class Mailbox
{
    // The sign of the tail says that the mailbox is closed; a post that lost the race sees it in its compare-and-swap.
    private const long ClosedBit = long.MinValue;

    private readonly Slot[] _slots;
    private readonly int _mask;
    private Padded _tail;
    private Padded _head;

    internal Mailbox(int count)
    {
        if (count < 2 || !BitOperations.IsPow2(count)) throw new ArgumentOutOfRangeException(nameof(count), count, "A mailbox's size is a power of two, 2 or more.");
        _mask = count - 1;
        _slots = new Slot[count];
        for (var i = 0; i < count; i++) _slots[i].Turn = i;
    }

    internal bool IsClosed => Volatile.Read(ref _tail.Value) < 0;

    internal int Capacity => _slots.Length;

    /// <summary>Whether nothing can be taken now. The owner's thread.</summary>
    internal bool IsEmpty => Volatile.Read(ref _slots[(int)_head.Value & _mask].Turn) != _head.Value + 1;

    /// <summary>Posts a record. False when the mailbox is full or closed. Any thread.</summary>
    internal bool TryPost(in EngineCommand command)
    {
        while (true)
        {
            var tail = Volatile.Read(ref _tail.Value);
            if (tail < 0) return false;
            ref var slot = ref _slots[(int)tail & _mask];
            var turn = Volatile.Read(ref slot.Turn);
            if (turn == tail)
            {
                if (Interlocked.CompareExchange(ref _tail.Value, tail + 1, tail) != tail) continue;
                slot.Command = command;
                Volatile.Write(ref slot.Turn, tail + 1);
                return true;
            }
            if (turn < tail) return false;
        }
    }

    /// <summary>Takes the oldest record. The owner's thread.</summary>
    internal bool TryTake(out EngineCommand command)
    {
        var head = _head.Value;
        ref var slot = ref _slots[(int)head & _mask];
        if (Volatile.Read(ref slot.Turn) != head + 1)
        {
            command = default;
            return false;
        }
        command = slot.Command;
        _head.Value = head + 1;
        Volatile.Write(ref slot.Turn, head + _slots.Length);
        return true;
    }

    /// <summary>Refuses posts from now on. What is in it can still be taken.</summary>
    internal void Close()
    {
        while (true)
        {
            var tail = Volatile.Read(ref _tail.Value);
            if (tail < 0 || Interlocked.CompareExchange(ref _tail.Value, tail | ClosedBit, tail) == tail) return;
        }
    }

    /// <summary>After <see cref="Close"/>: whether every record that was accepted has been taken; a post may still be writing its own.</summary>
    internal bool IsDrained => (Volatile.Read(ref _tail.Value) & ~ClosedBit) == _head.Value;

    private struct Slot
    {
        internal long Turn;
        internal EngineCommand Command;
    }

    // Two lines of 64 bytes: also enough where a line has 128.
    [StructLayout(LayoutKind.Explicit, Size = 256)]
    private struct Padded
    {
        [FieldOffset(128)]
        internal long Value;
    }
}
