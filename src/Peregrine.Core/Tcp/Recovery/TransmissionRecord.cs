// One record per transmission, and the pool of them: native memory, named by index, linked by index. Index 0 is "none", so that a
// zeroed TCB owns no record. Records of adjacent SACKed data are merged: what they were kept for has been used by then.
using System.Diagnostics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Peregrine.Core.Memory;
using Peregrine.Core.Time;
using Peregrine.Wire;

namespace Peregrine.Core.Tcp.Recovery;

[Flags]
internal enum RecordFlags : ushort
{
    None = 0,

    /// <summary>The peer has reported the whole range by SACK.</summary>
    Sacked = 1,

    /// <summary>Held to be lost (RFC 6675 IsLost, a time-out, or a path MTU that shrank).</summary>
    Lost = 2,

    /// <summary>Sent again in this recovery, and counted in the pipe for it.</summary>
    InFlightAgain = 4,

    /// <summary>Sent more than once: no round-trip sample (RFC 6298 §3, Karn).</summary>
    Retransmitted = 8,

    /// <summary>Sent while the application had no more to send.</summary>
    AppLimited = 0x10,

    /// <summary>Only the front was sent again, and there was no record for the rest.</summary>
    PartlyRetransmitted = 0x20,

    /// <summary>Lost to the path MTU, which is no sign of congestion.</summary>
    MtuLost = 0x40,

    /// <summary>In the list of what is in flight.</summary>
    InSentList = 0x80,

    /// <summary>Its last byte is the last of a write, and is pushed whenever it is sent.</summary>
    Pushed = 0x100,

    /// <summary>Its last byte is the last of a message, and of a segment.</summary>
    MessageEnd = 0x200,
}

/// <summary>One transmission: a segment or a super-segment, until all of it is acknowledged. Filled up to a line: who asks for memory asks for lines.</summary>
[StructLayout(LayoutKind.Sequential, Pack = 4, Size = 64)]
internal struct TransmissionRecord
{
    internal SeqNumber Seq;

    /// <summary>Sequence space, SYN and FIN counted.</summary>
    internal uint Length;
    internal uint Next;
    internal uint Previous;

    /// <summary>Neighbours among the records in flight, in the order of their latest transmission (RFC 8985 §6.2 step 5).</summary>
    internal uint NextSent;
    internal uint PreviousSent;

    /// <summary>When it was last sent.</summary>
    internal Instant SentAt;

    /// <summary>Bytes delivered when it was sent.</summary>
    internal uint Delivered;

    /// <summary>When that count had last grown: a <see cref="TimeStamp32"/>.</summary>
    internal uint DeliveredAt;

    /// <summary>When the sending began that led to that delivery: a <see cref="TimeStamp32"/>.</summary>
    internal uint FirstSentAt;

    /// <summary>draft-ietf-ccwg-bbr P.tx_in_flight and P.lost: what was in flight with it, and found lost in all, when it was sent.</summary>
    internal uint TxInFlight;
    internal uint Lost;
    internal RecordFlags Flags;

    /// <summary>How often it was sent, at most 255.</summary>
    internal byte Transmissions;

    internal readonly SeqNumber End => Seq + Length;

    internal readonly bool IsSacked => (Flags & RecordFlags.Sacked) != 0;

    internal readonly bool Has(RecordFlags flags) => (Flags & flags) != 0;
}

/// <summary>The records of one stack.</summary>
internal sealed unsafe class RecordPool
{
    internal const uint None = 0;

    private readonly TransmissionRecord* _records;
    private readonly uint _count;
    private uint _firstFree;
    private uint _touched;

    internal RecordPool(MemoryRegion region, int count)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(count, 1);
        _count = (uint)count;
        _records = (TransmissionRecord*)region.Take((nuint)(count + 1) * (nuint)sizeof(TransmissionRecord));
        FreeCount = count;
    }

    internal int FreeCount { get; private set; }

    internal int Count => (int)_count;

    internal static nuint BytesFor(int count) => ((nuint)(count + 1) * (nuint)sizeof(TransmissionRecord)) + 128;

    internal ref TransmissionRecord this[uint index]
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get
        {
            Debug.Assert(index != None && index <= _count, "no such record");
            return ref _records[index];
        }
    }

    /// <summary>A record of the pool that serves as a connection's <see cref="RecoveryEpisode"/>.</summary>
    internal ref RecoveryEpisode Episode(uint index)
    {
        Debug.Assert(sizeof(RecoveryEpisode) <= sizeof(TransmissionRecord), "an episode must fit into a record");
        return ref Unsafe.As<TransmissionRecord, RecoveryEpisode>(ref this[index]);
    }

    /// <summary>A record of the pool that serves as a connection's <see cref="ValidationState"/>.</summary>
    internal ref ValidationState Validation(uint index)
    {
        Debug.Assert(sizeof(ValidationState) <= sizeof(TransmissionRecord), "the state must fit into a record");
        return ref Unsafe.As<TransmissionRecord, ValidationState>(ref this[index]);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal bool TryRent(out uint index)
    {
        index = _firstFree;
        if (index != None) _firstFree = _records[index].Next;
        // Records never used before are taken in order, so that a large pool's pages are touched only when needed.
        else if (_touched < _count) index = ++_touched;
        else return false;
        FreeCount--;
        return true;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal void Return(uint index)
    {
        // In its place: a copy of a record that was just filled waits for the stores that filled it.
        _records[index] = default;
        _records[index].Next = _firstFree;
        _firstFree = index;
        FreeCount++;
    }
}
