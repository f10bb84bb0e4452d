// Code that the thread pool runs: in order, one item at a time, and so the same every time; and the pool is given back as it was.
using System.Net;
using System.Net.Sockets;
using System.Threading.Channels;
using Peregrine.Simulation.Networks;

// Each of these runs needs the process's thread pool for itself.
[assembly: CollectionBehavior(DisableTestParallelization = true)]

namespace Peregrine.Simulation.Web.Tests;

public sealed class PoolTests
{
    [Fact]
    public async Task CodeOnThePoolReplaysBitForBitWhenItsTimersAreTheNetworks()
    {
        var first = await ManyAsync(31);
        var second = await ManyAsync(31);
        Assert.Equal(200, first.Order.Split(' ').Length);
        Assert.Equal(first, second);
        Assert.NotEqual(first.Hash, (await ManyAsync(32)).Hash);
    }

    [Fact]
    public async Task ThePoolIsGivenBackAsItWas()
    {
        ThreadPool.GetMinThreads(out var min, out _);
        ThreadPool.GetMaxThreads(out var max, out _);
        using var network = new SimulatedNetwork(1);
        var inside = 0;
        await network.RunWithThreadPoolAsync(() =>
        {
            ThreadPool.GetMaxThreads(out inside, out _);
            return Task.CompletedTask;
        });
        ThreadPool.GetMinThreads(out var minAfter, out _);
        ThreadPool.GetMaxThreads(out var maxAfter, out _);
        Assert.Equal((min, max), (minAfter, maxAfter));
        Assert.Equal(Environment.ProcessorCount + 1, inside);
    }

    [Fact]
    public async Task AnExceptionOnThePoolIsTheRuns()
    {
        using var network = new SimulatedNetwork(1);
        var client = network.AddHost("client");
        var e = await Assert.ThrowsAsync<SocketException>(() => network.RunWithThreadPoolAsync(() => Task.Run(async () => await client.ConnectTcpAsync(new DnsEndPoint("nobody", 80)))));
        Assert.Equal(SocketError.HostNotFound, e.SocketErrorCode);
    }

    [Fact]
    public async Task CodeThatBlocksAThreadOfThePoolIsToldSoAndTheNextRunIsFree()
    {
        using var blocked = new ManualResetEventSlim();
        using var network = new SimulatedNetwork(1) { PoolPatience = TimeSpan.FromMilliseconds(300) };
        var host = network.AddHost("a");
        var e = await Assert.ThrowsAsync<TimeoutException>(() => network.RunWithThreadPoolAsync(() => Task.Run(blocked.Wait)));
        Assert.Contains("Await instead", e.Message, StringComparison.Ordinal);
        blocked.Set();
        var isRun = false;
        await network.RunWithThreadPoolAsync(async () =>
        {
            await Task.Delay(TimeSpan.FromHours(0.5), host.TimeProvider).ConfigureAwait(false);
            isRun = await Task.Run(static () => true);
        });
        Assert.True(isRun);
    }

    /// <summary>Twenty tasks on the pool send datagrams to one receiver, over lines that lose and reorder, and a channel.</summary>
    private static async Task<(string Order, ulong Hash)> ManyAsync(ulong seed)
    {
        using var network = new SimulatedNetwork(seed);
        var server = network.AddHost("server").Reorder(20, TimeSpan.FromMilliseconds(4));
        var client = network.AddHost("client").Jitter(TimeSpan.FromMilliseconds(2));
        var order = new List<int>();
        await network.RunWithThreadPoolAsync(async () =>
        {
            var queue = Channel.CreateUnbounded<int>();
            var to = new IPEndPoint(server.Machine.AddressV4.ToIPAddress(), 9);
            await using var receiver = server.BindUdp(new IPEndPoint(IPAddress.Any, 9));
            await using var sender = client.BindUdp(new IPEndPoint(IPAddress.Any, 0));
            // The first one finds the way; more would have to wait for it, and only a few may.
            var buffer = new byte[8];
            await sender.SendToAsync(buffer, to);
            await receiver.ReceiveFromAsync(buffer);
            var sending = Task.Run(async () =>
            {
                await foreach (var i in queue.Reader.ReadAllAsync()) await sender.SendToAsync(new[] { (byte)i }, to).ConfigureAwait(false);
            });
            var writers = Enumerable.Range(0, 20).Select(i => Task.Run(async () =>
            {
                for (var k = 0; k < 10; k++)
                {
                    await Task.Delay(TimeSpan.FromMilliseconds(1 + (i * k % 7)), client.TimeProvider).ConfigureAwait(false);
                    await queue.Writer.WriteAsync((i * 10) + k).ConfigureAwait(false);
                }
            })).ToArray();
            while (order.Count < 200)
            {
                await receiver.ReceiveFromAsync(buffer);
                order.Add(buffer[0]);
            }
            await Task.WhenAll(writers);
            queue.Writer.Complete();
            await sending;
        });
        return (string.Join(' ', order), network.TraceHash);
    }
}
