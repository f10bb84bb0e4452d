// The rule that every segment which reached TCP ends in exactly one terminal counter.
using Peregrine.Core.Tcp;

namespace Peregrine.Scenarios.Tests.World;

public static class TcpTerminals
{
    /// <summary>The sum of the terminal counters.</summary>
    public static long Sum(in TcpCounters c) =>
        c.SegmentsAccepted + c.SegmentsMerged + c.DroppedMalformed + c.DroppedChecksum + c.DroppedNotUnicast + c.DroppedNoConnection + c.DroppedPaws
        + c.DroppedNoTimestamp + c.DroppedOutOfWindow + c.DroppedResetNotExact + c.DroppedSynInConnection + c.DroppedNoAckBit
        + c.DroppedUnacceptableAck + c.ResetsReceived + c.DroppedSynBacklogFull + c.DroppedAcceptQueueFull + c.DroppedConnectionLimit
        + c.SynsAccepted + c.TimeWaitSegments + c.DroppedReceiverGone + c.DroppedAuthentication;
}
