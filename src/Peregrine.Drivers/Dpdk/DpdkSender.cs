// Frames that go out over one DPDK queue: described in buffers, handed over in bursts, and found again in the send pool when the device is done.
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Peregrine.Core.Links;
using Peregrine.Core.Memory;

namespace Peregrine.Drivers.Dpdk;

internal sealed unsafe class DpdkSender
{
    private const int EthernetLength = 14, AddressesLength = 12, TagLength = 4;
    private const int TcpFieldOffset = 16;

    private readonly DpdkPort _port;
    private readonly FastPath* _path;
    private readonly int _index;
    private readonly FramePool _frames;
    private readonly ChunkPool _chunks;
    private readonly MbufPool _pool;
    private readonly bool _own, _entersKernel, _insertsTags, _prepares, _takesChains;
    private readonly int _shift, _longest;
    private readonly nint[] _burst = GC.AllocateArray<nint>(DpdkQueue.BurstMax, pinned: true);
    private readonly nint[] _returned = GC.AllocateArray<nint>(DpdkQueue.BurstMax, pinned: true);
    private readonly nint[] _free;
    private readonly Mbuf** _burstStart, _returnedStart;
    private int _freeCount;
    private long _sentFrames, _sentBytes, _dropped;

    public DpdkSender(DpdkPort port, int index, FramePool frames, MbufPool pool, bool own)
    {
        (_port, _index, _frames, _chunks, _pool, _own) = (port, index, frames, frames.Chunks, pool, own);
        _path = port.Eal.Library.FastPaths + port.Id;
        _entersKernel = port.Driver.MakesSystemCalls;
        _insertsTags = (port.SendOffloads & DpdkAbi.SendVlanInsert) != 0;
        _takesChains = (port.SendOffloads & DpdkAbi.SendManySegments) != 0;
        _prepares = (port.SendOffloads & (DpdkAbi.SendTcpChecksum | DpdkAbi.SendUdpChecksum | DpdkAbi.SendTcpSegmentation)) != 0;
        _shift = System.Numerics.BitOperations.Log2((uint)_chunks.ChunkSize);
        _longest = port.Mtu + 22;
        _burstStart = Start(_burst);
        _returnedStart = Start(_returned);
        _free = new nint[pool.Count];
        Reclaim();
    }

    /// <summary>Buffers that have not come back. Meaningful when the port is closed.</summary>
    public int Outstanding => _pool.Count - _freeCount - (int)_pool.Available;

    public void AddTo(ref LinkQueueCounters counters)
    {
        counters.SentFrames += _sentFrames;
        counters.SentBytes += _sentBytes;
        counters.SendDroppedError += _dropped;
    }

    public int Transmit(ReadOnlySpan<Frame> frames)
    {
        var taken = 0;
        while (taken < frames.Length)
        {
            if (!_port.IsLive)
            {
                Drop(frames[taken++]);
                continue;
            }
            var rest = frames[taken..];
            var built = Build(rest, out var stoppedAtBadFrame);
            var sent = built == 0 ? 0 : Send(rest, built, ref stoppedAtBadFrame);
            taken += sent;
            if (stoppedAtBadFrame) Drop(frames[taken++]);
            else if (sent < built || built == 0) break;
        }
        return taken;
    }

    /// <summary>Takes back what the device has finished with.</summary>
    public void Reclaim()
    {
        for (var left = _free.Length; left > 0; left -= DpdkQueue.BurstMax)
        {
            var n = _pool.TakeAll(_returnedStart, DpdkQueue.BurstMax);
            for (var i = 0; i < n; i++) Finish(_returnedStart[i]);
            if (n < DpdkQueue.BurstMax) return;
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private void Finish(Mbuf* m)
    {
        if (_own && m->Buffer != null)
        {
            _chunks.Return((uint)((nuint)(m->Buffer - _chunks.Base) >> _shift));
            m->Buffer = null;
        }
        _free[_freeCount++] = (nint)m;
    }

    /// <summary>Describes frames in buffers, as many as fit a burst; frame i is buffer i of the burst.</summary>
    private int Build(ReadOnlySpan<Frame> frames, out bool stoppedAtBadFrame)
    {
        stoppedAtBadFrame = false;
        var n = Math.Min(frames.Length, DpdkQueue.BurstMax);
        for (var i = 0; i < n; i++)
        {
            ref readonly var frame = ref frames[i];
            if (!IsSendable(frame))
            {
                stoppedAtBadFrame = true;
                return i;
            }
            var head = _own && (!frame.IsChained || _takesChains) ? Attach(frame) : Copy(frame, out stoppedAtBadFrame);
            if (head == null) return i;
            Describe(head, frame);
            _burstStart[i] = head;
        }
        return n;
    }

    /// <summary>Hands a burst over; undoes what the device did not take.</summary>
    private int Send(ReadOnlySpan<Frame> frames, int built, ref bool stoppedAtBadFrame)
    {
        var queue = _path->SendQueues[_index];
        var ready = _prepares && _path->Prepare != null ? DpdkBurst.Call(_path->Prepare, queue, _burstStart, built, _entersKernel) : built;
        var sent = ready == 0 ? 0 : DpdkBurst.Call(_path->Send, queue, _burstStart, ready, _entersKernel);
        for (var i = 0; i < sent; i++)
        {
            _sentBytes += frames[i].Length;
            if (!_own || (frames[i].IsChained && !_takesChains)) _frames.Return(frames[i]);
        }
        _sentFrames += sent;
        if (sent == built) return sent;
        for (var i = sent; i < built; i++) Undo(_burstStart[i], frames[i]);
        // What the device will never take is dropped; what it has no room for comes again. A bad frame behind is met again as well.
        stoppedAtBadFrame = sent == ready && ready < built;
        return sent;
    }

    private bool IsSendable(in Frame frame)
    {
        if (frame.SegmentKind != SegmentKind.None)
        {
            if (frame.SegmentKind == SegmentKind.Udp || (_port.SendOffloads & DpdkAbi.SendTcpSegmentation) == 0 || frame.SegmentSize == 0 || frame.HeaderLength == 0 || !_takesChains) return false;
        }
        else if (frame.Length > _longest)
        {
            return false;
        }
        if (frame.HeadLength < EthernetLength) return false;
        if ((frame.Flags & FrameFlags.ChecksumUnfinished) != 0)
        {
            // Nobody would finish it; and what DPDK is told, header lengths, must be had from where the sum starts.
            if (!_prepares || frame.ChecksumStart < EthernetLength || frame.ChecksumStart >= frame.HeadLength) return false;
        }
        return (frame.Flags & FrameFlags.VlanTag) == 0 || _insertsTags || !_own || frame.Offset >= TagLength;
    }

    /// <summary>Points buffers at the frame's own chunks. Null when buffers lack.</summary>
    private Mbuf* Attach(in Frame frame)
    {
        var count = 1;
        if (frame.IsChained)
        {
            for (var chunk = _chunks.Note(frame.Chunk).Next; chunk != ChunkPool.None; chunk = _chunks.Note(chunk).Next) count++;
        }
        if (!HasFree(count)) return null;
        var head = Point(frame.Chunk, frame.Offset, frame.HeadLength);
        (head->PacketLength, head->SegmentCount) = ((uint)frame.Length, (ushort)count);
        if (count == 1) return head;
        var last = head;
        for (var chunk = _chunks.Note(frame.Chunk).Next; chunk != ChunkPool.None; chunk = _chunks.Note(chunk).Next)
        {
            ref var note = ref _chunks.Note(chunk);
            last->Next = Point(chunk, note.Start, note.Length);
            last = last->Next;
        }
        return head;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private Mbuf* Point(uint chunk, ushort offset, ushort length)
    {
        var m = (Mbuf*)_free[--_freeCount];
        var address = _chunks.Address(chunk);
        m->Buffer = address;
        m->BufferIova = (ulong)address;
        (m->DataOffset, m->DataLength, m->Flags) = (offset, length, 0);
        return m;
    }

    /// <summary>Copies a frame into buffers that have their own bytes. Null when buffers lack, or (bad) when the device takes no frame of that length.</summary>
    private Mbuf* Copy(in Frame frame, out bool isBad)
    {
        isBad = false;
        // In the mode "own" a chained frame for a device that takes no chains: made whole in one chunk.
        if (_own) return CopyWhole(frame, out isBad);
        if (!HasFree(1)) return null;
        var room = ((Mbuf*)_free[_freeCount - 1])->BufferLength - DpdkAbi.BufferHeadroom;
        var count = (frame.Length + room - 1) / room;
        isBad = count > 1 && !_takesChains;
        if (isBad || !HasFree(count)) return null;
        Mbuf* head = null, last = null;
        for (var at = 0; at < frame.Length; at += room)
        {
            var m = (Mbuf*)_free[--_freeCount];
            var n = Math.Min(room, frame.Length - at);
            (m->DataOffset, m->DataLength, m->Flags) = (DpdkAbi.BufferHeadroom, (ushort)n, 0);
            _frames.CopyTo(frame, at, new Span<byte>(m->Buffer + DpdkAbi.BufferHeadroom, n));
            if (head == null) head = m;
            else last->Next = m;
            last = m;
        }
        (head->PacketLength, head->SegmentCount) = ((uint)frame.Length, (ushort)count);
        return head;
    }

    private Mbuf* CopyWhole(in Frame frame, out bool isBad)
    {
        isBad = frame.Length > _chunks.ChunkSize - FramePool.Headroom;
        if (isBad || !HasFree(1) || !_chunks.TryRent(out var chunk)) return null;
        var head = Point(chunk, FramePool.Headroom, (ushort)frame.Length);
        (head->PacketLength, head->SegmentCount) = ((uint)frame.Length, 1);
        _frames.CopyTo(frame, 0, new Span<byte>(head->Buffer + FramePool.Headroom, frame.Length));
        return head;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private bool HasFree(int count)
    {
        if (_freeCount >= count) return true;
        Reclaim();
        if (_freeCount >= count) return true;
        // Cards give sent buffers back by the batch; this asks for those that are done. Drivers that cannot say so.
        _port.Eal.Library.CleanSent(_port.Id, (ushort)_index, 0);
        Reclaim();
        return _freeCount >= count;
    }

    private void Describe(Mbuf* m, in Frame frame)
    {
        if ((frame.Flags & (FrameFlags.ChecksumUnfinished | FrameFlags.VlanTag)) == 0) return;
        var inserted = 0;
        if ((frame.Flags & FrameFlags.VlanTag) != 0)
        {
            if (_insertsTags)
            {
                m->Flags |= Mbuf.SendVlan;
                m->VlanTag = frame.VlanTag;
            }
            else
            {
                InsertTag(m, frame.VlanTag);
                inserted = TagLength;
            }
        }
        if ((frame.Flags & FrameFlags.ChecksumUnfinished) != 0) DescribeChecksum(m, frame, inserted);
    }

    private void DescribeChecksum(Mbuf* m, in Frame frame, int inserted)
    {
        var start = m->Buffer + m->DataOffset;
        var link = EthernetLength + inserted;
        // Tags that are part of the frame's bytes.
        while (link + 2 < frame.HeadLength && start[link - 2] == 0x81 && start[link - 1] == 0x00) link += TagLength;
        var isIPv4 = start[link] >> 4 == 4;
        var network = (ulong)(uint)(frame.ChecksumStart + inserted - link);
        m->SendOffload = (uint)link | (network << Mbuf.NetworkLengthShift);
        m->Flags |= (isIPv4 ? Mbuf.SendIPv4 : Mbuf.SendIPv6) | (frame.ChecksumOffset == TcpFieldOffset ? Mbuf.SendTcpChecksum : Mbuf.SendUdpChecksum);
        if (frame.SegmentKind == SegmentKind.None) return;
        var transport = (ulong)(uint)(frame.HeaderLength - frame.ChecksumStart);
        m->SendOffload |= (transport << Mbuf.TransportLengthShift) | ((ulong)frame.SegmentSize << Mbuf.SegmentSizeShift);
        // Each part has its own length, so the device sums the IPv4 header as well.
        m->Flags |= Mbuf.SendSegmented | (isIPv4 ? Mbuf.SendIpChecksum : 0);
    }

    // IEEE 802.1Q: the tag stands behind the two addresses, which move into the headroom.
    private static void InsertTag(Mbuf* m, ushort tag)
    {
        var start = m->Buffer + m->DataOffset;
        var moved = start - TagLength;
        Buffer.MemoryCopy(start, moved, AddressesLength, AddressesLength);
        (moved[12], moved[13], moved[14], moved[15]) = (0x81, 0x00, (byte)(tag >> 8), (byte)tag);
        m->DataOffset -= TagLength;
        m->DataLength += TagLength;
        m->PacketLength += TagLength;
    }

    /// <summary>Takes the buffers of a frame that was not sent; the frame's chunks stay its own, as they were.</summary>
    private void Undo(Mbuf* head, in Frame frame)
    {
        var isPointed = _own && (!frame.IsChained || _takesChains);
        if (isPointed && head->DataOffset < frame.Offset)
        {
            var start = _frames.Address(frame);
            Buffer.MemoryCopy(start - TagLength, start, AddressesLength, AddressesLength);
        }
        for (var m = head; m != null;)
        {
            var next = m->Next;
            m->Next = null;
            m->SegmentCount = 1;
            if (isPointed) m->Buffer = null;
            Finish(m);
            m = next;
        }
    }

    private void Drop(in Frame frame)
    {
        _dropped++;
        _frames.Return(frame);
    }

    private static Mbuf** Start(nint[] pinned) => (Mbuf**)Unsafe.AsPointer(ref MemoryMarshal.GetArrayDataReference(pinned));
}
