// The stream over a connection: memory overloads, ends, errors as IOException, and synchronous use.
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace Peregrine.Sockets.Tests;

public sealed class StreamTests
{
    [Fact]
    public async Task StreamCarriesBytesAndItsEnd()
    {
        await using var network = TestNetwork.OnThread();
        var (client, server) = await network.PairAsync();
        var (a, b) = (client.AsStream(), server.AsStream());
        await a.WriteAsync(new byte[] { 1, 2, 3 }).AsTask().WaitAsync(TestNetwork.Limit);
        await a.FlushAsync();
        var buffer = new byte[3];
        await b.ReadExactlyAsync(buffer).AsTask().WaitAsync(TestNetwork.Limit);
        Assert.Equal([1, 2, 3], buffer);
        await a.DisposeAsync();
        Assert.Equal(0, await b.ReadAsync(buffer).AsTask().WaitAsync(TestNetwork.Limit));
    }

    [Fact]
    public async Task SynchronousReadAndWriteWorkOffTheCore()
    {
        await using var network = TestNetwork.OnThread(CompletionMode.ThreadPool);
        var (client, server) = await network.PairAsync();
        var sum = await Task.Run(() =>
        {
            client.AsStream().Write([1, 2, 3, 4]);
            var buffer = new byte[4];
            server.AsStream().ReadExactly(buffer);
            return buffer.Sum(static x => x);
        }).WaitAsync(TestNetwork.Limit);
        Assert.Equal(10, sum);
    }

    [Fact]
    public async Task SynchronousReadTimesOut()
    {
        await using var network = TestNetwork.OnThread(CompletionMode.ThreadPool);
        var (_, server) = await network.PairAsync();
        var stream = server.AsStream();
        stream.ReadTimeout = 5;
        var e = await Assert.ThrowsAsync<IOException>(() => Task.Run(() => stream.Read(new byte[1])));
        Assert.Equal(SocketError.TimedOut, Assert.IsType<SocketException>(e.InnerException).SocketErrorCode);
    }

    [Fact]
    public async Task SynchronousReadThatWouldBlockTheCoreIsRefusedInWords()
    {
        await using var network = TestNetwork.ByHand();
        var (client, server) = network.Pair();
        var e = Assert.Throws<InvalidOperationException>(() => server.AsStream().Read(new byte[1]));
        Assert.Contains("core's own thread", e.Message, StringComparison.Ordinal);
        client.AsStream().Write([5]);
        network.Core.Settle();
        Assert.Equal(5, server.AsStream().ReadByte());
    }

    [Fact]
    public async Task ErrorsAreIOExceptionsWithTheCodeInside()
    {
        await using var network = TestNetwork.ByHand();
        var (client, server) = network.Pair();
        var read = server.AsStream().ReadAsync(new byte[1]);
        client.Abort();
        network.Core.Settle();
        var e = await Assert.ThrowsAsync<IOException>(async () => await read);
        Assert.Equal(SocketError.ConnectionReset, Assert.IsType<SocketException>(e.InnerException).SocketErrorCode);
    }

    [Fact]
    public async Task TlsRunsOverTheStream()
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        using var made = new CertificateRequest("CN=test", key, HashAlgorithmName.SHA256).CreateSelfSigned(DateTimeOffset.UtcNow.AddDays(-1), DateTimeOffset.UtcNow.AddDays(1));
        await using var network = TestNetwork.OnThread(CompletionMode.ThreadPool);
        var (client, server) = await network.PairAsync();
        await using var a = new SslStream(client.AsStream(), false, static (_, _, _, _) => true);
        await using var b = new SslStream(server.AsStream());
        var serving = b.AuthenticateAsServerAsync(made);
        await a.AuthenticateAsClientAsync("test").WaitAsync(TestNetwork.Limit);
        await serving.WaitAsync(TestNetwork.Limit);
        var bytes = new byte[1 << 20];
        new Random(2).NextBytes(bytes);
        var writing = a.WriteAsync(bytes).AsTask();
        var got = new byte[bytes.Length];
        await b.ReadExactlyAsync(got).AsTask().WaitAsync(TestNetwork.Limit);
        await writing;
        Assert.Equal(bytes, got);
    }
}
