// BBR's bandwidth: packet-timed rounds, the filter over delivery rates, and the estimator that says that the pipe is full.
namespace Peregrine.Core.Tcp.Congestion.Bbr;

internal static class BbrBandwidth
{
    /// <summary>Rounds without a quarter's growth that make a pipe full.</summary>
    private const int PlateauRounds = 3;

    /// <summary>draft-ietf-ccwg-bbr §5.5.5 UpdateMaxBw.</summary>
    internal static void Update(ref BbrModel m, in BbrSample rs)
    {
        UpdateRound(ref m, rs);
        // draft-ietf-ccwg-bbr §5.5.4: what the application limited counts only where it shows more.
        if (rs.Rate > 0 && (rs.Rate >= m.MaxBw || !rs.IsAppLimited)) m.CycleBw = Math.Max(m.CycleBw, rs.Rate);
    }

    /// <summary>draft-ietf-ccwg-bbr §5.5.6 AdvanceMaxBwFilter: a ProbeBW cycle has passed.</summary>
    internal static void Advance(ref BbrModel m)
    {
        // A cycle without a sample keeps what was known.
        if (m.CycleBw == 0) return;
        (m.LastCycleBw, m.CycleBw) = (m.CycleBw, 0);
    }

    /// <summary>draft-ietf-ccwg-bbr §5.5.1 StartRound.</summary>
    internal static void StartRound(ref BbrModel m, uint delivered) => m.NextRoundDelivered = delivered;

    private static void UpdateRound(ref BbrModel m, in BbrSample rs)
    {
        var isStart = (int)(rs.PriorDelivered - m.NextRoundDelivered) >= 0;
        m.Set(BbrFlags.RoundStart, isStart);
        if (!isStart) return;
        StartRound(ref m, rs.TotalDelivered);
        m.RoundCount++;
        m.RoundsSinceProbeUp++;
    }

    /// <summary>draft-ietf-ccwg-bbr §5.3.1.2 ResetFullBW.</summary>
    internal static void ResetFull(ref BbrModel m, ulong baseline = 0)
    {
        m.FullBw = baseline;
        m.FullBwCount = 0;
        m.Set(BbrFlags.FullBwNow, false);
    }

    /// <summary>draft-ietf-ccwg-bbr §5.3.1.2 CheckFullBWReached.</summary>
    internal static void CheckFull(ref BbrModel m, in BbrSample rs)
    {
        if (m.Has(BbrFlags.FullBwNow) || !m.Has(BbrFlags.RoundStart) || rs.IsAppLimited) return;
        if (rs.Rate >= m.FullBw + (m.FullBw / 4))
        {
            ResetFull(ref m, rs.Rate);
            return;
        }
        if (++m.FullBwCount >= PlateauRounds) m.Flags |= BbrFlags.FullBwNow | BbrFlags.FullBwReached;
    }
}
