// Neighbour solicitations and advertisements (RFC 4861 §7): their validity, the answers, and what they say about addresses under test.
using Peregrine.Core.Memory;
using Peregrine.Core.Time;
using Peregrine.Wire;

namespace Peregrine.Core.Ip;

/// <summary>Neighbour discovery input.</summary>
internal sealed class NeighbourDiscovery(IpLayer ip)
{
    /// <summary>A message of type 133 to 137 whose checksum is right. The frame stays the caller's.</summary>
    public void OnMessage(IpInterface link, in ReceivedPacket packet, in Icmpv6Packet message, Instant now)
    {
        // RFC 4861 §6.1, §7.1, §8.1: a hop limit of 255 proves that no router forwarded it. RFC 6980 §5: never in fragments.
        if (!link.IsEthernet || packet.HopLimit != 255 || message.Code != 0 || packet.WasFragmented || !Dispatch(link, packet, message, now))
            ip.NeighbourCounters.DroppedInvalid++;
    }

    // False when the message is not valid.
    private bool Dispatch(IpInterface link, in ReceivedPacket packet, in Icmpv6Packet message, Instant now)
    {
        switch (message.Type)
        {
            case Icmpv6Type.NeighborSolicitation:
                return NeighborSolicitation.TryParse(message, out NeighborSolicitation solicitation) && OnSolicitation(link, packet, solicitation, now);
            case Icmpv6Type.NeighborAdvertisement:
                return NeighborAdvertisement.TryParse(message, out NeighborAdvertisement advertisement)
                    && OnAdvertisement(link, packet, advertisement, now);
            case Icmpv6Type.RouterAdvertisement:
                return RouterAdvertisement.TryParse(message, out RouterAdvertisement router) && ip.Routers.OnAdvertisement(link, packet, router, now);
            case Icmpv6Type.Redirect:
                return RedirectMessage.TryParse(message, out RedirectMessage redirect) && ip.Routers.OnRedirect(link, packet, redirect, now);
            default:
                // RFC 4861 §6.2.6: hosts ignore router solicitations.
                ip.NeighbourCounters.DroppedRouter++;
                return true;
        }
    }

    private bool OnSolicitation(IpInterface link, in ReceivedPacket packet, in NeighborSolicitation message, Instant now)
    {
        bool hasMac = message.Options.TryGetLinkLayerAddress(NdOptionType.SourceLinkLayerAddress, out MacAddress mac);
        bool isTest = packet.Source.IsAny;
        // RFC 4861 §7.1.1.
        if (message.Target.IsMulticast || message.Target.IsIPv4 || (hasMac && mac.IsMulticast)) return false;
        if (isTest && (hasMac || packet.Destination != message.Target.SolicitedNodeMulticast())) return false;
        int place = ip.Addresses.Find(message.Target, link.Index);
        bool isOurs = place >= 0 && ip.Addresses.Places[place].InterfaceIndex == link.Index;
        if (isOurs && isTest && ip.Addresses.Places[place].State == AddressState.Tentative)
        {
            // RFC 4862 §5.4.3: another node tests the same address.
            ip.Configuration.OnDuplicate(place);
            ip.NeighbourCounters.DroppedNotForUs++;
            return true;
        }

        if (!isOurs || !ip.Addresses.Places[place].IsUsable)
        {
            ip.NeighbourCounters.DroppedNotForUs++;
            return true;
        }

        ip.NeighbourCounters.ReceivedSolicitations++;
        if (!isTest && hasMac) ip.Neighbours.OnSolicited(link.Index, packet.Source, mac, mayAdd: true, now);
        // Straight to who asked, past the cache: an answer must not put its entry into use, or floods of questions would.
        if (!hasMac) mac = MacAddress.Read(ip.Frames.Head(packet.Frame)[MacAddress.Length..]);
        // RFC 4861 §7.2.4: a test for duplicates is answered to all nodes, and is not "solicited".
        if (isTest) Advertise(link, message.Target, IpAddress.IPv6AllNodes, MacAddress.ForIPv6Multicast(IpAddress.IPv6AllNodes), false);
        else Advertise(link, message.Target, packet.Source, mac, true);
        return true;
    }

    /// <summary>RFC 4861 §7.2.6: tells all nodes our link-layer address of an own address.</summary>
    public void Announce(IpInterface link, in IpAddress own) =>
        Advertise(link, own, IpAddress.IPv6AllNodes, MacAddress.ForIPv6Multicast(IpAddress.IPv6AllNodes), solicited: false);

    private void Advertise(IpInterface link, in IpAddress target, in IpAddress destination, MacAddress mac, bool solicited)
    {
        if (!ip.Frames.TryRent(out Frame frame))
        {
            ip.Counters.SendDroppedNoMemory++;
            return;
        }

        frame.Length = frame.HeadLength = 32;
        NeighborAdvertisement.Write(
            ip.Frames.Head(frame), target, destination, target, link.Mac, isRouter: false, isSolicited: solicited, isOverride: true);
        if (ip.Solicitor.TrySendDiscovery(link, ref frame, target, destination, mac)) ip.NeighbourCounters.SentAdvertisements++;
    }

    private bool OnAdvertisement(IpInterface link, in ReceivedPacket packet, in NeighborAdvertisement message, Instant now)
    {
        bool hasMac = message.Options.TryGetLinkLayerAddress(NdOptionType.TargetLinkLayerAddress, out MacAddress mac);
        // RFC 4861 §7.1.2.
        if (message.Target.IsMulticast || message.Target.IsIPv4 || packet.Source.IsAny || (hasMac && mac.IsMulticast)) return false;
        if (message.IsSolicited && packet.Destination.IsMulticast) return false;
        int place = ip.Addresses.Find(message.Target, link.Index);
        if (place >= 0 && ip.Addresses.Places[place].InterfaceIndex == link.Index)
        {
            // RFC 4862 §5.4.4: somebody has the address that is being tested; or one in use, which is counted only.
            if (ip.Addresses.Places[place].State == AddressState.Tentative) ip.Configuration.OnDuplicate(place);
            else ip.NeighbourCounters.AddressConflicts++;
            ip.NeighbourCounters.DroppedUnsolicited++;
            return true;
        }

        AdvertisementFlags flags = (message.IsRouter ? AdvertisementFlags.Router : 0) | (message.IsSolicited ? AdvertisementFlags.Solicited : 0)
            | (message.IsOverride ? AdvertisementFlags.Override : 0);
        if (ip.Neighbours.OnAdvertised(link.Index, message.Target, mac, hasMac, flags, now)) ip.NeighbourCounters.ReceivedAdvertisements++;
        else ip.NeighbourCounters.DroppedUnsolicited++;
        return true;
    }
}
