// What a host learns from routers (RFC 4861 §6.3, §8): default routers, prefixes on the link, MTU, hop limit, times; and redirects.
// Only on interfaces that configure themselves; redirects only where the settings want them.
using Peregrine.Core.Memory;
using Peregrine.Core.Time;
using Peregrine.Wire;

namespace Peregrine.Core.Ip;

/// <summary>Router discovery and redirects.</summary>
internal sealed class RouterDiscovery(IpLayer ip)
{
    // RFC 4861 §10.
    private const int SolicitationsMax = 3;
    private static readonly Duration SolicitationInterval = Duration.FromSeconds(4);

    // What a router, or somebody who plays one, may make us remember.
    private const int LearnedRouteMax = 32;
    private const int PrefixOptionMax = 16;
    private const int RedirectMax = 64;
    private static readonly Duration RedirectLifetime = Duration.FromSeconds(600);

    public void Start(IpInterface link, Instant now)
    {
        link.RouterSolicitationsLeft = SolicitationsMax;
        // RFC 4861 §6.3.7: a random delay of up to a second before the first.
        ip.Timers.ArmInterface(link.Index, now + Duration.FromMilliseconds(ip.Generator.Next(1000)));
    }

    public void OnTimer(int interfaceIndex, Instant now)
    {
        IpInterface link = ip.Interface(interfaceIndex);
        if (link.RouterSolicitationsLeft == 0) return;
        link.RouterSolicitationsLeft--;
        Solicit(link);
        if (link.RouterSolicitationsLeft > 0) ip.Timers.ArmInterface(interfaceIndex, now + SolicitationInterval);
    }

    private void Solicit(IpInterface link)
    {
        if (!ip.Frames.TryRent(out Frame frame))
        {
            ip.Counters.SendDroppedNoMemory++;
            return;
        }

        int place = ip.Addresses.SelectSource(IpAddress.IPv6AllRouters, link.Index);
        IpAddress source = place < 0 ? IpAddress.IPv6Any : ip.Addresses.Places[place].Address;
        frame.Length = frame.HeadLength = source.IsAny ? (ushort)8 : (ushort)16;
        RouterSolicitation.Write(ip.Frames.Head(frame), source, IpAddress.IPv6AllRouters, source.IsAny ? null : link.Mac);
        MacAddress group = MacAddress.ForIPv6Multicast(IpAddress.IPv6AllRouters);
        if (ip.Solicitor.TrySendDiscovery(link, ref frame, source, IpAddress.IPv6AllRouters, group)) ip.NeighbourCounters.SentRouterSolicitations++;
    }

    /// <summary>RFC 4861 §6.1.2, §6.3.4. False when it is not valid.</summary>
    public bool OnAdvertisement(IpInterface link, in ReceivedPacket packet, in RouterAdvertisement message, Instant now)
    {
        if (packet.Source.IsIPv4 || !packet.Source.IsLinkLocal) return false;
        if (!link.Options.Autoconfigure)
        {
            ip.NeighbourCounters.DroppedRouter++;
            return true;
        }

        ip.NeighbourCounters.ReceivedRouterAdvertisements++;
        link.RouterSolicitationsLeft = 0;
        ip.Timers.CancelInterface(link.Index);
        if (message.HopLimit != 0) link.HopLimit = message.HopLimit;
        // RFC 4861 §6.2.1 allows an hour at most; the least values keep a forged advertisement from making us flood the link.
        if (message.ReachableTimeMs != 0) link.BaseReachableTime = Duration.FromMilliseconds(Math.Clamp(message.ReachableTimeMs, 1000, 3_600_000));
        if (message.RetransTimerMs != 0) link.RetransTimer = Duration.FromMilliseconds(Math.Clamp(message.RetransTimerMs, 100, 60_000));
        bool hasMac = message.Options.TryGetLinkLayerAddress(NdOptionType.SourceLinkLayerAddress, out MacAddress mac) && !mac.IsMulticast;
        ip.Neighbours.OnRouterAdvertised(link.Index, packet.Source, mac, hasMac, now);
        // RFC 4861 §6.3.4: an MTU of less than 1,280 or more than the link's is ignored.
        if (message.Options.TryGetMtu(out uint mtu) && mtu >= IPv6Header.MtuMin && mtu <= link.Mtu && mtu != link.AdvertisedMtu)
        {
            link.AdvertisedMtu = (int)mtu;
            ip.Invalidate();
        }

        uint metric = (uint)(1024 - (128 * message.Preference));
        Learn(new IpPrefix(IpAddress.IPv6Any, 0), packet.Source, link, metric, message.RouterLifetimeSeconds, now);
        int left = PrefixOptionMax;
        foreach (NdOption option in message.Options)
        {
            if (!option.TryGetPrefix(out NdPrefixInformation prefix)) continue;
            if (left-- == 0) break;
            OnPrefix(link, prefix, now);
        }

        return true;
    }

    private void OnPrefix(IpInterface link, in NdPrefixInformation information, Instant now)
    {
        // RFC 4861 §6.3.4, RFC 4862 §5.5.3 b: the link-local prefix is nobody's to advertise.
        if (information.Prefix.Address.IsLinkLocal || information.Prefix.Address.IsMulticast) return;
        if (information.IsOnLink)
        {
            var prefix = new IpPrefix(information.Prefix.NetworkAddress, information.Prefix.Length);
            Learn(prefix, default, link, 256, information.ValidLifetimeSeconds, now);
        }

        if (information.IsAutonomous) ip.Configuration.OnPrefix(link, information, now);
    }

    private void Learn(in IpPrefix prefix, in IpAddress gateway, IpInterface link, uint metric, uint lifetimeSeconds, Instant now)
    {
        if (lifetimeSeconds == 0)
        {
            if (ip.Routes.RemoveAdvertised(prefix, gateway, link.Index)) ip.Invalidate();
            return;
        }

        bool full = ip.Routes.CountOf(RouteOrigin.RouterAdvertisement) >= LearnedRouteMax;
        if (full && !ip.Routes.HasAdvertised(prefix, gateway, link.Index)) return;
        ip.AddRoute(new Route
        {
            Prefix = prefix, Gateway = gateway, InterfaceIndex = (ushort)link.Index, Metric = metric, Origin = RouteOrigin.RouterAdvertisement,
            Expires = lifetimeSeconds == NdPrefixInformation.InfiniteLifetime ? Instant.Never : now + Duration.FromSeconds(lifetimeSeconds),
        });
    }

    /// <summary>An IPv6 redirect (RFC 4861 §8.1, §8.3). False when it is not valid.</summary>
    public bool OnRedirect(IpInterface link, in ReceivedPacket packet, in RedirectMessage message, Instant now)
    {
        // RFC 4861 §8.1: from a link-local address; no group as destination; the target a router's link-local address or the destination.
        bool valid = packet.Source.IsLinkLocal && !message.Destination.IsMulticast && !message.Destination.IsIPv4
            && (message.Target == message.Destination || (message.Target.IsLinkLocal && message.Target.IsIPv6));
        if (!valid) return false;
        // RFC 4861 §8.1: from the current first hop of that destination.
        bool fromFirstHop = ip.Routes.TryFind(message.Destination, link.Index, out Route route) && route.Gateway == packet.Source;
        if (!TryRedirect(link, message.Destination, message.Target, fromFirstHop, now))
        {
            ip.IcmpCounters.DroppedRedirect++;
            return true;
        }

        if (message.Options.TryGetLinkLayerAddress(NdOptionType.TargetLinkLayerAddress, out MacAddress mac) && !mac.IsMulticast)
            ip.Neighbours.OnSolicited(link.Index, message.Target, mac, mayAdd: true, now);
        return true;
    }

    /// <summary>Sets a host route, if redirects are wanted and this one came from the gateway in use.</summary>
    public bool TryRedirect(IpInterface link, in IpAddress destination, in IpAddress target, bool fromFirstHop, Instant now)
    {
        if (!ip.Options.AcceptRedirects || !fromFirstHop || ip.IsLocalAddress(target) || ip.IsLocalAddress(destination)) return false;
        ip.Routes.RemoveOldestRedirect(RedirectMax - 1);
        bool onLink = target == destination;
        var error = ip.AddRoute(new Route
        {
            Prefix = new IpPrefix(destination, destination.Length * 8), Gateway = onLink ? default : target, InterfaceIndex = (ushort)link.Index,
            Metric = 0, Origin = RouteOrigin.Redirect, Expires = now + RedirectLifetime,
        });
        if (error != System.Net.Sockets.SocketError.Success) return false;
        ip.IcmpCounters.ReceivedRedirects++;
        return true;
    }
}
