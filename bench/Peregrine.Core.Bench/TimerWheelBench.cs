// Arming, cancelling and firing with every id armed, deadlines up to a minute away.
using Peregrine.Core.Memory;
using Peregrine.Core.Time;

namespace Peregrine.Core.Bench;

internal static class TimerWheelBench
{
    public static void Run(int ids)
    {
        using var region = HugePages.Allocate(TimerWheel.BytesFor(ids));
        var now = Instant.Zero + Duration.FromSeconds(100);
        var wheel = new TimerWheel(region, ids, now);
        var random = new StackRandom(2);
        var order = Measure.Shuffled(ids, random);
        Console.WriteLine($"Timer wheel: {TimerWheel.BytesFor(ids) / (double)ids:F1} B an id");
        var due = new uint[64];
        Measure.Print("arm, all ids at random", ids, () =>
        {
            foreach (var id in order) wheel.Cancel(id);
            foreach (var id in order) wheel.Arm(id, Deadline.At(now + Duration.FromMicroseconds(random.Next(60_000_000))));
        });
        Measure.Print("arm later: nothing to do", ids, () =>
        {
            foreach (var id in order) wheel.Arm(id, Deadline.At(now + Duration.FromSeconds(61)));
        });
        Measure.Print("fire when nothing is due", 1 << 20, () =>
        {
            for (var i = 0; i < 1 << 20; i++) _ = wheel.Fire(now, due);
        });
        Measure.Print("next deadline", 1 << 20, () =>
        {
            for (var i = 0; i < 1 << 20; i++) _ = wheel.NextDeadline(now);
        });
        var fired = 0;
        Measure.Print("fire and arm a minute later, with all moves between slots", ids, () =>
        {
            for (var done = 0; done < ids;)
            {
                var count = wheel.Fire(now, due);
                for (var i = 0; i < count; i++) wheel.Arm(due[i], Deadline.At(now + Duration.FromSeconds(60)));
                done += count;
                fired += count;
                if (count == 0) now = Instant.Max(now + Duration.FromMicroseconds(100), wheel.NextDeadline(now));
            }
        });
        GC.KeepAlive(fired);
    }
}
