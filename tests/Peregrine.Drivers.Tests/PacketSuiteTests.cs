namespace Peregrine.Drivers.Tests;

public sealed class PacketSuiteTests : LinkSuite
{
    protected override LinkSetup Create(int chunkCount, int chunkSize) => new VethSetup("packet:near0", chunkCount, chunkSize);
}

public sealed class PacketBypassSuiteTests : LinkSuite
{
    protected override LinkSetup Create(int chunkCount, int chunkSize) => new VethSetup("packet:near0,bypass,promiscuous,offloads=off", chunkCount, chunkSize);
}
