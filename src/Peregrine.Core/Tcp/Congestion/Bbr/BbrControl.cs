// BBR version 3 (draft-ietf-ccwg-bbr): the path's bandwidth and shortest round trip are measured, and sent at, instead of filling the
// bottleneck's queue until it drops. This is the order of its steps; each mechanism has its file. Integers only.
using Peregrine.Core.Memory;
using Peregrine.Core.Tcp.Recovery;
using Peregrine.Core.Time;

namespace Peregrine.Core.Tcp.Congestion.Bbr;

internal sealed class BbrControl(IndexedPool<BbrModel> models, StackRandom random) : CongestionControl
{
    private readonly IndexedPool<BbrModel> _models = models;
    private readonly StackRandom _random = random;

    internal override string Name => "bbr";

    internal override bool NeedsPacing => true;

    /// <summary>Models in use: BBR's connections.</summary>
    internal int ModelsInUse => _models.UsedCount;

    /// <summary>draft-ietf-ccwg-bbr §5.2.1 OnInit. False where no model is free.</summary>
    internal override bool TryBegin(ref Tcb c, ref TcbCold k, Instant now)
    {
        if (!_models.TryRent(out var index)) return false;
        k.Congestion = new CongestionState { Model = index };
        ref var m = ref _models[index];
        m.Seed = _random.NextUInt64();
        m.InitialCwnd = c.Cwnd;
        m.MinRtt = k.Rtt.Srtt == 0 ? BbrModel.NoLimit : Math.Max(k.Rtt.Srtt >> 3, 1);
        m.ProbeRttMinDelay = BbrModel.NoLimit;
        m.MinRttStamp = m.ProbeRttMinStamp = m.ExtraAckedStart = now;
        m.InflightLongterm = BbrModel.NoLimit;
        m.ProbeUpAckedPerIncrement = BbrModel.NoLimit;
        m.NextRoundDelivered = m.LossRoundDelivered = k.Recovery.Delivered;
        m.Set(BbrFlags.HasRtt, k.Rtt.Srtt != 0);
        BbrLoss.ResetShortTerm(ref m);
        BbrWindow.InitPacingRate(ref m, k.Rtt);
        BbrStartup.Enter(ref m);
        return true;
    }

    internal override void End(ref TcbCold k) => _models.Return(k.Congestion.Model);

    /// <summary>draft-ietf-ccwg-bbr §5.2.3 UpdateOnACK.</summary>
    internal override void OnDelivery(ref Tcb c, ref TcbCold k, in AckSample sample)
    {
        ref var m = ref ModelOf(k);
        var rs = BbrSample.Of(c, k, sample, m.Lost);
        if (!m.Has(BbrFlags.HasRtt) && k.Rtt.Srtt != 0) TakeFirstRtt(ref m, k);
        if (rs.NewlyAcked > 0) UpdateModel(ref m, rs, ref c, ref k.Recovery);
        if (sample.LeftRecovery) BbrWindow.Restore(m, ref c);
        BbrWindow.SetPacingRate(ref m);
        BbrWindow.SetCwnd(ref m, rs, ref c);
    }

    /// <summary>draft-ietf-ccwg-bbr §5.2.4: something was found lost.</summary>
    internal override void OnLost(ref Tcb c, ref TcbCold k, in LossTally tally, Instant now)
    {
        ref var m = ref ModelOf(k);
        (m.Lost, m.LostEnd, m.LostRanges) = (tally.Lost, tally.LastEnd, tally.RangeCount);
        BbrLoss.Note(ref m, k.Recovery.Delivered, c.Cwnd, IsInRecovery(k));
        if (!tally.HasExcess) return;
        var rs = BbrSample.Of(c, k, now);
        (rs.TxInFlight, rs.Lost, rs.IsAppLimited) = (tally.ExcessTxInFlight, tally.ExcessLost, tally.ExcessIsAppLimited);
        BbrLoss.OnExcess(ref m, ref rs, tally.ExcessLength, c.Cwnd);
    }

    internal override void BeginTally(in TcbCold k, ref LossTally tally)
    {
        ref var m = ref ModelOf(k);
        tally.IsWanted = true;
        (tally.Lost, tally.LastEnd, tally.RangeCount) = (m.Lost, m.LostEnd, m.LostRanges);
    }

    /// <summary>draft-ietf-ccwg-bbr §5.4.1 HandleRestartFromIdle.</summary>
    internal override void OnSendFromIdle(ref Tcb c, ref TcbCold k, Instant now)
    {
        if (k.Recovery.AppLimitedUntil == 0) return;
        ref var m = ref ModelOf(k);
        m.Flags |= BbrFlags.IdleRestart;
        m.ExtraAckedStart = now;
        if (m.IsProbeBw) BbrWindow.SetPacingRate(ref m, 100);
        else if (m.Phase == BbrPhase.ProbeRtt) BbrProbeRtt.CheckDone(ref m, BbrSample.Of(c, k, now), ref c);
    }

    // Growth is OnDelivery's, which sees every ACK.
    internal override void OnAck(ref Tcb c, ref TcbCold k, in AckSample sample, bool isCwndLimited, RecoverySettings settings)
    {
    }

    /// <summary>draft-ietf-ccwg-bbr §5.6.4.4 OnEnterFastRecovery: the window is the model's also in recovery.</summary>
    internal override void OnLoss(ref Tcb c, ref TcbCold k, uint flightSize)
    {
        ref var m = ref ModelOf(k);
        BbrLoss.Note(ref m, k.Recovery.Delivered, c.Cwnd, IsInRecovery(k));
        c.Ssthresh = c.Cwnd;
        if ((c.Flags & TcbFlags.Sack) != 0) return;
        // Without SACK nothing is marked: the loss is known by the duplicate ACKs alone.
        m.Lost += c.Mss;
        m.LostRanges++;
    }

    /// <summary>draft-ietf-ccwg-bbr §5.6.4.4 OnEnterRTO: recovery sets the window to one segment, and it grows again as data are delivered.</summary>
    internal override void OnTimeout(ref Tcb c, ref TcbCold k, uint flightSize)
    {
        BbrLoss.Note(ref ModelOf(k), k.Recovery.Delivered, c.Cwnd, IsInRecovery(k));
        c.Ssthresh = c.Cwnd;
    }

    /// <summary>draft-ietf-ccwg-bbr §3.7: a mark is congestion, as a round with too many losses is.</summary>
    internal override void OnEcnEcho(ref Tcb c, ref TcbCold k, uint flightSize, Instant now)
    {
        ref var m = ref ModelOf(k);
        BbrLoss.Note(ref m, k.Recovery.Delivered, c.Cwnd, IsInRecovery(k));
        var rs = BbrSample.Of(c, k, now);
        rs.TxInFlight = flightSize;
        if (m.Phase == BbrPhase.Startup) BbrStartup.EndByLoss(ref m, rs);
        else if (m.Has(BbrFlags.BwProbeSample)) BbrLoss.HandleTooHigh(ref m, rs, c.Cwnd);
    }

    internal override void OnUndo(ref Tcb c, ref TcbCold k, uint priorWmax) => BbrLoss.Undo(ref ModelOf(k), k.Recovery.Delivered);

    /// <summary>draft-ietf-ccwg-bbr §5.4.1: after idleness the window stays, and the bandwidth paces.</summary>
    internal override void OnRestart(ref Tcb c, ref TcbCold k)
    {
    }

    internal override ulong PacingRate(in Tcb c, in TcbCold k) => ModelOf(k).PacingRate;

    internal ref BbrModel ModelOf(in TcbCold k) => ref _models[k.Congestion.Model];

    // draft-ietf-ccwg-bbr §5.2.3 UpdateModelAndState, in its order.
    private static void UpdateModel(ref BbrModel m, in BbrSample rs, ref Tcb c, ref RecoveryState r)
    {
        BbrLoss.UpdateLatest(ref m, rs);
        BbrBandwidth.Update(ref m, rs);
        BbrLoss.Adapt(ref m, c.Cwnd);
        BbrAggregation.Update(ref m, rs, c.Cwnd);
        BbrBandwidth.CheckFull(ref m, rs);
        BbrStartup.CheckDone(ref m, rs, r.Phase >= RecoveryPhase.Recovery);
        BbrStartup.CheckDrainDone(ref m, rs);
        BbrProbeBw.Update(ref m, rs, c.Cwnd);
        BbrProbeRtt.UpdateMinRtt(ref m, rs);
        BbrProbeRtt.Check(ref m, rs, ref c, ref r);
        BbrLoss.AdvanceLatest(ref m, rs);
        m.Bw = Math.Min(m.MaxBw, m.BwShortterm);
    }

    private static void TakeFirstRtt(ref BbrModel m, in TcbCold k)
    {
        m.Flags |= BbrFlags.HasRtt;
        m.MinRtt = Math.Max(k.Rtt.Srtt >> 3, 1);
        BbrWindow.InitPacingRate(ref m, k.Rtt);
    }

    private static bool IsInRecovery(in TcbCold k) => k.Recovery.Phase >= RecoveryPhase.Recovery;
}
