// The other side of the demonstration's link: a place for the link to lie in, and clients that ping and fetch. Two kinds: this machine's
// kernel in a network namespace of its own, and a second stack on a link in memory.
using System.Security.Cryptography.X509Certificates;
using Peregrine.Core.Links;

namespace Peregrine.Cli.Demo;

/// <summary>What a client saw.</summary>
/// <param name="Command">What was done, as one would type it.</param>
/// <param name="Good">Whether it was as it should be.</param>
/// <param name="Output">A few lines of what came back.</param>
/// <param name="Milliseconds">How long it took.</param>
internal sealed record ClientOutcome(string Command, bool Good, string Output, double Milliseconds);

internal abstract class DemoWorld : IAsyncDisposable
{
    internal const string OurIPv4 = "192.0.2.2";
    internal const string TheirIPv4 = "192.0.2.1";
    internal const string OurIPv6 = "2001:db8::2";
    internal const string TheirIPv6 = "2001:db8::1";

    /// <summary>In one line, what kind of world this is.</summary>
    internal abstract string Description { get; }

    /// <summary>Our end of the link.</summary>
    internal abstract ILink Link { get; }

    /// <summary>Called once when the site listens.</summary>
    internal virtual Task StartAsync(CancellationToken cancel) => Task.CompletedTask;

    internal abstract Task<ClientOutcome> PingAsync(string address, CancellationToken cancel);

    /// <summary>Fetches a URL. With a certificate only a server that has it is trusted.</summary>
    internal abstract Task<ClientOutcome> FetchAsync(string url, X509Certificate2? trusted, CancellationToken cancel);

    /// <summary>Lines that say how to reach the site from outside, for --stay.</summary>
    internal abstract IEnumerable<string> HowToReach(int httpPort, int httpsPort);

    public abstract ValueTask DisposeAsync();
}
