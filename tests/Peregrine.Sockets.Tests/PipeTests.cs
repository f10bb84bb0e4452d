// The pipes over the rings against System.IO.Pipelines.Pipe: the same calls must give the same answers.
using System.Buffers;
using System.IO.Pipelines;
using System.Net.Sockets;

namespace Peregrine.Sockets.Tests;

public sealed class PipeTests
{
    // A pipe has no window and no delay: here all that is sent arrives at once.
    private static readonly Core.Tcp.TcpSettings s_eager = new()
    {
        NoDelay = true,
        ReceiveBufferBytes = 8 << 20,
        ReceiveBufferBytesMax = 8 << 20,
        SendBufferBytes = 8 << 20,
        SendBufferBytesMax = 8 << 20,
    };

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(4)]
    [InlineData(5)]
    [InlineData(6)]
    [InlineData(7)]
    [InlineData(8)]
    public async Task ReaderAnswersAsAPipeDoes(int seed)
    {
        await using var network = TestNetwork.ByHand();
        var (client, server) = network.Pair(new TcpConnectionOptions { Settings = s_eager }, new TcpListenerOptions { Settings = s_eager });
        var random = new Random(seed);
        var pipe = new Pipe(new PipeOptions(pauseWriterThreshold: 0, readerScheduler: PipeScheduler.Inline, writerScheduler: PipeScheduler.Inline));
        ValueTask<ReadResult>? ours = null, theirs = null;
        var completed = false;
        for (var step = 0; step < 400; step++)
        {
            switch (random.Next(7))
            {
                case 0 or 1 when !completed:
                    var bytes = new byte[random.Next(10) == 0 ? random.Next(1, 60_000) : random.Next(1, 400)];
                    random.NextBytes(bytes);
                    await pipe.Writer.WriteAsync(bytes);
                    Assert.Equal(bytes.Length, await client.SendAsync(bytes));
                    break;
                case 2 when random.Next(4) == 0:
                    pipe.Reader.CancelPendingRead();
                    server.Input.CancelPendingRead();
                    break;
                case 3 when random.Next(60) == 0 && !completed:
                    completed = true;
                    pipe.Writer.Complete();
                    client.Shutdown(SocketShutdown.Send);
                    break;
                case 4 when ours == null:
                    network.Core.Settle();
                    var (got, expected) = (server.Input.TryRead(out var our), pipe.Reader.TryRead(out var their));
                    Assert.Equal(expected, got);
                    if (got) Compare(their, our, pipe.Reader, server.Input, random);
                    break;
                case 5 when ours == null:
                    network.Core.Settle();
                    (ours, theirs) = (server.Input.ReadAsync(), pipe.Reader.ReadAsync());
                    break;
            }
            network.Core.Settle();
            if (ours is not { } mine) continue;
            Assert.Equal(theirs!.Value.IsCompleted, mine.IsCompleted);
            if (!mine.IsCompleted) continue;
            Compare(await theirs.Value, await mine, pipe.Reader, server.Input, random);
            (ours, theirs) = (null, null);
        }
    }

    [Theory]
    [InlineData(11)]
    [InlineData(12)]
    [InlineData(13)]
    [InlineData(14)]
    public async Task WriterAnswersAsAPipeDoes(int seed)
    {
        await using var network = TestNetwork.ByHand();
        var (client, server) = network.Pair();
        var random = new Random(seed);
        var pipe = new Pipe(new PipeOptions(pauseWriterThreshold: 0));
        var (sent, got) = (new MemoryStream(), new MemoryStream());
        for (var step = 0; step < 500; step++)
        {
            if (random.Next(3) > 0)
            {
                var hint = random.Next(5) == 0 ? random.Next(1, 20_000) : random.Next(0, 200);
                var bytes = new byte[random.Next(0, Math.Max(hint, 1) + 1)];
                random.NextBytes(bytes);
                var (our, their) = (client.Output.GetMemory(hint), pipe.Writer.GetMemory(hint));
                Assert.True(our.Length >= Math.Max(1, hint));
                bytes.CopyTo(our);
                bytes.CopyTo(their);
                client.Output.Advance(bytes.Length);
                pipe.Writer.Advance(bytes.Length);
                sent.Write(bytes);
            }
            Assert.Equal(pipe.Writer.UnflushedBytes, client.Output.UnflushedBytes);
            if (random.Next(4) == 0)
            {
                var (our, their) = (await client.Output.FlushAsync(), await pipe.Writer.FlushAsync());
                Assert.Equal((their.IsCanceled, their.IsCompleted), (our.IsCanceled, our.IsCompleted));
            }
            network.Core.Settle();
            Drain(network, server, got);
        }
        client.Output.Complete();
        Drain(network, server, got);
        Assert.Equal(sent.ToArray(), got.ToArray());
    }

    [Fact]
    public async Task FlushWaitsWhileTheSendBufferIsFull()
    {
        await using var network = TestNetwork.ByHand();
        var (client, server) = network.Pair();
        ValueTask<FlushResult> flush;
        long written = 0;
        do
        {
            client.Output.GetMemory(10_000).Span[..10_000].Fill(7);
            client.Output.Advance(10_000);
            written += 10_000;
            flush = client.Output.FlushAsync();
            network.Core.Settle();
        }
        while (flush.IsCompleted && written < 100_000_000);
        Assert.False(flush.IsCompleted);
        var got = new MemoryStream();
        Drain(network, server, got);
        Assert.True(flush.IsCompletedSuccessfully);
        Assert.False((await flush).IsCompleted);
        Assert.Equal(written, got.Length);
    }

    [Fact]
    public async Task CancelledFlushKeepsItsBytes()
    {
        await using var network = TestNetwork.ByHand();
        var (client, server) = network.Pair();
        var bytes = new byte[20 << 20];
        new Random(3).NextBytes(bytes);
        var flush = client.Output.WriteAsync(bytes);
        network.Core.Settle();
        Assert.False(flush.IsCompleted);
        client.Output.CancelPendingFlush();
        Assert.True((await flush).IsCanceled);
        client.Output.Complete();
        var got = new MemoryStream();
        Drain(network, server, got);
        Assert.Equal(bytes, got.ToArray());
    }

    [Fact]
    public async Task DisposalAfterCompleteLosesNothing()
    {
        await using var network = TestNetwork.ByHand();
        var (client, server) = network.Pair();
        var bytes = new byte[20 << 20];
        new Random(4).NextBytes(bytes);
        var flush = client.Output.WriteAsync(bytes);
        client.Output.CancelPendingFlush();
        Assert.True(flush.IsCompleted);
        client.Output.Complete();
        client.Dispose();
        var got = new MemoryStream();
        Drain(network, server, got);
        Assert.Equal(bytes, got.ToArray());
        Assert.DoesNotContain(client, network.Core.Connections);
    }

    [Fact]
    public async Task MessageLargerThanTheWindowCanBeKeptUnread()
    {
        await using var network = TestNetwork.ByHand();
        var (client, server) = network.Pair(listen: new TcpListenerOptions
        {
            Settings = new Core.Tcp.TcpSettings { ReceiveBufferBytes = 65_536, ReceiveBufferBytesMax = 65_536 },
        });
        var bytes = new byte[5 << 20];
        new Random(5).NextBytes(bytes);
        var send = client.SendAsync(bytes);
        ReadResult result;
        while (true)
        {
            var read = server.Input.ReadAsync();
            network.Core.Settle();
            Assert.True(read.IsCompleted);
            result = await read;
            if (result.Buffer.Length == bytes.Length) break;
            server.Input.AdvanceTo(result.Buffer.Start, result.Buffer.End);
        }
        Assert.True(result.Buffer.ToArray().AsSpan().SequenceEqual(bytes));
        server.Input.AdvanceTo(result.Buffer.End);
        Assert.Equal(bytes.Length, await send);
    }

    [Fact]
    public async Task ReaderThrowsWhenThePeerResets()
    {
        await using var network = TestNetwork.ByHand();
        var (client, server) = network.Pair();
        var read = server.Input.ReadAsync();
        client.Abort();
        network.Core.Settle();
        var e = await Assert.ThrowsAsync<IOException>(async () => await read);
        Assert.Equal(SocketError.ConnectionReset, Assert.IsType<SocketException>(e.InnerException).SocketErrorCode);
    }

    [Fact]
    public async Task FlushSaysCompletedWhenThePeerHasReset()
    {
        await using var network = TestNetwork.ByHand();
        var (client, server) = network.Pair();
        server.Abort();
        network.Core.Settle();
        Assert.True((await client.Output.WriteAsync("x"u8.ToArray())).IsCompleted);
    }

    [Fact]
    public async Task BytesOfAResultStayWhenThePeerResets()
    {
        await using var network = TestNetwork.ByHand();
        var (client, server) = network.Pair();
        var bytes = new byte[10_000];
        new Random(6).NextBytes(bytes);
        Assert.Equal(bytes.Length, await client.SendAsync(bytes));
        network.Core.Settle();
        Assert.True(server.Input.TryRead(out var result));
        client.Abort();
        network.Core.Settle();
        // Others take every block that was given back and write into it.
        var (noise, sink) = network.Pair();
        var fill = noise.SendAsync(new byte[1 << 20]);
        network.Core.Settle();
        Assert.True(result.Buffer.ToArray().AsSpan().SequenceEqual(bytes));
        GC.KeepAlive((fill, sink));
    }

    [Fact]
    public async Task ReservedMemoryIsNobodyElsesAfterAReset()
    {
        await using var network = TestNetwork.ByHand();
        var (client, server) = network.Pair();
        var memory = client.Output.GetMemory(100);
        server.Abort();
        network.Core.Settle();
        var (other, reader) = network.Pair();
        var bytes = new byte[200_000];
        new Random(8).NextBytes(bytes);
        Assert.Equal(bytes.Length, await other.SendAsync(bytes));
        memory.Span.Fill(0xEE);
        var got = new MemoryStream();
        Drain(network, reader, got);
        Assert.True(got.ToArray().AsSpan().SequenceEqual(bytes));
    }

    [Fact]
    public async Task CompletingTheOutputWithAnExceptionResets()
    {
        await using var network = TestNetwork.ByHand();
        var (client, server) = network.Pair();
        client.Output.Complete(new InvalidOperationException());
        network.Core.Settle();
        var e = await Assert.ThrowsAsync<SocketException>(async () => await server.ReceiveAsync(new byte[1]));
        Assert.Equal(SocketError.ConnectionReset, e.SocketErrorCode);
    }

    [Fact]
    public async Task MisuseIsRefusedAsAPipeRefusesIt()
    {
        await using var network = TestNetwork.ByHand();
        var (client, server) = network.Pair();
        Assert.Throws<InvalidOperationException>(() => server.Input.AdvanceTo(default));
        Assert.Equal(1, await client.SendAsync(new byte[1]));
        network.Core.Settle();
        Assert.True(server.Input.TryRead(out var result));
        Assert.Throws<InvalidOperationException>(() => { _ = server.Input.ReadAsync(); });
        Assert.Throws<InvalidOperationException>(() => server.Input.AdvanceTo(result.Buffer.End, result.Buffer.Start));
        Assert.Throws<ArgumentOutOfRangeException>(() => client.Output.Advance(1));
        client.Output.Complete();
        Assert.Throws<InvalidOperationException>(() => { _ = client.Output.GetMemory(1); });
        server.Input.Complete();
        Assert.Throws<InvalidOperationException>(() => { _ = server.Input.ReadAsync(); });
    }

    private static void Compare(ReadResult theirs, ReadResult ours, PipeReader their, PipeReader our, Random random)
    {
        Assert.Equal((theirs.IsCanceled, theirs.IsCompleted, theirs.Buffer.Length), (ours.IsCanceled, ours.IsCompleted, ours.Buffer.Length));
        Assert.True(theirs.Buffer.ToArray().AsSpan().SequenceEqual(ours.Buffer.ToArray()));
        var length = (int)theirs.Buffer.Length;
        var consumed = random.Next(3) switch { 0 => 0, 1 => length, _ => random.Next(length + 1) };
        var examined = random.Next(2) == 0 ? length : random.Next(consumed, length + 1);
        their.AdvanceTo(theirs.Buffer.GetPosition(consumed), theirs.Buffer.GetPosition(examined));
        our.AdvanceTo(ours.Buffer.GetPosition(consumed), ours.Buffer.GetPosition(examined));
    }

    private static void Drain(TestNetwork network, TcpConnection connection, MemoryStream into)
    {
        var buffer = new byte[1 << 17];
        for (var quiet = 0; quiet < 1;)
        {
            network.Core.Settle();
            using var cancel = new CancellationTokenSource();
            var receive = connection.ReceiveAsync(buffer, cancel.Token);
            if (!receive.IsCompleted)
            {
                cancel.Cancel();
                quiet++;
                Assert.Throws<OperationCanceledException>(() => receive.GetAwaiter().GetResult());
                continue;
            }
            var n = receive.Result;
            if (n == 0) return;
            quiet = 0;
            into.Write(buffer, 0, n);
        }
    }
}
