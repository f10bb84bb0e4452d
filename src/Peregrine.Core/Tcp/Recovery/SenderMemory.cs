// What recovery does by the settings of a sender's mechanisms, as far as it needs the sender's history, and who has one.
using Peregrine.Core.Memory;
using Peregrine.Core.Time;
using Peregrine.Wire;

namespace Peregrine.Core.Tcp.Recovery;

/// <summary>The memory of senders: who has one, and what is done with it.</summary>
internal sealed class SenderMemory(LossRecovery recovery, Scoreboard board, IndexedPool<SenderHistory> histories)
{
    /// <summary>Histories in use.</summary>
    internal int UsedCount => histories.UsedCount;

    internal ref SenderHistory Of(in TcbCold k) => ref histories[k.History];

    /// <summary>A connection begins; it gets a history when its settings ask for one and there is one.</summary>
    internal void Begin(ref TcbCold k)
    {
        var wanted = recovery.SettingsOf(k).Mechanisms;
        k.Recovery.Mechanisms = wanted & SenderMechanisms.OfTcb;
        if (k.HasHistory || (wanted & SenderMechanisms.OfHistory) == 0 || !histories.TryRent(out var index)) return;
        k.Recovery.History = index;
        Of(k).Mechanisms = wanted & SenderMechanisms.OfHistory;
    }

    internal void End(ref TcbCold k)
    {
        if (!k.HasHistory) return;
        recovery.Marks.Release(k);
        histories.Return(k.History);
        k.Recovery.History = SenderHistory.None;
    }

    /// <summary>Whether the sender does what needs a history, and has one.</summary>
    internal bool Does(in TcbCold k, SenderMechanisms mechanism) => k.HasHistory && (Of(k).Mechanisms & mechanism) != 0;

    /// <summary>Takes a round trip into the estimates.</summary>
    internal void TakeRoundTrip(in Tcb c, ref TcbCold k, Duration sample)
    {
        if (!Does(k, SenderMechanisms.RoundTripPerAck))
        {
            AckAccount.TakeRoundTrip(ref k, sample);
            return;
        }
        k.Recovery.Backoff = 0;
        k.Recovery.Flags &= ~RecoveryFlags.NoRttSinceProbe;
        WindowDeviation.Take(c, ref k.Rtt, ref Of(k), sample, recovery.Settings.RtoMin);
    }

    /// <summary>Whether the congestion window was used so far that it may grow.</summary>
    internal bool IsWindowLimited(in Tcb c, in TcbCold k, uint inFlightBefore)
    {
        if (Does(k, SenderMechanisms.WindowUsePerWindow)) return WindowUse.IsLimited(c, Of(k));
        // In slow start half used is used: it doubles within the round trip.
        return (k.Recovery.Flags & (RecoveryFlags.LimitedThisRound | RecoveryFlags.LimitedLastRound)) != 0 || (c.Cwnd < c.Ssthresh && c.Cwnd / 2 < inFlightBefore);
    }

    /// <summary>Whether segments overtook each other by more than duplicate ACKs allow for.</summary>
    internal bool HasReordered(in TcbCold k) => k.HasHistory && (Of(k).Flags & SenderHistoryFlags.Reordered) != 0;

    /// <summary>Segments become smaller: what was used of the window was so many of them.</summary>
    internal void OnMssReduced(in TcbCold k, ushort mss, ushort newMss)
    {
        if (newMss < mss && k.HasHistory) Of(k).FlightMax = (uint)((ulong)Of(k).FlightMax * newMss / mss);
    }

    /// <summary>Segments were too large for the path and go again in parts: by setting as after a time-out, though the window stays.</summary>
    internal void OnMtuLost(in Tcb c, ref TcbCold k)
    {
        ref var r = ref k.Recovery;
        if (!recovery.SettingsOf(k).RepairsAsTimeout || r.Phase == RecoveryPhase.Loss)
        {
            r.Flags |= RecoveryFlags.MtuRepair;
            return;
        }
        (r.RecoveryPoint, r.Phase, r.RtxNext) = (c.Snd.Max, RecoveryPhase.Loss, r.Head);
        r.Flags = (r.Flags | RecoveryFlags.RecoveryPointSet) & ~(RecoveryFlags.UndoPossible | RecoveryFlags.ProportionalReduction | RecoveryFlags.EcnResponded);
    }

    /// <summary>An ACK told that something was overtaken, by so much.</summary>
    internal void NoteReordering(in Tcb c, in TcbCold k, uint distance)
    {
        if (k.HasHistory && distance > 3u * c.Mss) Of(k).Flags |= SenderHistoryFlags.Reordered;
    }

    /// <summary>A segment has been sent.</summary>
    internal void NoteSent(in TcbCold k, Instant now)
    {
        if (k.HasHistory) Of(k).LastSentAt = TimeStamp32.Of(now);
    }

    /// <summary>A segment came, or the application wrote: what has waited to go with more is looked at again.</summary>
    internal void EndGathering(in TcbCold k)
    {
        if (k.HasHistory) Of(k).Flags &= ~SenderHistoryFlags.Gathering;
    }

    /// <summary>Whether what may go waits until more may.</summary>
    internal bool Gathers(in Tcb c, in TcbCold k, uint run, bool isLastRun, uint window, uint allowance, Instant now)
    {
        if (run <= c.Mss || !Does(k, SenderMechanisms.GathersSegments) || k.Recovery.Head == RecordPool.None) return false;
        // Nothing will be added to the end of a message.
        if (recovery.Marks.IsMessageEnd(c, k, c.Snd.Nxt + run)) return false;
        ref var h = ref Of(k);
        return (h.Flags & SenderHistoryFlags.Gathering) != 0 || Gathering.Waits(c, k, ref h, run, isLastRun, window, allowance, board[k.Recovery.Head].SentAt, now);
    }

    /// <summary>The transmission that was made last ends with a PSH, which it keeps when it is made again, and perhaps a message with it.</summary>
    internal void NotePush(in Tcb c, in TcbCold k)
    {
        if (!Does(k, SenderMechanisms.WriteRuns) || k.Recovery.Tail == RecordPool.None) return;
        ref var record = ref board[k.Recovery.Tail];
        record.Flags |= RecordFlags.Pushed;
        if (recovery.Marks.IsMessageEnd(c, k, record.End)) record.Flags |= RecordFlags.MessageEnd;
    }

    /// <summary>Whether what was sent in there had a PSH.</summary>
    internal bool WasPushed(ref TcbCold k, SeqNumber seq, SeqNumber end)
    {
        var budget = LossRecovery.StepsPerAckMax;
        var index = board.Find(ref k.Recovery, seq, ref budget);
        for (; index != RecordPool.None && board[index].End.IsBeforeOrEqual(end); index = board[index].Next)
        {
            if (board[index].Has(RecordFlags.Pushed)) return true;
        }
        return false;
    }

    /// <summary>
    /// Data that went with our SYN were not acknowledged with it (RFC 7413 §4.2.2): by setting they are a transmission that is lost, which says
    /// nothing about the path's capacity; else they count as never sent.
    /// </summary>
    internal void OnSynDataLost(ref Tcb c, ref TcbCold k, uint length, Instant now)
    {
        ref var r = ref k.Recovery;
        var end = c.Snd.Nxt + length;
        if (!recovery.SettingsOf(k).RepairsAsTimeout || r.Head != RecordPool.None || !board.TryAppend(ref r, c.Snd.Nxt, length, new SendStamp(now, 0, 0))) return;
        c.Snd.Nxt = c.Snd.Max = end;
        board[r.Head].Flags |= RecordFlags.Pushed;
        recovery.BeginTally(k, out var losses);
        board.MarkAllLost(ref r, expunge: false, now, ref losses);
        r.RecoveryPoint = end;
        r.Phase = RecoveryPhase.Loss;
        r.Flags |= RecoveryFlags.RecoveryPointSet;
    }
}
