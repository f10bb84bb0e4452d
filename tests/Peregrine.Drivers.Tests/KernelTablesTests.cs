using Peregrine.Core.Links;
using Peregrine.Drivers.Linux;
using Peregrine.Wire;

namespace Peregrine.Drivers.Tests;

/// <summary>The kernel's neighbours and routes as a link's tables: what is there, what changes, and what was lost.</summary>
public sealed class KernelTablesTests
{
    private static readonly IpAddress s_gateway = IpAddress.Parse("10.94.0.1");

    [Fact]
    public void ChangesComeAndAfterAnOverrunEverythingIsReadAgain()
    {
        Assert.SkipUnless(Environment.IsPrivilegedProcess, "not run: a pair of interfaces needs root");
        using var space = NetworkNamespace.Create();
        space.Run(() =>
        {
            KernelFixture.NoIPv6ByItself();
            KernelInterface.AddPair("near0", "far0");
            KernelInterface.SetUp("near0");
            KernelInterface.SetUp("far0");
            KernelInterface.AddAddress("near0", IpPrefix.Parse("10.94.0.2/24"));
            KernelInterface.AddRoute("near0", Route(0), s_gateway);
            var index = InterfaceDump.Read().Single(static one => one.Name == "near0").Index;
            using var tables = new KernelTables(index);
            var known = new Dictionary<IpPrefix, IpAddress>();
            Until(tables, known, () => known.ContainsKey(Route(0)));
            KernelInterface.AddRoute("near0", Route(1), s_gateway);
            Until(tables, known, () => known.ContainsKey(Route(1)));
            // Routes of other interfaces are not ours to know.
            KernelInterface.AddAddress("far0", IpPrefix.Parse("10.93.0.2/24"));
            KernelInterface.AddRoute("far0", IpPrefix.Parse("10.92.0.0/24"), IpAddress.Parse("10.93.0.1"));
            // More than a socket's buffer holds, while nobody reads: the first of them come, and then the kernel says that some are lost.
            for (var i = 2; i < 2_000; i++) KernelInterface.AddRoute("near0", Route(i), s_gateway);
            Until(tables, known, () => known.Count == 2_000);
            Assert.Equal(1, tables.OverrunCount);
            Assert.All(known, static one => Assert.Equal(s_gateway, one.Value));
            Assert.DoesNotContain(IpPrefix.Parse("10.92.0.0/24"), known.Keys);
        });
    }

    private static IpPrefix Route(int i) => IpPrefix.Parse($"172.{16 + (i >> 8)}.{i & 255}.0/24");

    private static void Until(KernelTables tables, Dictionary<IpPrefix, IpAddress> known, Func<bool> done)
    {
        var changes = new TableChange[16];
        var looks = 0;
        while (!done())
        {
            Assert.True(++looks < 10_000, $"{known.Count} routes are known, and no more come");
            var n = tables.Read(changes);
            foreach (ref readonly var change in changes.AsSpan(0, n))
            {
                if (change.Kind == TableChangeKind.Route) known[change.Prefix] = change.Gateway;
            }
            Span<PollDescriptor> poll = [new PollDescriptor { Descriptor = tables.PollDescriptor, Events = LinuxConstants.PollIn }];
            if (n == 0) Posix.Poll(poll, 100_000_000);
        }
    }
}
