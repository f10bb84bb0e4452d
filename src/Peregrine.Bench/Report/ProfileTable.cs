// Where a frame's time goes, from the sums of timed turns. What a reading of the clock costs is taken off each stage, since each holds one.
namespace Peregrine.Bench.Report;

/// <summary>One stage.</summary>
/// <param name="Stage">What happens there.</param>
/// <param name="NanosecondsATurn">Nanoseconds a turn.</param>
/// <param name="NanosecondsAFrame">Nanoseconds a received frame: with one frame in and one out, a request's share.</param>
/// <param name="Percent">Of the whole turn.</param>
internal sealed record ProfileRow(string Stage, double NanosecondsATurn, double NanosecondsAFrame, double Percent);

internal static class ProfileTable
{
    private static readonly (string Sum, string Stage)[] s_stages =
    [
        ("ReceiveNs", "link: receive, and the turn's clock"), ("InputNs", "stack: Ethernet, IP, TCP input of the burst"), ("CommandsNs", "commands from other threads"),
        ("TimersNs", "timers"), ("ApplicationNs", "application: call-backs and awaits, with their sends"), ("OutputNs", "stack: segments made"),
        ("TransmitNs", "link: transmit"), ("ReclaimNs", "link: sent frames taken back"),
    ];

    /// <summary>A row a stage and one for all; empty when no turn was timed.</summary>
    internal static IReadOnlyList<ProfileRow> Create(IReadOnlyDictionary<string, long> sums)
    {
        var (turns, frames) = (sums.GetValueOrDefault("Turns"), Math.Max(1, sums.GetValueOrDefault("ReceivedFrames")));
        if (turns == 0) return [];
        var clock = sums.GetValueOrDefault("ClockNs");
        var times = s_stages.Select(stage => (stage.Stage, Time: (double)Math.Max(0, sums.GetValueOrDefault(stage.Sum) - clock))).ToArray();
        var all = Math.Max(1, times.Sum(static stage => stage.Time));
        return [.. times.Append(("all", all)).Select(stage => new ProfileRow(stage.Item1, stage.Item2 / turns, stage.Item2 / frames, stage.Item2 * 100 / all))];
    }
}
