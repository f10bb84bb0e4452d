// DCTCP (RFC 8257, as RFC 8311 §4.1 allows): the window falls in proportion to the share of bytes that were marked, so that a switch which marks early keeps a short
// queue and a full link. For networks under one administration: between it and CUBIC over a queue that marks, CUBIC starves. Growth and
// what a loss does are NewReno's. The receiver's half, which marks are echoed when, is TcpEcn's.
using Peregrine.Core.Tcp.Recovery;
using Peregrine.Core.Time;

namespace Peregrine.Core.Tcp.Congestion;

internal sealed class Dctcp : CongestionControl
{
    /// <summary>RFC 8257 §4.2 SCF: DCTCP.Alpha of one.</summary>
    internal const uint One = 65_536;

    // RFC 8257 §4.2 SHF: the gain g is 1/16.
    private const int GainShift = 4;

    private static readonly NewReno s_reno = new();

    internal override string Name => "dctcp";

    // RFC 8257 §3.3: Alpha begins at one, so that the first mark halves the window.
    internal override bool TryBegin(ref Tcb c, ref TcbCold k, Instant now)
    {
        k.Congestion = new CongestionState { MarkedShare = One };
        return true;
    }

    // RFC 8257 §3.4.
    internal override void OnAck(ref Tcb c, ref TcbCold k, in AckSample sample, bool isCwndLimited, RecoverySettings settings) =>
        s_reno.OnAck(ref c, ref k, sample, isCwndLimited, settings);

    // RFC 8257 §3.5: as a conventional TCP.
    internal override void OnLoss(ref Tcb c, ref TcbCold k, uint flightSize) => s_reno.OnLoss(ref c, ref k, flightSize);

    internal override void OnTimeout(ref Tcb c, ref TcbCold k, uint flightSize) => s_reno.OnTimeout(ref c, ref k, flightSize);

    internal override void OnRestart(ref Tcb c, ref TcbCold k) => s_reno.OnRestart(ref c, ref k);

    internal override void OnEcnFeedback(ref Tcb c, ref TcbCold k, uint acked, uint marked)
    {
        ref var s = ref k.Congestion;
        // RFC 8257 §3.3: DCTCP.WindowEnd begins at SND.UNA.
        if (s.WindowEnd == 0) s.WindowEnd = (c.Snd.Una - acked).Value;
        s.WindowAcked += acked;
        s.WindowMarked += Math.Min(marked, acked);
        if (s.WindowAcked == 0 || c.Snd.Una.IsBeforeOrEqual(new(s.WindowEnd))) return;
        // RFC 8257 §4.2: steps 5 and 6 of §3.3 in integers; what the shift would leave over for ever becomes zero.
        var share = (uint)((ulong)s.WindowMarked * One / s.WindowAcked);
        if (s.MarkedShare >> GainShift == 0) s.MarkedShare = 0;
        s.MarkedShare = Math.Min(s.MarkedShare + (share >> GainShift) - (s.MarkedShare >> GainShift), One);
        s.WindowEnd = c.Snd.Nxt.Value;
        (s.WindowAcked, s.WindowMarked) = (0, 0);
    }

    // RFC 8257 §3.3 step 9: cwnd * (1 - Alpha / 2), once for every window of data.
    internal override void OnEcnEcho(ref Tcb c, ref TcbCold k, uint flightSize, Instant now)
    {
        k.Congestion.AckedBytes = 0;
        c.Cwnd = Math.Max(c.Cwnd - (uint)((ulong)c.Cwnd * k.Congestion.MarkedShare / (2 * One)), 2u * c.Mss);
        c.Ssthresh = c.Cwnd;
    }
}
