// The control socket and the meter: what tools and collectors see of a running network.
using System.Diagnostics.Metrics;
using System.Net.Sockets;
using System.Text;
using System.Text.Json;

namespace Peregrine.Tests;

public sealed class ControlSocketTests : IDisposable
{
    private readonly string _directory = Directory.CreateTempSubdirectory("peregrine-").FullName;

    public void Dispose() => Directory.Delete(_directory, recursive: true);

    [Fact]
    public async Task AnswersAreOneObjectALine()
    {
        await using var networks = await TestNetworks.StartAsync(o => o with { ControlSocket = Path.Combine(_directory, o.Name + ".sock") });
        var (client, server) = await networks.PairAsync();
        using var tool = await ConnectAsync(networks.A.ControlSocketPath!);
        var counters = await AskAsync(tool, "{\"get\":\"counters\"}");
        Assert.True(counters.GetProperty("tcp").GetProperty("SegmentsAccepted").GetInt64() > 0);
        Assert.True(counters.GetProperty("engine").GetProperty("Turns").GetInt64() > 0);
        var connections = (await AskAsync(tool, "{\"get\":\"connections\"}")).GetProperty("connections");
        Assert.Equal(server.RemoteEndPoint!.ToString(), Assert.Single(connections.EnumerateArray()).GetProperty("remote").GetString());
        Assert.True((await AskAsync(tool, "{\"get\":\"memory\"}")).GetProperty("bytes").GetInt64() > 0);
        Assert.Equal("a", (await AskAsync(tool, "{\"get\":\"info\"}")).GetProperty("name").GetString());
        Assert.Contains("counters", (await AskAsync(tool, "{\"get\":\"nonsense\"}")).GetProperty("error").GetString(), StringComparison.Ordinal);
        Assert.True((await AskAsync(tool, "nonsense")).TryGetProperty("error", out _));
        GC.KeepAlive(client);
    }

    [Fact]
    public async Task CountersAreAlsoKnownByTheNamesOfNstat()
    {
        await using var networks = await TestNetworks.StartAsync(o => o with { ControlSocket = Path.Combine(_directory, o.Name + ".sock") });
        await networks.PairAsync();
        using var tool = await ConnectAsync(networks.A.ControlSocketPath!);
        var nstat = (await AskAsync(tool, "{\"get\":\"nstat\"}")).GetProperty("nstat");
        Assert.Equal(1, nstat.GetProperty("TcpPassiveOpens").GetInt64());
        Assert.Equal(0, nstat.GetProperty("TcpExtTCPLossProbes").GetInt64());
        Assert.False(nstat.TryGetProperty("TcpExtInCEPkts", out _));
        var counters = await AskAsync(tool, "{\"get\":\"counters\"}");
        foreach (var (group, counter) in NstatNames.Known) Assert.True(counters.GetProperty(group).TryGetProperty(counter, out _), $"{group}.{counter}");
    }

    [Fact]
    public async Task ConnectionsAreFiltered()
    {
        await using var networks = await TestNetworks.StartAsync(o => o with { ControlSocket = Path.Combine(_directory, o.Name + ".sock") });
        var (_, first) = await networks.PairAsync();
        var (_, second) = await networks.PairAsync();
        using var tool = await ConnectAsync(networks.A.ControlSocketPath!);
        var port = ((System.Net.IPEndPoint)second.RemoteEndPoint!).Port;
        var answer = await AskAsync(tool, $"{{\"get\":\"connections\",\"filter\":\"state established dport {port}\"}}");
        Assert.Equal(second.RemoteEndPoint!.ToString(), Assert.Single(answer.GetProperty("connections").EnumerateArray()).GetProperty("remote").GetString());
        var wrong = await AskAsync(tool, "{\"get\":\"connections\",\"filter\":\"state asleep\"}");
        Assert.Contains("established", wrong.GetProperty("error").GetString(), StringComparison.Ordinal);
        GC.KeepAlive(first);
    }

    [Fact]
    public async Task ListenersAndTimeWaitAreToldToWhoAsksForThem()
    {
        await using var networks = await TestNetworks.StartAsync(o => o with { ControlSocket = Path.Combine(_directory, o.Name + ".sock"), Stack = o.Stack with { TimeWaitSeconds = 240 } });
        await using var listener = networks.A.ListenTcp(new System.Net.IPEndPoint(System.Net.IPAddress.Parse("10.7.0.1"), 81), new() { Backlog = 7 });
        var (client, server) = await networks.PairAsync();
        var local = client.LocalEndPoint!.ToString();
        using var tool = await ConnectAsync(networks.A.ControlSocketPath!);
        var listening = (await AskAsync(tool, "{\"get\":\"connections\",\"filter\":\"state listening sport 81\"}")).GetProperty("connections");
        var row = Assert.Single(listening.EnumerateArray());
        Assert.Equal(("10.7.0.1:81", "*:*", "Listen", 0, 7),
            (row.GetProperty("local").GetString(), row.GetProperty("remote").GetString(), row.GetProperty("state").GetString(), row.GetProperty("waitingCount").GetInt32(), row.GetProperty("backlog").GetInt32()));
        // Who closes first waits: its FIN is there before the other closes.
        client.Dispose();
        Assert.Equal(0, await server.ReceiveAsync(new byte[1]).AsTask().WaitAsync(TestNetworks.Limit));
        server.Dispose();
        using var waiting = await ConnectAsync(networks.B.ControlSocketPath!);
        JsonElement[] rows;
        var start = System.Diagnostics.Stopwatch.StartNew();
        do rows = [.. (await AskAsync(waiting, "{\"get\":\"connections\",\"filter\":\"state time-wait\"}")).GetProperty("connections").EnumerateArray()];
        while (rows.Length == 0 && start.Elapsed < TestNetworks.Limit);
        Assert.Equal(local, Assert.Single(rows).GetProperty("local").GetString());
        Assert.InRange(rows[0].GetProperty("leftMs").GetInt64(), 0, 240_000);
        Assert.Empty((await AskAsync(waiting, "{\"get\":\"connections\"}")).GetProperty("connections").EnumerateArray());
    }

    [Fact]
    public async Task AHalfOpenConnectionIsToldToWhoAsksForIt()
    {
        await using var networks = await TestNetworks.StartAsync(o => o with { ControlSocket = Path.Combine(_directory, o.Name + ".sock") });
        // One that waits for data is half open until they come.
        var settings = Core.Tcp.TcpSettings.Default with { DeferAcceptSeconds = 3_000 };
        await using var listener = networks.A.ListenTcp(new System.Net.IPEndPoint(System.Net.IPAddress.Parse("10.7.0.1"), 81), new() { Settings = settings });
        using var client = await networks.B.ConnectTcpAsync(listener.LocalEndPoint).AsTask().WaitAsync(TestNetworks.Limit);
        using var tool = await ConnectAsync(networks.A.ControlSocketPath!);
        foreach (var filter in (string[])["state all dport " + client.LocalEndPoint!.Port, "state syn-recv"])
        {
            var row = Assert.Single((await AskAsync(tool, $"{{\"get\":\"connections\",\"filter\":\"{filter}\"}}")).GetProperty("connections").EnumerateArray());
            Assert.Equal(("10.7.0.1:81", client.LocalEndPoint.ToString(), "SynReceived"),
                (row.GetProperty("local").GetString(), row.GetProperty("remote").GetString(), row.GetProperty("state").GetString()));
            Assert.InRange(row.GetProperty("leftMs").GetInt64(), 0, 120_000);
            Assert.InRange(row.GetProperty("retries").GetInt32(), 0, 15);
        }
        Assert.Empty((await AskAsync(tool, "{\"get\":\"connections\"}")).GetProperty("connections").EnumerateArray());
    }

    [Fact]
    public async Task OnlyItsOwnerMayUseItAndItGoesWithTheNetwork()
    {
        var path = Path.Combine(_directory, "a.sock");
        await using (await TestNetworks.StartAsync(o => o with { ControlSocket = o.Name == "a" ? path : "none" }))
        {
            Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, new FileInfo(path).UnixFileMode);
        }
        Assert.False(File.Exists(path));
    }

    [Fact]
    public async Task RequestThatIsTooLongIsRefused()
    {
        await using var networks = await TestNetworks.StartAsync(o => o with { ControlSocket = Path.Combine(_directory, o.Name + ".sock") });
        using var tool = await ConnectAsync(networks.A.ControlSocketPath!);
        var answer = await AskAsync(tool, new string('x', 5_000));
        Assert.Contains("at most", answer.GetProperty("error").GetString(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task SecondNetworkOnTheSamePathGoesWithoutAndSaysSo()
    {
        await using var networks = await TestNetworks.StartAsync(o => o with { ControlSocket = Path.Combine(_directory, "same.sock") });
        Assert.NotNull(networks.A.ControlSocketPath);
        Assert.Null(networks.B.ControlSocketPath);
        Assert.Contains(networks.Log.Lines, static line => line.Contains("another network uses it", StringComparison.Ordinal));
    }

    [Fact]
    public async Task FileLeftByADeadProcessIsReplaced()
    {
        var path = Path.Combine(_directory, "left.sock");
        using (var dead = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified)) dead.Bind(new UnixDomainSocketEndPoint(path));
        if (!File.Exists(path)) await File.WriteAllTextAsync(path, "");
        await using var networks = await TestNetworks.StartAsync(o => o with { ControlSocket = o.Name == "a" ? path : "none" });
        Assert.Equal(path, networks.A.ControlSocketPath);
    }

    [Fact]
    public async Task MeterShowsTheCounters()
    {
        await using var networks = await TestNetworks.StartAsync();
        var (client, server) = await networks.PairAsync();
        var seen = new Dictionary<string, long>();
        using var listener = new MeterListener();
        listener.InstrumentPublished = static (instrument, l) =>
        {
            if (instrument.Meter.Name == "Peregrine") l.EnableMeasurementEvents(instrument);
        };
        listener.SetMeasurementEventCallback<long>((instrument, value, tags, _) =>
        {
            foreach (var tag in tags)
            {
                if (tag.Key == "counter") lock (seen) seen[$"{instrument.Name}.{tag.Value}"] = seen.GetValueOrDefault($"{instrument.Name}.{tag.Value}") + value;
            }
        });
        listener.Start();
        listener.RecordObservableInstruments();
        Assert.True(seen["peregrine.tcp.SegmentsAccepted"] > 0);
        Assert.True(seen["peregrine.link.ReceivedFrames"] > 0);
        GC.KeepAlive((client, server));
    }

    private static async Task<Socket> ConnectAsync(string path)
    {
        var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        await socket.ConnectAsync(new UnixDomainSocketEndPoint(path));
        return socket;
    }

    private static async Task<JsonElement> AskAsync(Socket socket, string request)
    {
        await socket.SendAsync(Encoding.UTF8.GetBytes(request + "\n"));
        var (bytes, buffer) = (new MemoryStream(), new byte[4096]);
        while (bytes.Length == 0 || bytes.GetBuffer()[bytes.Length - 1] != '\n')
        {
            var n = await socket.ReceiveAsync(buffer).WaitAsync(TestNetworks.Limit);
            Assert.NotEqual(0, n);
            bytes.Write(buffer, 0, n);
        }
        return JsonDocument.Parse(bytes.ToArray()).RootElement;
    }
}
