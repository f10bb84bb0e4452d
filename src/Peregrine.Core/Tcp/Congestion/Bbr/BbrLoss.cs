// What losses make of BBR's model: the volume that a probe may reach, the short-term bounds while it does not probe, and the way back when
// nothing had been lost. A mark (ECN) counts as a loss: the draft asks for a response and leaves the choice.
namespace Peregrine.Core.Tcp.Congestion.Bbr;

internal static class BbrLoss
{
    // BBR.Beta.
    private const uint BetaPercent = 70;

    /// <summary>draft-ietf-ccwg-bbr §2.7 BBR.LossThresh: whether more than 2 % of what was in flight is lost.</summary>
    internal static bool Exceeds(uint lost, uint txInFlight) => (ulong)lost * 50 > txInFlight;

    /// <summary>draft-ietf-ccwg-bbr §5.5.10.2 IsInflightTooHigh.</summary>
    internal static bool IsInflightTooHigh(in BbrSample rs) => Exceeds(rs.Lost, rs.TxInFlight) || (rs.Lost > 0 && !rs.HasSelectiveAcks);

    /// <summary>draft-ietf-ccwg-bbr §5.5.10.2 NoteLoss.</summary>
    internal static void Note(ref BbrModel m, uint delivered, uint cwnd, bool isInRecovery)
    {
        if (!m.Has(BbrFlags.LossInRound))
        {
            m.LossRoundDelivered = delivered;
            SaveState(ref m, cwnd, isInRecovery);
        }
        m.Flags |= BbrFlags.LossInRound;
    }

    /// <summary>draft-ietf-ccwg-bbr §5.5.10.2 HandleLostPacket of the packet whose loss crossed the threshold, with the draft's InflightAtLoss.</summary>
    internal static void OnExcess(ref BbrModel m, ref BbrSample rs, uint packetLength, uint cwnd)
    {
        if (!m.Has(BbrFlags.BwProbeSample)) return;
        // lost_prefix = (LossThresh * inflight_prev - lost_prev) / (1 - LossThresh).
        long inflightBefore = rs.TxInFlight - Math.Min(packetLength, rs.TxInFlight);
        long lostBefore = rs.Lost - Math.Min(packetLength, rs.Lost);
        var prefix = (inflightBefore - (50 * lostBefore)) / 49;
        rs.TxInFlight = (uint)Math.Max(inflightBefore + Math.Max(prefix, 0), 0);
        HandleTooHigh(ref m, rs, cwnd);
    }

    /// <summary>draft-ietf-ccwg-bbr §5.5.10.2 HandleInflightTooHigh.</summary>
    internal static void HandleTooHigh(ref BbrModel m, in BbrSample rs, uint cwnd)
    {
        m.Flags = (m.Flags | BbrFlags.ProbeTooHigh) & ~BbrFlags.BwProbeSample;
        if (!rs.IsAppLimited) m.InflightLongterm = Math.Max(rs.TxInFlight, Beta(BbrWindow.Target(m, cwnd)));
        if (m.Phase != BbrPhase.ProbeUp) return;
        m.Flags = (m.Flags | BbrFlags.UndoProbeUp) & ~BbrFlags.UndoStartup;
        BbrProbeBw.StartDown(ref m, rs);
    }

    /// <summary>draft-ietf-ccwg-bbr §5.5.10.3 UpdateLatestDeliverySignals.</summary>
    internal static void UpdateLatest(ref BbrModel m, in BbrSample rs)
    {
        m.BwLatest = Math.Max(m.BwLatest, rs.Rate);
        m.InflightLatest = Math.Max(m.InflightLatest, rs.Delivered);
        var isStart = (int)(rs.PriorDelivered - m.LossRoundDelivered) >= 0;
        m.Set(BbrFlags.LossRoundStart, isStart);
        if (isStart) m.LossRoundDelivered = rs.TotalDelivered;
    }

    /// <summary>draft-ietf-ccwg-bbr §5.5.10.3 UpdateCongestionSignals: once a round, where BBR does not probe, down towards what is delivered.</summary>
    internal static void Adapt(ref BbrModel m, uint cwnd)
    {
        if (!m.Has(BbrFlags.LossRoundStart)) return;
        if (m.Has(BbrFlags.LossInRound) && m.Phase is not (BbrPhase.Startup or BbrPhase.ProbeRefill or BbrPhase.ProbeUp)) LowerShortTerm(ref m, cwnd);
        m.Set(BbrFlags.LossInRound, false);
    }

    /// <summary>draft-ietf-ccwg-bbr §5.5.10.3 AdvanceLatestDeliverySignals.</summary>
    internal static void AdvanceLatest(ref BbrModel m, in BbrSample rs)
    {
        if (!m.Has(BbrFlags.LossRoundStart)) return;
        (m.BwLatest, m.InflightLatest) = (rs.Rate, rs.Delivered);
        m.LostRanges = 0;
    }

    /// <summary>draft-ietf-ccwg-bbr §5.5.10.3 ResetCongestionSignals.</summary>
    internal static void ResetCongestionSignals(ref BbrModel m)
    {
        m.Set(BbrFlags.LossInRound, false);
        (m.BwLatest, m.InflightLatest) = (0, 0);
    }

    /// <summary>draft-ietf-ccwg-bbr §5.5.10.3 ResetShortTermModel.</summary>
    internal static void ResetShortTerm(ref BbrModel m) => (m.BwShortterm, m.InflightShortterm) = (BbrModel.NoRateLimit, BbrModel.NoLimit);

    /// <summary>draft-ietf-ccwg-bbr §5.5.11.1 SaveStateUponLoss.</summary>
    internal static void SaveState(ref BbrModel m, uint cwnd, bool isInRecovery)
    {
        BbrWindow.Save(ref m, cwnd, isInRecovery);
        m.Flags &= ~(BbrFlags.UndoStartup | BbrFlags.UndoProbeUp);
        m.UndoBwShortterm = m.BwShortterm;
        m.UndoInflightShortterm = m.InflightShortterm;
        m.UndoInflightLongterm = m.InflightLongterm;
    }

    /// <summary>draft-ietf-ccwg-bbr §5.5.11.2 HandleSpuriousLossDetection; the window is recovery's to give back.</summary>
    internal static void Undo(ref BbrModel m, uint delivered)
    {
        m.Set(BbrFlags.LossInRound, false);
        BbrBandwidth.ResetFull(ref m);
        m.BwShortterm = Math.Max(m.BwShortterm, m.UndoBwShortterm);
        m.InflightShortterm = Math.Max(m.InflightShortterm, m.UndoInflightShortterm);
        m.InflightLongterm = Math.Max(m.InflightLongterm, m.UndoInflightLongterm);
        if (m.Has(BbrFlags.UndoStartup) && m.Phase != BbrPhase.Startup)
        {
            m.Set(BbrFlags.FullBwReached, false);
            if (m.Phase != BbrPhase.ProbeRtt) BbrStartup.Enter(ref m);
        }
        else if (m.Has(BbrFlags.UndoProbeUp) && m.Phase is not (BbrPhase.ProbeUp or BbrPhase.ProbeRtt))
        {
            BbrProbeBw.StartRefill(ref m, delivered);
        }
        m.Flags &= ~(BbrFlags.UndoStartup | BbrFlags.UndoProbeUp);
    }

    private static void LowerShortTerm(ref BbrModel m, uint cwnd)
    {
        if (m.BwShortterm == BbrModel.NoRateLimit) m.BwShortterm = m.MaxBw;
        if (m.InflightShortterm == BbrModel.NoLimit) m.InflightShortterm = cwnd;
        m.BwShortterm = Math.Max(m.BwLatest, m.BwShortterm * BetaPercent / 100);
        m.InflightShortterm = Math.Max(m.InflightLatest, Beta(m.InflightShortterm));
    }

    private static uint Beta(uint volume) => (uint)((ulong)volume * BetaPercent / 100);
}
