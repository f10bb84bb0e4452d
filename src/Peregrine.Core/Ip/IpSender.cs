// IPv4 and IPv6 output: the IP header, fragmentation of what may be fragmented, and the way to the neighbour.
// Routes were looked up before (FlowPath); super-segments of TCP pass whole to links that can cut them.
using Peregrine.Core.Links;
using Peregrine.Core.Memory;
using Peregrine.Core.Time;
using Peregrine.Wire;

namespace Peregrine.Core.Ip;

/// <summary>Sends packets.</summary>
internal sealed class IpSender(IpLayer ip, PacketIdentification identification)
{
    /// <summary>See <see cref="IpLayer.Output"/>.</summary>
    public void Output(ref Frame frame, in IpOutput how, in FlowPath path, Instant now)
    {
        IpInterface link = ip.Interface(path.InterfaceIndex);
        int headerLength = how.Remote.IsIPv4 ? IPv4Header.Length : IPv6Header.Length;
        int total = frame.Length + headerLength;
        if (total > (frame.SegmentKind == SegmentKind.None ? path.Mtu : IPv4Header.TotalLengthMax))
        {
            Fragment(ref frame, how, path, now);
            return;
        }

        if (frame.SegmentKind != SegmentKind.None && !CanCut(link, frame.SegmentKind))
        {
            Drop(ref ip.Counters.SendDroppedSuperSegment, frame);
            return;
        }

        // What the link gathers it sums on the way.
        if ((frame.Flags & (FrameFlags.ChecksumUnfinished | FrameFlags.Gathered)) == FrameFlags.ChecksumUnfinished && (link.Offloads & LinkOffloads.TransmitChecksum) == 0 && !link.IsLoopback)
            ip.Frames.FinishChecksum(ref frame, how.Protocol == IpProtocol.Udp);
        if (!ip.Frames.TryPrepend(ref frame, headerLength, out Span<byte> header))
        {
            Drop(ref ip.Counters.SendDroppedHeadroom, frame);
            return;
        }

        // RFC 1122 §3.2.1.7: never 0.
        byte hopLimit = how.HopLimit != 0 ? how.HopLimit : link.HopLimit;
        if (how.Remote.IsIPv4)
        {
            // RFC 6864 §4.1: the identification of a packet that cannot be fragmented means nothing.
            ushort id = how.DontFragment ? (ushort)0 : (ushort)identification.Next(how.Local, how.Remote, how.Protocol);
            IPv4Header.Write(
                header, how.Local, how.Remote, how.Protocol, total - headerLength, hopLimit, how.TrafficClass, id,
                how.DontFragment ? IPv4Flags.DontFragment : IPv4Flags.None);
        }
        else
        {
            IPv6Header.Write(header, how.Local, how.Remote, how.Protocol, total - headerLength, hopLimit, how.TrafficClass, how.FlowLabel);
        }

        ToNeighbour(link, ref frame, how.Remote, path, now);
    }

    private static bool CanCut(IpInterface link, SegmentKind kind) => link.IsLoopback || kind switch
    {
        SegmentKind.Tcp4 => (link.Offloads & LinkOffloads.SegmentTcp4) != 0,
        SegmentKind.Tcp6 => (link.Offloads & LinkOffloads.SegmentTcp6) != 0,
        _ => false,
    };

    /// <summary>Sends a packet (an IP header first) to its neighbour.</summary>
    private void ToNeighbour(IpInterface link, ref Frame frame, in IpAddress remote, in FlowPath path, Instant now)
    {
        if (!link.IsEthernet)
        {
            if (link.IsLoopback) ip.Counters.SentLoopback++;
            ip.Link.SendBare(link.Index, ref frame);
            return;
        }

        if (ip.Neighbours.TryGet(path.Neighbour, out int place))
        {
            ip.Neighbours.Send(place, ref frame, now);
            return;
        }

        if (remote.IsMulticast)
        {
            MacAddress group = remote.IsIPv4 ? MacAddress.ForIPv4Multicast(remote) : MacAddress.ForIPv6Multicast(remote);
            ip.Link.Send(link.Index, ref frame, group, remote.IsIPv4 ? EtherType.IPv4 : EtherType.IPv6);
            return;
        }

        if (ip.Addresses.IsBroadcast(remote, link.Index))
        {
            ip.Link.Send(link.Index, ref frame, MacAddress.Broadcast, EtherType.IPv4);
            return;
        }

        // The entry was forgotten since the path was found: find the next hop again.
        if (!ip.Routes.TryFind(remote, link.Index, out Route route))
        {
            Drop(ref ip.Counters.SendDroppedNoRoute, frame);
            return;
        }

        place = ip.Neighbours.FindOrAdd(link.Index, route.IsOnLink ? remote : route.Gateway, now);
        if (place < 0) Drop(ref ip.Counters.SendDroppedNeighbour, frame);
        else ip.Neighbours.Send(place, ref frame, now);
    }

    // RFC 1122 §3.3.3, RFC 791 §3.2, RFC 8200 §4.5. The pieces are copies in single chunks; either all of them find room in the burst or none is made.
    private void Fragment(ref Frame frame, in IpOutput how, in FlowPath path, Instant now)
    {
        IpInterface link = ip.Interface(path.InterfaceIndex);
        int unfragmentable = how.Remote.IsIPv4 ? IPv4Header.Length : IPv6Header.Length + IPv6FragmentHeader.Length;
        int piece = Math.Min(path.Mtu - unfragmentable, ip.Frames.Chunks.ChunkSize - FramePool.Headroom) & ~7;
        if (how.DontFragment || frame.SegmentKind != SegmentKind.None || piece <= 0 || frame.Length > IPv4Header.TotalLengthMax - IPv4Header.Length)
        {
            Drop(ref ip.Counters.SendDroppedTooBig, frame);
            return;
        }

        int count = (frame.Length + piece - 1) / piece;
        if (link.Room < count)
        {
            Drop(ref ip.Counters.SendDroppedFull, frame);
            return;
        }

        ip.Frames.FinishChecksum(ref frame, how.Protocol == IpProtocol.Udp);
        uint id = identification.Next(how.Local, how.Remote, how.Protocol);
        ip.Counters.SentFragmented++;
        for (int offset = 0; offset < frame.Length; offset += piece)
        {
            if (!ip.Frames.TryRent(out Frame part))
            {
                ip.Counters.SendDroppedNoMemory++;
                break;
            }

            FillPart(ref part, frame, offset, Math.Min(piece, frame.Length - offset), how, link, id);
            ToNeighbour(link, ref part, how.Remote, path, now);
        }

        ip.Frames.Return(frame);
    }

    private void FillPart(ref Frame part, in Frame whole, int offset, int length, in IpOutput how, IpInterface link, uint id)
    {
        part.Length = part.HeadLength = (ushort)length;
        ip.Frames.CopyTo(whole, offset, ip.Frames.Head(part));
        bool more = offset + length < whole.Length;
        byte hopLimit = how.HopLimit != 0 ? how.HopLimit : link.HopLimit;
        Span<byte> header;
        if (how.Remote.IsIPv4)
        {
            ip.Frames.TryPrepend(ref part, IPv4Header.Length, out header);
            IPv4Header.Write(
                header, how.Local, how.Remote, how.Protocol, length, hopLimit, how.TrafficClass, (ushort)id,
                more ? IPv4Flags.MoreFragments : IPv4Flags.None, offset);
            return;
        }

        ip.Frames.TryPrepend(ref part, IPv6FragmentHeader.Length, out header);
        IPv6FragmentHeader.Write(header, how.Protocol, offset, more, id);
        ip.Frames.TryPrepend(ref part, IPv6Header.Length, out header);
        IPv6Header.Write(
            header, how.Local, how.Remote, IpProtocol.Fragment, length + IPv6FragmentHeader.Length, hopLimit, how.TrafficClass, how.FlowLabel);
    }

    private void Drop(ref long counter, in Frame frame)
    {
        counter++;
        ip.Frames.Return(frame);
    }
}
