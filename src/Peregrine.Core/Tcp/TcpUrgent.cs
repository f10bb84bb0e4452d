// Urgent data that we send (RFC 9293 §3.8.5): where they end.
using Peregrine.Core.Tcp.FastOpen;
using Peregrine.Wire;

namespace Peregrine.Core.Tcp;

internal static class TcpUrgent
{
    /// <summary>The last of what is queued is urgent.</summary>
    internal static void Begin(TcbRef t)
    {
        // The field says whose queue the connection counts in until its handshake is over; a pointer is an advice, the data go in any case.
        if ((t.K.FastOpen & FastOpenFlags.Pending) != 0) return;
        // RFC 9293 MUST-30.
        t.K.SndUp = t.C.Snd.QueueEnd;
        t.C.Flags |= TcbFlags.UrgentToSend;
    }

    /// <summary>
    /// A segment that is about to be sent, with text or without: RFC 9293 §3.10.4 SEND: the pointer is in the outgoing segments; §3.8.5 with
    /// RFC 6093: it names the byte after the urgent data.
    /// </summary>
    internal static void Mark(TcbRef t, ref SegmentPlan plan)
    {
        var distance = t.K.SndUp - plan.Seq;
        if (distance <= 0)
        {
            if (t.C.Snd.Una.IsAfterOrEqual(t.K.SndUp)) t.C.Flags &= ~TcbFlags.UrgentToSend;
            return;
        }
        plan.Flags |= TcpFlags.Urg;
        plan.UrgentPointer = (ushort)Math.Min(distance, ushort.MaxValue);
    }
}
