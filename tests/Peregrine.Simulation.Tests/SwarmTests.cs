// The swarm on fixed seeds: clean, worth their seeds, and exercising what they should. PEREGRINE_EMULATED=1 takes a few only.
using Peregrine.Simulation.Swarm;

namespace Peregrine.Simulation.Tests;

public sealed class SwarmTests
{
    private static readonly bool IsEmulated = Environment.GetEnvironmentVariable("PEREGRINE_EMULATED") == "1";

    [Fact]
    public void FixedSeedsAreCleanAndExerciseWhatTheyShould()
    {
        var range = new SwarmRange { First = 1, Count = IsEmulated ? 3 : 60, TwicePercent = 10 };
        var report = SwarmRunner.Run(range, TestContext.Current.CancellationToken);
        Assert.True(report.Failures.Count == 0, report.Describe());
        Assert.Equal(range.Count, report.Done);
        if (IsEmulated) return;
        string[] expected =
        [
            "tcp.SegmentsRetransmitted", "tcp.RetransmissionTimeouts", "tcp.WindowProbesSent", "tcp.OutOfOrderBytes", "tcp.DuplicateBytes", "tcp.DroppedChecksum",
            "tcp.TimeWaitEntered", "tcp.ConnectionsReset", "link.lost", "link.duplicated", "link.corrupted", "judged.memoryWalks", "judged.scoreboards",
        ];
        Assert.Equal("", string.Join(", ", expected.Where(name => report.Counters.GetValueOrDefault(name) == 0)));
    }
}
