// RST, SYN and ACK from somebody who guesses: RFC 9293 §3.10.7.4 with RFC 5961.
using System.Net.Sockets;
using Peregrine.Core.Tcp;
using Peregrine.Core.Time;
using Peregrine.Wire;
using static Peregrine.Scenarios.Tests.SegmentTests.Peer;

namespace Peregrine.Scenarios.Tests.SegmentTests;

public sealed class BlindAttackTests
{
    // RFC 9293 MUST-12: the application learns that it was a reset.
    [Fact]
    public void AResetExactlyInPlaceEndsTheConnection()
    {
        using var peer = new Peer();
        var c = peer.Accept();
        peer.Send(Rst);
        peer.ExpectSilence();
        Assert.Equal(SocketError.ConnectionReset, peer.ErrorOf(c));
        Assert.Equal(1, peer.Tcp.Counters.ConnectionsReset);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(1_000)]
    [InlineData(65_534)]
    public void AResetElsewhereInTheWindowElicitsAChallengeAck(int offset)
    {
        using var peer = new Peer();
        var c = peer.Accept();
        peer.Send(Rst, peer.Next + (uint)offset);
        peer.ExpectAck();
        Assert.Equal(TcpState.Established, peer.State(c));
        Assert.Equal(1, peer.Tcp.Counters.ChallengeAcksSent);
        // RFC 5961 §3.2: a genuine peer answers the challenge by a reset that is exactly in place.
        peer.Send(Rst);
        Assert.Equal(SocketError.ConnectionReset, peer.ErrorOf(c));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void AResetBehindDataThatAreHeldCountsOnlyWhereItIsAskedFor(bool asked)
    {
        using var peer = new Peer();
        var c = peer.Accept(TcpSettings.Default with { AcceptsResetsBehindHeld = asked }, Peer.Offer(sack: true));
        peer.Send(Ack, peer.Next + 1_000, length: 100);
        peer.Take();
        peer.Send(Rst, peer.Next + 1_100);
        if (asked) Assert.Equal(SocketError.ConnectionReset, peer.ErrorOf(c));
        else Assert.Equal(1, peer.Tcp.Counters.ChallengeAcksSent);
        Assert.Equal(asked ? TcpState.Closed : TcpState.Established, peer.State(c));
    }

    [Theory]
    [InlineData(-1)]
    [InlineData(-70_000)]
    [InlineData(70_000)]
    [InlineData(int.MinValue)]
    public void AResetOutsideTheWindowIsIgnored(int offset)
    {
        using var peer = new Peer();
        var c = peer.Accept();
        peer.Send(Rst, peer.Next + (uint)offset);
        peer.Send(Rst | Ack, peer.Next + (uint)offset);
        peer.ExpectSilence();
        Assert.Equal(TcpState.Established, peer.State(c));
        Assert.Equal(2, peer.Tcp.Counters.DroppedOutOfWindow);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(500)]
    [InlineData(-500)]
    [InlineData(200_000)]
    public void ASynInAConnectionElicitsAChallengeAckWhereverItIs(int offset)
    {
        using var peer = new Peer();
        var c = peer.Accept();
        peer.Send(Syn, peer.Next + (uint)offset);
        peer.ExpectAck();
        Assert.Equal(TcpState.Established, peer.State(c));
    }

    // RFC 5961 §7
    [Fact]
    public void ChallengeAcksAreLimitedPerConnectionAndNotAcrossConnections()
    {
        using var peer = new Peer();
        peer.Accept();
        for (var i = 0; i < 20; i++) peer.Send(Rst, peer.Next + 10);
        peer.ExpectAck();
        Assert.Equal(19, peer.Tcp.Counters.RepliesLimited);
        // Another connection has a limit of its own: nothing can be learned about the first.
        var first = (peer.Next, peer.HostNext);
        peer.Port = 4_001;
        peer.SynExchange();
        peer.Send(Ack);
        peer.Send(Rst, peer.Next + 10);
        peer.ExpectAck();
        (peer.Port, peer.Next, peer.HostNext) = (4_000, first.Next, first.HostNext);
        peer.Advance(600);
        peer.Send(Rst, peer.Next + 10);
        peer.ExpectAck();
    }

    // RFC 5961 §5.2
    [Fact]
    public void AnAckOfWhatWasNeverSentIsChallengedAndItsDataDropped()
    {
        using var peer = new Peer();
        var c = peer.Accept();
        peer.Send(Ack, ack: peer.HostNext + 1, length: 100);
        peer.ExpectAck();
        Assert.Equal(0, peer.Tcp.GetStatus(c).ReadableBytes);
        Assert.Equal(1, peer.Tcp.Counters.DroppedUnacceptableAck);
    }

    [Fact]
    public void AnAckFurtherBackThanTheLargestWindowIsChallengedAndItsDataDropped()
    {
        using var peer = new Peer();
        var c = peer.Accept(window: 1_000);
        for (var i = 0; i < 2; i++)
        {
            peer.Write(c, 1_000);
            Assert.Equal(1_000, peer.Take().Payload.Length);
            peer.Send(Ack, window: 1_000);
        }
        peer.Send(Ack, ack: peer.HostNext - 1_001, length: 100);
        peer.ExpectAck();
        Assert.Equal(0, peer.Tcp.GetStatus(c).ReadableBytes);
        // Within it, it is an old ACK like any other and its data count.
        peer.Send(Ack, ack: peer.HostNext - 1_000, length: 100);
        Assert.Equal(100, peer.Tcp.GetStatus(c).ReadableBytes);
    }

    // RFC 5961 §5.2: what lies before our first byte was never sent, however large the window.
    [Fact]
    public void AnAckOfWhatLiesBeforeTheFirstByteIsChallengedAndItsDataDropped()
    {
        using var peer = new Peer();
        var c = peer.Accept();
        peer.Send(Ack, ack: peer.HostNext - 2, length: 100);
        peer.ExpectAck();
        Assert.Equal(0, peer.Tcp.GetStatus(c).ReadableBytes);
        Assert.Equal(1, peer.Tcp.Counters.DroppedUnacceptableAck);
    }

    [Fact]
    public void ASegmentWithoutTheAckBitIsDropped()
    {
        using var peer = new Peer();
        var c = peer.Accept();
        peer.Send(Psh, length: 10);
        peer.Send(Fin, length: 0);
        peer.ExpectSilence();
        Assert.Equal(2, peer.Tcp.Counters.DroppedNoAckBit);
        Assert.Equal((TcpState.Established, 0), (peer.State(c), peer.Tcp.GetStatus(c).ReadableBytes));
    }

    // RFC 9293 §3.10.7.3
    [Fact]
    public void InSynSentOnlyAResetThatAcknowledgesTheSynRefuses()
    {
        using var peer = new Peer();
        var c = peer.Connect(out _);
        peer.Send(Rst, new SeqNumber(0));
        peer.Send(Rst | Ack, new SeqNumber(0), ack: peer.HostNext + 1);
        peer.Send(Rst | Ack, new SeqNumber(0), ack: peer.HostIss);
        peer.ExpectSilence();
        Assert.Equal(TcpState.SynSent, peer.State(c));
        peer.Send(Rst | Ack, new SeqNumber(0));
        Assert.Equal(SocketError.ConnectionRefused, peer.ErrorOf(c));
    }

    // RFC 9293 §3.5.1 figure 9 and §3.5.2: the peer has restarted and asks anew.
    [Fact]
    public void AHalfOpenConnectionIsDiscoveredByTheChallengeAndTheResetThatFollows()
    {
        using var peer = new Peer();
        var c = peer.Accept();
        peer.Send(Syn, peer.Next + 5_000);
        var challenge = peer.ExpectAck();
        // The restarted peer knows of no connection: RST with SEG.SEQ = SEG.ACK.
        peer.Send(Rst, challenge.Ack);
        Assert.Equal(SocketError.ConnectionReset, peer.ErrorOf(c));
        peer.Tcp.Close(c, peer.Now);
        peer.Iss += 5_000;
        peer.SynExchange();
        peer.Send(Ack);
        Assert.True(peer.Tcp.TryAccept(peer.Listener, out _));
    }

    // RFC 9293 §3.5 figure 8: an old duplicate SYN is undone by the reset of the peer that did not send it.
    [Fact]
    public void AnOldDuplicateSynIsUndoneByAReset()
    {
        using var peer = new Peer();
        peer.Listen();
        peer.SynExchange();
        Assert.Equal(1, peer.Tcp.SynBacklogCount);
        peer.Send(Rst);
        peer.ExpectSilence();
        Assert.Equal(0, peer.Tcp.SynBacklogCount);
        Assert.False(peer.Tcp.TryAccept(peer.Listener, out _));
    }

    [Fact]
    public void InSynReceivedAResetElsewhereInTheWindowElicitsAnAck()
    {
        using var peer = new Peer();
        peer.Listen();
        peer.SynExchange();
        peer.Send(Rst, peer.Next + 1);
        peer.ExpectAck();
        Assert.Equal(1, peer.Tcp.SynBacklogCount);
    }

    [Fact]
    // RFC 9293 §3.10.7.3, RFC 5961 §1: a guess in SYN-SENT is no loss: the SYN goes again once, and the initial window is whole (RFC 6928 §2).
    public void WrongAcksInSynSentHaveTheSynGoAgainOnceAndCountAsNoLoss()
    {
        using var peer = new Peer();
        var c = peer.Connect(out var syn);
        for (var i = 0; i < 3; i++)
        {
            peer.Send(Ack, peer.Iss, ack: peer.HostNext + 77);
            Assert.Equal(Rst, peer.Take().Flags);
            peer.Advance(10);
            if (i == 0) Assert.Equal((Syn, syn.Seq), (peer.Inbox.Peek().Flags, peer.Take().Seq));
            peer.ExpectSilence();
        }
        // The next comes when it would have come.
        peer.Advance(965);
        peer.ExpectSilence();
        peer.Send(Syn | Ack, peer.Iss, options: Offer());
        peer.Next = peer.Iss + 1;
        peer.ExpectAck();
        // Karn (RFC 6298 §3): nobody knows which of them was answered.
        Assert.True(peer.Tcp.TryGetInfo(c, peer.Now, out var info));
        Assert.Equal(Duration.Zero, info.SmoothedRtt);
        peer.Write(c, 20 * 1460);
        var sent = 0;
        while (peer.Inbox.Count > 0) sent += peer.Take().Payload.Length;
        Assert.Equal(10 * 1460, sent);
    }

    [Fact]
    public void AfterAWrongAckTheNextSynComesAtItsTime()
    {
        using var peer = new Peer();
        peer.Connect(out var syn);
        peer.Send(Ack, peer.Iss, ack: peer.HostNext + 77);
        peer.Take();
        peer.Advance(10);
        Assert.Equal(syn.Seq, peer.Take().Seq);
        peer.Advance(985);
        peer.ExpectSilence();
        peer.Advance(10);
        Assert.Equal((Syn, syn.Seq), (peer.Inbox.Peek().Flags, peer.Take().Seq));
    }

    [Fact]
    // RFC 7413 §4.1.3.1: losses of SYNs with data turn fast open off; a guessed ACK does not.
    public void WrongAcksInSynSentTurnNoFastOpenOff()
    {
        using var peer = new Peer();
        var settings = new TcpSettings { FastOpenConnect = true, FastOpenWithoutCookie = true };
        for (var i = 0; i < 4; i++)
        {
            Assert.Equal(SocketError.Success, peer.Tcp.Connect(new TcpConnectOptions(new Endpoint(peer.Address, peer.Port), default, settings), peer.Now, out var c));
            Assert.Equal(100, peer.Tcp.Send(c, new byte[100], peer.Now));
            var syn = peer.Take();
            Assert.Equal((Syn, 100), (syn.Flags, syn.Payload.Length));
            peer.HostPortOf = syn.From;
            peer.Send(Ack, peer.Iss, ack: syn.Seq + 177);
            Assert.Equal(Rst, peer.Take().Flags);
            peer.Advance(10);
            var again = peer.Take();
            Assert.Equal((Syn, syn.Seq, 0), (again.Flags, again.Seq, again.Payload.Length));
            peer.Tcp.Abort(c, peer.Now);
            peer.Inbox.Clear();
        }
    }

    [Fact]
    public void InSynReceivedAWrongAckElicitsAReset()
    {
        using var peer = new Peer();
        peer.Listen();
        peer.SynExchange();
        peer.Send(Ack, ack: peer.HostNext + 1);
        var reset = peer.Take();
        Assert.Equal((Rst, peer.HostNext + 1), (reset.Flags, reset.Seq));
        peer.ExpectSilence();
        peer.Send(Ack);
        Assert.True(peer.Tcp.TryAccept(peer.Listener, out _));
    }
}
