// A host whose blocks are used up: who gives way, and who can go on.
using Peregrine.Core;
using Peregrine.Core.Memory;
using Peregrine.Core.Tcp;
using Peregrine.Core.Time;
using Peregrine.Core.Udp;
using Peregrine.Scenarios.Tests.World;
using Peregrine.Wire;

namespace Peregrine.Scenarios.Tests;

public sealed class MemoryTests
{
    private static readonly StackOptions Tight = Host.SmallOptions with { BlockCount = 64, BlockSizeBytes = 2_048 };

    [Fact]
    public void WhoDoesNotReadDoesNotKeepOthersFromReading()
    {
        using var world = new TwoHosts(optionsB: Tight);
        var open = Enumerable.Range(0, 6).Select(_ => world.Open()).ToArray();
        var transfers = open.Select(c => new Transfer(world.A, c.Client, world.B, c.Server, 200_000)).ToArray();
        foreach (var unread in transfers[1..]) unread.ReadPerTurn = 0;
        var isFull = false;
        world.OnTurn = () =>
        {
            foreach (var transfer in isFull ? transfers : transfers.AsSpan(1)) transfer.Turn(world.Now);
        };
        world.Run(Duration.FromSeconds(20));
        Assert.False(BlockPressure.LeavesReadersReserve(world.B.Tcp.Blocks));
        isFull = true;
        world.AssertRunUntil(() => transfers[0].IsDone, Duration.FromSeconds(120), $"{transfers[0].Received} bytes and all that follow");
        foreach (var unread in transfers) unread.ReadPerTurn = int.MaxValue;
        world.AssertRunUntil(() => transfers.All(static t => t.IsDone), Duration.FromSeconds(120), "what was not read before");
        world.CloseAndAssertNothingLeaked([.. open.Select(c => (world.A, c.Client)), .. open.Select(c => (world.B, c.Server))]);
    }

    [Fact]
    public void PressureRisesByLevelsAndFallsWhenItIsRead()
    {
        using var world = new TwoHosts(1, new WireOptions { RateBitsPerSecond = 2_000_000 }, optionsB: Tight);
        var open = Enumerable.Range(0, 6).Select(_ => world.Open()).ToArray();
        var transfers = open.Select(c => new Transfer(world.A, c.Client, world.B, c.Server, 200_000) { ReadPerTurn = 0 }).ToArray();
        var levels = new List<MemoryPressure>();
        world.OnTurn = () =>
        {
            foreach (var transfer in transfers) transfer.Turn(world.Now);
            if (!levels.Contains(world.B.Tcp.MemoryPressure)) levels.Add(world.B.Tcp.MemoryPressure);
        };
        world.Run(Duration.FromSeconds(20));
        Assert.Equal([MemoryPressure.None, MemoryPressure.NoGrowth, MemoryPressure.Prune, MemoryPressure.Refuse], levels);
        foreach (var transfer in transfers) transfer.ReadPerTurn = int.MaxValue;
        world.AssertRunUntil(() => transfers.All(static t => t.IsDone), Duration.FromSeconds(120), "what was not read before");
        Assert.Equal(MemoryPressure.None, world.B.Tcp.MemoryPressure);
    }

    [Fact]
    // The first level: buffers stay as they are, however fast their owner reads.
    public void UnderPressureNoBufferGrows()
    {
        var settings = TcpSettings.Default with { ReceiveBufferBytes = 16_384, ReceiveBufferBytesMax = 1 << 20, WindowSlowStart = false };
        var holding = settings with { ReceiveBufferBytes = 1 << 19 };
        var wire = new WireOptions { Delay = Duration.FromMilliseconds(10), RateBitsPerSecond = 100_000_000 };
        using var world = new TwoHosts(1, wire, optionsB: Tight with { BlockCount = 256 });
        var (idle, held) = world.Open(81, server: holding);
        var (client, server) = world.Open(server: settings);
        var unread = new Transfer(world.A, idle, world.B, held, 400_000) { ReadPerTurn = 0 };
        var transfer = new Transfer(world.A, client, world.B, server, 3_000_000) { QueuedMax = 0 };
        world.OnTurn = () =>
        {
            unread.Turn(world.Now);
            transfer.Turn(world.Now);
        };
        world.Run(Duration.FromSeconds(5));
        Assert.Equal(MemoryPressure.NoGrowth, world.B.Tcp.MemoryPressure);
        transfer.QueuedMax = 1_000_000;
        world.AssertRunUntil(() => transfer.Received == 1_000_000, Duration.FromSeconds(60), "a transfer under pressure");
        Assert.Equal(16_384u, BufferOf());
        unread.ReadPerTurn = int.MaxValue;
        transfer.QueuedMax = long.MaxValue;
        world.AssertRunUntil(() => transfer.IsDone && unread.IsDone, Duration.FromSeconds(60), "the rest");
        Assert.True(BufferOf() > 65_536, $"a buffer of {BufferOf()} bytes");

        uint BufferOf() => world.B.Tcp.TryGetInfo(server, world.Now, out var info) ? info.ReceiveBuffer : 0;
    }

    [Fact]
    // The second and third: what lies beyond a gap goes, and then what nobody reads is refused; each time the peer is told what there is.
    public void UnderPressureWhatCanComeAgainGivesWayAndThePeerIsTold()
    {
        const uint step = 1_000;
        using var p = new SegmentTests.Peer(Tight);
        p.Accept(TcpSettings.Default with { ReceiveBufferBytes = 1 << 18, WindowSlowStart = false }, SegmentTests.Peer.Offer(sack: true, scale: 0));
        var holder = (p.Port, p.Next, p.HostNext);
        p.Port++;
        p.SynExchange(SegmentTests.Peer.Offer(sack: true, scale: 0));
        p.Send(SegmentTests.Peer.Ack);
        Assert.True(p.Tcp.TryAccept(p.Listener, out var reader));
        p.Send(SegmentTests.Peer.Ack, p.Next + step, length: (int)step);
        Assert.Single(p.Take().Sacks);
        Fill(MemoryPressure.Prune);
        // Beyond the gap nothing stays, and the ACK says so.
        p.Send(SegmentTests.Peer.Ack, p.Next + (2 * step), length: (int)step);
        Assert.Equal((step, 1L, 1L), ((uint)p.Tcp.Counters.PrunedBytes, p.Tcp.ExtCounters.OfoPruned, p.Tcp.ExtCounters.TCPOFODrop));
        Assert.Empty(p.ExpectAck().Sacks);
        Fill(MemoryPressure.Refuse);
        Switch(ref holder);
        var before = p.Next;
        for (var i = 0; i < 3; i++) p.Send(SegmentTests.Peer.Ack, length: 2_000);
        Assert.True(p.Tcp.ExtCounters.TCPRcvQDrop > 0);
        Assert.True(p.Inbox.Count > 0);
        while (p.Inbox.Count > 0) Assert.InRange(p.Take().Ack - before, 0, 2_000);
        // Who reads goes on.
        Switch(ref holder);
        for (var i = 0; i < 5; i++)
        {
            p.SendNext((int)step);
            p.AssertReads(reader, (int)step, i * (int)step);
        }

        void Switch(ref (ushort Port, SeqNumber Next, SeqNumber HostNext) other)
        {
            var mine = (p.Port, p.Next, p.HostNext);
            p.Inbox.Clear();
            (p.Port, p.Next, p.HostNext) = other;
            other = mine;
        }

        void Fill(MemoryPressure level)
        {
            Switch(ref holder);
            while (p.Tcp.MemoryPressure != level) p.SendNext((int)step);
            Switch(ref holder);
        }
    }

    [Fact]
    // RFC 7323 §2.3: the largest window, a scale of 14. Buffers are as large as their owner says; blocks are taken as data come.
    public void AWindowOfAGibibyteIsFilledAsFarAsThePathHolds()
    {
        var buffers = TcpSettings.Default with { ReceiveBufferBytes = 1 << 30, ReceiveBufferBytesMax = 1 << 30, SendBufferBytes = 1 << 30, SendBufferBytesMax = 1 << 30, WindowSlowStart = false };
        // The sum of memory says what fits: 160 MiB of blocks.
        var options = Host.SmallOptions with { BlockCount = 40_960, TransmissionRecordCount = 131_072, Tcp = buffers };
        var wire = new WireOptions { Delay = Duration.FromMilliseconds(50), RateBitsPerSecond = 8_000_000_000, QueueFramesMax = 200_000 };
        using var world = new TwoHosts(1, wire, options);
        var (client, server) = world.Open();
        var transfer = new Transfer(world.A, client, world.B, server, 160_000_000);
        var (flight, window) = (0u, 0u);
        world.OnTurn = () =>
        {
            transfer.Turn(world.Now);
            world.A.Tcp.TryGetInfo(client, world.Now, out var info);
            (flight, window) = (Math.Max(flight, info.FlightSize), Math.Max(window, info.SendWindow));
        };
        world.AssertRunUntil(() => transfer.IsDone, Duration.FromSeconds(60), "the transfer");
        Assert.True(window > 1_000_000_000, $"a window of {window} bytes");
        Assert.True(flight > 64 << 20, $"{flight} bytes in flight");
        Assert.Equal(0, world.A.Tcp.Counters.SegmentsRetransmitted);
    }

    [Fact]
    public void DatagramsThatNobodyReadsLeaveBlocksForConnections()
    {
        using var world = new TwoHosts(optionsB: Tight with { Udp = new UdpOptions { ReceiveBufferSize = 1 << 20 } });
        Assert.Equal(System.Net.Sockets.SocketError.Success, world.B.Stack.Udp.Bind(new UdpBindOptions { Local = new Endpoint(world.B.Address, 7) }, out var unread));
        Assert.Equal(System.Net.Sockets.SocketError.Success, world.A.Stack.Udp.Bind(new UdpBindOptions { Local = new Endpoint(world.A.Address, 0) }, out var sender));
        for (var i = 0; i < 100; i++)
        {
            world.A.Stack.Udp.Send(sender, new byte[1_000], new Endpoint(world.B.Address, 7), world.Now, out _);
            world.Run(Duration.FromMilliseconds(10));
        }
        Assert.True(world.B.Stack.Udp.Counters.DroppedNoMemory > 0);
        Assert.Equal(BlockPressure.ReceiveReserve(world.B.Tcp.Blocks), world.B.Tcp.Blocks.FreeCount);
        var (client, server) = world.Open();
        var transfer = new Transfer(world.A, client, world.B, server, 50_000);
        world.OnTurn = () => transfer.Turn(world.Now);
        world.AssertRunUntil(() => transfer.IsDone, Duration.FromSeconds(60), "a transfer");
        world.B.Stack.Udp.Close(unread);
        world.A.Stack.Udp.Close(sender);
        world.CloseAndAssertNothingLeaked((world.A, client), (world.B, server));
    }
}
