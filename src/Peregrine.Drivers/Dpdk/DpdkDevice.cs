// The device beneath a link for as long as the link is open: the port that DPDK has for it now and, when that one is lost, the next. DPDK starts and
// closes a port as a whole and a burst on a closed one is fatal, while each queue belongs to a core: so every core first leaves the port, the last one
// closes it, each takes its own chunks home, and when all have, the way back is the same. Nothing here is part of a burst.
using System.Threading;
using Peregrine.Core.Links;
using Peregrine.Drivers.Linux;
using Peregrine.Wire;

namespace Peregrine.Drivers.Dpdk;

internal sealed class DpdkDevice : IDisposable
{
    // Making a device takes tens of milliseconds of a core, and one whose other end is away fails or is lost again at once.
    private const long RetryMs = 1_000;

    // How long a device that connects only when it is made may take for that, before it is made anew: its other end may be a busy program.
    private const long PatienceMs = 5_000;

    private readonly Lock _gate = new();
    private readonly string _name;
    private readonly DpdkOptions _options;
    private readonly NetworkNamespace? _space;
    private readonly DpdkInterface? _interface;
    private readonly DpdkQueue?[] _queues;
    private readonly Action<DpdkPort> _onStarted;
    private readonly bool _hadRights = Privileges.HasAny;
    private DpdkPort? _port;
    private int _openCount;
    private bool _isLeaving, _wasUp, _closed;
    private string? _problem;
    private long _retryAt, _patientUntil;

    /// <param name="name">DPDK's name for the device.</param>
    /// <param name="options">How it is made, each time.</param>
    /// <param name="onStarted">Configures what can be only when the port runs.</param>
    public DpdkDevice(string name, DpdkOptions options, Action<DpdkPort> onStarted)
    {
        (_name, _options, _onStarted, _queues) = (name, options, onStarted, new DpdkQueue?[options.QueueCount]);
        _space = options.NetworkNamespace is null ? NetworkNamespace.TryHoldCurrent() : NetworkNamespace.Open(options.NetworkNamespace);
        try
        {
            var port = DpdkPort.Open(name, options, _space);
            _port = port;
            _interface = InSpace(() => DpdkInterface.TryWatch(options.DeviceArguments, port));
            Describe(port);
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    /// <summary>The port that is there, or the last that was.</summary>
    public DpdkPort Port { get; private set; } = null!;

    public MacAddress MacAddress { get; private set; }

    /// <summary>How often the device was made or tried to be made again.</summary>
    public int AttemptCount { get; private set; }

    public DpdkQueue?[] Queues => _queues;

    /// <summary>Whether there is a device, all queues use it, and it has a carrier.</summary>
    public bool IsUp
    {
        get
        {
            lock (_gate) return !_isLeaving && !IsInterfaceGone && _port?.IsUp == true;
        }
    }

    /// <summary>Runs a control call on the port that is there.</summary>
    /// <exception cref="IOException">There is none at the moment.</exception>
    public void Use(Action<DpdkPort> action)
    {
        lock (_gate)
        {
            var port = _port ?? throw new IOException($"dpdk: '{_name}' is away: {_problem}");
            port.Run(() => action(port));
        }
    }

    /// <summary>Gives a queue its part of the port; with the last one the port starts.</summary>
    public void Open(DpdkQueue queue)
    {
        lock (_gate)
        {
            ObjectDisposedException.ThrowIf(_closed || _port is null, this);
            try
            {
                Attach(queue, _port, isLast: _openCount + 1 == _queues.Length);
            }
            catch
            {
                queue.Release();
                throw;
            }
            _queues[queue.Index] = queue;
            _openCount++;
        }
    }

    /// <summary>A queue was closed by its owner: with the last one the device goes, for nobody polls it any more and its frames must go home.</summary>
    public void OnQueueClosed()
    {
        if (Interlocked.Decrement(ref _openCount) == 0) Dispose();
    }

    /// <summary>Looks after the device for one queue, from the core that owns it: leaves a port that is lost, comes to one that is there again.</summary>
    public LinkPresence Follow(DpdkQueue queue, out string? problem)
    {
        problem = null;
        lock (_gate)
        {
            // The port has not begun as yet, or has begun to end.
            if (_openCount < _queues.Length) return LinkPresence.There;
            if (_port is { } port && !_isLeaving && WhyLost(port) is { } why) (_isLeaving, _problem) = (true, why);
            if (_isLeaving) Leave(queue);
            if (!_isLeaving && !queue.IsAttached) Try(() => Attach(queue, _port!, isLast: _queues.Count(static one => !one!.IsAttached) == 1));
            // One that is made anew and finds nobody at its other end is not back.
            if (!_isLeaving && _port!.IsLive && !(queue.IsBack && ConnectsOnce(_port) && !IsConnected(_port)))
            {
                var presence = queue.IsBack ? LinkPresence.Reopened : LinkPresence.There;
                queue.IsBack = false;
                return presence;
            }
            problem = _problem;
            return LinkPresence.Gone;
        }
    }

    /// <summary>Removes the device and gives all chunks back. The owners of the queues must have stopped.</summary>
    public void Dispose()
    {
        lock (_gate)
        {
            if (_closed) return;
            _closed = true;
            foreach (var queue in _queues) queue?.Drain();
            _port?.Dispose();
            _port = null;
            foreach (var queue in _queues) queue?.Release(IsInterfaceGone);
            _interface?.Dispose();
            _space?.Dispose();
        }
    }

    private bool IsInterfaceGone => _interface?.IsGone == true;

    private void Leave(DpdkQueue queue)
    {
        queue.Leave();
        if (_port is { } port && Array.TrueForAll(_queues, static one => one!.IsAway))
        {
            port.Dispose();
            _port = null;
        }
        if (_port is not null) return;
        queue.Detach(IsInterfaceGone);
        if (Array.TrueForAll(_queues, static one => !one!.IsAttached) && MayMake()) Try(Make);
    }

    private void Make()
    {
        AttemptCount++;
        _retryAt = Environment.TickCount64 + RetryMs;
        var port = DpdkPort.Open(_name, _options, _space);
        try
        {
            _interface?.Adopt(port);
            if ((DpdkLink.OffloadsOf(Port) & ~DpdkLink.OffloadsOf(port)) != 0) throw new IOException($"dpdk: '{_name}' is there again and can do less than before: start the program anew");
            Describe(port);
        }
        catch
        {
            port.Dispose();
            throw;
        }
        (_port, _isLeaving) = (port, false);
    }

    private void Describe(DpdkPort port)
    {
        Port = port;
        // With the kernel at the other end of the same device, both ends would have one address.
        MacAddress = _options.MacAddress ?? (port.Driver.SharesKernelAddress ? new MacAddress(port.Address.Value ^ 1) : port.Address);
    }

    private void Attach(DpdkQueue queue, DpdkPort port, bool isLast)
    {
        port.Run(() =>
        {
            queue.Attach(port);
            if (!isLast) return;
            port.Start(_options.Promiscuous || MacAddress != port.Address);
            _onStarted(port);
        });
        (_wasUp, _patientUntil) = (false, Environment.TickCount64 + PatienceMs);
    }

    private string? WhyLost(DpdkPort port)
    {
        if (!port.Driver.ComesBack) return null;
        if (IsInterfaceGone)
        {
            return port.Driver.MakesInterface
                ? $"the interface '{_interface!.Name}' was deleted; it is made again"
                : $"there is no interface '{_interface!.Name}' any more; it is taken again when it is there again";
        }
        if (port.IsGone) return "the device was removed; it is taken again when it is there again";
        if (!ConnectsOnce(port) || !port.IsLive || IsConnected(port) || (!_wasUp && Environment.TickCount64 < _patientUntil)) return null;
        return "its other end is away; it is connected again when that is there";
    }

    private bool ConnectsOnce(DpdkPort port) => port.Driver.ListensWith is { } argument && !_options.DeviceArguments.Contains(argument);

    private bool IsConnected(DpdkPort port) => port.IsUp && (_wasUp = true);

    private bool MayMake()
    {
        if (Environment.TickCount64 < _retryAt) return false;
        if (Port.Driver.NeedsRights && _hadRights && !Privileges.HasAny)
        {
            _problem = Forbidden();
            return false;
        }
        if (_interface is not { } one || Port.Driver.MakesInterface || one.IsReady) return true;
        // net_af_xdp cannot bind to an interface that is down, and does not come away from the attempt.
        if (one.Exists) _problem = $"there is an interface '{one.Name}' again, but it is down";
        return false;
    }

    private void Try(Action action)
    {
        try
        {
            action();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or InsufficientMemoryException or ArgumentException or NotSupportedException)
        {
            (_isLeaving, _problem) = (true, _hadRights && !Privileges.HasAny ? e.Message + " " + Forbidden() : e.Message);
        }
    }

    private string Forbidden() =>
        "The process has given up the rights that it began with (--user), and DPDK makes a device anew only with them: start the program anew"
        + (_interface is { } one ? $", or take xdp:{one.Name} or packet:{one.Name}, which come back" : "");

    private T InSpace<T>(Func<T> function) => _space is null ? function() : _space.Run(function);
}
