// The network of an application: opened and started when it is first needed, ended after the server has stopped. One a service provider.
using System.Net.Http;
using Microsoft.Extensions.Logging;
using Peregrine.Core.Links;
using Peregrine.Drivers;
using Peregrine.Sockets;

namespace Peregrine.AspNetCore;

/// <summary>Gives the application's network to whoever needs it: Kestrel, an <see cref="HttpClient"/>, the application itself.</summary>
public sealed class PeregrineHost : IAsyncDisposable
{
    private readonly PeregrineHostOptions _options;
    private readonly ILoggerFactory? _loggers;
    private readonly SemaphoreSlim _gate = new(1);
    private ILink? _link;
    private PeregrineNetwork? _network;
    private bool _disposed;

    /// <summary>Makes a host; nothing is opened yet.</summary>
    public PeregrineHost(PeregrineHostOptions options, ILoggerFactory? loggers = null)
    {
        ArgumentNullException.ThrowIfNull(options);
        (_options, _loggers) = (options, loggers);
    }

    /// <summary>The network, if it has been started.</summary>
    public PeregrineNetwork? Network => Volatile.Read(ref _network);

    /// <summary>Gives the network; opens the link and starts it when it is asked for first.</summary>
    /// <exception cref="UnauthorizedAccessException">The link may not be opened; the message says what to do.</exception>
    /// <exception cref="ArgumentException">A setting is wrong; the message names it.</exception>
    public async ValueTask<PeregrineNetwork> StartAsync(CancellationToken cancel = default)
    {
        if (Network is { } running) return running;
        await _gate.WaitAsync(cancel).ConfigureAwait(false);
        try
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            if (_network is { } started) return started;
            var link = _options.Open();
            try
            {
                var platform = OperatingSystem.IsLinux() ? new LinuxPlatform() : null;
                var network = await PeregrineNetwork.StartAsync(_options.Network, link, _loggers, cancel, platform).ConfigureAwait(false);
                _link = link;
                Volatile.Write(ref _network, network);
                return network;
            }
            catch
            {
                link.Dispose();
                throw;
            }
        }
        finally
        {
            _gate.Release();
        }
    }

    /// <summary>For <see cref="SocketsHttpHandler.ConnectCallback"/>: connects over this network.</summary>
    public async ValueTask<Stream> ConnectAsync(SocketsHttpConnectionContext context, CancellationToken cancel)
    {
        var network = await StartAsync(cancel).ConfigureAwait(false);
        return await network.ConnectAsync(context, cancel).ConfigureAwait(false);
    }

    /// <summary>Makes a handler for <see cref="HttpClient"/> whose connections go over this network. No proxy is used.</summary>
    public SocketsHttpHandler CreateHttpHandler() => new() { ConnectCallback = ConnectAsync, UseProxy = false };

    /// <summary>Ends the network gracefully and closes the link.</summary>
    public async ValueTask DisposeAsync()
    {
        await _gate.WaitAsync().ConfigureAwait(false);
        try
        {
            if (_disposed) return;
            _disposed = true;
            if (_network is { } network) await network.DisposeAsync().ConfigureAwait(false);
            _link?.Dispose();
        }
        finally
        {
            _gate.Release();
        }
    }

    internal async ValueTask<Network> NetworkAsync(CancellationToken cancel) => await StartAsync(cancel).ConfigureAwait(false);
}
