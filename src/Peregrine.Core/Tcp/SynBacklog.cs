// Half-open connections of listeners: a pool that is bounded for the stack and for each listener, and the times at which their SYN-ACKs
// are sent again. Found through DemuxTable, not here. Not the accept queue, which holds connections that are complete.
//
// All records that have been retransmitted equally often wait equally long, so one queue for each count is in order of time, and the
// next of all is among the heads. When the backlog is full nothing is evicted: a flood would push out the honest ones first, as theirs
// take longest to answer. The caller drops the new SYN or answers it with a cookie.
using System.Diagnostics;
using Peregrine.Core.Memory;
using Peregrine.Core.Time;
using Peregrine.Wire;

namespace Peregrine.Core.Tcp;

/// <summary>Records of connections in SYN-RECEIVED.</summary>
internal sealed unsafe class SynBacklog
{
    /// <summary>No record.</summary>
    public const uint None = uint.MaxValue;

    /// <summary>Retransmissions of a SYN-ACK unless configured, as Linux has it.</summary>
    public const int DefaultRetries = 5;

    /// <summary>The most that can be configured.</summary>
    public const int RetriesMax = 15;

    private const byte FreeMark = byte.MaxValue;

    private readonly SynRecord* _records;
    private readonly Queue* _queues;
    private readonly ListenerRecords* _listeners;
    private readonly int _listenerCountMax;
    private readonly int _retries;
    private readonly Duration _initialRto;
    private uint _free = None;
    private uint _fresh;

    /// <summary>Takes the backlog's memory from <paramref name="region"/>.</summary>
    /// <param name="region">Where the memory comes from.</param>
    /// <param name="capacity">Records for all listeners together, 1 or more.</param>
    /// <param name="listenerCountMax">Listener indexes are below this.</param>
    /// <param name="retries">SYN-ACKs after the first, 0 to <see cref="RetriesMax"/>.</param>
    public SynBacklog(MemoryRegion region, int capacity, int listenerCountMax, int retries = DefaultRetries)
        : this(region, capacity, listenerCountMax, retries, InitialRto)
    {
    }

    /// <summary>As the other, with an initial time-out of its own.</summary>
    public SynBacklog(MemoryRegion region, int capacity, int listenerCountMax, int retries, Duration initialRto)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(capacity, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(listenerCountMax, 1);
        ArgumentOutOfRangeException.ThrowIfNegative(retries);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(retries, RetriesMax);
        (Capacity, _listenerCountMax, _retries, _initialRto) = (capacity, listenerCountMax, retries, initialRto);
        _records = (SynRecord*)region.Take((nuint)capacity * (nuint)sizeof(SynRecord));
        _listeners = (ListenerRecords*)region.Take((nuint)listenerCountMax * (nuint)sizeof(ListenerRecords));
        _queues = (Queue*)region.Take((RetriesMax + 1) * (nuint)sizeof(Queue));
        for (var i = 0; i < listenerCountMax; i++) _listeners[i] = new ListenerRecords { First = None };
        for (var i = 0; i <= RetriesMax; i++) _queues[i] = new Queue { Head = None, Tail = None };
    }

    /// <summary>The first time-out (RFC 6298 §2.1).</summary>
    public static Duration InitialRto => Duration.FromSeconds(1);

    /// <summary>The longest time-out (RFC 6298 §2.5 allows any of 60 s or more).</summary>
    public static Duration RtoMax => Duration.FromSeconds(60);

    /// <summary>Records for all listeners together.</summary>
    public int Capacity { get; }

    /// <summary>Records in use.</summary>
    public int Count { get; private set; }

    /// <summary>Records refused because the whole backlog was full.</summary>
    public long RefusedByStack { get; private set; }

    /// <summary>Records refused because their listener's share was full.</summary>
    public long RefusedByListener { get; private set; }

    /// <summary>Records that got no answer to their last SYN-ACK.</summary>
    public long Expired { get; private set; }

    /// <summary>Bytes of native memory for so many records and listeners.</summary>
    public static nuint BytesFor(int capacity, int listenerCountMax) =>
        ((nuint)capacity * (nuint)sizeof(SynRecord)) + ((nuint)listenerCountMax * (nuint)sizeof(ListenerRecords))
        + ((RetriesMax + 1) * (nuint)sizeof(Queue)) + 384;

    /// <summary>Records of a listener.</summary>
    public int CountOf(int listener) => _listeners[listener].Count;

    /// <summary>
    /// Adds a record, whose <see cref="SynRecord.Listener"/> is set, when its first SYN-ACK is sent; false when the stack's pool or the
    /// listener's share is full.
    /// </summary>
    public bool TryAdd(in SynRecord record, int listenerMax, Instant now, out uint index)
    {
        Debug.Assert((uint)record.Listener < (uint)_listenerCountMax);
        index = None;
        if (_listeners[record.Listener].Count >= listenerMax)
        {
            RefusedByListener++;
            return false;
        }
        if (Count == Capacity)
        {
            RefusedByStack++;
            return false;
        }
        index = _free != None ? _free : _fresh;
        if (_free != None) _free = _records[index].Later;
        else _fresh++;
        var generation = _records[index].Generation;
        _records[index] = record;
        _records[index].Generation = generation;
        _records[index].FirstSent = now;
        _records[index].Retries = 0;
        Append(index, now);
        LinkToListener(index);
        Count++;
        return true;
    }

    /// <summary>Whether <see cref="TryAdd"/> would find room.</summary>
    internal bool HasRoom(int listener, int listenerMax) => _listeners[listener].Count < listenerMax && Count < Capacity;

    /// <summary>The record at an index that is in use.</summary>
    public ref SynRecord Get(uint index)
    {
        Debug.Assert(IsInUse(index));
        return ref _records[index];
    }

    /// <summary>Whether an index still names the record that it named with this generation.</summary>
    public bool IsCurrent(uint index, uint generation) => IsInUse(index) && _records[index].Generation == generation;

    /// <summary>Removes a record that is in use: it is complete, reset or has expired. The demux table is the caller's to clear.</summary>
    public void Remove(uint index)
    {
        if (!IsInUse(index)) ThrowNotInUse(index);
        ref var record = ref _records[index];
        if (record.Due.IsSet) Unlink(index);
        UnlinkFromListener(index);
        record.Retries = FreeMark;
        record.Generation++;
        record.Later = _free;
        _free = index;
        Count--;
    }

    /// <summary>
    /// A record whose time-out has come: its SYN-ACK is to be sent again, and its next time-out runs already; or, with
    /// <paramref name="expired"/>, none is left and the caller takes it out of the demux table and calls <see cref="Remove"/>.
    /// A record is given once for each time-out; the caller bounds how many it takes a turn.
    /// </summary>
    public bool TryNextDue(Instant now, out uint index, out bool expired)
    {
        expired = false;
        for (var level = 0; level <= _retries; level++)
        {
            index = _queues[level].Head;
            if (index == None || !_records[index].Due.IsDue(now)) continue;
            ref var record = ref _records[index];
            Unlink(index);
            if (record.Retries == _retries)
            {
                record.Due = Deadline.None;
                Expired++;
                expired = true;
                return true;
            }
            record.Retries++;
            record.Flags |= SynFlags.Retransmitted;
            // RFC 6298 §5.5: the time-out doubles.
            Append(index, now);
            return true;
        }
        index = None;
        return false;
    }

    /// <summary>When the next time-out comes.</summary>
    public Instant NextDeadline(Instant now)
    {
        var earliest = Deadline.None;
        for (var level = 0; level <= _retries; level++)
        {
            if (_queues[level].Head != None) earliest = Deadline.Min(earliest, _records[_queues[level].Head].Due);
        }
        return earliest.IsSet ? Instant.Max(now, earliest.ToInstant(now)) : Instant.Never;
    }

    /// <summary>A record of a listener, when it has any: for removing them all as it closes.</summary>
    public bool TryFirstOf(int listener, out uint index)
    {
        index = _listeners[listener].First;
        return index != None;
    }

    /// <summary>One more than the highest index that was ever used.</summary>
    public int UsedSlots => (int)_fresh;

    /// <summary>Whether a record has this index.</summary>
    public bool IsInUse(uint index) => index < _fresh && _records[index].Retries != FreeMark;

    private Duration TimeoutOf(int retries) => Duration.Min(_initialRto * (1L << retries), RtoMax);

    private void Append(uint index, Instant now)
    {
        ref var record = ref _records[index];
        ref var queue = ref _queues[record.Retries];
        record.Due = Deadline.At(now + TimeoutOf(record.Retries));
        (record.Earlier, record.Later) = (queue.Tail, None);
        if (queue.Tail != None) _records[queue.Tail].Later = index;
        else queue.Head = index;
        queue.Tail = index;
    }

    private void Unlink(uint index)
    {
        ref var record = ref _records[index];
        ref var queue = ref _queues[record.Retries];
        if (record.Earlier != None) _records[record.Earlier].Later = record.Later;
        else queue.Head = record.Later;
        if (record.Later != None) _records[record.Later].Earlier = record.Earlier;
        else queue.Tail = record.Earlier;
    }

    private void LinkToListener(uint index)
    {
        ref var record = ref _records[index];
        ref var listener = ref _listeners[record.Listener];
        (record.PreviousOfListener, record.NextOfListener) = (None, listener.First);
        if (listener.First != None) _records[listener.First].PreviousOfListener = index;
        listener.First = index;
        listener.Count++;
    }

    private void UnlinkFromListener(uint index)
    {
        ref var record = ref _records[index];
        ref var listener = ref _listeners[record.Listener];
        if (record.PreviousOfListener != None) _records[record.PreviousOfListener].NextOfListener = record.NextOfListener;
        else listener.First = record.NextOfListener;
        if (record.NextOfListener != None) _records[record.NextOfListener].PreviousOfListener = record.PreviousOfListener;
        listener.Count--;
    }

    private static void ThrowNotInUse(uint index) => throw new InvalidOperationException($"Backlog record {index} is not in use.");

    private struct Queue
    {
        public uint Head;
        public uint Tail;
    }

    private struct ListenerRecords
    {
        public uint First;
        public int Count;
    }
}
