// The neighbour cache as RFC 4861 appendix C draws it, for neighbour discovery and for ARP, and its bounds under floods.
using System.Net.Sockets;
using Peregrine.Core.Ip;
using Peregrine.Core.Time;
using Peregrine.Wire;
using static Peregrine.Core.Tests.Ip.IpFixture;

namespace Peregrine.Core.Tests.Ip;

public sealed class NeighbourTests : IDisposable
{
    private static readonly MacAddress OtherMac = MacAddress.Parse("02:00:00:00:00:99");
    private readonly IpFixture _f = new();

    public void Dispose()
    {
        _f.Sent();
        _f.Dispose();
    }

    private void MakeIncomplete(IpAddress peer)
    {
        Assert.Equal(SocketError.Success, _f.Output(peer));
        _f.Sent();
        Assert.Equal(NeighbourState.Incomplete, _f.StateOf(peer));
    }

    private void Make(NeighbourState state)
    {
        MakeIncomplete(Peer6);
        if (state == NeighbourState.Incomplete) return;
        _f.Receive(Advertisement(Peer6, PeerMac, solicited: state == NeighbourState.Reachable, isOverride: true));
        if (state is NeighbourState.Delay or NeighbourState.Probe) _f.Output(Peer6);
        if (state == NeighbourState.Probe) _f.Advance(Duration.FromSeconds(5));
        _f.Sent();
        Assert.Equal(state, _f.StateOf(Peer6));
    }

    [Fact]
    public void FirstPacketIsQueuedAndAsksByMulticast()
    {
        _f.Output(Peer6);
        byte[] frame = _f.SentOne();
        Icmpv6Packet message = Message6(frame);
        Assert.True(NeighborSolicitation.TryParse(message, out NeighborSolicitation solicitation));
        Assert.Equal(Peer6, solicitation.Target);
        Assert.Equal(Peer6.SolicitedNodeMulticast(), Packet6(frame).Destination);
        Assert.Equal(MacAddress.ForIPv6Multicast(Peer6.SolicitedNodeMulticast()), Eth(frame).Destination);
        Assert.Equal(255, Packet6(frame).HopLimit);
        Assert.True(solicitation.Options.TryGetLinkLayerAddress(NdOptionType.SourceLinkLayerAddress, out MacAddress mac));
        Assert.Equal(OurMac, mac);
        Assert.Equal(1, _f.Ip.NeighbourCounters.Queued);
    }

    [Fact]
    public void IncompleteAsksThreeTimesAndThenReportsHostUnreachable()
    {
        _f.Output(Peer6);
        _f.Advance(Duration.FromMilliseconds(2999));
        Assert.Equal(3, _f.Sent().Count);
        Assert.Empty(_f.TcpErrors.All);
        _f.Advance(Duration.FromMilliseconds(2));
        Assert.Empty(_f.Sent());
        IcmpError error = Assert.Single(_f.TcpErrors.All);
        Assert.Equal((IcmpErrorKind.HostUnreachable, true, Peer6), (error.Kind, error.IsLocal, error.Remote.Address));
        Assert.Null(_f.StateOf(Peer6));
        Assert.Equal(0, _f.FramesOut);
        Assert.Equal(Instant.Never, _f.Ip.NextDeadline);
    }

    [Theory]
    [InlineData(true, NeighbourState.Reachable)]
    [InlineData(false, NeighbourState.Stale)]
    public void AdvertisementResolvesIncompleteAndSendsWhatWaited(bool solicited, NeighbourState expected)
    {
        Make(NeighbourState.Incomplete);
        _f.Receive(Advertisement(Peer6, PeerMac, solicited, isOverride: false));
        Assert.Equal(expected, _f.StateOf(Peer6));
        byte[] frame = _f.SentOne();
        Assert.Equal((PeerMac, OurMac, IpProtocol.Tcp), (Eth(frame).Destination, Eth(frame).Source, Packet6(frame).NextHeader));
    }

    [Fact]
    public void AdvertisementWithoutAddressDoesNotResolveIncomplete()
    {
        Make(NeighbourState.Incomplete);
        _f.Receive(Advertisement(Peer6, null, solicited: true, isOverride: true));
        Assert.Equal(NeighbourState.Incomplete, _f.StateOf(Peer6));
        Assert.Equal(1, _f.Ip.NeighbourCounters.DroppedUnsolicited);
    }

    // RFC 4861 appendix C: (state, solicited, override, another address) to (state, whose address).
    [Theory]
    [InlineData(NeighbourState.Reachable, true, false, false, NeighbourState.Reachable, false)]
    [InlineData(NeighbourState.Stale, true, false, false, NeighbourState.Reachable, false)]
    [InlineData(NeighbourState.Delay, true, false, false, NeighbourState.Reachable, false)]
    [InlineData(NeighbourState.Probe, true, false, false, NeighbourState.Reachable, false)]
    [InlineData(NeighbourState.Reachable, true, false, true, NeighbourState.Stale, false)]
    [InlineData(NeighbourState.Stale, true, false, true, NeighbourState.Stale, false)]
    [InlineData(NeighbourState.Delay, true, false, true, NeighbourState.Delay, false)]
    [InlineData(NeighbourState.Probe, true, false, true, NeighbourState.Probe, false)]
    [InlineData(NeighbourState.Reachable, true, true, true, NeighbourState.Reachable, true)]
    [InlineData(NeighbourState.Stale, true, true, true, NeighbourState.Reachable, true)]
    [InlineData(NeighbourState.Delay, true, true, true, NeighbourState.Reachable, true)]
    [InlineData(NeighbourState.Probe, true, true, true, NeighbourState.Reachable, true)]
    [InlineData(NeighbourState.Reachable, false, false, false, NeighbourState.Reachable, false)]
    [InlineData(NeighbourState.Stale, false, false, false, NeighbourState.Stale, false)]
    [InlineData(NeighbourState.Probe, false, false, false, NeighbourState.Probe, false)]
    [InlineData(NeighbourState.Reachable, false, false, true, NeighbourState.Stale, false)]
    [InlineData(NeighbourState.Delay, false, false, true, NeighbourState.Delay, false)]
    [InlineData(NeighbourState.Reachable, false, true, false, NeighbourState.Reachable, false)]
    [InlineData(NeighbourState.Delay, false, true, false, NeighbourState.Delay, false)]
    [InlineData(NeighbourState.Reachable, false, true, true, NeighbourState.Stale, true)]
    [InlineData(NeighbourState.Stale, false, true, true, NeighbourState.Stale, true)]
    [InlineData(NeighbourState.Delay, false, true, true, NeighbourState.Stale, true)]
    [InlineData(NeighbourState.Probe, false, true, true, NeighbourState.Stale, true)]
    public void AdvertisementMovesTheState(NeighbourState from, bool solicited, bool isOverride, bool other, NeighbourState to, bool takesOther)
    {
        Make(from);
        _f.Receive(Advertisement(Peer6, other ? OtherMac : PeerMac, solicited, isOverride));
        Assert.Equal(to, _f.StateOf(Peer6));
        Assert.Equal(takesOther ? OtherMac : PeerMac, _f.Ip.Neighbours.At(_f.Ip.Neighbours.Find(_f.Link, Peer6)).Mac);
    }

    [Fact]
    public void ReachabilityRunsOutAndTrafficStartsTheDelay()
    {
        Make(NeighbourState.Reachable);
        _f.Advance(Duration.FromSeconds(46));
        Assert.Equal(NeighbourState.Stale, _f.StateOf(Peer6));
        _f.Output(Peer6);
        Assert.Single(_f.Sent());
        Assert.Equal(NeighbourState.Delay, _f.StateOf(Peer6));
    }

    [Fact]
    public void DelayBecomesProbeWhichAsksByUnicastThreeTimesAndGivesUp()
    {
        Make(NeighbourState.Delay);
        _f.Advance(Duration.FromMilliseconds(4999));
        Assert.Empty(_f.Sent());
        _f.Advance(Duration.FromMilliseconds(2));
        Assert.Equal(NeighbourState.Probe, _f.StateOf(Peer6));
        byte[] frame = _f.SentOne();
        Assert.Equal((PeerMac, Peer6), (Eth(frame).Destination, Packet6(frame).Destination));
        _f.Advance(Duration.FromSeconds(3));
        Assert.Equal(2, _f.Sent().Count);
        Assert.Null(_f.StateOf(Peer6));
        Assert.Equal(1, _f.Ip.NeighbourCounters.Unreachable);
    }

    [Theory]
    [InlineData(NeighbourState.Stale)]
    [InlineData(NeighbourState.Delay)]
    [InlineData(NeighbourState.Probe)]
    public void UpperLayerConfirmationMakesReachable(NeighbourState from)
    {
        Make(from);
        IpAddress local = default;
        FlowPath path = default;
        Assert.Equal(SocketError.Success, _f.Ip.Resolve(Peer6, ref local, ref path, _f.Now));
        _f.Ip.ConfirmReachable(path, _f.Now);
        Assert.Equal(NeighbourState.Reachable, _f.StateOf(Peer6));
        Assert.Equal(Instant.Never, _f.Ip.NextDeadline);
    }

    [Fact]
    public void ConfirmationDoesNotResolveIncomplete()
    {
        Make(NeighbourState.Incomplete);
        IpAddress local = default;
        FlowPath path = default;
        _f.Ip.Resolve(Peer6, ref local, ref path, _f.Now);
        _f.Ip.ConfirmReachable(path, _f.Now);
        Assert.Equal(NeighbourState.Incomplete, _f.StateOf(Peer6));
    }

    [Theory]
    [InlineData(NeighbourState.Incomplete, NeighbourState.Stale)]
    [InlineData(NeighbourState.Reachable, NeighbourState.Stale)]
    [InlineData(NeighbourState.Delay, NeighbourState.Stale)]
    [InlineData(NeighbourState.Probe, NeighbourState.Stale)]
    public void SolicitationFromAnotherAddressMakesStale(NeighbourState from, NeighbourState to)
    {
        Make(from);
        _f.Receive(Solicitation(Peer6, Our6, OtherMac));
        Assert.Equal(to, _f.StateOf(Peer6));
    }

    [Fact]
    public void SolicitationWithTheSameAddressChangesNothing()
    {
        Make(NeighbourState.Reachable);
        _f.Receive(Solicitation(Peer6, Our6, PeerMac));
        Assert.Equal(NeighbourState.Reachable, _f.StateOf(Peer6));
    }

    [Fact]
    public void SolicitationForUsIsAnsweredAndMakesAStaleEntry()
    {
        _f.Receive(Solicitation(Peer6, Our6, PeerMac));
        byte[] frame = _f.SentOne();
        Assert.True(NeighborAdvertisement.TryParse(Message6(frame), out NeighborAdvertisement answer));
        Assert.Equal((Our6, true, true, false), (answer.Target, answer.IsSolicited, answer.IsOverride, answer.IsRouter));
        Assert.Equal((PeerMac, Peer6), (Eth(frame).Destination, Packet6(frame).Destination));
        Assert.Equal(NeighbourState.Stale, _f.StateOf(Peer6));
        Assert.Equal(0, _f.Ip.Timers.Heap.Count);
    }

    [Fact]
    public void UnsolicitedAdvertisementsMakeNoEntry()
    {
        _f.Receive(Advertisement(Peer6, PeerMac, solicited: false, isOverride: true, to: IpAddress.IPv6AllNodes));
        _f.Receive(ArpFrame(ArpOperation.Reply, Peer4, PeerMac, Peer4));
        _f.Receive(ArpFrame(ArpOperation.Request, Peer4, PeerMac, Peer4));
        Assert.Equal(0, _f.Ip.Neighbours.Count);
        Assert.Equal(
            new NeighbourCounters { DroppedUnsolicited = 1, DroppedArpNotForUs = 2 }, _f.Ip.NeighbourCounters);
    }

    public static TheoryData<byte[]> InvalidDiscovery() =>
    [
        Solicitation(Peer6, Our6, PeerMac, hopLimit: 254),
        Advertisement(Peer6, PeerMac, true, true, hopLimit: 64),
        Solicitation(IpAddress.IPv6Any, Our6, PeerMac),
        Solicitation(IpAddress.IPv6Any, Our6, null, to: Our6),
        Advertisement(Peer6, PeerMac, true, true, to: IpAddress.IPv6AllNodes),
        Solicitation(Peer6, IpAddress.Parse("ff02::5"), PeerMac, to: Our6),
        Icmp6(Peer6, Our6, Icmpv6Type.NeighborSolicitation, 1, 0, new byte[16], hopLimit: 255),
        Icmp6(Peer6, Our6, Icmpv6Type.NeighborSolicitation, 0, 0, new byte[8], hopLimit: 255),
        Icmp6(Peer6, Our6, Icmpv6Type.NeighborSolicitation, 0, 0, [.. new byte[16], 1, 0, 0, 0, 0, 0, 0, 0], hopLimit: 255),
    ];

    [Theory]
    [MemberData(nameof(InvalidDiscovery))]
    public void InvalidDiscoveryIsDroppedAndCounted(byte[] frame)
    {
        _f.Receive(frame);
        Assert.Equal(new NeighbourCounters { DroppedInvalid = 1 }, _f.Ip.NeighbourCounters);
        Assert.Empty(_f.Sent());
        Assert.Equal(0, _f.FramesOut);
    }

    [Fact]
    public void RouterThatBecomesAHostIsNoGatewayAnyMore()
    {
        using var f = new IpFixture(link: o => o with { Autoconfigure = true, Gateways = [] });
        f.Advance(Duration.FromSeconds(3));
        f.Receive(RouterTests.Router(1800));
        Assert.Equal(SocketError.Success, f.Output(Far6));
        f.Receive(Advertisement(Gateway6, PeerMac, solicited: true, isOverride: true, isRouter: true));
        Assert.Equal(SocketError.Success, f.Output(Far6));
        f.Receive(Advertisement(Gateway6, PeerMac, solicited: true, isOverride: true, isRouter: false));
        Assert.Equal(SocketError.NetworkUnreachable, f.Output(Far6));
    }

    [Fact]
    public void ArpResolvesAndItsReplyToUsMakesReachable()
    {
        _f.Output(Peer4);
        byte[] request = _f.SentOne();
        Assert.True(ArpPacket.TryParse(request.AsSpan(14), out ArpPacket asked));
        Assert.Equal((ArpOperation.Request, Our4, Peer4, OurMac), (asked.Operation, asked.SenderAddress, asked.TargetAddress, asked.SenderMac));
        Assert.Equal(MacAddress.Broadcast, Eth(request).Destination);
        _f.Receive(ArpFrame(ArpOperation.Reply, Peer4, PeerMac, Our4, OurMac));
        Assert.Equal(NeighbourState.Reachable, _f.StateOf(Peer4));
        Assert.Equal(PeerMac, Eth(_f.SentOne()).Destination);
    }

    [Fact]
    public void GratuitousArpUpdatesWhatIsThereAndMakesItStale()
    {
        _f.Output(Peer4);
        _f.Receive(ArpFrame(ArpOperation.Reply, Peer4, PeerMac, Our4, OurMac));
        _f.Receive(ArpFrame(ArpOperation.Request, Peer4, OtherMac, Peer4));
        Assert.Equal(NeighbourState.Stale, _f.StateOf(Peer4));
        _f.Sent();
        _f.Output(Peer4);
        Assert.Equal(OtherMac, Eth(_f.SentOne()).Destination);
    }

    [Fact]
    public void ArpRequestForUsIsAnsweredAndTeaches()
    {
        _f.Receive(ArpFrame(ArpOperation.Request, Peer4, PeerMac, Our4));
        byte[] frame = _f.SentOne();
        Assert.True(ArpPacket.TryParse(frame.AsSpan(14), out ArpPacket reply));
        Assert.Equal((ArpOperation.Reply, Our4, OurMac, Peer4, PeerMac), (reply.Operation, reply.SenderAddress, reply.SenderMac, reply.TargetAddress, reply.TargetMac));
        Assert.Equal(PeerMac, Eth(frame).Destination);
        Assert.Equal(NeighbourState.Stale, _f.StateOf(Peer4));
        Assert.Equal(new NeighbourCounters { ReceivedArpRequests = 1, Created = 1, SentAdvertisements = 1 }, _f.Ip.NeighbourCounters);
    }

    [Fact]
    public void ArpProbeIsAnsweredAndTeachesNothing()
    {
        _f.Receive(ArpFrame(ArpOperation.Request, IpAddress.IPv4Any, PeerMac, Our4));
        Assert.Single(_f.Sent());
        Assert.Equal(0, _f.Ip.Neighbours.Count);
    }

    [Fact]
    public void ArpFromOurOwnAddressIsAConflictAndNothingElse()
    {
        _f.Receive(ArpFrame(ArpOperation.Request, Our4, PeerMac, Our4));
        Assert.Empty(_f.Sent());
        Assert.Equal(new NeighbourCounters { AddressConflicts = 1, DroppedArpNotForUs = 1 }, _f.Ip.NeighbourCounters);
    }

    [Fact]
    public void QueueOfAnUnresolvedNeighbourDropsTheOldest()
    {
        using var f = new IpFixture(new IpOptions { NeighbourQueueCountMax = 16 });
        for (int i = 0; i < 20; i++) f.Output(Peer4, fill: (byte)i);
        Assert.Equal(4, f.Ip.NeighbourCounters.QueueDropped);
        Assert.Equal(4, f.Ip.Counters.SendDroppedNeighbour);
        f.Sent();
        f.Receive(ArpFrame(ArpOperation.Reply, Peer4, PeerMac, Our4, OurMac));
        List<byte[]> sent = f.Sent();
        Assert.Equal(16, sent.Count);
        Assert.Equal(4, Packet4(sent[0]).Payload[0]);
    }

    [Fact]
    public void FloodOfTenThousandAddressesLeavesWhatIsInUse()
    {
        using var f = new IpFixture(new IpOptions { NeighbourCountMax = 256 }, o => o with { Addresses = [InterfaceAddress.Parse("10.0.0.1/8")], Gateways = [] });
        IpAddress ours = IpAddress.Parse("10.0.0.1"), friend = IpAddress.Parse("10.0.0.2");
        f.Output(friend);
        f.Receive(ArpFrame(ArpOperation.Reply, friend, PeerMac, ours, OurMac));
        f.Sent();
        for (uint i = 0; i < 10_000; i++)
        {
            IpAddress stranger = IpAddress.FromIPv4(0x0A01_0000 + i);
            if (i % 2 == 0) f.Receive(ArpFrame(ArpOperation.Request, stranger, new MacAddress(0x0200_0100_0000ul + i), ours));
            f.Receive(Echo4(stranger, ours, [1, 2, 3]));
            f.Advance(Duration.FromMilliseconds(1));
            f.Sent();
            Assert.True(f.Ip.Neighbours.Count <= 256);
        }

        Assert.Equal(NeighbourState.Reachable, f.StateOf(friend));
        Assert.True(f.Ip.NeighbourCounters.Evicted > 9000);
        Assert.Equal(0, f.Ip.NeighbourCounters.TableFull);
        f.Output(friend);
        Assert.Equal(PeerMac, Eth(f.SentOne()).Destination);
        f.Advance(Duration.FromSeconds(60));
        f.Sent();
        Assert.Equal(0, f.FramesOut);
    }

    [Fact]
    public void PermanentEntryIsNeitherChangedNorAsked()
    {
        _f.Know(Peer6);
        _f.Receive(Advertisement(Peer6, OtherMac, true, true));
        _f.Output(Peer6);
        Assert.Equal(PeerMac, Eth(_f.SentOne()).Destination);
        Assert.Equal(NeighbourState.Permanent, _f.StateOf(Peer6));
        Assert.Equal(Instant.Never, _f.Ip.NextDeadline);
    }

    [Fact]
    public void PathThatOutlivedItsEntryFindsTheNeighbourAgain()
    {
        _f.Know(Peer4);
        IpAddress local = default;
        FlowPath path = default;
        _f.Ip.Resolve(Peer4, ref local, ref path, _f.Now);
        Assert.True(_f.Ip.RemoveNeighbour(_f.Link, Peer4));
        _f.Know(Peer6, OtherMac);
        Assert.True(_f.Frames.TryRentFor(20, out var frame));
        _f.Ip.Output(ref frame, new IpOutput { Local = local, Remote = Peer4, Protocol = 6, DontFragment = true }, path, _f.Now);
        Assert.True(ArpPacket.TryParse(_f.SentOne().AsSpan(14), out ArpPacket asked));
        Assert.Equal(Peer4, asked.TargetAddress);
    }
}
