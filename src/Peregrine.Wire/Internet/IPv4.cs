// IPv4: the overlay, the checked view of a packet, the options, and the writer. Reassembly and forwarding are elsewhere.
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Peregrine.Wire;

/// <summary>The fixed part of an IPv4 header (RFC 791 §3.1).</summary>
[StructLayout(LayoutKind.Sequential, Pack = 1)]
public struct IPv4Header
{
    /// <summary>Bytes of the fixed part.</summary>
    public const int Length = 20;

    /// <summary>Bytes of the longest header, options included.</summary>
    public const int LengthMax = 60;

    /// <summary>Bytes of the longest packet.</summary>
    public const int TotalLengthMax = 65535;

    /// <summary>Where the checksum lies, from the start of the header.</summary>
    public const int ChecksumOffset = 10;

    /// <summary>Version (upper four bits) and header length in words of 32 bits.</summary>
    public byte VersionAndLength;

    /// <summary>DSCP (upper six bits) and ECN (RFC 2474, RFC 3168).</summary>
    public byte TrafficClass;

    /// <summary>Header and payload, in bytes.</summary>
    public BigEndian16 TotalLength;

    /// <summary>Identification of a fragmentable packet (RFC 6864).</summary>
    public BigEndian16 Identification;

    /// <summary>Reserved, DF and MF bits, and the fragment offset in units of 8 bytes.</summary>
    public BigEndian16 FlagsAndFragmentOffset;

    /// <summary>Time to live, in hops.</summary>
    public byte TimeToLive;

    /// <summary>Protocol of the payload; see <see cref="IpProtocol"/>.</summary>
    public byte Protocol;

    /// <summary>Checksum of the header; see <see cref="InternetChecksum"/> for its byte order.</summary>
    public BigEndian16 Checksum;

    /// <summary>Source address.</summary>
    public BigEndian32 Source;

    /// <summary>Destination address.</summary>
    public BigEndian32 Destination;

    /// <summary>Writes a header with a correct checksum.</summary>
    /// <param name="packet">Where to write: the start of the packet.</param>
    /// <param name="source">Source address.</param>
    /// <param name="destination">Destination address.</param>
    /// <param name="protocol">Protocol of the payload.</param>
    /// <param name="payloadLength">Bytes of payload.</param>
    /// <param name="timeToLive">Hops it may live.</param>
    /// <param name="trafficClass">DSCP and ECN.</param>
    /// <param name="identification">Identification; significant only where fragmentation may happen.</param>
    /// <param name="flags">DF, MF.</param>
    /// <param name="fragmentOffset">Offset of this fragment in bytes, a multiple of 8.</param>
    /// <param name="options">Options, 0 to 40 bytes, padded here to a multiple of 4.</param>
    /// <returns>Bytes written: 20 to 60.</returns>
    /// <exception cref="ArgumentException">The destination is too short, the options too long, or the packet longer than 65535 bytes.</exception>
    public static int Write(
        Span<byte> packet, in IpAddress source, in IpAddress destination, byte protocol, int payloadLength, byte timeToLive = 64,
        byte trafficClass = 0, ushort identification = 0, IPv4Flags flags = IPv4Flags.DontFragment, int fragmentOffset = 0,
        ReadOnlySpan<byte> options = default)
    {
        int length = Length + ((options.Length + 3) & ~3);
        if (length > LengthMax || packet.Length < length || (uint)payloadLength > (uint)(TotalLengthMax - length)) Overlay.ThrowTooShort();
        ref IPv4Header header = ref Overlay.OnWritable<IPv4Header>(packet);
        ushort total = (ushort)(length + payloadLength), fragment = (ushort)((int)flags << 13 | fragmentOffset >> 3);
        header.VersionAndLength = (byte)(0x40 | length >> 2);
        header.TrafficClass = trafficClass;
        header.TotalLength = total;
        header.Identification = identification;
        header.FlagsAndFragmentOffset = fragment;
        header.TimeToLive = timeToLive;
        header.Protocol = protocol;
        header.Checksum = default;
        header.Source = source.ToIPv4();
        header.Destination = destination.ToIPv4();
        if (length > Length)
        {
            // RFC 791 §3.1: padding is zero, which also ends the list.
            packet[Length..length].Clear();
            options.CopyTo(packet[Length..]);
            header.Checksum = BigEndian16.FromRaw(InternetChecksum.Finish(InternetChecksum.Sum(packet[..length])));
            return length;
        }

        // From the values rather than from memory: reading back in words what was just written in bytes waits for the stores.
        ulong sum = (0x4500u | trafficClass) + (ulong)total + identification + fragment + ((uint)timeToLive << 8 | protocol)
            + source.ToIPv4() + destination.ToIPv4();
        header.Checksum = BigEndian16.FromRaw(InternetChecksum.Finish(InternetChecksum.FromWords(sum)));
        return length;
    }
}

/// <summary>The three flag bits of an IPv4 header (RFC 791 §3.1).</summary>
[Flags]
public enum IPv4Flags : byte
{
    /// <summary>No bit.</summary>
    None = 0,

    /// <summary>More fragments follow.</summary>
    MoreFragments = 1,

    /// <summary>Routers must not fragment.</summary>
    DontFragment = 2,

    /// <summary>Reserved, zero.</summary>
    Reserved = 4,
}

/// <summary>An IPv4 packet whose version and lengths have been checked; nothing else has, its checksum included.</summary>
public readonly ref struct IPv4Packet
{
    private readonly ReadOnlySpan<byte> _bytes;
    private readonly int _headerLength;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private IPv4Packet(ReadOnlySpan<byte> bytes, int headerLength)
    {
        _bytes = bytes;
        _headerLength = headerLength;
    }

    /// <summary>
    /// Accepts bytes that hold a whole packet: version 4, a header of at least 20 bytes within the total length, and that within the
    /// bytes. What follows (padding of the frame) is cut off.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool TryParse(ReadOnlySpan<byte> bytes, out IPv4Packet packet) => TryParse(bytes, bytes.Length, out packet);

    /// <summary>
    /// As <see cref="TryParse(ReadOnlySpan{byte}, out IPv4Packet)"/>, for a packet that an ICMP error quotes and may have cut off: only
    /// the header must be there, and the payload ends where the bytes do.
    /// </summary>
    public static bool TryParseQuoted(ReadOnlySpan<byte> bytes, out IPv4Packet packet) => TryParse(bytes, int.MaxValue, out packet);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static bool TryParse(ReadOnlySpan<byte> bytes, int totalLengthMax, out IPv4Packet packet)
    {
        if (bytes.Length >= IPv4Header.Length)
        {
            ref readonly IPv4Header header = ref Overlay.On<IPv4Header>(bytes);
            int headerLength = (header.VersionAndLength & 0xF) << 2;
            int totalLength = header.TotalLength;
            if (header.VersionAndLength >> 4 == 4 && headerLength >= IPv4Header.Length && headerLength <= bytes.Length
                && totalLength >= headerLength && totalLength <= totalLengthMax)
            {
                packet = new IPv4Packet(bytes[..Math.Min(totalLength, bytes.Length)], headerLength);
                return true;
            }
        }

        packet = default;
        return false;
    }

    /// <summary>The fixed header.</summary>
    public ref readonly IPv4Header Header
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => ref Overlay.On<IPv4Header>(_bytes);
    }

    /// <summary>Source address.</summary>
    public IpAddress Source => IpAddress.FromIPv4(Header.Source);

    /// <summary>Destination address.</summary>
    public IpAddress Destination => IpAddress.FromIPv4(Header.Destination);

    /// <summary>Protocol of the payload; see <see cref="IpProtocol"/>.</summary>
    public byte Protocol => Header.Protocol;

    /// <summary>Time to live, in hops.</summary>
    public byte TimeToLive => Header.TimeToLive;

    /// <summary>DSCP and ECN.</summary>
    public byte TrafficClass => Header.TrafficClass;

    /// <summary>The two ECN bits (RFC 3168 §5): 0 not capable, 1 ECT(1), 2 ECT(0), 3 congestion experienced.</summary>
    public byte Ecn => (byte)(Header.TrafficClass & 3);

    /// <summary>Identification.</summary>
    public ushort Identification => Header.Identification;

    /// <summary>The flag bits.</summary>
    public IPv4Flags Flags => (IPv4Flags)(Header.FlagsAndFragmentOffset >> 13);

    /// <summary>Offset of this fragment in bytes.</summary>
    public int FragmentOffset => (Header.FlagsAndFragmentOffset & 0x1FFF) << 3;

    /// <summary>Whether this is a part of a larger packet.</summary>
    public bool IsFragment => (Header.FlagsAndFragmentOffset & 0x3FFF) != 0;

    /// <summary>Total length as the header says; more than <see cref="Bytes"/> has only in a quoted packet.</summary>
    public int TotalLength => Header.TotalLength;

    /// <summary>Bytes of header and options: 20 to 60.</summary>
    public int HeaderLength => _headerLength;

    /// <summary>Header, options and payload.</summary>
    public ReadOnlySpan<byte> Bytes => _bytes;

    /// <summary>The options, 0 to 40 bytes.</summary>
    public ReadOnlySpan<byte> Options => _bytes[IPv4Header.Length.._headerLength];

    /// <summary>The payload.</summary>
    public ReadOnlySpan<byte> Payload => _bytes[_headerLength..];

    /// <summary>Whether the header's checksum is right.</summary>
    public bool HasValidChecksum => InternetChecksum.IsValid(InternetChecksum.Sum(_bytes[.._headerLength]));

    /// <summary>The options one by one.</summary>
    public IPv4OptionEnumerator EnumerateOptions() => new(Options);
}

/// <summary>Option types of IPv4 (RFC 791 §3.1), copied flag and class included.</summary>
public static class IPv4OptionType
{
    /// <summary>End of option list.</summary>
    public const byte EndOfList = 0;

    /// <summary>No operation.</summary>
    public const byte NoOperation = 1;

    /// <summary>Record route.</summary>
    public const byte RecordRoute = 7;

    /// <summary>Internet timestamp.</summary>
    public const byte Timestamp = 68;

    /// <summary>Loose source and record route.</summary>
    public const byte LooseSourceRoute = 131;

    /// <summary>Strict source and record route.</summary>
    public const byte StrictSourceRoute = 137;

    /// <summary>Router alert (RFC 2113).</summary>
    public const byte RouterAlert = 148;
}

/// <summary>Walks IPv4 options, leaving out NOPs; ends at the end of the list or at the first malformed option.</summary>
public ref struct IPv4OptionEnumerator
{
    private readonly ReadOnlySpan<byte> _options;
    private int _next;

    internal IPv4OptionEnumerator(ReadOnlySpan<byte> options) => _options = options;

    /// <summary>Where the option begins, from the start of the options.</summary>
    public int Offset { get; private set; }

    /// <summary>Type of the option; see <see cref="IPv4OptionType"/>.</summary>
    public byte Type { get; private set; }

    /// <summary>What follows the option's type and length.</summary>
    public ReadOnlySpan<byte> Content { get; private set; }

    /// <summary>Whether the walk ended at an option with an illegal length, at <see cref="Offset"/>.</summary>
    public bool IsMalformed { get; private set; }

    /// <summary>This, for foreach.</summary>
    public readonly IPv4OptionEnumerator GetEnumerator() => this;

    /// <summary>This, for foreach.</summary>
    public readonly IPv4OptionEnumerator Current => this;

    /// <summary>Goes to the next option.</summary>
    public bool MoveNext()
    {
        while (_next < _options.Length && _options[_next] == IPv4OptionType.NoOperation) _next++;
        if (_next >= _options.Length || _options[_next] == IPv4OptionType.EndOfList) return false;
        Offset = _next;
        Type = _options[_next];
        int length = _next + 1 < _options.Length ? _options[_next + 1] : 0;
        if (length < 2 || length > _options.Length - _next)
        {
            IsMalformed = true;
            Content = default;
            _next = _options.Length;
            return false;
        }

        Content = _options.Slice(_next + 2, length - 2);
        _next += length;
        return true;
    }
}
