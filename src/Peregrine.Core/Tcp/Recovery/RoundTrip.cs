// Round-trip estimation and the retransmission time-out (RFC 6298), in integers: Srtt in eighths and RttVar in quarters of a
// microsecond, so that the gains of 1/8 and 1/4 are shifts and K * RTTVAR is RttVar as it stands.
using Peregrine.Core.Time;

namespace Peregrine.Core.Tcp.Recovery;

internal static class RoundTrip
{
    /// <summary>RFC 6298 §4: the granularity of our timers, a tick of <see cref="Deadline"/>.</summary>
    internal const uint GranularityUs = 131;

    /// <summary>RFC 6298 §5.7: RTO after a handshake whose SYN timer expired.</summary>
    internal static readonly Duration RtoAfterSynTimeout = Duration.FromSeconds(3);

    private const int BackoffMax = 20;

    // Five minutes: longer than any RTO, and its eighths fit in 32 bits.
    private const long SampleUsMax = 300_000_000;

    /// <summary>Takes one sample into the averages.</summary>
    internal static void Take(ref RttState rtt, Duration sample)
    {
        var us = ToMicroseconds(sample);
        NoteMinimum(ref rtt, us);
        if (rtt.Srtt == 0)
        {
            // RFC 6298 §2.2: SRTT <- R, RTTVAR <- R/2.
            rtt.Srtt = us << 3;
            rtt.RttVar = us << 1;
            return;
        }
        // RFC 6298 §2.3: RTTVAR first, with the SRTT before its own update.
        var difference = (uint)Math.Abs((long)(rtt.Srtt >> 3) - us);
        rtt.RttVar = rtt.RttVar - (rtt.RttVar >> 2) + difference;
        rtt.Srtt = rtt.Srtt - (rtt.Srtt >> 3) + us;
    }

    /// <summary>Keeps the shortest round trip, for samples that do not go into the averages.</summary>
    internal static void Note(ref RttState rtt, Duration sample) => NoteMinimum(ref rtt, ToMicroseconds(sample));

    /// <summary>The retransmission time-out with all doublings.</summary>
    internal static Duration Rto(in RttState rtt, byte backoff, bool synTimedOut, RecoverySettings settings)
    {
        Duration rto;
        if (rtt.Srtt == 0)
        {
            // RFC 6298 §2.1 and §5.7.
            rto = synTimedOut ? Duration.Max(settings.RtoInitial, RtoAfterSynTimeout) : settings.RtoInitial;
        }
        else
        {
            // RFC 6298 §2.3: RTO <- SRTT + max (G, K*RTTVAR). §2.4: at least the minimum.
            var variance = Duration.Max(settings.RtoVarianceMin, Duration.FromMicroseconds(Math.Max(GranularityUs, rtt.RttVar)));
            rto = Duration.FromMicroseconds(rtt.Srtt >> 3) + variance;
            rto = Duration.Max(rto, settings.RtoMin);
        }
        // RFC 6298 §5.5: doubled at each expiry, up to the maximum of §2.5.
        for (var i = 0; i < Math.Min((int)backoff, BackoffMax) && rto < settings.RtoMax; i++) rto *= 2;
        if (rtt.Srtt != 0 || backoff > 0) rto += settings.RtoSlack;
        return Duration.Min(rto, settings.RtoMax);
    }

    /// <summary>The smoothed round-trip time; zero before the first sample.</summary>
    internal static Duration Smoothed(in RttState rtt) => Duration.FromMicroseconds(rtt.Srtt >> 3);

    private static void NoteMinimum(ref RttState rtt, uint us)
    {
        if (rtt.MinRtt == 0 || us < rtt.MinRtt) rtt.MinRtt = us;
    }

    // Zero would mean "no sample", so the shortest round trip is 1 µs.
    internal static uint ToMicroseconds(Duration sample) => (uint)Math.Clamp(sample.Microseconds, 1, SampleUsMax);
}
