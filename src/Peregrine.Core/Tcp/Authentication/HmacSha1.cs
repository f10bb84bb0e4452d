// HMAC (RFC 2104) over SHA-1.
using System.Runtime.CompilerServices;

namespace Peregrine.Core.Tcp.Authentication;

/// <summary>A message that is being authenticated; default begins one only after <see cref="Begin"/>.</summary>
internal struct HmacSha1
{
    private Sha1 _inner;
    private Sha1 _outer;

    internal void Begin(ReadOnlySpan<byte> key)
    {
        Span<byte> pad = stackalloc byte[HashBlock.Length];
        pad.Clear();
        if (key.Length <= pad.Length)
        {
            key.CopyTo(pad);
        }
        else
        {
            // RFC 2104 §2: a longer key is hashed first.
            _inner.Begin();
            _inner.Append(key);
            _inner.Finish(pad);
        }
        Mask(pad, 0x36);
        _inner.Begin();
        _inner.Append(pad);
        Mask(pad, 0x36 ^ 0x5C);
        _outer.Begin();
        _outer.Append(pad);
        pad.Clear();
    }

    internal void Append(ReadOnlySpan<byte> bytes) => _inner.Append(bytes);

    /// <summary>The MAC of what was appended, 20 bytes.</summary>
    internal void Finish(Span<byte> mac)
    {
        Span<byte> hash = stackalloc byte[Sha1.Length];
        _inner.Finish(hash);
        _outer.Append(hash);
        _outer.Finish(mac);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Mask(Span<byte> pad, byte mask)
    {
        foreach (ref var b in pad) b ^= mask;
    }
}
