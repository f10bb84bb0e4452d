// A transmission of several segments on a link that does not cut: one record, and on the wire what single segments would be.
using System.Net.Sockets;
using Peregrine.Core.Memory;
using Peregrine.Core.Tcp;
using Peregrine.Scenarios.Tests.World;
using Peregrine.Wire;
using static Peregrine.Scenarios.Tests.SegmentTests.Peer;

namespace Peregrine.Scenarios.Tests.SegmentTests;

public sealed class CutTests
{
    private const int Mss = 500;

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void OneRecordIsManySegmentsOfWhichTheLastIsPushedAndHasTheFin(bool v6)
    {
        using var peer = new Peer(v6: v6);
        var c = peer.Accept(TcpSettings.Default with { NoDelay = true }, Offer(mss: Mss));
        var records = peer.Host.Stack.Tcp.Context.Recovery.FreeRecords;
        Assert.Equal((4 * Mss) + 100, peer.Tcp.Send(c, Pattern(0, (4 * Mss) + 100), peer.Now));
        Assert.Equal(SocketError.Success, peer.Tcp.Shutdown(c, peer.Now));
        for (var i = 0; i < 5; i++)
        {
            var answer = peer.Take();
            Assert.Equal(i < 4 ? Ack : Ack | Psh | Fin, answer.Flags);
            Assert.Equal(peer.HostIss + 1 + (uint)(i * Mss), answer.Seq);
            Assert.Equal(Pattern(i * Mss, i < 4 ? Mss : 100), answer.Payload);
        }
        peer.ExpectSilence();
        Assert.Equal(records - 1, peer.Host.Stack.Tcp.Context.Recovery.FreeRecords);
        peer.Send(Ack, ack: peer.HostNext);
        Assert.Equal(TcpState.FinWait2, peer.State(c));
    }

    // RFC 6675, RFC 2018: what of a transmission was lost is known by segments.
    [Fact]
    public void OneLostSegmentOfATransmissionGoesAgainAlone()
    {
        using var peer = new Peer();
        var c = peer.Accept(options: Offer(mss: Mss, sack: true));
        peer.Write(c, 10 * Mss);
        for (var i = 0; i < 10; i++) peer.Take();
        var start = peer.HostIss + 1;
        peer.Advance(10);
        peer.Send(Ack, ack: start + (3u * Mss));
        peer.Advance(10);
        // A probe of the tail may have gone.
        peer.Inbox.Clear();
        var options = default(TcpOptions);
        options.TryAddSackBlock(new SackBlock(start + (4u * Mss), start + (10u * Mss)));
        peer.Send(Ack, ack: start + (3u * Mss), options: options);
        peer.Advance(50);
        var again = peer.Take();
        Assert.Equal((start + (3u * Mss), Mss), (again.Seq, again.Payload.Length));
        peer.ExpectSilence();
    }

    // Half a transmission would be sent and not be known to be: it would come again.
    [Fact]
    public void WithFewFreeFramesATransmissionIsAsLongAsTheyReach()
    {
        using var peer = new Peer();
        var c = peer.Accept(options: Offer(mss: Mss));
        var frames = peer.Host.Stack.Frames;
        var held = new Stack<Frame>();
        while (frames.Chunks.FreeCount > 3 && frames.TryRent(out var frame)) held.Push(frame);
        var before = peer.Tcp.Counters.SegmentsSent;
        peer.Write(c, 9 * Mss);
        while (held.TryPop(out var frame)) frames.Return(frame);
        for (var i = 0; i < 9; i++) Assert.Equal((peer.HostIss + 1 + (uint)(i * Mss), Mss), (peer.Take() is var answer ? answer.Seq : default, answer.Payload.Length));
        peer.ExpectSilence();
        Assert.Equal(9, peer.Tcp.Counters.SegmentsSent - before);
    }

    private static byte[] Pattern(int from, int length) => [.. Enumerable.Range(from, length).Select(static at => Transfer.Pattern(at))];
}
