// BBR's control parameters: the pacing rate and the congestion window that its model and its state ask for.
using Peregrine.Core.Tcp.Recovery;

namespace Peregrine.Core.Tcp.Congestion.Bbr;

internal static class BbrWindow
{
    /// <summary>BBR.StartupPacingGain: 4 ln 2.</summary>
    private const uint StartupPacingPercent = 277;
    private const uint ProbeRttCwndPercent = 50;

    /// <summary>100 − BBR.PacingMarginPercent.</summary>
    private const uint MarginPercent = 99;

    /// <summary>BBR.Headroom.</summary>
    private const uint HeadroomPercent = 15;

    private const uint VolumeMax = 1u << 30;

    // draft-ietf-ccwg-bbr §5.6.1: the table of gains.
    private static uint PacingPercent(BbrPhase phase) => phase switch
    {
        BbrPhase.Startup => StartupPacingPercent,
        BbrPhase.Drain => 50,
        BbrPhase.ProbeDown => 90,
        BbrPhase.ProbeUp => 125,
        _ => 100,
    };

    private static uint CwndPercent(BbrPhase phase) => phase switch
    {
        BbrPhase.ProbeUp => 225,
        BbrPhase.ProbeRtt => ProbeRttCwndPercent,
        _ => 200,
    };

    /// <summary>draft-ietf-ccwg-bbr §5.6.2 InitPacingRate.</summary>
    internal static void InitPacingRate(ref BbrModel m, in RttState rtt)
    {
        // Before the first sample as over a round trip of a millisecond.
        var microseconds = rtt.Srtt == 0 ? 1_000 : Math.Max(rtt.Srtt >> 3, 1);
        m.PacingRate = Math.Max((ulong)m.InitialCwnd * StartupPacingPercent * 10_000 / microseconds, 1);
    }

    /// <summary>draft-ietf-ccwg-bbr §5.6.2 SetPacingRate.</summary>
    internal static void SetPacingRate(ref BbrModel m) => SetPacingRate(ref m, PacingPercent(m.Phase));

    /// <summary>draft-ietf-ccwg-bbr §5.6.2 SetPacingRateWithGain.</summary>
    internal static void SetPacingRate(ref BbrModel m, uint percent)
    {
        var rate = m.Bw * MarginPercent / 100 * percent / 100;
        // What an outage leaves of it is less than anybody paces by (PacingChoice).
        rate = Math.Max(rate, 1);
        if (m.Bw > 0 && (m.Has(BbrFlags.FullBwReached) || rate > m.PacingRate)) m.PacingRate = rate;
    }

    /// <summary>draft-ietf-ccwg-bbr §5.6.4.6 SetCwnd, within §5.6.4.5 and §5.6.4.7.</summary>
    internal static void SetCwnd(ref BbrModel m, in BbrSample rs, ref Tcb c)
    {
        ulong cap = BdpMultiple(m, m.Bw, CwndPercent(m.Phase));
        m.MaxInflight = Quantized(m, rs, cap + m.ExtraAcked.Value);
        ulong cwnd = c.Cwnd;
        if (m.Has(BbrFlags.FullBwReached)) cwnd = Math.Min(cwnd + rs.NewlyAcked, m.MaxInflight);
        else if (cwnd < m.MaxInflight || rs.TotalDelivered < m.InitialCwnd) cwnd += rs.NewlyAcked;
        cwnd = Math.Max(cwnd, MinPipe(rs.Mss));
        if (m.Phase == BbrPhase.ProbeRtt) cwnd = Math.Min(cwnd, ProbeRttCwnd(m, rs.Mss));
        c.Cwnd = Math.Min(Saturate(cwnd), ModelCap(m, rs.Mss));
    }

    /// <summary>draft-ietf-ccwg-bbr §5.6.4.5 ProbeRTTCwnd.</summary>
    internal static uint ProbeRttCwnd(in BbrModel m, uint mss) => Math.Max(BdpMultiple(m, m.Bw, ProbeRttCwndPercent), MinPipe(mss));

    /// <summary>draft-ietf-ccwg-bbr §5.6.4.2 Inflight(1.0), at a bandwidth.</summary>
    internal static uint Inflight(in BbrModel m, in BbrSample rs, ulong bw) => Quantized(m, rs, BdpMultiple(m, bw, 100));

    /// <summary>draft-ietf-ccwg-bbr §5.6.4.2 BDPMultiple.</summary>
    internal static uint BdpMultiple(in BbrModel m, ulong bw, uint percent) =>
        m.MinRtt == BbrModel.NoLimit ? m.InitialCwnd : Saturate((ulong)Volume(bw, m.MinRtt) * percent / 100);

    /// <summary>draft-ietf-ccwg-bbr §5.3.3.6 InflightWithHeadroom.</summary>
    internal static uint InflightWithHeadroom(in BbrModel m, uint mss)
    {
        if (m.InflightLongterm == BbrModel.NoLimit) return BbrModel.NoLimit;
        var headroom = Math.Max(mss, (uint)((ulong)m.InflightLongterm * HeadroomPercent / 100));
        return Math.Max(m.InflightLongterm - Math.Min(headroom, m.InflightLongterm), MinPipe(mss));
    }

    /// <summary>draft-ietf-ccwg-bbr §5.3.3.5.3 TargetInflight: the path's volume, unless congestion cut the window.</summary>
    internal static uint Target(in BbrModel m, uint cwnd) => Math.Min(BdpMultiple(m, m.Bw, 100), cwnd);

    /// <summary>draft-ietf-ccwg-bbr §5.6.4.4 SaveCwnd: the last window that neither recovery nor ProbeRTT had lowered.</summary>
    internal static void Save(ref BbrModel m, uint cwnd, bool isInRecovery) =>
        m.PriorCwnd = !isInRecovery && m.Phase != BbrPhase.ProbeRtt ? cwnd : Math.Max(m.PriorCwnd, cwnd);

    /// <summary>draft-ietf-ccwg-bbr §5.6.4.4 RestoreCwnd.</summary>
    internal static void Restore(in BbrModel m, ref Tcb c) => c.Cwnd = Math.Max(c.Cwnd, m.PriorCwnd);

    /// <summary>What passes at a rate in a time: bytes a second, microseconds.</summary>
    internal static uint Volume(ulong rate, ulong microseconds) =>
        microseconds != 0 && rate > ulong.MaxValue / microseconds ? VolumeMax : Saturate(rate * microseconds / 1_000_000);

    internal static uint Saturate(ulong volume) => (uint)Math.Min(volume, VolumeMax);

    // draft-ietf-ccwg-bbr §5.6.4.3 BBR.MinPipeCwnd.
    private static uint MinPipe(uint mss) => 4 * mss;

    // draft-ietf-ccwg-bbr §5.6.4.2 QuantizationBudget, with §5.5.8's BBR.offload_budget.
    private static uint Quantized(in BbrModel m, in BbrSample rs, ulong volume)
    {
        volume = Math.Max(volume, 3 * TcpPacing.Quantum(m.PacingRate, rs.Mss));
        volume = Math.Max(volume, MinPipe(rs.Mss));
        if (m.Phase == BbrPhase.ProbeUp) volume += 2 * rs.Mss;
        return Saturate(volume);
    }

    // draft-ietf-ccwg-bbr §5.6.4.7 BoundCwndForModel.
    private static uint ModelCap(in BbrModel m, uint mss)
    {
        var cap = m.Phase switch
        {
            BbrPhase.ProbeCruise or BbrPhase.ProbeRtt => InflightWithHeadroom(m, mss),
            BbrPhase.ProbeDown or BbrPhase.ProbeRefill or BbrPhase.ProbeUp => m.InflightLongterm,
            _ => BbrModel.NoLimit,
        };
        return Math.Max(Math.Min(cap, m.InflightShortterm), MinPipe(mss));
    }
}
