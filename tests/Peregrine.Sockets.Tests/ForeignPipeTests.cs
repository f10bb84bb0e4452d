// Pipes in the hands of threads that are not the core's: when the core is asked, what flushes share, and that nothing is lost when threads change.
// The test's own thread is the core, and another one acts when it is told to.
using System.Buffers;
using System.IO.Pipelines;
using System.Net.Sockets;

namespace Peregrine.Sockets.Tests;

public sealed class ForeignPipeTests
{
    [Fact]
    public async Task FlushesAskTheCoreOnceUntilItLooks()
    {
        await using var network = TestNetwork.ByHand();
        var (client, server) = network.Pair();
        var sent = new MemoryStream();
        for (var round = 0; round < 5; round++)
        {
            var posts = network.Core.PostCount;
            Elsewhere(() =>
            {
                for (var i = 0; i < 100; i++) Write(client.Output, sent, [(byte)round, (byte)i, 1, 2, 3]);
            });
            Assert.Equal(1, network.Core.PostCount - posts);
            network.Core.Settle();
        }
        Assert.Equal(sent.ToArray(), ReadAll(network, server));
    }

    [Fact]
    public async Task FlushesShareAnArray()
    {
        await using var network = TestNetwork.ByHand();
        var (client, server) = network.Pair();
        var (sent, allocated) = (new MemoryStream(8_000), 0L);
        Elsewhere(() => Write(client.Output, sent, [7]));
        network.Core.Settle();
        Elsewhere(() =>
        {
            var bytes = new byte[4];
            var before = GC.GetAllocatedBytesForCurrentThread();
            for (var i = 0; i < 1_000; i++) Write(client.Output, sent, bytes);
            allocated = GC.GetAllocatedBytesForCurrentThread() - before;
        });
        // An array of 4 KiB and what holds it, if the pool of arrays had none; a thousand would be four million.
        Assert.InRange(allocated, 0, 8_000);
        Assert.Equal(sent.ToArray(), ReadAll(network, server));
    }

    [Fact]
    public async Task ReadsAskTheCoreOnlyIfItMayHaveSomething()
    {
        await using var network = TestNetwork.ByHand();
        var (client, server) = network.Pair();
        ValueTask<ReadResult> read = default;
        Elsewhere(() => read = server.Input.ReadAsync());
        network.Core.Settle();
        for (var round = 0; round < 5; round++)
        {
            Assert.Equal(3, await client.SendAsync(new byte[] { 1, 2, (byte)round }));
            network.Core.Settle();
            Assert.True(read.IsCompleted);
            var posts = network.Core.PostCount;
            Elsewhere(() =>
            {
                Assert.Equal([1, 2, (byte)round], Take(server.Input, read.GetAwaiter().GetResult()));
                read = server.Input.ReadAsync();
            });
            Assert.Equal(0, network.Core.PostCount - posts);
        }
        // What comes while nobody reads must be asked for.
        Assert.Equal(1, await client.SendAsync(new byte[] { 8 }));
        network.Core.Settle();
        Elsewhere(() => Take(server.Input, read.GetAwaiter().GetResult()));
        Assert.Equal(1, await client.SendAsync(new byte[] { 9 }));
        network.Core.Settle();
        Elsewhere(() => read = server.Input.ReadAsync());
        Assert.False(read.IsCompleted);
        network.Core.Settle();
        Assert.True(read.IsCompleted);
        Elsewhere(() => Assert.Equal([9], Take(server.Input, read.GetAwaiter().GetResult())));
    }

    [Fact]
    public async Task WhatTheCoreShowedAndNobodyExaminedIsReadAgain()
    {
        await using var network = TestNetwork.ByHand();
        var (client, server) = network.Pair();
        Assert.Equal(2, await client.SendAsync(new byte[] { 5, 6 }));
        network.Core.Settle();
        Assert.True(server.Input.TryRead(out var shown));
        ValueTask<ReadResult> read = default;
        Elsewhere(() =>
        {
            server.Input.AdvanceTo(shown.Buffer.Start);
            read = server.Input.ReadAsync();
        });
        network.Core.Settle();
        Assert.True(read.IsCompleted);
        Elsewhere(() => Assert.Equal([5, 6], Take(server.Input, read.GetAwaiter().GetResult())));
    }

    [Fact]
    public void AnArrayThatIsTakenAwayIsGivenBackOnlyWhenAllIsSent()
    {
        var array = new OutgoingArray(16);
        array.Length = 10;
        Assert.Equal(10, array.Publish());
        Assert.False(array.TryReturn());
        array.LetGo();
        array.OnSent(4);
        // The core found nothing more to send and took it away, and there was more: as if it had been flushed in between.
        Assert.False(array.TryReturn());
        Assert.False(array.TryHold());
        Assert.Equal(6, array.Unsent.Length);
        array.OnSent(6);
        Assert.True(array.TryReturn());
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task AReadHearsOfTheEndWhicheverCameFirst(bool endFirst)
    {
        await using var network = TestNetwork.ByHand();
        var (client, server) = network.Pair();
        ReadResult Read(Action end)
        {
            ValueTask<ReadResult> read = default;
            if (endFirst) end();
            network.Core.Settle();
            Elsewhere(() => read = server.Input.ReadAsync());
            network.Core.Settle();
            if (!endFirst) end();
            network.Core.Settle();
            Assert.True(read.IsCompleted);
            var result = read.GetAwaiter().GetResult();
            Elsewhere(() => server.Input.AdvanceTo(result.Buffer.End));
            return result;
        }

        Assert.True(Read(() => Elsewhere(server.Input.CancelPendingRead)).IsCanceled);
        Assert.True(Read(() => server.Shutdown(SocketShutdown.Receive)).IsCompleted);
        (client, server) = network.Pair();
        Assert.True(Read(() => client.Shutdown(SocketShutdown.Send)).IsCompleted);
        (client, server) = network.Pair();
        Assert.Throws<IOException>(() => Read(client.Abort));
        (client, server) = network.Pair();
        Assert.Throws<IOException>(() => Read(server.Abort));
        (client, server) = network.Pair();
        Assert.Throws<IOException>(() => Read(server.Dispose));
    }

    [Theory]
    [InlineData(21)]
    [InlineData(22)]
    [InlineData(23)]
    [InlineData(24)]
    public async Task WritersMayChangeThreads(int seed)
    {
        await using var network = TestNetwork.ByHand();
        var (client, server) = network.Pair();
        var random = new Random(seed);
        var (sent, got) = (new MemoryStream(), new MemoryStream());
        for (var step = 0; step < 1_000; step++)
        {
            Action act = random.Next(6) switch
            {
                0 => () => client.Output.GetMemory(random.Next(100)),
                1 or 2 => () => Fill(client.Output, sent, random),
                3 => () => WriteWhole(client.Output, sent, random),
                _ => () => Flush(client.Output.FlushAsync()),
            };
            if (random.Next(2) == 0) act();
            else Elsewhere(act);
            if (random.Next(4) == 0) network.Core.Settle();
            if (random.Next(8) == 0) ReadSome(network, server, got);
        }
        Elsewhere(() => client.Output.Complete());
        got.Write(ReadAll(network, server));
        Assert.Equal(sent.ToArray(), got.ToArray());

        // The ring is not full at any time, so that no flush waits.
        void Flush(ValueTask<FlushResult> flush) => Assert.True(flush.IsCompletedSuccessfully && !flush.Result.IsCompleted);

        void Fill(PipeWriter output, MemoryStream copy, Random chance)
        {
            var bytes = new byte[chance.Next(chance.Next(20) == 0 ? 9_000 : 300)];
            chance.NextBytes(bytes);
            bytes.CopyTo(output.GetMemory(bytes.Length));
            output.Advance(bytes.Length);
            copy.Write(bytes);
        }

        void WriteWhole(PipeWriter output, MemoryStream copy, Random chance)
        {
            var bytes = new byte[chance.Next(2_000)];
            chance.NextBytes(bytes);
            Flush(output.WriteAsync(bytes));
            copy.Write(bytes);
        }
    }

    [Theory]
    [InlineData(31)]
    [InlineData(32)]
    [InlineData(33)]
    [InlineData(34)]
    public async Task ReadersMayChangeThreads(int seed)
    {
        await using var network = TestNetwork.ByHand();
        var (client, server) = network.Pair();
        client.NoDelay = true;
        var random = new Random(seed);
        var (sent, got) = (new MemoryStream(), new MemoryStream());
        ValueTask<ReadResult>? read = null;
        for (var step = 0; step < 1_500; step++)
        {
            if (random.Next(2) == 0)
            {
                var bytes = new byte[random.Next(1, random.Next(20) == 0 ? 9_000 : 300)];
                random.NextBytes(bytes);
                Assert.Equal(bytes.Length, await client.SendAsync(bytes));
                sent.Write(bytes);
            }
            if (random.Next(2) == 0) network.Core.Settle();
            Act(() => read ??= server.Input.ReadAsync());
            if (random.Next(2) == 0) network.Core.Settle();
            if (read is { IsCompleted: true }) Act(TakeSome);
        }
        while (got.Length < sent.Length)
        {
            Act(() => read ??= server.Input.ReadAsync());
            network.Core.Settle();
            if (!read!.Value.IsCompleted)
            {
                // What was examined and left is announced with the next bytes only.
                Assert.Equal(1, client.TrySend([1]));
                sent.WriteByte(1);
                network.Core.Settle();
            }
            Assert.True(read!.Value.IsCompleted);
            Act(TakeSome);
        }
        Assert.Equal(sent.ToArray(), got.ToArray());

        void Act(Action act)
        {
            if (random.Next(2) == 0) act();
            else Elsewhere(act);
        }

        void TakeSome()
        {
            var buffer = read!.Value.GetAwaiter().GetResult().Buffer;
            read = null;
            var consumed = buffer.Slice(0, random.Next(3) == 0 ? random.Next((int)buffer.Length + 1) : buffer.Length);
            got.Write(consumed.ToArray());
            server.Input.AdvanceTo(consumed.End, random.Next(2) == 0 ? consumed.End : buffer.End);
        }
    }

    [Theory]
    [InlineData(CompletionMode.Inline)]
    [InlineData(CompletionMode.ThreadPool)]
    public async Task NoAskingIsLostBetweenThreads(CompletionMode mode)
    {
        await using var network = TestNetwork.OnThread(mode);
        var (client, server) = await network.PairAsync();
        const int rounds = 3_000;
        var echo = Task.Run(() => AnswerAsync(server, rounds));
        var ask = Task.Run(async () =>
        {
            for (var i = 0; i < rounds; i++)
            {
                await client.Output.WriteAsync(new[] { (byte)i });
                await Task.Yield();
                var result = await client.Input.ReadAsync();
                Assert.Equal((byte)i, result.Buffer.FirstSpan[0]);
                client.Input.AdvanceTo(result.Buffer.End);
                await Task.Yield();
            }
        });
        await Task.WhenAll(ask, echo).WaitAsync(TestNetwork.Limit);
        Assert.Empty(network.Core.Unhandled);
    }

    private static async Task AnswerAsync(TcpConnection connection, int rounds)
    {
        for (var i = 0; i < rounds; i++)
        {
            var result = await connection.Input.ReadAsync();
            var bytes = result.Buffer.ToArray();
            await Task.Yield();
            connection.Input.AdvanceTo(result.Buffer.End);
            // In two flushes, which the core may see as one.
            await connection.Output.WriteAsync(bytes);
            await connection.Output.FlushAsync();
            await Task.Yield();
        }
    }

    /// <summary>Runs something on a thread that is not the core's, and waits for it.</summary>
    private static void Elsewhere(Action act)
    {
        Exception? failed = null;
        var thread = new Thread(() =>
        {
            try
            {
                act();
            }
            catch (Exception e)
            {
                failed = e;
            }
        });
        thread.Start();
        thread.Join();
        if (failed != null) throw new InvalidOperationException("On the other thread: " + failed.Message, failed);
    }

    private static void Write(PipeWriter output, MemoryStream copy, ReadOnlySpan<byte> bytes)
    {
        bytes.CopyTo(output.GetSpan(bytes.Length));
        output.Advance(bytes.Length);
        copy.Write(bytes);
        Assert.True(output.FlushAsync().IsCompletedSuccessfully);
    }

    private static byte[] Take(PipeReader input, ReadResult result)
    {
        var bytes = result.Buffer.ToArray();
        input.AdvanceTo(result.Buffer.End);
        return bytes;
    }

    private static byte[] ReadAll(TestNetwork network, TcpConnection connection)
    {
        var got = new MemoryStream();
        while (ReadSome(network, connection, got) > 0)
        {
        }
        return got.ToArray();
    }

    private static int ReadSome(TestNetwork network, TcpConnection connection, MemoryStream into)
    {
        network.Core.Settle();
        var buffer = new byte[1 << 16];
        if (!connection.TryReceive(buffer, out var count, out _, out _)) return 0;
        into.Write(buffer, 0, count);
        return count;
    }
}
