// Signatures of parts of the IP layer whose bodies land next.
using System.Net.Sockets;
using Peregrine.Core.Memory;
using Peregrine.Core.Time;
using Peregrine.Wire;

namespace Peregrine.Core.Ip;

internal sealed class Reassembly
{
    public Reassembly(IpLayer ip, MemoryRegion region, IpOptions options, AddressHash hash) => _ = (ip, region, options, hash);
    public static nuint BytesFor(IpOptions options) => (nuint)options.FragmentCountMax;
    public void OnTimeout(int place, Instant now) => _ = (place, now);
}

internal sealed class Solicitor
{
    public Solicitor(IpLayer ip) => _ = ip;
    public void Solicit(int interfaceIndex, in IpAddress target, MacAddress mac) => _ = (interfaceIndex, target, mac);
}

internal sealed class NeighbourDiscovery
{
    public NeighbourDiscovery(IpLayer ip) => _ = ip;
}

internal sealed class RouterDiscovery
{
    public RouterDiscovery(IpLayer ip) => _ = ip;
    public void OnTimer(int interfaceIndex, Instant now) => _ = (interfaceIndex, now);
}

internal sealed class AddressConfiguration
{
    public AddressConfiguration(IpLayer ip, AddressHash hash) => _ = (ip, hash);
    public void Start(IpInterface link, Instant now) => _ = (link, now);
    public void OnAddressTimer(int place, Instant now) => _ = (place, now);
    public SocketError Add(IpInterface link, in InterfaceAddress address, AddressOrigin origin, Instant preferred, Instant valid, Instant now) => SocketError.Success;
    public bool Remove(int interfaceIndex, in IpAddress address) => false;
}

internal sealed class IcmpErrors
{
    public IcmpErrors(IpLayer ip) => _ = ip;
    public void ReportUnreachable(in Frame frame, Instant now) => _ = (frame, now);
    public void SendPortUnreachable(in ReceivedPacket packet, Instant now) => _ = (packet, now);
}

internal sealed class IcmpLayer
{
    public IcmpLayer(IpLayer ip) => _ = ip;
}

internal sealed class IpInput
{
    public IpInput(IpLayer ip) => _ = ip;

    public bool TryParse(ref Frame frame, IpInterface link, Instant now, out ReceivedPacket packet)
    {
        packet = default;
        return false;
    }
}
