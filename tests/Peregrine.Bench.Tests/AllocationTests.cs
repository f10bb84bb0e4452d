// What the server's core allocates for an operation, against the list of what it may: bench/allocations.txt.
using System.Net;
using Peregrine.Bench.Serving;
using Peregrine.Core.Links;
using Peregrine.Drivers;
using Peregrine.Sockets;

namespace Peregrine.Bench.Tests;

public sealed class AllocationTests
{
    private const int Operations = 1_000;

    // The question itself, a resize of a queue: things that happen once and do not grow with operations.
    private const long OnceBytes = 4_096;

    private static readonly IPAddress s_server = IPAddress.Parse("192.0.2.2");

    private static Dictionary<string, long> Allowed { get; } = File.ReadLines(Path.Combine(AppContext.BaseDirectory, "../../../../bench/allocations.txt"))
        .Where(static line => line.Length > 0 && line[0] != '#')
        .Select(static line => line.Split(' '))
        .ToDictionary(static pair => pair[0], static pair => long.Parse(pair[1], System.Globalization.CultureInfo.InvariantCulture));

    [Fact]
    public void OnlyNewConnectionsMayAllocate() =>
        Assert.Equal(["connect"], Allowed.Where(static pair => pair.Value > 0).Select(static pair => pair.Key));

    [Theory]
    [InlineData("pingpong")]
    [InlineData("http")]
    [InlineData("pipelined")]
    [InlineData("pingpong-await")]
    [InlineData("http-await")]
    [InlineData("udp")]
    [InlineData("bulk")]
    [InlineData("connect")]
    public async Task TheServersCoreAllocatesNoMoreThanTheListAllows(string work)
    {
        var (ours, theirs) = MemoryLink.CreatePair();
        using (ours)
        using (theirs)
        {
            await using var server = await StartAsync("allocation-s", "192.0.2.2/24", ours);
            await using var services = new StackServer(server, work.EndsWith("-await", StringComparison.Ordinal));
            await using var client = await StartAsync("allocation-c", "192.0.2.1/24", theirs);
            // Twice as many first: what is made once is made, and what is compiled anew is.
            await RunAsync(client, work, 2 * Operations);
            var before = await server.Engine.RunAsync(GC.GetAllocatedBytesForCurrentThread);
            await RunAsync(client, work, Operations);
            var allocated = await server.Engine.RunAsync(GC.GetAllocatedBytesForCurrentThread) - before;
            Assert.True(allocated <= (Allowed[work] * Operations) + OnceBytes, $"{work}: {allocated} bytes for {Operations} operations; {Allowed[work]} each are allowed");
        }
    }

    private static async Task<PeregrineNetwork> StartAsync(string name, string address, ILink link) =>
        await PeregrineNetwork.StartAsync(ServerSettings.Create(name, address, spin: false, -1, "none", isXdp: false), link, platform: new LinuxPlatform());

    private static async Task RunAsync(Network client, string work, int operations)
    {
        switch (work)
        {
            case "udp":
                await DatagramsAsync(client, operations);
                break;
            case "connect":
                for (var i = 0; i < operations; i++) await ExchangeAsync(client, Services.Echo, [1], 1, 1);
                break;
            case "bulk":
                await ExchangeAsync(client, Services.Discard, new byte[1_000], 0, operations);
                break;
            case "pingpong" or "pingpong-await":
                await ExchangeAsync(client, Services.Echo, new byte[64], 64, operations);
                break;
            default:
                var count = work == "pipelined" ? 8 : 1;
                var request = Enumerable.Repeat(Services.Request.ToArray(), count).SelectMany(static bytes => bytes).ToArray();
                await ExchangeAsync(client, Services.Http, request, Services.Answer.Length * count, operations / count);
                break;
        }
    }

    private static async Task ExchangeAsync(Network client, int port, byte[] request, int answer, int operations)
    {
        await using var connection = await client.ConnectTcpAsync(new IPEndPoint(s_server, port));
        connection.NoDelay = true;
        var buffer = new byte[65_536];
        for (var i = 0; i < operations; i++)
        {
            await connection.SendAsync(request);
            for (var left = answer; left > 0;)
            {
                var count = await connection.ReceiveAsync(buffer);
                Assert.NotEqual(0, count);
                left -= count;
            }
        }
    }

    private static async Task DatagramsAsync(Network client, int operations)
    {
        await using var socket = client.BindUdp(new IPEndPoint(IPAddress.Any, 0));
        await socket.ConnectAsync(new IPEndPoint(s_server, Services.Echo));
        var buffer = new byte[2_048];
        for (var i = 0; i < operations; i++)
        {
            await socket.SendAsync(new byte[64]);
            Assert.Equal(64, await socket.ReceiveAsync(buffer));
        }
    }
}
