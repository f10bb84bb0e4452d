// How connections and the server end: stopping with idle connections, requests under way, clients that go, clients that half-close.
using System.Net;
using System.Net.Sockets;
using System.Text;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Configuration;
using Peregrine.AspNetCore;

namespace Peregrine.Kestrel.Tests;

public sealed class LifetimeTests
{
    private static readonly IPEndPoint s_http = new(IPAddress.Parse(TestSite.Address), TestSite.HttpPort);

    [Fact]
    public async Task StoppingDoesNotWaitForIdleConnections()
    {
        await using var site = await TestSite.StartAsync(static app => app.MapGet("/", static () => "here"));
        using var http = site.CreateHttp();
        Assert.Equal("here", await http.GetStringAsync("/"));
        // The client keeps its connection. The token stands for the shutdown's time limit: it must not be what ends the stop.
        using var patience = new CancellationTokenSource(TimeSpan.FromSeconds(120));
        await site.App.StopAsync(patience.Token);
        Assert.False(patience.IsCancellationRequested);
    }

    [Fact]
    public async Task ARequestUnderWayIsAnsweredWhenTheServerStops()
    {
        var entered = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var go = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        await using var site = await TestSite.StartAsync(app => app.MapGet("/", async () =>
        {
            entered.SetResult();
            await go.Task;
            return "late";
        }));
        using var http = site.CreateHttp();
        var answer = http.GetStringAsync("/");
        await entered.Task.WaitAsync(TestSite.Limit);
        var stop = site.App.StopAsync();
        go.SetResult();
        Assert.Equal("late", await answer.WaitAsync(TestSite.Limit));
        await stop.WaitAsync(TestSite.Limit);
    }

    [Fact]
    public async Task ARequestIsAbortedWhenItsClientGoes()
    {
        var aborted = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var entered = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        await using var site = await TestSite.StartAsync(app => app.MapGet("/", async (HttpContext c) =>
        {
            c.RequestAborted.Register(() => aborted.TrySetResult());
            entered.SetResult();
            await aborted.Task;
        }));
        var client = await site.Client.ConnectTcpAsync(s_http);
        await client.SendAsync("GET / HTTP/1.1\r\nHost: x\r\n\r\n"u8.ToArray());
        await entered.Task.WaitAsync(TestSite.Limit);
        client.Dispose();
        await aborted.Task.WaitAsync(TestSite.Limit);
        Assert.True(aborted.Task.IsCompletedSuccessfully);
    }

    [Fact]
    public async Task AClientThatHalfClosesIsAnswered()
    {
        await using var site = await TestSite.StartAsync(static app => app.MapGet("/", static () => "answer"));
        await using var client = await site.Client.ConnectTcpAsync(s_http);
        await client.SendAsync("GET / HTTP/1.1\r\nHost: x\r\n\r\n"u8.ToArray());
        client.Shutdown(SocketShutdown.Send);
        Assert.EndsWith("answer", (await ReadAllAsync(client.AsStream())).TrimEnd('\r', '\n', '0'), StringComparison.Ordinal);
    }

    [Fact]
    public async Task ABadRequestIsToldSoAndNotReset()
    {
        await using var site = await TestSite.StartAsync(static app => app.MapGet("/", static () => "here"));
        await using var client = await site.Client.ConnectTcpAsync(s_http);
        await client.SendAsync(Encoding.ASCII.GetBytes("NONSENSE\r\n\r\n" + new string('x', 3_000)));
        Assert.StartsWith("HTTP/1.1 400", await ReadAllAsync(client.AsStream()), StringComparison.Ordinal);
    }

    [Fact]
    public async Task APortThatIsTakenIsAnAddressInUse()
    {
        await using var site = await TestSite.StartAsync(static _ => { });
        var transport = new KestrelTransport(site.Client);
        await using var first = await transport.BindAsync(new IPEndPoint(IPAddress.Any, 81));
        Assert.IsType<IPEndPoint>(first.EndPoint);
        await Assert.ThrowsAsync<AddressInUseException>(async () => await transport.BindAsync(new IPEndPoint(IPAddress.Any, 81)));
        await Assert.ThrowsAsync<InvalidOperationException>(async () => await transport.BindAsync(new IPEndPoint(IPAddress.Parse("10.9.9.9"), 81)));
        Assert.False(transport.CanBind(new UnixDomainSocketEndPoint("/run/x.sock")));
    }

    [Fact]
    public async Task AcceptingSaysNullAfterUnbinding()
    {
        await using var site = await TestSite.StartAsync(static _ => { });
        await using var listener = await new KestrelTransport(site.Client).BindAsync(new IPEndPoint(IPAddress.Any, 82));
        var accept = listener.AcceptAsync();
        await listener.UnbindAsync();
        Assert.Null(await accept.AsTask().WaitAsync(TestSite.Limit));
        Assert.Null(await listener.AcceptAsync());
    }

    [Fact]
    public void ConfigurationSetsLinkAndNetworkAndNamesWhatItDoesNotKnow()
    {
        var options = new PeregrineHostOptions();
        HostConfiguration.Apply(Section(("Link", "tap:web7"), ("KernelAddresses:0", "10.1.0.1/24"), ("LinkOffloads", "false"), ("Addresses:0", "10.1.0.2/24"), ("Cpu", "1")), options);
        Assert.Equal("tap:web7", options.Link);
        Assert.Equal(["10.1.0.1/24"], options.KernelAddresses);
        Assert.False(options.LinkSettings.Offloads);
        Assert.Equal(["10.1.0.2/24"], options.Addresses);
        Assert.Equal(1, options.Network.Cpu);
        Assert.Contains("Adresses", Assert.Throws<ArgumentException>(() => HostConfiguration.Apply(Section(("Adresses", "x")), options)).Message, StringComparison.Ordinal);
    }

    private static IConfigurationSection Section(params (string Key, string Value)[] values) => new ConfigurationBuilder()
        .AddInMemoryCollection(values.Select(static v => KeyValuePair.Create("Peregrine:" + v.Key, (string?)v.Value))).Build().GetSection("Peregrine");

    private static async Task<string> ReadAllAsync(Stream stream)
    {
        using var reader = new StreamReader(stream, Encoding.ASCII);
        return await reader.ReadToEndAsync().WaitAsync(TestSite.Limit);
    }
}
