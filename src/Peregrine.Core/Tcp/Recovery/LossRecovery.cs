// Loss recovery: what is in flight, what is lost, what goes out again and how much may go out new (RFC 5681, 6582, 6675, 3042). It feeds
// the congestion control and asks it for ssthresh. It owns no timers (it says how long RTO is) and builds no segments.
using Peregrine.Core.Memory;
using Peregrine.Core.Tcp.Congestion;
using Peregrine.Core.Tcp.Congestion.Bbr;
using Peregrine.Core.Time;
using Peregrine.Wire;

namespace Peregrine.Core.Tcp.Recovery;

/// <summary>Loss recovery of all connections of a stack, over one pool of transmission records.</summary>
internal sealed class LossRecovery
{
    /// <summary>Steps that one ACK may spend on finding places in the scoreboard.</summary>
    internal const int StepsPerAckMax = 1024;

    /// <summary>RFC 7765 §4 rrthresh: segments with which fast retransmit can work.</summary>
    private const uint RestartThreshold = 4;

    private readonly RecordPool _pool;
    private readonly Scoreboard _board;
    private readonly RetransmissionChoice _choice;
    private readonly SackInput _sacks;
    private RecoverySettings[] _byNumber;

    /// <summary>Cuts the pool of records out of <paramref name="region"/>; with a control for it there is BBR.</summary>
    internal LossRecovery(MemoryRegion region, int recordCount, RecoverySettings? settings = null, BbrControl? bbr = null, int historyCount = 0)
    {
        var histories = new IndexedPool<SenderHistory>(region, historyCount);
        Controls = new CongestionControls(bbr, histories);
        _pool = new RecordPool(region, recordCount);
        Marks = new MessageMarks(_pool, histories);
        (_board, LoneAck) = (new Scoreboard(_pool), new LoneAck(_pool));
        (_choice, _sacks) = (new RetransmissionChoice(_board), new SackInput(_board));
        _byNumber = [Settings = settings ?? new RecoverySettings()];
        (Phases, Validation) = (new RecoveryPhases(this, _pool, _board), new WindowValidation(this, _pool));
        Memory = new SenderMemory(this, _board, histories);
    }

    /// <summary>What happened, by Linux's names.</summary>
    internal TcpExtCounters Counters;

    /// <summary>The settings of connections that have none of their own.</summary>
    internal RecoverySettings Settings { get; }

    /// <summary>The connection's settings.</summary>
    internal RecoverySettings SettingsOf(in TcbCold k) => _byNumber[k.Settings];

    /// <summary>Says what a number of the table of settings means from now on.</summary>
    internal void Use(int number, RecoverySettings settings)
    {
        var before = _byNumber.Length;
        if (number >= before) Array.Resize(ref _byNumber, Math.Max(2 * before, number + 1));
        Array.Fill(_byNumber, Settings, before, _byNumber.Length - before);
        _byNumber[number] = settings;
    }

    /// <summary>What moves connections from phase to phase.</summary>
    internal RecoveryPhases Phases { get; }

    /// <summary>What is known of how much of the windows is used.</summary>
    internal WindowValidation Validation { get; }

    /// <summary>Where the application's writes end.</summary>
    internal MessageMarks Marks { get; }

    /// <summary>What senders remember, and what is done with that.</summary>
    internal SenderMemory Memory { get; }

    /// <summary>The short way of <see cref="OnAck"/>.</summary>
    internal LoneAck LoneAck { get; }

    /// <summary>Records that can be taken now.</summary>
    internal int FreeRecords => _pool.FreeCount;

    internal Scoreboard Board => _board;

    /// <summary>The congestion controls.</summary>
    internal CongestionControls Controls { get; }

    /// <summary>Bytes that a pool of so many records takes.</summary>
    internal static nuint BytesFor(int recordCount) => RecordPool.BytesFor(recordCount);

    /// <summary>A connection begins, before its SYN is sent: nothing is outstanding. Cwnd is one segment until <see cref="OnEstablished"/>.</summary>
    internal void Initialize(ref Tcb c, ref TcbCold k, Instant now)
    {
        k.Rtt = default;
        k.Recovery = default;
        Memory.Begin(ref k);
        k.Recovery.DeliveredAt = TimeStamp32.Of(now);
        k.Recovery.FirstSentAt = k.Recovery.DeliveredAt;
        c.DupAcks = 0;
        c.Cwnd = c.Mss;
        // RFC 5681 §3.1: the initial ssthresh is arbitrarily high.
        c.Ssthresh = uint.MaxValue;
    }

    /// <summary>The handshake is done and Mss final.</summary>
    /// <param name="c">The connection.</param>
    /// <param name="k">Its cold part.</param>
    /// <param name="algorithm">The congestion control that it gets.</param>
    /// <param name="rtt">The handshake's round trip where the caller measured it, else zero.</param>
    /// <param name="synRetransmissions">How often our SYN or SYN-ACK was sent again.</param>
    /// <param name="now">Now.</param>
    internal void OnEstablished(ref Tcb c, ref TcbCold k, CongestionAlgorithm algorithm, Duration rtt, int synRetransmissions, Instant now)
    {
        ref var r = ref k.Recovery;
        r.Flags = (r.Flags & (RecoveryFlags.EcnAgreed | RecoveryFlags.AccurateEcn)) | RecoveryFlags.Established;
        k.PacedUntil = TimeStamp32.Of(now);
        r.Phase = RecoveryPhase.Open;
        r.Backoff = 0;
        c.DupAcks = 0;
        c.Ssthresh = uint.MaxValue;
        c.Cwnd = InitialWindow(c);
        // RFC 5681 §3.1, RFC 6928 §2: after lost SYNs the initial window is one segment.
        if (synRetransmissions > SettingsOf(k).ForgivenSynLosses) c.Cwnd = c.Mss;
        if (rtt > Duration.Zero && k.Rtt.Srtt == 0) Memory.TakeRoundTrip(c, ref k, rtt);
        // RFC 6298 §5.7: and RTO is 3 s when data begin.
        else if (synRetransmissions > 0) (k.Rtt, r.Flags) = (default, r.Flags | RecoveryFlags.SynTimedOut);
        if (r.Head == RecordPool.None) r.FirstSentAt = TimeStamp32.Of(now);
        Begin(ref c, ref k, algorithm, now);
    }

    /// <summary>Bytes of new data that the congestion window lets go now; the peer's window is the caller's business.</summary>
    internal uint SendAllowance(in Tcb c, in TcbCold k)
    {
        var phase = k.Recovery.Phase;
        var isSack = (c.Flags & TcbFlags.Sack) != 0;
        uint limit = c.Cwnd, used;
        if (isSack || phase == RecoveryPhase.Loss || k.Does(SenderMechanisms.CountedDuplicates))
        {
            // RFC 6675 §5 steps 3.3 and (C): the pipe governs, which is limited transmit as well.
            var slack = _board.Slack(c, k);
            used = isSack ? Pipe(c, k) + slack : CountedDuplicates.Pipe(c, k, slack);
        }
        else
        {
            // RFC 6582: the window is inflated instead. RFC 3042 §2: one segment for each of the first two duplicate ACKs.
            used = phase == RecoveryPhase.Recovery ? FlightSize(c) : Pipe(c, k);
            if (phase == RecoveryPhase.Disorder) limit += Math.Min((uint)c.DupAcks, 2) * c.Mss;
        }
        var room = limit > used ? limit - used : 0;
        // RFC 5682 §2.1 step 2b: two segments, whatever the window says.
        if (ForwardRto.IsWaiting(k.Recovery)) return Math.Max(room, 2u * c.Mss - Math.Min(2u * c.Mss, (uint)(c.Snd.Max - k.Recovery.RecoveryPoint)));
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
        if (r.Episode != RecordPool.None) Undo.OnTransmit(r, ref EpisodeOf(r), length, c.Mss, isRetransmission, now);
        var stamp = MakeStamp(ref c, ref k, length, now);
        if (isRetransmission)
        {
            var isRescue = (r.Flags & RecoveryFlags.RescueOffered) != 0;
            if (isRescue && r.Phase == RecoveryPhase.Recovery) EpisodeOf(r).RescueRxt = r.RecoveryPoint;
            r.Flags &= ~(RecoveryFlags.RescueOffered | RecoveryFlags.RetransmitHead);
            _board.MarkRetransmitted(ref r, seq, length, isRescue, stamp);
            if (r.Phase == RecoveryPhase.Loss) Counters.TCPSlowStartRetrans++;
            else if (!isRescue) Counters.TCPFastRetrans++;
            return true;
        }
        if (r.Head == RecordPool.None)
        {
            // Time without anything in flight belongs to no rate sample.
            r.FirstSentAt = TimeStamp32.Of(now);
            r.DeliveredAt = r.FirstSentAt;
        }
        if (!_board.TryAppend(ref r, seq, length, stamp)) return false;
        var end = seq + length;
        if (end.IsAfter(c.Snd.Max)) c.Snd.Max = end;
        if (end.IsAfter(c.Snd.Nxt)) c.Snd.Nxt = end;
        var slack = _board.Slack(c, k);
        var isFull = Pipe(c, k) + slack + c.Mss > c.Cwnd;
        if (isFull) r.Flags |= RecoveryFlags.LimitedThisRound;
        if (Memory.Does(k, SenderMechanisms.WindowUsePerWindow)) WindowUse.OnSent(c, ref Memory.Of(k), isFull, slack);
        return true;
    }

    /// <summary>The caller has nothing more to send although the window would let it: rate samples say so.</summary>
    internal void OnAppLimited(ref Tcb c, ref TcbCold k)
    {
        ref var r = ref k.Recovery;
        // draft-cheng-iccrg-delivery-rate-estimation §3.4: not while the window is full, nor while something lost waits to go again.
        var pipe = Pipe(c, k);
        if (pipe >= c.Cwnd || r.LostBytes > r.RetransmittedBytes) return;
        r.AppLimitedUntil = Math.Max(r.Delivered + pipe, 1);
    }

    /// <summary>Whether <see cref="TryNextRetransmission"/> may have something to say: cheap, and true too often rather than too seldom.</summary>
    internal bool HasRetransmission(in Tcb c, in TcbCold k) =>
        k.Recovery.Head != RecordPool.None
        && (k.Recovery.Phase >= RecoveryPhase.Recovery
            || (k.Recovery.Flags & (RecoveryFlags.RetransmitHead | RecoveryFlags.MtuRepair | RecoveryFlags.ProbePending)) != 0);

    /// <summary>
    /// The range to retransmit next, at most one Mss long, where recovery wants one and the window allows it. The caller sends it (all or
    /// its front), says so by <see cref="OnTransmit"/>, and asks again. Snd.Nxt never goes back.
    /// </summary>
    internal bool TryNextRetransmission(ref Tcb c, ref TcbCold k, out SeqNumber seq, out uint length) =>
        _choice.TryNext(ref c, ref k, IsRack(c, k), SettingsOf(k).JoinsRetransmissions, out seq, out length);

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
    /// <param name="sample">What the ACK said.</param>
    internal void OnAck(ref Tcb c, ref TcbCold k, SeqNumber ack, in TcpOptions options, bool isDuplicateCandidate, Instant now, out AckSample sample)
    {
        ref var r = ref k.Recovery;
        if (ack.IsBefore(c.Snd.Una)) (ack, isDuplicateCandidate) = (c.Snd.Una, false);
        var inFlight = Pipe(c, k);
        var acked = (uint)(ack - c.Snd.Una);
        NewDelivery(c, k, options, now, out var d);
        if (acked > 0)
        {
            _board.Acknowledge(ref r, ack, ref d);
            (c.Snd.Una, d.CountedDuplicates) = (ack, c.DupAcks);
            if (CountedDuplicates.Are(c, k)) CountedDuplicates.OnProgress(ref c, ref r, _board, ref d);
            else c.DupAcks = 0;
            r.Flags &= ~RecoveryFlags.TimedOut;
        }
        if (options.SackBlockCount > 0 && (c.Flags & TcbFlags.Sack) != 0)
        {
            TryOpenEpisode(ref r);
            _sacks.Take(c, ref r, options, ref d, ref Counters);
        }
        var isRoundStart = AckAccount.EndRound(ref k, d);
        if (AckAccount.TryRoundTrip(c, k, options, d, acked > 0, Memory.Does(k, SenderMechanisms.RoundTripPerAck), now, out var roundTrip)) Memory.TakeRoundTrip(c, ref k, roundTrip);
        d.IsReneging = acked > 0 && IsRack(c, k) && k.Does(SenderMechanisms.PacketWindow) && Reneging.Shows(r, _board);
        var wait = d.IsReneging ? Reneging.Wait(k.Rtt) : Phases.FindLosses(ref c, ref k, ref d, now);
        AckAccount.MakeSample(ref r, d, acked, inFlight, isRoundStart, now, out sample);
        Phases.Advance(ref c, ref k, ref sample, d, isDuplicateCandidate && acked == 0);
        if (CongestionControl.OwnsWindow(r.Algorithm)) Controls.Of(k).OnDelivery(ref c, ref k, sample);
        // A search that was cut off goes on with the next ACK, from the hint in there.
        if (r.Episode != RecordPool.None && d.Budget >= 0) CloseEpisodeIfOver(ref r, isRoundStart);
        (sample.ReorderingWait, sample.RenegingWait) = d.IsReneging ? (Duration.Zero, wait) : (wait, Duration.Zero);
        sample.RestartTimer = acked == 0 && AckAccount.RestartsTimer(k, d, _board);
    }

    /// <summary>The retransmission timer expired: RTO doubles, all that is not SACKed is to be sent again, one segment at first.</summary>
    internal void OnRetransmissionTimeout(ref Tcb c, ref TcbCold k, Instant now)
    {
        ref var r = ref k.Recovery;
        // RFC 6298 §5.5.
        if (r.Backoff < byte.MaxValue) r.Backoff++;
        if (r.Head == RecordPool.None) return;
        var isRepeated = (r.Flags & RecoveryFlags.TimedOut) != 0;
        var isNew = r.Phase < RecoveryPhase.Recovery;
        var settings = SettingsOf(k);
        if (TryOpenEpisode(ref r) && isNew && settings.MayUndo) Undo.Begin(c, k, ref r, ref EpisodeOf(r));
        // RFC 5681 §3.1: ssthresh is held when the same segment times out again; as Linux has it, also within a recovery that has reduced it.
        if (!isRepeated && !(r.Phase == RecoveryPhase.Recovery && k.Does(SenderMechanisms.PacketWindow) && r.RecoveryPoint.IsAfter(c.Snd.Una)))
        {
            Validation.OnCongestion(ref c, ref k);
            Controls.Of(k).OnTimeout(ref c, ref k, FlightAtLoss(c, k));
        }
        // RFC 9293 MUST-19: RFC 5681 §3.1: the loss window is one segment; slow start, congestion avoidance and back-off follow.
        c.Cwnd = c.Mss;
        c.DupAcks = 0;
        EcnResponse.OweNotice(ref r);
        // RFC 2018 §8 and RFC 6675 §5.1: SACKs are kept unless the peer has taken data back, which shows in a left edge that was
        // SACKed and is not acknowledged; and when the repair itself times out, they are not believed either. Linux believes them: what
        // else was taken back comes to the left edge, one time-out later.
        var expunge = (isRepeated && !k.Does(SenderMechanisms.PacketWindow)) || _board[r.Head].IsSacked;
        Phases.CountTimeout(c, r);
        if (r.Episode != RecordPool.None) Rack.Expire(ref EpisodeOf(r), now);
        // RFC 8985 §6.3: with RACK, only what has had its time.
        var until = IsRack(c, k) && !expunge ? Rack.LostUntil(c, k, EpisodeOf(r).RackRtt, now) : now;
        BeginTally(k, out var losses);
        var lostBefore = r.LostBytes;
        _board.MarkAllLost(ref r, expunge, until, ref losses);
        Counters.TCPLostBytes += r.LostBytes - lostBefore;
        if (losses.IsWanted) Controls.Of(k).OnLost(ref c, ref k, losses, now);
        // RFC 6675 §5.1, RFC 6582 §3.2 step 4: no fast recovery before all this is acknowledged.
        r.RecoveryPoint = c.Snd.Max;
        r.Phase = RecoveryPhase.Loss;
        r.Flags &= ~(RecoveryFlags.RetransmitHead | RecoveryFlags.RescueOffered | RecoveryFlags.MtuRepair
            | RecoveryFlags.ProbeInFlight | RecoveryFlags.ProbePending | RecoveryFlags.ProportionalReduction | RecoveryFlags.EcnResponded);
        r.Flags |= RecoveryFlags.TimedOut | RecoveryFlags.RecoveryPointSet;
        // RFC 6298 §5.4: the first segment goes, whatever may still be in flight.
        if (Pipe(c, k) > 0) r.Flags |= RecoveryFlags.RetransmitHead;
        ForwardRto.Begin(ref r, settings.ForwardRto && isNew, settings.ForwardRto && isRepeated);
    }

    /// <summary>RACK's reordering window has passed without an ACK: looks for losses again.</summary>
    /// <returns>When to ask once more; zero for never.</returns>
    internal Duration OnReorderingTimeout(ref Tcb c, ref TcbCold k, Instant now) => Phases.OnReorderingTimeout(ref c, ref k, now);

    /// <summary>RFC 7765 §4: the time-out to restart the timer with: with few segments in flight and nothing to send, less what has passed.</summary>
    internal Duration RtoAtRestart(in Tcb c, in TcbCold k, Instant now)
    {
        var rto = Rto(k);
        if (!SettingsOf(k).RtoRestart || k.Recovery.Head == RecordPool.None || c.Snd.QueueEnd.IsAfter(c.Snd.Nxt)) return rto;
        var segments = _board.SegmentsFrom(k.Recovery.Head, c.Mss, enough: RestartThreshold);
        var left = rto - (now - _board[k.Recovery.Head].SentAt);
        return segments < RestartThreshold && left > Duration.Zero ? left : rto;
    }

    /// <summary>When the time-out comes of what was sent longest ago. Where that is over already, an ACK has come meanwhile: RFC 6298 §5.3; or nobody has, and it is due.</summary>
    internal Deadline TimeoutAt(in TcbCold k, Instant now, bool isOverdueAtOnce = false)
    {
        var rto = Rto(k);
        var at = k.Recovery.Head == RecordPool.None ? now : _board[k.Recovery.Head].SentAt + rto;
        return Deadline.At(at > now ? at : isOverdueAtOnce ? now : now + rto);
    }

    /// <summary>RFC 8985 §7.2: whether a loss probe may be scheduled now.</summary>
    internal bool MayScheduleProbe(in Tcb c, in TcbCold k) => TailLossProbe.MaySchedule(c, k.Recovery) && SettingsOf(k).TailLossProbe;

    /// <summary>RFC 8985 §7.3: the probe timer has come: whether a probe is to be sent.</summary>
    internal bool OnProbeTimeout(in Tcb c, ref TcbCold k)
    {
        ref var r = ref k.Recovery;
        if (!TailLossProbe.MaySend(c, r) || TailLossProbe.IsBeyondWindow(c, k, _board[r.Tail]) || !TryOpenEpisode(ref r)) return false;
        r.Flags |= RecoveryFlags.ProbePending;
        return true;
    }

    /// <summary>RFC 8985 §7.3: the highest segment sent so far, for a probe that has no new data to send.</summary>
    internal void LastSegment(in Tcb c, ref TcbCold k, out SeqNumber seq, out uint length)
    {
        ref var record = ref _board[k.Recovery.Tail];
        length = k.Does(SenderMechanisms.ProbeTimerStays) ? ((record.Length - 1) % c.Mss) + 1 : Math.Min(record.Length, c.Mss);
        seq = record.End - length;
        // A second copy of what is in flight: it does not count twice.
        k.Recovery.Flags |= RecoveryFlags.RescueOffered;
    }

    /// <summary>The probe is sent (its transmission has been said by <see cref="OnTransmit"/>).</summary>
    internal void OnProbeSent(in Tcb c, ref TcbCold k, bool isRetransmission)
    {
        ref var r = ref k.Recovery;
        r.Flags &= ~RecoveryFlags.ProbePending;
        if (r.Episode == RecordPool.None) return;
        TailLossProbe.OnSent(c, ref r, ref EpisodeOf(r), isRetransmission);
        Counters.TCPLossProbes++;
    }

    /// <summary>F-RTO waits for new data that did not go: true when retransmission goes on instead.</summary>
    internal static bool StopsWaiting(in Tcb c, ref TcbCold k)
    {
        ref var r = ref k.Recovery;
        if (!ForwardRto.IsWaiting(r) || c.Snd.Max != r.RecoveryPoint) return false;
        ForwardRto.End(ref r);
        return true;
    }

    /// <summary>To be called before sending when nothing is outstanding: lowers the window after idleness.</summary>
    internal void OnIdle(ref Tcb c, ref TcbCold k, Instant now) => IdleRestart.OnIdle(this, ref c, ref k, now);

    /// <summary>The path MTU shrank: lowers Mss and has what was sent in larger segments sent again, without closing the window.</summary>
    internal void OnMssReduced(ref Tcb c, ref TcbCold k, ushort newMss)
    {
        ref var r = ref k.Recovery;
        // RFC 5681 §3.1: an initial window of segments too large shrinks with them. Later it stays (RFC 1191 §6.5): this is no congestion.
        if (newMss < c.Mss && r.Delivered <= 1) c.Cwnd = (uint)Math.Max((ulong)c.Cwnd * newMss / c.Mss, newMss);
        Memory.OnMssReduced(k, c.Mss, newMss);
        c.Mss = Math.Min(c.Mss, newMss);
        if (_board.MarkMtuLost(ref r, newMss)) Memory.OnMtuLost(c, ref k);
    }

    /// <summary>The retransmission time-out now, doublings included.</summary>
    internal Duration Rto(in TcbCold k) =>
        RoundTrip.Rto(k.Rtt, k.Recovery.Backoff, (k.Recovery.Flags & RecoveryFlags.SynTimedOut) != 0, Settings);

    /// <summary>RFC 6675 §4: the estimate of the bytes in the network.</summary>
    internal static uint Pipe(in Tcb c, in TcbCold k) =>
        FlightSize(c) - k.Recovery.SackedBytes - k.Recovery.LostBytes + k.Recovery.RetransmittedBytes;

    /// <summary>Segments sent and not cumulatively acknowledged: counted record by record, for tools.</summary>
    internal uint SegmentsInFlight(in Tcb c, in TcbCold k) => _board.SegmentsInFlight(c, k.Recovery);

    /// <summary>Bytes sent and not cumulatively acknowledged (RFC 5681 §2).</summary>
    internal static uint FlightSize(in Tcb c) => c.Snd.Max.Value - c.Snd.Una.Value;

    /// <summary>The rate at which segments may leave, in bytes a second: of a connection that is paced.</summary>
    internal ulong PacingRate(in Tcb c, in TcbCold k) => PacingChoice.Rate(SettingsOf(k), Controls.Of(k), c, k);

    /// <summary>The connection's settings have changed: another congestion control takes over the window as it is.</summary>
    internal void OnSettingsChanged(ref Tcb c, ref TcbCold k, CongestionAlgorithm algorithm, Instant now)
    {
        // Before the handshake is done there is none.
        if ((k.Recovery.Flags & RecoveryFlags.Established) == 0) return;
        algorithm = CongestionControls.For(k, algorithm);
        if (k.Recovery.Algorithm != algorithm)
        {
            Controls.Of(k).End(ref k);
            Begin(ref c, ref k, algorithm, now);
        }
        else if (k.Recovery.ValidatesWindow != SettingsOf(k).WindowValidation && !k.HasHistory) Validation.Reset(ref k);
        ChoosePacing(ref k);
    }

    private void Begin(ref Tcb c, ref TcbCold k, CongestionAlgorithm algorithm, Instant now)
    {
        if (!Controls.TryBegin(ref c, ref k, CongestionControls.For(k, algorithm), now)) Counters.TCPBbrNoModel++;
        Validation.Reset(ref k);
        ChoosePacing(ref k);
    }

    /// <summary>Notes whether the connection is paced.</summary>
    internal void ChoosePacing(ref TcbCold k) => PacingChoice.Make(SettingsOf(k), Controls.Of(k), ref k);

    /// <summary>The connection ends: gives all its records back.</summary>
    internal void Release(ref Tcb c, ref TcbCold k)
    {
        _board.Release(ref k.Recovery);
        CloseEpisode(ref k.Recovery);
        Validation.End(ref k.Recovery);
        Controls.Of(k).End(ref k);
        Memory.End(ref k);
        k.Recovery = default;
    }

    /// <summary>Whether the scoreboard holds together: for debug builds and tests.</summary>
    internal bool Check(in Tcb c, in TcbCold k) => ScoreboardCheck.Holds(_pool, c, k);

    // RFC 6928 §2: min(10*MSS, max(2*MSS, 14600)), or what settings put in the place of the last.
    internal uint InitialWindow(in Tcb c) => Math.Min(Settings.InitialWindowSegments * c.Mss, Math.Max(2u * c.Mss, Settings.InitialWindowBytesMax));

    // RFC 5681 §3.2 step 2: what limited transmit sent beyond the window does not count.
    internal uint FlightAtLoss(in Tcb c, in TcbCold k) => SettingsOf(k).ReducesFromWindow ? c.Cwnd : Math.Min(FlightSize(c), Math.Max(c.Cwnd, c.Mss));

    // What is known before the ACK is looked at, and what its records are judged by.
    private void NewDelivery(in Tcb c, in TcbCold k, in TcpOptions options, Instant now, out Delivery d)
    {
        ref readonly var r = ref k.Recovery;
        d = default;
        (d.Budget, d.Mss, d.Now) = (StepsPerAckMax, c.Mss, now);
        d.RttMin = Duration.FromMicroseconds(k.Rtt.MinRtt);
        d.OriginalLimit = r.RecoveryPoint;
        BeginTally(k, out d.Losses);
        if ((c.Flags & TcbFlags.FinSent) != 0) (d.FinEnd, d.HasFin) = (c.Snd.Max, true);
        if (r.TopSacked != RecordPool.None) (d.Forward, d.HasForward) = (_board[r.TopSacked].End, true);
        if ((c.Flags & TcbFlags.Timestamps) != 0 && options.HasTimestamps) (d.EchoMs, d.HasEcho) = (options.TsEcr - c.TsOffset, true);
    }

    internal void BeginTally(in TcbCold k, out LossTally losses)
    {
        losses = default;
        if (CongestionControl.OwnsWindow(k.Recovery.Algorithm)) Controls.Of(k).BeginTally(k, ref losses);
    }

    private SendStamp MakeStamp(ref Tcb c, ref TcbCold k, uint length, Instant now)
    {
        var ownsWindow = CongestionControl.OwnsWindow(k.Recovery.Algorithm);
        if ((ownsWindow || k.Recovery.Algorithm == CongestionAlgorithm.PacketCubic) && k.Recovery.Head == RecordPool.None) Controls.Of(k).OnSendFromIdle(ref c, ref k, now);
        if (!ownsWindow) return new SendStamp(now, 0, 0);
        BeginTally(k, out var losses);
        return new SendStamp(now, Pipe(c, k) + length, losses.Lost);
    }

    /// <summary>Whether RACK finds this connection's losses: with SACK, by setting, and where there was a record for its state.</summary>
    internal bool IsRack(in Tcb c, in TcbCold k) =>
        (c.Flags & TcbFlags.Sack) != 0 && k.Recovery.Episode != RecordPool.None && SettingsOf(k).Rack;

    internal ref RecoveryEpisode EpisodeOf(in RecoveryState r) => ref _pool.Episode(r.Episode);

    internal bool TryOpenEpisode(ref RecoveryState r)
    {
        if (r.Episode != RecordPool.None) return true;
        if (!_pool.TryRent(out r.Episode)) return false;
        EpisodeOf(r) = default;
        return true;
    }

    // Two round trips after recovery no D-SACK comes any more.
    private void CloseEpisodeIfOver(ref RecoveryState r, bool isRoundStart)
    {
        if (r.Phase != RecoveryPhase.Open || (r.Flags & (RecoveryFlags.ProbeInFlight | RecoveryFlags.ProportionalReduction)) != 0) return;
        if ((r.Flags & RecoveryFlags.UndoPossible) != 0 && (!isRoundStart || (r.Flags & RecoveryFlags.UndoAged) == 0))
        {
            if (isRoundStart) r.Flags |= RecoveryFlags.UndoAged;
            return;
        }
        CloseEpisode(ref r);
    }

    private void CloseEpisode(ref RecoveryState r)
    {
        if (r.Episode == RecordPool.None) return;
        _pool.Return(r.Episode);
        r.Episode = RecordPool.None;
        r.Flags &= ~(RecoveryFlags.UndoPossible | RecoveryFlags.DsackRound | RecoveryFlags.ProbeInFlight | RecoveryFlags.ProportionalReduction);
    }
}
