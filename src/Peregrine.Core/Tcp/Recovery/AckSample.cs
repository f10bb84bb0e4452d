// What one ACK told the sender: everything that congestion control, rate estimation and tools feed on. A value; it keeps nothing.
using Peregrine.Core.Time;

namespace Peregrine.Core.Tcp.Recovery;

/// <summary>The outcome of one ACK.</summary>
internal readonly struct AckSample
{
    /// <summary>When the ACK was processed.</summary>
    internal Instant Now { get; init; }

    /// <summary>Sequence space that Snd.Una moved over.</summary>
    internal uint AckedBytes { get; init; }

    /// <summary>Bytes that SACK blocks newly reported.</summary>
    internal uint SackedBytes { get; init; }

    /// <summary>Bytes that had not been reported before, by SACK or cumulatively.</summary>
    internal uint DeliveredBytes { get; init; }

    /// <summary>RFC 8985 §6.2 step 5: when to look for losses again if no ACK comes before; zero for never.</summary>
    internal Duration ReorderingWait { get; init; }

    /// <summary>Bytes newly marked lost.</summary>
    internal uint LostBytes { get; init; }

    /// <summary>Bytes that a D-SACK block reported as received twice (RFC 2883).</summary>
    internal uint DuplicateBytes { get; init; }

    /// <summary>Round-trip time of the latest record delivered, in nanoseconds; 0 when it was retransmitted or none was delivered.</summary>
    internal Duration Rtt { get; init; }

    /// <summary>Bytes delivered in all, modulo 2³².</summary>
    internal uint Delivered { get; init; }

    /// <summary>What <see cref="Delivered"/> was when the latest record delivered was sent.</summary>
    internal uint PriorDelivered { get; init; }

    /// <summary>The time over which Delivered − PriorDelivered were sent; 0 when nothing was delivered.</summary>
    internal Duration SendElapsed { get; init; }

    /// <summary>The time over which they were acknowledged.</summary>
    internal Duration AckElapsed { get; init; }

    /// <summary>Time since the ACK before that delivered something, time with nothing in flight left out.</summary>
    internal Duration SinceLastDelivery { get; init; }

    /// <summary>RFC 6675 pipe before this ACK.</summary>
    internal uint InFlightBefore { get; init; }

    /// <summary>The latest record delivered was sent while the application had no more to send.</summary>
    internal bool IsAppLimited { get; init; }

    /// <summary>A round trip began with this ACK.</summary>
    internal bool IsRoundStart { get; init; }

    /// <summary>Restart the retransmission timer (RFC 6298 §5.3, RFC 6582 §3.2 step 3); stop it when nothing is outstanding.</summary>
    internal bool RestartTimer { get; init; }

    /// <summary>Fast recovery began with this ACK.</summary>
    internal bool EnteredRecovery { get; init; }

    /// <summary>Recovery, or the repair after a time-out, ended with this ACK.</summary>
    internal bool LeftRecovery { get; init; }

    /// <summary>What was taken for lost was not: the window was given back.</summary>
    internal bool Undone { get; init; }

    /// <summary>There is a sample of the delivery rate: divide by the longer of the two times.</summary>
    internal bool HasRate => SendElapsed.Nanoseconds > 0 || AckElapsed.Nanoseconds > 0;
}
