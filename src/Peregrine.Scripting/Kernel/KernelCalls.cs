// A script's calls made of the running kernel. Each is made on a thread of its own, so that one that blocks waits while the script goes on;
// what it gives back by reference is compared when it has come back. Descriptors have the script's numbers, and the process's others
// cannot be named.
using System.Collections.Concurrent;
using System.Runtime.InteropServices;
using Peregrine.Posix;
using Peregrine.Scripting.Language;
using Peregrine.Scripting.Running;
using static Peregrine.Scripting.Kernel.KernelNative;
using static Peregrine.Scripting.Language.ScriptValue;

namespace Peregrine.Scripting.Kernel;

internal sealed unsafe class KernelCalls : IScriptSystem, IDisposable
{
    private readonly KernelWorld _world;
    private readonly KernelSysctls _sysctls;
    private readonly Dictionary<long, int> _descriptors = [];
    private readonly BlockingCollection<Action> _queue = [];
    private readonly KernelTransfers _transfers;
    private readonly ScriptFileTable _files = new();
    private int _last = -1;

    // Keeps the memory of the call that is being made: the kernel's pointers into it are no references.
    private volatile Func<long>? _running;

    internal KernelCalls(KernelWorld world, KernelSysctls sysctls)
    {
        (_world, _sysctls) = (world, sysctls);
        _transfers = new KernelTransfers(world.Setup, Real);
        // Background: a call that nothing ends must not keep the program.
        new Thread(Work) { IsBackground = true, Name = "script calls" }.Start();
    }

    public string? WasRead { get; set; }

    public ushort? LastBoundPort { get; private set; }

    public int ListenCount { get; private set; }

    private void Work()
    {
        foreach (var call in _queue.GetConsumingEnumerable()) call();
    }

    private int Real(IReadOnlyList<ScriptValue> a, int index) => _descriptors.GetValueOrDefault(Constants.ValueOf(a[index]), -1);

    public Func<PosixResult> Start(CallEvent call)
    {
        var invoke = Prepare(call.Name, call.Arguments);
        PosixResult? result = null;
        Exception? failure = null;
        _queue.Add(() =>
        {
            try
            {
                _running = invoke;
                var value = invoke();
                result = value < 0 ? PosixResult.Fail(LinuxNumbers.ErrorName((int)-value)) : new PosixResult(value);
            }
            catch (Exception e) when (e is ScriptFailedException or NotApplicableException)
            {
                failure = e;
            }
            Thread.MemoryBarrier();
            _world.Wake();
        });
        return () => failure is { } e ? throw e : result ?? PosixResult.Waits;
    }

    /// <summary>A call with its arguments in place: its value, or an error as a negative number.</summary>
    private Func<long> Prepare(string name, IReadOnlyList<ScriptValue> a) => name switch
    {
        "socket" => Socket(a),
        "bind" => Bind(a),
        "listen" => Listen(a),
        "accept" or "accept4" => Accept(a),
        "connect" => Connect(a),
        "close" => Close(a),
        "shutdown" => Two(a, static (fd, how) => KernelNative.Shutdown(fd, how)),
        "fcntl" => Fcntl(a),
        "setsockopt" => KernelOptions.Set(Real(a, 0), a),
        "getsockopt" => KernelOptions.Get(Real(a, 0), a, said => WasRead = said),
        "ioctl" => KernelOptions.Ioctl(Real(a, 0), a),
        "poll" => KernelPolling.Poll(a, fd => _descriptors.GetValueOrDefault(fd, -1)),
        "epoll_create" or "epoll_create1" => static () => Outcome(CreateEpoll(CloseOnExec)),
        "epoll_ctl" => KernelPolling.Control(Real(a, 0), Real(a, 2), a),
        "epoll_wait" => KernelPolling.Wait(Real(a, 0), a),
        "pipe" => Pipe(a),
        "open" => Open(a),
        _ => _transfers.Prepare(name, a) ?? throw new NotApplicableException($"the call {name}() is not put to the kernel"),
    };

    private Func<long> Socket(IReadOnlyList<ScriptValue> a)
    {
        var family = a[0] is Ellipsis ? _world.Setup.IsV6Socket ? 10 : 2 : (int)Constants.ValueOf(a[0]);
        var type = (int)Constants.ValueOf(a[1]);
        var protocol = (int)Constants.ValueOf(a[2]);
        var congestion = KernelArguments.OptionValue(new Text(_sysctls.CongestionControl), null)!;
        return () =>
        {
            var fd = KernelNative.Socket(family, type, protocol);
            if (fd >= 0 && protocol == 6) KernelNative.SetOption(fd, 6, 13, KernelArguments.At(congestion), (uint)congestion.Length - 1);
            return Outcome(fd);
        };
    }

    private Func<long> Bind(IReadOnlyList<ScriptValue> a)
    {
        var value = a.Count > 1 ? a[1] : new Ellipsis();
        var name = KernelArguments.Address(_world.Setup, value, _world.Setup.Local);
        LastBoundPort = System.Buffers.Binary.BinaryPrimitives.ReadUInt16BigEndian(name.AsSpan(2));
        var fd = Real(a, 0);
        return () => Outcome(KernelNative.Bind(fd, KernelArguments.At(name), (uint)name.Length));
    }

    private Func<long> Listen(IReadOnlyList<ScriptValue> a)
    {
        ListenCount++;
        return Two(a, static (fd, backlog) => KernelNative.Listen(fd, backlog));
    }

    private Func<long> Two(IReadOnlyList<ScriptValue> a, Func<int, int, int> call)
    {
        var (fd, number) = (Real(a, 0), (int)Constants.ValueOf(a[1]));
        return () => Outcome(call(fd, number));
    }

    private Func<long> Accept(IReadOnlyList<ScriptValue> a)
    {
        var (fd, flags) = (Real(a, 0), a.Count > 3 ? Constants.ValueOf(a[3]) : 0);
        return () =>
        {
            var accepted = Outcome(KernelNative.Accept(fd, null, null));
            // accept4: SOCK_NONBLOCK is O_NONBLOCK, by F_SETFL.
            if (accepted >= 0 && (flags & 0x800) != 0) _ = Control((int)accepted, 4, 0x800);
            return accepted;
        };
    }

    private Func<long> Connect(IReadOnlyList<ScriptValue> a)
    {
        var name = KernelArguments.Address(_world.Setup, a.Count > 1 ? a[1] : new Ellipsis(), _world.Setup.Remote);
        var fd = Real(a, 0);
        return () => Outcome(KernelNative.Connect(fd, KernelArguments.At(name), (uint)name.Length));
    }

    private Func<long> Close(IReadOnlyList<ScriptValue> a)
    {
        var fd = Real(a, 0);
        _descriptors.Remove(Constants.ValueOf(a[0]));
        if (fd == _last) _last = -1;
        return () => Outcome(KernelNative.Close(fd));
    }

    private Func<long> Fcntl(IReadOnlyList<ScriptValue> a)
    {
        var (fd, command, value) = (Real(a, 0), (int)Constants.ValueOf(a[1]), a.Count > 2 ? Constants.ValueOf(a[2]) : 0);
        return () => Outcome(Control(fd, command, (nint)value));
    }

    private Func<long> Pipe(IReadOnlyList<ScriptValue> a)
    {
        if (a[0] is not List { Items: [Number output, Number input] }) throw new NotApplicableException("pipe() without two descriptors");
        return () =>
        {
            var ends = stackalloc int[2];
            if (KernelNative.Pipe(ends, CloseOnExec) < 0) return Outcome(-1);
            (_descriptors[output.Value], _descriptors[input.Value]) = (ends[0], ends[1]);
            return 0;
        };
    }

    // A file of the script's is its length in memory.
    private Func<long> Open(IReadOnlyList<ScriptValue> a)
    {
        if (a[0] is not Text name || !_files.TryGetLength(name.Value, out var length)) return static () => -2;
        return () =>
        {
            var fd = MemoryFile("script", 1);
            return fd >= 0 && Truncate(fd, length) < 0 ? Outcome(-1) : Outcome(fd);
        };
    }

    public PosixResult Rename(CallEvent call, PosixResult result)
    {
        if (call.Name is not ("socket" or "accept" or "accept4" or "open" or "epoll_create" or "epoll_create1") || result.Errno is not null) return result;
        var wanted = call.Result is Number { Value: >= 0 } number ? number.Value : result.Value;
        _descriptors[wanted] = (int)result.Value;
        if (!call.Name.StartsWith("epoll", StringComparison.Ordinal) && call.Name != "open") _last = (int)result.Value;
        return new PosixResult(wanted);
    }

    public long? LookUp(string name)
    {
        Span<byte> info = stackalloc byte[KernelInfo.Length];
        info.Clear();
        var length = (uint)KernelInfo.Length;
        fixed (byte* into = info)
        {
            return KernelNative.GetOption(_last, 6, 11, into, &length) == 0 ? KernelInfo.LookUp(info, name) : InfoNames.Constant(name);
        }
    }

    public void Shell(string command, bool isUsed, bool packetsFollow)
    {
        _files.Run(command);
        if (StateCheck.Is(command)) StateCheck.Run(_world, command);
        // What comes first was set before the script's time began.
        else if (isUsed) _sysctls.Run(command);
    }

    // A call that still waits comes back when its socket is shut; the namespace ends with its last descriptor.
    public void Dispose()
    {
        foreach (var fd in _descriptors.Values)
        {
            _ = KernelNative.Shutdown(fd, 2);
            _ = KernelNative.Close(fd);
        }
        _queue.CompleteAdding();
    }
}
