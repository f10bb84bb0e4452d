// What a connection on the ready list has to say: SYNs, retransmissions, new data as far as windows and Nagle let them, probes, ACKs.
// Recovery says what is lost and how much may fly; here is when a segment is worth sending (RFC 9293 §3.7.4, §3.8.6).
using System.Net.Sockets;
using Peregrine.Core.Links;
using Peregrine.Core.Tcp.FastOpen;
using Peregrine.Core.Tcp.Recovery;
using Peregrine.Core.Time;
using Peregrine.Wire;

namespace Peregrine.Core.Tcp;

internal sealed class TcpOutput(
    TcpContext context, TcpSegmentWriter writer, FastOpenClient fastOpenClient, FastOpenServer fastOpenServer)
{
    private readonly TcpContext _x = context;
    private readonly TcpSegmentWriter _writer = writer;
    private readonly TcpSynOutput _syns = new(context, writer, fastOpenClient, fastOpenServer);

    // Nothing was in flight when the connection's output began that goes on, in an earlier turn perhaps.
    private bool _wasIdle;

    /// <summary>New data that a connection sends before the others have their turn: as much as the largest super-segment.</summary>
    private const uint TurnBytes = 65_536;

    /// <summary>Whether answers take the short way. Tests turn it off to see that both ways do the same.</summary>
    internal bool UsesShortWay { get; set; } = true;

    /// <summary>Lets ready connections speak until the output has no more room; false when some still have something to say.</summary>
    internal bool Poll(Instant now)
    {
        if (!_x.BlockWaiters.IsEmpty) _x.BlockWaiters.Wake(_x);
        for (var left = _x.Options.OutputConnectionsPerTurnMax; left > 0; left--)
        {
            if (_x.Ready.IsEmpty) return true;
            var t = _x.Tcbs.Get(_x.Ready.Head);
            var sentBefore = _x.Counters.SegmentsSent;
            if ((t.C.Flags & (TcbFlags.Finished | TcbFlags.FreePending)) == 0 && !Fill(t, now, out var isTurnOver))
            {
                // Who always has more to say than there is room for must not keep the others from speaking, not even from acknowledging.
                if (isTurnOver || _x.Counters.SegmentsSent != sentBefore) _x.Ready.MoveHeadToTail(_x.Tcbs);
                if (isTurnOver) continue;
                return false;
            }
            _x.Ready.RemoveHead(_x.Tcbs);
            _x.FreeIfUnlisted(t);
        }
        return _x.Ready.IsEmpty;
    }

    /// <summary>Everything that one connection may say now; false when there was no room for all of it, or when it is the others' turn.</summary>
    private bool Fill(TcbRef t, Instant now, out bool isTurnOver)
    {
        isTurnOver = false;
        ref var c = ref t.C;
        if (!_x.Ip.IsCurrent(c.Path) && !TryResolve(t, now)) return true;
        if (UsesShortWay && TcpAnswer.Is(_x, t, now, out var answer)) return SendAnswer(t, answer, now);
        if ((c.Flags & TcbFlags.SynPending) != 0 && !_syns.Send(t, now)) return false;
        if (c.State is TcpState.SynSent or TcpState.Closed) return true;
        // RFC 7413 §4.2.2: who was opened by a SYN's data may answer before the handshake is complete.
        if (c.State is TcpState.SynReceived && (t.K.FastOpen & FastOpenFlags.Pending) == 0) return (c.Flags & TcbFlags.AckNow) == 0 || SendAck(t, now);
        if (TcpEcn.OwesHandshakeAck(_x, t) && !SendAck(t, now)) return false;
        // RFC 9293 SHLD-16, MAY-7: retransmissions go whether or not the window was shrunk meanwhile, to its edge each.
        if (!SendRetransmissions(t, now)) return false;
        _wasIdle = c.Snd.Nxt == c.Snd.Una || t.K.Recovery.BeganIdle;
        t.K.Recovery.BeganIdle = false;
        for (var sent = 0u; NextNew(t, out var newLength, now) && TcpPacing.MaySend(_x, t, now); sent += newLength)
        {
            isTurnOver = sent >= TurnBytes;
            if (_x.MtuProbing is not null && !isTurnOver)
            {
                var choice = _x.MtuProbing.Next(t, out var probeLength, now);
                if (choice == MtuProbeChoice.Wait) break;
                if (choice == MtuProbeChoice.Send && TrySendMtuProbe(t, probeLength, now)) continue;
            }
            if (!isTurnOver && _x.Ip.HasRoom(c.Path) && SendRange(t, c.Snd.Nxt, newLength, isRetransmission: false, now)) continue;
            t.K.Recovery.BeganIdle = _wasIdle;
            return false;
        }
        if (LossRecovery.StopsWaiting(c, ref t.K) && !SendRetransmissions(t, now)) return false;
        if (c.Snd.Nxt == c.Snd.QueueEnd && !t.K.Does(SenderMechanisms.PacketWindow)) _x.Recovery.OnAppLimited(ref c, ref t.K);
        if ((c.Flags & (TcbFlags.ProbeNow | TcbFlags.KeepaliveNow)) != 0 && !SendProbes(t, now)) return false;
        if ((c.Flags & TcbFlags.AckNow) != 0 && !SendAck(t, now)) return false;
        _x.Details?.Watch(_x.Tcbs.IndexOf(t), BusyKind(c, t.K), now);
        ArmTimers(t, now);
        return true;
    }

    private bool SendAnswer(TcbRef t, uint length, Instant now)
    {
        ref var c = ref t.C;
        var seq = c.Snd.Nxt;
        Plan(t, seq, TcpFlags.Ack | TcpFlags.Psh, now, out var plan);
        if (!_writer.TrySend(t, plan, 0, (int)length, now))
        {
            _x.Counters.OutputNoFrame++;
            return false;
        }
        _x.Recovery.OnTransmit(ref c, ref t.K, seq, length, isRetransmission: false, now);
        _x.Recovery.Memory.NotePush(c, t.K);
        OnSent(t, seq, length, length, c.Mss, fin: false, isRetransmission: false, now);
        if (!t.K.Does(SenderMechanisms.PacketWindow)) _x.Recovery.OnAppLimited(ref c, ref t.K);
        return true;
    }

    // RFC 4821 §7.5: in the place of a segment of data, and whole.
    private bool TrySendMtuProbe(TcbRef t, uint length, Instant now)
    {
        if (!_x.Ip.HasRoom(t.C.Path) || !SendRange(t, t.C.Snd.Nxt, length, isRetransmission: false, now, isMtuProbe: true)) return false;
        _x.MtuProbing!.OnProbeSent(t, length);
        return true;
    }

    private TcpBusyKind BusyKind(in Tcb c, in TcbCold k)
    {
        if (c.SendQueue.Length == 0) return TcpBusyKind.Idle;
        var unsent = c.Snd.QueueEnd - c.Snd.Nxt;
        if (unsent <= 0) return (c.Flags & TcbFlags.WantWritable) != 0 ? TcpBusyKind.SendBuffer : TcpBusyKind.Busy;
        var usable = c.Snd.Una + c.Snd.Wnd - c.Snd.Nxt;
        return usable < Math.Min(unsent, c.Mss) && _x.Recovery.SendAllowance(c, k) >= (uint)Math.Min(unsent, c.Mss) ? TcpBusyKind.ReceiveWindow : TcpBusyKind.Busy;
    }

    private bool SendRetransmissions(TcbRef t, Instant now)
    {
        ref var c = ref t.C;
        if (!_x.Recovery.HasRetransmission(c, t.K)) return true;
        if ((t.K.Recovery.Flags & RecoveryFlags.ProbePending) != 0 && !SendLossProbe(t, now)) return false;
        while (_x.Recovery.TryNextRetransmission(ref c, ref t.K, out var seq, out var length) && TcpPacing.MaySend(_x, t, now))
        {
            if (!_x.Ip.HasRoom(c.Path) || !SendRange(t, seq, length, isRetransmission: true, now)) return false;
        }
        return true;
    }

    // RFC 8985 §7.3: a segment that was not sent yet, whatever Nagle and the congestion window say, or else the last one again.
    private bool SendLossProbe(TcbRef t, Instant now)
    {
        ref var c = ref t.C;
        if (!_x.Ip.HasRoom(c.Path)) return false;
        var usable = c.UsableWindow;
        var wanted = Math.Min((uint)Math.Max(0, c.Snd.QueueEnd - c.Snd.Nxt), c.Mss);
        var length = Math.Min(usable, wanted);
        // As Linux: new data where the window has room for the whole segment.
        var isRetransmission = length == 0 || (length < wanted && t.K.Does(SenderMechanisms.WindowToEdge)) || _x.Recovery.FreeRecords == 0;
        var seq = c.Snd.Nxt;
        if (isRetransmission) _x.Recovery.LastSegment(c, ref t.K, out seq, out length);
        else if (usable > length && seq + length == c.Snd.QueueEnd && c.IsFinUnsent) length++;
        if (!SendRange(t, seq, length, isRetransmission, now)) return false;
        _x.Recovery.OnProbeSent(c, ref t.K, isRetransmission);
        return true;
    }

    // Routes, addresses or the path's MTU have changed, or IP was asked to look again (RFC 9293 MUST-20).
    private bool TryResolve(TcbRef t, Instant now)
    {
        ref var c = ref t.C;
        var local = c.Local;
        var error = _x.Ip.Resolve(c.Remote, ref local, ref c.Path, now);
        if (error != SocketError.Success)
        {
            t.K.SoftError = error == SocketError.NetworkUnreachable ? TcpErrors.NetworkUnreachable : TcpErrors.HostUnreachable;
            ArmTimers(t, now);
            return false;
        }
        TcpHandshake.RefreshMss(_x, t);
        return true;
    }

    /// <summary>How much new data may go in the next segment; false when none.</summary>
    private bool NextNew(TcbRef t, out uint length, Instant now)
    {
        ref var c = ref t.C;
        length = 0;
        var unsent = (uint)Math.Max(0, c.Snd.QueueEnd - c.Snd.Nxt);
        var isLast = !_x.Recovery.Marks.TryNext(c, t.K, out var run);
        if (!isLast) unsent = run;
        var fin = isLast && c.IsFinUnsent;
        if (unsent == 0 && !fin) return false;
        // RFC 9293 MUST-34, SHLD-15: a peer that shrinks its window leaves nothing usable, and nothing new goes; MUST-35: ArmTimers probes.
        var usable = c.UsableWindow;
        if (c.Snd.Nxt == c.Snd.Una && usable > 0) _x.Recovery.OnIdle(ref c, ref t.K, now);
        var allowance = _x.Recovery.SendAllowance(c, t.K);
        if (_x.Recovery.FreeRecords == 0)
        {
            c.Flags |= TcbFlags.Starved;
            return false;
        }
        var mss = c.Mss;
        // A packet like another: it waits for its place in both windows.
        if (unsent == 0 && t.K.Does(SenderMechanisms.PacketWindow) && (usable == 0 || (allowance < mss && c.Snd.Nxt != c.Snd.Una))) return false;
        var most = Math.Min(Math.Min(usable, allowance), unsent);
        if (most >= mss)
        {
            if (!fin && _x.Recovery.Memory.Gathers(c, t.K, unsent, isLast, usable, allowance, now)) return false;
            // RFC 9293 SHLD-28, MAY-16: whole segments as long as there is enough; the rest waits for company.
            length = Math.Min(most, SuperSegment(t));
            if (length < unsent || !fin)
            {
                // Whole segments only, unless the rest is all there is and may go; as Linux has it, or all that is left of the peer's window.
                if (length % mss != 0 && !((length == unsent || (length == usable && t.K.Does(SenderMechanisms.WindowToEdge))) && (!isLast || MaySendSmall(t, length % mss)))) length -= length % mss;
            }
        }
        else if (most < unsent)
        {
            // RFC 9293 MUST-38: §3.8.6.2.1 (3): half of the largest window ever offered is worth a segment, when nothing is in flight.
            // And so is a congestion window that a larger MSS has overtaken: it could never grow again.
            if (most > 0 && c.Snd.Nxt == c.Snd.Una && TcpWindow.IsWorthASegment(c, most, allowance)) length = most;
            else return false;
        }
        else if (unsent > 0 && isLast && !fin && !MaySendSmall(t, unsent))
        {
            return false;
        }
        else
        {
            length = unsent;
        }
        // The FIN goes with the last byte; it needs no window of its own (it would wait for nothing but the application of the peer).
        if (fin && length == unsent) length++;
        return length > 0;
    }

    // RFC 9293 SHLD-7, MUST-17: Nagle, which the application can turn off; in Minshall's form: a small segment waits only for a small one.
    private bool MaySendSmall(TcbRef t, uint length)
    {
        ref var c = ref t.C;
        if (length >= c.Mss) return true;
        // TCP_CORK, MSG_MORE: the application says that there will be more.
        if ((t.K.More & MoreHints.Held) != 0 || _x.SettingsOf(t).Cork) return false;
        if ((c.Flags & TcbFlags.NoDelay) != 0 || c.Snd.Nxt == c.Snd.Una) return true;
        return _x.SettingsOf(t).PlainNagle ? _wasIdle : (c.Flags & TcbFlags.SmallInFlight) == 0;
    }

    /// <summary>The most bytes of one transmission: whole segments, one where each says something of its own.</summary>
    private uint SuperSegment(TcbRef t)
    {
        ref var c = ref t.C;
        // A signature is of one segment; so is a datagram.
        var isSingle = (c.Flags & TcbFlags.UrgentToSend) != 0 || _x.Ip.Errors.TunnelPort != 0 || _x.Psp is not null || _x.Authenticator?.Of(t) is not null;
        if (isSingle || TcpEcn.ForbidsSuperSegment(_x, t)) return c.Mss;
        var most = (uint)(_writer.SegmentCountMax(c) * c.Mss);
        return TcpPacing.Bound(_x, t, _x.Recovery.Memory.Does(t.K, SenderMechanisms.GathersSegments) ? Math.Min(most, Gathering.BytesMax(c, t.K)) : most);
    }

    private bool SendRange(TcbRef t, SeqNumber seq, uint length, bool isRetransmission, Instant now, bool isMtuProbe = false)
    {
        ref var c = ref t.C;
        var end = seq + length;
        var dataLength = (uint)Math.Max(0, SeqNumber.Min(end, c.Snd.QueueEnd) - seq);
        Plan(t, seq, TcpFlags.Ack, now, out var plan);
        plan.IsWhole = isMtuProbe;
        var most = isRetransmission ? SuperSegment(t) : dataLength;
        TcpEcn.OnDataPlan(_x, t, ref plan, isRetransmission);
        // SACK blocks and the AccECN option take room from a full segment, and a super-segment would have them in every part.
        if ((plan.Options.SackBlockCount > 0 || plan.Options.HasAccurateEcn) && dataLength > 0) most = Math.Min(most, c.Mss - OptionRoom(c, plan));
        if (_x.Psp is { } psp) (most, end) = Alike(psp, c, seq, most, end);
        // To Nagle a segment is full that SACK blocks leave no more room in.
        var whole = plan.Options.SackBlockCount > 0 ? c.Mss - OptionRoom(c, plan) : c.Mss;
        var fin = end.IsAfter(c.Snd.QueueEnd) && dataLength <= most;
        dataLength = Math.Min(dataLength, most);
        if (isMtuProbe) whole = dataLength;
        if (fin) plan.Flags |= TcpFlags.Fin;
        if (dataLength > 0 && IsPushed(t, seq, seq + dataLength, isRetransmission)) plan.Flags |= TcpFlags.Psh;
        var isCapable = !isRetransmission && dataLength > 0 && TcpEcn.IsCapable(_x, t);
        if (isCapable) TcpEcn.OnData(ref t.K, ref plan);
        if (!_writer.TrySend(t, plan, (uint)(seq - DataStart(c)), (int)dataLength, now))
        {
            _x.Counters.OutputNoFrame++;
            return false;
        }
        if (isCapable) t.K.Recovery.Flags &= ~RecoveryFlags.EcnReduced;
        var sent = dataLength + (fin ? 1u : 0);
        _x.Recovery.OnTransmit(ref c, ref t.K, seq, sent, isRetransmission, now);
        if (!isRetransmission && (plan.Flags & TcpFlags.Psh) != 0) _x.Recovery.Memory.NotePush(c, t.K);
        TcpPacing.OnSent(_x, t, sent, now);
        OnSent(t, seq, sent, dataLength, whole, fin, isRetransmission, now);
        return true;
    }

    // What was given before there was a key goes in clear text, and nothing else with it; a FIN behind it is another's.
    private static (uint Most, SeqNumber End) Alike(Psp.PspLayer psp, in Tcb c, SeqNumber seq, uint most, SeqNumber end)
    {
        var alike = psp.AlikeFrom(c, seq);
        return alike == uint.MaxValue ? (most, end) : (Math.Min(most, alike), SeqNumber.Min(end, seq + alike));
    }

    // RFC 9293 MUST-60, MUST-61, SHLD-27: the last of what is queued is pushed, and nothing is held back for want of a PSH.
    private bool IsPushed(TcbRef t, SeqNumber seq, SeqNumber end, bool isRetransmission)
    {
        if (!_x.Recovery.Memory.Does(t.K, SenderMechanisms.WriteRuns) || (!isRetransmission && end == t.C.Snd.QueueEnd)) return end == t.C.Snd.QueueEnd && (t.K.More & MoreHints.Unpushed) == 0;
        return isRetransmission ? _x.Recovery.Memory.WasPushed(ref t.K, seq, end) : _x.Recovery.Marks.IsPushed(t.K, end);
    }

    private void OnSent(TcbRef t, SeqNumber seq, uint sent, uint dataLength, uint whole, bool fin, bool isRetransmission, Instant now)
    {
        ref var c = ref t.C;
        if (fin) c.Flags |= TcbFlags.FinSent;
        if (dataLength > 0 && !isRetransmission) AdaptiveAcks.NoteAnswer(_x, t, now);
        _x.Recovery.Memory.NoteSent(t.K, now);
        _x.Details?.OnSent(_x.Tcbs.IndexOf(t), dataLength, c.Mss, isRetransmission, now);
        AckIsSent(_x, t);
        if (isRetransmission)
        {
            t.K.SegmentsRetransmitted++;
            _x.Counters.SegmentsRetransmitted++;
            if (seq == c.Snd.Una) TcpLossTimer.OnHeadRetransmitted(_x, t, now);
        }
        else
        {
            c.Snd.Nxt = seq + sent;
            _x.Recovery.Marks.OnSent(c, t.K);
            c.Snd.Max = SeqNumber.Max(c.Snd.Max, c.Snd.Nxt);
            _x.Counters.BytesSent += dataLength;
            // Most are one segment, for which a division would take longer than all the rest here.
            var segments = dataLength > c.Mss ? SegmentCount.Of(dataLength, c.Mss) : Math.Min(dataLength, 1);
            _x.Recovery.Counters.TCPOrigDataSent += segments;
            if (segments * c.Mss != dataLength && dataLength != whole)
            {
                // A full segment that follows does not make the small one less in flight.
                c.Flags |= TcbFlags.SmallInFlight;
                t.K.SmallEnd = c.Snd.Nxt;
            }
        }
        // Also where the persist timer runs already: without a limit the connection would repeat for ever.
        StartUserTimeout(t, now);
        if ((c.Flags & TcbFlags.Persisting) != 0)
        {
            // RFC 6298 §5.1: the retransmission timer was not running.
            c.Flags &= ~TcbFlags.Persisting;
            t.K.Retransmission = Deadline.None;
        }
        // Before the handshake is complete the timer is the SYN-ACK's.
        TcpLossTimer.OnSent(_x, t, isProbed: !isRetransmission && c.State != TcpState.SynReceived, now);
    }

    private void StartUserTimeout(TcbRef t, Instant now)
    {
        if (t.K.UserTimeout.IsSet || RetryLimit.Is(_x.SettingsOf(t))) return;
        t.K.UserTimeout = Deadline.At(now + Duration.FromMilliseconds(_x.SettingsOf(t).UserTimeoutMs));
    }

    /// <summary>The sequence number of the send queue's first byte: the SYN comes before it.</summary>
    private static SeqNumber DataStart(in Tcb c) => c.Snd.Una == c.Snd.Iss ? c.Snd.Iss + 1 : c.Snd.Una;

    private static uint OptionRoom(in Tcb c, in SegmentPlan plan) =>
        (uint)(plan.Options.EncodedLength - plan.Options.SignatureLength - ((c.Flags & TcbFlags.Timestamps) != 0 ? TcpOptions.TimestampsLength : 0));

    // Into its place: see TcpSegmentWriter.Describe.
    private void Plan(TcbRef t, SeqNumber seq, TcpFlags flags, Instant now, out SegmentPlan plan)
    {
        ref var c = ref t.C;
        plan = default;
        plan.Seq = seq;
        plan.Ack = c.Rcv.Nxt;
        plan.Flags = flags;
        plan.Window = TcpWindow.Advertise(_x, t);
        // RFC 3168 §6.1.3.
        if ((t.K.Recovery.Flags & RecoveryFlags.EcnEchoing) != 0) plan.Flags |= TcpFlags.Ece;
        if ((t.K.Recovery.Flags & RecoveryFlags.AccurateEcn) != 0) plan.Flags |= TcpEcn.Count(_x, t);
        if ((c.Flags & TcbFlags.Timestamps) != 0) plan.Options.SetTimestamps(TcpContext.TimestampNow(c, now), c.TsRecent);
        if ((c.Flags & TcbFlags.UrgentToSend) != 0) TcpUrgent.Mark(t, ref plan);
        if (_x.Authenticator is { } authenticator) authenticator.Of(t)?.Reserve(ref plan.Options);
        if ((c.Flags & TcbFlags.Sack) != 0 && (t.K.OutOfOrder.HasIntervals || t.K.DsackStart != t.K.DsackEnd || (c.Flags & TcbFlags.FinWaiting) != 0)) AddSackBlocks(t, ref plan);
    }

    // RFC 2018 §4; RFC 2883 §4: a duplicate is reported first, and once.
    private void AddSackBlocks(TcbRef t, ref SegmentPlan plan)
    {
        ref var k = ref t.K;
        if (k.DsackStart != k.DsackEnd)
        {
            plan.Options.TryAddSackBlock(new SackBlock(k.DsackStart, k.DsackEnd));
            (k.DsackEnd.IsAfter(t.C.Rcv.Nxt) ? ref _x.Recovery.Counters.TCPDSACKOfoSent : ref _x.Recovery.Counters.TCPDSACKOldSent)++;
            k.DsackStart = k.DsackEnd;
            _x.Counters.DsacksSent++;
        }
        Span<SackBlock> blocks = stackalloc SackBlock[TcpOptions.SackBlockCountMax];
        var count = _x.OutOfOrder.WriteSackBlocks(ref k.OutOfOrder, blocks, out var finPlace);
        // RFC 9293 §3.4: a FIN has a sequence number as data have, beside theirs or alone, in its place among them.
        var hasFin = (t.C.Flags & TcbFlags.FinWaiting) != 0 && _x.SettingsOf(t).SackCoversFin;
        var isAlone = hasFin && !_x.OutOfOrder.Holds(k.OutOfOrder, k.FinSeq - 1);
        for (var i = 0; i < count; i++)
        {
            if (isAlone && i == finPlace) plan.Options.TryAddSackBlock(new SackBlock(k.FinSeq, k.FinSeq + 1));
            plan.Options.TryAddSackBlock(hasFin && blocks[i].Right == k.FinSeq ? new SackBlock(blocks[i].Left, k.FinSeq + 1) : blocks[i]);
        }
        if (isAlone && finPlace == count) plan.Options.TryAddSackBlock(new SackBlock(k.FinSeq, k.FinSeq + 1));
    }

    private bool SendAck(TcbRef t, Instant now)
    {
        if (!_x.Ip.HasRoom(t.C.Path)) return false;
        Plan(t, AcceptableSeq(t), TcpFlags.Ack, now, out var plan);
        TcpEcn.OnAckPlan(_x, t, ref plan);
        if (RepeatsFin(t)) (plan.Seq, plan.Flags) = (t.C.Snd.QueueEnd, TcpFlags.Fin | TcpFlags.Ack);
        if (!_writer.TrySend(t, plan, 0, 0, now)) return false;
        _x.Counters.AcksSent++;
        AckIsSent(_x, t);
        return true;
    }

    // RFC 9293 §3.10.7.4 lets a peer drop what lies beyond its window, and a peer that shrank it would: as Linux, an ACK is at the edge then, but for what scaling rounds away.
    private static SeqNumber AcceptableSeq(TcbRef t)
    {
        ref var c = ref t.C;
        var edge = c.Snd.Una + c.Snd.Wnd;
        return edge.IsBefore(c.Snd.Nxt) && c.Snd.Nxt - edge >= 1 << c.RcvScale && t.K.Does(SenderMechanisms.WindowToEdge) ? edge : c.Snd.Nxt;
    }

    private bool RepeatsFin(TcbRef t) =>
        (t.C.Flags & TcbFlags.FinSent) != 0 && t.C.Snd.Una == t.C.Snd.QueueEnd && t.C.LastAckSent != t.C.Rcv.Nxt && _x.SettingsOf(t).AcksRepeatFin;

    internal static void AckIsSent(TcpContext x, TcbRef t)
    {
        ref var c = ref t.C;
        if (AdaptiveAcks.Is(x, t)) AdaptiveAcks.OnSent(ref c, ref AdaptiveAcks.Of(x, t), (c.Flags & (TcbFlags.AckNow | TcbFlags.AckDelayed)) != 0, ref x.Recovery.Counters);
        c.Flags &= ~(TcbFlags.AckNow | TcbFlags.AckDelayed);
        c.LastAckSent = c.Rcv.Nxt;
        t.K.DelayedAck = Deadline.None;
    }

    private bool SendProbes(TcbRef t, Instant now)
    {
        ref var c = ref t.C;
        if (!_x.Ip.HasRoom(c.Path)) return false;
        var usable = Math.Min(c.Snd.Una + c.Snd.Wnd - c.Snd.Nxt, c.Snd.QueueEnd - c.Snd.Nxt);
        if ((c.Flags & TcbFlags.ProbeNow) != 0 && usable > 0 && _x.Recovery.FreeRecords > 0)
        {
            // RFC 9293 §3.8.6.2.1 (4): the override: the window is open a little, and waited for in vain: what fits goes.
            var waits = c.Flags & TcbFlags.Persisting;
            c.Flags &= ~(TcbFlags.ProbeNow | TcbFlags.Persisting);
            t.K.More = MoreHints.None;
            var length = (uint)Math.Min(usable, c.Mss);
            if (c.Snd.Nxt + length != c.Snd.QueueEnd) _x.Recovery.Marks.PushNext(t.K, c.Snd.Nxt + length);
            if (!SendRange(t, c.Snd.Nxt, length, isRetransmission: false, now))
            {
                // Without a frame the wait goes on: nothing else would remember what is to be sent.
                c.Flags |= waits;
                return false;
            }
            if (t.K.Does(SenderMechanisms.ProbeTimerStays))
            {
                TcpLossTimer.Reset(ref t.K);
                TcpLossTimer.StartTimeout(_x, t, now);
            }
        }
        if ((c.Flags & TcbFlags.ProbeNow) != 0)
        {
            // RFC 9293 MUST-35, MUST-36: one byte of new data into the closed window. It is not recorded as sent: if it is taken, the ACK says so.
            var hasData = c.Snd.QueueEnd.IsAfter(c.Snd.Nxt) && _x.SettingsOf(t).WindowProbeData;
            Plan(t, hasData ? c.Snd.Nxt : c.Snd.Una - 1, TcpFlags.Ack, now, out var plan);
            if (!_writer.TrySend(t, plan, hasData ? (uint)(c.Snd.Nxt - DataStart(c)) : 0, hasData ? 1 : 0, now)) return false;
            if (hasData) c.Snd.Max = SeqNumber.Max(c.Snd.Max, c.Snd.Nxt + 1);
            _x.Counters.WindowProbesSent++;
            c.Flags &= ~TcbFlags.ProbeNow;
        }
        if ((c.Flags & TcbFlags.KeepaliveNow) != 0)
        {
            // RFC 9293 §3.8.4, SHLD-12: SEG.SEQ = SND.NXT - 1, no data.
            Plan(t, c.Snd.Nxt - 1, TcpFlags.Ack, now, out var plan);
            if (!_writer.TrySend(t, plan, 0, 0, now)) return false;
            _x.Counters.KeepaliveProbesSent++;
            c.Flags &= ~TcbFlags.KeepaliveNow;
        }
        AckIsSent(_x, t);
        return true;
    }

    // Data that wait with nothing in flight need the persist timer, or the connection would never speak again.
    private void ArmTimers(TcbRef t, Instant now)
    {
        ref var c = ref t.C;
        if (c.Snd.Nxt != c.Snd.Una || t.K.Retransmission.IsSet || (t.K.Recovery.Flags & RecoveryFlags.PacingWait) != 0) return;
        if (!c.Snd.QueueEnd.IsAfter(c.Snd.Nxt) && !c.IsFinUnsent) return;
        if (c.State is TcpState.SynSent or TcpState.SynReceived) return;
        if ((c.Flags & TcbFlags.Starved) == 0) c.Flags |= TcbFlags.Persisting;
        t.K.Retransmission = Deadline.At(now + ((c.Flags & TcbFlags.Starved) != 0 ? Duration.FromMilliseconds(10) : TcpTimers.PersistInterval(_x, t)));
        _x.Arm(t, t.K.Retransmission);
    }
}
