// What one ACK told the sender: everything that congestion control, rate estimation and tools feed on. A value; it keeps nothing.
using Peregrine.Core.Time;

namespace Peregrine.Core.Tcp.Recovery;

/// <summary>The outcome of one ACK. Filled in its place and passed by reference: a copy right behind the stores that made it waits for them.</summary>
internal struct AckSample
{
    /// <summary>When the ACK was processed.</summary>
    internal Instant Now { get; set; }

    /// <summary>Sequence space that Snd.Una moved over.</summary>
    internal uint AckedBytes { get; set; }

    /// <summary>How far below what had been delivered before something came that was sent once, at most, in bytes; 0 for in order.</summary>
    internal uint ReorderedDistance { get; set; }

    /// <summary>Without SACK: more duplicates came than segments can have arrived, so that some were only overtaken.</summary>
    internal bool IsOvertaken { get; set; }

    /// <summary>By how much, in bytes, what was taken for lost was overtaken instead; 0 where it was not.</summary>
    internal uint LateDistance { get; set; }

    /// <summary>Bytes that SACK blocks newly reported.</summary>
    internal uint SackedBytes { get; set; }

    /// <summary>Bytes that had not been reported before, by SACK or cumulatively.</summary>
    internal uint DeliveredBytes { get; set; }

    /// <summary>The same in segments: each transmission's own, rounded up.</summary>
    internal uint DeliveredSegments { get; set; }

    /// <summary>RFC 8985 §6.2 step 5: when to look for losses again if no ACK comes before; zero for never.</summary>
    internal Duration ReorderingWait { get; set; }

    /// <summary>The peer has taken back what it had reported: how long it has to say otherwise; zero where it has not.</summary>
    internal Duration RenegingWait { get; set; }

    /// <summary>Bytes newly marked lost.</summary>
    internal uint LostBytes { get; set; }

    /// <summary>Bytes that a D-SACK block reported as received twice (RFC 2883).</summary>
    internal uint DuplicateBytes { get; set; }

    /// <summary>Round-trip time of the latest record delivered, in nanoseconds; 0 when it was retransmitted or none was delivered.</summary>
    internal Duration Rtt { get; set; }

    /// <summary>Bytes delivered in all, modulo 2³².</summary>
    internal uint Delivered { get; set; }

    /// <summary>What <see cref="Delivered"/> was when the latest record delivered was sent.</summary>
    internal uint PriorDelivered { get; set; }

    /// <summary>What was in flight with the latest record delivered when it was sent, and what had been found lost in all until then.</summary>
    internal uint TxInFlight { get; set; }

    /// <summary>See <see cref="TxInFlight"/>.</summary>
    internal uint PriorLost { get; set; }

    /// <summary>The time over which Delivered − PriorDelivered were sent; 0 when nothing was delivered.</summary>
    internal Duration SendElapsed { get; set; }

    /// <summary>The time over which they were acknowledged.</summary>
    internal Duration AckElapsed { get; set; }

    /// <summary>Time since the ACK before that delivered something, time with nothing in flight left out.</summary>
    internal Duration SinceLastDelivery { get; set; }

    /// <summary>RFC 6675 pipe before this ACK.</summary>
    internal uint InFlightBefore { get; set; }

    /// <summary>The latest record delivered was sent while the application had no more to send.</summary>
    internal bool IsAppLimited { get; set; }

    /// <summary>A round trip began with this ACK.</summary>
    internal bool IsRoundStart { get; set; }

    /// <summary>The retransmission timer starts anew, though nothing was acknowledged cumulatively; where something was, it does in any case (RFC 6298 §5.3).</summary>
    internal bool RestartTimer { get; set; }

    /// <summary>Fast recovery began with this ACK.</summary>
    internal bool EnteredRecovery { get; set; }

    /// <summary>Recovery, or the repair after a time-out, ended with this ACK.</summary>
    internal bool LeftRecovery { get; set; }

    /// <summary>What was taken for lost was not: the window was given back.</summary>
    internal bool Undone { get; set; }

    /// <summary>The same with all that is delivered as acknowledged, duplicates that were sent again for nothing among it: what Linux opens the window by.</summary>
    internal readonly AckSample CountedAsDelivered(uint mss)
    {
        var copy = this;
        copy.AckedBytes = DeliveredBytes + DuplicateBytes;
        copy.DeliveredSegments = DeliveredSegments + SegmentCount.Of(DuplicateBytes, mss);
        return copy;
    }

    /// <summary>There is a sample of the delivery rate: divide by the longer of the two times.</summary>
    internal bool HasRate => SendElapsed.Nanoseconds > 0 || AckElapsed.Nanoseconds > 0;
}
