// The system calls that scripts make, over the Posix room: a call becomes a function that is asked until it no longer blocks, and that
// checks by itself what it gives back by reference.
using Peregrine.Core;
using Peregrine.Posix;
using Peregrine.Scripting.Language;
using Peregrine.Wire;
using static Peregrine.Scripting.Language.ScriptValue;

namespace Peregrine.Scripting.Running;

internal sealed class ScriptCalls : IScriptSystem
{
    /// <summary>The port that scripts bind where they leave it open, and connect to.</summary>
    internal const ushort BoundPort = 8_080;

    private const int BufferMax = 64 * 1024 * 1024;

    private readonly ScriptWorld _world;
    private readonly PosixSockets _x;
    private readonly ScriptOptions _options;
    private readonly ScriptPolling _polling;
    private readonly ScriptMessages _messages;
    private readonly ScriptFiles _files;
    private readonly ScriptShell _shell;

    internal ScriptCalls(ScriptWorld world, StackOptions options)
    {
        var files = new ScriptFileTable();
        (_world, _x) = (world, world.Sockets);
        (_options, _polling, _messages, _files) = (new ScriptOptions(_world), new ScriptPolling(_world), new ScriptMessages(_world), new ScriptFiles(world, files));
        _shell = new ScriptShell(world, options, files);
    }

    /// <summary>The last descriptor of a TCP socket that was made: what tcp_info is asked of.</summary>
    internal long LastSocket { get; private set; } = -1;

    public string? WasRead
    {
        get => _options.WasRead;
        set => _options.WasRead = value;
    }

    public ushort? LastBoundPort { get; private set; }

    public int ListenCount { get; private set; }

    /// <summary>A script calls descriptors what it likes: where its number is another than ours, the socket is moved there.</summary>
    public PosixResult Rename(CallEvent call, PosixResult result)
    {
        if (call.Name is not ("socket" or "accept" or "accept4" or "epoll_create" or "epoll_create1")) return result;
        if (result.Errno is not null || result.Value < 0 || call.Result is not Number { Value: > 2 and < 1_000 } wanted || wanted.Value == result.Value) return result;
        if (!_x.TryMove(result.Value, wanted.Value)) return result;
        if (LastSocket == result.Value) LastSocket = wanted.Value;
        return new PosixResult(wanted.Value);
    }

    public long? LookUp(string name) => InfoNames.LookUp(_world, _x.Get(LastSocket), name);

    public void Shell(string command, bool isUsed, bool packetsFollow) => _shell.Run(command, isUsed, packetsFollow);

    public Func<PosixResult> Start(CallEvent call) => ScriptTimeouts.Limit(_world, call, Begin(call));

    private Func<PosixResult> Begin(CallEvent call)
    {
        var a = call.Arguments;
        switch (call.Name)
        {
            case "socket":
                return Once(() => Socket(a));
            case "bind":
                return Once(() => Bind(a));
            case "listen":
                return Once(() => Listen(a));
            case "accept" or "accept4":
                return () => Accept(call.Name, a);
            case "connect":
                return Connect(a);
            case "close":
                return Once(() => _x.Close(Integer(a, 0), _world.Now));
            case "shutdown":
                return Once(() => Shutdown(a));
            case "recvmsg" when Flags(a, 2).Contains("MSG_ERRQUEUE"):
                return Once(() => _messages.TakeNotice(a));
            case "pipe" or "pipe2":
                return Once(() => _files.Pipe(a));
            case "open":
                return Once(() => _files.Open(a));
            case "splice":
                return () => _files.Splice(a);
            case "sendfile":
                return () => _files.SendFile(a);
            case "read" or "recv" or "recvfrom" or "readv" or "recvmsg":
                return Read(call.Name, a);
            case "write" or "send" or "sendto" or "writev" or "sendmsg":
                return Write(call.Name, a);
            case "fcntl":
                return Once(() => Control(a));
            case "setsockopt":
                return Once(() => _options.Set(a));
            case "getsockopt":
                return Once(() => _options.Get(a));
            case "ioctl":
                return Once(() => _options.Ioctl(a));
            case "poll":
                return _polling.Poll(a);
            case "epoll_create" or "epoll_create1":
                return Once(() => _x.Open(PosixKind.Epoll, false, _shell.Tcp));
            case "epoll_ctl":
                return Once(() => _polling.Control(a));
            // Who may do what is no matter of a stack's.
            case "cap_set":
                return static () => PosixResult.Success;
            case "psp_rx_assoc":
                return Once(() => AssociateReceive(a));
            case "psp_tx_assoc":
                return Once(() => AssociateTransmit(a));
            case "epoll_wait":
                return _polling.Wait(a);
            default:
                throw new NotApplicableException(call.Name.StartsWith("sctp_", StringComparison.Ordinal) ? "SCTP is not implemented" : $"the call {call.Name}() is not there");
        }
    }

    private static Func<PosixResult> Once(Func<PosixResult> call) => call;

    internal static long Integer(IReadOnlyList<ScriptValue> arguments, int index) =>
        index < arguments.Count ? Constants.ValueOf(arguments[index]) : throw new ScriptFailedException($"argument {index + 1} is missing");

    private PosixResult Socket(IReadOnlyList<ScriptValue> a)
    {
        var v6 = a[0] switch
        {
            Name { Value: "AF_INET" } => false,
            Name { Value: "AF_INET6" } => true,
            Ellipsis => _world.Setup.IsV6Socket,
            _ => throw new NotApplicableException($"socket() of the family {a[0]}"),
        };
        var types = a[1] is Or or ? or.Parts : [a[1]];
        var type = types[0] switch { Name name => name.Value, Number { Value: 1 } => "SOCK_STREAM", Number { Value: 2 } => "SOCK_DGRAM", _ => "" };
        var protocol = a.Count > 2 ? a[2] switch { Name p => p.Value, Number { Value: 6 } => "IPPROTO_TCP", Number { Value: 17 } => "IPPROTO_UDP", _ => "" } : "";
        if (protocol is "IPPROTO_SCTP" or "IPPROTO_MPTCP") throw new NotApplicableException($"{protocol["IPPROTO_".Length..]} is not implemented");
        if (type is not ("SOCK_STREAM" or "SOCK_DGRAM")) throw new NotApplicableException($"socket() of the type {type}");
        if (protocol is "IPPROTO_UDP" && type == "SOCK_STREAM" || protocol is "IPPROTO_TCP" && type == "SOCK_DGRAM") return PosixResult.Fail("EPROTONOSUPPORT");
        if (protocol is not ("" or "IPPROTO_UDP" or "IPPROTO_TCP" or "IPPROTO_IP")) throw new NotApplicableException($"socket() of the protocol {protocol}");
        var result = _x.Open(type == "SOCK_STREAM" ? PosixKind.Tcp : PosixKind.Udp, v6, _shell.Tcp);
        if (_x.Get(result.Value) is not { } s) return result;
        s.NonBlocking = types.Any(static t => t is Name { Value: "SOCK_NONBLOCK" });
        if (type == "SOCK_STREAM") LastSocket = result.Value;
        return result;
    }

    private PosixResult Bind(IReadOnlyList<ScriptValue> a)
    {
        var local = Address(a.Count > 1 ? a[1] : new Ellipsis(), new Endpoint(_world.Setup.Local, BoundPort));
        LastBoundPort = local.Port;
        return _x.Bind(Integer(a, 0), local);
    }

    private PosixResult Listen(IReadOnlyList<ScriptValue> a)
    {
        ListenCount++;
        return _x.Listen(Integer(a, 0), Integer(a, 1));
    }

    private PosixResult Accept(string name, IReadOnlyList<ScriptValue> a)
    {
        var result = _x.Accept(Integer(a, 0), out _);
        if (result.Blocks || result.Errno is not null || result.Value < 0) return result;
        LastSocket = result.Value;
        var accepted = _x.Get(result.Value)!;
        // FreeBSD's accept hands on what the listener is; Linux's does not, and accept4 says.
        if (name == "accept4") accepted.NonBlocking = Flags(a, 3).Contains("SOCK_NONBLOCK");
        else if (_x.Manners.IsFreeBsd) accepted.NonBlocking = _x.Get(Integer(a, 0))!.NonBlocking;
        return result;
    }

    private Func<PosixResult> Connect(IReadOnlyList<ScriptValue> a)
    {
        var started = false;
        return () =>
        {
            if (started) return _x.FinishConnect(Integer(a, 0));
            started = true;
            if (a.Count > 1 && IsUnspecified(a[1])) return _x.Disconnect(Integer(a, 0), _world.Now);
            return _x.Connect(Integer(a, 0), Address(a.Count > 1 ? a[1] : new Ellipsis(), new Endpoint(_world.Setup.Remote, BoundPort)), _world.Now);
        };
    }

    // An address of no family: the connection is given up, and the socket is as it was.
    private static bool IsUnspecified(ScriptValue address) =>
        address is Name { Value: "AF_UNSPEC" } || (address is Struct s && s.Get("sa_family") is Name { Value: "AF_UNSPEC" } or Number { Value: 0 });

    private PosixResult Shutdown(IReadOnlyList<ScriptValue> a)
    {
        var how = a[1] is Name name ? name.Value : a[1] is Number { Value: >= 0 and <= 2 } number ? ((string[])["SHUT_RD", "SHUT_WR", "SHUT_RDWR"])[number.Value] : "";
        if (how is not ("SHUT_RD" or "SHUT_WR" or "SHUT_RDWR")) return PosixResult.Fail("EINVAL");
        return _x.Shutdown(Integer(a, 0), how != "SHUT_WR", how != "SHUT_RD", _world.Now);
    }

    private Func<PosixResult> Read(string name, IReadOnlyList<ScriptValue> a)
    {
        var flags = name is "recv" or "recvfrom" ? Flags(a, 3) : name == "recvmsg" ? Flags(a, 2) : [];
        if (flags.FirstOrDefault(static f => f is not ("MSG_PEEK" or "MSG_DONTWAIT" or "MSG_WAITALL" or "MSG_NOSIGNAL" or "MSG_TRUNC" or "MSG_OOB" or "MSG_CMSG_CLOEXEC" or "0")) is { } unknown)
            throw new NotApplicableException($"{name}() with {unknown}");
        var control = name == "recvmsg" && a[1] is Struct message ? message.Get("msg_control") : null;
        var length = name switch
        {
            "readv" => VectorLength(a[1]),
            "recvmsg" => VectorLength(((Struct)a[1]).Get("msg_iov") ?? throw new ScriptFailedException("recvmsg() has no msg_iov")),
            _ => Integer(a, 2),
        };
        var isNull = a[1] is Name { Value: "NULL" };
        var buffer = new byte[Math.Clamp(length, 0, BufferMax)];
        return () => isNull && length > 0 ? PosixResult.Fail("EFAULT")
            : flags.Contains("MSG_TRUNC") && NextDatagram(a) is > 0 and var whole ? Truncated(a, buffer, flags, whole)
            : flags.Contains("MSG_OOB") ? PosixUrgent.Read(_x, Integer(a, 0), length, flags.Contains("MSG_PEEK"))
            : _messages.Check(a, control, PosixTransfer.Read(_x, Integer(a, 0), buffer, flags.Contains("MSG_PEEK"), flags.Contains("MSG_DONTWAIT"), flags.Contains("MSG_WAITALL"), _world.Now));
    }

    private int NextDatagram(IReadOnlyList<ScriptValue> a) => _x.Get(Integer(a, 0)) is { Kind: PosixKind.Udp, IsBound: true } s ? _x.Stack.Udp.NextLength(s.Datagrams) : -1;

    // recv(2), MSG_TRUNC: how long the datagram was, whatever there was room for.
    private PosixResult Truncated(IReadOnlyList<ScriptValue> a, byte[] buffer, List<string> flags, int whole)
    {
        if (flags.Contains("MSG_PEEK")) return new PosixResult(whole);
        var result = PosixTransfer.Read(_x, Integer(a, 0), buffer, peek: false, flags.Contains("MSG_DONTWAIT"), waitAll: false, _world.Now);
        return result.Errno is null && !result.Blocks ? new PosixResult(whole) : result;
    }

    private Func<PosixResult> Write(string name, IReadOnlyList<ScriptValue> a)
    {
        var flags = name is "send" or "sendto" ? Flags(a, 3) : name == "sendmsg" ? Flags(a, 2) : [];
        if (flags.FirstOrDefault(static f => f is not ("MSG_DONTWAIT" or "MSG_NOSIGNAL" or "MSG_EOR" or "MSG_FASTOPEN" or "MSG_MORE" or "MSG_ZEROCOPY" or "MSG_EOF" or "MSG_OOB" or "MSG_DONTROUTE" or "0")) is { } unknown)
            throw new NotApplicableException($"{name}() with {unknown}");
        var length = name switch
        {
            "writev" => VectorLength(a[1]),
            "sendmsg" => VectorLength(((Struct)a[1]).Get("msg_iov") ?? throw new ScriptFailedException("sendmsg() has no msg_iov")),
            _ => Integer(a, 2),
        };
        if (_x.Get(Integer(a, 0)) is { Kind: PosixKind.Udp }) ScriptMessages.Refuse(a);
        var isNull = a[1] is Name { Value: "NULL" };
        var data = new byte[Math.Clamp(length, 0, BufferMax)];
        var done = 0;
        return () =>
        {
            if (isNull && length > 0) return PosixResult.Fail("EFAULT");
            if (Connects(name, a, flags) is { } remote)
                return _messages.AfterWrite(a, flags, ConnectAndWrite(a, remote, data, flags, ref done));
            // FreeBSD: these are the last data, and the FIN goes with them.
            if (flags.Contains("MSG_EOF")) return WriteLast(a, flags, data, ref done);
            if (PiecesOf(name, a, flags) is { } pieces) return _messages.AfterWrite(a, flags, WritePieces(a, flags, pieces, data, ref done));
            if (name != "sendto" || _x.Get(Integer(a, 0)) is not { Kind: PosixKind.Udp, Remote.Port: 0 } s)
                return _messages.AfterWrite(a, flags, PosixTransfer.Write(_x, Integer(a, 0), data, flags.Contains("MSG_DONTWAIT"), ref done, _world.Now, flags.Contains("MSG_MORE"), flags.Contains("MSG_EOR"), flags.Contains("MSG_OOB")));
            return PosixTransfer.WriteUdp(_x, s, data, Address(a[4], new Endpoint(_world.Setup.Remote, BoundPort)), _world.Now);
        };
    }

    // Linux: the memory of a MSG_ZEROCOPY call stays where it is, and what goes as one holds so many pieces of it at most (MAX_SKB_FRAGS). Null where they are fewer.
    private const int PiecesMax = 17;

    private int[]? PiecesOf(string name, IReadOnlyList<ScriptValue> a, List<string> flags)
    {
        if (name != "sendmsg" || !flags.Contains("MSG_ZEROCOPY") || ((Struct)a[1]).Get("msg_iov") is not List { Items.Count: > PiecesMax } vector) return null;
        if (_x.Get(Integer(a, 0)) is not { Kind: PosixKind.Tcp } s || s.Kept.GetValueOrDefault("SO_ZEROCOPY") == 0) return null;
        return [.. vector.Items.Chunk(PiecesMax).Select(static part => (int)VectorLength(new List(part)))];
    }

    private PosixResult WritePieces(IReadOnlyList<ScriptValue> a, List<string> flags, int[] pieces, byte[] data, ref int done)
    {
        var end = 0;
        foreach (var length in pieces)
        {
            end = Math.Min(end + length, data.Length);
            if (done >= end) continue;
            var result = PosixTransfer.Write(_x, Integer(a, 0), data.AsSpan(0, end), flags.Contains("MSG_DONTWAIT"), ref done, _world.Now, flags.Contains("MSG_MORE"), endsMessage: true);
            if (result.Blocks || result.Errno is not null || done < end) return result;
        }
        return new PosixResult(done);
    }

    private PosixResult WriteLast(IReadOnlyList<ScriptValue> a, List<string> flags, byte[] data, ref int done)
    {
        var result = PosixTransfer.Write(_x, Integer(a, 0), data, flags.Contains("MSG_DONTWAIT"), ref done, _world.Now);
        if (!result.Blocks && result.Errno is null) _x.Shutdown(Integer(a, 0), read: false, write: true, _world.Now);
        return result;
    }

    // The address of a call that sends and connects: with MSG_FASTOPEN, and on FreeBSD whenever the socket is not connected.
    private ScriptValue? Connects(string name, IReadOnlyList<ScriptValue> a, List<string> flags)
    {
        if (_x.Get(Integer(a, 0)) is not { Kind: PosixKind.Tcp, Phase: PosixPhase.Fresh or PosixPhase.Deferred } s) return null;
        if (!flags.Contains("MSG_FASTOPEN") && !(_x.Manners.IsFreeBsd && name == "sendto")) return null;
        if (s.Phase == PosixPhase.Deferred) return new Ellipsis();
        return name == "sendmsg" ? ((Struct)a[1]).Get("msg_name") ?? new Ellipsis() : a.Count > 4 ? a[4] : new Name("AF_UNSPEC");
    }

    private PosixResult ConnectAndWrite(IReadOnlyList<ScriptValue> a, ScriptValue remote, byte[] data, List<string> flags, ref int done)
    {
        var s = _x.Get(Integer(a, 0))!;
        if (remote is Name { Value: "AF_UNSPEC" }) return PosixResult.Fail("EOPNOTSUPP");
        var patient = !s.NonBlocking && !flags.Contains("MSG_DONTWAIT");
        var to = s.Phase == PosixPhase.Deferred ? s.Remote : Address(remote, new Endpoint(_world.Setup.Remote, BoundPort));
        return PosixFastOpen.Write(_x, s, to, data, patient, ref done, _world.Now);
    }

    private static long VectorLength(ScriptValue vector) => vector switch
    {
        List list => list.Items.Sum(static part => part is Struct { Fields: [_, var size, ..] } ? Constants.ValueOf(size.Value) : 0),
        // None at all.
        Ellipsis or Name { Value: "NULL" } => 0,
        _ => throw new NotApplicableException("a vector of buffers that is no list"),
    };

    private static List<string> Flags(IReadOnlyList<ScriptValue> a, int index)
    {
        if (index >= a.Count) return [];
        var parts = a[index] is Or or ? or.Parts : [a[index]];
        return [.. parts.Select(static p => p switch { Name n => n.Value, Number { Value: 0 } => "0", _ => "an unknown flag" })];
    }

    // The two steps of the kernel's netlink family "psp": the script's number for our key, and the number of its own.
    private PosixResult AssociateReceive(IReadOnlyList<ScriptValue> a)
    {
        if (_x.Get(Integer(a, 0)) is not { } s) return PosixResult.Fail("EBADF");
        if (_world.Setup.Psp is not { } psp) return PosixResult.Fail("ENODEV");
        var error = _world.Stack.Psp!.AssociateReceive(s.Connection, out var key);
        if (error == System.Net.Sockets.SocketError.Success) psp.Learn(Integer(a, 1), key);
        return PosixResult.Of(error);
    }

    private PosixResult AssociateTransmit(IReadOnlyList<ScriptValue> a)
    {
        if (_x.Get(Integer(a, 0)) is not { } s) return PosixResult.Fail("EBADF");
        if (_world.Setup.Psp is not { } psp) return PosixResult.Fail("ENODEV");
        return PosixResult.Of(_world.Stack.Psp!.AssociateTransmit(s.Connection, psp.Make((uint)Integer(a, 1)), _world.Now));
    }

    private PosixResult Control(IReadOnlyList<ScriptValue> a)
    {
        if (_x.Get(Integer(a, 0)) is not { } s) return PosixResult.Fail("EBADF");
        switch (a[1])
        {
            case Name { Value: "F_GETFL" }:
                return new PosixResult(2 | (s.NonBlocking ? Constants.NonBlock(_world.Setup.Manners) : 0));
            case Name { Value: "F_GETFD" }:
                return new PosixResult(s.Kept.GetValueOrDefault("FD_CLOEXEC"));
            case Name { Value: "F_SETFD" }:
                s.Kept["FD_CLOEXEC"] = Flags(a, 2).Contains("FD_CLOEXEC") ? 1 : 0;
                return PosixResult.Success;
            case Name { Value: "F_SETFL" }:
                s.NonBlocking = Flags(a, 2).Contains("O_NONBLOCK");
                return PosixResult.Success;
            default:
                throw new NotApplicableException($"fcntl() with {a[1]}");
        }
    }

    /// <summary>An address in a call; what is left open is the usual one.</summary>
    internal static Endpoint Address(ScriptValue value, Endpoint usual)
    {
        if (value is Ellipsis) return usual;
        if (value is not Struct s) throw new NotApplicableException("an address that is no structure");
        if (s.Get("sa_family") is Name { Value: "AF_UNSPEC" }) throw new NotApplicableException("an address of no family");
        var port = s.Get("sin_port") ?? s.Get("sin6_port");
        var address = s.Get("sin_addr") ?? s.Get("sin6_addr");
        var ip = address is Call { Arguments: [.., Text text] } && IpAddress.TryParse(text.Value, out var parsed) ? parsed
            : address is Name { Value: "INADDR_ANY" } ? IpAddress.IPv4Any : usual.Address;
        return new Endpoint(ip, port is Call { Arguments: [var number] } ? (ushort)Constants.ValueOf(number) : usual.Port);
    }
}
