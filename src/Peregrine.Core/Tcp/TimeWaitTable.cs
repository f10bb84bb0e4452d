// The records of connections in TIME-WAIT, in a pool of their own. All wait equally long, so a queue in order of entry is in order of
// expiry and no record has a timer. Found through DemuxTable, not here; what to do with a segment says TimeWaitJudge.
//
// When it is full the record that has waited longest goes, and is counted: it has the least of its 2 MSL before it, so its loss is the
// least likely to let an old duplicate into a new connection. The alternative, keeping the old and closing the new at once, would lose
// the whole wait of the connection whose last ACK is most likely to be lost just now.
using System.Diagnostics;
using Peregrine.Core.Demux;
using Peregrine.Core.Memory;
using Peregrine.Core.Time;
using Peregrine.Wire;

namespace Peregrine.Core.Tcp;

/// <summary>TIME-WAIT records.</summary>
internal sealed unsafe class TimeWaitTable
{
    /// <summary>No record.</summary>
    public const uint None = uint.MaxValue;

    private readonly TimeWaitRecord* _records;
    private readonly Duration _wait;
    private uint _free = None;
    private uint _fresh;
    private uint _oldest = None;
    private uint _newest = None;

    /// <summary>Takes the records from <paramref name="region"/>.</summary>
    /// <param name="region">Where the memory comes from.</param>
    /// <param name="capacity">Records, 1 or more.</param>
    /// <param name="wait">2 MSL; Linux has 60 s, RFC 9293 §3.4.2 would have 4 min. At most 3 days.</param>
    public TimeWaitTable(MemoryRegion region, int capacity, Duration wait)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(capacity, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(wait, Deadline.DistanceMax);
        (Capacity, _wait) = (capacity, wait);
        _records = (TimeWaitRecord*)region.Take((nuint)capacity * (nuint)sizeof(TimeWaitRecord));
    }

    /// <summary>Records that the table takes.</summary>
    public int Capacity { get; }

    /// <summary>Records in use.</summary>
    public int Count { get; private set; }

    /// <summary>Whether the next one needs <see cref="MakeRoom"/>.</summary>
    public bool IsFull => Count == Capacity;

    /// <summary>Records that went before their time.</summary>
    public long Evicted { get; private set; }

    /// <summary>Bytes of native memory for so many records.</summary>
    public static nuint BytesFor(int capacity) => ((nuint)capacity * (nuint)sizeof(TimeWaitRecord)) + 128;

    /// <summary>Adds a record and starts its wait; false when the table is full.</summary>
    public bool TryAdd(in TimeWaitRecord record, Instant now, out uint index)
    {
        index = _free;
        if (index != None) _free = _records[index].Newer;
        else if (_fresh < (uint)Capacity) index = _fresh++;
        else return false;
        var generation = _records[index].Generation;
        _records[index] = record;
        _records[index].Generation = generation;
        _records[index].InUse = true;
        Append(index, now);
        Count++;
        return true;
    }

    /// <summary>When the table is full, removes the record that has waited longest, here and from the demux table.</summary>
    public void MakeRoom(DemuxTable demux)
    {
        if (!IsFull) return;
        var index = _oldest;
        var removed = demux.Remove(_records[index].Hash, DemuxKind.TimeWait, index);
        Debug.Assert(removed, "a TIME-WAIT record is in the demux table");
        Remove(index);
        Evicted++;
    }

    /// <summary>The record at an index that is in use.</summary>
    public ref TimeWaitRecord Get(uint index)
    {
        Debug.Assert(index < _fresh && _records[index].InUse);
        return ref _records[index];
    }

    /// <summary>One more than the highest index that was ever used.</summary>
    public int UsedSlots => (int)_fresh;

    /// <summary>Whether there is a record at an index.</summary>
    public bool IsInUse(int index) => (uint)index < _fresh && _records[index].InUse;

    /// <summary>Whether an index still names the record that it named with this generation.</summary>
    public bool IsCurrent(uint index, uint generation) =>
        index < _fresh && _records[index].InUse && _records[index].Generation == generation;

    /// <summary>Removes a record that is in use. The demux table is the caller's to clear.</summary>
    public void Remove(uint index)
    {
        if (index >= _fresh || !_records[index].InUse) ThrowNotInUse(index);
        Unlink(index);
        _records[index].InUse = false;
        _records[index].Generation++;
        _records[index].Newer = _free;
        _free = index;
        Count--;
    }

    /// <summary>Starts the wait of a record again (RFC 9293 §3.10.7.4, eighth step).</summary>
    public void Restart(uint index, Instant now)
    {
        if (index >= _fresh || !_records[index].InUse) ThrowNotInUse(index);
        Unlink(index);
        Append(index, now);
    }

    /// <summary>
    /// A record whose time has come; the caller takes it out of the demux table and calls <see cref="Remove"/>, else it is given again.
    /// The caller bounds how many it takes a turn.
    /// </summary>
    public bool TryExpire(Instant now, out uint index)
    {
        index = _oldest;
        return index != None && _records[index].Expires.IsDue(now);
    }

    /// <summary>How long the record at an index that is in use has waited, give or take 131 us.</summary>
    public Duration WaitOf(uint index, Instant now) => _wait - (Get(index).Expires.ToInstant(now) - now);

    /// <summary>When the next record expires.</summary>
    public Instant NextDeadline(Instant now) => _oldest == None ? Instant.Never : Instant.Max(now, _records[_oldest].Expires.ToInstant(now));

    private void Append(uint index, Instant now)
    {
        ref var record = ref _records[index];
        // RFC 9293 MUST-13
        record.Expires = Deadline.At(now + _wait);
        (record.Older, record.Newer) = (_newest, None);
        if (_newest != None) _records[_newest].Newer = index;
        else _oldest = index;
        _newest = index;
    }

    private void Unlink(uint index)
    {
        ref var record = ref _records[index];
        if (record.Older != None) _records[record.Older].Newer = record.Newer;
        else _oldest = record.Newer;
        if (record.Newer != None) _records[record.Newer].Older = record.Older;
        else _newest = record.Older;
    }

    private static void ThrowNotInUse(uint index) => throw new InvalidOperationException($"TIME-WAIT record {index} is not in use.");
}
