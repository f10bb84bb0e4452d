// BBR's Startup, an exponential search for the bandwidth, its end by a plateau or by losses, and Drain, which empties the queue that it made.
namespace Peregrine.Core.Tcp.Congestion.Bbr;

internal static class BbrStartup
{
    /// <summary>BBRStartupFullLossCnt.</summary>
    private const uint LostRangesMin = 6;

    /// <summary>Rounds after which Drain ends, drained or not.</summary>
    private const uint DrainRoundsMax = 3;

    /// <summary>draft-ietf-ccwg-bbr §5.3.1.1 EnterStartup.</summary>
    internal static void Enter(ref BbrModel m) => m.Phase = BbrPhase.Startup;

    /// <summary>draft-ietf-ccwg-bbr §5.3.1.1 CheckStartupDone.</summary>
    internal static void CheckDone(ref BbrModel m, in BbrSample rs, bool isInRecovery)
    {
        if (m.Phase != BbrPhase.Startup) return;
        if (!m.Has(BbrFlags.FullBwReached) && isInRecovery && IsLossHigh(m, rs)) EndByLoss(ref m, rs);
        if (m.Has(BbrFlags.FullBwReached)) EnterDrain(ref m);
    }

    /// <summary>draft-ietf-ccwg-bbr §5.3.1.3: losses (or marks) say that the pipe is full.</summary>
    internal static void EndByLoss(ref BbrModel m, in BbrSample rs)
    {
        m.Flags |= BbrFlags.UndoStartup | BbrFlags.FullBwReached | BbrFlags.FullBwNow;
        m.InflightLongterm = Math.Max(BbrWindow.BdpMultiple(m, m.MaxBw, 100), Math.Max(m.InflightLatest, rs.Delivered));
    }

    /// <summary>draft-ietf-ccwg-bbr §5.3.2 CheckDrainDone.</summary>
    internal static void CheckDrainDone(ref BbrModel m, in BbrSample rs)
    {
        if (m.Phase != BbrPhase.Drain) return;
        if (rs.InFlight <= BbrWindow.Inflight(m, rs, m.Bw) || m.RoundCount > m.DrainStartRound + DrainRoundsMax) BbrProbeBw.StartDown(ref m, rs);
    }

    // The round of losses begins with the first one, so that at its end recovery has lasted a round trip.
    private static bool IsLossHigh(in BbrModel m, in BbrSample rs) =>
        rs.HasSelectiveAcks
            ? m.Has(BbrFlags.LossRoundStart) && m.LostRanges >= LostRangesMin && BbrLoss.IsInflightTooHigh(rs)
            : m.LostRanges > 0;

    private static void EnterDrain(ref BbrModel m)
    {
        m.Phase = BbrPhase.Drain;
        m.DrainStartRound = m.RoundCount;
    }
}
