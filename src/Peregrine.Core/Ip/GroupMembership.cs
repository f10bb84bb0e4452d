// The multicast groups that somebody here is in, and the reports about them to routers and snooping switches: IGMPv2 and MLDv2 reports
// as answers to queries and after joining. No source filters, no leave messages: queriers find out by themselves.
using Peregrine.Core.Memory;
using Peregrine.Core.Time;
using Peregrine.Wire;

namespace Peregrine.Core.Ip;

/// <summary>Multicast groups.</summary>
internal sealed class GroupMembership
{
    private const int CountMax = 64;
    private const int RecordMax = 32;            // groups in one MLDv2 report
    private const byte IgmpQuery = 0x11, IgmpReportV2 = 0x16;
    private static readonly IpAddress AllMldv2Routers = IpAddress.FromIPv6(0xFF02_0000_0000_0000, 0x16);

    // RFC 2113 §2.1, RFC 2711 §2.1: router alert.
    private static ReadOnlySpan<byte> RouterAlertIPv4 => [148, 4, 0, 0];
    private static ReadOnlySpan<byte> RouterAlertIPv6 => [5, 2, 0, 0];

    private struct Membership
    {
        public IpAddress Group;
        public int InterfaceIndex;
        public int Count;
    }

    private readonly IpLayer _ip;
    private readonly Membership[] _groups = new Membership[CountMax];
    private ulong _pendingIPv4, _pendingIPv6;    // a bit for each interface: a report is due when the timer fires

    public GroupMembership(IpLayer ip) => _ip = ip;

    /// <summary>Whether packets to the group are for us on this interface.</summary>
    public bool IsMember(in IpAddress group, IpInterface link)
    {
        // RFC 1112 §7.2, RFC 4291 §2.8: groups that every host is in.
        if (group.IsIPv4 ? group.ToIPv4() == 0xE000_0001 : group == IpAddress.IPv6AllNodes) return true;
        if (group.IsIPv6 && _ip.Addresses.IsSolicitedNodeGroup(group, link.Index)) return true;
        return Find(group, link.Index) >= 0;
    }

    /// <summary>Joins a group, or counts one more who is in it; false when it is none or there are too many.</summary>
    public bool TryJoin(in IpAddress group, int interfaceIndex, Instant now)
    {
        int place = Find(group, interfaceIndex);
        for (int i = 0; i < CountMax && place < 0; i++)
        {
            if (_groups[i].Count == 0) place = i;
        }

        if (place < 0 || !group.IsMulticast) return false;
        _groups[place] = new Membership { Group = group, InterfaceIndex = interfaceIndex, Count = _groups[place].Count + 1 };
        if (_groups[place].Count == 1) Schedule(_ip.Interface(interfaceIndex), group.IsIPv4, 100, now);
        return true;
    }

    /// <summary>Leaves a group.</summary>
    public void Leave(in IpAddress group, int interfaceIndex)
    {
        int place = Find(group, interfaceIndex);
        if (place >= 0) _groups[place].Count--;
    }

    /// <summary>A new address brings its solicited-node group (RFC 4862 §5.4.2); reported where the interface configures itself.</summary>
    public void OnAddressAdded(IpInterface link, in IpAddress address, Instant now)
    {
        if (address.IsIPv6 && link.Options.Autoconfigure) Schedule(link, isIPv4: false, 1000, now);
    }

    /// <summary>Another device took the interface's place: a switch at its other end has not heard of our groups.</summary>
    public void OnDeviceReplaced(IpInterface link, Instant now)
    {
        Schedule(link, isIPv4: true, 100, now);
        Schedule(link, isIPv4: false, 100, now);
    }

    /// <summary>A multicast listener query (RFC 3810 §5.1) with its maximum response code.</summary>
    public void OnMldQuery(IpInterface link, uint responseCode, Instant now)
    {
        // RFC 3810 §5.1.3: large codes are floating-point numbers; more than ten seconds are not waited for.
        uint delayMs = Math.Min(responseCode & 0xFFFF, 10_000);
        Schedule(link, isIPv4: false, delayMs, now);
    }

    /// <summary>An IGMP message.</summary>
    public void OnIgmp(IpInterface link, in ReceivedPacket packet, Instant now)
    {
        if (packet.TransportLength < 8 || packet.Frame.HeadLength < packet.TransportOffset + 8) return;
        ReadOnlySpan<byte> bytes = _ip.Frames.Head(packet.Frame)[packet.TransportOffset..];
        if (bytes[0] != IgmpQuery || !InternetChecksum.IsValid(_ip.Frames.Sum(packet.Frame, packet.TransportOffset, packet.TransportLength, 0))) return;
        // RFC 2236 §2.2: tenths of a second; zero comes from version 1, which means ten seconds.
        Schedule(link, isIPv4: true, bytes[1] == 0 ? 10_000u : Math.Min(bytes[1] * 100u, 10_000), now);
    }

    /// <summary>Reports are due. At most one for each interface and group.</summary>
    public void OnTimer(Instant now)
    {
        (ulong ipv4, ulong ipv6) = (_pendingIPv4, _pendingIPv6);
        _pendingIPv4 = _pendingIPv6 = 0;
        for (int i = 0; i < _ip.InterfaceCount; i++)
        {
            if ((ipv6 >> i & 1) != 0) ReportIPv6(_ip.Interface(i));
            for (int g = 0; g < CountMax && (ipv4 >> i & 1) != 0; g++)
            {
                if (_groups[g].Count > 0 && _groups[g].InterfaceIndex == i && _groups[g].Group.IsIPv4) ReportIPv4(_ip.Interface(i), _groups[g].Group);
            }
        }
    }

    private void Schedule(IpInterface link, bool isIPv4, uint delayMs, Instant now)
    {
        if (!link.Options.ReportMulticast || !link.IsEthernet || link.IsLoopback) return;
        ulong bit = 1ul << link.Index;
        if (((isIPv4 ? _pendingIPv4 : _pendingIPv6) & bit) != 0) return;
        if (isIPv4) _pendingIPv4 |= bit;
        else _pendingIPv6 |= bit;
        Instant at = now + Duration.FromMilliseconds(_ip.Generator.Next(delayMs + 1));
        _ip.Timers.ArmGroupsEarlier(at);
    }

    private void ReportIPv4(IpInterface link, in IpAddress group)
    {
        int place = _ip.Addresses.SelectSource(group, link.Index);
        if (place < 0 || !_ip.Frames.TryRent(out Frame frame)) return;
        frame.Length = frame.HeadLength = 8;
        Span<byte> message = _ip.Frames.Head(frame);
        message.Clear();
        message[0] = IgmpReportV2;
        group.WriteTo(message[4..]);
        InternetChecksum.Store(message[2..], InternetChecksum.Sum(message));
        _ip.Frames.TryPrepend(ref frame, IPv4Header.Length + RouterAlertIPv4.Length, out Span<byte> header);
        IPv4Header.Write(
            header, _ip.Addresses.Places[place].Address, group, IpProtocol.Igmp, 8, timeToLive: 1, trafficClass: 0xC0, options: RouterAlertIPv4);
        _ip.Link.TrySendUrgent(link, ref frame, MacAddress.ForIPv4Multicast(group), EtherType.IPv4);
    }

    // RFC 3810 §5.2: one record "exclude nothing" for each group.
    private void ReportIPv6(IpInterface link)
    {
        Span<IpAddress> groups = stackalloc IpAddress[RecordMax];
        int count = Collect(link, groups);
        int place = _ip.Addresses.SelectSource(AllMldv2Routers, link.Index);
        if (count == 0 || !_ip.Frames.TryRent(out Frame frame)) return;
        IpAddress source = place >= 0 ? _ip.Addresses.Places[place].Address : IpAddress.IPv6Any;
        int length = IcmpHeader.Length + (count * 20);
        frame.Length = frame.HeadLength = (ushort)length;
        Span<byte> message = _ip.Frames.Head(frame);
        message.Clear();
        message[0] = (byte)Icmpv6Type.MulticastListenerReportV2;
        message[7] = (byte)count;
        for (int i = 0; i < count; i++)
        {
            // CHANGE_TO_EXCLUDE_MODE (4) would be for changes; MODE_IS_EXCLUDE (2) states what is.
            message[IcmpHeader.Length + (i * 20)] = 2;
            groups[i].WriteIPv6To(message[(IcmpHeader.Length + (i * 20) + 4)..]);
        }

        Icmpv6Packet.WriteChecksum(message, source, AllMldv2Routers);
        _ip.Frames.TryPrepend(ref frame, 8, out Span<byte> options);
        IPv6OptionsHeader.Write(options, IpProtocol.Icmpv6, RouterAlertIPv6);
        _ip.Frames.TryPrepend(ref frame, IPv6Header.Length, out Span<byte> header);
        IPv6Header.Write(header, source, AllMldv2Routers, IpProtocol.HopByHopOptions, length + 8, hopLimit: 1);
        _ip.Link.TrySendUrgent(link, ref frame, MacAddress.ForIPv6Multicast(AllMldv2Routers), EtherType.IPv6);
    }

    private int Collect(IpInterface link, Span<IpAddress> groups)
    {
        int count = 0;
        foreach (ref readonly OwnAddress own in _ip.Addresses.Places)
        {
            if (!own.IsUsed || own.InterfaceIndex != link.Index || own.Address.IsIPv4 || own.State == AddressState.Duplicate) continue;
            IpAddress group = own.Address.SolicitedNodeMulticast();
            if (count < groups.Length && !groups[..count].Contains(group)) groups[count++] = group;
        }

        foreach (ref readonly Membership membership in _groups.AsSpan())
        {
            if (membership.Count > 0 && membership.InterfaceIndex == link.Index && membership.Group.IsIPv6 && count < groups.Length)
                groups[count++] = membership.Group;
        }

        return count;
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
