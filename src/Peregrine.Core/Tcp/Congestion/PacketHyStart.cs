// HyStart as Linux has it: slow start ends at once, without RFC 9406's conservative rounds, when a train of ACKs is longer than half the shortest
// round trip, or when the shortest of a round's first samples has grown by an eighth.
using Peregrine.Core.Tcp.Recovery;
using Peregrine.Core.Time;

namespace Peregrine.Core.Tcp.Congestion;

internal static class PacketHyStart
{
    private const uint WindowMin = 16;
    private const byte SampleCountMin = 8;
    private const uint TrainGapUs = 2_000;
    private const uint DelayUsMin = 4_000;
    private const uint DelayUsMax = 16_000;

    /// <summary>The largest burst that the pacing rate may delay the ACKs of, and by how much at most.</summary>
    private const ulong BurstBytes = 4 * 65_536;
    private const ulong BurstUsMax = 1_000;

    private static uint Microseconds(Instant now) => (uint)(now.Nanoseconds / 1_000);

    /// <summary>A round begins, and ends when what has been sent by now is acknowledged.</summary>
    internal static void BeginRound(in Tcb c, ref PacketCubicState s, Instant now)
    {
        s.RoundStartUs = s.LastAckUs = Microseconds(now);
        s.RoundEnd = c.Snd.Nxt;
        s.RoundRttUs = uint.MaxValue;
        s.SampleCount = 0;
    }

    /// <summary>An ACK in slow start; ends it by setting Ssthresh.</summary>
    internal static void OnAck(ref Tcb c, ref PacketCubicState s, uint rttUs, uint cwnd, ulong pacingRate, bool isPaced, Instant now)
    {
        if (c.Snd.Una.IsAfter(s.RoundEnd)) BeginRound(c, ref s, now);
        if (cwnd < WindowMin) return;
        var at = Microseconds(now);
        if (at - s.LastAckUs <= TrainGapUs)
        {
            s.LastAckUs = at;
            var limit = s.DelayMinUs + (uint)Math.Min(BurstUsMax, BurstBytes * 1_000_000 / Math.Max(pacingRate, 1));
            // Pacing may have spread the packets over half a round trip.
            if (!isPaced) limit >>= 1;
            if (at - s.RoundStartUs > limit) End(ref c, ref s);
        }
        s.RoundRttUs = Math.Min(s.RoundRttUs, rttUs);
        if (s.SampleCount < SampleCountMin) s.SampleCount++;
        else if (s.RoundRttUs > s.DelayMinUs + Math.Clamp(s.DelayMinUs >> 3, DelayUsMin, DelayUsMax)) End(ref c, ref s);
    }

    private static void End(ref Tcb c, ref PacketCubicState s)
    {
        s.IsFound = true;
        c.Ssthresh = c.Cwnd;
    }
}
