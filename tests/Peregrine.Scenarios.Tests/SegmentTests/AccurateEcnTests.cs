// Accurate ECN on the wire (RFC 9768): what SYNs agree on and tell of how they arrived, the counters, what a mangling path gets, and the
// bounds of the memory for it.
using Peregrine.Core;
using Peregrine.Core.Tcp;
using Peregrine.Scenarios.Tests.World;
using Peregrine.Wire;

namespace Peregrine.Scenarios.Tests.SegmentTests;

public sealed class AccurateEcnTests
{
    private const TcpFlags Ae = TcpFlags.Ae, Cwr = TcpFlags.Cwr, Ece = TcpFlags.Ece, All = Ae | Cwr | Ece;
    private const int Mss = 1460;
    private const byte NotEct = 0, Ect1 = 1, Ect0 = 2, Ce = 3;

    private static readonly TcpSettings s_accurate = TcpSettings.Default with { Ecn = TcpEcnMode.Accurate };

    [Theory]
    // RFC 9768 tables 2 and 3: the SYN-ACK tells how the SYN arrived. §3.1.3: combinations without meaning count as 1,1,1.
    [InlineData(All, NotEct, Cwr)]
    [InlineData(All, Ect1, Cwr | Ece)]
    [InlineData(All, Ect0, Ae)]
    [InlineData(All, Ce, Ae | Cwr)]
    [InlineData(Ae, NotEct, Cwr)]
    [InlineData(Ae | Ece, NotEct, Cwr)]
    [InlineData(Cwr, NotEct, Cwr)]
    public void ASynThatAsksIsToldHowItArrived(TcpFlags syn, byte field, TcpFlags answer)
    {
        using var p = new Peer();
        var t = Accept(p, s_accurate, syn, field, Cwr, out var synAck);
        Assert.Equal(answer, synAck.Flags & All);
        Assert.Equal((true, true), Info(p, t));
        Assert.Equal(new AccurateEcnOption(0, 1, 1, 0, 0), synAck.AccurateEcn);
    }

    [Theory]
    // RFC 9768 table 2: older kinds, and settings that grant no more than the classic form.
    [InlineData(TcpEcnMode.Accurate, Cwr | Ece, Ece, true)]
    [InlineData(TcpEcnMode.AcceptAccurate, Cwr | Ece, Ece, true)]
    [InlineData(TcpEcnMode.Accurate, TcpFlags.None, TcpFlags.None, false)]
    [InlineData(TcpEcnMode.Accept, All, Ece, true)]
    [InlineData(TcpEcnMode.Off, All, TcpFlags.None, false)]
    public void OtherwiseTheClassicFormOrNone(TcpEcnMode mode, TcpFlags syn, TcpFlags answer, bool classic)
    {
        using var p = new Peer();
        var t = Accept(p, s_accurate with { Ecn = mode }, syn, NotEct, TcpFlags.None, out var synAck);
        Assert.Equal(answer, synAck.Flags & All);
        Assert.Equal((classic, false), Info(p, t));
    }

    [Theory]
    // RFC 9768 table 2: what our SYN is granted; 1,0,1 counts (§3.1.3), 1,1,1 is an echo by something that knows nothing.
    [InlineData(Cwr, true, true)]
    [InlineData(Cwr | Ece, true, true)]
    [InlineData(Ae, true, true)]
    [InlineData(Ae | Cwr, true, true)]
    [InlineData(Ae | Ece, true, true)]
    [InlineData(Ece, true, false)]
    [InlineData(TcpFlags.None, false, false)]
    [InlineData(All, false, false)]
    public void OurSynIsGrantedByWhatTheSynAckTells(TcpFlags answer, bool ecn, bool accurate)
    {
        using var p = new Peer();
        var t = p.Connect(out var syn, s_accurate);
        Assert.Equal((All, NotEct), (syn.Flags & All, syn.Ecn));
        Assert.Null(syn.AccurateEcn);
        Answer(p, answer, NotEct);
        Assert.Equal((ecn, accurate), Info(p, t));
    }

    [Theory]
    // RFC 9768 table 3: the first ACK is pure, though data wait, and tells how the SYN-ACK arrived; then the count begins at 5, or 6.
    [InlineData(NotEct, Cwr, 5)]
    [InlineData(Ect1, Cwr | Ece, 5)]
    [InlineData(Ect0, Ae, 5)]
    [InlineData(Ce, Ae | Cwr, 6)]
    public void TheFinalAckTellsHowTheSynAckArrived(byte field, TcpFlags told, int count)
    {
        using var p = new Peer();
        var t = p.Connect(out _, s_accurate);
        p.Write(t, 100);
        Answer(p, Cwr, field);
        var ack = p.Take();
        Assert.Equal((told, 0), (ack.Flags & All, ack.Payload.Length));
        Assert.NotNull(ack.AccurateEcn);
        var data = p.Take();
        Assert.Equal((count, 100, Ect0), (Field(data), data.Payload.Length, data.Ecn));
        // §3.2.3.2.1: the first ACK may be lost: the first data have the option too. §3.2.2.1: and the SYN-ACK again brings the ACK again.
        Assert.NotNull(data.AccurateEcn);
        p.Advance(1_000);
        p.Inbox.Clear();
        p.Ecn = field;
        p.Send(Peer.Syn | Peer.Ack | Cwr, p.Iss, p.HostIss + 1, options: Peer.Offer());
        Assert.Equal(told, p.Take().Flags & All);
    }

    [Fact]
    // RFC 9768 §3.1.4.1: the SYN asks twice; after that it may be what a middlebox drops.
    public void ASynAsksTwice()
    {
        using var p = new Peer();
        var t = p.Connect(out _, s_accurate);
        p.Advance(1_100);
        Assert.Equal(All, p.Take().Flags & All);
        p.Advance(2_100);
        Assert.Equal(TcpFlags.None, p.Take().Flags & All);
        Answer(p, Cwr, NotEct);
        Assert.Equal((true, true), Info(p, t));
    }

    [Fact]
    // RFC 9768 §3.2.3.2.2: the SYN-ACK again without the option, and then without the bits; §3.1.5: then nothing is ECN-capable, and feedback goes on.
    public void ASynAckThatIsRepeatedGivesUpOptionAndBits()
    {
        using var p = new Peer();
        p.Listen(s_accurate);
        p.Send(Peer.Syn | All, p.Iss, options: Peer.Offer());
        p.Next = p.Iss + 1;
        Assert.NotNull(p.Take().AccurateEcn);
        p.Advance(1_100);
        var second = p.Take();
        Assert.Equal((Cwr, false), (second.Flags & All, second.AccurateEcn is not null));
        p.Advance(2_100);
        var third = p.Take();
        Assert.Equal(TcpFlags.None, third.Flags & All);
        p.Send(Peer.Ack | Cwr, ack: third.Seq + 1);
        p.HostNext = third.Seq + 1;
        Assert.True(p.Tcp.TryAccept(p.Listener, out var t));
        p.Write(t, 100);
        var data = p.Take();
        Assert.Equal((5, NotEct), (Field(data), data.Ecn));
    }

    [Fact]
    // RFC 9768 §3.1.5: the latest SYN's field; one that asks for nothing is answered in the same form; one that asks for the classic form is reset.
    public void SynsOfSeveralKindsAreOneHandshake()
    {
        using var p = new Peer();
        p.Listen(s_accurate);
        p.Send(Peer.Syn | All, p.Iss, options: Peer.Offer());
        p.Next = p.Iss + 1;
        Assert.Equal(Cwr, p.Take().Flags & All);
        p.Ecn = Ce;
        p.Send(Peer.Syn | All, p.Iss, options: Peer.Offer());
        Assert.Equal(Ae | Cwr, p.Take().Flags & All);
        p.Ecn = NotEct;
        p.Send(Peer.Syn, p.Iss, options: Peer.Offer());
        Assert.Equal(Cwr, p.Take().Flags & All);
        p.Send(Peer.Syn | Cwr | Ece, p.Iss, options: Peer.Offer());
        Assert.Equal(Peer.Rst, p.Take().Flags & Peer.Rst);
    }

    [Theory]
    // RFC 9768 §3.2.2.3: a SYN-ACK that was not ECN-capable and arrived so, by table 4; and note 1: a zero. We go on without ECT.
    [InlineData(Cwr, Ect0)]
    [InlineData(Ae, NotEct)]
    [InlineData(Cwr | Ece, NotEct)]
    [InlineData(Ae | Cwr, NotEct)]
    [InlineData(TcpFlags.None, NotEct)]
    public void WhatTheFinalAckTellsOfAManglingPathEndsEct(TcpFlags told, byte sent)
    {
        using var p = new Peer();
        var t = Accept(p, s_accurate, All, NotEct, told, out _);
        p.Write(t, 100);
        Assert.Equal(sent, p.Take().Ecn);
        // As receiver it goes on.
        p.Ecn = Ce;
        p.SendNext(100);
        Assert.Equal(6, Field(p.Take()));
    }

    [Fact]
    // RFC 9768 §3.2.2.3: our SYN was not ECN-capable and arrived so.
    public void WhatTheSynAckTellsOfAManglingPathEndsEct()
    {
        using var p = new Peer();
        var t = p.Connect(out _, s_accurate);
        p.Write(t, 100);
        Answer(p, Ae, NotEct);
        p.Take();
        Assert.Equal(NotEct, p.Take().Ecn);
    }

    [Fact]
    // RFC 9768 §3.2.2.4: the first feedback is zero: somebody clears the field.
    public void AFieldThatIsZeroAtFirstMeansNothing()
    {
        using var p = new Peer();
        var t = p.Connect(out _, s_accurate);
        p.Write(t, 4 * Mss);
        Answer(p, Cwr, NotEct);
        p.Take();
        for (var i = 0; i < 4; i++) Assert.Equal(Ect0, p.Take().Ecn);
        Feed(p, p.HostNext - (2u * Mss), 0);
        p.Write(t, Mss);
        Assert.Equal(NotEct, p.Take().Ecn);
        Feed(p, p.HostNext - Mss, 3);
        Assert.Equal(0, p.Tcp.ExtCounters.TCPEcnReductions);
    }

    [Fact]
    // RFC 9768 §3.2.2.2, §3.2.3: marked packets are counted in three bits, and the bytes of each kind in options with what has changed.
    public void PacketsAndBytesAreCountedByTheirMarks()
    {
        using var p = new Peer();
        Accept(p, s_accurate, All, NotEct, Cwr, out _);
        Expect(NotEct, 100, 5, new AccurateEcnOption(0, 1, 1, 0, 0));
        Expect(NotEct, 100, 5, null);
        Expect(Ect0, 100, 5, new AccurateEcnOption(0, 1, 101, 0, 0));
        Expect(Ce, 50, 6, new AccurateEcnOption(0, 2, 101, 50, 0));
        Expect(Ect1, 10, 6, new AccurateEcnOption(0, 3, 101, 50, 11));
        for (var i = 0; i < 3; i++) Expect(Ce, 1, 7 + i, new AccurateEcnOption(0, 3, 101, 51 + (uint)i, 11));

        void Expect(byte field, int length, int count, AccurateEcnOption? option)
        {
            p.Ecn = field;
            p.SendNext(length);
            var ack = p.Take();
            Assert.Equal(count & 7, Field(ack));
            Assert.Equal(option, ack.AccurateEcn);
        }
    }

    [Fact]
    // RFC 9768 §3.2.3, table 5: where only ECT(1) comes, its counter goes first.
    public void TheOtherOrderIsForWhoSendsEct1()
    {
        using var p = new Peer();
        Accept(p, s_accurate, All, NotEct, Cwr, out _);
        p.Ecn = Ect1;
        p.SendNext(100);
        Assert.Equal(new AccurateEcnOption(1, 1, 0, 0, 101), p.Take().AccurateEcn);
    }

    [Fact]
    // RFC 9768 §3.2.2.5.1: a mark after what was not marked at once; then every second one; without data every third.
    public void MarksAreToldSoon()
    {
        using var p = new Peer();
        Accept(p, s_accurate with { QuickAckCount = 0 }, All, NotEct, Cwr, out _);
        p.SendNext(100);
        p.Advance(50);
        p.Inbox.Clear();
        p.Ecn = Ce;
        p.SendNext(100);
        Assert.Equal(6, Field(p.Take()));
        p.SendNext(100);
        p.ExpectSilence();
        p.SendNext(100);
        Assert.Equal(0, Field(p.Take()));
        for (var i = 0; i < 2; i++)
        {
            p.Send(Peer.Ack);
            p.ExpectSilence();
        }
        p.Send(Peer.Ack);
        var ack = p.Take();
        Assert.Equal(3, Field(ack));
        Assert.Empty(ack.Sacks);
    }

    [Fact]
    // RFC 9768 §3.1.5: a mark is congestion, once a round trip, and nobody says CWR: the bit belongs to the count.
    public void FeedbackReducesTheWindowOnceARoundTrip()
    {
        using var p = new Peer();
        var t = Accept(p, s_accurate, All, NotEct, Cwr, out _);
        p.Write(t, 8 * Mss);
        for (var i = 0; i < 8; i++) p.Take();
        Assert.True(p.Tcp.TryGetInfo(t, p.Now, out var before));
        var start = p.HostNext - (8u * Mss);
        p.Advance(20);
        Feed(p, start + Mss, 6);
        Assert.True(p.Tcp.TryGetInfo(t, p.Now, out var once));
        Assert.True(once.CongestionWindow < before.CongestionWindow);
        Feed(p, start + (7 * Mss), 7);
        Assert.Equal(1, p.Tcp.ExtCounters.TCPEcnReductions);
        p.Write(t, 3 * Mss);
        Assert.Equal(5, Field(p.Take()));
        p.Inbox.Clear();
        Feed(p, start + (9 * Mss), 0);
        Assert.Equal(2, p.Tcp.ExtCounters.TCPEcnReductions);
        // What was counted before means nothing new.
        Feed(p, start + (10 * Mss), 0);
        Assert.Equal(2, p.Tcp.ExtCounters.TCPEcnReductions);
    }

    [Fact]
    // RFC 9768 §3.2.3.2.2: the first data that had the option were lost: nothing has it any more.
    public void OptionsThatGetLostAreGivenUp()
    {
        using var p = new Peer();
        var t = p.Connect(out _, s_accurate);
        p.Write(t, 100);
        Answer(p, Cwr, NotEct);
        p.Take();
        Assert.NotNull(p.Take().AccurateEcn);
        p.Advance(2_000);
        Assert.Null(p.Take().AccurateEcn);
        p.Ecn = Ce;
        p.SendNext(100);
        Assert.Null(p.Take().AccurateEcn);
    }

    [Fact]
    // RFC 9768 §3.2.3.2.5: marked bytes without a marked packet: somebody writes into the field.
    public void BytesWithoutAPacketEndEct()
    {
        using var p = new Peer();
        var t = Accept(p, s_accurate, All, NotEct, Cwr, out _);
        p.Write(t, 2 * Mss);
        p.Take();
        p.Take();
        var options = default(TcpOptions);
        options.AccurateEcn = new AccurateEcnOption(0, 2, Mss, Mss, 0);
        p.Send(Peer.Ack | Ae | Ece, ack: p.HostNext, options: options);
        p.Write(t, Mss);
        Assert.Equal(NotEct, p.Take().Ecn);
    }

    [Fact]
    // RFC 9768 §3.2.3.2.4: neither counter begins at zero; an option that says so is not read, the three bits are.
    public void AnOptionThatBeginsAtZeroIsNotRead()
    {
        foreach (var (first, reductions) in new[] { (0u, 0), (1u, 1) })
        {
            using var p = new Peer();
            p.Listen(s_accurate);
            p.Send(Peer.Syn | All, p.Iss, options: Peer.Offer());
            p.Next = p.Iss + 1;
            var options = default(TcpOptions);
            options.AccurateEcn = new AccurateEcnOption(0, 2, first, 0, 0);
            p.HostNext = p.Take().Seq + 1;
            p.Send(Peer.Ack | Cwr, options: options);
            Assert.True(p.Tcp.TryAccept(p.Listener, out var t));
            p.Write(t, 2 * Mss);
            p.Take();
            p.Take();
            options.AccurateEcn = new AccurateEcnOption(0, 2, 1, 100, 0);
            p.Send(Peer.Ack | Ae | Ece, ack: p.HostNext - Mss, options: options);
            Assert.Equal(reductions, p.Tcp.ExtCounters.TCPEcnReductions);
        }
    }

    [Fact]
    // RFC 9768 §5.1: with a cookie the ACK's bits tell what was granted; the classic form's do not.
    public void ACookieRemembersByTheAck()
    {
        foreach (var (bits, accurate) in new[] { (Cwr, true), (Ae, true), (TcpFlags.None, false), (Ece, false) })
        {
            using var p = new Peer(Host.SmallOptions with { SynBacklogCountMax = 1 });
            p.Listen(s_accurate);
            p.Port = 5_000;
            p.Send(Peer.Syn, p.Iss, options: Peer.Offer());
            p.Take();
            p.Port = 4_000;
            p.Send(Peer.Syn | All, p.Iss, options: Peer.Offer());
            p.Next = p.Iss + 1;
            var synAck = p.Take();
            Assert.Equal(1, p.Tcp.Counters.SynCookiesSent);
            Assert.Equal(Cwr, synAck.Flags & All);
            p.Send(Peer.Ack | bits, ack: synAck.Seq + 1);
            p.HostNext = synAck.Seq + 1;
            Assert.True(p.Tcp.TryAccept(p.Listener, out var t));
            Assert.Equal((accurate, accurate), Info(p, t));
        }
    }

    [Fact]
    // No room: the classic form is granted, nothing is asked for, and a state that was given back serves the next.
    public void WithoutRoomTheClassicFormServes()
    {
        using var p = new Peer(Host.SmallOptions with { AccurateEcnConnectionCountMax = 1 });
        var first = Accept(p, s_accurate, All, NotEct, Cwr, out _);
        p.Port++;
        p.Send(Peer.Syn | All, p.Iss, options: Peer.Offer());
        Assert.Equal(Ece, p.Take().Flags & All);
        p.Tcp.Abort(first, p.Now);
        p.Advance(1);
        p.Inbox.Clear();
        p.Port++;
        p.Send(Peer.Syn | All, p.Iss, options: Peer.Offer());
        Assert.Equal(Cwr, p.Take().Flags & All);
    }

    private static int Field(in Answer answer) => (int)(answer.Flags & All) >> 6;

    private static void Feed(Peer p, SeqNumber ack, int count) => p.Send(Peer.Ack | (TcpFlags)(count << 6), ack: ack);

    private static (bool Ecn, bool Accurate) Info(Peer p, TcpHandle t)
    {
        Assert.True(p.Tcp.TryGetInfo(t, p.Now, out var info));
        return (info.Ecn, info.AccurateEcn);
    }

    private static void Answer(Peer p, TcpFlags bits, byte field)
    {
        p.Ecn = field;
        p.Send(Peer.Syn | Peer.Ack | bits, p.Iss, options: Peer.Offer());
        p.Ecn = NotEct;
        p.Next = p.Iss + 1;
    }

    private static TcpHandle Accept(Peer p, TcpSettings settings, TcpFlags syn, byte field, TcpFlags final, out Answer synAck)
    {
        p.Listen(settings);
        p.Ecn = field;
        p.Send(Peer.Syn | syn, p.Iss, options: Peer.Offer());
        p.Ecn = NotEct;
        p.Next = p.Iss + 1;
        synAck = p.Take();
        p.Send(Peer.Ack | final, ack: synAck.Seq + 1);
        p.HostNext = synAck.Seq + 1;
        Assert.True(p.Tcp.TryAccept(p.Listener, out var connection));
        return connection;
    }
}
