// UDP: the overlay, the checked view of a datagram, and the writer.
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Peregrine.Wire;

/// <summary>A UDP header (RFC 768).</summary>
[StructLayout(LayoutKind.Sequential, Pack = 1)]
public struct UdpHeader
{
    /// <summary>Bytes of the header.</summary>
    public const int Length = 8;

    /// <summary>Where the checksum lies, from the start of the header.</summary>
    public const int ChecksumOffset = 6;

    /// <summary>Source port, or zero.</summary>
    public BigEndian16 SourcePort;

    /// <summary>Destination port.</summary>
    public BigEndian16 DestinationPort;

    /// <summary>Header and payload, in bytes.</summary>
    public BigEndian16 DatagramLength;

    /// <summary>Checksum; zero says that there is none.</summary>
    public BigEndian16 Checksum;

    /// <summary>Writes a header with a checksum of zero, which a device is to complete, or <see cref="WriteChecksum"/>.</summary>
    /// <returns>Bytes written: 8.</returns>
    /// <exception cref="ArgumentException">The destination is too short.</exception>
    public static int Write(Span<byte> destination, ushort sourcePort, ushort destinationPort, int payloadLength)
    {
        ref UdpHeader header = ref Overlay.OnWritable<UdpHeader>(destination);
        header.SourcePort = sourcePort;
        header.DestinationPort = destinationPort;
        header.DatagramLength = checked((ushort)(Length + payloadLength));
        header.Checksum = default;
        return Length;
    }

    /// <summary>Completes the checksum of a header just written.</summary>
    /// <param name="header">The header, with a checksum of zero.</param>
    /// <param name="source">Source address.</param>
    /// <param name="destination">Destination address.</param>
    /// <param name="payloadSum">Sum of the payload from <see cref="InternetChecksum.Sum"/> or the copying form.</param>
    /// <param name="payloadLength">Bytes of payload.</param>
    public static void WriteChecksum(Span<byte> header, in IpAddress source, in IpAddress destination, uint payloadSum, int payloadLength)
    {
        uint sum = payloadSum + InternetChecksum.PseudoHeader(source, destination, IpProtocol.Udp, Length + payloadLength);
        ushort checksum = InternetChecksum.FinishUdp(InternetChecksum.Sum(header[..Length], sum));
        MemoryMarshal.Write(header[ChecksumOffset..], checksum);
    }
}

/// <summary>A UDP header with its payload, whose lengths have been checked; nothing else has.</summary>
public readonly ref struct UdpDatagram
{
    private readonly ReadOnlySpan<byte> _bytes;

    private UdpDatagram(ReadOnlySpan<byte> bytes) => _bytes = bytes;

    /// <summary>
    /// Accepts bytes that hold the whole datagram: a length field of at least 8 and not beyond the end. What follows it in the IP
    /// payload is cut off.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool TryParse(ReadOnlySpan<byte> bytes, out UdpDatagram datagram)
    {
        if (bytes.Length >= UdpHeader.Length)
        {
            int length = Overlay.On<UdpHeader>(bytes).DatagramLength;
            if (length >= UdpHeader.Length && length <= bytes.Length)
            {
                datagram = new UdpDatagram(bytes[..length]);
                return true;
            }
        }

        datagram = default;
        return false;
    }

    /// <summary>The header.</summary>
    public ref readonly UdpHeader Header => ref Overlay.On<UdpHeader>(_bytes);

    /// <summary>Source port, or zero.</summary>
    public ushort SourcePort => Header.SourcePort;

    /// <summary>Destination port.</summary>
    public ushort DestinationPort => Header.DestinationPort;

    /// <summary>Header and payload.</summary>
    public ReadOnlySpan<byte> Bytes => _bytes;

    /// <summary>The payload.</summary>
    public ReadOnlySpan<byte> Payload => _bytes[UdpHeader.Length..];

    /// <summary>Whether the sender has put in a checksum; over IPv6 it must (RFC 8200 §8.1).</summary>
    public bool HasChecksum => Header.Checksum.Raw != 0;

    /// <summary>Whether the checksum agrees with the bytes and these addresses. Look at <see cref="HasChecksum"/> first.</summary>
    public bool HasValidChecksum(in IpAddress source, in IpAddress destination) =>
        InternetChecksum.IsValid(
            InternetChecksum.Sum(_bytes, InternetChecksum.PseudoHeader(source, destination, IpProtocol.Udp, _bytes.Length)));
}
