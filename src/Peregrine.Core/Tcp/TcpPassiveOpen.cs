// Passive opens: a SYN for a listener becomes a record of the SYN backlog (or a cookie when that is full), the completing ACK becomes a
// TCB in ESTABLISHED on the accept queue. RFC 9293 §3.10.7.2 (LISTEN) and §3.10.7.4 as far as it speaks of a passive SYN-RECEIVED.
using System.Net.Sockets;
using Peregrine.Core.Demux;
using Peregrine.Core.Ip;
using Peregrine.Core.Tcp.FastOpen;
using Peregrine.Core.Time;
using Peregrine.Wire;

namespace Peregrine.Core.Tcp;

internal sealed class TcpPassiveOpen(TcpContext context, TcpReplies replies, TcpSegmentWriter writer, TcpInput input, SynCookies cookies,
    FastOpenServer fastOpen)
{
    private readonly TcpContext _x = context;
    private readonly TcpReplies _replies = replies;
    private readonly TcpHalfOpenOutput _output = new(context, writer, fastOpen);
    private readonly TcpInput _input = input;
    private readonly SynCookies _cookies = cookies;
    private readonly FastOpenServer _fastOpen = fastOpen;
    private Instant _cookiesUntil;

    /// <summary>A segment for which there is no connection.</summary>
    internal void OnSegment(ref SegmentArrival s, in ReceivedPacket packet, Instant now)
    {
        var found = _x.Listeners.TryFind(_x.Demux, packet, s, out var listener);
        // RFC 9293 §3.10.7.2, first: a reset in LISTEN is ignored; §3.10.7.1: and without a listener too.
        if (s.IsRst || !found || s.IsAck)
        {
            if (found && s.IsAck && !s.IsRst && TryTakeCookie(ref s, packet, listener, now)) return;
            _x.Counters.DroppedNoConnection++;
            if (!IsUnanswered(s, found)) _replies.ResetFor(packet, s, now, found ? null : _replies.MarksOf(s.LocalPort));
            return;
        }
        // RFC 9293 §3.10.7.2, fourth: neither RST, ACK nor SYN: drop.
        if (!s.IsSyn || (s.IsFin && _x.Options.ListenDropsSynFin))
        {
            _x.Counters.DroppedNoConnection++;
            return;
        }
        OnSyn(ref s, packet, listener, null, now);
    }

    /// <summary>A connection request for a listener; <paramref name="issFloor"/> comes from a TIME-WAIT record that gives way.</summary>
    internal void OnSyn(ref SegmentArrival s, in ReceivedPacket packet, int listener, TimeWaitRecord? issFloor, Instant now)
    {
        var entry = _x.Listeners.Get(listener)!;
        var settings = _x.Settings[entry.Settings];
        var record = new SynRecord
        {
            Local = packet.Destination,
            Remote = packet.Source,
            LocalPort = s.LocalPort,
            RemotePort = s.RemotePort,
            Listener = listener,
            ListenerGeneration = entry.Generation,
            Irs = s.Seq,
            TsRecent = s.Options.TsVal,
            // RFC 9293 MUST-14, MUST-15.
            PeerMss = s.Options.HasMss ? s.Options.Mss : TcpHandshake.DefaultMss(packet.Source),
            SndWnd = new UnscaledWindow(s.RawWindow),
        };
        if (settings.Timestamps && s.Options.HasTimestamps) record.Flags |= SynFlags.Timestamps;
        if (settings.SelectiveAcknowledgments && s.Options.SackPermitted) record.Flags |= SynFlags.Sack;
        TcpEcn.Grant(_x, ref record, settings, s, packet);
        if (settings.WindowScaling && s.Options.HasWindowScale)
        {
            record.Flags |= SynFlags.WindowScale;
            record.SndScale = s.Options.WindowScale.Shift;
            record.RcvScale = TcpWindow.ScaleFor(settings.ReceiveBufferBytesMax);
        }
        var source = record.Local;
        if (_x.Ip.Resolve(record.Remote, ref source, ref record.Path, now) != SocketError.Success)
        {
            _x.Counters.DroppedSynBacklogFull++;
            return;
        }
        record.TsOffset = _x.Isn.TimestampOffset(record.Local, record.LocalPort, record.Remote, record.RemotePort);
        // RFC 9293 SHLD-1, MUST-9.
        record.Iss = _x.Isn.Next(record.Local, record.LocalPort, record.Remote, record.RemotePort, now);
        if (issFloor is { } old) record.Iss = TimeWaitJudge.IssAfter(old, record.Iss);
        record.Hash = _x.Demux.Hash(record.Local, record.LocalPort, record.Remote, record.RemotePort);
        _x.Authenticator?.OnSyn(s, entry, ref record);
        _x.Begin(record.Hash, packet.EncapsulationPort, record.Local, record.LocalPort, record.Remote, record.RemotePort);
        // In whole segments, which tunnel and timestamps make smaller: not before both are known.
        record.RcvWnd = _output.FirstWindow(record, settings);
        var verdict = s.Options.HasSignature ? FastOpenVerdict.None : _fastOpen.Judge(s, packet, entry, settings, now);
        if (verdict is FastOpenVerdict.Grant or FastOpenVerdict.AcceptAndGrant)
            record.Flags |= SynFlags.FastOpen | (s.Options.IsFastOpenExperimental ? SynFlags.FastOpenExperimental : SynFlags.None);
        // As Linux: not where cookies are given. One that has been given for this SYN would be answered, and a connection does not take it (RFC 9293 §3.10.7.4).
        // RFC 9293 MAY-2: and the number of a cookie is not ours to choose, so that there is none where it has to be larger than one before.
        var isCookie = _x.Options.SynCookiesOnly && issFloor is null;
        var isCookieOut = isCookie || now <= entry.CookiesUntil;
        if (verdict >= FastOpenVerdict.Accept && !isCookieOut && TryOpenFast(record, entry, ref s, packet, now)) return;
        if (entry.IsFull || isCookie || !_x.SynBacklog.TryAdd(record, RecordsMax(entry), now, out var index))
        {
            OnBacklogFull(ref record, entry, settings, now);
            return;
        }
        if (!_x.Demux.TryAdd(record.Hash, DemuxKind.SynReceived, index))
        {
            _x.SynBacklog.Remove(index);
            _x.Counters.DroppedConnectionLimit++;
            return;
        }
        _x.Counters.SynsAccepted++;
        _output.SendSynAck(ref _x.SynBacklog.Get(index), now);
    }

    // The bound of this queue is the larger of the backlog and what a burst of honest clients needs.
    private static int RecordsMax(TcpListenerEntry entry) => Math.Max(entry.Backlog, 128);

    /// <summary>Whether a listener has room for a connection request that may get no cookie.</summary>
    internal bool HasRoom(int listener)
    {
        var entry = _x.Listeners.Get(listener)!;
        return !entry.IsFull && _x.SynBacklog.HasRoom(listener, RecordsMax(entry));
    }

    // RFC 7413 §4.2.2: a connection before its handshake is complete, which may be given to the application and send.
    private bool TryOpenFast(in SynRecord record, TcpListenerEntry entry, ref SegmentArrival s, in ReceivedPacket packet, Instant now)
    {
        if (entry.IsFull || !_x.Tcbs.TryAllocate(out var tcb)) return false;
        if (!_x.Demux.TryAdd(record.Hash, DemuxKind.Tcb, tcb))
        {
            _x.Tcbs.Retire(tcb);
            _x.Tcbs.Free(tcb);
            return false;
        }
        var t = MakeTcb(tcb, record, entry, now);
        ref var c = ref t.C;
        // The SYN is repeated by its own rule and is no part of what is in flight.
        c.Snd.Una = c.Snd.Nxt;
        c.Flags |= TcbFlags.SynPending;
        _x.Recovery.OnEstablished(ref c, ref t.K, TcpHandshake.AlgorithmOf(_x.SettingsOf(t)), Duration.Zero, synRetransmissions: 0, now);
        _fastOpen.OnOpened(t, entry, record.Listener, s.PayloadLength > 0);
        if ((record.Flags & SynFlags.FastOpen) != 0) t.K.FastOpen |= FastOpenFlags.Granting;
        t.K.LastReceived = Deadline.At(now);
        _x.Counters.SynsAccepted++;
        s.TrimFront(1);
        s.TrimBack(c.Rcv.Edge);
        // A FIN has no place before the handshake is complete: the peer sends it again.
        s.Flags &= ~TcpFlags.Fin;
        if (s.PayloadLength > 0) _input.TakeSynData(t, ref s, packet, now);
        entry.Enqueue(_x.Tcbs.HandleOf(t));
        _x.Listeners.Raise(record.Listener);
        _x.MarkReady(t);
        return true;
    }

    // RFC 4987 §3.6: a full backlog keeps no state, so that a flood cannot shut honest clients out.
    private void OnBacklogFull(ref SynRecord record, TcpListenerEntry entry, TcpSettings settings, Instant now)
    {
        var acceptQueueFull = entry.IsFull;
        // A cookie keeps no key's identifiers, and a flood cannot sign.
        if (acceptQueueFull || !_x.Options.SynCookies || _output.SignerOf(record) is not null || !_replies.TryTake(now))
        {
            _x.Counters.DroppedSynBacklogFull++;
            if (!acceptQueueFull) _x.Recovery.Counters.TCPReqQFullDrop++;
            return;
        }
        _x.Recovery.Counters.TCPReqQFullDoCookies++;
        _x.Counters.SynsAccepted++;
        _x.Counters.SynCookiesSent++;
        entry.CookiesUntil = _cookiesUntil = now + SynCookies.SlotLength * 2;
        record.Iss = _cookies.Encode(record.Local, record.LocalPort, record.Remote, record.RemotePort, record.Irs, record.PeerMss, (record.Flags & SynFlags.Sack) != 0, now);
        var stamp = 0u;
        if ((record.Flags & SynFlags.Timestamps) != 0)
        {
            var options = new CookieOptions((record.Flags & SynFlags.WindowScale) != 0, record.SndScale, (record.Flags & SynFlags.Sack) != 0, (record.Flags & SynFlags.Ecn) != 0);
            stamp = SynCookies.EncodeTimestamp(now.Milliseconds, record.TsOffset, options);
        }
        else
        {
            // Without a timestamp there is nowhere to keep them; SACK is in the number.
            record.Flags &= ~(SynFlags.WindowScale | SynFlags.Ecn);
        }
        _output.SendSynAck(ref record, stamp, settings, now);
    }

    /// <summary>SYN-ACKs whose time-out has come, and records that have expired: a turn's share.</summary>
    internal void FireTimers(Instant now)
    {
        for (var left = _x.Options.TimersPerTurnMax; left > 0 && _x.SynBacklog.TryNextDue(now, out var index, out var expired); left--)
        {
            if (expired)
            {
                _x.Counters.FailedOpens++;
                Remove(index);
                continue;
            }
            ref var record = ref _x.SynBacklog.Get(index);
            // It has been acknowledged, and data are awaited: a while longer, and any ACK will do.
            if ((record.SynField & SynRecord.Acknowledged) != 0 && IsDeferred(record, now)) continue;
            // RFC 7413 §4.2.1: without the option, in case that it is what gets lost.
            record.Flags &= ~SynFlags.FastOpen;
            _output.SendSynAckAgain(ref record, now);
        }
    }

    /// <summary>The listener closes: its half-open connections go with it.</summary>
    internal void RemoveAllOf(int listener, Instant now)
    {
        while (_x.SynBacklog.TryFirstOf(listener, out var index)) Abandon(index, now);
    }

    private void Abandon(uint index, Instant now)
    {
        _output.SendReset(_x.SynBacklog.Get(index), now);
        Remove(index);
    }

    /// <summary>A segment for a connection in (passive) SYN-RECEIVED; RFC 9293 §3.10.7.4.</summary>
    internal void OnSynReceived(uint index, ref SegmentArrival s, in ReceivedPacket packet, Instant now)
    {
        ref var record = ref _x.SynBacklog.Get(index);
        var next = record.Irs + 1;
        // RFC 7323 §5.3: PAWS holds here as well.
        if ((record.Flags & SynFlags.Timestamps) != 0 && !s.IsRst && !s.IsSyn
            && (s.Options.HasTimestamps ? (int)(s.Options.TsVal - record.TsRecent) < 0 : !_x.SettingsOf(record).AcceptsMissingTimestamps))
        {
            _x.Counters.DroppedPaws++;
            return;
        }
        // The peer's SYN again: our SYN-ACK was lost.
        if (s.IsSyn && !s.IsAck && s.Seq == record.Irs && !s.IsRst)
        {
            _x.Counters.SynsAccepted++;
            if (!TcpEcn.OnSynAgain(ref record, s, packet)) Abandon(index, now);
            else if (MayReply(now)) _output.SendSynAckAgain(ref record, now);
            return;
        }
        if (!TcpInput.IsAcceptable(next, record.RcvWnd, s.Seq, s.Length))
        {
            _x.Counters.DroppedOutOfWindow++;
            if (!s.IsRst && MayReply(now)) _output.SendAck(record, now);
            return;
        }
        if (s.IsRst)
        {
            // RFC 5961 §3.2: only exactly in place. RFC 9293 MUST-11: a record of this backlog came from LISTEN and goes back there, unheard of;
            // an active open in SYN-RECEIVED has a TCB.
            if (s.Seq == next || !_x.SettingsOf(record).ExactResetsOnly)
            {
                _x.Counters.ResetsReceived++;
                _x.Counters.FailedOpens++;
                _x.Recovery.Counters.EmbryonicRsts++;
                Remove(index);
                return;
            }
            _x.Counters.DroppedResetNotExact++;
            if (MayReply(now)) _output.SendAck(record, now);
            return;
        }
        if (s.IsSyn)
        {
            _x.Counters.DroppedSynInConnection++;
            if (!_x.SettingsOf(record).ChallengeSyns) Abandon(index, now);
            else if (MayReply(now)) _output.SendAck(record, now);
            return;
        }
        if (!s.IsAck)
        {
            _x.Counters.DroppedNoAckBit++;
            return;
        }
        if (s.Ack != record.Iss + 1)
        {
            if (TryTakeEarlierCookie(index, ref s, packet, now)) return;
            _x.Counters.DroppedUnacceptableAck++;
            if (!IsUnanswered(s, isListening: true)) _replies.ResetFor(packet, s, now);
            return;
        }
        Complete(index, ref s, packet, now);
    }

    private bool IsUnanswered(in SegmentArrival s, bool isListening) => _x.Options.BlackHole switch
    {
        TcpBlackHole.Syns => s.IsSyn && !isListening,
        TcpBlackHole.ClosedPorts => !isListening,
        TcpBlackHole.Unexpected => true,
        _ => false,
    };

    private bool MayReply(Instant now)
    {
        if (_replies.TryTake(now)) return true;
        _x.Recovery.Counters.TCPACKSkippedSynRecv++;
        return false;
    }

    private void Complete(uint index, ref SegmentArrival s, in ReceivedPacket packet, Instant now)
    {
        var record = _x.SynBacklog.Get(index);
        var entry = _x.Listeners.Get(record.Listener);
        if (entry is null || entry.Generation != record.ListenerGeneration)
        {
            _x.Counters.DroppedNoConnection++;
            _replies.ResetFor(packet, s, now);
            Remove(index);
            return;
        }
        if (s.PayloadLength == 0 && !s.IsFin && IsDeferred(record, now))
        {
            _x.SynBacklog.Get(index).SynField |= SynRecord.Acknowledged;
            _x.Recovery.Counters.TCPDeferAcceptDrop++;
            _x.Counters.SegmentsAccepted++;
            return;
        }
        // The record stays: the SYN-ACK comes again, and with it the ACK, when there may be room.
        if (!TryAllocate(entry, out var tcb)) return;
        _x.Demux.Replace(record.Hash, DemuxKind.SynReceived, index, DemuxKind.Tcb, tcb);
        _x.SynBacklog.Remove(index);
        Open(tcb, record, entry, ref s, packet, now);
    }

    private bool TryAllocate(TcpListenerEntry entry, out uint tcb)
    {
        tcb = TcbTable.None;
        if (entry.IsFull) _x.Counters.DroppedAcceptQueueFull++;
        else if (_x.Tcbs.TryAllocate(out tcb)) return true;
        else _x.Counters.DroppedConnectionLimit++;
        return false;
    }

    private bool IsDeferred(in SynRecord record, Instant now) =>
        _x.SettingsOf(record).DeferAcceptSeconds is > 0 and var seconds && now - record.FirstSent < Duration.FromSeconds(seconds);

    // RFC 9293 MUST-42: the listener goes on while its connections run.
    private void Open(uint tcb, in SynRecord record, TcpListenerEntry entry, ref SegmentArrival s, in ReceivedPacket packet, Instant now)
    {
        var t = MakeTcb(tcb, record, entry, now);
        TcpEcn.OnFinalAck(_x, t, s);
        if ((record.Flags & SynFlags.Retransmitted) != 0) t.C.Backoff = Math.Max(record.Retries, (byte)1);
        else t.K.RoundStart = Deadline.At(record.FirstSent);
        if (record.Retries > 0) _x.Details?.OnSynAckTimeouts(tcb, record.Retries, record.FirstSent);
        entry.Enqueue(_x.Tcbs.HandleOf(t));
        _x.Listeners.Raise(record.Listener);
        // From here on the segment is like any other: its data and FIN count (RFC 9293 §3.10.7.4, fifth).
        _input.OnSegment(t, ref s, packet, now);
    }

    private TcbRef MakeTcb(uint tcb, in SynRecord record, TcpListenerEntry entry, Instant now)
    {
        var t = _x.Tcbs.Get(tcb);
        ref var c = ref t.C;
        var settings = _x.Settings[entry.Settings];
        _x.Settings.Share(entry.Settings);
        t.K.Settings = entry.Settings;
        (c.Local, c.LocalPort, c.Remote, c.RemotePort, c.Path) = (record.Local, record.LocalPort, record.Remote, record.RemotePort, record.Path);
        TcpStates.Move(ref c.State, TcpState.SynReceived);
        // The SYN counts, and the SYN-ACKs that went again.
        (c.Flags, t.K.SegmentsIn, t.K.SegmentsRetransmitted) = (TcbFlags.InAcceptQueue, 1, record.SentAgain);
        _x.Authenticator?.OnAccepted(t, record);
        TcpHandshake.Initialize(_x, t, record.Iss, record.TsOffset, settings, now);
        c.Snd.Nxt = c.Snd.Max = record.Iss + 1;
        TcpHandshake.TakeSyn(_x, t, record.AgreedSyn(), now);
        // RFC 9293 SHLD-14: what the SYN-ACK has promised, by the MSS of then: an ACK that its record was to take is refused otherwise, and nothing repeats it.
        t.C.Rcv.Edge = SeqNumber.Max(t.C.Rcv.Edge, t.C.Rcv.Nxt + record.RcvWnd);
        TcpEcn.Begin(_x, t, record);
        _x.Counters.PassiveOpens++;
        return t;
    }

    private bool TryTakeCookie(ref SegmentArrival s, in ReceivedPacket packet, int listener, Instant now)
    {
        if (!_x.Options.SynCookies || now > _cookiesUntil || s.IsSyn) return false;
        if (!_cookies.TryDecode(packet.Destination, s.LocalPort, packet.Source, s.RemotePort, s.Seq - 1, s.Ack - 1, now, out var mss, out var sack))
        {
            _x.Counters.SynCookiesRejected++;
            // Neither taken nor reset (RFC 9293 §3.10.7.2 would): a client whose first segments were lost or overtaken is heard from beyond
            // the number that its cookie is good for, also by a bare ACK when the SYN-ACK came twice. It comes back to that number by itself.
            _x.Counters.DroppedNoConnection++;
            return true;
        }
        TakeCookie(ref s, packet, listener, mss, sack, now);
        return true;
    }

    // The client answers the cookie of a SYN-ACK that went out before there was room for the record of its second SYN.
    private bool TryTakeEarlierCookie(uint index, ref SegmentArrival s, in ReceivedPacket packet, Instant now)
    {
        var record = _x.SynBacklog.Get(index);
        if (!_x.Options.SynCookies || now > _cookiesUntil || _x.Listeners.Get(record.Listener)?.Generation != record.ListenerGeneration) return false;
        if (!_cookies.TryDecode(record.Local, record.LocalPort, record.Remote, record.RemotePort, record.Irs, s.Ack - 1, now, out var mss, out var sack)) return false;
        if (s.Seq != record.Irs + 1)
        {
            _x.Counters.DroppedOutOfWindow++;
            return true;
        }
        Remove(index);
        TakeCookie(ref s, packet, record.Listener, mss, sack, now);
        return true;
    }

    private void TakeCookie(ref SegmentArrival s, in ReceivedPacket packet, int listener, ushort mss, bool sack, Instant now)
    {
        var entry = _x.Listeners.Get(listener)!;
        if (!TryAllocate(entry, out var tcb)) return;
        var record = new SynRecord
        {
            Local = packet.Destination,
            Remote = packet.Source,
            LocalPort = s.LocalPort,
            RemotePort = s.RemotePort,
            Listener = listener,
            Irs = s.Seq - 1,
            Iss = s.Ack - 1,
            PeerMss = mss,
            SndWnd = new UnscaledWindow(s.RawWindow),
            FirstSent = now,
            Flags = SynFlags.Retransmitted | (sack ? SynFlags.Sack : 0),
        };
        RestoreOptions(ref record, s, _x.Settings[entry.Settings]);
        TcpEcn.RestoreFromCookie(_x, ref record, _x.Settings[entry.Settings], s);
        var source = record.Local;
        record.Hash = _x.Demux.Hash(record.Local, record.LocalPort, record.Remote, record.RemotePort);
        _x.Begin(record.Hash, packet.EncapsulationPort, record.Local, record.LocalPort, record.Remote, record.RemotePort);
        if (_x.Ip.Resolve(record.Remote, ref source, ref record.Path, now) != SocketError.Success || !_x.Demux.TryAdd(record.Hash, DemuxKind.Tcb, tcb))
        {
            _x.Tcbs.Retire(tcb);
            _x.Tcbs.Free(tcb);
            _x.Counters.DroppedConnectionLimit++;
            return;
        }
        record.RcvWnd = _output.FirstWindow(record, _x.Settings[entry.Settings]);
        _x.Counters.SynCookiesAccepted++;
        Open(tcb, record, entry, ref s, packet, now);
    }

    private void RestoreOptions(ref SynRecord record, in SegmentArrival s, TcpSettings settings)
    {
        if (!s.Options.HasTimestamps) return;
        record.TsOffset = _x.Isn.TimestampOffset(record.Local, record.LocalPort, record.Remote, record.RemotePort);
        record.TsRecent = s.Options.TsVal;
        record.Flags |= SynFlags.Timestamps;
        var carried = SynCookies.DecodeTimestamp(s.Options.TsEcr, record.TsOffset);
        if (carried.SackPermitted) record.Flags |= SynFlags.Sack;
        if (carried.Ecn) record.Flags |= SynFlags.Ecn;
        if (!carried.HasWindowScale) return;
        record.Flags |= SynFlags.WindowScale;
        record.SndScale = carried.WindowScale;
        record.RcvScale = TcpWindow.ScaleFor(settings.ReceiveBufferBytesMax);
    }

    private void Remove(uint index)
    {
        _x.Demux.Remove(_x.SynBacklog.Get(index).Hash, DemuxKind.SynReceived, index);
        _x.SynBacklog.Remove(index);
    }
}
