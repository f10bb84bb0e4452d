// IPv6 input: the header, the chain of extension headers with their options, fragments (RFC 8200). Addresses are judged in IpInput.
using System.Runtime.InteropServices;
using Peregrine.Core.Memory;
using Peregrine.Core.Time;
using Peregrine.Wire;

namespace Peregrine.Core.Ip;

/// <summary>Checks received IPv6 packets.</summary>
internal sealed class IPv6Input(IpLayer ip, IpInput input)
{
    private enum Walk
    {
        Upper,
        Fragment,
        Dropped,
    }

    public bool TryParse(ref Frame frame, IpInterface link, ref ReceivedPacket packet, Instant now)
    {
        int offset = packet.NetworkOffset;
        bool parsed = IPv6Packet.TryParseQuoted(ip.Frames.Head(frame)[offset..], out IPv6Packet header);
        if (!parsed || header.PayloadLength > frame.Length - offset - IPv6Header.Length) return input.Drop(ref ip.Counters.DroppedMalformed, frame);
        packet.Source = header.Source;
        packet.Destination = header.Destination;
        packet.Protocol = header.NextHeader;
        packet.TrafficClass = header.TrafficClass;
        packet.HopLimit = header.HopLimit;
        packet.TransportOffset = offset + IPv6Header.Length;
        packet.TransportLength = header.PayloadLength;
        packet.ChecksumGood = (frame.Flags & (FrameFlags.ChecksumVerified | FrameFlags.ChecksumUnfinished)) != 0;
        packet.MayBeUnfinished = (link.Offloads & Links.LinkOffloads.ReceiveUnfinished) != 0;
        // RFC 4942 §2.2: a mapped address has no place on the wire, and would pass for IPv4 here.
        if (packet.Source.IsIPv4) return input.Drop(ref ip.Counters.DroppedMartianSource, frame);
        if (packet.Destination.IsIPv4) return input.Drop(ref ip.Counters.DroppedMartianDestination, frame);
        if (packet.Protocol == IpProtocol.Icmpv6 && IsForTentative(link, packet))
        {
            // Duplicate address detection needs what others say about an address that is not ours yet.
            return TryUpper(ref frame, link, ref packet, 6, now);
        }

        if (!input.IsDestinationGood(link, ref packet, frame)) return false;
        // RFC 4861 §4.3: only neighbour discovery may come from the unspecified address; ICMPv6 input judges that.
        bool unspecified = packet.Source.IsAny && packet.Protocol == IpProtocol.Icmpv6;
        if (!unspecified && !input.IsSourceGood(link, packet, frame)) return false;
        return TryChain(ref frame, link, ref packet, isWhole: false, now);
    }

    private bool IsForTentative(IpInterface link, in ReceivedPacket packet)
    {
        int place = ip.Addresses.Find(packet.Destination, link.Index);
        return place >= 0 && ip.Addresses.Places[place].State == AddressState.Tentative && ip.Addresses.Places[place].InterfaceIndex == link.Index
            && packet.HopLimit == 255;
    }

    private bool TryChain(ref Frame frame, IpInterface link, ref ReceivedPacket packet, bool isWhole, Instant now)
    {
        int nextField = 6;
        packet.Frame = frame;
        if (packet.Protocol is IpProtocol.Tcp or IpProtocol.Udp or IpProtocol.Icmpv6) return TryUpper(ref frame, link, ref packet, nextField, now);
        switch (WalkHeaders(ref packet, ref nextField, isWhole, now))
        {
            case Walk.Upper:
                return TryUpper(ref frame, link, ref packet, nextField, now);
            case Walk.Fragment:
                return TryReassemble(ref frame, ref packet, nextField, now) && TryChain(ref frame, link, ref packet, isWhole: true, now);
            default:
                ip.Frames.Return(frame);
                return false;
        }
    }

    // The chain lies in the first chunk, or the packet is refused. Counts what it drops; the caller returns the frame.
    private Walk WalkHeaders(ref ReceivedPacket packet, ref int nextField, bool isWhole, Instant now)
    {
        ReadOnlySpan<byte> bytes = ip.Frames.Head(packet.Frame)[packet.NetworkOffset..];
        int at = packet.TransportOffset - packet.NetworkOffset, end = Math.Min(bytes.Length, at + packet.TransportLength);
        int total = at + packet.TransportLength;
        for (int count = 0; ; count++)
        {
            byte type = packet.Protocol;
            if (!IsExtension(type))
            {
                packet.TransportOffset = packet.NetworkOffset + at;
                packet.TransportLength = total - at;
                return Walk.Upper;
            }

            int length = type == IpProtocol.Fragment ? IPv6FragmentHeader.Length : end - at >= 8 ? (bytes[at + 1] + 1) * 8 : 8;
            bool misplaced = type == IpProtocol.HopByHopOptions && count > 0;
            if (misplaced) ip.Errors.SendParameterProblem(packet, Icmpv6ParameterCode.UnrecognizedNextHeader, nextField, now);
            if (misplaced || count == ip.Options.ExtensionHeaderCountMax || length > end - at)
            {
                ip.Counters.DroppedExtensionHeader++;
                return Walk.Dropped;
            }

            ReadOnlySpan<byte> header = bytes.Slice(at, length);
            if (type == IpProtocol.Fragment)
            {
                IPv6FragmentHeader fragment = IPv6FragmentHeader.Read(header);
                if (fragment.IsFragment)
                {
                    packet.TransportOffset = packet.NetworkOffset + at + length;
                    packet.TransportLength = total - at - length;
                    if (!isWhole) return Walk.Fragment;
                    ip.Counters.DroppedExtensionHeader++;
                    return Walk.Dropped;
                }

                // RFC 6946 §4: a fragment that is the whole packet has nothing to do with others of its identification.
                ip.Counters.AtomicFragments++;
            }
            else if (!IsHeaderGood(packet, header, type, at, now))
            {
                ip.Counters.DroppedOptionAction++;
                return Walk.Dropped;
            }

            packet.Protocol = bytes[at];
            nextField = at;
            at += length;
        }
    }

    private static bool IsExtension(byte type) =>
        type is IpProtocol.HopByHopOptions or IpProtocol.Routing or IpProtocol.Fragment or IpProtocol.DestinationOptions;

    private bool IsHeaderGood(in ReceivedPacket packet, ReadOnlySpan<byte> header, byte type, int at, Instant now)
    {
        if (type == IpProtocol.Routing)
        {
            // RFC 8200 §4.4, RFC 5095 §3: no routing type is known; with segments left that is an error, else it is passed over.
            if (header[3] == 0) return true;
            ip.Errors.SendParameterProblem(packet, Icmpv6ParameterCode.ErroneousField, at + 2, now);
            return false;
        }

        var options = new IPv6OptionEnumerator(header);
        while (options.MoveNext())
        {
            // RFC 8200 §4.2: no option is known that would change anything here; the two upper bits say what unknown ones do.
            if (options.Action == IPv6OptionAction.Skip) continue;
            bool report = options.Action == IPv6OptionAction.DiscardAndReport
                || (options.Action == IPv6OptionAction.DiscardAndReportUnlessMulticast && !packet.IsGroup);
            if (report) ip.Errors.SendParameterProblem(packet, Icmpv6ParameterCode.UnrecognizedOption, at + options.Offset, now);
            return false;
        }

        return !options.IsMalformed;
    }

    private bool TryReassemble(ref Frame frame, ref ReceivedPacket packet, int nextField, Instant now)
    {
        int headerAt = packet.TransportOffset - IPv6FragmentHeader.Length;
        IPv6FragmentHeader header = IPv6FragmentHeader.Read(ip.Frames.Head(frame)[headerAt..]);
        var place = new FragmentPlace
        {
            Source = packet.Source, Destination = packet.Destination, Identification = header.Identification,
            Ecn = (byte)(packet.TrafficClass & 3), More = header.MoreFragments, NetworkOffset = packet.NetworkOffset,
            PayloadOffset = packet.TransportOffset, NextFieldOffset = packet.NetworkOffset + nextField,
            Offset = header.Offset, Length = packet.TransportLength,
        };
        if (!IsFragmentGood(packet, place, header.NextHeader, now)) return input.Drop(ref ip.Counters.DroppedFragmentMalformed, frame);
        if (!ip.Reassembly.TryAdd(ref frame, ref place, now)) return false;
        if (!ip.Frames.TryMakeContiguous(ref frame, place.PayloadOffset + Math.Min(place.Length, 60)))
            return input.Drop(ref ip.Counters.DroppedFragmentNoRoom, frame);
        Unwrap(ref frame, place);
        // The chain is walked again from the start: what stood before the fragment header is that of the first fragment.
        ref IPv6Header whole = ref MemoryMarshal.AsRef<IPv6Header>(ip.Frames.Head(frame)[place.NetworkOffset..][IPv6FragmentHeader.Length..]);
        packet.NetworkOffset = place.NetworkOffset + IPv6FragmentHeader.Length;
        packet.TransportOffset = packet.NetworkOffset + IPv6Header.Length;
        packet.TransportLength = place.PayloadOffset - packet.TransportOffset + place.Length;
        packet.Protocol = whole.NextHeader;
        packet.HopLimit = whole.HopLimit;
        packet.TrafficClass = (byte)((packet.TrafficClass & ~3) | place.Ecn);
        packet.ChecksumGood = false;
        // Who cuts a packet into fragments finishes its checksum first.
        packet.MayBeUnfinished = false;
        packet.WasFragmented = true;
        whole.PayloadLength = (ushort)Math.Min(packet.TransportLength, ushort.MaxValue);
        return true;
    }

    private bool IsFragmentGood(in ReceivedPacket packet, in FragmentPlace place, byte nextHeader, Instant now)
    {
        // RFC 8200 §4.5: the length of all but the last is a multiple of 8; pointer to the payload length.
        if (place.More && (place.Length & 7) != 0)
        {
            ip.Errors.SendParameterProblem(packet, Icmpv6ParameterCode.ErroneousField, 4, now);
            return false;
        }

        // RFC 8200 §4.5: a datagram of more than 65,535 bytes of payload; pointer to the fragment offset.
        if (place.PayloadOffset - place.NetworkOffset - IPv6Header.Length - IPv6FragmentHeader.Length + place.Offset + place.Length > IPv6Header.PayloadLengthMax)
        {
            ip.Errors.SendParameterProblem(packet, Icmpv6ParameterCode.ErroneousField, place.PayloadOffset - place.NetworkOffset - 6, now);
            return false;
        }

        if (place.Length == 0) return false;
        if (place.Offset > 0 || HasWholeChain(packet, place, nextHeader)) return true;
        // RFC 7112 §5: a first fragment without the whole header chain is dropped.
        ip.Errors.SendParameterProblem(packet, Icmpv6ParameterCode.IncompleteHeaderChain, 0, now);
        return false;
    }

    private bool HasWholeChain(in ReceivedPacket packet, in FragmentPlace place, byte type)
    {
        ReadOnlySpan<byte> bytes = ip.Frames.Head(packet.Frame)[place.PayloadOffset..];
        int at = 0, end = Math.Min(bytes.Length, place.Length);
        for (int count = 0; IsExtension(type); count++)
        {
            if (count == ip.Options.ExtensionHeaderCountMax || end - at < 8) return false;
            int length = type == IpProtocol.Fragment ? IPv6FragmentHeader.Length : (bytes[at + 1] + 1) * 8;
            type = bytes[at];
            at += length;
        }

        return end - at >= (type == IpProtocol.Tcp ? TcpHeader.Length : type == IpProtocol.NoNextHeader ? 0 : 8);
    }

    // Takes the fragment header out: what stands before it moves up to the data.
    private void Unwrap(ref Frame frame, in FragmentPlace place)
    {
        Span<byte> head = ip.Frames.Head(frame);
        int headerAt = place.PayloadOffset - IPv6FragmentHeader.Length;
        head[place.NextFieldOffset] = head[headerAt];
        head[place.NetworkOffset..headerAt].CopyTo(head[(place.NetworkOffset + IPv6FragmentHeader.Length)..]);
    }

    private bool TryUpper(ref Frame frame, IpInterface link, ref ReceivedPacket packet, int nextField, Instant now)
    {
        packet.Frame = frame;
        switch (packet.Protocol)
        {
            case IpProtocol.Tcp or IpProtocol.Udp:
                ip.Counters.ReceivedDelivered++;
                return true;
            case IpProtocol.Icmpv6:
                ip.Counters.ReceivedIcmp++;
                ip.Icmp.OnIPv6(ref frame, packet, link, now);
                return false;
            case IpProtocol.NoNextHeader:
                return input.Drop(ref ip.Counters.DroppedNoNextHeader, frame);
            default:
                // RFC 8200 §4: an unrecognised next header; pointer to the field that names it.
                ip.Errors.SendParameterProblem(packet, Icmpv6ParameterCode.UnrecognizedNextHeader, nextField, now);
                return input.Drop(ref ip.Counters.DroppedUnknownProtocol, frame);
        }
    }
}
