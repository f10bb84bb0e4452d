// AES-CMAC (RFC 4493) over a message that comes in pieces.
using System.Diagnostics.CodeAnalysis;
using System.Runtime.CompilerServices;

namespace Peregrine.Core.Tcp.Authentication;

/// <summary>A message that is being authenticated; default begins one only after <see cref="Begin"/>.</summary>
internal struct AesCmac
{
    internal const int Length = Aes128.BlockLength;

    private Aes128 _cipher;
    private Block _state;
    private int _fill;

    [InlineArray(Length)]
    private struct Block
    {
        private byte _first;
    }

    // The chain so far, with what waits for company added into it.
    [UnscopedRef]
    private Span<byte> State => _state;

    /// <param name="key">16 bytes.</param>
    internal void Begin(ReadOnlySpan<byte> key)
    {
        _cipher.Begin(key);
        State.Clear();
        _fill = 0;
    }

    internal void Append(ReadOnlySpan<byte> bytes)
    {
        foreach (var b in bytes)
        {
            // RFC 4493 §2.4: the last block is treated otherwise, so a full one waits until there is more.
            if (_fill == Length)
            {
                _cipher.Encrypt(State);
                _fill = 0;
            }
            State[_fill++] ^= b;
        }
    }

    /// <summary>The MAC of what was appended, 16 bytes.</summary>
    internal void Finish(Span<byte> mac)
    {
        Span<byte> subkey = stackalloc byte[Length];
        subkey.Clear();
        _cipher.Encrypt(subkey);
        Double(subkey);
        if (_fill < Length)
        {
            State[_fill] ^= 0x80;
            Double(subkey);
        }
        for (var i = 0; i < Length; i++) State[i] ^= subkey[i];
        _cipher.Encrypt(State);
        State.CopyTo(mac);
    }

    // RFC 4493 §2.3: one bit to the left, and what fell out comes back as a constant.
    private static void Double(Span<byte> subkey)
    {
        var carry = subkey[0] >> 7;
        for (var i = 0; i < Length - 1; i++) subkey[i] = (byte)((subkey[i] << 1) | (subkey[i + 1] >> 7));
        subkey[^1] = (byte)((subkey[^1] << 1) ^ (carry * 0x87));
    }
}
