// ASP.NET Core and HttpClient on a simulated network: pool, pipes and time-outs as they are, virtual time that passes only while all of it waits.
using System.Net;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using Peregrine.Core.Time;
using Peregrine.Simulation.Links;
using Peregrine.Simulation.Networks;
using Peregrine.Simulation.Trace;

namespace Peregrine.Simulation.Web.Tests;

public sealed class WebTests
{
    private static readonly Uri s_page = new("http://site/");

    [Fact]
    public async Task APageComesOverASimulatedNetwork()
    {
        using var network = new SimulatedNetwork(1);
        var (site, client) = (network.AddHost("site").Delay(TimeSpan.FromMilliseconds(25)), network.AddHost("client"));
        var page = "";
        var elapsed = TimeSpan.Zero;
        await network.RunWithThreadPoolAsync(async () =>
        {
            await using var app = await SimulatedSite.StartAsync(site, static app => app.MapGet("/", static (HttpContext c) => $"Hello {c.Connection.RemoteIpAddress}"));
            using var http = client.CreateHttpClient();
            var start = client.TimeProvider.GetTimestamp();
            page = await http.GetStringAsync(s_page);
            elapsed = client.TimeProvider.GetElapsedTime(start);
            await app.StopAsync();
        });
        Assert.Equal("Hello 10.0.0.2", page);
        // Two ways of 26 ms each for the address, the handshake and the page; and what hosts wait before they look at their cards.
        Assert.InRange(elapsed.TotalMilliseconds, 156, 158);
    }

    [Fact]
    public async Task TimeOutsAndRetriesTakeVirtualTime()
    {
        using var network = new SimulatedNetwork(2);
        var (site, client) = (network.AddHost("site"), network.AddHost("client"));
        var (attempts, status) = (0, HttpStatusCode.Unused);
        var elapsed = TimeSpan.Zero;
        await network.RunWithThreadPoolAsync(async () =>
        {
            await using var app = await SimulatedSite.StartAsync(site, static app => app.MapGet("/", static () => "here"));
            // Sooner than the neighbour is given up: then it would be "no route to host", as on Linux.
            using var http = client.CreateHttpClient(TimeSpan.FromSeconds(5));
            var start = client.TimeProvider.GetTimestamp();
            network.Partition(client);
            network.World.After(TimeSpan.FromMinutes(2), () => network.Heal());
            while (status != HttpStatusCode.OK)
            {
                attempts++;
                try
                {
                    using var response = await http.GetAsync(s_page);
                    status = response.StatusCode;
                }
                catch (TaskCanceledException e) when (e.InnerException is TimeoutException)
                {
                    await Task.Delay(TimeSpan.FromSeconds(20), client.TimeProvider);
                }
            }
            elapsed = client.TimeProvider.GetElapsedTime(start);
            await app.StopAsync();
        });
        Assert.Equal(6, attempts);
        Assert.InRange(elapsed.TotalSeconds, 120, 130);
    }

    // As where an assertion fails: nobody stops the application, and its disposal must not wait for what only virtual time brings.
    [Fact(Timeout = 300_000)]
    public async Task AnExceptionBesideARunningApplicationComesOut()
    {
        using var network = new SimulatedNetwork(3);
        var (site, client) = (network.AddHost("site"), network.AddHost("client"));
        var thrown = await Assert.ThrowsAsync<InvalidOperationException>(() => network.RunWithThreadPoolAsync(async () =>
        {
            await using var app = await SimulatedSite.StartAsync(site, static app => app.MapGet("/", static () => "here"));
            using var http = client.CreateHttpClient(TimeSpan.FromSeconds(5));
            Assert.Equal("here", await http.GetStringAsync(s_page));
            throw new InvalidOperationException("the test's own");
        }));
        Assert.Equal("the test's own", thrown.Message);
    }

    [Fact]
    public async Task TheSameSeedHasTheSameFramesAtTheSameTimesThoughItRunsOnThePool()
    {
        var (first, firstAnswers) = await TrafficAsync(21);
        var (second, secondAnswers) = await TrafficAsync(21);
        var (other, _) = await TrafficAsync(22);
        Assert.Equal(firstAnswers, secondAnswers);
        Assert.Equal(first, second);
        Assert.NotEqual(first, other);
    }

    [Fact]
    public async Task AHandlerThatWaitsByTheHostsClockIsCancelledWhenItsClientIsGone()
    {
        using var network = new SimulatedNetwork(3);
        var (site, client) = (network.AddHost("site"), network.AddHost("client"));
        var cancelledAfter = TimeSpan.Zero;
        await network.RunWithThreadPoolAsync(async () =>
        {
            var cancelled = new TaskCompletionSource();
            await using var app = await SimulatedSite.StartAsync(site, app => app.MapGet("/", async (HttpContext context, TimeProvider time) =>
            {
                var start = time.GetTimestamp();
                try
                {
                    await Task.Delay(TimeSpan.FromMinutes(10), time, context.RequestAborted);
                }
                finally
                {
                    cancelledAfter = time.GetElapsedTime(start);
                    cancelled.SetResult();
                }
            }));
            using var http = client.CreateHttpClient(TimeSpan.FromSeconds(3));
            await Assert.ThrowsAsync<TaskCanceledException>(() => http.GetAsync(s_page));
            await cancelled.Task;
            await app.StopAsync();
        });
        Assert.InRange(cancelledAfter.TotalSeconds, 2.9, 4.1);
    }

    /// <summary>Ten clients at once over bad lines, with time-outs and retries: each frame's time, place and length, and who was answered when.</summary>
    private static async Task<(string Frames, string Answers)> TrafficAsync(ulong seed)
    {
        using var network = new SimulatedNetwork(seed);
        var site = network.AddHost("site").Rate(5_000_000);
        var clients = Enumerable.Range(0, 10).Select(i => network.AddHost("c" + i).Delay(TimeSpan.FromMilliseconds(5)).Jitter(TimeSpan.FromMilliseconds(5)).Loss(4)).ToArray();
        var shapes = new Shapes();
        network.World.Observe(shapes);
        var answers = new List<string>();
        await network.RunWithThreadPoolAsync(async () =>
        {
            await using var app = await SimulatedSite.StartAsync(site, static app => app.MapPost("/", static async (HttpContext context, TimeProvider time) =>
            {
                using var body = new MemoryStream();
                await context.Request.Body.CopyToAsync(body);
                await Task.Delay(TimeSpan.FromMilliseconds(body.Length % 40), time);
                return Results.Bytes(body.ToArray());
            }));
            await Task.WhenAll(clients.Select(AskAsync));
            await app.StopAsync();
        });
        return (shapes.ToString(), string.Join('\n', answers));

        async Task AskAsync(NetworkHost client)
        {
            using var http = client.CreateHttpClient(TimeSpan.FromSeconds(1));
            for (var i = 0; i < 8; i++)
            {
                try
                {
                    using var response = await http.PostAsync(s_page, new ByteArrayContent(new byte[1_000 + (i * 1_500)]));
                    var bytes = await response.Content.ReadAsByteArrayAsync();
                    answers.Add($"{network.TimeProvider.GetTimestamp()} {client.Name} {bytes.Length}");
                }
                catch (TaskCanceledException)
                {
                    answers.Add($"{network.TimeProvider.GetTimestamp()} {client.Name} gave up");
                }
            }
        }
    }

    private sealed class Shapes : IFrameObserver
    {
        private readonly List<string> _lines = [];

        public void OnFrame(Instant time, LinkLane lane, ReadOnlySpan<byte> frame, FrameFate fate) => _lines.Add($"{time} {lane.Name} {frame.Length} {fate}");

        public override string ToString() => string.Join('\n', _lines);
    }
}
