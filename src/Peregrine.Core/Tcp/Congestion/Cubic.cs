// CUBIC (RFC 9438), in integers only so that every machine computes the same window. Slow start is RFC 5681's; HyStart++ is not here.
using Peregrine.Core.Tcp.Recovery;

namespace Peregrine.Core.Tcp.Congestion;

internal sealed class Cubic : CongestionControl
{
    internal override string Name => "cubic";

    internal override void Initialize(ref CongestionState state) => state = new CongestionState { Elapsed = CongestionState.NoEpoch };

    internal override void OnAck(ref Tcb c, ref TcbCold k, in AckSample sample, bool isCwndLimited, RecoverySettings settings)
    {
        if (!isCwndLimited) return;
        if (c.Cwnd < c.Ssthresh) SlowStart(ref c, k, sample.AckedBytes, settings);
    }

    internal override void OnLoss(ref Tcb c, ref TcbCold k, uint flightSize) => c.Ssthresh = Math.Max(flightSize / 10 * 7, 2u * c.Mss);

    internal override void OnTimeout(ref Tcb c, ref TcbCold k, uint flightSize) => OnLoss(ref c, ref k, flightSize);

    internal override void OnEcnEcho(ref Tcb c, ref TcbCold k, uint flightSize) => OnLoss(ref c, ref k, flightSize);

    internal override void OnRestart(ref Tcb c, ref TcbCold k) => k.Congestion.Elapsed = CongestionState.NoEpoch;
}
