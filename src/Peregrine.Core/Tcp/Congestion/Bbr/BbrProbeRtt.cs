// BBR's shortest round trip, and ProbeRTT: every five seconds that bring no shorter one, half of the path's volume for 200 ms, so that the
// queue drains and the round trip shows what the path is without it.
using Peregrine.Core.Tcp.Recovery;
using Peregrine.Core.Time;

namespace Peregrine.Core.Tcp.Congestion.Bbr;

internal static class BbrProbeRtt
{
    private static readonly Duration s_interval = Duration.FromSeconds(5);
    private static readonly Duration s_minRttWindow = Duration.FromSeconds(10);
    private static readonly Duration s_duration = Duration.FromMilliseconds(200);

    /// <summary>draft-ietf-ccwg-bbr §5.3.4.3 UpdateMinRTT.</summary>
    internal static void UpdateMinRtt(ref BbrModel m, in BbrSample rs)
    {
        var isExpired = rs.Now > m.ProbeRttMinStamp + s_interval;
        m.Set(BbrFlags.ProbeRttExpired, isExpired);
        if (rs.Rtt > 0 && (rs.Rtt < m.ProbeRttMinDelay || isExpired)) (m.ProbeRttMinDelay, m.ProbeRttMinStamp) = (rs.Rtt, rs.Now);
        if (m.ProbeRttMinDelay < m.MinRtt || rs.Now > m.MinRttStamp + s_minRttWindow) (m.MinRtt, m.MinRttStamp) = (m.ProbeRttMinDelay, m.ProbeRttMinStamp);
    }

    /// <summary>draft-ietf-ccwg-bbr §5.3.4.3 CheckProbeRTT.</summary>
    internal static void Check(ref BbrModel m, in BbrSample rs, ref Tcb c, ref RecoveryState r)
    {
        if (m.Phase != BbrPhase.ProbeRtt && m.Has(BbrFlags.ProbeRttExpired) && !m.Has(BbrFlags.IdleRestart))
        {
            BbrWindow.Save(ref m, c.Cwnd, r.Phase >= RecoveryPhase.Recovery);
            m.Phase = BbrPhase.ProbeRtt;
            m.ProbeRttDoneStamp = default;
            m.AckPhase = BbrAckPhase.ProbeStopping;
            BbrBandwidth.StartRound(ref m, rs.TotalDelivered);
        }
        if (m.Phase == BbrPhase.ProbeRtt) Handle(ref m, rs, ref c, ref r);
        if (rs.Delivered > 0) m.Set(BbrFlags.IdleRestart, false);
    }

    /// <summary>draft-ietf-ccwg-bbr §5.3.4.3 CheckProbeRTTDone.</summary>
    internal static void CheckDone(ref BbrModel m, in BbrSample rs, ref Tcb c)
    {
        if (m.ProbeRttDoneStamp == default || rs.Now <= m.ProbeRttDoneStamp) return;
        m.ProbeRttMinStamp = rs.Now;
        BbrWindow.Restore(m, ref c);
        // draft-ietf-ccwg-bbr §5.3.4.4: whatever congestion there was within it tells nothing; the clock of probing starts anew.
        BbrLoss.ResetShortTerm(ref m);
        if (!m.Has(BbrFlags.FullBwReached))
        {
            BbrStartup.Enter(ref m);
            return;
        }
        BbrProbeBw.StartDown(ref m, rs);
        BbrProbeBw.StartCruise(ref m);
    }

    private static void Handle(ref BbrModel m, in BbrSample rs, ref Tcb c, ref RecoveryState r)
    {
        // MarkConnectionAppLimited: the low rates here are of our making.
        r.AppLimitedUntil = Math.Max(r.Delivered + rs.InFlight, 1);
        if (m.ProbeRttDoneStamp == default)
        {
            if (rs.InFlight > BbrWindow.ProbeRttCwnd(m, rs.Mss)) return;
            m.ProbeRttDoneStamp = rs.Now + s_duration;
            m.Set(BbrFlags.ProbeRttRoundDone, false);
            BbrBandwidth.StartRound(ref m, rs.TotalDelivered);
            return;
        }
        if (m.Has(BbrFlags.RoundStart)) m.Flags |= BbrFlags.ProbeRttRoundDone;
        if (m.Has(BbrFlags.ProbeRttRoundDone)) CheckDone(ref m, rs, ref c);
    }
}
