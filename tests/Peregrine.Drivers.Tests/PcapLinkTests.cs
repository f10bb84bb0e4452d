// A recording as a link: what comes and when, by a clock that the test sets; what is sent; and files that are not as they should be.
using Peregrine.Core.Links;
using Peregrine.Core.Memory;
using Peregrine.Drivers.Pcap;
using Peregrine.Wire;

namespace Peregrine.Drivers.Tests;

public sealed class PcapLinkTests : IDisposable
{
    private const ulong Start = 1_700_000_000_000_000_000;

    private static readonly MacAddress s_recorded = new(0x0200_0000_0042);

    private readonly string _folder = Directory.CreateTempSubdirectory("peregrine-pcap-").FullName;
    private readonly FramePool _pool = PoolFixture.Pool(64, 512);
    private readonly Frame[] _burst = new Frame[32];

    private string Input => Path.Combine(_folder, "in.pcapng");

    private string Output => Path.Combine(_folder, "out.pcapng");

    public void Dispose()
    {
        Assert.Equal(_pool.Chunks.Count, _pool.Chunks.FreeCount);
        Directory.Delete(_folder, recursive: true);
    }

    [Fact]
    public void FramesComeAtTheRecordedIntervalsAndNeverBackwards()
    {
        Record((0, 60), (5_000_000, 70), (3_000_000, 80), (9_000_000, 90));
        var clock = new ManualClock();
        using var link = PcapLink.Open(Input, new PcapOptions { Clock = clock });
        using var queue = link.OpenQueue(0, _pool);
        clock.Advance(TimeSpan.FromSeconds(7));
        Assert.Equal([60], Lengths(queue));
        clock.Advance(TimeSpan.FromTicks(49_999));
        Assert.Empty(Lengths(queue));
        clock.Advance(TimeSpan.FromTicks(1));
        // The third was recorded after the clock had been set back.
        Assert.Equal([70, 80], Lengths(queue));
        clock.Advance(TimeSpan.FromMilliseconds(4));
        Assert.Equal([90], Lengths(queue));
        Assert.Empty(Lengths(queue));
        Assert.True(link.IsUp);
        Assert.Equal(LinkPresence.There, queue.Follow(out _));
    }

    [Fact]
    public void WhoSleepsIsWokenWhenTheNextFrameIsDue()
    {
        Record((0, 60), (5_000_000, 70));
        var clock = new ManualClock();
        using var link = PcapLink.Open(Input, new PcapOptions { Clock = clock });
        using var queue = link.OpenQueue(0, _pool);
        var woken = 0;
        queue.SetWake(() => woken++);
        Assert.False(queue.TryArm());
        Assert.Equal([60], Lengths(queue));
        Assert.True(queue.TryArm());
        clock.Advance(TimeSpan.FromMilliseconds(4));
        Assert.Equal(0, woken);
        clock.Advance(TimeSpan.FromMilliseconds(2));
        Assert.Equal(1, woken);
        Assert.False(queue.TryArm());
        Assert.Equal([70], Lengths(queue));
        Assert.True(queue.TryArm());
    }

    [Fact]
    public void AtFullSpeedAllComesAtOnceAndAsItWasRecorded()
    {
        var frames = Enumerable.Range(1, 200).Select(i => PoolFixture.Pattern(60 + (i * 7), i)).ToArray();
        Write(CaptureLinkType.Ethernet, [.. frames.Select((bytes, i) => ((ulong)i * 1_000_000_000, bytes, CaptureDirection.Unknown))]);
        using var link = LinkFactory.Open($"pcap:{Input},speed=full");
        using var queue = link.OpenQueue(0, _pool);
        var got = new List<byte[]>();
        while (queue.Receive(_burst.AsSpan(0, 1 + (got.Count % 9))) is var n and > 0)
        {
            for (var i = 0; i < n; i++)
            {
                Assert.Equal((frames[got.Count][0] & 1) != 0, (_burst[i].Flags & FrameFlags.Broadcast) != 0);
                got.Add(PoolFixture.Bytes(_pool, _burst[i]));
                _pool.Return(_burst[i]);
            }
        }
        Assert.Equal(frames, got);
        Assert.Equal((200, frames.Sum(static f => (long)f.Length)), (queue.Counters.ReceivedFrames, queue.Counters.ReceivedBytes));
    }

    [Fact]
    public void WithoutMemoryNothingOfARecordingIsLost()
    {
        Record((0, 60), (0, 2_000));
        using var link = LinkFactory.Open($"pcap:{Input}");
        using var queue = link.OpenQueue(0, _pool);
        var held = new Stack<Frame>();
        while (_pool.TryRent(out var frame)) held.Push(frame);
        Assert.Empty(Lengths(queue));
        for (var i = 0; i < 2; i++) _pool.Return(held.Pop());
        // There is a chunk for the first and none for all of the second.
        Assert.Equal([60], Lengths(queue));
        Assert.Equal(2, _pool.Chunks.FreeCount);
        while (held.TryPop(out var frame)) _pool.Return(frame);
        Assert.Equal([2_000], Lengths(queue));
        Assert.Equal(0, queue.Counters.ReceiveDroppedNoMemory);
    }

    [Fact]
    public void WhatIsSentIsInTheSecondFile()
    {
        Record((0, 60));
        var clock = new ManualClock();
        byte[] small = PoolFixture.Pattern(60), large = PoolFixture.Pattern(1_400, 2);
        using (var link = PcapLink.Open(Input, new PcapOptions { OutputPath = Output, Clock = clock }))
        {
            Assert.Equal(s_recorded, link.MacAddress);
            var queue = link.OpenQueue(0, _pool);
            var unfinished = PoolFixture.Make(_pool, small);
            unfinished.Flags = FrameFlags.ChecksumUnfinished;
            clock.Advance(TimeSpan.FromTicks(123));
            Assert.Equal(4, queue.Transmit([PoolFixture.Make(_pool, small), unfinished, PoolFixture.Make(_pool, new byte[1_600]), PoolFixture.Make(_pool, large)]));
            Assert.Equal((2, 1_460, 2), (queue.Counters.SentFrames, queue.Counters.SentBytes, queue.Counters.SendDroppedError));
        }
        using var reader = new CaptureReader(File.OpenRead(Output));
        foreach (var sent in (byte[][])[small, large])
        {
            Assert.True(reader.TryReadFrame(out var frame), reader.Error);
            Assert.Equal(sent, frame.Bytes.ToArray());
            Assert.Equal((CaptureDirection.Outbound, 12_300UL), (frame.Direction, frame.TimeNs));
        }
        Assert.False(reader.TryReadFrame(out _));
        Assert.Null(reader.Error);
        Assert.Equal(s_recorded, reader.Interfaces[0].Mac);
    }

    [Theory]
    [InlineData(false, new[] { 60, 80 })]
    [InlineData(true, new[] { 60, 70, 80 })]
    public void WhatTheRecorderSentComesOnlyWhenAskedFor(bool sent, int[] lengths)
    {
        Write(CaptureLinkType.RawIp,
        [
            (0, PoolFixture.Pattern(60), CaptureDirection.Inbound), (0, PoolFixture.Pattern(70), CaptureDirection.Outbound), (0, PoolFixture.Pattern(80), CaptureDirection.Unknown),
        ]);
        using var link = LinkFactory.Open($"pcap:{Input}{(sent ? ",sent" : "")}");
        using var queue = link.OpenQueue(0, _pool);
        Assert.Equal(LinkMedium.Ip, link.Medium);
        Assert.Equal(lengths, Lengths(queue));
    }

    [Fact]
    public void FramesThatWereCutOffOrAreOfAnotherLinkAreSkippedAndCounted()
    {
        using (var writer = new PcapngWriter(File.Create(Input), snapLength: 64))
        {
            var ethernet = writer.AddInterface("eth0");
            var tunnel = writer.AddInterface("tun0", CaptureLinkType.RawIp);
            writer.WriteFrame(ethernet, Start, new byte[60]);
            writer.WriteFrame(ethernet, Start, new byte[65]);
            writer.WriteFrame(tunnel, Start, new byte[40]);
            writer.WriteFrame(ethernet, Start, new byte[64]);
        }
        using var link = LinkFactory.Open($"pcap:{Input}");
        using var queue = link.OpenQueue(0, _pool);
        Assert.Equal([60, 64], Lengths(queue));
        Assert.Equal(2, queue.Counters.ReceiveDroppedMalformed);
    }

    [Fact]
    public void ADamagedFileIsPlayedUpToThereAndThenSaysSo()
    {
        Record((0, 60), (0, 70));
        var bytes = File.ReadAllBytes(Input);
        File.WriteAllBytes(Input, bytes[..^4]);
        using var link = LinkFactory.Open($"pcap:{Input}");
        using var queue = link.OpenQueue(0, _pool);
        Assert.Equal(LinkPresence.There, queue.Follow(out _));
        Assert.Equal([60], Lengths(queue));
        Assert.Equal(LinkPresence.Gone, queue.Follow(out var problem));
        Assert.Contains("ends within a block", problem, StringComparison.Ordinal);
        Assert.Equal(1, queue.Counters.ReceiveErrors);
    }

    [Fact]
    public void WhatCannotBeOpenedSaysWhy()
    {
        Assert.Contains("there is no capture", Assert.Throws<FileNotFoundException>(() => LinkFactory.Open($"pcap:{Input}")).Message, StringComparison.Ordinal);
        File.WriteAllText(Input, "no capture at all");
        Assert.Contains("neither a pcapng nor a pcap", Assert.Throws<IOException>(() => LinkFactory.Open($"pcap:{Input}")).Message, StringComparison.Ordinal);
        Write(105, [(0, new byte[60], CaptureDirection.Unknown)]);
        Assert.Contains("of type 105", Assert.Throws<IOException>(() => LinkFactory.Open($"pcap:{Input}")).Message, StringComparison.Ordinal);
        Record((0, 60));
        Assert.Contains("what is replayed", Assert.Throws<IOException>(() => LinkFactory.Open($"pcap:{Input},{Input}")).Message, StringComparison.Ordinal);
        using var link = LinkFactory.Open($"pcap:{Input},{Output}");
        using var queue = link.OpenQueue(0, _pool);
        Assert.Throws<InvalidOperationException>(() => link.OpenQueue(0, _pool));
        Assert.Throws<ArgumentOutOfRangeException>(() => link.OpenQueue(1, _pool));
    }

    [Fact]
    public void BurstsAllocateNothing()
    {
        Record([.. Enumerable.Range(0, 300).Select(static i => ((ulong)i, 100 + i))]);
        using var link = LinkFactory.Open($"pcap:{Input},{Output},speed=full");
        using var queue = link.OpenQueue(0, _pool);
        for (var warm = 0; warm < 20; warm++) Round();
        Assert.Equal(0, Round());

        long Round()
        {
            for (var i = 0; i < 4; i++) _burst[i] = PoolFixture.Make(_pool, new byte[300]);
            var before = GC.GetAllocatedBytesForCurrentThread();
            queue.Transmit(_burst.AsSpan(0, 4));
            var n = queue.Receive(_burst.AsSpan(0, 8));
            for (var i = 0; i < n; i++) _pool.Return(_burst[i]);
            var allocated = GC.GetAllocatedBytesForCurrentThread() - before;
            Assert.Equal(8, n);
            return allocated;
        }
    }

    private int[] Lengths(ILinkQueue queue)
    {
        var n = queue.Receive(_burst);
        for (var i = 0; i < n; i++) _pool.Return(_burst[i]);
        return [.. _burst.Take(n).Select(static frame => frame.Length)];
    }

    private void Record(params (ulong AtNs, int Length)[] frames) =>
        Write(CaptureLinkType.Ethernet, [.. frames.Select(static (one, i) => (one.AtNs, PoolFixture.Pattern(one.Length, i), CaptureDirection.Inbound))]);

    private void Write(ushort linkType, (ulong AtNs, byte[] Bytes, CaptureDirection Direction)[] frames)
    {
        using var writer = new PcapngWriter(File.Create(Input));
        writer.AddInterface("eth0", linkType, mac: s_recorded);
        foreach (var (at, bytes, direction) in frames) writer.WriteFrame(0, Start + at, bytes, direction);
    }

    /// <summary>A clock that stands still until it is advanced; timers run out while it is.</summary>
    private sealed class ManualClock : TimeProvider
    {
        private readonly List<Timer> _timers = [];
        private long _ticks;

        public override long TimestampFrequency => TimeSpan.TicksPerSecond;

        public override long GetTimestamp() => _ticks;

        public override DateTimeOffset GetUtcNow() => DateTimeOffset.UnixEpoch.AddTicks(_ticks);

        public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period)
        {
            var timer = new Timer(this, callback, state);
            _timers.Add(timer);
            return timer;
        }

        public void Advance(TimeSpan by)
        {
            _ticks += by.Ticks;
            foreach (var timer in _timers) timer.RunOut(_ticks);
        }

        private sealed class Timer(ManualClock clock, TimerCallback callback, object? state) : ITimer
        {
            private long _due = long.MaxValue;

            public bool Change(TimeSpan dueTime, TimeSpan period)
            {
                _due = clock._ticks + dueTime.Ticks;
                return true;
            }

            public void RunOut(long now)
            {
                if (now < _due) return;
                _due = long.MaxValue;
                callback(state);
            }

            public void Dispose() => _due = long.MaxValue;

            public ValueTask DisposeAsync()
            {
                Dispose();
                return ValueTask.CompletedTask;
            }
        }
    }
}
