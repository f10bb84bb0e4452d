// Routes: longest prefix first, then reachable gateways, then the smaller metric. A sorted, bounded table that is looked through in
// order: lookups are once a flow and not once a packet, and hosts have few routes.
using System.Net.Sockets;
using Peregrine.Core.Time;
using Peregrine.Wire;

namespace Peregrine.Core.Ip;

/// <summary>Where a route came from.</summary>
public enum RouteOrigin : byte
{
    /// <summary>The prefix of an own address.</summary>
    Connected,

    /// <summary>Configured.</summary>
    Static,

    /// <summary>A router advertised itself or a prefix.</summary>
    RouterAdvertisement,

    /// <summary>A router pointed to a better one for one destination.</summary>
    Redirect,
}

/// <summary>A route.</summary>
public struct Route
{
    /// <summary>Destinations.</summary>
    public IpPrefix Prefix;

    /// <summary>The next hop; unspecified where the destinations are on the link.</summary>
    public IpAddress Gateway;

    /// <summary>Until when it holds.</summary>
    public Instant Expires;

    /// <summary>Of two routes with the same prefix the smaller wins.</summary>
    public uint Metric;

    /// <summary>The interface.</summary>
    public ushort InterfaceIndex;

    /// <summary>Where it came from.</summary>
    public RouteOrigin Origin;

    /// <summary>The gateway did not answer lately: others are preferred (RFC 4861 §6.3.6).</summary>
    public bool IsSuspect;

    /// <summary>Whether destinations are neighbours.</summary>
    public readonly bool IsOnLink => Gateway.IsAny;
}

/// <summary>The routes.</summary>
internal sealed class RouteTable(int countMax)
{
    private readonly Route[] _routes = new Route[countMax];

    public int Count { get; private set; }

    public ReadOnlySpan<Route> All => _routes.AsSpan(0, Count);

    /// <summary>When the first route expires.</summary>
    public Instant NextExpiry { get; private set; } = Instant.Never;

    /// <summary>The route to a destination: the prefix says whether it is on the link (RFC 1122 §3.3.1.1).</summary>
    /// <param name="remote">The destination.</param>
    /// <param name="interfaceIndex">Only routes of this interface, or -1 for all.</param>
    /// <param name="route">The route.</param>
    public bool TryFind(in IpAddress remote, int interfaceIndex, out Route route)
    {
        int best = -1;
        for (int i = 0; i < Count; i++)
        {
            ref readonly Route candidate = ref _routes[i];
            if (best >= 0 && candidate.Prefix.Length != _routes[best].Prefix.Length) break;
            if (interfaceIndex >= 0 && candidate.InterfaceIndex != interfaceIndex) continue;
            if (candidate.Prefix.Address.IsIPv4 != remote.IsIPv4 || !candidate.Prefix.Contains(remote)) continue;
            if (best < 0) best = i;
            if (candidate.IsSuspect) continue;
            best = i;
            break;
        }

        route = best < 0 ? default : _routes[best];
        return best >= 0;
    }

    /// <summary>Adds a route, or renews the one with the same prefix, gateway and interface.</summary>
    public SocketError Add(in Route route)
    {
        for (int i = 0; i < Count; i++)
        {
            if (!IsSame(_routes[i], route.Prefix, route.Gateway, route.InterfaceIndex)) continue;
            // What was configured is not weakened by what a router says.
            if (_routes[i].Origin <= RouteOrigin.Static && route.Origin > RouteOrigin.Static) return SocketError.Success;
            RemoveAt(i);
            break;
        }

        if (Count == _routes.Length) return SocketError.NoBufferSpaceAvailable;
        int place = 0;
        while (place < Count && IsBefore(_routes[place], route)) place++;
        Array.Copy(_routes, place, _routes, place + 1, Count - place);
        _routes[place] = route;
        Count++;
        FindExpiry();
        return SocketError.Success;
    }

    public bool Remove(in IpPrefix prefix, in IpAddress gateway, int interfaceIndex)
    {
        for (int i = 0; i < Count; i++)
        {
            if (!IsSame(_routes[i], prefix, gateway, interfaceIndex)) continue;
            RemoveAt(i);
            FindExpiry();
            return true;
        }

        return false;
    }

    /// <summary>Removes a route that a router advertised; a configured one stays.</summary>
    public bool RemoveAdvertised(in IpPrefix prefix, in IpAddress gateway, int interfaceIndex) =>
        HasAdvertised(prefix, gateway, interfaceIndex) && Remove(prefix, gateway, interfaceIndex);

    public bool HasAdvertised(in IpPrefix prefix, in IpAddress gateway, int interfaceIndex)
    {
        for (int i = 0; i < Count; i++)
        {
            if (_routes[i].Origin == RouteOrigin.RouterAdvertisement && IsSame(_routes[i], prefix, gateway, interfaceIndex)) return true;
        }

        return false;
    }

    public int CountOf(RouteOrigin origin)
    {
        int count = 0;
        for (int i = 0; i < Count; i++) count += _routes[i].Origin == origin ? 1 : 0;
        return count;
    }

    /// <summary>Removes the advertised and redirected routes through a gateway that is none any more; whether there were any.</summary>
    public bool RemoveLearned(in IpAddress gateway, int interfaceIndex)
    {
        int before = Count;
        for (int i = Count - 1; i >= 0; i--)
        {
            ref readonly Route route = ref _routes[i];
            if (route.Origin > RouteOrigin.Static && route.InterfaceIndex == interfaceIndex && route.Gateway == gateway) RemoveAt(i);
        }

        FindExpiry();
        return Count != before;
    }

    /// <summary>Removes what has expired; whether there was something.</summary>
    public bool RemoveExpired(Instant now)
    {
        int before = Count;
        for (int i = Count - 1; i >= 0; i--)
        {
            if (_routes[i].Expires <= now) RemoveAt(i);
        }

        FindExpiry();
        return Count != before;
    }

    /// <summary>Notes whether a gateway answers (RFC 1122 §3.3.1.5: another takes over); true when a route changed.</summary>
    public bool NoteGateway(in IpAddress gateway, int interfaceIndex, bool answers)
    {
        bool changed = false;
        for (int i = 0; i < Count; i++)
        {
            ref Route route = ref _routes[i];
            if (route.InterfaceIndex != interfaceIndex || route.Gateway != gateway || route.IsSuspect == !answers) continue;
            route.IsSuspect = !answers;
            changed = true;
        }

        return changed;
    }

    /// <summary>Redirected routes, and how many there may be: the earliest to expire makes room.</summary>
    public void RemoveOldestRedirect(int keep)
    {
        int oldest = -1, count = 0;
        for (int i = 0; i < Count; i++)
        {
            if (_routes[i].Origin != RouteOrigin.Redirect) continue;
            count++;
            if (oldest < 0 || _routes[i].Expires < _routes[oldest].Expires) oldest = i;
        }

        if (count <= keep || oldest < 0) return;
        RemoveAt(oldest);
        FindExpiry();
    }

    private static bool IsSame(in Route route, in IpPrefix prefix, in IpAddress gateway, int interfaceIndex) =>
        route.InterfaceIndex == interfaceIndex && route.Prefix.Length == prefix.Length && route.Prefix.NetworkAddress == prefix.NetworkAddress
        && (route.Gateway == gateway || (route.Gateway.IsAny && gateway.IsAny));

    private static bool IsBefore(in Route a, in Route b) =>
        a.Prefix.Length != b.Prefix.Length ? a.Prefix.Length > b.Prefix.Length : a.Metric <= b.Metric;

    private void RemoveAt(int place)
    {
        Count--;
        Array.Copy(_routes, place + 1, _routes, place, Count - place);
    }

    private void FindExpiry()
    {
        NextExpiry = Instant.Never;
        for (int i = 0; i < Count; i++) NextExpiry = Instant.Min(NextExpiry, _routes[i].Expires);
    }
}
