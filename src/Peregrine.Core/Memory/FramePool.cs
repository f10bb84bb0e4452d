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
        var head = Head(frame);
        if (offset < head.Length)
        {
            copied = Math.Min(head.Length - offset, destination.Length);
            head.Slice(offset, copied).CopyTo(destination);
            offset = 0;
        }
        else
        {
            offset -= head.Length;
        }
        if (!frame.IsChained) return copied;
        for (var chunk = Chunks.Note(frame.Chunk).Next; chunk != ChunkPool.None && copied < destination.Length; chunk = Chunks.Note(chunk).Next)
        {
            var bytes = ChunkSpan(chunk);
            if (offset >= bytes.Length)
            {
                offset -= bytes.Length;
                continue;
            }
            var n = Math.Min(bytes.Length - offset, destination.Length - copied);
            bytes.Slice(offset, n).CopyTo(destination[copied..]);
            copied += n;
            offset = 0;
        }
        return copied;
    }

    /// <summary>The used bytes of a chained (not first) chunk.</summary>
    public Span<byte> ChunkSpan(uint chunk)
    {
        ref var note = ref Chunks.Note(chunk);
        return new Span<byte>(Chunks.Address(chunk) + note.Start, note.Length);
    }
}
