// Finishing a frame's transport checksum where a link has to do it in software. Knows where the sum starts and goes, not what it sums.
using System.Runtime.InteropServices;
using Peregrine.Core.Memory;
using Peregrine.Wire;

namespace Peregrine.Core.Links;

/// <summary>Finishes the checksums of frames that are to be sent, for links whose device does not.</summary>
public static class FrameChecksum
{
    /// <summary>
    /// Finishes a <see cref="FrameFlags.ChecksumUnfinished"/> frame and clears the flag. False, and nothing done, when the place lies
    /// outside of the first chunk.
    /// </summary>
    /// <param name="pool">The pool that the frame is of.</param>
    /// <param name="frame">The frame; may have several chunks, or pieces.</param>
    public static bool TryFinish(FramePool pool, ref Frame frame)
    {
        int start = frame.ChecksumStart, field = start + frame.ChecksumOffset;
        if (field + 2 > frame.HeadLength) return false;
        var head = pool.Head(frame);
        // The field holds the pseudo-header's sum and takes part in the sum as it stands.
        var sum = InternetChecksum.Sum(head[start..]);
        var odd = ((frame.HeadLength - start) & 1) != 0;
        if ((frame.Flags & FrameFlags.Gathered) != 0)
        {
            foreach (ref readonly var piece in pool.Pieces(frame))
            {
                sum = InternetChecksum.Combine(sum, InternetChecksum.Sum(piece.Bytes), odd);
                odd ^= (piece.Length & 1) != 0;
            }
        }
        else if (frame.IsChained)
        {
            for (var chunk = pool.Chunks.Note(frame.Chunk).Next; chunk != ChunkPool.None; chunk = pool.Chunks.Note(chunk).Next)
            {
                var bytes = pool.ChunkSpan(chunk);
                sum = InternetChecksum.Combine(sum, InternetChecksum.Sum(bytes), odd);
                odd ^= (bytes.Length & 1) != 0;
            }
        }
        Store(head.Slice(field, 2), sum);
        frame.Flags &= ~FrameFlags.ChecksumUnfinished;
        return true;
    }

    /// <summary>Writes the checksum that a sum comes to.</summary>
    /// <param name="field">Its two bytes.</param>
    /// <param name="sum">The sum over everything from where summing starts, the pseudo-header's included.</param>
    // RFC 768: a UDP sum of zero is sent as all ones. For TCP both mean the same, so no protocol needs to be known here.
    public static void Store(Span<byte> field, uint sum) => MemoryMarshal.Write(field, InternetChecksum.FinishUdp(sum));
}
