// The second names of counters: what Linux's nstat(8) calls the same thing, so that who watches a kernel by those finds them here. Only where the
// meaning is the same; several counters with one name add up to it. TcpExtCounters bear such names already and are found by a rule.
using Peregrine.Core.Ip;
using Peregrine.Core.Tcp;
using Peregrine.Core.Udp;

namespace Peregrine;

internal static class NstatNames
{
    private static readonly Dictionary<(string Group, string Counter), string> s_names = new()
    {
        [("ip", nameof(IpCounters.ReceivedFrames))] = "IpInReceives",
        [("ip", nameof(IpCounters.ReceivedDelivered))] = "IpInDelivers",
        [("ip", nameof(IpCounters.DroppedMalformed))] = "IpInHdrErrors",
        [("ip", nameof(IpCounters.DroppedHeaderChecksum))] = "IpInHdrErrors",
        [("ip", nameof(IpCounters.DroppedNotForUs))] = "IpInAddrErrors",
        [("ip", nameof(IpCounters.DroppedUnknownProtocol))] = "IpInUnknownProtos",
        [("ip", nameof(IpCounters.Sent))] = "IpOutRequests",
        [("ip", nameof(IpCounters.SendDroppedNoRoute))] = "IpOutNoRoutes",
        [("ip", nameof(IpCounters.Reassembled))] = "IpReasmOKs",
        [("ip", nameof(IpCounters.DroppedFragmentTimeout))] = "IpReasmTimeout",
        [("ip", nameof(IpCounters.SentFragmented))] = "IpFragOKs",
        [("icmp", nameof(IcmpCounters.ReceivedEchoRequests))] = "IcmpInEchos",
        [("icmp", nameof(IcmpCounters.ReceivedEchoReplies))] = "IcmpInEchoReps",
        [("icmp", nameof(IcmpCounters.SentEchoRequests))] = "IcmpOutEchos",
        [("icmp", nameof(IcmpCounters.DroppedChecksum))] = "IcmpInCsumErrors",
        [("tcp", nameof(TcpCounters.ActiveOpens))] = "TcpActiveOpens",
        [("tcp", nameof(TcpCounters.PassiveOpens))] = "TcpPassiveOpens",
        [("tcp", nameof(TcpCounters.FailedOpens))] = "TcpAttemptFails",
        [("tcp", nameof(TcpCounters.ConnectionsReset))] = "TcpEstabResets",
        [("tcp", nameof(TcpCounters.ConnectionsAborted))] = "TcpEstabResets",
        [("tcp", nameof(TcpCounters.SegmentsSent))] = "TcpOutSegs",
        [("tcp", nameof(TcpCounters.SegmentsRetransmitted))] = "TcpRetransSegs",
        [("tcp", nameof(TcpCounters.DroppedChecksum))] = "TcpInCsumErrors",
        [("tcp", nameof(TcpCounters.ResetsSent))] = "TcpOutRsts",
        [("tcp", nameof(TcpCounters.SynCookiesSent))] = "TcpExtSyncookiesSent",
        [("tcp", nameof(TcpCounters.SynCookiesAccepted))] = "TcpExtSyncookiesRecv",
        [("tcp", nameof(TcpCounters.SynCookiesRejected))] = "TcpExtSyncookiesFailed",
        [("tcp", nameof(TcpCounters.IcmpErrorsIgnored))] = "TcpExtOutOfWindowIcmps",
        [("tcp", nameof(TcpCounters.TimeWaitEntered))] = "TcpExtTW",
        [("tcp", nameof(TcpCounters.TimeWaitReused))] = "TcpExtTWRecycled",
        [("tcp", nameof(TcpCounters.TimeWaitEvicted))] = "TcpExtTCPTimeWaitOverflow",
        [("tcp", nameof(TcpCounters.DroppedPaws))] = "TcpExtPAWSEstab",
        [("tcp", nameof(TcpCounters.DelayedAcks))] = "TcpExtDelayedACKs",
        [("tcp", nameof(TcpCounters.DroppedAcceptQueueFull))] = "TcpExtListenOverflows",
        [("tcp", nameof(TcpCounters.DroppedSynBacklogFull))] = "TcpExtListenDrops",
        [("tcp", nameof(TcpCounters.ChallengeAcksSent))] = "TcpExtTCPChallengeACK",
        [("tcp", nameof(TcpCounters.DroppedSynInConnection))] = "TcpExtTCPSYNChallenge",
        [("tcp", nameof(TcpCounters.KeepaliveProbesSent))] = "TcpExtTCPKeepAlive",
        [("tcp", nameof(TcpCounters.WindowProbesSent))] = "TcpExtTCPWinProbe",
        [("tcp", nameof(TcpCounters.ConnectionsTimedOut))] = "TcpExtTCPAbortOnTimeout",
        [("udp", nameof(UdpCounters.Received))] = "UdpInDatagrams",
        [("udp", nameof(UdpCounters.Sent))] = "UdpOutDatagrams",
        [("udp", nameof(UdpCounters.DroppedNoSocket))] = "UdpNoPorts",
        [("udp", nameof(UdpCounters.DroppedChecksum))] = "UdpInCsumErrors",
        [("TcpExt", nameof(TcpExtCounters.InCEPkts))] = "IpExtInCEPkts",
    };

    // Counters of mechanisms that Linux does not count, named in its manner.
    private static readonly string[] s_ownNames =
        [nameof(TcpExtCounters.TCPRACKTimerRecovery), nameof(TcpExtCounters.TCPEcnReductions), nameof(TcpExtCounters.TCPLostBytes), nameof(TcpExtCounters.TCPBbrNoModel)];

    /// <summary>The counters that have a second name by this table.</summary>
    internal static IEnumerable<(string Group, string Counter)> Known => s_names.Keys;

    /// <summary>What nstat calls a counter; null where it has nothing of that meaning.</summary>
    internal static string? Of(string group, string counter) =>
        s_names.TryGetValue((group, counter), out var name) ? name : group == "TcpExt" && Array.IndexOf(s_ownNames, counter) < 0 ? "TcpExt" + counter : null;

    /// <summary>All counters that nstat has, by its names and in their order.</summary>
    internal static SortedDictionary<string, long> Read(CounterTable counters)
    {
        var sums = new SortedDictionary<string, long>(StringComparer.Ordinal);
        foreach (var group in counters.Groups)
        {
            foreach (var (counter, value) in counters.Read(group))
            {
                if (Of(group, counter) is { } name) sums[name] = sums.GetValueOrDefault(name) + value;
            }
        }
        return sums;
    }
}
