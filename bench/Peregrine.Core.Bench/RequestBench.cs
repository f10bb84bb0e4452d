// A request's cost in the stack alone: a server stack and a client stack in one thread, frames copied between them by hand, and only the
// server's turns timed (input of the burst, call-backs or awaits, output, return of sent frames). Full checksums, timestamps, no offload.
using System.Diagnostics;
using System.Globalization;
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
    private const int Burst = BenchPair.Burst;
    private const ushort FirstPort = 1_000;
    private const int ConnectionsAPort = 20_000;

    private readonly RequestCase _case;
    private readonly BenchPair _pair;
    private readonly BenchEngine _server;
    private readonly NetworkStack _client;
    private readonly TcpHandle[] _connections;
    private readonly byte[] _request, _answer;
    private readonly byte[] _received = new byte[4_096];
    private readonly TurnTimes _turns = new();
    private int _next;

    private RequestBench(RequestCase what)
    {
        _case = what;
        (_request, _answer) = (new byte[what.RequestBytes], new byte[what.AnswerBytes]);
        _connections = new TcpHandle[what.Connections];
        _pair = new BenchPair(Options(what.Connections));
        (_server, _client) = (_pair.Engine, _pair.Client);
        Open();
    }

    /// <summary>Runs the cases that are asked for by style, size and number of connections, and prints a line each.</summary>
    public static void Run(string[] what)
    {
        int[] connections = [.. what.Where(static word => char.IsAsciiDigit(word[0])).Select(static word => int.Parse(word, CultureInfo.InvariantCulture))];
        if (connections.Length == 0) connections = [64, 10_000, 1_000_000];
        ServerStyle[] styles = what.Contains("callback") ? [ServerStyle.CallBack] : what.Contains("await") ? [ServerStyle.Await] : [ServerStyle.CallBack, ServerStyle.Await];
        (int, int)[] sizes = what.Contains("small") ? [(1, 1)] : what.Contains("hello") ? [(40, 100)] : [(1, 1), (40, 100)];
        Console.WriteLine($"nanoseconds a request and its answer, the server's turns only, bursts of {Burst}; a tenth and half of the turns were as fast, the best of {Measure.Rounds} rounds; parts: a tenth");
        foreach (var count in connections)
        {
            foreach (var (request, answer) in sizes)
            {
                foreach (var style in styles)
                {
                    using var bench = new RequestBench(new RequestCase(count, request, answer, style));
                    bench.Print();
                }
            }
        }
    }

    public void Dispose() => _pair.Dispose();

    private void Print()
    {
        var requests = Math.Max(100_000, Math.Min(_case.Connections, 1_000_000));
        Round(requests);
        Round(requests);
        var times = new double[Measure.Rounds];
        foreach (var part in (TurnTimes[])[_turns, _server.Input, _server.Application, _server.Output]) part.Clear((requests / Burst + 1) * times.Length);
        var before = GC.GetAllocatedBytesForCurrentThread();
        for (var i = 0; i < times.Length; i++) times[i] = Stopwatch.GetElapsedTime(0, Round(requests)).TotalNanoseconds / requests;
        var allocated = (GC.GetAllocatedBytesForCurrentThread() - before) / (double)(requests * times.Length);
        Array.Sort(times);
        Console.WriteLine($"  {_case.Connections,9:N0} connections, {_case.RequestBytes,3} B in, {_case.AnswerBytes,3} B out, {_case.Style,-8} {_turns.At(0.1) / Burst:F0} {_turns.At(0.5) / Burst:F0}, {times[0]:F0}; "
            + $"input {_server.Input.At(0.1) / Burst:F0}, events and application {_server.Application.At(0.1) / Burst:F0}, output {_server.Output.At(0.1) / Burst:F0}; {allocated:F2} B allocated");
    }

    private static StackOptions Options(int connections) => new()
    {
        ConnectionCountMax = connections + 64,
        TimeWaitCountMax = 1_024,
        SynBacklogCountMax = 4_096,
        FrameCount = 4_096,
        // An answer stays in its block until the next request acknowledges it, and a sixteenth of the blocks is for what is received.
        BlockSizeBytes = 1_024,
        BlockCount = connections + (connections / 8) + 4_096,
        TransmissionRecordCount = connections + 16_384,
        // The state that a connection is in for most of its life: every acknowledgment rides on the next request or answer.
        Tcp = new TcpSettings { QuickAckCount = 0 },
    };

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
            if (_client.Tcp.Connect(new TcpConnectOptions(remote), _pair.Now, out _connections[i]) != SocketError.Success) throw new InvalidOperationException("connect");
            // The first alone: the neighbour must be known before many want it.
            if (i % 128 == 127 || i == 0 || i % ConnectionsAPort == ConnectionsAPort - 1 || i == _connections.Length - 1) Settle(handles[i / ConnectionsAPort]);
        }
        if (_server.ConnectionCount != _connections.Length) throw new InvalidOperationException($"{_server.ConnectionCount} connections were accepted");
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
            _pair.Now += Duration.FromMicroseconds(50);
            _client.FireTimers(_pair.Now);
            _pair.Exchange();
            TakeAnswers();
            while (_server.Stack.Tcp.TryAccept(listener, out var handle)) Adopt(handle);
            idle = _pair.Moved == 0 ? idle + 1 : 0;
        }
    }

    private void Adopt(TcpHandle handle)
    {
        var connection = new TcpConnection(_server, handle);
        if (_case.Style == ServerStyle.CallBack) connection.SetHandler(new Answering(_answer));
        else _ = Serve(connection, _answer);
    }

    /// <summary>So many requests; ticks that the server's turns took.</summary>
    private long Round(int requests)
    {
        long ticks = 0;
        for (var left = requests; left > 0; left -= Burst)
        {
            // Little time a request: the client's delayed acknowledgments ride on its next request at every size.
            _pair.Now += new Duration(Burst * 20);
            for (var i = 0; i < Burst; i++)
            {
                if (_client.Tcp.Send(_connections[_next], _request, _pair.Now) != _request.Length) throw new InvalidOperationException("no room for a request");
                if (++_next == _connections.Length) _next = 0;
            }
            var turn = _pair.Exchange();
            // Nothing else is measured: each request came in a segment, and its answer went in one, in this turn.
            if (_pair.Moved != 2 * Burst) throw new InvalidOperationException($"{_pair.Moved} frames in a turn of {Burst} requests and as many answers");
            _turns.Add(turn);
            ticks += turn;
            TakeAnswers();
        }
        return ticks;
    }

    private void TakeAnswers()
    {
        while (_client.Tcp.TryNextEvent(out var e))
        {
            if ((e.Events & TcpEvents.Readable) != 0) _client.Tcp.Receive(e.Connection, _received, _pair.Now);
        }
    }

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
