// Explicit congestion notification on the wire (RFC 3168 §6.1): what SYNs agree on, marks and their echo, and what the echo does.
using Peregrine.Core.Tcp;
using Peregrine.Wire;

namespace Peregrine.Scenarios.Tests.SegmentTests;

public sealed class EcnTests
{
    private const TcpFlags Ece = TcpFlags.Ece, Cwr = TcpFlags.Cwr;
    private const int Mss = 1460;

    [Theory]
    // RFC 3168 §6.1.1: ECE and CWR together ask; the SYN-ACK's ECE alone grants. A SYN that is marked itself is granted nothing.
    [InlineData(TcpEcnMode.Accept, Ece | Cwr, 0, true)]
    [InlineData(TcpEcnMode.On, Ece | Cwr, 0, true)]
    [InlineData(TcpEcnMode.Off, Ece | Cwr, 0, false)]
    [InlineData(TcpEcnMode.Accept, Ece, 0, false)]
    [InlineData(TcpEcnMode.Accept, Cwr, 0, false)]
    [InlineData(TcpEcnMode.Accept, TcpFlags.None, 0, false)]
    [InlineData(TcpEcnMode.Accept, Ece | Cwr, 3, false)]
    public void ASynIsGrantedWhatItAsksFor(TcpEcnMode mode, TcpFlags bits, byte ip, bool granted)
    {
        using var p = new Peer();
        var t = Accept(p, bits, mode, ip, out var synAck);
        Assert.Equal(granted ? Ece : TcpFlags.None, synAck.Flags & (Ece | Cwr));
        Assert.Equal(0, synAck.Ecn);
        Assert.True(p.Tcp.TryGetInfo(t, p.Now, out var info));
        Assert.Equal(granted, info.Ecn);
        p.Write(t, Mss);
        Assert.Equal(granted ? 2 : 0, p.Take().Ecn);
    }

    [Theory]
    [InlineData(TcpEcnMode.On, Ece, true)]
    [InlineData(TcpEcnMode.On, Ece | Cwr, false)]
    [InlineData(TcpEcnMode.On, TcpFlags.None, false)]
    [InlineData(TcpEcnMode.Accept, Ece, false)]
    public void OurSynAsksByBothBitsAndIsGrantedByOne(TcpEcnMode mode, TcpFlags answer, bool agreed)
    {
        using var p = new Peer();
        var t = p.Connect(out var syn, TcpSettings.Default with { Ecn = mode });
        Assert.Equal(mode == TcpEcnMode.On ? Ece | Cwr : TcpFlags.None, syn.Flags & (Ece | Cwr));
        p.Send(Peer.Syn | Peer.Ack | answer, p.Iss, options: Peer.Offer());
        p.Next = p.Iss + 1;
        p.Take();
        Assert.True(p.Tcp.TryGetInfo(t, p.Now, out var info));
        Assert.Equal(agreed, info.Ecn);
    }

    [Fact]
    // RFC 3168 §6.1.1.1: a path that drops such SYNs gets one without.
    public void ASynThatIsRepeatedAsksForNothing()
    {
        using var p = new Peer();
        var t = p.Connect(out _, TcpSettings.Default with { Ecn = TcpEcnMode.On });
        p.Advance(1_100);
        Assert.Equal(Peer.Syn, p.Take().Flags);
        p.Send(Peer.Syn | Peer.Ack | Ece, p.Iss, options: Peer.Offer());
        Assert.True(p.Tcp.TryGetInfo(t, p.Now, out var info));
        Assert.False(info.Ecn);
    }

    [Fact]
    // RFC 3168 §6.1.3: a mark is echoed on every ACK until CWR comes.
    public void AMarkIsEchoedUntilTheSenderSaysCwr()
    {
        using var p = new Peer();
        Accept(p, Ece | Cwr, TcpEcnMode.Accept, 0, out _);
        p.Ecn = 2;
        p.SendNext(100);
        Assert.Equal(TcpFlags.None, p.Take().Flags & Ece);
        p.Ecn = 3;
        p.SendNext(100);
        Assert.Equal(Ece, p.Take().Flags & Ece);
        p.Ecn = 2;
        p.SendNext(100);
        Assert.Equal(Ece, p.Take().Flags & Ece);
        p.SendNext(100, Peer.Ack | Cwr);
        Assert.Equal(TcpFlags.None, p.Take().Flags & Ece);
        Assert.Equal(1, p.Tcp.ExtCounters.InCEPkts);
    }

    [Fact]
    // RFC 3168 §6.1.2: one reduction a round trip, nothing retransmitted, CWR on the first new segment after it, and only on that.
    public void AnEchoReducesTheWindowOnceARoundTripAndCwrSaysSo()
    {
        using var p = new Peer();
        var t = Accept(p, Ece | Cwr, TcpEcnMode.Accept, 0, out _);
        p.Write(t, 8 * Mss);
        for (var i = 0; i < 8; i++) Assert.Equal(2, p.Take().Ecn);
        Assert.True(p.Tcp.TryGetInfo(t, p.Now, out var before));
        var start = p.HostNext - (8u * Mss);
        p.Advance(20);
        p.Send(Peer.Ack | Ece, ack: start + Mss);
        Assert.True(p.Tcp.TryGetInfo(t, p.Now, out var once));
        Assert.True(once.CongestionWindow < before.CongestionWindow);
        Assert.True(once.SlowStartThreshold < uint.MaxValue);
        p.Send(Peer.Ack | Ece, ack: start + (2 * Mss));
        p.Send(Peer.Ack | Ece, ack: start + (7 * Mss));
        Assert.True(p.Tcp.TryGetInfo(t, p.Now, out var again));
        Assert.Equal(once.SlowStartThreshold, again.SlowStartThreshold);
        Assert.True(again.CongestionWindow <= once.CongestionWindow);
        Assert.Equal(1, p.Tcp.ExtCounters.TCPEcnReductions);
        Assert.Equal(0, p.Tcp.Counters.SegmentsRetransmitted);
        p.Write(t, 2 * Mss);
        Assert.Equal(Cwr, p.Take().Flags & Cwr);
        Assert.Equal(TcpFlags.None, p.Take().Flags & Cwr);
        p.Send(Peer.Ack | Ece, ack: start + (9 * Mss));
        Assert.Equal(2, p.Tcp.ExtCounters.TCPEcnReductions);
    }

    [Fact]
    // RFC 3168 §6.1.2: the mark was met by data that were in flight, though the ACK that tells of it leaves none; it is answered once.
    public void AnEchoOnTheAckOfEverythingReducesTheWindow()
    {
        using var p = new Peer();
        var t = Accept(p, Ece | Cwr, TcpEcnMode.Accept, 0, out _);
        p.Write(t, 8 * Mss);
        for (var i = 0; i < 8; i++) p.Take();
        Assert.True(p.Tcp.TryGetInfo(t, p.Now, out var before));
        p.Advance(20);
        p.Send(Peer.Ack | Ece, ack: p.HostNext);
        Assert.True(p.Tcp.TryGetInfo(t, p.Now, out var after));
        Assert.InRange(after.CongestionWindow, 4u * Mss, before.CongestionWindow - 1);
        p.Send(Peer.Ack | Ece, ack: p.HostNext);
        Assert.Equal(1, p.Tcp.ExtCounters.TCPEcnReductions);
        p.Write(t, Mss);
        Assert.Equal(Cwr, p.Take().Flags & Cwr);
    }

    [Fact]
    // RFC 3168 §6.1.2: a loss in the window of data whose mark was answered is repaired, and reduces no further; one in the next does.
    public void ALossInAWindowThatAMarkHasReducedReducesNoFurther()
    {
        using var p = new Peer();
        var t = Accept(p, Ece | Cwr, TcpEcnMode.Accept, 0, out _);
        p.Write(t, 8 * Mss);
        for (var i = 0; i < 8; i++) p.Take();
        var start = p.HostNext - (8u * Mss);
        p.Advance(20);
        p.Send(Peer.Ack | Ece, ack: start + Mss);
        Assert.True(p.Tcp.TryGetInfo(t, p.Now, out var marked));
        for (var i = 0; i < 3; i++) p.Send(Peer.Ack | Ece, ack: start + Mss);
        Assert.Equal(start + Mss, p.Take().Seq);
        Assert.True(p.Tcp.TryGetInfo(t, p.Now, out var lost));
        Assert.Equal((marked.SlowStartThreshold, 1L), (lost.SlowStartThreshold, p.Tcp.Counters.SegmentsRetransmitted));
    }

    [Fact]
    // RFC 3168 §6.1.5: what is sent again is not ECN-capable.
    public void ARetransmissionIsNotEcnCapable()
    {
        using var p = new Peer();
        var t = Accept(p, Ece | Cwr, TcpEcnMode.Accept, 0, out _);
        p.Write(t, Mss);
        Assert.Equal(2, p.Take().Ecn);
        p.Advance(1_200);
        Assert.Equal(0, p.Take().Ecn);
    }

    [Theory]
    // A cookie's timestamp carries what was granted; without timestamps there is nowhere to keep it, and nothing is granted.
    [InlineData(true, TcpEcnMode.Accept, true)]
    [InlineData(true, TcpEcnMode.Off, false)]
    [InlineData(false, TcpEcnMode.Accept, false)]
    public void ACookieKeepsWhatWasGranted(bool timestamps, TcpEcnMode mode, bool granted)
    {
        using var p = new Peer(World.Host.SmallOptions with { SynBacklogCountMax = 1 });
        p.Listen(TcpSettings.Default with { Ecn = mode });
        p.SynExchange();
        p.Port = 6_000;
        p.Timestamps = timestamps;
        p.Send(Peer.Syn | Ece | Cwr, p.Iss, options: Peer.Offer(timestamps));
        p.Next = p.Iss + 1;
        var synAck = p.Take();
        Assert.Equal(1, p.Tcp.Counters.SynCookiesSent);
        Assert.Equal(granted ? Ece : TcpFlags.None, synAck.Flags & (Ece | Cwr));
        p.HostNext = synAck.Seq + 1;
        p.TsVal++;
        p.Send(Peer.Ack);
        Assert.True(p.Tcp.TryAccept(p.Listener, out var t));
        Assert.True(p.Tcp.TryGetInfo(t, p.Now, out var info));
        Assert.Equal(granted, info.Ecn);
        p.Write(t, 100);
        Assert.Equal(granted ? 2 : 0, p.Take().Ecn);
    }

    [Fact]
    // RFC 8257 §3.2: every ACK says whether the latest segment was marked, a change at once, and CWR changes nothing of it.
    public void ADctcpReceiverTellsEveryChangeOfMarks()
    {
        using var p = new Peer();
        Accept(p, Ece | Cwr, TcpEcnMode.Accept, 2, out var synAck, "dctcp");
        Assert.Equal((Ece, 2), (synAck.Flags & (Ece | Cwr), synAck.Ecn));
        for (var i = 0; i < 40; i++)
        {
            p.SendNext(Mss);
            p.Inbox.Clear();
        }
        p.Advance(100);
        p.Inbox.Clear();
        foreach (var (ecn, echo) in new[] { (3, Ece), (2, TcpFlags.None), (3, Ece) })
        {
            p.Ecn = (byte)ecn;
            p.SendNext(100, Peer.Ack | Cwr);
            Assert.Equal(echo, p.Take().Flags & Ece);
            // No change: the ACK may wait, and says the same.
            p.SendNext(100);
            p.ExpectSilence();
            p.Advance(100);
            Assert.Equal(echo, p.Take().Flags & Ece);
        }
    }

    [Fact]
    // RFC 8257 §3.6: DCTCP asks for ECN by itself, on a SYN that is ECN-capable.
    public void ADctcpSynIsEcnCapable()
    {
        using var p = new Peer();
        p.Connect(out var syn, TcpSettings.Default with { CongestionControl = "dctcp" });
        Assert.Equal((Ece | Cwr, 2), (syn.Flags & (Ece | Cwr), syn.Ecn));
    }

    private static TcpHandle Accept(Peer p, TcpFlags bits, TcpEcnMode mode, byte ip, out Answer synAck, string control = "cubic")
    {
        p.Listen(TcpSettings.Default with { Ecn = mode, CongestionControl = control });
        p.Ecn = ip;
        p.Send(Peer.Syn | bits, p.Iss, options: Peer.Offer());
        p.Ecn = 0;
        p.Next = p.Iss + 1;
        synAck = p.Take();
        p.Send(Peer.Ack, ack: synAck.Seq + 1);
        p.HostNext = synAck.Seq + 1;
        Assert.True(p.Tcp.TryAccept(p.Listener, out var connection));
        return connection;
    }
}
