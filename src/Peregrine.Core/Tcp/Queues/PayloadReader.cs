// Reads the payload of a frame run by run over its chunks. Borrows the frame: returns nothing to the pool and judges no header.
using System.Runtime.CompilerServices;
using Peregrine.Core.Memory;

namespace Peregrine.Core.Tcp.Queues;

/// <summary>A place in a frame's bytes that moves forward.</summary>
internal unsafe ref struct PayloadReader
{
    private readonly ChunkPool _chunks;
    private byte* _at;
    private int _run;
    private uint _next;
    private int _left;

    /// <summary>Begins <paramref name="offset"/> bytes behind the frame's first byte, with at most <paramref name="length"/> bytes to read.</summary>
    internal PayloadReader(ChunkPool chunks, in Frame frame, int offset, int length)
    {
        _chunks = chunks;
        _at = chunks.Address(frame.Chunk) + frame.Offset;
        _run = Math.Min(frame.HeadLength, frame.Length);
        _next = frame.IsChained ? chunks.Note(frame.Chunk).Next : ChunkPool.None;
        _left = frame.Length;
        Skip(offset);
        // Never beyond the frame's end, whatever a header made the caller believe.
        _left = Math.Max(0, Math.Min(_left, length));
    }

    /// <summary>Whether a byte is left: <see cref="Read"/> will not return 0.</summary>
    internal bool HasMore() => Advance();

    /// <summary>Passes over bytes.</summary>
    internal void Skip(int count)
    {
        while (count > 0 && Advance())
        {
            var n = Math.Min(count, _run);
            Take(n);
            count -= n;
        }
    }

    /// <summary>Copies the next bytes; returns how many there were.</summary>
    internal int Read(byte* destination, int count)
    {
        var copied = 0;
        while (copied < count && Advance())
        {
            var n = Math.Min(count - copied, _run);
            Buffer.MemoryCopy(_at, destination + copied, n, n);
            Take(n);
            copied += n;
        }
        return copied;
    }

    /// <summary>Makes the run not empty, and no longer than what is left; false at the end.</summary>
    private bool Advance()
    {
        while (_run == 0 && _next != ChunkPool.None)
        {
            ref var note = ref _chunks.Note(_next);
            _at = _chunks.Address(_next) + note.Start;
            (_run, _next) = (note.Length, note.Next);
        }
        if (_run > _left) _run = _left;
        return _run > 0;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private void Take(int count)
    {
        _at += count;
        _run -= count;
        _left -= count;
    }
}
