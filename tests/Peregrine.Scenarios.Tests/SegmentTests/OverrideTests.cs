// A window that is open, and too small for what waits: sent when the override's time has passed (RFC 9293 §3.8.6.2.1).
using static Peregrine.Scenarios.Tests.SegmentTests.Peer;

namespace Peregrine.Scenarios.Tests.SegmentTests;

public sealed class OverrideTests
{
    // RFC 9293 §3.8.6.2.1 (4): a peer that speaks more often than the override's time is heard out and answered.
    [Fact]
    public void NoAckPutsTheOverrideOff()
    {
        using var peer = new Peer();
        var c = peer.Accept();
        peer.Send(Ack, window: 100);
        peer.Write(c, 1_000);
        peer.ExpectSilence();
        var sent = 0;
        for (var i = 0; i < 60 && sent == 0; i++)
        {
            peer.Advance(50);
            peer.SendNext(1, window: 100);
            while (peer.Inbox.Count > 0) sent += peer.Take().Payload.Length;
        }
        Assert.Equal(100, sent);
        // What then fits goes at once, under a timer of its own.
        peer.Send(Ack, ack: peer.HostIss + 1 + 100);
        Assert.Equal(900, peer.Take().Payload.Length);
        peer.Advance(150);
        peer.ExpectSilence();
    }
}
