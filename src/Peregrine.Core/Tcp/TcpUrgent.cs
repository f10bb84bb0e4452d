// Urgent data that we send (RFC 9293 §3.8.5): where they end. Who sends some is rare, so that has no field of its own in a million connections: it lies where an early
// FIN of the peer's is remembered, which is forgotten then and comes again, as it is not acknowledged.
using Peregrine.Core.Tcp.FastOpen;

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
        t.C.Flags = (t.C.Flags | TcbFlags.UrgentToSend) & ~TcbFlags.FinWaiting;
    }
}
