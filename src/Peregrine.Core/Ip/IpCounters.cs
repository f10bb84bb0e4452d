// What happened to packets at the IP layer: plain sums, one struct a protocol. Each received frame and each packet to be sent ends in
// exactly one of the terminal counters (RFC 1122 §3.1 wants discarded datagrams counted); the others say what happened on the way and are marked so.
namespace Peregrine.Core.Ip;

/// <summary>What happened to frames and IP packets. Plain sums since the start; fragments that still wait are in none.</summary>
public struct IpCounters
{
    /// <summary>Frames received (not terminal: each also ends in one of the following).</summary>
    public long ReceivedFrames;

    /// <summary>Packets given on to UDP or TCP.</summary>
    public long ReceivedDelivered;

    /// <summary>Packets given to ICMP or ICMPv6; its counters say what became of them.</summary>
    public long ReceivedIcmp;

    /// <summary>Frames given to ARP; the neighbour counters say what became of them.</summary>
    public long ReceivedArp;

    /// <summary>Group membership messages (IGMP), answered or ignored.</summary>
    public long ReceivedGroupManagement;

    /// <summary>Dropped: shorter than its link header.</summary>
    public long DroppedLinkTruncated;

    /// <summary>Dropped: an Ethernet destination that is not ours.</summary>
    public long DroppedNotForUsLink;

    /// <summary>Dropped: an Ethernet source that is a group address.</summary>
    public long DroppedLinkSource;

    /// <summary>Dropped: a VLAN tag with an identifier; priority tags (VLAN 0) are accepted.</summary>
    public long DroppedVlan;

    /// <summary>Dropped: an EtherType that we do not speak.</summary>
    public long DroppedUnknownEtherType;

    /// <summary>Dropped: the IP header is malformed or longer than the frame.</summary>
    public long DroppedMalformed;

    /// <summary>Dropped: the IPv4 header's checksum is wrong.</summary>
    public long DroppedHeaderChecksum;

    /// <summary>Dropped: malformed IPv4 options or a source route.</summary>
    public long DroppedOptions;

    /// <summary>Dropped: a source address that nobody may have: a group, a broadcast, our own, or loopback from outside.</summary>
    public long DroppedMartianSource;

    /// <summary>Dropped: a destination address that may not come in from outside (loopback, unspecified).</summary>
    public long DroppedMartianDestination;

    /// <summary>Dropped: not for us, and we do not forward.</summary>
    public long DroppedNotForUs;

    /// <summary>Dropped: for an address that is still being tested for duplicates (RFC 4862 §5.4).</summary>
    public long DroppedTentative;

    /// <summary>Dropped: IPv6 extension headers in an illegal order, too many, or cut off.</summary>
    public long DroppedExtensionHeader;

    /// <summary>Dropped: an IPv6 option or routing header that said to, with or without a parameter problem being sent.</summary>
    public long DroppedOptionAction;

    /// <summary>Dropped: IPv6 "no next header".</summary>
    public long DroppedNoNextHeader;

    /// <summary>Dropped: a protocol that we do not speak; an ICMP error may have been sent.</summary>
    public long DroppedUnknownProtocol;

    /// <summary>Dropped: a fragment with an impossible offset or length, or whose first part lacks the headers (RFC 7112, RFC 1858).</summary>
    public long DroppedFragmentMalformed;

    /// <summary>Dropped: fragments that overlapped, and all others of their datagram (RFC 5722).</summary>
    public long DroppedFragmentOverlap;

    /// <summary>Dropped: a fragment that was there already.</summary>
    public long DroppedFragmentDuplicate;

    /// <summary>Dropped: fragments, held or new, for which there was no room.</summary>
    public long DroppedFragmentNoRoom;

    /// <summary>Dropped: fragments whose rest did not come in time.</summary>
    public long DroppedFragmentTimeout;

    /// <summary>Dropped: fragments with inconsistent ECN marks (RFC 3168 §5.3).</summary>
    public long DroppedFragmentEcn;

    /// <summary>Datagrams reassembled (not terminal).</summary>
    public long Reassembled;

    /// <summary>Fragments that became part of a datagram, all but the last to come, which is counted as the datagram.</summary>
    public long FragmentsMerged;

    /// <summary>IPv6 atomic fragments, processed as whole packets (RFC 6946; not terminal).</summary>
    public long AtomicFragments;

    /// <summary>Packets or fragments put into an interface's output.</summary>
    public long Sent;

    /// <summary>Packets that were sent to one of our own addresses (also in <see cref="Sent"/>; not terminal).</summary>
    public long SentLoopback;

    /// <summary>Packets cut into fragments (not terminal; each fragment is counted).</summary>
    public long SentFragmented;

    /// <summary>Not sent: the interface's output was full.</summary>
    public long SendDroppedFull;

    /// <summary>Not sent: larger than the path's MTU and not to be fragmented.</summary>
    public long SendDroppedTooBig;

    /// <summary>Not sent: no free chunk for a fragment or a reply.</summary>
    public long SendDroppedNoMemory;

    /// <summary>Not sent: no route, no such interface, or no own address.</summary>
    public long SendDroppedNoRoute;

    /// <summary>Not sent: the frame had no room before its transport header for the headers below.</summary>
    public long SendDroppedHeadroom;

    /// <summary>Not sent: a super-segment for a link that cannot cut it.</summary>
    public long SendDroppedSuperSegment;

    /// <summary>Not sent: the neighbour could not be resolved, too many packets waited for it, or there was no room for it.</summary>
    public long SendDroppedNeighbour;
}

/// <summary>What happened to ICMP and ICMPv6 messages.</summary>
public struct IcmpCounters
{
    /// <summary>Echo requests received and answered.</summary>
    public long ReceivedEchoRequests;

    /// <summary>Echo replies that belonged to an open echo.</summary>
    public long ReceivedEchoReplies;

    /// <summary>Errors handed to a transport or an echo.</summary>
    public long ReceivedErrors;

    /// <summary>Neighbour discovery messages; the neighbour counters say what became of them.</summary>
    public long ReceivedNeighbourDiscovery;

    /// <summary>Multicast listener messages, answered or ignored.</summary>
    public long ReceivedGroupManagement;

    /// <summary>Redirects that changed a route.</summary>
    public long ReceivedRedirects;

    /// <summary>Dropped: too short for its type.</summary>
    public long DroppedMalformed;

    /// <summary>Dropped: a wrong checksum.</summary>
    public long DroppedChecksum;

    /// <summary>Dropped: a type that we do not know or do not serve.</summary>
    public long DroppedUnknownType;

    /// <summary>Dropped: source quench, which means nothing any more (RFC 6633).</summary>
    public long DroppedSourceQuench;

    /// <summary>Dropped: an echo request to a broadcast, or over the rate of the limiter.</summary>
    public long DroppedEchoRequest;

    /// <summary>Dropped: an echo reply that nobody waits for.</summary>
    public long DroppedEchoReply;

    /// <summary>Dropped: an error that quotes no packet of ours, or too little of it.</summary>
    public long DroppedErrorForeign;

    /// <summary>Dropped: a redirect, because they are off or it failed RFC 4861 §8.1 or RFC 1122 §3.2.2.2.</summary>
    public long DroppedRedirect;

    /// <summary>Dropped: an answer to an open echo, because nobody read the earlier ones.</summary>
    public long DroppedEchoEventsFull;

    /// <summary>Errors sent.</summary>
    public long SentErrors;

    /// <summary>Echo requests sent.</summary>
    public long SentEchoRequests;

    /// <summary>Errors not sent: their cause must not be answered (RFC 1122 §3.2.2, RFC 4443 §2.4 e).</summary>
    public long SuppressedForbidden;

    /// <summary>Errors not sent: over the rate of the limiter.</summary>
    public long SuppressedLimited;

    /// <summary>Path MTUs lowered after the transport had confirmed the report.</summary>
    public long PathMtuLowered;

    /// <summary>Reports of a path MTU that changed nothing: not smaller, or below the floor (where the floor is in use already).</summary>
    public long PathMtuIgnored;
}

/// <summary>What happened to neighbours: ARP, neighbour discovery and the cache that both feed.</summary>
public struct NeighbourCounters
{
    /// <summary>ARP requests for us, answered.</summary>
    public long ReceivedArpRequests;

    /// <summary>ARP replies that changed or confirmed an entry.</summary>
    public long ReceivedArpReplies;

    /// <summary>ARP dropped: malformed, or senders that cannot be.</summary>
    public long DroppedArpMalformed;

    /// <summary>ARP dropped: not for us, and about nobody we know.</summary>
    public long DroppedArpNotForUs;

    /// <summary>Neighbour solicitations for us, answered.</summary>
    public long ReceivedSolicitations;

    /// <summary>Neighbour advertisements that changed or confirmed an entry.</summary>
    public long ReceivedAdvertisements;

    /// <summary>Router advertisements accepted.</summary>
    public long ReceivedRouterAdvertisements;

    /// <summary>Neighbour discovery dropped: RFC 4861's validity checks (hop limit, code, lengths, addresses).</summary>
    public long DroppedInvalid;

    /// <summary>Neighbour discovery dropped: a solicitation for an address that is not ours.</summary>
    public long DroppedNotForUs;

    /// <summary>Neighbour discovery dropped: an advertisement about nobody we know, or that RFC 4861 §7.2.5 says to ignore.</summary>
    public long DroppedUnsolicited;

    /// <summary>Router solicitations and advertisements that a host like this one ignores.</summary>
    public long DroppedRouter;

    /// <summary>Somebody else uses one of our addresses (not terminal).</summary>
    public long AddressConflicts;

    /// <summary>Requests and solicitations sent.</summary>
    public long SentSolicitations;

    /// <summary>Replies and advertisements sent.</summary>
    public long SentAdvertisements;

    /// <summary>Router solicitations sent.</summary>
    public long SentRouterSolicitations;

    /// <summary>Entries made.</summary>
    public long Created;

    /// <summary>Unused entries forgotten to make room.</summary>
    public long Evicted;

    /// <summary>Entries not made: every one was in use.</summary>
    public long TableFull;

    /// <summary>Entries given up: no answer.</summary>
    public long Unreachable;

    /// <summary>Packets queued for an unresolved neighbour (not terminal).</summary>
    public long Queued;

    /// <summary>Queued packets dropped because more came: the oldest first.</summary>
    public long QueueDropped;

    /// <summary>Queued packets dropped because the neighbour did not answer.</summary>
    public long QueueUnreachable;
}
