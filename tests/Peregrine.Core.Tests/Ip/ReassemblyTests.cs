// Fragments in and out: every order, overlaps, time-outs, bounds, atomic fragments, and our own fragments coming back whole.
using Peregrine.Core.Ip;
using Peregrine.Core.Time;
using Peregrine.Wire;
using static Peregrine.Core.Tests.Ip.IpFixture;

namespace Peregrine.Core.Tests.Ip;

public sealed class ReassemblyTests : IDisposable
{
    private readonly IpFixture _f = new();

    public void Dispose()
    {
        _f.Advance(Duration.FromSeconds(100));
        _f.Sent();
        Assert.Equal(0, _f.FramesOut);
        Assert.Equal((0, 0), (_f.Ip.Reassembly.Count, _f.Ip.Reassembly.FragmentCount));
        Assert.Equal(_f.Ip.Counters.ReceivedFrames, IpInputTests.Terminals(_f.Ip.Counters));
        _f.Dispose();
    }

    private static readonly byte[] Data = Pattern(72);

    private static byte[] Part(bool ipv6, int offset, int length, bool more, ushort id = 1, byte protocol = 17, byte ecn = 0, byte[]? data = null)
    {
        ReadOnlySpan<byte> bytes = (data ?? Data).AsSpan(offset, length);
        if (!ipv6) return IPv4(Peer4, Our4, protocol, bytes, id, more ? IPv4Flags.MoreFragments : IPv4Flags.None, offset, ecn);
        var payload = new byte[8 + length];
        IPv6FragmentHeader.Write(payload, protocol, offset, more, id);
        bytes.CopyTo(payload.AsSpan(8));
        return IPv6(Peer6, Our6, IpProtocol.Fragment, payload, trafficClass: ecn);
    }

    public static TheoryData<bool, int[], int> Orders()
    {
        var data = new TheoryData<bool, int[], int>();
        int[][] orders = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];
        foreach (bool ipv6 in (bool[])[false, true])
        {
            foreach (int[] order in orders)
            {
                data.Add(ipv6, order, int.MaxValue);
                data.Add(ipv6, order, 60);
            }
        }

        return data;
    }

    [Theory]
    [MemberData(nameof(Orders))]
    public void FragmentsInAnyOrderMakeTheDatagram(bool ipv6, int[] order, int chunk)
    {
        Up? up = null;
        foreach (int i in order)
        {
            Assert.Null(up);
            byte[] frame = Part(ipv6, i * 24, 24, i < 2);
            up = _f.Receive(frame, chunk: ipv6 && chunk < 100 ? 70 : chunk);
        }

        Assert.Equal(Data, up!.Payload);
        Assert.Equal((byte)17, up.Packet.Protocol);
        Assert.Equal(new IpCounters { ReceivedFrames = 3, ReceivedDelivered = 1, Reassembled = 1, FragmentsMerged = 2 }, _f.Ip.Counters);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void DatagramsOfDifferentIdentificationsDoNotMix(bool ipv6)
    {
        _f.Receive(Part(ipv6, 0, 24, true, id: 1));
        Assert.Null(_f.Receive(Part(ipv6, 24, 48, false, id: 2)));
        Assert.Equal(Data, _f.Receive(Part(ipv6, 24, 48, false, id: 1))!.Payload);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void ExactDuplicateIsDroppedAndTheRestGoesOn(bool ipv6)
    {
        _f.Receive(Part(ipv6, 0, 24, true));
        _f.Receive(Part(ipv6, 0, 24, true));
        Assert.Equal(1, _f.Ip.Counters.DroppedFragmentDuplicate);
        Assert.NotNull(_f.Receive(Part(ipv6, 24, 48, false)));
    }

    [Theory]
    [InlineData(false, 16, 24)]
    [InlineData(true, 16, 24)]
    [InlineData(true, 0, 32)]
    [InlineData(true, 8, 8)]
    [InlineData(false, 0, 48)]
    public void OverlapCondemnsTheWholeDatagramAndWhatComesAfter(bool ipv6, int offset, int length)
    {
        _f.Receive(Part(ipv6, 0, 24, true));
        _f.Receive(Part(ipv6, offset, length, true));
        Assert.Equal(2, _f.Ip.Counters.DroppedFragmentOverlap);
        Assert.Null(_f.Receive(Part(ipv6, 24, 48, false)));
        Assert.Null(_f.Receive(Part(ipv6, 0, 24, true)));
        Assert.Equal(4, _f.Ip.Counters.DroppedFragmentOverlap);
        Assert.Equal(0, _f.FramesOut);
    }

    [Fact]
    public void TwoEndsOrDataBeyondTheEndCondemnIt()
    {
        _f.Receive(Part(false, 48, 24, false, id: 1));
        _f.Receive(Part(false, 24, 24, false, id: 1));
        _f.Receive(Part(false, 24, 24, false, id: 2));
        _f.Receive(Part(false, 48, 24, true, id: 2));
        _f.Receive(Part(false, 48, 24, true, id: 3));
        _f.Receive(Part(false, 24, 8, false, id: 3));
        Assert.Equal(new IpCounters { ReceivedFrames = 6, DroppedFragmentOverlap = 6 }, _f.Ip.Counters);
    }

    [Theory]
    [InlineData(false, 30)]
    [InlineData(true, 60)]
    public void TimeOutIsReportedWhenTheFirstFragmentCame(bool ipv6, int seconds)
    {
        _f.Know(ipv6 ? Peer6 : Peer4);
        _f.Receive(Part(ipv6, 0, 24, true, id: 1));
        _f.Receive(Part(ipv6, 24, 24, true, id: 2));
        _f.Advance(Duration.FromMilliseconds((seconds * 1000) - 1));
        Assert.Empty(_f.Sent());
        _f.Advance(Duration.FromMilliseconds(2));
        byte[] frame = _f.SentOne();
        if (ipv6) Assert.Equal((Icmpv6Type.TimeExceeded, (byte)1), (Message6(frame).Type, Message6(frame).Code));
        else Assert.Equal((Icmpv4Type.TimeExceeded, (byte)1), (Message4(frame).Type, Message4(frame).Code));
        Assert.Equal(2, _f.Ip.Counters.DroppedFragmentTimeout);
        Assert.Equal(0, _f.FramesOut);
    }

    [Fact]
    public void ImpossibleFragmentsAreDropped()
    {
        _f.Receive(Part(false, 0, 20, true));
        _f.Receive(IPv4(Peer4, Our4, 17, new byte[100], 1, IPv4Flags.None, 65_528));
        _f.Receive(IPv4(Peer4, Our4, 17, [], 1, IPv4Flags.MoreFragments));
        _f.Receive(Part(false, 0, 8, true, protocol: 6));
        _f.Receive(Part(false, 8, 24, true, protocol: 6));
        Assert.Equal(new IpCounters { ReceivedFrames = 5, DroppedFragmentMalformed = 5 }, _f.Ip.Counters);
    }

    [Fact]
    public void ImpossibleFragmentsOfIPv6AreReported()
    {
        _f.Know(Peer6);
        _f.Receive(Part(true, 0, 20, true));
        Assert.Equal((Icmpv6ParameterCode.ErroneousField, 4u), CodeAndPointer(_f.SentOne()));
        var payload = new byte[8 + 64];
        IPv6FragmentHeader.Write(payload, 17, 65_528, false, 1);
        _f.Receive(IPv6(Peer6, Our6, IpProtocol.Fragment, payload));
        // An error about a fragment that is not the first is not sent (RFC 4443 §2.4 leaves it, RFC 1122 forbids it).
        Assert.Empty(_f.Sent());
        _f.Receive(Part(true, 0, 16, true, protocol: 6));
        Assert.Equal((Icmpv6ParameterCode.IncompleteHeaderChain, 0u), CodeAndPointer(_f.SentOne()));
        Assert.Equal(3, _f.Ip.Counters.DroppedFragmentMalformed);
    }

    private static (byte, uint) CodeAndPointer(byte[] frame)
    {
        Icmpv6Packet message = Message6(frame);
        Assert.Equal(Icmpv6Type.ParameterProblem, message.Type);
        return (message.Code, message.Pointer);
    }

    [Fact]
    public void AtomicFragmentIsAWholePacketAndTouchesNoOther()
    {
        _f.Receive(Part(true, 0, 24, true, id: 1));
        Up up = _f.Receive(Part(true, 0, 72, false, id: 1))!;
        Assert.Equal(Data, up.Payload);
        Assert.Equal(Data, _f.Receive(Part(true, 24, 48, false, id: 1))!.Payload);
        Assert.Equal(1, _f.Ip.Counters.AtomicFragments);
    }

    [Fact]
    public void ExtensionHeadersBeforeAndInsideFragmentsAreWalked()
    {
        var inner = new byte[8 + 72];
        IPv6OptionsHeader.Write(inner, 17, [1, 2, 0, 0]);
        Data.CopyTo(inner.AsSpan(8));
        Up? up = null;
        for (int i = 0; i < 2; i++)
        {
            var payload = new byte[8 + 8 + 40];
            IPv6OptionsHeader.Write(payload, IpProtocol.Fragment, [5, 2, 0, 0]);
            IPv6FragmentHeader.Write(payload.AsSpan(8), IpProtocol.DestinationOptions, i * 40, i == 0, 5);
            inner.AsSpan(i * 40, 40).CopyTo(payload.AsSpan(16));
            up = _f.Receive(IPv6(Peer6, Our6, IpProtocol.HopByHopOptions, payload));
        }

        Assert.Equal(Data, up!.Payload);
    }

    [Theory]
    [InlineData(0, 0, 0)]
    [InlineData(2, 3, 3)]
    [InlineData(1, 1, 1)]
    [InlineData(3, 0, -1)]
    public void EcnMarksAreMerged(byte first, byte second, int expected)
    {
        _f.Receive(Part(false, 0, 24, true, ecn: first));
        Up? up = _f.Receive(Part(false, 24, 48, false, ecn: second));
        Assert.Equal(expected, up is null ? -1 : up.Packet.TrafficClass & 3);
        Assert.Equal(expected < 0 ? 2 : 0, _f.Ip.Counters.DroppedFragmentEcn);
    }

    [Fact]
    public void FloodOfFragmentsIsBoundedAndTheNewestStillWork()
    {
        using var f = new IpFixture(new IpOptions { ReassemblyCountMax = 8, FragmentCountMax = 16 });
        f.Know(Peer4);
        f.Know(Peer6);
        for (ushort id = 0; id < 5000; id++)
        {
            f.Receive(Part(id % 2 == 0, 24, 24, true, id));
            f.Receive(Part(id % 2 == 0, 48, 24, false, id));
            f.Receive(Part(id % 3 == 0, 0, 8, true, id));
            Assert.InRange(f.FramesOut, 0, 16);
        }

        f.Receive(Part(false, 0, 24, true, 9999));
        Assert.NotNull(f.Receive(Part(false, 24, 48, false, 9999)));
        f.Advance(Duration.FromSeconds(100));
        f.Sent();
        Assert.Equal(0, f.FramesOut);
        Assert.Equal(f.Ip.Counters.ReceivedFrames, IpInputTests.Terminals(f.Ip.Counters));
    }

    [Fact]
    public void OneDatagramCannotHaveMoreFragmentsThanItsBound()
    {
        byte[] data = Pattern(8 * 80);
        for (int i = 0; i < 65; i++) _f.Receive(Part(false, i * 8, 8, true, data: data));
        Assert.Equal(65, _f.Ip.Counters.DroppedFragmentNoRoom);
        Assert.Equal(0, _f.FramesOut);
    }

    [Fact]
    public void RandomFragmentationsComeTogether()
    {
        var random = new StackRandom(11);
        for (ushort id = 1; id <= 300; id++)
        {
            byte[] data = Pattern((int)random.Next(4000) + 8);
            var cuts = new List<(int Offset, int Length)>();
            for (int at = 0; at < data.Length;)
            {
                int length = Math.Min(data.Length - at, ((int)random.Next(60) + 8) * 8);
                cuts.Add((at, length));
                at += length;
            }

            if (cuts.Count == 1) continue;
            for (int i = cuts.Count - 1; i > 0; i--)
            {
                int j = (int)random.Next((uint)i + 1);
                (cuts[i], cuts[j]) = (cuts[j], cuts[i]);
            }

            Up? up = null;
            foreach (var (offset, length) in cuts) up = _f.Receive(Part(id % 2 == 0, offset, length, offset + length < data.Length, id, data: data));
            Assert.Equal(data, up!.Payload);
        }
    }

    [Theory]
    [InlineData(false, 1472 * 3)]
    [InlineData(true, 1452 * 3)]
    [InlineData(false, 20_000)]
    [InlineData(true, 20_000)]
    public void WhatWeFragmentComesTogetherAtThePeer(bool ipv6, int length)
    {
        _f.Know(Peer4);
        _f.Know(Peer6);
        _f.Output(ipv6 ? Peer6 : Peer4, 17, length, dontFragment: false);
        List<byte[]> sent = _f.Sent();
        Assert.Equal(1, _f.Ip.Counters.SentFragmented);
        Assert.True(sent.Count > 2);
        // The peer is a layer with the addresses exchanged.
        using var peer = new IpFixture(link: o => o with
        {
            MacAddress = PeerMac, Addresses = [InterfaceAddress.Parse("192.0.2.2/24"), InterfaceAddress.Parse("2001:db8::2/64")],
        });
        Up? up = null;
        foreach (byte[] frame in sent)
        {
            Assert.True(frame.Length <= 1514);
            up = peer.Receive(frame);
        }

        byte[] expected = new byte[length];
        for (int i = 0; i < length; i++) expected[i] = (byte)i;
        Assert.Equal(expected, up!.Payload);
    }

    [Fact]
    public void PacketThatMustNotBeFragmentedIsDroppedWhenTooLarge()
    {
        _f.Output(Peer4, 6, 1481);
        Assert.Equal(new IpCounters { SendDroppedTooBig = 1 }, _f.Ip.Counters);
    }

    [Fact]
    public void FragmentsAreSentAllOrNotAtAll()
    {
        using var f = new IpFixture(new IpOptions { OutputBurstMax = 32, OutputReserve = 4 });
        f.Know(Peer4);
        f.Output(Peer4, 17, 60_000, dontFragment: false);
        Assert.Equal(new IpCounters { SendDroppedFull = 1 }, f.Ip.Counters);
        Assert.Equal(0, f.FramesOut);
    }
}
