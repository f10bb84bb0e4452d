using System.Runtime.CompilerServices;
using Peregrine.Core.Demux;
using Peregrine.Core.Memory;
using Peregrine.Core.Tcp;
using Peregrine.Core.Time;
using Peregrine.Wire;

namespace Peregrine.Core.Tests.Tcp;

public sealed class TimeWaitTests
{
    private const TcpFlags Syn = TcpFlags.Syn, Ack = TcpFlags.Ack, Fin = TcpFlags.Fin, Rst = TcpFlags.Rst;

    private static readonly Duration Wait = Duration.FromSeconds(60);

    [Fact]
    public void RecordIsAtMostNinetySixBytes() => Assert.InRange(Unsafe.SizeOf<TimeWaitRecord>(), 1, 96);

    /// <summary>
    /// Sequence numbers count from the peer's RCV.NXT (after its FIN), timestamps from TS.Recent; the window is 1,000 bytes. Run at
    /// several places of both circles.
    /// </summary>
    [Theory]
    // RFC 1337: resets, wherever they are.
    [InlineData(Rst, 0, 0, true, 0, nameof(TimeWaitVerdict.IgnoreReset))]
    [InlineData(Rst | Ack, 0, 0, true, 1, nameof(TimeWaitVerdict.IgnoreReset))]
    [InlineData(Rst | Syn, 5, 0, true, 1, nameof(TimeWaitVerdict.IgnoreReset))]
    [InlineData(Rst, -5, 0, false, 0, nameof(TimeWaitVerdict.IgnoreReset))]
    // RFC 6191: a new SYN.
    [InlineData(Syn, -90_000, 0, true, 1, nameof(TimeWaitVerdict.AcceptSyn))]
    [InlineData(Syn, 90_000, 0, true, 1, nameof(TimeWaitVerdict.AcceptSyn))]
    [InlineData(Syn, 0, 0, true, 0, nameof(TimeWaitVerdict.AcceptSyn))]
    [InlineData(Syn, -1, 0, true, 0, nameof(TimeWaitVerdict.DropSyn))]
    [InlineData(Syn, 90_000, 0, true, -1, nameof(TimeWaitVerdict.DropSyn))]
    [InlineData(Syn, 0, 0, false, 0, nameof(TimeWaitVerdict.AcceptSyn))]
    [InlineData(Syn, 1, 0, false, 0, nameof(TimeWaitVerdict.AcceptSyn))]
    [InlineData(Syn, -1, 0, false, 0, nameof(TimeWaitVerdict.DropSyn))]
    [InlineData(Syn | TcpFlags.Ece | TcpFlags.Cwr, 1, 0, true, 1, nameof(TimeWaitVerdict.AcceptSyn))]
    // A SYN that asks for no connection.
    [InlineData(Syn | Ack, 1, 0, true, 1, nameof(TimeWaitVerdict.Ack))]
    [InlineData(Syn | Fin, 1, 0, true, 1, nameof(TimeWaitVerdict.Ack))]
    // The peer's FIN again, alone, with data, and as an old duplicate by its timestamp.
    [InlineData(Fin | Ack, -1, 0, true, 0, nameof(TimeWaitVerdict.AckAndRestart))]
    [InlineData(Fin | Ack, -11, 10, true, 3, nameof(TimeWaitVerdict.AckAndRestart))]
    [InlineData(Fin | Ack, -1, 0, true, -1, nameof(TimeWaitVerdict.Ack))]
    [InlineData(Fin, -1, 0, true, 0, nameof(TimeWaitVerdict.Drop))]
    [InlineData(Fin | Ack, -2, 0, true, 0, nameof(TimeWaitVerdict.Ack))]
    [InlineData(Fin | Ack, 0, 0, true, 0, nameof(TimeWaitVerdict.Drop))]
    // Old data, keepalive probes and what lies beyond the window.
    [InlineData(Ack, -10, 10, true, 0, nameof(TimeWaitVerdict.Ack))]
    [InlineData(Ack, -1, 0, true, 0, nameof(TimeWaitVerdict.Ack))]
    [InlineData(Ack, 1_000, 0, true, 0, nameof(TimeWaitVerdict.Ack))]
    [InlineData(Ack, 1_000, 10, true, 0, nameof(TimeWaitVerdict.Ack))]
    [InlineData(Ack, 0, 0, true, -1, nameof(TimeWaitVerdict.Ack))]
    // In the window: a bare ACK must not be answered, text after a FIN cannot be.
    [InlineData(Ack, 0, 0, true, 0, nameof(TimeWaitVerdict.Drop))]
    [InlineData(Ack, 999, 10, true, 0, nameof(TimeWaitVerdict.Drop))]
    [InlineData(TcpFlags.None, 0, 5, true, 0, nameof(TimeWaitVerdict.Drop))]
    // RFC 7323 §3.2.
    [InlineData(Ack, -1, 0, false, 0, nameof(TimeWaitVerdict.DropWithoutTimestamp))]
    [InlineData(Fin | Ack, -1, 0, false, 0, nameof(TimeWaitVerdict.DropWithoutTimestamp))]
    public void SegmentIsJudged(TcpFlags flags, int seq, int payload, bool timestamp, int tsVal, string expected)
    {
        foreach (var zero in new uint[] { 5, 0, uint.MaxValue, int.MaxValue, 0x8000_0000 })
        {
            var record = Record(zero, timestamps: true);
            Assert.Equal(expected, TimeWaitJudge.Judge(record, Segment(zero, flags, seq, payload, timestamp, tsVal), Instant.Zero).ToString());
        }
    }

    [Theory]
    [InlineData(Syn, -90_000, true, nameof(TimeWaitVerdict.AcceptSyn))]
    [InlineData(Syn, -1, false, nameof(TimeWaitVerdict.DropSyn))]
    [InlineData(Syn, 0, false, nameof(TimeWaitVerdict.AcceptSyn))]
    [InlineData(Fin | Ack, -1, false, nameof(TimeWaitVerdict.AckAndRestart))]
    [InlineData(Ack, -1, true, nameof(TimeWaitVerdict.Ack))]
    public void WithoutTimestampsSequenceNumbersDecide(TcpFlags flags, int seq, bool timestamp, string expected) =>
        Assert.Equal(expected, TimeWaitJudge.Judge(Record(70, timestamps: false), Segment(70, flags, seq, 0, timestamp, -9), Instant.Zero).ToString());

    [Fact]
    public void TimestampsThatWouldNotBeUsedDoNotCount()
    {
        var segment = Segment(9, Syn, -1, 0, true, 5);
        Assert.Equal(TimeWaitVerdict.AcceptSyn, TimeWaitJudge.Judge(Record(9, true), segment, Instant.Zero));
        Assert.Equal(TimeWaitVerdict.DropSyn, TimeWaitJudge.Judge(Record(9, true), segment, Instant.Zero, timestampsAllowed: false));
        Assert.Equal(TimeWaitVerdict.DropSyn, TimeWaitJudge.Judge(Record(9, false), segment, Instant.Zero, timestampsAllowed: false));
    }

    [Fact]
    public void AnySynIsAcceptedOnceTheWaitIsOver()
    {
        var record = Record(9, true);
        record.Expires = Deadline.At(Instant.Zero + Wait);
        var segment = Segment(9, Syn, -1, 0, true, -1);
        Assert.Equal(TimeWaitVerdict.DropSyn, TimeWaitJudge.Judge(record, segment, Instant.Zero));
        Assert.Equal(TimeWaitVerdict.AcceptSyn, TimeWaitJudge.Judge(record, segment, Instant.Zero + Wait + Duration.FromSeconds(1)));
    }

    [Fact]
    public void ZeroWindowTakesOnlyTheNextNumber()
    {
        var record = Record(9, false);
        record.RcvWnd = 0;
        Assert.Equal(TimeWaitVerdict.Drop, TimeWaitJudge.Judge(record, Segment(9, Ack, 0, 0, false, 0), Instant.Zero));
        Assert.Equal(TimeWaitVerdict.Ack, TimeWaitJudge.Judge(record, Segment(9, Ack, 0, 1, false, 0), Instant.Zero));
        Assert.Equal(TimeWaitVerdict.Ack, TimeWaitJudge.Judge(record, Segment(9, Ack, 1, 0, false, 0), Instant.Zero));
    }

    [Theory]
    [InlineData(1_000u, 1_000u + 65_536, 1_000u + 65_536)]
    [InlineData(1_000u, 1_000u + 65_535, 1_000u + 65_537)]
    [InlineData(1_000u, 0u, 1_000u + 65_537)]
    [InlineData(1_000u, 0x7000_0000u, 0x7000_0000u)]
    [InlineData(0xFFFF_FFF0u, 5u, 65_521u)]
    public void NewConnectionStartsAboveTheOld(uint sndNxt, uint proposed, uint expected) =>
        Assert.Equal(new SeqNumber(expected), TimeWaitJudge.IssAfter(new TimeWaitRecord { SndNxt = new SeqNumber(sndNxt) }, new SeqNumber(proposed)));

    [Fact]
    public void RecordsExpireInOrderAndRestartGoesToTheEnd()
    {
        using var region = MemoryRegion.Allocate(TimeWaitTable.BytesFor(4));
        var table = new TimeWaitTable(region, 4, Wait);
        Assert.Equal(Instant.Never, table.NextDeadline(Instant.Zero));
        var start = At(100);
        for (uint i = 0; i < 3; i++) Assert.True(table.TryAdd(Record(i, true), start + Duration.FromSeconds(i), out _));
        table.Restart(0, At(110));

        Assert.False(table.TryExpire(At(160), out _));
        var due = table.NextDeadline(At(110));
        Assert.InRange(due.Nanoseconds, At(161).Nanoseconds, At(161).Nanoseconds + 200_000);
        Assert.True(table.TryExpire(due, out var index));
        Assert.Equal(1u, index);
        table.Remove(1);
        Assert.False(table.TryExpire(due, out _));
        table.Remove(2);
        Assert.False(table.TryExpire(At(169), out _));
        Assert.True(table.TryExpire(At(171), out index));
        Assert.Equal(0u, index);
        table.Remove(0);
        Assert.Equal((0, Instant.Never), (table.Count, table.NextDeadline(At(171))));
    }

    [Fact]
    [Trait("emulation", "throws")]
    public void FullTableEvictsWhoeverHasWaitedLongest()
    {
        using var region = MemoryRegion.Allocate(TimeWaitTable.BytesFor(2) + DemuxTable.BytesFor(8));
        var table = new TimeWaitTable(region, 2, Wait);
        var demux = new DemuxTable(region, 8, 1);
        for (uint i = 0; i < 2; i++)
        {
            table.MakeRoom(demux);
            Assert.True(table.TryAdd(Record(0, true) with { Hash = 100 + i }, At(i), out var index));
            Assert.True(demux.TryAdd(100 + i, DemuxKind.TimeWait, index));
        }
        var generation = table.Get(0).Generation;
        Assert.False(table.TryAdd(Record(0, true), At(5), out _));
        Assert.Equal(0, table.Evicted);

        table.MakeRoom(demux);

        Assert.Equal((1L, 1, 1), (table.Evicted, table.Count, demux.Count));
        Assert.False(demux.TryFindCandidate(100, out _, out _));
        Assert.False(table.IsCurrent(0, generation));
        Assert.True(table.TryAdd(Record(0, true), At(5), out var again));
        Assert.Equal(0u, again);
        Assert.True(table.IsCurrent(0, generation + 1));
        Assert.False(table.IsCurrent(0, generation));
        table.Remove(0);
        Expect.Throw<InvalidOperationException>(() => table.Remove(0));
        Expect.Throw<InvalidOperationException>(() => table.Restart(0, At(6)));
    }

    [Fact]
    public void ChurnAtRandomKeepsTheOrder()
    {
        using var region = MemoryRegion.Allocate(TimeWaitTable.BytesFor(50));
        var table = new TimeWaitTable(region, 50, Wait);
        var random = new StackRandom(4);
        var order = new List<uint>();
        for (var step = 0; step < 100_000; step++)
        {
            var now = At(step / 100);
            while (table.TryExpire(now, out var expired))
            {
                Assert.Equal(order[0], expired);
                order.RemoveAt(0);
                table.Remove(expired);
            }
            var at = (int)random.Next((uint)order.Count);
            switch (random.Next(3))
            {
                case 0 when order.Count > 0:
                    table.Remove(order[at]);
                    order.RemoveAt(at);
                    break;
                case 1 when order.Count > 0:
                    table.Restart(order[at], now);
                    order.Add(order[at]);
                    order.RemoveAt(at);
                    break;
                default:
                    if (table.TryAdd(Record(1, true), now, out var index)) order.Add(index);
                    else Assert.Equal(50, order.Count);
                    break;
            }
            Assert.Equal(order.Count, table.Count);
        }
        Assert.Equal(order.Count, order.Distinct().Count());
    }

    private static Instant At(long seconds) => new(seconds * 1_000_000_000);

    private static TimeWaitRecord Record(uint zero, bool timestamps) => new()
    {
        RcvNxt = new SeqNumber(zero),
        SndNxt = new SeqNumber(zero),
        RcvWnd = 1_000,
        TsRecent = zero,
        Timestamps = timestamps,
    };

    private static TcpSegment Segment(uint zero, TcpFlags flags, int seq, int payload, bool timestamp, int tsVal)
    {
        var options = default(TcpOptions);
        if (timestamp) options.SetTimestamps(zero + (uint)tsVal, 0);
        return new TcpSegment { Seq = new SeqNumber(zero + (uint)seq), Ack = new SeqNumber(zero), Flags = flags, PayloadLength = payload, Options = options };
    }
}
