// Two networks in one process, on the two ends of an in-memory link; and a log that tests can wait for.
using System.Collections.Concurrent;
using System.Net;
using Microsoft.Extensions.Logging;
using Peregrine.Core;
using Peregrine.Core.Links;
using Peregrine.Sockets;

namespace Peregrine.Tests;

internal sealed class TestNetworks : IAsyncDisposable
{
    private TestNetworks(MemoryLink linkA, MemoryLink linkB, PeregrineNetwork a, PeregrineNetwork b, TestLog log) =>
        (LinkA, LinkB, A, B, Log) = (linkA, linkB, a, b, log);

    internal static TimeSpan Limit => TimeSpan.FromSeconds(120);

    internal static StackOptions SmallStack { get; } = new()
    {
        ConnectionCountMax = 1_024,
        TimeWaitCountMax = 1_024,
        SynBacklogCountMax = 256,
        ListenerCountMax = 64,
        FrameCount = 2_048,
        BlockCount = 4_096,
        TransmissionRecordCount = 8_192,
    };

    internal MemoryLink LinkA { get; }

    internal MemoryLink LinkB { get; }

    internal PeregrineNetwork A { get; }

    internal PeregrineNetwork B { get; }

    internal TestLog Log { get; }

    internal static PeregrineOptions Options(string name, string address) => new()
    {
        Name = name,
        Addresses = [address + "/24", address == "10.7.0.1" ? "fd07::1/64" : "fd07::2/64"],
        ControlSocket = "none",
        UseSystemResolver = false,
        Stack = SmallStack,
    };

    internal static async Task<TestNetworks> StartAsync(Func<PeregrineOptions, PeregrineOptions>? change = null, ICorePlatform? platform = null)
    {
        var (linkA, linkB) = MemoryLink.CreatePair();
        change ??= static o => o;
        var log = new TestLog();
        var a = await PeregrineNetwork.StartAsync(change(Options("a", "10.7.0.1")), linkA, log, platform: platform);
        var b = await PeregrineNetwork.StartAsync(change(Options("b", "10.7.0.2")), linkB, log, platform: platform);
        return new TestNetworks(linkA, linkB, a, b, log);
    }

    /// <summary>A connection from B to A.</summary>
    internal async Task<(TcpConnection Client, TcpConnection Server)> PairAsync()
    {
        var listener = A.ListenTcp(new IPEndPoint(IPAddress.Any, 0));
        var accept = listener.AcceptAsync().AsTask();
        var client = await B.ConnectTcpAsync(new IPEndPoint(IPAddress.Parse("10.7.0.1"), listener.LocalEndPoint.Port)).AsTask().WaitAsync(Limit);
        var server = await accept.WaitAsync(Limit);
        await listener.DisposeAsync();
        return (client, server);
    }

    public async ValueTask DisposeAsync()
    {
        await Task.WhenAll(A.DisposeAsync().AsTask(), B.DisposeAsync().AsTask()).WaitAsync(Limit);
        LinkA.Dispose();
        LinkB.Dispose();
    }
}

/// <summary>A logger factory whose lines can be awaited.</summary>
internal sealed class TestLog : ILoggerFactory, ILogger
{
    private readonly ConcurrentQueue<string> _lines = new();
    private readonly SemaphoreSlim _more = new(0);

    internal IReadOnlyCollection<string> Lines => _lines;

    public ILogger CreateLogger(string categoryName) => this;

    public void AddProvider(ILoggerProvider provider)
    {
    }

    public IDisposable? BeginScope<TState>(TState state)
        where TState : notnull => null;

    public bool IsEnabled(LogLevel logLevel) => true;

    public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
    {
        _lines.Enqueue(formatter(state, exception));
        _more.Release();
    }

    public void Dispose()
    {
    }

    /// <summary>Waits for a line that contains a text.</summary>
    internal async Task<string> WaitForAsync(string text)
    {
        while (true)
        {
            if (_lines.FirstOrDefault(line => line.Contains(text, StringComparison.Ordinal)) is { } found) return found;
            if (!await _more.WaitAsync(TestNetworks.Limit)) Assert.Fail($"No log line has \"{text}\": {string.Join(" | ", _lines)}");
        }
    }
}
