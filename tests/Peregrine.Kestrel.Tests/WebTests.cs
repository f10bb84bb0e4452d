// What browsers and clients do with a site, over two stacks joined by a link in memory: every protocol that Kestrel speaks over TCP.
using System.Net;
using System.Net.Http;
using System.Net.WebSockets;
using System.Security.Cryptography;
using System.Text;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.SignalR;
using Microsoft.AspNetCore.SignalR.Client;
using Microsoft.Extensions.DependencyInjection;
using Peregrine.AspNetCore;

namespace Peregrine.Kestrel.Tests;

public sealed class WebTests
{
    [Theory]
    [InlineData("http://10.8.0.1/", "1.1", "HTTP/1.1 http 10.8.0.1:80 10.8.0.2")]
    [InlineData("https://10.8.0.1/", "1.1", "HTTP/1.1 https 10.8.0.1:443 10.8.0.2")]
    [InlineData("https://10.8.0.1/", "2.0", "HTTP/2 https 10.8.0.1:443 10.8.0.2")]
    [InlineData("http://10.8.0.1:8080/", "2.0", "HTTP/2 http 10.8.0.1:8080 10.8.0.2")]
    [InlineData("http://site.test/", "1.1", "HTTP/1.1 http 10.8.0.1:80 10.8.0.2")]
    public async Task PagesAreServedByEachProtocol(string url, string version, string expected)
    {
        await using var site = await TestSite.StartAsync(static app => app.MapGet("/", static (HttpContext c) =>
            $"{c.Request.Protocol} {c.Request.Scheme} {c.Connection.LocalIpAddress}:{c.Connection.LocalPort} {c.Connection.RemoteIpAddress}"));
        using var http = site.CreateHttp(Version.Parse(version));
        for (var i = 0; i < 3; i++) Assert.Equal(expected, await http.GetStringAsync(new Uri(url)));
    }

    [Theory]
    [InlineData("http://10.8.0.1/", "1.1")]
    [InlineData("https://10.8.0.1/", "2.0")]
    [InlineData("http://10.8.0.1:8080/", "2.0")]
    public async Task LargeBodiesComeThroughBothWays(string url, string version)
    {
        await using var site = await TestSite.StartAsync(static app => app.MapPost("/", static async (HttpContext c) =>
        {
            using var body = new MemoryStream();
            await c.Request.Body.CopyToAsync(body);
            await c.Response.Body.WriteAsync(body.ToArray());
        }));
        using var http = site.CreateHttp(Version.Parse(version));
        var sent = RandomNumberGenerator.GetBytes(5_000_000);
        using var response = await http.PostAsync(new Uri(url), new ByteArrayContent(sent));
        Assert.Equal(HttpStatusCode.OK, response.StatusCode);
        Assert.Equal(SHA256.HashData(sent), SHA256.HashData(await response.Content.ReadAsByteArrayAsync()));
    }

    [Theory]
    [InlineData("1.1", "ws://10.8.0.1/")]
    [InlineData("2.0", "wss://10.8.0.1/")]
    public async Task WebSocketsEcho(string version, string url)
    {
        await using var site = await TestSite.StartAsync(static app =>
        {
            app.UseWebSockets();
            app.Map("/", static async (HttpContext c) =>
            {
                using var socket = await c.WebSockets.AcceptWebSocketAsync();
                var buffer = new byte[4096];
                while (await socket.ReceiveAsync(buffer, c.RequestAborted) is { MessageType: not WebSocketMessageType.Close } got)
                    await socket.SendAsync(buffer.AsMemory(0, got.Count), got.MessageType, got.EndOfMessage, c.RequestAborted);
                await socket.CloseAsync(WebSocketCloseStatus.NormalClosure, null, c.RequestAborted);
            });
        });
        using var socket = new ClientWebSocket();
        socket.Options.HttpVersion = Version.Parse(version);
        socket.Options.HttpVersionPolicy = HttpVersionPolicy.RequestVersionExact;
        using var invoker = new HttpMessageInvoker(site.CreateHandler());
        using var patience = new CancellationTokenSource(TestSite.Limit);
        await socket.ConnectAsync(new Uri(url), invoker, patience.Token);
        for (var i = 0; i < 10; i++)
        {
            var sent = Encoding.UTF8.GetBytes("message " + i);
            await socket.SendAsync(sent, WebSocketMessageType.Text, endOfMessage: true, patience.Token);
            var buffer = new byte[64];
            var got = await socket.ReceiveAsync(buffer, patience.Token);
            Assert.Equal(sent, buffer[..got.Count]);
        }
        await socket.CloseAsync(WebSocketCloseStatus.NormalClosure, null, patience.Token);
        Assert.Equal(WebSocketState.Closed, socket.State);
    }

    [Fact]
    public async Task SignalRCallsBothWays()
    {
        await using var site = await TestSite.StartAsync(static app => app.MapHub<EchoHub>("/hub"), static builder => builder.Services.AddSignalR());
        await using var hub = new HubConnectionBuilder().WithUrl("http://10.8.0.1/hub", options =>
        {
            options.HttpMessageHandlerFactory = _ => site.CreateHandler();
            options.WebSocketFactory = async (context, cancel) =>
            {
                var socket = new ClientWebSocket();
                await socket.ConnectAsync(context.Uri, new HttpMessageInvoker(site.CreateHandler()), cancel);
                return socket;
            };
        }).Build();
        var told = new TaskCompletionSource<string>(TaskCreationOptions.RunContinuationsAsynchronously);
        hub.On<string>("Tell", told.SetResult);
        await hub.StartAsync().WaitAsync(TestSite.Limit);
        Assert.Equal("echo", await hub.InvokeAsync<string>("Echo", "echo").WaitAsync(TestSite.Limit));
        Assert.Equal("told", await told.Task.WaitAsync(TestSite.Limit));
    }

    [Fact]
    public async Task HttpClientGoesOutOverTheHostsOwnNetwork()
    {
        await using var site = await TestSite.StartAsync(static app => app.MapGet("/", static () => "here"));
        using var http = new HttpClient(site.App.Services.GetRequiredService<PeregrineHost>().CreateHttpHandler());
        Assert.Equal("here", await http.GetStringAsync(new Uri($"http://{TestSite.Address}/")).WaitAsync(TestSite.Limit));
    }

    private sealed class EchoHub : Hub
    {
        public async Task<string> Echo(string text)
        {
            await Clients.Caller.SendAsync("Tell", "told");
            return text;
        }
    }
}
