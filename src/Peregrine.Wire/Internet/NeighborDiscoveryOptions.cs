// The options of neighbour discovery: type and length in units of eight bytes, then what the type says.
using System.Buffers.Binary;

namespace Peregrine.Wire;

/// <summary>Types of neighbour discovery options (RFC 4861 §4.6, RFC 4191, RFC 8106, RFC 3971).</summary>
public static class NdOptionType
{
    /// <summary>Source link-layer address.</summary>
    public const byte SourceLinkLayerAddress = 1;

    /// <summary>Target link-layer address.</summary>
    public const byte TargetLinkLayerAddress = 2;

    /// <summary>Prefix information.</summary>
    public const byte PrefixInformation = 3;

    /// <summary>Redirected header.</summary>
    public const byte RedirectedHeader = 4;

    /// <summary>MTU.</summary>
    public const byte Mtu = 5;

    /// <summary>Nonce, for duplicate address detection (RFC 7527 §4.1).</summary>
    public const byte Nonce = 14;

    /// <summary>Route information (RFC 4191 §2.3).</summary>
    public const byte RouteInformation = 24;

    /// <summary>Recursive DNS servers (RFC 8106 §5.1).</summary>
    public const byte RecursiveDnsServer = 25;

    /// <summary>DNS search list (RFC 8106 §5.2).</summary>
    public const byte DnsSearchList = 31;
}

/// <summary>A prefix information option (RFC 4861 §4.6.2).</summary>
public readonly record struct NdPrefixInformation
{
    /// <summary>A lifetime that never ends.</summary>
    public const uint InfiniteLifetime = uint.MaxValue;

    /// <summary>Bytes of the option.</summary>
    public const int Length = 32;

    /// <summary>The prefix.</summary>
    public IpPrefix Prefix { get; init; }

    /// <summary>Whether addresses of the prefix are on the link.</summary>
    public bool IsOnLink { get; init; }

    /// <summary>Whether addresses may be made from it (RFC 4862).</summary>
    public bool IsAutonomous { get; init; }

    /// <summary>Valid lifetime in seconds.</summary>
    public uint ValidLifetimeSeconds { get; init; }

    /// <summary>Preferred lifetime in seconds.</summary>
    public uint PreferredLifetimeSeconds { get; init; }

    /// <summary>Writes the option.</summary>
    /// <returns>Bytes written: 32.</returns>
    /// <exception cref="ArgumentException">The destination is too short.</exception>
    public int WriteTo(Span<byte> destination)
    {
        if (destination.Length < Length) Overlay.ThrowTooShort();
        destination[0] = NdOptionType.PrefixInformation;
        destination[1] = Length / 8;
        destination[2] = (byte)Prefix.Length;
        destination[3] = (byte)((IsOnLink ? 0x80 : 0) | (IsAutonomous ? 0x40 : 0));
        BinaryPrimitives.WriteUInt32BigEndian(destination[4..], ValidLifetimeSeconds);
        BinaryPrimitives.WriteUInt32BigEndian(destination[8..], PreferredLifetimeSeconds);
        BinaryPrimitives.WriteUInt32BigEndian(destination[12..], 0);
        Prefix.Address.WriteIPv6To(destination[16..]);
        return Length;
    }

    internal static bool TryRead(ReadOnlySpan<byte> content, out NdPrefixInformation information)
    {
        information = default;
        if (content.Length != Length - 2 || content[0] > 128) return false;
        IpAddress address = IpAddress.ReadIPv6(content[14..]);
        // A mapped prefix would be an IPv4 one, which cannot be longer than 32.
        if (address.IsIPv4) return false;
        information = new NdPrefixInformation
        {
            Prefix = new IpPrefix(address, content[0]),
            IsOnLink = (content[1] & 0x80) != 0,
            IsAutonomous = (content[1] & 0x40) != 0,
            ValidLifetimeSeconds = BinaryPrimitives.ReadUInt32BigEndian(content[2..]),
            PreferredLifetimeSeconds = BinaryPrimitives.ReadUInt32BigEndian(content[6..]),
        };
        return true;
    }
}

/// <summary>The options of a neighbour discovery message, whose lengths have been checked (RFC 4861 §4.6).</summary>
public readonly ref struct NdOptions
{
    private readonly ReadOnlySpan<byte> _bytes;

    private NdOptions(ReadOnlySpan<byte> bytes) => _bytes = bytes;

    /// <summary>The options as they lie in the message.</summary>
    public ReadOnlySpan<byte> Bytes => _bytes;

    /// <summary>Accepts bytes that are nothing but whole options.</summary>
    public static bool TryParse(ReadOnlySpan<byte> bytes, out NdOptions options)
    {
        options = default;
        for (ReadOnlySpan<byte> rest = bytes; !rest.IsEmpty; rest = rest[(rest[1] * 8)..])
        {
            // RFC 4861 §4.6, §7.1.1: a length of zero condemns the message.
            if (rest.Length < 8 || rest[1] == 0 || rest[1] * 8 > rest.Length) return false;
        }

        options = new NdOptions(bytes);
        return true;
    }

    /// <summary>The options one by one.</summary>
    public NdOptionEnumerator GetEnumerator() => new(_bytes);

    /// <summary>The Ethernet address in an option of one of the two link-layer address types.</summary>
    public bool TryGetLinkLayerAddress(byte type, out MacAddress address)
    {
        bool found = TryGet(type, out ReadOnlySpan<byte> content) && content.Length == MacAddress.Length;
        address = found ? MacAddress.Read(content) : default;
        return found;
    }

    /// <summary>The MTU option, in bytes (RFC 4861 §4.6.4).</summary>
    public bool TryGetMtu(out uint mtu)
    {
        bool found = TryGet(NdOptionType.Mtu, out ReadOnlySpan<byte> content) && content.Length == 6;
        mtu = found ? BinaryPrimitives.ReadUInt32BigEndian(content[2..]) : 0;
        return found;
    }

    /// <summary>What follows type and length of the first option of a type.</summary>
    public bool TryGet(byte type, out ReadOnlySpan<byte> content)
    {
        foreach (NdOption option in this)
        {
            if (option.Type != type) continue;
            content = option.Content;
            return true;
        }

        content = default;
        return false;
    }

    internal static int WriteLinkLayerAddress(Span<byte> destination, byte type, MacAddress? address)
    {
        if (address is not { } mac) return 0;
        destination[0] = type;
        destination[1] = 1;
        mac.WriteTo(destination[2..]);
        return 8;
    }

    /// <summary>Writes an MTU option.</summary>
    /// <returns>Bytes written: 8.</returns>
    /// <exception cref="ArgumentException">The destination is too short.</exception>
    public static int WriteMtu(Span<byte> destination, uint mtu)
    {
        if (destination.Length < 8) Overlay.ThrowTooShort();
        BinaryPrimitives.WriteUInt32BigEndian(destination, 0x0501_0000);
        BinaryPrimitives.WriteUInt32BigEndian(destination[4..], mtu);
        return 8;
    }

    /// <summary>Writes a nonce option (RFC 3971 §5.3.2) of six bytes.</summary>
    /// <returns>Bytes written: 8.</returns>
    /// <param name="destination">Where to write.</param>
    /// <param name="nonce">The lower 48 bits are used.</param>
    /// <exception cref="ArgumentException">The destination is too short.</exception>
    public static int WriteNonce(Span<byte> destination, ulong nonce)
    {
        if (destination.Length < 8) Overlay.ThrowTooShort();
        BinaryPrimitives.WriteUInt64BigEndian(destination, 0x0E01_0000_0000_0000 | (nonce & 0xFFFF_FFFF_FFFF));
        return 8;
    }
}

/// <summary>One option of a neighbour discovery message.</summary>
public readonly ref struct NdOption
{
    internal NdOption(byte type, ReadOnlySpan<byte> content)
    {
        Type = type;
        Content = content;
    }

    /// <summary>Type; see <see cref="NdOptionType"/>.</summary>
    public byte Type { get; }

    /// <summary>What follows type and length: 6 bytes or 8n + 6.</summary>
    public ReadOnlySpan<byte> Content { get; }

    /// <summary>The option as prefix information; false when it is none or has a wrong length or prefix length.</summary>
    public bool TryGetPrefix(out NdPrefixInformation information)
    {
        information = default;
        return Type == NdOptionType.PrefixInformation && NdPrefixInformation.TryRead(Content, out information);
    }
}

/// <summary>Walks neighbour discovery options.</summary>
public ref struct NdOptionEnumerator
{
    private ReadOnlySpan<byte> _rest;
    private NdOption _current;

    internal NdOptionEnumerator(ReadOnlySpan<byte> bytes) => _rest = bytes;

    /// <summary>The option.</summary>
    public readonly NdOption Current => _current;

    /// <summary>Goes to the next option.</summary>
    public bool MoveNext()
    {
        if (_rest.IsEmpty) return false;
        int length = _rest[1] * 8;
        _current = new NdOption(_rest[0], _rest[2..length]);
        _rest = _rest[length..];
        return true;
    }
}
