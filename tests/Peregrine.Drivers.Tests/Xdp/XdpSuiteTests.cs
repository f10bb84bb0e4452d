using Peregrine.Drivers.Xdp;

namespace Peregrine.Drivers.Tests;

/// <summary>AF_XDP by the suite that every link must pass, in the driver and behind it.</summary>
public sealed class XdpSuiteTests : LinkSuite
{
    protected override LinkSetup Create(int chunkCount, int chunkSize) => XdpSetup.Create("xdp:near0,all", chunkCount, chunkSize);
}

public sealed class XdpGenericSuiteTests : LinkSuite
{
    protected override LinkSetup Create(int chunkCount, int chunkSize) => XdpSetup.Create("xdp:near0,all,mode=generic", chunkCount, chunkSize);
}

internal sealed class XdpSetup(string line, int chunkCount, int mtu) : VethSetup(line, chunkCount, 2_048, mtu: mtu)
{
    // Frames of several chunks are for interfaces whose packets need them: on others a chunk has room for all, and for the kernel's checksums.
    public static XdpSetup Create(string line, int chunkCount, int chunkSize) => new(line, chunkCount, chunkSize < 2_048 ? 3_000 : 1_500);

    // A quarter of the pool lies ready, 128 chunks of the suite's 512; what comes beyond it before a turn is lost and counted.
    public override int BurstCountMax => 128;
}
