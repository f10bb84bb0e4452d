// BBR's estimate of aggregation: how much more is acknowledged at once than the bandwidth explains (Wi-Fi, merged ACKs, offloads).
namespace Peregrine.Core.Tcp.Congestion.Bbr;

internal static class BbrAggregation
{
    private const uint FilterRounds = 10;

    /// <summary>draft-ietf-ccwg-bbr §5.5.9 UpdateACKAggregation.</summary>
    internal static void Update(ref BbrModel m, in BbrSample rs, uint cwnd)
    {
        var microseconds = (ulong)Math.Clamp((rs.Now - m.ExtraAckedStart).Microseconds, 0, uint.MaxValue);
        var expected = BbrWindow.Volume(m.Bw, microseconds);
        if (m.ExtraAckedDelivered <= expected)
        {
            m.ExtraAckedDelivered = 0;
            m.ExtraAckedStart = rs.Now;
            expected = 0;
        }
        m.ExtraAckedDelivered = BbrWindow.Saturate((ulong)m.ExtraAckedDelivered + rs.NewlyAcked);
        var extra = Math.Min(m.ExtraAckedDelivered - Math.Min(expected, m.ExtraAckedDelivered), cwnd);
        m.ExtraAcked.Take(extra, m.RoundCount, m.Has(BbrFlags.FullBwReached) ? FilterRounds : 1);
    }
}
