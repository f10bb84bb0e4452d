// SACK compression as Linux has it: of the segments beyond a gap the first three are acknowledged at once, so that the sender's fast retransmit
// (RFC 5681 §3.2) comes no later; of those that follow, an ACK is owed each, and one for all goes a little later: after a twentieth of the round
// trip, or when there are many. It has all their SACK blocks (RFC 2018 §4), and those that are reported but once are seen by a sender that keeps them.
using Peregrine.Core.Tcp.Queues;
using Peregrine.Core.Time;
using Peregrine.Wire;

namespace Peregrine.Core.Tcp;

internal static class SackCompression
{
    /// <summary>Duplicate ACKs of a gap that go at once.</summary>
    private const byte DupThresh = 3;

    /// <summary>The part of the round trip that an ACK waits at most.</summary>
    private const int RoundTripShare = 20;

    /// <summary>SACK blocks that find room in an ACK beside timestamps.</summary>
    private const int BlockCount = 3;

    /// <summary>
    /// A segment has been kept beyond a gap, and nothing else asks for an ACK at once: whether its ACK waits for those of others. Then the timer runs.
    /// </summary>
    internal static bool Waits(TcpContext x, TcbRef t, SeqNumber seq, int length, Instant now)
    {
        ref var c = ref t.C;
        if (!AdaptiveAcks.Is(x, t) || (c.Flags & TcbFlags.Sack) == 0) return false;
        // A signature leaves room for a block at most, and each has to be told of.
        if (x.Authenticator?.Of(t) is not null) return false;
        var settings = x.SettingsOf(t);
        ref var m = ref AdaptiveAcks.Of(x, t);
        if (m.Compressed >= settings.SackCompressionCount || c.Acks is { Quick: > 0, IsInteractive: false }) return false;
        if ((uint)(c.Rcv.Nxt - c.LastAckSent) > c.RcvMss) return false;
        if (m.GapAt != c.Rcv.Nxt) (m.GapAt, m.GapAcks) = (c.Rcv.Nxt, 0);
        if (m.GapAcks < DupThresh)
        {
            m.GapAcks++;
            return false;
        }
        // RFC 2018 §4: a block more than fit would push one out that has never been reported.
        if (IsOneTooMany(x.OutOfOrder.View(t.K.OutOfOrder), seq, length)) return false;
        if (m.Compressed++ > 0) return true;
        t.K.DelayedAck = Deadline.Min(t.K.DelayedAck, End(t.K, settings, now));
        x.Arm(t, t.K.DelayedAck);
        return true;
    }

    /// <summary>Whether an ACK waits so.</summary>
    internal static bool IsPending(TcpContext x, TcbRef t) => AdaptiveAcks.Is(x, t) && AdaptiveAcks.Of(x, t).Compressed > 0;

    private static bool IsOneTooMany(IntervalArray held, SeqNumber seq, int length)
    {
        if (held.Count <= BlockCount) return false;
        ref var latest = ref held.Slot(held.Header.Recent);
        return latest.Start == seq && latest.End == seq + (uint)length;
    }

    // The slack lets it share a tick with other timers.
    private static Deadline End(in TcbCold k, TcpSettings settings, Instant now)
    {
        const int tick = 1 << Deadline.Shift;
        var (roundTrip, srtt) = ((long)k.RcvRttUs, (long)(k.Rtt.Srtt >> 3));
        if (srtt != 0) roundTrip = Math.Min(roundTrip, srtt);
        var end = now + new Duration(Math.Min(settings.SackCompressionDelayNs, roundTrip * 1_000 / RoundTripShare));
        var (earliest, latest) = (Deadline.At(end), Deadline.At(end + new Duration(settings.SackCompressionSlackNs - (tick - 1))));
        return latest.IsBefore(earliest) ? earliest : latest;
    }
}
