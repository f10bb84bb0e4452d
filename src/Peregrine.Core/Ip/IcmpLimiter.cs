// The one limiter that everything unsolicited passes: ICMP errors, echo replies, resets of the transports. A token bucket in integers.
using Peregrine.Core.Time;

namespace Peregrine.Core.Ip;

/// <summary>Limits replies that nobody here asked for (RFC 4443 §2.4 f, RFC 1812 §4.3.2.8).</summary>
internal sealed class IcmpLimiter
{
    private struct Bucket
    {
        public long PerSecond, Burst;    // replies
        public long Tokens;              // billionths of a reply
        public Instant Filled;

        public bool TryTake(Instant now)
        {
            const long One = 1_000_000_000;
            long elapsed = (now - Filled).Nanoseconds;
            if (elapsed > 0 && PerSecond > 0)
            {
                // A full bucket needs Burst / PerSecond seconds: beyond that the product is not needed and might overflow.
                long full = Burst * One;
                Tokens = elapsed >= full / PerSecond ? full : Math.Min(full, Tokens + (elapsed * PerSecond));
                Filled = now;
            }

            if (Tokens < One) return false;
            Tokens -= One;
            return true;
        }
    }

    private Bucket _errors, _echoes;

    public IcmpLimiter(IpOptions options, Instant now)
    {
        _errors = Full(options.IcmpErrorsPerSecond, options.IcmpErrorBurst, now);
        _echoes = Full(options.IcmpEchoesPerSecond, options.IcmpEchoBurst, now);
    }

    /// <summary>Whether an error (or another unsolicited reply, such as a reset) may be sent now.</summary>
    public bool TryTakeError(Instant now) => _errors.TryTake(now);

    /// <summary>Whether an echo may be answered now.</summary>
    public bool TryTakeEcho(Instant now) => _echoes.TryTake(now);

    private static Bucket Full(int perSecond, int burst, Instant now) =>
        new() { PerSecond = perSecond, Burst = burst, Tokens = burst * 1_000_000_000L, Filled = now };
}
