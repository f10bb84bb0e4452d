// Connections whose segments are signed (RFC 2385, RFC 5925): between two stacks, over a wire that loses, with what nobody signed in between.
using System.Net.Sockets;
using System.Text;
using Peregrine.Core.Tcp;
using Peregrine.Core.Tcp.Authentication;
using Peregrine.Core.Time;
using Peregrine.Scenarios.Tests.World;
using Peregrine.Wire;

namespace Peregrine.Scenarios.Tests;

public sealed class AuthenticationTests
{
    private static readonly WireOptions s_lossy = new() { Delay = Duration.FromMilliseconds(5), LossPerMille = 20 };

    [Theory]
    [InlineData(TcpKeyAlgorithm.Md5, false)]
    [InlineData(TcpKeyAlgorithm.HmacSha1, false)]
    [InlineData(TcpKeyAlgorithm.AesCmac, true)]
    [InlineData(TcpKeyAlgorithm.Md5, true)]
    public void EverySegmentIsSignedFromTheSynToTimeWait(TcpKeyAlgorithm algorithm, bool v6)
    {
        using var world = new TwoHosts(3, s_lossy);
        var unsigned = 0;
        world.AtoB.OnFrame = world.BtoA.OnFrame = (_, frame) => unsigned += IsUnsignedTcp(frame, algorithm) ? 1 : 0;
        var (client, server) = Open(world, Set(Key(algorithm, 1, 2)), Set(Key(algorithm, 2, 1)), v6);
        var transfer = new Transfer(world.A, client, world.B, server, 400_000);
        world.OnTurn = () => transfer.Turn(world.Now);
        world.AssertRunUntil(() => transfer.IsDone, Duration.FromSeconds(60), "the transfer");
        world.A.Tcp.Close(client, world.Now);
        world.AssertRunUntil(() => world.B.Tcp.GetStatus(server).PeerClosed, Duration.FromSeconds(60), "the client's FIN");
        world.B.Tcp.Close(server, world.Now);
        world.AssertRunUntil(() => world.A.Tcp.TimeWaitCount == 1 && world.B.Tcp.ConnectionCount == 0, Duration.FromSeconds(60), "TIME-WAIT");
        Assert.Equal(0, unsigned);
        Assert.Equal(0, world.A.Tcp.Counters.DroppedAuthentication + world.B.Tcp.Counters.DroppedAuthentication);
        Assert.True(world.A.Tcp.Counters.SegmentsRetransmitted > 0, "the wire lost nothing");
        if (algorithm != TcpKeyAlgorithm.Md5) Assert.True(world.B.Tcp.ExtCounters.TCPAOGood > 200);
    }

    [Theory]
    [InlineData(TcpKeyAlgorithm.Md5)]
    [InlineData(TcpKeyAlgorithm.HmacSha1)]
    public void AnotherSecretOpensNoConnection(TcpKeyAlgorithm algorithm)
    {
        using var world = new TwoHosts();
        Assert.Equal(SocketError.Success, world.B.Tcp.Listen(new TcpListenOptions(new Endpoint(world.B.Address, 179), Keys: Set(Key(algorithm, 1, 1))), out _));
        var wrong = new TcpKeySet(new TcpKey(algorithm, "other"u8) { SendId = 1, ReceiveId = 1 });
        Assert.Equal(SocketError.Success, world.A.Tcp.Connect(new TcpConnectOptions(new Endpoint(world.B.Address, 179), Keys: wrong), world.Now, out var client));
        Assert.False(world.RunUntil(() => world.A.Tcp.GetStatus(client).State != TcpState.SynSent, Duration.FromSeconds(10)));
        Assert.Equal(0, world.B.Tcp.SynBacklogCount);
        ref var counters = ref world.B.Tcp.ExtCounters;
        Assert.Equal(world.B.Tcp.Counters.DroppedAuthentication, algorithm == TcpKeyAlgorithm.Md5 ? counters.TCPMD5Failure : counters.TCPAOBad);
        Assert.True(world.B.Tcp.Counters.DroppedAuthentication > 1);
    }

    [Theory]
    [InlineData(TcpKeyAlgorithm.Md5)]
    [InlineData(TcpKeyAlgorithm.AesCmac)]
    public void WhoHasNoKeyIsNotHeardAndNotAnswered(TcpKeyAlgorithm algorithm)
    {
        using var world = new TwoHosts();
        Assert.Equal(SocketError.Success, world.B.Tcp.Listen(new TcpListenOptions(new Endpoint(world.B.Address, 179), Keys: Set(Key(algorithm, 1, 1))), out _));
        Assert.Equal(SocketError.Success, world.A.Tcp.Connect(new TcpConnectOptions(new Endpoint(world.B.Address, 179)), world.Now, out var client));
        Assert.False(world.RunUntil(() => world.A.Tcp.GetStatus(client).State != TcpState.SynSent, Duration.FromSeconds(10)));
        Assert.Equal(0, world.B.Tcp.Counters.SegmentsSent);
        Assert.True((algorithm == TcpKeyAlgorithm.Md5 ? world.B.Tcp.ExtCounters.TCPMD5NotFound : world.B.Tcp.ExtCounters.TCPAORequired) > 1);
    }

    [Theory]
    [InlineData(TcpKeyAlgorithm.Md5)]
    [InlineData(TcpKeyAlgorithm.HmacSha1)]
    // RFC 5925 §3.1: of one peer, one port's connections have one secret and all others another, from the SYN to the end, and so have resets of the listener.
    public void AKeyIsForOurAddressAndThePeersPort(TcpKeyAlgorithm algorithm)
    {
        using var world = new TwoHosts();
        TcpKey Secret(string secret, ushort? port) => new(algorithm, Encoding.ASCII.GetBytes(secret)) { PeerPort = port, Local = new IpPrefix(world.B.Address, 32), LocalPort = 179 };
        Assert.Equal(SocketError.Success, world.B.Tcp.Listen(new TcpListenOptions(new Endpoint(IpAddress.IPv4Any, 179), Keys: new TcpKeySet(Secret("any", null), Secret("one", 5000))), out var listener));
        TcpHandle Connect(ushort port, string secret)
        {
            var keys = new TcpKeySet(new TcpKey(algorithm, Encoding.ASCII.GetBytes(secret)));
            var options = new TcpConnectOptions(new Endpoint(world.B.Address, 179), new Endpoint(world.A.Address, port), Keys: keys);
            Assert.Equal(SocketError.Success, world.A.Tcp.Connect(options, world.Now, out var client));
            return client;
        }
        TcpHandle one = Connect(5000, "one"), other = Connect(5001, "any"), wrong = Connect(5002, "one");
        world.AssertRunUntil(() => world.A.Tcp.GetStatus(one).State == TcpState.Established && world.A.Tcp.GetStatus(other).State == TcpState.Established, Duration.FromSeconds(5), "both");
        Assert.Equal(TcpState.SynSent, world.A.Tcp.GetStatus(wrong).State);
        Assert.Equal(world.B.Tcp.Counters.DroppedAuthentication, algorithm == TcpKeyAlgorithm.Md5 ? world.B.Tcp.ExtCounters.TCPMD5Failure : world.B.Tcp.ExtCounters.TCPAOBad);
        var dropped = world.B.Tcp.Counters.DroppedAuthentication;
        world.A.Tcp.Abort(wrong, world.Now);
        for (var i = 0; i < 2; i++)
        {
            world.AssertRunUntil(() => world.B.Tcp.HasAcceptable(listener), Duration.FromSeconds(5), "the last ACK");
            Assert.True(world.B.Tcp.TryAccept(listener, out var server));
            var transfer = new Transfer(world.B, server, world.A, world.B.Tcp.Context.Tcbs.Get(server.Index).C.RemotePort == 5000 ? one : other, 20_000);
            world.OnTurn = () => transfer.Turn(world.Now);
            world.AssertRunUntil(() => transfer.IsDone, Duration.FromSeconds(5), "the transfer");
        }
        Assert.Equal((dropped, 0L), (world.B.Tcp.Counters.DroppedAuthentication, world.A.Tcp.Counters.DroppedAuthentication));
        // Who connects to where none of his keys is for is told so.
        var bgp = new TcpKeySet(new TcpKey(algorithm, "x"u8) { PeerPort = 179 });
        Assert.Equal(SocketError.InvalidArgument, world.A.Tcp.Connect(new TcpConnectOptions(new Endpoint(world.B.Address, 80), Keys: bgp), world.Now, out _));
    }

    [Fact]
    // RFC 2385 §1: a reset that a blind attacker sends, exactly in place, ends nothing.
    public void AnUnsignedResetEndsNothing()
    {
        using var world = new TwoHosts();
        var (client, server) = Open(world, Set(Key(TcpKeyAlgorithm.Md5, 0, 0)), Set(Key(TcpKeyAlgorithm.Md5, 0, 0)), v6: false);
        var b = world.B.Tcp.Context.Tcbs.Get(server.Index);
        var reset = new TcpSegment { Seq = b.C.Rcv.Nxt, Ack = b.C.Snd.Nxt, Flags = TcpFlags.Rst | TcpFlags.Ack };
        var packet = RawTcp.Packet(world.A.Address, b.C.RemotePort, world.B.Address, b.C.LocalPort, reset, []);
        // Ethernet before it, from A's address to B's.
        world.B.Deliver([2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0, .. packet], world.Now);
        Assert.Equal(TcpState.Established, world.B.Tcp.GetStatus(server).State);
        Assert.Equal(1, world.B.Tcp.ExtCounters.TCPMD5NotFound);
        // And one that the peer itself sends does.
        world.A.Tcp.Abort(client, world.Now);
        world.AssertRunUntil(() => world.B.Tcp.GetStatus(server).State == TcpState.Closed, Duration.FromSeconds(1), "the signed reset");
    }

    [Fact]
    // RFC 5925 §6.1: a new key is installed at both ends; one end asks for it, the other follows, and then the first.
    public void KeysAreChangedInAnOpenConnection()
    {
        using var world = new TwoHosts();
        TcpKey oldA = Key(TcpKeyAlgorithm.HmacSha1, 1, 2), oldB = Key(TcpKeyAlgorithm.HmacSha1, 2, 1);
        var (client, server) = Open(world, Set(oldA), Set(oldB), v6: false);
        TcpKey newA = Key(TcpKeyAlgorithm.AesCmac, 11, 12), newB = Key(TcpKeyAlgorithm.AesCmac, 12, 11);
        Assert.Equal(SocketError.Success, world.A.Tcp.Keys.Set(client, Set(oldA, newA)));
        Assert.Equal(SocketError.Success, world.B.Tcp.Keys.Set(server, Set(oldB, newB)));
        Assert.Equal(SocketError.InvalidArgument, world.A.Tcp.Keys.Prefer(client, 99, null));
        Assert.Equal(SocketError.Success, world.A.Tcp.Keys.Prefer(client, null, 12));
        var transfer = new Transfer(world.A, client, world.B, server, 50_000);
        world.OnTurn = () => transfer.Turn(world.Now);
        world.AssertRunUntil(() => transfer.IsDone, Duration.FromSeconds(5), "the transfer");
        Assert.True(world.B.Tcp.Keys.TryGetStatus(server, out var status));
        Assert.Equal(new TcpKeyStatus(SendId: 12, ReceiveId: 1, ReceivedKeyId: 1, ReceivedNextKeyId: 12), status);
        Assert.Equal(SocketError.Success, world.B.Tcp.Keys.Prefer(server, null, 11));
        transfer = new Transfer(world.B, server, world.A, client, 50_000);
        world.AssertRunUntil(() => transfer.IsDone, Duration.FromSeconds(5), "the transfer back");
        Assert.True(world.A.Tcp.Keys.TryGetStatus(client, out status));
        Assert.Equal(new TcpKeyStatus(SendId: 11, ReceiveId: 12, ReceivedKeyId: 12, ReceivedNextKeyId: 11), status);
        Assert.Equal(0, world.A.Tcp.Counters.DroppedAuthentication + world.B.Tcp.Counters.DroppedAuthentication);
    }

    [Fact]
    // RFC 2385 §4.3: with SACK and a signature there is no room for timestamps, in the SYN-ACK of a simultaneous open (RFC 9293 MUST-10) either.
    public void SynsOfASimultaneousOpenWithMd5OfferTheSame()
    {
        using var world = new TwoHosts();
        List<(TcpFlags Flags, bool Timestamps, bool Sack)> seen = [];
        world.AtoB.OnFrame = world.BtoA.OnFrame = (_, frame) =>
        {
            if (frame[12] == 8 && frame[13] == 0 && frame[14 + 9] == IpProtocol.Tcp && TcpPacket.TryParse(frame.AsSpan(34), out var tcp) && tcp.ToSegment(out var s) && (s.Flags & TcpFlags.Syn) != 0)
                seen.Add((s.Flags & (TcpFlags.Syn | TcpFlags.Ack), s.Options.HasTimestamps, s.Options.SackPermitted));
        };
        var keys = Set(Key(TcpKeyAlgorithm.Md5, 0, 0));
        Assert.Equal(SocketError.Success, world.A.Tcp.Connect(new TcpConnectOptions(new Endpoint(world.B.Address, 179), new Endpoint(world.A.Address, 179), Keys: keys), world.Now, out var a));
        Assert.Equal(SocketError.Success, world.B.Tcp.Connect(new TcpConnectOptions(new Endpoint(world.A.Address, 179), new Endpoint(world.B.Address, 179), Keys: keys), world.Now, out var b));
        world.AssertRunUntil(() => world.A.Tcp.GetStatus(a).State == TcpState.Established && world.B.Tcp.GetStatus(b).State == TcpState.Established, Duration.FromSeconds(5), "the handshake");
        Assert.Contains((TcpFlags.Syn | TcpFlags.Ack, false, true), seen);
        Assert.DoesNotContain(seen, static syn => syn.Timestamps);
    }

    [Fact]
    public void AFloodOfOthersGetsNoCookieOfAKeyedPeer()
    {
        var options = Host.SmallOptions with { SynBacklogCountMax = 1 };
        using var world = new TwoHosts(1, optionsB: options);
        var keys = Set(Key(TcpKeyAlgorithm.Md5, 0, 0));
        Assert.Equal(SocketError.Success, world.B.Tcp.Listen(new TcpListenOptions(new Endpoint(world.B.Address, 179), Keys: keys), out _));
        world.BtoA.DropWhen = static (_, frame) => frame[12] == 8 && frame[13] == 0;
        for (var i = 0; i < 3; i++) world.A.Tcp.Connect(new TcpConnectOptions(new Endpoint(world.B.Address, 179), Keys: keys), world.Now, out _);
        world.RunUntil(() => world.B.Tcp.Counters.DroppedSynBacklogFull > 0, Duration.FromSeconds(3));
        Assert.Equal(0, world.B.Tcp.Counters.SynCookiesSent);
        Assert.True(world.B.Tcp.Counters.DroppedSynBacklogFull > 0);
    }

    [Theory]
    [InlineData(TcpKeyAlgorithm.HmacSha1, false, true)]
    [InlineData(TcpKeyAlgorithm.HmacSha1, true, false)]
    [InlineData(TcpKeyAlgorithm.Md5, false, false)]
    // RFC 5925 §7.3: accepted without a key unless configured otherwise; an MD5 signature without a key is dropped.
    public void SignaturesOfStrangersGoByTheSetting(TcpKeyAlgorithm algorithm, bool drop, bool isAnswered)
    {
        using var world = new TwoHosts(1, optionsB: Host.SmallOptions with { DropUnknownKeys = drop });
        world.B.Tcp.Listen(new TcpListenOptions(new Endpoint(world.B.Address, 179)), out _);
        world.A.Tcp.Connect(new TcpConnectOptions(new Endpoint(world.B.Address, 179), Keys: Set(Key(algorithm, 0, 0))), world.Now, out _);
        Assert.Equal(isAnswered, world.RunUntil(() => world.B.Tcp.SynBacklogCount > 0, Duration.FromSeconds(2)));
    }

    [Fact]
    public void KeysOfOthersMakeNoConnection()
    {
        using var world = new TwoHosts();
        var keys = Set(new TcpKey(TcpKeyAlgorithm.Md5, "x"u8) { Peer = IpPrefix.Parse("198.51.100.0/24") });
        Assert.Equal(SocketError.InvalidArgument, world.A.Tcp.Connect(new TcpConnectOptions(new Endpoint(world.B.Address, 179), Keys: keys), world.Now, out _));
        Assert.Equal(0, world.A.Tcp.ConnectionCount);
    }

    private static (TcpHandle Client, TcpHandle Server) Open(TwoHosts world, TcpKeySet client, TcpKeySet server, bool v6)
    {
        var local = new Endpoint(v6 ? world.B.AddressV6 : world.B.Address, 179);
        Assert.Equal(SocketError.Success, world.B.Tcp.Listen(new TcpListenOptions(local, Keys: server), out var listener));
        Assert.Equal(SocketError.Success, world.A.Tcp.Connect(new TcpConnectOptions(local, Keys: client), world.Now, out var connection));
        var accepted = default(TcpHandle);
        world.AssertRunUntil(() => (accepted.IsValid || world.B.Tcp.TryAccept(listener, out accepted)) && world.A.Tcp.GetStatus(connection).State == TcpState.Established, Duration.FromSeconds(20), "the handshake");
        return (connection, accepted);
    }

    private static TcpKeySet Set(params TcpKey[] keys) => new(keys);

    private static TcpKey Key(TcpKeyAlgorithm algorithm, byte send, byte receive) => new(algorithm, "testvector"u8) { SendId = send, ReceiveId = receive };

    private static bool IsUnsignedTcp(byte[] frame, TcpKeyAlgorithm algorithm)
    {
        var isV6 = frame[12] == 0x86 && frame[13] == 0xDD;
        if (!isV6 && (frame[12] != 8 || frame[13] != 0)) return false;
        var ip = 14 + (isV6 ? 40 : 20);
        if (frame[isV6 ? 14 + 6 : 14 + 9] != IpProtocol.Tcp || !TcpPacket.TryParse(frame.AsSpan(ip), out var tcp) || !tcp.ToSegment(out var segment)) return false;
        return !(algorithm == TcpKeyAlgorithm.Md5 ? segment.Options.HasMd5 : segment.Options.HasAuthentication);
    }
}
