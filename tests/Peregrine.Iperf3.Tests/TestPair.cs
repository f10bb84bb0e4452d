// Two networks on a link in memory: a server of ours on one, and whatever a test does on the other.
using System.Net;
using System.Text.Json.Nodes;
using Peregrine.Core;
using Peregrine.Core.Links;

namespace Peregrine.Iperf3.Tests;

internal sealed class TestPair : IAsyncDisposable
{
    internal const string ServerAddress = "10.9.0.1";

    internal const string ServerAddressV6 = "fd09::1";

    private readonly MemoryLink _near;
    private readonly MemoryLink _far;
    private readonly CancellationTokenSource _stop = new();
    private readonly StringWriter _output = new();
    private readonly StringWriter _errors = new();
    private readonly System.Collections.Concurrent.ConcurrentQueue<int> _pinned = new();

    private TestPair(MemoryLink near, MemoryLink far, PeregrineNetwork client, PeregrineNetwork server) =>
        (_near, _far, Client, Server) = (near, far, client, server);

    internal static TimeSpan Limit => TimeSpan.FromSeconds(120);

    internal PeregrineNetwork Client { get; }

    internal PeregrineNetwork Server { get; }

    /// <summary>The server's end and exit status.</summary>
    internal Task<int> Serving { get; private set; } = Task.FromResult(0);

    /// <summary>Processors that either end was pinned to; this machine has those below 64.</summary>
    internal IEnumerable<int> Pinned => _pinned;

    internal string ServerOutput => _output.ToString();

    internal string ServerErrors => _errors.ToString();

    internal static IPEndPoint At { get; } = new(IPAddress.Parse(ServerAddress), 5201);

    internal static async Task<TestPair> StartAsync(params string[] serverArguments)
    {
        var (near, far) = MemoryLink.CreatePair();
        var pair = new TestPair(near, far, await NetworkAsync("client", "10.9.0.2", near), await NetworkAsync("server", ServerAddress, far));
        pair.Serving = pair.RunAsync(pair.Server, pair._output, pair._errors, pair._stop.Token, ["-s", .. serverArguments]);
        return pair;
    }

    /// <summary>Runs a client against the server.</summary>
    internal async Task<(int Status, string Output, string Errors)> RunClientAsync(params string[] arguments) => await RunClientAsync(null, arguments);

    internal async Task<(int Status, string Output, string Errors)> RunClientAsync(string? password, string[] arguments)
    {
        using StringWriter output = new(), errors = new();
        var status = await RunAsync(Client, output, errors, CancellationToken.None, ["-c", ServerAddress, .. arguments], password).WaitAsync(Limit);
        return (status, output.ToString(), errors.ToString());
    }

    /// <summary>Runs a client with -J and reads what it printed.</summary>
    internal async Task<JsonNode> MeasureAsync(params string[] arguments) => JsonNode.Parse((await RunClientAsync([.. arguments, "-J"])).Output)!;

    /// <summary>Ctrl-C for the server.</summary>
    internal async Task<int> StopServerAsync()
    {
        await _stop.CancelAsync();
        return await Serving.WaitAsync(Limit);
    }

    public async ValueTask DisposeAsync()
    {
        await StopServerAsync();
        await Client.DisposeAsync();
        await Server.DisposeAsync();
        _near.Dispose();
        _far.Dispose();
        _stop.Dispose();
    }

    private static async Task<PeregrineNetwork> NetworkAsync(string name, string address, MemoryLink link) => await PeregrineNetwork.StartAsync(
        new PeregrineOptions
        {
            Name = name, Addresses = [address + "/24", "fd09::" + address[^1] + "/64"], ControlSocket = "none", UseSystemResolver = false, UseSynchronizationContext = true, StopGraceMs = 200,
            Stack = new StackOptions { ConnectionCountMax = 1_024, TimeWaitCountMax = 1_024, SynBacklogCountMax = 256, ListenerCountMax = 64, FrameCount = 2_048, BlockCount = 4_096 },
        },
        link);

    private Task<int> RunAsync(PeregrineNetwork network, TextWriter output, TextWriter errors, CancellationToken cancel, string[] arguments, string? password = null)
    {
        Assert.True(Iperf3Arguments.TryParse(arguments, out var options, out var error), error);
        // Both write from their core's thread, and the test reads from its own.
        var environment = new Iperf3Environment { Output = TextWriter.Synchronized(output), Errors = TextWriter.Synchronized(errors), Password = password, Pin = Pin };
        return Iperf3Tool.RunAsync(network, options, environment, cancel);
    }

    private bool Pin(int processor)
    {
        if (processor >= 64) return false;
        _pinned.Enqueue(processor);
        return true;
    }
}
