// A link on one end of a veth pair; the peer is a packet socket on the other. For every driver that takes an interface by name.
using Peregrine.Core.Links;
using Peregrine.Core.Memory;

namespace Peregrine.Drivers.Tests;

internal class VethSetup : LinkSetup
{
    private const string Near = "near0", Far = "far0";

    private readonly string _line;
    private readonly PacketPeer _peer;
    private ILink _link;

    /// <param name="line">The line of the link, in which "near0" is the interface and "NETNS" its namespace.</param>
    /// <param name="chunkCount">Chunks of the pool.</param>
    /// <param name="chunkSize">Bytes a chunk.</param>
    /// <param name="queueCount">Queues of the interfaces.</param>
    /// <param name="mtu">Their MTU.</param>
    public VethSetup(string line, int chunkCount, int chunkSize, int queueCount = 1, int mtu = 1_500)
    {
        Assert.SkipUnless(Environment.IsPrivilegedProcess, "not run: a pair of interfaces needs root");
        Pool = PoolFixture.Pool(chunkCount, chunkSize);
        Space = NetworkNamespace.Create();
        _line = line.Replace("NETNS", Space.Path, StringComparison.Ordinal);
        (_peer, _link) = Space.Run(() =>
        {
            KernelFixture.NoIPv6ByItself();
            KernelInterface.AddPair(Near, Far, queueCount: queueCount);
            KernelInterface.SetMtu(Near, mtu);
            KernelInterface.SetMtu(Far, mtu);
            KernelInterface.SetUp(Far);
            KernelInterface.SetUp(Near);
            KernelFixture.WaitUntilCarrying(Near, Far);
            return (new PacketPeer(Far), LinkFactory.Open(_line));
        });
    }

    public NetworkNamespace Space { get; }

    public override ILink Link => _link;

    public override FramePool Pool { get; }

    // What the far end has sent goes to the link, and what it has received comes from it.
    public override (long ToLink, long FromLink)? KernelFrames =>
        Space.Run(() => MachineFacts.Read().Interfaces.Single(static one => one.Name == Far)) is var far ? (far.SentFrames, far.ReceivedFrames) : null;

    public override void Send(ReadOnlySpan<byte> frame) => _peer.Send(frame);

    public override byte[]? Receive() => _peer.Receive();

    public override void Reopen()
    {
        _link.Dispose();
        _link = Space.Run(() => LinkFactory.Open(_line));
    }

    public override void Dispose()
    {
        _link.Dispose();
        _peer.Dispose();
        Space.Dispose();
    }
}
