// The kernel's side of a link, configured without any other program. In the namespace of the calling thread.
using Peregrine.Drivers.Linux;
using Peregrine.Wire;

namespace Peregrine.Drivers;

/// <summary>Configures a network interface of the kernel. Needs CAP_NET_ADMIN; call inside <see cref="NetworkNamespace.Run(Action)"/> for another namespace.</summary>
public static class KernelInterface
{
    /// <summary>Sets the interface up or down.</summary>
    /// <exception cref="IOException">There is no such interface, or it is not permitted.</exception>
    public static void SetUp(string name, bool up = true) => Do(netlink => netlink.SetUp(name, up));

    /// <summary>Sets the largest packet in bytes.</summary>
    /// <exception cref="IOException">The device does not take that MTU.</exception>
    public static void SetMtu(string name, int mtu) => Do(netlink => netlink.SetMtu(name, mtu));

    /// <summary>Sets the hardware address of an Ethernet interface.</summary>
    /// <exception cref="IOException">The device does not take that address.</exception>
    public static void SetMacAddress(string name, MacAddress address) => Do(netlink => netlink.SetMacAddress(name, address));

    /// <summary>Adds an address with its prefix length; IPv6 ones are usable at once (no duplicate detection).</summary>
    /// <exception cref="IOException">The kernel refused.</exception>
    public static void AddAddress(string name, IpPrefix address) => Do(netlink => netlink.AddAddress(name, address));

    /// <summary>Adds a route out of the interface, by a gateway where one is given.</summary>
    /// <exception cref="IOException">The kernel refused.</exception>
    public static void AddRoute(string name, IpPrefix destination, IpAddress? gateway = null) =>
        Do(netlink => netlink.AddRoute(name, destination, gateway));

    /// <summary>Makes a pair of Ethernet interfaces (veth) that are each other's wire; both are down.</summary>
    /// <param name="name">The one that stays in the calling thread's namespace.</param>
    /// <param name="peerName">The other.</param>
    /// <param name="peerNamespace">The namespace of the other, or null for the same.</param>
    /// <param name="queueCount">Receive and transmit queues of each, 1 to 4,096.</param>
    /// <exception cref="IOException">A name is taken, or it is not permitted.</exception>
    public static void AddPair(string name, string peerName, NetworkNamespace? peerNamespace = null, int queueCount = 1) =>
        Do(netlink => netlink.AddPair(name, peerName, peerNamespace?.Descriptor ?? -1, queueCount));

    /// <summary>Deletes the interface.</summary>
    /// <exception cref="IOException">There is no such interface.</exception>
    public static void Delete(string name) => Do(netlink => netlink.DeleteInterface(name));

    private static void Do(Action<RouteNetlink> action)
    {
        using var netlink = new RouteNetlink();
        action(netlink);
    }
}
