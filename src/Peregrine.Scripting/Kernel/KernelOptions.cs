// setsockopt, getsockopt and ioctl of the running kernel, with what a script expects of a value that is read.
using System.Runtime.InteropServices;
using System.Text;
using Peregrine.Scripting.Language;
using static Peregrine.Scripting.Kernel.KernelNative;
using static Peregrine.Scripting.Language.ScriptValue;

namespace Peregrine.Scripting.Kernel;

internal static unsafe class KernelOptions
{
    internal static Func<long> Set(int fd, IReadOnlyList<ScriptValue> a)
    {
        var (level, option) = ((int)KernelNumbers.ValueOf(a[1]), (int)KernelNumbers.ValueOf(a[2]));
        var value = KernelArguments.OptionValue(a[3], a.Count > 4 ? a[4] : null);
        var length = a.Count > 4 && a[4] is Number said ? (uint)said.Value : (uint)(value?.Length ?? sizeof(int));
        return () => Outcome(SetOption(fd, level, option, KernelArguments.At(value), Math.Min(length, (uint)(value?.Length ?? 0))));
    }

    internal static Func<long> Get(int fd, IReadOnlyList<ScriptValue> a)
    {
        var (level, option) = ((int)KernelNumbers.ValueOf(a[1]), (int)KernelNumbers.ValueOf(a[2]));
        var name = a[2] is Name n ? n.Value : "the option";
        var expected = a[3] is List { Items: [var only] } ? only : a[3];
        return () =>
        {
            var value = KernelArguments.Fixed(256);
            var length = (uint)value.Length;
            var result = Outcome(GetOption(fd, level, option, KernelArguments.At(value), &length));
            if (result == 0) Compare(name, expected, value.AsSpan(0, (int)length));
            return result;
        };
    }

    private static void Compare(string name, ScriptValue expected, ReadOnlySpan<byte> value)
    {
        if (expected is Ellipsis) return;
        var number = value.Length >= sizeof(int) ? MemoryMarshal.Read<int>(value) : 0;
        var (seen, wanted) = (name, expected) switch
        {
            ("SO_ERROR", Name error) => (KernelNumbers.ErrorName(number), error.Value),
            (_, Text text) => (Encoding.ASCII.GetString(value).TrimEnd('\0'), text.Value),
            (_, Struct) => throw new NotApplicableException($"{name} as a structure is not put to the kernel"),
            _ => ($"{number}", $"{KernelNumbers.ValueOf(expected)}"),
        };
        if (seen != wanted) throw new ScriptFailedException($"{name} is {seen}, not {wanted}");
    }

    internal static Func<long> Ioctl(int fd, IReadOnlyList<ScriptValue> a)
    {
        var (request, wanted) = ((nuint)KernelNumbers.ValueOf(a[1]), KernelNumbers.ValueOf(a[2]));
        return () =>
        {
            var value = 0;
            var result = Outcome(IoControl(fd, request, &value));
            if (result == 0 && value != wanted) throw new ScriptFailedException($"{a[1]} is {value}, not {wanted}");
            return result;
        };
    }
}
