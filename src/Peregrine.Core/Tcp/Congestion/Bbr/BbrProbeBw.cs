// BBR's ProbeBW: down to drain, cruise, refill the pipe, up to look for more; and what the looking teaches about the volume in flight.
namespace Peregrine.Core.Tcp.Congestion.Bbr;

internal static class BbrProbeBw
{
    private const int ProbeUpRoundsMax = 30;

    /// <summary>Rounds after which a Reno flow would have regained what it lost, at most.</summary>
    private const uint RenoRoundsMax = 63;

    /// <summary>draft-ietf-ccwg-bbr §5.3.3.6 StartProbeBW_DOWN.</summary>
    internal static void StartDown(ref BbrModel m, in BbrSample rs)
    {
        BbrLoss.ResetCongestionSignals(ref m);
        m.ProbeUpAckedPerIncrement = BbrModel.NoLimit;
        PickWait(ref m);
        m.CycleStamp = rs.Now;
        m.AckPhase = BbrAckPhase.ProbeStopping;
        BbrBandwidth.StartRound(ref m, rs.TotalDelivered);
        m.Phase = BbrPhase.ProbeDown;
    }

    /// <summary>draft-ietf-ccwg-bbr §5.3.3.6 StartProbeBW_CRUISE.</summary>
    internal static void StartCruise(ref BbrModel m) => m.Phase = BbrPhase.ProbeCruise;

    /// <summary>draft-ietf-ccwg-bbr §5.3.3.6 StartProbeBW_REFILL.</summary>
    internal static void StartRefill(ref BbrModel m, uint delivered)
    {
        BbrLoss.ResetShortTerm(ref m);
        m.ProbeUpRounds = 0;
        m.ProbeUpAcked = 0;
        m.Set(BbrFlags.ProbePrecautionary, false);
        m.AckPhase = BbrAckPhase.Refilling;
        BbrBandwidth.StartRound(ref m, delivered);
        m.Phase = BbrPhase.ProbeRefill;
    }

    /// <summary>draft-ietf-ccwg-bbr §5.3.3.6 UpdateProbeBWCyclePhase.</summary>
    internal static void Update(ref BbrModel m, in BbrSample rs, uint cwnd)
    {
        if (!m.Has(BbrFlags.FullBwReached) || AdaptLongTerm(ref m, rs, cwnd)) return;
        switch (m.Phase)
        {
            case BbrPhase.ProbeDown:
                if (!IsTimeToProbe(ref m, rs, cwnd) && IsTimeToCruise(m, rs)) StartCruise(ref m);
                break;
            case BbrPhase.ProbeCruise:
                IsTimeToProbe(ref m, rs, cwnd);
                break;
            case BbrPhase.ProbeRefill when m.Has(BbrFlags.RoundStart):
                m.Flags |= BbrFlags.BwProbeSample;
                StartUp(ref m, rs, cwnd);
                break;
            case BbrPhase.ProbeUp when IsTimeToGoDown(ref m, rs, cwnd):
                m.Set(BbrFlags.ProbeTooHigh, false);
                StartDown(ref m, rs);
                break;
        }
    }

    private static void StartUp(ref BbrModel m, in BbrSample rs, uint cwnd)
    {
        m.AckPhase = BbrAckPhase.ProbeStarting;
        BbrBandwidth.StartRound(ref m, rs.TotalDelivered);
        BbrBandwidth.ResetFull(ref m, rs.Rate);
        m.Phase = BbrPhase.ProbeUp;
        RaiseSlope(ref m, rs, cwnd);
    }

    // draft-ietf-ccwg-bbr §5.3.3.6 AdaptLongTermModel. True: nothing more is to be decided.
    private static bool AdaptLongTerm(ref BbrModel m, in BbrSample rs, uint cwnd)
    {
        var isRound = m.Has(BbrFlags.RoundStart);
        if (m.AckPhase == BbrAckPhase.ProbeStarting && isRound) m.AckPhase = BbrAckPhase.ProbeFeedback;
        if (m.AckPhase == BbrAckPhase.ProbeStopping && isRound)
        {
            m.Set(BbrFlags.BwProbeSample, false);
            m.AckPhase = BbrAckPhase.Init;
            if (m.IsProbeBw && !rs.IsAppLimited) BbrBandwidth.Advance(ref m);
            // draft-ietf-ccwg-bbr §5.3.3.4.2: the careful probe found nothing amiss: at once another, to the end.
            if (m.IsProbeBw && m.Has(BbrFlags.ProbePrecautionary) && !m.Has(BbrFlags.ProbeTooHigh))
            {
                StartRefill(ref m, rs.TotalDelivered);
                return true;
            }
        }
        if (BbrLoss.IsInflightTooHigh(rs) || m.InflightLongterm == BbrModel.NoLimit) return !m.IsProbeBw;
        m.InflightLongterm = Math.Max(m.InflightLongterm, rs.TxInFlight);
        if (m.Phase == BbrPhase.ProbeUp) ProbeUpward(ref m, rs, cwnd);
        return !m.IsProbeBw;
    }

    // draft-ietf-ccwg-bbr §5.3.3.6 ProbeInflightLongtermUpward.
    private static void ProbeUpward(ref BbrModel m, in BbrSample rs, uint cwnd)
    {
        if (!rs.IsCwndLimited || cwnd < m.InflightLongterm) return;
        m.ProbeUpAcked += rs.NewlyAcked;
        if (m.ProbeUpAcked >= m.ProbeUpAckedPerIncrement)
        {
            var delta = m.ProbeUpAcked / m.ProbeUpAckedPerIncrement;
            m.ProbeUpAcked -= delta * m.ProbeUpAckedPerIncrement;
            m.InflightLongterm = BbrWindow.Saturate(m.InflightLongterm + ((ulong)delta * rs.Mss));
        }
        if (m.Has(BbrFlags.RoundStart)) RaiseSlope(ref m, rs, cwnd);
    }

    // draft-ietf-ccwg-bbr §5.3.3.6 RaiseInflightLongtermSlope: 1, 2, 4 … segments a round.
    private static void RaiseSlope(ref BbrModel m, in BbrSample rs, uint cwnd)
    {
        m.ProbeUpAckedPerIncrement = Math.Max(cwnd >> m.ProbeUpRounds, rs.Mss);
        if (m.ProbeUpRounds < ProbeUpRoundsMax) m.ProbeUpRounds++;
    }

    // draft-ietf-ccwg-bbr §5.3.3.6 IsTimeToCruise: there is headroom, and the queue is drained.
    private static bool IsTimeToCruise(in BbrModel m, in BbrSample rs) =>
        rs.InFlight <= BbrWindow.InflightWithHeadroom(m, rs.Mss) && rs.InFlight <= BbrWindow.Inflight(m, rs, m.MaxBw);

    // draft-ietf-ccwg-bbr §5.3.3.6 IsTimeToGoDown.
    private static bool IsTimeToGoDown(ref BbrModel m, in BbrSample rs, uint cwnd)
    {
        // draft-ietf-ccwg-bbr §5.3.3.4.2: only as far as what was too much last time.
        if (m.Has(BbrFlags.ProbeTooHigh) && rs.InFlight >= m.InflightLongterm)
        {
            m.Flags |= BbrFlags.ProbePrecautionary;
            return true;
        }
        if (!rs.IsCwndLimited || cwnd < m.InflightLongterm) return m.Has(BbrFlags.FullBwNow);
        BbrBandwidth.ResetFull(ref m, rs.Rate);
        return false;
    }

    // draft-ietf-ccwg-bbr §5.3.3.5.3 IsTimeToProbeBW: by the clock, or when a Reno flow would have grown back.
    private static bool IsTimeToProbe(ref BbrModel m, in BbrSample rs, uint cwnd)
    {
        var isTime = (rs.Now - m.CycleStamp).Milliseconds > m.ProbeWaitMs;
        var renoRounds = Math.Min(BbrWindow.Target(m, cwnd) / rs.Mss, RenoRoundsMax);
        if (!isTime && m.RoundsSinceProbeUp < renoRounds) return false;
        StartRefill(ref m, rs.TotalDelivered);
        return true;
    }

    // draft-ietf-ccwg-bbr §5.3.3.5.3 PickProbeWait: 2 to 3 seconds, and 0 or 1 rounds of lead.
    private static void PickWait(ref BbrModel m)
    {
        var bits = NextRandom(ref m);
        m.RoundsSinceProbeUp = (uint)bits & 1;
        m.ProbeWaitMs = 2_000 + (uint)((bits >> 32) * 1_000 >> 32);
    }

    // SplitMix64: chance comes from the stack's generator, once a connection.
    private static ulong NextRandom(ref BbrModel m)
    {
        m.Seed += 0x9E37_79B9_7F4A_7C15;
        var z = m.Seed;
        z = (z ^ (z >> 30)) * 0xBF58_476D_1CE4_E5B9;
        z = (z ^ (z >> 27)) * 0x94D0_49BB_1331_11EB;
        return z ^ (z >> 31);
    }
}
