// SO_REUSEPORT: listeners that share an address and port, and which of them a connection comes to.
using System.Net.Sockets;
using Peregrine.Core.Tcp;
using Peregrine.Scenarios.Tests.World;
using Peregrine.Wire;
using static Peregrine.Scenarios.Tests.SegmentTests.Peer;

namespace Peregrine.Scenarios.Tests.SegmentTests;

public sealed class ReusePortTests
{
    private const int MemberCount = 4;

    private static SocketError TryListen(Peer peer, bool reuse, out TcpListenerHandle listener, IpAddress? address = null, bool v6Only = false) =>
        peer.Tcp.Listen(new TcpListenOptions(new Endpoint(address ?? peer.HostAddress, HostPort), 256, v6Only, ReusePort: reuse), out listener);

    private static TcpListenerHandle[] Group(Peer peer) =>
        [.. Enumerable.Range(0, MemberCount).Select(_ =>
        {
            Assert.Equal(SocketError.Success, TryListen(peer, reuse: true, out var listener));
            return listener;
        })];

    // A connection from another port each time; whose it is.
    private static int Open(Peer peer, TcpListenerHandle[] listeners, ushort port)
    {
        peer.Port = port;
        peer.SynExchange();
        peer.Send(Ack);
        var taken = Enumerable.Range(0, listeners.Length).Where(i => peer.Tcp.TryAccept(listeners[i], out _)).ToArray();
        return Assert.Single(taken);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void ConnectionsAreSpreadOverAllThatShareAPort(bool cookies)
    {
        using var peer = new Peer(Host.SmallOptions with { ConnectionCountMax = 512, SynCookiesOnly = cookies });
        var listeners = Group(peer);
        var counts = new int[MemberCount];
        for (ushort i = 0; i < 400; i++) counts[Open(peer, listeners, (ushort)(5_000 + i))]++;
        foreach (var count in counts) Assert.InRange(count, 60, 140);
    }

    [Fact]
    public void TheOthersTakeWhatOneLeaves()
    {
        using var peer = new Peer(Host.SmallOptions with { ConnectionCountMax = 512 });
        var listeners = Group(peer);
        ushort port = 5_000;
        // Whoever was first is what the table knows them by.
        for (var closed = 0; closed < MemberCount - 1; closed++)
        {
            peer.Tcp.CloseListener(listeners[closed], peer.Now);
            var seen = new HashSet<int>();
            for (var i = 0; i < 60; i++) seen.Add(Open(peer, listeners[(closed + 1)..], port++));
            Assert.Equal(MemberCount - 1 - closed, seen.Count);
        }
        peer.Tcp.CloseListener(listeners[^1], peer.Now);
        peer.Port = port;
        peer.Send(Syn, peer.Iss, options: Offer());
        Assert.Equal(Rst | Ack, peer.Take().Flags);
        Assert.Equal((0, SocketError.Success), (peer.Tcp.ListenerCount, TryListen(peer, reuse: false, out _)));
    }

    [Fact]
    public void AListenerThatClosesTakesItsHalfOpenConnectionsAlong()
    {
        using var peer = new Peer();
        var listeners = Group(peer);
        for (ushort i = 0; i < 40; i++)
        {
            peer.Port = (ushort)(5_000 + i);
            peer.SynExchange();
        }
        Assert.Equal(40, peer.Tcp.SynBacklogCount);
        peer.Tcp.CloseListener(listeners[0], peer.Now);
        Assert.InRange(peer.Tcp.SynBacklogCount, 20, 39);
        foreach (var listener in listeners) peer.Tcp.CloseListener(listener, peer.Now);
        Assert.Equal((0, 0), (peer.Tcp.SynBacklogCount, peer.Tcp.ListenerCount));
    }

    [Fact]
    public void AllMustAskForIt()
    {
        using var peer = new Peer();
        Assert.Equal(SocketError.Success, TryListen(peer, reuse: true, out var first));
        Assert.Equal(SocketError.AddressAlreadyInUse, TryListen(peer, reuse: false, out _));
        Assert.Equal(SocketError.AddressAlreadyInUse, TryListen(peer, reuse: false, out _, IpAddress.IPv4Any));
        // A wildcard beside the address: the address is found first.
        Assert.Equal(SocketError.Success, TryListen(peer, reuse: true, out var wildcard, IpAddress.IPv4Any));
        Assert.Equal(0, Open(peer, [first, wildcard], 5_000));
        peer.Tcp.CloseListener(first, peer.Now);
        Assert.Equal(1, Open(peer, [first, wildcard], 5_001));
        peer.Tcp.CloseListener(wildcard, peer.Now);
        Assert.Equal(SocketError.Success, TryListen(peer, reuse: false, out _));
        Assert.Equal(SocketError.AddressAlreadyInUse, TryListen(peer, reuse: true, out _));
    }
}
