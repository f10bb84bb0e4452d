// A core for tests: the same engine base as the host's, with a loop that a test turns by hand or that runs on a thread of its own.
using System.Collections.Concurrent;
using System.Net;
using Peregrine.Core;
using Peregrine.Core.Memory;
using Peregrine.Core.Time;

namespace Peregrine.Sockets.Tests;

internal sealed class TestCore : SocketEngine
{
    private readonly ConcurrentQueue<EngineCommand> _mailbox = new();
    private readonly SemaphoreSlim _wake = new(0);
    private readonly int _mailboxMax;
    private Instant _time = Instant.Zero + Duration.FromSeconds(1);
    private int _queued;

    internal TestCore(CompletionMode mode = CompletionMode.Inline, int mailboxMax = 256, StackOptions? options = null)
        : base(TestStack.Create(options), mode) => _mailboxMax = mailboxMax;

    internal List<Exception> Unhandled { get; } = [];

    internal int FullCount { get; private set; }

    /// <summary>Records that other threads have put into the mailbox.</summary>
    internal int PostCount { get; private set; }

    internal bool IsClosed { get; set; }

    public override bool TryPost(in EngineCommand command)
    {
        if (IsClosed) return false;
        if (Interlocked.Increment(ref _queued) > _mailboxMax)
        {
            Interlocked.Decrement(ref _queued);
            FullCount++;
            return false;
        }
        PostCount++;
        _mailbox.Enqueue(command);
        _wake.Release();
        return true;
    }

    public override void RunElsewhere(IThreadPoolWorkItem item) => ThreadPool.UnsafeQueueUserWorkItem(item, preferLocal: false);

    public override void OnUnhandled(Exception exception, object callback)
    {
        lock (Unhandled) Unhandled.Add(exception);
    }

    internal bool Turn()
    {
        _time += Duration.FromMilliseconds(1);
        BeginTurn(_time);
        var busy = false;
        for (var left = 64; left > 0 && _mailbox.TryDequeue(out var command); left--)
        {
            Interlocked.Decrement(ref _queued);
            Execute(command);
            busy = true;
        }
        Stack.FireTimers(_time);
        Dispatch(_time);
        return Stack.Poll(_time) | busy || HasWork || Stack.HasWork;
    }

    /// <summary>Turns until nothing happens any more.</summary>
    internal void Settle()
    {
        for (var (quiet, left) = (0, 10_000); quiet < 3 && left > 0; left--) quiet = Turn() ? 0 : quiet + 1;
    }

    internal void Wait() => _wake.Wait(1);

    internal void CloseMailbox()
    {
        IsClosed = true;
        while (_mailbox.TryDequeue(out var command)) Execute(command);
    }

    protected override void WaitForRoom(int attempt) => Thread.Yield();
}

internal sealed class TestNetwork : Network
{
    private readonly TestCore _core;
    private readonly Thread? _thread;
    private volatile bool _stop;

    private TestNetwork(TestCore core, bool threaded)
        : base(core, new HostTable([new("two.example", [IPAddress.Parse("127.0.0.1")])]))
    {
        _core = core;
        if (!threaded)
        {
            core.AttachThread();
            return;
        }
        _thread = new Thread(Loop) { IsBackground = true, Name = "core" };
        _thread.Start();
    }

    internal TestCore Core => _core;

    internal int CoreThreadId => _thread?.ManagedThreadId ?? Environment.CurrentManagedThreadId;

    /// <summary>The test's own thread is the core, and turns it by hand.</summary>
    internal static TestNetwork ByHand(CompletionMode mode = CompletionMode.Inline, StackOptions? options = null) =>
        new(new TestCore(mode, options: options), threaded: false);

    internal static TestNetwork OnThread(CompletionMode mode = CompletionMode.Inline, int mailboxMax = 256) => new(new TestCore(mode, mailboxMax), threaded: true);

    /// <summary>A connected pair, both ends on this core, made by hand.</summary>
    internal (TcpConnection Client, TcpConnection Server) Pair(TcpConnectionOptions? options = null, TcpListenerOptions? listen = null)
    {
        var listener = ListenTcp(new IPEndPoint(IPAddress.Loopback, 0), listen);
        var accept = listener.AcceptAsync();
        var connect = ConnectTcpAsync(listener.LocalEndPoint, options);
        Core.Settle();
        Assert.True(accept.IsCompletedSuccessfully && connect.IsCompletedSuccessfully);
        listener.Dispose();
        return (connect.Result, accept.Result);
    }

    internal async Task<(TcpConnection Client, TcpConnection Server)> PairAsync(TcpConnectionOptions? options = null, TcpListenerOptions? listen = null)
    {
        var listener = ListenTcp(new IPEndPoint(IPAddress.Loopback, 0), listen);
        var accept = listener.AcceptAsync().AsTask();
        var client = await ConnectTcpAsync(listener.LocalEndPoint, options).AsTask().WaitAsync(Limit);
        var server = await accept.WaitAsync(Limit);
        await listener.DisposeAsync();
        return (client, server);
    }

    internal static TimeSpan Limit => TimeSpan.FromSeconds(120);

    public override async ValueTask DisposeAsync()
    {
        _stop = true;
        if (_thread == null) Stop();
        // The test may have come to the core's own thread by an inline continuation, which must not wait for itself.
        else await Task.Run(_thread.Join);
    }

    private void Loop()
    {
        _core.AttachThread();
        while (!_stop)
        {
            if (!_core.Turn()) _core.Wait();
        }
        Stop();
    }

    private void Stop()
    {
        _core.CloseMailbox();
        _core.Stop();
        _core.Stack.Dispose();
    }
}
