// How far round trips vary, as Linux reckons it: every ACK gives a sample, and what counts is the largest deviation of a window of data, which
// falls by a quarter of the way when the window is over (the idea of RFC 6298 §2.3 with RTTVAR held up between samples).
using Peregrine.Core.Time;

namespace Peregrine.Core.Tcp.Recovery;

internal static class WindowDeviation
{
    /// <summary>Takes one sample into the averages. Deviations are in quarters of a microsecond, like <see cref="RttState.RttVar"/>.</summary>
    internal static void Take(in Tcb c, ref RttState rtt, ref SenderHistory h, Duration sample, Duration least)
    {
        var us = (long)RoundTrip.ToMicroseconds(sample);
        RoundTrip.Note(ref rtt, sample);
        var floor = (uint)least.Microseconds;
        if (rtt.Srtt == 0)
        {
            rtt.Srtt = (uint)us << 3;
            // Three round trips in all.
            h.Deviation = (uint)us << 1;
            rtt.RttVar = h.DeviationMax = Math.Max(h.Deviation, floor);
            h.DeviationEnd = c.Snd.Nxt;
            return;
        }
        var difference = us - (rtt.Srtt >> 3);
        rtt.Srtt = (uint)Math.Max(1, rtt.Srtt + difference);
        // A round trip that has become shorter must not make the time-out longer: an eighth of the gain then.
        var change = Math.Abs(difference) - (h.Deviation >> 2);
        if (difference < 0 && change > 0) change >>= 3;
        h.Deviation = (uint)(h.Deviation + change);
        if (h.Deviation > h.DeviationMax)
        {
            h.DeviationMax = h.Deviation;
            rtt.RttVar = Math.Max(rtt.RttVar, h.DeviationMax);
        }
        if (!c.Snd.Una.IsAfter(h.DeviationEnd)) return;
        if (h.DeviationMax < rtt.RttVar) rtt.RttVar -= (rtt.RttVar - h.DeviationMax) >> 2;
        h.DeviationEnd = c.Snd.Nxt;
        h.DeviationMax = floor;
    }
}
