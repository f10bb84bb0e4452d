// The load generator on kernel sockets: one thread, one epoll, as many lanes as the work has connections. It allocates nothing while it
// runs, so that its collector stops nobody. What a request is comes from the work; which server answers it does not know.
using System.Net;
using System.Runtime;
using System.Runtime.InteropServices;

namespace Peregrine.Bench.Load;

internal sealed unsafe class KernelLoad : IDisposable
{
    private const int EventCountMax = 256, BufferBytes = 256 * 1024;
    private const long ConnectLimit = 10_000_000_000, DatagramLimit = 200_000_000;

    private readonly BenchWork _work;
    private readonly byte[] _address;
    private readonly Lane[] _lanes;
    private readonly int[] _free;
    private readonly byte* _buffer, _request, _events;
    private readonly int _requestLength, _poll;
    private readonly Latencies _latencies = new();
    private readonly int _bulkLane;
    private int _freeCount, _answerLength, _connected;
    private long _operations, _errors, _bytes;

    internal KernelLoad(BenchWork work, IPAddress address)
    {
        (_work, _address) = (work, address.GetAddressBytes());
        _bulkLane = work.Kind == WorkKind.Mixed ? work.Connections : work.IsBulk ? 0 : -1;
        _lanes = new Lane[work.Kind == WorkKind.Mixed ? work.Connections + 1 : work.IsBulk ? 1 : work.Connections];
        _free = new int[_lanes.Length];
        _buffer = (byte*)NativeMemory.AllocZeroed(BufferBytes);
        _events = (byte*)NativeMemory.AllocZeroed((nuint)(EventCountMax * KernelCalls.EventSize));
        var request = RequestBytes(work);
        _requestLength = request.Length * work.Pipeline;
        _request = (byte*)NativeMemory.AllocZeroed((nuint)_requestLength);
        for (var i = 0; i < work.Pipeline; i++) request.CopyTo(new Span<byte>(_request + (i * request.Length), request.Length));
        _poll = KernelCalls.CreatePoll(KernelCalls.CloseOnExec);
    }

    /// <summary>Called when the measured time begins.</summary>
    internal Action OnMeasure { get; init; } = static () => { };

    /// <summary>What one request of a work looks like.</summary>
    internal static byte[] RequestBytes(BenchWork work) => work.Kind switch
    {
        WorkKind.Http => (work.Json ? Services.JsonRequest : Services.Request).ToArray(),
        WorkKind.Connect => [1],
        _ => new byte[work.Bytes],
    };

    /// <summary>Connects, warms up, measures.</summary>
    /// <exception cref="IOException">The server does not answer.</exception>
    internal LoadResult Run()
    {
        if (_work.Kind == WorkKind.Http) LearnAnswer();
        else _answerLength = _requestLength;
        Connect();
        var start = Clock.Now;
        var measureAt = start + (long)(_work.WarmUpSeconds * 1e9);
        var end = measureAt + (long)(_work.Seconds * 1e9);
        var schedule = new ArrivalSchedule(_work.Rate, start);
        for (var i = 0; i < _lanes.Length; i++)
        {
            if (i == _bulkLane) continue;
            if (_work.Rate > 0) _free[_freeCount++] = i;
            else Start(i, Clock.Now);
        }
        Loop(ref schedule, measureAt);
        OnMeasure();
        Clear();
        var (cpu, compiled, began) = (Clock.ThreadCpuSeconds, JitInfo.GetCompiledMethodCount(), Clock.Now);
        Loop(ref schedule, end);
        var stopped = Clock.Now;
        if (_bulkLane >= 0 && !_work.Reverse) _bytes -= KernelCalls.Unsent(_lanes[_bulkLane].Descriptor);
        return new LoadResult
        {
            Seconds = (stopped - began) / 1e9,
            Operations = _operations,
            Errors = _errors,
            Bytes = Math.Max(0, _bytes),
            ClientCpuSeconds = Clock.ThreadCpuSeconds - cpu,
            CompiledMethods = JitInfo.GetCompiledMethodCount() - compiled,
            Unstarted = schedule.Overdue(stopped),
            Latency = _latencies.Summary(),
        };
    }

    public void Dispose()
    {
        for (var i = 0; i < _lanes.Length; i++) Close(i);
        KernelCalls.Close(_poll);
        NativeMemory.Free(_buffer);
        NativeMemory.Free(_events);
        NativeMemory.Free(_request);
    }

    private void Clear()
    {
        _latencies.Clear();
        (_operations, _errors) = (0, 0);
        _bytes = _bulkLane >= 0 && !_work.Reverse ? KernelCalls.Unsent(_lanes[_bulkLane].Descriptor) : 0;
    }

    /// <summary>Asks once, to know how long an answer is; its length is the same in all answers of our servers.</summary>
    private void LearnAnswer()
    {
        var until = Clock.Now + ConnectLimit;
        using var socket = new System.Net.Sockets.Socket(System.Net.Sockets.SocketType.Stream, System.Net.Sockets.ProtocolType.Tcp) { ReceiveTimeout = 5_000 };
        socket.Connect(new IPAddress(_address), Services.PortOf(_work));
        socket.Send(RequestBytes(_work));
        var got = new byte[16_384];
        var count = 0;
        while ((_answerLength == 0 || count < _answerLength) && Clock.Now < until)
        {
            var n = socket.Receive(got, count, got.Length - count, System.Net.Sockets.SocketFlags.None);
            if (n == 0) throw new IOException("the server closed the connection within its first answer");
            count += n;
            _answerLength = AnswerLength.OfHttp(got.AsSpan(0, count));
        }
        _answerLength *= _work.Pipeline;
    }

    private void Connect()
    {
        for (var i = 0; i < _lanes.Length; i++)
        {
            if (!_work.IsPerConnection || i == _bulkLane) Open(i);
            // In groups: more than a backlog holds would wait for retransmissions.
            if (i % 128 == 127 || i == _lanes.Length - 1) Settle();
        }
    }

    private void Settle()
    {
        var none = default(ArrivalSchedule);
        var until = Clock.Now + ConnectLimit;
        while (Pending())
        {
            if (Clock.Now > until) throw new IOException($"only {_connected} of {_lanes.Length} connections came about: the server does not accept, or its limits are too small");
            Loop(ref none, Clock.Now + 1_000_000);
        }
    }

    private bool Pending()
    {
        foreach (ref readonly var lane in _lanes.AsSpan())
        {
            if (lane.State == LaneState.Connecting) return true;
        }
        return false;
    }

    private void Loop(ref ArrivalSchedule schedule, long until)
    {
        var watch = 0L;
        while (true)
        {
            var now = Clock.Now;
            if (now >= until) return;
            var due = until;
            if (_work.Rate > 0 && _freeCount > 0)
            {
                while (_freeCount > 0 && schedule.TryTake(now, out var at)) Start(_free[--_freeCount], at);
                due = Math.Min(due, schedule.Next);
            }
            if (_work.IsUdp && now > watch)
            {
                GiveUpDatagrams(now);
                watch = now + (DatagramLimit / 4);
            }
            var wait = _work.Spin || due - now < 1_000_000 ? 0 : (int)Math.Min(20, (due - now) / 1_000_000);
            var count = KernelCalls.WaitPoll(_poll, _events, EventCountMax, wait);
            for (var i = 0; i < count; i++)
            {
                var record = _events + (i * KernelCalls.EventSize);
                OnEvent(*(int*)(record + KernelCalls.EventDataOffset), *(uint*)record);
            }
        }
    }

    private void Open(int index)
    {
        ref var lane = ref _lanes[index];
        var port = index == _bulkLane && _work.Kind == WorkKind.Mixed ? Services.Discard : Services.PortOf(_work);
        lane.Descriptor = KernelCalls.Open(_work.IsUdp);
        lane.State = LaneState.Connecting;
        var error = KernelCalls.BeginConnect(lane.Descriptor, _address, port);
        if (error is not (0 or KernelCalls.InProgress)) throw new IOException($"cannot connect to {new IPAddress(_address)} port {port}: error {error}");
        // Bulk lanes are asked as long as they are ready; the others only when something has changed.
        KernelCalls.Register(_poll, lane.Descriptor, index != _bulkLane
            ? KernelCalls.EventIn | KernelCalls.EventOut | KernelCalls.EventPeerClosed | KernelCalls.EdgeTriggered
            : _work.Reverse ? KernelCalls.EventIn : KernelCalls.EventOut, index);
        if (_work.Reverse && index == _bulkLane) lane.State = LaneState.Idle;
    }

    private void Start(int index, long due)
    {
        ref var lane = ref _lanes[index];
        (lane.StartedAt, lane.Left) = (due, _answerLength);
        if (_work.IsPerConnection) Open(index);
        else Send(ref lane, 0);
    }

    private void Send(ref Lane lane, int from)
    {
        lane.State = LaneState.Busy;
        lane.SentAt = Clock.Now;
        if (_work.IsUdp && _requestLength >= sizeof(long)) *(long*)_request = lane.SentAt;
        var sent = KernelCalls.Send(lane.Descriptor, _request + from, (nuint)(_requestLength - from), KernelCalls.NoSignal);
        lane.Unsent = _requestLength - from - (int)Math.Max(0, sent);
    }

    private void OnEvent(int index, uint events)
    {
        ref var lane = ref _lanes[index];
        if (index == _bulkLane)
        {
            OnBulk(ref lane, events);
            return;
        }
        if (lane.State == LaneState.Connecting)
        {
            if ((events & (KernelCalls.EventOut | KernelCalls.EventError | KernelCalls.EventHangUp)) == 0) return;
            if (KernelCalls.ConnectError(lane.Descriptor) != 0)
            {
                Fail(index);
                return;
            }
            _connected++;
            lane.State = LaneState.Idle;
            if (_work.IsPerConnection) Send(ref lane, 0);
            return;
        }
        if (lane.Unsent > 0 && (events & KernelCalls.EventOut) != 0) Send(ref lane, _requestLength - lane.Unsent);
        if ((events & ~KernelCalls.EventOut) != 0) Receive(index, events);
    }

    private void Receive(int index, uint events)
    {
        ref var lane = ref _lanes[index];
        while (lane.State != LaneState.Closed)
        {
            var count = (int)KernelCalls.Receive(lane.Descriptor, _buffer, BufferBytes, 0);
            if (count < 0)
            {
                if (KernelCalls.LastError is not (KernelCalls.Again or KernelCalls.Interrupted)) Fail(index);
                return;
            }
            if (_work.IsUdp)
            {
                // An answer that comes after it was given up belongs to no request.
                if (count >= sizeof(long) && *(long*)_buffer != lane.SentAt) continue;
                lane.Left = 0;
            }
            else if (count == 0)
            {
                if (lane.State == LaneState.Answered) Next(index);
                else Fail(index);
                return;
            }
            else
            {
                lane.Left -= count;
            }
            if (lane.Left <= 0 && lane.State == LaneState.Busy) Complete(index);
            // A short read has emptied the socket, unless a FIN is behind it.
            if (_work.IsPerConnection && lane.State != LaneState.Answered) return;
            if (count < BufferBytes && (events & KernelCalls.EventPeerClosed) == 0) return;
        }
    }

    private void Complete(int index)
    {
        ref var lane = ref _lanes[index];
        _latencies.Add(Clock.Now - lane.StartedAt);
        _operations += _work.Pipeline;
        if (_work is { NewConnection: true, Closer: Closer.Server }) lane.State = LaneState.Answered;
        else Next(index);
    }

    private void Next(int index)
    {
        if (_work.IsPerConnection) Close(index);
        _lanes[index].State = _work.IsPerConnection ? LaneState.Closed : LaneState.Idle;
        if (_work.Rate > 0) _free[_freeCount++] = index;
        else Start(index, Clock.Now);
    }

    private void Fail(int index)
    {
        _errors++;
        Close(index);
        // A server that refuses all would otherwise be asked without end and without a result.
        if (_errors > 1_000 && _operations < _errors) throw new IOException($"{_errors} connections failed: is the server alive?");
        if (_work.IsPerConnection) Next(index);
        else Open(index);
        if (!_work.IsPerConnection && !_work.IsUdp) throw new IOException("the server ended a connection that should have stayed");
    }

    private void OnBulk(ref Lane lane, uint events)
    {
        if ((events & (KernelCalls.EventError | KernelCalls.EventHangUp)) != 0) throw new IOException("the connection for bulk data ended");
        if (lane.State == LaneState.Connecting) _connected++;
        lane.State = LaneState.Idle;
        var count = _work.Reverse
            ? KernelCalls.Receive(lane.Descriptor, _buffer, BufferBytes, 0)
            : KernelCalls.Send(lane.Descriptor, _buffer, BufferBytes, KernelCalls.NoSignal);
        if (count > 0) _bytes += count;
    }

    private void GiveUpDatagrams(long now)
    {
        for (var i = 0; i < _lanes.Length; i++)
        {
            if (_lanes[i].State != LaneState.Busy || now - _lanes[i].SentAt < DatagramLimit) continue;
            _errors++;
            Next(i);
        }
    }

    private void Close(int index)
    {
        ref var lane = ref _lanes[index];
        if (lane.State == LaneState.Closed) return;
        KernelCalls.Close(lane.Descriptor);
        lane.State = LaneState.Closed;
    }

    private enum LaneState : byte
    {
        Closed,
        Connecting,
        Idle,
        Busy,
        Answered,
    }

    private struct Lane
    {
        public int Descriptor;
        public int Left;
        public int Unsent;
        public LaneState State;
        public long StartedAt;
        public long SentAt;
    }
}
