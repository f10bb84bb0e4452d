// Bytes that the application has written and the peer has not acknowledged: a chain of blocks a connection, read again for every
// (re)transmission. Knows offsets from Snd.Una, not sequence numbers, and decides nothing about what is sent when.
using System.Diagnostics;
using System.Runtime.CompilerServices;
using Peregrine.Core.Memory;
using Peregrine.Wire;

namespace Peregrine.Core.Tcp.Queues;

/// <summary>The send queues of a stack's connections; holds no data of its own.</summary>
internal sealed unsafe class SendQueue
{
    // Who does not say how much room he needs gets at least this, so that no writer is handed a block's last byte.
    private const int ReserveDefault = 512;

    private readonly ChunkPool _blocks;
    private readonly int _reserve;

    /// <summary>Queues over the blocks of one pool.</summary>
    internal SendQueue(ChunkPool blocks)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(blocks.ChunkSize, 32_768, nameof(blocks));
        (_blocks, _reserve) = (blocks, BlockPressure.ReceiveReserve(blocks));
    }

    /// <summary>Bytes queued, reserved ones not counted.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal uint Length(in SendQueueState q) => q.Length;

    /// <summary>Whether the application holds reserved room: until that ends, its block must not be released under its hands.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal bool HasReservation(in SendQueueState q) => q.ReservedLength != 0;

    /// <summary>Copies bytes to the end of the queue.</summary>
    /// <param name="q">The connection's queue.</param>
    /// <param name="data">Bytes to send.</param>
    /// <param name="limit">The length in bytes that the queue must not pass.</param>
    /// <returns>Bytes taken: fewer when the limit is reached or the pool is empty.</returns>
    internal int Write(ref SendQueueState q, ReadOnlySpan<byte> data, int limit)
    {
        var want = (int)Math.Min(data.Length, Math.Max(0L, limit - (long)q.Length));
        var taken = 0;
        while (taken < want && TryGetRoom(ref q, out var at, out var room))
        {
            var n = Math.Min(room, want - taken);
            data.Slice(taken, n).CopyTo(new Span<byte>(at, n));
            Grow(ref q, n);
            taken += n;
        }
        return taken;
    }

    /// <summary>
    /// Room at the end of the queue to write into; <see cref="Commit"/> makes what was written part of the queue. The room stays the
    /// writer's whatever else is called until then; reserving again gives the same room when it is large enough, and else gives it up.
    /// </summary>
    /// <param name="q">The connection's queue.</param>
    /// <param name="sizeHint">Bytes wanted at least, cut to what a block and the limit allow; 0 for some.</param>
    /// <param name="limit">The length in bytes that the queue must not pass.</param>
    /// <returns>Empty when the limit is reached or the pool is empty.</returns>
    internal Span<byte> Reserve(ref SendQueueState q, int sizeHint, int limit)
    {
        var allowed = (int)Math.Min(_blocks.ChunkSize, Math.Max(0L, limit - (long)q.Length));
        if (allowed == 0) return default;
        var need = Math.Min(sizeHint > 0 ? sizeHint : ReserveDefault, allowed);
        if (q.ReservedLength != 0)
        {
            var isUsable = q.ReservedLength >= need && (!IsReservedLinked(in q) || q.ReservedBlock == q.Tail);
            if (!isUsable) Commit(ref q, 0);
        }
        if (q.ReservedLength == 0)
        {
            var room = q.Length == 0 ? 0 : TailRoom(in q);
            if (room >= need)
            {
                q.ReservedBlock = q.Tail;
                q.ReservedStart = (ushort)(_blocks.ChunkSize - room);
            }
            else
            {
                if (!MayGrow || !_blocks.TryRent(out q.ReservedBlock)) return default;
                q.ReservedStart = 0;
                room = _blocks.ChunkSize;
            }
            q.ReservedLength = (ushort)room;
        }
        return new Span<byte>(_blocks.Address(q.ReservedBlock) + q.ReservedStart, Math.Min(q.ReservedLength, allowed));
    }

    /// <summary>Makes the first bytes of the reserved room part of the queue and ends the reservation; 0 gives it up.</summary>
    /// <returns>
    /// Bytes committed: <paramref name="count"/>, unless other bytes were written since the reservation, these have to be copied behind
    /// them, and the pool is empty.
    /// </returns>
    /// <exception cref="ArgumentOutOfRangeException">Not so much was reserved.</exception>
    internal int Commit(ref SendQueueState q, int count)
    {
        if ((uint)count > q.ReservedLength) ThrowNotReserved(nameof(count));
        if (q.ReservedLength == 0) return 0;
        q.ReservedLength = 0;
        var block = q.ReservedBlock;
        if (_blocks.Note(block).Length != 0)
        {
            if (block == q.Tail) Grow(ref q, count);
            // Something was written in the meantime, behind the reserved room: what is committed now comes after it.
            else return Write(ref q, new ReadOnlySpan<byte>(_blocks.Address(block) + q.ReservedStart, count), int.MaxValue);
            return count;
        }
        // A block that is not in the chain. Little goes where the last block has room, so that small commits do not take a block each.
        if (q.Length != 0 && TailRoom(in q) >= count)
        {
            new ReadOnlySpan<byte>(_blocks.Address(block) + q.ReservedStart, count)
                .CopyTo(new Span<byte>(_blocks.Address(q.Tail) + _blocks.ChunkSize - TailRoom(in q), count));
            Grow(ref q, count);
            _blocks.Return(block);
            return count;
        }
        if (count == 0)
        {
            _blocks.Return(block);
            return 0;
        }
        Link(ref q, block);
        _blocks.Note(block).Start = q.ReservedStart;
        Grow(ref q, count);
        return count;
    }

    /// <summary>Drops bytes from the front and frees the blocks that are wholly acknowledged.</summary>
    /// <param name="q">The connection's queue.</param>
    /// <param name="count">Bytes, at most <see cref="Length"/>.</param>
    internal void Acknowledge(ref SendQueueState q, uint count)
    {
        Debug.Assert(count <= q.Length, "no more is acknowledged than was queued");
        count = Math.Min(count, q.Length);
        q.Length -= count;
        while (count != 0)
        {
            ref var note = ref _blocks.Note(q.Head);
            if (count < note.Length)
            {
                note.Start += (ushort)count;
                note.Length -= (ushort)count;
                note.Tag += count;
                return;
            }
            count -= note.Length;
            FreeHead(ref q);
        }
    }

    /// <summary>Copies bytes out to be transmitted.</summary>
    /// <param name="q">The connection's queue.</param>
    /// <param name="offset">From the first unacknowledged byte.</param>
    /// <param name="destination">Where to; as many bytes as it is long must be queued there.</param>
    /// <param name="sum">Whether the bytes' checksum is wanted; it is made in the same pass.</param>
    /// <returns>The partial sum of <see cref="InternetChecksum"/> over the bytes, or 0.</returns>
    internal uint CopyOut(ref SendQueueState q, uint offset, Span<byte> destination, bool sum)
    {
        if (destination.IsEmpty) return 0;
        if (offset + (ulong)(uint)destination.Length > q.Length) ThrowNotQueued(nameof(offset));
        if (offset == 0 && q.ForwardBlock == q.Head && destination.Length <= _blocks.Note(q.Head).Length) return CopyFirst(q, destination, sum);
        ref var cursor = ref Find(ref q, offset, out var within);
        var block = cursor;
        var total = 0u;
        for (var copied = 0; ;)
        {
            ref var note = ref _blocks.Note(block);
            var n = Math.Min(note.Length - within, destination.Length - copied);
            var source = new ReadOnlySpan<byte>(_blocks.Address(block) + note.Start + within, n);
            var part = destination.Slice(copied, n);
            if (!sum) source.CopyTo(part);
            // RFC 1071 §2 (B): what begins at an odd offset of the whole is summed with its bytes swapped.
            else if ((copied & 1) != 0) total = InternetChecksum.Combine(total, InternetChecksum.CopyAndSum(source, part), bStartsOdd: true);
            else total = InternetChecksum.CopyAndSum(source, part, total);
            copied += n;
            if (copied == destination.Length) break;
            block = note.Next;
            within = 0;
        }
        cursor = block;
        return total;
    }

    // All of it lies at the front of the first block: an answer that is sent at once.
    private uint CopyFirst(in SendQueueState q, Span<byte> destination, bool sum)
    {
        var source = new ReadOnlySpan<byte>(_blocks.Address(q.Head) + _blocks.Note(q.Head).Start, destination.Length);
        if (sum) return InternetChecksum.CopyAndSum(source, destination);
        source.CopyTo(destination);
        return 0;
    }

    /// <summary>
    /// Says where bytes lie, for links that gather. The memory is good until those bytes are acknowledged or the queue is released.
    /// </summary>
    /// <param name="q">The connection's queue.</param>
    /// <param name="offset">From the first unacknowledged byte.</param>
    /// <param name="length">Bytes, 1 or more; as many must be queued there.</param>
    /// <param name="pieces">Where to write it.</param>
    /// <returns>How many pieces there are; 0 when there are more than <paramref name="pieces"/> has room for.</returns>
    internal int Gather(ref SendQueueState q, uint offset, int length, Span<FramePiece> pieces)
    {
        if (offset + (ulong)(uint)length > q.Length) ThrowNotQueued(nameof(offset));
        ref var cursor = ref Find(ref q, offset, out var within);
        var block = cursor;
        for (var count = 0; count < pieces.Length;)
        {
            ref var note = ref _blocks.Note(block);
            var n = Math.Min(note.Length - within, length);
            pieces[count++] = new FramePiece { Address = _blocks.Address(block) + note.Start + within, Length = (nuint)n };
            length -= n;
            if (length == 0)
            {
                cursor = block;
                return count;
            }
            block = note.Next;
            within = 0;
        }
        return 0;
    }

    /// <summary>Gives all blocks back, the reserved one too.</summary>
    internal void Release(ref SendQueueState q)
    {
        if (q.ReservedLength != 0 && !IsReservedLinked(in q)) _blocks.Return(q.ReservedBlock);
        if (q.Length != 0) _blocks.ReturnChain(q.Head);
        q = default;
    }

    /// <summary>Whether the queue hangs together: for checkers and tests.</summary>
    internal bool Check(in SendQueueState q)
    {
        if (q.ReservedLength != 0)
        {
            if (!_blocks.IsRented(q.ReservedBlock) || q.ReservedStart + q.ReservedLength > _blocks.ChunkSize) return false;
            ref var reserved = ref _blocks.Note(q.ReservedBlock);
            if (reserved.Length != 0 && reserved.Start + reserved.Length != q.ReservedStart) return false;
        }
        if (q.Length == 0) return true;
        var (length, blocks, cursors, position) = (0u, 0, 0, _blocks.Note(q.Head).Tag);
        for (var block = q.Head; ; block = _blocks.Note(block).Next)
        {
            if (!_blocks.IsRented(block) || ++blocks > _blocks.Count) return false;
            ref var note = ref _blocks.Note(block);
            if (note.Length == 0 || note.Start + note.Length > _blocks.ChunkSize || note.Tag != position + length) return false;
            length += note.Length;
            if (block == q.ForwardBlock) cursors++;
            if (block == q.BackwardBlock) cursors++;
            if (block == q.Tail) return note.Next == ChunkPool.None && length == q.Length && cursors == 2;
        }
    }

    /// <summary>The cursor that serves an offset, moved to the block that holds it.</summary>
    // New data goes on at the farther cursor and never moves it back; retransmission has the other one. Each walks forward from where it
    // is, so a walk is as long as what was skipped; only a retransmission from before the last one begins at the head again.
    private ref uint Find(ref SendQueueState q, uint offset, out int within)
    {
        var origin = _blocks.Note(q.Head).Tag;
        ref var cursor = ref q.ForwardBlock;
        if (_blocks.Note(q.ForwardBlock).Tag - origin > offset)
        {
            cursor = ref q.BackwardBlock;
            if (_blocks.Note(cursor).Tag - origin > offset) cursor = q.Head;
        }
        for (; ; cursor = _blocks.Note(cursor).Next)
        {
            ref var note = ref _blocks.Note(cursor);
            var behind = origin + offset - note.Tag;
            if (behind >= note.Length) continue;
            within = (int)behind;
            return ref cursor;
        }
    }

    private bool IsReservedLinked(in SendQueueState q) => _blocks.Note(q.ReservedBlock).Length != 0;

    private int TailRoom(in SendQueueState q)
    {
        ref var note = ref _blocks.Note(q.Tail);
        return _blocks.ChunkSize - note.Start - note.Length;
    }

    private bool MayGrow => _blocks.FreeCount > _reserve;

    private bool TryGetRoom(ref SendQueueState q, out byte* at, out int room)
    {
        // The room behind the last block's bytes is the reservation's, if there is one there.
        if (q.Length != 0 && (q.ReservedLength == 0 || q.ReservedBlock != q.Tail))
        {
            room = TailRoom(in q);
            at = _blocks.Address(q.Tail) + _blocks.ChunkSize - room;
            if (room > 0) return true;
        }
        at = null;
        room = 0;
        if (!MayGrow || !_blocks.TryRent(out var block)) return false;
        Link(ref q, block);
        at = _blocks.Address(block);
        room = _blocks.ChunkSize;
        return true;
    }

    private void Link(ref SendQueueState q, uint block)
    {
        if (q.Length == 0)
        {
            q.Head = q.ForwardBlock = q.BackwardBlock = block;
            _blocks.Note(block).Tag = 0;
        }
        else
        {
            ref var last = ref _blocks.Note(q.Tail);
            last.Next = block;
            _blocks.Note(block).Tag = last.Tag + last.Length;
        }
        q.Tail = block;
    }

    private void FreeHead(ref SendQueueState q)
    {
        var block = q.Head;
        ref var note = ref _blocks.Note(block);
        var next = note.Next;
        q.Head = next;
        if (q.ForwardBlock == block) q.ForwardBlock = next;
        if (q.BackwardBlock == block) q.BackwardBlock = next;
        if (q.ReservedLength != 0 && q.ReservedBlock == block)
        {
            // Somebody is writing into the rest of it: it leaves the chain and comes back with the commit.
            note.Length = 0;
            note.Next = ChunkPool.None;
            return;
        }
        _blocks.Return(block);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private void Grow(ref SendQueueState q, int count)
    {
        _blocks.Note(q.Tail).Length += (ushort)count;
        q.Length += (uint)count;
    }

    private static void ThrowNotReserved(string name) => throw new ArgumentOutOfRangeException(name, "More is committed than was reserved.");

    private static void ThrowNotQueued(string name) => throw new ArgumentOutOfRangeException(name, "These bytes are not in the send queue.");
}
