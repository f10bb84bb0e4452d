using Peregrine.Core.Links;
using Peregrine.Core.Memory;

namespace Peregrine.Drivers.Tests;

public sealed class TapSuiteTests : LinkSuite
{
    protected override LinkSetup Create(int chunkCount, int chunkSize) => new TapSetup("tap:suite0,up", chunkCount, chunkSize);
}

public sealed class TapWithoutOffloadsSuiteTests : LinkSuite
{
    protected override LinkSetup Create(int chunkCount, int chunkSize) => new TapSetup("tap:suite0,up,offloads=off", chunkCount, chunkSize);
}

public sealed class TunSuiteTests : LinkSuite
{
    protected override LinkSetup Create(int chunkCount, int chunkSize) => new TapSetup("tun:suite0,up,kernel=198.51.100.2/24", chunkCount, chunkSize);
}

/// <summary>A TAP or TUN device; the peer is a packet socket on the kernel's side of it.</summary>
internal sealed class TapSetup : LinkSetup
{
    private readonly NetworkNamespace _space;
    private readonly string _line;
    private PacketPeer _peer = null!;
    private ILink _link = null!;

    public TapSetup(string line, int chunkCount, int chunkSize)
    {
        Assert.SkipUnless(Environment.IsPrivilegedProcess, "not run: a TAP device needs root");
        Pool = PoolFixture.Pool(chunkCount, chunkSize);
        _space = NetworkNamespace.Create();
        _line = line;
        _space.Run(KernelFixture.NoIPv6ByItself);
        Open();
    }

    public override ILink Link => _link;

    public override FramePool Pool { get; }

    // What is sent to the kernel is what its interface receives.
    public override (long ToLink, long FromLink)? KernelFrames =>
        _space.Run(() => MachineFacts.Read().Interfaces.Single(one => one.Name == _link.Name)) is var facts ? (facts.SentFrames, facts.ReceivedFrames) : null;

    public override void Send(ReadOnlySpan<byte> frame) => _peer.Send(frame);

    public override byte[]? Receive() => _peer.Receive();

    public override void Reopen()
    {
        _peer.Dispose();
        _link.Dispose();
        Open();
    }

    public override void Dispose()
    {
        _peer.Dispose();
        _link.Dispose();
        _space.Dispose();
    }

    private void Open() => _space.Run(() =>
    {
        _link = LinkFactory.Open(_line);
        // On an interface without a link header the frame does not say what it is.
        _peer = new PacketPeer(_link.Name, _link.Medium == LinkMedium.Ip ? (ushort)0x0800 : (ushort)0x0003);
    });
}
