// Other threads than the core's: hand-over through the mailbox, its bound, where continuations run, cancellation from anywhere, the end.
using System.Net;
using System.Net.Sockets;

namespace Peregrine.Sockets.Tests;

public sealed class ThreadTests
{
    [Fact]
    public async Task ForeignThreadsSendAndReceive()
    {
        await using var network = TestNetwork.OnThread();
        var (client, server) = await network.PairAsync();
        var bytes = new byte[3 << 20];
        new Random(1).NextBytes(bytes);
        var send = Task.Run(async () => await client.SendAsync(bytes));
        var got = await Task.Run(() => ReadAll(server, bytes.Length)).WaitAsync(TestNetwork.Limit);
        Assert.Equal(bytes.Length, await send.WaitAsync(TestNetwork.Limit));
        Assert.True(got.AsSpan().SequenceEqual(bytes));
    }

    [Fact]
    public async Task InlineContinuationsRunOnTheCoresThread()
    {
        await using var network = TestNetwork.OnThread();
        var (client, server) = await network.PairAsync();
        var thread = ThreadAfter(server.ReceiveAsync(new byte[1]));
        await client.SendAsync(new byte[1]).AsTask().WaitAsync(TestNetwork.Limit);
        Assert.Equal(network.CoreThreadId, await thread.WaitAsync(TestNetwork.Limit));
    }

    [Fact]
    public async Task ThreadPoolContinuationsDoNot()
    {
        await using var network = TestNetwork.OnThread(CompletionMode.ThreadPool);
        var (client, server) = await network.PairAsync();
        var thread = Task.Run(async () =>
        {
            await server.ReceiveAsync(new byte[1]).ConfigureAwait(false);
            return (Environment.CurrentManagedThreadId, Thread.CurrentThread.IsThreadPoolThread);
        });
        await client.SendAsync(new byte[1]).AsTask().WaitAsync(TestNetwork.Limit);
        var (id, pool) = await thread.WaitAsync(TestNetwork.Limit);
        Assert.NotEqual(network.CoreThreadId, id);
        Assert.True(pool);
    }

    [Fact]
    public async Task ConnectionsOwnModeWins()
    {
        await using var network = TestNetwork.OnThread();
        var (client, server) = await network.PairAsync(listen: new TcpListenerOptions { CompletionMode = CompletionMode.ThreadPool });
        Assert.Equal((CompletionMode.Inline, CompletionMode.ThreadPool), (client.CompletionMode, server.CompletionMode));
        var thread = Task.Run(async () =>
        {
            await server.ReceiveAsync(new byte[1]).ConfigureAwait(false);
            return Environment.CurrentManagedThreadId;
        });
        await client.SendAsync(new byte[1]).AsTask().WaitAsync(TestNetwork.Limit);
        Assert.NotEqual(network.CoreThreadId, await thread.WaitAsync(TestNetwork.Limit));
    }

    [Fact]
    public async Task AnAwaitersOwnContextIsKept()
    {
        await using var network = TestNetwork.OnThread();
        var (client, server) = await network.PairAsync();
        var context = new CountingContext();
        var seen = new TaskCompletionSource<SynchronizationContext?>();
        SynchronizationContext.SetSynchronizationContext(context);
        try
        {
            var awaiter = server.ReceiveAsync(new byte[1]).GetAwaiter();
            awaiter.OnCompleted(() => seen.SetResult(SynchronizationContext.Current));
        }
        finally
        {
            SynchronizationContext.SetSynchronizationContext(null);
        }
        await client.SendAsync(new byte[1]).AsTask().WaitAsync(TestNetwork.Limit);
        Assert.Same(context, await seen.Task.WaitAsync(TestNetwork.Limit));
        Assert.Equal(1, context.Posts);
    }

    [Fact]
    public async Task TheCoresContextBringsAwaitsBack()
    {
        await using var network = TestNetwork.OnThread();
        var home = new TaskCompletionSource<(int Before, int After)>();
        network.Core.Context.Post(_ => Start(network, home), null);
        var (before, after) = await home.Task.WaitAsync(TestNetwork.Limit);
        Assert.Equal((network.CoreThreadId, network.CoreThreadId), (before, after));
    }

    [Fact]
    public async Task FullMailboxMakesPostersWaitAndLosesNothing()
    {
        await using var network = TestNetwork.OnThread(mailboxMax: 4);
        const int pairs = 8, rounds = 400;
        var tasks = new List<Task<int>>();
        for (var i = 0; i < pairs; i++)
        {
            var (client, server) = await network.PairAsync();
            tasks.Add(Task.Run(() => Echo(server, rounds)));
            tasks.Add(Task.Run(() => Ask(client, rounds)));
        }
        foreach (var task in tasks) Assert.Equal(rounds, await task.WaitAsync(TimeSpan.FromSeconds(60)));
        Assert.Empty(network.Core.Unhandled);
    }

    [Fact]
    public async Task CancellationRacesWithDataAndLosesNone()
    {
        await using var network = TestNetwork.OnThread(CompletionMode.ThreadPool);
        var (client, server) = await network.PairAsync();
        const int total = 2_000;
        var send = Task.Run(async () =>
        {
            for (var i = 0; i < total; i++) await client.SendAsync(new[] { (byte)i });
        });
        var buffer = new byte[1];
        for (var i = 0; i < total;)
        {
            using var cancel = new CancellationTokenSource();
            var receive = server.ReceiveAsync(buffer, cancel.Token).AsTask();
            if (i % 3 == 0) _ = Task.Run(cancel.Cancel);
            try
            {
                Assert.Equal(1, await receive.WaitAsync(TestNetwork.Limit));
                Assert.Equal((byte)i, buffer[0]);
                i++;
            }
            catch (OperationCanceledException)
            {
                Assert.True(cancel.IsCancellationRequested);
            }
        }
        await send.WaitAsync(TestNetwork.Limit);
    }

    [Fact]
    public async Task DisposalFromAnotherThreadFailsWhatIsPending()
    {
        await using var network = TestNetwork.OnThread();
        var (_, server) = await network.PairAsync();
        var pending = server.ReceiveAsync(new byte[1]).AsTask();
        server.Dispose();
        var e = await Assert.ThrowsAsync<SocketException>(() => pending.WaitAsync(TestNetwork.Limit));
        Assert.Equal(SocketError.OperationAborted, e.SocketErrorCode);
    }

    [Fact]
    public async Task StoppedCoreFailsEverythingThatWaits()
    {
        var network = TestNetwork.OnThread();
        var (client, server) = await network.PairAsync();
        var listener = network.ListenTcp(new IPEndPoint(IPAddress.Loopback, 0));
        var (accept, receive) = (listener.AcceptAsync().AsTask(), server.ReceiveAsync(new byte[1]).AsTask());
        var read = client.Input.ReadAsync().AsTask();
        await network.DisposeAsync();
        await Assert.ThrowsAsync<SocketException>(() => accept.WaitAsync(TestNetwork.Limit));
        await Assert.ThrowsAsync<SocketException>(() => receive.WaitAsync(TestNetwork.Limit));
        await Assert.ThrowsAsync<IOException>(() => read.WaitAsync(TestNetwork.Limit));
        await Assert.ThrowsAnyAsync<Exception>(() => server.ReceiveAsync(new byte[1]).AsTask().WaitAsync(TestNetwork.Limit));
        Assert.Throws<ObjectDisposedException>(() => network.ListenTcp(new IPEndPoint(IPAddress.Loopback, 0)));
        await Assert.ThrowsAsync<SocketException>(() => network.ConnectTcpAsync(new IPEndPoint(IPAddress.Loopback, 1)).AsTask().WaitAsync(TestNetwork.Limit));
    }

    [Theory]
    [InlineData(CompletionMode.Inline)]
    [InlineData(CompletionMode.ThreadPool)]
    public async Task PipesWorkFromForeignThreads(CompletionMode mode)
    {
        await using var network = TestNetwork.OnThread(mode);
        var (client, server) = await network.PairAsync();
        var bytes = new byte[4 << 20];
        new Random(9).NextBytes(bytes);
        var writing = Task.Run(async () =>
        {
            for (var i = 0; i < bytes.Length;)
            {
                var memory = client.Output.GetMemory(1000);
                var n = Math.Min(memory.Length, Math.Min(5000, bytes.Length - i));
                bytes.AsSpan(i, n).CopyTo(memory.Span);
                client.Output.Advance(n);
                i += n;
                Assert.False((await client.Output.FlushAsync()).IsCompleted);
            }
            await client.Output.CompleteAsync();
        });
        var got = new MemoryStream();
        await Task.Run(async () =>
        {
            while (true)
            {
                var result = await server.Input.ReadAsync();
                foreach (var part in result.Buffer) got.Write(part.Span);
                server.Input.AdvanceTo(result.Buffer.End);
                if (result.IsCompleted) break;
            }
        }).WaitAsync(TimeSpan.FromSeconds(60));
        await writing.WaitAsync(TestNetwork.Limit);
        Assert.True(got.ToArray().AsSpan().SequenceEqual(bytes));
    }

    /// <summary>The thread on which code without a context goes on after an operation that has not completed.</summary>
    private static Task<int> ThreadAfter(ValueTask<int> operation)
    {
        var thread = new TaskCompletionSource<int>();
        operation.ConfigureAwait(false).GetAwaiter().UnsafeOnCompleted(() => thread.SetResult(Environment.CurrentManagedThreadId));
        return thread.Task;
    }

    private static async void Start(TestNetwork network, TaskCompletionSource<(int, int)> home)
    {
        SynchronizationContext.SetSynchronizationContext(network.Core.Context);
        var before = Environment.CurrentManagedThreadId;
        await Task.Run(static () => { });
        home.SetResult((before, Environment.CurrentManagedThreadId));
    }

    private static async Task<byte[]> ReadAll(TcpConnection connection, int count)
    {
        var bytes = new byte[count];
        for (var at = 0; at < count;) at += await connection.ReceiveAsync(bytes.AsMemory(at));
        return bytes;
    }

    private static async Task<int> Echo(TcpConnection connection, int rounds)
    {
        var buffer = new byte[64];
        for (var i = 0; i < rounds; i++)
        {
            var n = await connection.ReceiveAsync(buffer).ConfigureAwait(false);
            await Task.Yield();
            await connection.SendAsync(buffer.AsMemory(0, n)).ConfigureAwait(false);
        }
        return rounds;
    }

    private static async Task<int> Ask(TcpConnection connection, int rounds)
    {
        var buffer = new byte[64];
        for (var i = 0; i < rounds; i++)
        {
            await connection.SendAsync(new[] { (byte)i });
            await Task.Yield();
            if (await connection.ReceiveAsync(buffer) != 1 || buffer[0] != (byte)i) return -1;
            await Task.Yield();
        }
        return rounds;
    }

    private sealed class CountingContext : SynchronizationContext
    {
        internal int Posts;

        public override void Post(SendOrPostCallback d, object? state)
        {
            Interlocked.Increment(ref Posts);
            ThreadPool.QueueUserWorkItem(_ =>
            {
                SetSynchronizationContext(this);
                d(state);
            });
        }
    }
}
