// Timestamps on the wire: PAWS, missing timestamps, and what is echoed (RFC 7323).
using Peregrine.Core.Tcp;
using Peregrine.Core.Time;
using Peregrine.Wire;
using static Peregrine.Scenarios.Tests.SegmentTests.Peer;

namespace Peregrine.Scenarios.Tests.SegmentTests;

public sealed class TimestampTests
{
    // RFC 7323 §5.3 R1
    [Fact]
    public void DataWithAnOldTimestampAreDroppedAndAcknowledged()
    {
        using var peer = new Peer();
        var c = peer.Accept(options: Offer(timestamps: true));
        peer.TsVal = 999;
        peer.Send(Ack, length: 10);
        peer.ExpectAck();
        Assert.Equal((0, 1), (peer.Tcp.GetStatus(c).ReadableBytes, peer.Tcp.Counters.DroppedPaws));
        peer.TsVal = 1_000;
        peer.SendNext(10);
        peer.ExpectAck();
        peer.AssertReads(c, 10);
    }

    // RFC 7323 §5.2: a reset is exempt, or a peer that restarted could never reset.
    [Fact]
    public void AResetNeedsNoTimestamp()
    {
        using var peer = new Peer();
        var c = peer.Accept(options: Offer(timestamps: true));
        peer.SendBare(Rst);
        Assert.Equal(System.Net.Sockets.SocketError.ConnectionReset, peer.ErrorOf(c));
    }

    // RFC 7323 §3.2
    [Fact]
    public void ASegmentWithoutTheNegotiatedTimestampIsDroppedInSilence()
    {
        using var peer = new Peer();
        var c = peer.Accept(new TcpSettings { AcceptsMissingTimestamps = false }, options: Offer(timestamps: true));
        peer.SendBare(Ack | Fin);
        peer.ExpectSilence();
        Assert.Equal((TcpState.Established, 1L), (peer.State(c), peer.Tcp.Counters.DroppedNoTimestamp));
    }

    // RFC 7323 §4.3 with RFC 5961 §4.2, §5.2: whoever guesses a sequence number but no ACK cannot shut the peer out by a timestamp far ahead.
    [Theory]
    [InlineData(Ack, 100_000)]
    [InlineData(Ack, -100_000)]
    [InlineData(Syn, 0)]
    [InlineData(TcpFlags.None, 0)]
    public void OfASegmentThatIsRefusedTheTimestampIsNotKept(TcpFlags flags, int offset)
    {
        using var peer = new Peer();
        var c = peer.Accept(options: Offer(timestamps: true));
        peer.TsVal = 1_000_000_000;
        peer.Send(flags, peer.Next, peer.HostNext + (uint)offset, length: 10);
        peer.Inbox.Clear();
        peer.TsVal = 1_001;
        peer.SendNext(10);
        Assert.Equal(1_001u, peer.ExpectAck().Segment.OptionsRef.TsEcr);
        peer.AssertReads(c, 10);
    }

    // RFC 7323 §5.5
    [Fact]
    public void After24DaysOfSilenceAnyTimestampIsTaken()
    {
        using var peer = new Peer();
        var c = peer.Accept(options: Offer(timestamps: true));
        peer.Advance(Duration.FromSeconds(26L * 86_400));
        peer.TsVal = 1;
        peer.SendNext(10);
        peer.ExpectAck();
        peer.AssertReads(c, 10);
    }

    // RFC 7323 §4.3: of several segments that one ACK covers, the first in order is echoed.
    [Fact]
    public void ADelayedAckEchoesTheEarliestTimestampItCovers()
    {
        using var peer = new Peer();
        peer.Accept(new TcpSettings { QuickAckCount = 0 }, Offer(timestamps: true));
        peer.TsVal = 2_000;
        peer.SendNext(100);
        peer.TsVal = 2_001;
        peer.SendNext(100);
        peer.ExpectSilence();
        peer.Advance(100);
        Assert.Equal(2_000u, peer.ExpectAck().Segment.OptionsRef.TsEcr);
    }

    [Fact]
    public void ASegmentBeyondAGapIsNotEchoedAndTheOneThatFillsItIs()
    {
        using var peer = new Peer();
        peer.Accept(options: Offer(timestamps: true));
        peer.TsVal = 2_000;
        peer.Send(Ack, peer.Next + 100, length: 100);
        Assert.Equal(1_000u, peer.ExpectAck().Segment.OptionsRef.TsEcr);
        peer.TsVal = 2_001;
        peer.SendNext(100);
        peer.Next += 100;
        Assert.Equal(2_001u, peer.ExpectAck().Segment.OptionsRef.TsEcr);
    }

    [Fact]
    public void WithoutAnOfferThereAreNoTimestampsAndTheHostsSynCarriesThem()
    {
        using var peer = new Peer();
        peer.Listen();
        Assert.False(peer.SynExchange(Offer()).Segment.OptionsRef.HasTimestamps);
        peer.Port = 4_001;
        peer.Connect(out var syn);
        Assert.True(syn.Segment.OptionsRef is { HasTimestamps: true, SackPermitted: true, HasWindowScale: true, HasMss: true });
    }

    // A SYN-ACK of another connection would echo what no SYN of ours said; one of ours is taken wherever in a millisecond and in a tick of the wheel its SYN left.
    [Fact]
    public void ASynAckIsTakenThatEchoesOurSynAndNoOther()
    {
        using var peer = new Peer();
        for (var i = 0; i < 200; i++)
        {
            peer.Port++;
            var c = peer.Connect(out var syn);
            var late = default(TcpOptions);
            late.SetTimestamps(1_000, syn.Segment.OptionsRef.TsVal);
            peer.Advance(Duration.FromMicroseconds(1_000 + (i % 10 * 37)));
            if (i == 199)
            {
                late.SetTimestamps(1_000, syn.Segment.OptionsRef.TsVal - 10);
                peer.Send(Syn | Ack, options: late);
                Assert.Equal((Rst, TcpState.SynSent), (peer.Take().Flags, peer.State(c)));
                return;
            }
            peer.Send(Syn | Ack, options: late);
            Assert.Equal((i, Ack, TcpState.Established), (i, peer.Take().Flags, peer.State(c)));
            peer.Advance(Duration.FromMicroseconds(53));
        }
    }
}
