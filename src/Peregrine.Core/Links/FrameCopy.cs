// Copies a frame into another pool (or the same), chunk by chunk, with its description. Used where two owners need the bytes.
using Peregrine.Core.Memory;

namespace Peregrine.Core.Links;

internal static class FrameCopy
{
    /// <summary>Bytes left free before a copied frame, so that an answer can be made in place.</summary>
    public const int Headroom = 64;

    /// <summary>Copies <paramref name="source"/> of pool <paramref name="from"/> into a new frame of pool <paramref name="to"/>.</summary>
    /// <returns>False when <paramref name="to"/> has too few free chunks; nothing is rented then.</returns>
    public static bool TryCopy(FramePool from, in Frame source, FramePool to, out Frame copy)
    {
        if (!to.TryRent(out var rented, Headroom))
        {
            copy = default;
            return false;
        }
        copy = source;
        copy.Chunk = rented.Chunk;
        copy.Offset = Headroom;
        copy.Flags &= ~FrameFlags.Gathered;
        copy.HeadLength = (ushort)Math.Min(source.Length, to.Chunks.ChunkSize - Headroom);
        from.CopyTo(source, 0, to.Head(copy));
        return copy.HeadLength == source.Length || TryCopyRest(from, source, to, ref copy);
    }

    private static bool TryCopyRest(FramePool from, in Frame source, FramePool to, ref Frame copy)
    {
        var last = copy.Chunk;
        copy.Length = copy.HeadLength;
        while (copy.Length < source.Length)
        {
            var n = Math.Min(source.Length - copy.Length, Math.Min(to.Chunks.ChunkSize, ushort.MaxValue));
            if (!to.TryExtend(ref copy, ref last, n))
            {
                to.Return(copy);
                return false;
            }
            from.CopyTo(source, copy.Length - n, to.ChunkSpan(last));
        }
        return true;
    }
}
