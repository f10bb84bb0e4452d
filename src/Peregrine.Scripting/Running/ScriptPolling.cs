// poll and epoll as scripts write them. The structures hold both what is asked for and what is expected.
using Peregrine.Posix;
using Peregrine.Scripting.Language;
using static Peregrine.Scripting.Language.ScriptValue;

namespace Peregrine.Scripting.Running;

internal sealed class ScriptPolling(ScriptWorld world)
{
    private readonly PosixSockets _x = world.Sockets;

    internal Func<PosixResult> Poll(IReadOnlyList<ScriptValue> a)
    {
        var entries = a[0] is List list ? list.Items.OfType<Struct>().ToArray() : throw new NotApplicableException("poll() without a list");
        var deadline = Deadline(ScriptCalls.Integer(a, 2));
        return () =>
        {
            var ready = new List<(long Expected, long Seen)>();
            foreach (var entry in entries)
            {
                var wanted = Field(entry, "events") | (long)(PosixEvents.Error | PosixEvents.HangUp);
                var seen = _x.Get(Field(entry, "fd")) is { } s ? (long)PosixPolling.Ready(_x, s) & wanted : 0;
                ready.Add((Field(entry, "revents"), seen));
            }
            var count = ready.Count(static r => r.Seen != 0);
            if (count == 0 && world.Microseconds < deadline) return PosixResult.Waits;
            if (ready.FirstOrDefault(static r => r.Expected != r.Seen) is { } wrong && wrong.Expected != wrong.Seen)
                throw new ScriptFailedException($"poll() reports {(PosixEvents)wrong.Seen}, not {(PosixEvents)wrong.Expected}");
            return new PosixResult(count);
        };
    }

    // A time-out below zero waits for ever.
    private long Deadline(long milliseconds)
    {
        if (milliseconds < 0) return long.MaxValue;
        var end = world.Microseconds + (Math.Min(milliseconds, int.MaxValue) * 1_000);
        world.WakeAt(end);
        return end;
    }

    private static long Field(Struct entry, string name) => entry.Get(name) is { } value ? Constants.ValueOf(value) : 0;

    internal PosixResult Control(IReadOnlyList<ScriptValue> a)
    {
        var watch = new PosixWatch();
        if (a.Count > 3 && a[3] is Struct asked)
        {
            var events = Field(asked, "events");
            watch.Wanted = (PosixEvents)(events & 0xFFFF);
            watch.EdgeTriggered = (events & (1L << 31)) != 0;
            watch.Exclusive = (events & (1L << 28)) != 0;
            watch.OneShot = (events & (1L << 30)) != 0;
            watch.Data = Data(asked);
        }
        var operation = a[1] is Name name ? name.Value : "";
        return PosixPolling.Control(_x, ScriptCalls.Integer(a, 0), operation, ScriptCalls.Integer(a, 2), watch);
    }

    private static long Data(Struct entry) =>
        (entry.Get("fd") ?? entry.Get("ptr") ?? entry.Get("u32") ?? entry.Get("u64")) is { } value and not Ellipsis ? Constants.ValueOf(value) : 0;

    internal Func<PosixResult> Wait(IReadOnlyList<ScriptValue> a)
    {
        var deadline = Deadline(ScriptCalls.Integer(a, 3));
        var expected = (a[1] is List list ? list.Items : [a[1]]).OfType<Struct>().ToArray();
        return () =>
        {
            if (_x.Get(ScriptCalls.Integer(a, 0)) is not { Kind: PosixKind.Epoll } epoll) return PosixResult.Fail("EBADF");
            var found = PosixPolling.Wait(_x, epoll, (int)ScriptCalls.Integer(a, 2));
            if (found.Count == 0 && world.Microseconds < deadline) return PosixResult.Waits;
            for (var i = 0; i < Math.Min(found.Count, expected.Length); i++)
            {
                var want = (PosixEvents)(Field(expected[i], "events") & 0xFFFF);
                if (want != found[i].Events) throw new ScriptFailedException($"epoll_wait() reports {found[i].Events}, not {want}");
            }
            return new PosixResult(found.Count);
        };
    }
}
