// The table of a turn's stages: its shares add up, the clock's own cost is taken off, and a server's sums really come.
using Peregrine.Bench.Lab;
using Peregrine.Bench.Report;

namespace Peregrine.Bench.Tests;

public sealed class ProfileTests
{
    [Fact]
    public void SharesAddUpAndTheClockIsTakenOff()
    {
        var rows = ProfileTable.Create(new Dictionary<string, long>
        {
            ["Turns"] = 10, ["ReceivedFrames"] = 20, ["ClockNs"] = 100, ["ReceiveNs"] = 300, ["InputNs"] = 900, ["CommandsNs"] = 90, ["TimersNs"] = 100, ["ApplicationNs"] = 700, ["OutputNs"] = 500,
            ["TransmitNs"] = 200, ["ReclaimNs"] = 100,
        });
        Assert.Equal(9, rows.Count);
        Assert.Equal(100, rows.SkipLast(1).Sum(static row => row.Percent), 6);
        Assert.Equal(210, rows[^1].NanosecondsATurn);
        Assert.Equal(105, rows[^1].NanosecondsAFrame);
        // Less than a reading of the clock is nothing, not less than nothing.
        Assert.Equal(0, rows[2].NanosecondsATurn);
    }

    [Fact]
    public void WithoutTimedTurnsThereIsNoTable() => Assert.Empty(ProfileTable.Create(new Dictionary<string, long> { ["Turns"] = 0 }));

    [Fact]
    public async Task AServersTurnsAreTimedWhenAskedForAndOnlyThen()
    {
        var work = new BenchWork { Kind = WorkKind.PingPong, Seconds = 0.3, WarmUpSeconds = 0 };
        await using var timed = new MemoryBed { ProfileEveryTurns = 1 };
        await timed.RunAsync(0, work, TestContext.Current.CancellationToken);
        Assert.True(timed.Profile["Turns"] > 0);
        Assert.True(timed.Profile["ReceivedFrames"] > 0);
        Assert.True(timed.Profile["InputNs"] > 0);
        await using var plain = new MemoryBed();
        await plain.RunAsync(0, work, TestContext.Current.CancellationToken);
        Assert.All(plain.Profile.Values, static value => Assert.Equal(0, value));
    }
}
