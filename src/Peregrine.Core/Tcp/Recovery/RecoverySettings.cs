// The numbers of loss recovery, in one record.
using Peregrine.Core.Time;

namespace Peregrine.Core.Tcp.Recovery;

/// <summary>Numbers that loss recovery and round-trip measurement go by.</summary>
internal sealed record RecoverySettings
{
    /// <summary>Least RTO. RFC 6298 §2.4 says 1 s and foresees less; 200 ms is what deployed stacks use.</summary>
    internal Duration RtoMin { get; init; } = Duration.FromMilliseconds(200);

    /// <summary>Largest RTO, at least 60 s (RFC 6298 §2.5).</summary>
    internal Duration RtoMax { get; init; } = Duration.FromSeconds(120);

    /// <summary>RTO before the first sample (RFC 6298 §2.1).</summary>
    internal Duration RtoInitial { get; init; } = Duration.FromSeconds(1);

    /// <summary>Segments of the initial window: 10 by RFC 6928, at most 14,600 bytes or two segments.</summary>
    internal uint InitialWindowSegments { get; init; } = 10;

    /// <summary>Most segments that one ACK opens the window by in slow start (RFC 3465 §2.2: L).</summary>
    internal uint SlowStartSegmentsPerAck { get; init; } = 2;

    /// <summary>RFC 5681 §4.1: start again from the restart window after an RTO without sending.</summary>
    internal bool RestartAfterIdle { get; init; } = true;

    /// <summary>The congestion window never grows past this.</summary>
    internal uint CwndMax { get; init; } = 1u << 30;
}
