// Two ends of a memif connection in one process, each with a pool of its own, and waits that are bounded by tries and not by a clock.
using Peregrine.Core.Links;
using Peregrine.Core.Memory;
using Peregrine.Drivers.Memif;

namespace Peregrine.Drivers.Tests;

internal sealed class MemifPair : IDisposable
{
    private static int s_number;

    public MemifPair(MemifOptions? options = null, Func<FramePool>? clientPool = null, int chunks = 4096, int chunkSize = 2048)
    {
        options ??= new MemifOptions();
        var path = options.SocketPath.Length > 0 ? options.SocketPath : UniqueName();
        ServerOptions = options with { SocketPath = path, Role = MemifRole.Server };
        ClientOptions = options with { SocketPath = path, Role = MemifRole.Client };
        (ServerPool, ClientPool) = (PoolFixture.Pool(chunks, chunkSize), clientPool?.Invoke() ?? PoolFixture.Pool(chunks, chunkSize));
        (ServerFree, ClientFree) = (ServerPool.Chunks.FreeCount, ClientPool.Chunks.FreeCount);
        Server = MemifLink.Open(ServerOptions);
        Client = MemifLink.Open(ClientOptions);
        ServerQueue = Server.OpenQueue(0, ServerPool);
        ClientQueue = Client.OpenQueue(0, ClientPool);
    }

    public MemifOptions ServerOptions { get; }

    public MemifOptions ClientOptions { get; }

    public MemifLink Server { get; set; }

    public MemifLink Client { get; set; }

    public ILinkQueue ServerQueue { get; set; }

    public ILinkQueue ClientQueue { get; set; }

    public FramePool ServerPool { get; }

    public FramePool ClientPool { get; }

    private int ServerFree { get; }

    private int ClientFree { get; }

    public static string UniqueName() => $"@peregrine-test-{Environment.ProcessId}-{Interlocked.Increment(ref s_number)}";

    /// <summary>Waits until both ends are up and both queues have gone over to the session.</summary>
    public MemifPair Connected()
    {
        WaitUntil(() => Server.IsUp && Client.IsUp, () => $"server: {Server.State}; client: {Client.State}");
        var none = new Frame[1];
        Assert.Equal((0, 0), (ServerQueue.Receive(none), ClientQueue.Receive(none)));
        return this;
    }

    public static void WaitUntil(Func<bool> condition, Func<string>? what = null)
    {
        for (var tries = 0; tries < 12_000; tries++)
        {
            if (condition()) return;
            Thread.Yield();
            new ManualResetEventSlim().Wait(5);
        }
        Assert.Fail("It did not come to be. " + what?.Invoke());
    }

    /// <summary>Sends bytes and returns what comes out at the other end.</summary>
    public static byte[] Pass(ILinkQueue from, FramePool fromPool, ILinkQueue to, FramePool toPool, byte[] bytes, int headroom = FramePool.Headroom)
    {
        Assert.Equal(1, from.Transmit([PoolFixture.Make(fromPool, bytes, headroom)]));
        var got = new Frame[2];
        Assert.Equal(1, to.Receive(got));
        var result = PoolFixture.Bytes(toPool, got[0]);
        toPool.Return(got[0]);
        from.Reclaim();
        return result;
    }

    public byte[] ToServer(byte[] bytes) => Pass(ClientQueue, ClientPool, ServerQueue, ServerPool, bytes);

    public byte[] ToClient(byte[] bytes) => Pass(ServerQueue, ServerPool, ClientQueue, ClientPool, bytes);

    public void Dispose()
    {
        Client.Dispose();
        Server.Dispose();
    }

    /// <summary>Closes both ends and asserts that no chunk was lost.</summary>
    public void CloseWithoutLeak()
    {
        Dispose();
        Assert.Equal((ServerFree, ClientFree), (ServerPool.Chunks.FreeCount, ClientPool.Chunks.FreeCount));
    }
}
