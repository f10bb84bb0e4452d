// CUBIC (RFC 9438), in integers only so that every machine computes the same window. Slow start is RFC 5681's, its
// end HyStart's.
// Time in the cubic function counts in units of 2^20 ns (about a millisecond): its cube fits in 64 bits for 18 minutes.
using Peregrine.Core.Tcp.Recovery;
using Peregrine.Core.Time;

namespace Peregrine.Core.Tcp.Congestion;

// RFC 9293 MAY-18.
internal sealed class Cubic : CongestionControl
{
    // C = 0.4 segments/s³ with time in units of 2^20 ns: 0.4 * (2^20 * 1e-9)³ = 4.611686018e-10, times 2^64.
    private const ulong CScaled = 8_507_059_173;

    // Its reciprocal: 1 / 4.611686018e-10.
    private const ulong CInverse = 2_168_404_345;

    // 18 minutes in units of 2^20 ns; beyond it any window is at its limit.
    private const long TimeMax = 1 << 20;

    internal override string Name => "cubic";

    internal override bool TryBegin(ref Tcb c, ref TcbCold k, Instant now)
    {
        k.Congestion = new CongestionState { Elapsed = CongestionState.NoEpoch };
        return true;
    }

    internal override void OnAck(ref Tcb c, ref TcbCold k, in AckSample sample, bool isCwndLimited, RecoverySettings settings)
    {
        // RFC 9438 §5.8: time in which the application kept the window from growing does not count.
        if (!isCwndLimited) return;
        if (c.Cwnd < c.Ssthresh)
        {
            // RFC 9438 §4.10.
            var growth = settings.HyStart && c.Ssthresh == uint.MaxValue
                ? HyStart.OnAck(ref c, ref k.Congestion, sample, HyStart.Limit(sample.AckedBytes, c.Mss, (k.Recovery.Flags & RecoveryFlags.Paced) != 0, settings))
                : SlowStartGrowth(c, k, sample.AckedBytes, settings);
            OpenSlowStart(ref c, growth, settings);
            return;
        }
        ref var s = ref k.Congestion;
        if (s.Elapsed == CongestionState.NoEpoch) BeginEpoch(c, ref s);
        else AddElapsed(ref s, sample);
        GrowReno(c, ref s, sample.AckedBytes);
        var srtt = (long)(k.Rtt.Srtt >> 3) * 1_000;
        var t = (long)s.Elapsed << TimeStamp32.Shift;
        if (Window(s, t, c.Mss) < s.West)
        {
            // RFC 9438 §4.3: the Reno-friendly region.
            if (s.West > c.Cwnd) Grow(ref c, s.West - c.Cwnd, settings);
            return;
        }
        // RFC 9438 §4.2: target, between cwnd and 1.5 cwnd; §4.4 and §4.5: (target - cwnd) / cwnd for each segment acknowledged.
        var target = Math.Clamp(Window(s, t + srtt, c.Mss), c.Cwnd, c.Cwnd + (c.Cwnd / 2));
        Grow(ref c, (uint)((ulong)(target - c.Cwnd) * sample.AckedBytes / c.Cwnd), settings);
    }

    internal override void OnLoss(ref Tcb c, ref TcbCold k, uint flightSize)
    {
        ref var s = ref k.Congestion;
        // RFC 9438 §4.7, fast convergence: (1 + β) / 2 = 17/20.
        s.Wmax = c.Cwnd < s.Wmax ? (uint)((ulong)c.Cwnd * 17 / 20) : c.Cwnd;
        Reduce(ref c, ref s, flightSize);
    }

    internal override void OnTimeout(ref Tcb c, ref TcbCold k, uint flightSize)
    {
        // RFC 9438 §4.8: Wmax will be the window at the start of congestion avoidance, and K zero.
        k.Congestion.Wmax = 0;
        Reduce(ref c, ref k.Congestion, flightSize);
    }

    internal override void OnEcnEcho(ref Tcb c, ref TcbCold k, uint flightSize, Instant now)
    {
        OnLoss(ref c, ref k, flightSize);
        // RFC 9438 §4.6: on marks the window may fall to one segment, ssthresh not below two.
        c.Cwnd = Math.Max(Beta(flightSize), c.Mss);
    }

    // RFC 9438 §4.9: Wmax as it was; a new epoch begins, whose K follows from it and the window given back.
    internal override void OnUndo(ref Tcb c, ref TcbCold k, uint priorWmax)
    {
        if (c.Ssthresh == uint.MaxValue) k.Congestion.ClearSlowStart();
        k.Congestion.Wmax = priorWmax;
        k.Congestion.Elapsed = CongestionState.NoEpoch;
    }

    internal override void OnRestart(ref Tcb c, ref TcbCold k) => k.Congestion.Elapsed = CongestionState.NoEpoch;

    /// <summary>RFC 9438 §4.2: W_cubic at a time after the epoch, in bytes.</summary>
    internal static uint Window(in CongestionState s, long nanoseconds, uint mss)
    {
        var d = Math.Clamp((nanoseconds >> 20) - s.K, -TimeMax, TimeMax);
        var size = (ulong)Math.Abs(d);
        var bytes = (ulong)(((UInt128)(size * size * size) * mss * CScaled) >> 64);
        if (d >= 0) return (uint)Math.Min(s.Wmax + bytes, uint.MaxValue / 2);
        return bytes >= s.Wmax ? 0 : s.Wmax - (uint)bytes;
    }

    private static void BeginEpoch(in Tcb c, ref CongestionState s)
    {
        s.Elapsed = 0;
        s.AckedBytes = 0;
        // RFC 9438 §4.3: W_est starts from the window at the epoch.
        s.West = c.Cwnd;
        if (s.Wmax <= c.Cwnd)
        {
            // RFC 9438 §4.8, §4.10: nothing above is known, so the plateau is here.
            s.Wmax = c.Cwnd;
            s.K = 0;
            return;
        }
        // RFC 9438 §4.2: K = cbrt((Wmax - cwnd_epoch) / C), in segments.
        s.K = CubeRoot.Of((ulong)(s.Wmax - c.Cwnd) * CInverse / c.Mss);
    }

    private static void AddElapsed(ref CongestionState s, in AckSample sample)
    {
        var elapsed = s.Elapsed + ((ulong)Math.Max(sample.SinceLastDelivery.Nanoseconds, 0) >> TimeStamp32.Shift);
        s.Elapsed = (uint)Math.Min(elapsed, CongestionState.NoEpoch - 1);
    }

    // RFC 9438 §4.3 figure 4: W_est += α * acked / cwnd, α = 3 (1 - β) / (1 + β) = 9/17, and 1 once W_est has reached cwnd_prior. What
    // is not a whole byte yet stays in AckedBytes.
    private static void GrowReno(in Tcb c, ref CongestionState s, uint acked)
    {
        var (numerator, denominator) = s.West >= s.CwndPrior ? (1ul, 1ul) : (9ul, 17ul);
        var perByte = numerator * c.Mss;
        var whole = denominator * c.Cwnd;
        var total = (s.AckedBytes + (ulong)acked) * perByte;
        var gain = total / whole;
        s.West = (uint)Math.Min(s.West + gain, uint.MaxValue / 2);
        s.AckedBytes = (uint)((total - (gain * whole)) / perByte);
    }

    private static void Reduce(ref Tcb c, ref CongestionState s, uint flightSize)
    {
        // RFC 9438 §4.6 figure 5.
        s.CwndPrior = c.Cwnd;
        c.Ssthresh = Math.Max(Beta(flightSize), 2u * c.Mss);
        s.Elapsed = CongestionState.NoEpoch;
    }

    // RFC 9438 §4.6: β = 0.7.
    private static uint Beta(uint window) => (uint)((ulong)window * 7 / 10);
}
