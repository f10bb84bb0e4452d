using System.Net.Sockets;
using Peregrine.Core.Links;
using Peregrine.Core.Memory;
using Peregrine.Drivers.Linux;

namespace Peregrine.Drivers.Tests;

/// <summary>The queue over a pair of datagram sockets instead of a device: what is read and written, byte for byte, without privileges.</summary>
public sealed unsafe class TapQueueTests : IDisposable
{
    private const int Longest = 65_535 + TapQueue.LinkHeaderMax;

    private readonly string _folder = Directory.CreateTempSubdirectory("peregrine").FullName;
    private readonly Socket _device, _kernel;
    private readonly FramePool _pool = PoolFixture.Pool();

    public TapQueueTests()
    {
        _device = MakeSocket("device");
        _kernel = MakeSocket("kernel");
        _device.Connect(new UnixDomainSocketEndPoint(Path.Combine(_folder, "kernel")));
        _kernel.Connect(new UnixDomainSocketEndPoint(Path.Combine(_folder, "device")));
        _device.Blocking = false;
        _kernel.Blocking = false;
    }

    public void Dispose()
    {
        _device.Dispose();
        _kernel.Dispose();
        Directory.Delete(_folder, recursive: true);
    }

    private Socket MakeSocket(string name)
    {
        var socket = new Socket(AddressFamily.Unix, SocketType.Dgram, ProtocolType.Unspecified) { SendBufferSize = 1 << 20 };
        socket.Bind(new UnixDomainSocketEndPoint(Path.Combine(_folder, name)));
        return socket;
    }

    private TapQueue Open(FramePool pool, bool vnet = true, int longest = Longest) =>
        new((int)_device.Handle, pool, LinkMedium.Ethernet, vnet, longest);

    private void KernelSends(ReadOnlySpan<byte> header, ReadOnlySpan<byte> frame) => _kernel.Send([.. header, .. frame]);

    private byte[] KernelGets()
    {
        var buffer = new byte[70_000];
        return buffer[.._kernel.Receive(buffer)];
    }

    private static byte[] Header(byte flags = 0, byte type = 0, ushort size = 0, ushort start = 0, ushort offset = 0) =>
        [flags, type, 0, 0, (byte)size, (byte)(size >> 8), (byte)start, (byte)(start >> 8), (byte)offset, (byte)(offset >> 8)];

    [Theory]
    [InlineData(1)]
    [InlineData(60)]
    [InlineData(1514)]
    [InlineData(1982)]
    [InlineData(1983)]
    [InlineData(65_549)]
    public void FrameOfAnyLengthComesInWhole(int length)
    {
        using var queue = Open(_pool);
        var bytes = PoolFixture.Pattern(length);
        KernelSends(Header(), bytes);
        var burst = new Frame[4];
        Assert.Equal(1, queue.Receive(burst));
        Assert.Equal(bytes, PoolFixture.Bytes(_pool, burst[0]));
        _pool.Return(burst[0]);
        queue.Dispose();
        Assert.Equal(_pool.Chunks.Count, _pool.Chunks.FreeCount);
    }

    [Theory]
    [InlineData(1, 128)]
    [InlineData(FramePool.PieceCountMax, 128)]
    [InlineData(20, 4)]
    public void PiecesOfAGatheredFrameGoOutInTheirOrder(int count, int offset)
    {
        using var queue = Open(_pool);
        var (headers, payload) = (PoolFixture.Pattern(66), PoolFixture.Pattern(count * 500));
        Assert.True(_pool.TryRent(out var frame, offset));
        (frame.HeadLength, frame.Length) = (66, 66);
        headers.CopyTo(_pool.Head(frame));
        fixed (byte* bytes = payload)
        {
            for (var i = 0; i < count; i++) _pool.PieceRoom(frame)[i] = new FramePiece { Address = bytes + (i * 500), Length = 500 };
            _pool.SetPieces(ref frame, count, payload.Length);
            Assert.Equal(1, queue.Transmit([frame]));
        }
        Assert.Equal([.. Header(), .. headers, .. payload], KernelGets());
        queue.Dispose();
        Assert.Equal(_pool.Chunks.Count, _pool.Chunks.FreeCount);
    }

    [Fact]
    public void BurstComesInOrderAndEndsWhereNothingWaits()
    {
        using var queue = Open(_pool);
        for (byte i = 0; i < 6; i++) KernelSends(Header(), [i, 1, 2, 3]);
        var burst = new Frame[4];
        Assert.Equal(4, queue.Receive(burst));
        Assert.Equal([0, 1, 2, 3], burst.Select(f => (int)PoolFixture.Bytes(_pool, f)[0]));
        Assert.Equal(2, queue.Receive(burst));
        Assert.Equal(0, queue.Receive(burst));
        // 4 + 2 reads that gave a frame, and the two that found nothing.
        Assert.Equal(new LinkQueueCounters { ReceivedFrames = 6, ReceivedBytes = 24, SystemCalls = 8 }, queue.Counters);
    }

    [Fact]
    public void HeaderDescribesTheReceivedFrame()
    {
        using var queue = Open(_pool);
        KernelSends(Header(VnetHeader.NeedsChecksum, VnetHeader.SegmentTcp4 | VnetHeader.SegmentEcn, 1448, 34, 16), PoolFixture.Pattern(4000));
        KernelSends(Header(VnetHeader.DataValid), [2, 0, 0, 0]);
        KernelSends(Header(VnetHeader.NeedsChecksum, VnetHeader.SegmentTcp6, 1428, 54, 16), [1, .. PoolFixture.Pattern(4000)]);
        var f = new Frame[4];
        Assert.Equal(3, queue.Receive(f));
        Assert.Equal((SegmentKind.Tcp4, 1448, 34, 16), (f[0].SegmentKind, f[0].SegmentSize, f[0].ChecksumStart, f[0].ChecksumOffset));
        Assert.Equal(FrameFlags.ChecksumUnfinished | FrameFlags.SegmentEcn, f[0].Flags & ~FrameFlags.Broadcast);
        Assert.Equal((SegmentKind.None, FrameFlags.ChecksumVerified), (f[1].SegmentKind, f[1].Flags));
        Assert.Equal((SegmentKind.Tcp6, 1428, FrameFlags.ChecksumUnfinished | FrameFlags.Broadcast), (f[2].SegmentKind, f[2].SegmentSize, f[2].Flags));
    }

    [Theory]
    [InlineData(VnetHeader.NeedsChecksum, 0, 0, 50, 9)]
    [InlineData(VnetHeader.NeedsChecksum, 0, 0, 65_535, 65_535)]
    [InlineData(0, VnetHeader.SegmentTcp4, 0, 0, 0)]
    [InlineData(0, 2, 1000, 0, 0)]
    public void HeaderThatContradictsTheFrameIsDropped(byte flags, byte type, int size, int start, int offset)
    {
        using var queue = Open(_pool);
        KernelSends(Header(flags, type, (ushort)size, (ushort)start, (ushort)offset), new byte[60]);
        Assert.Equal(0, queue.Receive(new Frame[4]));
        Assert.Equal(1, queue.Counters.ReceiveDroppedMalformed);
        queue.Dispose();
        Assert.Equal(_pool.Chunks.Count, _pool.Chunks.FreeCount);
    }

    [Fact]
    public void TooShortAndTooLongReadsAreDropped()
    {
        using var queue = Open(_pool, longest: 1500 + TapQueue.LinkHeaderMax);
        _kernel.Send(new byte[10]);
        _kernel.Send(new byte[3]);
        KernelSends(Header(), new byte[4000]);
        KernelSends(Header(), [2, 5]);
        var burst = new Frame[8];
        Assert.Equal(1, queue.Receive(burst));
        Assert.Equal([2, 5], PoolFixture.Bytes(_pool, burst[0]));
        Assert.Equal(3, queue.Counters.ReceiveDroppedMalformed);
    }

    [Fact]
    public void WithoutChunksFramesAreLostAndCountedAndItRecovers()
    {
        var pool = PoolFixture.Pool(3);
        using var queue = Open(pool);
        for (byte i = 0; i < 5; i++) KernelSends(Header(), [i]);
        var burst = new Frame[5];
        Assert.Equal(3, queue.Receive(burst));
        Assert.Equal(2, queue.Counters.ReceiveDroppedNoMemory);
        foreach (var frame in burst.AsSpan(0, 3)) pool.Return(frame);
        KernelSends(Header(), [9]);
        Assert.Equal(1, queue.Receive(burst));
        Assert.Equal([9], PoolFixture.Bytes(pool, burst[0]));
        pool.Return(burst[0]);
        // A frame larger than all chunks is lost, not half of it delivered.
        KernelSends(Header(), new byte[9000]);
        Assert.Equal(0, queue.Receive(burst));
        Assert.Equal(3, queue.Counters.ReceiveDroppedNoMemory);
        queue.Dispose();
        Assert.Equal(3, pool.Chunks.FreeCount);
    }

    [Theory]
    [InlineData(FramePool.Headroom, 60)]
    [InlineData(0, 60)]
    [InlineData(FramePool.Headroom, 30_000)]
    [InlineData(3, 30_000)]
    public void SentFrameCarriesItsDescription(int headroom, int length)
    {
        using var queue = Open(_pool);
        var bytes = PoolFixture.Pattern(length);
        var frame = PoolFixture.Make(_pool, bytes, headroom);
        (frame.Flags, frame.ChecksumStart, frame.ChecksumOffset) = (FrameFlags.ChecksumUnfinished | FrameFlags.SegmentEcn, 34, 16);
        (frame.SegmentKind, frame.SegmentSize, frame.HeaderLength) = (SegmentKind.Tcp6, 1400, 66);
        Assert.Equal(1, queue.Transmit([frame]));
        byte[] expected = [1, VnetHeader.SegmentTcp6 | VnetHeader.SegmentEcn, 66, 0, 0x78, 0x05, 34, 0, 16, 0];
        Assert.Equal([.. expected, .. bytes], KernelGets());
        Assert.Equal(new LinkQueueCounters { SentFrames = 1, SentBytes = length, SystemCalls = 1 }, queue.Counters);
        Assert.Equal(_pool.Chunks.Count, _pool.Chunks.FreeCount);
    }

    [Fact]
    public void VlanTagIsInsertedAndShiftsTheChecksum()
    {
        using var queue = Open(_pool);
        var bytes = PoolFixture.Pattern(60);
        var frame = PoolFixture.Make(_pool, bytes);
        (frame.Flags, frame.VlanTag, frame.ChecksumStart) = (FrameFlags.VlanTag | FrameFlags.ChecksumUnfinished, 0x6123, 34);
        Assert.Equal(1, queue.Transmit([frame]));
        var got = KernelGets();
        Assert.Equal(38, got[6]);
        Assert.Equal([.. bytes[..12], 0x81, 0, 0x61, 0x23, .. bytes[12..]], got[10..]);
    }

    [Theory]
    [InlineData(true, 1)]
    [InlineData(false, 1)]
    [InlineData(true, 8)]
    [InlineData(false, 8)]
    public void TaggedFrameThatFindsNoRoomIsSentAgainAsItWas(bool vnet, int burst)
    {
        using var queue = Open(_pool, vnet);
        var bytes = PoolFixture.Pattern(60);
        byte[] expected = [.. vnet ? Header() : [], .. bytes[..12], 0x81, 0, 0x61, 0x23, .. bytes[12..]];
        var (frames, sent, refused) = (new Frame[burst], 0, 0);
        for (var round = 0; round < 100_000 && refused < 3; round++)
        {
            for (var i = 0; i < burst; i++)
            {
                frames[i] = PoolFixture.Make(_pool, bytes);
                (frames[i].Flags, frames[i].VlanTag) = (FrameFlags.VlanTag, 0x6123);
            }
            for (var taken = 0; taken < burst;)
            {
                var n = queue.Transmit(frames.AsSpan(taken));
                (taken, sent) = (taken + n, sent + n);
                if (taken == burst) break;
                refused++;
                for (; sent > 0; sent--) Assert.Equal(expected, KernelGets());
            }
        }
        for (; sent > 0; sent--) Assert.Equal(expected, KernelGets());
        Assert.Equal(3, refused);
        Assert.Equal(0, queue.Counters.SendDroppedError);
    }

    [Fact]
    public void DeviceWithoutHeaderCarriesPlainFramesOnly()
    {
        using var queue = Open(_pool, vnet: false);
        var unfinished = PoolFixture.Make(_pool, PoolFixture.Pattern(60));
        unfinished.Flags = FrameFlags.ChecksumUnfinished;
        Assert.Equal(2, queue.Transmit([unfinished, PoolFixture.Make(_pool, PoolFixture.Pattern(61))]));
        Assert.Equal(PoolFixture.Pattern(61), KernelGets());
        Assert.Equal((1, 1), (queue.Counters.SendDroppedError, queue.Counters.SentFrames));
        _kernel.Send(new byte[] { 2, 4, 6 });
        var burst = new Frame[1];
        Assert.Equal(1, queue.Receive(burst));
        Assert.Equal([2, 4, 6], PoolFixture.Bytes(_pool, burst[0]));
    }

    [Fact]
    public void ErrorsOfTheDeviceAreCountedAndNothingLeaks()
    {
        using var queue = Open(_pool);
        _kernel.Dispose();
        Assert.Equal(2, queue.Transmit([PoolFixture.Make(_pool, new byte[60]), PoolFixture.Make(_pool, new byte[5000])]));
        Assert.Equal(2, queue.Counters.SendDroppedError);
        queue.Receive(new Frame[2]);
        queue.Dispose();
        Assert.Equal(_pool.Chunks.Count, _pool.Chunks.FreeCount);
    }

    [Fact]
    public void BurstsAllocateNothing()
    {
        using var queue = Open(_pool);
        var burst = new Frame[8];
        var message = new byte[70];
        var bytes = new byte[60];
        long Round()
        {
            for (var i = 0; i < 4; i++) _kernel.Send(message);
            var before = GC.GetAllocatedBytesForCurrentThread();
            var n = queue.Receive(burst);
            for (var i = 0; i < n; i++) _pool.Return(burst[i]);
            for (var i = 0; i < 2; i++) burst[i] = PoolFixture.Make(_pool, bytes);
            queue.Transmit(burst.AsSpan(0, 2));
            var allocated = GC.GetAllocatedBytesForCurrentThread() - before;
            for (var i = 0; i < 2; i++) _kernel.Receive(message);
            return allocated;
        }

        Round();
        Round();
        Assert.Equal(0, Round());
        Assert.Equal(12, queue.Counters.ReceivedFrames);
    }

    [Theory]
    [InlineData(5)]
    [InlineData(6)]
    [InlineData(32)]
    [InlineData(33)]
    [InlineData(70)]
    public void BurstGoesOutInOrderByFewCalls(int count)
    {
        using var queue = Open(_pool);
        var sent = Enumerable.Range(0, count).Select(static i => PoolFixture.Pattern(i == 4 ? 3_000 : 60 + i, i)).ToList();
        var frames = sent.Select(bytes => PoolFixture.Make(_pool, bytes)).ToArray();
        Assert.True(frames[4].IsChained);
        for (var at = 0; at < count;)
        {
            var taken = queue.Transmit(frames.AsSpan(at));
            // As many datagrams as a socket takes; a device takes all.
            Assert.NotEqual(0, taken);
            for (var i = 0; i < taken; i++) Assert.Equal([.. Header(), .. sent[at + i]], KernelGets());
            at += taken;
        }
        Assert.Equal((count, sent.Sum(static bytes => bytes.Length)), (queue.Counters.SentFrames, queue.Counters.SentBytes));
        if (IoRing.TryOpen(1) is { } ring)
        {
            ring.Dispose();
            // A socket that is full ends a batch early, and for good; what came before went by few calls.
            Assert.InRange(queue.Counters.SystemCalls, 1, count == 5 ? 5 : count - 2);
        }
        queue.Dispose();
        Assert.Equal(_pool.Chunks.Count, _pool.Chunks.FreeCount);
    }

    // The emulator has no io_uring, and skipping a test is a throw.
    [Fact]
    [Trait("emulation", "throws")]
    public void RingSaysOfEachWriteWhatBecameOfIt()
    {
        var ring = IoRing.TryOpen(8);
        Assert.SkipWhen(ring is null, "not run: no io_uring here");
        using (ring)
        {
            Assert.Equal(8, ring.Capacity);
            var results = new int[8];
            var bytes = stackalloc byte[16];
            for (var round = 0; round < 5; round++)
            {
                for (var i = 0; i < 8; i++) ring.Write(i == 3 ? -1 : (int)_device.Handle, bytes, 1 + i);
                Assert.Equal(1, ring.Submit(results));
                Assert.Equal([1, 2, 3, -(int)Errno.EBADF, 5, 6, 7, 8], results);
                for (var i = 0; i < 8; i++) if (i != 3) Assert.Equal(1 + i, KernelGets().Length);
            }
        }
    }
}
