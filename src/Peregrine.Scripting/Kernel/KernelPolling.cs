// poll and epoll of the running kernel.
using System.Runtime.InteropServices;
using Peregrine.Posix;
using Peregrine.Scripting.Language;
using Peregrine.Scripting.Running;
using static Peregrine.Scripting.Kernel.KernelNative;
using static Peregrine.Scripting.Language.ScriptValue;

namespace Peregrine.Scripting.Kernel;

internal static unsafe class KernelPolling
{
    private static long Field(Struct entry, string name) => entry.Get(name) is { } value and not Ellipsis ? Constants.ValueOf(value) : 0;

    internal static Func<long> Poll(IReadOnlyList<ScriptValue> a, Func<long, int> real)
    {
        var asked = a[0] is List list ? list.Items.OfType<Struct>().ToArray() : throw new NotApplicableException("poll() without a list");
        var milliseconds = (int)Constants.ValueOf(a[2]);
        var entries = GC.AllocateArray<PollEntry>(asked.Length, pinned: true);
        for (var i = 0; i < asked.Length; i++) entries[i] = new PollEntry { Descriptor = real(Field(asked[i], "fd")), Events = (short)Field(asked[i], "events") };
        return () =>
        {
            long result;
            fixed (PollEntry* first = entries) result = Outcome(KernelNative.Poll(first, (nuint)entries.Length, milliseconds));
            for (var i = 0; i < asked.Length && result >= 0; i++)
            {
                var wanted = Field(asked[i], "revents");
                if (entries[i].Reported != wanted) throw new ScriptFailedException($"poll() reports {(PosixEvents)entries[i].Reported}, not {(PosixEvents)wanted}");
            }
            return result;
        };
    }

    internal static Func<long> Control(int epoll, int fd, IReadOnlyList<ScriptValue> a)
    {
        var operation = (int)Constants.ValueOf(a[1]);
        var record = KernelArguments.Fixed(EventSize);
        if (a.Count > 3 && a[3] is Struct asked) MemoryMarshal.Write(record, (uint)Field(asked, "events"));
        return () => Outcome(ControlEpoll(epoll, operation, fd, KernelArguments.At(record)));
    }

    internal static Func<long> Wait(int epoll, IReadOnlyList<ScriptValue> a)
    {
        var expected = (a[1] is List list ? list.Items : [a[1]]).OfType<Struct>().ToArray();
        var (count, milliseconds) = ((int)Constants.ValueOf(a[2]), (int)Constants.ValueOf(a[3]));
        var records = KernelArguments.Fixed(Math.Max(1, count) * EventSize);
        return () =>
        {
            var result = Outcome(WaitEpoll(epoll, KernelArguments.At(records), count, milliseconds));
            for (var i = 0; i < Math.Min(result, expected.Length); i++)
            {
                var seen = (PosixEvents)MemoryMarshal.Read<uint>(records.AsSpan(i * EventSize));
                var wanted = (PosixEvents)(Field(expected[i], "events") & 0xFFFF);
                if (seen != wanted) throw new ScriptFailedException($"epoll_wait() reports {seen}, not {wanted}");
            }
            return result;
        };
    }
}
