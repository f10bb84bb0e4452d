// Requirements of RFC 9293 Appendix B that no other test of this folder meets in passing: defaults, header fields, thresholds.
using System.Net.Sockets;
using Peregrine.Core.Tcp;
using Peregrine.Core.Time;
using Peregrine.Scenarios.Tests.World;
using Peregrine.Wire;
using static Peregrine.Scenarios.Tests.SegmentTests.Peer;

namespace Peregrine.Scenarios.Tests.SegmentTests;

public sealed class RequirementTests
{
    // RFC 9293 MUST-25, MUST-28, MUST-40, SHLD-11
    [Fact]
    public void DefaultsAreWithinTheirBounds()
    {
        var defaults = new TcpSettings();
        Assert.False(defaults.KeepAlive);
        Assert.True(defaults.KeepAliveTimeSeconds >= 2 * 3_600);
        Assert.True(defaults.DelayedAckMs < 500);
        Assert.True(defaults.UserTimeoutMs >= 100_000);
        Assert.True(defaults.KeepAliveRetryCount > 1);
    }

    // RFC 9293 MUST-35, SHLD-17, MAY-7
    [Fact]
    public void AWindowShrunkToNothingIsProbedAndTimesNothingOut()
    {
        using var peer = new Peer();
        var c = peer.Accept(new TcpSettings { UserTimeoutMs = 200_000 });
        peer.Write(c, 1_460);
        peer.Take();
        peer.Send(Ack, ack: peer.HostIss + 1, window: 0);
        for (var second = 0; second < 1_000; second++)
        {
            peer.Advance(1_000);
            if (peer.Inbox.Count == 0) continue;
            // What was sent into the window before it shrank is what comes again: it probes the window as well as a new byte would.
            while (peer.Inbox.Count > 0) Assert.Equal(peer.HostIss + 1, peer.Take().Seq);
            peer.Send(Ack, ack: peer.HostIss + 1, window: 0);
        }
        Assert.Equal(TcpState.Established, peer.State(c));
        Assert.True(peer.Tcp.Counters.SegmentsRetransmitted > 1);
        peer.Send(Ack, ack: peer.HostIss + 1 + 1_460);
        Assert.Equal(0, peer.Tcp.GetStatus(c).UnacknowledgedBytes);
    }

    // RFC 9293 MUST-48, MUST-49, SHLD-21, SHLD-22
    [Fact]
    public void TrafficClassAndHopLimitAreTheApplicationsAndMayChange()
    {
        using var peer = new Peer();
        var c = peer.Accept(new TcpSettings { TrafficClass = 0x88, HopLimit = 7, NoDelay = true });
        Assert.Equal((0x88, 7), HeaderOfNext(peer, c));
        Assert.Equal(SocketError.Success, peer.Tcp.SetSettings(c, new TcpSettings { TrafficClass = 0x20, HopLimit = 200, NoDelay = true }, peer.Now));
        Assert.Equal((0x20, 200), HeaderOfNext(peer, c));
    }

    // RFC 9293 MUST-59
    [Fact]
    public void ABurstIsAcknowledgedOnceWhenAllOfItIsProcessed()
    {
        using var peer = new Peer();
        var c = peer.Accept();
        for (var i = 0; i < 5; i++)
        {
            var segment = new TcpSegment { Seq = peer.Next, Ack = peer.HostNext, Flags = Ack, Window = new UnscaledWindow(ushort.MaxValue) };
            peer.Host.Deliver(RawTcp.Packet(peer.Address, peer.Port, peer.HostAddress, HostPort, segment, new byte[1_000]), peer.Now);
            peer.Next += 1_000;
        }
        peer.ExpectAck();
        Assert.Equal(5_000, peer.Tcp.GetStatus(c).ReadableBytes);
    }

    // RFC 9293 SHLD-2
    [Fact]
    public void AResetMayCarryData()
    {
        using var peer = new Peer();
        var c = peer.Accept();
        peer.Send(Rst | Ack, length: 20);
        peer.ExpectSilence();
        Assert.Equal(SocketError.ConnectionReset, peer.ErrorOf(c));
    }

    // RFC 9293 SHLD-28, MAY-16
    [Fact]
    public void SmallSendsAreGatheredIntoFullSegments()
    {
        using var peer = new Peer();
        var c = peer.Accept();
        peer.Write(c, 10);
        peer.Take();
        for (var i = 0; i < 20; i++) peer.Write(c, 100);
        Assert.Equal(1_460, peer.Take().Payload.Length);
        peer.ExpectSilence();
        peer.Send(Ack);
        Assert.Equal(540, peer.Take().Payload.Length);
    }

    // RFC 9293 MUST-20, SHLD-10: R1 is three retransmissions, and then IP is asked for the way again.
    [Fact]
    public void AfterThreeTimeoutsTheWayIsLookedUpAgain()
    {
        using var peer = new Peer();
        var c = peer.Accept();
        peer.Write(c, 10);
        var wire = new VirtualWire(new WireOptions(), 1);
        var now = peer.Now;
        var generations = new List<bool>();
        while (peer.Tcp.Counters.RetransmissionTimeouts < 4)
        {
            var before = peer.Tcp.Counters.RetransmissionTimeouts;
            now = Instant.Max(peer.Host.Stack.NextDeadline(now), now + new Duration(1_000));
            peer.Host.Stack.FireTimers(now);
            if (peer.Tcp.Counters.RetransmissionTimeouts > before) generations.Add(peer.Tcp.Context.Tcbs.Get(c.Index).C.Path.Generation == 0);
            peer.Host.Turn(now, wire);
        }
        Assert.Equal([false, false, true, true], generations);
        Assert.NotEqual(0u, (uint)peer.Tcp.Context.Tcbs.Get(c.Index).C.Path.Generation);
    }

    // RFC 9293 MUST-11: a SYN-RECEIVED that came from an active open tells the application that it was refused.
    [Fact]
    public void AResetInASimultaneousOpenRefusesTheAttempt()
    {
        using var peer = new Peer();
        var c = peer.Connect(out _);
        peer.Send(Syn, peer.Iss, options: Offer());
        peer.Take();
        Assert.Equal(TcpState.SynReceived, peer.State(c));
        peer.Next = peer.Iss + 1;
        peer.Send(Rst);
        Assert.Equal(SocketError.ConnectionRefused, peer.ErrorOf(c));
    }

    private static (int TrafficClass, int HopLimit) HeaderOfNext(Peer peer, TcpHandle connection)
    {
        Assert.Equal(10, peer.Tcp.Send(connection, new byte[10], peer.Now));
        peer.Host.Stack.Poll(peer.Now);
        var frame = peer.Host.Stack.PendingOutput(peer.Host.Interface)[0];
        var packet = new byte[frame.Length];
        peer.Host.Stack.Frames.CopyTo(frame, 0, packet);
        peer.Pump();
        return (packet[1], packet[8]);
    }
}
