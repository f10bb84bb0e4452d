// Closing and TIME-WAIT: RFC 9293 §3.6, with RFC 6191 and RFC 1337.
using System.Net.Sockets;
using Peregrine.Core.Tcp;
using Peregrine.Core.Time;
using Peregrine.Wire;
using static Peregrine.Scenarios.Tests.SegmentTests.Peer;

namespace Peregrine.Scenarios.Tests.SegmentTests;

public sealed class ClosingTests
{
    // RFC 9293 MUST-13
    [Fact]
    public void TheSideThatClosesFirstWaitsAndAcknowledgesTheFinAgain()
    {
        using var peer = new Peer();
        TimeWait(peer);
        peer.Advance(59_000);
        peer.Send(Ack | Fin, peer.Next - 1);
        peer.ExpectAck();
        // The wait started again.
        peer.Advance(59_000);
        Assert.Equal(1, peer.Tcp.TimeWaitCount);
        peer.Advance(2_000);
        Assert.Equal(0, peer.Tcp.TimeWaitCount);
    }

    // RFC 1337
    [Fact]
    public void AResetDoesNotEndTimeWait()
    {
        using var peer = new Peer();
        TimeWait(peer);
        peer.Send(Rst);
        peer.Send(Rst | Ack);
        peer.ExpectSilence();
        Assert.Equal(1, peer.Tcp.TimeWaitCount);
    }

    // RFC 9293 MAY-2: the new connection begins with a larger number than the old one ended with: no cookie has its place there.
    [Fact]
    public void WhereCookiesAreGivenASynInTimeWaitGetsNone()
    {
        using var peer = new Peer(World.Host.SmallOptions with { SynCookiesOnly = true });
        peer.Listen();
        var (clear, larger) = (0, 0);
        for (ushort i = 0; i < 8; i++)
        {
            (peer.Port, peer.Iss) = ((ushort)(5_000 + i), new SeqNumber(uint.MaxValue - 20));
            var cookie = peer.SynExchange().Seq;
            peer.Send(Ack);
            Assert.True(peer.Tcp.TryAccept(peer.Listener, out var connection));
            peer.Tcp.Shutdown(connection, peer.Now);
            Assert.Equal(Fin | Ack, peer.Take().Flags);
            peer.SendNext(0, Fin | Ack);
            Assert.Equal(i + 1, peer.Tcp.TimeWaitCount + clear);
            peer.Tcp.Close(connection, peer.Now);
            peer.Inbox.Clear();
            peer.Iss = peer.Next + 1_000;
            if ((peer.SynExchange().Seq - (cookie + 2)) is > 65_535) larger++;
            clear++;
        }
        Assert.Equal((8, 8, 8), (larger, peer.Tcp.SynBacklogCount, (int)peer.Tcp.Counters.TimeWaitReused));
    }

    [Fact]
    public void ASynInTimeWaitForWhichThereIsNoRoomIsNotAnsweredAndTheWaitGoesOn()
    {
        using var peer = new Peer(World.Host.SmallOptions with { SynBacklogCountMax = 1 });
        TimeWait(peer);
        var (port, iss, end) = (peer.Port, peer.Next + 1_000, peer.HostNext);
        (peer.Port, peer.Iss) = (5_000, new SeqNumber(7));
        peer.SynExchange();
        var (next, ack) = (peer.Next, peer.HostNext);
        (peer.Port, peer.Iss) = (port, iss);
        peer.Send(Syn, iss);
        peer.ExpectSilence();
        Assert.Equal((1, 1L, 0L), (peer.Tcp.TimeWaitCount, peer.Tcp.Counters.DroppedSynBacklogFull, peer.Tcp.Counters.SynCookiesSent));
        peer.Port = 5_000;
        peer.Send(Rst, next, ack);
        peer.Port = port;
        Assert.True(peer.SynExchange().Seq - end > 65_535);
    }

    [Fact]
    public void OldTextInTimeWaitIsAnsweredByTheLastAck()
    {
        using var peer = new Peer();
        TimeWait(peer);
        peer.Send(Ack, peer.Next - 100, length: 50);
        Assert.Equal(peer.HostNext, peer.ExpectAck().Seq);
    }

    // RFC 9293 MAY-2, SHLD-4: RFC 6191
    [Theory]
    [InlineData(false, 1, 0, true)]
    [InlineData(false, -100, 0, false)]
    [InlineData(true, -100, 1, true)]
    [InlineData(true, 100, -1, false)]
    [InlineData(true, 100, 0, true)]
    [InlineData(true, -100, 0, false)]
    public void ANewSynInTimeWaitIsTakenOnlyWhenItIsCertainlyNew(bool timestamps, int seqStep, int tsStep, bool accepted)
    {
        using var peer = new Peer();
        TimeWait(peer, Offer(timestamps: timestamps));
        var oldEnd = peer.HostNext;
        peer.TsVal = (uint)(1_000 + tsStep);
        peer.Send(Syn, peer.Next + (uint)seqStep);
        if (!accepted)
        {
            peer.ExpectSilence();
            Assert.Equal(1, peer.Tcp.TimeWaitCount);
            return;
        }
        var answer = peer.Take();
        Assert.Equal((Syn | Ack, peer.Next + (uint)(seqStep + 1)), (answer.Flags, answer.Ack));
        Assert.True(answer.Seq.IsAfter(oldEnd));
        Assert.Equal((0, 1L), (peer.Tcp.TimeWaitCount, peer.Tcp.Counters.TimeWaitReused));
    }

    [Theory]
    [InlineData(true, 1)]
    [InlineData(true, -100)]
    [InlineData(false, 1)]
    public void WithoutAListenerASynInTimeWaitIsForTheProfileToAnswer(bool plain, int step)
    {
        using var peer = new Peer(World.Host.SmallOptions with { PlainTimeWait = plain });
        TimeWait(peer);
        peer.Tcp.CloseListener(peer.Listener, peer.Now);
        peer.Send(Syn, peer.Next + (uint)step);
        if (!plain || step < 0)
        {
            peer.ExpectSilence();
            Assert.Equal(1, peer.Tcp.TimeWaitCount);
            return;
        }
        Assert.Equal(Rst | Ack, peer.Take().Flags);
        peer.ExpectSilence();
        Assert.Equal(0, peer.Tcp.TimeWaitCount);
    }

    [Fact]
    public void FinWait1WithFinButWithoutAckGoesThroughClosing()
    {
        using var peer = new Peer();
        var c = peer.Accept();
        peer.Tcp.Shutdown(c, peer.Now);
        Assert.Equal(Fin | Ack, peer.Take().Flags);
        peer.Send(Fin | Ack, ack: peer.HostNext - 1);
        peer.Next += 1;
        Assert.Equal(TcpState.Closing, peer.State(c));
        peer.Inbox.Clear();
        peer.Send(Ack);
        Assert.Equal(1, peer.Tcp.TimeWaitCount);
        Assert.Equal(SocketError.Success, peer.ErrorOf(c));
    }

    [Fact]
    public void LastAckEndsWithTheAcknowledgmentOfOurFin()
    {
        using var peer = new Peer();
        var c = peer.Accept();
        peer.SendNext(0, Fin | Ack);
        peer.ExpectAck();
        peer.Tcp.Close(c, peer.Now);
        var fin = peer.Take();
        Assert.Equal(Fin | Ack, fin.Flags);
        // Repeated until it is acknowledged.
        peer.Advance(300);
        Assert.Equal((Fin | Ack, fin.Seq), peer.Take() is var again ? (again.Flags, again.Seq) : default);
        peer.Send(Ack);
        Assert.Equal((0, 0), (peer.Tcp.ConnectionCount, peer.Tcp.TimeWaitCount));
        peer.ExpectSilence();
    }

    [Fact]
    public void InFinWait2TextIsStillReceivedByAnApplicationThatReads()
    {
        using var peer = new Peer();
        var c = peer.Accept();
        peer.Tcp.Shutdown(c, peer.Now);
        peer.Take();
        peer.Send(Ack);
        Assert.Equal(TcpState.FinWait2, peer.State(c));
        peer.SendNext(100);
        peer.ExpectAck();
        peer.AssertReads(c, 100);
    }

    // RFC 9293 SHLD-3
    [Fact]
    public void TextForAnApplicationThatHasLetGoIsAnsweredByAReset()
    {
        using var peer = new Peer();
        var c = peer.Accept();
        peer.Tcp.Close(c, peer.Now);
        peer.Take();
        peer.Send(Ack);
        peer.Send(Ack, length: 10);
        Assert.True((peer.Take().Flags & Rst) != 0);
        Assert.Equal(0, peer.Tcp.ConnectionCount);
    }

    [Fact]
    public void AnAbandonedFinWait2EndsByItsTimer()
    {
        using var peer = new Peer();
        var c = peer.Accept(new TcpSettings { FinWait2TimeoutMs = 5_000 });
        peer.Tcp.Close(c, peer.Now);
        peer.Take();
        peer.Send(Ack);
        peer.Advance(4_900);
        Assert.Equal(1, peer.Tcp.ConnectionCount);
        peer.Advance(500);
        Assert.Equal(0, peer.Tcp.ConnectionCount);
    }

    // RFC 9293 MUST-12
    [Fact]
    public void AnAbortSendsAResetThatIsExactlyInPlace()
    {
        using var peer = new Peer();
        var c = peer.Accept();
        peer.Write(c, 3_000);
        while (peer.Inbox.Count > 0) peer.Take();
        peer.Tcp.Abort(c, peer.Now);
        var reset = peer.Take();
        Assert.Equal((Rst | Ack, peer.HostNext), (reset.Flags, reset.Seq));
        Assert.Equal(SocketError.ConnectionAborted, peer.ErrorOf(c));
    }

    [Fact]
    public void AResetInEveryStateOfClosingEndsTheConnection()
    {
        for (var state = 0; state < 4; state++)
        {
            using var peer = new Peer();
            var c = peer.Accept();
            if (state == 3)
            {
                peer.SendNext(0, Fin | Ack);
                peer.Take();
            }
            peer.Tcp.Shutdown(c, peer.Now);
            peer.Take();
            if (state == 1) peer.Send(Ack);
            if (state == 2)
            {
                peer.Send(Fin | Ack, ack: peer.HostNext - 1);
                peer.Next += 1;
            }
            peer.Inbox.Clear();
            var expected = new[] { TcpState.FinWait1, TcpState.FinWait2, TcpState.Closing, TcpState.LastAck }[state];
            Assert.Equal(expected, peer.State(c));
            peer.Send(Rst);
            peer.ExpectSilence();
            Assert.Equal(SocketError.ConnectionReset, peer.ErrorOf(c));
            Assert.Equal(0, peer.Tcp.TimeWaitCount);
        }
    }

    private static void TimeWait(Peer peer, TcpOptions? options = null)
    {
        var c = peer.Accept(options: options);
        Assert.Equal(SocketError.Success, peer.Tcp.Shutdown(c, peer.Now));
        Assert.Equal(Fin | Ack, peer.Take().Flags);
        peer.Send(Ack);
        peer.SendNext(0, Fin | Ack);
        peer.ExpectAck();
        Assert.Equal(1, peer.Tcp.TimeWaitCount);
        Assert.Equal(SocketError.Success, peer.ErrorOf(c));
        peer.Tcp.Close(c, peer.Now);
        Assert.Equal(0, peer.Tcp.ConnectionCount);
    }
}
