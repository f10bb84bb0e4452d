// The bytes of a PSP packet in transport mode (PSP Architecture Specification): behind a UDP header a header of 16 bytes, the segment as cipher
// text, and 16 bytes that prove it. Version 0, AES-GCM with 128 bits, everything behind the header encrypted, no virtualization cookie.
using System.Buffers.Binary;
using System.Security.Cryptography;
using Peregrine.Wire;

namespace Peregrine.Core.Tcp.Psp;

internal static class PspPacket
{
    internal const int HeaderLength = 16;
    internal const int TagLength = 16;
    internal const int SpiOffset = 4;

    /// <summary>SPI and IV together, as they stand in the header.</summary>
    internal const int NonceLength = 12;

    /// <summary>What PSP takes of each packet, UDP's header included.</summary>
    internal const int Overhead = UdpHeader.Length + HeaderLength + TagLength;

    // Units of 8 bytes behind the first.
    private const byte ExtensionLength = (HeaderLength - 8) / 8;

    // The last bit is always set; version and cookie are zero. The two before them ask devices for samples, and are nothing to us.
    private const byte VersionZero = 1, VersionMask = 0x3F;

    // Two reserved bits come before the offset at which the encrypted part begins: zero here, and no matter what there.
    private const byte OffsetMask = 0x3F;

    internal static AesGcm CipherOf(UInt128 key)
    {
        Span<byte> bytes = stackalloc byte[16];
        BinaryPrimitives.WriteUInt128BigEndian(bytes, key);
        return new AesGcm(bytes, TagLength);
    }

    internal static void WriteHeader(Span<byte> header, uint spi, ulong iv)
    {
        header[0] = IpProtocol.Tcp;
        header[1] = ExtensionLength;
        header[2] = 0;
        header[3] = VersionZero;
        BinaryPrimitives.WriteUInt32BigEndian(header[SpiOffset..], spi);
        BinaryPrimitives.WriteUInt64BigEndian(header[(SpiOffset + sizeof(uint))..], iv);
    }

    /// <summary>Whether a header is of the kind that is understood here; and its SPI.</summary>
    internal static bool TryReadHeader(ReadOnlySpan<byte> header, out uint spi)
    {
        spi = header.Length >= HeaderLength ? BinaryPrimitives.ReadUInt32BigEndian(header[SpiOffset..]) : 0;
        return spi != 0 && header[0] == IpProtocol.Tcp && header[1] == ExtensionLength && (header[2] & OffsetMask) == 0 && (header[3] & VersionMask) == VersionZero;
    }
}
