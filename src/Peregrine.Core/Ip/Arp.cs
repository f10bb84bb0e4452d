// ARP (RFC 826, RFC 1122 §2.3.2): answers requests for our addresses and feeds the neighbour cache. Gratuitous packets update entries
// that are there and make none; nothing is answered on behalf of others.
using Peregrine.Core.Memory;
using Peregrine.Core.Time;
using Peregrine.Wire;

namespace Peregrine.Core.Ip;

/// <summary>ARP input.</summary>
internal sealed class Arp(IpLayer ip)
{
    public void OnPacket(IpInterface link, ReadOnlySpan<byte> bytes, Instant now)
    {
        ref NeighbourCounters counters = ref ip.NeighbourCounters;
        bool good = ArpPacket.TryParse(bytes, out ArpPacket packet) && packet.Operation is ArpOperation.Request or ArpOperation.Reply
            && !packet.SenderMac.IsMulticast && !packet.SenderMac.IsZero && !packet.SenderAddress.IsMulticast && !packet.SenderAddress.IsLoopback
            && !ip.Addresses.IsBroadcast(packet.SenderAddress, link.Index);
        if (!good)
        {
            counters.DroppedArpMalformed++;
            return;
        }

        int own = ip.Addresses.Find(packet.SenderAddress, link.Index);
        if (own >= 0)
        {
            // RFC 5227 §2.4: somebody uses our address. It is counted; the address is kept.
            counters.AddressConflicts++;
            counters.DroppedArpNotForUs++;
            return;
        }

        int place = ip.Addresses.Find(packet.TargetAddress, link.Index);
        bool isForUs = place >= 0 && ip.Addresses.Places[place].IsUsable && ip.Addresses.Places[place].InterfaceIndex == link.Index;
        // RFC 5227 §1.1: a probe has no sender address and teaches nothing.
        bool hasSender = !packet.SenderAddress.IsAny;
        if (packet.Operation == ArpOperation.Reply)
        {
            OnReply(link, packet, isForUs, hasSender, now);
            return;
        }

        // RFC 826: merge first; an entry is made only by a request for us, from an address of the link.
        if (hasSender) ip.Neighbours.OnSolicited(link.Index, packet.SenderAddress, packet.SenderMac, isForUs && IsOnLink(packet.SenderAddress, link), now);
        if (!isForUs)
        {
            counters.DroppedArpNotForUs++;
            return;
        }

        counters.ReceivedArpRequests++;
        Reply(link, packet);
    }

    private void OnReply(IpInterface link, in ArpPacket packet, bool isForUs, bool hasSender, Instant now)
    {
        int entry = hasSender ? ip.Neighbours.Find(link.Index, packet.SenderAddress) : -1;
        bool asked = isForUs && entry >= 0 && ip.Neighbours.At(entry).State is NeighbourState.Incomplete or NeighbourState.Probe or NeighbourState.Delay;
        AdvertisementFlags flags = AdvertisementFlags.Override | (asked ? AdvertisementFlags.Solicited : AdvertisementFlags.None);
        bool used = hasSender && ip.Neighbours.OnAdvertised(link.Index, packet.SenderAddress, packet.SenderMac, true, flags, now);
        if (used) ip.NeighbourCounters.ReceivedArpReplies++;
        else ip.NeighbourCounters.DroppedArpNotForUs++;
    }

    private bool IsOnLink(in IpAddress address, IpInterface link) => ip.Routes.TryFind(address, link.Index, out Route route) && route.IsOnLink;

    private void Reply(IpInterface link, in ArpPacket request)
    {
        var reply = new ArpPacket
        {
            Operation = ArpOperation.Reply, SenderMac = link.Mac, SenderAddress = request.TargetAddress,
            TargetMac = request.SenderMac, TargetAddress = request.SenderAddress,
        };
        if (ip.Solicitor.TrySendArp(link, reply, request.SenderMac)) ip.NeighbourCounters.SentAdvertisements++;
    }
}

/// <summary>Asks for neighbours' addresses, by ARP or neighbour solicitation, and sends what neighbour discovery says.</summary>
internal sealed class Solicitor(IpLayer ip)
{
    /// <summary>Asks; by unicast where <paramref name="mac"/> is known, to see whether it still answers.</summary>
    public void Solicit(int interfaceIndex, in IpAddress target, MacAddress mac)
    {
        IpInterface link = ip.Interface(interfaceIndex);
        int place = ip.Addresses.SelectSource(target, interfaceIndex);
        if (place < 0) return;
        IpAddress source = ip.Addresses.Places[place].Address;
        bool sent;
        if (target.IsIPv4)
        {
            var request = new ArpPacket { Operation = ArpOperation.Request, SenderMac = link.Mac, SenderAddress = source, TargetAddress = target };
            sent = TrySendArp(link, request, mac.IsZero ? MacAddress.Broadcast : mac);
        }
        else
        {
            sent = TrySendSolicitation(link, source, target, mac);
        }

        if (sent) ip.NeighbourCounters.SentSolicitations++;
    }

    /// <summary>Tells everybody on the link our addresses: an ARP announcement (RFC 5227 §3) or an unsolicited advertisement (RFC 4861 §7.2.6) each.</summary>
    public void Announce(IpInterface link)
    {
        if (!link.IsEthernet || link.IsLoopback) return;
        foreach (ref readonly OwnAddress own in ip.Addresses.Places)
        {
            if (!own.IsUsed || !own.IsUsable || own.InterfaceIndex != link.Index) continue;
            if (own.Address.IsIPv6)
            {
                ip.Discovery.Announce(link, own.Address);
                continue;
            }

            var said = new ArpPacket { Operation = ArpOperation.Request, SenderMac = link.Mac, SenderAddress = own.Address, TargetAddress = own.Address };
            if (TrySendArp(link, said, MacAddress.Broadcast)) ip.NeighbourCounters.SentAdvertisements++;
        }
    }

    /// <summary>A neighbour solicitation (RFC 4861 §7.2.2); from :: it tests for duplicates (RFC 4862 §5.4.2).</summary>
    public bool TrySendSolicitation(IpInterface link, in IpAddress source, in IpAddress target, MacAddress mac)
    {
        if (!ip.Frames.TryRent(out Frame frame)) return NoMemory();
        IpAddress destination = mac.IsZero ? target.SolicitedNodeMulticast() : target;
        frame.Length = frame.HeadLength = source.IsAny ? (ushort)24 : (ushort)32;
        NeighborSolicitation.Write(ip.Frames.Head(frame), source, destination, target, source.IsAny ? null : link.Mac);
        return TrySendDiscovery(link, ref frame, source, destination, mac.IsZero ? MacAddress.ForIPv6Multicast(destination) : mac);
    }

    /// <summary>Sends an ICMPv6 message of neighbour discovery: hop limit 255, straight to a link-layer address.</summary>
    public bool TrySendDiscovery(IpInterface link, ref Frame frame, in IpAddress source, in IpAddress destination, MacAddress mac)
    {
        int length = frame.Length;
        ip.Frames.TryPrepend(ref frame, IPv6Header.Length, out Span<byte> header);
        IPv6Header.Write(header, source, destination, IpProtocol.Icmpv6, length, hopLimit: 255);
        return ip.Link.TrySendUrgent(link, ref frame, mac, EtherType.IPv6);
    }

    public bool TrySendArp(IpInterface link, in ArpPacket packet, MacAddress mac)
    {
        if (!ip.Frames.TryRent(out Frame frame)) return NoMemory();
        frame.Length = frame.HeadLength = ArpHeader.Length;
        packet.WriteTo(ip.Frames.Head(frame));
        return ip.Link.TrySendUrgent(link, ref frame, mac, EtherType.Arp);
    }

    private bool NoMemory()
    {
        ip.Counters.SendDroppedNoMemory++;
        return false;
    }
}
