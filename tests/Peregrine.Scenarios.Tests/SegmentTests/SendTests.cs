// What the host sends and when: segment sizes, Nagle, silly windows, closed windows, retransmission.
using System.Net.Sockets;
using Peregrine.Core;
using Peregrine.Core.Tcp;
using Peregrine.Core.Time;
using Peregrine.Scenarios.Tests.World;
using Peregrine.Wire;
using static Peregrine.Scenarios.Tests.SegmentTests.Peer;

namespace Peregrine.Scenarios.Tests.SegmentTests;

public sealed class SendTests
{
    // RFC 9293 MUST-14, MUST-15, MUST-16, SHLD-6
    [Theory]
    [InlineData(false, 0, 536)]
    [InlineData(true, 0, 1_220)]
    [InlineData(false, 700, 700)]
    [InlineData(false, 9_000, 1_460)]
    [InlineData(true, 9_000, 1_440)]
    public void SegmentsAreAsLargeAsThePeerAndThePathAllow(bool v6, int offered, int expected)
    {
        using var peer = new Peer(v6: v6);
        var c = peer.Accept(options: Offer(mss: offered));
        peer.Write(c, 3_000);
        Assert.Equal(expected, peer.Take().Payload.Length);
    }

    // RFC 9293 SHLD-6
    [Fact]
    public void TimestampsComeOffTheSegmentSize()
    {
        using var peer = new Peer();
        var c = peer.Accept(options: Offer(timestamps: true));
        peer.Write(c, 3_000);
        Assert.Equal(1_448, peer.Take().Payload.Length);
    }

    // RFC 9293 SHLD-5, MUST-65, MUST-67
    [Theory]
    [InlineData(false, 1_460)]
    [InlineData(true, 1_440)]
    public void TheMssOptionStandsOnSynsOnlyAndSaysWhatCanBeReceived(bool v6, int expected)
    {
        using var peer = new Peer(v6: v6);
        peer.Listen();
        Assert.Equal(expected, peer.SynExchange(Offer(mss: 600)).Segment.OptionsRef.Mss);
        peer.Send(Ack);
        Assert.True(peer.Tcp.TryAccept(peer.Listener, out var c));
        peer.Write(c, 10);
        Assert.False(peer.Take().Segment.OptionsRef.HasMss);
    }

    // RFC 9293 SHLD-7
    [Fact]
    public void ASmallSegmentWaitsForASmallSegmentInFlight()
    {
        using var peer = new Peer();
        var c = peer.Accept();
        peer.Write(c, 10);
        Assert.Equal(10, peer.Take().Payload.Length);
        peer.Write(c, 10);
        peer.Write(c, 10);
        peer.ExpectSilence();
        peer.Send(Ack);
        var second = peer.Take();
        Assert.Equal((20, true), (second.Payload.Length, (second.Flags & Psh) != 0));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    // RFC 9293 §3.7.4, and Minshall's variant: behind full segments in flight a small one goes, or waits for them.
    public void NaglesVariantSaysWhatASmallSegmentWaitsFor(bool plain)
    {
        using var peer = new Peer();
        var c = peer.Accept(TcpSettings.Default with { PlainNagle = plain });
        peer.Write(c, 2 * 1_460);
        while (peer.Inbox.Count > 0) peer.Take();
        peer.Write(c, 10);
        if (plain)
        {
            peer.ExpectSilence();
            peer.Send(Ack, ack: peer.HostNext - 1_460);
            peer.ExpectSilence();
            peer.Send(Ack);
        }
        Assert.Equal(10, peer.Take().Payload.Length);
        peer.Send(Ack);
        // What began with nothing in flight goes to its end.
        peer.Write(c, 1_470);
        Assert.Equal((1_460, 10), (peer.Take().Payload.Length, peer.Take().Payload.Length));
    }

    [Fact]
    public void ASmallSegmentBehindFullOnesGoesAtOnce()
    {
        using var peer = new Peer();
        var c = peer.Accept();
        peer.Write(c, 1_470);
        var first = peer.Take();
        var second = peer.Take();
        Assert.Equal((1_460, false, 10, true), (first.Payload.Length, (first.Flags & Psh) != 0, second.Payload.Length, (second.Flags & Psh) != 0));
        peer.Write(c, 10);
        peer.ExpectSilence();
    }

    [Fact]
    public void AFullSegmentBehindASmallOneDoesNotLetAnotherSmallOneGo()
    {
        using var peer = new Peer();
        var c = peer.Accept();
        peer.Write(c, 10);
        peer.Take();
        peer.Write(c, 1_460);
        Assert.Equal(1_460, peer.Take().Payload.Length);
        peer.Write(c, 10);
        peer.ExpectSilence();
        // Minshall: when the small one is acknowledged, the next may go, though a full one is still in flight.
        peer.Send(Ack, ack: peer.HostNext - 1_460);
        Assert.Equal(10, peer.Take().Payload.Length);
    }

    // RFC 9293 MUST-17
    [Fact]
    public void NoDelayTurnsNagleOff()
    {
        using var peer = new Peer();
        var c = peer.Accept(new TcpSettings { NoDelay = true });
        for (var i = 0; i < 5; i++)
        {
            peer.Write(c, 10);
            Assert.Equal(10, peer.Take().Payload.Length);
        }
    }

    // RFC 9293 MUST-38
    [Fact]
    public void AWindowMuchSmallerThanItWasWaitsForTheOverride()
    {
        using var peer = new Peer();
        var c = peer.Accept();
        peer.Send(Ack, window: 500);
        peer.Write(c, 3_000);
        peer.ExpectSilence();
        peer.Advance(1_500);
        Assert.Equal(500, peer.Take().Payload.Length);
    }

    [Fact]
    public void HalfOfTheLargestWindowIsWorthASegment()
    {
        using var peer = new Peer();
        var c = peer.Accept(window: 1_000);
        peer.Write(c, 3_000);
        Assert.Equal(1_000, peer.Take().Payload.Length);
        peer.ExpectSilence();
        peer.Send(Ack, window: 500);
        Assert.Equal(500, peer.Take().Payload.Length);
    }

    // RFC 9293 MUST-1
    [Fact]
    public void NothingIsSentBeyondTheWindowAndAllOfIt()
    {
        using var peer = new Peer();
        var c = peer.Accept(new TcpSettings { SendBufferBytes = 200_000, SendBufferBytesMax = 200_000 }, Offer(scale: 2), 10_000);
        peer.Write(c, 100_000);
        while (peer.Inbox.Count > 0) peer.Take();
        var start = peer.HostIss + 1;
        for (var acked = 0u; acked < 100_000;)
        {
            acked = (uint)(peer.HostNext - start);
            peer.Send(Ack, window: 10_001 / 4);
            while (peer.Inbox.Count > 0) peer.Take();
            Assert.InRange(peer.HostNext - start, 0, (int)acked + 10_000);
        }
    }

    // RFC 9293 MUST-36, SHLD-29, SHLD-30, MUST-37
    // RFC 9293 §3.10.7.4: what fills a gap is older than what came behind it, by its data; its acknowledgment says that it was sent later, so its window counts.
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void TheWindowOfASegmentThatAcknowledgesMoreCountsThoughItsDataAreOld(bool isPredicted)
    {
        using var peer = new Peer();
        var c = peer.Accept();
        peer.Write(c, 6_000);
        for (var i = 0; i < 4; i++) peer.Take();
        var first = peer.Next;
        var una = peer.HostNext - 4 * 1_460;
        peer.Send(Ack, seq: first + 100, ack: una, length: 100, window: 8_000);
        peer.Take();
        if (!isPredicted) peer.Send(Ack, seq: first - 50, ack: una, length: 60, window: 8_000);
        peer.Inbox.Clear();
        peer.Send(Ack, seq: isPredicted ? first : first + 10, ack: peer.HostNext, length: isPredicted ? 100 : 90, window: 3_000);
        peer.Write(c, 6_000);
        var sent = 0;
        while (peer.Inbox.Count > 0) sent += peer.Take().Payload.Length;
        Assert.InRange(sent, 1, 3_000);
    }

    [Fact]
    public void AClosedWindowIsProbedAfterOneTimeoutThenMoreSlowlyAndForEver()
    {
        using var peer = new Peer();
        var c = peer.Accept(new TcpSettings { WindowProbeData = true }, window: 0);
        peer.Write(c, 100);
        peer.ExpectSilence();
        var last = peer.Now;
        var lastInterval = 0L;
        for (var i = 0; i < 60; i++)
        {
            peer.Advance(60_000 - (int)(peer.Now - last).Milliseconds % 60_000);
            while (peer.Inbox.Count == 0) peer.Advance(1_000);
            var probe = peer.Take();
            Assert.Equal((peer.HostIss + 1, 1), (probe.Seq, probe.Payload.Length));
            var interval = (probe.At - last).Milliseconds;
            if (i < 5 && lastInterval > 0) Assert.InRange(interval, lastInterval * 19 / 10, lastInterval * 22 / 10);
            (last, lastInterval) = (probe.At, interval);
            if (i == 0) Assert.InRange(interval, 190, 1_100);
            if (peer.Inbox.Count == 0) peer.Send(Ack, ack: peer.HostIss + 1, window: 0);
        }
        Assert.Equal(TcpState.Established, peer.State(c));
        peer.Inbox.Clear();
        peer.Send(Ack, ack: peer.HostIss + 1, window: 1_000);
        Assert.Equal(100, peer.Take().Payload.Length);
    }

    // Found by the swarm (40009008): what is sent without a record of its transmission is in no sum of what flies.
    [Fact]
    public void WithoutAFreeRecordTheOverrideIsAProbeOfOneByte()
    {
        using var peer = new Peer(Host.SmallOptions with { TransmissionRecordCount = 64, Tcp = new TcpSettings { WindowProbeData = true } });
        var first = peer.Accept(new TcpSettings { NoDelay = true, WindowProbeData = true });
        peer.Port = 4_001;
        peer.SynExchange(window: 4_000);
        peer.Send(Ack, window: 600);
        Assert.True(peer.Tcp.TryAccept(peer.Listener, out var second));
        peer.Write(second, 1_000);
        peer.ExpectSilence();
        while (peer.Tcp.Context.Recovery.FreeRecords > 0) peer.Write(first, 10);
        peer.Inbox.Clear();
        peer.Advance(1_500);
        var t = peer.Tcp.Context.Tcbs.Get(second.Index);
        Assert.Single(Assert.Single(peer.Inbox, answer => answer.To == 4_001).Payload);
        Assert.Equal(t.C.Snd.Nxt, t.C.Snd.Una);
    }

    // RFC 9293 MUST-20: the limit holds as well for what the override sent while the persist timer ran.
    [Fact]
    public void WhatTheOverrideSentTimesOutLikeOtherData()
    {
        using var peer = new Peer();
        var c = peer.Accept(new TcpSettings { UserTimeoutMs = 20_000 });
        peer.Send(Ack, window: 100);
        peer.Write(c, 1_000);
        peer.Advance(1_500);
        Assert.Equal(100, peer.Take().Payload.Length);
        peer.Advance(25_000);
        Assert.Equal(SocketError.TimedOut, peer.ErrorOf(c));
    }

    // RFC 9293 MUST-34, SHLD-15, SHLD-16, MUST-35
    [Fact]
    public void APeerThatShrinksItsWindowGetsNothingNewAndTheOldAgain()
    {
        using var peer = new Peer();
        var c = peer.Accept();
        peer.Write(c, 2_920);
        peer.Take();
        peer.Take();
        peer.Write(c, 5_000);
        peer.Inbox.Clear();
        var edge = peer.HostIss + 1 + 1_460;
        peer.Send(Ack, ack: edge, window: 100);
        peer.ExpectSilence();
        peer.Advance(5_000);
        while (peer.Inbox.Count > 0) Assert.True(peer.Take().Seq.IsBefore(peer.HostIss + 1 + 7_920));
        Assert.True(peer.Tcp.Counters.SegmentsRetransmitted > 0);
        Assert.Equal(TcpState.Established, peer.State(c));
        peer.Send(Ack, ack: peer.HostIss + 1 + 7_920);
        Assert.Equal(0, peer.Tcp.GetStatus(c).UnacknowledgedBytes);
    }

    // RFC 9293 SHLD-17 holds for a peer that answers. Two ends of which each refuses what the other says would keep each other for ever.
    [Fact]
    public void APeerWhoseAnswersAreRefusedKeepsNoConnection()
    {
        using var peer = new Peer();
        var c = peer.Accept(new TcpSettings { UserTimeoutMs = 20_000 }, Offer(timestamps: true));
        peer.Write(c, 2_000);
        peer.Take();
        peer.Send(Ack, ack: peer.HostIss + 1, window: 0);
        peer.TsVal = 1;
        Answer(peer, seconds: 60, length: 10);
        Assert.Equal(SocketError.TimedOut, peer.ErrorOf(c));
    }

    // RFC 9293 SHLD-17: nor does a window that has room for the first of the data, which are not acknowledged all the same; nor, for ever,
    // an abandoned connection.
    [Theory]
    [InlineData(100, false, false)]
    [InlineData(0, false, true)]
    [InlineData(0, true, false)]
    public void OnlyDataBeyondAShrunkWindowOfAConnectionInUseMayWaitBeyondTheUserTimeout(ushort window, bool isAbandoned, bool isKept)
    {
        using var peer = new Peer();
        var c = peer.Accept(new TcpSettings { UserTimeoutMs = 20_000 });
        peer.Write(c, 2_000);
        peer.Take();
        if (isAbandoned) peer.Tcp.Close(c, peer.Now);
        peer.Send(Ack, ack: peer.HostIss + 1, window: window);
        Answer(peer, seconds: 60, length: 0, peer.HostIss + 1, window);
        Assert.Equal(isKept ? 1 : 0, (int)peer.Tcp.Context.Demux.Count);
    }

    // The peer goes on talking.
    private static void Answer(Peer peer, int seconds, int length, SeqNumber? ack = null, ushort window = 0)
    {
        for (; seconds > 0; seconds--)
        {
            peer.Advance(1_000);
            peer.Inbox.Clear();
            peer.Send(Ack, ack: ack, length: length, window: window);
        }
    }

    // RFC 9293 MUST-19 with RFC 6298 §2.4, §5.5
    [Theory]
    [InlineData(200)]
    [InlineData(1_000)]
    public void TheTimeoutStartsAtItsLeastAndDoubles(int least)
    {
        using var peer = new Peer(Host.SmallOptions with { RtoMsMin = least });
        var c = peer.Accept();
        peer.Write(c, 100);
        var last = peer.Take().At;
        peer.Advance(least * 70);
        for (var i = 0; i < 5; i++)
        {
            var again = peer.Take();
            Assert.Equal((peer.HostIss + 1, 100), (again.Seq, again.Payload.Length));
            Assert.InRange((again.At - last).Milliseconds, least << i, (least << i) + 50 + ((least << i) >> 4));
            last = again.At;
        }
    }

    // RFC 9293 MUST-20, MUST-21
    [Fact]
    public void TheUserTimeoutEndsAConnectionWhoseDataStayUnacknowledged()
    {
        using var peer = new Peer();
        var c = peer.Accept(new TcpSettings { UserTimeoutMs = 5_000 });
        peer.Write(c, 100);
        peer.Advance(4_900);
        Assert.Equal(TcpState.Established, peer.State(c));
        peer.Advance(400);
        Assert.Equal(SocketError.TimedOut, peer.ErrorOf(c));
    }

    // RFC 6928, RFC 3042, RFC 5681 §3.2
    [Fact]
    public void TwoDuplicateAcksLetNewSegmentsGoAndTheThirdRepeatsTheLostOne()
    {
        using var peer = new Peer();
        var c = peer.Accept();
        peer.Write(c, 30_000);
        Assert.Equal(10, peer.Inbox.Count);
        while (peer.Inbox.Count > 0) peer.Take();
        var lost = peer.HostIss + 1;
        for (var i = 0; i < 2; i++)
        {
            peer.Send(Ack, ack: lost);
            var limited = peer.Take();
            Assert.Equal((lost + (uint)(14_600 + (i * 1_460)), 1_460), (limited.Seq, limited.Payload.Length));
            peer.ExpectSilence();
        }
        peer.Send(Ack, ack: lost);
        var again = peer.Take();
        Assert.Equal((lost, 1_460), (again.Seq, again.Payload.Length));
        Assert.Equal(0, peer.Tcp.Counters.RetransmissionTimeouts);
    }

    [Fact]
    public void ADuplicateAckWithAnotherWindowIsNoSignOfLoss()
    {
        using var peer = new Peer();
        var c = peer.Accept();
        peer.Write(c, 5_000);
        peer.Inbox.Clear();
        for (ushort i = 1; i < 10; i++) peer.Send(Ack, ack: peer.HostIss + 1, window: (ushort)(60_000 + i));
        peer.ExpectSilence();
        Assert.Equal(0, peer.Tcp.Counters.SegmentsRetransmitted);
    }

    // RFC 9293 MUST-30
    [Fact]
    public void UrgentDataArePointedAtWithTheByteBehindThem()
    {
        using var peer = new Peer();
        var c = peer.Accept();
        Assert.Equal(5, peer.Tcp.SendUrgent(c, new byte[5], peer.Now));
        var urgent = peer.Take();
        Assert.True((urgent.Flags & Urg) != 0);
        Assert.Equal((5, 5), (urgent.Payload.Length, (int)urgent.Segment.UrgentPointer));
        peer.Send(Ack);
        peer.Write(c, 5);
        Assert.True((peer.Take().Flags & Urg) == 0);
    }

    // RFC 2018 §8, RFC 9293 §3.4: a FIN that was reported by SACK is not sent again before a time-out, so it must not be forgotten.
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void UrgentDataAndAnEarlyFinDoNotDisturbEachOther(bool finIsFirst)
    {
        using var peer = new Peer();
        var c = peer.Accept(options: Offer(sack: true));
        if (finIsFirst) peer.Send(Ack | Fin, seq: peer.Next + 10);
        // More than the window takes, so that the pointer stands while the rest happens.
        peer.Write(c, 20_000);
        Assert.Equal(5, peer.Tcp.SendUrgent(c, new byte[5], peer.Now));
        if (!finIsFirst) peer.Send(Ack | Fin, seq: peer.Next + 10);
        peer.Inbox.Clear();
        // What is read meanwhile is no matter of the FIN's.
        peer.Send(Ack, length: 4);
        peer.AssertReads(c, 4);
        Assert.Contains(peer.Inbox, sent => sent.Sacks is [var block] && block == new SackBlock(peer.Next + 10, peer.Next + 11));
        peer.Next += 4;
        peer.Send(Ack, length: 6);
        Assert.Equal(TcpState.CloseWait, peer.State(c));
        var pointers = new List<SeqNumber>();
        for (var end = peer.HostNext + 20_005; peer.HostNext != end;)
        {
            while (peer.Inbox.TryDequeue(out var sent))
            {
                if ((sent.Flags & Urg) != 0) pointers.Add(sent.Seq + sent.Segment.UrgentPointer);
                if (sent.Seq == peer.HostNext) peer.HostNext += (uint)sent.Payload.Length;
            }
            peer.Next = peer.Iss + 12;
            peer.Send(Ack);
            peer.Advance(300);
        }
        Assert.NotEmpty(pointers);
        Assert.All(pointers, pointer => Assert.Equal(peer.HostIss + 1 + 20_005, pointer));
    }

    // RFC 9293 MUST-24, MUST-25
    [Fact]
    public void KeepaliveIsOffUnlessAskedFor()
    {
        using var peer = new Peer();
        var c = peer.Accept();
        peer.Advance(Duration.FromSeconds(100_000));
        peer.ExpectSilence();
        Assert.Equal(TcpState.Established, peer.State(c));
    }

    // RFC 9293 MUST-26, MUST-27, MUST-29, SHLD-12
    [Fact]
    public void KeepaliveProbesASilentPeerAndGivesUpOnlyAfterSeveral()
    {
        using var peer = new Peer();
        var c = peer.Accept(new TcpSettings { KeepAlive = true, KeepAliveTimeSeconds = 10, KeepAliveIntervalSeconds = 2, KeepAliveRetryCount = 3 });
        for (var i = 0; i < 3; i++)
        {
            peer.Advance(9_000);
            peer.ExpectSilence();
            peer.Advance(1_500);
            var probe = peer.Take();
            Assert.Equal((peer.HostNext - 1, 0, Ack), (probe.Seq, probe.Payload.Length, probe.Flags));
            peer.ExpectSilence();
            peer.Send(Ack);
        }
        peer.Advance(30_000);
        for (var i = 0; i < 3; i++) Assert.Equal(peer.HostNext - 1, peer.Take().Seq);
        Assert.True((peer.Take().Flags & Rst) != 0);
        Assert.Equal(SocketError.TimedOut, peer.ErrorOf(c));
    }

    // RFC 9293 §3.8.4
    [Fact]
    public void SettingsThatChangeMeanwhileDoNotPutOffKeepaliveProbes()
    {
        using var peer = new Peer();
        var settings = new TcpSettings { KeepAlive = true, KeepAliveTimeSeconds = 10, KeepAliveIntervalSeconds = 2, KeepAliveRetryCount = 3 };
        var c = peer.Accept(settings);
        peer.Advance(10_500);
        Assert.Equal(peer.HostNext - 1, peer.Take().Seq);
        for (var i = 0; i < 2; i++)
        {
            Assert.Equal(SocketError.Success, peer.Tcp.SetSettings(c, settings with { NoDelay = i == 0 }, peer.Now));
            peer.Advance(2_000);
            Assert.Equal(peer.HostNext - 1, peer.Take().Seq);
        }
    }
}
