// The block of 64 bytes that MD5 and SHA-1 fill before they work on it, and the padding behind a message, which is the same for both.
using System.Buffers.Binary;
using System.Diagnostics.CodeAnalysis;
using System.Runtime.CompilerServices;

namespace Peregrine.Core.Tcp.Authentication;

/// <summary>Bytes that wait for a whole block, and how many there were in all.</summary>
internal struct HashBlock
{
    internal const int Length = 64;

    private const int CountOffset = Length - sizeof(ulong);

    private Room _room;
    private ulong _count;

    [InlineArray(Length)]
    private struct Room
    {
        private byte _first;
    }

    [UnscopedRef]
    internal Span<byte> Bytes => _room;

    /// <summary>Takes bytes from the front; true when the block is full and has to be worked on.</summary>
    internal bool Take(ref ReadOnlySpan<byte> bytes)
    {
        var fill = (int)(_count % Length);
        var taken = Math.Min(Length - fill, bytes.Length);
        bytes[..taken].CopyTo(Bytes[fill..]);
        bytes = bytes[taken..];
        _count += (uint)taken;
        return taken > 0 && fill + taken == Length;
    }

    /// <summary>A one bit, then zeros up to the count (RFC 1321 §3.1, RFC 3174 §4); true when a block of it has to be worked on first.</summary>
    internal bool Pad()
    {
        var fill = (int)(_count % Length);
        Bytes[fill] = 0x80;
        Bytes[(fill + 1)..].Clear();
        return fill >= CountOffset;
    }

    internal void WriteBitCountLittleEndian()
    {
        if (_count % Length >= CountOffset) Bytes.Clear();
        BinaryPrimitives.WriteUInt64LittleEndian(Bytes[CountOffset..], _count * 8);
    }

    internal void WriteBitCountBigEndian()
    {
        if (_count % Length >= CountOffset) Bytes.Clear();
        BinaryPrimitives.WriteUInt64BigEndian(Bytes[CountOffset..], _count * 8);
    }
}
