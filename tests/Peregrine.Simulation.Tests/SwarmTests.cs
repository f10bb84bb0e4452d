// The swarm: fixed seeds, those in which something was found once, and fresh ones as many as there is time for.
using Peregrine.Simulation.Swarm;

namespace Peregrine.Simulation.Tests;

public sealed class SwarmTests
{
    // PEREGRINE_SWARM_SECONDS: how long fresh seeds are looked at; some 50 a second on two cores.
    private static readonly TimeSpan FreshTime = TimeSpan.FromSeconds(
        int.TryParse(Environment.GetEnvironmentVariable("PEREGRINE_SWARM_SECONDS"), out var seconds) && seconds > 0 ? seconds : 20);

    [Fact]
    public void FixedSeedsAreCleanAndExerciseWhatTheyShould()
    {
        var range = new SwarmRange { First = 1, Count = 60, TwicePercent = 10 };
        var report = SwarmRunner.Run(range, TestContext.Current.CancellationToken);
        Assert.True(report.Failures.Count == 0, report.Describe());
        Assert.Equal(range.Count, report.Done);
        string[] expected =
        [
            "tcp.SegmentsRetransmitted", "tcp.RetransmissionTimeouts", "tcp.WindowProbesSent", "tcp.OutOfOrderBytes", "tcp.DuplicateBytes", "tcp.DroppedChecksum",
            "tcp.TimeWaitEntered", "tcp.ConnectionsReset", "tcp.SynCookiesAccepted", "link.lost", "link.duplicated", "link.corrupted", "judged.memoryWalks",
            "judged.scoreboards", "sockets.ends", "sockets.cancelled",
        ];
        Assert.Equal("", string.Join(", ", expected.Where(name => report.Counters.GetValueOrDefault(name) == 0)));
        Assert.Equal(0, report.Counters.GetValueOrDefault("world.unworthy"));
    }

    // Of the stack: 10: RACK's timer with half of all clocks. 1000068: an ACK noted for a segment that was dropped after all. 5000198, 5000354: cookies
    // answered late. 2002127, 2007676, 2008288, 2009985: a connection of a host to itself, all blocks full of what it had sent.
    // 639312269697122341: the last blocks full of data beyond a gap, none for the segment that would close it.
    // 20006762: two that probed each other's closed window, each one byte behind for the other.
    // 54, 639312327689569226, 639312327689569248, 639312327689569350: BBR's pace after an outage, a segment in minutes.
    // 639312451932065870: a host that sent to itself with little memory: of each segment a part found room, and the rest came after a time-out.
    // 639312407330985769: an undone recovery that took back what an ECN echo had been answered with: ssthresh without end, and then cwnd.
    // 639312407330996554: the window of a segment that filled a gap was not taken, though it acknowledged more.
    // Of the judges and the world: 66: a loss probe of new data right after the probe before it had halved the window. 1000397: what waited
    // for a neighbour's address. 1003093: two fragments damaged so that the sum noticed nothing. 1003387: a recovery within the turn in
    // which the window was used. 1004169: F-RTO's two segments, with RACK still trusting what had been sent just before.
    // 40075521: a window that was open between two looks at a host with many connections.
    // 50066430: a record of many segments of which one was sent again. 50092822: a round trip of a minute.
    [Theory]
    [InlineData(10)]
    [InlineData(66)]
    [InlineData(1_000_068)]
    [InlineData(1_000_397)]
    [InlineData(1_003_093)]
    [InlineData(1_003_387)]
    [InlineData(1_004_169)]
    [InlineData(2_002_127)]
    [InlineData(2_007_676)]
    [InlineData(2_008_288)]
    [InlineData(2_009_985)]
    [InlineData(5_000_198)]
    [InlineData(5_000_354)]
    [InlineData(20_006_762)]
    [InlineData(40_075_521)]
    [InlineData(50_066_430)]
    [InlineData(50_092_822)]
    [InlineData(639_312_269_697_122_341)]
    [InlineData(639_312_327_689_569_226)]
    [InlineData(639_312_327_689_569_248)]
    [InlineData(639_312_327_689_569_350)]
    [InlineData(639_312_407_330_985_769)]
    [InlineData(639_312_451_932_065_870)]
    [InlineData(639_312_407_330_996_554)]
    public void SeedsThatFoundSomethingAreClean(ulong seed)
    {
        // As worlds were when these were found.
        var result = SwarmRun.Run(seed, new SwarmOptions { IsPlain = true });
        Assert.True(result.Failure is null, result.Failure?.Message);
    }

    [Fact]
    public void SeedsWithSocketsThatFoundSomethingAreClean()
    {
        // 11217: the judge took the window's edge from a number that a connection does not have before it is established.
        // 31, 1410: a writer on sockets that nobody told of the end, and a time-out of which the other end heard first: both the world's.
        // 639312480312584991, 639312480312584721: the time-out of a head that was sent again, sooner than what the wheel knew of.
        // 639312480312586636, 639312482518935651: the judges took the second connection of one cookie for the first.
        // 179566210915729219: after a restart the judge no longer knew who keeps no rules.
        // 639313054249547477: the override of a small window found no frame, and forgot that it waited.
        // 179566144200021754: a window rounded down to a step of its scale in the turn in which the one before had been used: the judge's.
        ulong[] seeds =
        [
            31, 1_410, 11_217, 639_312_480_312_584_991, 639_312_480_312_584_721, 639_312_480_312_586_636, 639_312_482_518_935_651, 179_566_144_200_021_754,
            179_566_210_915_729_219, 639_313_054_249_547_477,
        ];
        foreach (var seed in seeds)
        {
            var result = SwarmRun.Run(seed, new SwarmOptions());
            Assert.True(result.Failure is null, result.Failure?.Message);
        }
    }

    // Of the stack: 6, 12: the bare ACK of a deferred connection ended in no counter. 24: a SYN that came again without options let go of what its peer had
    // agreed to after the first. 639312779348815072: a sender of the smallest segments waited for a window that had room for a probe of the path (RFC 4821 §7.4),
    // and so for ever. 639312835565915110: the last ACK of a handshake during which the path had become narrow was beyond the window by the MSS of then.
    // 639312835565915332: the SYN-ACK of a fast open promised a buffer that the MSS had rounded up, and the window was not. 639312906781657402: a SYN
    // came twice, was answered by a cookie and then opened fast, which took no answer to the cookie. Of the judges: 1: what is open before its handshake is complete.
    // 639312972275854784: the copies of a segment left all at once, when a neighbour was found. 639312972275868159: a forged reset hit a window by chance, at a
    // host that takes any in the window.
    [Fact]
    public void HostsOfSeveralMannersGetAlong()
    {
        ulong[] seeds =
        [
            .. Enumerable.Range(1, 30).Select(static x => (ulong)x), 639_312_779_348_815_072, 639_312_835_565_915_110, 639_312_835_565_915_332,
            639_312_906_781_657_402, 639_312_972_275_854_784, 639_312_972_275_868_159,
        ];
        foreach (var seed in seeds)
        {
            var result = SwarmRun.Run(seed, new SwarmOptions { HasManners = true });
            Assert.True(result.Failure is null, result.Failure?.Message + " (peregrine simulate --manners)");
        }
    }

    [Fact]
    public void FreshSeedsAreClean()
    {
        // The time chooses, so that every run looks at worlds that nobody has seen; the budget bounds how many.
        var first = (ulong)DateTime.UtcNow.Ticks;
        using var budget = CancellationTokenSource.CreateLinkedTokenSource(TestContext.Current.CancellationToken);
        budget.CancelAfter(FreshTime);
        var report = SwarmRunner.Run(new SwarmRange { First = first, Count = 1_000_000, TwicePercent = 5, FailureCountMax = 3 }, budget.Token);
        var summary = $"fresh seeds of the swarm: {first} to {first + (ulong)Math.Max(report.Done, 1) - 1}, {report.Done} in {FreshTime.TotalSeconds} s, "
            + $"{report.Twice} of them twice, {report.Failures.Count} failed";
        // ./test shows notes, so that each run says what it has looked at.
        Console.WriteLine("note: " + summary);
        Assert.True(report.Failures.Count == 0, Finding(summary, report));
        Assert.True(report.Done > 0, summary);
    }

    private static string Finding(string summary, SwarmReport report) =>
        summary + ": a defect of the stack or of a judge. No run looks at the same seeds, so it may be older than the change that this run was for; "
        + "the seed fails again on the same sources, and belongs into this class once it is clean.\n" + report.Describe();
}
