// Own addresses come and go: configured ones, link-local ones, those made from advertised prefixes (RFC 4862), with duplicate address
// detection and lifetimes. There is no DHCP here.
using System.Net.Sockets;
using Peregrine.Core.Time;
using Peregrine.Wire;

namespace Peregrine.Core.Ip;

/// <summary>Adds, tests and removes own addresses.</summary>
internal sealed class AddressConfiguration(IpLayer ip)
{
    private const int AutoconfiguredMax = 8;
    private static readonly Duration TwoHours = Duration.FromSeconds(7200);

    /// <summary>Gives a new interface its link-local address and begins to look for routers.</summary>
    public void Start(IpInterface link, Instant now)
    {
        if (!link.IsEthernet || !link.HasIPv6 || link.IsLoopback) return;
        if (link.Options.LinkLocal && !HasLinkLocal(link.Index) && !link.Mac.IsZero)
        {
            IpAddress address = IpAddress.FromIPv6(0xFE80_0000_0000_0000, InterfaceIdentifier(link, 0xFE80_0000_0000_0000));
            Add(link, new InterfaceAddress(address, 64), AddressOrigin.LinkLocal, Instant.Never, Instant.Never, now);
        }

        if (link.Options.Autoconfigure) ip.Routers.Start(link, now);
    }

    public SocketError Add(IpInterface link, in InterfaceAddress address, AddressOrigin origin, Instant preferred, Instant valid, Instant now)
    {
        IpAddress a = address.Address;
        bool bad = a.IsAny || a.IsMulticast || a.IsBroadcast || (uint)address.PrefixLength > a.Length * 8 || (a.IsLoopback && !link.IsLoopback)
            || (a.IsIPv6 && !link.HasIPv6);
        if (bad) return SocketError.InvalidArgument;
        int existing = ip.Addresses.Find(a, link.Index);
        if (existing >= 0) return SocketError.AddressAlreadyInUse;
        bool test = a.IsIPv6 && link.IsEthernet && (link.Options.Autoconfigure || link.Options.DetectDuplicates);
        var own = new OwnAddress
        {
            Address = a, PrefixLength = (byte)address.PrefixLength, InterfaceIndex = (ushort)link.Index, Origin = origin,
            PreferredUntil = preferred, ValidUntil = valid, State = test ? AddressState.Tentative : AddressState.Preferred, ProbesLeft = 1,
        };
        if (!ip.Addresses.TryAdd(own, out int place)) return SocketError.NoBufferSpaceAvailable;
        // RFC 5942 §3: an autoconfigured address says nothing about what else is on the link; the advertised L flag does.
        if (origin != AddressOrigin.Autoconfigured && address.PrefixLength < a.Length * 8)
        {
            SocketError error = ip.AddRoute(new Route
            {
                Prefix = new IpPrefix(own.Prefix.NetworkAddress, address.PrefixLength), InterfaceIndex = (ushort)link.Index,
                Origin = RouteOrigin.Connected, Expires = Instant.Never,
            });
            if (error != SocketError.Success)
            {
                ip.Addresses.Remove(place);
                return error;
            }
        }

        // RFC 4862 §5.4.2: a random delay of up to a second before the first message of an interface.
        if (test) ip.Timers.ArmAddress(place, now + Duration.FromMilliseconds(ip.Generator.Next(1000)));
        else ArmLifetime(place);
        ip.Groups.OnAddressAdded(link, a, now);
        ip.Invalidate();
        return SocketError.Success;
    }

    public bool Remove(int interfaceIndex, in IpAddress address)
    {
        int place = ip.Addresses.Find(address, interfaceIndex);
        if (place < 0 || ip.Addresses.Places[place].InterfaceIndex != interfaceIndex) return false;
        RemoveAt(place);
        return true;
    }

    public void OnAddressTimer(int place, Instant now)
    {
        ref OwnAddress own = ref ip.Addresses.Places[place];
        if (!own.IsUsed) return;
        if (own.State == AddressState.Tentative)
        {
            OnTestTimer(place, ref own, now);
            return;
        }

        if (own.ValidUntil <= now)
        {
            RemoveAt(place);
            return;
        }

        // RFC 4862 §5.5.4: a deprecated address serves what uses it, and nothing new.
        if (own.PreferredUntil <= now && own.State == AddressState.Preferred) own.State = AddressState.Deprecated;
        ArmLifetime(place);
    }

    private void OnTestTimer(int place, ref OwnAddress own, Instant now)
    {
        IpInterface link = ip.Interface(own.InterfaceIndex);
        if (own.ProbesLeft > 0)
        {
            own.ProbesLeft--;
            if (ip.Solicitor.TrySendSolicitation(link, IpAddress.IPv6Any, own.Address, default)) ip.NeighbourCounters.SentSolicitations++;
            ip.Timers.ArmAddress(place, now + link.RetransTimer);
            return;
        }

        own.State = own.PreferredUntil <= now ? AddressState.Deprecated : AddressState.Preferred;
        ArmLifetime(place);
        ip.Invalidate();
    }

    /// <summary>RFC 4862 §5.4.5: the address that was tested is somebody else's.</summary>
    public void OnDuplicate(int place)
    {
        ip.Addresses.Places[place].State = AddressState.Duplicate;
        ip.Timers.CancelAddress(place);
        ip.NeighbourCounters.AddressConflicts++;
        ip.Invalidate();
    }

    /// <summary>An advertised prefix with the autonomous flag (RFC 4862 §5.5.3).</summary>
    public void OnPrefix(IpInterface link, in NdPrefixInformation information, Instant now)
    {
        // c: the preferred lifetime is not the longer one. d: prefix and identifier make 128 bits.
        if (information.PreferredLifetimeSeconds > information.ValidLifetimeSeconds || information.Prefix.Length != 64) return;
        Instant preferred = Until(information.PreferredLifetimeSeconds, now), valid = Until(information.ValidLifetimeSeconds, now);
        ulong prefix = information.Prefix.NetworkAddress.High;
        int count = 0;
        for (int i = 0; i < ip.Addresses.Places.Length; i++)
        {
            ref OwnAddress own = ref ip.Addresses.Places[i];
            if (!own.IsUsed || own.InterfaceIndex != link.Index || own.Origin != AddressOrigin.Autoconfigured) continue;
            count++;
            if (own.Address.High != prefix) continue;
            Renew(i, ref own, preferred, valid, now);
            return;
        }

        if (information.ValidLifetimeSeconds == 0 || count >= AutoconfiguredMax) return;
        IpAddress address = IpAddress.FromIPv6(prefix, InterfaceIdentifier(link, prefix));
        Add(link, new InterfaceAddress(address, 64), AddressOrigin.Autoconfigured, preferred, valid, now);
    }

    private void Renew(int place, ref OwnAddress own, Instant preferred, Instant valid, Instant now)
    {
        own.PreferredUntil = preferred;
        // RFC 4862 §5.5.3 e: a short lifetime cannot take an address away at once; two hours are left to it.
        if (valid > now + TwoHours || valid > own.ValidUntil) own.ValidUntil = valid;
        else if (own.ValidUntil > now + TwoHours) own.ValidUntil = now + TwoHours;
        if (own.State == AddressState.Deprecated && preferred > now) own.State = AddressState.Preferred;
        if (own.State != AddressState.Tentative) ArmLifetime(place);
    }

    private void ArmLifetime(int place)
    {
        ref OwnAddress own = ref ip.Addresses.Places[place];
        ip.Timers.ArmAddress(place, own.State == AddressState.Deprecated ? own.ValidUntil : Instant.Min(own.PreferredUntil, own.ValidUntil));
    }

    private void RemoveAt(int place)
    {
        OwnAddress own = ip.Addresses.Places[place];
        ip.Timers.CancelAddress(place);
        ip.Addresses.Remove(place);
        IpPrefix prefix = new(own.Prefix.NetworkAddress, own.PrefixLength);
        bool shared = false;
        foreach (ref readonly OwnAddress other in ip.Addresses.Places)
            shared |= other.IsUsed && other.InterfaceIndex == own.InterfaceIndex && other.PrefixLength == own.PrefixLength && prefix.Contains(other.Address);
        if (!shared && own.Origin != AddressOrigin.Autoconfigured) ip.Routes.Remove(prefix, default, own.InterfaceIndex);
        ip.Invalidate();
    }

    private bool HasLinkLocal(int interfaceIndex)
    {
        foreach (ref readonly OwnAddress own in ip.Addresses.Places)
        {
            if (own.IsUsed && own.InterfaceIndex == interfaceIndex && own.Address.IsIPv6 && own.Address.IsLinkLocal) return true;
        }

        return false;
    }

    // RFC 7217 §5 with a key, RFC 4291 appendix A without.
    private static ulong InterfaceIdentifier(IpInterface link, ulong prefix)
    {
        if (link.Options.InterfaceIdentifierKey != 0)
        {
            Span<byte> bytes = stackalloc byte[16];
            System.Buffers.Binary.BinaryPrimitives.WriteUInt64BigEndian(bytes, prefix);
            System.Buffers.Binary.BinaryPrimitives.WriteUInt64BigEndian(bytes[8..], link.Mac.Value);
            return SipHash.Hash24(link.Options.InterfaceIdentifierKey, bytes);
        }

        ulong mac = link.Mac.Value ^ 0x0200_0000_0000;
        return (mac >> 24 << 40) | 0x0000_00FF_FE00_0000 | (mac & 0xFF_FFFF);
    }

    private static Instant Until(uint seconds, Instant now) =>
        seconds == NdPrefixInformation.InfiniteLifetime ? Instant.Never : now + Duration.FromSeconds(seconds);
}
