// TCP-AO's traffic keys, derived from a master key and what is unique to a connection (RFC 5925 §5.2, RFC 5926 §3.1).
using System.Buffers.Binary;
using System.Diagnostics.CodeAnalysis;
using System.Runtime.CompilerServices;
using Peregrine.Wire;

namespace Peregrine.Core.Tcp.Authentication;

/// <summary>A traffic key.</summary>
internal struct TrafficKey
{
    private Room _room;

    [InlineArray(Sha1.Length)]
    private struct Room
    {
        private byte _first;
    }

    /// <summary>Derives the key of one direction of a connection.</summary>
    /// <param name="key">The master key tuple.</param>
    /// <param name="source">Who sends.</param>
    /// <param name="destination">Who receives.</param>
    /// <param name="sourceIsn">The sender's initial sequence number.</param>
    /// <param name="destinationIsn">The receiver's, and 0 for a SYN without ACK.</param>
    internal void Derive(TcpKey key, in Endpoint source, in Endpoint destination, uint sourceIsn, uint destinationIsn)
    {
        // RFC 5926 §3.1.1: counter, label, context, output length in bits.
        Span<byte> input = stackalloc byte[7 + 32 + 12 + 2];
        input[0] = 1;
        "TCP-AO"u8.CopyTo(input[1..]);
        var each = source.Address.IsIPv4 ? 4 : 16;
        source.Address.WriteTo(input[7..]);
        destination.Address.WriteTo(input[(7 + each)..]);
        var rest = input[(7 + (2 * each))..];
        BinaryPrimitives.WriteUInt16BigEndian(rest, source.Port);
        BinaryPrimitives.WriteUInt16BigEndian(rest[2..], destination.Port);
        BinaryPrimitives.WriteUInt32BigEndian(rest[4..], sourceIsn);
        BinaryPrimitives.WriteUInt32BigEndian(rest[8..], destinationIsn);
        BinaryPrimitives.WriteUInt16BigEndian(rest[12..], (ushort)(8 * LengthOf(key)));
        input = input[..(7 + (2 * each) + 14)];
        if (key.Algorithm == TcpKeyAlgorithm.HmacSha1)
        {
            SegmentMac.Derive(key.Algorithm, key.Secret, input, _room);
            return;
        }
        // RFC 5926 §3.1.1.2: a master key of another length goes through AES-CMAC with a key of zeros.
        Span<byte> master = stackalloc byte[Aes128.BlockLength];
        master.Clear();
        if (key.Secret.Length == master.Length) key.Secret.CopyTo(master);
        else SegmentMac.Derive(key.Algorithm, master, key.Secret, master);
        SegmentMac.Derive(key.Algorithm, master, input, _room);
        master.Clear();
    }

    /// <summary>The key's bytes.</summary>
    [UnscopedRef]
    internal ReadOnlySpan<byte> Bytes(TcpKey key) => ((ReadOnlySpan<byte>)_room)[..LengthOf(key)];

    private static int LengthOf(TcpKey key) => key.Algorithm == TcpKeyAlgorithm.HmacSha1 ? Sha1.Length : Aes128.BlockLength;
}
