// A running network: memory, stack, engine, watchdog, control socket and metrics put together, and taken apart in order.
using System.Runtime.InteropServices;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using Peregrine.Core;
using Peregrine.Core.Links;
using Peregrine.Sockets;

namespace Peregrine;

/// <summary>A network on a link of its own: the place where listeners, connections and UDP sockets come from.</summary>
public sealed class PeregrineNetwork : Network
{
    private readonly CoreEngine _engine;
    private readonly ILogger _logger;
    private readonly Watchdog? _watchdog;
    private readonly PeregrineMetrics _metrics;
    private ControlSocket? _control;
    private int _stopping;

    private PeregrineNetwork(PeregrineOptions options, CoreEngine engine, INameResolver resolver, ILogger logger)
        : base(engine, resolver)
    {
        (Options, _engine, _logger) = (options, engine, logger);
        _metrics = new PeregrineMetrics(options.Name, engine);
        if (options.CallbackLimitMs > 0) _watchdog = new Watchdog(engine, logger, options.CallbackLimitMs);
    }

    /// <summary>What the network was started with.</summary>
    public PeregrineOptions Options { get; }

    /// <summary>Whether the link had a carrier when it was asked last.</summary>
    public bool IsLinkUp => _engine.LinkWatch.IsUp;

    /// <summary>Completes when the network has stopped; faulted if its core failed.</summary>
    public Task Completion => _engine.Stopped;

    /// <summary>Path of the control socket, or null where there is none.</summary>
    public string? ControlSocketPath => _control?.Path;

    /// <summary>Starts a network.</summary>
    /// <param name="options">Settings; they are validated.</param>
    /// <param name="link">The link. Its first queue belongs to the network until that has stopped; the link itself stays the caller's.</param>
    /// <param name="loggers">Where logs go, or null for none.</param>
    /// <param name="cancel">Ends the start.</param>
    /// <param name="platform">Memory, sleeping and pinning, usually the drivers' Linux platform; null for a managed one.</param>
    /// <param name="resolver">Finds addresses of names, or null for the options' table and the system's resolver.</param>
    /// <exception cref="ArgumentException">A setting is wrong; the message names it.</exception>
    /// <exception cref="InsufficientMemoryException">The memory cannot be had.</exception>
    public static async ValueTask<PeregrineNetwork> StartAsync(
        PeregrineOptions options,
        ILink link,
        ILoggerFactory? loggers = null,
        CancellationToken cancel = default,
        ICorePlatform? platform = null,
        INameResolver? resolver = null)
    {
        ArgumentNullException.ThrowIfNull(options);
        ArgumentNullException.ThrowIfNull(link);
        cancel.ThrowIfCancellationRequested();
        options.Validate();
        platform ??= new ManagedPlatform();
        var logger = loggers?.CreateLogger("Peregrine") ?? NullLogger.Instance;
        resolver ??= new HostTable(options.ParseHosts(), options.UseSystemResolver ? new SystemNameResolver() : null);
        options = Agree(options, link);
        var engine = CreateEngine(options, link, platform, logger);
        // Before root is given up, for its folder may be root's alone.
        var control = OpenControlSocket(options, logger);
        if (options.User.Length > 0) DropPrivileges(options.User, engine, platform, control);
        try
        {
            engine.Start();
            await engine.Started.ConfigureAwait(false);
        }
        catch
        {
            control?.Dispose();
            throw;
        }
        var network = new PeregrineNetwork(options, engine, resolver, logger) { _control = control };
        control?.Serve(new ControlAnswers(network, engine));
        HostLog.Started(logger, options.Name, link.Name, string.Join(", ", options.Addresses), engine.Run(() => engine.Stack.Memory.Kind));
        return network;
    }

    /// <summary>
    /// Stops patiently: listeners close at once, open connections may finish by themselves, queued data and FINs go out. What is left when
    /// <see cref="PeregrineOptions.StopGraceMs"/> has passed or <paramref name="cancel"/> comes is reset.
    /// </summary>
    public async Task StopAsync(CancellationToken cancel = default)
    {
        var grace = TimeSpan.FromMilliseconds(Options.StopGraceMs);
        if (!TryBeginStop(cancel.IsCancellationRequested ? TimeSpan.Zero : grace, patient: true))
        {
            await Completion.ConfigureAwait(false);
            return;
        }
        using (cancel.UnsafeRegister(static n => ((PeregrineNetwork)n!).TryBeginStop(TimeSpan.Zero, patient: false), this))
        {
            await Completion.ConfigureAwait(false);
        }
        await EndAsync().ConfigureAwait(false);
    }

    /// <summary>Stops: listeners and connections are closed gracefully now, and what they had queued still goes out within the grace time.</summary>
    public override async ValueTask DisposeAsync()
    {
        TryBeginStop(TimeSpan.FromMilliseconds(Options.StopGraceMs), patient: false);
        await ((Task)Completion.ContinueWith(static _ => { }, TaskScheduler.Default)).ConfigureAwait(false);
        await EndAsync().ConfigureAwait(false);
    }

    private static CoreEngine CreateEngine(PeregrineOptions options, ILink link, ICorePlatform platform, ILogger logger)
    {
        var clock = new CoreClock();
        var region = platform.MapRegion(NetworkStack.BytesFor(options.Stack), options.HugePages);
        try
        {
            var stack = new NetworkStack(options.Stack, region, CreateSecrets(platform), CreateSeed(platform), clock.Now());
            return new CoreEngine(options, stack, link, platform, clock, logger);
        }
        catch
        {
            region.Dispose();
            throw;
        }
    }

    /// <summary>What the link says about addresses and ports, where the options leave it open.</summary>
    private static PeregrineOptions Agree(PeregrineOptions options, ILink link)
    {
        if (options.Addresses.Count == 0 && !options.Autoconfigure) options = options with { Addresses = [.. link.Addresses.Select(static a => a.ToString())] };
        foreach (var address in options.ParseAddresses()) link.OnAddress(address.Address);
        var (stack, usual) = (options.Stack, new StackOptions());
        if (link.EphemeralPorts is not { } ports || (stack.EphemeralPortMin, stack.EphemeralPortMax) != (usual.EphemeralPortMin, usual.EphemeralPortMax)) return options;
        return options with { Stack = stack with { EphemeralPortMin = ports.Min, EphemeralPortMax = ports.Max } };
    }

    private static void DropPrivileges(string user, CoreEngine engine, ICorePlatform platform, ControlSocket? control)
    {
        try
        {
            if (control is not null) platform.GiveFile(control.Path, user);
            if (engine.Qlog is { MadeDirectory: { } directory }) platform.GiveFile(directory, user);
            platform.DropPrivileges(user);
        }
        catch
        {
            engine.Abandon();
            control?.Dispose();
            throw;
        }
    }

    private static StackSecrets CreateSecrets(ICorePlatform platform)
    {
        Span<byte> entropy = stackalloc byte[StackSecrets.ByteCount];
        platform.FillEntropy(entropy);
        var secrets = StackSecrets.FromBytes(entropy);
        entropy.Clear();
        return secrets;
    }

    private static ulong CreateSeed(ICorePlatform platform)
    {
        var seed = 0UL;
        platform.FillEntropy(MemoryMarshal.AsBytes(new Span<ulong>(ref seed)));
        return seed;
    }

    private bool TryBeginStop(TimeSpan grace, bool patient)
    {
        var first = Interlocked.Exchange(ref _stopping, 1) == 0;
        try
        {
            _engine.BeginStop(grace, patient);
        }
        catch (ObjectDisposedException)
        {
            return false;
        }
        return first;
    }

    private static ControlSocket? OpenControlSocket(PeregrineOptions options, ILogger logger)
    {
        if (options.ControlSocket == "none") return null;
        var path = ControlSocket.PathFor(options);
        try
        {
            return new ControlSocket(path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or System.Net.Sockets.SocketException or ArgumentException)
        {
            HostLog.NoControlSocket(logger, path, e.Message);
            return null;
        }
    }

    private async Task EndAsync()
    {
        if (Interlocked.Exchange(ref _stopping, 2) == 2) return;
        if (_engine.Qlog is { } qlog) await qlog.DisposeAsync().ConfigureAwait(false);
        _control?.Dispose();
        _watchdog?.Dispose();
        _metrics.Dispose();
        HostLog.Stopped(_logger, Options.Name);
    }
}
