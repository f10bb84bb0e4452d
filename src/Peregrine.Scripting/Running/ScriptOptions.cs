// setsockopt, getsockopt and ioctl as scripts write them: by name, with the value in brackets, and for reads the value that is expected.
using Peregrine.Posix;
using Peregrine.Scripting.Language;
using static Peregrine.Scripting.Language.ScriptValue;

namespace Peregrine.Scripting.Running;

internal sealed class ScriptOptions(ScriptWorld world)
{
    private readonly PosixSockets _x = world.Sockets;

    internal string? WasRead { get; set; }

    // Linux knows options by level and number: what a script calls otherwise, or only numbers, has the name of that pair.
    private string NameOf(IReadOnlyList<ScriptValue> a)
    {
        if (a.Count < 3) throw new ScriptFailedException("an option without a level and a name");
        var said = a[2] is Name name ? name.Value : null;
        if (_x.Manners.IsFreeBsd) return said ?? throw new NotApplicableException($"an option without a name ({a[2]})");
        if (said is not null && !LinuxNumbers.TryGet(said, out _)) return said;
        var (level, number) = (Constants.ValueOf(a[1]), Constants.ValueOf(a[2]));
        return LinuxNumbers.OptionName(level, number) ?? throw new NotApplicableException($"the socket option {number} of the level {level} is not there");
    }

    private static long LengthOf(IReadOnlyList<ScriptValue> a, long usual) => a.Count > 4 && Inner(a[4]) is Number said ? (int)said.Value : usual;

    internal PosixResult Set(IReadOnlyList<ScriptValue> a)
    {
        var fd = ScriptCalls.Integer(a, 0);
        var name = NameOf(a);
        var length = LengthOf(a, Inner(a[3]) is Struct ? 16 : sizeof(int));
        if (length < 0) return PosixResult.Fail("EINVAL");
        if (a[3] is Name { Value: "NULL" }) return PosixOptions.Set(_x, fd, name, null, length, world.Now) ?? PosixResult.Fail("EFAULT");
        if (ScriptTimeouts.Is(name)) return ScriptTimeouts.Set(_x, fd, name, Inner(a[3]), length);
        if (name == "SO_BINDTODEVICE") return BindToDevice(fd, Inner(a[3]));
        if (name == "SO_LINGER") return length < 8 ? PosixResult.Fail("EINVAL") : SetLinger(fd, Inner(a[3]) is Struct pair ? pair : new Struct([new("onoff", Inner(a[3]))]));
        if (name == "TCP_CONGESTION") return Congestion(fd, a[3], length);
        if (name == "TCP_FASTOPEN_KEY") return SetFastOpenKey(fd, a);
        if (name == "TCP_FUNCTION_BLK") return ChooseStack(fd, a[3]);
        if (name == "SO_ACCEPTFILTER") throw new NotApplicableException("accept filters are not implemented");
        if (name is "TCP_LOGID" or "TCP_LOG_TAG" && Inner(a[3]) is Text) return _x.Get(fd) is null ? PosixResult.Fail("EBADF") : PosixResult.Success;
        // FreeBSD's structure says whether, and with which key the peer is known; keys are its own business.
        var value = Constants.ValueOf(name == "TCP_FASTOPEN" && Inner(a[3]) is Struct both ? both.Get("enable") ?? new Number(0) : a[3]);
        if (PosixOptions.Set(_x, fd, name, value, length, world.Now) is { } result) return result;
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

    // There is one interface, and every socket is on it.
    private PosixResult BindToDevice(long fd, ScriptValue name) =>
        _x.Get(fd) is null ? PosixResult.Fail("EBADF") : name is Text { Value: "" or "tun0" or "lo" } ? PosixResult.Success : PosixResult.Fail("ENODEV");

    private PosixResult SetLinger(long fd, Struct linger)
    {
        if (_x.Get(fd) is not { } s) return PosixResult.Fail("EBADF");
        s.Kept["SO_LINGER.on"] = Constants.ValueOf(linger.Get("onoff") ?? linger.Get("l_onoff") ?? new Number(0));
        s.Kept["SO_LINGER.time"] = Constants.ValueOf(linger.Get("linger") ?? linger.Get("l_linger") ?? new Number(0));
        return PosixResult.Success;
    }

    private PosixResult Congestion(long fd, ScriptValue value, long length)
    {
        if (Inner(value) is not Text text) throw new NotApplicableException("TCP_CONGESTION without a name");
        if (length == 0) return PosixResult.Fail("EINVAL");
        // As many letters as the call says there are.
        var name = _x.Manners.IsFreeBsd || length >= text.Value.Length ? text.Value : text.Value[..(int)length];
        return PosixOptions.SetCongestion(_x, fd, OurName(name), world.Now);
    }

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
        var name = NameOf(a);
        var length = LengthOf(a, sizeof(int));
        if (_x.Manners.IsFreeBsd && length < 0) return PosixResult.Fail("EINVAL");
        if (!_x.Manners.IsFreeBsd && PosixLinuxOptions.RefuseRead(s, name, length) is { } refusal) return PosixResult.Fail(refusal);
        if (PosixOptions.IsOfGone(_x, s, name)) return PosixResult.Fail("ECONNRESET");
        var expected = Inner(a[3]);
        if (name == "SO_ERROR")
        {
            var error = PosixTransfer.TakeAnyError(_x, s, world.Now) ?? "0";
            WasRead = error;
            var wanted = expected switch { Number { Value: 0 } => "0", Name e => e.Value, Number number when !_x.Manners.IsFreeBsd => LinuxNumbers.ErrorName(number.Value), _ => error };
            return error == wanted ? PosixResult.Success : throw new ScriptFailedException($"SO_ERROR is {error}, not {wanted}");
        }
        if (name == "TCP_CONGESTION")
        {
            WasRead = s.Settings.CongestionControl;
            if (expected is Text text && OurName(text.Value) != s.Settings.CongestionControl) throw new ScriptFailedException($"TCP_CONGESTION is {s.Settings.CongestionControl}, not {text.Value}");
            return PosixResult.Success;
        }
        if (name == "TCP_FUNCTION_BLK" && expected is Struct)
        {
            var stack = FreeBsdStacks.NameOf(s.Settings);
            return StackOf(expected) == stack ? PosixResult.Success : throw new ScriptFailedException($"TCP_FUNCTION_BLK is {stack}, not {StackOf(expected)}");
        }
        if (name == "SO_LINGER") return CheckLinger(s, expected);
        if (ScriptTimeouts.Is(name))
        {
            WasRead = ScriptTimeouts.Check(s, name, expected);
            return PosixResult.Success;
        }
        // %{ }% looks into it.
        if (name == "TCP_INFO" && expected is Ellipsis) return PosixResult.Success;
        if (name == "SO_TIMESTAMPING_NEW") name = "SO_TIMESTAMPING";
        if (PosixOptions.Get(_x, s, name, world.Now) is not { } value)
            return world.Setup.CallsAreNotFatal ? PosixResult.Fail("ENOPROTOOPT") : throw new NotApplicableException($"the socket option {name} is not there");
        WasRead = $"{value}";
        if (expected is Ellipsis) return PosixResult.Success;
        var want = Constants.ValueOf(expected);
        return value == want ? PosixResult.Success : throw new ScriptFailedException($"{name} is {value}, not {want}");
    }

    private PosixResult CheckLinger(PosixSocket s, ScriptValue expected)
    {
        var (on, time) = (s.Kept.GetValueOrDefault("SO_LINGER.on"), s.Kept.GetValueOrDefault("SO_LINGER.time"));
        WasRead = $"{on} {time}";
        if (expected is Number first && first.Value != on) throw new ScriptFailedException($"SO_LINGER has onoff {on}, not {first.Value}");
        foreach (var (field, value) in expected is Struct pair ? pair.Fields : [])
        {
            if (value is Ellipsis) continue;
            var kept = field.EndsWith("onoff", StringComparison.Ordinal) ? on : time;
            if (kept != Constants.ValueOf(value)) throw new ScriptFailedException($"SO_LINGER has {field} {kept}, not {Constants.ValueOf(value)}");
        }
        return PosixResult.Success;
    }

    internal PosixResult Ioctl(IReadOnlyList<ScriptValue> a)
    {
        if (_x.Get(ScriptCalls.Integer(a, 0)) is not { } s) return PosixResult.Fail("EBADF");
        var name = a[1] is Name said ? said.Value : throw new NotApplicableException($"ioctl() with {a[1]}");
        if (name == "FIONBIO")
        {
            s.NonBlocking = Constants.ValueOf(a[2]) != 0;
            return PosixResult.Success;
        }
        if (name is "SIOCINQ" or "FIONREAD" && s.Phase == PosixPhase.Listening) return PosixResult.Fail("EINVAL");
        if (PosixOptions.Get(_x, s, name, world.Now) is not { } value) throw new NotApplicableException($"ioctl() with {name}");
        WasRead = $"{value}";
        if (a.Count < 3 || Inner(a[2]) is Ellipsis) return PosixResult.Success;
        var want = Constants.ValueOf(a[2]);
        return value == want ? PosixResult.Success : throw new ScriptFailedException($"{name} is {value}, not {want}");
    }
}
