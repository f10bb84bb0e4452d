// A request's cost in the stack alone: a server stack and a client stack in one thread, frames copied between them by hand, and only the
// server's turns timed (input of the burst, call-backs or awaits, output, return of sent frames). Full checksums, timestamps, no offload.
using System.Diagnostics;
using System.Net.Sockets;
using Peregrine.Core.Ip;
using Peregrine.Core.Memory;
using Peregrine.Core.Tcp;
using Peregrine.Core.Time;
using Peregrine.Sockets;
using Peregrine.Wire;

namespace Peregrine.Core.Bench;

/// <summary>How the server's application meets its connections.</summary>
internal enum ServerStyle
{
    CallBack,
    Await,
}

/// <summary>One case: connections, sizes and style.</summary>
internal sealed record RequestCase(int Connections, int RequestBytes, int AnswerBytes, ServerStyle Style);

internal sealed class RequestBench : IDisposable
{
    private const int Burst = 32;
    private const ushort FirstPort = 1_000;
    private const int ConnectionsAPort = 20_000;

    private readonly RequestCase _case;
    private readonly BenchEngine _server;
    private readonly NetworkStack _client;
    private readonly int _clientInterface, _serverInterface;
    private readonly TcpHandle[] _connections;
    private readonly Frame[] _toServer = new Frame[Burst], _toClient = new Frame[Burst];
    private readonly byte[] _request, _answer;
    private readonly byte[] _received = new byte[4_096];
    private readonly TurnTimes _turns = new();
    private Instant _now = new(1_000_000_000);
    private int _next;

    private RequestBench(RequestCase what)
    {
        _case = what;
        (_request, _answer) = (new byte[what.RequestBytes], new byte[what.AnswerBytes]);
        _connections = new TcpHandle[what.Connections];
        _server = new BenchEngine(Stack(what.Connections, 1));
        _server.AttachThread();
        _server.BeginTurn(_now);
        _client = Stack(what.Connections, 2);
        _serverInterface = AddInterface(_server.Stack, 1);
        _clientInterface = AddInterface(_client, 2);
        Open();
    }

    /// <summary>Runs the cases that are asked for by their number of connections and prints a line each.</summary>
    public static void Run(int[] connections)
    {
        Console.WriteLine($"nanoseconds a request and its answer, the server's turns only, bursts of {Burst}; a tenth and half of the turns were as fast, the best of {Measure.Rounds} rounds; parts: a tenth");
        foreach (var count in connections)
        {
            foreach (var (request, answer) in new[] { (1, 1), (40, 100) })
            {
                foreach (var style in new[] { ServerStyle.CallBack, ServerStyle.Await })
                {
                    using var bench = new RequestBench(new RequestCase(count, request, answer, style));
                    bench.Print();
                }
            }
        }
    }

    public void Dispose()
    {
        _server.Stack.Dispose();
        _client.Dispose();
    }

    private void Print()
    {
        var requests = Math.Max(100_000, Math.Min(_case.Connections, 1_000_000));
        Round(requests);
        Round(requests);
        var served = _server.Stack.Tcp.Counters.SegmentsSent;
        var times = new double[Measure.Rounds];
        foreach (var part in (TurnTimes[])[_turns, _server.Input, _server.Application, _server.Output]) part.Clear((requests / Burst + 1) * times.Length);
        var before = GC.GetAllocatedBytesForCurrentThread();
        for (var i = 0; i < times.Length; i++) times[i] = Stopwatch.GetElapsedTime(0, Round(requests)).TotalNanoseconds / requests;
        var allocated = (GC.GetAllocatedBytesForCurrentThread() - before) / (double)(requests * times.Length);
        // Every request was answered, and by one segment: nothing else was measured.
        if (_server.Stack.Tcp.Counters.SegmentsSent - served < requests * (long)times.Length) throw new InvalidOperationException("requests were not answered");
        Array.Sort(times);
        Console.WriteLine($"  {_case.Connections,9:N0} connections, {_case.RequestBytes,3} B in, {_case.AnswerBytes,3} B out, {_case.Style,-8} {_turns.At(0.1) / Burst:F0} {_turns.At(0.5) / Burst:F0}, {times[0]:F0}; "
            + $"input {_server.Input.At(0.1) / Burst:F0}, events and application {_server.Application.At(0.1) / Burst:F0}, output {_server.Output.At(0.1) / Burst:F0}; {allocated:F2} B allocated");
    }

    private static NetworkStack Stack(int connections, ulong seed)
    {
        var options = new StackOptions
        {
            ConnectionCountMax = connections + 64,
            TimeWaitCountMax = 1_024,
            SynBacklogCountMax = 4_096,
            FrameCount = 4_096,
            // An answer stays in its block until the next request acknowledges it.
            BlockSizeBytes = 1_024,
            BlockCount = connections + 4_096,
            TransmissionRecordCount = connections + 16_384,
        };
        return new NetworkStack(options, HugePages.Allocate(NetworkStack.BytesFor(options)), StackSecrets.FromSeed(seed), seed, new Instant(1_000_000_000));
    }

    private int AddInterface(NetworkStack stack, byte number) => stack.AddInterface(
        new InterfaceOptions
        {
            Name = "eth0",
            MacAddress = new MacAddress(0x0200_0000_0000UL + number),
            Mtu = 1500,
            LinkLocal = false,
            ReportMulticast = false,
            Addresses = [new InterfaceAddress(IpAddress.FromIPv4(10, 0, 0, number), 24)],
        },
        _now);

    // Connections in groups small enough for the backlog; each port serves as many as one client address has ephemeral ports for.
    private void Open()
    {
        var listeners = (_connections.Length + ConnectionsAPort - 1) / ConnectionsAPort;
        var handles = new TcpListenerHandle[listeners];
        for (var i = 0; i < listeners; i++)
        {
            var local = new Endpoint(IpAddress.FromIPv4(10, 0, 0, 1), (ushort)(FirstPort + i));
            if (_server.Stack.Tcp.Listen(new TcpListenOptions(local, 512), out handles[i]) != SocketError.Success) throw new InvalidOperationException("listen");
        }
        for (var i = 0; i < _connections.Length; i++)
        {
            var remote = new Endpoint(IpAddress.FromIPv4(10, 0, 0, 1), (ushort)(FirstPort + (i / ConnectionsAPort)));
            if (_client.Tcp.Connect(new TcpConnectOptions(remote), _now, out _connections[i]) != SocketError.Success) throw new InvalidOperationException("connect");
            // The first alone: the neighbour must be known before many want it.
            if (i % 128 == 127 || i == 0 || i == _connections.Length - 1) Settle(handles[i / ConnectionsAPort]);
        }
        if (_server.Stack.Tcp.ConnectionCount != _connections.Length) throw new InvalidOperationException($"{_server.Stack.Tcp.ConnectionCount} connections");
        // Past quick acknowledgments and the first round: the state that a connection is in for most of its life.
        for (var i = 0; i < 24; i++) Round(Math.Min(_connections.Length, 100_000));
        var order = Measure.Shuffled(_connections.Length, new StackRandom(5));
        var shuffled = new TcpHandle[_connections.Length];
        for (var i = 0; i < order.Length; i++) shuffled[i] = _connections[order[i]];
        shuffled.CopyTo(_connections, 0);
    }

    private void Settle(TcpListenerHandle listener)
    {
        for (var idle = 0; idle < 3;)
        {
            _now += Duration.FromMicroseconds(50);
            var moved = ClientTurn() + ServerTurn();
            while (_server.Stack.Tcp.TryAccept(listener, out var handle)) _server.Adopt(handle, _case.Style, _answer);
            idle = moved == 0 ? idle + 1 : 0;
        }
    }

    /// <summary>So many requests; ticks that the server's turns took.</summary>
    private long Round(int requests)
    {
        long ticks = 0;
        for (var left = requests; left > 0; left -= Burst)
        {
            // Little time a request: the client's delayed acknowledgments ride on its next request at every size.
            _now += new Duration(Burst * 20);
            for (var i = 0; i < Burst; i++)
            {
                _client.Tcp.Send(_connections[_next], _request, _now);
                if (++_next == _connections.Length) _next = 0;
            }
            _client.Poll(_now);
            var count = Move(_client, _clientInterface, _server.Stack, _toServer);
            var start = Stopwatch.GetTimestamp();
            var pending = _server.Turn(_serverInterface, _toServer.AsSpan(0, count), _now);
            var turn = Stopwatch.GetTimestamp() - start;
            count = Copy(_server.Stack, pending, _client, _toClient);
            start = Stopwatch.GetTimestamp();
            _server.Sent(_serverInterface, pending);
            turn += Stopwatch.GetTimestamp() - start;
            _turns.Add(turn);
            ticks += turn;
            _client.OnBurst(_clientInterface, _toClient.AsSpan(0, count), _now);
            TakeAnswers();
        }
        return ticks;
    }

    private int ClientTurn()
    {
        _client.FireTimers(_now);
        TakeAnswers();
        _client.Poll(_now);
        var count = Move(_client, _clientInterface, _server.Stack, _toServer);
        _server.Stack.OnBurst(_serverInterface, _toServer.AsSpan(0, count), _now);
        return count;
    }

    private int ServerTurn()
    {
        var pending = _server.Turn(_serverInterface, [], _now);
        var count = Copy(_server.Stack, pending, _client, _toClient);
        _server.Sent(_serverInterface, pending[..count]);
        _client.OnBurst(_clientInterface, _toClient.AsSpan(0, count), _now);
        return count;
    }

    private void TakeAnswers()
    {
        while (_client.Tcp.TryNextEvent(out var e))
        {
            if ((e.Events & TcpEvents.Readable) != 0) _client.Tcp.Receive(e.Connection, _received, _now);
        }
    }

    private static int Move(NetworkStack from, int index, NetworkStack to, Frame[] into)
    {
        var pending = from.PendingOutput(index);
        var count = Copy(from, pending, to, into);
        foreach (ref var frame in pending[..count]) from.Frames.Return(frame);
        from.OnTransmitted(index, count);
        return count;
    }

    private static int Copy(NetworkStack from, Span<Frame> frames, NetworkStack to, Frame[] into)
    {
        var count = Math.Min(frames.Length, into.Length);
        for (var i = 0; i < count; i++)
        {
            if (!to.Frames.TryRent(out into[i], 66)) throw new InvalidOperationException("no frame");
            into[i].HeadLength = frames[i].HeadLength;
            into[i].Length = frames[i].Length;
            from.Frames.Head(frames[i]).CopyTo(to.Frames.Head(into[i]));
        }
        return count;
    }
}

/// <summary>An engine without thread or mailbox: the bench turns it.</summary>
internal sealed class BenchEngine(NetworkStack stack) : SocketEngine(stack)
{
    public override bool TryPost(in EngineCommand command) => throw new NotSupportedException();

    public override void RunElsewhere(IThreadPoolWorkItem item) => throw new NotSupportedException();

    public override void OnUnhandled(Exception exception, object callback) => throw exception;

    internal TurnTimes Input { get; } = new();

    /// <summary>Events, and what the application does about them.</summary>
    internal TurnTimes Application { get; } = new();

    internal TurnTimes Output { get; } = new();

    internal Span<Frame> Turn(int index, Span<Frame> burst, Instant now)
    {
        BeginTurn(now);
        var begun = Stopwatch.GetTimestamp();
        if (burst.Length > 0) Stack.OnBurst(index, burst, now);
        var taken = Stopwatch.GetTimestamp();
        Stack.FireTimers(now);
        Dispatch(now);
        var told = Stopwatch.GetTimestamp();
        Stack.Poll(now);
        Output.Add(Stopwatch.GetTimestamp() - told);
        Application.Add(told - taken);
        Input.Add(taken - begun);
        return Stack.PendingOutput(index);
    }

    /// <summary>What a link does when frames have left.</summary>
    internal void Sent(int index, Span<Frame> frames)
    {
        foreach (ref var frame in frames) Stack.Frames.Return(frame);
        Stack.OnTransmitted(index, frames.Length);
    }

    internal void Adopt(TcpHandle handle, ServerStyle style, byte[] answer)
    {
        var connection = new TcpConnection(this, handle);
        if (style == ServerStyle.CallBack) connection.SetHandler(new Answering(answer));
        else _ = Serve(connection, answer);
    }

    protected override void WaitForRoom(int attempt) => throw new NotSupportedException();

    private static async Task Serve(TcpConnection connection, byte[] answer)
    {
        var buffer = new byte[64];
        while (await connection.ReceiveAsync(buffer) > 0) await connection.SendAsync(answer);
    }

    private sealed class Answering(byte[] answer) : ITcpHandler
    {
        public void OnReceived(TcpConnection connection, ReadOnlySpan<byte> bytes) => connection.TrySend(answer);
    }
}
