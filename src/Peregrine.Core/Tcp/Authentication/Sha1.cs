// SHA-1 (RFC 3174), for TCP-AO's HMAC-SHA-1-96 (RFC 5926). Written here for the reasons that stand in Md5.cs.
using System.Buffers.Binary;
using System.Numerics;
using System.Runtime.CompilerServices;

namespace Peregrine.Core.Tcp.Authentication;

/// <summary>A message that is being hashed; default begins one only after <see cref="Begin"/>.</summary>
internal struct Sha1
{
    internal const int Length = 20;

    private HashBlock _block;
    private uint _a, _b, _c, _d, _e;

    internal void Begin()
    {
        _block = default;
        (_a, _b, _c, _d, _e) = (0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476, 0xC3D2E1F0);
    }

    internal void Append(ReadOnlySpan<byte> bytes)
    {
        while (_block.Take(ref bytes)) Compress();
    }

    /// <summary>The hash of what was appended, 20 bytes.</summary>
    internal void Finish(Span<byte> hash)
    {
        if (_block.Pad()) Compress();
        _block.WriteBitCountBigEndian();
        Compress();
        BinaryPrimitives.WriteUInt32BigEndian(hash, _a);
        BinaryPrimitives.WriteUInt32BigEndian(hash[4..], _b);
        BinaryPrimitives.WriteUInt32BigEndian(hash[8..], _c);
        BinaryPrimitives.WriteUInt32BigEndian(hash[12..], _d);
        BinaryPrimitives.WriteUInt32BigEndian(hash[16..], _e);
    }

    // RFC 3174 §6.2, with the 16 words of method 2.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void Compress()
    {
        Span<uint> words = stackalloc uint[16];
        for (var i = 0; i < words.Length; i++) words[i] = BinaryPrimitives.ReadUInt32BigEndian(_block.Bytes[(4 * i)..]);
        var (a, b, c, d, e) = (_a, _b, _c, _d, _e);
        for (var i = 0; i < 80; i++)
        {
            if (i >= 16) words[i & 15] = BitOperations.RotateLeft(words[(i + 13) & 15] ^ words[(i + 8) & 15] ^ words[(i + 2) & 15] ^ words[i & 15], 1);
            var (f, k) = (i / 20) switch
            {
                0 => ((b & c) | (~b & d), 0x5A827999u),
                1 => (b ^ c ^ d, 0x6ED9EBA1u),
                2 => ((b & c) | (b & d) | (c & d), 0x8F1BBCDCu),
                _ => (b ^ c ^ d, 0xCA62C1D6u),
            };
            (e, d, c, b, a) = (d, c, BitOperations.RotateLeft(b, 30), a, BitOperations.RotateLeft(a, 5) + f + e + k + words[i & 15]);
        }
        _a += a;
        _b += b;
        _c += c;
        _d += d;
        _e += e;
    }
}
