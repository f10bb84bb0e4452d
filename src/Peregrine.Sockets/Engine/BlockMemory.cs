// Memory<byte> over the stack's native pool of blocks, so that pipes can hand out ring blocks themselves. The pool never moves; what limits the
// use of a block is the ring that owns it (see docs/internals/sockets.md, "How long a pipe's memory lives").
using System.Buffers;
using System.Runtime.CompilerServices;
using Peregrine.Core.Memory;

namespace Peregrine.Sockets;

/// <summary>Turns addresses within the pool of blocks into memory. Windows of 1 GiB overlap by the largest block, since a Memory counts in ints.</summary>
internal sealed unsafe class BlockMemory
{
    private const int WindowShift = 30;
    private const int Overlap = 1 << 17;

    private readonly byte* _base;
    private readonly Window[] _windows;

    internal BlockMemory(ChunkPool blocks)
    {
        _base = blocks.Base;
        var bytes = (nuint)blocks.Count * (nuint)blocks.ChunkSize;
        var count = (int)((bytes + ((nuint)1 << WindowShift) - 1) >> WindowShift);
        _windows = new Window[count];
        for (var i = 0; i < count; i++)
        {
            var start = (nuint)i << WindowShift;
            var length = (int)Math.Min(bytes - start, ((nuint)1 << WindowShift) + Overlap);
            _windows[i] = new Window(_base + start, length);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal Memory<byte> Slice(byte* address, int length)
    {
        var offset = (nuint)(address - _base);
        return _windows[offset >> WindowShift].Slice((int)(offset & (((nuint)1 << WindowShift) - 1)), length);
    }

    private sealed class Window(byte* start, int length) : MemoryManager<byte>
    {
        public override Span<byte> GetSpan() => new(start, length);

        public override MemoryHandle Pin(int elementIndex = 0) => new(start + elementIndex);

        public override void Unpin()
        {
        }

        internal Memory<byte> Slice(int offset, int count) => CreateMemory(offset, count);

        protected override void Dispose(bool disposing)
        {
        }
    }
}
