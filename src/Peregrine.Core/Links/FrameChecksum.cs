// Finishing a frame's transport checksum where a link has to do it in software. Knows where the sum starts and goes, not what it sums.
using Peregrine.Core.Memory;
using Peregrine.Wire;

namespace Peregrine.Core.Links;

/// <summary>Finishes the checksums of frames that are to be sent, for links whose device does not.</summary>
public static class FrameChecksum
{
    /// <summary>
    /// Finishes a <see cref="FrameFlags.ChecksumUnfinished"/> frame and clears the flag. False, and nothing done, when the place lies
    /// outside of the first chunk, or the bytes outside of chunks (<see cref="FrameFlags.Gathered"/>).
    /// </summary>
    /// <param name="pool">The pool that the frame is of.</param>
    /// <param name="frame">The frame; may have several chunks.</param>
    public static bool TryFinish(FramePool pool, ref Frame frame)
    {
        int start = frame.ChecksumStart, field = start + frame.ChecksumOffset;
        if (field + 2 > frame.HeadLength || (frame.Flags & FrameFlags.Gathered) != 0) return false;
        var head = pool.Head(frame);
        // The field holds the pseudo-header's sum and takes part in the sum as it stands.
        var sum = InternetChecksum.Sum(head[start..]);
        var odd = ((frame.HeadLength - start) & 1) != 0;
        if (frame.IsChained)
        {
            for (var chunk = pool.Chunks.Note(frame.Chunk).Next; chunk != ChunkPool.None; chunk = pool.Chunks.Note(chunk).Next)
            {
                var bytes = pool.ChunkSpan(chunk);
                sum = InternetChecksum.Combine(sum, InternetChecksum.Sum(bytes), odd);
                odd ^= (bytes.Length & 1) != 0;
            }
        }
        InternetChecksum.Store(head[field..], sum);
        // RFC 768: a UDP sum of zero is sent as all ones. For TCP both mean the same, so no protocol needs to be known here.
        if (head[field] == 0 && head[field + 1] == 0) head.Slice(field, 2).Fill(0xFF);
        frame.Flags &= ~FrameFlags.ChecksumUnfinished;
        return true;
    }
}
