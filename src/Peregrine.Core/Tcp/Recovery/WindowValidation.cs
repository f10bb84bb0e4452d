// Congestion window validation (RFC 7661): a window that the application does not use is kept for five minutes, neither grown nor restarted; a loss
// then cuts it to half of what was used, and what is sent into it meanwhile is paced. How much was used is pipeACK, what was delivered in a
// round trip. When loss has occurred is RecoveryPhases', how a validated window grows congestion control's.
using Peregrine.Core.Tcp.Congestion;
using Peregrine.Core.Time;

namespace Peregrine.Core.Tcp.Recovery;

internal sealed class WindowValidation(LossRecovery recovery, RecordPool pool)
{
    /// <summary>No window is larger than 2³⁰ bytes: further halvings change nothing.</summary>
    private const int HalvingsMax = 30;

    /// <summary>RFC 7661 §5: how long a window is kept that is not validated, and how often it is halved after that until it is an initial one.</summary>
    private static readonly Duration NonValidatedPeriod = Duration.FromSeconds(300);

    private readonly LossRecovery _recovery = recovery;
    private readonly RecordPool _pool = pool;

    /// <summary>RFC 7661 §4.1, §4.4.1: the connection begins, or recovery is over: what was measured before says nothing.</summary>
    internal void Reset(ref TcbCold k)
    {
        ref var r = ref k.Recovery;
        End(ref r);
        r.ValidatesWindow = _recovery.SettingsOf(k).WindowValidation && !k.HasHistory && !CongestionControl.OwnsWindow(r.Algorithm);
        if (!r.IsNonValidated) return;
        r.IsNonValidated = false;
        _recovery.ChoosePacing(ref k);
    }

    /// <summary>The connection ends.</summary>
    internal void End(ref RecoveryState r)
    {
        if (r.Validation == RecordPool.None) return;
        _pool.Return(r.Validation);
        r.Validation = RecordPool.None;
    }

    /// <summary>An ACK outside recovery has delivered something. Whether the window may grow.</summary>
    /// <param name="c">The connection.</param>
    /// <param name="k">Its cold part.</param>
    /// <param name="delivered">How much.</param>
    /// <param name="isUsed">Whether the window may grow where it is not known how much of it is used.</param>
    /// <param name="now">Now.</param>
    internal bool OnAck(ref Tcb c, ref TcbCold k, uint delivered, bool isUsed, Instant now)
    {
        ref var r = ref k.Recovery;
        if (r.Validation == RecordPool.None)
        {
            // An initial window is one that a connection may begin with, used or not.
            if (c.Cwnd <= _recovery.InitialWindow(c) || !_pool.TryRent(out var rented)) return isUsed;
            r.Validation = rented;
            _pool.Validation(r.Validation) = default;
        }
        ref var v = ref _pool.Validation(r.Validation);
        TakeSample(ref v, k.Rtt, delivered, now);
        Judge(ref c, ref k, now, now);
        if (!v.Has(ValidationFlags.Defined)) return isUsed;
        // RFC 7661 §4.4: in the non-validated phase only where the window was filled.
        return !r.IsNonValidated || (r.Flags & (RecoveryFlags.LimitedThisRound | RecoveryFlags.LimitedLastRound)) != 0;
    }

    /// <summary>Something is about to be sent and nothing is in flight: the window is kept (RFC 7661 §4.4), but not for ever (§4.4.3).</summary>
    /// <returns>Whether it is known how much of the window was used.</returns>
    internal bool OnIdle(ref Tcb c, ref TcbCold k, Instant now)
    {
        if (k.Recovery.Validation == RecordPool.None) return false;
        ref var v = ref _pool.Validation(k.Recovery.Validation);
        if (!v.Has(ValidationFlags.Sampling)) return true;
        var start = v.HalfStart.ToInstant(now);
        // A start in the future is one of more than three days ago.
        var since = start > now + HalfOf(k.Rtt) ? now - (NonValidatedPeriod * HalvingsMax) : Instant.Min(start + (HalfOf(k.Rtt) * 2), now);
        CloseSample(ref v);
        v.Flags &= ~ValidationFlags.Sampling;
        Roll(ref v, k.Rtt, now);
        Judge(ref c, ref k, now, since);
        return true;
    }

    /// <summary>
    /// RFC 7661 §4.4.1: congestion was noticed, and the window is about to be reduced: from what is used, where more was not validated. Phase and
    /// measurements end with it.
    /// </summary>
    /// <returns>What was used, where the window was not validated; else 0.</returns>
    internal uint OnCongestion(ref Tcb c, ref TcbCold k)
    {
        if (k.Recovery.Validation == RecordPool.None) return 0;
        var used = k.Recovery.IsNonValidated ? Used(c, k) : 0;
        if (used != 0) c.Cwnd = Math.Min(c.Cwnd, used);
        Reset(ref k);
        return used;
    }

    /// <summary>The same where a recovery follows, whose end takes into account what had to be repaired.</summary>
    /// <returns>The window that recovery goes by, to be put in the place of congestion control's; 0 for that.</returns>
    internal uint OnLoss(ref Tcb c, ref TcbCold k)
    {
        if (k.Recovery.Validation == RecordPool.None) return 0;
        if (!k.Recovery.IsNonValidated)
        {
            Reset(ref k);
            return 0;
        }
        c.Cwnd = Math.Min(c.Cwnd, Used(c, k));
        _pool.Validation(k.Recovery.Validation) = new ValidationState { Highest = c.Cwnd, Flags = ValidationFlags.Repairing };
        return Math.Max(c.Cwnd / 2, c.Mss);
    }

    /// <summary>So much of what was sent again has been delivered.</summary>
    internal void OnRepaired(in RecoveryState r, uint bytes)
    {
        if (bytes == 0 || r.Validation == RecordPool.None) return;
        ref var v = ref _pool.Validation(r.Validation);
        if (v.Has(ValidationFlags.Repairing)) v.Sample += bytes;
    }

    /// <summary>RFC 7661 §4.4.1: recovery has come to its end.</summary>
    internal void OnRecoveryEnd(ref Tcb c, ref TcbCold k)
    {
        if (k.Recovery.Validation == RecordPool.None) return;
        var v = _pool.Validation(k.Recovery.Validation);
        if (v.Has(ValidationFlags.Repairing)) c.Cwnd = c.Ssthresh = Math.Max((v.Highest - Math.Min(v.Sample, v.Highest)) / 2, c.Mss);
        Reset(ref k);
    }

    /// <summary>RFC 7661 §4.2: pipeACK, or null while it is undefined: for tests and tools.</summary>
    internal uint? PipeAck(in RecoveryState r) =>
        r.Validation != RecordPool.None && _pool.Validation(r.Validation) is var v && v.Has(ValidationFlags.Defined) ? v.PipeAck : null;

    private uint Used(in Tcb c, in TcbCold k) =>
        Math.Max(Math.Max(_pool.Validation(k.Recovery.Validation).PipeAck, LossRecovery.FlightSize(c)), c.Mss);

    // RFC 7661 §4.2, §4.5.1: one sample a round trip, and the largest of two halves of the sampling period.
    private static void TakeSample(ref ValidationState v, in RttState rtt, uint delivered, Instant now)
    {
        var stamp = TimeStamp32.Of(now);
        if (!v.Has(ValidationFlags.Sampling))
        {
            if (!v.Has(ValidationFlags.Defined)) v.HalfStart = Deadline.At(now);
            (v.Sample, v.SampleStart) = (0, stamp);
            v.Flags |= ValidationFlags.Sampling;
        }
        else if (TimeStamp32.Between(v.SampleStart, stamp).Microseconds >= rtt.Srtt >> 3)
        {
            CloseSample(ref v);
            (v.Sample, v.SampleStart) = (0, stamp);
        }
        Roll(ref v, rtt, now);
        v.Sample += delivered;
    }

    // Before the halves move: a sample belongs to the time in which it was taken.
    private static void CloseSample(ref ValidationState v)
    {
        v.Highest = Math.Max(v.Highest, v.Sample);
        v.Flags |= ValidationFlags.Defined;
    }

    private static void Roll(ref ValidationState v, in RttState rtt, Instant now)
    {
        var half = HalfOf(rtt);
        var elapsed = now - v.HalfStart.ToInstant(now);
        if (elapsed + half < Duration.Zero || elapsed >= half + half) (v.HighestBefore, v.Highest, v.HalfStart) = (0, 0, Deadline.At(now));
        else if (elapsed >= half) (v.HighestBefore, v.Highest, v.HalfStart) = (v.Highest, 0, Deadline.At(now));
    }

    // RFC 7661 §4.2: the sampling period is Max(3 * RTT, 1 second).
    private static Duration HalfOf(in RttState rtt) => Duration.FromMicroseconds(Math.Max(3 * (rtt.Srtt >> 3), 1_000_000u) / 2);

    // RFC 7661 §4.3: which phase this is.
    private void Judge(ref Tcb c, ref TcbCold k, Instant now, Instant since)
    {
        ref var r = ref k.Recovery;
        ref var v = ref _pool.Validation(r.Validation);
        if (!v.Has(ValidationFlags.Defined)) return;
        if (r.IsNonValidated) Expire(ref c, ref k, now);
        var isNonValidated = v.PipeAck < c.Cwnd / 2;
        if (isNonValidated == r.IsNonValidated) return;
        r.IsNonValidated = isNonValidated;
        v.Since = Deadline.At(since);
        if (isNonValidated) Expire(ref c, ref k, now);
        // RFC 7661 §4.4.2: what is sent into a window that is not validated is spread over the round trip.
        _recovery.ChoosePacing(ref k);
    }

    // RFC 7661 §4.4.3, §4.5.2: one reduction for each period.
    private void Expire(ref Tcb c, ref TcbCold k, Instant now)
    {
        ref var v = ref _pool.Validation(k.Recovery.Validation);
        var kept = now - v.Since.ToInstant(now);
        if (kept + NonValidatedPeriod < Duration.Zero) kept = NonValidatedPeriod * HalvingsMax;
        if (kept < NonValidatedPeriod) return;
        for (var i = 0; i < HalvingsMax && kept >= NonValidatedPeriod; i++, kept -= NonValidatedPeriod)
        {
            c.Ssthresh = Math.Max(c.Ssthresh, c.Cwnd / 4 * 3);
            c.Cwnd = Math.Min(c.Cwnd, Math.Max(c.Cwnd / 2, _recovery.InitialWindow(c)));
        }
        v.Since = Deadline.At(now - Duration.Min(kept, NonValidatedPeriod));
        _recovery.Controls.Of(k).OnRestart(ref c, ref k);
    }
}
