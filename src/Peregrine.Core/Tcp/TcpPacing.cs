// Pacing: segments leave at a rate instead of in bursts as ACKs come, by the core's timer wheel. The rate is congestion control's and the
// user's limit; here is when the next segment may go. A connection that is not paced meets one test of a flag.
//
// PacedUntil moves on with each segment by the time that it takes at the rate. The wheel's ticks are coarser than that time is at high
// rates, so a segment may go early by as much as a late wake-up has cost: bursts stay within two quanta (the credit, and the last segment).
using Peregrine.Core.Tcp.Recovery;
using Peregrine.Core.Time;

namespace Peregrine.Core.Tcp;

/// <summary>When a connection's segments are spaced in time.</summary>
public enum TcpPacingMode
{
    /// <summary>As the congestion control asks for it, and where a limit is set. The default.</summary>
    Auto = 0,

    /// <summary>Never by the congestion control; a limit that is set still holds.</summary>
    Off = 1,

    /// <summary>Always: at twice the window a round trip in slow start, 1.2 times the window after it.</summary>
    On = 2,
}

internal static class TcpPacing
{
    /// <summary>Most bytes of one super-segment, as Linux and draft-ietf-ccwg-bbr have it.</summary>
    private const ulong QuantumMax = 65_536;

    // Two ticks of the wheel, in units of 256 ns.
    private const long CreditMax = 2L << (Deadline.Shift - TimeStamp32.Shift);

    private const ulong UnitsPerSecond = 1_000_000_000 >> TimeStamp32.Shift;

    private static bool IsOn(in TcbCold k) => (k.Recovery.Flags & RecoveryFlags.Paced) != 0;

    /// <summary>Whether a segment may go now; if not, the wheel will say when.</summary>
    internal static bool MaySend(TcpContext x, TcbRef t, Instant now)
    {
        if (!IsOn(t.K)) return true;
        ref var k = ref t.K;
        k.Recovery.Flags &= ~RecoveryFlags.PacingWait;
        var wait = (int)(k.PacedUntil - TimeStamp32.Of(now));
        if (wait <= 0) return true;
        // Longer than a quantum takes nobody waits: the stamp is 10 minutes old and has come round, or the rate has grown.
        var rate = x.Recovery.PacingRate(t.C, k);
        var most = x.Recovery.Memory.Does(k, SenderMechanisms.PacingHeadStart) ? QuantumMax : Quantum(rate, t.C.Mss);
        if ((ulong)wait > UnitsOf(most, rate)) return true;
        k.Recovery.Flags |= RecoveryFlags.PacingWait;
        x.Arm(t, DueAt(k, now));
        return false;
    }

    /// <summary>So many bytes have gone.</summary>
    internal static void OnSent(TcpContext x, TcbRef t, uint bytes, Instant now)
    {
        if (!IsOn(t.K)) return;
        ref var k = ref t.K;
        var rate = x.Recovery.PacingRate(t.C, k);
        var stamp = TimeStamp32.Of(now);
        if (x.Recovery.Memory.Does(k, SenderMechanisms.PacingHeadStart))
        {
            OnSent(ref k, ref x.Recovery.Memory.Of(k), stamp, bytes, t.C.Mss, rate);
            return;
        }
        var quantum = (long)UnitsOf(Quantum(rate, t.C.Mss), rate);
        var credit = Math.Min(CreditMax, quantum);
        long ahead = (int)(k.PacedUntil - stamp);
        // What has gone unused for longer is no credit, and what lies further ahead has come round.
        if (ahead < -credit || ahead > quantum) ahead = -credit;
        k.PacedUntil = stamp + (uint)(int)Math.Min(ahead + (long)UnitsOf(bytes, rate), int.MaxValue / 2);
    }

    // As Linux: the first ten segments go as they come, and what follows a pause has half of its time already.
    private static void OnSent(ref TcbCold k, ref SenderHistory h, uint stamp, uint bytes, uint mss, ulong rate)
    {
        const uint unpaced = 10;
        var behind = (int)(stamp - k.PacedUntil);
        var length = h.DataSegments >= unpaced ? (uint)Math.Min(UnitsOf(bytes, rate), int.MaxValue / 2) : 0;
        if (h.DataSegments < unpaced) h.DataSegments += SegmentCount.Of(bytes, mss);
        k.PacedUntil = behind > 0 ? stamp + length - Math.Min(length / 2, (uint)behind) : k.PacedUntil + length;
    }

    /// <summary>How much of a burst may be one super-segment: a millisecond's worth, two segments at least.</summary>
    internal static uint Bound(TcpContext x, TcbRef t, uint superSegment)
    {
        if (!IsOn(t.K)) return superSegment;
        var quantum = (uint)Quantum(x.Recovery.PacingRate(t.C, t.K), t.C.Mss);
        return superSegment <= quantum ? superSegment : Math.Max(quantum / t.C.Mss, 1) * t.C.Mss;
    }

    /// <summary>When the wheel has to wake the connection; none when it does not wait.</summary>
    internal static Deadline DueAt(in TcbCold k, Instant now) =>
        (k.Recovery.Flags & RecoveryFlags.PacingWait) == 0
            ? Deadline.None
            : Deadline.At(now + new Duration((long)Math.Max(0, (int)(k.PacedUntil - TimeStamp32.Of(now))) << TimeStamp32.Shift));

    /// <summary>Whether it has waited long enough; the wait is over with that.</summary>
    internal static bool IsDue(ref TcbCold k, Instant now)
    {
        if ((k.Recovery.Flags & RecoveryFlags.PacingWait) == 0 || (int)(k.PacedUntil - TimeStamp32.Of(now)) > 0) return false;
        k.Recovery.Flags &= ~RecoveryFlags.PacingWait;
        return true;
    }

    /// <summary>A millisecond's worth, at least two segments (draft-ietf-ccwg-bbr §5.6.3: C.send_quantum).</summary>
    internal static ulong Quantum(ulong rate, uint mss) => Math.Max(Math.Min(rate / 1_000, QuantumMax), 2ul * mss);

    private static ulong UnitsOf(ulong bytes, ulong rate) => bytes * UnitsPerSecond / rate;
}
