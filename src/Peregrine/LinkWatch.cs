// What becomes of the link while the network runs: carrier lost and back, another MTU or address, a device that is gone and back. Asked now and
// then by the core that owns the queue; tells the stack, the log and the counters. The same for every kind of link.
using Microsoft.Extensions.Logging;
using Peregrine.Core;
using Peregrine.Core.Links;
using Peregrine.Core.Time;
using Peregrine.Wire;

namespace Peregrine;

internal sealed class LinkWatch
{
    private readonly ILink _link;
    private readonly ILinkQueue _queue;
    private readonly NetworkStack _stack;
    private readonly ILogger _logger;
    private readonly int _interface;
    private readonly int _mtuMax;
    private LinkWatchCounters _counters;
    private bool _isUp;
    private int _mtu;
    private MacAddress _address;
    private string? _problem;

    /// <param name="link">The link.</param>
    /// <param name="queue">Its queue that belongs to the core.</param>
    /// <param name="stack">The core's stack.</param>
    /// <param name="interfaceIndex">The stack's interface of the link.</param>
    /// <param name="mtu">What the interface has.</param>
    /// <param name="address">What the interface has.</param>
    /// <param name="mtuMax">Where the options ask for less than the link has.</param>
    /// <param name="logger">Where it is said.</param>
    internal LinkWatch(ILink link, ILinkQueue queue, NetworkStack stack, int interfaceIndex, int mtu, MacAddress address, int mtuMax, ILogger logger)
    {
        (_link, _queue, _stack, _interface, _mtu, _address, _mtuMax, _logger) = (link, queue, stack, interfaceIndex, mtu, address, mtuMax, logger);
        _isUp = link.IsUp;
    }

    internal ref LinkWatchCounters Counters => ref _counters;

    /// <summary>Whether there was a carrier when the link was asked last.</summary>
    internal bool IsUp => Volatile.Read(ref _isUp);

    /// <summary>The MTU in bytes that is in force.</summary>
    internal int Mtu => Volatile.Read(ref _mtu);

    /// <summary>Why there is no device, or null.</summary>
    internal string? Problem => Volatile.Read(ref _problem);

    internal void Look(Instant now)
    {
        var presence = _queue.Follow(out var problem);
        OnPresence(presence, problem, now);
        OnCarrier(presence != LinkPresence.Gone && _link.IsUp);
        // What a device that is gone says of itself is what it had.
        if (presence == LinkPresence.Gone) return;
        OnMtu(Math.Min(_link.Mtu, _mtuMax));
        OnAddress(_link.MacAddress, now);
    }

    private void OnPresence(LinkPresence presence, string? problem, Instant now)
    {
        if (presence == LinkPresence.Gone)
        {
            problem ??= "the device is gone";
            if (_problem is null) _counters.DevicesGone++;
            // Each reason once, not each attempt.
            if (problem != _problem) HostLog.DeviceGone(_logger, _link.Name, problem);
        }
        else if (presence == LinkPresence.Reopened)
        {
            _counters.DevicesReopened++;
            _address = _link.MacAddress;
            _stack.OnDeviceReplaced(_interface, _address, now);
            HostLog.DeviceReopened(_logger, _link.Name);
        }
        Volatile.Write(ref _problem, presence == LinkPresence.Gone ? problem : null);
    }

    private void OnCarrier(bool up)
    {
        if (up == _isUp) return;
        Volatile.Write(ref _isUp, up);
        if (up)
        {
            _counters.CarriersBack++;
            HostLog.LinkUp(_logger, _link.Name);
        }
        else
        {
            _counters.CarriersLost++;
            HostLog.LinkDown(_logger, _link.Name);
        }
    }

    private void OnMtu(int mtu)
    {
        if (mtu == _mtu) return;
        _counters.MtuChanges++;
        HostLog.MtuChanged(_logger, _link.Name, _mtu, mtu);
        Volatile.Write(ref _mtu, mtu);
        _stack.SetMtu(_interface, mtu);
    }

    private void OnAddress(MacAddress address, Instant now)
    {
        if (address == _address) return;
        _counters.AddressChanges++;
        HostLog.AddressChanged(_logger, _link.Name, _address, address);
        _address = address;
        // Who knows us by the old one is told; it is as if the card were another one.
        _stack.OnDeviceReplaced(_interface, address, now);
    }
}

/// <summary>What became of the link. Plain sums, written by the core and read by anybody.</summary>
internal struct LinkWatchCounters
{
    public long CarriersLost;
    public long CarriersBack;
    public long MtuChanges;
    public long AddressChanges;
    public long DevicesGone;
    public long DevicesReopened;
}
