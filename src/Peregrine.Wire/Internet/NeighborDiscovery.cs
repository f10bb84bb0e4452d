// The five messages of neighbour discovery (RFC 4861 §4) as checked views with writers. Parsing judges type, length and the options'
// lengths; hop limit 255, code 0, checksum and the addresses are for the stack to judge (RFC 4861 §6.1, §7.1, §8.1).
using System.Buffers.Binary;

namespace Peregrine.Wire;

/// <summary>A neighbour solicitation (RFC 4861 §4.3).</summary>
public readonly ref struct NeighborSolicitation
{
    private const int FixedLength = 24;

    /// <summary>The address that is asked for.</summary>
    public IpAddress Target { get; private init; }

    /// <summary>The options.</summary>
    public NdOptions Options { get; private init; }

    /// <summary>Accepts a message of this type that is whole.</summary>
    public static bool TryParse(in Icmpv6Packet packet, out NeighborSolicitation message)
    {
        message = default;
        if (packet.Type != Icmpv6Type.NeighborSolicitation || packet.Bytes.Length < FixedLength) return false;
        if (!NdOptions.TryParse(packet.Bytes[FixedLength..], out NdOptions options)) return false;
        message = new NeighborSolicitation { Target = IpAddress.ReadIPv6(packet.Bytes[8..]), Options = options };
        return true;
    }

    /// <summary>Writes a solicitation with its checksum.</summary>
    /// <param name="message">Where to write.</param>
    /// <param name="source">Source address of the packet; :: for duplicate address detection.</param>
    /// <param name="destination">Destination address of the packet.</param>
    /// <param name="target">The address that is asked for.</param>
    /// <param name="sourceMac">The sender's Ethernet address; none when the source is :: (RFC 4861 §4.3).</param>
    /// <param name="options">More options, already written.</param>
    /// <returns>Bytes written.</returns>
    /// <exception cref="ArgumentException">The destination is too short.</exception>
    public static int Write(
        Span<byte> message, in IpAddress source, in IpAddress destination, in IpAddress target, MacAddress? sourceMac,
        ReadOnlySpan<byte> options = default) =>
        NeighborAdvertisement.WriteWithTarget(
            message, source, destination, Icmpv6Type.NeighborSolicitation, 0, target, NdOptionType.SourceLinkLayerAddress, sourceMac, options);
}

/// <summary>A neighbour advertisement (RFC 4861 §4.4).</summary>
public readonly ref struct NeighborAdvertisement
{
    private const int FixedLength = 24;

    /// <summary>Whether the sender is a router.</summary>
    public bool IsRouter { get; private init; }

    /// <summary>Whether it answers a solicitation.</summary>
    public bool IsSolicited { get; private init; }

    /// <summary>Whether it should replace what is cached.</summary>
    public bool IsOverride { get; private init; }

    /// <summary>The address that is spoken of.</summary>
    public IpAddress Target { get; private init; }

    /// <summary>The options.</summary>
    public NdOptions Options { get; private init; }

    /// <summary>Accepts a message of this type that is whole.</summary>
    public static bool TryParse(in Icmpv6Packet packet, out NeighborAdvertisement message)
    {
        message = default;
        if (packet.Type != Icmpv6Type.NeighborAdvertisement || packet.Bytes.Length < FixedLength) return false;
        if (!NdOptions.TryParse(packet.Bytes[FixedLength..], out NdOptions options)) return false;
        byte flags = packet.Bytes[4];
        message = new NeighborAdvertisement
        {
            IsRouter = (flags & 0x80) != 0,
            IsSolicited = (flags & 0x40) != 0,
            IsOverride = (flags & 0x20) != 0,
            Target = IpAddress.ReadIPv6(packet.Bytes[8..]),
            Options = options,
        };
        return true;
    }

    /// <summary>Writes an advertisement with its checksum.</summary>
    /// <param name="message">Where to write.</param>
    /// <param name="source">Source address of the packet.</param>
    /// <param name="destination">Destination address of the packet.</param>
    /// <param name="target">The address that is spoken of.</param>
    /// <param name="targetMac">Its Ethernet address.</param>
    /// <param name="isRouter">Whether the sender is a router.</param>
    /// <param name="isSolicited">Whether it answers a solicitation.</param>
    /// <param name="isOverride">Whether it should replace what is cached.</param>
    /// <returns>Bytes written.</returns>
    /// <exception cref="ArgumentException">The destination is too short.</exception>
    public static int Write(
        Span<byte> message, in IpAddress source, in IpAddress destination, in IpAddress target, MacAddress? targetMac, bool isRouter,
        bool isSolicited, bool isOverride)
    {
        uint flags = (isRouter ? 0x8000_0000u : 0) | (isSolicited ? 0x4000_0000u : 0) | (isOverride ? 0x2000_0000u : 0);
        return WriteWithTarget(
            message, source, destination, Icmpv6Type.NeighborAdvertisement, flags, target, NdOptionType.TargetLinkLayerAddress, targetMac, default);
    }

    internal static int WriteWithTarget(
        Span<byte> message, in IpAddress source, in IpAddress destination, Icmpv6Type type, uint flags, in IpAddress target, byte macType,
        MacAddress? mac, ReadOnlySpan<byte> options)
    {
        int length = FixedLength + (mac is null ? 0 : 8) + options.Length;
        if (message.Length < length) Overlay.ThrowTooShort();
        IcmpHeader.Write(message, (byte)type, 0, flags);
        target.WriteIPv6To(message[8..]);
        int at = FixedLength + NdOptions.WriteLinkLayerAddress(message[FixedLength..], macType, mac);
        options.CopyTo(message[at..]);
        Icmpv6Packet.WriteChecksum(message[..length], source, destination);
        return length;
    }
}

/// <summary>A router solicitation (RFC 4861 §4.1).</summary>
public readonly ref struct RouterSolicitation
{
    /// <summary>The options.</summary>
    public NdOptions Options { get; private init; }

    /// <summary>Accepts a message of this type that is whole.</summary>
    public static bool TryParse(in Icmpv6Packet packet, out RouterSolicitation message)
    {
        message = default;
        if (packet.Type != Icmpv6Type.RouterSolicitation || !NdOptions.TryParse(packet.Body, out NdOptions options)) return false;
        message = new RouterSolicitation { Options = options };
        return true;
    }

    /// <summary>Writes a solicitation with its checksum.</summary>
    /// <returns>Bytes written.</returns>
    /// <exception cref="ArgumentException">The destination is too short.</exception>
    public static int Write(Span<byte> message, in IpAddress source, in IpAddress destination, MacAddress? sourceMac)
    {
        int length = IcmpHeader.Length + (sourceMac is null ? 0 : 8);
        if (message.Length < length) Overlay.ThrowTooShort();
        IcmpHeader.Write(message, (byte)Icmpv6Type.RouterSolicitation, 0, 0);
        NdOptions.WriteLinkLayerAddress(message[IcmpHeader.Length..], NdOptionType.SourceLinkLayerAddress, sourceMac);
        Icmpv6Packet.WriteChecksum(message[..length], source, destination);
        return length;
    }
}

/// <summary>A router advertisement (RFC 4861 §4.2).</summary>
public readonly ref struct RouterAdvertisement
{
    private const int FixedLength = 16;

    /// <summary>Hop limit to use; 0 when the router does not say.</summary>
    public byte HopLimit { get; init; }

    /// <summary>Whether addresses are had by DHCPv6.</summary>
    public bool IsManaged { get; init; }

    /// <summary>Whether other configuration is had by DHCPv6.</summary>
    public bool HasOtherConfiguration { get; init; }

    /// <summary>Preference as a default router: -1 low, 0 medium, 1 high (RFC 4191 §2.2).</summary>
    public int Preference { get; init; }

    /// <summary>How long it is a default router, in seconds; 0 when it is none.</summary>
    public ushort RouterLifetimeSeconds { get; init; }

    /// <summary>Reachable time in milliseconds; 0 when the router does not say.</summary>
    public uint ReachableTimeMs { get; init; }

    /// <summary>Time between solicitations in milliseconds; 0 when the router does not say.</summary>
    public uint RetransTimerMs { get; init; }

    /// <summary>The options.</summary>
    public NdOptions Options { get; private init; }

    /// <summary>Accepts a message of this type that is whole.</summary>
    public static bool TryParse(in Icmpv6Packet packet, out RouterAdvertisement message)
    {
        message = default;
        ReadOnlySpan<byte> bytes = packet.Bytes;
        if (packet.Type != Icmpv6Type.RouterAdvertisement || bytes.Length < FixedLength) return false;
        if (!NdOptions.TryParse(bytes[FixedLength..], out NdOptions options)) return false;
        message = new RouterAdvertisement
        {
            HopLimit = bytes[4],
            IsManaged = (bytes[5] & 0x80) != 0,
            HasOtherConfiguration = (bytes[5] & 0x40) != 0,
            // RFC 4191 §2.2: 01 high, 00 medium, 11 low; the reserved 10 counts as medium.
            Preference = ((bytes[5] >> 3) & 3) switch { 1 => 1, 3 => -1, _ => 0 },
            RouterLifetimeSeconds = BinaryPrimitives.ReadUInt16BigEndian(bytes[6..]),
            ReachableTimeMs = BinaryPrimitives.ReadUInt32BigEndian(bytes[8..]),
            RetransTimerMs = BinaryPrimitives.ReadUInt32BigEndian(bytes[12..]),
            Options = options,
        };
        return true;
    }

    /// <summary>Writes this advertisement with its checksum.</summary>
    /// <param name="message">Where to write.</param>
    /// <param name="source">Source address of the packet.</param>
    /// <param name="destination">Destination address of the packet.</param>
    /// <param name="options">The options, already written.</param>
    /// <returns>Bytes written.</returns>
    /// <exception cref="ArgumentException">The destination is too short.</exception>
    public int WriteTo(Span<byte> message, in IpAddress source, in IpAddress destination, ReadOnlySpan<byte> options)
    {
        int length = FixedLength + options.Length;
        if (message.Length < length) Overlay.ThrowTooShort();
        uint flags = (IsManaged ? 0x80u : 0) | (HasOtherConfiguration ? 0x40u : 0) | ((uint)Preference & 3) << 3;
        IcmpHeader.Write(message, (byte)Icmpv6Type.RouterAdvertisement, 0, (uint)HopLimit << 24 | flags << 16 | RouterLifetimeSeconds);
        BinaryPrimitives.WriteUInt32BigEndian(message[8..], ReachableTimeMs);
        BinaryPrimitives.WriteUInt32BigEndian(message[12..], RetransTimerMs);
        options.CopyTo(message[FixedLength..]);
        Icmpv6Packet.WriteChecksum(message[..length], source, destination);
        return length;
    }
}

/// <summary>A redirect (RFC 4861 §4.5).</summary>
public readonly ref struct RedirectMessage
{
    private const int FixedLength = 40;

    /// <summary>The better first hop.</summary>
    public IpAddress Target { get; private init; }

    /// <summary>The destination that is redirected.</summary>
    public IpAddress Destination { get; private init; }

    /// <summary>The options.</summary>
    public NdOptions Options { get; private init; }

    /// <summary>Accepts a message of this type that is whole.</summary>
    public static bool TryParse(in Icmpv6Packet packet, out RedirectMessage message)
    {
        message = default;
        if (packet.Type != Icmpv6Type.Redirect || packet.Bytes.Length < FixedLength) return false;
        if (!NdOptions.TryParse(packet.Bytes[FixedLength..], out NdOptions options)) return false;
        message = new RedirectMessage
        {
            Target = IpAddress.ReadIPv6(packet.Bytes[8..]),
            Destination = IpAddress.ReadIPv6(packet.Bytes[24..]),
            Options = options,
        };
        return true;
    }

    /// <summary>Writes a redirect with its checksum.</summary>
    /// <param name="message">Where to write.</param>
    /// <param name="source">Source address of the packet.</param>
    /// <param name="destination">Destination address of the packet.</param>
    /// <param name="target">The better first hop.</param>
    /// <param name="redirected">The destination that is redirected.</param>
    /// <param name="targetMac">The Ethernet address of the better first hop.</param>
    /// <param name="options">More options, already written.</param>
    /// <returns>Bytes written.</returns>
    /// <exception cref="ArgumentException">The destination is too short.</exception>
    public static int Write(
        Span<byte> message, in IpAddress source, in IpAddress destination, in IpAddress target, in IpAddress redirected, MacAddress? targetMac,
        ReadOnlySpan<byte> options = default)
    {
        int length = FixedLength + (targetMac is null ? 0 : 8) + options.Length;
        if (message.Length < length) Overlay.ThrowTooShort();
        IcmpHeader.Write(message, (byte)Icmpv6Type.Redirect, 0, 0);
        target.WriteIPv6To(message[8..]);
        redirected.WriteIPv6To(message[24..]);
        int at = FixedLength + NdOptions.WriteLinkLayerAddress(message[FixedLength..], NdOptionType.TargetLinkLayerAddress, targetMac);
        options.CopyTo(message[at..]);
        Icmpv6Packet.WriteChecksum(message[..length], source, destination);
        return length;
    }
}
