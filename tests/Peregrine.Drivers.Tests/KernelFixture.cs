// Settings of the kernel for tests, in the namespace of the calling thread.
namespace Peregrine.Drivers.Tests;

internal static class KernelFixture
{
    /// <summary>
    /// Waits until a pair that was set up carries frames both ways: a work queue of the kernel gives the ends their queueing discipline, all is
    /// dropped until then, and no flag of an interface says so for certain.
    /// </summary>
    public static void WaitUntilCarrying(string one, string other)
    {
        using PacketPeer a = new(one), b = new(other);
        var frame = new byte[60];
        frame.AsSpan(0, 6).Fill(0xFF);
        Assert.True(SpinWait.SpinUntil(() => Passes(a, b) && Passes(b, a), 60_000), "the pair carries nothing");

        bool Passes(PacketPeer from, PacketPeer to)
        {
            from.Send(frame);
            return to.Receive() is not null;
        }
    }

    /// <summary>Keeps the kernel from sending IPv6 by itself on interfaces that are made from now on.</summary>
    public static void NoIPv6ByItself() => File.WriteAllText("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1");
}
