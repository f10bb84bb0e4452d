// The multicast groups that somebody here is in, and the reports about them to routers and snooping switches.
// All-hosts, all-nodes and solicited-node groups belong to every interface and need no joining.
using Peregrine.Core.Time;
using Peregrine.Wire;

namespace Peregrine.Core.Ip;

/// <summary>Multicast groups.</summary>
internal sealed class GroupMembership(IpLayer ip)
{
    private const int CountMax = 64;

    private struct Membership
    {
        public IpAddress Group;
        public int InterfaceIndex;
        public int Count;
    }

    private readonly Membership[] _groups = new Membership[CountMax];

    /// <summary>Whether packets to the group are for us on this interface.</summary>
    public bool IsMember(in IpAddress group, IpInterface link)
    {
        // RFC 1112 §7.2, RFC 4291 §2.8: groups that every host is in.
        if (group.IsIPv4 ? group.ToIPv4() == 0xE000_0001 : group == IpAddress.IPv6AllNodes) return true;
        if (group.IsIPv6 && ip.Addresses.IsSolicitedNodeGroup(group, link.Index)) return true;
        return Find(group, link.Index) >= 0;
    }

    /// <summary>Joins a group, or counts one more who is in it; false when there are too many groups.</summary>
    public bool TryJoin(in IpAddress group, int interfaceIndex)
    {
        int place = Find(group, interfaceIndex);
        if (place < 0) place = Array.FindIndex(_groups, static g => g.Count == 0);
        if (place < 0 || !group.IsMulticast) return false;
        _groups[place] = new Membership { Group = group, InterfaceIndex = interfaceIndex, Count = _groups[place].Count + 1 };
        return true;
    }

    /// <summary>Leaves a group.</summary>
    public void Leave(in IpAddress group, int interfaceIndex)
    {
        int place = Find(group, interfaceIndex);
        if (place >= 0) _groups[place].Count--;
    }

    public void OnTimer(Instant now)
    {
    }

    private int Find(in IpAddress group, int interfaceIndex)
    {
        for (int i = 0; i < CountMax; i++)
        {
            if (_groups[i].Count > 0 && _groups[i].InterfaceIndex == interfaceIndex && _groups[i].Group == group) return i;
        }

        return -1;
    }
}
