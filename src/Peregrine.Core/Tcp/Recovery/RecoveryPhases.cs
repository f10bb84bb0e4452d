// The phases of recovery and what moves a connection from one to another: RFC 6675 §5, RFC 6582 §3.2, RFC 8985 §6, RFC 5682, RFC 4015.
// It asks the mechanisms, each in its own file, and tells congestion control; what is in flight is the scoreboard's.
using Peregrine.Core.Tcp.Congestion;
using Peregrine.Core.Time;
using Peregrine.Wire;

namespace Peregrine.Core.Tcp.Recovery;

internal sealed class RecoveryPhases(LossRecovery recovery, RecordPool pool, Scoreboard board)
{
    private const int DupThresh = 3;

    private readonly LossRecovery _recovery = recovery;
    private readonly RecordPool _pool = pool;
    private readonly Scoreboard _board = board;
    private readonly Rack _rack = new(board);
    private bool _isMtuProbeLost;

    private ref TcpExtCounters Counters => ref _recovery.Counters;

    /// <summary>Marks what the ACK shows to be lost. Gives when to look again.</summary>
    internal Duration FindLosses(ref Tcb c, ref TcbCold k, ref Delivery d, Instant now)
    {
        ref var r = ref k.Recovery;
        if (d.Reordered) Counters.TCPSACKReorder++;
        if (!_recovery.IsRack(c, k))
        {
            if (d.SackedBytes > 0) _board.MarkLost(ref r, c.Mss, ref d);
            TellLosses(ref c, ref k, d);
            return Duration.Zero;
        }
        ref var e = ref _pool.Episode(r.Episode);
        Rack.Expire(ref e, now);
        Rack.Note(ref r, ref e, d, _recovery.Memory.Does(k, SenderMechanisms.RoundTripPerAck));
        var wait = _rack.DetectLoss(c, ref k, e, now, ref d);
        Counters.TCPLostRetransmit += d.LostRetransmissions;
        TellLosses(ref c, ref k, d);
        return WithMargin(k, wait);
    }

    // No wait has no margin, and one of a single unit is a round trip of nothing, rounded up.
    private Duration WithMargin(in TcbCold k, Duration wait) => wait > new Duration(1 << TimeStamp32.Shift) ? wait + _recovery.SettingsOf(k).ReorderingMargin : wait;

    /// <summary>RFC 8985 §6.2 step 5: the reordering window has passed without an ACK.</summary>
    internal Duration OnReorderingTimeout(ref Tcb c, ref TcbCold k, Instant now)
    {
        ref var r = ref k.Recovery;
        if (!_recovery.IsRack(c, k)) return Duration.Zero;
        var d = new Delivery { Now = now };
        _recovery.BeginTally(k, out d.Losses);
        Rack.Expire(ref _pool.Episode(r.Episode), now);
        var wait = WithMargin(k, _rack.DetectLoss(c, ref k, _pool.Episode(r.Episode), now, ref d));
        Counters.TCPLostRetransmit += d.LostRetransmissions;
        TellLosses(ref c, ref k, d);
        if (IsProbeLoss(c, ref k, d.LostBytes)) return wait;
        if (d.LostBytes == 0 || r.Phase >= RecoveryPhase.Recovery) return wait;
        Counters.TCPRACKTimerRecovery++;
        // As Linux: the delivery that has set the timer began this recovery, and is what PRR has to give at first. RFC 9937 §6.2 knows ACKs alone.
        Enter(ref c, ref k, new AckSample { DeliveredSegments = k.Does(SenderMechanisms.PacketWindow) ? 1u : 0u }, isSack: true);
        return wait;
    }

    /// <summary>The retransmission timer has expired: counted by the phase that it comes in, the first of a row.</summary>
    internal void CountTimeout(in Tcb c, in RecoveryState r)
    {
        ref var counters = ref Counters;
        counters.TCPTimeouts++;
        if ((r.Flags & RecoveryFlags.TimedOut) != 0) return;
        if (_board[r.Head].IsSacked) counters.TCPSACKReneging++;
        var isSack = (c.Flags & TcbFlags.Sack) != 0;
        switch (r.Phase)
        {
            case RecoveryPhase.Disorder when isSack:
                counters.TCPSackFailures++;
                break;
            case RecoveryPhase.Disorder:
                counters.TCPRenoFailures++;
                break;
            case RecoveryPhase.Recovery when isSack:
                counters.TCPSackRecoveryFail++;
                break;
            case RecoveryPhase.Recovery:
                counters.TCPRenoRecoveryFail++;
                break;
            case RecoveryPhase.Loss:
                counters.TCPLossFailures++;
                break;
        }
    }

    /// <summary>An ACK has been taken into the scoreboard: what follows for phase and window.</summary>
    internal void Advance(ref Tcb c, ref TcbCold k, ref AckSample sample, in Delivery d, bool isDuplicate)
    {
        ref var r = ref k.Recovery;
        var isSack = (c.Flags & TcbFlags.Sack) != 0;
        var isBareDuplicate = isDuplicate && sample.SackedBytes == 0;
        if (sample.ReorderedDistance > 0) _recovery.Memory.NoteReordering(c, k, sample.ReorderedDistance);
        _recovery.Validation.OnRepaired(r, d.RetransmittedBytes);
        // RFC 6675 §2: with SACK, a duplicate ACK is one that reports something new.
        if (isSack) isDuplicate = sample.SackedBytes > 0;
        if (d.IsReneging)
        {
            // Nothing is concluded from such a report; the window goes on as before.
            if (r.Phase >= RecoveryPhase.Recovery) Continue(ref c, ref k, ref sample, d, isSack, isDuplicate);
            else Grow(ref c, ref k, sample);
            return;
        }
        sample.Undone = r.Episode != RecordPool.None && OnEpisodeAck(ref c, ref k, ref sample, d, isDuplicate, isBareDuplicate);
        if (r.Phase >= RecoveryPhase.Recovery)
        {
            if (c.Snd.Una.IsBefore(r.RecoveryPoint) || (c.Snd.Una == r.RecoveryPoint && CountedDuplicates.Are(c, k)))
            {
                Continue(ref c, ref k, ref sample, d, isSack, isDuplicate);
                return;
            }
            sample.LeftRecovery = true;
            var wasRepair = r.Phase == RecoveryPhase.Loss;
            Leave(ref c, ref k, sample, isSack);
            // As Linux: the ACK that ends recovery opens the window like any after it.
            if (!wasRepair && k.Does(SenderMechanisms.PacketWindow) && !HasLoss(c, k)) Grow(ref c, ref k, sample);
            // What was lost since recovery began is a congestion event of its own; no further SACK need come for it.
            if (!HasLoss(c, k)) return;
            sample.EnteredRecovery = true;
            Enter(ref c, ref k, sample, isSack);
            return;
        }
        if ((r.Flags & RecoveryFlags.RecoveryPointSet) != 0 && c.Snd.Una.IsAfter(r.RecoveryPoint)) r.Flags &= ~RecoveryFlags.RecoveryPointSet;
        // As Linux: what they stood for is behind the ACK; but for a hole that was only late.
        if (sample.AckedBytes > 0 && !sample.Undone && CountedDuplicates.Are(c, k)) c.DupAcks = 0;
        if (isDuplicate && CountedDuplicates.Are(c, k)) CountedDuplicates.Add(ref c, ref r, _board, ref sample);
        else if (isDuplicate && c.DupAcks < byte.MaxValue) c.DupAcks++;
        if (!IsProbeLoss(c, ref k, sample.LostBytes) && MayEnter(c, k, sample, isSack, isDuplicate) && !IsProbeHole(c, ref k))
        {
            sample.EnteredRecovery = true;
            Enter(ref c, ref k, sample, isSack);
            return;
        }
        if (!isSack && sample.AckedBytes > 0 && (r.Flags & RecoveryFlags.MtuRepair) != 0 && IsProbeRepair(c, r)) r.Flags |= RecoveryFlags.RetransmitHead;
        // As Linux: once in disorder, also as long as the first segment has been sent more than once.
        var isHeadRepeated = (r.Phase != RecoveryPhase.Open || sample.Undone) && k.Does(SenderMechanisms.PacketWindow) && r.Head != RecordPool.None && _board[r.Head].Has(RecordFlags.Retransmitted);
        r.Phase = c.DupAcks > 0 || r.SackedBytes > 0 || isHeadRepeated ? RecoveryPhase.Disorder : RecoveryPhase.Open;
        EcnResponse.OnAck(_recovery, ref c, ref k, sample.DeliveredBytes);
        // As Linux: on a path that reorders, what a SACK reports opens the window too.
        if (sample.AckedBytes > 0 || (sample.SackedBytes > 0 && _recovery.Memory.HasReordered(k))) Grow(ref c, ref k, sample);
        sample.LeftRecovery = sample.Undone;
    }

    private void TellLosses(ref Tcb c, ref TcbCold k, in Delivery d)
    {
        Counters.TCPLostBytes += d.LostBytes;
        if (d.LostBytes > 0 && d.Losses.IsWanted) _recovery.Controls.Of(k).OnLost(ref c, ref k, d.Losses, d.Now);
    }

    /// <summary>Where the connection's probe of its path's MTU begins, set before each of its ACKs; null without.</summary>
    internal SeqNumber? MtuProbe { get; set; }

    /// <summary>Whether the probe alone was found lost since <see cref="MtuProbe"/> was set.</summary>
    internal bool TakeMtuProbeLoss()
    {
        var isLost = _isMtuProbeLost;
        _isMtuProbeLost = false;
        return isLost;
    }

    // RFC 4821 §7.6.2: that a probe of the path's MTU alone is lost is no sign of congestion. It goes again in parts.
    private bool IsProbeLoss(in Tcb c, ref TcbCold k, uint lostNow)
    {
        ref var r = ref k.Recovery;
        if (MtuProbe is not { } probe || lostNow == 0 || r.Phase >= RecoveryPhase.Recovery || !_recovery.IsRack(c, k)) return false;
        ref var head = ref _board[r.Head];
        if (head.Seq != probe || !head.Has(RecordFlags.Lost) || r.LostBytes != head.Length) return false;
        RepairProbe(ref r, ref head);
        return true;
    }

    // The same where duplicates tell of losses: what they wait for is the probe, and nothing else is held to be lost.
    private bool IsProbeHole(in Tcb c, ref TcbCold k)
    {
        ref var r = ref k.Recovery;
        if (MtuProbe != c.Snd.Una || _recovery.IsRack(c, k)) return false;
        ref var head = ref _board[r.Head];
        if (head.Has(RecordFlags.InFlightAgain) || r.LostBytes != (head.Has(RecordFlags.Lost) ? head.Length : 0)) return false;
        if (!head.Has(RecordFlags.Lost))
        {
            head.Flags |= RecordFlags.Lost;
            r.LostBytes = head.Length;
            SentList.Remove(_pool, ref r, r.Head);
        }
        RepairProbe(ref r, ref head);
        r.RecoveryPoint = c.Snd.Max;
        r.Flags |= RecoveryFlags.RecoveryPointSet;
        // Without SACK duplicates make no room in the window: the parts go as in fast retransmit, each when the one before it has arrived.
        if ((c.Flags & TcbFlags.Sack) == 0) r.Flags |= RecoveryFlags.RetransmitHead;
        return true;
    }

    // The duplicates that go on to come until the parts have arrived begin nothing: what is lost again is the timer's.
    private bool IsProbeRepair(in Tcb c, in RecoveryState r) =>
        (r.Flags & RecoveryFlags.RecoveryPointSet) != 0 && c.Snd.Una.IsBefore(r.RecoveryPoint)
        && _board[r.Head].Has(RecordFlags.Lost) && _board[r.Head].Has(RecordFlags.InFlightAgain | RecordFlags.MtuLost);

    private void RepairProbe(ref RecoveryState r, ref TransmissionRecord head)
    {
        head.Flags |= RecordFlags.MtuLost;
        r.RtxNext = r.Head;
        r.Flags |= RecoveryFlags.MtuRepair;
        _isMtuProbeLost = true;
    }

    // An ACK within recovery, or within the repair after a time-out.
    private void Continue(ref Tcb c, ref TcbCold k, ref AckSample sample, in Delivery d, bool isSack, bool isDuplicate)
    {
        ref var r = ref k.Recovery;
        if (r.Phase == RecoveryPhase.Loss)
        {
            if (CountedDuplicates.Are(c, k)) CountedDuplicates.OnAckAfterTimeout(ref c, ref r, _board, ref sample, isDuplicate);
            Grow(ref c, ref k, sample);
        }
        else if (CountedDuplicates.Are(c, k)) CountedDuplicates.OnAck(ref c, ref k, _pool, _board, ref sample, d, isDuplicate);
        else if (!isSack) FastRecovery.OnAckWithoutSack(ref c, ref r, sample.AckedBytes, isDuplicate);
        // RFC 9937 §6.2: an ACK that delivers nothing changes nothing.
        else if ((r.Flags & RecoveryFlags.ProportionalReduction) != 0 && DeliveredOf(c, k, sample) is > 0 and var delivered)
            ProportionalRateReduction.OnAck(ref c, k, ref _pool.Episode(r.Episode), delivered, sample.AckedBytes > 0 && sample.LostBytes == 0);
    }

    // As Linux: in whole segments, what had been sent again for nothing among them.
    private static uint DeliveredOf(in Tcb c, in TcbCold k, in AckSample sample) =>
        k.Does(SenderMechanisms.PacketWindow) ? sample.CountedAsDelivered(c.Mss).DeliveredSegments * c.Mss : sample.DeliveredBytes;

    // The probe's answer, F-RTO's verdict, and what may be given back. True: the last reduction was undone.
    private bool OnEpisodeAck(ref Tcb c, ref TcbCold k, ref AckSample sample, in Delivery d, bool isDuplicate, bool isBareDuplicate)
    {
        ref var r = ref k.Recovery;
        ref var e = ref _pool.Episode(r.Episode);
        var isDsack = d.DuplicateBytes > 0 && Undo.OnDuplicate(ref r, ref e, d.DuplicateBytes, d.DuplicateEnd);
        if (TailLossProbe.OnAck(c, ref r, e, d, isBareDuplicate) == TailLossProbe.Outcome.Repaired && r.Phase < RecoveryPhase.Recovery)
        {
            // RFC 8985 §7.4.2: the loss was repaired, and is congestion like any other.
            Counters.TCPLossProbeRecovery++;
            var used = _recovery.Validation.OnCongestion(ref c, ref k);
            var flight = Math.Max(_recovery.FlightAtLoss(c, k), Math.Min(sample.InFlightBefore, c.Cwnd));
            _recovery.Controls.Of(k).OnLoss(ref c, ref k, Math.Max(flight, used));
            c.Cwnd = Math.Min(c.Cwnd, c.Ssthresh);
            EcnResponse.OweNotice(ref r);
        }
        var settings = _recovery.SettingsOf(k);
        // As Linux: an ACK of everything tells it too.
        var isFrto = r.Phase == RecoveryPhase.Loss && (c.Snd.Una.IsBefore(r.RecoveryPoint) || k.Does(SenderMechanisms.PacketWindow))
            && ForwardRto.OnAck(ref c, ref r, sample.AckedBytes, sample.SackedBytes, isDuplicate, d.OriginalDelivered);
        if ((r.Flags & RecoveryFlags.UndoPossible) == 0) return false;
        var isEarly = settings.EifelUndo && sample.AckedBytes > 0 && r.Phase >= RecoveryPhase.Recovery && d.HasEcho && Undo.IsBeforeRetransmission(e, d.EchoMs);
        isDsack &= settings.DsackUndo;
        if (!isFrto && !isEarly && !isDsack) return false;
        if (isFrto) Counters.TCPSpuriousRTOs++;
        if (r.Phase == RecoveryPhase.Loss) Counters.TCPLossUndo++;
        else if (isDsack) Counters.TCPDSACKUndo++;
        else if (c.Snd.Una.IsBefore(r.RecoveryPoint)) Counters.TCPPartialUndo++;
        else Counters.TCPFullUndo++;
        // RFC 6582 §3.2 step 2: without SACK, recovery lasts until something above its recovery point is acknowledged, undone or not.
        var lasts = c.Snd.Una == r.RecoveryPoint && r.Phase == RecoveryPhase.Recovery && (r.Flags & RecoveryFlags.ProportionalReduction) != 0 && CountedDuplicates.Are(c, k);
        var isPartial = !isFrto && !isDsack && r.Phase == RecoveryPhase.Recovery && c.Snd.Una.IsBefore(r.RecoveryPoint) && k.Does(SenderMechanisms.PacketWindow);
        if (isPartial) NoteOvertaken(c, k, ref sample);
        if (r.Phase >= RecoveryPhase.Recovery) Rack.OnRecoveryEnd(ref r);
        Undo.Restore(ref c, ref r, e);
        _recovery.Validation.Reset(ref k);
        if (Undo.GivesBack(e)) _recovery.Controls.Of(k).OnUndo(ref c, ref k, e.PriorWmax);
        ForwardRto.End(ref r);
        // RFC 4015 §3.3 step 8: nothing more goes again.
        _board.UnmarkLost(ref r);
        // As Linux: what duplicates stand for has arrived all the same.
        if (!isPartial) c.DupAcks = 0;
        r.Phase = lasts ? RecoveryPhase.Recovery : RecoveryPhase.Open;
        if (lasts) r.Flags |= RecoveryFlags.ProportionalReduction | RecoveryFlags.RecoveryPointSet;
        return true;
    }

    // As Linux: the hole was no loss but late, by all that had arrived beyond it.
    private void NoteOvertaken(in Tcb c, in TcbCold k, ref AckSample sample)
    {
        ref readonly var r = ref k.Recovery;
        var top = r.TopSacked != RecordPool.None ? _board[r.TopSacked].End : c.DupAcks > 0 ? c.Snd.Max : c.Snd.Una;
        sample.LateDistance = (uint)Math.Max(0, top - (c.Snd.Una - sample.AckedBytes));
        _recovery.Memory.NoteReordering(c, k, sample.LateDistance);
    }

    // RFC 6675 §5 steps 1 and 2; RFC 6582 §3.2 step 2: without SACK, not again for what lies before recover. With RACK, any loss.
    private bool MayEnter(in Tcb c, in TcbCold k, in AckSample sample, bool isSack, bool isDuplicate)
    {
        ref readonly var r = ref k.Recovery;
        if (r.Head == RecordPool.None) return false;
        if (_recovery.IsRack(c, k)) return sample.LostBytes > 0 || HasLoss(c, k);
        if (!isDuplicate || IsProbeRepair(c, r)) return false;
        return isSack
            ? c.DupAcks >= DupThresh || IsHeadLost(r)
            : c.DupAcks >= CountedDuplicates.Threshold(c, k) && (r.Flags & RecoveryFlags.RecoveryPointSet) == 0;
    }

    private bool HasLoss(in Tcb c, in TcbCold k)
    {
        ref readonly var r = ref k.Recovery;
        if (_recovery.IsRack(c, k) && (r.Flags & RecoveryFlags.MtuRepair) == 0 && r.LostBytes > r.RetransmittedBytes) return true;
        return IsHeadLost(r);
    }

    private bool IsHeadLost(in RecoveryState r) =>
        r.Head != RecordPool.None && _board[r.Head].Has(RecordFlags.Lost) && !_board[r.Head].Has(RecordFlags.MtuLost);

    private void Enter(ref Tcb c, ref TcbCold k, in AckSample sample, bool isSack)
    {
        ref var r = ref k.Recovery;
        var before = c.Cwnd;
        var settings = _recovery.SettingsOf(k);
        var hasEpisode = _recovery.TryOpenEpisode(ref r);
        if (hasEpisode && settings.MayUndo) Undo.Begin(c, k, ref r, ref _pool.Episode(r.Episode));
        if (isSack) Counters.TCPSackRecovery++;
        else Counters.TCPRenoRecovery++;
        // RFC 3168 §6.1.2, RFC 8257 §3.5: one reduction for a window of data, be it for marks or for losses.
        var ownsWindow = CongestionControl.OwnsWindow(r.Algorithm);
        if (ownsWindow || (r.Flags & RecoveryFlags.EcnResponded) == 0 || !c.Snd.Una.IsBefore(r.RecoveryPoint))
        {
            var window = _recovery.Validation.OnLoss(ref c, ref k);
            _recovery.Controls.Of(k).OnLoss(ref c, ref k, _recovery.FlightAtLoss(c, k));
            if (window != 0) c.Ssthresh = window;
            EcnResponse.OweNotice(ref r);
        }
        FastRecovery.Begin(ref c, ref r, _board[r.Head], isSack, _recovery.IsRack(c, k), CountedDuplicates.Are(c, k));
        r.Flags &= ~(RecoveryFlags.ProbeInFlight | RecoveryFlags.ProbePending | RecoveryFlags.EcnResponded);
        if ((!isSack && !CountedDuplicates.Are(c, k)) || !hasEpisode) return;
        ref var e = ref _pool.Episode(r.Episode);
        // RFC 6675 §5 step 4.3: no rescue before the first retransmission is acknowledged.
        if (isSack && !_recovery.IsRack(c, k)) e.RescueRxt = c.Snd.Una + Math.Min(_board[r.Head].Length, c.Mss);
        if (!settings.ProportionalRateReduction || ownsWindow) return;
        ProportionalRateReduction.Begin(c, ref r, ref e, sample.AckedBytes, sample.SackedBytes);
        // As RFC 6937 had it before RFC 9937, and Linux has it: of the window.
        if (k.Does(SenderMechanisms.PacketWindow)) e.RecoverFs = Math.Max(before, 1);
        ProportionalRateReduction.OnAck(ref c, k, ref e, isSack ? DeliveredOf(c, k, sample) : c.Mss, isSafe: false);
    }

    private void Leave(ref Tcb c, ref TcbCold k, in AckSample sample, bool isSack)
    {
        ref var r = ref k.Recovery;
        if (r.Phase == RecoveryPhase.Loss) Grow(ref c, ref k, sample);
        else if ((r.Flags & RecoveryFlags.ProportionalReduction) != 0) ProportionalRateReduction.End(ref c, ref r, keepsWindow: !isSack && c.Ssthresh == uint.MaxValue);
        else FastRecovery.End(ref c, isSack);
        if (!isSack) c.DupAcks = 0;
        _recovery.Validation.OnRecoveryEnd(ref c, ref k);
        Rack.OnRecoveryEnd(ref r);
        ForwardRto.End(ref r);
        r.Flags &= ~(RecoveryFlags.RetransmitHead | RecoveryFlags.RescueOffered);
        // RFC 6582 §3.2 step 2 asks for an ACK beyond recover before the next fast retransmit.
        if (isSack || c.Snd.Una.IsAfter(r.RecoveryPoint)) r.Flags &= ~RecoveryFlags.RecoveryPointSet;
        r.Phase = r.SackedBytes > 0 ? RecoveryPhase.Disorder : RecoveryPhase.Open;
    }

    private void Grow(ref Tcb c, ref TcbCold k, in AckSample sample)
    {
        ref var r = ref k.Recovery;
        var isByPackets = k.Does(SenderMechanisms.PacketWindow);
        // As Linux: where nothing has been reordered, what only SACKs report does not open it.
        if ((sample.AckedBytes == 0 && (!isByPackets || !_recovery.Memory.HasReordered(k))) || (r.Flags & RecoveryFlags.Established) == 0) return;
        // RFC 7661 §1, RFC 9438 §5.8: a window that is not used says nothing about the path, so it does not grow.
        var isLimited = (r.Phase == RecoveryPhase.Loss && !_recovery.Memory.Does(k, SenderMechanisms.WindowUsePerWindow)) || _recovery.Memory.IsWindowLimited(c, k, sample.InFlightBefore);
        // RFC 7661 §4.2: no sample during the repair after a time-out.
        if (r.ValidatesWindow && r.Phase != RecoveryPhase.Loss) isLimited = _recovery.Validation.OnAck(ref c, ref k, sample.DeliveredBytes, isLimited, sample.Now);
        // RFC 3168 §6.1.2: no growth while marks are being answered.
        if (EcnResponse.IsAnswering(c, r)) return;
        var isFirst = c.Ssthresh == uint.MaxValue;
        if (!isByPackets) _recovery.Controls.Of(k).OnAck(ref c, ref k, sample, isLimited, _recovery.SettingsOf(k));
        else _recovery.Controls.Of(k).OnAck(ref c, ref k, sample.CountedAsDelivered(c.Mss), isLimited, _recovery.SettingsOf(k));
        if (!isFirst || c.Ssthresh == uint.MaxValue) return;
        Counters.TCPHystartDelayDetect++;
        Counters.TCPHystartDelayCwnd += c.Cwnd / c.Mss;
    }
}
