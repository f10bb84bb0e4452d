// The sums of terminal counters: every frame, and every packet given to a transport, ends in exactly one.
using Peregrine.Core.Ip;
using Peregrine.Core.Tcp;
using Peregrine.Core.Udp;

namespace Peregrine.Simulation.Judges;

internal static class Terminals
{
    public static long Sum(in TcpCounters c) =>
        c.SegmentsAccepted + c.SegmentsMerged + c.DroppedMalformed + c.DroppedChecksum + c.DroppedNotUnicast + c.DroppedNoConnection + c.DroppedPaws
        + c.DroppedNoTimestamp + c.DroppedOutOfWindow + c.DroppedResetNotExact + c.DroppedSynInConnection + c.DroppedNoAckBit
        + c.DroppedUnacceptableAck + c.ResetsReceived + c.DroppedSynBacklogFull + c.DroppedAcceptQueueFull + c.DroppedConnectionLimit
        + c.SynsAccepted + c.TimeWaitSegments + c.DroppedReceiverGone + c.DroppedAuthentication;

    public static long Sum(in UdpCounters c) =>
        c.Received + c.DroppedMalformed + c.DroppedChecksum + c.DroppedNoChecksum + c.DroppedNoSocket + c.DroppedBufferFull + c.DroppedNoMemory;

    /// <summary>Without fragments that wait.</summary>
    public static long Sum(in IpCounters c) =>
        c.ReceivedDelivered + c.ReceivedIcmp + c.ReceivedArp + c.ReceivedGroupManagement + c.DroppedLinkTruncated + c.DroppedNotForUsLink
        + c.DroppedLinkSource + c.DroppedVlan + c.DroppedUnknownEtherType + c.DroppedMalformed + c.DroppedHeaderChecksum + c.DroppedOptions
        + c.DroppedMartianSource + c.DroppedMartianDestination + c.DroppedNotForUs + c.DroppedTentative + c.DroppedExtensionHeader
        + c.DroppedOptionAction + c.DroppedNoNextHeader + c.DroppedUnknownProtocol + c.DroppedFragmentMalformed + c.DroppedFragmentOverlap
        + c.DroppedFragmentDuplicate + c.DroppedFragmentNoRoom + c.DroppedFragmentTimeout + c.DroppedFragmentEcn + c.FragmentsMerged;
}
