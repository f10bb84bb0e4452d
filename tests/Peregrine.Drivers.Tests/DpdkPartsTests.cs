using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Peregrine.Drivers.Dpdk;
using Peregrine.Drivers.Linux;

namespace Peregrine.Drivers.Tests;

/// <summary>What can be said about DPDK without running it: layouts, versions, arguments, texts.</summary>
[Collection(DpdkTests.Name)]
public sealed class DpdkPartsTests
{
    [Fact]
    public void StructuresAreThoseOfTheHeaders()
    {
        // offsetof and sizeof by Debian's headers, with RTE_CACHE_LINE_SIZE 64 (x64) and 128 (Arm64) alike.
        Assert.Equal((128, 128), (Unsafe.SizeOf<Mbuf>(), Unsafe.SizeOf<FastPath>()));
        (string Field, int Offset)[] buffer =
        [
            (nameof(Mbuf.Buffer), 0), (nameof(Mbuf.BufferIova), 8), (nameof(Mbuf.DataOffset), 16), (nameof(Mbuf.References), 18), (nameof(Mbuf.SegmentCount), 20), (nameof(Mbuf.Port), 22),
            (nameof(Mbuf.Flags), 24), (nameof(Mbuf.PacketType), 32), (nameof(Mbuf.PacketLength), 36), (nameof(Mbuf.DataLength), 40), (nameof(Mbuf.VlanTag), 42), (nameof(Mbuf.Hash), 44),
            (nameof(Mbuf.BufferLength), 54), (nameof(Mbuf.Pool), 56), (nameof(Mbuf.Next), 64), (nameof(Mbuf.SendOffload), 72), (nameof(Mbuf.Shared), 80), (nameof(Mbuf.PrivateSize), 88),
        ];
        Assert.All(buffer, field => Assert.Equal(field.Offset, (int)Marshal.OffsetOf<Mbuf>(field.Field)));
    }

    [Theory]
    [InlineData(2112, 64, 64)]
    [InlineData(2176, 128, 128)]
    public void BothCacheLineSizesAreKnownByTheirTables(int tableSize, int cacheLine, int offset)
    {
        DpdkFixture.SkipUnlessInstalled();
        Assert.Equal(new DpdkBuild(cacheLine, tableSize, offset), DpdkCheck.BuildFor(DpdkLibrary.Load(), (nuint)tableSize));
        Assert.Equal(tableSize, offset + (DpdkAbi.OperationsCountMax * DpdkAbi.OperationsSize));
    }

    [Fact]
    public void AnUnknownTableIsRefused()
    {
        DpdkFixture.SkipUnlessInstalled();
        var e = Assert.Throws<NotSupportedException>(() => DpdkCheck.BuildFor(DpdkLibrary.Load(), 2240));
        Assert.Contains("2112 and 2176", e.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void TheInstalledLibraryIsOneOfTheKnownBuilds()
    {
        DpdkFixture.SkipUnlessInstalled();
        Assert.Contains(DpdkCheck.Tables(DpdkLibrary.Load()), DpdkBuild.Known);
    }

    [Theory]
    [InlineData("DPDK 23.11.0")]
    [InlineData("DPDK 22.110.1")]
    [InlineData("DPDK 21.11.4")]
    [InlineData("")]
    public void OtherVersionsAreRefusedByName(string version)
    {
        var e = Assert.Throws<NotSupportedException>(() => DpdkCheck.CheckVersion(version));
        Assert.Contains($"'{version}'", e.Message, StringComparison.Ordinal);
        Assert.Contains("22.11", e.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void KnownVersionsPass() => Assert.Null(Record.Exception(() =>
    {
        DpdkCheck.CheckVersion("DPDK 22.11.11");
        DpdkCheck.CheckVersion("DPDK 22.11");
    }));

    [Fact]
    public void TheCommandLineNeedsNoHugePagesAndTakesNoCard()
    {
        Assert.Equal(
            ["peregrine", "--no-telemetry", "--log-level=warning", "--no-shconf", "--lcores=0@(0,1)", "--allow=0000:00:00.0", "--no-huge", "-m", "256"],
            DpdkEal.CommandLine("", hasHugePages: false, [0, 1]));
        Assert.Equal(
            ["peregrine", "--no-telemetry", "--lcores=0@(3)", "-a", "0000:03:00.0", "--log-level=debug", "--file-prefix=x"],
            DpdkEal.CommandLine("-a 0000:03:00.0 --log-level=debug --file-prefix=x", hasHugePages: true, [3]));
    }

    [Fact]
    public void OurOptionsAreTakenOutAndTheDevicesAreLeft()
    {
        var line = LinkSpecification.Parse("dpdk:net_af_packet0,iface=eth0,queues=2,buffers=copied,arg=mac=fixed,eal=-m 64");
        Assert.Equal("net_af_packet0", line.Name);
        Assert.Equal(["iface=eth0", "mac=fixed"], line.Texts("arg"));
        Assert.Equal((2, "copied", "-m 64"), (line.Number("queues"), line.Text("buffers"), line.Text("eal")));
        Assert.Equal("0000:03:00.0", LinkSpecification.Parse("dpdk:0000:03:00.0").Name);
    }

    [Fact]
    public void TheMachineIsAskedWithoutStartingAnything()
    {
        var offer = Assert.Single(LinkKinds.Probe(), offer => offer.Kind == "dpdk");
        Assert.Equal(DpdkLink.IsInstalled, offer.IsAvailable);
        Assert.Equal(offer.IsAvailable, offer.Remedy is null);
    }

    [Theory]
    [InlineData("net_af_packet0", "iface=e,framesz=4096", 1, "iface=e,framesz=4096")]
    [InlineData("net_af_packet0", "iface=e,blocksz=8192", 4, "iface=e,blocksz=8192,qpairs=4")]
    [InlineData("net_virtio_user0", "path=/x,queues=1", 2, "path=/x,queues=1")]
    [InlineData("net_null0", "", 2, "")]
    public void TheDriversOwnWordsAreAdded(string device, string arguments, int queues, string expected) =>
        Assert.Equal(expected, DpdkPort.Arguments(DpdkDriver.For(device), arguments.Split(',', StringSplitOptions.RemoveEmptyEntries), queues));

    [Theory]
    [InlineData(4096)]
    [InlineData(65_536)]
    public void FramesOfAPacketRingFillItsBlocks(int pageSize)
    {
        Assert.Equal(0, 15 * pageSize % 1920);
        Assert.Equal(0, 512 % (15 * pageSize / 1920));
        Assert.Equal($"iface=e,framesz=1920,blocksz={15 * Posix.PageSize}", DpdkPort.Arguments(DpdkDriver.For("net_af_packet0"), ["iface=e"], 1));
    }

    [Theory]
    [InlineData("0000:03:00.0", true)]
    [InlineData("03:00.0", true)]
    [InlineData("net_null0", false)]
    [InlineData("net_virtio_u", false)]
    public void CardsAreToldFromDevicesOfSoftware(string name, bool isCard) => Assert.Equal(isCard, DpdkPort.IsCardAddress(name));

    [Theory]
    [InlineData("net_null", false)]
    [InlineData("net_ring", false)]
    [InlineData("net_ixgbe", false)]
    [InlineData("net_af_packet", true)]
    [InlineData("net_af_xdp", true)]
    [InlineData("net_tap", true)]
    [InlineData("net_virtio_user", true)]
    [InlineData("net_something_new", true)]
    public void OnlyDriversThatAreKnownToStayOutOfTheKernelAreCalledWithoutATransition(string driver, bool makesSystemCalls) =>
        Assert.Equal(makesSystemCalls, DpdkDriver.For(driver).MakesSystemCalls);
}
