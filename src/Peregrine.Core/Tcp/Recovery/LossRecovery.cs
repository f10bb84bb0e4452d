// Loss recovery: what is in flight, what is lost, what goes out again and how much may go out new (RFC 5681, 6582, 6675, 3042). It feeds
// the congestion control and asks it for ssthresh. It owns no timers (it says how long RTO is) and builds no segments.
using Peregrine.Core.Memory;
using Peregrine.Core.Tcp.Congestion;
using Peregrine.Core.Time;
using Peregrine.Wire;

namespace Peregrine.Core.Tcp.Recovery;

/// <summary>Loss recovery of all connections of a stack, over one pool of transmission records.</summary>
internal sealed class LossRecovery
{
    /// <summary>Steps that one ACK may spend on finding places in the scoreboard.</summary>
    internal const int StepsPerAckMax = 1024;

    private const int DupThresh = 3;

    private readonly RecordPool _pool;
    private readonly Scoreboard _board;
    private readonly RetransmissionChoice _choice;

    /// <summary>Cuts the pool of records out of <paramref name="region"/>.</summary>
    internal LossRecovery(MemoryRegion region, int recordCount, RecoverySettings? settings = null)
    {
        _pool = new RecordPool(region, recordCount);
        _board = new Scoreboard(_pool);
        _choice = new RetransmissionChoice(_board);
        Settings = settings ?? new RecoverySettings();
    }

    internal RecoverySettings Settings { get; }

    /// <summary>Records that can be taken now.</summary>
    internal int FreeRecords => _pool.FreeCount;

    internal Scoreboard Board => _board;

    /// <summary>Bytes that a pool of so many records takes.</summary>
    internal static nuint BytesFor(int recordCount) => RecordPool.BytesFor(recordCount);

    /// <summary>A connection begins, before its SYN is sent: nothing is outstanding. Cwnd is one segment until <see cref="OnEstablished"/>.</summary>
    internal void Initialize(ref Tcb c, ref TcbCold k, CongestionAlgorithm algorithm, Instant now)
    {
        k.Rtt = default;
        k.Recovery = default;
        k.Recovery.Algorithm = algorithm;
        k.Recovery.DeliveredAt = TimeStamp32.Of(now);
        k.Recovery.FirstSentAt = k.Recovery.DeliveredAt;
        c.DupAcks = 0;
        c.Cwnd = c.Mss;
        // RFC 5681 §3.1: the initial ssthresh is arbitrarily high.
        c.Ssthresh = uint.MaxValue;
        CongestionControl.Of(algorithm).Initialize(ref k.Congestion);
    }

    /// <summary>The handshake is done and Mss final.</summary>
    /// <param name="c">The connection.</param>
    /// <param name="k">Its cold part.</param>
    /// <param name="rtt">The handshake's round trip where the caller measured it, else zero.</param>
    /// <param name="synRetransmitted">Our SYN or SYN-ACK was sent more than once.</param>
    /// <param name="now">Now.</param>
    internal void OnEstablished(ref Tcb c, ref TcbCold k, Duration rtt, bool synRetransmitted, Instant now)
    {
        ref var r = ref k.Recovery;
        r.Flags = RecoveryFlags.Established;
        r.Phase = RecoveryPhase.Open;
        r.Backoff = 0;
        c.DupAcks = 0;
        c.Ssthresh = uint.MaxValue;
        c.Cwnd = InitialWindow(c);
        CongestionControl.Of(r.Algorithm).Initialize(ref k.Congestion);
        if (synRetransmitted)
        {
            // RFC 5681 §3.1: after a lost SYN the initial window is one segment. RFC 6298 §5.7: and RTO is 3 s when data begin.
            c.Cwnd = c.Mss;
            k.Rtt = default;
            r.Flags |= RecoveryFlags.SynTimedOut;
        }
        else if (rtt > Duration.Zero && k.Rtt.Srtt == 0) RoundTrip.Take(ref k.Rtt, rtt);
        if (r.Head == RecordPool.None) r.FirstSentAt = TimeStamp32.Of(now);
    }

    /// <summary>Bytes of new data that the congestion window lets go now; the peer's window is the caller's business.</summary>
    internal uint SendAllowance(in Tcb c, in TcbCold k)
    {
        var phase = k.Recovery.Phase;
        var isSack = (c.Flags & TcbFlags.Sack) != 0;
        uint limit = c.Cwnd, used;
        if (isSack || phase == RecoveryPhase.Loss)
        {
            // RFC 6675 §5 steps 3.3 and (C): the pipe governs, which is limited transmit as well.
            used = Pipe(c, k);
        }
        else
        {
            // RFC 6582: the window is inflated instead. RFC 3042 §2: one segment for each of the first two duplicate ACKs.
            used = phase == RecoveryPhase.Recovery ? FlightSize(c) : Pipe(c, k);
            if (phase == RecoveryPhase.Disorder) limit += Math.Min((uint)c.DupAcks, 2) * c.Mss;
        }
        var room = limit > used ? limit - used : 0;
        // RFC 6675 §5 (C): in recovery whole segments only; but with nothing in flight, what there is: Mss may have grown past cwnd.
        return phase >= RecoveryPhase.Recovery && room < c.Mss && used != 0 ? 0 : room;
    }

    /// <summary>
    /// To be called for each transmission, before it is made: sequence space with SYN and FIN counted. New data must start at Snd.Max;
    /// Snd.Nxt and Snd.Max are moved here. False: no record is free, and new data must not be sent now (nothing was changed). That
    /// happens only to a connection with nothing in flight; a retransmission always succeeds.
    /// </summary>
    internal bool OnTransmit(ref Tcb c, ref TcbCold k, SeqNumber seq, uint length, bool isRetransmission, Instant now)
    {
        ref var r = ref k.Recovery;
        if (isRetransmission)
        {
            var isRescue = (r.Flags & RecoveryFlags.RescueOffered) != 0;
            if (isRescue) r.RescueRxt = r.RecoveryPoint;
            r.Flags &= ~(RecoveryFlags.RescueOffered | RecoveryFlags.RetransmitHead);
            _board.MarkRetransmitted(ref r, seq, length, isRescue, now);
            return true;
        }
        if (r.Head == RecordPool.None)
        {
            // Time without anything in flight belongs to no rate sample.
            r.FirstSentAt = TimeStamp32.Of(now);
            r.DeliveredAt = r.FirstSentAt;
        }
        if (!_board.TryAppend(ref r, seq, length, now)) return false;
        var end = seq + length;
        if (end.IsAfter(c.Snd.Max)) c.Snd.Max = end;
        if (end.IsAfter(c.Snd.Nxt)) c.Snd.Nxt = end;
        if (Pipe(c, k) + c.Mss > c.Cwnd) r.Flags |= RecoveryFlags.LimitedThisRound;
        return true;
    }

    /// <summary>The caller has nothing more to send although the window would let it: rate samples say so.</summary>
    internal void OnAppLimited(ref Tcb c, ref TcbCold k)
    {
        ref var r = ref k.Recovery;
        r.AppLimitedUntil = Math.Max(r.Delivered + Pipe(c, k), 1);
    }

    /// <summary>Whether <see cref="TryNextRetransmission"/> may have something to say: cheap, and true too often rather than too seldom.</summary>
    internal bool HasRetransmission(in Tcb c, in TcbCold k) =>
        k.Recovery.Head != RecordPool.None
        && (k.Recovery.Phase >= RecoveryPhase.Recovery || (k.Recovery.Flags & (RecoveryFlags.RetransmitHead | RecoveryFlags.MtuRepair)) != 0);

    /// <summary>
    /// The range to retransmit next, at most one Mss long, where recovery wants one and the window allows it. The caller sends it (all or
    /// its front), says so by <see cref="OnTransmit"/>, and asks again. Snd.Nxt never goes back.
    /// </summary>
    internal bool TryNextRetransmission(ref Tcb c, ref TcbCold k, out SeqNumber seq, out uint length) =>
        _choice.TryNext(ref c, ref k, out seq, out length);

    /// <summary>
    /// An acceptable ACK came: moves Snd.Una to <paramref name="ack"/> (at most Snd.Max), keeps the scoreboard, takes round-trip samples,
    /// opens or closes the window. Call it for every acceptable ACK while something is outstanding.
    /// </summary>
    /// <param name="c">The connection.</param>
    /// <param name="k">Its cold part.</param>
    /// <param name="ack">SEG.ACK, not after Snd.Max. One before Snd.Una moves nothing, and its SACK blocks count.</param>
    /// <param name="options">The segment's options.</param>
    /// <param name="isDuplicateCandidate">RFC 5681 §2: no data, no change of the window, something is outstanding.</param>
    /// <param name="now">Now.</param>
    internal AckSample OnAck(ref Tcb c, ref TcbCold k, SeqNumber ack, in TcpOptions options, bool isDuplicateCandidate, Instant now)
    {
        ref var r = ref k.Recovery;
        if (ack.IsBefore(c.Snd.Una)) (ack, isDuplicateCandidate) = (c.Snd.Una, false);
        var inFlight = Pipe(c, k);
        var acked = (uint)(ack - c.Snd.Una);
        var d = new Delivery { Budget = StepsPerAckMax };
        if (acked > 0)
        {
            _board.Acknowledge(ref r, ack, ref d);
            c.Snd.Una = ack;
            c.DupAcks = 0;
            r.Flags &= ~RecoveryFlags.TimedOut;
        }
        if (options.SackBlockCount > 0 && (c.Flags & TcbFlags.Sack) != 0) TakeSackBlocks(c, ref r, options, ref d);
        var isRoundStart = EndRound(ref k, d);
        var partialSeen = (r.Flags & RecoveryFlags.PartialAckSeen) != 0;
        if (acked > 0) TakeRoundTrip(c, ref k, options, d, now);
        var sample = MakeSample(ref r, d, acked, inFlight, isRoundStart, now);
        var (entered, left) = Advance(ref c, ref k, sample, isDuplicateCandidate && acked == 0);
        return sample with
        {
            EnteredRecovery = entered,
            LeftRecovery = left,
            // RFC 6298 §5.3; RFC 6582 §3.2 step 3: of the partial ACKs in fast recovery only the first one restarts the timer.
            RestartTimer = acked > 0 && !(partialSeen && r.Phase == RecoveryPhase.Recovery && (c.Flags & TcbFlags.Sack) == 0),
        };
    }

    /// <summary>The retransmission timer expired: RTO doubles, all that is not SACKed is to be sent again, one segment at first.</summary>
    internal void OnRetransmissionTimeout(ref Tcb c, ref TcbCold k, Instant now)
    {
        ref var r = ref k.Recovery;
        // RFC 6298 §5.5.
        if (r.Backoff < byte.MaxValue) r.Backoff++;
        if (r.Head == RecordPool.None) return;
        var isRepeated = (r.Flags & RecoveryFlags.TimedOut) != 0;
        // RFC 5681 §3.1: ssthresh is held when the same segment times out again.
        if (!isRepeated) CongestionControl.Of(r.Algorithm).OnTimeout(ref c, ref k, FlightAtLoss(c));
        // RFC 9293 MUST-19: RFC 5681 §3.1: the loss window is one segment; slow start, congestion avoidance and back-off follow.
        c.Cwnd = c.Mss;
        c.DupAcks = 0;
        // RFC 2018 §8 and RFC 6675 §5.1: SACKs are kept unless the peer has taken data back, which shows in a left edge that was
        // SACKed and is not acknowledged; and when the repair itself times out, they are not believed either.
        _board.MarkAllLost(ref r, isRepeated || _board[r.Head].IsSacked);
        // RFC 6675 §5.1, RFC 6582 §3.2 step 4: no fast recovery before all this is acknowledged.
        r.RecoveryPoint = c.Snd.Max;
        r.Phase = RecoveryPhase.Loss;
        r.Flags &= ~(RecoveryFlags.RetransmitHead | RecoveryFlags.RescueOffered | RecoveryFlags.MtuRepair | RecoveryFlags.PartialAckSeen);
        r.Flags |= RecoveryFlags.TimedOut | RecoveryFlags.RecoveryPointSet;
        _ = now;
    }

    /// <summary>To be called before sending when nothing is outstanding: lowers the window after idleness (RFC 5681 §4.1).</summary>
    internal void OnIdle(ref Tcb c, ref TcbCold k, Instant now)
    {
        ref var r = ref k.Recovery;
        if (!Settings.RestartAfterIdle || r.Head != RecordPool.None || (r.Flags & RecoveryFlags.Established) == 0) return;
        // With nothing in flight the latest delivered record is the last one sent.
        if (TimeStamp32.Between(r.FirstSentAt, TimeStamp32.Of(now)) <= Rto(k)) return;
        // RFC 5681 §4.1: RW = min(IW, cwnd).
        c.Cwnd = Math.Min(c.Cwnd, InitialWindow(c));
        r.Flags &= ~(RecoveryFlags.LimitedThisRound | RecoveryFlags.LimitedLastRound);
        CongestionControl.Of(r.Algorithm).OnRestart(ref c, ref k);
    }

    /// <summary>The path MTU shrank: lowers Mss and has what was sent in larger segments sent again, without closing the window.</summary>
    internal void OnMssReduced(ref Tcb c, ref TcbCold k, ushort newMss)
    {
        ref var r = ref k.Recovery;
        // RFC 5681 §3.1: an initial window of segments too large shrinks with them. Later it stays (RFC 1191 §6.5): this is no congestion.
        if (newMss < c.Mss && r.Delivered <= 1) c.Cwnd = (uint)Math.Max((ulong)c.Cwnd * newMss / c.Mss, newMss);
        c.Mss = Math.Min(c.Mss, newMss);
        if (_board.MarkMtuLost(ref r, newMss)) r.Flags |= RecoveryFlags.MtuRepair;
    }

    /// <summary>The retransmission time-out now, doublings included.</summary>
    internal Duration Rto(in TcbCold k) =>
        RoundTrip.Rto(k.Rtt, k.Recovery.Backoff, (k.Recovery.Flags & RecoveryFlags.SynTimedOut) != 0, Settings);

    /// <summary>RFC 6675 §4: the estimate of the bytes in the network.</summary>
    internal static uint Pipe(in Tcb c, in TcbCold k) =>
        FlightSize(c) - k.Recovery.SackedBytes - k.Recovery.LostBytes + k.Recovery.RetransmittedBytes;

    /// <summary>Bytes sent and not cumulatively acknowledged (RFC 5681 §2).</summary>
    internal static uint FlightSize(in Tcb c) => c.Snd.Max.Value - c.Snd.Una.Value;

    /// <summary>The connection ends: gives all its records back.</summary>
    internal void Release(ref Tcb c, ref TcbCold k)
    {
        _board.Release(ref k.Recovery);
        k.Recovery = default;
    }

    /// <summary>Whether the scoreboard holds together: for debug builds and tests.</summary>
    internal bool Check(in Tcb c, in TcbCold k) => ScoreboardCheck.Holds(_pool, c, k);

    // RFC 6928 §2: min(10*MSS, max(2*MSS, 14600)).
    private uint InitialWindow(in Tcb c) => Math.Min(Settings.InitialWindowSegments * c.Mss, Math.Max(2u * c.Mss, 14_600));

    // RFC 5681 §3.2 step 2: what limited transmit sent beyond the window does not count.
    private static uint FlightAtLoss(in Tcb c) => Math.Min(FlightSize(c), Math.Max(c.Cwnd, c.Mss));

    private void TakeSackBlocks(in Tcb c, ref RecoveryState r, in TcpOptions options, ref Delivery d)
    {
        var blocks = options.SackBlocks;
        var first = 0;
        // RFC 2883 §4: the first block is a duplicate when it lies below the ACK, or within the second block.
        if (blocks[0].Left.IsBefore(blocks[0].Right)
            && (blocks[0].Right.IsBeforeOrEqual(c.Snd.Una)
                || (blocks.Length > 1 && !blocks[0].Left.IsBefore(blocks[1].Left) && !blocks[0].Right.IsAfter(blocks[1].Right))))
        {
            d.DuplicateBytes = (uint)(blocks[0].Right - blocks[0].Left);
            first = 1;
        }
        for (var i = first; i < blocks.Length; i++)
        {
            var (left, right) = (SeqNumber.Max(blocks[i].Left, c.Snd.Una), blocks[i].Right);
            // Blocks that are empty, turned round, old, or beyond what was sent mean nothing.
            if (!blocks[i].Left.IsBefore(right) || !left.IsBefore(right) || right.IsAfter(c.Snd.Max)) continue;
            _board.Sack(ref r, left, right, Math.Max(c.Mss, (ushort)1), ref d);
        }
        if (d.SackedBytes > 0) _board.MarkLost(ref r, c.Mss, ref d);
    }

    private static bool EndRound(ref TcbCold k, in Delivery d)
    {
        ref var r = ref k.Recovery;
        r.Delivered += d.Bytes;
        if (!d.HasLatest || (int)(d.Latest.Delivered - k.Rtt.RoundEnd) < 0) return false;
        k.Rtt.RoundEnd = r.Delivered;
        r.Flags &= ~(RecoveryFlags.LimitedLastRound | RecoveryFlags.RttTaken);
        if ((r.Flags & RecoveryFlags.LimitedThisRound) != 0) r.Flags |= RecoveryFlags.LimitedLastRound;
        r.Flags &= ~RecoveryFlags.LimitedThisRound;
        return true;
    }

    private static void TakeRoundTrip(in Tcb c, ref TcbCold k, in TcpOptions options, in Delivery d, Instant now)
    {
        Duration sample;
        // RFC 9293 MUST-18: RFC 6298 §3, Karn: no sample when something acknowledged was sent more than once …
        if (d.HasOldest && !d.AckedRetransmitted) sample = now - d.OldestSentAt;
        // … but for timestamps, which tell the copies apart. RFC 7323 §4.1: only from an ACK that moves Snd.Una.
        else if (!d.AckedRetransmitted || !TryTimestamp(c, options, now, out sample)) return;
        ref var r = ref k.Recovery;
        // RFC 6298 §5: a sample from data sent once ends the doubling.
        r.Backoff = 0;
        // RFC 7323 §4.2: one sample a round trip goes into the averages, so that their gains mean what RFC 6298 chose them for.
        if ((r.Flags & RecoveryFlags.RttTaken) != 0 && k.Rtt.Srtt != 0)
        {
            RoundTrip.Note(ref k.Rtt, sample);
            return;
        }
        r.Flags |= RecoveryFlags.RttTaken;
        RoundTrip.Take(ref k.Rtt, sample);
    }

    private static bool TryTimestamp(in Tcb c, in TcpOptions options, Instant now, out Duration sample)
    {
        sample = default;
        if ((c.Flags & TcbFlags.Timestamps) == 0 || !options.HasTimestamps) return false;
        // Our timestamp clock counts milliseconds from the connection's offset; an echo from the future or of long ago is none.
        var ms = (uint)(now.Nanoseconds / 1_000_000) + c.TsOffset - options.TsEcr;
        if (ms > 600_000) return false;
        sample = Duration.FromMilliseconds(Math.Max(ms, 1));
        return true;
    }

    private static AckSample MakeSample(ref RecoveryState r, in Delivery d, uint acked, uint inFlight, bool isRoundStart, Instant now)
    {
        var stamp = TimeStamp32.Of(now);
        var sample = new AckSample
        {
            Now = now, AckedBytes = acked, SackedBytes = d.SackedBytes, LostBytes = d.LostBytes, DuplicateBytes = d.DuplicateBytes,
            Delivered = r.Delivered, PriorDelivered = r.Delivered, InFlightBefore = inFlight, IsRoundStart = isRoundStart,
        };
        if (!d.HasLatest) return sample;
        var sentAt = TimeStamp32.Of(d.Latest.SentAt);
        sample = sample with
        {
            PriorDelivered = d.Latest.Delivered,
            SendElapsed = TimeStamp32.Between(d.Latest.FirstSentAt, sentAt),
            AckElapsed = TimeStamp32.Between(d.Latest.DeliveredAt, stamp),
            SinceLastDelivery = TimeStamp32.Between(r.DeliveredAt, stamp),
            IsAppLimited = d.Latest.Has(RecordFlags.AppLimited),
            Rtt = d.Latest.Has(RecordFlags.Retransmitted) ? Duration.Zero : now - d.Latest.SentAt,
        };
        r.FirstSentAt = sentAt;
        r.DeliveredAt = stamp;
        if (r.AppLimitedUntil != 0 && (int)(r.Delivered - r.AppLimitedUntil) > 0) r.AppLimitedUntil = 0;
        return sample;
    }

    private (bool Entered, bool Left) Advance(ref Tcb c, ref TcbCold k, in AckSample sample, bool isDuplicate)
    {
        ref var r = ref k.Recovery;
        var isSack = (c.Flags & TcbFlags.Sack) != 0;
        // RFC 6675 §2: with SACK, a duplicate ACK is one that reports something new.
        if (isSack) isDuplicate = sample.SackedBytes > 0;
        if (r.Phase >= RecoveryPhase.Recovery)
        {
            if (c.Snd.Una.IsBefore(r.RecoveryPoint))
            {
                if (r.Phase == RecoveryPhase.Loss) Grow(ref c, ref k, sample);
                else if (!isSack) FastRecovery.OnAckWithoutSack(ref c, ref r, sample.AckedBytes, isDuplicate);
                return default;
            }
            Leave(ref c, ref k, sample, isSack);
            // What was lost since recovery began is a congestion event of its own; no further SACK need come for it.
            if (!IsHeadLost(r)) return (false, true);
            Enter(ref c, ref k, isSack);
            return (true, true);
        }
        if ((r.Flags & RecoveryFlags.RecoveryPointSet) != 0 && c.Snd.Una.IsAfter(r.RecoveryPoint)) r.Flags &= ~RecoveryFlags.RecoveryPointSet;
        if (isDuplicate && c.DupAcks < byte.MaxValue) c.DupAcks++;
        if (isDuplicate && MayEnter(c, r, isSack))
        {
            Enter(ref c, ref k, isSack);
            return (true, false);
        }
        r.Phase = c.DupAcks > 0 || r.SackedBytes > 0 ? RecoveryPhase.Disorder : RecoveryPhase.Open;
        if (sample.AckedBytes > 0) Grow(ref c, ref k, sample);
        return default;
    }

    // RFC 6675 §5 steps 1 and 2; RFC 6582 §3.2 step 2: without SACK, not again for what lies before recover.
    private bool MayEnter(in Tcb c, in RecoveryState r, bool isSack) =>
        r.Head != RecordPool.None && (isSack
            ? c.DupAcks >= DupThresh || IsHeadLost(r)
            : c.DupAcks >= DupThresh && (r.Flags & RecoveryFlags.RecoveryPointSet) == 0);

    private bool IsHeadLost(in RecoveryState r) =>
        r.Head != RecordPool.None && _board[r.Head].Has(RecordFlags.Lost) && !_board[r.Head].Has(RecordFlags.MtuLost);

    private void Enter(ref Tcb c, ref TcbCold k, bool isSack)
    {
        CongestionControl.Of(k.Recovery.Algorithm).OnLoss(ref c, ref k, FlightAtLoss(c));
        FastRecovery.Begin(ref c, ref k.Recovery, _board[k.Recovery.Head], isSack);
    }

    private void Leave(ref Tcb c, ref TcbCold k, in AckSample sample, bool isSack)
    {
        ref var r = ref k.Recovery;
        if (r.Phase == RecoveryPhase.Loss) Grow(ref c, ref k, sample);
        else FastRecovery.End(ref c, isSack);
        r.Flags &= ~(RecoveryFlags.RetransmitHead | RecoveryFlags.RescueOffered | RecoveryFlags.PartialAckSeen);
        // RFC 6582 §3.2 step 2 asks for an ACK beyond recover before the next fast retransmit.
        if (isSack || c.Snd.Una.IsAfter(r.RecoveryPoint)) r.Flags &= ~RecoveryFlags.RecoveryPointSet;
        r.Phase = r.SackedBytes > 0 ? RecoveryPhase.Disorder : RecoveryPhase.Open;
    }

    private void Grow(ref Tcb c, ref TcbCold k, in AckSample sample)
    {
        ref var r = ref k.Recovery;
        if (sample.AckedBytes == 0 || (r.Flags & RecoveryFlags.Established) == 0) return;
        // RFC 7661 §1, RFC 9438 §5.8: a window that is not used says nothing about the path, so it does not grow. In slow start half
        // used is used: it doubles within the round trip.
        var isLimited = (r.Flags & (RecoveryFlags.LimitedThisRound | RecoveryFlags.LimitedLastRound)) != 0
            || r.Phase == RecoveryPhase.Loss
            || (c.Cwnd < c.Ssthresh && c.Cwnd / 2 < sample.InFlightBefore);
        CongestionControl.Of(r.Algorithm).OnAck(ref c, ref k, sample, isLimited, Settings);
    }
}
