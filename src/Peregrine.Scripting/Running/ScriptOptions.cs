// setsockopt, getsockopt and ioctl as scripts write them: by name, with the value in brackets, and for reads the value that is expected.
using Peregrine.Posix;
using Peregrine.Scripting.Language;
using static Peregrine.Scripting.Language.ScriptValue;

namespace Peregrine.Scripting.Running;

internal sealed class ScriptOptions(ScriptWorld world)
{
    private readonly PosixSockets _x = world.Sockets;

    private static string NameOf(ScriptValue value) =>
        value is Name name ? name.Value : throw new NotApplicableException($"an option without a name ({value})");

    internal PosixResult Set(IReadOnlyList<ScriptValue> a)
    {
        var fd = ScriptCalls.Integer(a, 0);
        var name = NameOf(a[2]);
        if (a[3] is Name { Value: "NULL" }) return PosixResult.Fail("EFAULT");
        if (name == "SO_LINGER" && Inner(a[3]) is Struct linger) return SetLinger(fd, linger);
        if (name == "TCP_CONGESTION") return Congestion(fd, a[3]);
        if (name == "TCP_FASTOPEN_KEY") return SetFastOpenKey(fd, a);
        if (name == "TCP_FUNCTION_BLK") return ChooseStack(fd, a[3]);
        // An option that does nothing when it is off needs nothing that is not there.
        var value = Constants.ValueOf(a[3]);
        if (PosixOptions.Set(_x, fd, name, value, world.Now) is { } result) return result;
        // Where calls may fail, an option that is not there is one that fails.
        return world.Setup.CallsAreNotFatal ? PosixResult.Fail("ENOPROTOOPT") : throw new NotApplicableException($"the socket option {name} is not there");
    }

    private PosixResult SetFastOpenKey(long fd, IReadOnlyList<ScriptValue> a)
    {
        if (_x.Get(fd) is not { } s) return PosixResult.Fail("EBADF");
        var text = Inner(a[3]) is Text { Value: var value } ? value : throw new NotApplicableException("TCP_FASTOPEN_KEY without its bytes");
        var length = Constants.ValueOf(a[4]);
        byte[] bytes = [.. text.Split(@"\x", StringSplitOptions.RemoveEmptyEntries).Select(static hex => Convert.ToByte(hex[..2], 16))];
        return PosixFastOpen.SetKey(_x, s, bytes.Length == length ? bytes : new byte[Math.Clamp(length, 0, 64)]);
    }

    private static ScriptValue Inner(ScriptValue value) => value is List { Items: [var only] } ? only : value;

    private PosixResult SetLinger(long fd, Struct linger)
    {
        if (_x.Get(fd) is not { } s) return PosixResult.Fail("EBADF");
        s.Kept["SO_LINGER.on"] = Constants.ValueOf(linger.Get("onoff") ?? linger.Get("l_onoff") ?? new Number(0));
        s.Kept["SO_LINGER.time"] = Constants.ValueOf(linger.Get("linger") ?? linger.Get("l_linger") ?? new Number(0));
        return PosixResult.Success;
    }

    private PosixResult Congestion(long fd, ScriptValue value) =>
        Inner(value) is Text text ? PosixOptions.SetCongestion(_x, fd, OurName(text.Value), world.Now) : throw new NotApplicableException("TCP_CONGESTION without a name");

    // FreeBSD calls it NewReno.
    private static string OurName(string algorithm) => algorithm == "newreno" ? "reno" : algorithm;

    private static string StackOf(ScriptValue value) =>
        Inner(value) is Struct s && s.Get("function_set_name") is Text text ? text.Value : throw new NotApplicableException("TCP_FUNCTION_BLK without function_set_name");

    private PosixResult ChooseStack(long fd, ScriptValue value)
    {
        if (_x.Get(fd) is not { } s) return PosixResult.Fail("EBADF");
        return FreeBsdStacks.Choose(s.Settings, StackOf(value)) is { } settings ? PosixOptions.Replace(_x, s, settings, world.Now) : PosixResult.Fail("ENOENT");
    }

    internal PosixResult Get(IReadOnlyList<ScriptValue> a)
    {
        if (_x.Get(ScriptCalls.Integer(a, 0)) is not { } s) return PosixResult.Fail("EBADF");
        var name = NameOf(a[2]);
        var expected = Inner(a[3]);
        if (name == "SO_ERROR")
        {
            var error = PosixTransfer.TakeAnyError(_x, s, world.Now) ?? "0";
            var wanted = expected switch { Number { Value: 0 } => "0", Name e => e.Value, _ => error };
            return error == wanted ? PosixResult.Success : throw new ScriptFailedException($"SO_ERROR is {error}, not {wanted}");
        }
        if (name == "TCP_CONGESTION")
        {
            if (expected is Text text && OurName(text.Value) != s.Settings.CongestionControl) throw new ScriptFailedException($"TCP_CONGESTION is {s.Settings.CongestionControl}, not {text.Value}");
            return PosixResult.Success;
        }
        if (name == "TCP_FUNCTION_BLK" && expected is Struct)
        {
            var stack = FreeBsdStacks.NameOf(s.Settings);
            return StackOf(expected) == stack ? PosixResult.Success : throw new ScriptFailedException($"TCP_FUNCTION_BLK is {stack}, not {StackOf(expected)}");
        }
        if (name == "SO_LINGER" && expected is Struct linger) return CheckLinger(s, linger);
        if (PosixOptions.Get(_x, s, name, world.Now) is not { } value) throw new NotApplicableException($"the socket option {name} is not there");
        if (expected is Ellipsis) return PosixResult.Success;
        var want = Constants.ValueOf(expected);
        return value == want ? PosixResult.Success : throw new ScriptFailedException($"{name} is {value}, not {want}");
    }

    private static PosixResult CheckLinger(PosixSocket s, Struct expected)
    {
        foreach (var (field, value) in expected.Fields)
        {
            if (value is Ellipsis) continue;
            var kept = s.Kept.GetValueOrDefault(field.EndsWith("onoff", StringComparison.Ordinal) ? "SO_LINGER.on" : "SO_LINGER.time");
            if (kept != Constants.ValueOf(value)) throw new ScriptFailedException($"SO_LINGER has {field} {kept}, not {Constants.ValueOf(value)}");
        }
        return PosixResult.Success;
    }

    internal PosixResult Ioctl(IReadOnlyList<ScriptValue> a)
    {
        if (_x.Get(ScriptCalls.Integer(a, 0)) is not { } s) return PosixResult.Fail("EBADF");
        var name = NameOf(a[1]);
        if (PosixOptions.Get(_x, s, name, world.Now) is not { } value) throw new NotApplicableException($"ioctl() with {name}");
        var want = Constants.ValueOf(a[2]);
        return value == want ? PosixResult.Success : throw new ScriptFailedException($"{name} is {value}, not {want}");
    }
}
