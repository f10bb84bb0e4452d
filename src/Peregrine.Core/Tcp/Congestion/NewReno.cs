// Slow start and congestion avoidance of RFC 5681, by counting bytes. The inflation and deflation of the window in fast recovery
// (RFC 6582) belong to LossRecovery.
using Peregrine.Core.Tcp.Recovery;
using Peregrine.Core.Time;

namespace Peregrine.Core.Tcp.Congestion;

internal sealed class NewReno : CongestionControl
{
    internal override string Name => "reno";

    internal override bool TryBegin(ref Tcb c, ref TcbCold k, Instant now)
    {
        k.Congestion = default;
        return true;
    }

    internal override void OnAck(ref Tcb c, ref TcbCold k, in AckSample sample, bool isCwndLimited, RecoverySettings settings)
    {
        if (!isCwndLimited) return;
        if (k.Does(SenderMechanisms.PacketWindow))
        {
            OpenByPackets(ref c, ref k.Congestion, sample.DeliveredSegments, settings);
            return;
        }
        if (c.Cwnd < c.Ssthresh)
        {
            OpenSlowStart(ref c, SlowStartGrowth(c, k, sample.AckedBytes, settings), settings);
            return;
        }
        // RFC 5681 §3.1, RFC 3465 §2.1: one segment more each time a window of bytes has been acknowledged, and not more than one.
        ref var state = ref k.Congestion;
        state.AckedBytes += sample.AckedBytes;
        if (state.AckedBytes < c.Cwnd) return;
        state.AckedBytes = Math.Min(state.AckedBytes - c.Cwnd, c.Cwnd);
        Grow(ref c, c.Mss, settings);
    }

    // The same where the window is a number of packets: an ACK of what ends no segment opens nothing, and one of several windows opens as many segments.
    private static void OpenByPackets(ref Tcb c, ref CongestionState state, uint acked, RecoverySettings settings)
    {
        if (c.Cwnd < c.Ssthresh)
        {
            var growth = Math.Min(acked, SegmentCount.Of(Math.Min(c.Ssthresh, settings.CwndMax) - c.Cwnd, c.Mss));
            Grow(ref c, LimitedSlowStart.Limit(c.Cwnd, c.Mss, growth * c.Mss, settings.SlowStartSegmentsMax), settings);
            acked -= growth;
            if (acked == 0) return;
        }
        var window = Math.Max(1, c.Cwnd / c.Mss) * c.Mss;
        if (state.AckedBytes >= window)
        {
            state.AckedBytes = 0;
            Grow(ref c, c.Mss, settings);
        }
        state.AckedBytes += acked * c.Mss;
        var whole = state.AckedBytes / window;
        state.AckedBytes -= whole * window;
        Grow(ref c, whole * c.Mss, settings);
    }

    internal override void OnLoss(ref Tcb c, ref TcbCold k, uint flightSize)
    {
        // RFC 5681 §3.1 equation (4).
        c.Ssthresh = Math.Max(flightSize / 2, 2u * c.Mss);
        if (k.Does(SenderMechanisms.PacketWindow)) c.Ssthresh -= c.Ssthresh % c.Mss;
        k.Congestion.AckedBytes = 0;
    }

    internal override void OnTimeout(ref Tcb c, ref TcbCold k, uint flightSize) => OnLoss(ref c, ref k, flightSize);

    internal override void OnEcnEcho(ref Tcb c, ref TcbCold k, uint flightSize, Instant now)
    {
        // RFC 3168 §6.1.2: as for a loss, without retransmission.
        OnLoss(ref c, ref k, flightSize);
        c.Cwnd = c.Ssthresh;
    }

    internal override void OnRestart(ref Tcb c, ref TcbCold k) => k.Congestion.AckedBytes = 0;
}
