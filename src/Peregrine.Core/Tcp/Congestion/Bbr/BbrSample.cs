// What one ACK means to BBR: the draft's RS and the connection's C, read once.
using Peregrine.Core.Tcp.Recovery;
using Peregrine.Core.Time;

namespace Peregrine.Core.Tcp.Congestion.Bbr;

internal struct BbrSample
{
    internal Instant Now;

    /// <summary>RS.delivery_rate, bytes a second; 0 where there is no reliable one.</summary>
    internal ulong Rate;

    /// <summary>RS.rtt in microseconds; 0 for none.</summary>
    internal uint Rtt;
    internal uint Delivered;
    internal uint PriorDelivered;
    internal uint NewlyAcked;
    internal uint TxInFlight;

    /// <summary>RS.lost: what was found lost between the sending of the latest delivered and now.</summary>
    internal uint Lost;
    internal bool IsAppLimited;

    /// <summary>C.delivered, C.inflight, C.is_cwnd_limited, C.has_selective_acks, C.SMSS.</summary>
    internal uint TotalDelivered;
    internal uint InFlight;
    internal bool IsCwndLimited;
    internal bool HasSelectiveAcks;
    internal uint Mss;

    internal static BbrSample Of(in Tcb c, in TcbCold k, in AckSample sample, uint totalLost)
    {
        var r = new BbrSample
        {
            Now = sample.Now,
            Rtt = (uint)Math.Min(sample.Rtt.Microseconds, int.MaxValue),
            PriorDelivered = sample.PriorDelivered,
            Delivered = sample.Delivered - sample.PriorDelivered,
            NewlyAcked = sample.DeliveredBytes,
            TxInFlight = sample.TxInFlight,
            Lost = totalLost - sample.PriorLost,
            IsAppLimited = sample.IsAppLimited,
            TotalDelivered = sample.Delivered,
        };
        r.TakeConnection(c, k);
        // draft-ietf-ccwg-bbr §4.1.2.3: an interval below the shortest round trip tells nothing.
        var interval = Duration.Max(sample.SendElapsed, sample.AckElapsed);
        if (interval.Nanoseconds > 0 && interval >= Duration.FromMicroseconds(k.Rtt.MinRtt))
            r.Rate = r.Delivered * 1_000_000_000ul / (ulong)interval.Nanoseconds;
        return r;
    }

    /// <summary>The connection as it is, without an ACK.</summary>
    internal static BbrSample Of(in Tcb c, in TcbCold k, Instant now)
    {
        var r = new BbrSample { Now = now, TotalDelivered = k.Recovery.Delivered };
        r.TakeConnection(c, k);
        return r;
    }

    private void TakeConnection(in Tcb c, in TcbCold k)
    {
        InFlight = LossRecovery.Pipe(c, k);
        IsCwndLimited = (k.Recovery.Flags & (RecoveryFlags.LimitedThisRound | RecoveryFlags.LimitedLastRound)) != 0;
        HasSelectiveAcks = (c.Flags & TcbFlags.Sack) != 0;
        Mss = c.Mss;
    }
}
