// CUBIC (RFC 9438) as Linux computes it: the window in packets, time in milliseconds, and growth as a number of packets that have to be
// acknowledged for one more. The curve is Cubic's; the steps in which it is followed are those that Linux's are known by. Slow start ends by
// PacketHyStart. Its numbers lie in the sender's history; without one, Cubic stands in.
using Peregrine.Core.Memory;
using Peregrine.Core.Tcp.Recovery;
using Peregrine.Core.Time;

namespace Peregrine.Core.Tcp.Congestion;

internal sealed class PacketCubic(IndexedPool<SenderHistory> histories) : CongestionControl
{
    // β = 717/1024 (RFC 9438 §4.6: 0.7), C = 410/1024 (§5: 0.4), and time in units of 2⁻¹⁰ s.
    private const uint BetaScale = 1_024;
    private const uint Beta = 717;
    private const uint CubeScale = 410;
    private const int TimeShift = 10;
    private const ulong CubeFactor = (1ul << (10 + 3 * TimeShift)) / CubeScale;

    // RFC 9438 §4.3: 1/α in eighths.
    private const uint RenoScale = 8 * (BetaScale + Beta) / 3 / (BetaScale - Beta);

    private readonly IndexedPool<SenderHistory> _histories = histories;

    internal override string Name => "cubic";

    private ref PacketCubicState Of(in TcbCold k) => ref _histories[k.History].Cubic;

    internal override bool TryBegin(ref Tcb c, ref TcbCold k, Instant now)
    {
        if (!k.HasHistory) return false;
        Of(k) = default;
        PacketHyStart.BeginRound(c, ref Of(k), now);
        return true;
    }

    private static uint Packets(in Tcb c) => Math.Max(1, SegmentCount.Of(c.Cwnd, c.Mss));

    internal override void OnAck(ref Tcb c, ref TcbCold k, in AckSample sample, bool isCwndLimited, RecoverySettings settings)
    {
        ref var s = ref Of(k);
        TakeDelay(ref c, k, ref s, sample, settings);
        if (!isCwndLimited) return;
        var acked = sample.DeliveredSegments;
        if (c.Cwnd < c.Ssthresh)
        {
            var room = SegmentCount.Of(Math.Min(c.Ssthresh, settings.CwndMax) - c.Cwnd, c.Mss);
            var growth = Math.Min(acked, room);
            Grow(ref c, growth * c.Mss, settings);
            acked -= growth;
            if (acked == 0) return;
        }
        Update(ref s, Packets(c), acked, sample.Now.Milliseconds);
        Spend(ref c, ref s, acked, settings);
    }

    // Round trips right after a reduction tell of the queue that led to it.
    private void TakeDelay(ref Tcb c, in TcbCold k, ref PacketCubicState s, in AckSample sample, RecoverySettings settings)
    {
        const uint second = 1_000;
        if (sample.Rtt <= Duration.Zero || (s.EpochStartMs != 0 && sample.Now.Milliseconds - s.EpochStartMs < second)) return;
        var us = (uint)Math.Clamp(sample.Rtt.Microseconds, 1, int.MaxValue);
        if (s.DelayMinUs == 0 || s.DelayMinUs > us) s.DelayMinUs = us;
        if (!s.IsFound && c.Cwnd < c.Ssthresh && settings.HyStart)
            PacketHyStart.OnAck(ref c, ref s, us, Packets(c), PacingRate(c, k), (k.Recovery.Flags & RecoveryFlags.Paced) != 0, sample.Now);
    }

    // RFC 9438 §4.2 to §4.5: how many packets have to be acknowledged for one more.
    private static void Update(ref PacketCubicState s, uint cwnd, uint acked, uint now)
    {
        // 1/32 s.
        const uint settled = 31;
        s.AckCount += acked;
        if (s.LastCwnd == cwnd && now - s.LastMs <= settled) return;
        if (s.EpochStartMs == 0 || now != s.LastMs)
        {
            (s.LastCwnd, s.LastMs) = (cwnd, now);
            if (s.EpochStartMs == 0) BeginEpoch(ref s, cwnd, acked, now);
            Follow(ref s, cwnd, now);
        }
        FollowReno(ref s, cwnd);
        // RFC 9438 §4.2: not more than one and a half times the window in a round trip.
        s.Count = Math.Max(s.Count, 2);
    }

    private static void BeginEpoch(ref PacketCubicState s, uint cwnd, uint acked, uint now)
    {
        // Zero means none.
        s.EpochStartMs = Math.Max(now, 1);
        s.AckCount = acked;
        s.RenoCwnd = cwnd;
        (s.K, s.Origin) = s.LastMax <= cwnd ? (0, cwnd) : (CubeRoot.Of(CubeFactor * (s.LastMax - cwnd)), s.LastMax);
    }

    private static void Follow(ref PacketCubicState s, uint cwnd, uint now)
    {
        // 18 minutes: any window is at its limit by then.
        const ulong timeMax = 1 << 20;
        var t = Math.Min((((ulong)(now - s.EpochStartMs) + s.DelayMinUs / 1_000) << TimeShift) / 1_000, timeMax);
        var distance = t < s.K ? s.K - t : t - s.K;
        var delta = (uint)Math.Min((ulong)(((UInt128)CubeScale * distance * distance * distance) >> (10 + 3 * TimeShift)), uint.MaxValue / 2);
        var target = t < s.K ? s.Origin - Math.Min(delta, s.Origin) : s.Origin + delta;
        s.Count = target > cwnd ? cwnd / (target - cwnd) : 100 * cwnd;
        // Nothing is known of the path yet: at least a twentieth a round trip.
        if (s.LastMax == 0 && s.Count > 20) s.Count = 20;
    }

    private static void FollowReno(ref PacketCubicState s, uint cwnd)
    {
        var step = Math.Max(cwnd * RenoScale >> 3, 1);
        // A whole step counts when it has been passed.
        var steps = s.AckCount == 0 ? 0 : (s.AckCount - 1) / step;
        s.RenoCwnd += steps;
        s.AckCount -= steps * step;
        if (s.RenoCwnd > cwnd) s.Count = Math.Min(s.Count, cwnd / (s.RenoCwnd - cwnd));
    }

    private static void Spend(ref Tcb c, ref PacketCubicState s, uint acked, RecoverySettings settings)
    {
        // What was saved up at a slower pace counts for one at most.
        if (s.Credit >= s.Count)
        {
            s.Credit = 0;
            Grow(ref c, c.Mss, settings);
        }
        s.Credit += acked;
        if (s.Credit < s.Count) return;
        var more = s.Credit / s.Count;
        s.Credit -= more * s.Count;
        Grow(ref c, more * c.Mss, settings);
    }

    internal override void OnLoss(ref Tcb c, ref TcbCold k, uint flightSize)
    {
        ref var s = ref Of(k);
        var cwnd = Packets(c);
        s.EpochStartMs = 0;
        s.Credit = 0;
        // RFC 9438 §4.7, fast convergence.
        s.LastMax = cwnd < s.LastMax ? cwnd * (BetaScale + Beta) / (2 * BetaScale) : cwnd;
        c.Ssthresh = Math.Max(cwnd * Beta / BetaScale, 2) * c.Mss;
    }

    internal override void OnTimeout(ref Tcb c, ref TcbCold k, uint flightSize)
    {
        OnLoss(ref c, ref k, flightSize);
        // RFC 9438 §4.8: nothing is known of the path any more, not even its shortest round trip.
        ref var s = ref Of(k);
        var credit = s.Credit;
        var (start, end) = (s.RoundStartUs, c.Snd.Nxt);
        s = new PacketCubicState { Credit = credit, RoundStartUs = start, LastAckUs = start, RoundEnd = end, RoundRttUs = uint.MaxValue };
    }

    internal override void OnEcnEcho(ref Tcb c, ref TcbCold k, uint flightSize, Instant now)
    {
        OnLoss(ref c, ref k, flightSize);
        c.Cwnd = Math.Min(c.Cwnd, c.Ssthresh);
    }

    internal override void OnRestart(ref Tcb c, ref TcbCold k) => Of(k).EpochStartMs = 0;

    /// <summary>RFC 9438 §5.8: time in which the application sent nothing is no time of the curve.</summary>
    internal override void OnSendFromIdle(ref Tcb c, ref TcbCold k, Instant now)
    {
        ref var s = ref Of(k);
        if (s.EpochStartMs == 0) return;
        var idle = TimeStamp32.Between(k.Recovery.FirstSentAt, TimeStamp32.Of(now));
        s.EpochStartMs = Math.Min(s.EpochStartMs + (uint)Math.Max(0, idle.Nanoseconds / 1_000_000), Math.Max(now.Milliseconds, 1));
    }
}
