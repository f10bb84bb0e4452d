// How much of what may go leaves as one transmission, and when a part of a window waits until more of it may go, as Linux has it for senders
// with a history: a transmission has a millisecond's worth of segments, two at least and half the window at most; and what is less than that
// and than a third of the window waits for the next ACK, where one is near and something was sent just now.
using Peregrine.Core.Time;

namespace Peregrine.Core.Tcp.Recovery;

internal static class Gathering
{
    // The largest transmission that a device is given.
    private const uint TransmissionMax = 65_536;

    // tcp_tso_rtt_log: on paths shorter than so many doublings of 512 µs, transmissions are longer.
    private const int RttLog = 9;

    // tcp_tso_win_divisor.
    private const uint WindowShare = 3;

    private const uint SegmentsMin = 2;
    private const long NearNanoseconds = 1_000_000, SendingNanoseconds = 100_000;

    /// <summary>Only what follows something within a millisecond waits: else silence would follow silence.</summary>
    private const uint RecentUnits = 1_000_000 >> TimeStamp32.Shift;

    /// <summary>Most segments of one transmission.</summary>
    internal static uint SegmentsMax(in Tcb c, in TcbCold k)
    {
        var srtt = Math.Max(k.Rtt.Srtt >> 3, 1);
        var doubling = c.Cwnd < c.Ssthresh / 2 ? 200u : 120u;
        var bytes = (ulong)c.Cwnd * doubling / 100 * 1_000_000 / srtt >> 10;
        var shift = (int)Math.Min(k.Rtt.MinRtt >> RttLog, 31);
        bytes = Math.Min(bytes + (TransmissionMax >> shift), TransmissionMax);
        return Math.Max((uint)(bytes / c.Mss), SegmentsMin);
    }

    /// <summary>Most bytes of one transmission.</summary>
    internal static uint BytesMax(in Tcb c, in TcbCold k) => Math.Max(Math.Min(SegmentsMax(c, k), c.Cwnd / c.Mss / 2), 1) * c.Mss;

    /// <summary>Whether what may go waits.</summary>
    /// <param name="c">The connection.</param>
    /// <param name="k">Its cold part, with a history.</param>
    /// <param name="h">The history.</param>
    /// <param name="run">Bytes up to the end of the run of writes: more than a segment.</param>
    /// <param name="isLastRun">More may be written behind it.</param>
    /// <param name="window">Bytes that the peer's window lets go.</param>
    /// <param name="allowance">Bytes that the congestion window lets go.</param>
    /// <param name="headSentAt">When the oldest segment in flight was sent last.</param>
    /// <param name="now">Now.</param>
    internal static bool Waits(in Tcb c, in TcbCold k, ref SenderHistory h, uint run, bool isLastRun, uint window, uint allowance, Instant headSentAt, Instant now)
    {
        if (k.Recovery.Phase >= RecoveryPhase.Recovery || TimeStamp32.Of(now) - h.LastSentAt >= RecentUnits) return false;
        allowance -= allowance % c.Mss;
        var limit = Math.Min(window, allowance);
        if (limit >= SegmentsMax(c, k) * c.Mss || (!isLastRun && limit >= run)) return false;
        if (limit >= Math.Min(c.Snd.Wnd, c.Cwnd) / WindowShare) return false;
        // The next ACK is far: more than a millisecond away, or half a round trip, though sending itself takes some time.
        var srtt = k.Rtt.Srtt / 8 * 1_000L;
        if (srtt - (now - headSentAt).Nanoseconds > Math.Clamp(srtt / 2, SendingNanoseconds, NearNanoseconds)) return false;
        h.Flags |= SenderHistoryFlags.Gathering;
        if (allowance < window && allowance <= run) WindowUse.OnSent(c, ref h, isFull: true);
        return true;
    }
}
