// What recovery does otherwise for connections with a history, and who has one.
using Peregrine.Core.Memory;
using Peregrine.Core.Time;
using Peregrine.Wire;

namespace Peregrine.Core.Tcp.Recovery;

internal sealed class SenderMemory(LossRecovery recovery, Scoreboard board, IndexedPool<SenderHistory> histories)
{
    /// <summary>Histories in use.</summary>
    internal int UsedCount => histories.UsedCount;

    internal ref SenderHistory Of(in TcbCold k) => ref histories[k.History];

    /// <summary>A connection begins; it gets a history when its settings ask for one and there is one.</summary>
    internal void Begin(ref TcbCold k)
    {
        if (k.History == SenderHistory.None && recovery.SettingsOf(k).KeepsHistory && histories.TryRent(out var index)) k.Recovery.History = index;
    }

    internal void End(ref TcbCold k)
    {
        if (k.History == SenderHistory.None) return;
        recovery.Marks.Release(k);
        histories.Return(k.History);
        k.Recovery.History = SenderHistory.None;
    }

    /// <summary>Takes a round trip into the estimates.</summary>
    internal void TakeRoundTrip(in Tcb c, ref TcbCold k, Duration sample)
    {
        if (k.History == SenderHistory.None)
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
        if (k.History != SenderHistory.None) return WindowUse.IsLimited(c, Of(k));
        // In slow start half used is used: it doubles within the round trip.
        return (k.Recovery.Flags & (RecoveryFlags.LimitedThisRound | RecoveryFlags.LimitedLastRound)) != 0 || (c.Cwnd < c.Ssthresh && c.Cwnd / 2 < inFlightBefore);
    }

    /// <summary>The transmission that was made last ends with a PSH, which it keeps when it is made again, and perhaps a message with it.</summary>
    internal void NotePush(in Tcb c, in TcbCold k)
    {
        if (k.History == SenderHistory.None || k.Recovery.Tail == RecordPool.None) return;
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
    /// Data that went with our SYN were not acknowledged with it (RFC 7413 §4.2.2): with a history they are a transmission that is lost, which says
    /// nothing about the path's capacity; without one they count as never sent.
    /// </summary>
    internal void OnSynDataLost(ref Tcb c, ref TcbCold k, uint length, Instant now)
    {
        ref var r = ref k.Recovery;
        var end = c.Snd.Nxt + length;
        if (k.History == SenderHistory.None || r.Head != RecordPool.None || !board.TryAppend(ref r, c.Snd.Nxt, length, new SendStamp(now, 0, 0))) return;
        c.Snd.Nxt = c.Snd.Max = end;
        board[r.Head].Flags |= RecordFlags.Pushed;
        recovery.BeginTally(k, out var losses);
        board.MarkAllLost(ref r, expunge: false, now, ref losses);
        r.RecoveryPoint = end;
        r.Phase = RecoveryPhase.Loss;
        r.Flags |= RecoveryFlags.RecoveryPointSet;
    }
}
