// The entrance: a command line's options, run on a network. Everything after the first call happens on the core's thread.
using Peregrine.Sockets;

namespace Peregrine.Iperf3;

/// <summary>iperf3 over a <see cref="Network"/>.</summary>
public static class Iperf3Tool
{
    /// <summary>Runs a client's test, or a server until it is cancelled or its one test is over.</summary>
    /// <param name="network">The network. Its core's thread must have the core's context (the host's UseSynchronizationContext).</param>
    /// <param name="options">What the command line says.</param>
    /// <param name="environment">Output, time and the rest of the surroundings.</param>
    /// <param name="cancel">What Ctrl-C is to iperf3: the peer is told, and what there is of results is printed.</param>
    /// <returns>The exit status.</returns>
    public static async Task<int> RunAsync(Network network, Iperf3Options options, Iperf3Environment environment, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(network);
        ArgumentNullException.ThrowIfNull(options);
        ArgumentNullException.ThrowIfNull(environment);
        var run = await network.Engine.RunAsync(() =>
        {
            if (SynchronizationContext.Current != network.Engine.Context)
                throw new InvalidOperationException("iperf3 needs a core whose thread has its synchronization context: set UseSynchronizationContext in the network's options.");
            Report report = options.IsJson ? new JsonReport(options, environment) : new TextReport(options, environment);
            return options.IsServer
                ? new Iperf3Server(network, options, environment, report).RunAsync(cancel)
                : new Iperf3Client(network, options, environment, report).RunAsync(cancel);
        }).ConfigureAwait(false);
        return await run.ConfigureAwait(false);
    }
}
