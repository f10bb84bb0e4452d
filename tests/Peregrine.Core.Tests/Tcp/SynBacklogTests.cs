using System.Runtime.CompilerServices;
using Peregrine.Core.Memory;
using Peregrine.Core.Tcp;
using Peregrine.Core.Time;
using Peregrine.Wire;

namespace Peregrine.Core.Tests.Tcp;

public sealed class SynBacklogTests
{
    [Fact]
    public void RecordIsAtMostOneHundredTwentyEightBytes() => Assert.InRange(Unsafe.SizeOf<SynRecord>(), 1, 128);

    [Fact]
    [Trait("emulation", "throws")]
    public void SynAckIsSentAgainWithDoublingTimeoutsUntilItExpires()
    {
        using var region = MemoryRegion.Allocate(SynBacklog.BytesFor(4, 1));
        var backlog = new SynBacklog(region, 4, 1);
        Assert.True(backlog.TryAdd(default, 4, Instant.Zero, out var index));
        var now = Instant.Zero;
        foreach (var second in new[] { 1, 3, 7, 15, 31 })
        {
            now = Reach(backlog, now, second);
            Assert.True(backlog.TryNextDue(now, out var due, out var expired));
            Assert.Equal((index, false), (due, expired));
            Assert.False(backlog.TryNextDue(now, out _, out _));
        }
        Assert.Equal(5, backlog.Get(index).Retries);
        Assert.True(backlog.Get(index).Flags.HasFlag(SynFlags.Retransmitted));
        now = Reach(backlog, now, 63);
        Assert.True(backlog.TryNextDue(now, out var last, out var over));
        Assert.Equal((index, true), (last, over));
        Assert.False(backlog.TryNextDue(now, out _, out _));
        Assert.Equal((1L, 1), (backlog.Expired, backlog.Count));
        backlog.Remove(index);
        Assert.Equal((0, 0, Instant.Never), (backlog.Count, backlog.CountOf(0), backlog.NextDeadline(now)));
        Expect.Throw<InvalidOperationException>(() => backlog.Remove(index));
    }

    [Fact]
    public void TimeoutsDoNotGrowBeyondAMinute()
    {
        using var region = MemoryRegion.Allocate(SynBacklog.BytesFor(1, 1));
        var backlog = new SynBacklog(region, 1, 1, SynBacklog.RetriesMax);
        Assert.True(backlog.TryAdd(default, 1, Instant.Zero, out var index));
        var now = Instant.Zero;
        var before = now;
        for (var i = 0; i < SynBacklog.RetriesMax; i++)
        {
            before = now;
            now = backlog.NextDeadline(now);
            Assert.True(backlog.TryNextDue(now, out _, out var expired));
            Assert.False(expired);
        }
        Assert.Equal(60, (now - before).Milliseconds / 1_000);
        Assert.Equal(SynBacklog.RetriesMax, backlog.Get(index).Retries);
    }

    [Fact]
    public void StackAndListenerAreBoundedApart()
    {
        using var region = MemoryRegion.Allocate(SynBacklog.BytesFor(5, 3));
        var backlog = new SynBacklog(region, 5, 3);
        for (var i = 0; i < 3; i++) Assert.True(backlog.TryAdd(Of(1), 3, Instant.Zero, out _));
        Assert.False(backlog.TryAdd(Of(1), 3, Instant.Zero, out _));
        for (var i = 0; i < 2; i++) Assert.True(backlog.TryAdd(Of(2), 3, Instant.Zero, out _));
        Assert.False(backlog.TryAdd(Of(2), 3, Instant.Zero, out var index));
        Assert.Equal(SynBacklog.None, index);
        Assert.Equal((1L, 1L, 5, 3, 2), (backlog.RefusedByListener, backlog.RefusedByStack, backlog.Count, backlog.CountOf(1), backlog.CountOf(2)));
    }

    [Fact]
    public void ListenersRecordsCanBeEmptied()
    {
        using var region = MemoryRegion.Allocate(SynBacklog.BytesFor(10, 3));
        var backlog = new SynBacklog(region, 10, 3);
        for (var i = 0; i < 10; i++) Assert.True(backlog.TryAdd(Of(i % 3), 10, Instant.Zero, out _));
        while (backlog.TryFirstOf(1, out var index))
        {
            Assert.Equal(1, backlog.Get(index).Listener);
            backlog.Remove(index);
        }
        Assert.Equal((0, 7), (backlog.CountOf(1), backlog.Count));
        Assert.True(backlog.TryFirstOf(0, out _));
    }

    [Fact]
    public void ReusedRecordIsOfANewGeneration()
    {
        using var region = MemoryRegion.Allocate(SynBacklog.BytesFor(1, 1));
        var backlog = new SynBacklog(region, 1, 1);
        Assert.True(backlog.TryAdd(default, 1, Instant.Zero, out var index));
        var generation = backlog.Get(index).Generation;
        Assert.True(backlog.IsCurrent(index, generation));
        backlog.Remove(index);
        Assert.False(backlog.IsCurrent(index, generation));
        Assert.True(backlog.TryAdd(new SynRecord { Irs = new SeqNumber(7) }, 1, new Instant(5), out index));
        Assert.Equal((generation + 1, new SeqNumber(7), new Instant(5)), (backlog.Get(index).Generation, backlog.Get(index).Irs, backlog.Get(index).FirstSent));
    }

    [Fact]
    public void ChurnAtRandomIsDueInTimeAndLosesNothing()
    {
        using var region = MemoryRegion.Allocate(SynBacklog.BytesFor(64, 4));
        var backlog = new SynBacklog(region, 64, 4, retries: 3);
        var random = new StackRandom(11);
        var added = new Dictionary<uint, long>();
        for (var step = 0; step < 50_000; step++)
        {
            var now = new Instant(step * 10_000_000L);
            while (backlog.TryNextDue(now, out var due, out var expired))
            {
                // Sent at 0, 1, 3 and 7 s, gone at 15. Each may be a step late, and the next counts from it.
                var age = step - added[due];
                var expected = expired ? 1_500 : ((1 << backlog.Get(due).Retries) - 1) * 100;
                Assert.InRange(age, expected, expected + backlog.Get(due).Retries + 1);
                if (!expired) continue;
                backlog.Remove(due);
                added.Remove(due);
            }
            Assert.True(backlog.NextDeadline(now) > now);
            if (random.Next(8) == 0 && added.Count > 0)
            {
                var victim = added.Keys.ElementAt((int)random.Next((uint)added.Count));
                backlog.Remove(victim);
                added.Remove(victim);
            }
            if (random.Next(6) == 0 && backlog.TryAdd(Of((int)random.Next(4)), 64, now, out var index)) added.Add(index, step);
            Assert.Equal(added.Count, backlog.Count);
        }
        Assert.True(backlog.Expired > 0);
        Assert.Equal(backlog.Count, Enumerable.Range(0, 4).Sum(backlog.CountOf));
    }

    private static SynRecord Of(int listener) => new() { Listener = listener };

    private static Instant Reach(SynBacklog backlog, Instant now, int second)
    {
        var next = backlog.NextDeadline(now);
        Assert.Equal(second, (next.Nanoseconds + 500_000_000) / 1_000_000_000);
        return next;
    }
}
