// Puts a frame of the pool together from bytes that lie elsewhere: a peer's shared memory, a file's buffer.
using System.Runtime.CompilerServices;
using Peregrine.Core.Memory;

namespace Peregrine.Drivers;

/// <summary>A frame that is being put together from pieces of foreign memory, by copying.</summary>
internal unsafe struct FrameAssembly(FramePool frames)
{
    // Behind an Ethernet header of 14 bytes the IP header starts at a multiple of 16, with room to answer in place.
    public const int HeadOffset = 66;

    private uint _last = ChunkPool.None;

    public Frame Frame;

    /// <summary>There was no chunk for it: the rest is not kept.</summary>
    public bool IsShort { get; private set; }

    public void Append(byte* source, int length)
    {
        if (IsShort) return;
        if (_last == ChunkPool.None)
        {
            if (!frames.TryRent(out Frame, HeadOffset))
            {
                IsShort = true;
                return;
            }
            _last = Frame.Chunk;
        }
        while (length > 0)
        {
            var room = Room(out var target);
            if (room == 0)
            {
                if (!frames.TryExtend(ref Frame, ref _last, 0))
                {
                    IsShort = true;
                    return;
                }
                continue;
            }
            var n = Math.Min(room, length);
            Unsafe.CopyBlockUnaligned(target, source, (uint)n);
            Frame.Length += n;
            if (_last == Frame.Chunk) Frame.HeadLength += (ushort)n;
            else frames.Chunks.Note(_last).Length += (ushort)n;
            source += n;
            length -= n;
        }
    }

    /// <summary>Gives the chunks back.</summary>
    public void Abandon()
    {
        if (_last == ChunkPool.None) return;
        frames.Chunks.ReturnChain(Frame.Chunk);
        _last = ChunkPool.None;
    }

    private readonly int Room(out byte* target)
    {
        var capacity = Math.Min(frames.Chunks.ChunkSize, ushort.MaxValue);
        if (_last == Frame.Chunk)
        {
            target = frames.Chunks.Address(_last) + Frame.Offset + Frame.HeadLength;
            return capacity - Frame.Offset - Frame.HeadLength;
        }
        ref var note = ref frames.Chunks.Note(_last);
        target = frames.Chunks.Address(_last) + note.Start + note.Length;
        return capacity - note.Start - note.Length;
    }
}
