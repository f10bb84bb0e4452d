using Peregrine.Core.Memory;
using Peregrine.Core.Time;

namespace Peregrine.Core.Tests.Time;

public sealed class TimerWheelTests
{
    private const long Tick = 1L << Deadline.Shift;

    [Theory]
    [InlineData(1)]
    [InlineData(255)]
    [InlineData(256)]
    [InlineData(257)]
    [InlineData(65_535)]
    [InlineData(65_536)]
    [InlineData(70_000)]
    [InlineData(16_777_216)]
    [InlineData(1_900_000_000)]
    public void FiresAtItsTickAndNotBefore(long ticks)
    {
        using var wheel = new Wheel(4, TicksAt(1_000_003));
        var at = TicksAt(1_000_003 + ticks);
        wheel.Timers.Arm(2, Deadline.At(at));
        Assert.Empty(wheel.Fire(at - new Duration(1)));
        Assert.Equal([2u], wheel.Fire(at));
        Assert.False(wheel.Timers.IsArmed(2));
        Assert.Equal(Instant.Never, wheel.Timers.NextDeadline(at));
    }

    /// <summary>A loop that sleeps until NextDeadline gets there in a few steps, on time.</summary>
    [Theory]
    [InlineData(200)]
    [InlineData(60_000)]
    [InlineData(5_000_000)]
    [InlineData(1_900_000_000)]
    public void SleepingLoopNeitherSpinsNorIsLate(long ticks)
    {
        var now = TicksAt(uint.MaxValue - 1_000_000_000L);
        using var wheel = new Wheel(4, now);
        var at = now + new Duration(ticks * Tick);
        wheel.Timers.Arm(1, Deadline.At(at));
        for (var wakes = 0; wakes < 4; wakes++)
        {
            now = wheel.Timers.NextDeadline(now);
            Assert.True(now <= at);
            if (wheel.Fire(now).Length == 0) continue;
            Assert.Equal(at, now);
            return;
        }
        Assert.Fail("The deadline was not reached in four wakes.");
    }

    [Fact]
    public void EarlierOfTwoDeadlinesCounts()
    {
        using var wheel = new Wheel(4, TicksAt(0));
        wheel.Timers.Arm(0, Deadline.At(TicksAt(5_000)));
        wheel.Timers.Arm(0, Deadline.At(TicksAt(9_000)));
        Assert.Equal(new Deadline(5_000), wheel.Timers.DeadlineOf(0));
        wheel.Timers.Arm(0, Deadline.At(TicksAt(100)));
        wheel.Timers.Arm(0, Deadline.None);
        Assert.Equal(1, wheel.Timers.Count);
        Assert.Equal([0u], wheel.Fire(TicksAt(100)));
        Assert.Empty(wheel.Fire(TicksAt(20_000)));
    }

    [Fact]
    public void PassedDeadlineFiresNext()
    {
        using var wheel = new Wheel(4, TicksAt(5_000));
        wheel.Timers.Arm(3, Deadline.At(TicksAt(10)));
        Assert.Equal(TicksAt(5_000), wheel.Timers.NextDeadline(TicksAt(5_000)));
        Assert.Equal([3u], wheel.Fire(TicksAt(5_000)));
    }

    [Fact]
    public void ArmedAfterALongSleepIsNeverLate()
    {
        foreach (var days in new[] { 1, 2, 4, 6, 7, 9, 30 })
        {
            using var wheel = new Wheel(4, TicksAt(77));
            var now = TicksAt(77) + Duration.FromSeconds(86_400L * days);
            var at = now + Duration.FromSeconds(100);
            wheel.Timers.Arm(1, Deadline.At(at));
            // It may come early, as entries may; its owner arms it again.
            if (wheel.Fire(now).Length != 0) wheel.Timers.Arm(1, Deadline.At(at));
            Assert.Equal([1u], wheel.Fire(at + new Duration(Tick)));
        }
    }

    [Fact]
    public void FiringGoesOnWhereItStopped()
    {
        using var wheel = new Wheel(10_000, TicksAt(0));
        for (uint id = 0; id < 10_000; id++) wheel.Timers.Arm(id, Deadline.At(TicksAt(3_000_000 + (id % 7))));
        var now = TicksAt(4_000_000);
        var seen = new HashSet<uint>();
        Span<uint> due = stackalloc uint[64];
        var calls = 0;
        while (wheel.Timers.NextDeadline(now) == now && calls < 1_000)
        {
            var count = wheel.Timers.Fire(now, due);
            calls++;
            for (var i = 0; i < count; i++) Assert.True(seen.Add(due[i]));
        }
        Assert.Equal(10_000, seen.Count);
        // 157 calls report, and the entries moved to finer slots take 10 calls a level.
        Assert.InRange(calls, 157, 200);
        Assert.Equal(0, wheel.Timers.BlocksInUse);
    }

    [Fact]
    public void InterruptedMoveSurvivesArmsAndCancels()
    {
        using var wheel = new Wheel(5_000, TicksAt(0));
        for (uint id = 0; id < 4_000; id++) wheel.Timers.Arm(id, Deadline.At(TicksAt(70_000 + id)));
        var start = wheel.Timers.NextDeadline(TicksAt(0));
        Assert.Empty(wheel.Fire(start, 16));
        Assert.Equal(start, wheel.Timers.NextDeadline(start));
        for (uint id = 0; id < 4_000; id += 2) wheel.Timers.Cancel(id);
        wheel.Timers.Arm(4_500, Deadline.At(TicksAt(70_000)));
        var fired = new HashSet<uint>(wheel.FireAll(TicksAt(80_000)));
        Assert.Equal(2_001, fired.Count);
        Assert.Contains(4_500u, fired);
        Assert.Equal(0, wheel.Timers.BlocksInUse);
    }

    /// <summary>The proof in the wheel's first comment, met with equality nearly: one id in each of all slots, the rest in full blocks.</summary>
    [Fact]
    public void BlocksCannotRunOut()
    {
        foreach (var count in new[] { 1, 5, 62, 63, 1_023, 1_024, 1_025, 5_000 })
        {
            using var wheel = new Wheel(count, TicksAt(0));
            var random = new StackRandom((ulong)count);
            for (var step = 0; step < 200_000; step++)
            {
                var id = random.Next((uint)count);
                wheel.Timers.Cancel(id);
                var level = (int)random.Next(4);
                var ticks = level == 3 ? 1 + random.Next(127) : 1 + random.Next(255);
                wheel.Timers.Arm(id, new Deadline(ticks << (8 * level)));
                Assert.True(wheel.Timers.BlocksInUse <= wheel.Timers.BlockCount);
            }
            Assert.True(wheel.Timers.Count <= count);
        }
    }

    /// <summary>Arms, cancels and jumps at random, over the wrap of 32-bit ticks, against a sorted model.</summary>
    [Theory]
    [InlineData(1UL, 300u)]
    [InlineData(2UL, 100_000u)]
    [InlineData(3UL, 400_000_000u)]
    [InlineData(4UL, 1_500_000_000u)]
    public void AgreesWithASortedModel(ulong seed, uint reach)
    {
        const int Ids = 500;
        var random = new StackRandom(seed);
        var ticks = uint.MaxValue - (2L * reach) - 5;
        using var wheel = new Wheel(Ids, TicksAt(ticks));
        var model = new long?[Ids];
        for (var step = 0; step < 60_000; step++)
        {
            var id = random.Next(Ids);
            switch (random.Next(8))
            {
                case < 5:
                    // Distances of all orders of magnitude.
                    var at = ticks + (random.Next(reach) >> (int)random.Next(24));
                    wheel.Timers.Arm(id, Deadline.At(TicksAt(at)));
                    // The deadline's ticks skip 0, which says "none".
                    if ((uint)at == 0) at++;
                    model[id] = Math.Min(model[id] ?? long.MaxValue, at);
                    break;
                case 5:
                    wheel.Timers.Cancel(id);
                    model[id] = null;
                    break;
                default:
                    ticks += random.Next(reach) >> (int)random.Next(24);
                    ExpectFired(wheel, model, ticks);
                    break;
            }
        }
        Assert.True(ticks > uint.MaxValue, "the run went past the wrap");
        ExpectFired(wheel, model, ticks + 2_000_000_000);
        Assert.Equal((0, 0), (wheel.Timers.Count, wheel.Timers.BlocksInUse));
    }

    private static void ExpectFired(Wheel wheel, long?[] model, long ticks)
    {
        var expected = Enumerable.Range(0, model.Length).Where(id => model[id] <= ticks).Select(id => (uint)id).ToArray();
        var fired = wheel.FireAll(TicksAt(ticks));
        Array.Sort(fired);
        Assert.Equal(expected, fired);
        foreach (var id in fired) model[id] = null;
        var next = wheel.Timers.NextDeadline(TicksAt(ticks));
        var first = model.Min() ?? long.MaxValue;
        // Never after the first of the model, and exact within the finest level.
        if (first == long.MaxValue) Assert.Equal(Instant.Never, next);
        else Assert.InRange(next.Nanoseconds >> Deadline.Shift, ticks + 1, first);
        if ((first >> 8) == (ticks >> 8)) Assert.Equal(first, next.Nanoseconds >> Deadline.Shift);
    }

    private static Instant TicksAt(long ticks) => new(ticks << Deadline.Shift);

    private sealed class Wheel : IDisposable
    {
        private readonly MemoryRegion _region;

        public Wheel(int ids, Instant now)
        {
            _region = MemoryRegion.Allocate(TimerWheel.BytesFor(ids));
            Timers = new TimerWheel(_region, ids, now);
        }

        public TimerWheel Timers { get; }

        public uint[] Fire(Instant now, int max = 1_000)
        {
            var due = new uint[max];
            return due[..Timers.Fire(now, due)];
        }

        public uint[] FireAll(Instant now)
        {
            var all = new List<uint>();
            do
            {
                all.AddRange(Fire(now, 7));
            }
            while (Timers.NextDeadline(now) == now);
            return [.. all];
        }

        public void Dispose() => _region.Dispose();
    }
}
