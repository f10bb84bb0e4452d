// Logs of connections: what stands in a file, that it is a JSON text sequence with qlog's header, and that its bounds hold.
using System.Net;
using System.Text.Json;
using Peregrine.Core.Tcp;
using Peregrine.Sockets;

namespace Peregrine.Tests;

public sealed class QlogTests : IDisposable
{
    private readonly string _directory = Directory.CreateTempSubdirectory("peregrine-").FullName;

    public void Dispose() => Directory.Delete(_directory, recursive: true);

    [Fact]
    public async Task ConnectionIsLoggedFromItsHandshakeToItsEnd()
    {
        await using (var networks = await TestNetworks.StartAsync(All))
        {
            var (client, server) = await networks.PairAsync();
            await client.SendAsync(new byte[100_000]);
            for (var left = 100_000; left > 0;) left -= await server.ReceiveAsync(new byte[left]).AsTask().WaitAsync(TestNetworks.Limit);
            await client.DisposeAsync();
            await server.DisposeAsync();
            // A network that stops would not wait for the last segments.
            using var limit = new CancellationTokenSource(TestNetworks.Limit);
            while (networks.B.Engine.Run(() => networks.B.Engine.Stack.Tcp.ConnectionCount) > 0)
            {
                limit.Token.ThrowIfCancellationRequested();
                await Task.Yield();
            }
        }
        var records = Read(Assert.Single(Directory.GetFiles(_directory, "b-*")));
        Assert.Equal("urn:ietf:params:qlog:file:sequential", records[0].GetProperty("file_schema").GetString());
        Assert.Equal("client", records[0].GetProperty("trace").GetProperty("vantage_point").GetProperty("type").GetString());
        var events = records.Skip(1).ToList();
        Assert.Equal("connectivity:connection_started", events[0].GetProperty("name").GetString());
        Assert.Equal("SYN", Header(events.First(Is("transport:packet_sent"))).GetProperty("flags").GetString());
        Assert.Equal("SYN|ACK", Header(events.First(Is("transport:packet_received"))).GetProperty("flags").GetString());
        // On a busy machine a loss probe may have sent some of them twice.
        var sent = events.Where(Is("transport:packet_sent")).Where(static e => !Data(e).TryGetProperty("is_retransmission", out _));
        Assert.Equal(100_000, sent.Sum(static e => Data(e).GetProperty("length").GetInt32()));
        Assert.Contains(events.Where(Is("connectivity:connection_state_updated")), static e => Data(e).GetProperty("new").GetString() == "Established");
        Assert.Contains(events.Where(Is("recovery:metrics_updated")), static e => Data(e).TryGetProperty("smoothed_rtt", out _));
        Assert.Equal("Success", Data(events.Last(Is("connectivity:connection_closed"))).GetProperty("error").GetString());
        var times = events.Select(static e => e.GetProperty("time").GetDecimal()).ToList();
        Assert.Equal(times.Order(), times);
    }

    [Fact]
    public async Task OnlyTheListenerThatAsksIsLogged()
    {
        await using (var networks = await TestNetworks.StartAsync(o => o with { QlogDirectory = _directory }))
        {
            await networks.PairAsync();
            await using var listener = networks.A.ListenTcp(new IPEndPoint(IPAddress.Any, 7), new TcpListenerOptions { Settings = TcpSettings.Default with { EventLog = true } });
            var accept = listener.AcceptAsync().AsTask();
            await networks.B.ConnectTcpAsync(new IPEndPoint(IPAddress.Parse("10.7.0.1"), 7)).AsTask().WaitAsync(TestNetworks.Limit);
            await accept.WaitAsync(TestNetworks.Limit);
        }
        var file = Assert.Single(Directory.GetFiles(_directory));
        Assert.Contains("10.7.0.1_7-", file, StringComparison.Ordinal);
        Assert.Equal("server", Read(file)[0].GetProperty("trace").GetProperty("vantage_point").GetProperty("type").GetString());
    }

    [Fact]
    public async Task FilesAndTheirBytesAreBounded()
    {
        await using (var networks = await TestNetworks.StartAsync(o => All(o) with { QlogBytesMax = 4_096, QlogFileCountMax = 1 }))
        {
            var (client, server) = await networks.PairAsync();
            await networks.PairAsync();
            await client.SendAsync(new byte[200_000]);
            for (var left = 200_000; left > 0;) left -= await server.ReceiveAsync(new byte[left]).AsTask().WaitAsync(TestNetworks.Limit);
        }
        foreach (var name in (string[])["a-*", "b-*"])
        {
            var file = new FileInfo(Assert.Single(Directory.GetFiles(_directory, name)));
            Assert.InRange(file.Length, 2_048, 4_096);
            Assert.True(Read(file.FullName).Count > 5);
        }
    }

    private PeregrineOptions All(PeregrineOptions options) => options with
    {
        QlogDirectory = _directory, Stack = options.Stack with { Tcp = TcpSettings.Default with { EventLog = true } },
    };

    // RFC 7464: each text between a record separator and a line feed.
    private static List<JsonElement> Read(string file)
    {
        var text = File.ReadAllText(file);
        Assert.Equal('\u001e', text[0]);
        Assert.Equal('\n', text[^1]);
        return text.Split('\u001e', StringSplitOptions.RemoveEmptyEntries).Select(static record => JsonDocument.Parse(record).RootElement).ToList();
    }

    private static Func<JsonElement, bool> Is(string name) => e => e.GetProperty("name").GetString() == name;

    private static JsonElement Data(JsonElement e) => e.GetProperty("data");

    private static JsonElement Header(JsonElement e) => Data(e).GetProperty("header");
}
