// IPv6 extension headers: the bounded walk to the upper layer, options of the two option headers, the fragment header, and writers.
// The walk judges structure only; which options and routing types are known is the stack's to decide.
using System.Runtime.InteropServices;

namespace Peregrine.Wire;

/// <summary>How a walk over extension headers ended.</summary>
public enum IPv6ChainStatus : byte
{
    /// <summary>At an upper-layer header, or at a type that is no known extension header.</summary>
    Complete,

    /// <summary>At a fragment header with an offset or more fragments to come.</summary>
    Fragment,

    /// <summary>An extension header reaches beyond the packet.</summary>
    Truncated,

    /// <summary>Hop-by-hop options stand elsewhere than first (RFC 8200 §4.1).</summary>
    HopByHopMisplaced,

    /// <summary>More extension headers than <see cref="IPv6HeaderChain.HeaderCountMax"/>.</summary>
    TooMany,
}

/// <summary>What a walk over extension headers found. All offsets count from the start of the packet; -1 where there is no such header.</summary>
public readonly record struct IPv6HeaderChain
{
    /// <summary>Extension headers that are walked at most; RFC 8200 §4.1 has six in order (RFC 8504 §5.3 lets hosts limit them).</summary>
    public const int HeaderCountMax = 8;

    /// <summary>How the walk ended.</summary>
    public IPv6ChainStatus Status { get; private init; }

    /// <summary>Type of what is at <see cref="UpperLayerOffset"/>: an upper-layer protocol, or what could not be walked.</summary>
    public byte Protocol { get; private init; }

    /// <summary>Where the upper-layer header begins; for a fragment, where its data begin.</summary>
    public int UpperLayerOffset { get; private init; }

    /// <summary>Where the next-header field stands that names <see cref="Protocol"/>: the pointer of a parameter problem (RFC 4443 §3.4).</summary>
    public int NextHeaderFieldOffset { get; private init; }

    /// <summary>Hop-by-hop options header.</summary>
    public int HopByHopOffset { get; private init; }

    /// <summary>The last destination options header.</summary>
    public int DestinationOptionsOffset { get; private init; }

    /// <summary>The last routing header.</summary>
    public int RoutingOffset { get; private init; }

    /// <summary>Fragment header; also present when <see cref="Status"/> is complete, for an atomic fragment (RFC 6946).</summary>
    public int FragmentOffset { get; private init; }

    internal static IPv6HeaderChain WithoutExtensions(byte protocol) => new()
    {
        Protocol = protocol,
        UpperLayerOffset = IPv6Header.Length,
        NextHeaderFieldOffset = 6,
        HopByHopOffset = -1,
        DestinationOptionsOffset = -1,
        RoutingOffset = -1,
        FragmentOffset = -1,
    };

    internal static IPv6HeaderChain Walk(ReadOnlySpan<byte> packet, bool throughFirstFragment)
    {
        IPv6HeaderChain chain = WithoutExtensions(packet[6]);
        for (int count = 0; IsExtension(chain.Protocol); count++)
        {
            int at = chain.UpperLayerOffset;
            if (count == HeaderCountMax) return chain with { Status = IPv6ChainStatus.TooMany };
            // RFC 8200 §4.1: hop-by-hop options come first or not at all.
            if (chain.Protocol == IpProtocol.HopByHopOptions && count > 0) return chain with { Status = IPv6ChainStatus.HopByHopMisplaced };
            if (packet.Length - at < 8) return chain with { Status = IPv6ChainStatus.Truncated };
            int length = LengthOf(chain.Protocol, packet[at + 1]);
            if (length > packet.Length - at) return chain with { Status = IPv6ChainStatus.Truncated };
            bool isFragment = chain.Protocol == IpProtocol.Fragment && Overlay.On<IPv6FragmentHeader>(packet[at..]).IsFragment;
            bool isFirst = isFragment && Overlay.On<IPv6FragmentHeader>(packet[at..]).Offset == 0;
            chain = chain.Noting(chain.Protocol, at) with
            {
                Protocol = packet[at],
                UpperLayerOffset = at + length,
                NextHeaderFieldOffset = at,
            };
            if (isFragment && !(throughFirstFragment && isFirst)) return chain with { Status = IPv6ChainStatus.Fragment };
        }

        return chain;
    }

    private IPv6HeaderChain Noting(byte type, int at) => type switch
    {
        IpProtocol.HopByHopOptions => this with { HopByHopOffset = at },
        IpProtocol.DestinationOptions => this with { DestinationOptionsOffset = at },
        IpProtocol.Routing => this with { RoutingOffset = at },
        IpProtocol.Fragment => this with { FragmentOffset = at },
        _ => this,
    };

    private static bool IsExtension(byte type) => type is IpProtocol.HopByHopOptions or IpProtocol.Routing or IpProtocol.Fragment
        or IpProtocol.AuthenticationHeader or IpProtocol.DestinationOptions;

    private static int LengthOf(byte type, byte lengthField) => type switch
    {
        // RFC 8200 §4.5: the fragment header has no length field.
        IpProtocol.Fragment => IPv6FragmentHeader.Length,
        // RFC 4302 §2.2: in words of 32 bits, minus two.
        IpProtocol.AuthenticationHeader => Math.Max(8, (lengthField + 2) * 4),
        // RFC 8200 §4.3, §4.4, §4.6: in units of 8 bytes, the first not counted.
        _ => (lengthField + 1) * 8,
    };
}

/// <summary>The fragment header (RFC 8200 §4.5).</summary>
[StructLayout(LayoutKind.Sequential, Pack = 1)]
public struct IPv6FragmentHeader
{
    /// <summary>Bytes of the header.</summary>
    public const int Length = 8;

    /// <summary>Type of what the whole packet carries behind its fragment header.</summary>
    public byte NextHeader;

    /// <summary>Reserved, zero.</summary>
    public byte Reserved;

    /// <summary>Offset in units of 8 bytes (upper 13 bits), reserved (2), more fragments (1).</summary>
    public BigEndian16 OffsetAndMore;

    /// <summary>Identification.</summary>
    public BigEndian32 Identification;

    /// <summary>Offset of this fragment in bytes.</summary>
    public readonly int Offset => OffsetAndMore & 0xFFF8;

    /// <summary>Whether more fragments follow.</summary>
    public readonly bool MoreFragments => (OffsetAndMore & 1) != 0;

    /// <summary>Whether the packet is a part of a larger one; false for an atomic fragment (RFC 6946).</summary>
    public readonly bool IsFragment => (OffsetAndMore & 0xFFF9) != 0;

    /// <summary>Reads a fragment header at an offset that a walk has given.</summary>
    /// <exception cref="ArgumentOutOfRangeException">There are fewer than 8 bytes.</exception>
    public static IPv6FragmentHeader Read(ReadOnlySpan<byte> bytes) => MemoryMarshal.Read<IPv6FragmentHeader>(bytes);

    /// <summary>Writes a fragment header.</summary>
    /// <returns>Bytes written: 8.</returns>
    /// <param name="destination">Where to write.</param>
    /// <param name="nextHeader">Type of what follows.</param>
    /// <param name="offset">Offset of this fragment in bytes, a multiple of 8.</param>
    /// <param name="moreFragments">Whether more follow.</param>
    /// <param name="identification">Identification.</param>
    /// <exception cref="ArgumentException">The destination is too short.</exception>
    public static int Write(Span<byte> destination, byte nextHeader, int offset, bool moreFragments, uint identification)
    {
        ref IPv6FragmentHeader header = ref Overlay.OnWritable<IPv6FragmentHeader>(destination);
        header.NextHeader = nextHeader;
        header.Reserved = 0;
        header.OffsetAndMore = (ushort)((offset & 0xFFF8) | (moreFragments ? 1 : 0));
        header.Identification = identification;
        return Length;
    }
}

/// <summary>What to do with an option that is not known: the upper two bits of its type (RFC 8200 §4.2).</summary>
public enum IPv6OptionAction : byte
{
    /// <summary>Skip it.</summary>
    Skip,

    /// <summary>Drop the packet.</summary>
    Discard,

    /// <summary>Drop the packet and report a parameter problem.</summary>
    DiscardAndReport,

    /// <summary>Drop the packet and report a parameter problem unless it was sent to a multicast group.</summary>
    DiscardAndReportUnlessMulticast,
}

/// <summary>Walks the options of a hop-by-hop or destination options header, leaving out padding.</summary>
public ref struct IPv6OptionEnumerator
{
    private readonly ReadOnlySpan<byte> _header;
    private int _next;

    /// <summary>Begins at an options header whose extent a walk has checked.</summary>
    /// <param name="header">The bytes from the header's next-header field on; what follows the header is cut off.</param>
    public IPv6OptionEnumerator(ReadOnlySpan<byte> header)
    {
        int length = header.Length < 8 ? 0 : (header[1] + 1) * 8;
        _header = header[..Math.Min(length, header.Length)];
        _next = 2;
    }

    /// <summary>Where the option begins, from the start of the extension header.</summary>
    public int Offset { get; private set; }

    /// <summary>Type of the option.</summary>
    public byte Type { get; private set; }

    /// <summary>What follows the option's type and length.</summary>
    public ReadOnlySpan<byte> Content { get; private set; }

    /// <summary>What to do with this option if it is not known.</summary>
    public readonly IPv6OptionAction Action => (IPv6OptionAction)(Type >> 6);

    /// <summary>Whether the walk ended at an option that reaches beyond its header, at <see cref="Offset"/>.</summary>
    public bool IsMalformed { get; private set; }

    /// <summary>Goes to the next option that is not padding.</summary>
    public bool MoveNext()
    {
        while (_next < _header.Length)
        {
            Offset = _next;
            Type = _header[_next];
            // RFC 8200 §4.2: Pad1 has neither length nor data.
            if (Type == 0)
            {
                _next++;
                continue;
            }

            if (_next + 2 > _header.Length || _header[_next + 1] > _header.Length - _next - 2)
            {
                IsMalformed = true;
                Content = default;
                _next = _header.Length;
                return false;
            }

            Content = _header.Slice(_next + 2, _header[_next + 1]);
            _next += 2 + Content.Length;
            // RFC 8200 §4.2: PadN.
            if (Type != 1) return true;
        }

        return false;
    }
}

/// <summary>The writer of hop-by-hop and destination options headers.</summary>
public static class IPv6OptionsHeader
{
    /// <summary>Writes an options header around whole options, padded to a multiple of 8 bytes.</summary>
    /// <returns>Bytes written: a multiple of 8.</returns>
    /// <exception cref="ArgumentException">The destination is too short.</exception>
    public static int Write(Span<byte> destination, byte nextHeader, ReadOnlySpan<byte> options)
    {
        int length = (2 + options.Length + 7) & ~7;
        if (length > 256 * 8 || destination.Length < length) Overlay.ThrowTooShort();
        destination[0] = nextHeader;
        destination[1] = (byte)(length / 8 - 1);
        options.CopyTo(destination[2..]);
        Span<byte> padding = destination[(2 + options.Length)..length];
        padding.Clear();
        if (padding.Length < 2) return length;
        padding[0] = 1;
        padding[1] = (byte)(padding.Length - 2);
        return length;
    }
}
