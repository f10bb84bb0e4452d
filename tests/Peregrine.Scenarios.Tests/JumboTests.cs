// Frames larger than a chunk, over links in memory: built of a chain, carried as one, taken apart again, with and without offloads, and cut
// down to what a smaller path takes when a router says so.
using System.Net.Sockets;
using Peregrine.Core.Ip;
using Peregrine.Core.Links;
using Peregrine.Core.Memory;
using Peregrine.Core;
using Peregrine.Core.Tcp;
using Peregrine.Core.Time;
using Peregrine.Scenarios.Tests.World;
using Peregrine.Wire;

namespace Peregrine.Scenarios.Tests;

public sealed class JumboTests
{
    public static TheoryData<MemoryLinkKind, int, bool> Links => new(
        from kind in Enum.GetValues<MemoryLinkKind>()
        from mtu in (int[])[9_000, 65_535]
        from v6 in (bool[])[false, true]
        select new TheoryDataRow<MemoryLinkKind, int, bool>(kind, mtu, v6));

    [Theory]
    [MemberData(nameof(Links))]
    public void BytesArriveBothWaysInSegmentsOfTheLinksSize(MemoryLinkKind kind, int mtu, bool v6)
    {
        const int total = 3_000_000;
        var (linkA, linkB) = MemoryLink.CreatePair(new MemoryLinkOptions { Kind = kind, Mtu = mtu });
        using var a = new End(linkA, 1);
        using var b = new End(linkB, 2);
        var (client, server) = Open(a, b, v6);
        CarryBothWays(a, client, b, server, total);
        Assert.True(a.Stack.Tcp.TryGetInfo(client, a.Now, out var info));
        // RFC 9293 §3.7.1: the MTU without fixed headers and timestamps.
        Assert.Equal(mtu - (v6 ? 40 : 20) - 20 - 12, info.SendMss);
        Assert.Equal(0, a.Stack.Tcp.Counters.DroppedChecksum + b.Stack.Tcp.Counters.DroppedChecksum + a.Stack.Tcp.Counters.DroppedMalformed + b.Stack.Tcp.Counters.DroppedMalformed);
        Assert.InRange(info.SegmentsSent, 1u, (uint)(kind == MemoryLinkKind.Virtual ? 2_000 : 4 * total / info.SendMss));
    }

    [Fact]
    public void ASmallerPathIsLearntAndTheDataComeThrough()
    {
        const int total = 1_000_000, narrow = 1_400;
        var (linkA, linkB) = MemoryLink.CreatePair(new MemoryLinkOptions { Mtu = 9_000 });
        using var a = new End(linkA, 1);
        using var b = new End(linkB, 2) { PathMtu = narrow };
        Assert.Equal(SocketError.Success, b.Stack.Tcp.Listen(new TcpListenOptions(new Endpoint(b.Address(false), 80)), out var listener));
        Assert.Equal(SocketError.Success, a.Stack.Tcp.Connect(new TcpConnectOptions(new Endpoint(b.Address(false), 80)), a.Now, out var client));
        TcpHandle server = default;
        for (var i = 0; i < 10_000 && !b.Stack.Tcp.TryAccept(listener, out server); i++) Turn(a, b);
        var up = new Flow(a, client, b, server);
        for (var i = 0; i < 400_000 && up.Received < total; i++)
        {
            up.Move(total);
            Turn(a, b);
        }
        Assert.Equal(total, up.Received);
        Assert.True(b.TooBigSent > 0);
        Assert.True(a.Stack.Tcp.TryGetInfo(client, a.Now, out var info));
        Assert.Equal(narrow - 52, info.SendMss);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void ALinkThatGathersCarriesTheSameBytesWhenItRefusesSome(bool v6)
    {
        const int total = 3_000_000;
        var (linkA, linkB) = MemoryLink.CreatePair(new MemoryLinkOptions { Kind = MemoryLinkKind.Virtual });
        using var a = new End(linkA, 1, LinkOffloads.Gather);
        using var b = new End(linkB, 2, LinkOffloads.Gather);
        var (client, server) = Open(a, b, v6);
        CarryBothWays(a, client, b, server, total);
        Assert.True(a.GatheredCount > 20 && b.GatheredCount > 20, $"{a.GatheredCount} and {b.GatheredCount}");
        Assert.True(a.RefusedCount > 3 && b.RefusedCount > 3, $"{a.RefusedCount} and {b.RefusedCount}");
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void ALinkThatGathersSegmentsCarriesTheSameBytesWhenItRefusesSome(bool v6)
    {
        var (linkA, linkB) = MemoryLink.CreatePair(new MemoryLinkOptions { Kind = MemoryLinkKind.Plain });
        using var a = new End(linkA, 1, LinkOffloads.Gather | LinkOffloads.GatherSegments);
        using var b = new End(linkB, 2, LinkOffloads.Gather | LinkOffloads.GatherSegments);
        var (client, server) = Open(a, b, v6);
        CarryBothWays(a, client, b, server, 1_000_000);
        Assert.True(a.GatheredCount > 200 && b.GatheredCount > 200, $"{a.GatheredCount} and {b.GatheredCount}");
        Assert.True(a.RefusedCount > 3 && b.RefusedCount > 3, $"{a.RefusedCount} and {b.RefusedCount}");
        Assert.Equal((0, 0), (a.Stack.Tcp.Counters.DroppedChecksum, b.Stack.Tcp.Counters.DroppedChecksum));
    }

    [Fact]
    public unsafe void WhatAGatheringLinkRefusesOutlivesItsConnection()
    {
        var (linkA, linkB) = MemoryLink.CreatePair(new MemoryLinkOptions { Kind = MemoryLinkKind.Virtual });
        using var a = new End(linkA, 1, LinkOffloads.Gather);
        using var b = new End(linkB, 2, LinkOffloads.Gather);
        var (client, _) = Open(a, b, v6: false);
        var written = Pattern(10_000);
        Assert.Equal(written.Length, a.Stack.Tcp.Send(client, written, a.Now));
        a.Stack.Poll(a.Now);
        Assert.Equal(FrameFlags.Gathered, a.Pending[0].Flags & FrameFlags.Gathered);
        a.Stack.OnTransmitted(a.Interface, 0);
        Assert.Equal(FrameFlags.None, a.Pending[0].Flags & FrameFlags.Gathered);
        a.Stack.Tcp.Abort(client, a.Now);
        // Its blocks are free, and are the next to be used.
        for (var i = 0; i < 8; i++)
        {
            Assert.True(a.Stack.Tcp.Blocks.TryRent(out var block));
            new Span<byte>(a.Stack.Tcp.Blocks.Address(block), a.Stack.Tcp.Blocks.ChunkSize).Clear();
        }
        var bytes = new byte[a.Pending[0].Length];
        Assert.Equal(bytes.Length, a.Stack.Frames.CopyTo(a.Pending[0], 0, bytes));
        Assert.Equal(written, bytes[^written.Length..]);
    }

    [Fact]
    public void WhatAGatheringLinkRefusesIsDroppedAndCountedWithoutAFreeFrame()
    {
        var (linkA, linkB) = MemoryLink.CreatePair(new MemoryLinkOptions { Kind = MemoryLinkKind.Virtual });
        using var a = new End(linkA, 1, LinkOffloads.Gather);
        using var b = new End(linkB, 2, LinkOffloads.Gather);
        var (client, _) = Open(a, b, v6: false);
        a.Stack.Tcp.Send(client, Pattern(10_000), a.Now);
        var (sent, freeBefore) = (a.Stack.Ip.Counters.Sent, a.Stack.Frames.Chunks.FreeCount);
        a.Stack.Poll(a.Now);
        var taken = new List<Frame>();
        while (a.Stack.Frames.TryRent(out var frame)) taken.Add(frame);
        // One is enough for a part of it only.
        a.Stack.Frames.Return(taken[^1]);
        taken.RemoveAt(taken.Count - 1);
        a.Stack.OnTransmitted(a.Interface, 0);
        Assert.Equal(0, a.Pending.Length);
        Assert.Equal((sent, 1), (a.Stack.Ip.Counters.Sent, a.Stack.Ip.Counters.SendDroppedNoMemory));
        foreach (var frame in taken) a.Stack.Frames.Return(frame);
        Assert.Equal(freeBefore, a.Stack.Frames.Chunks.FreeCount);
    }

    private static byte[] Pattern(int length)
    {
        var bytes = new byte[length];
        for (var i = 0; i < length; i++) bytes[i] = Transfer.Pattern(i);
        return bytes;
    }

    private static void CarryBothWays(End a, TcpHandle client, End b, TcpHandle server, int total)
    {
        var (up, down) = (new Flow(a, client, b, server), new Flow(b, server, a, client));
        for (var i = 0; i < 200_000 && (up.Received < total || down.Received < total); i++)
        {
            up.Move(total);
            down.Move(total);
            Turn(a, b);
        }
        Assert.Equal((total, total), (up.Received, down.Received));
    }

    private static (TcpHandle Client, TcpHandle Server) Open(End a, End b, bool v6)
    {
        Assert.Equal(SocketError.Success, b.Stack.Tcp.Listen(new TcpListenOptions(new Endpoint(b.Address(v6), 80)), out var listener));
        Assert.Equal(SocketError.Success, a.Stack.Tcp.Connect(new TcpConnectOptions(new Endpoint(b.Address(v6), 80)), a.Now, out var client));
        TcpHandle server = default;
        for (var i = 0; i < 10_000 && !b.Stack.Tcp.TryAccept(listener, out server); i++) Turn(a, b);
        Assert.True(server.IsValid);
        while (a.Pending.Length > 0 || b.Pending.Length > 0) Turn(a, b);
        return (client, server);
    }

    private static void Turn(End a, End b)
    {
        a.Turn();
        b.Turn();
    }

    private sealed class Flow(End from, TcpHandle sender, End to, TcpHandle receiver)
    {
        private readonly byte[] _buffer = new byte[40_000];

        public int Received { get; private set; }

        private int Sent { get; set; }

        public void Move(int total)
        {
            while (Sent < total)
            {
                var n = Math.Min(_buffer.Length, total - Sent);
                for (var i = 0; i < n; i++) _buffer[i] = Transfer.Pattern(Sent + i);
                n = from.Stack.Tcp.Send(sender, _buffer.AsSpan(0, n), from.Now);
                if (n <= 0) break;
                Sent += n;
            }
            while (to.Stack.Tcp.Receive(receiver, _buffer, to.Now) is var count and > 0)
            {
                for (var i = 0; i < count; i++)
                {
                    if (_buffer[i] != Transfer.Pattern(Received + i)) Assert.Fail($"byte {Received + i} is wrong");
                }
                Received += count;
            }
        }
    }

    private sealed class End : IDisposable
    {
        private readonly Frame[] _burst = new Frame[64];
        private readonly MemoryLink _link;
        private readonly ILinkQueue _queue;
        private readonly int _interface, _freeFrames;
        private readonly LinkOffloads _gathering;
        private int _offers;

        public End(MemoryLink link, byte number, LinkOffloads gathering = LinkOffloads.None)
        {
            (_link, Number, _gathering) = (link, number, gathering);
            var options = Host.SmallOptions with { BlockCount = 4_096, FrameCount = 4_096 };
            Stack = new NetworkStack(options, MemoryRegion.Allocate(NetworkStack.BytesFor(options)), StackSecrets.FromSeed(number), number, Now);
            _interface = Stack.AddInterface(
                new InterfaceOptions
                {
                    Name = link.Name, MacAddress = link.MacAddress, Medium = link.Medium, Mtu = link.Mtu, Offloads = link.Offloads | gathering,
                    SuperSegmentMax = link.SuperSegmentMax,
                    LinkLocal = false, ReportMulticast = false, Addresses = [new InterfaceAddress(Address(false), 24), new InterfaceAddress(Address(true), 64)],
                },
                Now);
            _queue = link.OpenQueue(0, Stack.Frames);
            _freeFrames = Stack.Frames.Chunks.FreeCount;
            // Addresses are under test for a second.
            Now += Duration.FromSeconds(3);
            Turn();
        }

        public NetworkStack Stack { get; }

        public Instant Now { get; private set; } = new(1_000_000_000);

        /// <summary>Larger packets do not reach this end: its router says so. 0 for no such router.</summary>
        public int PathMtu { get; init; }

        public int TooBigSent { get; private set; }

        public int GatheredCount { get; private set; }

        public int RefusedCount { get; private set; }

        public int Interface => _interface;

        public Span<Frame> Pending => Stack.PendingOutput(_interface);

        private byte Number { get; }

        public IpAddress Address(bool v6) => v6 ? IpAddress.Parse("fd00::" + Number) : IpAddress.FromIPv4(10, 0, 0, Number);

        public void Turn()
        {
            Now += Duration.FromMicroseconds(100);
            var n = Narrow(_burst.AsSpan(0, _queue.Receive(_burst)));
            if (n > 0) Stack.OnBurst(_interface, _burst.AsSpan(0, n), Now);
            Stack.FireTimers(Now);
            while (Stack.Tcp.TryNextEvent(out _))
            {
            }
            Stack.Poll(Now);
            var pending = Stack.PendingOutput(_interface);
            if (pending.Length > 0) Stack.OnTransmitted(_interface, _queue.Transmit(_gathering != 0 ? Gather(pending) : pending));
            _queue.Reclaim();
        }

        /// <summary>What a link that gathers does: it has its own copy when the call returns. It takes a part only, every third time.</summary>
        private Span<Frame> Gather(Span<Frame> pending)
        {
            var taken = pending[..(++_offers % 3 == 0 ? pending.Length / 2 : pending.Length)];
            RefusedCount += pending.Length - taken.Length;
            foreach (ref var frame in taken)
            {
                if ((frame.Flags & FrameFlags.Gathered) != 0)
                {
                    GatheredCount++;
                    Assert.True(Stack.Frames.TryKeep(ref frame));
                }
                if (_gathering.HasFlag(LinkOffloads.GatherSegments) && (frame.Flags & FrameFlags.ChecksumUnfinished) != 0) Assert.True(FrameChecksum.TryFinish(Stack.Frames, ref frame));
            }
            return taken;
        }

        public void Dispose()
        {
            _link.Dispose();
            Assert.InRange(Stack.Frames.Chunks.FreeCount, 1, _freeFrames);
            Stack.Dispose();
        }

        private int Narrow(Span<Frame> frames)
        {
            var kept = 0;
            foreach (ref var frame in frames)
            {
                if (PathMtu == 0 || frame.Length <= PathMtu + 14)
                {
                    frames[kept++] = frame;
                    continue;
                }
                SayTooBig(Stack.Frames.Head(frame));
                Stack.Frames.Return(frame);
            }
            return kept;
        }

        // RFC 1191 §4: destination unreachable, code 4, with the next hop's MTU and the beginning of the packet.
        private void SayTooBig(ReadOnlySpan<byte> frame)
        {
            var message = new byte[14 + 20 + 8 + 28];
            frame.Slice(6, 6).CopyTo(message);
            frame[..6].CopyTo(message.AsSpan(6));
            message[12] = 8;
            var ip = message.AsSpan(14);
            IPv4Header.Write(ip, Address(false), IpAddress.FromIPv4(10, 0, 0, 1), IpProtocol.Icmpv4, 36, 64, 0, 0, IPv4Flags.None);
            var icmp = ip[20..];
            (icmp[0], icmp[1], icmp[6], icmp[7]) = (3, 4, (byte)(PathMtu >> 8), (byte)PathMtu);
            frame.Slice(14, 28).CopyTo(icmp[8..]);
            InternetChecksum.Store(icmp[2..], InternetChecksum.Sum(icmp));
            Assert.True(Stack.Frames.TryRent(out var answer));
            answer.HeadLength = (ushort)message.Length;
            answer.Length = message.Length;
            message.CopyTo(Stack.Frames.Head(answer));
            Assert.Equal(1, _queue.Transmit([answer]));
            TooBigSent++;
        }
    }
}
