// A frame as judges see it: family, addresses, and the TCP segment in it, if there is one. Reads anything and throws never.
using System.Buffers.Binary;
using Peregrine.Wire;

namespace Peregrine.Simulation.Judges;

internal readonly ref struct SegmentView
{
    public bool IsV4 { get; private init; }

    public byte Protocol { get; private init; }

    public ReadOnlySpan<byte> Addresses { get; private init; }

    public ReadOnlySpan<byte> Payload { get; private init; }

    public bool IsFragment { get; private init; }

    public bool IsTcp => Protocol == IpProtocol.Tcp && !IsFragment && Payload.Length >= TcpHeader.Length;

    public ushort SourcePort => BinaryPrimitives.ReadUInt16BigEndian(Payload);

    public ushort DestinationPort => BinaryPrimitives.ReadUInt16BigEndian(Payload[2..]);

    public SeqNumber Seq => new(BinaryPrimitives.ReadUInt32BigEndian(Payload[4..]));

    public SeqNumber Ack => new(BinaryPrimitives.ReadUInt32BigEndian(Payload[8..]));

    public TcpFlags Flags => (TcpFlags)(((Payload[12] & 1) << 8) | Payload[13]);

    public ushort Window => BinaryPrimitives.ReadUInt16BigEndian(Payload[14..]);

    public int HeaderLength => (Payload[12] >> 4) * 4;

    public ReadOnlySpan<byte> Options => Payload[TcpHeader.Length..Math.Clamp(HeaderLength, TcpHeader.Length, Payload.Length)];

    public int DataLength => Math.Max(0, Payload.Length - HeaderLength);

    public IpAddress Source => IsV4 ? IpAddress.ReadIPv4(Addresses) : IpAddress.ReadIPv6(Addresses);

    public IpAddress Destination => IsV4 ? IpAddress.ReadIPv4(Addresses[4..]) : IpAddress.ReadIPv6(Addresses[16..]);

    /// <summary>An IP packet without IPv6 extension headers in an Ethernet frame; false for all else.</summary>
    public static bool TryRead(ReadOnlySpan<byte> frame, out SegmentView view)
    {
        view = default;
        if (frame.Length < EthernetHeader.Length + 20) return false;
        var ip = frame[EthernetHeader.Length..];
        switch (BinaryPrimitives.ReadUInt16BigEndian(frame[12..]))
        {
            case EtherType.IPv4:
                int header = (ip[0] & 15) * 4, total = BinaryPrimitives.ReadUInt16BigEndian(ip[2..]);
                if (ip[0] >> 4 != 4 || header < 20 || total < header || total > ip.Length) return false;
                view = new SegmentView
                {
                    IsV4 = true, Protocol = ip[9], Addresses = ip.Slice(12, 8), Payload = ip[header..total],
                    IsFragment = (BinaryPrimitives.ReadUInt16BigEndian(ip[6..]) & 0x3FFF) != 0,
                };
                return true;
            case EtherType.IPv6:
                if (ip.Length < 40 || ip[0] >> 4 != 6) return false;
                int length = BinaryPrimitives.ReadUInt16BigEndian(ip[4..]);
                if (length > ip.Length - 40) return false;
                view = new SegmentView { Protocol = ip[6], Addresses = ip.Slice(8, 32), Payload = ip.Slice(40, length) };
                return true;
            default:
                return false;
        }
    }

    /// <summary>Whether the transport's checksum agrees.</summary>
    public bool HasGoodChecksum =>
        InternetChecksum.IsValid(InternetChecksum.Sum(Payload, InternetChecksum.PseudoHeader(Source, Destination, Protocol, Payload.Length)));
}
