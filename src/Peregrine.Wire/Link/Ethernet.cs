// Ethernet II with up to two VLAN tags. Lengths in the type field (IEEE 802.3 with LLC) parse as frames whose EtherType is below 0x600.
using System.Buffers.Binary;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Peregrine.Wire;

/// <summary>Values of the type field (IANA, IEEE).</summary>
public static class EtherType
{
    /// <summary>IPv4.</summary>
    public const ushort IPv4 = 0x0800;

    /// <summary>ARP.</summary>
    public const ushort Arp = 0x0806;

    /// <summary>IEEE 802.1Q tag.</summary>
    public const ushort Vlan = 0x8100;

    /// <summary>IPv6.</summary>
    public const ushort IPv6 = 0x86DD;

    /// <summary>IEEE 802.1ad service tag (QinQ).</summary>
    public const ushort ServiceVlan = 0x88A8;

    /// <summary>The QinQ tag of equipment older than 802.1ad.</summary>
    public const ushort OldServiceVlan = 0x9100;

    /// <summary>Smaller values are lengths of IEEE 802.3 frames.</summary>
    public const ushort Min = 0x0600;

    /// <summary>Whether a tag follows.</summary>
    public static bool IsTag(ushort etherType) => etherType is Vlan or ServiceVlan or OldServiceVlan;
}

/// <summary>The two bytes of a VLAN tag after its type: priority, drop eligibility, identifier.</summary>
/// <param name="Value">The field, in host order.</param>
public readonly record struct VlanTag(ushort Value)
{
    /// <summary>Bytes of a tag in a frame, its type included.</summary>
    public const int Length = 4;

    /// <summary>Makes a tag.</summary>
    /// <param name="id">VLAN identifier, 0 to 4095.</param>
    /// <param name="priority">Priority code point, 0 to 7.</param>
    /// <param name="dropEligible">Drop eligible indicator.</param>
    public static VlanTag Create(int id, int priority = 0, bool dropEligible = false) =>
        new((ushort)((priority & 7) << 13 | (dropEligible ? 0x1000 : 0) | (id & 0xFFF)));

    /// <summary>VLAN identifier, 0 to 4095.</summary>
    public int Id => Value & 0xFFF;

    /// <summary>Priority code point, 0 to 7.</summary>
    public int Priority => Value >> 13;

    /// <summary>Drop eligible indicator.</summary>
    public bool IsDropEligible => (Value & 0x1000) != 0;
}

/// <summary>An Ethernet II header without tags.</summary>
[StructLayout(LayoutKind.Sequential, Pack = 1)]
public struct EthernetHeader
{
    /// <summary>Bytes of the header without tags.</summary>
    public const int Length = 14;

    /// <summary>Bytes of the header with two tags.</summary>
    public const int LengthMax = Length + 2 * VlanTag.Length;

    private BigEndian16 _destinationHigh;
    private BigEndian32 _destinationLow;
    private BigEndian16 _sourceHigh;
    private BigEndian32 _sourceLow;

    /// <summary>The type field: of the payload, or of the first tag.</summary>
    public BigEndian16 EtherType;

    /// <summary>Destination address.</summary>
    public MacAddress Destination
    {
        readonly get => new((ulong)_destinationHigh << 32 | _destinationLow);
        set => (_destinationHigh, _destinationLow) = ((ushort)(value.Value >> 32), (uint)value.Value);
    }

    /// <summary>Source address.</summary>
    public MacAddress Source
    {
        readonly get => new((ulong)_sourceHigh << 32 | _sourceLow);
        set => (_sourceHigh, _sourceLow) = ((ushort)(value.Value >> 32), (uint)value.Value);
    }

    /// <summary>Writes a header without tags.</summary>
    /// <returns>Bytes written: 14.</returns>
    /// <exception cref="ArgumentException">The destination span is too short.</exception>
    public static int Write(Span<byte> frame, MacAddress destination, MacAddress source, ushort etherType)
    {
        ref EthernetHeader header = ref Overlay.OnWritable<EthernetHeader>(frame);
        header.Destination = destination;
        header.Source = source;
        header.EtherType = etherType;
        return Length;
    }

    /// <summary>Writes a header with one 802.1Q tag.</summary>
    /// <returns>Bytes written: 18.</returns>
    /// <exception cref="ArgumentException">The destination span is too short.</exception>
    public static int Write(Span<byte> frame, MacAddress destination, MacAddress source, VlanTag tag, ushort etherType)
    {
        if (frame.Length < Length + VlanTag.Length) Overlay.ThrowTooShort();
        Write(frame, destination, source, Wire.EtherType.Vlan);
        BinaryPrimitives.WriteUInt16BigEndian(frame[14..], tag.Value);
        BinaryPrimitives.WriteUInt16BigEndian(frame[16..], etherType);
        return Length + VlanTag.Length;
    }

    /// <summary>Writes a header with a service tag and an 802.1Q tag inside it (QinQ).</summary>
    /// <returns>Bytes written: 22.</returns>
    /// <exception cref="ArgumentException">The destination span is too short.</exception>
    public static int Write(Span<byte> frame, MacAddress destination, MacAddress source, VlanTag outer, VlanTag inner, ushort etherType)
    {
        if (frame.Length < LengthMax) Overlay.ThrowTooShort();
        Write(frame, destination, source, Wire.EtherType.ServiceVlan);
        BinaryPrimitives.WriteUInt16BigEndian(frame[14..], outer.Value);
        BinaryPrimitives.WriteUInt16BigEndian(frame[16..], Wire.EtherType.Vlan);
        BinaryPrimitives.WriteUInt16BigEndian(frame[18..], inner.Value);
        BinaryPrimitives.WriteUInt16BigEndian(frame[20..], etherType);
        return LengthMax;
    }
}

/// <summary>An Ethernet frame whose header and tags are whole.</summary>
public readonly ref struct EthernetFrame
{
    private readonly ReadOnlySpan<byte> _bytes;
    private readonly int _headerLength;

    private EthernetFrame(ReadOnlySpan<byte> bytes, int headerLength)
    {
        _bytes = bytes;
        _headerLength = headerLength;
    }

    /// <summary>Accepts bytes that hold a header with zero to two tags. A third tag is left as the payload's type.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool TryParse(ReadOnlySpan<byte> bytes, out EthernetFrame frame)
    {
        if (bytes.Length >= EthernetHeader.Length)
        {
            if (!Wire.EtherType.IsTag(Overlay.On<EthernetHeader>(bytes).EtherType))
            {
                frame = new EthernetFrame(bytes, EthernetHeader.Length);
                return true;
            }

            return TryParseTagged(bytes, out frame);
        }

        frame = default;
        return false;
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static bool TryParseTagged(ReadOnlySpan<byte> bytes, out EthernetFrame frame)
    {
        int length = EthernetHeader.Length + VlanTag.Length;
        if (bytes.Length >= length && Wire.EtherType.IsTag(BinaryPrimitives.ReadUInt16BigEndian(bytes[(length - 2)..]))) length += VlanTag.Length;
        bool good = bytes.Length >= length;
        frame = good ? new EthernetFrame(bytes, length) : default;
        return good;
    }

    /// <summary>The header without tags.</summary>
    public ref readonly EthernetHeader Header => ref Overlay.On<EthernetHeader>(_bytes);

    /// <summary>Destination address.</summary>
    public MacAddress Destination => Header.Destination;

    /// <summary>Source address.</summary>
    public MacAddress Source => Header.Source;

    /// <summary>Type of the payload, behind the tags.</summary>
    public ushort EtherType => BinaryPrimitives.ReadUInt16BigEndian(_bytes[(_headerLength - 2)..]);

    /// <summary>How many tags there are: 0 to 2.</summary>
    public int TagCount => (_headerLength - EthernetHeader.Length) / VlanTag.Length;

    /// <summary>The outer or only tag; zero when there is none.</summary>
    public VlanTag OuterTag => new(TagCount > 0 ? BinaryPrimitives.ReadUInt16BigEndian(_bytes[14..]) : (ushort)0);

    /// <summary>The inner one of two tags; zero when there are fewer.</summary>
    public VlanTag InnerTag => new(TagCount > 1 ? BinaryPrimitives.ReadUInt16BigEndian(_bytes[18..]) : (ushort)0);

    /// <summary>Bytes before the payload: 14, 18 or 22.</summary>
    public int HeaderLength => _headerLength;

    /// <summary>The whole frame.</summary>
    public ReadOnlySpan<byte> Bytes => _bytes;

    /// <summary>The payload, with any padding.</summary>
    public ReadOnlySpan<byte> Payload => _bytes[_headerLength..];
}
