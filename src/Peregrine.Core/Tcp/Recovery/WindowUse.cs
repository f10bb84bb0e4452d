// Whether the congestion window was what limited (RFC 7661 §1: one that is not used says nothing about the path, so it must not grow), as Linux
// tells it: within a window of data, whether it was ever full, and how much of it was ever used.
namespace Peregrine.Core.Tcp.Recovery;

internal static class WindowUse
{
    /// <summary>New data have gone: with them so much is in flight, and the window is full or not.</summary>
    internal static void OnSent(in Tcb c, ref SenderHistory h, bool isFull, uint slack = 0)
    {
        var flight = LossRecovery.FlightSize(c) + slack;
        var wasFull = (h.Flags & SenderHistoryFlags.WindowLimited) != 0;
        if (c.Snd.Una.IsBefore(h.UseEnd) && !isFull && (wasFull || flight <= h.FlightMax)) return;
        if (isFull) h.Flags |= SenderHistoryFlags.WindowLimited;
        else h.Flags &= ~SenderHistoryFlags.WindowLimited;
        h.FlightMax = flight;
        h.UseEnd = c.Snd.Nxt;
    }

    /// <summary>In slow start half used is used: the window doubles within the round trip.</summary>
    internal static bool IsLimited(in Tcb c, in SenderHistory h) =>
        (h.Flags & SenderHistoryFlags.WindowLimited) != 0 || (c.Cwnd < c.Ssthresh && c.Cwnd < 2ul * h.FlightMax);
}
