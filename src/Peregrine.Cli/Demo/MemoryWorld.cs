// A second Peregrine as the other side, over a link in memory: for machines where neither root nor user namespaces are to be had.
using System.Diagnostics;
using System.Net.Sockets;
using System.Security.Cryptography.X509Certificates;
using Peregrine.Core.Links;
using Peregrine.Wire;

namespace Peregrine.Cli.Demo;

internal sealed class MemoryWorld : DemoWorld
{
    private readonly MemoryLink _theirs;
    private PeregrineNetwork? _client;
    private ushort _echo;
    private ushort _sequence;

    internal MemoryWorld() => (Link, _theirs) = MemoryLink.CreatePair();

    internal override string Description => "link in memory; a second Peregrine stack is the client";

    internal override ILink Link { get; }

    internal override async Task StartAsync(CancellationToken cancel)
    {
        var options = new PeregrineOptions { Name = "demo-client", Addresses = [TheirIPv4 + "/24", TheirIPv6 + "/64"], ControlSocket = "none" };
        _client = await PeregrineNetwork.StartAsync(options, _theirs, cancel: cancel).ConfigureAwait(false);
        _echo = Echo.Open(_client.Engine);
    }

    internal override async Task<ClientOutcome> PingAsync(string address, CancellationToken cancel)
    {
        var watch = Stopwatch.StartNew();
        var outcome = await Echo.SendAsync(_client!.Engine, IpAddress.Parse(address), _echo, ++_sequence, 56, TimeSpan.FromSeconds(2), cancel).ConfigureAwait(false);
        var good = outcome.Error == SocketError.Success;
        return new ClientOutcome("ping " + address, good, good ? $"{outcome.Length} bytes back" : outcome.Error.ToString(), watch.Elapsed.TotalMilliseconds);
    }

    internal override async Task<ClientOutcome> FetchAsync(string url, X509Certificate2? trusted, CancellationToken cancel)
    {
        using var handler = WebFetch.CreateHandler(trusted, _client!.ConnectAsync);
        return await WebFetch.GetAsync(handler, url, "HttpClient over Peregrine: GET " + url, cancel).ConfigureAwait(false);
    }

    internal override IEnumerable<string> HowToReach(int httpPort, int httpsPort)
    {
        yield return "A link in memory cannot be reached from outside this process; as root, or with user namespaces, it can.";
        yield return "peregrine stats demo";
    }

    public override async ValueTask DisposeAsync()
    {
        if (_client != null) await _client.DisposeAsync().ConfigureAwait(false);
        _theirs.Dispose();
        Link.Dispose();
    }
}
