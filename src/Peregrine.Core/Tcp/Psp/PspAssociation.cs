// What PSP knows of one connection: its keys both ways, where its clear text ends, and what of the peer's clear text is still taken.
using System.Security.Cryptography;
using Peregrine.Wire;

namespace Peregrine.Core.Tcp.Psp;

internal sealed class PspAssociation(PspKey receive, Endpoint local, Endpoint remote) : IDisposable
{
    private readonly AesGcm _receive = PspPacket.CipherOf(receive.Key);
    private AesGcm? _transmit;
    private SeqNumber _clearUntil;
    private bool _hasClear;

    internal Endpoint Local { get; } = local;

    internal Endpoint Remote { get; } = remote;

    /// <summary>What the peer's packets say.</summary>
    internal uint ReceiveSpi { get; } = receive.Spi;

    /// <summary>What ours say; 0 before there is a key for them.</summary>
    internal uint TransmitSpi { get; private set; }

    internal bool Transmits => _transmit is not null;

    /// <summary>The only place where a FIN in clear text is still taken once we transmit.</summary>
    internal SeqNumber ClearFinAt { get; private set; }

    /// <summary>Behind the last data, or the FIN, that came in clear text.</summary>
    internal SeqNumber ReceivedClearEnd { get; set; }

    /// <summary>The peer has sent what is secured: it has our key, and nothing in clear text is its any more.</summary>
    internal bool PeerTransmits { get; set; }

    internal void Begin(PspKey key, SeqNumber queueEnd, SeqNumber receiveNext)
    {
        (TransmitSpi, _transmit, _clearUntil, _hasClear, ClearFinAt) = (key.Spi, PspPacket.CipherOf(key.Key), queueEnd, true, receiveNext);
    }

    /// <summary>How many bytes from a sequence number on were queued before there was a key, and go in clear text however often they are sent.</summary>
    /// <param name="una">The oldest byte that is not acknowledged.</param>
    /// <param name="seq">Where the bytes begin.</param>
    internal uint ClearFrom(SeqNumber una, SeqNumber seq)
    {
        // Sequence numbers come round, and 2 GiB later everything is before that point again: once all before it is acknowledged it means nothing.
        _hasClear &= una.IsBefore(_clearUntil);
        return _hasClear && seq.IsBefore(_clearUntil) ? (uint)(_clearUntil - seq) : 0;
    }

    /// <summary>Writes a PSP header, and encrypts in place what stands behind it.</summary>
    /// <param name="header">Room for the header.</param>
    /// <param name="segment">The segment, which becomes cipher text.</param>
    /// <param name="tag">Room for the integrity check value.</param>
    /// <param name="iv">Of this packet only.</param>
    internal void Seal(Span<byte> header, Span<byte> segment, Span<byte> tag, ulong iv)
    {
        PspPacket.WriteHeader(header, TransmitSpi, iv);
        _transmit!.Encrypt(header.Slice(PspPacket.SpiOffset, PspPacket.NonceLength), segment, segment, tag, header);
    }

    /// <summary>Decrypts in place; false when it is not what the peer sealed.</summary>
    /// <param name="header">The PSP header.</param>
    /// <param name="text">Cipher text, which becomes the segment.</param>
    /// <param name="tag">The integrity check value that came.</param>
    /// <param name="scratch">As much room as the text.</param>
    internal bool TryUnseal(ReadOnlySpan<byte> header, Span<byte> text, ReadOnlySpan<byte> tag, Span<byte> scratch)
    {
        Span<byte> made = stackalloc byte[PspPacket.TagLength];
        var nonce = header.Slice(PspPacket.SpiOffset, PspPacket.NonceLength);
        // Decrypt throws at what is forged, and anybody can forge. GCM's cipher is its own inverse: what is encrypted once more is the clear text,
        // and what that is encrypted to has the tag that is due.
        _receive.Encrypt(nonce, text, text, made, header);
        _receive.Encrypt(nonce, text, scratch[..text.Length], made, header);
        return CryptographicOperations.FixedTimeEquals(made, tag);
    }

    public void Dispose()
    {
        _receive.Dispose();
        _transmit?.Dispose();
    }
}
