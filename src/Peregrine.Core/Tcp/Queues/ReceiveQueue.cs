// Bytes received in order that the application has not read yet: a chain of blocks a connection. Not the reassembly of what came out of
// order (OutOfOrderQueue, which hands its blocks over to here), and it knows no sequence numbers and no window.
using System.Runtime.CompilerServices;
using Peregrine.Core.Memory;

namespace Peregrine.Core.Tcp.Queues;

/// <summary>The receive queues of a stack's connections; holds no data of its own.</summary>
internal sealed unsafe class ReceiveQueue
{
    private readonly ChunkPool _blocks;
    private readonly ChunkPool _frameChunks;
    private readonly int _reserve;

    /// <summary>Queues over the blocks of one pool, fed from the frames of another.</summary>
    internal ReceiveQueue(ChunkPool blocks, FramePool frames)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(blocks.ChunkSize, 32_768, nameof(blocks));
        (_blocks, _reserve) = (blocks, BlockPressure.ReceiveReserve(blocks));
        _frameChunks = frames.Chunks;
    }

    /// <summary>Bytes that wait to be read.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal uint Length(in ReceiveQueueState q) => q.Length;

    /// <summary>Whether so many bytes surely find room: with the blocks above a reserve larger than the one that is kept for readers.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal bool HasRoomFor(int length) => (long)(_blocks.FreeCount - _reserve) * _blocks.ChunkSize >= length;

    /// <summary>Copies payload bytes of a frame behind what is there.</summary>
    /// <param name="q">The connection's queue.</param>
    /// <param name="frame">Stays the caller's.</param>
    /// <param name="payloadOffset">From the frame's first byte.</param>
    /// <param name="length">Bytes of payload.</param>
    /// <returns>Bytes appended: fewer than asked for when the pool is empty.</returns>
    internal int Append(ref ReceiveQueueState q, in Frame frame, int payloadOffset, int length)
    {
        // Nearly always it lies in the first chunk.
        if (payloadOffset + length <= frame.HeadLength)
            return Append(ref q, new ReadOnlySpan<byte>(_frameChunks.Address(frame.Chunk) + frame.Offset + payloadOffset, length));
        var reader = new PayloadReader(_frameChunks, in frame, payloadOffset, length);
        var appended = 0;
        while (reader.HasMore() && TryGetRoom(ref q, out var at, out var room))
        {
            var n = reader.Read(at, room);
            Grow(ref q, n);
            appended += n;
        }
        return appended;
    }

    /// <summary>Copies bytes behind what is there; returns how many, fewer when the pool is empty.</summary>
    internal int Append(ref ReceiveQueueState q, ReadOnlySpan<byte> data)
    {
        var appended = 0;
        while (appended < data.Length && TryGetRoom(ref q, out var at, out var room))
        {
            var n = Math.Min(room, data.Length - appended);
            data.Slice(appended, n).CopyTo(new Span<byte>(at, n));
            Grow(ref q, n);
            appended += n;
        }
        return appended;
    }

    /// <summary>Takes over a chain of blocks that is not empty, behind what is there.</summary>
    /// <param name="q">The connection's queue.</param>
    /// <param name="head">First block.</param>
    /// <param name="tail">Last block.</param>
    /// <param name="length">Bytes in all.</param>
    internal void Splice(ref ReceiveQueueState q, uint head, uint tail, uint length)
    {
        if (q.Length == 0) (q.Head, q.Tail) = (head, tail);
        else BlockChain.Join(_blocks, ref q.Tail, head, tail);
        q.Length += length;
    }

    /// <summary>Copies bytes out and consumes them; returns how many there were.</summary>
    internal int Read(ref ReceiveQueueState q, Span<byte> destination)
    {
        var copied = 0;
        while (copied < destination.Length && q.Length != 0)
        {
            ref var note = ref _blocks.Note(q.Head);
            var n = Math.Min((int)note.Length, destination.Length - copied);
            new ReadOnlySpan<byte>(_blocks.Address(q.Head) + note.Start, n).CopyTo(destination[copied..]);
            Consume(ref q, n);
            copied += n;
        }
        return copied;
    }

    /// <summary>The first contiguous run, without consuming it; empty when there is none.</summary>
    internal ReadOnlySpan<byte> Front(in ReceiveQueueState q) =>
        q.Length == 0 ? default : new ReadOnlySpan<byte>(_blocks.Address(q.Head) + _blocks.Note(q.Head).Start, _blocks.Note(q.Head).Length);

    /// <summary>The next contiguous run behind the cursor, without consuming it. Bytes that arrive later continue it.</summary>
    /// <returns>False when there is none; the cursor stays where it is then, and may be asked again.</returns>
    internal bool TryPeek(ref ReceiveQueueState q, ref TcpReadCursor cursor, out ReadOnlySpan<byte> bytes)
    {
        bytes = default;
        if (q.Length == 0) return false;
        var isCurrent = cursor.IsStarted && cursor.Consumed == q.Consumed;
        var block = isCurrent ? cursor.Block : q.Head;
        ref var note = ref _blocks.Note(block);
        var start = isCurrent ? cursor.Start + cursor.Length : note.Start;
        if (start == note.Start + note.Length)
        {
            if (block == q.Tail) return false;
            block = note.Next;
            note = ref _blocks.Note(block);
            start = note.Start;
        }
        var length = note.Start + note.Length - start;
        cursor = new TcpReadCursor { Consumed = q.Consumed, IsStarted = true, Block = block, Start = start, Length = length };
        bytes = new ReadOnlySpan<byte>(_blocks.Address(block) + start, length);
        return true;
    }

    /// <summary>Drops bytes from the front and frees the blocks that are drained.</summary>
    /// <exception cref="ArgumentOutOfRangeException">There are not so many bytes, or the count is negative.</exception>
    internal void Consume(ref ReceiveQueueState q, int count)
    {
        if ((uint)count > q.Length) ThrowTooMany(nameof(count));
        q.Consumed += (uint)count;
        q.Length -= (uint)count;
        while (count > 0)
        {
            ref var note = ref _blocks.Note(q.Head);
            if (count < note.Length)
            {
                note.Start += (ushort)count;
                note.Length -= (ushort)count;
                return;
            }
            count -= note.Length;
            var next = note.Next;
            _blocks.Return(q.Head);
            q.Head = next;
        }
    }

    /// <summary>Gives all blocks back.</summary>
    internal void Release(ref ReceiveQueueState q)
    {
        if (q.Length != 0) _blocks.ReturnChain(q.Head);
        q = new ReceiveQueueState { Consumed = q.Consumed + q.Length };
    }

    /// <summary>Whether the queue hangs together: for checkers and tests.</summary>
    internal bool Check(in ReceiveQueueState q) =>
        q.Length == 0 || (BlockChain.Check(_blocks, q.Head, q.Tail, isRead: true, out var length, out _) && length == q.Length);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private bool TryGetRoom(ref ReceiveQueueState q, out byte* at, out int room)
    {
        if (q.Length != 0)
        {
            ref var note = ref _blocks.Note(q.Tail);
            var end = note.Start + note.Length;
            room = _blocks.ChunkSize - end;
            at = _blocks.Address(q.Tail) + end;
            if (room > 0) return true;
        }
        return TryLinkBlock(ref q, out at, out room);
    }

    private bool TryLinkBlock(ref ReceiveQueueState q, out byte* at, out int room)
    {
        at = null;
        room = 0;
        if ((q.Length != 0 && !BlockPressure.LeavesReadersReserve(_blocks)) || !_blocks.TryRent(out var block)) return false;
        if (q.Length == 0) q.Head = block;
        else _blocks.Note(q.Tail).Next = block;
        q.Tail = block;
        at = _blocks.Address(block);
        room = _blocks.ChunkSize;
        return true;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private void Grow(ref ReceiveQueueState q, int count)
    {
        _blocks.Note(q.Tail).Length += (ushort)count;
        q.Length += (uint)count;
    }

    private static void ThrowTooMany(string name) =>
        throw new ArgumentOutOfRangeException(name, "More bytes are consumed than have been received.");
}
