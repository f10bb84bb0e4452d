// RACK (RFC 8985 §6): a segment is lost when one that was sent later has been delivered and a reordering window has passed. Decides what
// is lost and how long to wait before asking again. When a probe is sent for want of ACKs is TailLossProbe's; what a loss does to the
// window is not here.
using Peregrine.Core.Time;
using Peregrine.Wire;

namespace Peregrine.Core.Tcp.Recovery;

internal sealed class Rack(Scoreboard board)
{
    private const int DupThresh = 3;

    /// <summary>RFC 8985 §6.2 step 4: recoveries without a D-SACK after which the window is what it was at first.</summary>
    private const byte PersistCount = 16;

    /// <summary>
    /// The age at which the latest delivered says nothing any more: a quarter of what a <see cref="TimeStamp32"/> can tell apart, 275 s.
    /// After half of it the past would count as the future, and whatever is sent as lost at once.
    /// </summary>
    private const uint AgeMax = 1u << 30;

    private readonly Scoreboard _board = board;

    /// <summary>Forgets what was delivered so long ago that its time cannot be compared. To be called at ACKs, and at time-outs, which come more often than the age.</summary>
    internal static void Expire(ref RecoveryEpisode e, Instant now)
    {
        if (TimeStamp32.Of(now) - e.RackSentAt > AgeMax) e.RackRtt = 0;
    }

    /// <summary>RFC 8985 §6.2 steps 2 to 4: what was delivered latest, whether anything came out of order, and what D-SACKs say.</summary>
    internal static void Note(ref RecoveryState r, ref RecoveryEpisode e, in Delivery d, bool takesLatest)
    {
        if (d.HasRack)
        {
            var sentAt = TimeStamp32.Of(d.RackSentAt);
            // The first sample stands by itself: half of all stamps count as earlier than the zero that an episode begins with.
            if (e.RackRtt == 0) (e.RackSentAt, e.RackEnd) = (sentAt, d.RackEnd);
            e.RackRtt = Math.Max(TimeStamp32.Of(d.Now) - (takesLatest ? TimeStamp32.Of(d.RackLastSentAt) : sentAt), 1);
            if (IsSentAfter(sentAt, d.RackEnd, e.RackSentAt, e.RackEnd)) (e.RackSentAt, e.RackEnd) = (sentAt, d.RackEnd);
        }
        if (d.Reordered) r.Flags |= RecoveryFlags.ReorderingSeen;
        if (d.DuplicateBytes == 0 || (r.Flags & RecoveryFlags.DsackRound) != 0) return;
        // RFC 8985 §6.2 step 4: a quarter of the shortest round trip more for each round trip that sees a D-SACK.
        r.Flags |= RecoveryFlags.DsackRound;
        if (r.ReorderingSteps < byte.MaxValue) r.ReorderingSteps++;
        r.ReorderingPersist = PersistCount;
    }

    /// <summary>RFC 8985 §6.2 step 4: a recovery ends.</summary>
    internal static void OnRecoveryEnd(ref RecoveryState r)
    {
        if (r.ReorderingPersist == 0 || --r.ReorderingPersist > 0) return;
        r.ReorderingSteps = 0;
    }

    /// <summary>RFC 8985 §6.2 step 4: RACK.reo_wnd, in units of 256 ns.</summary>
    internal static uint ReorderingWindow(in Tcb c, in TcbCold k)
    {
        ref readonly var r = ref k.Recovery;
        if ((r.Flags & RecoveryFlags.ReorderingSeen) == 0 && (r.Phase >= RecoveryPhase.Recovery || r.SackedBytes >= DupThresh * (uint)c.Mss)) return 0;
        var window = (r.ReorderingSteps + 1ul) * k.Rtt.MinRtt / 4;
        return ToUnits(Math.Min(window, k.Rtt.Srtt >> 3));
    }

    /// <summary>
    /// RFC 8985 §6.2 step 5: marks what is lost. Gives how long to wait until all that was sent before the latest delivered will have had
    /// its time, zero when there is nothing to wait for. The list is in the order of sending, so the work is paid for by what leaves it.
    /// </summary>
    internal Duration DetectLoss(in Tcb c, ref TcbCold k, in RecoveryEpisode e, Instant now, ref Delivery d)
    {
        ref var r = ref k.Recovery;
        if (e.RackRtt == 0) return Duration.Zero;
        // A round trip of nothing is kept as one unit.
        var wait = (e.RackRtt == 1 ? 0 : e.RackRtt) + ReorderingWindow(c, k);
        var stamp = TimeStamp32.Of(now);
        while (r.SentHead != RecordPool.None)
        {
            ref var record = ref _board[r.SentHead];
            var sentAt = TimeStamp32.Of(record.SentAt);
            if (!IsSentAfter(e.RackSentAt, e.RackEnd, sentAt, record.End)) return Duration.Zero;
            // What was sent later waits longer, but none longer than what went with the latest delivered.
            if ((int)(sentAt + wait - stamp) > 0) return new Duration((long)Math.Max(1, (int)(e.RackSentAt + wait - stamp)) << TimeStamp32.Shift);
            _board.MarkOneLost(ref r, r.SentHead, ref d);
        }
        return Duration.Zero;
    }

    /// <summary>RFC 8985 §6.3: at a time-out, what was sent until this instant is lost; what was sent later may be on its way.</summary>
    internal static Instant LostUntil(in Tcb c, in TcbCold k, uint rackRtt, Instant now)
    {
        var rtt = rackRtt != 0 ? rackRtt : ToUnits(k.Rtt.Srtt >> 3);
        return rtt == 0 ? now : now - new Duration((long)(rtt + ReorderingWindow(c, k)) << TimeStamp32.Shift);
    }

    // RFC 8985 §6.2: RACK_sent_after: equal times are told apart by sequence numbers.
    private static bool IsSentAfter(uint at, SeqNumber end, uint otherAt, SeqNumber otherEnd) =>
        (int)(at - otherAt) > 0 || (at == otherAt && end.IsAfter(otherEnd));

    private static uint ToUnits(ulong microseconds) => (uint)Math.Min(microseconds * 1_000 >> TimeStamp32.Shift, int.MaxValue);
}
