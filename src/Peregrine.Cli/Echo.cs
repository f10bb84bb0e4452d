// Echo requests from a network, one at a time, with the time to the answer. The protocol is the stack's; this only waits.
using System.Diagnostics;
using System.Net.Sockets;
using Peregrine.Core.Ip;
using Peregrine.Sockets;
using Peregrine.Wire;

namespace Peregrine.Cli;

/// <summary>What came of one request.</summary>
internal readonly record struct EchoOutcome(SocketError Error, double Milliseconds, int Length, byte HopLimit);

internal static class Echo
{
    /// <summary>Sends one request and waits for its answer.</summary>
    internal static async Task<EchoOutcome> SendAsync(SocketEngine engine, IpAddress to, ushort identifier, ushort sequence, int size, TimeSpan patience, CancellationToken cancel)
    {
        var data = new byte[size];
        for (var i = 0; i < size; i++) data[i] = (byte)i;
        var start = await engine.RunAsync(() => (Error: engine.Stack.Ip.Echo.Send(to, identifier, sequence, data, 0, engine.Now), At: engine.Now)).ConfigureAwait(false);
        if (start.Error != SocketError.Success) return new EchoOutcome(start.Error, 0, 0, 0);
        var watch = Stopwatch.StartNew();
        while (watch.Elapsed < patience)
        {
            var echo = await engine.RunAsync(() => Take(engine, identifier, sequence)).ConfigureAwait(false);
            if (echo is { } found) return new EchoOutcome(found.Error, (found.At - start.At).Nanoseconds / 1e6, found.Length, found.HopLimit);
            await Task.Delay(1, cancel).ConfigureAwait(false);
        }
        return new EchoOutcome(SocketError.TimedOut, 0, 0, 0);
    }

    /// <summary>Takes an identifier for <see cref="SendAsync"/>.</summary>
    internal static ushort Open(SocketEngine engine) => engine.Run(() =>
        engine.Stack.Ip.Echo.TryOpen(out var identifier) ? identifier : throw new InvalidOperationException("Too many pings are running on this network."));

    private static EchoEvent? Take(SocketEngine engine, ushort identifier, ushort sequence)
    {
        while (engine.Stack.Ip.Echo.TryNext(out var echo))
        {
            if (echo.Identifier == identifier && echo.Sequence == sequence) return echo;
        }
        return null;
    }
}
