// A path that marks instead of dropping: what each congestion control makes of it, in virtual time.
using Peregrine.Core.Tcp;
using Peregrine.Core.Time;
using Peregrine.Scenarios.Tests.World;

namespace Peregrine.Scenarios.Tests;

public sealed class MarkingTests
{
    // 1 Gbit/s and 200 µs, as in a rack: the bandwidth-delay product is 16 frames, and marking begins at 17.
    private static readonly WireOptions s_rack = new()
    {
        Delay = Duration.FromMicroseconds(100), RateBitsPerSecond = 1_000_000_000, QueueFramesMax = 1_000, MarkFramesMin = 17,
    };

    [Theory]
    [InlineData("cubic", false)]
    [InlineData("reno", false)]
    [InlineData("dctcp", false)]
    [InlineData("cubic", true)]
    [InlineData("dctcp", true)]
    public void NothingIsLostOverAPathThatMarksInTime(string control, bool accurate)
    {
        var (seconds, _, lost, marked, retransmitted) = Run(control, accurate);
        Assert.Equal((0, 0), (lost, retransmitted));
        Assert.True(marked > 0);
        Assert.InRange(seconds, 0.16, 0.35);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    // RFC 8257 §1, with both kinds of feedback: a short queue and a full link, where halving the window leaves the link idle or a deep queue is needed.
    public void DctcpFillsTheLinkWithAShortQueue(bool accurate)
    {
        var (seconds, queue, _, marked, _) = Run("dctcp", accurate);
        Assert.InRange(seconds, 0.16, 0.19);
        Assert.InRange(queue, 17, 120);
        Assert.True(marked > 100, $"{marked} marked");
    }

    // The time of 20 MB, the longest queue after slow start, and what was lost, marked and sent again.
    private static (double Seconds, long Queue, long Lost, long Marked, long Retransmitted) Run(string control, bool accurate)
    {
        using var world = new TwoHosts(1, s_rack);
        var settings = TcpSettings.Default with { CongestionControl = control, Ecn = accurate ? TcpEcnMode.Accurate : control == "dctcp" ? TcpEcnMode.Accept : TcpEcnMode.On };
        var (client, server) = world.Open(client: settings, server: settings);
        Assert.True(world.A.Tcp.TryGetInfo(client, world.Now, out var info));
        Assert.Equal((true, accurate), (info.Ecn, info.AccurateEcn));
        var transfer = new Transfer(world.A, client, world.B, server, 20_000_000);
        world.OnTurn = () => transfer.Turn(world.Now);
        var start = world.Now;
        world.AssertRunUntil(() => transfer.Received > 4_000_000, Duration.FromSeconds(10), "the beginning");
        world.AtoB.QueueMax = 0;
        world.AssertRunUntil(() => transfer.IsDone, Duration.FromSeconds(10), "the transfer");
        var result = ((world.Now - start).Nanoseconds / 1e9, world.AtoB.QueueMax, world.AtoB.Lost, world.AtoB.Marked, world.A.Tcp.Counters.SegmentsRetransmitted);
        world.CloseAndAssertNothingLeaked((world.A, client), (world.B, server));
        return result;
    }
}
