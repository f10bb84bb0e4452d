using Peregrine.Core.Links;
using Peregrine.Core.Memory;
using Peregrine.Wire;

namespace Peregrine.Core.Tests.Links;

public sealed class TracingLinkTests
{
    private readonly FramePool _poolA = LinkFixture.Pool(), _poolB = LinkFixture.Pool();
    private readonly MemoryStream _stream = new();
    private ulong _now = 1_700_000_000_123_456_789;

    private (TracingLink Link, ILinkQueue A, ILinkQueue B) Open(MemoryLinkOptions? options = null, int snapLength = 65_600)
    {
        var (a, b) = MemoryLink.CreatePair(options);
        var traced = new TracingLink(a, _ => _stream, () => _now++, snapLength);
        return (traced, traced.OpenQueue(0, _poolA), b.OpenQueue(0, _poolB));
    }

    private List<(ulong Time, CaptureDirection Direction, uint Length, byte[] Bytes)> ReadBack(TracingLink link, out CaptureInterface description)
    {
        link.Dispose();
        using var reader = new CaptureReader(new MemoryStream(_stream.ToArray()));
        var frames = new List<(ulong, CaptureDirection, uint, byte[])>();
        while (reader.TryReadFrame(out var frame)) frames.Add((frame.TimeNs, frame.Direction, frame.OriginalLength, frame.Bytes.ToArray()));
        Assert.Null(reader.Error);
        description = Assert.Single(reader.Interfaces);
        return frames;
    }

    [Fact]
    public void CaptureHoldsBothDirectionsWithTimes()
    {
        var (link, a, b) = Open();
        byte[] out1 = LinkFixture.Numbered(1), out2 = LinkFixture.Numbered(2, 1000), in1 = LinkFixture.Numbered(3, 300);
        a.Transmit([LinkFixture.Make(_poolA, out1), LinkFixture.Make(_poolA, out2)]);
        Assert.Equal([1, 2], LinkFixture.ReceiveNumbers(b, _poolB));
        b.Transmit([LinkFixture.Make(_poolB, in1)]);
        Assert.Equal([3], LinkFixture.ReceiveNumbers(a, _poolA));
        var frames = ReadBack(link, out var description);
        Assert.Equal([(1_700_000_000_123_456_789UL, CaptureDirection.Outbound), (1_700_000_000_123_456_789UL, CaptureDirection.Outbound),
            (1_700_000_000_123_456_790UL, CaptureDirection.Inbound)], frames.Select(f => (f.Time, f.Direction)));
        Assert.Equal([out1, out2, in1], frames.Select(f => f.Bytes));
        Assert.Equal((link.Name, (ushort)1, (MacAddress?)link.MacAddress), (description.Name, description.LinkType, description.Mac));
    }

    [Fact]
    public void LongFramesAreCutAtTheSnapLengthAndKeepTheirLength()
    {
        var (link, a, _) = Open(new MemoryLinkOptions { Kind = MemoryLinkKind.Virtual, Medium = LinkMedium.Ip }, snapLength: 96);
        var bytes = LinkFixture.Numbered(1, 40_000);
        var frame = LinkFixture.Make(_poolA, bytes);
        frame.SegmentKind = SegmentKind.Tcp4;
        a.Transmit([frame]);
        var captured = Assert.Single(ReadBack(link, out var description));
        Assert.Equal(40_000u, captured.Length);
        Assert.Equal(bytes[..96], captured.Bytes);
        Assert.Equal((CaptureLinkType.RawIp, 96u), (description.LinkType, description.SnapLength));
    }

    [Fact]
    public void FramesRefusedAndSentAgainAreCapturedOnce()
    {
        var (link, a, b) = Open(new MemoryLinkOptions { RingFrames = 2 });
        var frames = Enumerable.Range(0, 5).Select(i => LinkFixture.Make(_poolA, LinkFixture.Numbered(i))).ToArray();
        for (var sent = 0; sent < 5;)
        {
            sent += a.Transmit(frames.AsSpan(sent));
            LinkFixture.ReceiveNumbers(b, _poolB);
        }
        Assert.Equal([0, 1, 2, 3, 4], ReadBack(link, out _).Select(f => BitConverter.ToInt32(f.Bytes, 1)));
    }

    [Fact]
    public void TracingAllocatesNothing()
    {
        var (_, a, b) = Open();
        _stream.Capacity = 1 << 20;
        var bytes = new byte[1000];
        var burst = new Frame[8];
        long Round()
        {
            var before = GC.GetAllocatedBytesForCurrentThread();
            a.Transmit([LinkFixture.Make(_poolA, bytes)]);
            var n = b.Receive(burst);
            for (var i = 0; i < n; i++) _poolB.Return(burst[i]);
            a.Reclaim();
            return GC.GetAllocatedBytesForCurrentThread() - before;
        }

        Round();
        Assert.Equal(0, Round());
        Assert.Equal(2, b.Counters.ReceivedFrames);
    }
}
