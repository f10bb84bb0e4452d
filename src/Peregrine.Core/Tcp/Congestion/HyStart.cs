// HyStart++ (RFC 9406): the first slow start ends before it overruns the bottleneck's queue. When the round trip grows, growth slows to a
// quarter (conservative slow start); when it stays grown for five rounds, slow start is over; when it shrinks again, it goes on. Its
// numbers lie in fields of CongestionState that CUBIC does not need before congestion avoidance.
using Peregrine.Core.Tcp.Recovery;

namespace Peregrine.Core.Tcp.Congestion;

internal static class HyStart
{
    // RFC 9406 §4.3.
    private const uint RttThreshUsMin = 4_000;
    private const uint RttThreshUsMax = 16_000;
    private const uint RttDivisor = 8;
    private const uint RttSampleCount = 8;
    private const uint CssGrowthDivisor = 4;
    private const uint CssRoundCount = 5;

    /// <summary>RFC 9406 §4.3: L without pacing.</summary>
    private const uint SegmentsPerAck = 8;

    // AckedBytes holds three small numbers: samples of the round, rounds of conservative slow start, and whether it is on.
    private const uint SampleMask = 0xFF;
    private const uint RoundUnit = 0x100;
    private const uint RoundMask = 0xFF00;
    private const uint Conservative = 0x1_0000;

    /// <summary>RFC 9406 §4.3: what an ACK opens the window by at most. With pacing nothing
    /// bounds it, as no burst follows. A delayed ACK of a merged burst must not cost rounds.</summary>
    internal static uint Limit(uint acked, uint mss, bool isPaced, RecoverySettings settings) =>
        isPaced ? acked : (uint)Math.Min(acked, (ulong)Math.Max(settings.SlowStartSegmentsPerAck, SegmentsPerAck) * mss);

    /// <summary>An ACK in the first slow start (RFC 9406 §4.2): what of the growth is to be had; ends slow start by setting Ssthresh.</summary>
    internal static uint OnAck(ref Tcb c, ref CongestionState s, in AckSample sample, uint growth)
    {
        if (sample.IsRoundStart && OnRound(ref c, ref s)) return growth;
        var us = (uint)Math.Clamp(sample.Rtt.Microseconds, 0, int.MaxValue);
        if (us > 0)
        {
            if (s.RoundRtt == 0 || us < s.RoundRtt) s.RoundRtt = us;
            if ((s.AckedBytes & SampleMask) < RttSampleCount) s.AckedBytes++;
        }
        var isMeasured = (s.AckedBytes & SampleMask) >= RttSampleCount;
        if ((s.AckedBytes & Conservative) == 0)
        {
            if (!isMeasured || s.LastRoundRtt == 0) return growth;
            // RttThresh = max(MIN_RTT_THRESH, min(lastRoundMinRTT / MIN_RTT_DIVISOR, MAX_RTT_THRESH)).
            if (s.RoundRtt < s.LastRoundRtt + Math.Clamp(s.LastRoundRtt / RttDivisor, RttThreshUsMin, RttThreshUsMax)) return growth;
            s.BaselineRtt = s.RoundRtt;
            s.AckedBytes = (s.AckedBytes & SampleMask) | Conservative;
        }
        else if (isMeasured && s.RoundRtt < s.BaselineRtt)
        {
            // The round trip has shrunk: the exit would have been premature.
            s.AckedBytes &= SampleMask;
            return growth;
        }
        return growth / CssGrowthDivisor;
    }

    // True: conservative slow start has lasted its rounds.
    private static bool OnRound(ref Tcb c, ref CongestionState s)
    {
        (s.LastRoundRtt, s.RoundRtt) = (s.RoundRtt, 0);
        s.AckedBytes &= ~SampleMask;
        if ((s.AckedBytes & Conservative) == 0) return false;
        s.AckedBytes += RoundUnit;
        if ((s.AckedBytes & RoundMask) < CssRoundCount * RoundUnit) return false;
        c.Ssthresh = c.Cwnd;
        s.ClearSlowStart();
        return true;
    }
}
