// How much an application may queue, where more than the send buffer limits it, and how much of what it queues can go at once.
using Peregrine.Core.Tcp.Recovery;

namespace Peregrine.Core.Tcp;

internal static class TcpSendRoom
{
    /// <summary>Bytes of new data that both windows let go now.</summary>
    internal static uint SendableNow(TcpContext x, TcbRef t) =>
        Math.Min(x.Recovery.SendAllowance(t.C, t.K), t.C.UsableWindow);

    /// <summary>The length in bytes that the send queue must not pass when so many are to be queued.</summary>
    internal static int Limit(TcpContext x, TcbRef t, int wanted)
    {
        var most = t.K.SendBuffer;
        // Runs of writes are not cut: the last may pass the limit.
        if (x.Recovery.Memory.Does(t.K, SenderMechanisms.WriteRuns))
            most = t.C.SendQueue.Length + x.Recovery.Marks.Room(t.C, t.K, (uint)wanted, SendableNow(x, t), Held(x, t));
        return (int)(x.SettingsOf(t).UnsentBytesMax is > 0 and var lowat ? Math.Min(most, t.C.SendQueue.Length + RoomBelow(x, t, lowat, wanted)) : most);
    }

    /// <summary>
    /// Bytes of the send buffer that are taken. With <see cref="TcpSettings.WriteRuns"/> they are counted as Linux counts: each buffer of a transmission, of two segments at least, or of
    /// a run of writes takes somewhat more than its bytes.
    /// </summary>
    internal static uint Held(TcpContext x, TcbRef t)
    {
        ref var c = ref t.C;
        var queued = c.SendQueue.Length;
        if (queued == 0 || !x.Recovery.Memory.Does(t.K, SenderMechanisms.WriteRuns)) return queued;
        var flight = Math.Min((uint)Math.Max(0, c.Snd.Nxt - c.Snd.Una), queued);
        var (transmission, run) = (2u * c.Mss, WriteRuns.MaxOf(c));
        return queued + MessageMarks.RunOverhead * ((flight + transmission - 1) / transmission + (queued - flight + run - 1) / run);
    }

    /// <summary>Whether a writer that waits for room is to go on: a third of the buffer is free.</summary>
    internal static bool IsRoomy(TcpContext x, TcbRef t)
    {
        var held = Held(x, t);
        return t.K.SendBuffer > held && t.K.SendBuffer - held >= held / 2;
    }

    /// <summary>So many bytes have been queued.</summary>
    internal static void OnQueued(TcpContext x, TcbRef t, uint count, bool endsMessage)
    {
        if (t.K.HasHistory) OnQueuedWithHistory(x, t, count, endsMessage);
        else t.C.Snd.QueueEnd += count;
    }

    private static void OnQueuedWithHistory(TcpContext x, TcbRef t, uint count, bool endsMessage)
    {
        x.Recovery.Memory.EndGathering(t.K);
        if (!x.Recovery.Memory.Does(t.K, SenderMechanisms.WriteRuns)) t.C.Snd.QueueEnd += count;
        else x.Recovery.Marks.OnQueued(ref t.C, t.K, count, (t.K.More & MoreHints.Unpushed) == 0, endsMessage, SendableNow(x, t));
    }

    // TCP_NOTSENT_LOWAT: how many of the bytes given may be queued so that no more than the limit waits unsent, what the windows let go at once not
    // counted; in whole steps of what one transmission could be made of at most, as Linux counts.
    private static uint RoomBelow(TcpContext x, TcbRef t, int limit, int wanted)
    {
        ref var c = ref t.C;
        var step = WriteRuns.MaxOf(c);
        var unsent = (uint)Math.Max(0, c.Snd.QueueEnd - c.Snd.Nxt);
        var sendable = SendableNow(x, t);
        sendable -= sendable % c.Mss;
        var most = sendable + (((ulong)(uint)limit + (ulong)step - 1) / (ulong)step * (ulong)step);
        var room = unsent >= sendable + limit ? 0 : most - Math.Min(most, unsent);
        if (x.Recovery.Memory.Does(t.K, SenderMechanisms.WriteRuns)) room = Math.Max(room, x.Recovery.Marks.RoomOfRun(c, t.K, sendable));
        return (uint)Math.Min((ulong)wanted, room);
    }
}
