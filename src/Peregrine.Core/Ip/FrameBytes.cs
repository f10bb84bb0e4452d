// Work on the bytes of frames of one or several chunks: headers put before and taken off, ends cut, sums across chunks.
// Knows nothing of protocols.
using System.Runtime.CompilerServices;
using Peregrine.Core.Memory;
using Peregrine.Wire;

namespace Peregrine.Core.Ip;

/// <summary>Work on frames' bytes.</summary>
internal static unsafe class FrameBytes
{
    /// <summary>Makes room for a header before the frame's first byte and returns it; false when there is none.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool TryPrepend(this FramePool pool, scoped ref Frame frame, int length, out Span<byte> header)
    {
        if (frame.Offset < length)
        {
            header = default;
            return false;
        }

        frame.Offset -= (ushort)length;
        frame.HeadLength += (ushort)length;
        frame.Length += length;
        if ((frame.Flags & FrameFlags.ChecksumUnfinished) != 0) frame.ChecksumStart += (ushort)length;
        if (frame.HeaderLength != 0) frame.HeaderLength += (byte)length;
        header = new Span<byte>(pool.Address(frame), length);
        return true;
    }

    /// <summary>Takes bytes off the front. They lie in the first chunk.</summary>
    public static void TrimFront(ref Frame frame, int length)
    {
        frame.Offset += (ushort)length;
        frame.HeadLength -= (ushort)length;
        frame.Length -= length;
    }

    /// <summary>Cuts the frame to a length; chunks beyond it stay in the chain, empty.</summary>
    public static void TrimEnd(this FramePool pool, ref Frame frame, int length)
    {
        if (frame.Length <= length) return;
        int left = length - frame.HeadLength;
        if (left < 0)
        {
            frame.HeadLength = (ushort)length;
            left = 0;
        }

        for (uint chunk = pool.Chunks.Note(frame.Chunk).Next; chunk != ChunkPool.None; chunk = pool.Chunks.Note(chunk).Next)
        {
            ref ChunkNote note = ref pool.Chunks.Note(chunk);
            if (note.Length > left) note.Length = (ushort)left;
            left -= note.Length;
        }

        frame.Length = length;
    }

    /// <summary>The Internet checksum's sum over a part of the frame, across chunks.</summary>
    public static uint Sum(this FramePool pool, in Frame frame, int offset, int length, uint initial)
    {
        uint sum = initial;
        int done = 0;
        if (offset < frame.HeadLength)
        {
            ReadOnlySpan<byte> head = pool.Head(frame);
            done = Math.Min(length, head.Length - offset);
            sum = InternetChecksum.Sum(head.Slice(offset, done), sum);
            offset = 0;
        }
        else
        {
            offset -= frame.HeadLength;
        }

        if (done == length || !frame.IsChained) return sum;
        for (uint chunk = pool.Chunks.Note(frame.Chunk).Next; chunk != ChunkPool.None && done < length; chunk = pool.Chunks.Note(chunk).Next)
        {
            ReadOnlySpan<byte> bytes = pool.ChunkSpan(chunk);
            if (offset >= bytes.Length)
            {
                offset -= bytes.Length;
                continue;
            }

            int count = Math.Min(length - done, bytes.Length - offset);
            sum = InternetChecksum.Combine(sum, InternetChecksum.Sum(bytes.Slice(offset, count)), (done & 1) != 0);
            done += count;
            offset = 0;
        }

        return sum;
    }

    /// <summary>Rents a frame of so many bytes, not cleared, of as many chunks as that takes.</summary>
    public static bool TryRentFor(this FramePool pool, int length, out Frame frame)
    {
        if (!pool.TryRent(out frame)) return false;
        int room = pool.Chunks.ChunkSize - frame.Offset;
        frame.HeadLength = (ushort)Math.Min(length, room);
        frame.Length = frame.HeadLength;
        uint last = frame.Chunk;
        while (frame.Length < length)
        {
            if (pool.TryExtend(ref frame, ref last, Math.Min(length - frame.Length, Math.Min(pool.Chunks.ChunkSize, 32_768)))) continue;
            pool.Return(frame);
            frame = default;
            return false;
        }

        return true;
    }

    /// <summary>Copies bytes into the frame at an offset within the first chunk and on into the others, and sums them.</summary>
    public static uint CopyInAndSum(this FramePool pool, in Frame frame, int offset, ReadOnlySpan<byte> bytes)
    {
        int done = Math.Min(bytes.Length, frame.HeadLength - offset);
        uint sum = InternetChecksum.CopyAndSum(bytes[..done], pool.Head(frame)[offset..]);
        for (uint chunk = pool.Chunks.Note(frame.Chunk).Next; done < bytes.Length; chunk = pool.Chunks.Note(chunk).Next)
        {
            Span<byte> into = pool.ChunkSpan(chunk);
            int count = Math.Min(into.Length, bytes.Length - done);
            uint part = InternetChecksum.CopyAndSum(bytes.Slice(done, count), into);
            sum = InternetChecksum.Combine(sum, part, (done & 1) != 0);
            done += count;
        }

        return sum;
    }

    /// <summary>Brings the frame's first bytes into the first chunk; false when they are not there or it has no room for them.</summary>
    public static bool TryMakeContiguous(this FramePool pool, ref Frame frame, int length)
    {
        if (length <= frame.HeadLength) return true;
        if (length > frame.Length || frame.Offset + length > pool.Chunks.ChunkSize) return false;
        Span<byte> room = new(pool.Address(frame) + frame.HeadLength, length - frame.HeadLength);
        pool.CopyTo(frame, frame.HeadLength, room);
        int left = room.Length;
        frame.HeadLength = (ushort)length;
        for (uint chunk = pool.Chunks.Note(frame.Chunk).Next; left > 0; chunk = pool.Chunks.Note(chunk).Next)
        {
            ref ChunkNote note = ref pool.Chunks.Note(chunk);
            int count = Math.Min(left, note.Length);
            note.Start += (ushort)count;
            note.Length -= (ushort)count;
            left -= count;
        }

        return true;
    }

    /// <summary>Does in software what the frame asked the link for: finishes its transport checksum.</summary>
    public static void FinishChecksum(this FramePool pool, ref Frame frame, bool isUdp)
    {
        if ((frame.Flags & FrameFlags.ChecksumUnfinished) == 0) return;
        frame.Flags &= ~FrameFlags.ChecksumUnfinished;
        // The field holds the pseudo-header's sum, so a sum over everything from the start includes it.
        uint sum = pool.Sum(frame, frame.ChecksumStart, frame.Length - frame.ChecksumStart, 0);
        ushort checksum = isUdp ? InternetChecksum.FinishUdp(sum) : InternetChecksum.Finish(sum);
        System.Runtime.InteropServices.MemoryMarshal.Write(pool.Head(frame)[(frame.ChecksumStart + frame.ChecksumOffset)..], checksum);
    }
}
