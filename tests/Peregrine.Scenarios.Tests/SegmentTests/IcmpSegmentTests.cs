// ICMP errors about segments: believed only when the quoted sequence number is in flight (RFC 5927), and then as RFC 9293 §3.9.2.2 says.
using System.Net.Sockets;
using Peregrine.Core.Tcp;
using Peregrine.Core.Time;
using Peregrine.Scenarios.Tests.World;
using Peregrine.Wire;
using static Peregrine.Scenarios.Tests.SegmentTests.Peer;

namespace Peregrine.Scenarios.Tests.SegmentTests;

public sealed class IcmpSegmentTests
{
    // RFC 9293 SHLD-26, MUST-54
    [Fact]
    public void PortUnreachableRefusesAnAttemptWhoseSynItQuotes()
    {
        using var peer = new Peer();
        var c = peer.Connect(out _);
        Error(peer, 3, 3, 0, peer.HostIss + 1);
        Error(peer, 3, 3, 0, peer.HostIss - 1);
        Assert.Equal((TcpState.SynSent, 2L), (peer.State(c), peer.Tcp.Counters.IcmpErrorsIgnored));
        Error(peer, 3, 3, 0, peer.HostIss);
        Assert.Equal(SocketError.ConnectionRefused, peer.ErrorOf(c));
    }

    // RFC 9293 MUST-56, SHLD-25; RFC 5927 §5.2
    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(5)]
    public void NoUnreachableEndsAnEstablishedConnection(int code)
    {
        using var peer = new Peer();
        var c = peer.Accept();
        peer.Write(c, 100);
        Error(peer, 3, (byte)code, 0, peer.HostIss + 1);
        Assert.Equal((TcpState.Established, 1L), (peer.State(c), peer.Tcp.Counters.IcmpErrorsAccepted));
    }

    [Fact]
    public void PacketTooBigMakesSegmentsSmallerOnlyWhenItQuotesWhatIsInFlight()
    {
        using var peer = new Peer();
        var c = peer.Accept();
        peer.Write(c, 2_920);
        Assert.Equal(1_460, peer.Take().Payload.Length);
        peer.Take();
        Error(peer, 3, 4, 1_000, peer.HostIss - 500);
        Error(peer, 3, 4, 1_000, peer.HostNext);
        peer.ExpectSilence();
        Assert.Equal(2, peer.Tcp.Counters.IcmpErrorsIgnored);
        Error(peer, 3, 4, 1_000, peer.HostIss + 1);
        var again = peer.Take();
        Assert.Equal((peer.HostIss + 1, 960), (again.Seq, again.Payload.Length));
        while (peer.Inbox.Count > 0) Assert.InRange(peer.Take().Payload.Length, 1, 960);
    }

    // RFC 9293 MUST-55
    [Fact]
    public void SourceQuenchIsDiscardedInSilence()
    {
        using var peer = new Peer();
        var c = peer.Accept();
        peer.Write(c, 100);
        peer.Tcp.TryGetInfo(c, peer.Now, out var before);
        Error(peer, 4, 0, 0, peer.HostIss + 1);
        peer.Tcp.TryGetInfo(c, peer.Now, out var after);
        Assert.Equal(before, after);
    }

    // RFC 5927 §7: a lie of 68 bytes must not make segments of nothing.
    [Fact]
    public void PacketTooBigBelowTheFloorIsHeldAtTheFloor()
    {
        using var peer = new Peer();
        var c = peer.Accept();
        peer.Write(c, 2_920);
        peer.Inbox.Clear();
        Error(peer, 3, 4, 68, peer.HostIss + 1);
        Assert.True(peer.Tcp.TryGetInfo(c, peer.Now, out var info));
        Assert.InRange(info.SendMss, 512, 1_460);
    }

    private static void Error(Peer peer, byte type, byte code, ushort mtu, SeqNumber seq)
    {
        peer.Raw(RawTcp.IcmpV4(type, code, mtu, peer.Address, peer.HostAddress, peer.HostPortOf, peer.Address, peer.Port, seq), reachesTcp: false);
        peer.Advance(Duration.Zero);
    }
}
