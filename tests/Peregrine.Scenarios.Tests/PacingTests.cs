// Pacing in virtual time: the rate that was set is the rate on the wire, bursts are bounded, and a window that is paced loses less to a
// short queue. And switching congestion control on an open connection, which is how an application turns it on.
using Peregrine.Core.Tcp;
using Peregrine.Core.Time;
using Peregrine.Scenarios.Tests.World;

namespace Peregrine.Scenarios.Tests;

public sealed class PacingTests
{
    private const int Mss = 1448;

    [Theory]
    [InlineData(1_000, 30_000)]
    [InlineData(100_000, 1_000_000)]
    [InlineData(1_000_000, 4_000_000)]
    [InlineData(50_000_000, 40_000_000)]
    // SO_MAX_PACING_RATE: over any stretch of time no more than the rate and two quanta, and over all of it no less.
    public void TheRateThatIsSetIsTheRateOnTheWire(long rate, int bytes)
    {
        using var world = new TwoHosts(1, new WireOptions { Delay = Duration.FromMilliseconds(1), QueueFramesMax = 100_000 });
        var settings = TcpSettings.Default with { PacingBytesPerSecondMax = rate, SendBufferBytes = 1 << 20 };
        var (client, server) = world.Open(client: settings);
        var sent = new List<(Instant At, long Bytes)>();
        world.AtoB.OnFrame = (at, frame) =>
        {
            if (frame.Length > 66) sent.Add((at, frame.Length - 66));
        };
        var transfer = new Transfer(world.A, client, world.B, server, bytes);
        world.OnTurn = () => transfer.Turn(world.Now);
        world.AssertRunUntil(() => transfer.IsDone, Duration.FromSeconds(100), "the transfer");
        Assert.Equal((0, 0), (world.A.Tcp.Counters.RetransmissionTimeouts, world.A.Tcp.Counters.WindowProbesSent));
        var quantum = Math.Max(Math.Min(rate / 1_000, 65_536), 2 * Mss);
        // Before each segment, the least of what the rate would have allowed more: it must never be overdrawn by more than the bound.
        var (total, lowest) = (0L, double.MaxValue);
        foreach (var (at, length) in sent)
        {
            var earned = rate * (at - sent[0].At).Nanoseconds / 1e9;
            lowest = Math.Min(lowest, total - earned);
            total += length;
            Assert.True(total - earned - lowest <= (2 * quantum) + 1, $"{total - earned - lowest} bytes in a burst at {at}");
        }
        var seconds = (sent[^1].At - sent[0].At).Nanoseconds / 1e9;
        Assert.InRange(bytes / seconds, rate * 0.97, (rate * 1.01) + (2 * quantum / seconds));
        world.CloseAndAssertNothingLeaked((world.A, client), (world.B, server));
    }

    [Fact]
    // Slow start in bursts overruns a queue of 12 frames long before the path is full (170 frames); spread over the round trip it does not.
    public void SlowStartThatIsPacedSparesAShortQueue()
    {
        Assert.Equal(0, Lost(TcpPacingMode.On));
        Assert.True(Lost(TcpPacingMode.Auto) > 0, "the queue is not short enough to show anything");
    }

    [Fact]
    // tcp_pacing_ss_ratio, tcp_pacing_ca_ratio: twice the window a round trip in slow start, 1.2 times later; and none when it is off.
    public void TheRateFollowsTheWindow()
    {
        using var world = new TwoHosts(1, new WireOptions { Delay = Duration.FromMilliseconds(20) });
        var (client, server) = world.Open(client: TcpSettings.Default with { Pacing = TcpPacingMode.On, CongestionControl = "reno" });
        var transfer = new Transfer(world.A, client, world.B, server, 200_000);
        world.OnTurn = () => transfer.Turn(world.Now);
        world.AssertRunUntil(() => transfer.IsDone, Duration.FromSeconds(10), "the transfer");
        var info = Info(world, client);
        var once = info.CongestionWindow * 1e6 / info.SmoothedRtt.Microseconds;
        Assert.InRange(info.PacingBytesPerSecond, once * 1.999, once * 2.001);
        Assert.Equal(System.Net.Sockets.SocketError.Success, world.A.Tcp.SetSettings(client, TcpSettings.Default, world.Now));
        Assert.Equal(0ul, Info(world, client).PacingBytesPerSecond);
        Assert.True(world.B.Tcp.TryGetInfo(server, world.Now, out var other));
        Assert.Equal(0ul, other.PacingBytesPerSecond);
    }

    [Fact]
    // TCP_CONGESTION on an open connection: the window stays as it is, and the transfer goes on.
    public void AnotherCongestionControlTakesTheWindowOver()
    {
        using var world = new TwoHosts(1, new WireOptions { Delay = Duration.FromMilliseconds(10), RateBitsPerSecond = 50_000_000, LossPerMille = 2 });
        var (client, server) = world.Open();
        var transfer = new Transfer(world.A, client, world.B, server, 6_000_000);
        world.OnTurn = () => transfer.Turn(world.Now);
        foreach (var (name, until) in new[] { ("reno", 1_000_000L), ("cubic", 2_000_000), ("bbr", 3_000_000), ("reno", 4_000_000) })
        {
            world.AssertRunUntil(() => transfer.Received >= until, Duration.FromSeconds(60), $"{until} bytes");
            var before = Info(world, client);
            var settings = TcpSettings.Default with { CongestionControl = name, Pacing = name == "reno" ? TcpPacingMode.On : name == "bbr" ? TcpPacingMode.Auto : TcpPacingMode.Off };
            Assert.Equal(System.Net.Sockets.SocketError.Success, world.A.Tcp.SetSettings(client, settings, world.Now));
            var after = Info(world, client);
            Assert.Equal((name, before.CongestionWindow, before.SlowStartThreshold), (after.CongestionControl, after.CongestionWindow, after.SlowStartThreshold));
            Assert.Equal(name is "reno" or "bbr", after.PacingBytesPerSecond > 0);
        }
        world.AssertRunUntil(() => transfer.IsDone, Duration.FromSeconds(60), "the transfer");
        world.CloseAndAssertNothingLeaked((world.A, client), (world.B, server));
    }

    [Theory]
    [InlineData(999)]
    [InlineData(-1)]
    [InlineData(1_000_000_000_001)]
    public void ARateOutOfRangeIsNamed(long rate)
    {
        var error = Assert.Throws<ArgumentOutOfRangeException>(() => (TcpSettings.Default with { PacingBytesPerSecondMax = rate }).Validate());
        Assert.Contains("PacingBytesPerSecondMax", error.Message, StringComparison.Ordinal);
    }

    private static TcpInfo Info(TwoHosts world, TcpHandle client)
    {
        Assert.True(world.A.Tcp.TryGetInfo(client, world.Now, out var info));
        return info;
    }

    private static long Lost(TcpPacingMode mode)
    {
        var wire = new WireOptions { Delay = Duration.FromMilliseconds(20), RateBitsPerSecond = 50_000_000, QueueFramesMax = 12 };
        using var world = new TwoHosts(1, wire);
        var (client, server) = world.Open(client: TcpSettings.Default with { Pacing = mode, CongestionControl = "reno" });
        var transfer = new Transfer(world.A, client, world.B, server, 150_000);
        world.OnTurn = () => transfer.Turn(world.Now);
        world.AssertRunUntil(() => transfer.IsDone, Duration.FromSeconds(60), "the transfer");
        return world.AtoB.Lost;
    }
}
