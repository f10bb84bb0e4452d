// Control messages: those that the kernel gave with recvmsg, compared with what a script expects of them, and those of sendmsg as bytes.
using System.Runtime.InteropServices;
using Peregrine.Scripting.Running;
using static Peregrine.Scripting.Language.ScriptValue;

namespace Peregrine.Scripting.Kernel;

internal static class KernelMessages
{
    // struct cmsghdr: a length of 8 bytes, level and type, the data; each message begins on a multiple of 8.
    private const int HeaderLength = 16;

    /// <summary>Compares; times count from the script's start, which was at the given time of the day.</summary>
    internal static void Check(ReadOnlySpan<byte> control, List expected, long startNanoseconds, long toleranceMicroseconds)
    {
        foreach (var want in expected.Items.OfType<Struct>())
        {
            if (control.Length < HeaderLength) throw new ScriptFailedException($"there is no control message of the type {want.Get("cmsg_type")}");
            var length = (int)MemoryMarshal.Read<long>(control);
            var data = control[HeaderLength..length];
            switch (want.Get("cmsg_data"))
            {
                case Struct stamp when stamp.Get("scm_sec") is { } seconds:
                    var at = (MemoryMarshal.Read<long>(data) * 1_000_000_000 + MemoryMarshal.Read<long>(data[8..]) - startNanoseconds) / 1_000;
                    var due = Constants.ValueOf(seconds) * 1_000_000 + Constants.ValueOf(stamp.Get("scm_nsec") ?? new Number(0)) / 1_000;
                    if (Math.Abs(at - due) > toleranceMicroseconds) throw new ScriptFailedException($"the timestamp is of {at} µs, not {due}");
                    break;
                case Struct error:
                    Compare(error, "ee_errno", MemoryMarshal.Read<uint>(data));
                    Compare(error, "ee_origin", data[4]);
                    Compare(error, "ee_code", data[6]);
                    Compare(error, "ee_info", MemoryMarshal.Read<uint>(data[8..]));
                    Compare(error, "ee_data", MemoryMarshal.Read<uint>(data[12..]));
                    break;
                case { } number:
                    var seen = MemoryMarshal.Read<int>(data);
                    if (seen != Constants.ValueOf(number)) throw new ScriptFailedException($"{want.Get("cmsg_type")} is {seen}, not {Constants.ValueOf(number)}");
                    break;
            }
            control = control[Math.Min(control.Length, (length + 7) & ~7)..];
        }
    }

    /// <summary>A call's messages, each with a number of four bytes.</summary>
    internal static byte[] Make(List messages)
    {
        var structs = messages.Items.OfType<Struct>().ToList();
        var bytes = KernelArguments.Fixed(structs.Count * (HeaderLength + sizeof(long)));
        for (var i = 0; i < structs.Count; i++)
        {
            var at = bytes.AsSpan(i * (HeaderLength + sizeof(long)));
            MemoryMarshal.Write(at, (long)(HeaderLength + sizeof(int)));
            MemoryMarshal.Write(at[8..], (int)Constants.ValueOf(structs[i].Get("cmsg_level") ?? new Number(0)));
            MemoryMarshal.Write(at[12..], (int)Constants.ValueOf(structs[i].Get("cmsg_type") ?? new Number(0)));
            MemoryMarshal.Write(at[HeaderLength..], (int)Constants.ValueOf(structs[i].Get("cmsg_data") ?? new Number(0)));
        }
        return bytes;
    }

    private static void Compare(Struct expected, string field, long seen)
    {
        if (expected.Get(field) is { } want && Constants.ValueOf(want) != seen) throw new ScriptFailedException($"{field} is {seen}, not {Constants.ValueOf(want)}");
    }
}
