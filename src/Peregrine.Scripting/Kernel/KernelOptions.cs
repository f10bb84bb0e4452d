// setsockopt, getsockopt and ioctl of the running kernel, with what a script expects of a value that is read.
using System.Runtime.InteropServices;
using System.Text;
using Peregrine.Scripting.Language;
using Peregrine.Scripting.Running;
using static Peregrine.Scripting.Kernel.KernelNative;
using static Peregrine.Scripting.Language.ScriptValue;

namespace Peregrine.Scripting.Kernel;

internal static unsafe class KernelOptions
{
    private const int LengthMax = 256;

    internal static Func<long> Set(int fd, IReadOnlyList<ScriptValue> a)
    {
        var (level, option) = ((int)Constants.ValueOf(a[1]), (int)Constants.ValueOf(a[2]));
        var value = KernelArguments.OptionValue(a[3], a.Count > 4 ? a[4] : null);
        var said = a.Count > 4 && a[4] is Number number ? (int)number.Value : value?.Length ?? sizeof(int);
        // Below zero is the kernel's to refuse; more than there is would be somebody else's memory.
        var length = said < 0 || value is null ? said : Math.Min(said, value.Length);
        return () => Outcome(SetOption(fd, level, option, KernelArguments.At(value), (uint)length));
    }

    internal static Func<long> Get(int fd, IReadOnlyList<ScriptValue> a, Action<string> tell)
    {
        var (level, option) = ((int)Constants.ValueOf(a[1]), (int)Constants.ValueOf(a[2]));
        var name = a[2] is Name n ? n.Value : LinuxNumbers.OptionName(level, option) ?? "the option";
        var expected = a[3] is List { Items: [var only] } ? only : a[3];
        var said = a.Count > 4 && (a[4] is List { Items: [var inner] } ? inner : a[4]) is Number number ? (int)number.Value : LengthMax;
        return () =>
        {
            var value = KernelArguments.Fixed(LengthMax);
            var length = (uint)Math.Min(said, LengthMax);
            var result = Outcome(GetOption(fd, level, option, KernelArguments.At(value), &length));
            if (result != 0) return result;
            tell(Describe(value.AsSpan(0, (int)length)));
            Compare(name, expected, value.AsSpan(0, (int)length));
            return result;
        };
    }

    private static string Describe(ReadOnlySpan<byte> value) => value.Length switch
    {
        1 => $"{value[0]}",
        sizeof(int) => $"{MemoryMarshal.Read<int>(value)}",
        sizeof(long) => $"{MemoryMarshal.Read<int>(value)} {MemoryMarshal.Read<int>(value[4..])}",
        _ => $"{value.Length} bytes {Convert.ToHexStringLower(value)}",
    };

    private static void Compare(string name, ScriptValue expected, ReadOnlySpan<byte> value)
    {
        if (expected is Ellipsis) return;
        var number = value.Length >= sizeof(int) ? MemoryMarshal.Read<int>(value) : value.Length > 0 ? value[0] : 0;
        switch (expected)
        {
            case Name error when name == "SO_ERROR":
                Compare(name, LinuxNumbers.ErrorName(number), error.Value);
                break;
            case Text text:
                Compare(name, Encoding.ASCII.GetString(value).TrimEnd('\0'), text.Value);
                break;
            // struct linger and struct timeval: two numbers.
            case Struct pair when value.Length is 8 or 16:
                for (var i = 0; i < pair.Fields.Count; i++)
                {
                    var at = value[(i * value.Length / 2)..];
                    var seen = value.Length == 16 ? MemoryMarshal.Read<long>(at) : MemoryMarshal.Read<int>(at);
                    if (pair.Fields[i].Value is not Ellipsis) Compare(pair.Fields[i].Key, $"{seen}", $"{Constants.ValueOf(pair.Fields[i].Value)}");
                }
                break;
            case Struct:
                throw new NotApplicableException($"{name} as a structure is not put to the kernel");
            default:
                var wanted = Constants.ValueOf(expected);
                if (value.Length == sizeof(long) && wanted > int.MaxValue) Compare(name, $"{MemoryMarshal.Read<long>(value)}", $"{wanted}");
                else Compare(name, $"{number}", $"{wanted}");
                break;
        }
    }

    private static void Compare(string name, string seen, string wanted)
    {
        if (seen != wanted) throw new ScriptFailedException($"{name} is {seen}, not {wanted}");
    }

    internal static Func<long> Ioctl(int fd, IReadOnlyList<ScriptValue> a)
    {
        var request = (nuint)Constants.ValueOf(a[1]);
        long? wanted = a.Count < 3 || (a[2] is List { Items: [var only] } ? only : a[2]) is Ellipsis ? null : Constants.ValueOf(a[2]);
        return () =>
        {
            // What is set is given by reference as well.
            var value = (int)(wanted ?? 0);
            var result = Outcome(IoControl(fd, request, &value));
            if (result == 0 && wanted is not null && value != wanted) throw new ScriptFailedException($"{a[1]} is {value}, not {wanted}");
            return result;
        };
    }
}
