// Whether a connection is paced and at which rate: what its congestion control asks for, what its settings say, and the limit that they
// set. When a segment goes is TcpPacing's.
using Peregrine.Core.Tcp.Congestion;

namespace Peregrine.Core.Tcp.Recovery;

internal static class PacingChoice
{
    /// <summary>Notes whether the connection is paced.</summary>
    internal static void Make(RecoverySettings settings, CongestionControl control, ref TcbCold k)
    {
        k.Recovery.Flags &= ~RecoveryFlags.Paced;
        if (settings.PacingRateMax != 0 || IsWanted(settings, control, k)) k.Recovery.Flags |= RecoveryFlags.Paced;
    }

    /// <summary>The rate of a connection that is paced, in bytes a second.</summary>
    internal static ulong Rate(RecoverySettings settings, CongestionControl control, in Tcb c, in TcbCold k)
    {
        var rate = IsWanted(settings, control, k) ? Math.Max(control.PacingRate(c, k), Least(settings, c, k)) : ulong.MaxValue;
        return settings.PacingRateMax == 0 ? rate : Math.Min(rate, settings.PacingRateMax);
    }

    // Two segments a time-out. An outage leaves a bandwidth of a segment a minute, and a model that measures only what it sends by that
    // rate would keep it; the retransmission timer itself would send as often (RFC 6298 §5).
    private static ulong Least(RecoverySettings settings, in Tcb c, in TcbCold k) =>
        2ul * c.Mss * 1_000_000 / (ulong)RoundTrip.Rto(k.Rtt, backoff: 0, synTimedOut: false, settings).Microseconds;

    // RFC 7661 §4.4.2: and in the non-validated phase.
    private static bool IsWanted(RecoverySettings settings, CongestionControl control, in TcbCold k) =>
        settings.Pacing == TcpPacingMode.On
        || (settings.Pacing == TcpPacingMode.Auto && (control.NeedsPacing || k.Recovery.IsNonValidated));
}
