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
        var rate = IsWanted(settings, control, k) ? Math.Max(control.PacingRate(c, k), Least(settings, c, k.Rtt)) : ulong.MaxValue;
        return settings.PacingRateMax == 0 ? rate : Math.Min(rate, settings.PacingRateMax);
    }

    // Four segments a round trip: they may be in flight in any case (draft-ietf-ccwg-bbr §5.6.4.3, BBR.MinPipeCwnd). An outage leaves a bandwidth of a segment a
    // minute, and a model that measures only what it sends at that rate would take minutes to find more, or keep it.
    private static ulong Least(RecoverySettings settings, in Tcb c, in RttState rtt) =>
        Math.Max(4ul * c.Mss * 1_000_000 / (rtt.Srtt != 0 ? Math.Max(rtt.Srtt >> 3, 1) : (ulong)settings.RtoInitial.Microseconds), 1);

    // RFC 7661 §4.4.2: and in the non-validated phase.
    private static bool IsWanted(RecoverySettings settings, CongestionControl control, in TcbCold k) =>
        settings.Pacing == TcpPacingMode.On
        || (settings.Pacing == TcpPacingMode.Auto && (control.NeedsPacing || k.Recovery.IsNonValidated));
}
