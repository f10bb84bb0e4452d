// Frames that come in over one DPDK queue. Looks at each buffer once, believes no length that does not fit, and gives every buffer back in the same burst.
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Peregrine.Core.Links;
using Peregrine.Core.Memory;

namespace Peregrine.Drivers.Dpdk;

internal sealed unsafe class DpdkReceiver
{
    // Behind an Ethernet header of 14 bytes the IP header starts at a multiple of 16, with room to answer in place.
    private const int CopyOffset = 66;
    private const int SegmentCountMax = 64;
    private const int DrainBurstsMax = 4096;

    private readonly DpdkPort _port;
    private readonly FastPath* _path;
    private readonly int _index;
    private readonly FramePool _frames;
    private readonly ChunkPool _chunks;
    private readonly MbufPool _pool;
    private readonly bool _own, _entersKernel;
    private readonly int _shift;
    private readonly nint[] _burst = GC.AllocateArray<nint>(DpdkQueue.BurstMax, pinned: true);
    private readonly nint[] _others = GC.AllocateArray<nint>(DpdkQueue.BurstMax, pinned: true);
    private readonly nint[] _back = GC.AllocateArray<nint>(DpdkQueue.BurstMax + SegmentCountMax, pinned: true);
    private readonly Mbuf** _burstStart, _othersStart, _backStart;
    private int _otherCount, _backCount;
    private LinkQueueCounters _counters;

    public DpdkReceiver(DpdkPort port, int index, FramePool frames, MbufPool pool, bool own)
    {
        (_port, _index, _frames, _chunks, _pool, _own) = (port, index, frames, frames.Chunks, pool, own);
        _path = port.Eal.Library.FastPaths + port.Id;
        _entersKernel = port.Driver.MakesSystemCalls;
        _shift = System.Numerics.BitOperations.Log2((uint)_chunks.ChunkSize);
        _burstStart = Start(_burst);
        _othersStart = Start(_others);
        _backStart = Start(_back);
    }

    public void AddTo(ref LinkQueueCounters counters)
    {
        counters.ReceivedFrames += _counters.ReceivedFrames;
        counters.ReceivedBytes += _counters.ReceivedBytes;
        counters.ReceiveDroppedMalformed += _counters.ReceiveDroppedMalformed;
        counters.ReceiveDroppedNoMemory += _counters.ReceiveDroppedNoMemory;
    }

    public int Receive(Span<Frame> frames)
    {
        var n = DpdkBurst.Call(_path->Receive, _path->ReceiveQueues[_index], _burstStart, Math.Min(frames.Length, DpdkQueue.BurstMax), _entersKernel);
        if (n == 0) return 0;
        var received = 0;
        for (var i = 0; i < n; i++)
        {
            if (TryTake(_burstStart[i], ref frames[received])) received++;
        }
        GiveBack();
        _counters.ReceivedFrames += received;
        return received;
    }

    /// <summary>Takes what waits and drops it.</summary>
    public void Drain()
    {
        for (var bursts = 0; bursts < DrainBurstsMax; bursts++)
        {
            var n = DpdkBurst.Call(_path->Receive, _path->ReceiveQueues[_index], _burstStart, DpdkQueue.BurstMax, _entersKernel);
            if (n == 0) return;
            _port.Eal.Library.FreeBuffers(_burstStart, (uint)n);
            // A device that makes frames out of nothing (net_null) would never be empty; what is ours comes from rings.
            if (_burstStart[0]->Pool == _pool.Address) return;
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private bool TryTake(Mbuf* m, ref Frame frame)
    {
        if (!_own || m->Pool != _pool.Address || m->SegmentCount != 1) return TryTakeOther(m, ref frame);
        _backStart[_backCount++] = m;
        int offset = m->DataOffset, length = m->DataLength;
        if (length == 0 || offset + length > _chunks.ChunkSize) return DropMalformed();
        if (!_chunks.TryRent(out var fresh)) return DropForMemory();
        var chunk = (uint)((nuint)(m->Buffer - _chunks.Base) >> _shift);
        var replacement = _chunks.Address(fresh);
        m->Buffer = replacement;
        m->BufferIova = (ulong)replacement;
        frame = new Frame { Chunk = chunk, Offset = (ushort)offset, HeadLength = (ushort)length, Length = length };
        Describe(m, ref frame);
        return true;
    }

    private bool TryTakeOther(Mbuf* m, ref Frame frame)
    {
        bool taken;
        if (_own && m->Pool == _pool.Address)
        {
            taken = TryTakeChain(m, ref frame);
        }
        else
        {
            // Copied buffers, and those of another pool: a ring of software hands over its sender's.
            taken = TryCopy(m, ref frame);
            _othersStart[_otherCount++] = m;
        }
        return taken;
    }

    private void Describe(Mbuf* m, ref Frame frame)
    {
        var flags = m->Flags;
        // "Not verified, but whole": both bits, from a neighbour in this machine whose sum is not finished. The bytes never crossed a wire.
        if ((flags & Mbuf.ReceivedChecksumGood) != 0) frame.Flags |= FrameFlags.ChecksumVerified;
        if ((flags & Mbuf.ReceivedVlanStripped) != 0)
        {
            frame.Flags |= FrameFlags.VlanTag;
            frame.VlanTag = m->VlanTag;
        }
        if ((_frames.Address(frame)[0] & 1) != 0) frame.Flags |= FrameFlags.Broadcast;
        _counters.ReceivedBytes += frame.Length;
    }

    /// <summary>A frame of several buffers, each of which has a chunk of ours: they are chained as they are.</summary>
    private bool TryTakeChain(Mbuf* m, ref Frame frame)
    {
        // Rented first: a frame is taken whole or not at all.
        var segments = 0;
        var wellFormed = true;
        for (var s = m; s != null; s = s->Next)
        {
            if (++segments > SegmentCountMax) break;
            wellFormed &= s->DataLength > 0 && s->DataOffset + s->DataLength <= _chunks.ChunkSize && s->Pool == m->Pool;
        }
        if (!wellFormed || segments > SegmentCountMax || _chunks.FreeCount < segments)
        {
            _othersStart[_otherCount++] = m;
            return wellFormed && segments <= SegmentCountMax ? DropForMemory() : DropMalformed();
        }
        frame = default;
        var last = ChunkPool.None;
        for (var s = m; s != null;)
        {
            _chunks.TryRent(out var fresh);
            var chunk = (uint)((nuint)(s->Buffer - _chunks.Base) >> _shift);
            var replacement = _chunks.Address(fresh);
            s->Buffer = replacement;
            s->BufferIova = (ulong)replacement;
            if (last == ChunkPool.None)
            {
                (frame.Chunk, frame.Offset, frame.HeadLength) = (chunk, s->DataOffset, s->DataLength);
            }
            else
            {
                ref var note = ref _chunks.Note(chunk);
                (note.Start, note.Length) = (s->DataOffset, s->DataLength);
                _chunks.Note(last).Next = chunk;
            }
            frame.Length += s->DataLength;
            last = chunk;
            s = s->Next;
        }
        Describe(m, ref frame);
        _othersStart[_otherCount++] = m;
        return true;
    }

    private bool TryCopy(Mbuf* m, ref Frame frame)
    {
        if (m->DataLength == 0 || m->SegmentCount > SegmentCountMax) return DropMalformed();
        if (!_frames.TryRent(out frame, CopyOffset)) return DropForMemory();
        var last = frame.Chunk;
        var room = _chunks.ChunkSize - CopyOffset;
        var to = _frames.Address(frame);
        for (var (s, left) = ((nint)m, SegmentCountMax); s != 0 && left > 0; left--)
        {
            var segment = (Mbuf*)s;
            var from = segment->Buffer + segment->DataOffset;
            for (int rest = segment->DataLength; rest > 0;)
            {
                if (room == 0)
                {
                    if (!_frames.TryExtend(ref frame, ref last, 0))
                    {
                        _frames.Return(frame);
                        return DropForMemory();
                    }
                    room = Math.Min(_chunks.ChunkSize, ushort.MaxValue);
                    to = _chunks.Address(last);
                }
                var n = Math.Min(room, rest);
                Unsafe.CopyBlockUnaligned(to, from, (uint)n);
                to += n;
                from += n;
                (room, rest) = (room - n, rest - n);
                if (last == frame.Chunk) frame.HeadLength += (ushort)n;
                else _chunks.Note(last).Length += (ushort)n;
                frame.Length += n;
            }
            s = (nint)segment->Next;
        }
        Describe(m, ref frame);
        return true;
    }

    private void GiveBack()
    {
        if (_backCount > 0) _pool.Give(_backStart, _backCount);
        // Theirs, and chains: DPDK takes a chain apart and finds each buffer's pool.
        if (_otherCount > 0) _port.Eal.Library.FreeBuffers(_othersStart, (uint)_otherCount);
        (_backCount, _otherCount) = (0, 0);
    }

    private bool DropMalformed()
    {
        _counters.ReceiveDroppedMalformed++;
        return false;
    }

    private bool DropForMemory()
    {
        _counters.ReceiveDroppedNoMemory++;
        return false;
    }

    private static Mbuf** Start(nint[] pinned) => (Mbuf**)Unsafe.AsPointer(ref MemoryMarshal.GetArrayDataReference(pinned));
}
