// Settings of the kernel for tests, in the namespace of the calling thread.
namespace Peregrine.Drivers.Tests;

internal static class KernelFixture
{
    /// <summary>Keeps the kernel from sending IPv6 by itself on interfaces that are made from now on.</summary>
    public static void NoIPv6ByItself() => File.WriteAllText("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1");
}
