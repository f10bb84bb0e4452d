// What must hold of every connection whenever its stack rests: sequence numbers in order, windows kept, timers armed exactly when something
// depends on them, states that agree with what was sent and received.
using Peregrine.Core.Demux;
using Peregrine.Core.Tcp;
using Peregrine.Core.Tcp.FastOpen;
using Peregrine.Core.Tcp.Recovery;
using Peregrine.Core.Time;
using Peregrine.Simulation.Hosts;
using Peregrine.Wire;

namespace Peregrine.Simulation.Judges;

internal sealed class ConnectionJudge(SimulatedHost host)
{
    // All connections of a small host in each turn; of a large one a few, in rounds.
    private const int ConnectionsPerTurnMax = 128;

    // How often one may repeat its first byte while the peer says nothing, besides those whose time-outs have grown as they must: a loss
    // probe, a fast retransmission, and what a smaller path MTU or an undone recovery sends again.
    private const int RepeatsMax = 5;

    // One that nothing has happened to is looked at in every so-manieth turn: what is wrong with it stays wrong.
    private const int QuietInterval = 8;

    // What may fly beyond the window: limited transmit's two segments and rounding to whole ones (RFC 3042, RFC 6675 §5).
    private const uint SegmentsBeyondCwnd = 3;

    private readonly TcpContext _x = host.Stack.Tcp.Context;
    private TcpDemuxKeys _keys = new(host.Stack.Tcp.Context.Tcbs, host.Stack.Tcp.Context.TimeWaits, host.Stack.Tcp.Context.SynBacklog);
    private Seen[] _seen = new Seen[64];
    private uint _next;
    private int _turns;
    private bool _haveWaited;

    private struct Seen
    {
        public uint Generation;
        public TcpState State;
        public TcbFlags Flags;
        public uint SegmentsIn, SegmentsOut;
        public bool HasWindow;
        public SeqNumber Una, Max, SentTo, RcvNxt, Edge, PeerEdge;
        public uint BufferMax;

        // What was heard when the peer fell silent, since when, and how often the first byte was repeated.
        public uint Heard;
        public Instant SilentSince;
        public int Repeats;
    }

    /// <summary>Peers that do not keep the rules: what they cause is not held against the stack's windows.</summary>
    public HashSet<IpAddress> Rogues { get; } = [];

    /// <summary>A segment of this host, not a reset.</summary>
    public void OnSent(in SegmentView view)
    {
        if (_x.Tcbs.UsedSlots > ConnectionsPerTurnMax || (view.Flags & (TcpFlags.Syn | TcpFlags.Ack)) != TcpFlags.Ack) return;
        if (!TryFind(view, out var slot)) return;
        var t = _x.Tcbs.Get(slot);
        ref var c = ref t.C;
        ref var seen = ref At(slot);
        if (!seen.HasWindow || !IsSame(seen, c) || seen.State <= TcpState.SynReceived) return;
        CheckFlight(t, view, ref seen);
        // What waited for a neighbour's address says how things were, and its copies leave at once.
        if (_haveWaited) return;
        CheckPatience(t, view, ref seen);
        if (SackJudge.Check(_x, t, view) is { } block) throw Failure("segments sent", t, $"tells of {block.Left}:{block.Right}, which is not held");
        if (view.Ack.IsAfter(c.Rcv.Nxt) || view.Ack.IsBefore(seen.RcvNxt))
            throw Failure("segments sent", t, $"acknowledges {view.Ack}, but RCV.NXT is {c.Rcv.Nxt} and was {seen.RcvNxt} before the turn");
        if ((view.Seq + (uint)view.DataLength).IsAfter(c.Snd.Max) || view.Seq.IsBefore(seen.Una - 1))
            throw Failure("segments sent", t, $"sends {view.Seq}+{view.DataLength}, but SND.UNA is {c.Snd.Una} and SND.MAX {c.Snd.Max}");
        // RFC 9293 SHLD-14, RFC 7323 §2.3: the window that the peer computes ends where we think; it goes back by no more than rounding (§2.4).
        var edge = view.Ack + ((uint)view.Window << c.RcvScale);
        if (edge.IsAfter(c.Rcv.Edge)) throw Failure("window kept", t, $"offers up to {edge}, but RCV's edge is {c.Rcv.Edge}");
        var isCapped = view.Window == ushort.MaxValue;
        if (!isCapped && (edge + ((1u << c.RcvScale) - 1)).IsBefore(seen.Edge)) throw Failure("window kept", t, $"offers up to {edge} after it has offered {seen.Edge}");
    }

    public void AfterTurn()
    {
        _turns++;
        _haveWaited = host.Stack.Ip.Neighbours.WaitingCount > 0;
        var used = _x.Tcbs.UsedSlots;
        var most = Math.Min(used, ConnectionsPerTurnMax);
        for (uint i = 0; i < most; i++)
        {
            if (_next >= used) _next = 0;
            Check(_x.Tcbs.Get(_next++));
        }
    }

    /// <summary>The connections as they stand, a line each: for a failure's report.</summary>
    public IEnumerable<string> Describe()
    {
        var lines = new List<string>();
        for (uint slot = 0; slot < _x.Tcbs.UsedSlots && lines.Count < 20; slot++)
        {
            var t = _x.Tcbs.Get(slot);
            ref var c = ref t.C;
            if (c.State is TcpState.Closed or TcpState.TimeWait && c.Flags == TcbFlags.None) continue;
            lines.Add(
                $"{host.Name} {c.LocalPort}>{c.Remote}:{c.RemotePort} {c.State} flags {c.Flags} una {c.Snd.Una} nxt {c.Snd.Nxt} max {c.Snd.Max} queued to {c.Snd.QueueEnd} MSS {c.Mss} cwnd {c.Cwnd} "
                + $"window {c.Snd.Wnd} unread {c.ReceiveQueue.Length} events {c.PendingEvents} timer {t.K.Retransmission.ToInstant(host.LocalNow)}");
        }
        return lines;
    }

    private void Check(TcbRef t)
    {
        ref var c = ref t.C;
        var index = _x.Tcbs.IndexOf(t);
        ref var seen = ref At(index);
        // A finished connection stays in CLOSED or, with its identity in a record, in TIME-WAIT.
        if (c.State is TcpState.Closed or TcpState.TimeWait || (c.Flags & (TcbFlags.Finished | TcbFlags.FreePending)) != 0)
        {
            seen = default;
            return;
        }
        if (IsQuiet(t, seen) && (_turns + index) % QuietInterval != 0) return;
        host.World.Judged.Connections++;
        if (!IsSame(seen, c)) seen = default;
        CheckSequence(t, ref seen);
        CheckState(t, seen);
        CheckSending(t, ref seen);
        if ((c.Flags & TcbFlags.Ready) == 0) CheckTimers(t);
        if (((_turns + index) & 15) == 0 && c.State >= TcpState.Established && c.Snd.Max == c.Snd.Nxt)
        {
            host.World.Judged.Scoreboards++;
            if (PeerJudge.Check(host, t) is { } what) throw Failure("agrees with its peer", t, what);
            if (!_x.Recovery.Check(c, t.K)) throw Failure("scoreboard", t, "the scoreboard's sums and records do not agree");
        }
        seen = new Seen
        {
            Generation = c.Generation, State = c.State, Flags = c.Flags, SegmentsIn = t.K.SegmentsIn, SegmentsOut = t.K.SegmentsOut,
            HasWindow = true, Una = c.Snd.Una, Max = c.Snd.Max, SentTo = c.Snd.Max, RcvNxt = c.Rcv.Nxt, Edge = c.Rcv.Edge,
            PeerEdge = seen.HasWindow ? SeqNumber.Max(seen.PeerEdge, PeerEdge(c)) : PeerEdge(c),
            BufferMax = seen.BufferMax,
            Heard = seen.Heard, SilentSince = seen.SilentSince, Repeats = seen.Repeats,
        };
    }

    // The slot's connection is still the one that was looked at. All numbers of another may be the same: a SYN cookie is good more than once. A generation
    // ends when the application lets the handle go, and when the slot is freed: the one after it is the same connection's only if it has just become an orphan.
    private static bool IsSame(in Seen seen, in Tcb c) =>
        seen.Generation == c.Generation || (seen.Generation + 1 == c.Generation && (c.Flags & ~seen.Flags & TcbFlags.Orphan) != 0);

    private static bool IsQuiet(TcbRef t, in Seen seen)
    {
        ref var c = ref t.C;
        return seen.HasWindow && seen.SegmentsIn == t.K.SegmentsIn && seen.SegmentsOut == t.K.SegmentsOut && seen.Flags == c.Flags && seen.State == c.State
            && seen.Generation == c.Generation && seen.Una == c.Snd.Una && seen.Max == c.Snd.Max && seen.RcvNxt == c.Rcv.Nxt && seen.Edge == c.Rcv.Edge;
    }

    private void CheckSequence(TcbRef t, ref Seen seen)
    {
        ref var c = ref t.C;
        if (c.Snd.Una.IsAfter(c.Snd.Nxt) || c.Snd.Nxt.IsAfter(c.Snd.Max))
            throw Failure("Una <= Nxt <= Max", t, $"SND.UNA {c.Snd.Una}, SND.NXT {c.Snd.Nxt}, SND.MAX {c.Snd.Max}");
        if (c.Cwnd == 0 || c.Mss < 48) throw Failure("sending", t, $"cwnd {c.Cwnd}, MSS {c.Mss}");
        if ((int)LossRecovery.Pipe(c, t.K) < 0) throw Failure("pipe", t, $"the pipe is {(int)LossRecovery.Pipe(c, t.K)}");
        if (c.State > TcpState.SynSent && c.Snd.Una.IsBeforeOrEqual(c.Snd.QueueEnd))
        {
            var first = c.Snd.Una == c.Snd.Iss ? c.Snd.Iss + 1 : c.Snd.Una;
            if ((uint)(c.Snd.QueueEnd - first) != c.SendQueue.Length)
                throw Failure("send queue", t, $"{c.SendQueue.Length} bytes are queued for {first} to {c.Snd.QueueEnd}");
        }
        // A buffer that was made smaller takes nothing back; nor did it before the first look.
        // By the memory of segments a buffer is full of less text, or more, than was reckoned when the window was offered.
        var buffer = TrueSizeWindow.Is(_x, t) ? Math.Max(c.ReceiveBuffer, 2 * AdaptiveAcks.Of(_x, t).Buffer) : c.ReceiveBuffer;
        seen.BufferMax = Math.Max(seen.BufferMax, seen.HasWindow ? buffer : Math.Max(buffer, Promised(c)));
        if (!seen.HasWindow || seen.State <= TcpState.SynReceived) return;
        if (c.Snd.Una.IsBefore(seen.Una) || c.Rcv.Nxt.IsBefore(seen.RcvNxt)) throw Failure("never back", t, "SND.UNA or RCV.NXT went back");
        if (c.Rcv.Edge.IsBefore(seen.Edge)) throw Failure("window kept", t, $"the window's edge went back from {seen.Edge} to {c.Rcv.Edge}");
        // RFC 7323 §2.4: what is offered and what is unread fit the buffer, but for a window that was rounded up to its scale.
        if (Promised(c) >= seen.BufferMax + (1u << c.RcvScale))
            throw Failure("window kept", t, $"{Promised(c)} bytes are offered or unread, and the buffer is {seen.BufferMax}, with a scale of {c.RcvScale}");
        if (c.Rcv.Nxt.IsAfter(c.Rcv.Edge + 1)) throw Failure("window kept", t, $"RCV.NXT {c.Rcv.Nxt} is beyond the window's edge {c.Rcv.Edge}");
    }

    // RFC 9293 §3.3.2: a state is what was sent and received; one that was skipped to does not agree with it.
    private void CheckState(TcbRef t, in Seen seen)
    {
        ref var c = ref t.C;
        if (seen.HasWindow && !StateMoves.MayReach(seen.State, c.State)) throw Failure("states", t, $"is in {c.State} and was in {seen.State}");
        bool finQueued = (c.Flags & TcbFlags.FinQueued) != 0, finReceived = (c.Flags & TcbFlags.FinReceived) != 0;
        var finAcked = (c.Flags & TcbFlags.FinSent) != 0 && c.Snd.Una.IsAfter(c.Snd.QueueEnd);
        var synAcked = c.Snd.Una != c.Snd.Iss;
        var good = c.State switch
        {
            TcpState.SynSent => !synAcked && !finReceived,
            // RFC 7413 §4.2.2: one that is open before its handshake is complete has its SYN-ACK out of flight from the beginning.
            TcpState.SynReceived => !synAcked || (t.K.FastOpen & FastOpenFlags.Pending) != 0,
            TcpState.Established => synAcked && !finReceived && !finQueued,
            TcpState.FinWait1 => synAcked && finQueued && !finAcked && !finReceived,
            TcpState.FinWait2 => finQueued && finAcked && !finReceived,
            TcpState.CloseWait => synAcked && finReceived && !finQueued,
            TcpState.Closing => finQueued && finReceived && !finAcked,
            TcpState.LastAck => finQueued && finReceived && !finAcked,
            _ => false,
        };
        if (!good) throw Failure("states", t, $"is in {c.State} with FIN queued {finQueued}, acknowledged {finAcked}, received {finReceived}, SYN acknowledged {synAcked}");
    }

    private void CheckSending(TcbRef t, ref Seen seen)
    {
        ref var c = ref t.C;
        // One that is not looked at in each turn may have been allowed by a window that has gone since.
        if (!seen.HasWindow || seen.State <= TcpState.SynReceived || !c.Snd.Max.IsAfter(seen.Max) || _x.Tcbs.UsedSlots > ConnectionsPerTurnMax || Rogues.Contains(c.Remote)) return;
        // One byte beyond is a window probe, and a FIN takes a number. A window that is rounded down may end up to a step of its scale before one that was offered
        // earlier in the same turn (RFC 7323 §2.4).
        var edge = SeqNumber.Max(seen.PeerEdge, PeerEdge(c));
        if (c.Snd.Max.IsAfter(edge + 1 + (1u << c.SndScale))) throw Failure("flight within window", t, $"sent up to {c.Snd.Max}, the peer's window ends at {edge}");
    }

    private static uint Promised(in Tcb c) => (uint)Math.Max(0, c.Rcv.Edge - c.Rcv.Nxt) + c.ReceiveQueue.Length;

    // What the peer has offered: before it has acknowledged anything there is no SND.WL2.
    private static SeqNumber PeerEdge(in Tcb c) => (c.State < TcpState.Established ? c.Snd.Una : c.Snd.Wl2) + c.Snd.Wnd;

    // New data have just been sent: at this moment the window is the one that let them go.
    private void CheckFlight(TcbRef t, in SegmentView view, ref Seen seen)
    {
        ref var c = ref t.C;
        var end = view.Seq + (uint)view.DataLength;
        if (view.DataLength == 0 || Rogues.Contains(c.Remote) || !end.IsAfter(seen.SentTo)) return;
        seen.SentTo = end;
        // RFC 6582 §3.2: without SACK the window is inflated, and holds all that is not acknowledged.
        var isInflated = (c.Flags & TcbFlags.Sack) == 0 && t.K.Recovery.Phase == RecoveryPhase.Recovery;
        var pipe = CountedDuplicates.Are(c, t.K) ? CountedDuplicates.Pipe(c, t.K) : isInflated ? LossRecovery.FlightSize(c) : LossRecovery.Pipe(c, t.K);
        if (pipe <= c.Cwnd + (SegmentsBeyondCwnd * c.Mss) || IsProbe(t, seen)) return;
        throw Failure("flight within cwnd", t,
            $"{pipe} bytes are in flight, {c.Snd.Max - seen.Max} of them new, with a congestion window of {c.Cwnd}, in {t.K.Recovery.Phase} after {c.DupAcks} duplicates ({t.K.Recovery.Flags})");
    }

    // What goes whatever the window says. RFC 8985 §7.3: a loss probe, of new data where there are any; the window may have become smaller
    // than what flies just before, when the probe before this one had repaired a loss (§7.4.2). RFC 5682 §2.1 step 2b: two segments.
    private bool IsProbe(TcbRef t, in Seen seen)
    {
        ref readonly var r = ref t.K.Recovery;
        ref var c = ref t.C;
        if (ForwardRto.IsWaiting(r)) return c.Snd.Max - r.RecoveryPoint <= 2 * c.Mss;
        // RFC 4821 §7.4: a window of packets counts a probe of the path as two, however long it is.
        if (t.K.Does(SenderMechanisms.PacketWindow) && _x.MtuProbing?.ProbeOf(t) is { } start && !start.IsBefore(seen.Max)) return true;
        const RecoveryFlags Kind = RecoveryFlags.ProbeInFlight | RecoveryFlags.ProbeIsRetransmission;
        return (r.Flags & Kind) == RecoveryFlags.ProbeInFlight && _x.Recovery.EpisodeOf(r).ProbeEnd == c.Snd.Max && c.Snd.Max - seen.Max <= c.Mss + 1;
    }

    // RFC 6298 §5.1, §5.2, RFC 9293 §3.8.6.1: a timer runs exactly while something depends on it.
    private void CheckTimers(TcbRef t)
    {
        ref var c = ref t.C;
        ref var k = ref t.K;
        var now = host.LocalNow;
        var outstanding = c.Snd.Una != c.Snd.Nxt;
        var isOpen = c.State >= TcpState.Established;
        var finWaits = (c.Flags & (TcbFlags.FinQueued | TcbFlags.FinSent)) == TcbFlags.FinQueued;
        var waits = isOpen && (c.Snd.QueueEnd.IsAfter(c.Snd.Nxt) || finWaits);
        // What pacing holds back waits for the wheel instead, and never for long.
        var paced = !outstanding && TcpPacing.DueAt(k, now).IsSet;
        if (paced && TcpPacing.DueAt(k, now).ToInstant(now) - now > _x.Recovery.Settings.RtoMax + Duration.FromSeconds(1)) throw Failure("timers", t, "pacing waits for ever");
        if ((outstanding || (waits && !paced) || c.State == TcpState.SynSent) && !k.Retransmission.IsSet)
            throw Failure("timers", t, $"{(outstanding ? "data are outstanding" : "data wait")} and no retransmission or persist timer runs");
        if (isOpen && !outstanding && !waits && k.Retransmission.IsSet) throw Failure("timers", t, "the retransmission timer runs for nothing");
        if (k.Retransmission.IsSet && k.Retransmission.ToInstant(now) - now > _x.Recovery.Settings.RtoMax + Duration.FromSeconds(1))
            throw Failure("timers", t, $"the retransmission timer is {k.Retransmission.ToInstant(now) - now} away");
        if ((c.Flags & TcbFlags.AckDelayed) != 0)
        {
            // RFC 9293 MUST-40.
            if (!k.DelayedAck.IsSet) throw Failure("timers", t, "an ACK is owed and its timer does not run");
            if (k.DelayedAck.ToInstant(now) - now > Duration.FromMilliseconds(500)) throw Failure("timers", t, "an ACK is delayed by more than half a second");
        }
        if ((c.Flags & TcbFlags.AckNow) != 0 && isOpen) throw Failure("timers", t, "an ACK is due and the connection is not asked for it");
        var earliest = Deadline.Min(Deadline.Min(k.Retransmission, k.DelayedAck), Deadline.Min(k.Keepalive, k.UserTimeout));
        if (!earliest.IsSet) return;
        var armed = _x.Wheel.DeadlineOf(_x.Tcbs.IndexOf(t));
        if (!armed.IsSet || earliest.IsBefore(armed)) throw Failure("timers", t, "a deadline comes before what the wheel knows of");
    }

    // RFC 6298 §5.5: while the peer is silent each time-out is twice the one before, up to the largest.
    private void CheckPatience(TcbRef t, in SegmentView view, ref Seen seen)
    {
        if (view.DataLength == 0 || view.Seq != t.C.Snd.Una) return;
        if (seen.Heard != t.K.SegmentsIn) (seen.Heard, seen.SilentSince, seen.Repeats) = (t.K.SegmentsIn, host.LocalNow, 0);
        var settings = _x.Recovery.Settings;
        var (silence, timeout, allowed) = (host.LocalNow - seen.SilentSince, settings.RtoMin, RepeatsMax);
        for (; silence >= timeout; timeout = Duration.Min(timeout * 2, settings.RtoMax))
        {
            silence -= timeout;
            allowed++;
        }
        if (++seen.Repeats > allowed) throw Failure("timers", t, $"has repeated its first byte {seen.Repeats} times in {host.LocalNow - seen.SilentSince} of silence");
    }

    private bool TryFind(in SegmentView view, out uint slot) =>
        TryFind(view.Source, view.SourcePort, view.Destination, view.DestinationPort, out slot, out _);

    /// <summary>An open connection by its four numbers.</summary>
    public bool TryFind(in IpAddress from, ushort local, in IpAddress to, ushort remote, out TcbRef t) => TryFind(from, local, to, remote, out _, out t);

    private bool TryFind(in IpAddress from, ushort local, in IpAddress to, ushort remote, out uint slot, out TcbRef t)
    {
        t = default;
        if (!TryFindAny(from, local, to, remote, out var kind, out slot) || kind != DemuxKind.Tcb) return false;
        t = _x.Tcbs.Get(slot);
        ref var c = ref t.C;
        return c.State is not (TcpState.Closed or TcpState.TimeWait) && (c.Flags & (TcbFlags.Finished | TcbFlags.FreePending)) == 0;
    }

    private bool TryFindAny(in IpAddress from, ushort local, in IpAddress to, ushort remote, out DemuxKind kind, out uint slot) =>
        _x.Demux.TryFind(_x.Demux.Hash(from, local, to, remote), from, local, to, remote, ref _keys, out kind, out slot);

    /// <summary>Whether a forged segment would end a connection that does not ask for more than a place in the window (RFC 5961).</summary>
    public bool IsGuess(in SegmentView view)
    {
        if (!TryFindAny(view.Destination, view.DestinationPort, view.Source, view.SourcePort, out var kind, out var slot)) return false;
        var isReset = (view.Flags & TcpFlags.Rst) != 0;
        switch (kind)
        {
            case DemuxKind.Tcb:
                var t = _x.Tcbs.Get(slot);
                ref readonly var rcv = ref t.C.Rcv;
                return IsEnough(_x.SettingsOf(t), isReset) && TcpInput.IsAcceptable(rcv.Nxt, (uint)(rcv.Edge - rcv.Nxt), view.Seq, 0);
            case DemuxKind.SynReceived:
                ref var record = ref _x.SynBacklog.Get(slot);
                return IsEnough(_x.SettingsOf(record), isReset) && TcpInput.IsAcceptable(record.Irs + 1, record.RcvWnd, view.Seq, 0);
            default:
                return false;
        }
    }

    private static bool IsEnough(TcpSettings settings, bool isReset) => isReset ? !settings.ExactResetsOnly : !settings.ChallengeSyns;

    private ref Seen At(uint slot)
    {
        if (slot >= _seen.Length) Array.Resize(ref _seen, (int)Math.Max(slot + 1, (uint)_seen.Length * 2));
        return ref _seen[slot];
    }

    private SimulationFailureException Failure(string judge, TcbRef t, string what)
    {
        ref var c = ref t.C;
        return host.World.Failure(judge, $"{host.Name} {c.LocalPort}>{c.Remote}:{c.RemotePort} ({c.State})", what);
    }
}
