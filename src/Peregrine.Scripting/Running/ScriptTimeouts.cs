// How long calls that block do so at most (socket(7), SO_RCVTIMEO and SO_SNDTIMEO): what they say then is what a call says that may not wait.
using Peregrine.Posix;
using Peregrine.Scripting.Language;
using static Peregrine.Scripting.Language.ScriptValue;

namespace Peregrine.Scripting.Running;

internal static class ScriptTimeouts
{
    // struct timeval of 64-bit systems.
    private const int Length = 16;
    private const long Second = 1_000_000;

    internal static bool Is(string name) => name is "SO_RCVTIMEO" or "SO_SNDTIMEO";

    /// <summary>Seconds and microseconds of a structure, with names of its fields or without.</summary>
    internal static (long Seconds, long Microseconds) Read(ScriptValue value) => value switch
    {
        Struct { Fields: [var seconds] } => (Constants.ValueOf(seconds.Value), 0),
        Struct { Fields: [var seconds, var rest, ..] } => (Constants.ValueOf(seconds.Value), Constants.ValueOf(rest.Value)),
        _ => (Constants.ValueOf(value), 0),
    };

    internal static PosixResult Set(PosixSockets x, long fd, string name, ScriptValue value, long length)
    {
        if (x.Get(fd) is not { } s) return PosixResult.Fail("EBADF");
        if (length < Length) return PosixResult.Fail("EINVAL");
        var (seconds, rest) = Read(value);
        if (rest is < 0 or >= Second || (seconds < 0 && x.Manners.IsFreeBsd)) return PosixResult.Fail("EDOM");
        // Linux: below zero nobody waits at all. Read back it is none.
        s.Kept[name] = seconds < 0 ? -1 : (seconds * Second) + rest;
        return PosixResult.Success;
    }

    /// <summary>Compares what is set with what a script expects; its value, for the trace.</summary>
    internal static string Check(PosixSocket s, string name, ScriptValue expected)
    {
        var kept = Math.Max(0, s.Kept.GetValueOrDefault(name));
        if (expected is not Ellipsis && Read(expected) is var (seconds, rest) && (seconds * Second) + rest != kept)
            throw new ScriptFailedException($"{name} is {kept} µs, not {(seconds * Second) + rest}");
        return $"{kept / Second} {kept % Second}";
    }

    /// <summary>A call that waits no longer than its socket is told to.</summary>
    internal static Func<PosixResult> Limit(ScriptWorld world, CallEvent call, Func<PosixResult> attempt)
    {
        var option = call.Name switch
        {
            "accept" or "accept4" or "read" or "readv" or "recv" or "recvfrom" or "recvmsg" => "SO_RCVTIMEO",
            "connect" or "write" or "writev" or "send" or "sendto" or "sendmsg" or "sendfile" => "SO_SNDTIMEO",
            _ => "",
        };
        if (call.Arguments is not [Number fd, ..] || world.Sockets.Get(fd.Value) is not { } s || s.Kept.GetValueOrDefault(option) is not (not 0 and var limit)) return attempt;
        var end = world.Microseconds + limit;
        if (limit > 0) world.WakeAt(end);
        return () =>
        {
            var result = attempt();
            if (!result.Blocks || world.Microseconds < end) return result;
            s.NonBlocking = true;
            result = attempt();
            s.NonBlocking = false;
            return result;
        };
    }
}
