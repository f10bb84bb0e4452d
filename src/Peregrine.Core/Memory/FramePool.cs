// Frames over a ChunkPool: rent with headroom, grow by chunks, read across chunks, give the whole chain back.
// One per core. Its memory is what drivers register with the card.
using System.Runtime.CompilerServices;

namespace Peregrine.Core.Memory;

/// <summary>The pool that a core's frames come from.</summary>
public sealed unsafe class FramePool
{
    /// <summary>
    /// Bytes left free before a transport header so that IP, Ethernet with two tags and a link's own header can be put before it
    /// without moving anything: 40 (IPv6) + 22 (Ethernet, QinQ) + 12 (virtio) and room for a few options, rounded to 128.
    /// </summary>
    public const int Headroom = 128;

    /// <summary>Pieces of a gathered frame at most.</summary>
    public const int PieceCountMax = 64;

    /// <summary>Makes a pool over chunks.</summary>
    public FramePool(ChunkPool chunks) => Chunks = chunks;

    /// <summary>The chunks beneath.</summary>
    public ChunkPool Chunks { get; }

    /// <summary>Rents a frame of one chunk, empty, its offset at <paramref name="headroom"/>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public bool TryRent(out Frame frame, int headroom = Headroom)
    {
        frame = default;
        if (!Chunks.TryRent(out frame.Chunk)) return false;
        frame.Offset = (ushort)headroom;
        return true;
    }

    /// <summary>Chains one more chunk of <paramref name="length"/> bytes to the end, whose last chunk is <paramref name="last"/> (updated).</summary>
    public bool TryExtend(ref Frame frame, ref uint last, int length)
    {
        if (!Chunks.TryRent(out var chunk)) return false;
        Chunks.Note(last).Next = chunk;
        Chunks.Note(chunk).Length = (ushort)length;
        last = chunk;
        frame.Length += length;
        return true;
    }

    /// <summary>Gives the frame's chunks back.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Return(in Frame frame)
    {
        if (!frame.IsChained && Chunks.Note(frame.Chunk).Next == ChunkPool.None) Chunks.Return(frame.Chunk);
        else Chunks.ReturnChain(frame.Chunk);
    }

    /// <summary>The bytes of the first chunk.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public Span<byte> Head(in Frame frame) => new(Chunks.Address(frame.Chunk) + frame.Offset, frame.HeadLength);

    /// <summary>The address of the frame's first byte.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public byte* Address(in Frame frame) => Chunks.Address(frame.Chunk) + frame.Offset;

    /// <summary>Copies bytes from <paramref name="offset"/> on, across chunks; returns how many there were.</summary>
    public int CopyTo(in Frame frame, int offset, Span<byte> destination)
    {
        var copied = 0;
        CopyPart(Head(frame), ref offset, destination, ref copied);
        if (!frame.IsChained) return copied;
        if ((frame.Flags & FrameFlags.Gathered) != 0)
        {
            foreach (ref readonly var piece in Pieces(frame)) CopyPart(piece.Bytes, ref offset, destination, ref copied);
            return copied;
        }
        for (var chunk = Chunks.Note(frame.Chunk).Next; chunk != ChunkPool.None && copied < destination.Length; chunk = Chunks.Note(chunk).Next)
        {
            CopyPart(ChunkSpan(chunk), ref offset, destination, ref copied);
        }
        return copied;
    }

    /// <summary>Writes over the bytes of a frame that is not gathered, from <paramref name="offset"/> on, across chunks.</summary>
    internal void CopyFrom(in Frame frame, int offset, ReadOnlySpan<byte> source)
    {
        WritePart(Head(frame), ref offset, ref source);
        if (!frame.IsChained) return;
        for (var chunk = Chunks.Note(frame.Chunk).Next; chunk != ChunkPool.None && source.Length > 0; chunk = Chunks.Note(chunk).Next)
        {
            WritePart(ChunkSpan(chunk), ref offset, ref source);
        }
    }

    private static void WritePart(scoped Span<byte> part, ref int offset, ref ReadOnlySpan<byte> source)
    {
        var skipped = Math.Min(offset, part.Length);
        offset -= skipped;
        var n = Math.Min(part.Length - skipped, source.Length);
        source[..n].CopyTo(part[skipped..]);
        source = source[n..];
    }

    /// <summary>Adds bytes behind a frame that is not gathered, in the room of its only chunk or in one more; false when there is none.</summary>
    internal bool TryAppend(ref Frame frame, ReadOnlySpan<byte> bytes)
    {
        if (!frame.IsChained && frame.Offset + frame.HeadLength + bytes.Length <= Chunks.ChunkSize)
        {
            frame.HeadLength += (ushort)bytes.Length;
            frame.Length += bytes.Length;
            bytes.CopyTo(Head(frame)[^bytes.Length..]);
            return true;
        }
        var last = frame.Chunk;
        while (Chunks.Note(last).Next is var next && next != ChunkPool.None) last = next;
        if (!TryExtend(ref frame, ref last, bytes.Length)) return false;
        bytes.CopyTo(ChunkSpan(last));
        return true;
    }

    /// <summary>The used bytes of a chained (not first) chunk.</summary>
    public Span<byte> ChunkSpan(uint chunk)
    {
        ref var note = ref Chunks.Note(chunk);
        return new Span<byte>(Chunks.Address(chunk) + note.Start, note.Length);
    }

    /// <summary>Where the payload of a <see cref="FrameFlags.Gathered"/> frame lies, in its order.</summary>
    public ReadOnlySpan<FramePiece> Pieces(in Frame frame) => PieceRoom(frame)[..(int)Chunks.Note(frame.Chunk).Tag];

    /// <summary>Room for pieces, in the second half of the first chunk: the headers lie in the first.</summary>
    public Span<FramePiece> PieceRoom(in Frame frame) => RoomOf(frame.Chunk);

    internal Span<FramePiece> RoomOf(uint chunk)
    {
        var half = Chunks.ChunkSize / 2;
        return new Span<FramePiece>(Chunks.Address(chunk) + half, Math.Min(half / sizeof(FramePiece), PieceCountMax));
    }

    /// <summary>Makes a frame gathered: its payload is so many bytes in the first pieces of <see cref="PieceRoom"/>.</summary>
    public void SetPieces(ref Frame frame, int count, int length)
    {
        Chunks.Note(frame.Chunk).Tag = (uint)count;
        frame.Flags |= FrameFlags.Gathered;
        frame.Length += length;
    }

    /// <summary>
    /// Copies a gathered frame's payload into its chunk, or else into more of them, after which it is no gathered frame any more; false when there are
    /// too few, and then it is as it was.
    /// </summary>
    public bool TryKeep(ref Frame frame)
    {
        if (frame.Offset + frame.Length <= Chunks.ChunkSize)
        {
            KeepInPlace(ref frame);
            return true;
        }
        var kept = frame;
        (kept.Flags, kept.Length) = (frame.Flags & ~FrameFlags.Gathered, frame.HeadLength);
        var last = kept.Chunk;
        while (kept.Length < frame.Length)
        {
            var from = kept.Length;
            if (TryExtend(ref kept, ref last, Math.Min(frame.Length - from, Math.Min(Chunks.ChunkSize, 32_768))))
            {
                CopyTo(frame, from, ChunkSpan(last));
                continue;
            }
            ref var next = ref Chunks.Note(frame.Chunk).Next;
            if (next != ChunkPool.None) Chunks.ReturnChain(next);
            next = ChunkPool.None;
            return false;
        }
        frame = kept;
        return true;
    }

    [SkipLocalsInit]
    private void KeepInPlace(ref Frame frame)
    {
        // The payload will lie where its pieces are named.
        Span<FramePiece> pieces = stackalloc FramePiece[PieceCountMax];
        var named = Pieces(frame);
        named.CopyTo(pieces);
        foreach (ref readonly var piece in pieces[..named.Length])
        {
            piece.Bytes.CopyTo(new Span<byte>(Address(frame) + frame.HeadLength, (int)piece.Length));
            frame.HeadLength += (ushort)piece.Length;
        }
        frame.Flags &= ~FrameFlags.Gathered;
    }

    // What of these bytes lies beyond the offset, which is of the first byte that is still looked for.
    private static void CopyPart(ReadOnlySpan<byte> bytes, ref int offset, Span<byte> destination, ref int copied)
    {
        if (offset >= bytes.Length)
        {
            offset -= bytes.Length;
            return;
        }
        var n = Math.Min(bytes.Length - offset, destination.Length - copied);
        bytes.Slice(offset, n).CopyTo(destination[copied..]);
        (copied, offset) = (copied + n, 0);
    }
}
