// Input from the link to the transport: Ethernet, IPv4 and what belongs to both families. IPv6's own part is in IPv6Input.
// Every frame that enters leaves as a packet for a transport or ends here in one counter.
using System.Runtime.CompilerServices;
using Peregrine.Core.Memory;
using Peregrine.Core.Time;
using Peregrine.Wire;

namespace Peregrine.Core.Ip;

/// <summary>Checks received frames.</summary>
internal sealed class IpInput
{
    private readonly IpLayer _ip;
    private readonly IPv6Input _ipv6;
    private readonly Arp _arp;
    private readonly IPv4FastPath _fast;

    public IpInput(IpLayer ip)
    {
        _ip = ip;
        _ipv6 = new IPv6Input(ip, this);
        _arp = new Arp(ip);
        _fast = new IPv4FastPath(ip);
    }

    /// <summary>Whether the usual packet takes the short way. Tests turn it off to see that both ways say the same.</summary>
    internal bool UsesFastPath { get; set; } = true;

    /// <summary>See <see cref="IpLayer.TryParse"/>.</summary>
    public bool TryParse(ref Frame frame, IpInterface link, Instant now, out ReceivedPacket packet)
    {
        _ip.Counters.ReceivedFrames++;
        if (UsesFastPath && _fast.TryParse(frame, link, out packet)) return true;
        packet = default;
        packet.Frame = frame;
        packet.InterfaceIndex = (ushort)link.Index;
        ReadOnlySpan<byte> head = _ip.Frames.Head(frame);
        ushort etherType;
        if (link.IsEthernet)
        {
            if (!EthernetFrame.TryParse(head, out EthernetFrame ethernet)) return Drop(ref _ip.Counters.DroppedLinkTruncated, frame);
            if (!IsForUs(ethernet, frame, link, ref packet.IsGroup, out Drops drop)) return Drop(ref Counter(drop), frame);
            etherType = ethernet.EtherType;
            packet.NetworkOffset = ethernet.HeaderLength;
        }
        else
        {
            int version = head.Length > 0 ? head[0] >> 4 : 0;
            etherType = version == 4 ? EtherType.IPv4 : version == 6 ? EtherType.IPv6 : (ushort)0;
        }

        switch (etherType)
        {
            case EtherType.IPv4:
                return TryIPv4(ref frame, link, ref packet, now);
            case EtherType.IPv6 when link.HasIPv6:
                return _ipv6.TryParse(ref frame, link, ref packet, now);
            case EtherType.Arp when link.IsEthernet:
                _ip.Counters.ReceivedArp++;
                _arp.OnPacket(link, head[packet.NetworkOffset..], now);
                _ip.Frames.Return(frame);
                return false;
            default:
                return Drop(ref _ip.Counters.DroppedUnknownEtherType, frame);
        }
    }

    private enum Drops
    {
        None,
        NotForUs,
        Source,
        Vlan,
    }

    private ref long Counter(Drops drop)
    {
        if (drop == Drops.Vlan) return ref _ip.Counters.DroppedVlan;
        if (drop == Drops.Source) return ref _ip.Counters.DroppedLinkSource;
        return ref _ip.Counters.DroppedNotForUsLink;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static bool IsForUs(in EthernetFrame ethernet, in Frame frame, IpInterface link, ref bool isGroup, out Drops drop)
    {
        MacAddress destination = ethernet.Destination;
        // RFC 1122 §2.4: IP is told of link-layer broadcasts.
        isGroup = destination.IsMulticast || (frame.Flags & FrameFlags.Broadcast) != 0;
        drop = Drops.None;
        if (destination != link.Mac && !destination.IsMulticast) drop = Drops.NotForUs;
        else if (ethernet.Source.IsMulticast) drop = Drops.Source;
        // A tag without an identifier only carries a priority (IEEE 802.1Q); other VLANs are other links, which we are not on.
        else if (ethernet.TagCount > 0 && (ethernet.TagCount > 1 || ethernet.OuterTag.Id != 0)) drop = Drops.Vlan;
        else if ((frame.Flags & FrameFlags.VlanTag) != 0 && (frame.VlanTag & 0xFFF) != 0) drop = Drops.Vlan;
        return drop == Drops.None;
    }

    private bool TryIPv4(ref Frame frame, IpInterface link, ref ReceivedPacket packet, Instant now)
    {
        int offset = packet.NetworkOffset;
        // RFC 1122 §3.2.1.1: another version than 4 does not parse. RFC 1122 §3.2.1.7: no TTL is too small for what is ours.
        bool parsed = IPv4Packet.TryParseQuoted(_ip.Frames.Head(frame)[offset..], out IPv4Packet header);
        if (!parsed || header.TotalLength > frame.Length - offset) return Drop(ref _ip.Counters.DroppedMalformed, frame);
        // RFC 1122 §3.2.1.2: the checksum is verified always; twenty bytes cost less than asking who has done it.
        if (!header.HasValidChecksum) return Drop(ref _ip.Counters.DroppedHeaderChecksum, frame);
        if (header.HeaderLength > IPv4Header.Length && !AreOptionsGood(header)) return Drop(ref _ip.Counters.DroppedOptions, frame);
        packet.Source = header.Source;
        packet.Destination = header.Destination;
        packet.Protocol = header.Protocol;
        packet.TrafficClass = header.TrafficClass;
        packet.HopLimit = header.TimeToLive;
        packet.TransportOffset = offset + header.HeaderLength;
        packet.TransportLength = header.TotalLength - header.HeaderLength;
        packet.ChecksumGood = (frame.Flags & (FrameFlags.ChecksumVerified | FrameFlags.ChecksumUnfinished)) != 0;
        packet.MayBeUnfinished = (link.Offloads & Links.LinkOffloads.ReceiveUnfinished) != 0;
        if (!IsDestinationGood(link, ref packet, frame) || !IsSourceGood(link, packet, frame)) return false;
        if (header.IsFragment && !TryReassemble(ref frame, header, ref packet, now)) return false;
        return TryDeliver(ref frame, link, ref packet, now);
    }

    // RFC 9293 MUST-50: options that are not understood are skipped.
    private static bool AreOptionsGood(in IPv4Packet header)
    {
        IPv4OptionEnumerator options = header.EnumerateOptions();
        while (options.MoveNext())
        {
            // RFC 1122 §3.2.1.8 c lets hosts refuse source routes, and they serve attackers only (RFC 6274 §3.13.2.3).
            if (options.Type is IPv4OptionType.LooseSourceRoute or IPv4OptionType.StrictSourceRoute) return false;
        }

        return !options.IsMalformed;
    }

    /// <summary>RFC 1122 §3.2.1.3 for both families: destinations that may come in here, and are ours.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal bool IsDestinationGood(IpInterface link, ref ReceivedPacket packet, in Frame frame)
    {
        int place = _ip.Addresses.Find(packet.Destination, link.Index);
        if (place < 0 || packet.IsGroup || link.IsLoopback || packet.Destination.IsLoopback) return IsOtherDestinationGood(link, ref packet, frame, place);
        return _ip.Addresses.Places[place].IsUsable || Drop(ref _ip.Counters.DroppedTentative, frame);
    }

    private bool IsOtherDestinationGood(IpInterface link, ref ReceivedPacket packet, in Frame frame, int place)
    {
        IpAddress destination = packet.Destination;
        if (destination.IsAny || (destination.IsLoopback && !link.IsLoopback)) return Drop(ref _ip.Counters.DroppedMartianDestination, frame);
        if (destination.IsMulticast)
        {
            packet.IsGroup = true;
            return _ip.Groups.IsMember(destination, link) || Drop(ref _ip.Counters.DroppedNotForUs, frame);
        }

        if (place < 0 && _ip.Addresses.IsBroadcast(destination, link.Index))
        {
            packet.IsGroup = true;
            return true;
        }

        // RFC 1122 §3.3.6: a link-layer broadcast with the IP address of one host is a trick or a mistake.
        if (packet.IsGroup) return Drop(ref _ip.Counters.DroppedMartianDestination, frame);
        if (link.IsLoopback) return _ip.IsLocalAddress(destination) || Drop(ref _ip.Counters.DroppedNotForUs, frame);
        return Drop(ref _ip.Counters.DroppedNotForUs, frame);
    }

    /// <summary>RFC 1122 §3.2.1.3: sources that no host can have.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal bool IsSourceGood(IpInterface link, in ReceivedPacket packet, in Frame frame)
    {
        IpAddress source = packet.Source;
        // RFC 1122 §4.1.3.6 wants the same for UDP.
        bool bad = source.IsMulticast || source.IsAny || _ip.Addresses.IsBroadcast(source, link.Index)
            || (source.IsIPv4 && source.ToIPv4() >> 24 is 0 or >= 240)
            || (!link.IsLoopback && (source.IsLoopback || IsInUse(source, link)));
        return !bad || Drop(ref _ip.Counters.DroppedMartianSource, frame);
    }

    // An address under test may be another's: what that one says must be heard (RFC 4862 §5.4.4).
    private bool IsInUse(in IpAddress source, IpInterface link)
    {
        int place = _ip.Addresses.Find(source, link.Index);
        return place >= 0 && _ip.Addresses.Places[place].IsUsable;
    }

    private bool TryReassemble(ref Frame frame, in IPv4Packet header, ref ReceivedPacket packet, Instant now)
    {
        var place = new FragmentPlace
        {
            Source = packet.Source, Destination = packet.Destination, Identification = header.Identification, Protocol = packet.Protocol,
            Ecn = header.Ecn, More = (header.Flags & IPv4Flags.MoreFragments) != 0, NetworkOffset = packet.NetworkOffset,
            PayloadOffset = packet.TransportOffset, Offset = header.FragmentOffset, Length = packet.TransportLength,
        };
        bool isTcp = packet.Protocol == IpProtocol.Tcp;
        bool bad = place.Length == 0 || (place.More && (place.Length & 7) != 0)
            || place.Offset + place.Length > IPv4Header.TotalLengthMax - IPv4Header.Length
            // RFC 1858 §3.2.2, RFC 3128 §4: a first fragment too small for the flags of TCP, or one that would overwrite them.
            || (isTcp && (place.Offset == 8 || (place.Offset == 0 && place.Length < 16)));
        if (bad) return Drop(ref _ip.Counters.DroppedFragmentMalformed, frame);
        if (!_ip.Reassembly.TryAdd(ref frame, ref place, now)) return false;
        packet.NetworkOffset = place.NetworkOffset;
        packet.TransportOffset = place.PayloadOffset;
        packet.TransportLength = place.Length;
        packet.ChecksumGood = false;
        // Who cuts a packet into fragments finishes its checksum first.
        packet.MayBeUnfinished = false;
        packet.WasFragmented = true;
        if (!_ip.Frames.TryMakeContiguous(ref frame, place.PayloadOffset + Math.Min(place.Length, 60)))
            return Drop(ref _ip.Counters.DroppedFragmentNoRoom, frame);
        // The header becomes that of a whole datagram, for whoever quotes it.
        Span<byte> first = _ip.Frames.Head(frame)[place.NetworkOffset..];
        ref IPv4Header whole = ref System.Runtime.InteropServices.MemoryMarshal.AsRef<IPv4Header>(first);
        packet.TrafficClass = (byte)((whole.TrafficClass & ~3) | place.Ecn);
        packet.HopLimit = whole.TimeToLive;
        int headerLength = place.PayloadOffset - place.NetworkOffset;
        whole.TotalLength = (ushort)Math.Min(headerLength + place.Length, ushort.MaxValue);
        whole.FlagsAndFragmentOffset = default;
        whole.Checksum = default;
        whole.Checksum = BigEndian16.FromRaw(InternetChecksum.Finish(InternetChecksum.Sum(first[..headerLength])));
        packet.Frame = frame;
        return true;
    }

    private bool TryDeliver(ref Frame frame, IpInterface link, ref ReceivedPacket packet, Instant now)
    {
        packet.Frame = frame;
        switch (packet.Protocol)
        {
            case IpProtocol.Tcp or IpProtocol.Udp:
                _ip.Counters.ReceivedDelivered++;
                return true;
            case IpProtocol.Icmpv4:
                _ip.Counters.ReceivedIcmp++;
                _ip.Icmp.OnIPv4(ref frame, packet, link, now);
                return false;
            case IpProtocol.Igmp:
                _ip.Counters.ReceivedGroupManagement++;
                _ip.Groups.OnIgmp(link, packet, now);
                _ip.Frames.Return(frame);
                return false;
            default:
                _ip.Errors.SendProtocolUnreachable(packet, now);
                return Drop(ref _ip.Counters.DroppedUnknownProtocol, frame);
        }
    }

    internal bool Drop(ref long counter, in Frame frame)
    {
        counter++;
        _ip.Frames.Return(frame);
        return false;
    }
}
